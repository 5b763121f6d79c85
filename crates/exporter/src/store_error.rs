//! A store error is a refusal of the world: a path, a permission, no room. Each names what was tried, and on what.

use std::{error::Error, io, path::PathBuf};

/// The world refused something: a path, a permission, room.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A URL where this version takes a folder.
    #[error("cannot use {url}: object stores come with a later version; give a folder on a local disk")]
    ObjectStore {
        /// As given.
        url: String,
    },
    /// The directory is a file.
    #[error("cannot use {path} as a data directory: it is a file; give a folder", path = path.display())]
    NotAFolder {
        /// As given.
        path: PathBuf,
    },
    /// There is no such directory.
    #[error("there is no data directory {path}: check the path", path = path.display())]
    Absent {
        /// As given.
        path: PathBuf,
    },
    /// A directory that was to be new is not.
    #[error("{path} holds data already ({found}); give a new or empty folder", path = path.display())]
    HoldsData {
        /// The data directory.
        path: PathBuf,
        /// The first thing found in it.
        found: String,
    },
    /// Somebody else holds the directory.
    #[error("another jauge is writing to {path}{holder}; wait for it or stop it", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// " (process N)", where the lock file tells.
        holder: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The object store refused.
    #[error("cannot {doing} {path}: {source}")]
    Objects {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what, in the store.
        path: String,
        /// Why not.
        source: object_store::Error,
    },
}

impl StoreError {
    /// Whether there was no room on the disk: wait for room and try again.
    pub fn is_disk_full(&self) -> bool {
        disk_is_full(self)
    }

    /// The exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, StoreError::ObjectStore { .. }) { 2 } else { 3 }
    }
}

/// Whether `error`, or anything that caused it, says that there is no room on the disk.
pub fn disk_is_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return true;
            }
            // `io::Error::source` skips the error that it wraps.
            if io.get_ref().is_some_and(|inner| disk_is_full(inner)) {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_seen_through_wrappers() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = parquet::errors::ParquetError::External(Box::new(full()));
        assert!(disk_is_full(&wrapped));
        assert!(disk_is_full(&io::Error::other(wrapped)));
        let objects = object_store::Error::Generic { store: "x", source: Box::new(full()) };
        assert!(StoreError::Objects { doing: "create", path: String::new(), source: objects }.is_disk_full());
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!StoreError::Io { doing: "create", path: PathBuf::new(), source: denied }.is_disk_full());
    }
}
