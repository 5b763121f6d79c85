//! Small data directories for the tests: commits of a few rows, with a file merged and a snapshot replaced.

use crate::*;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

pub(crate) const DAY: i64 = 16_894;
pub(crate) const NOW: i64 = 1_459_711_860_000;

/// A Parquet file of one column and `rows` rows.
pub(crate) fn parquet(rows: u64) -> Vec<u8> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows.cast_signed()));
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

pub(crate) fn identity(incarnation: u128) -> Identity {
    Identity { writer: "main".into(), incarnation, version: "0.1.0".into(), config: "00".into() }
}

pub(crate) fn take(store: &Store, incarnation: u128) -> Result<Committer, CommitError> {
    Committer::take(store, identity(incarnation), NOW)
}

/// Writes a whole part, or fails.
pub(crate) fn part(commit: &Commit, table: &str, folder: Folder, rows: u64) -> Result<FileEntry, StoreError> {
    let writer = commit.part(table, folder)?;
    write(writer, &parquet(rows), rows)
}

pub(crate) fn write(mut writer: PartWriter, bytes: &[u8], rows: u64) -> Result<FileEntry, StoreError> {
    let path = PathBuf::from(writer.path());
    writer.write_all(bytes).map_err(|source| StoreError::Io { doing: "write", path, source })?;
    writer.finish(rows)
}

/// What a commit that reads `accepted` and `rejected` records of partition 0 says; one offset more is skipped.
pub(crate) fn draft(chain: &Chain, accepted: u64, rejected: u64) -> Draft {
    let mut draft = match chain.newest() {
        Some(newest) => Draft::after(newest, CommitKind::Run, NOW + 1),
        None => Draft::first(CommitKind::Run, NOW),
    };
    if draft.inputs.partitions.is_empty() {
        draft.inputs.partitions.push(InputPartition {
            topic: "events".into(),
            from: 7,
            to: 7,
            ..InputPartition::default()
        });
    }
    let partition = &mut draft.inputs.partitions[0];
    partition.to += (accepted + rejected + 1).cast_signed();
    (partition.accepted, partition.rejected, partition.skipped) = (accepted, rejected, 1);
    draft.counts =
        Counts { read: accepted + rejected, accepted, rejected, reasons: [("empty".into(), rejected)].into() };
    draft.ledger.read += accepted + rejected;
    draft.ledger.accepted += accepted;
    draft.ledger.rejected += rejected;
    draft.ledger.not_yet_settled += accepted;
    draft
}

/// Makes a commit of two records more than its number and one rejected, which merges the events before it and has a
/// snapshot.
pub(crate) fn commit(owner: &mut Committer) -> Result<u64, CommitError> {
    let commit = owner.begin();
    let number = commit.number();
    let draft = fill(owner, &commit).map_err(|source| CommitError::Store { number, source })?;
    owner.publish(&commit, &draft)?;
    Ok(number)
}

/// Writes the files of such a commit and returns its draft.
pub(crate) fn fill(owner: &Committer, commit: &Commit) -> Result<Draft, StoreError> {
    let accepted = commit.number() + 2;
    let mut draft = draft(owner.chain(), accepted, 1);
    part(commit, "events", Folder::Writer, accepted)?;
    part(commit, "rejected", Folder::Day(DAY), 1)?;
    part(commit, "live", Folder::Day(DAY + 1), 3)?;
    let old: Vec<FileEntry> = owner.chain().files_of("events").cloned().collect();
    if !old.is_empty() {
        let rows = old.iter().map(|file| file.rows).sum();
        write(commit.part("events", Folder::Writer)?.rewritten(), &parquet(rows), rows)?;
        draft.removed = old.iter().map(Removed::from).collect();
    }
    // As in the background: begun before, and taken over when it is finished.
    let early = owner.begin();
    let state = write(early.snapshot_part("arrow")?, &commit.number().to_le_bytes(), 0)?;
    commit.absorb(&early);
    draft.snapshot = Some(Snapshot { format: "test-1".into(), files: vec![SnapshotFile::from(&state)] });
    Ok(draft)
}

/// A directory with `commits` commits.
pub(crate) fn directory(commits: u64) -> tempfile::TempDir {
    directory_of(1, commits)
}

pub(crate) fn directory_of(incarnation: u128, commits: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = take(&Store::create(dir.path()).unwrap(), incarnation).unwrap();
    for _ in 0..commits {
        commit(&mut owner).unwrap();
    }
    dir
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A new copy of `dir`.
pub(crate) fn copied(dir: &Path) -> tempfile::TempDir {
    let new = tempfile::tempdir().unwrap();
    copy(dir, new.path());
    new
}

/// What the tests expect of a directory that an owner has put in order: the audit passes, and the files in the folders
/// of the tables are exactly the live ones. Returns the chain.
pub(crate) fn expect_in_order(store: &Store) -> Chain {
    let report = audit_chain(store).unwrap();
    assert_eq!((&report.leftovers[..], &report.unnamed[..]), (&[][..], &[][..]));
    Chain::open(store, "main").unwrap()
}

/// Fails chosen steps, and remembers all of them.
pub(crate) struct Script {
    steps: Mutex<Vec<(Step, PathBuf)>>,
    /// Given the number of a step, from 0, and the step: whether it fails, and how.
    fails: Box<Fails>,
}

type Fails = dyn Fn(usize, Step) -> Option<std::io::ErrorKind> + Send + Sync;

impl Script {
    pub(crate) fn new(
        fails: impl Fn(usize, Step) -> Option<std::io::ErrorKind> + Send + Sync + 'static,
    ) -> Arc<Script> {
        Arc::new(Script { steps: Mutex::default(), fails: Box::new(fails) })
    }

    /// From step `at` on, nothing reaches the disk: the process is dead.
    pub(crate) fn dies_at(at: usize) -> Arc<Script> {
        Script::new(move |number, _| (number >= at).then_some(std::io::ErrorKind::Other))
    }

    /// The first `step` fails with `kind`.
    pub(crate) fn fails_once(step: Step, kind: std::io::ErrorKind) -> Arc<Script> {
        let left = std::sync::atomic::AtomicBool::new(true);
        Script::new(move |_, now| {
            (now == step && left.swap(false, std::sync::atomic::Ordering::Relaxed)).then_some(kind)
        })
    }

    /// `step` fails, and so does the one after it.
    pub(crate) fn fails_with_the_next(step: Step) -> Arc<Script> {
        let before = std::sync::atomic::AtomicBool::new(false);
        Script::new(move |_, now| {
            let fails = before.swap(now == step, std::sync::atomic::Ordering::Relaxed) || now == step;
            fails.then_some(std::io::ErrorKind::Other)
        })
    }

    pub(crate) fn steps(&self) -> Vec<(Step, PathBuf)> {
        self.steps.lock().unwrap().clone()
    }
}

impl Faults for Script {
    fn before(&self, step: Step, path: &Path) -> std::io::Result<()> {
        let mut steps = self.steps.lock().unwrap();
        let number = steps.len();
        steps.push((step, path.to_path_buf()));
        (self.fails)(number, step).map_or(Ok(()), |kind| Err(kind.into()))
    }
}
