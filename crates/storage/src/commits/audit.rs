//! The audit of the chain: every commit names the one before and adds up, every offset was read exactly once, and every
//! live file is there with the bytes and rows that its manifest states. It reads manifests and files alone, and names
//! the first thing that is wrong.

use super::{
    chain::{ChainState, follows, newest_number, read_manifests},
    error::ChainError,
    manifest::{FileEntry, Manifest, SNAPSHOT, SnapshotFile, manifest_path},
    recover::{is_of, is_part, present},
};
use crate::store::{Store, StoreError};
use crate::stray::{may_be_ours, may_be_writer};
use exporter::rows_in;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

/// What an audit of the chain found, all of it in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// Commits read, over all writers.
    pub commits: u64,
    /// Live files read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Live rows, by table.
    pub rows: BTreeMap<String, u64>,
    /// Records read over the whole history.
    pub records: u64,
    /// Offsets lost to retention and accepted as lost.
    pub lost: u64,
    /// Files that no commit names, left by a crash or by a writer at work: no data, and removed at the next start.
    pub leftovers: Vec<String>,
    /// Files and folders that cannot be ours by their names, and were passed over.
    pub strays: Vec<String>,
    /// Files of the snapshot that are not there. It is a cache: the next start reads the log instead.
    pub lacking: Vec<String>,
    /// Live files that have not got their names: a commit whose owner ended before it named them. The next start does.
    pub unnamed: Vec<String>,
}

/// Audits the chains of all writers of `store` and all their files.
///
/// # Errors
/// [`ChainError::Damaged`], exit code 4, with the first thing that is wrong; or the directory cannot be read.
pub fn audit_chain(store: &Store) -> Result<ChainReport, ChainError> {
    let mut report = ChainReport::default();
    let mut named = BTreeMap::new();
    let mut gone = BTreeSet::new();
    let (folders, files) = store.list("commits")?;
    let (writers, others): (Vec<_>, Vec<_>) = folders.into_iter().partition(|folder| may_be_writer(folder));
    report.strays.extend(others.into_iter().chain(files).map(|name| format!("commits/{name}")));
    if writers.is_empty() {
        return Err(ChainError::damaged("commits", "holds no commits"));
    }
    for writer in &writers {
        audit_writer(store, writer, &mut report, &mut named, &mut gone)?;
    }
    let unnamed = audit_names(store, &writers, &named, &gone, &mut report)?;
    named.retain(|path, _| !report.lacking.contains(path));
    audit_files(store, &named, &unnamed)?;
    for file in named.values() {
        report.files += 1;
        report.bytes += file.bytes;
        if file.table != SNAPSHOT {
            *report.rows.entry(file.table.clone()).or_default() += file.rows;
        }
    }
    Ok(report)
}

fn audit_writer(
    store: &Store,
    writer: &str,
    report: &mut ChainReport,
    named: &mut BTreeMap<String, FileEntry>,
    gone: &mut BTreeSet<String>,
) -> Result<(), ChainError> {
    let mut state = ChainState::default();
    let mut parent: Option<Manifest> = None;
    let mut sums = Sums::default();
    let folder = format!("commits/{writer}");
    let strays = store.list(&folder)?.1.into_iter().filter(|name| !may_be_ours(name));
    report.strays.extend(strays.map(|name| format!("{folder}/{name}")));
    for manifest in read_manifests(store, writer, 1..=newest_number(store, writer)?) {
        let manifest = manifest?;
        let place = manifest_path(writer, manifest.number);
        follows(&manifest, parent.as_ref())?;
        let applied = state.apply(&manifest).and_then(|()| state.check_restated(&manifest));
        applied.and_then(|()| sums.add(&manifest)).map_err(|what| ChainError::damaged(&place, what))?;
        gone.extend(manifest.removed.iter().map(|file| file.path.clone()));
        gone.extend(parent.iter().flat_map(snapshot).map(|file| file.path.clone()));
        parent = Some(manifest);
        report.commits += 1;
    }
    let place = manifest_path(writer, parent.as_ref().map_or(0, |newest| newest.number));
    sums.check(&state, parent.as_ref()).map_err(|what| ChainError::damaged(&place, what))?;
    report.records += parent.as_ref().map_or(0, |newest| newest.ledger.read);
    report.lost += sums.lost;
    let cache = parent.iter().flat_map(snapshot).map(|file| FileEntry {
        table: SNAPSHOT.to_owned(),
        path: file.path.clone(),
        rows: 0,
        bytes: file.bytes,
        blake3: file.blake3.clone(),
        rewritten: false,
    });
    for file in state.live.into_values().chain(cache) {
        gone.remove(&file.path);
        if let Some(twice) = named.insert(file.path.clone(), file) {
            return Err(ChainError::damaged(&twice.path, "is data of two writers"));
        }
    }
    Ok(())
}

fn snapshot(manifest: &Manifest) -> impl Iterator<Item = &SnapshotFile> {
    manifest.snapshot.iter().flat_map(|snapshot| &snapshot.files)
}

/// Sums over the whole history, by which `from` to `to` of each partition is accounted for.
#[derive(Default)]
struct Sums {
    accepted: u64,
    rejected: u64,
    lost: u64,
    dropped: BTreeMap<String, u64>,
    /// Tables kept in every commit so far.
    kept: Option<BTreeSet<String>>,
}

impl Sums {
    fn add(&mut self, manifest: &Manifest) -> Result<(), String> {
        let add = |sum: &mut u64, more: u64| {
            *sum = sum.checked_add(more).ok_or("counts more than there can be")?;
            Ok::<_, String>(())
        };
        add(&mut self.accepted, manifest.counts.accepted)?;
        add(&mut self.rejected, manifest.counts.rejected)?;
        for gap in manifest.inputs.partitions.iter().flat_map(|partition| &partition.gaps) {
            add(&mut self.lost, gap.to.abs_diff(gap.from))?;
        }
        for (table, rows) in &manifest.dropped {
            add(self.dropped.entry(table.clone()).or_default(), *rows)?;
        }
        let kept = self.kept.get_or_insert_with(|| manifest.tables.clone());
        kept.retain(|table| manifest.tables.contains(table));
        Ok(())
    }

    /// The rows that live, and those that were dropped, are the records; the ledger says the same.
    fn check(&self, state: &ChainState, newest: Option<&Manifest>) -> Result<(), String> {
        for (table, records) in [("events", self.accepted), ("rejected", self.rejected)] {
            if !self.kept.as_ref().is_some_and(|kept| kept.contains(table)) {
                continue;
            }
            let live: u128 = state.live.values().filter(|f| f.table == table).map(|f| u128::from(f.rows)).sum();
            let dropped = self.dropped.get(table).copied().unwrap_or(0);
            if live + u128::from(dropped) != u128::from(records) {
                return Err(format!("{table}: {live} live rows and {dropped} dropped, of {records} records"));
            }
        }
        let ledger = newest.map(|newest| newest.ledger).unwrap_or_default();
        if (ledger.accepted, ledger.rejected) != (self.accepted, self.rejected) {
            return Err(format!("the ledger says {ledger:?}, the commits {} and {}", self.accepted, self.rejected));
        }
        Ok(())
    }
}

const NOBODYS: &str = "readers would take it for data: if somebody put it there, move it elsewhere; if commits were \
    lost, restore the directory with them from a copy";

/// No file in the folders of the tables that is not named; of those that are, where those lie that wait for their name.
fn audit_names(
    store: &Store,
    writers: &[String],
    named: &BTreeMap<String, FileEntry>,
    gone: &BTreeSet<String>,
    report: &mut ChainReport,
) -> Result<BTreeMap<String, String>, ChainError> {
    let present = present(store)?;
    let mut unnamed = BTreeMap::new();
    for (path, file) in named.iter().filter(|(path, _)| !present.contains(*path)) {
        if let Some(lies) = store.unnamed(path).into_iter().find(|lies| present.contains(lies)) {
            report.unnamed.push(path.clone());
            unnamed.insert(path.clone(), lies);
        } else if file.table == SNAPSHOT {
            report.lacking.push(path.clone());
        } else {
            return Err(ChainError::damaged(path, "is missing"));
        }
    }
    for path in present.into_iter().filter(|path| !named.contains_key(path)) {
        let waits = unnamed.values().any(|lies| *lies == path);
        // What lies in an object store lies there under its final name, also while its commit is not made.
        let is_ours = !store.is_local() && writers.iter().any(|writer| is_of(writer, &path));
        if is_part(&path) || gone.contains(&path) || is_ours {
            if !waits {
                report.leftovers.push(path);
            }
        } else if may_be_ours(&path) {
            let what = "is in the folder of a table, but no commit names it";
            return Err(ChainError::unlike(&path, what, NOBODYS));
        } else {
            report.strays.push(path);
        }
    }
    Ok(unnamed)
}

/// Reads all files, on as many threads as there are cores; of several that are wrong, the first by name is told.
fn audit_files(
    store: &Store,
    named: &BTreeMap<String, FileEntry>,
    unnamed: &BTreeMap<String, String>,
) -> Result<(), ChainError> {
    let files: Vec<&FileEntry> = named.values().collect();
    let next = AtomicUsize::new(0);
    let audit = || {
        let mut first: Option<(usize, ChainError)> = None;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(file), None) = (files.get(at), &first) else {
                return first;
            };
            let lies = unnamed.get(&file.path).unwrap_or(&file.path);
            first = audit_file(store, file, lies).err().map(|error| (at, error));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8));
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads).map(|_| scope.spawn(audit)).collect();
        let others =
            threads.into_iter().filter_map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        audit().into_iter().chain(others.collect::<Vec<_>>()).min_by_key(|(at, _)| *at)
    });
    found.map_or(Ok(()), |(_, error)| Err(error))
}

fn audit_file(store: &Store, entry: &FileEntry, path: &str) -> Result<(), ChainError> {
    let io = |source: io::Error| StoreError::Io { doing: "read", path: store.path(path), source };
    let mut file = store.read(path)?.ok_or_else(|| ChainError::damaged(path, "is missing"))?;
    let mut hasher = blake3::Hasher::new();
    let bytes = file
        .read_through(|piece| {
            hasher.update(piece);
        })
        .map_err(io)?;
    if bytes != entry.bytes {
        return Err(ChainError::damaged(path, format!("has {bytes} bytes, should have {}", entry.bytes)));
    }
    if hasher.finalize().to_hex().as_str() != entry.blake3 {
        return Err(ChainError::damaged(path, "does not match its checksum"));
    }
    if entry.table == SNAPSHOT {
        return Ok(());
    }
    let rows = rows_in(file).map_err(|why| ChainError::damaged(path, format!("is no Parquet file: {why}")))?;
    if u64::try_from(rows) != Ok(entry.rows) {
        return Err(ChainError::damaged(path, format!("has {rows} rows, should have {}", entry.rows)));
    }
    Ok(())
}
