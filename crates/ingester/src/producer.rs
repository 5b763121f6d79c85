//! A producer sends records and knows how many arrived: a full queue makes it wait, and nothing is dropped without a
//! word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::{Kafka, KafkaError, KafkaOptions, Notice, Notices, base_config, config_error};

/// Batches of a few ms, compressed, each record once and in order even where an acknowledgement is lost.
const TUNED: [(&str, &str); 9] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "100000"),
    // Some 100 MiB of records wait at most.
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "65536"),
    // The same key goes to the same partition as with the Java client.
    ("partitioner", "murmur2_random"),
];

/// The largest record that librdkafka takes, as a property.
const SIZE_MAX: (&str, &str) = ("message.max.bytes", "1000000000");

/// The queue is looked at again after so long, should a wake-up be missed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Reports of what was given up come as soon as the client's thread turns.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// To this partition.
    Partition(i32),
    /// To the partition of this key, by the Java client's hash.
    Key(&'a [u8]),
    /// Without a key, to any partition.
    Any,
}

/// Sends records to topics. May be used by several threads. What was not flushed when it is dropped is lost.
pub struct Producer {
    inner: ThreadedProducer<Reports>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("sent", &self.sent()).field("delivered", &self.delivered()).finish()
    }
}

/// A record that did not arrive, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failed {
    /// How many records were sent before it.
    pub number: usize,
    /// It, or the batch that it went with, is larger than the topic takes: sent again in the same company it fails
    /// again.
    pub is_too_large: bool,
}

/// What became of the records.
#[derive(Default)]
struct Reports {
    sent: AtomicU64,
    delivered: AtomicU64,
    failed: Mutex<Vec<Failed>>,
    first_failure: OnceLock<String>,
    notices: Notices,
    /// A report makes room in the queue.
    room: (Mutex<()>, Condvar),
}

/// The context that librdkafka's wrapper holds.
impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.notices.log(level as i32, facility, text);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.notices.error(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), reason);
    }
}

impl ProducerContext for Reports {
    /// The number of the record.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.first_failure.get_or_init(|| error.to_string());
                let is_too_large = error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
                let failed = Failed { number, is_too_large };
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
            }
        }
        self.room.1.notify_all();
    }
}

impl Producer {
    /// A producer for `brokers` (`HOST:PORT,…`). It does not wait for them: `send` and `flush` do.
    pub fn connect(brokers: &str, properties: &[(String, String)]) -> Result<Producer, KafkaError> {
        let config = base_config(brokers, properties, &TUNED)?;
        let inner = config.create_with_context(Reports::default()).map_err(config_error)?;
        Ok(Producer { inner })
    }

    /// A producer for topics that must be there: an unknown one is an error at once, and not after a time-out. Waits
    /// for a broker up to `start_timeout`.
    pub fn to_topics(options: &KafkaOptions) -> Result<Producer, KafkaError> {
        drop(Kafka::connect(options.clone())?);
        Producer::of_any_size(options)
    }

    /// A producer whose records may be as large as their topic takes. It does not wait for brokers or look for the
    /// topic.
    pub fn of_any_size(options: &KafkaOptions) -> Result<Producer, KafkaError> {
        let largest = (SIZE_MAX.0.to_owned(), SIZE_MAX.1.to_owned());
        Producer::connect(&options.brokers, &[&options.properties[..], &[largest]].concat())
    }

    /// A producer whose records stand in transactions named `id`; waits up to `timeout` for the broker.
    pub fn transactional(
        brokers: &str,
        properties: &[(String, String)],
        id: &str,
        timeout: Duration,
    ) -> Result<Producer, KafkaError> {
        let named = ("transactional.id".to_owned(), id.to_owned());
        let producer = Producer::connect(brokers, &[properties, &[named]].concat())?;
        producer.inner.init_transactions(timeout).map_err(|error| transaction("starting transactions", &error))?;
        Ok(producer)
    }

    /// Gives a record to the client, which sends it soon. Waits while the client's queue is full. `time_ms` is the
    /// record's time, ms since the Unix epoch; `None` is now.
    pub fn send(
        &self,
        topic: &str,
        target: Target<'_>,
        value: Option<&[u8]>,
        time_ms: Option<i64>,
    ) -> Result<(), KafkaError> {
        self.send_with(topic, target, value, time_ms, &[])
    }

    /// [`Producer::send`] of a record with headers, each a name and a text.
    pub fn send_with(
        &self,
        topic: &str,
        target: Target<'_>,
        value: Option<&[u8]>,
        time_ms: Option<i64>,
        headers: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        let reports = self.reports();
        let number = reports.sent.fetch_add(1, Ordering::Relaxed);
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let mut record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(topic, number);
        match target {
            Target::Partition(partition) => record = record.partition(partition),
            Target::Key(key) => record = record.key(key),
            Target::Any => {}
        }
        if !headers.is_empty() {
            let add = |all: OwnedHeaders, (key, value): &(&str, &str)| all.insert(Header { key, value: Some(*value) });
            let empty = OwnedHeaders::new_with_capacity(headers.len());
            record = record.headers(headers.iter().fold(empty, add));
        }
        (record.payload, record.timestamp) = (value, time_ms);
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    let (lock, room) = &reports.room;
                    let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    drop(room.wait_timeout(guard, LOOK_AGAIN));
                }
                Err((error, _)) => {
                    reports.sent.fetch_sub(1, Ordering::Relaxed);
                    return Err(KafkaError::Send { topic: topic.to_owned(), reason: error.to_string() });
                }
            }
        }
    }

    /// Waits until all records have arrived.
    ///
    /// # Errors
    /// [`KafkaError::Undelivered`] where the broker refused any record since the producer was made, or has not
    /// acknowledged all of them after `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        let flushed = self.inner.flush(timeout);
        let (sent, delivered) = (self.sent(), self.delivered());
        let reason = match (flushed, self.reports().first_failure.get()) {
            (_, Some(reason)) => reason.clone(),
            (Err(error), None) => self.reports().notices.last().unwrap_or_else(|| error.to_string()),
            (Ok(()), None) => return Ok(()),
        };
        Err(KafkaError::Undelivered { lost: sent.saturating_sub(delivered), sent, reason })
    }

    /// Gives up on what has not arrived, and tells which records those are, in order. What was on its way may have
    /// arrived all the same. After it, a producer is of no more use.
    pub fn give_up(&self) -> Vec<Failed> {
        self.inner.purge(PurgeConfig::default().queue().inflight());
        // Each record has its report then.
        let _ = self.inner.flush(GIVE_UP);
        let mut failed = std::mem::take(&mut *self.reports().failed.lock().unwrap_or_else(PoisonError::into_inner));
        failed.sort_unstable();
        failed
    }

    /// Records that were taken by `send`.
    pub fn sent(&self) -> u64 {
        self.reports().sent.load(Ordering::Relaxed)
    }

    /// Records that the broker has acknowledged.
    pub fn delivered(&self) -> u64 {
        self.reports().delivered.load(Ordering::Relaxed)
    }

    /// What happened to the client since this was last called.
    pub fn notices(&self) -> Vec<Notice> {
        self.reports().notices.take()
    }

    /// Opens a transaction.
    pub fn begin(&self) -> Result<(), KafkaError> {
        self.inner.begin_transaction().map_err(|error| transaction("opening a transaction", &error))
    }

    /// Commits the open transaction; its records are there for readers of committed ones.
    pub fn commit(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.inner.commit_transaction(timeout).map_err(|error| transaction("committing a transaction", &error))
    }

    /// Aborts the open transaction; its records never happened.
    pub fn abort(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.inner.abort_transaction(timeout).map_err(|error| transaction("aborting a transaction", &error))
    }

    fn reports(&self) -> &Reports {
        self.inner.client().context()
    }
}

fn transaction(asked: &str, error: &ClientError) -> KafkaError {
    KafkaError::Unanswered { asked: asked.to_owned(), reason: error.to_string() }
}

/// Makes a topic of `partitions` partitions with the broker's default replication and these topic settings (such as
/// `cleanup.policy`). `false` where the topic was there already; it is left as it is then.
///
/// A broker deletes by the records' own time, so records of last year are gone within minutes without `retention.ms` =
/// −1.
pub fn create_topic(
    brokers: &str,
    properties: &[(String, String)],
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
    timeout: Duration,
) -> Result<bool, KafkaError> {
    let config = base_config(brokers, properties, &[])?;
    crate::kafka::create_topic(&config, name, partitions, settings, timeout).map_err(|reason| KafkaError::CreateTopic {
        topic: name.to_owned(),
        brokers: brokers.to_owned(),
        reason,
    })
}
