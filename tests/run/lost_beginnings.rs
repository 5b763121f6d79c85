//! Topics that have lost their beginning before anybody read it: said at the start, recorded as a gap, and told by
//! every minute of the airings that may have begun in what was lost.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use serde_json::json;

use super::tidy::copy;
use super::{RULES, Running, T, Topic, join, leave, live_is_settled, newest_manifest, settled_rows, verified};
use crate::kafka::RealKafka;
use crate::reference::{self, NaiveEvent};
use crate::support::{folder, have, run};
use crate::tables::{Ledger, Tables};
use crate::verify::forge::{Cell, Forgery, number};

const S: i64 = 1_000;
const IDLE: i64 = RULES.broadcast_idle_ms;

/// Somebody watches a broadcast for two minutes.
fn stay(broadcast: &str, at: i64) -> [NaiveEvent; 2] {
    [join(broadcast, at), leave(broadcast, at + 120 * S)].map(|one| NaiveEvent { broadcast: broadcast.into(), ..one })
}

/// Settled rows are those of the events that were kept; airings that begin `broadcast_idle` after the instant `first`,
/// or later, are complete, and others nowhere.
#[track_caller]
fn is_complete_after(out: &Path, kept: &[NaiveEvent], first: i64) {
    let expected = Tables { ledger: Ledger::default(), ..reference::settled(kept, RULES) };
    let mut found = settled_rows(out);
    let columns = ["airing_at", "broadcast_id", "minute_at", "complete"].map(str::to_owned);
    for row in found.minutes.sorted(&columns) {
        let is_whole = row[0].parse::<i64>().unwrap() >= first.saturating_add(IDLE);
        assert_eq!(row[3], is_whole.to_string(), "{row:?}");
    }
    found.minutes = found.minutes.map("complete", |_| "true".to_owned());
    Tables::assert_equal(&expected, &found, "a lost beginning");
    live_is_settled(out, "a lost beginning");
    verified(out);
}

/// A topic whose first two joins are gone, so that two leaves find no session. The airing of `soon` may have begun
/// before what is left; that of `whole` cannot, and no more can the next one of `b`.
fn beheaded(kafka: &RealKafka, name: &str) -> (Topic, Vec<NaiveEvent>) {
    let topic = Topic::of(kafka, name, 1);
    let mut events = vec![join("lost", 0), join("gone", S), join("a", 2 * S)];
    events.extend([leave("lost", 60 * S), leave("a", 120 * S), leave("gone", 130 * S)]);
    events.extend(stay("soon", 2 * S + IDLE - 1));
    events.extend(stay("whole", 2 * S + IDLE));
    events.sort_by_key(|event| event.ts);
    events.extend(stay("b", 2 * S + 2 * IDLE));
    topic.send_events(&events);
    kafka.forget_before(name, 0, 2);
    (topic, events.split_off(2))
}

#[test]
fn a_lost_beginning_is_said_recorded_and_told() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let ((topic, kept), folder) = (beheaded(kafka, "beheaded"), folder());
    let out = folder.path().join("run");
    let ran = topic.until_end(&out, &[]).exits(0);
    let said = "The broker no longer has the beginning of beheaded/0 [0, 2), so it could not be read.";
    ran.says(&["0 from offset 2 of 12.", said, "broadcast_idle (6h)"]);
    is_complete_after(&out, &kept, T + 2 * S);
    let told = run(["verify".into(), out.clone().into(), "--json".into()]).exits(0).stdout;
    assert!(told.contains("no longer had these offsets") && told.contains("beheaded/0 [0, 2)"), "{told}");
    let shown = run(["show".into(), out.clone().into()]).exits(0).stdout;
    assert!(shown.contains("\nnot complete\n"), "{shown}");

    // It is said once, by the start that finds it, and goes on to hold.
    topic.send_events(&stay("later", 4 * IDLE));
    let again = topic.until_end(&out, &[]).exits(0).stderr;
    assert!(!again.contains("no longer has"), "{again}");
    is_complete_after(&out, &[&kept[..], &stay("later", 4 * IDLE)].concat(), T + 2 * S);
}

/// Of a partition of which nothing is left nobody knows what it had: until an event comes, nothing is complete.
#[test]
fn a_partition_of_which_nothing_is_left_leaves_all_airings_open_until_an_event_comes() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (topic, folder) = (Topic::of(kafka, "emptied", 2), folder());
    let out = folder.path().join("run");
    let send = |partition: i32, events: &[NaiveEvent]| {
        events.iter().for_each(|event| topic.send(partition, Some(super::line(event).as_bytes())));
        topic.flush();
    };
    let (before, after) =
        ([stay("b", 0), stay("c", IDLE)].concat(), [stay("d", 8 * IDLE), stay("e", 9 * IDLE)].concat());
    send(1, &[join("lost", 0)]);
    kafka.forget_before("emptied", 1, 1);
    // A run that is killed before anything has come has recorded it with its first commit.
    send(0, &before);
    let mut running = Running::of(&topic, &out, &[]);
    running.wait_for("word of the beginning", |line| line.contains("emptied/1 [0, 1)"));
    running.wait_until_read(4);
    drop(running);
    let gaps = newest_manifest(&out).unwrap()["inputs"]["partitions"][1].clone();
    assert_eq!(gaps["to"], 1, "{gaps}");

    topic.until_end(&out, &[]).exits(0);
    is_complete_after(&out, &before, i64::MAX);
    send(1, &after);
    topic.until_end(&out, &[]).exits(0);
    let kept = [&before[..], &after].concat();
    is_complete_after(&out, &kept, T + 8 * IDLE);
}

/// What the commits say of a lost beginning, and what minutes say because of it, is held against the log.
#[test]
fn a_lie_about_a_lost_beginning_is_found() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let ((topic, _), folder) = (beheaded(kafka, "beheaded-lies"), folder());
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    let mut copies = 0;
    let mut found = |lie: &dyn Fn(&mut Forgery), says: &[&str]| {
        copies += 1;
        let dir = folder.path().join(copies.to_string());
        copy(&out, &dir);
        let mut forgery = Forgery::of(&dir);
        lie(&mut forgery);
        forgery.seal();
        run(["verify".into(), dir.into()]).exits(4).says(says);
    };
    let gap = |forgery: &mut Forgery, change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let commits = forgery.commits.iter_mut();
        let mut gaps = commits.filter_map(|commit| commit["inputs"]["partitions"][0].get_mut("gaps"));
        change(gaps.next().unwrap()[0].as_object_mut().unwrap());
    };
    found(&|forgery| gap(forgery, &|gap| drop(gap.remove("beginning"))), &["minutes"]);
    let late = json!(T + 3 * S);
    let of_gap = "The gap [0, 2) in beheaded-lies/0";
    found(&|forgery| gap(forgery, &|gap| drop(gap.insert("event_at_after".into(), late.clone()))), &[of_gap]);
    let lost = |rows: &RecordBatch, row: usize| !rows.column_by_name("complete").unwrap().as_boolean().value(row);
    let last = |rows: &RecordBatch, row: usize| number(rows, "minute_at", row) == T + 2 * IDLE + 120 * S;
    found(&|forgery| forgery.change("minutes", "complete", lost, Cell::Flag(true)), &["minutes"]);
    found(&|forgery| forgery.change("live", "complete", last, Cell::Flag(false)), &["live", "no gap lies in it"]);
}
