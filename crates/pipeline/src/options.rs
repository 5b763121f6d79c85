//! The options of a run, of a replay and of an operator's request: plain values, each already checked, but for the
//! key file, which not all of them need. Where they were said, and how to say them otherwise, is known to whoever made
//! them.

use aggregator::Rules;
use audience::Ms;
use ingester::kafka::KafkaOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::KeyOptions;

/// What to do, with what, and how much of it. Durations are ms, `>= 0`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The brokers, which a run needs, and librdkafka's properties; the topics are named by whoever asks.
    pub kafka: KafkaOptions,
    /// Topics; a run has one at least.
    pub topic: Vec<String>,
    /// The data directory: a local path or an object-store URL.
    pub out: String,
    /// `>= 1`.
    pub commit_interval_ms: Ms,
    /// `>= 1,000`.
    pub commit_bytes: u64,
    /// Least time between two settling commits.
    pub settle_interval_ms: Ms,
    /// How long events are kept after they settled; `None` for ever.
    pub keep_events_ms: Option<Ms>,
    /// How long live minutes are kept after they settled; `None` for ever.
    pub keep_live_ms: Option<Ms>,
    /// How long rejected events are kept; `None` for ever.
    pub rejected_keep_ms: Option<Ms>,
    /// Names of the tables that a replay writes, without repeats.
    pub tables: Vec<String>,
    /// Where rejected records go, besides the table.
    pub rejected_topic: Option<String>,
    /// Stop at the first rejected event.
    pub strict: bool,
    /// By which sessions and airings are told apart.
    pub rules: Rules,
    /// How far ahead of our clock an event may be.
    pub future_max_ms: Ms,
    /// How long the live view waits.
    pub lateness_ms: Ms,
    /// When a silent partition is idle.
    pub idle_after_ms: Ms,
    /// `>= 1,000`.
    pub max_drift_ms: Ms,
    /// Whether the bytes of rejected events are left out.
    pub rejected_redact: bool,
    /// The keys of the pseudonyms.
    pub keys: KeyOptions,
    /// `>= 1 MiB`.
    pub memory_bytes: u64,
    /// Threads that count, `>= 1`.
    pub lanes: usize,
    /// What the data depend on, by name, as it was written: each commit repeats it.
    pub recorded: BTreeMap<String, String>,
}

impl Options {
    /// How to reach these topics.
    pub(super) fn kafka_of(&self, topics: &[Arc<str>]) -> KafkaOptions {
        KafkaOptions { topics: topics.iter().map(ToString::to_string).collect(), ..self.kafka.clone() }
    }

    /// The topics by their numbers, in the order of their names: what the log calls its sources.
    pub(super) fn sources(&self) -> Vec<Arc<str>> {
        let mut topics: Vec<&str> = self.topic.iter().map(String::as_str).collect();
        topics.sort_unstable();
        topics.dedup();
        topics.into_iter().map(Arc::from).collect()
    }

    /// The number of a topic.
    pub(super) fn source_of(&self, topic: &str) -> u32 {
        let place = self.sources().iter().position(|known| **known == *topic).unwrap_or(0);
        u32::try_from(place).unwrap_or(0)
    }
}

/// What a run is asked to do besides reading on.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Read to where the partitions end now, and settle all.
    pub until_end: bool,
    /// Go on behind offsets that are gone.
    pub accept_gap: bool,
    /// Our clock is right, whatever the records say.
    pub accept_clock: bool,
}
