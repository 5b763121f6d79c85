//! The flows of the broadcasts that settle together: the ±1 of their airings, in memory up to a budget, and beyond it
//! in sorted stretches on the disk, until their curves are read.

use crate::lock::lock;
use crate::{Numbers, NumbersMerge, Section, SpillError};
use aggregator::{Airings, Completeness, Flow, Gaps, Part, Shard, Stretches};
use problem::Problem;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Adds up flows that come from several threads.
#[derive(Debug)]
pub(super) struct Flows<'a> {
    /// By place of the broadcast.
    broadcasts: Vec<Mutex<Held>>,
    /// Bytes of changes in memory.
    held: AtomicUsize,
    budget: usize,
    folder: &'a Path,
    spill: Mutex<Option<Numbers>>,
}

/// The flows of one broadcast.
#[derive(Debug, Default)]
struct Held {
    part: Part,
    /// By place of the airing: where those of its changes are that are not in memory, each section sorted. Empty where
    /// all are.
    spilled: Vec<Vec<Section>>,
}

impl<'a> Flows<'a> {
    /// Keeps at most about `budget` bytes of changes of `broadcasts` in memory, and spills the rest to a file in
    /// `folder`.
    pub(super) fn new(broadcasts: &[Airings], gaps: &Gaps, budget: usize, folder: &'a Path) -> Flows<'a> {
        let held = |airings| Mutex::new(Held { part: Part::new(airings, gaps), spilled: Vec::new() });
        let broadcasts = broadcasts.iter().map(held).collect();
        Flows { broadcasts, held: AtomicUsize::new(0), budget, folder, spill: Mutex::default() }
    }

    /// Takes what `shard` has gained of the broadcast at `place`.
    pub(super) fn take(&self, place: usize, shard: &mut Shard<'_>) -> Result<(), Problem> {
        let bytes = shard.bytes();
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        shard.add_to(&mut lock(&self.broadcasts[place]).part);
        if held > self.budget { self.spill() } else { Ok(()) }
    }

    /// Writes all changes that are held. Others wait here, so the memory stays bounded.
    fn spill(&self) -> Result<(), Problem> {
        let mut spill = lock(&self.spill);
        if self.held.load(Ordering::Relaxed) <= self.budget {
            return Ok(());
        }
        let numbers = match &mut *spill {
            Some(numbers) => numbers,
            none => none.insert(Numbers::create(self.folder)?),
        };
        for broadcast in &self.broadcasts {
            let Held { part, spilled } = &mut *lock(broadcast);
            spilled.resize_with(part.flows.len(), Vec::new);
            for (flow, spilled) in part.flows.iter_mut().zip(spilled) {
                let bytes = flow.bytes();
                if bytes > 0 {
                    spilled.push(numbers.append(&flow.take_sorted())?);
                    self.held.fetch_sub(bytes, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// All is in.
    pub(super) fn finish(self) -> Summed {
        let spilled = self.spill.into_inner().unwrap_or_else(PoisonError::into_inner);
        Summed { broadcasts: self.broadcasts, spilled, budget: self.budget }
    }
}

/// Whole flows, to be read.
#[derive(Debug)]
pub(super) struct Summed {
    broadcasts: Vec<Mutex<Held>>,
    spilled: Option<Numbers>,
    budget: usize,
}

/// The sum of one airing's parts.
pub(super) struct Sum<'a> {
    pub(super) flow: Flow,
    pub(super) changes: SortedChanges<'a>,
    /// `None` where the input has no gaps.
    pub(super) completeness: Option<Completeness>,
}

impl Summed {
    /// The sums of the broadcast at `place`, by place of the airing; they can be had once. `readers` may be read at a
    /// time.
    pub(super) fn take(&self, place: usize, readers: usize) -> impl Iterator<Item = Sum<'_>> {
        let Held { part, spilled } = std::mem::take(&mut *lock(&self.broadcasts[place]));
        let (mut spilled, mut completeness) = (spilled.into_iter(), part.completeness.into_iter());
        part.flows.into_iter().map(move |mut flow| {
            let (memory, spilled) = (flow.take_sorted(), spilled.next().unwrap_or_default());
            let changes = match &self.spilled {
                Some(numbers) if !spilled.is_empty() => {
                    // A block of each section is held three times: as bytes, as numbers, and merged.
                    let buffer = (self.budget / (3 * readers.max(1) * (spilled.len() + 1))).min(256 << 10);
                    SortedChanges::Merged { merge: numbers.merge(&spilled, memory, buffer), failure: None }
                }
                _ => SortedChanges::Memory { changes: memory, is_read: false },
            };
            Sum { flow, changes, completeness: completeness.next() }
        })
    }
}

/// The changes of one airing, sorted. A read that fails ends them early: [`SortedChanges::failure`] says so, and must
/// be asked.
#[derive(Debug)]
pub(super) enum SortedChanges<'a> {
    Memory { changes: Vec<u64>, is_read: bool },
    Merged { merge: NumbersMerge<'a>, failure: Option<SpillError> },
}

impl SortedChanges<'_> {
    /// Why the changes ended early, if they did.
    pub(super) fn failure(self) -> Result<(), Problem> {
        match self {
            SortedChanges::Merged { failure: Some(failure), .. } => Err(failure.into()),
            _ => Ok(()),
        }
    }
}

impl Stretches for SortedChanges<'_> {
    fn next_stretch(&mut self) -> &[u64] {
        match self {
            SortedChanges::Memory { is_read: true, .. } | SortedChanges::Merged { failure: Some(_), .. } => &[],
            SortedChanges::Memory { changes, is_read } => {
                *is_read = true;
                changes
            }
            SortedChanges::Merged { merge, failure } => merge.next_stretch().unwrap_or_else(|error| {
                *failure = Some(error);
                &[]
            }),
        }
    }
}
