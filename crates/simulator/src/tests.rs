//! Whole simulations: that they are the night, that a seed means the same for ever, and that the truth is what the
//! events say.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::{
    BroadcastTruth, MinuteTruth, Ms, NIGHT_AT, Night, NightOptions, PUBLISHED, RELAY_ID, SimAct, Truth, broadcast_id,
    generate,
};

const MINUTE_MS: Ms = 60_000;

fn night_of(options: &NightOptions) -> Night {
    generate(options).expect("the options are valid")
}

fn truth_of(options: &NightOptions) -> Truth {
    night_of(options).truth()
}

/// The night in small, with everything that can go wrong on the way.
fn troubled() -> NightOptions {
    NightOptions {
        seed: 42,
        broadcasts: 3,
        scale: 0.004,
        retweets: 40,
        lost_leaves: 0.03,
        heartbeat_ms: Some(300_000),
        disorder_ms: 4_000,
        duplicates: 0.02,
        late: 0.01,
        ..NightOptions::default()
    }
}

#[test]
fn the_night_is_the_published_one() {
    let truth = truth_of(&NightOptions::default());
    let [night] = truth.broadcasts.as_slice() else { panic!("one broadcast") };
    let near = |value: i64, wanted: f64, share: f64| ((value as f64) / wanted - 1.0).abs() <= share;
    for (at, viewers) in PUBLISHED {
        let minute = night.minutes.iter().find(|row| row.minute_at == NIGHT_AT + at).expect("every minute has a row");
        assert!(near(minute.viewers_start, f64::from(viewers), 0.02), "{} for {viewers}", minute.viewers_start);
    }
    assert!(near(night.sessions, 385_000.0, 0.01), "{}", night.sessions);
    assert!(near(night.viewers_max, 81_000.0, 0.015), "{}", night.viewers_max);
    let peak_at = night.viewers_max_at.expect("somebody came") - NIGHT_AT;
    assert!((240 * MINUTE_MS..248 * MINUTE_MS).contains(&peak_at), "{peak_at}");
    assert_eq!(night.last_at, NIGHT_AT + 314 * MINUTE_MS);
    assert_eq!(night.retweets, 300);

    // 23:57:30: nine of ten are thrown out, and a good part of them come back within minutes.
    let crash_at = night.crash_at.expect("the night has a crash");
    assert_eq!(crash_at, NIGHT_AT + 266 * MINUTE_MS + 30_000);
    let crash = night.minutes.iter().find(|row| row.minute_at == crash_at - 30_000).expect("a row");
    assert!(crash.viewers_min * 12 < crash.viewers_start && crash.leaves > 70_000, "{crash:?}");
    assert!((18_000..25_000).contains(&night.reconnects), "{}", night.reconnects);

    let relay = night.effects.iter().find(|effect| effect.user_id == RELAY_ID).expect("the relay retweets");
    assert_eq!(relay.followers, Some(22_000));
    assert!(relay.joins > 3_000 && relay.joins > relay.joins_direct && relay.joins_direct > relay.joins_via * 2);
    let joins_in = |from: Ms, to: Ms| -> i64 {
        night.minutes.iter().filter(|row| (from..to).contains(&row.minute_at)).map(|row| row.joins).sum()
    };
    let at = relay.retweeted_at.div_euclid(MINUTE_MS) * MINUTE_MS;
    let (before, after) = (joins_in(at - 3 * MINUTE_MS, at), joins_in(at + MINUTE_MS, at + 4 * MINUTE_MS));
    assert!(after * 10 > before * 12, "{before} joins in three minutes before, {after} after");
}

/// FNV-1a, 64 bits.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Every event, its arrival before it, and the truth after all.
fn fingerprint(options: &NightOptions) -> (usize, u64, u64) {
    let mut night = night_of(options);
    let (mut lines, mut events, mut line) = (0, 0xcbf2_9ce4_8422_2325, Vec::new());
    for arrival in night.by_ref() {
        line.clear();
        line.extend_from_slice(arrival.at.to_string().as_bytes());
        line.push(b' ');
        arrival.event.write_json(&mut line);
        line.push(b'\n');
        events = fnv(events, &line);
        lines += 1;
    }
    let mut truth = Vec::new();
    night.truth().write_json(&mut truth);
    (lines, events, fnv(0xcbf2_9ce4_8422_2325, &truth))
}

#[test]
fn a_seed_means_the_same_events_for_ever() {
    // Whoever changes these numbers changes what every seed means: a new version of the simulator, to be told to its
    // users.
    assert_eq!(fingerprint(&troubled()), (14_578, 1_646_888_008_767_837_500, 4_914_418_101_302_683_945));
    let lines: Vec<String> = night_of(&troubled())
        .take(3)
        .map(|arrival| {
            let mut line = Vec::new();
            arrival.event.write_json(&mut line);
            format!("{} {}", arrival.at, String::from_utf8_lossy(&line))
        })
        .collect();
    let golden = [
        r#"1459704691711 {"type":"join","broadcast_id":"nuit-debout","viewer_id":"vb29ed950786f5ae3","session_id":"s6b9af54417d0bf75","ts":1459704691042}"#,
        r#"1459704873411 {"type":"join","broadcast_id":"nuit-debout","viewer_id":"vc69f3558819af2c8","session_id":"s5ff1b2d709079039","ts":1459704873344}"#,
        r#"1459704924413 {"type":"join","broadcast_id":"nuit-debout","viewer_id":"va2e690b03cb0661c","session_id":"s8ff7700b7308fdc1","ts":1459704920792}"#,
    ];
    assert_eq!(lines, golden);
    assert_ne!(fingerprint(&troubled()).1, fingerprint(&NightOptions { seed: 43, ..troubled() }).1);
}

fn number(len: usize) -> i64 {
    i64::try_from(len).expect("what is counted here is small")
}

#[test]
fn no_function_is_the_platform_s_own() {
    // The last digit of these differs between machines and compilers; `libm` has them in plain arithmetic.
    const FOREIGN: [&str; 14] = [
        "ln", "log", "log2", "log10", "ln_1p", "exp", "exp2", "exp_m1", "powf", "powi", "sin", "cos", "mul_add", "cbrt",
    ];
    let sources = [
        include_str!("broadcast.rs"),
        include_str!("count.rs"),
        include_str!("crowd.rs"),
        include_str!("curve.rs"),
        include_str!("dice.rs"),
        include_str!("night.rs"),
        include_str!("plan.rs"),
        include_str!("retweets.rs"),
        include_str!("script.rs"),
        include_str!("tally.rs"),
    ];
    for function in FOREIGN {
        let (method, path) = (format!(".{function}("), format!("f64::{function}"));
        assert!(
            sources.iter().all(|source| !source.contains(&method) && !source.contains(&path)),
            "use libm, not {function}"
        );
    }
}

/// What the events of one broadcast say, counted in the most naive way from their JSON.
#[derive(Default)]
struct Counted {
    events: HashSet<String>,
    copies: i64,
    joins: BTreeMap<String, (Ms, String, Option<String>)>,
    leaves: HashMap<String, Ms>,
    retweets: Vec<(Ms, i64)>,
    end: Option<Ms>,
    last: Ms,
}

fn count(options: &NightOptions) -> BTreeMap<String, Counted> {
    let mut counted: BTreeMap<String, Counted> = BTreeMap::new();
    for arrival in night_of(options) {
        let mut line = Vec::new();
        arrival.event.write_json(&mut line);
        let json: Value = serde_json::from_slice(&line).expect("JSON");
        let text = |field: &str| json[field].as_str().map(str::to_owned);
        let (ts, broadcast) = (json["ts"].as_i64().expect("ts"), text("broadcast_id").expect("broadcast"));
        assert_eq!(broadcast, broadcast_id(arrival.event.broadcast));
        let of = counted.entry(broadcast).or_default();
        if !of.events.insert(String::from_utf8(line).expect("UTF-8")) {
            of.copies += 1;
            continue;
        }
        of.last = of.last.max(ts);
        let session = text("session_id");
        match json["type"].as_str().expect("type") {
            "join" => {
                let stay = (ts, text("viewer_id").expect("viewer"), text("via"));
                assert_eq!(
                    of.joins.insert(session.expect("session"), stay),
                    None,
                    "each connection has its own session_id"
                );
            }
            "leave" => assert_eq!(of.leaves.insert(session.expect("session"), ts), None),
            "retweet" => of.retweets.push((ts, json["followers"].as_i64().unwrap_or(0))),
            "end" => of.end = Some(ts),
            other => assert_eq!(other, "heartbeat"),
        }
    }
    counted
}

fn check_broadcast(truth: &BroadcastTruth, counted: &Counted) {
    let close = counted.end.unwrap_or(counted.last);
    let stays: Vec<(Ms, Ms, bool, &str)> = counted
        .joins
        .iter()
        .map(|(session, (joined_at, viewer, _))| {
            let left_at = counted.leaves.get(session);
            (*joined_at, *left_at.unwrap_or(&close), left_at.is_some(), viewer.as_str())
        })
        .collect();
    assert!(stays.iter().all(|stay| stay.0 < stay.1 || !stay.2));
    let mut first: BTreeMap<&str, Ms> = BTreeMap::new();
    for &(joined_at, _, _, viewer) in &stays {
        let seen = first.entry(viewer).or_insert(joined_at);
        *seen = joined_at.min(*seen);
    }
    let sessions: Vec<(Ms, Ms)> = stays.iter().map(|stay| (stay.0, stay.1)).collect();
    let (presences, returned) = presences(&stays);
    let (sessions_change, people_change) = (changes(&sessions), changes(&presences));
    let mut applied: BTreeSet<Ms> = sessions_change.keys().copied().collect();
    applied.extend(counted.retweets.iter().map(|retweet| retweet.0));
    applied.extend(counted.end);
    assert_eq!(applied.first(), Some(&truth.airing_at));
    assert_eq!(applied.last(), Some(&truth.last_at));

    let (mut viewers, mut people, mut minute_at) = (0, 0, truth.airing_at.div_euclid(MINUTE_MS) * MINUTE_MS);
    for row in &truth.minutes {
        let inside = |at: Ms| (minute_at..minute_at + MINUTE_MS).contains(&at);
        let [start, end, max, max_at, min, ms] = curve(&sessions_change, &mut viewers, minute_at);
        let mut wanted = MinuteTruth { minute_at, viewers_start: start, viewers_end: end, ..MinuteTruth::default() };
        (wanted.viewers_max, wanted.viewers_max_at, wanted.viewers_min, wanted.viewer_ms) = (max, max_at, min, ms);
        let [start, end, max, max_at, min, ms] = curve(&people_change, &mut people, minute_at);
        (wanted.distinct_start, wanted.distinct_end, wanted.distinct_min) = (start, end, min);
        (wanted.distinct_max, wanted.distinct_max_at, wanted.distinct_ms) = (max, max_at, ms);
        let within = |of: &mut dyn Iterator<Item = Ms>| number(of.filter(|at| inside(*at)).count());
        wanted.joins = within(&mut stays.iter().map(|stay| stay.0));
        wanted.leaves = within(&mut stays.iter().filter(|stay| stay.2).map(|stay| stay.1));
        wanted.lapses = within(&mut stays.iter().filter(|stay| !stay.2).map(|stay| stay.1));
        wanted.returns = within(&mut returned.iter().copied());
        wanted.new_viewers = within(&mut first.values().copied());
        wanted.retweets = within(&mut counted.retweets.iter().map(|retweet| retweet.0));
        wanted.retweet_followers =
            counted.retweets.iter().filter(|retweet| inside(retweet.0)).map(|retweet| retweet.1).sum();
        assert!((0..=wanted.viewers_end).contains(&row.present_end));
        wanted.present_end = row.present_end;
        assert_eq!(*row, wanted);
        minute_at += MINUTE_MS;
    }
    assert_eq!((viewers, people), (0, 0));
    assert!(truth.last_at < minute_at && truth.last_at >= minute_at - MINUTE_MS);
    assert_eq!(truth.distinct_ms, presences.iter().map(|presence| presence.1 - presence.0).sum::<i64>());
    check_totals(truth, counted, &stays, first.len());
}

/// By how much a count of such intervals goes up and down, and when.
fn changes(intervals: &[(Ms, Ms)]) -> BTreeMap<Ms, i64> {
    let mut changes: BTreeMap<Ms, i64> = BTreeMap::new();
    for (from, until) in intervals {
        *changes.entry(*from).or_default() += 1;
        *changes.entry(*until).or_default() -= 1;
    }
    changes
}

/// When each viewer was there, in one session or more; and when one was back within a minute.
fn presences(stays: &[(Ms, Ms, bool, &str)]) -> (Vec<(Ms, Ms)>, Vec<Ms>) {
    let mut of_viewer: BTreeMap<&str, Vec<(Ms, Ms)>> = BTreeMap::new();
    for &(joined_at, left_at, _, viewer) in stays.iter().filter(|stay| stay.0 < stay.1) {
        of_viewer.entry(viewer).or_default().push((joined_at, left_at));
    }
    let (mut presences, mut returned) = (Vec::new(), Vec::new());
    for own in of_viewer.values() {
        let gone = |at: Ms| !own.iter().any(|stay| stay.0 <= at && at < stay.1);
        let begins: BTreeSet<Ms> = own.iter().map(|stay| stay.0).filter(|at| gone(at - 1)).collect();
        let ends: BTreeSet<Ms> = own.iter().map(|stay| stay.1).filter(|at| gone(*at)).collect();
        let soon = begins.iter().skip(1).zip(&ends).filter(|(back_at, gone_at)| *back_at - *gone_at <= MINUTE_MS);
        returned.extend(soon.map(|(back_at, _)| *back_at));
        presences.extend(begins.into_iter().zip(ends));
    }
    (presences, returned)
}

/// What a minute sees of a count that stands at `level` before it: start, end, max and its first ms, min, integral.
fn curve(changes: &BTreeMap<Ms, i64>, level: &mut i64, minute_at: Ms) -> [i64; 6] {
    let (start, mut levels) = (*level, Vec::new());
    for at in minute_at..minute_at + MINUTE_MS {
        *level += changes.get(&at).unwrap_or(&0);
        levels.push(*level);
    }
    let max = *levels.iter().max().expect("60,000 levels");
    let first_of_max = levels.iter().position(|level| *level == max).expect("it is one of them");
    let max_at = minute_at + Ms::try_from(first_of_max).expect("small");
    [start, *level, max, max_at, *levels.iter().min().expect("60,000 levels"), levels.iter().sum()]
}

fn check_totals(truth: &BroadcastTruth, counted: &Counted, stays: &[(Ms, Ms, bool, &str)], reach: usize) {
    let sum = |of: fn(&MinuteTruth) -> i64| truth.minutes.iter().map(of).sum::<i64>();
    assert_eq!(truth.sessions, number(stays.len()));
    assert_eq!(truth.sessions, sum(|row| row.joins));
    assert_eq!(truth.sessions, truth.leaves + truth.lapses);
    assert_eq!(truth.leaves, number(counted.leaves.len()));
    assert_eq!(truth.reach, number(reach));
    assert!(truth.reach <= truth.sessions);
    assert_eq!(truth.viewer_ms, stays.iter().map(|stay| stay.1 - stay.0).sum::<i64>());
    assert_eq!(truth.viewer_ms, sum(|row| row.viewer_ms));
    assert_eq!(Some(truth.viewers_max), truth.minutes.iter().map(|row| row.viewers_max).max());
    let at_peak = truth.minutes.iter().find(|row| row.viewers_max == truth.viewers_max).expect("a row");
    assert_eq!(truth.viewers_max_at, Some(at_peak.viewers_max_at));
    assert_eq!(Some(truth.distinct_max), truth.minutes.iter().map(|row| row.distinct_max).max());
    let at_peak = truth.minutes.iter().find(|row| row.distinct_max == truth.distinct_max).expect("a row");
    assert_eq!(truth.distinct_max_at, Some(at_peak.distinct_max_at));
    assert_eq!((truth.distinct_ms, truth.returns), (sum(|row| row.distinct_ms), sum(|row| row.returns)));
    let closed_at = stays.iter().map(|stay| stay.1).chain(counted.end).max();
    assert_eq!(truth.airtime_ms, closed_at.zip(truth.first_joined_at).map(|(until, from)| until - from));
    assert_eq!(truth.first_joined_at, stays.iter().map(|stay| stay.0).min());
    assert_eq!(truth.retweets, number(counted.retweets.len()));
    assert_eq!((truth.applied, truth.repeated), (number(counted.events.len()), counted.copies));
    for effect in &truth.effects {
        let via = counted.joins.values().filter(|join| join.2.as_ref() == Some(&effect.tweet_id)).count();
        assert_eq!(effect.joins_via, number(via));
        assert!(effect.joins_via <= effect.joins_direct && effect.joins_direct <= effect.joins);
        assert_eq!(effect.joins == 0, effect.viewer_ms == 0);
    }
    assert!(truth.effects.iter().map(|effect| effect.joins).sum::<i64>() + truth.reconnects < truth.sessions);
}

#[test]
fn the_truth_is_what_the_events_say() {
    let shared = NightOptions { broadcasts: 2, scale: 0.002, ..troubled() };
    let (mut twice, mut returned) = (false, false);
    for options in [
        shared.clone(),
        NightOptions { end: false, seed: 7, ..shared.clone() },
        NightOptions { end: false, lost_leaves: 1.0, seed: 8, heartbeat_ms: None, ..shared },
    ] {
        let (truth, counted) = (truth_of(&options), count(&options));
        assert_eq!(truth.broadcasts.len(), counted.len());
        for broadcast in &truth.broadcasts {
            check_broadcast(broadcast, &counted[&broadcast.broadcast_id]);
        }
        twice |= truth.broadcasts.iter().any(|broadcast| broadcast.distinct_ms < broadcast.viewer_ms);
        returned |= truth.broadcasts.iter().any(|broadcast| broadcast.returns > 0);
    }
    assert!(twice && returned, "somebody is there twice, and somebody comes back at once");
}

#[test]
fn what_happens_on_the_way_changes_nothing_in_the_truth() {
    let perfect = NightOptions { disorder_ms: 0, duplicates: 0.0, late: 0.0, ..troubled() };
    let (mut troubled, perfect) = (truth_of(&troubled()), truth_of(&perfect));
    assert!(troubled.broadcasts.iter().any(|broadcast| broadcast.repeated > 0));
    troubled.broadcasts.iter_mut().for_each(|broadcast| broadcast.repeated = 0);
    assert_eq!(troubled, perfect);
}

#[test]
fn events_arrive_in_the_order_of_arrival() {
    let orders: [(NightOptions, bool); 3] = [
        (NightOptions { scale: 0.002, broadcasts: 20, ..NightOptions::default() }, true),
        (NightOptions { scale: 0.002, disorder_ms: 2_000, ..NightOptions::default() }, false),
        (NightOptions { scale: 0.002, late: 0.05, broadcasts: 2, ..NightOptions::default() }, false),
    ];
    for (options, in_order) in orders {
        let arrivals: Vec<_> = night_of(&options).collect();
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        assert_eq!(arrivals.is_sorted_by_key(|arrival| arrival.event.ts), in_order);
        let late = arrivals.iter().filter(|arrival| arrival.at - arrival.event.ts >= options.late_ms).count();
        if options.late > 0.0 {
            assert!((30..70).contains(&(late * 1_000 / arrivals.len())), "{late} of {}", arrivals.len());
        }
        let most = options.disorder_ms + if options.late > 0.0 { 2 * options.late_ms } else { 0 };
        assert!(arrivals.iter().all(|arrival| (0..=most).contains(&(arrival.at - arrival.event.ts))));
    }
}

#[test]
fn a_broadcast_does_not_depend_on_the_others() {
    let two = truth_of(&NightOptions { broadcasts: 2, ..troubled() });
    let three = truth_of(&troubled());
    assert_eq!(two.broadcasts.as_slice(), &three.broadcasts[..2]);
    let sizes: Vec<i64> = three.broadcasts.iter().map(|broadcast| broadcast.viewers_max).collect();
    assert!(sizes.is_sorted_by(|larger, smaller| larger > smaller), "{sizes:?}");
}

#[test]
fn heartbeats_lie_in_their_session_at_their_interval() {
    let options = NightOptions { scale: 0.001, heartbeat_ms: Some(60_000), ..NightOptions::default() };
    let mut signs: BTreeMap<u64, Vec<Ms>> = BTreeMap::new();
    for arrival in night_of(&options) {
        match arrival.event.what {
            SimAct::Join { session, .. } => assert_eq!(signs.insert(session, vec![arrival.event.ts]), None),
            SimAct::Heartbeat { session, .. } => signs.get_mut(&session).expect("it joined").push(arrival.event.ts),
            SimAct::Leave { session, .. } => {
                let signs = signs.remove(&session).expect("it joined");
                assert!(signs.windows(2).all(|pair| pair[1] - pair[0] == 60_000));
                assert!((0..=60_000).contains(&(arrival.event.ts - signs[signs.len() - 1])));
            }
            SimAct::Retweet { .. } | SimAct::End => {}
        }
    }
    let still_there = signs.values().filter(|signs| signs.len() > 1).count();
    assert!(still_there > 10);
}

#[test]
fn next_to_nobody_is_an_audience_too() {
    let nobody = NightOptions { scale: 1e-12, retweets: 0, broadcasts: 2, ..NightOptions::default() };
    let truth = truth_of(&nobody);
    assert_eq!(truth.broadcasts.len(), 2);
    for broadcast in &truth.broadcasts {
        assert_eq!((broadcast.sessions, broadcast.viewers_max_at, broadcast.first_joined_at), (0, None, None));
        assert_eq!(broadcast.minutes.len(), 1);
        assert_eq!(broadcast.airing_at, broadcast.last_at);
    }
    assert_eq!(truth_of(&NightOptions { end: false, ..nobody }), Truth::default());
    assert!(generate(&NightOptions { broadcasts: 0, ..NightOptions::default() }).is_err());
}

#[test]
fn the_truth_is_written_line_by_line() {
    let truth = truth_of(&troubled());
    let mut out = Vec::new();
    truth.write_json(&mut out);
    let lines: Vec<Value> =
        String::from_utf8(out).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let rows = truth.broadcasts.iter().map(|broadcast| 1 + broadcast.minutes.len() + broadcast.effects.len());
    assert_eq!(lines.len(), rows.sum::<usize>());
    let night = &truth.broadcasts[0];
    assert_eq!(lines[0]["type"], "broadcast");
    assert_eq!(lines[0]["viewer_ms"], night.viewer_ms);
    assert_eq!(lines[1]["type"], "minute");
    assert_eq!(lines[1]["joins"], night.minutes[0].joins);
    let effect = &lines[1 + night.minutes.len()];
    assert_eq!(
        (&effect["type"], &effect["tweet_id"]),
        (&Value::from("retweet"), &Value::from(night.effects[0].tweet_id.as_str()))
    );
}
