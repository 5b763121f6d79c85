//! A data directory: files and keys made true in commits, and read back.
//!
//! A [`Store`] is the folder or the prefix of an object store where it lies. A [`Committer`] writes the files of a [`Commit`] and makes them
//! true at once by one [`Manifest`]; a [`Chain`] reads what was made true; [`audit_chain`] checks all of it. Everything blocks.

mod commits;
mod keys;
mod requests;
mod snapshots;
mod store;

#[cfg(test)]
mod tests;

pub use commits::audit::{ChainReport, audit_chain};
pub use commits::chain::{Chain, read_manifest, read_manifests};
pub use commits::commit::{Commit, CommitError, Folder, PartWriter};
pub use commits::committer::Committer;
pub use commits::draft::Draft;
pub use commits::error::{ChainError, Damage};
pub use commits::identity::{Identity, WRITER};
pub use commits::lock::Lock;
pub use commits::manifest::{
    Answer, CONTRACT, CommitKind, Counts, FileEntry, InputPartition, Inputs, Ledger, Lost, Manifest, OffsetGap, Parent,
    RESTATE_EVERY, Removed, Restated, SNAPSHOT, SettledAiring, Settlement, Snapshot, SnapshotFile, Source, TABLES,
    manifest_path, note_lost,
};
pub use commits::recover::{Recovered, refuse_data};
pub use keys::{Key, KeyError, KeyFile};
pub use requests::{Asked, Request, RequestKind, answer_to, remove_request, requests};
pub use snapshots::open_snapshot;
pub use store::{Faults, Step, Store, StoreError, StoredFile, StoredReader, is_object_store};
