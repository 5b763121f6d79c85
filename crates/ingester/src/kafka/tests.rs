//! Reading from the embedded broker: every record once, in order, with ends, through pauses and a broker that goes
//! away.

use std::time::{Duration, Instant};

use problem::Failure;
use rdkafka::Message;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Headers;

use super::{Item, Kafka, KafkaError, KafkaLane, KafkaOptions};
use crate::embedded::EmbeddedBroker;
use crate::producer::{Failed, Producer, Target};

const TOPIC: &str = "events";
const SOON: Duration = Duration::from_secs(20);
/// 2026-01-01, ms since the Unix epoch.
const TIME_MS: i64 = 1_767_225_600_000;

fn broker(partitions: i32) -> (EmbeddedBroker, Producer) {
    let broker = EmbeddedBroker::start(partitions, &[TOPIC]).expect("a port is free");
    let producer = Producer::connect(broker.bootstrap(), &[]).expect("its properties are ours");
    (broker, producer)
}

fn connect(broker: &EmbeddedBroker) -> Kafka {
    Kafka::connect(KafkaOptions::new(broker.bootstrap(), &[TOPIC])).expect("the topic is there")
}

fn send(producer: &Producer, partition: i32, values: std::ops::Range<i64>) {
    for value in values {
        let text = value.to_string();
        let target = Target::Partition(partition);
        producer.send(TOPIC, target, Some(text.as_bytes()), Some(TIME_MS + value)).expect("the client takes it");
    }
    producer.flush(SOON).expect("the broker takes it");
}

/// What a lane gave: values by partition, and the ends that came.
#[derive(Debug, Default, PartialEq)]
struct Read {
    values: Vec<Vec<i64>>,
    ends: Vec<Option<i64>>,
}

/// Reads until `done` says so. Each record must have the offset, the time and the value that belong together.
fn read(lane: &mut KafkaLane, partitions: usize, done: impl Fn(&Read) -> bool) -> Read {
    let mut read = Read { values: vec![Vec::new(); partitions], ends: vec![None; partitions] };
    let started_at = Instant::now();
    while !done(&read) {
        assert!(started_at.elapsed() < SOON, "it should have come by now: {read:?}");
        let batch = lane.next_batch(Duration::from_millis(100), 1000).expect("nothing is wrong");
        for item in batch.items() {
            match item {
                Item::Record { partition, offset, time_ms, value, .. } => {
                    let text = std::str::from_utf8(value.expect("it is not null")).expect("it is text");
                    assert_eq!(text, offset.to_string());
                    assert_eq!(time_ms, Some(TIME_MS + offset));
                    read.values[partition].push(offset);
                }
                Item::End { partition, next_offset } => read.ends[partition] = Some(next_offset),
            }
        }
    }
    read
}

#[test]
fn headers_arrive_with_their_record() {
    let (broker, producer) = broker(1);
    let headers = [("why", "not_json"), ("where", "7")];
    producer.send_with(TOPIC, Target::Any, Some(b"x"), None, &headers).expect("the client takes it");
    producer.flush(SOON).expect("the broker takes it");
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).set("group.id", "test").set("auto.offset.reset", "earliest");
    let consumer: rdkafka::consumer::BaseConsumer = config.create().expect("its properties are ours");
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, rdkafka::Offset::Beginning).expect("an offset");
    consumer.assign(&list).expect("the partition is there");
    let message = consumer.poll(SOON).expect("it comes").expect("nothing is wrong");
    let headers: Vec<_> = message.headers().expect("it has headers").iter().collect();
    let texts = headers.iter().map(|header| (header.key, header.value)).collect::<Vec<_>>();
    assert_eq!(texts, [("why", Some(&b"not_json"[..])), ("where", Some(&b"7"[..]))]);
    assert_eq!(message.key(), None);
}

#[test]
fn each_record_comes_once_and_then_the_end() {
    let (broker, producer) = broker(4);
    for partition in 0..4 {
        send(&producer, partition, 0..2500);
    }
    assert_eq!((producer.sent(), producer.delivered()), (10_000, 10_000));
    let kafka = connect(&broker);
    let named: Vec<String> = kafka.partitions().iter().map(|p| format!("{}/{}", p.topic, p.partition)).collect();
    assert_eq!(named, ["events/0", "events/1", "events/2", "events/3"]);
    let offsets = kafka.offsets(2, SOON).expect("the broker answers");
    assert_eq!((offsets.low, offsets.last_stable, offsets.high), (0, 2500, 2500));
    assert!(!kafka.open_transaction(2, SOON).expect("the broker answers"));

    // Two lanes, one of which begins in the middle.
    let mut even = kafka.lane(&[(0, 0), (2, 1000)]).expect("the partitions are there");
    let mut odd = kafka.lane(&[(1, 0), (3, 0)]).expect("the partitions are there");
    let end = Some(2500);
    let even_read = read(&mut even, 4, |read| read.ends[0] == end && read.ends[2] == end);
    let odd_read = read(&mut odd, 4, |read| read.ends[1] == end && read.ends[3] == end);
    let all: Vec<i64> = (0..2500).collect();
    assert_eq!(even_read.values, [all.clone(), vec![], all[1000..].to_vec(), vec![]]);
    assert_eq!(odd_read.values, [vec![], all.clone(), vec![], all]);
    assert_eq!(even.high_watermark(2), Some(2500));
}

#[test]
fn a_partition_paused_at_its_end_loses_nothing() {
    let (broker, producer) = broker(2);
    send(&producer, 0, 0..10);
    let kafka = connect(&broker);
    let mut lane = kafka.lane(&[(0, 0), (1, 0)]).expect("the partitions are there");
    let first = read(&mut lane, 2, |read| read.ends == [Some(10), Some(0)]);
    assert_eq!(first.values[0].len(), 10);

    lane.pause(&[0]).expect("it is ours");
    send(&producer, 0, 10..12);
    send(&producer, 1, 0..1);
    let other = read(&mut lane, 2, |read| read.ends[1] == Some(1));
    assert_eq!(other.values, [vec![], vec![0]], "what is paused does not come");

    lane.resume(&[0]).expect("it is ours");
    let rest = read(&mut lane, 2, |read| read.ends[0] == Some(12));
    assert_eq!(rest.values[0], [10, 11], "librdkafka alone would skip the record at the old end");
}

#[test]
fn a_partition_paused_before_its_end_comes_again() {
    let (broker, producer) = broker(1);
    send(&producer, 0, 0..5000);
    let kafka = connect(&broker);
    let mut lane = kafka.lane(&[(0, 0)]).expect("the partition is there");
    let mut values = Vec::new();
    for _ in 0..20 {
        // All but these three were fetched ahead, and are thrown away by the pause.
        values.extend(read_some(&mut lane, 3));
        lane.pause(&[0]).expect("it is ours");
        lane.resume(&[0]).expect("it is ours");
    }
    values.extend(read(&mut lane, 1, |read| read.ends[0] == Some(5000)).values.concat());
    assert_eq!(values, (0..5000).collect::<Vec<i64>>());
}

/// Offsets of one batch that is not empty.
fn read_some(lane: &mut KafkaLane, records_max: usize) -> Vec<i64> {
    loop {
        let batch = lane.next_batch(SOON, records_max).expect("nothing is wrong");
        assert!(batch.len() <= records_max);
        let offset = |item| if let Item::Record { offset, .. } = item { Some(offset) } else { None };
        let offsets: Vec<i64> = batch.items().filter_map(offset).collect();
        if !offsets.is_empty() {
            return offsets;
        }
    }
}

#[test]
fn a_partition_can_be_added_while_others_are_read() {
    let (broker, producer) = broker(2);
    send(&producer, 0, 0..3);
    send(&producer, 1, 0..4);
    let kafka = connect(&broker);
    let mut lane = kafka.lane(&[(0, 0)]).expect("the partition is there");
    read(&mut lane, 2, |read| read.ends[0] == Some(3));
    lane.add(1, 2).expect("it is there");
    let added = read(&mut lane, 2, |read| read.ends[1] == Some(4));
    assert_eq!(added.values, [vec![], vec![2, 3]]);
    assert_eq!(kafka.refresh(SOON).expect("the broker answers"), Vec::<usize>::new(), "no partition is new");
    assert!(lane.add(2, 0).is_err(), "there is no third partition");
}

#[test]
fn a_batch_outlives_its_lane_and_crosses_threads() {
    let (broker, producer) = broker(1);
    send(&producer, 0, 0..1);
    let mut lane = connect(&broker).lane(&[(0, 0)]).expect("the partition is there");
    let batch = loop {
        let batch = lane.next_batch(SOON, 1).expect("nothing is wrong");
        if !batch.is_empty() {
            break batch;
        }
    };
    drop(lane);
    let first = std::thread::spawn(move || match batch.items().next() {
        Some(Item::Record { value, .. }) => value.map(<[u8]>::to_vec),
        _ => None,
    });
    assert_eq!(first.join().expect("it does not panic"), Some(b"0".to_vec()));
}

#[test]
fn null_and_empty_values_come_as_they_are() {
    let (broker, producer) = broker(1);
    for value in [None, Some(&b""[..])] {
        producer.send(TOPIC, Target::Partition(0), value, None).expect("the client takes it");
    }
    producer.flush(SOON).expect("the broker takes it");
    let mut lane = connect(&broker).lane(&[(0, 0)]).expect("the partition is there");
    let mut lengths = Vec::new();
    while lengths.len() < 2 {
        for item in lane.next_batch(SOON, 10).expect("nothing is wrong").items() {
            if let Item::Record { value, .. } = item {
                lengths.push(value.map(<[u8]>::len));
            }
        }
    }
    assert!(lengths[0].is_none() && lengths[1].unwrap_or(0) == 0, "{lengths:?}");
}

#[test]
fn an_offset_that_is_gone_ends_the_lane() {
    let (broker, producer) = broker(2);
    send(&producer, 0, 0..5);
    send(&producer, 1, 0..5);
    let mut lane = connect(&broker).lane(&[(0, 77), (1, 0)]).expect("the partitions are there");
    let error = loop {
        if let Err(error) = lane.next_batch(SOON, 100) {
            break error;
        }
    };
    let expected = KafkaError::OffsetGone { topic: TOPIC.into(), partition: 0, wanted: 77, low: 0, high: 5 };
    assert_eq!((error.exit_code(), &error), (3, &expected));
    assert_eq!(lane.next_batch(Duration::ZERO, 100).expect_err("it stays ended"), expected);
}

#[test]
fn what_is_gone_is_told_as_a_range_and_what_is_longer_as_another_topic() {
    let gone =
        |wanted| KafkaError::OffsetGone { topic: "t".into(), partition: 3, wanted, low: 10, high: 50 }.to_string();
    let text = gone(4);
    assert!(text.contains("t/3") && text.contains("[4, 10)") && text.contains("--accept-gap"), "{text}");
    let text = gone(51);
    assert!(text.contains("ends at offset 50") && text.contains("51") && !text.contains("--accept-gap"), "{text}");
}

#[test]
fn ids_of_topics_are_as_kafka_writes_them() {
    for (id, text) in [
        (0, "AAAAAAAAAAAAAAAAAAAAAA"),
        (u128::MAX, "_____________________w"),
        (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
        (0xfb_f0 << 112, "-_AAAAAAAAAAAAAAAAAAAA"),
    ] {
        assert_eq!(super::written(id), text);
    }
}

#[test]
fn an_unknown_topic_is_named() {
    let (broker, _producer) = broker(1);
    let options = KafkaOptions::new(broker.bootstrap(), &[TOPIC, "evnets"]);
    let error = Kafka::connect(options).expect_err("it is misspelt");
    assert!(matches!(&error, KafkaError::UnknownTopic { topic, .. } if topic == "evnets"), "{error}");
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn a_missing_broker_is_waited_for_and_then_an_error() {
    // Nobody listens on this port: it was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let timeout = Duration::from_millis(300);
    let options = KafkaOptions { start_timeout: timeout, ..KafkaOptions::new(&free.to_string(), &[TOPIC]) };
    let started_at = Instant::now();
    let error = Kafka::connect(options).expect_err("nobody is there");
    assert!((timeout..SOON).contains(&started_at.elapsed()));
    assert!(matches!(&error, KafkaError::NoBroker { reason, .. } if reason.contains("refused")), "{error}");
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn a_broker_that_goes_away_is_a_notice_and_nothing_is_lost() {
    let (broker, producer) = broker(1);
    send(&producer, 0, 0..100);
    let kafka = connect(&broker);
    let mut lane = kafka.lane(&[(0, 0)]).expect("the partition is there");
    read(&mut lane, 1, |read| read.ends[0] == Some(100));
    broker.set_reachable(false).expect("its thread lives");
    let notice = loop {
        let batch = lane.next_batch(Duration::from_millis(100), 10).expect("it waits");
        if let Some(notice) = batch.notices().iter().find(|notice| notice.waiting) {
            break notice.clone();
        }
    };
    assert!(!notice.text.is_empty());
    broker.set_reachable(true).expect("its thread lives");
    send(&producer, 0, 100..150);
    let rest = read(&mut lane, 1, |read| read.ends[0] == Some(150));
    assert_eq!(rest.values[0], (100..150).collect::<Vec<i64>>());
}

#[test]
fn offsets_are_committed_for_monitoring_without_waiting() {
    let (broker, producer) = broker(1);
    send(&producer, 0, 0..5);
    let kafka = connect(&broker);
    let started_at = Instant::now();
    for offset in 1..4 {
        kafka.commit_offsets("watched", &[(0, offset)]).expect("it is not waited for");
    }
    assert!(started_at.elapsed() < Duration::from_secs(2));
    broker.set_reachable(false).expect("its thread lives");
    kafka.commit_offsets("watched", &[(0, 5)]).expect("it is not waited for");
    drop(kafka);
    assert!(started_at.elapsed() < SOON, "a lost coordinator must not hold the end up");
}

#[test]
fn what_passes_is_waited_out_and_what_does_not_ends_the_lane() {
    use rdkafka::types::RDKafkaRespErr::*;
    let (broker, producer) = broker(1);
    send(&producer, 0, 0..10);
    let kafka = connect(&broker);
    let mut lane = kafka.lane(&[(0, 0)]).expect("the partition is there");
    let passing = [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    ];
    broker.fail_fetches(&passing).expect("its thread lives");
    let all = read(&mut lane, 1, |read| read.values[0].len() == 10);
    assert_eq!(all.values[0], (0..10).collect::<Vec<i64>>(), "each came once");

    broker.fail_fetches(&[RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]).expect("its thread lives");
    send(&producer, 0, 10..20);
    let error = loop {
        if let Err(error) = lane.next_batch(SOON, 100) {
            break error;
        }
    };
    assert!(matches!(&error, KafkaError::NotAllowed { topic, .. } if topic == TOPIC), "{error}");
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn a_producer_tells_what_the_broker_refused() {
    let (broker, producer) = broker(1);
    let refused = Producer::connect(broker.bootstrap(), &[("message.timeout.ms".into(), "300".into())]);
    let refused = refused.expect("its properties are free");
    broker.set_reachable(false).expect("its thread lives");
    refused.send(TOPIC, Target::Key(b"k"), Some(b"v"), None).expect("the client takes it");
    let error = refused.flush(SOON).expect_err("nobody took it");
    assert!(matches!(error, KafkaError::Undelivered { lost: 1, sent: 1, .. }), "{error}");
    drop(producer);
}

#[test]
fn a_producer_that_gives_up_tells_what_did_not_arrive() {
    let (broker, producer) = broker(1);
    let send = || producer.send(TOPIC, Target::Key(b"k"), Some(b"v"), None).expect("the client takes it");
    (0..2).for_each(|_| send());
    producer.flush(SOON).expect("the broker takes them");
    broker.set_reachable(false).expect("its thread lives");
    (0..3).for_each(|_| send());
    producer.flush(Duration::from_millis(50)).expect_err("nobody took them");
    let missing = [2, 3, 4].map(|number| Failed { number, is_too_large: false });
    assert_eq!(producer.give_up(), missing);
    assert_eq!((producer.sent(), producer.delivered()), (5, 2));
}
