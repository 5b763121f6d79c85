//! Where the data end: `--until-end` reads what was there when it began, of empty partitions, of transactions
//! committed, aborted and open, and of topics to which others go on writing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use ingester::producer::{Producer, Target};

use super::{
    RULES, Running, SOON, Topic, join, leave, ledger, line, live_is_settled, live_rows, newest_manifest, place,
    settled_rows, strs, verified, with_rules,
};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::reference::{self, NaiveEvent, Rules};
use crate::support::{finish, folder, have, jauge};
use crate::tables::{Ledger, Tables};

#[test]
fn an_empty_topic_ends_at_once() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "empty", 3);
    let folder = folder();
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    Tables::assert_equal(&Tables::empty(), &settled_rows(&out), "an empty topic");
    verified(&out);

    // Records of one partition alone: the others are at their ends from the start.
    let events = [join("a", 0), leave("a", 60_000)];
    events.iter().for_each(|event| topic.send(1, Some(line(event).as_bytes())));
    topic.flush();
    topic.until_end(&out, &[]).exits(0);
    let expected = reference::settled(&events, RULES);
    Tables::assert_equal(&expected, &data_directory::read(&out), "two empty partitions of three");
    verified(&out);
}

/// Who writes in transactions.
fn transactional(topic: &Topic, id: &str) -> Producer {
    Producer::transactional(&topic.address, &[], id, SOON).unwrap()
}

fn send(producer: &Producer, topic: &Topic, partition: i32, event: &NaiveEvent) {
    producer.send(&topic.name, Target::Partition(partition), Some(line(event).as_bytes()), None).unwrap();
    // A record that the client still holds is no part of the transaction that the broker sees.
    producer.flush(SOON).unwrap();
}

#[test]
fn transactions_count_where_they_were_committed() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "transactions", 3);
    let producer = transactional(&topic, "transactions");
    let kept = [join("a", 0), leave("a", 60_000), join("b", 5_000)];
    // Partition 0: committed, then aborted at its end. Partition 1: aborted alone. Partition 2: aborted first.
    for (events, commits) in [
        (&[(0, kept[0].clone()), (0, kept[1].clone())][..], true),
        (&[(0, join("c", 1_000)), (1, join("d", 1_000)), (2, join("e", 1_000))], false),
        (&[(2, kept[2].clone())], true),
        (&[(0, join("f", 1_000))], false),
    ] {
        producer.begin().unwrap();
        events.iter().for_each(|(partition, event)| send(&producer, &topic, *partition, event));
        if commits { producer.commit(SOON).unwrap() } else { producer.abort(SOON).unwrap() }
    }
    let folder = folder();
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    let expected = reference::settled(&kept, RULES);
    Tables::assert_equal(&expected, &data_directory::read(&out), "committed and aborted");
    verified(&out);

    // Aborted records and the marks of transactions are no gap: a later run goes on behind them.
    producer.begin().unwrap();
    let more = [join("g", 30 * 3_600_000), leave("g", 30 * 3_600_000 + 9)];
    more.iter().for_each(|event| send(&producer, &topic, 1, event));
    producer.commit(SOON).unwrap();
    topic.until_end(&out, &[]).exits(0);
    let expected = reference::settled(&[&kept[..], &more].concat(), RULES);
    Tables::assert_equal(&expected, &data_directory::read(&out), "behind an aborted transaction");
    verified(&out);
}

#[test]
fn an_open_transaction_is_waited_for_and_named() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "open", 2);
    let (commits, aborts) = (transactional(&topic, "open-commits"), transactional(&topic, "open-aborts"));
    commits.begin().unwrap();
    aborts.begin().unwrap();
    let open = [join("a", 0), join("b", 1_000)];
    send(&commits, &topic, 0, &open[0]);
    send(&aborts, &topic, 1, &open[1]);
    // What stands behind an open transaction is a part of the data, too.
    let behind = [leave("c", 2_000), join("d", 3_000)];
    topic.send(0, Some(line(&behind[0]).as_bytes()));
    topic.send(1, Some(line(&behind[1]).as_bytes()));
    topic.flush();

    let folder = folder();
    let out = folder.path().join("run");
    let mut running = Running::of(&topic, &out, &["--until-end"]);
    running.wait_for("word about the transactions", |line| line.contains("open/0") && line.contains("open/1"));
    aborts.abort(SOON).unwrap();
    running.wait_for("word about the other alone", |line| line.contains("open/0") && !line.contains("open/1"));
    commits.commit(SOON).unwrap();
    running.exits(0, SOON);
    let expected = reference::settled(&[&open[..1], &behind].concat(), RULES);
    Tables::assert_equal(&expected, &data_directory::read(&out), "one committed, one aborted");
    verified(&out);
}

#[test]
fn what_comes_after_the_start_is_not_awaited() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "going-on", 2);
    let event = |n: u64| {
        let n = i64::try_from(n).unwrap();
        let viewer = (n / 2 % 40).to_string();
        if n % 2 == 0 { join(&viewer, n * 10) } else { leave(&viewer, n * 10) }
    };
    let before: Vec<NaiveEvent> = (0..2_000).map(event).collect();
    topic.send_events(&before);
    let folder = folder();
    let out = folder.path().join("run");
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(2_000));
    thread::scope(|scope| {
        scope.spawn(|| {
            // It flushes each batch, so it is no faster than the broker.
            while !is_over.load(Ordering::Relaxed) {
                let from = sent.load(Ordering::Relaxed);
                let batch: Vec<NaiveEvent> = (from..from + 50).map(event).collect();
                topic.send_events(&batch);
                sent.store(from + 50, Ordering::Relaxed);
            }
        });
        let ran = topic.until_end(&out, &[]);
        is_over.store(true, Ordering::Relaxed);
        ran.exits(0);
    });
    let sent = sent.into_inner();
    // By partition, the run has all events up to an offset, and none behind it.
    let manifest = newest_manifest(&out).unwrap();
    let read_to = |partition: i32| {
        let partitions = manifest["inputs"]["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|one| one["partition"] == partition);
        usize::try_from(one.unwrap()["to"].as_i64().unwrap()).unwrap()
    };
    let all: Vec<NaiveEvent> = (0..sent).map(event).collect();
    let of_partition = |partition: i32| all.iter().filter(move |event| place(event, 2) == partition);
    let read: Vec<NaiveEvent> =
        (0..2).flat_map(|partition| of_partition(partition).take(read_to(partition)).cloned()).collect();
    assert!(read.len() >= before.len() && read.len() < all.len(), "{} of {}", read.len(), all.len());
    let expected = reference::settled(&read, RULES);
    Tables::assert_equal(&expected, &data_directory::read(&out), "while others go on");

    // The rest lies behind the frontier, for the topic was not finished; it is kept and counted.
    topic.until_end(&out, &[]).exits(0);
    assert_eq!(ledger(&out, "read"), i64::try_from(sent).unwrap());
    assert_eq!(ledger(&out, "after_settle"), i64::try_from(all.len() - read.len()).unwrap());
    let expected = Tables { ledger: Ledger::default(), ..expected };
    Tables::assert_equal(&expected, &settled_rows(&out), "what came after the end");
    verified(&out);
}

/// Topics may be added to a directory and left out again: each partition goes on where it was.
#[test]
fn a_directory_may_be_fed_from_other_topics_later() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (first, second) = (Topic::of(kafka, "fed-z", 2), Topic::of(kafka, "fed-a", 1));
    let folder = folder();
    let out = folder.path().join("run");
    let day = 24 * 3_600_000;
    let pair = |n: i64| [join(&n.to_string(), n * day), leave(&n.to_string(), n * day + 60_000)];
    let flags = |names: &'static str| ["--topic".to_owned(), names.to_owned()];
    let mut all = Vec::new();
    for (n, (topic, read)) in
        (0..).zip([(&first, "fed-z"), (&second, "fed-a,fed-z"), (&second, "fed-a"), (&first, "fed-z,fed-a")])
    {
        topic.send_events(&pair(n));
        all.extend(pair(n));
        let mut command = jauge();
        command.args(["run", "--until-end", "--brokers", &kafka.address]).args(flags(read)).arg("--out").arg(&out);
        finish(command, &[]).exits(0);
        let expected = reference::settled(&all, RULES);
        Tables::assert_equal(&expected, &data_directory::read(&out), &format!("round {n}, {read}"));
        verified(&out);
    }
}

/// Late events hold an airing on air in the live curve when it has settled by its own events: the end of the data
/// closes its minutes then, and settles nothing. What an end has closed stays closed.
#[test]
fn an_end_that_settles_nothing_closes_the_live_minutes_once() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let rules = Rules { broadcast_idle_ms: 60_000, ..RULES };
    let flags = with_rules(rules, &["--lateness=0s", "--settle-interval=0s", "--idle-after=1h"]);
    let of_other = |event: NaiveEvent| NaiveEvent { broadcast: "other".into(), ..event };
    // Of the other broadcast all has settled that comes before 99 s: its later events move nothing but the watermark.
    let first = [of_other(join("x", 39_000))];
    topic.send_events(&first);
    topic.until_end(&out, &strs(&flags)).exits(0);
    let late = [join("a", 10_000), of_other(join("y", 75_000))];
    topic.send_events(&late);
    let mut running = Running::of(&topic, &out, &strs(&flags));
    // It is over at 70 s; in the live curve it began with the watermark, at 39 s, so that it is over at 99 s.
    running.wait_for("airing that settles", |line| line.contains(r#""airings_settled":1"#));
    running.stop();
    assert_eq!((ledger(&out, "after_settle"), ledger(&out, "not_yet_settled")), (1, 0));
    let closed = |broadcast: &str| live_rows(&out).rows.iter().filter(|row| row[0] == broadcast).count();
    assert_eq!(closed("b"), 1);

    topic.until_end(&out, &strs(&flags)).exits(0);
    let manifest = newest_manifest(&out).unwrap();
    let added = manifest["added"].as_array().unwrap();
    assert!(manifest["settled"].is_null() && added.iter().all(|file| file["table"] == "live"), "{manifest}");
    assert_eq!((closed("b"), &manifest["ended"]), (2, &manifest["number"]));
    verified(&out);
    // Whoever comes after the end, with or without events, finds nothing on air.
    topic.until_end(&out, &strs(&flags)).exits(0);
    assert_eq!(newest_manifest(&out).unwrap()["added"], serde_json::Value::Null);
    let more = [join("b", 130_000), leave("b", 190_000)];
    topic.send_events(&more);
    topic.until_end(&out, &strs(&flags)).exits(0);
    assert_eq!(closed("b"), 4);
    verified(&out);
    let all = [&first[..], &late[..1], &more].concat();
    let expected = Tables { ledger: Ledger::default(), ..reference::settled(&all, rules) };
    Tables::assert_equal(&expected, &settled_rows(&out), "ended twice");
}

/// Late events that come behind their broadcast's frontier change nothing of an airing that has ended with the data.
#[test]
fn what_an_end_has_closed_stays_closed_whoever_comes_late() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let rules = Rules { broadcast_idle_ms: 60_000, ..RULES };
    let flags = with_rules(rules, &["--lateness=0s"]);
    let of_other = |event: NaiveEvent| NaiveEvent { broadcast: "other".into(), ..event };
    topic.send_events(&[join("a", 0), join("b", 30_000), of_other(join("x", 50_000))]);
    topic.until_end(&out, &strs(&flags)).exits(0);
    let before = live_rows(&out);
    for late in [join("c", 10_000), of_other(join("y", 20_000))] {
        topic.send_events(&[late]);
        topic.until_end(&out, &strs(&flags)).exits(0);
        verified(&out);
    }
    assert_eq!(live_rows(&out).rows, before.rows);
}

/// Who is there when the data end leaves with the last event, in the live curve as in the settled one; where the curve
/// stood behind that by then, with it. No minute comes after.
#[test]
fn who_is_there_at_the_end_of_the_data_leaves_with_it() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let of_other = |event: NaiveEvent| NaiveEvent { broadcast: "other".into(), ..event };
    topic.send_events(&[join("a", 0), join("c", 60_000)]);
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    assert_eq!(live_rows(&out).rows.len(), 2);
    live_is_settled(&out, "two who stay");
    verified(&out);

    topic.send_events(&[of_other(join("x", 200_000)), of_other(join("y", 500_000))]);
    let out = folder.path().join("later");
    topic.until_end(&out, &["--lateness=0s"]).exits(0);
    let minutes = |broadcast: &str| live_rows(&out).rows.iter().filter(|row| row[0] == broadcast).count();
    assert_eq!((minutes("b"), minutes("other")), (9, 6), "{:?}", live_rows(&out).rows);
    verified(&out);
    // What the end has closed stays closed.
    topic.until_end(&out, &["--lateness=0s"]).exits(0);
    assert_eq!((minutes("b"), minutes("other")), (9, 6));
}
