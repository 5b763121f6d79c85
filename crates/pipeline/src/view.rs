//! The view of a run: what the outside is shown of it, each turn of its loop.

use super::message::Written;
use super::partitions::Partitions;
use aggregator::{Live, PartitionState};
use audience::Ms;
use problem::Awaited;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use storage::Ledger;

/// What a run is doing.
#[derive(Debug)]
pub struct View<'a> {
    /// What was read is being committed, and then the run ends.
    pub is_stopping: bool,
    /// The live curve.
    pub live: &'a Live,
    /// The newest commit; 0 before the first.
    pub commit: u64,
    /// All records up to it.
    pub ledger: Ledger,
    /// How much of what was read is on the disk.
    pub durable: &'a Durable,
    /// Bytes read and not yet handed to the writer.
    pub cut_bytes: u64,
    /// Bytes of the events that the watermark has not passed.
    pub held_bytes: u64,
    /// What the writer waits for.
    pub awaited: Option<Awaited>,
    /// Whether records wait until it is known that our clock is right.
    pub doubts_clock: bool,
    /// Since when the brokers are away, if they are.
    pub away_since: Option<Instant>,
    pub(super) of: &'a Partitions,
}

/// What is durable of what was read.
#[derive(Clone, Debug)]
pub struct Durable {
    /// When that was cut which is durable.
    pub at: Instant,
    /// How long it took from there.
    pub took: Duration,
    /// Airings that settled since the start of the process.
    pub airings_settled: u64,
    /// Next offsets of that cut, by index of the partition.
    offsets: BTreeMap<usize, i64>,
}

/// A partition that is read.
#[derive(Clone, Copy, Debug)]
pub struct PartitionView<'a> {
    /// In the order in which the topics' partitions were found.
    pub index: usize,
    /// Its topic.
    pub topic: &'a str,
    /// Its number.
    pub partition: i32,
    /// Next offset to read.
    pub position: i64,
    /// Next offset after what is durable.
    pub durable: i64,
    /// The offset after its last record, as the client last saw it.
    pub high_watermark: Option<i64>,
    /// Its watermark, where anything was heard of it.
    pub watermark: Option<Ms>,
    /// What it is doing, as far as the watermark is concerned.
    pub state: PartitionState,
    /// Whether it is held back for being too far ahead of the others.
    pub is_paused: bool,
}

impl Durable {
    /// A run begins to read.
    pub(super) fn begin() -> Durable {
        Durable { at: Instant::now(), took: Duration::ZERO, airings_settled: 0, offsets: BTreeMap::new() }
    }

    /// What was cut at `cut_at`, up to the offsets `cut_to`, is durable.
    pub(super) fn written(&mut self, written: &Written, cut_at: Instant, cut_to: &[(usize, i64)]) {
        self.offsets.extend(cut_to.iter().copied());
        (self.at, self.took) = (cut_at, cut_at.elapsed());
        self.airings_settled += written.airings as u64;
    }
}

impl View<'_> {
    /// Every partition that is read, by its index.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionView<'_>> {
        self.of.iter().map(|(partition, progress)| {
            let index = partition.index;
            PartitionView {
                index,
                topic: &partition.info.topic,
                partition: partition.info.partition,
                position: progress.map_or(partition.from, |progress| progress.next),
                durable: self.durable.offsets.get(&index).copied().unwrap_or(partition.from),
                high_watermark: progress.and_then(|progress| progress.high),
                watermark: self.of.watermark(index),
                state: self.of.state(index),
                is_paused: self.of.is_paused(index),
            }
        })
    }
}
