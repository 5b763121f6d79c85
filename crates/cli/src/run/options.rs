//! The options of a run, of a replay and of an operator's request: plain values, each already checked. Where they were
//! said, and how to say them otherwise, is known to whoever made them.

use aggregator::Rules;
use audience::Ms;
use ingester::kafka::KafkaOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::KeyOptions;

/// What to do, with what, and how much of it. Durations are ms, `>= 0`.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The brokers, which a run needs, and librdkafka's properties; the topics are named by whoever asks.
    pub(crate) kafka: KafkaOptions,
    /// Topics; a run has one at least.
    pub(crate) topic: Vec<String>,
    /// The data directory: a local path or an object-store URL.
    pub(crate) out: String,
    /// `>= 1`.
    pub(crate) commit_interval_ms: Ms,
    /// `>= 1,000`.
    pub(crate) commit_bytes: u64,
    /// Least time between two settling commits.
    pub(crate) settle_interval_ms: Ms,
    /// How long events are kept after they settled; `None` for ever.
    pub(crate) keep_events_ms: Option<Ms>,
    /// How long live minutes are kept after they settled; `None` for ever.
    pub(crate) keep_live_ms: Option<Ms>,
    /// How long rejected events are kept; `None` for ever.
    pub(crate) rejected_keep_ms: Option<Ms>,
    /// Names of the tables that a replay writes, without repeats.
    pub(crate) tables: Vec<String>,
    /// Where rejected records go, besides the table.
    pub(crate) rejected_topic: Option<String>,
    /// Stop at the first rejected event.
    pub(crate) strict: bool,
    /// By which sessions and airings are told apart.
    pub(crate) rules: Rules,
    /// How far ahead of our clock an event may be.
    pub(crate) future_max_ms: Ms,
    /// How long the live view waits.
    pub(crate) lateness_ms: Ms,
    /// When a silent partition is idle.
    pub(crate) idle_after_ms: Ms,
    /// `>= 1,000`.
    pub(crate) max_drift_ms: Ms,
    /// Whether the bytes of rejected events are left out.
    pub(crate) rejected_redact: bool,
    /// The keys of the pseudonyms.
    pub(crate) keys: KeyOptions,
    /// `>= 1 MiB`.
    pub(crate) memory_bytes: u64,
    /// Threads that count, `>= 1`.
    pub(crate) lanes: usize,
    /// What the data depend on, by name, as it was written: each commit repeats it.
    pub(crate) recorded: BTreeMap<String, String>,
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
pub(crate) struct How {
    /// Read to where the partitions end now, and settle all.
    pub(crate) until_end: bool,
    /// Go on behind offsets that are gone.
    pub(crate) accept_gap: bool,
}
