//! Merging: the small files of the log become larger ones, so that each byte is written few times and no day has many
//! files.

use crate::directory::WRITER;
use crate::stored::open_table;
use crate::{Commit, FileEntry, Folder, Removed, Store, read_manifest};
use audience::Ms;
use exporter::{LoggedEvent, Passport, Table, merge_logs};
use problem::Problem;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many files of one size become one, which is then of the next size.
const FAN: usize = 8;
/// Bytes of the smallest size, at most; each further size has `FAN` times as many.
const SMALLEST: u64 = 64 << 10;
/// A file of so many bytes is merged no more.
const LARGE: u64 = 256 << 20;
/// A merged file spans at most this part of the time for which events are kept, so that it can be dropped as a whole.
const SPANS: Ms = 8;

/// What was prepared: files in a commit that is not published, and those whose place they take.
#[derive(Debug)]
pub struct Tidied {
    /// Has the files that were written.
    pub parts: Commit,
    /// Those whose place they take.
    pub removed: Vec<Removed>,
    /// Rows that stand in no file any more, by table.
    pub dropped: BTreeMap<String, u64>,
    /// Events that had settled by this commit are gone.
    pub horizon: Option<u64>,
}

fn size_of(bytes: u64) -> u32 {
    (bytes / SMALLEST).checked_ilog(FAN as u64).map_or(0, |size| size + 1)
}

/// The files of the log to merge next, where events are kept for `keep`: the oldest of a size of which there are
/// enough.
pub fn next_merge(store: &Store, logs: &[&FileEntry], keep: Option<Ms>) -> Result<Option<Vec<FileEntry>>, Problem> {
    let mut sizes = BTreeMap::<u32, Vec<&FileEntry>>::new();
    for file in logs.iter().filter(|file| file.bytes < LARGE) {
        sizes.entry(size_of(file.bytes)).or_default().push(file);
    }
    for files in sizes.values_mut().filter(|files| files.len() >= FAN) {
        files.sort_by_key(|file| file.begun_in());
        for window in files.windows(FAN) {
            if spans_little(store, window, keep)? {
                return Ok(Some(window.iter().map(|file| (*file).clone()).collect()));
            }
        }
    }
    Ok(None)
}

/// Whether files together are of a time that is short beside `keep`.
fn spans_little(store: &Store, files: &[&FileEntry], keep: Option<Ms>) -> Result<bool, Problem> {
    let (Some(keep), Some(first)) = (keep, files.first()) else { return Ok(true) };
    let last = files.iter().map(|file| file.begun_in()).max().unwrap_or(0);
    let (first, _) = open_table(store, Table::Events, first)?.commits().unwrap_or_default();
    let at = |number: u64| Ok::<_, Problem>(read_manifest(store, WRITER, number)?.created_at);
    // A file may be named for a commit that was never made with it: the one before was.
    let (first, last) = (u64::try_from(first).unwrap_or(1).max(1), last.saturating_sub(1).max(1));
    Ok(at(last.max(first))?.saturating_sub(at(first)?) <= keep / SPANS)
}

/// A job beside the writer: what it needs to write files anew.
#[derive(Debug)]
pub struct Job {
    /// The data directory.
    pub store: Store,
    /// Takes the files.
    pub parts: Commit,
    /// What the files say of themselves.
    pub passport: Passport,
    /// Nobody waits for it any more.
    pub is_over: Arc<AtomicBool>,
}

impl Job {
    /// Merges files of the log into one; `None` where it was to end before.
    pub fn merge(self, files: &[FileEntry]) -> Result<Option<Tidied>, Problem> {
        let rows = files.iter().map(|file| file.rows).sum();
        let whole = self.rewrite(files, |_, _| true)?;
        if whole != Some(rows) {
            return if self.is_over() {
                Ok(None)
            } else {
                Err(Problem::bug(format!("{rows} events became {whole:?}.")))
            };
        }
        let removed = files.iter().map(Removed::from).collect();
        Ok(Some(Tidied { parts: self.parts, removed, dropped: BTreeMap::new(), horizon: None }))
    }

    /// Whether it is to end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Writes those events of files of the log that are kept as one file; gives their number, if it was written.
    pub(super) fn rewrite(
        &self,
        files: &[FileEntry],
        keep: impl Fn(&str, &LoggedEvent) -> bool,
    ) -> Result<Option<u64>, Problem> {
        let mut tables = Vec::with_capacity(files.len());
        for file in files {
            tables.push(open_table(&self.store, Table::Events, file)?);
        }
        let create = || Ok::<_, Problem>(self.parts.part(Table::Events.name(), Folder::Writer)?.rewritten());
        match merge_logs(tables, &self.passport, create, keep, || !self.is_over())? {
            Some((part, rows)) => {
                part.finish(rows)?;
                Ok(Some(rows))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_size_become_one_of_the_next_and_each_byte_is_written_few_times() {
        // Commits of 30 kB for 60 days, merged whenever there are enough of one size.
        let (mut files, mut written, mut most) = (BTreeMap::<u32, Vec<u64>>::new(), 0_u64, 0);
        let commits = 200_000_u64;
        for _ in 0..commits {
            files.entry(size_of(30_000)).or_default().push(30_000);
            while let Some(full) = files.iter().find(|(_, of)| of.len() >= FAN && of[0] < LARGE).map(|(size, _)| *size)
            {
                let merged: u64 = files.remove(&full).unwrap().into_iter().sum();
                written += merged;
                files.entry(size_of(merged)).or_default().push(merged);
            }
            most = most.max(files.values().map(Vec::len).sum::<usize>());
        }
        assert!(written < 6 * commits * 30_000, "{}", written / commits / 30_000);
        assert!(most < 60, "{most}");
    }
}
