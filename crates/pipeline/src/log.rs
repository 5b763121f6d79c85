//! The log at the start of a run, read back in the names and numbers of this process.

use super::message::Partition;
use super::snapshot::Snapshots;
use aggregator::{Frontier, Gap, Lane, Live};
use audience::{Details, Ms, Names, Registry, fingerprint};
use exporter::{LoggedEvent, Table, TableFile};
use problem::Problem;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::open_table;
use storage::{Chain, Committer, FileEntry, StoredFile};

/// The log of a directory, and what this run knows by which it is read.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) committer: &'a Committer,
    pub(super) registry: &'a Registry,
    pub(super) partitions: &'a BTreeMap<usize, Partition>,
    /// What was lost of the input, each with its partition where that is read: the gaps of all commits, then those
    /// accepted now.
    pub(super) gaps: &'a [(Option<usize>, Gap)],
}

/// What the log, or a snapshot and the rest of the log, give.
pub(super) struct Resumed {
    /// The live part of each lane.
    pub(super) lanes: Vec<Lane>,
    pub(super) live: Live,
    pub(super) snapshots: Snapshots,
}

impl<'a> Log<'a> {
    /// The commits.
    pub(super) fn chain(self) -> &'a Chain {
        self.committer.chain()
    }

    /// The watermark of the live curve as of the last commit.
    pub(super) fn watermark(self) -> Option<Ms> {
        self.chain().newest().and_then(|newest| newest.watermark)
    }

    /// The gaps that were known by the last commit. Which minutes were complete was decided by those known then;
    /// minutes that close from here on know all of them.
    pub(super) fn known_gaps(self) -> Vec<Gap> {
        self.gaps.iter().take(self.chain().lost().len()).map(|(_, gap)| *gap).collect()
    }

    /// The last commit with which the data ended: what came up to it has settled, and is over for the live curve, too.
    pub(super) fn ended(self) -> i64 {
        let ended = self.chain().newest().and_then(|newest| newest.ended);
        ended.map_or(0, |number| i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Where each broadcast is settled up to, by its number.
    pub(super) fn frontiers(self) -> Vec<Frontier> {
        for id in self.chain().frontiers().keys() {
            self.registry.place(id);
        }
        // Broadcasts of the log that have no key any more, or settled never, get their numbers while it is read, after
        // these.
        let of = |id: &Arc<str>| self.chain().frontier(id);
        self.registry.ids().iter().map(of).collect()
    }

    /// Reads all of it: each event with its topic and the arena of its strings.
    pub(super) fn read(self, mut take: impl FnMut(&LoggedEvent, &str, &Details)) -> Result<(), Problem> {
        let files: Vec<&FileEntry> = self.chain().files_of(Table::Events.name()).collect();
        for file in files {
            self.rows_of(open_table(self.committer.store(), Table::Events, file)?, &mut take)?;
        }
        Ok(())
    }

    /// Reads one file of it: each event with its topic and the arena of its strings.
    pub(super) fn rows_of(
        self,
        file: TableFile<StoredFile>,
        mut take: impl FnMut(&LoggedEvent, &str, &Details),
    ) -> Result<(), Problem> {
        let topics = RefCell::new(Names::default());
        let source = |name: &str| topics.borrow_mut().number(name);
        let number = |id: &str| self.registry.place(id);
        for batch in file.events(number, source, fingerprint)? {
            let (rows, details) = batch?;
            let topics = topics.borrow();
            rows.iter().for_each(|row| take(row, &topics.list()[row.source as usize], &details));
        }
        Ok(())
    }
}
