//! Kafka is read by partition, from offsets of our own, and comes out as batches of records in the order of their
//! offsets.
//!
//! [`Kafka`] knows the topics and answers questions about offsets; a [`KafkaLane`] reads. There is no consumer group:
//! partitions are assigned, and a group's offsets are written for monitoring only. A broker that is away is waited for,
//! and said in a [`Notice`]; an offset that is gone, or a record that cannot be read, ends the lane.

mod address;
mod admin;
mod batch;
mod error;
mod lane;
mod native;
mod notice;
mod partitions;
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

pub(crate) use admin::create_topic;
pub use batch::{Batch, Item};
pub use error::KafkaError;
use error::unanswered;
pub use lane::KafkaLane;
use native::Consumer;
pub use notice::Notice;
pub(crate) use notice::Notices;
use partitions::KnownPartitions;
pub use partitions::PartitionInfo;
use properties::{Isolation, consumer_config, is_secret, is_tls};
pub(crate) use properties::{base_config, config_error};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

/// librdkafka assigns partitions only to a member of some group. Nothing is ever committed to this one.
const GROUP: &str = "jauge";
/// A topic that was made just now may be unknown for so long.
const NEW_TOPIC: Duration = Duration::from_secs(1);
/// How long one attempt to reach a broker takes at the start.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long the last commit for monitoring may hold the end up.
const FAREWELL: Duration = Duration::from_secs(1);
/// How librdkafka's mock cluster calls itself. It leaves the questions for a topic's settings and id without an
/// answer.
const EMBEDDED_CLUSTER: &str = "mockCluster";

/// Where to read, and how.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `HOST:PORT,…`
    pub brokers: String,
    /// Names of topics.
    pub topics: Vec<String>,
    /// librdkafka properties, passed through save the protected ones.
    pub properties: Vec<(String, String)>,
    /// How long a broker is waited for at the start.
    pub start_timeout: Duration,
}

impl KafkaOptions {
    /// Options with the default of 30 s for a broker to answer.
    pub fn new(brokers: &str, topics: &[&str]) -> KafkaOptions {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        KafkaOptions {
            brokers: brokers.to_owned(),
            topics,
            properties: Vec::new(),
            start_timeout: Duration::from_secs(30),
        }
    }

    fn speaks_tls(&self) -> bool {
        let is_tls = |(name, value): &(String, String)| name == "security.protocol" && is_tls(value);
        self.properties.iter().any(is_tls)
    }
}

impl std::fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |(name, value): &(String, String)| {
            let value = if is_secret(name) { "***" } else { value };
            format!("{name}={value}")
        };
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("topics", &self.topics)
            .field("properties", &self.properties.iter().map(shown).collect::<Vec<_>>())
            .field("start_timeout", &self.start_timeout)
            .finish()
    }
}

/// Offsets of a partition at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The first that is there.
    pub low: i64,
    /// The end of what we may read: behind it lies an open transaction, or nothing.
    pub last_stable: i64,
    /// The offset after the last record.
    pub high: i64,
}

/// Topics of one cluster.
#[derive(Debug)]
pub struct Kafka {
    options: KafkaOptions,
    partitions: KnownPartitions,
    notices: Notices,
    /// Sees up to the last stable offset.
    committed: Arc<Consumer>,
    /// Sees up to the high watermark.
    uncommitted: Arc<Consumer>,
    /// The group whose offsets are written for monitoring, and its client.
    monitored: Mutex<Option<(String, Arc<Consumer>)>>,
}

impl Kafka {
    /// Finds the topics. Waits for a broker up to `start_timeout`.
    ///
    /// # Errors
    /// A property that is protected or refused (exit code 2); no broker, an unknown topic, a compacted one (3).
    pub fn connect(mut options: KafkaOptions) -> Result<Kafka, KafkaError> {
        options.topics.sort();
        options.topics.dedup();
        let notices = Notices::default();
        let consumer = |isolation| {
            let config = consumer_config(&options.brokers, &options.properties, isolation, None)?;
            Consumer::new(&config, notices.clone()).map_err(config_error)
        };
        let (committed, uncommitted) = (consumer(Isolation::Committed)?, consumer(Isolation::Uncommitted)?);
        let (partitions, monitored) = (KnownPartitions::default(), Mutex::new(None));
        let kafka = Kafka { options, partitions, notices, committed, uncommitted, monitored };
        kafka.partitions.extend(kafka.find_at_start()?);
        kafka.find_leaders()?;
        kafka.refuse_compacted()?;
        kafka.notices.take();
        Ok(kafka)
    }

    /// All partitions known so far: those found at the start ordered by topic and number, then the added ones.
    pub fn partitions(&self) -> Vec<PartitionInfo> {
        self.partitions.all()
    }

    /// Looks for partitions that were added, and returns their indices.
    pub fn refresh(&self, timeout: Duration) -> Result<Vec<usize>, KafkaError> {
        let mut found = Vec::new();
        for topic in &self.options.topics {
            found.extend(self.find(topic, timeout)?);
        }
        Ok(self.partitions.extend(found))
    }

    /// The id of each topic, as Kafka's tools write it, where the broker tells one: a topic that is deleted and made
    /// again has another.
    pub fn topic_ids(&self, timeout: Duration) -> BTreeMap<String, String> {
        if self.is_embedded() {
            return BTreeMap::new();
        }
        let ids = self.committed.topic_ids(&self.options.topics, timeout);
        ids.into_iter().map(|(topic, id)| (topic, written(id))).collect()
    }

    /// Offsets of one partition as of now.
    pub fn offsets(&self, index: usize, timeout: Duration) -> Result<Offsets, KafkaError> {
        let (_, high) = self.ask(&self.uncommitted, index, timeout)?;
        let (low, last_stable) = self.ask(&self.committed, index, timeout)?;
        // A record may come between the two questions.
        Ok(Offsets { low, last_stable, high: high.max(last_stable) })
    }

    /// Whether a transaction is open in a partition, so that its end, as far as we may read, is not its end. Costs two
    /// questions to the broker, so ask it of a partition that seems idle.
    pub fn open_transaction(&self, index: usize, timeout: Duration) -> Result<bool, KafkaError> {
        // In this order: what was stable up to the high watermark of before has nothing open below it.
        let (_, high) = self.ask(&self.uncommitted, index, timeout)?;
        let (_, last_stable) = self.ask(&self.committed, index, timeout)?;
        Ok(last_stable < high)
    }

    /// A consumer of its own for these partitions, each read from its offset.
    pub fn lane(&self, assignments: &[(usize, i64)]) -> Result<KafkaLane, KafkaError> {
        let options = &self.options;
        let config = consumer_config(&options.brokers, &options.properties, Isolation::Committed, Some(GROUP))?;
        let notices = Notices::default();
        let consumer = Consumer::new(&config, notices.clone()).map_err(config_error)?;
        KafkaLane::new(consumer, notices, self.partitions.clone(), assignments)
    }

    /// Writes next offsets to a group, for tools that watch it; nobody reads them here. Does not wait; a failure
    /// becomes a notice.
    pub fn commit_offsets(&self, group: &str, offsets: &[(usize, i64)]) -> Result<(), KafkaError> {
        let mut monitored = self.monitored.lock().unwrap_or_else(PoisonError::into_inner);
        if monitored.as_ref().is_none_or(|(name, _)| name != group) {
            let options = &self.options;
            let config = consumer_config(&options.brokers, &options.properties, Isolation::Committed, Some(group))?;
            let consumer = Consumer::new(&config, self.notices.clone()).map_err(config_error)?;
            *monitored = Some((group.to_owned(), consumer));
        }
        let Some((_, consumer)) = monitored.as_ref() else { return Ok(()) };
        consumer.serve(Duration::ZERO);
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (index, offset) in offsets {
            let (topic, partition) = self.partitions.place(*index)?;
            let added = list.add_partition_offset(&topic, partition, Offset::Offset(*offset));
            added.map_err(|error| unanswered("listing offsets", error))?;
        }
        consumer.commit(&list).map_err(|code| unanswered(&format!("writing offsets of the group {group}"), code))
    }

    /// What happened to the clients that ask and commit, since this was last called.
    pub fn notices(&self) -> Vec<Notice> {
        self.committed.serve(Duration::ZERO);
        self.uncommitted.serve(Duration::ZERO);
        if let Some((_, consumer)) = self.monitored.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            consumer.serve(Duration::ZERO);
        }
        self.notices.take()
    }

    /// Low and high offset, as a consumer sees them.
    fn ask(&self, consumer: &Consumer, index: usize, timeout: Duration) -> Result<(i64, i64), KafkaError> {
        let (topic, partition) = self.partitions.place(index)?;
        let answer = consumer.client().fetch_watermarks(&topic, partition, timeout);
        answer.map_err(|error| unanswered(&format!("asking for the offsets of {topic}/{partition}"), error))
    }

    fn find_at_start(&self) -> Result<Vec<PartitionInfo>, KafkaError> {
        let started_at = Instant::now();
        let mut found = Vec::new();
        for topic in &self.options.topics {
            let partitions = loop {
                let left = self.options.start_timeout.saturating_sub(started_at.elapsed());
                match self.find(topic, left.min(ATTEMPT)) {
                    Err(KafkaError::UnknownTopic { .. }) if started_at.elapsed() < NEW_TOPIC => {}
                    Err(KafkaError::Unanswered { reason, .. }) => {
                        self.committed.serve(Duration::ZERO);
                        if started_at.elapsed() >= self.options.start_timeout {
                            let (brokers, seconds) =
                                (self.options.brokers.clone(), self.options.start_timeout.as_secs());
                            if let Some(stranger) = address::strangers(&brokers, self.options.speaks_tls()) {
                                return Err(stranger);
                            }
                            let reason = self.notices.last().unwrap_or(reason);
                            return Err(KafkaError::NoBroker { brokers, seconds, reason });
                        }
                    }
                    outcome => break outcome?,
                }
                // Its events say why, and waiting for them keeps the loop from spinning.
                self.committed.serve(Duration::from_millis(50));
            };
            found.extend(partitions);
        }
        Ok(found)
    }

    /// Looks whether the names by which the leaders want to be asked lead anywhere, for as long as a start may take.
    fn find_leaders(&self) -> Result<(), KafkaError> {
        let started_at = Instant::now();
        let mut named = BTreeMap::new();
        for topic in &self.options.topics {
            let Ok(metadata) = self.committed.client().fetch_metadata(Some(topic), ATTEMPT) else { continue };
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            let leaders: BTreeSet<i32> = partitions.map(MetadataPartition::leader).collect();
            for broker in metadata.brokers().iter().filter(|broker| leaders.contains(&broker.id())) {
                named.insert(broker.host().to_owned(), u16::try_from(broker.port()).unwrap_or(0));
            }
        }
        for (host, port) in named {
            while let Some(reason) = address::unresolved(&host, port) {
                // A name server that is away may come back.
                let is_passing = reason.contains("emporary");
                if !is_passing || started_at.elapsed() >= self.options.start_timeout {
                    let (brokers, advertised) = (self.options.brokers.clone(), format!("{host}:{port}"));
                    return Err(KafkaError::Advertised { brokers, advertised, reason, is_passing });
                }
                self.committed.serve(ATTEMPT / 4);
            }
        }
        Ok(())
    }

    /// The partitions of one topic, by number.
    fn find(&self, topic: &str, timeout: Duration) -> Result<Vec<PartitionInfo>, KafkaError> {
        let brokers = || self.options.brokers.clone();
        let asked = self.committed.client().fetch_metadata(Some(topic), timeout);
        let metadata = asked.map_err(|error| unanswered(&format!("asking for the topic {topic}"), error))?;
        let unknown = || KafkaError::UnknownTopic { topic: topic.to_owned(), brokers: brokers() };
        let told = metadata.topics().iter().find(|told| told.name() == topic).ok_or_else(unknown)?;
        match told.error() {
            None => {}
            Some(
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            ) => return Err(unknown()),
            Some(
                code @ (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                | RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION),
            ) => {
                let reason = RDKafkaErrorCode::from(code).to_string();
                return Err(KafkaError::TopicRefused { topic: topic.to_owned(), brokers: brokers(), reason });
            }
            Some(code) => {
                return Err(unanswered(&format!("asking for the topic {topic}"), RDKafkaErrorCode::from(code)));
            }
        }
        let name: Arc<str> = Arc::from(topic);
        let info = |partition| PartitionInfo { topic: Arc::clone(&name), partition };
        let mut partitions: Vec<PartitionInfo> = told.partitions().iter().map(|told| info(told.id())).collect();
        partitions.sort();
        if partitions.is_empty() { Err(unknown()) } else { Ok(partitions) }
    }

    fn is_embedded(&self) -> bool {
        let cluster = self.committed.client().fetch_cluster_id(ATTEMPT);
        cluster.is_some_and(|cluster| cluster.starts_with(EMBEDDED_CLUSTER))
    }

    /// A broker that does not tell how a topic is cleaned (an old one, or one that lets nobody ask) is believed.
    fn refuse_compacted(&self) -> Result<(), KafkaError> {
        if self.is_embedded() {
            return Ok(());
        }
        let KafkaOptions { brokers, topics, properties, .. } = &self.options;
        let config = consumer_config(brokers, properties, Isolation::Committed, None)?;
        let policies = admin::cleanup_policies(&config, topics, Duration::from_secs(10))?;
        for (topic, policy) in topics.iter().zip(policies) {
            if let Some(policy) = policy.filter(|policy| policy.contains("compact")) {
                return Err(KafkaError::Compacted { topic: topic.clone(), policy });
            }
        }
        Ok(())
    }
}

impl Drop for Kafka {
    /// A commit that is under way gets a second (`FAREWELL`) to arrive. librdkafka itself would wait for minutes where
    /// the coordinator is away, so the rest of the waiting is left to a thread that nobody waits for.
    fn drop(&mut self) {
        let monitored = self.monitored.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, consumer)) = monitored {
            let (gone, farewell) = mpsc::channel::<()>();
            let body = move || {
                drop(consumer);
                drop(gone);
            };
            // Without a thread the consumer is dropped here, slowly.
            if std::thread::Builder::new().name("kafka-farewell".to_owned()).spawn(body).is_ok() {
                farewell.recv_timeout(FAREWELL).ok();
            }
        }
    }
}

/// A topic's id in Kafka's form: its 16 bytes in base64 for URLs.
fn written(id: u128) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 22 digits of 6 bits: the last four bits are followed by zeros.
    (0..22)
        .map(|place| if place < 21 { id >> (122 - 6 * place) } else { id << 4 })
        .map(|bits| char::from(DIGITS[(bits & 63) as usize]))
        .collect()
}
