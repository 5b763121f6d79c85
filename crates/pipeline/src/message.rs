//! Messages: what the threads of a run hand each other. Lanes, finder and writer tell the owner what happened; the
//! owner asks the lanes, and gives the writer its work.

use super::clock::Doubt;
use super::letters::Letter;
use super::misfit::Misfit;
use aggregator::{Changes, Directives, Frontier, FrozenLane, Gathered, Live};
use audience::{Details, MinuteRow, Ms};
use exporter::{LoggedEvent, PartitionLane, RejectedRow};
use ingester::kafka::{Notice, PartitionInfo};
use problem::Problem;
use settling::Settle;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use storage::{Ledger, OffsetGap};

/// What can happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// A lane gathered what the watermark has passed.
    Gathered(Gathered),
    /// A lane applied it.
    Closed(Changes),
    /// A lane handed over what it has read.
    Cut(Box<Cut>),
    /// A client says something.
    Notice(Notice),
    /// The writer is done with what it was given.
    Written(Result<Box<Written>, Problem>),
    /// The broker told what has become of the topics.
    Answered,
    /// A partition was added.
    Added(Added),
    /// Most of the first records of this partition are rejected: of so many read so many.
    Misfit(usize, Misfit, (u64, u64)),
    /// A lane cannot go on, or a topic is not there any more.
    Failed(Problem),
}

/// What the owner asks of a lane.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Hand over what the watermark has passed.
    Gather(Ms),
    /// Apply it.
    Close(Arc<Directives>),
    /// Read nothing until the next cut.
    Stand,
    /// Hand over what was read since the last cut, and, where it is asked for, the live state frozen there.
    Cut { freeze: bool },
    /// Stop reading these partitions for now.
    Pause(Vec<usize>),
    /// Read them again.
    Resume(Vec<usize>),
    /// One more partition, from an offset, and up to another where there is an end.
    Add(Box<Partition>),
    /// Events of these broadcasts before these instants come too late for their airing.
    Frontiers(Arc<Vec<(u32, Frontier)>>),
    /// The key of this broadcast is destroyed.
    Forget(Arc<str>),
}

/// A partition as it is read.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) index: usize,
    pub(super) info: PartitionInfo,
    /// Id of its topic, where the broker tells one.
    pub(super) topic_id: Option<Arc<str>>,
    /// What is gone before `from`: accepted as lost, or its beginning.
    pub(super) gap: Option<OffsetGap>,
    /// The first offset to read.
    pub(super) from: i64,
    /// With `--until-end`: the first offset not to read.
    pub(super) until: Option<i64>,
    /// Number of its topic in the list of sources.
    pub(super) source: u32,
}

/// A partition that was added.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) index: usize,
    pub(super) info: PartitionInfo,
    /// Its first offset.
    pub(super) from: i64,
    pub(super) topic_id: Option<Arc<str>>,
}

/// How far a lane is; the owner looks at it at any time.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneProgress {
    /// By index of the partition.
    pub(super) partitions: BTreeMap<usize, Progress>,
    /// Bytes that the lane holds since the last cut.
    pub(super) cut_bytes: usize,
    /// Bytes of the events that the watermark has not passed.
    pub(super) held_bytes: usize,
    /// Why it reads no further, where it waits for our clock.
    pub(super) doubt: Option<Doubt>,
}

/// How far a partition has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) next: i64,
    /// Greatest of min(`ts`, record's time, our clock) of its accepted events.
    pub(super) heard: Option<Ms>,
    /// `ts` of its first accepted event in this process.
    pub(super) event_at_first: Option<Ms>,
    /// The client has reported its end, and nothing came since.
    pub(super) is_at_end: bool,
    /// The offset after its last record, committed or not, as the client last saw it. Where it lies beyond the end, a
    /// transaction is open.
    pub(super) high: Option<i64>,
    /// It has been read up to its target.
    pub(super) is_done: bool,
    /// When something last came of it.
    pub(super) last_at: Instant,
}

/// What a lane has read since the last cut.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) events: Vec<LoggedEvent>,
    pub(super) details: Details,
    pub(super) rejected: Vec<RejectedRow>,
    /// The rejected records whole, where a topic takes them.
    pub(super) letters: Vec<Letter>,
    /// By index of the partition.
    pub(super) partitions: BTreeMap<usize, Taken>,
    /// The lane's live state.
    pub(super) frozen: Option<FrozenLane>,
    /// Bytes of it, but for `details`.
    pub(super) bytes: usize,
}

/// What was read of one partition since the last cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) to: i64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// `ts` of the first and the last accepted event.
    pub(super) event_at_first: Option<Ms>,
    pub(super) event_at_last: Option<Ms>,
    pub(super) event_at_max: Option<Ms>,
    pub(super) record_at_max: Option<Ms>,
    pub(super) record_at_last: Option<Ms>,
}

/// The live state at a cut.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) lanes: Vec<FrozenLane>,
    pub(super) live: Live,
    pub(super) watermark: Option<Ms>,
    pub(super) partitions: Vec<PartitionLane>,
}

impl Frozen {
    /// What the lanes froze with their cuts, and their owner's part. `None` where a lane could not, or was not asked
    /// to.
    pub(super) fn of(
        cuts: &mut [Cut],
        live: &Live,
        watermark: Option<Ms>,
        partitions: &BTreeMap<usize, Partition>,
    ) -> Option<Frozen> {
        let count = cuts.len();
        // Each lane has a partition, which tells its number; the cuts come in any order.
        let lane_of = |cut: &Cut| cut.partitions.keys().next().map(|index| index % count);
        let mut lanes = BTreeMap::new();
        for cut in cuts {
            lanes.insert(lane_of(cut)?, cut.frozen.take()?);
        }
        let partitions = partitions.iter().map(|(index, partition)| PartitionLane {
            topic: partition.info.topic.to_string(),
            partition: partition.info.partition,
            lane: index % count,
        });
        let lanes: Vec<FrozenLane> = lanes.into_values().collect();
        (lanes.len() == count).then(|| Frozen {
            lanes,
            live: live.clone(),
            watermark,
            partitions: partitions.collect(),
        })
    }
}

/// What the owner gives the writer at a cut.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) cuts: Vec<Cut>,
    /// Live minutes that closed.
    pub(super) live: Vec<MinuteRow>,
    /// The watermark of the live curve.
    pub(super) watermark: Option<Ms>,
    /// Leaves that came since the last cut for sessions which a silence had closed.
    pub(super) silenced: u64,
    pub(super) partitions: BTreeMap<usize, PartitionAtCut>,
    pub(super) settle: Option<Settle>,
    /// Where nothing was read, say how far the watermark is: it may have run on with the clock.
    pub(super) tells_time: bool,
    /// The live state at this cut, for a snapshot.
    pub(super) frozen: Option<Frozen>,
    /// Nothing comes after it: the snapshot is waited for.
    pub(super) is_last: bool,
}

impl Work {
    /// Whether there is no row in it.
    pub(super) fn is_empty(&self) -> bool {
        let nothing = |cut: &Cut| cut.events.is_empty() && cut.rejected.is_empty();
        self.live.is_empty() && self.cuts.iter().all(nothing)
    }
}

/// A partition at a cut, as the owner sees it.
#[derive(Clone, Debug)]
pub(super) struct PartitionAtCut {
    pub(super) info: PartitionInfo,
    pub(super) topic_id: Option<Arc<str>>,
    /// What was lost before `start`.
    pub(super) gap: Option<OffsetGap>,
    /// Where reading began in this process.
    pub(super) start: i64,
    pub(super) watermark: Option<Ms>,
    pub(super) is_idle: bool,
}

/// What the writer tells the owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// The newest commit.
    pub(super) commit: u64,
    pub(super) ledger: Ledger,
    /// Airings that settled with it.
    pub(super) airings: usize,
    /// The next cut is to be frozen.
    pub(super) is_snapshot_due: bool,
    /// Frontiers that an operator's settling has set, by number of the broadcast.
    pub(super) frontiers: Vec<(u32, Frontier)>,
    /// Broadcasts whose keys are forgotten.
    pub(super) forgotten: Vec<Arc<str>>,
}
