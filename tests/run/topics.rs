//! Topics that change under a run or between two: deleted, made again, with more partitions.

use ingester::producer::{Producer, Target, create_topic};

use super::{RULES, Running, SOON, Topic, join, leave, ledger, line, newest_manifest, settled_rows, verified};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::reference::{self, NaiveEvent};
use crate::support::{folder, have};
use crate::tables::{Ledger, Tables};

fn joins(count: i64) -> Vec<NaiveEvent> {
    (0..count).map(|n| join(&n.to_string(), n * 1_000)).collect()
}

/// Deletes a topic and makes another of that name; the broker takes a moment to forget the old one.
fn make_again(kafka: &RealKafka, topic: &Topic) {
    kafka.delete_topic(&topic.name);
    super::wait_until("topic of that name", SOON, || {
        create_topic(&kafka.address, &[], &topic.name, topic.partitions, &[], SOON).ok().filter(|made| *made)
    });
}

#[test]
fn a_topic_made_again_is_another_however_long_it_is() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "made-again", 1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&joins(5));
    topic.until_end(&out, &[]).exits(0);
    let id = newest_manifest(&out).unwrap()["inputs"]["partitions"][0]["topic_id"].clone();
    assert_eq!(id.as_str().map(str::len), Some(22), "{id}");

    make_again(kafka, &topic);
    let again = Topic::at(&kafka.address, "made-again", 1);
    again.send_events(&joins(9));
    again.until_end(&out, &[]).exits(3).says(&["made-again", "another topic", id.as_str().unwrap()]);
    assert_eq!(ledger(&out, "read"), 5);
    verified(&out);
}

#[test]
fn a_topic_that_is_made_again_while_running_stops_the_run() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "made-again-while-running", 1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&joins(3));
    let mut running = Running::of(&topic, &out, &[]);
    running.wait_until_read(3);
    make_again(kafka, &topic);
    let said = running.exits(3, SOON);
    assert!(said.contains("made-again-while-running") && said.contains("made again"), "{said}");
    assert_eq!(ledger(&out, "read"), 3);
    verified(&out);
}

#[test]
fn a_topic_that_is_deleted_while_running_stops_the_run() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "deleted", 1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&joins(3));
    let mut running = Running::of(&topic, &out, &[]);
    running.wait_until_read(3);
    kafka.delete_topic("deleted");
    let said = running.exits(3, SOON);
    assert!(said.contains("the topic `deleted` does not exist"), "{said}");
    assert_eq!(ledger(&out, "read"), 3);
    verified(&out);
}

/// A partition that is added is read from its beginning, and the watermark waits for it.
#[test]
fn a_partition_that_is_added_is_read_from_its_beginning() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "growing", 1);
    let folder = folder();
    let out = folder.path().join("run");
    let first = [join("a", 0), join("b", 60_000)];
    topic.send_events(&first);
    let mut running = Running::of(&topic, &out, &["--lateness=0s", "--idle-after=1h"]);
    running.wait_until_read(2);
    kafka.add_partitions("growing", 2);
    // Events that are older than what was read are on time there: from here on the watermark waits for the partition.
    running.wait_for("word of the partition", |line| line.contains("Reading growing/1"));
    let send = |partition: i32, event: &NaiveEvent| {
        let producer = Producer::connect(&kafka.address, &[]).unwrap();
        producer.send("growing", Target::Partition(partition), Some(line(event).as_bytes()), None).unwrap();
        producer.flush(SOON).unwrap();
    };
    let more = [leave("b", 400_000), join("c", 70_000), leave("c", 80_000), leave("a", 410_000)];
    send(0, &more[0]);
    running.wait_until_read(3);
    let watermark = newest_manifest(&out).unwrap()["watermark"].as_i64().unwrap() - super::T;
    assert_eq!(watermark, 60_000, "it waits for the partition that was added");
    // Each viewer stays in one partition, as the live curve wants it.
    more[1..].iter().zip([1, 1, 0]).for_each(|(event, partition)| send(partition, event));
    running.wait_until_read(6);
    running.stop();
    topic.until_end(&out, &["--lateness=0s"]).exits(0);
    let all = [&first[..], &more].concat();
    Tables::assert_equal(&reference::settled(&all, RULES), &data_directory::read(&out), "one partition more");
    super::live_is_settled(&out, "one partition more");
    verified(&out);
}

/// Records larger than what is fetched at a time are read as any other, and those that are too large are rejected.
#[test]
fn a_record_larger_than_an_answer_stops_nothing() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let settings = [("max.message.bytes", "12000000")];
    assert!(create_topic(&kafka.address, &[], "large", 1, &settings, SOON).unwrap());
    let producer = Producer::connect(&kafka.address, &[("message.max.bytes".into(), "12000000".into())]).unwrap();
    let events = [join("a", 0), leave("a", 60_000)];
    let send = |value: &[u8]| producer.send("large", Target::Partition(0), Some(value), None).unwrap();
    send(line(&events[0]).as_bytes());
    send(&vec![b'x'; 2_000_000]);
    send(&vec![b' '; 10_000_000]);
    send(&vec![b'{'; 11_500_000]);
    send(line(&events[1]).as_bytes());
    producer.flush(SOON).unwrap();
    let topic = Topic::at(&kafka.address, "large", 1);
    for property in ["fetch.message.max.bytes=1000", "fetch.max.bytes=1000000"] {
        let folder = folder();
        let out = folder.path().join("run");
        topic.until_end(&out, &["--kafka", property]).exits(0);
        let expected = Tables { ledger: Ledger::default(), ..reference::settled(&events, RULES) };
        Tables::assert_equal(&expected, &settled_rows(&out), property);
        assert_eq!((ledger(&out, "read"), ledger(&out, "rejected")), (5, 3), "{property}");
        verified(&out);
    }
}
