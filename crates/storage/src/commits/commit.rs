//! A commit in the making: the files that are to become data together. They are written beside each other, by any
//! number of threads, where no reader looks, and become data when `Committer::publish` makes the manifest
//! that names them; dropped before that, they are removed.

use super::{
    error::ChainError,
    identity::{Identity, WRITER},
    manifest::{FileEntry, SNAPSHOT},
};
use crate::store::{FilePart, Store, StoreError};
use problem::{Awaited, Failure};
use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// A commit that was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The world refused. The commit is as it was: with room on the disk again, it can be published again.
    #[error("commit {number} {}: {source}", may_be_made(source))]
    Store {
        /// Its number.
        number: u64,
        /// Why.
        source: StoreError,
    },
    /// It is made, but not all of its files have their final names. Publishing again goes on there, and so does the
    /// next start.
    #[error("commit {number} is made, but its files could not all be named: {source}")]
    Unnamed {
        /// Its number.
        number: u64,
        /// Why.
        source: StoreError,
    },
    /// The chain could not be read back.
    #[error("{0}")]
    Chain(#[from] ChainError),
    /// Another writer made this commit.
    #[error(
        "another jauge (incarnation {other}) has written commit {number} of {writer}: it has taken the directory over, so this one stops; nothing of this commit is in the data"
    )]
    Fenced {
        /// The writer's name.
        writer: String,
        /// The commit.
        number: u64,
        /// Whose it is.
        other: String,
    },
    /// The numbers do not add up.
    #[error("commit {number} would not add up, so it is not made: {what}; this is a bug in jauge")]
    Unbalanced {
        /// Its number.
        number: u64,
        /// The first sum that does not hold.
        what: String,
    },
}

fn may_be_made(source: &StoreError) -> &'static str {
    if matches!(source, StoreError::Undecided { .. }) { "may be made or not" } else { "is not made" }
}

impl CommitError {
    /// Whether there was no room on the disk: wait for room and publish again.
    pub fn is_disk_full(&self) -> bool {
        self.awaits() == Some(Awaited::Room)
    }

    /// Whether it may pass: the disk is full, or the object store is away. Wait and publish the same commit again.
    pub fn may_pass(&self) -> bool {
        self.awaits().is_some()
    }
}

impl Failure for CommitError {
    fn exit_code(&self) -> u8 {
        match self {
            CommitError::Store { source, .. } | CommitError::Unnamed { source, .. } => source.exit_code(),
            CommitError::Chain(error) => error.exit_code(),
            CommitError::Fenced { .. } => 3,
            CommitError::Unbalanced { .. } => 1,
        }
    }

    fn awaits(&self) -> Option<Awaited> {
        match self {
            CommitError::Store { source, .. } | CommitError::Unnamed { source, .. } => source.awaits(),
            CommitError::Chain(error) => error.awaits(),
            CommitError::Fenced { .. } | CommitError::Unbalanced { .. } => None,
        }
    }
}

/// Which folder of its table a file goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// `date=YYYY-MM-DD`, of a day counted from 1970-01-01.
    Day(i64),
    /// `writer=NAME`: the table `events`.
    Writer,
}

/// A commit in the making.
#[derive(Debug)]
pub struct Commit {
    pub(crate) basket: Arc<Basket>,
}

/// The files of a commit in the making; shared with the writers of its parts.
#[derive(Debug)]
pub(crate) struct Basket {
    store: Store,
    writer: String,
    pub(crate) number: u64,
    /// Stands in the names of the files where no lock keeps two owners apart.
    incarnation: Option<u128>,
    seq: Arc<AtomicU32>,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Parts begun, neither finished nor dropped.
    pub(crate) unfinished: usize,
    pub(crate) files: Vec<FileEntry>,
    /// A manifest may name the files: they are not ours to remove.
    pub(crate) kept: bool,
    /// A manifest names the files.
    pub(crate) made: bool,
}

/// The folder of a path inside a store.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Commit {
    pub(crate) fn new(store: Store, identity: &Identity, number: u64, seq: Arc<AtomicU32>) -> Commit {
        let incarnation = (!store.is_local()).then_some(identity.incarnation);
        let (writer, parts) = (identity.writer.clone(), Mutex::default());
        Commit { basket: Arc::new(Basket { store, writer, number, incarnation, seq, parts }) }
    }

    /// Its number: what the column `commit` and the passport `jauge.commit` say.
    pub fn number(&self) -> u64 {
        self.basket.number
    }

    /// Begins a file of `table`. Threads may share the commit and write their parts at once.
    ///
    /// # Errors
    /// [`StoreError`]: the part cannot be created.
    pub fn part(&self, table: &str, folder: Folder) -> Result<PartWriter, StoreError> {
        let folder = match folder {
            Folder::Day(day) => format!("{table}/date={}", audience::time::date_name(day)),
            Folder::Writer => format!("{table}/writer={}", self.basket.writer),
        };
        self.begin(table, &folder, "parquet")
    }

    /// Begins a file of the snapshot; `extension` tells its format. The caller names the finished file in
    /// `Draft::snapshot`.
    ///
    /// # Errors
    /// [`StoreError`]: the part cannot be created.
    pub fn snapshot_part(&self, extension: &str) -> Result<PartWriter, StoreError> {
        self.begin(SNAPSHOT, SNAPSHOT, extension)
    }

    fn begin(&self, table: &str, folder: &str, extension: &str) -> Result<PartWriter, StoreError> {
        let Basket { store, writer, number, incarnation, seq, .. } = &*self.basket;
        let seq = seq.fetch_add(1, Ordering::Relaxed);
        let owner = incarnation.map_or(String::new(), |incarnation| format!("{incarnation:032x}-"));
        let path = format!("{folder}/{}{number:020}-{owner}{seq:04}.{extension}", name_prefix(writer));
        store.make_folder(folder_of(&store.staged(&path)), is_private(table))?;
        let part = store.begin(&path)?;
        self.basket.parts().unfinished += 1;
        let entry = FileEntry { table: table.to_owned(), path, ..FileEntry::default() };
        let hasher = Box::new(blake3::Hasher::new());
        Ok(PartWriter { basket: Arc::clone(&self.basket), part: Some(part), hasher, entry })
    }

    /// The finished files so far, by path: whichever thread was quicker, the commit is the same.
    pub fn files(&self) -> Vec<FileEntry> {
        let mut files = self.basket.parts().files.clone();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Takes over the finished files of `other`, which was begun by the same owner: so a file that takes long is
    /// written in the background and enters whichever commit comes after.
    pub fn absorb(&self, other: &Commit) {
        if !Arc::ptr_eq(&self.basket, &other.basket) {
            let files = mem::take(&mut other.basket.parts().files);
            self.basket.parts().files.extend(files);
        }
    }
}

/// Whether only its owner may look into the folders of a table: it holds producers' bytes.
pub(crate) fn is_private(table: &str) -> bool {
    table == "rejected"
}

/// Files of [`WRITER`] carry no name; those of others do, so that no two writers meet in one.
pub(crate) fn name_prefix(writer: &str) -> String {
    if writer == WRITER { String::new() } else { format!("{writer}-") }
}

impl Basket {
    pub(crate) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Basket {
    fn drop(&mut self) {
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !parts.kept {
            for file in &parts.files {
                // What stays is no data, and the next owner removes it.
                let _ = self.store.remove(&self.store.staged(&file.path));
            }
        }
    }
}

/// One file of a commit, as it is written. Dropped before [`PartWriter::finish`], it is removed.
#[derive(Debug)]
#[must_use = "a part that is not finished is removed"]
pub struct PartWriter {
    basket: Arc<Basket>,
    /// Open until it is finished.
    part: Option<FilePart>,
    hasher: Box<blake3::Hasher>,
    entry: FileEntry,
}

impl PartWriter {
    /// Its final path, relative to the data directory.
    pub fn path(&self) -> &str {
        &self.entry.path
    }

    /// Marks its rows as standing in files that the same commit removes.
    pub fn rewritten(mut self) -> PartWriter {
        self.entry.rewritten = true;
        self
    }

    /// Syncs the file, of `rows` rows, and puts it into the commit.
    ///
    /// # Errors
    /// [`StoreError`]: it is not on the disk. The part is gone: what failed to sync is written anew, never synced
    /// again.
    pub fn finish(mut self, rows: u64) -> Result<FileEntry, StoreError> {
        if let Some(part) = &mut self.part {
            part.finish()?;
        }
        self.part = None;
        self.entry.rows = rows;
        self.entry.blake3 = self.hasher.finalize().to_hex().to_string();
        let mut parts = self.basket.parts();
        parts.unfinished -= 1;
        parts.files.push(self.entry.clone());
        drop(parts);
        Ok(self.entry.clone())
    }
}

impl Write for PartWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(part) = &mut self.part else {
            return Err(io::Error::other("the part is finished"));
        };
        let written = part.write(buf)?;
        self.hasher.update(&buf[..written]);
        self.entry.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            self.basket.parts().unfinished -= 1;
            part.discard();
        }
    }
}
