//! The snapshot that a manifest names: a file in a store, whose bytes are checked before anything is made of them.

use crate::commits::manifest::Snapshot;
use crate::store::{Store, StoredReader};
use exporter::{ChunkReader, SNAPSHOT_FORMAT, SnapshotError, SnapshotReader};
use std::io::{self, BufReader};

/// Opens the snapshot that a manifest names, and checks that its bytes are those that were written.
///
/// # Errors
/// [`SnapshotError`]: it is not there, is damaged, or of another format.
pub fn open_snapshot(
    store: &Store,
    snapshot: &Snapshot,
) -> Result<SnapshotReader<BufReader<StoredReader>>, SnapshotError> {
    let [named] = &snapshot.files[..] else {
        return Err(SnapshotError::Format(format!("{} of {} files", snapshot.format, snapshot.files.len())));
    };
    if snapshot.format != SNAPSHOT_FORMAT {
        return Err(SnapshotError::Format(snapshot.format.clone()));
    }
    let read = || store.read(&named.path).map_err(|error| SnapshotError::Io(error.into()));
    let absent = || SnapshotError::Absent(named.path.clone());
    let mut hasher = blake3::Hasher::new();
    let bytes = read()?.ok_or_else(absent)?.read_through(|bytes| {
        hasher.update(bytes);
    })?;
    if bytes != named.bytes || hasher.finalize().to_hex().as_str() != named.blake3 {
        return Err(SnapshotError::Damaged(named.path.clone()));
    }
    let file = read()?.ok_or_else(absent)?.get_read(0).map_err(|error| SnapshotError::Io(io::Error::other(error)))?;
    SnapshotReader::open(BufReader::with_capacity(1 << 18, file), bytes)
}
