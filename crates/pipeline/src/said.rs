//! What a run, a replay, or an operator's request says while it works: values, for whoever asked to turn into log
//! lines, a bar, or nothing.

use aggregator::Tally;
use audience::Ms;
use problem::Awaited;
use std::sync::Arc;
use std::time::Duration;
use storage::{Counts, Ledger};

/// Something that is said.
#[derive(Clone, Debug)]
pub enum Said {
    /// A commit was made.
    Commit {
        /// Its number.
        number: u64,
        /// The records that came with it.
        counts: Counts,
        /// All records up to it.
        ledger: Ledger,
        /// Airings that settled with it.
        airings: usize,
        /// How long it took.
        took: Duration,
    },
    /// A topic is read: where its partitions begin, and up to where there is something now.
    Reading {
        /// Its name.
        topic: Arc<str>,
        /// Ascending.
        partitions: Vec<Beginning>,
    },
    /// All is read, up to where the partitions ended at the start: the data end here.
    AtEnd,
    /// A signal has asked for the end, and what was read is committed.
    Stopping,
    /// Leaves that found no session, if they tell of something that can be mended: said once.
    Orphans {
        /// What became of events: of all that settled in this run, or of those that tell alone.
        tally: Tally,
        /// The silence that closes sessions.
        broadcast_idle: Ms,
    },
    /// Something that is as it should be.
    Info(String),
    /// Something that an operator should know.
    Warning(String),
    /// This is waited for, and why.
    Waiting(Awaited, String),
    /// What was waited for is there.
    Over(Awaited),
    /// So many bytes are read, of so many where that is known.
    Read {
        /// Of all sources together.
        bytes: u64,
        /// `None` where a source does not tell its length.
        of: Option<u64>,
    },
    /// What is done now, as a verb: "settling".
    Now(&'static str),
}

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Its number.
    pub partition: i32,
    /// The first offset to be read.
    pub from: i64,
    /// The offset after the last that is there now.
    pub to: i64,
    /// No commit before this start has read it, so that this is its beginning.
    pub is_new: bool,
}

/// Who is told. It is called from any thread, and must not wait.
pub type Tell = Arc<dyn Fn(Said) + Send + Sync>;
