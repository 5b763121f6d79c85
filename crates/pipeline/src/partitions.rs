//! The partitions of a run: how far each is read, what it does, and what follows from that for the watermark and for
//! those that are ahead of it.

use super::hold::Hold;
use super::message::{Added, Partition, PartitionAtCut, Progress};
use super::said::Said;
use aggregator::{Gap, PartitionState, Watermarks, Why};
use audience::{Ms, duration};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use storage::OffsetGap;

/// How long a transaction is open before it is named.
const NAME_AFTER: Duration = Duration::from_secs(3);

/// What the owner knows of its partitions.
#[derive(Debug)]
pub(super) struct Partitions {
    partitions: BTreeMap<usize, Partition>,
    progress: BTreeMap<usize, Progress>,
    watermarks: Watermarks,
    /// Those that are held back.
    paused: Vec<usize>,
    hold: Hold,
    /// What was lost of the input, each with its partition where that is read.
    gaps: Vec<(Option<usize>, Gap)>,
    /// Since when a transaction seems open, by index of the partition.
    open_since: BTreeMap<usize, Instant>,
}

impl Partitions {
    /// Partitions of which nothing has been read yet.
    pub(super) fn new(
        partitions: BTreeMap<usize, Partition>,
        watermarks: Watermarks,
        gaps: Vec<(Option<usize>, Gap)>,
    ) -> Partitions {
        Partitions {
            partitions,
            progress: BTreeMap::new(),
            watermarks,
            paused: Vec::new(),
            hold: Hold::default(),
            gaps,
            open_since: BTreeMap::new(),
        }
    }

    /// The partitions, by index.
    pub(super) fn all(&self) -> &BTreeMap<usize, Partition> {
        &self.partitions
    }

    /// Each partition with how far it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Partition, Option<&Progress>)> {
        self.partitions.iter().map(|(index, partition)| (partition, self.progress.get(index)))
    }

    /// The watermark of a partition.
    pub(super) fn watermark(&self, index: usize) -> Option<Ms> {
        self.watermarks.of(index)
    }

    /// What a partition is doing.
    pub(super) fn state(&self, index: usize) -> PartitionState {
        self.watermarks.state(index)
    }

    /// Whether a partition is held back.
    pub(super) fn is_paused(&self, index: usize) -> bool {
        self.paused.contains(&index)
    }

    /// The watermark over all of them.
    pub(super) fn least(&mut self) -> Option<Ms> {
        self.watermarks.least()
    }

    /// Takes in how far the lanes are, and sees what each partition is doing. One that is silent for `idle_after` is
    /// idle; with `--until-end` it is where its end is reached.
    pub(super) fn look(
        &mut self,
        progress: impl Iterator<Item = (usize, Progress)>,
        idle_after: Duration,
        is_until_end: bool,
    ) {
        let now = Instant::now();
        self.progress.extend(progress);
        for (index, progress) in &self.progress {
            if let Some(heard) = progress.heard {
                self.watermarks.heard(*index, heard, None, Ms::MAX);
            }
            let is_open = progress.is_at_end && progress.high.is_some_and(|high| high > progress.next);
            let is_quiet = now.duration_since(progress.last_at) >= idle_after;
            let state = match progress {
                _ if progress.is_done => PartitionState::Idle,
                _ if is_until_end && progress.is_at_end && !is_open => PartitionState::Idle,
                _ if is_open => PartitionState::OpenTransaction,
                // Of one that is held back nobody knows whether it is silent.
                Progress { is_at_end: true, .. } if is_quiet && !self.paused.contains(index) => PartitionState::Idle,
                Progress { heard: None, .. } if self.watermarks.of(*index).is_none() => PartitionState::Unread,
                _ => PartitionState::Reading,
            };
            self.watermarks.set(*index, state);
        }
    }

    /// Time goes on by so many ms, also where nothing is read.
    pub(super) fn run_on(&mut self, elapsed: Ms) {
        self.watermarks.run_on(elapsed);
    }

    /// Whether anything came of any partition after `since`.
    pub(super) fn is_heard_since(&self, since: Instant) -> bool {
        self.progress.values().any(|progress| progress.last_at > since)
    }

    /// All gaps, if there is news of one: a gap's end is known once an event has come after it.
    pub(super) fn hear_gaps(&mut self) -> Option<Vec<Gap>> {
        let mut is_news = false;
        for (index, gap) in self.gaps.iter_mut().filter(|(_, gap)| gap.after.is_none()) {
            gap.after = index.and_then(|index| self.progress.get(&index)?.event_at_first);
            is_news |= gap.after.is_some();
        }
        is_news.then(|| self.gaps())
    }

    /// All gaps.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        self.gaps.iter().map(|(_, gap)| *gap).collect()
    }

    /// A sentence on those that hold the watermark: an open transaction is waited for, and what is on its way looks
    /// like one for an instant; so is a partition of which nothing was read, where `names_unread`: soon after the start
    /// that is no news.
    pub(super) fn holders(&mut self, names_unread: bool) -> Option<String> {
        let now = Instant::now();
        let watermarks = &self.watermarks;
        let is_open = |index: usize| watermarks.state(index) == PartitionState::OpenTransaction;
        self.open_since.retain(|index, _| is_open(*index));
        for index in self.progress.keys().filter(|index| is_open(**index)) {
            self.open_since.entry(*index).or_insert(now);
        }
        let is_long = |since: Instant| now.duration_since(since) >= NAME_AFTER;
        let names = |indices: Vec<usize>| -> Vec<String> {
            indices.iter().filter_map(|index| self.partitions.get(index)).map(name).collect()
        };
        let open = self.open_since.iter().filter(|(_, since)| is_long(**since)).map(|(index, _)| *index);
        let open = names(open.collect());
        let unread =
            watermarks.holders().into_iter().filter(|holder| holder.why == Why::Unread).map(|holder| holder.partition);
        let unread = names(unread.collect());
        if !open.is_empty() {
            Some(format!("Waiting for an open transaction in {}.", open.join(", ")))
        } else if !unread.is_empty() && names_unread {
            Some(format!("The live curve waits for {}, of which nothing could be read yet.", unread.join(", ")))
        } else {
            None
        }
    }

    /// With `--until-end`: whether all are read up to their targets.
    pub(super) fn is_at_end(&self) -> bool {
        self.partitions.keys().all(|index| self.progress.get(index).is_some_and(|progress| progress.is_done))
    }

    /// One more, of the source `source`, which is read from its beginning. It holds the watermark from now on.
    pub(super) fn add(&mut self, added: Added, source: u32) -> &Partition {
        let Added { index, info, from, topic_id } = added;
        self.watermarks.add(None);
        let gap = (from > 0).then(|| OffsetGap { to: from, beginning: true, ..OffsetGap::default() });
        self.gaps.extend(gap.iter().map(|_| (Some(index), Gap { before: None, after: None, is_beginning: true })));
        let partition = Partition { index, info, topic_id, gap, from, until: None, source };
        self.partitions.entry(index).insert_entry(partition).into_mut()
    }

    /// Which to pause for being too far ahead, and which to resume, where the held events take `held` bytes of `most`:
    /// see [`Hold`].
    pub(super) fn hold_back(&mut self, held: u64, most: u64, least: Ms, drift_max: Ms) -> (Vec<usize>, Vec<usize>) {
        let watermarks = &self.watermarks;
        self.hold.learn(held, most, least, || watermarks.spread());
        let is_done = |index: usize| self.progress.get(&index).is_some_and(|progress| progress.is_done);
        let mut far = watermarks.far_ahead(self.hold.drift(drift_max));
        far.retain(|index| !is_done(*index));
        let moves = Hold::moves(&far, &self.paused, is_done);
        self.paused = far;
        moves
    }

    /// How each stands, for a commit.
    pub(super) fn standings(&self) -> BTreeMap<usize, PartitionAtCut> {
        let standing = |(index, partition): (&usize, &Partition)| {
            let standing = PartitionAtCut {
                info: partition.info.clone(),
                topic_id: partition.topic_id.clone(),
                gap: partition.gap.clone(),
                start: partition.from,
                watermark: self.watermarks.of(*index),
                is_idle: self.watermarks.state(*index) == PartitionState::Idle,
            };
            (*index, standing)
        };
        self.partitions.iter().map(standing).collect()
    }
}

/// What there is to say of partitions that have lost their beginning before they were first read.
pub(super) fn lost_beginnings<'a>(begun: impl Iterator<Item = &'a Partition>, idle: Ms) -> Option<Said> {
    const NAMED: usize = 8;
    let lost: Vec<String> = begun.map(|one| format!("{} [0, {})", name(one), one.from)).collect();
    let more = match lost.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = lost.get(..NAMED).unwrap_or(&lost).join(", ");
    (!lost.is_empty()).then(|| {
        Said::Warning(format!(
            "The broker no longer has the beginning of {named}{more}, so it could not be read. That is recorded as a gap: an airing may have \
             begun in it, and no minute of it is complete, where its first event comes less than broadcast_idle ({}) after the first that \
             is left.",
            duration::write(idle)
        ))
    })
}

/// A partition as log lines call it.
pub(super) fn name(partition: &Partition) -> String {
    format!("{}/{}", partition.info.topic, partition.info.partition)
}
