//! Rows in; Parquet files, commits, snapshots and sorted runs out, and back.
//!
//! `tables` knows how rows become the bytes of a file. The rest is the data directory: an [`Owner`] writes the files of a [`Commit`] and
//! makes them true at once by one [`Manifest`]; a [`Chain`] reads what was made true; [`audit_chain`] checks all of it. Everything blocks.

mod audit;
mod balance;
mod caught;
mod chain;
mod chain_error;
mod commit;
mod draft;
mod faults;
mod identity;
mod keys;
mod lock;
mod manifest;
mod merge;
mod numbers;
mod owner;
mod recover;
mod requests;
mod seal;
mod snapshot;
mod spill;
mod store;
mod store_error;
mod tables;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod balance_tests;
#[cfg(test)]
mod commit_tests;
#[cfg(unix)]
#[cfg(test)]
mod crash_seeds;
#[cfg(unix)]
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod weather;

pub use audit::{ChainReport, audit_chain};
pub use chain::{Chain, read_manifest, read_manifests};
pub use chain_error::{ChainError, Damage};
pub use commit::{Commit, CommitError, Folder, PartWriter};
pub use draft::Draft;
pub use faults::{Faults, Step};
pub use identity::Identity;
pub use keys::{Key, KeyError, KeyFile};
pub use lock::Lock;
pub use manifest::{
    Answer, CONTRACT, CommitKind, Counts, FileEntry, Gap, Inputs, Ledger, Lost, Manifest, Parent, Partition,
    RESTATE_EVERY, Removed, Restated, Rules, SNAPSHOT, SettledAiring, Settlement, Snapshot, SnapshotFile, Source,
    TABLES, manifest_path, note_lost,
};
pub use merge::{Merge, Sorted};
pub use numbers::{Numbers, NumbersMerge};
pub use owner::Owner;
pub use recover::{Recovered, refuse_data};
pub use requests::{Asked, Request, RequestKind, answer_to, remove_request, requests};
pub use snapshot::{
    Head, PartitionLane, Restored, SNAPSHOT_EXTENSION, SNAPSHOT_FORMAT, SnapshotError, SnapshotReader, open_snapshot,
    write_snapshot,
};
pub use spill::{Run, RunReader, RunWriter, Section, SpillError};
pub use store::{Reading, Store, StoredFile, is_object_store};
pub use store_error::StoreError;
pub use tables::{
    CorrectionRow, LoggedEvent, ON_TIME, PAYLOAD_MAX, Passport, RejectedRow, Rows, Table, TableError, TableFile,
    TableWriter, airings_by_date, corrections_by_date, merge_logs, minutes_by_date, rejected_by_date, retweets_by_date,
    sessions_by_date, sort_events, write_rows,
};
