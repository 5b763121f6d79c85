//! Offsets that the broker has no more before they were read: refused with the range that is missing, or accepted,
//! recorded, and told by every minute that they may have changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use serde_json::Value;

use super::tidy::copy;
use super::{RULES, Running, SOON, T, Topic, join, leave, live_is_settled, newest_manifest, settled_rows, verified};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::reference::{self, NaiveEvent};
use crate::support::{folder, have, run};
use crate::tables::{Ledger, Tables};
use crate::verify::forge::{Cell, Forgery, number};

#[test]
fn offsets_that_are_gone_stop_a_run() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "retention", 1);
    let folder = folder();
    let out = folder.path().join("run");
    let events: Vec<NaiveEvent> = (0..10).map(|n| join(&n.to_string(), n * 1_000)).collect();
    topic.send_events(&events);
    kafka.forget_before("retention", 0, 2);
    // What was gone before anybody read stops nobody.
    topic.until_end(&out, &[]).exits(0).says(&["retention/0 [0, 2)"]);
    let mut expected = reference::settled(&events[2..], RULES);
    expected.minutes = expected.minutes.map("complete", |_| "false".to_owned());
    Tables::assert_equal(&expected, &data_directory::read(&out), "begun at the log's start");
    verified(&out);

    let more: Vec<NaiveEvent> = (10..20).map(|n| leave(&n.to_string(), 9 * 3_600_000 + n)).collect();
    topic.send_events(&more);
    kafka.forget_before("retention", 0, 15);
    topic.until_end(&out, &[]).exits(3).says(&["retention/0", "[10, 15)", "--accept-gap"]);
    // A refusal changes nothing.
    Tables::assert_equal(&expected, &data_directory::read(&out), "after a refusal");
    verified(&out);
}

/// Of each minute, whether it is complete.
fn complete(rows: &crate::tables::Table) -> Vec<String> {
    let columns = ["minute_at", "complete"].map(str::to_owned);
    rows.sorted(&columns).into_iter().map(|row| row[1].clone()).collect()
}

/// A broadcast of eleven minutes, of which offsets 3 and 4 are lost: the events at 60 s and 250 s stand around them.
fn eleven_minutes() -> [NaiveEvent; 10] {
    let s = 1_000;
    [
        join("a", 0),
        join("b", 30 * s),
        join("c", 60 * s),
        join("lost", 120 * s),
        leave("lost", 125 * s),
        leave("a", 250 * s),
        leave("b", 310 * s),
        leave("c", 400 * s),
        join("d", 500 * s),
        leave("d", 620 * s),
    ]
}

/// A topic of them, of which a run has read those before the gap and was stopped.
struct Scene {
    topic: Topic,
    folder: tempfile::TempDir,
    out: PathBuf,
    events: [NaiveEvent; 10],
}

impl Scene {
    fn of(kafka: &RealKafka, name: &str) -> Scene {
        let (topic, folder, events) = (Topic::of(kafka, name, 1), folder(), eleven_minutes());
        let out = folder.path().join("run");
        topic.send_events(&events[..3]);
        let mut running = Running::of(&topic, &out, &[]);
        running.wait_until_read(3);
        running.stop();
        Scene { topic, folder, out, events }
    }
}

/// The minutes from the event before the gap until the last session that was open behind it has ended, at 400 s.
const EXPECTED: [&str; 11] =
    ["true", "false", "false", "false", "false", "false", "false", "true", "true", "true", "true"];

/// What settled is what the reference says of the events that were kept, in minutes that are
/// complete as they should be.
#[track_caller]
fn is_settled_but_for_complete(out: &Path, kept: &[NaiveEvent], context: &str) {
    let expected = Tables { ledger: Ledger::default(), ..reference::settled(kept, RULES) };
    let mut found = settled_rows(out);
    assert_eq!(complete(&found.minutes), EXPECTED, "{context}");
    found.minutes = found.minutes.map("complete", |_| "true".to_owned());
    Tables::assert_equal(&expected, &found, context);
}

#[track_caller]
fn gap_is_told(out: &Path, kept: &[NaiveEvent]) {
    is_settled_but_for_complete(out, kept, "behind a gap");
    live_is_settled(out, "behind a gap");
    verified(out);
    let told = run(["verify".into(), out.into(), "--json".into()]).exits(0).stdout;
    assert!(told.contains("[3, 5)"), "{told}");
    // People see it, too.
    let show = |more: &[&str]| {
        let args = ["show".into(), out.into()].into_iter().chain(more.iter().map(Into::into));
        run(args).exits(0).stdout
    };
    let (airings, curve) = (show(&[]), show(&["--broadcast=b"]));
    assert!(airings.contains("\nnot complete\n"), "{airings}");
    assert!(curve.contains("░ not complete (6 min)"), "{curve}");
}

#[test]
fn a_gap_that_is_accepted_is_recorded_and_told_by_the_minutes() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let Scene { topic, folder: _folder, out, events } = Scene::of(kafka, "gap");
    topic.send_events(&events[3..]);
    kafka.forget_before("gap", 0, 5);
    topic.until_end(&out, &[]).exits(3).says(&["gap/0", "[3, 5)", "--accept-gap"]);

    topic.until_end(&out, &["--accept-gap"]).exits(0).says(&["gap/0", "[3, 5)"]);
    let kept = [&events[..3], &events[5..]].concat();
    gap_is_told(&out, &kept);
    // Once accepted it is no gap any more, whoever starts.
    topic.until_end(&out, &[]).exits(0);
    gap_is_told(&out, &kept);
}

/// The event after a gap comes in a later commit than the gap, and in a later process.
#[test]
fn the_event_after_a_gap_may_come_much_later() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let Scene { topic, folder: _folder, out, events } = Scene::of(kafka, "gap-at-the-end");
    topic.send_events(&events[3..5]);
    kafka.forget_before("gap-at-the-end", 0, 5);
    let mut running = Running::of(&topic, &out, &["--accept-gap"]);
    running.wait_for("commit of the gap", |line| line.contains(r#""event":"commit""#));
    let partition = |field: &str| newest_manifest(&out).unwrap()["inputs"]["partitions"][0][field].clone();
    assert_eq!(partition("to"), 5, "the gap is recorded before anything comes behind it");
    // Killed, not stopped: the gap is true.
    drop(running);
    let shown = run(["show".into(), out.clone().into(), "--broadcast=b".into(), "--json".into()]).exits(0).stdout;
    assert!(shown.contains(r#""complete": true"#) && shown.contains(r#""complete": false"#), "{shown}");
    verified(&out);

    topic.send_events(&events[5..]);
    topic.until_end(&out, &[]).exits(0);
    gap_is_told(&out, &[&events[..3], &events[5..]].concat());
}

/// Retention overtakes a run that stands still.
#[test]
fn offsets_that_go_while_running_stop_the_run() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "overtaken", 1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0)]);
    let mut running = Running::of(&topic, &out, &[]);
    running.wait_until_read(1);
    running.signal("STOP");
    for n in 1..20 {
        // One by one: a question that is under way is answered with the first of them.
        topic.send_events(&[join(&n.to_string(), n * 1_000)]);
    }
    kafka.forget_before("overtaken", 0, 18);
    running.signal("CONT");
    let said = running.exits(3, SOON);
    assert!(said.contains("overtaken/0") && said.contains(", 18)") && said.contains("--accept-gap"), "{said}");
    verified(&out);

    let mut running = Running::of(&topic, &out, &["--accept-gap"]);
    running.wait_for("word of the gap", |line| line.contains("accepted as lost"));
    let to = || newest_manifest(&out)?["inputs"]["partitions"][0]["to"].as_i64();
    super::wait_until("commit of the rest", SOON, || to().filter(|to| *to == 20));
    running.signal("TERM");
    running.exits(0, Duration::from_secs(30));
    verified(&out);
}

/// A second gap comes before any event has come behind the first: the event after it is that after both.
#[test]
fn two_gaps_may_end_with_one_event() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let Scene { topic, folder: _folder, out, events } = Scene::of(kafka, "two-gaps");
    topic.send_events(&events[3..4]);
    kafka.forget_before("two-gaps", 0, 4);
    let mut running = Running::of(&topic, &out, &["--accept-gap", "--idle-after=1h"]);
    running.wait_for("commit of the gap", |line| line.contains(r#""event":"commit""#));
    running.stop();
    // The second gap and what is behind it are of one commit.
    topic.send_events(&events[4..]);
    kafka.forget_before("two-gaps", 0, 5);
    topic.until_end(&out, &["--accept-gap"]).exits(0).says(&["[4, 5)"]);
    verified(&out);
    is_settled_but_for_complete(&out, &[&events[..3], &events[5..]].concat(), "two gaps");
}

/// What the commits say of a gap, and what minutes say because of it, is held against the events beside it.
#[test]
fn a_lie_about_a_gap_is_found() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let Scene { topic, folder, out, events } = Scene::of(kafka, "gap-of-lies");
    topic.send_events(&events[3..]);
    kafka.forget_before("gap-of-lies", 0, 5);
    topic.until_end(&out, &["--accept-gap"]).exits(0);
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
    fn gap(forgery: &mut Forgery) -> &mut Value {
        let commits = forgery.commits.iter_mut();
        let mut gaps = commits.filter_map(|commit| commit["inputs"]["partitions"][0].get_mut("gaps"));
        &mut gaps.next().unwrap()[0]
    }
    let of_gap = "The gap [3, 5) in gap-of-lies/0";
    for side in ["before", "after"] {
        let field = format!("event_at_{side}");
        found(&|forgery| gap(forgery)[&field] = (T + 61_000).into(), &[of_gap, side]);
        found(&|forgery| drop(gap(forgery).as_object_mut().unwrap().remove(&field)), &[of_gap, side, "of none"]);
    }
    let complete = |rows: &RecordBatch, row: usize| rows.column_by_name("complete").unwrap().as_boolean().value(row);
    let lost = move |rows: &RecordBatch, row: usize| !complete(rows, row);
    let first = |rows: &RecordBatch, row: usize| number(rows, "minute_at", row) == T;
    found(&|forgery| forgery.change("live", "complete", lost, Cell::Flag(true)), &["live", "a gap lies in it"]);
    found(&|forgery| forgery.change("live", "complete", first, Cell::Flag(false)), &["live", "no gap lies in it"]);
    found(&|forgery| forgery.change("minutes", "complete", lost, Cell::Flag(true)), &["minutes"]);
    found(&|forgery| forgery.change("minutes", "complete", first, Cell::Flag(false)), &["minutes"]);
}
