//! A snapshot is the live state of a run at one cut, in one file: Arrow IPC streams, one after the other, each named by
//! `jauge.table` in the metadata of its schema. It is a cache of the log: a start that cannot use it reads the log
//! instead.
//!
//! Arrow, because a base of millions of sessions is written again and again beside the path of the events: its columns
//! are laid down as they are, where Parquet would encode and compress pseudonyms, which nothing makes smaller.

mod cells;
mod read;
mod stream;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Restored, SnapshotReader};
pub use write::write_snapshot;

use crate::rules::SavedRules;
use audience::Ms;
use serde::{Deserialize, Serialize};
use std::io;

/// The format of the files that this version writes, as a manifest names it, and the only one that it reads.
pub const SNAPSHOT_FORMAT: &str = "arrow-ipc-streams-2";

/// The extension of a snapshot's files.
pub const SNAPSHOT_EXTENSION: &str = "arrows";

/// Keys of the metadata of each stream's schema.
const TABLE: &str = "jauge.table";
const LANE: &str = "jauge.lane";
const HEAD: &str = "jauge.snapshot";

/// The tables that are no records of integers.
const BROADCASTS: &str = "broadcasts";
const SESSIONS: &str = "sessions";
const VIEWERS: &str = "viewers";
const LEFT: &str = "left";

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The commit whose cut it was taken at: it holds what that commit and those before it read.
    pub commit: u64,
    /// The watermark of that cut.
    pub watermark: Option<Ms>,
    /// The rules by which sessions were opened and closed.
    pub rules: SavedRules,
    /// How many lanes there were.
    pub lanes: usize,
    /// The lane of each partition. Events of a partition go to the lane that has its sessions.
    pub partitions: Vec<PartitionLane>,
    /// The first commit that may hold an event that the watermark had not passed.
    pub held_from: u64,
}

/// Which lane read a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLane {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Below the number of lanes.
    pub lane: usize,
}

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The place written to or read from refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not there.
    #[error("{0} is not there")]
    Absent(String),
    /// Its bytes are not those that were written.
    #[error("{0} is damaged: it does not match its checksum")]
    Damaged(String),
    /// Another version wrote it.
    #[error("its format is {0:?}, and this version reads {SNAPSHOT_FORMAT:?}")]
    Format(String),
    /// The bytes are no snapshot.
    #[error("it is no snapshot of this version: {0}")]
    Corrupt(String),
}

impl SnapshotError {
    fn of(error: arrow_schema::ArrowError) -> SnapshotError {
        match error {
            arrow_schema::ArrowError::IoError(_, source) => SnapshotError::Io(source),
            other => SnapshotError::Corrupt(other.to_string()),
        }
    }

    fn corrupt(what: impl Into<String>) -> SnapshotError {
        SnapshotError::Corrupt(what.into())
    }
}
