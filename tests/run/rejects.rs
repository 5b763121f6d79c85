//! Records that are no events: each is kept with its partition, offset and reason, and stops nothing.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ingester::producer::create_topic;

use super::health::{address, get, metric};
use super::{RULES, Running, SOON, Topic, join, leave, ledger, line, settled_rows, verified, wait_until};
use crate::data_directory::{self, hex};
use crate::kafka::RealKafka;
use crate::random_events::Chance;
use crate::reference;
use crate::support::{folder, have};
use crate::tables::{Ledger, Tables};

/// A join of so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let join = line(&join("padded", 1_000));
    let body = join.trim().strip_suffix('}').unwrap().trim_end().to_owned();
    let shell = body.len() + r#","pad":""}"#.len();
    format!(r#"{body},"pad":"{}"}}"#, "x".repeat(bytes - shell)).into_bytes()
}

#[test]
fn rejected_records_are_kept_with_their_places() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "rejected", 2);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let at = |ts: i64| format!(r#"{{"type":"end","broadcast_id":"soon","ts":{ts}}}"#).into_bytes();
    let good = [join("a", 0), leave("a", 60_000)];
    let mebibyte = 1 << 20;
    let records: Vec<(i32, Option<Vec<u8>>, &str, &str)> = vec![
        (0, None, "empty", ""),
        (1, Some(line(&good[0]).into_bytes()), "", ""),
        (1, Some(vec![]), "empty", ""),
        (0, Some(b" \t\r ".to_vec()), "empty", ""),
        (0, Some(b"\n".to_vec()), "empty", ""),
        (0, Some(padded(mebibyte)), "", ""),
        (0, Some(padded(mebibyte + 1)), "too_large", ""),
        (1, Some(vec![b'x'; 3_000_000]), "too_large", ""),
        (1, Some(b"\xff".to_vec()), "not_utf8", ""),
        (1, Some(b"{}".to_vec()), "missing_field", "type"),
        (1, Some(at(now + 600_000)), "from_the_future", "ts"),
        (0, Some(at(4_102_444_799_999)), "from_the_future", "ts"),
        (0, Some(at(4_102_444_800_000)), "timestamp_out_of_range", "ts"),
        (1, Some(line(&good[1]).into_bytes()), "", ""),
        (1, Some(b"[]".to_vec()), "not_an_object", ""),
    ];
    for (partition, value, ..) in &records {
        topic.send(*partition, value.as_deref());
    }
    topic.flush();
    let (folder, mut next) = (folder(), [0_i64; 2]);
    let mut expected = Vec::new();
    for (partition, value, reason, field) in &records {
        let offset = &mut next[usize::try_from(*partition).unwrap()];
        let value = value.clone().unwrap_or_default();
        if !reason.is_empty() {
            let place = ["rejected".to_owned(), partition.to_string(), offset.to_string()];
            let why = [(*reason).to_owned(), (*field).to_owned()];
            let payload = [hex(&value[..value.len().min(65_536)]), value.len().to_string()];
            expected.push(place.into_iter().chain(why).chain(payload).collect::<Vec<String>>());
        }
        *offset += 1;
    }
    expected.sort();

    let columns = ["source", "partition", "offset", "reason", "field", "payload", "payload_bytes"].map(str::to_owned);
    // Payloads are too long to be shown where all is well with the rest.
    let rows_are = |out: &Path, expected: &[Vec<String>]| {
        let found = data_directory::table(out, "rejected").unwrap().sorted(&columns);
        let short = |rows: &[Vec<String>]| rows.iter().map(|row| row[..5].to_vec()).collect::<Vec<_>>();
        assert_eq!(short(&found), short(expected));
        assert!(found == expected, "the bytes that were rejected");
    };
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    rows_are(&out, &expected);
    let events = [good[0].clone(), join("padded", 1_000), good[1].clone()];
    let settled = Tables { ledger: Ledger::default(), ..reference::settled(&events, RULES) };
    Tables::assert_equal(&settled, &settled_rows(&out), "rejected records");
    assert_eq!((ledger(&out, "read"), ledger(&out, "accepted"), ledger(&out, "rejected")), (15, 3, 12));
    verified(&out);

    // Without the bytes, where the operator wants none of them.
    let redacted = folder.path().join("redacted");
    topic.until_end(&redacted, &["--rejected-payload=redact"]).exits(0);
    expected.iter_mut().for_each(|row| row[5].clear());
    rows_are(&redacted, &expected);
    verified(&redacted);

    // The first of them ends a strict run, which names it.
    let strict = folder.path().join("strict");
    topic.until_end(&strict, &["--strict", "--lanes=1"]).exits(4).says(&["rejected/"]);
    assert!(data_directory::table(&strict, "rejected").is_none(), "a strict run publishes nothing more");
}

#[test]
fn how_far_ahead_an_event_may_be_is_a_setting() {
    let (_broker, topic) = Topic::embedded(1);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    for ahead in [60_000, 240_000, 900_000] {
        let line = format!(r#"{{"type":"end","broadcast_id":"soon","ts":{}}}"#, now + ahead);
        topic.send(0, Some(line.as_bytes()));
    }
    topic.flush();
    let folder = folder();
    for (future_max, rejected) in [("5min", 1), ("0s", 3), ("1h", 0)] {
        let out = folder.path().join(future_max);
        topic.until_end(&out, &[&format!("--future-max={future_max}")]).exits(0);
        assert_eq!((ledger(&out, "read"), ledger(&out, "rejected")), (3, rejected), "{future_max}");
        verified(&out);
    }
}

/// Most of what a partition begins with is no event: said once, with what it seems to be.
#[test]
fn a_topic_of_something_else_is_said_at_once_and_once() {
    let (_broker, topic) = Topic::embedded(2);
    let event = line(&join("a", 0));
    let framed = |partition: i32| topic.send(partition, Some(&[&[0, 0, 0, 0, 7], event.trim().as_bytes()].concat()));
    (0..4).for_each(|n| framed(n % 2));
    topic.send(0, Some(event.as_bytes()));
    topic.flush();
    let folder = folder();
    let out = folder.path().join("framed");
    let said = topic.until_end(&out, &[]).exits(0).stderr;
    assert_eq!(said.matches("are rejected, most for ").count(), 1, "{said}");
    for part in
        ["Of the first ", "framed by a Schema Registry", "the schema's id 7", "see them: jauge rejected ", "framed"]
    {
        assert!(said.contains(part), "no {part:?}: {said}");
    }

    // Where most are events nothing is said; another kind is said, too.
    let (_broker, topic) = Topic::embedded(2);
    topic.send_events(&[join("a", 0), join("b", 1), join("c", 2), join("d", 3), join("e", 4)]);
    let good = i32::from(topic.until_end(&folder.path().join("good"), &[]).exits(0).stderr.contains("rejected, most"));
    assert_eq!(good, 0);
    let envelope = format!(r#"{{"before":null,"after":{},"op":"c"}}"#, event.trim());
    (0..20).for_each(|_| topic.send(1, Some(envelope.as_bytes())));
    topic.flush();
    let said = topic.until_end(&folder.path().join("envelope"), &["--log-format=json"]).exits(0).stderr;
    assert!(said.contains("Debezium's envelope") && said.contains("the event is its .after"), "{said}");
}

/// The values of a topic, sorted.
fn values(kafka: &RealKafka, topic: &str) -> Vec<String> {
    let values = kafka.read(topic).into_iter().flatten();
    let mut values: Vec<_> = values.map(|value| String::from_utf8(value.unwrap_or_default()).unwrap()).collect();
    values.sort();
    values
}

/// Sends so many records that are no events, each with another text.
fn send_rejects(topic: &Topic, range: std::ops::Range<i32>) -> Vec<String> {
    let mut texts: Vec<String> = range.map(|n| format!("no event {n}")).collect();
    texts.iter().for_each(|text| topic.send(0, Some(text.as_bytes())));
    topic.flush();
    texts.sort();
    texts
}

#[test]
fn the_topic_of_rejected_records_is_waited_for() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "with-letters", 1);
    kafka.make_topic("letters", 2);
    let folder = folder();
    let out = folder.path().join("run");
    let flags = ["--rejected-topic=letters", "--listen=127.0.0.1:0", "--idle-after=1h"];
    let mut running = Running::of(&topic, &out, &flags);
    let address = address(&mut running);
    topic.send_events(&[join("a", 0)]);
    let before = send_rejects(&topic, 0..3);
    running.wait_until_read(4);
    assert_eq!(values(kafka, "letters"), before);

    kafka.delete_topic("letters");
    let during = send_rejects(&topic, 3..6);
    let said = running.wait_for("word about the topic", |line| line.contains("Waiting for the topic of rejected"));
    assert!(said.contains("`letters` does not exist"), "{said}");
    let answer = (503, "it waits for the topic of rejected records\n".to_owned());
    wait_until("word to who asks", SOON, || (get(&address, "/readyz") == answer).then_some(()));
    assert_eq!(get(&address, "/livez").0, 200);
    // Nothing is committed meanwhile, not even events that can be used; and it is said once, however often it is tried.
    topic.send_events(&[leave("a", 60_000)]);
    let tried = || metric(&get(&address, "/metrics").1, "jauge_commit_age_seconds").filter(|age| *age > 16.0);
    wait_until("second attempt", SOON, tried);
    assert_eq!(ledger(&out, "read"), 4);
    assert_eq!(metric(&get(&address, "/metrics").1, "jauge_waiting{for=\"rejected_topic\"}"), Some(1.0));
    assert_eq!(running.said().matches("Waiting for the topic").count(), 1, "{}", running.said());

    kafka.make_topic("letters", 2);
    running.wait_for("word that it goes on", |line| line.contains("takes them again"));
    running.wait_until_read(8);
    assert_eq!(values(kafka, "letters"), during, "those, and each once");
    wait_until("ready run", SOON, || (get(&address, "/readyz") == (200, "ok\n".to_owned())).then_some(()));
    running.stop();
    assert_eq!(data_directory::table(&out, "rejected").unwrap().rows.len(), 6);
    topic.until_end(&out, &[]).exits(0);
    let expected =
        Tables { ledger: Ledger::default(), ..reference::settled(&[join("a", 0), leave("a", 60_000)], RULES) };
    Tables::assert_equal(&expected, &settled_rows(&out), "the topic of rejected records was away");
    verified(&out);
}

#[test]
fn a_stop_while_the_topic_of_rejected_records_is_away_loses_nothing() {
    let Some(kafka) = have(RealKafka::start()) else { return };
    let topic = Topic::of(&kafka, "events", 1);
    kafka.make_topic("letters", 1);
    let folder = folder();
    let out = folder.path().join("run");
    // The broker dies after the records were read, and before they are committed.
    let flags = ["--rejected-topic=letters", "--listen=127.0.0.1:0", "--idle-after=1h"];
    let mut running = Running::start(topic.command(&out, &[&flags[..], &["--commit-interval=8s"]].concat()));
    let address = address(&mut running);
    let rejects = send_rejects(&topic, 0..5);
    let position = "jauge_offset_position{topic=\"events\",partition=\"0\"}";
    let read = || metric(&get(&address, "/metrics").1, position).filter(|position| *position == 5.0);
    wait_until("records that are read", SOON, read);
    kafka.kill();
    running.wait_for("word about the topic", |line| line.contains("Waiting for the topic of rejected"));
    running.signal("TERM");
    let said = running.exits(3, std::time::Duration::from_secs(30));
    assert!(said.contains("Nothing can be written to the topic letters"), "{said}");
    assert!(data_directory::table(&out, "rejected").is_none(), "not before the topic has them");

    kafka.start_again();
    topic.until_end(&out, &["--rejected-topic=letters"]).exits(0);
    assert_eq!(values(&kafka, "letters"), rejects);
    assert_eq!(ledger(&out, "rejected"), 5);
    verified(&out);
}

/// A topic that takes less than what was rejected holds nothing up: what is too large for it goes
/// there without its bytes.
#[test]
fn what_is_too_large_for_the_topic_of_rejected_records_goes_without_its_bytes() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "large-rejects", 1);
    let settings = [("max.message.bytes", "2000")];
    assert!(create_topic(&kafka.address, &[], "small-letters", 1, &settings, SOON).unwrap());
    // Together the small ones are too large for a batch, but each fits.
    let small: Vec<String> = (0..4_i64).map(|n| format!("{n}{}", noise(n.unsigned_abs(), 1_000))).collect();
    let large: Vec<String> = (4..6_i64).map(|n| format!("{n}{}", noise(n.unsigned_abs(), 5_000_000))).collect();
    small.iter().chain(&large).for_each(|text| topic.send(0, Some(text.as_bytes())));
    topic.flush();
    let folder = folder();
    let out = folder.path().join("run");
    topic.until_end(&out, &["--rejected-topic=small-letters"]).exits(0);
    let found = values(kafka, "small-letters");
    assert!(
        found == [vec![String::new(); 2], small].concat(),
        "{:?}",
        found.iter().map(String::len).collect::<Vec<_>>()
    );
    assert_eq!(ledger(&out, "rejected"), 6);
    verified(&out);
}

/// So many letters that do not compress well.
fn noise(seed: u64, bytes: usize) -> String {
    let mut chance = Chance::new(seed);
    (0..bytes).map(|_| char::from(b'a' + u8::try_from(chance.below(26)).unwrap())).collect()
}
