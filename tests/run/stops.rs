//! A run is stopped and started again, any number of times: nothing is lost, nothing is counted twice, and even the
//! live curve shows no seam.

use std::time::Duration;

use super::settles::{night, rough, smooth};
use super::{RULES, Running, Topic, join, leave, ledger, live_is_settled, settled_rows, strs, verified, with_rules};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::reference::{self, Rules};
use crate::support::{folder, have};
use crate::tables::{Ledger, Tables};

/// Airings settle while others are on air.
const EAGER: Rules = Rules { broadcast_idle_ms: 1_800_000, ..RULES };

#[test]
fn a_run_goes_on_where_it_was_stopped() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (folder, events) = (folder(), night(&smooth(3)));
    let topic = Topic::of(kafka, "stopped", 4);
    let out = folder.path().join("run");
    // No partition is ever idle, so event time does not run on between the parts and nothing is late.
    let flags = with_rules(EAGER, &["--lateness=30s", "--idle-after=1h", "--settle-interval=0s"]);
    let flags = strs(&flags);
    let mut sent = 0;
    for (round, part) in events.chunks(events.len().div_ceil(6)).enumerate() {
        topic.send_events(part);
        // Something of this part is committed, and perhaps not all; and each time the partitions lie in other lanes.
        let lanes = ["--lanes=1", "--lanes=2", "--lanes=3"][round % 3];
        let mut running = Running::of(&topic, &out, &[&flags[..], &[lanes]].concat());
        running.wait_until_read(sent + 1);
        running.stop();
        sent += i64::try_from(part.len()).unwrap();
        verified(&out);
    }
    topic.until_end(&out, &flags).exits(0);
    let expected = reference::settled(&events, EAGER);
    Tables::assert_equal(&expected, &data_directory::read(&out), "stopped six times");
    verified(&out);
    live_is_settled(&out, "stopped six times");
}

#[test]
fn a_stop_without_anything_new_changes_nothing() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let events = [join("a", 0), join("b", 1_000), leave("a", 90_000)];
    topic.send_events(&events);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(3);
    running.stop();
    for _ in 0..3 {
        let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
        running.wait_for("sign of going on", |line| line.contains("Going on"));
        running.stop();
    }
    assert_eq!((ledger(&out, "read"), ledger(&out, "not_yet_settled")), (3, 3));
    verified(&out);
    topic.until_end(&out, &[]).exits(0);
    let expected = reference::settled(&events, RULES);
    Tables::assert_equal(&expected, &data_directory::read(&out), "stopped with nothing new");
    verified(&out);
    // And once more: all is settled, and stays as it is.
    topic.until_end(&out, &[]).exits(0);
    Tables::assert_equal(&expected, &data_directory::read(&out), "to the end a second time");
}

#[test]
fn a_broker_that_goes_away_is_waited_for() {
    let (broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0), join("b", 1_000)]);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(2);
    broker.set_reachable(false).unwrap();
    running.wait_for("word about the broker", |line| line.contains("Waiting for it"));
    broker.set_reachable(true).unwrap();
    // A producer of its own: the first one's connection is lost, and it takes its time to notice.
    let again = Topic::at(broker.bootstrap(), "events", 2);
    again.send_events(&[leave("a", 60_000), leave("b", 61_000)]);
    running.wait_until_read(4);
    broker.set_reachable(false).unwrap();
    running.wait_for("word about the broker", |line| line.contains("Waiting for it"));
    running.stop();
    assert_eq!(ledger(&out, "read"), 4);
    verified(&out);
}

#[test]
fn what_came_behind_a_settled_airing_is_counted_and_changes_nothing() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let hour = 3_600_000;
    let first = [join("a", 0), leave("a", 60_000), join("b", 30_000), leave("b", 120_000)];
    topic.send_events(&first);
    topic.until_end(&out, &[]).exits(0);
    let settled = reference::settled(&first, RULES);
    Tables::assert_equal(&settled, &data_directory::read(&out), "the first airing");

    // Two behind the frontier, the last ms before it among them, and an airing that begins at it.
    let frontier = 120_000 + 6 * hour;
    let behind = [join("c", 90_000), join("d", frontier - 1)];
    let second = [join("a", frontier), leave("a", frontier + 45_000)];
    topic.send_events(behind.iter().chain(&second));
    topic.until_end(&out, &[]).exits(0);
    let both = [&first[..], &second].concat();
    let mut expected = reference::settled(&both, RULES);
    expected.ledger = Ledger::default();
    Tables::assert_equal(&expected, &settled_rows(&out), "the second airing");
    assert_eq!((ledger(&out, "after_settle"), ledger(&out, "read")), (2, 8));
    assert_eq!((ledger(&out, "not_yet_settled"), ledger(&out, "applied")), (0, 6));
    verified(&out);
}

#[test]
fn a_second_owner_is_refused_and_the_first_goes_on() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0)]);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(1);
    topic.until_end(&out, &[]).exits(3).says(&["run"]);
    topic.send_events(&[leave("a", 1_000)]);
    running.wait_until_read(2);
    running.stop();
    verified(&out);
}

#[test]
fn a_killed_run_loses_nothing() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (folder, events) = (folder(), night(&rough()));
    let topic = Topic::of(kafka, "killed", 4);
    let out = folder.path().join("run");
    let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 10_000, ..RULES };
    let flags = with_rules(rules, &["--idle-after=1h", "--settle-interval=0s"]);
    let flags = strs(&flags);
    let mut sent = 0;
    for part in events.chunks(events.len().div_ceil(4)) {
        topic.send_events(part);
        let mut running = Running::of(&topic, &out, &flags);
        running.wait_until_read(sent + 1);
        running.signal("KILL");
        running.ends(Duration::from_secs(30));
        sent += i64::try_from(part.len()).unwrap();
    }
    topic.until_end(&out, &flags).exits(0);
    let expected = reference::settled(&events, rules);
    Tables::assert_equal(&expected, &data_directory::read(&out), "killed four times");
    verified(&out);
}
