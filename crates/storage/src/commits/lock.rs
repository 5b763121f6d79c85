//! A lock says who writes to a data directory: an advisory file lock on `DIR/lock`, which the kernel drops with the
//! process. It spares two processes of one machine the race that fencing would decide; fencing alone is what
//! correctness rests on, and all there is on an object store.

use crate::store::{Store, StoreError};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
};

/// The right to write to a data directory, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// Open is locked; `None` for an object store.
    _file: Option<File>,
}

impl Lock {
    /// Takes the lock of `store`, without waiting.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another holds it; [`StoreError::Io`] where the directory cannot be written.
    pub fn take(store: &Store) -> Result<Lock, StoreError> {
        if !store.is_local() {
            return Ok(Lock { _file: None });
        }
        let path = store.path("lock");
        let io = |doing| {
            let path = path.clone();
            move |source| StoreError::Io { doing, path, source }
        };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(io("write"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let named = file.take(20).read_to_string(&mut pid).is_ok() && pid.trim().parse::<u32>().is_ok();
                let holder = if named { format!(" (process {})", pid.trim()) } else { String::new() };
                return Err(StoreError::Locked { path: store.root().to_path_buf(), holder });
            }
            Err(TryLockError::Error(source)) => {
                let lacks = "locks no files, by which a second writer is turned away";
                return Err(StoreError::Unfit { path: store.root().to_path_buf(), lacks, source });
            }
        }
        // Only for the sentence above: a full disk must not keep anybody from starting.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { _file: Some(file) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use problem::Failure;

    #[test]
    fn one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let held = Lock::take(&store).unwrap();
        let error = Lock::take(&store).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        Lock::take(&store).unwrap();
    }
}
