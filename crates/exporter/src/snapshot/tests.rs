//! Snapshots there and back, and what becomes of bytes that are none.

use super::*;
use aggregator::{FrozenLane, Gap, LiveAlone, LiveState, Rules as LiveRules};
use audience::{Detail, Details, Event, Kind, MinuteRow, NO_DETAIL, RetweetDetail, Stay};
use std::io::Cursor;
use std::sync::Arc;

const NOW: Ms = 1_459_711_860_000;
const RULES: LiveRules = LiveRules {
    session_timeout: Some(400_000),
    timeout_grace: 0,
    broadcast_idle: 600_000,
    end_idle: Some(900_000),
    straggler: 60_000,
    return_within: 60_000,
};

fn names() -> Vec<Arc<str>> {
    ["one", "two", "é"].map(Arc::from).to_vec()
}

fn head(lanes: usize, watermark: Option<Ms>) -> Head {
    let rules = SavedRules::from(RULES);
    let partitions =
        (0..3).map(|n| PartitionLane { topic: "events".into(), partition: n, lane: usize::from(n == 1) % lanes });
    Head { commit: 7, watermark, rules, lanes, partitions: partitions.collect(), held_from: 6 }
}

/// Two lanes in the middle of things: sessions, viewers, ends, retweets, late events, airings over and on air, a
/// frontier, minutes half full.
fn alone() -> LiveAlone {
    let mut alone = LiveAlone::new(RULES, 2);
    let lost = |before: i64, after: Option<i64>| Gap {
        before: Some(NOW + before),
        after: after.map(|after| NOW + after),
        is_beginning: false,
    };
    alone.live.set_gaps(&[lost(100_000, Some(160_000)), lost(1_900_000, None)]);
    let mut details = Details::new();
    for n in 0..4_000_u32 {
        let (at, viewer) = (NOW + i64::from(n) * 500, u128::from(n % 701) + 1);
        let kind = [Kind::Join, Kind::Join, Kind::Heartbeat, Kind::Leave][n as usize % 4];
        // The second broadcast falls silent, and the first comes late now and then.
        let broadcast = if n % 3 == 0 && n < 2_000 { 1 } else { 2 * (n % 2) };
        let ts = if n % 11 == 0 { at - 60_000 } else { at };
        let event = match n % 500 {
            3 => {
                let tweet =
                    RetweetDetail { tweet_id: &n.to_string(), user_id: "u", followers: Some(3), retweet_of: None };
                Event::new(Kind::Retweet, broadcast, u128::from(n) << 70, 0, ts, details.push(Detail::Retweet(tweet)))
            }
            4 => Event::new(Kind::End, broadcast, 0, 0, ts, NO_DETAIL),
            _ => Event::new(kind, broadcast, viewer, viewer, ts, NO_DETAIL),
        };
        alone.lanes[n as usize % 2].push(event, &details);
        if n % 97 == 0 {
            alone.advance(at - 5_000);
        }
    }
    alone.lanes[0].push(Event::new(Kind::End, 2, 0, 0, NOW + 4_000 * 500 - 1, NO_DETAIL), &details);
    for due in alone.live.due() {
        alone.set_frontier(due.broadcast, due.frontier);
    }
    let state = alone.live.snapshot();
    assert!(!state.exposed.is_empty() && state.gaps.len() == 2, "gaps leave something open");
    alone
}

fn written(alone: &LiveAlone, head: &Head) -> Vec<u8> {
    let frozen: Vec<FrozenLane> = alone.lanes.iter().map(|lane| lane.freeze().unwrap()).collect();
    let mut bytes = Vec::new();
    write_snapshot(&mut bytes, head, &names(), frozen, &alone.live.snapshot()).unwrap();
    bytes
}

fn number(id: &str) -> u32 {
    names().iter().position(|name| **name == *id).and_then(|place| u32::try_from(place).ok()).unwrap()
}

/// Everything that follows when all give one more sign of life, up to a silence and the end of the data.
fn rest(mut alone: LiveAlone) -> Vec<MinuteRow> {
    let watermark = alone.live.watermark().unwrap_or(NOW);
    for viewer in 1..=701 {
        // Those who left just now straggle, and all of the broadcast that is off air.
        for broadcast in [0, 2] {
            let beat = Event::new(Kind::Heartbeat, broadcast, viewer, viewer, watermark + 7, NO_DETAIL);
            alone.lanes[usize::from(viewer % 2 == 0)].push(beat, &Details::new());
        }
    }
    let mut rows = alone.advance(watermark + RULES.broadcast_idle);
    rows.extend(alone.finish());
    rows
}

#[test]
fn what_is_written_is_read_back() {
    let mut alone = alone();
    // Nothing is held from here on, so that the snapshot is all there is.
    alone.advance(NOW + 4_000 * 500);
    let head = head(2, alone.live.watermark());
    let bytes = written(&alone, &head);
    let reader = SnapshotReader::open(Cursor::new(&bytes), bytes.len() as u64).unwrap();
    assert_eq!(*reader.head(), head);
    let restored = reader.restore(RULES, number).unwrap();
    let LiveState { stages, airings, tweets, late, unsettled, frontiers, .. } = alone.live.snapshot();
    assert!(
        stages.len() >= 2 && !airings.is_empty() && !tweets.is_empty() && !late.is_empty() && !unsettled.is_empty()
    );
    assert!(airings.iter().any(|airing| !airing.minute.stays.is_empty()), "a minute has stays");
    assert!(stages.iter().any(|stage| stage.off_air_since.is_some()), "a broadcast is off air");
    let frozen: Vec<FrozenLane> = alone.lanes.iter().map(|lane| lane.freeze().unwrap()).collect();
    assert!(frozen.iter().all(|lane| lane.entries() > 300) && !frontiers.is_empty());
    assert_eq!(restored.entries, frozen.iter().map(FrozenLane::entries).sum::<u64>());
    assert!(frozen.iter().any(|lane| lane.clone().thaw().2.count() > 0), "some left just now");

    let again = LiveAlone { lanes: restored.lanes, live: restored.live };
    assert_eq!(again.live.snapshot(), alone.live.snapshot());
    assert_eq!(written(&again, &head), bytes, "equal states are equal bytes");
    let rows = rest(alone);
    assert!(rows.len() > 5);
    assert_eq!(rest(again), rows);
}

#[test]
fn broadcasts_get_the_numbers_of_this_process_and_those_not_named_none() {
    let mut alone = LiveAlone::new(RULES, 1);
    alone.lanes[0].push(Event::new(Kind::Join, 2, 5, 5, NOW, NO_DETAIL), &Details::new());
    alone.advance(NOW + 1);
    let bytes = written(&alone, &head(1, Some(NOW + 1)));
    let mut asked = Vec::new();
    let reader = SnapshotReader::open(Cursor::new(&bytes), bytes.len() as u64).unwrap();
    let restored = reader.restore(RULES, |id| {
        asked.push(id.to_owned());
        40
    });
    let standing = restored.unwrap().live.standing();
    assert_eq!((asked, standing.len(), standing[0].broadcast, standing[0].viewers), (vec!["é".to_owned()], 1, 40, 1));
}

#[test]
fn bytes_that_are_cut_or_turned_end_in_a_state_or_an_error() {
    let alone = alone();
    let bytes = written(&alone, &head(2, alone.live.watermark()));
    let read = |bytes: &[u8]| {
        SnapshotReader::open(Cursor::new(bytes), bytes.len() as u64).and_then(|reader| reader.restore(RULES, |_| 0))
    };
    read(&bytes).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 200) {
        let _ = read(&bytes[..at]);
    }
    assert!(read(&[]).is_err() && read(b"PAR1").is_err() && read(&bytes[8..]).is_err());
}

#[test]
fn lengths_and_numbers_that_cannot_be_are_refused() {
    let alone = alone();
    let good = head(2, alone.live.watermark());
    let bytes = written(&alone, &good);
    let read = |bytes: &[u8]| {
        SnapshotReader::open(Cursor::new(bytes), bytes.len() as u64).and_then(|reader| reader.restore(RULES, number))
    };
    let refused = |what: &str, bytes: &[u8]| assert!(matches!(read(bytes), Err(SnapshotError::Corrupt(_))), "{what}");
    // No room is made for what cannot come: each of these would ask for more than there is.
    let many = head(1 << 50, alone.live.watermark());
    refused("lanes", &written(&alone, &many));
    assert!(matches!(read(&[[0xff; 4], 0x7fff_ffff_u32.to_le_bytes()].concat()), Err(SnapshotError::Io(_))));
    let sessions = alone.lanes[0].freeze().unwrap().crowds().next().unwrap().sessions.to_le_bytes();
    let find = |part: &[u8], from: usize| from + bytes[from..].windows(part.len()).position(|at| at == part).unwrap();
    let at = find(&sessions, find(b"crowds", 0));
    for count in [1 << 40, i64::MAX, i64::MIN] {
        let mut grown = bytes.clone();
        grown[at..at + 8].copy_from_slice(&i64::to_le_bytes(count));
        refused("a crowd", &grown);
    }
    let with = |change: fn(&mut LiveState)| {
        let mut live = alone.live.snapshot();
        change(&mut live);
        let mut bytes = Vec::new();
        write_snapshot(&mut bytes, &good, &names(), vec![FrozenLane::default(); 2], &live).unwrap();
        bytes
    };
    refused("a gap", &with(|live| live.exposed[0].gap = u32::MAX));
    refused("an instant", &with(|live| live.stages[0].last_sign = Some(Ms::MAX)));
    refused(
        "a stay of less than nothing",
        &with(|live| live.airings[0].minute.stays = vec![Stay { ms: -1, sessions: 1 }]),
    );
    // What a minute had may be any number: it is counted, not listed.
    let many = with(|live| live.airings[0].minute.stays = vec![Stay { ms: 7, sessions: 1 << 50 }]);
    assert_eq!(read(&many).unwrap().live.snapshot().airings[0].minute.stays, [Stay { ms: 7, sessions: 1 << 50 }]);
}
