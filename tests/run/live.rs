//! The live curve and what settles by itself: partitions that are silent, events that are late, a broadcast
//! after which nothing comes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::{
    RULES, Running, SOON, T, Topic, event, join, leave, ledger, line, live_is_settled, live_rows, newest_manifest,
    place, settled_rows, strs, verified, wait_until, with_rules,
};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::random_events::Chance;
use crate::reference::{self, Kind, NaiveEvent, Rules};
use crate::support::{folder, have, run, seeds};
use crate::tables::{Ledger, Tables};

/// The watermark of the newest manifest, in ms after [`T`].
fn watermark(out: &Path) -> Option<i64> {
    Some(newest_manifest(out)?["watermark"].as_i64()? - T)
}

/// Waits until a commit holds this watermark, in ms after [`T`].
#[track_caller]
pub(super) fn wait_for_watermark(out: &Path, at: i64) {
    wait_until(&format!("watermark of {at}"), SOON, || watermark(out).filter(|is| *is >= at));
}

/// Of the log, by partition and offset: when it takes effect, where it was late.
fn late_at(out: &Path) -> BTreeMap<(i32, i64), Option<i64>> {
    let listed = run(["show".into(), out.into(), "--files".into(), "events".into()]).exits(0).stdout;
    let mut late_at = BTreeMap::new();
    for path in listed.lines() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column =
                |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no {name} in {path}")).clone();
            let (partition, offset, late) = (column("partition"), column("offset"), column("late_at"));
            let late = late.as_primitive::<TimestampMillisecondType>();
            for row in 0..batch.num_rows() {
                let partition = partition.as_primitive::<Int32Type>().value(row);
                let offset = offset.as_primitive::<Int64Type>().value(row);
                let at = (!late.is_null(row)).then(|| late.value(row) - T);
                assert_eq!(late_at.insert((partition, offset), at), None, "{partition}/{offset} is in the log once");
            }
        }
    }
    late_at
}

#[test]
fn late_events_change_the_live_curve_from_then_on_and_settle_where_they_belong() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let on_time = [join("a", 0), join("b", 30_000), leave("a", 200_000)];
    topic.send_events(&on_time);
    let mut running = Running::of(&topic, &out, &["--lateness=0s", "--idle-after=1h"]);
    wait_for_watermark(&out, 200_000);
    // A late leave, a late join, and a late leave of somebody who is not there.
    let late = [leave("b", 100_000), join("c", 150_000), leave("z", 10_000)];
    topic.send_events(&late);
    running.wait_until_read(6);
    let rest = [join("d", 230_000), leave("d", 300_000), event(Kind::End, "", 310_000)];
    topic.send_events(&rest);
    running.wait_until_read(9);
    running.stop();
    topic.until_end(&out, &["--lateness=0s"]).exits(0);

    let events = [&on_time[..], &late, &rest].concat();
    Tables::assert_equal(&reference::settled(&events, RULES), &data_directory::read(&out), "late events");
    verified(&out);
    let expected: BTreeMap<(i32, i64), Option<i64>> =
        (0..9).map(|offset| ((0, offset), (3..6).contains(&offset).then_some(200_000))).collect();
    assert_eq!(late_at(&out), expected, "late events take effect at the watermark");

    // Minute by minute: joins, leaves, lapses, viewers at the end, late.
    let columns = ["minute_at", "joins", "leaves", "lapses", "viewers_end", "late"].map(str::to_owned);
    let expected = [[0, 2, 0, 0, 2, 0], [1, 0, 0, 0, 2, 0], [2, 0, 0, 0, 2, 0], [3, 2, 2, 0, 2, 3], [4, 0, 0, 0, 2, 0]];
    let last = [5, 0, 1, 1, 0, 0];
    let minute = |row: [i64; 6]| -> Vec<String> {
        let cells = [(T / 60_000 + row[0]) * 60_000].into_iter().chain(row.into_iter().skip(1));
        cells.map(|cell| cell.to_string()).collect()
    };
    let expected: Vec<Vec<String>> = expected.into_iter().chain([last]).map(minute).collect();
    assert_eq!(live_rows(&out).sorted(&columns), expected);
}

#[test]
fn a_partition_without_records_holds_nobody() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "one-empty", 3);
    let folder = folder();
    let out = folder.path().join("run");
    let send = |partition: i32, event: &NaiveEvent| topic.send(partition, Some(line(event).as_bytes()));
    let events = [join("a", 0), leave("a", 130_000), join("b", 20_000), leave("b", 140_000)];
    for (event, partition) in events.iter().zip([0, 0, 2, 2]) {
        send(partition, event);
    }
    topic.flush();
    let running = Running::of(&topic, &out, &["--lateness=0s", "--idle-after=100ms"]);
    // Two minutes have closed, though partition 1 has never said anything.
    wait_for_watermark(&out, 130_000);
    running.stop();
    assert!(live_rows(&out).rows.len() >= 2, "{:?}", live_rows(&out));
    topic.until_end(&out, &[]).exits(0);
    Tables::assert_equal(&reference::settled(&events, RULES), &data_directory::read(&out), "one empty partition");
    verified(&out);
}

/// A partition far ahead is held back while another is awaited. When that one falls silent, too,
/// nobody is held back any more.
#[test]
fn a_partition_held_back_is_read_again_when_the_others_are_silent() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let hour = 3_600_000;
    let send = |partition: i32, event: &NaiveEvent| {
        topic.send(partition, Some(line(event).as_bytes()));
        topic.flush();
    };
    let events = [join("a", 0), join("b", 3 * hour), leave("b", 3 * hour + 60_000)];
    send(0, &events[0]);
    send(1, &events[1]);
    let mut running = Running::of(&topic, &out, &["--max-drift=1s", "--idle-after=300ms"]);
    running.wait_until_read(2);
    // Both are idle: the watermark has gone beyond the slow one.
    wait_for_watermark(&out, 0);
    send(1, &events[2]);
    running.wait_until_read(3);
    running.stop();
    topic.until_end(&out, &[]).exits(0);
    Tables::assert_equal(&reference::settled(&events, RULES), &data_directory::read(&out), "held back and silent");
    verified(&out);
}

/// Airings settle all the time while events come that are later than a silence is long, in the very commits in which
/// airings settle, too. What settled is what the log said when it did; `verify` computes it again.
#[test]
fn airings_that_settle_amid_late_events_are_what_the_log_said_then() {
    for seed in seeds(2) {
        let (_broker, topic) = Topic::embedded(2);
        let (folder, mut chance) = (folder(), Chance::new(seed));
        let out = folder.path().join("run");
        let rules = Rules { broadcast_idle_ms: 60_000, ..RULES };
        let more =
            ["--lateness=0s", "--idle-after=1h", "--settle-interval=0s", "--commit-interval=1ms", "--log-format=json"];
        let mut running = Running::start(topic.command(&out, &strs(&with_rules(rules, &more))));
        let count = 3_000;
        for n in 0..count {
            let late = if chance.one_in(4) { i64::try_from(chance.below(200_000)).unwrap() } else { 0 };
            let (viewer, kind) =
                (chance.below(8).to_string(), *chance.pick(&[Kind::Join, Kind::Leave, Kind::Heartbeat]));
            let mut event = event(kind, &viewer, (n * 1_000 - late).max(0));
            event.broadcast = chance.below(40).to_string();
            topic.send(place(&event, 2), Some(line(&event).as_bytes()));
            if chance.one_in(50) {
                topic.flush();
            }
        }
        topic.flush();
        running.wait_until_read(count);
        running.stop();
        verified(&out);
        assert!(ledger(&out, "applied") > 1_000 && ledger(&out, "after_settle") > 100, "seed {seed} meets neither");
    }
}

/// The one test that waits for a real minute: no rule lets a broadcast be over sooner.
#[test]
fn a_broadcast_after_which_nothing_comes_settles_by_itself() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "silent", 3);
    let folder = folder();
    let out = folder.path().join("run");
    let rules = Rules { broadcast_idle_ms: 60_000, ..RULES };
    let events = [join("a", 0), join("b", 10_000), leave("a", 61_000), leave("b", 62_000)];
    topic.send_events(&events);
    let more =
        ["--idle-after=1s", "--settle-interval=1s", "--commit-interval=1s", "--lateness=1s", "--log-format=json"];
    let running = Running::start(topic.command(&out, &strs(&with_rules(rules, &more))));
    let airing = |out: &Path| -> Option<Value> {
        let shown = run(["show".into(), out.into(), "--json".into()]);
        let airings: Value = serde_json::from_str(&shown.stdout).ok()?;
        airings.as_array()?.first().cloned()
    };
    let provisional = wait_until("provisional airing", SOON, || airing(&out));
    assert_eq!(provisional["provisional"], true, "nothing settles before a minute has passed: {provisional}");
    let settles = || airing(&out).filter(|airing| airing["provisional"] == false);
    let settled = wait_until("settled airing", Duration::from_secs(110), settles);
    assert_eq!((&settled["sessions"], &settled["viewers_max"]), (&2.into(), &2.into()), "{settled}");
    running.stop();
    verified(&out);
    let expected = reference::settled(&events, rules);
    Tables::assert_equal(&expected, &data_directory::read(&out), "settled by itself");
    live_is_settled(&out, "closed by itself");

    // Behind its frontier nothing changes any more, and what comes in a later run is another airing.
    let late = [join("c", 30_000)];
    let again = [join("a", 3_600_000), leave("a", 3_601_000)];
    topic.send_events(late.iter().chain(&again));
    topic.until_end(&out, &strs(&with_rules(rules, &[]))).exits(0);
    let both = reference::settled(&[&events[..], &again].concat(), rules);
    Tables::assert_equal(&Tables { ledger: Ledger::default(), ..both }, &settled_rows(&out), "a later airing");
    assert_eq!((ledger(&out, "after_settle"), ledger(&out, "read")), (1, 7));
    verified(&out);
}

/// A late event of an airing that has settled meanwhile is still in the live curve, where it took effect:
/// before a stop and after it.
#[test]
fn a_late_event_of_a_settled_airing_stays_in_the_live_curve_over_a_stop() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let rules = Rules { broadcast_idle_ms: 60_000, ..RULES };
    let more =
        ["--lateness=0s", "--idle-after=1h", "--settle-interval=2s", "--commit-interval=20ms", "--log-format=json"];
    let flags = with_rules(rules, &more);
    let other = NaiveEvent { broadcast: "first to settle".into(), ..join("x", -3_600_000) };
    topic.send_events(&[other, join("a", 0), leave("a", 10_000)]);
    let mut running = Running::start(topic.command(&out, &strs(&flags)));
    running.wait_for("first settling", |line| line.contains(r#""airings_settled":1"#));
    topic.send_events(&[join("b", 100_000)]);
    wait_for_watermark(&out, 100_000);
    // Its airing has not settled yet, and does with it.
    topic.send_events(&[join("c", 5_000)]);
    running.wait_for("second settling", |line| line.contains(r#""airings_settled":1"#));
    topic.send_events(&[join("d", 125_000)]);
    wait_for_watermark(&out, 125_000);
    running.stop();
    verified(&out);
    topic.send_events(&[leave("b", 130_000), leave("d", 185_000)]);
    topic.until_end(&out, &strs(&with_rules(rules, &["--lateness=0s"]))).exits(0);
    verified(&out);
}

/// A leave for a session that a silence had closed is said once, whoever settles it, and kept for `jauge show`.
#[test]
fn a_leave_that_comes_after_a_silence_is_said_once_and_shown() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let idle = RULES.broadcast_idle_ms;
    topic.send_events(&[join("a", 0), join("b", 1), join("c", 2), leave("c", 3), leave("a", idle + 3)]);
    topic.send_events(&[leave("b", idle + 4), join("d", idle + 5), leave("d", idle + 6), leave("c", idle + 7)]);
    let said = "leaves came for sessions that a silence of broadcast_idle (6h) had closed";
    let mut running = Running::of(&topic, &out, &["--idle-after=200ms", "--lateness=0s"]);
    running.wait_for("word of them", |line| line.contains(said));
    running.stop();
    let shown = run(["show".into(), out.clone().into()]).exits(0).stdout;
    assert!(shown.contains(&format!("2 {said}")), "{shown}");
    verified(&out);
}
