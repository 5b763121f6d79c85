//! `jauge rejected`: the reasons with an example each, the bytes to correct, the way back into a topic; and the topic
//! that `run` sends rejected records to.

use std::fs;
use std::process::Command;
use std::time::Duration;

use ingester::embedded::EmbeddedBroker;
use ingester::kafka::{Item, Kafka, KafkaOptions};
use ingester::producer::{Producer, Target};
use serde_json::Value;

use crate::data_directory;
use crate::support::{NO_FLAGS, Ran, finish, folder, jauge, replay, run};

const SOON: Duration = Duration::from_secs(60);

const GOOD: &str = r#"{"type":"join","broadcast_id":"b","viewer_id":"v","ts":1700000000000}"#;
/// In seconds, as producers write it by mistake.
const SECONDS: &str = r#"{"type":"leave","broadcast_id":"b","viewer_id":"v","ts":1700000060}"#;
const CORRECTED: &str = r#"{"type":"leave","broadcast_id":"b","viewer_id":"v","ts":1700000060000}"#;

fn rejected(dir: &std::path::Path, flags: &[&str]) -> Ran {
    run([&["rejected".into(), dir.into()][..], &flags.iter().map(Into::into).collect::<Vec<_>>()].concat())
}

/// Keys and values of all records of a topic.
fn records(broker: &EmbeddedBroker, topic: &str) -> Vec<(Option<String>, String)> {
    let kafka = Kafka::connect(KafkaOptions::new(broker.bootstrap(), &[topic])).unwrap();
    let high = kafka.offsets(0, SOON).unwrap().high;
    let mut lane = kafka.lane(&[(0, 0)]).unwrap();
    let mut records = Vec::new();
    let mut next = 0;
    while next < high {
        let batch = lane.next_batch(Duration::from_millis(100), 1000).unwrap();
        for item in batch.items() {
            match item {
                Item::Record { offset, key, value, .. } => {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    records.push((key.map(text), text(value.unwrap_or_default())));
                    next = offset + 1;
                }
                Item::End { next_offset, .. } => next = next_offset,
            }
        }
    }
    records
}

#[test]
fn each_reason_is_counted_and_has_an_example() {
    let folder = folder();
    let (events, out) = (folder.path().join("events.ndjson"), folder.path().join("out"));
    let newer = SECONDS.replace("1700000060", "1700000061");
    let lines = [GOOD, SECONDS, "{\"type\":\"jump\"}", &newer, "\u{1b}[2J"].join("\n");
    fs::write(&events, &lines).unwrap();
    replay([&events], &out, NO_FLAGS).exits(0);

    let said = rejected(&out, &["--json"]).exits(0).stdout;
    let said: Value = serde_json::from_str(&said).unwrap();
    let first = &said[0];
    assert_eq!((&first["reason"], &first["count"]), (&"timestamp_out_of_range".into(), &2.into()), "{said}");
    assert_eq!((&first["field"], &first["example"]["payload"]), (&"ts".into(), &newer.as_str().into()), "{said}");
    assert_eq!(first["example"]["offset"], Value::from(lines.find(&newer).unwrap()), "{said}");
    let counts: u64 = said.as_array().unwrap().iter().map(|group| group["count"].as_u64().unwrap()).sum();
    assert_eq!(counts, data_directory::table(&out, "rejected").unwrap().rows.len() as u64);

    let text = rejected(&out, &[]).exits(0).stdout;
    for part in ["2  timestamp_out_of_range (ts)", "1  unknown_type (type)", "1  not_json\n", "1700000061"] {
        assert!(text.contains(part), "no {part:?}:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "an example cannot drive the terminal:\n{text:?}");
    let payloads = rejected(&out, &["--payloads"]).exits(0).stdout;
    assert_eq!(payloads, [SECONDS, "{\"type\":\"jump\"}", &newer, "\u{1b}[2J\n"].join("\n"));
}

#[test]
fn nothing_rejected_and_nothing_kept_are_said() {
    let folder = folder();
    let (events, out) = (folder.path().join("events.ndjson"), folder.path().join("out"));
    fs::write(&events, GOOD).unwrap();
    replay([&events], &out, NO_FLAGS).exits(0);
    assert_eq!(rejected(&out, &[]).exits(0).stdout, "Nothing was rejected.\n");
    assert_eq!(rejected(&out, &["--json"]).exits(0).stdout.trim(), "[]");

    let (without, redacted) = (folder.path().join("without"), folder.path().join("redacted"));
    fs::write(&events, "x\n").unwrap();
    replay([&events], &without, ["--tables=minutes"]).exits(0);
    rejected(&without, &[]).exits(3).says(&["without the table rejected"]);
    replay([&events], &redacted, ["--rejected-payload=redact"]).exits(0);
    assert!(rejected(&redacted, &[]).exits(0).stdout.contains("its bytes were not kept"));
    let ran = rejected(&redacted, &["--payloads"]).exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.contains("1 are left out: their bytes were not kept")), ("", true));
}

/// `jauge run --until-end` of the topic `events`.
fn until_end(broker: &EmbeddedBroker, out: &std::path::Path, flags: &[&str]) -> Ran {
    let mut command = jauge();
    command.args(["run", "--until-end", "--topic=events", "--brokers", broker.bootstrap(), "--out"]);
    finish(added(command, out, flags), &[])
}

fn added(mut command: Command, out: &std::path::Path, flags: &[&str]) -> Command {
    command.arg(out).args(flags);
    command
}

#[test]
fn what_was_corrected_is_sent_again_and_counts() {
    let broker = EmbeddedBroker::start(1, &["events", "dead"]).unwrap();
    let producer = Producer::connect(broker.bootstrap(), &[]).unwrap();
    for value in [GOOD, SECONDS, "no event"] {
        producer.send("events", Target::Key(b"the key"), Some(value.as_bytes()), None).unwrap();
    }
    producer.send("events", Target::Any, None, None).unwrap();
    producer.flush(SOON).unwrap();
    let folder = folder();
    let out = folder.path().join("run");
    until_end(&broker, &out, &["--rejected-topic=dead"]).exits(0);

    // The topic has them whole, with their keys.
    let key = || Some("the key".to_owned());
    let letters = records(&broker, "dead");
    assert_eq!(letters, [(key(), SECONDS.into()), (key(), "no event".into()), (None, String::new())]);

    // What was corrected goes back, by its viewer and without what an editor has put before it; the rest is said.
    let corrected = folder.path().join("corrected.ndjson");
    fs::write(&corrected, format!("\u{feff}{CORRECTED}\n\nno event\n")).unwrap();
    let from = format!("--from={}", corrected.display());
    let brokers = format!("--brokers={}", broker.bootstrap());
    let ran = rejected(&out, &["--send-to=events", &brokers, &from]).exits(0);
    assert_eq!(ran.stdout, "1 events were sent to events.\n");
    ran.says(&["1 cannot be used: not_json."]);
    assert_eq!(records(&broker, "events").last(), Some(&(Some("v".to_owned()), CORRECTED.to_owned())));
    let again = folder.path().join("again");
    until_end(&broker, &again, &[]).exits(0);
    let airings = data_directory::table(&again, "airings").unwrap();
    assert_eq!(airings.rows[0][airings.place("leaves")], "1");

    // As it is nothing of it can be used; a topic that is not there is said at once.
    let ran = rejected(&out, &["--send-to=events", &brokers]).exits(0);
    assert_eq!(ran.stdout, "0 events were sent to events.\n");
    rejected(&out, &["--send-to=nowhere", &brokers]).exits(3).says(&["nowhere"]);
}

#[test]
fn a_topic_of_rejected_records_that_cannot_be_is_refused() {
    let broker = EmbeddedBroker::start(1, &["events"]).unwrap();
    let folder = folder();
    let out = folder.path().join("run");
    until_end(&broker, &out, &["--rejected-topic=events"]).exits(2).says(&["come back for ever"]);
    until_end(&broker, &out, &["--rejected-topic=nowhere"]).exits(3).says(&["nowhere"]);
    assert!(!out.exists(), "nothing is made");
}
