//! A data directory: files and keys made true in commits, and read back.
//!
//! A [`Store`] is the folder or the prefix of an object store where it lies. A [`Committer`] writes the files of a
//! [`Commit`] and makes them true at once by one [`Manifest`]; a [`Chain`] reads what was made true, [`Stored`] the
//! tables that it names; [`audit_chain`] checks all of it, and [`upkeep`] keeps it small. Everything blocks.

mod commits;
pub mod directory;
mod keyring;
mod keys;
mod private;
pub mod provenance;
mod requests;
mod settlements;
mod snapshots;
mod store;
mod stored;
mod stray;
pub mod upkeep;

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
    gaps_of, manifest_path, note_lost,
};
pub use commits::recover::{Recovered, refuse_data};
pub use keyring::{KeyOptions, Keys, Pseudonyms};
pub use keys::{Key, KeyError, KeyFile};
pub use private::PrivateTo;
pub use requests::{Asked, Request, RequestKind, answer_to, remove_request, requests};
pub use settlements::{SettledLine, SettledOnce, SettledSpan, Settlements, ToldAiring};
pub use snapshots::open_snapshot;
pub use store::{Faults, Step, Store, StoreError, StoredFile, StoredReader, is_object_store};
pub use stored::{ReadError, Stored, open_table};
