//! The status of a run: what it is doing, as plain values, and what follows from them for those who ask whether it
//! lives and is ready.

use aggregator::PartitionState;
use audience::Ms;
use serde::{Serialize, Serializer};
use std::time::{Duration, Instant};
use storage::Ledger;

/// A loop that was not heard of for so long hangs.
const ALIVE_WITHIN: Duration = Duration::from_secs(30);
/// A commit may take so many intervals before the run is called behind.
const INTERVALS: u32 = 3;
/// No run is called behind before this, however short its interval.
const BEHIND_AFTER: Duration = Duration::from_secs(30);

/// Where a run is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It asks the brokers, takes the directory over, and brings the live curve to where the last commit left it.
    Starting,
    /// It reads.
    Running,
    /// It commits what it has read, and ends.
    Stopping,
}

/// What a run waits for and cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The brokers are away.
    Broker,
    /// There is no room on the disk.
    Room,
    /// The object store is away, or has no time.
    Store,
    /// The topic of rejected records takes nothing.
    RejectedTopic,
    /// Our clock may be wrong.
    Clock,
}

impl Waiting {
    /// All, each with its word in the metrics.
    pub(crate) const LABELS: [(Waiting, &str); 5] = [
        (Waiting::Broker, "broker"),
        (Waiting::Room, "disk"),
        (Waiting::Store, "store"),
        (Waiting::RejectedTopic, "rejected_topic"),
        (Waiting::Clock, "clock"),
    ];

    /// As a noun.
    pub fn words(self) -> &'static str {
        match self {
            Waiting::Broker => "the broker",
            Waiting::Room => "room on the disk",
            Waiting::Store => "the object store",
            Waiting::RejectedTopic => "the topic of rejected records",
            Waiting::Clock => "the clock",
        }
    }
}

impl Serialize for Waiting {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.words())
    }
}

/// What a run is doing.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of the product.
    pub version: String,
    /// Where it is.
    pub phase: Phase,
    /// The data directory, as it was given.
    pub data_directory: String,
    /// What it waits for. Empty where all is well.
    pub waits_for: Vec<Waiting>,
    /// The newest commit.
    pub commit: CommitStatus,
    /// All records up to that commit.
    pub ledger: Ledger,
    /// The live curve.
    pub live: LiveCurve,
    /// Every partition that is read.
    pub partitions: Vec<PartitionStatus>,
    /// When the loop of the run said this.
    #[serde(skip)]
    pub told_at: Instant,
}

/// The newest commit.
#[derive(Clone, Debug, Serialize)]
pub struct CommitStatus {
    /// Its number; 0 before the first.
    pub number: u64,
    /// When that was read which is durable now: all before it is on the disk.
    #[serde(skip)]
    pub durable_at: Instant,
    /// `commit_interval`.
    #[serde(rename = "interval_ms", serialize_with = "as_ms")]
    pub interval: Duration,
    /// How long it took from the cut until it was durable; with what settled after it.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
    /// Airings that settled since the start of the process.
    pub airings_settled: u64,
}

/// The live curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveCurve {
    /// The watermark over all partitions, ms since the Unix epoch.
    pub watermark: Option<Ms>,
    /// Open sessions at the watermark.
    pub sessions_open: i64,
    /// Distinct viewers with an open session at the watermark, those of each broadcast.
    pub distinct_open: i64,
    /// Broadcasts with an airing that is not over.
    pub broadcasts: u64,
    /// Bytes read and not yet handed to the writer.
    pub uncommitted_bytes: u64,
    /// Bytes of the events that the watermark has not passed.
    pub held_bytes: u64,
}

/// A partition that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Next offset to read.
    pub position: i64,
    /// Next offset after what is committed.
    pub durable: i64,
    /// The offset after its last record, as the client last saw it.
    pub high_watermark: Option<i64>,
    /// Its watermark, ms since the Unix epoch.
    pub watermark: Option<Ms>,
    /// What it is doing, as far as the watermark is concerned.
    #[serde(serialize_with = "as_word")]
    pub state: PartitionState,
    /// Whether it is held back for being too far ahead of the others.
    pub paused: bool,
}

impl PartitionStatus {
    /// Records that are in Kafka and not yet read. A client's high watermark may be behind what it has read: that is no
    /// lag.
    pub fn lag(&self) -> Option<i64> {
        self.high_watermark.map(|high| (high - self.position).max(0))
    }

    /// Records that are in Kafka and not yet durable here.
    pub fn durable_lag(&self) -> Option<i64> {
        self.high_watermark.map(|high| (high.max(self.position) - self.durable).max(0))
    }
}

impl Status {
    /// Why the run is to be started anew: its loop hangs. A start may take as long as it takes.
    pub fn not_alive(&self, now: Instant) -> Option<String> {
        let silent = now.duration_since(self.told_at);
        (self.phase != Phase::Starting && silent > ALIVE_WITHIN)
            .then(|| format!("the loop was not heard of for {} s", silent.as_secs()))
    }

    /// Why its numbers are not up to date, each reason a phrase; none where it is ready.
    pub fn not_ready(&self, now: Instant) -> Vec<String> {
        let mut why: Vec<String> = self.not_alive(now).into_iter().collect();
        match self.phase {
            Phase::Starting => why.push("it is starting".to_owned()),
            Phase::Stopping => why.push("it is stopping".to_owned()),
            Phase::Running => {
                let age = now.duration_since(self.commit.durable_at);
                if age > BEHIND_AFTER.max(self.commit.interval * INTERVALS) {
                    why.push(format!("what was read {} s ago is not durable yet", age.as_secs()));
                }
            }
        }
        why.extend(self.waits_for.iter().map(|what| format!("it waits for {}", what.words())));
        why
    }
}

fn as_ms<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn as_word<S: Serializer>(state: &PartitionState, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match state {
        PartitionState::Reading => "reading",
        PartitionState::Idle => "idle",
        PartitionState::Unread => "unread",
        PartitionState::OpenTransaction => "open_transaction",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn status(now: Instant) -> Status {
        Status {
            version: "1.2.3".to_owned(),
            phase: Phase::Running,
            data_directory: "audience".to_owned(),
            waits_for: Vec::new(),
            commit: CommitStatus {
                number: 7,
                durable_at: now,
                interval: Duration::from_secs(20),
                took: Duration::from_millis(150),
                airings_settled: 2,
            },
            ledger: Ledger { read: 10, accepted: 9, rejected: 1, applied: 4, not_yet_settled: 5, ..Ledger::default() },
            live: LiveCurve {
                watermark: Some(1_459_711_860_007),
                sessions_open: 81_000,
                distinct_open: 79_500,
                broadcasts: 1,
                uncommitted_bytes: 0,
                held_bytes: 0,
            },
            partitions: vec![PartitionStatus {
                topic: "audience".to_owned(),
                partition: 3,
                position: 120,
                durable: 100,
                high_watermark: Some(150),
                watermark: None,
                state: PartitionState::Reading,
                paused: true,
            }],
            told_at: now,
        }
    }

    #[test]
    fn a_run_is_ready_while_it_keeps_up() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(status(now).not_ready(later(1)), Vec::<String>::new());
        let told = |at| Status { told_at: at, ..status(now) };
        assert_eq!(told(later(60)).not_ready(later(60)), Vec::<String>::new());
        assert_eq!(told(later(61)).not_ready(later(61)), ["what was read 61 s ago is not durable yet"]);
        let starting = Status { phase: Phase::Starting, ..status(now) };
        assert_eq!(
            (starting.not_alive(later(900)), starting.not_ready(now)),
            (None, vec!["it is starting".to_owned()])
        );
        let stopping = Status { phase: Phase::Stopping, ..status(now) };
        assert_eq!(stopping.not_ready(now), ["it is stopping"]);
        let waiting = Status { waits_for: vec![Waiting::Broker], ..status(now) };
        assert_eq!(waiting.not_ready(now), ["it waits for the broker"]);
    }

    #[test]
    fn a_loop_that_says_nothing_hangs() {
        let now = Instant::now();
        assert_eq!(status(now).not_alive(now + Duration::from_secs(30)), None);
        let why = status(now).not_alive(now + Duration::from_secs(31));
        assert_eq!(why.as_deref(), Some("the loop was not heard of for 31 s"));
    }

    #[test]
    fn lag_is_never_below_zero() {
        let partition = |position, durable, high| PartitionStatus {
            position,
            durable,
            high_watermark: high,
            ..PartitionStatus::default()
        };
        let lags = |partition: PartitionStatus| (partition.lag(), partition.durable_lag());
        assert_eq!(lags(partition(120, 100, Some(150))), (Some(30), Some(50)));
        assert_eq!(lags(partition(120, 100, Some(90))), (Some(0), Some(20)));
        assert_eq!(lags(partition(120, 120, Some(90))), (Some(0), Some(0)));
        assert_eq!(lags(partition(0, 0, None)), (None, None));
    }
}
