//! A shard's events in order: sorted in memory, or merged from sorted runs.

use super::order::{self, SHARDS};
use crate::{Merge, Piece, Run, SpillError};
use aggregator::Sorted;
use audience::{Details, Event};
use problem::Problem;
use std::sync::Arc;

/// The events of one shard, sorted. A read that fails ends them early: [`ShardSource::failure`] says so, and must be
/// asked.
#[derive(Debug)]
pub(crate) enum ShardSource {
    /// All in memory.
    Memory {
        /// Sorted when first asked for.
        events: Vec<Event>,
        at: usize,
        is_sorted: bool,
        /// Events that may be held twice while they are sorted.
        spare_max: usize,
        details: Details,
    },
    /// Merged from runs.
    Runs {
        merge: Merge<'static>,
        /// At the front of what the merge has left.
        next: Option<Event>,
        is_started: bool,
        details: Details,
        failure: Option<SpillError>,
        from: ShardRuns,
    },
}

/// Where the events of a shard lie in the runs.
#[derive(Clone, Debug)]
pub(crate) struct ShardRuns {
    runs: Arc<[Run]>,
    shard: usize,
    buffer: usize,
}

impl ShardRuns {
    /// The events from the first on.
    fn merge(&self) -> Result<Merge<'static>, SpillError> {
        // The sections of a run are those of all shards again and again.
        let sections = |run: &Run| (self.shard..run.sections().len()).step_by(SHARDS);
        let pieces = self.runs.iter().flat_map(|run| sections(run).map(move |section| (run, section)));
        let full = pieces.filter(|(run, section)| run.sections()[*section].records > 0);
        Merge::new(full.map(|(run, section)| Piece::Run(run.section(section, self.buffer))).collect())
    }
}

/// The strings of merged events are dropped beyond so many bytes: each is needed only until the next.
const DETAILS_MAX: usize = 1 << 16;

impl ShardSource {
    pub(super) fn memory(events: Vec<Event>, details: Details, spare_max: usize) -> ShardSource {
        ShardSource::Memory { events, at: 0, is_sorted: false, spare_max, details }
    }

    /// Of each of `runs` the sections of `shard`, each read through `buffer` bytes.
    pub(super) fn runs(runs: &Arc<[Run]>, shard: usize, buffer: usize) -> Result<ShardSource, Problem> {
        let from = ShardRuns { runs: Arc::clone(runs), shard, buffer };
        let merge = from.merge()?;
        Ok(ShardSource::Runs { merge, next: None, is_started: false, details: Details::new(), failure: None, from })
    }

    /// Begins again with the first event.
    pub(super) fn rewind(&mut self) -> Result<(), Problem> {
        match self {
            ShardSource::Memory { at, .. } => *at = 0,
            ShardSource::Runs { merge, is_started, from, .. } => {
                *merge = from.merge()?;
                *is_started = false;
            }
        }
        Ok(())
    }

    /// Why the events ended early, if they did.
    pub(super) fn failure(&mut self) -> Option<Problem> {
        match self {
            ShardSource::Memory { .. } => None,
            ShardSource::Runs { failure, .. } => failure.take().map(Problem::from),
        }
    }
}

impl Sorted for ShardSource {
    fn peek(&mut self) -> Option<Event> {
        match self {
            ShardSource::Memory { events, at, is_sorted, spare_max, .. } => {
                if !*is_sorted {
                    order::sort(events, &mut Vec::new(), *spare_max);
                    *is_sorted = true;
                }
                events.get(*at).copied()
            }
            ShardSource::Runs { is_started, .. } => {
                if !*is_started {
                    *is_started = true;
                    self.advance();
                }
                let ShardSource::Runs { next, .. } = self else { return None };
                *next
            }
        }
    }

    fn advance(&mut self) {
        match self {
            ShardSource::Memory { at, .. } => *at += 1,
            ShardSource::Runs { merge, next, details, failure, .. } => {
                if details.len() > DETAILS_MAX {
                    details.clear();
                }
                *next = merge.next(details).unwrap_or_else(|error| {
                    *failure = Some(error);
                    None
                });
            }
        }
    }

    fn details(&self) -> &Details {
        match self {
            ShardSource::Memory { details, .. } | ShardSource::Runs { details, .. } => details,
        }
    }
}
