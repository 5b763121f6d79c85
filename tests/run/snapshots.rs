//! Snapshots: a run that starts again goes on from the last one and the log after it, and shows no seam;
//! without one it reads the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::live::wait_for_watermark;
use super::settles::{night, smooth};
use super::{
    RULES, Running, T, Topic, event, join, leave, live_is_settled, live_rows, newest_manifest, settled_rows, strs,
    verified, with_rules,
};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::reference::{self, Kind, NaiveEvent, Rules};
use crate::support::{files_under, folder, have, run};
use crate::tables::{Tables, difference};

/// The one file of the snapshot that the newest commit names.
#[track_caller]
fn snapshot(out: &Path) -> PathBuf {
    let manifest = newest_manifest(out).expect("there is a commit");
    let named = manifest["snapshot"]["files"][0]["path"].as_str().unwrap_or_else(|| panic!("no snapshot: {manifest}"));
    let path = out.join(named);
    assert_eq!(files_under(&out.join("snapshot")), std::slice::from_ref(&path), "older ones are removed");
    path
}

/// Starts a run and waits until it reads; returns what it said of the state it began with.
#[track_caller]
fn begun(topic: &Topic, out: &Path, flags: &[&str]) -> (Running, String) {
    let mut running = Running::of(topic, out, flags);
    running.wait_for("word of going on", |line| line.contains("Going on"));
    let said = running.said();
    (running, said)
}

#[test]
fn a_run_goes_on_from_its_snapshots_whether_stopped_or_killed() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (folder, events) = (folder(), night(&smooth(5)));
    let topic = Topic::of(kafka, "snapshots", 4);
    let out = folder.path().join("run");
    let rules = Rules { broadcast_idle_ms: 1_800_000, ..RULES };
    // No partition is ever idle, so event time does not run on between the parts and nothing is late.
    let flags = with_rules(rules, &["--lateness=30s", "--idle-after=1h", "--settle-interval=0s", "--lanes=2"]);
    let flags = strs(&flags);
    let mut sent = 0;
    for (round, part) in events.chunks(events.len().div_ceil(7)).enumerate() {
        topic.send_events(part);
        let mut running = Running::of(&topic, &out, &flags);
        if round > 0 {
            let said = running.wait_for("word of going on", |line| line.contains("Going on"));
            assert!(said.contains("from the snapshot of commit"), "{said}");
        }
        sent += i64::try_from(part.len()).unwrap();
        if round % 3 == 0 {
            running.wait_until_read(sent);
            running.stop();
            snapshot(&out);
        } else {
            // The base stays behind, and the tail grows.
            running.wait_until_read(sent - i64::try_from(part.len() / 2).unwrap());
            running.signal("KILL");
            running.ends(Duration::from_secs(30));
        }
        verified(&out);
    }
    topic.until_end(&out, &flags).exits(0);
    Tables::assert_equal(&reference::settled(&events, rules), &data_directory::read(&out), "stopped and killed");
    verified(&out);
    live_is_settled(&out, "stopped and killed");
    assert_eq!(newest_manifest(&out).unwrap().get("snapshot"), None, "after the end of the data nothing is on air");
}

/// Batches of events, each with the watermark (ms after the first) to wait for, or none where all of it is late.
fn scenes() -> Vec<(Vec<NaiveEvent>, Option<i64>)> {
    let tweet = |id: &str, after: i64| NaiveEvent {
        tweet: id.into(),
        user: "u".into(),
        followers: Some(7),
        ..event(Kind::Retweet, "", after)
    };
    let other = |one: NaiveEvent| NaiveEvent { broadcast: "other".into(), ..one };
    let minute = 60_000;
    // Each watermark closes a minute, so that a commit has something to say and tells of it.
    vec![
        (
            vec![
                join("a", 0),
                join("b", 10_000),
                other(join("x", 20_000)),
                tweet("t", 25_000),
                event(Kind::Heartbeat, "b", 65_000),
            ],
            Some(65_000),
        ),
        (vec![leave("a", 80_000), join("c", 95_000), event(Kind::Heartbeat, "b", 125_000)], Some(125_000)),
        // All late: a leave, a join, a retweet that is known, and one that is not.
        (vec![leave("b", 50_000), join("d", 60_000), tweet("t", 26_000), tweet("v", 27_000)], None),
        (vec![other(event(Kind::End, "", 130_000)), join("a", 190_000)], Some(190_000)),
        // Late joins from before an end, and from after it.
        (vec![other(join("y", 120_000)), other(join("z", 135_000))], None),
        // Sessions of c and d time out.
        (vec![join("e", 7 * minute), event(Kind::Heartbeat, "a", 7 * minute + 1)], Some(7 * minute + 1)),
        (vec![other(leave("z", 150_000)), join("f", 6 * minute)], None),
        // The broadcast `other` has been silent for so long that it settles, and goes on.
        (vec![leave("e", 9 * minute), other(join("x", 9 * minute))], Some(9 * minute)),
        (vec![leave("f", 10 * minute), join("g", 21 * minute)], Some(21 * minute)),
    ]
}

#[test]
fn late_events_timeouts_and_silences_are_the_same_with_a_start_between_any_two() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let rules = Rules { session_timeout_ms: 240_000, timeout_grace_ms: 1_000, broadcast_idle_ms: 300_000, ..RULES };
    let more = ["--lateness=0s", "--idle-after=1h", "--settle-interval=0s"];
    let flags = with_rules(rules, &more);
    let flags = strs(&flags);
    let (through, stopped, killed) =
        (folder.path().join("through"), folder.path().join("stopped"), folder.path().join("killed"));
    let mut going = Running::of(&topic, &through, &flags);
    let (mut sent, mut restored) = (0, 0);
    for (place, (events, watermark)) in scenes().into_iter().enumerate() {
        topic.send_events(&events);
        sent += i64::try_from(events.len()).unwrap();
        let wait = |running: &mut Running, out: &Path| {
            running.wait_until_read(sent);
            watermark.into_iter().for_each(|at| wait_for_watermark(out, at));
        };
        wait(&mut going, &through);
        for (out, is_killed) in [(&stopped, false), (&killed, true)] {
            let mut running = Running::of(&topic, out, &flags);
            wait(&mut running, out);
            restored += u64::from(running.said().contains("from the snapshot of commit"));
            // Of the second, every third is stopped, so that the others have a base and a tail; and the last,
            // which settles what is due.
            if is_killed && place % 3 > 0 && place < 8 {
                running.signal("KILL");
                running.ends(Duration::from_secs(30));
            } else {
                running.stop();
            }
            verified(out);
        }
    }
    going.stop();
    verified(&through);
    assert_eq!(restored, 16, "every start but the first of each");
    let expected = live_rows(&through);
    assert!(expected.rows.len() > 12, "{expected:?}");
    for out in [&stopped, &killed] {
        if let Some(difference) = difference("live", &expected, &live_rows(out)) {
            panic!("{} is not as without a stop\n{difference}", out.display());
        }
        Tables::assert_equal(&settled_rows(&through), &settled_rows(out), &format!("{}", out.display()));
    }
}

#[test]
fn a_snapshot_that_is_gone_damaged_or_of_others_is_said_and_the_log_is_read() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let flags = ["--idle-after=1h", "--lateness=0s"];
    let hour = 3_600_000;
    let mut events: Vec<NaiveEvent> = vec![join("a", 0), join("b", 1_000)];
    topic.send_events(&events);
    let mut running = Running::of(&topic, &out, &flags);
    running.wait_until_read(2);
    running.stop();
    let begins = |flags: &[&str], expected: &str| {
        let (running, said) = begun(&topic, &out, flags);
        assert!(said.contains(expected), "{expected:?} is not in {said}");
        assert_eq!(said.contains("is of no use"), expected != "from the snapshot of commit", "{said}");
        running
    };
    begins(&flags, "from the snapshot of commit").stop();

    fs::remove_file(snapshot_of(&out)).unwrap();
    let told = run(["verify".into(), out.clone().into()]).exits(0).stdout;
    assert!(told.contains("snapshot is not there"), "{told}");
    begins(&flags, "is not there").stop();
    begins(&flags, "from the snapshot of commit").stop();

    let path = snapshot(&out);
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 4;
    fs::write(&path, bytes).unwrap();
    run(["verify".into(), out.clone().into()]).exits(4).says(&["snapshot/", "checksum"]);
    let mut running = begins(&flags, "is damaged");
    let more = [leave("a", 90_000), join("c", 95_000)];
    topic.send_events(&more);
    events.extend(more);
    running.wait_until_read(4);
    running.stop();
    verified(&out);

    begins(&[&flags[..], &["--lanes=1"]].concat(), "other lanes").stop();
    begins(&[&flags[..], &["--lanes=1", "--session-timeout=1h"]].concat(), "other rules").stop();
    begins(&[&flags[..], &["--lanes=1", "--session-timeout=1h"]].concat(), "from the snapshot of commit").stop();
    begins(&[&flags[..], &["--lanes=1"]].concat(), "other rules").stop();
    let more = [leave("c", hour), leave("b", hour + 1)];
    topic.send_events(&more);
    events.extend(more);
    topic.until_end(&out, &["--lanes=1"]).exits(0);
    Tables::assert_equal(&reference::settled(&events, RULES), &data_directory::read(&out), "without its snapshots");
    verified(&out);
    live_is_settled(&out, "without its snapshots");
}

/// Where the newest commit says that its snapshot is.
fn snapshot_of(out: &Path) -> PathBuf {
    let manifest = newest_manifest(out).unwrap();
    out.join(manifest["snapshot"]["files"][0]["path"].as_str().unwrap())
}

/// A late event of a broadcast that had settled counts in the minute in which it came, also where the run stops
/// before the minute closes.
#[test]
fn a_late_event_behind_its_frontier_is_counted_over_a_stop() {
    let rules = Rules { broadcast_idle_ms: 60_000, ..RULES };
    let flags = with_rules(rules, &["--lateness=0s", "--idle-after=1h", "--settle-interval=0s"]);
    // With a snapshot of it, with one from before its broadcast settled, and from the log alone.
    for (stops, has_snapshot) in [(true, true), (false, true), (false, false)] {
        let (_broker, topic) = Topic::embedded(1);
        let folder = folder();
        let out = folder.path().join("run");
        topic.send_events(&[join("a", 0), leave("a", 10_000)]);
        let mut running = Running::of(&topic, &out, &strs(&flags));
        running.wait_until_read(2);
        running.stop();
        topic.send_events(&[join("b", 130_000)]);
        let mut running = Running::of(&topic, &out, &strs(&flags));
        running.wait_for("airing that settles", |line| line.contains(r#""airings_settled":1"#));
        wait_for_watermark(&out, 130_000);
        // Two come late for the airing that has settled, and one for that on air.
        topic.send_events(&[join("c", 5_000), leave("c", 6_000), join("d", 125_000)]);
        running.wait_until_read(6);
        if stops {
            running.stop();
        } else {
            running.signal("KILL");
            running.ends(Duration::from_secs(30));
        }
        if !has_snapshot {
            fs::remove_file(snapshot(&out)).unwrap();
        }
        topic.send_events(&[leave("b", 200_000)]);
        let (mut running, said) = begun(&topic, &out, &strs(&flags));
        assert_eq!(said.contains("from the snapshot"), has_snapshot, "{said}");
        running.wait_until_read(7);
        running.stop();
        let live = live_rows(&out);
        let of_minute = |row: &&Vec<String>| row[live.place("minute_at")] == (T + 120_000).to_string();
        let late: Vec<&String> = live.rows.iter().filter(of_minute).map(|row| &row[live.place("late")]).collect();
        assert_eq!(late, ["3"], "stopped: {stops}, with a snapshot: {has_snapshot}");
        verified(&out);
    }
}
