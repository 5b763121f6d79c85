//! After its end a broadcast is off air: its airing settles a quarter of an hour later, and what comes then begins
//! another, whatever was stopped, killed or begun again in between.

use super::{RULES, Running, Topic, event, join, leave, live_is_settled, settled_rows, strs, verified, with_rules};
use crate::data_directory;
use crate::reference::{self, Kind, NaiveEvent};
use crate::support::folder;
use crate::tables::Tables;
use std::fs;
use std::path::Path;

const MINUTE: i64 = 60_000;

/// The clock of the topic: a broadcast of its own, which goes on.
fn meanwhile(after: i64) -> NaiveEvent {
    NaiveEvent { broadcast: "meanwhile".into(), ..join("m", after) }
}

fn heartbeat(viewer: &str, after: i64) -> NaiveEvent {
    event(Kind::Heartbeat, viewer, after)
}

fn retweet(tweet: &str, after: i64) -> NaiveEvent {
    NaiveEvent { tweet: tweet.into(), user: "u".into(), ..event(Kind::Retweet, "", after) }
}

/// Two shows under one id, half an hour apart, with what lies between them: pages that go on beating, a late retweet.
/// Each part ends when an airing has settled.
fn parts() -> Vec<Vec<NaiveEvent>> {
    let end = |after| event(Kind::End, "", after);
    let second = NaiveEvent { session: Some("phone".into()), ..join("a", 10_000) };
    let first = vec![
        join("a", 0),
        second,
        join("b", 20_000),
        leave("b", 30_000),
        heartbeat("b", 30_050),
        join("b", 45_000),
        end(MINUTE),
        heartbeat("a", 2 * MINUTE),
        end(3 * MINUTE),
        meanwhile(16 * MINUTE),
    ];
    // The end parted the airing at the 16th minute.
    let between = vec![
        heartbeat("a", 17 * MINUTE),
        retweet("t", 18 * MINUTE),
        leave("a", 19 * MINUTE),
        join("c", 31 * MINUTE + 500),
        meanwhile(31 * MINUTE + 500),
    ];
    let next = vec![
        heartbeat("a", 32 * MINUTE),
        retweet("t", 33 * MINUTE),
        leave("c", 34 * MINUTE),
        end(35 * MINUTE),
        heartbeat("c", 36 * MINUTE),
        meanwhile(50 * MINUTE),
    ];
    vec![first, between, next, vec![heartbeat("c", 51 * MINUTE), leave("a", 52 * MINUTE)]]
}

/// Each part in a run of its own, which goes on from what `between` leaves of the one before.
fn played(out: &Path, context: &str, between: impl Fn(Running, &Path)) {
    let (_broker, topic) = Topic::embedded(1);
    let flags = with_rules(RULES, &["--lateness=0s", "--idle-after=1h", "--settle-interval=1s"]);
    let mut sent: Vec<NaiveEvent> = Vec::new();
    for (number, part) in parts().into_iter().enumerate() {
        topic.send_events(&part);
        sent.extend(part);
        let mut running = Running::of(&topic, out, &strs(&flags));
        if number < 3 {
            running.wait_for("an airing that settles", |line| line.contains(r#""airings_settled":1"#));
            let found = settled_rows(out);
            assert_eq!(found.airings.rows.len(), number + 1, "{context}, part {number}");
        } else {
            running.wait_until_read(i64::try_from(sent.len()).unwrap());
        }
        between(running, out);
        verified(out);
    }
    topic.until_end(out, &strs(&flags)).exits(0);
    let expected = reference::settled(&sent, RULES);
    Tables::assert_equal(&expected, &data_directory::read(out), context);
    live_is_settled(out, context);
    verified(out);
}

#[test]
fn shows_under_one_id_settle_one_by_one_over_stops_and_starts() {
    let folder = folder();
    played(&folder.path().join("stopped"), "stopped and started", |running, _| running.stop());
    played(&folder.path().join("killed"), "killed", |running, _| drop(running));
    // From the log alone.
    played(&folder.path().join("rebuilt"), "without a snapshot", |running, out| {
        running.stop();
        let snapshots = out.join("snapshot");
        if snapshots.exists() {
            fs::remove_dir_all(snapshots).unwrap();
        }
    });
}
