//! Housekeeping: the small files of the log merged into larger ones, and what is too old dropped. A thread beside the writer prepares it; the
//! writer commits it between other commits, so none waits for it.

use super::logline;
use super::writer::Writer;
use crate::directory::{self, WRITER};
use crate::passport;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::stored::open_table;
use audience::time::{day_of, days_from_civil};
use audience::{MinuteRow, Ms};
use exporter::{Passport, Table, TableRows, TableWriter, merge_logs};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use storage::{Chain, Commit, CommitKind, FileEntry, Folder, PartWriter, Removed, Store, read_manifest};

/// So many files of one size become one, which is then of the next size.
const FAN: usize = 8;
/// Bytes of the smallest size, at most; each further size has `FAN` times as many.
const SMALLEST: u64 = 64 << 10;
/// A file of so many bytes is merged no more.
const LARGE: u64 = 256 << 20;
/// A merged file spans at most this part of the time for which events are kept, so that it can be dropped as a whole.
const SPANS: Ms = 8;
/// How often what is too old is looked for.
const LOOK: Duration = Duration::from_secs(600);
/// Files of a table that are looked through at once.
const AT_ONCE: usize = 256;

/// What was prepared: files in a commit that is not published, and those whose place they take.
#[derive(Debug)]
struct Tidied {
    parts: Commit,
    removed: Vec<Removed>,
    dropped: BTreeMap<String, u64>,
    horizon: Option<u64>,
}

/// The housekeeping of one run.
#[derive(Debug, Default)]
pub(super) struct Tidy {
    job: Option<Running>,
    is_over: Arc<AtomicBool>,
    looked_at: Option<Instant>,
    looked_to: Places,
}

/// A job under way: what it prepares, if there is anything to do.
type Running = JoinHandle<Result<Option<Tidied>, Problem>>;

/// By table, the path of the file that was looked through last, where more come after it.
type Places = BTreeMap<Table, String>;

impl Drop for Tidy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // What it has prepared is no data.
        let _ = self.job.take().map(JoinHandle::join);
    }
}

impl Writer {
    /// Commits what was prepared, and has the next thing prepared.
    pub(super) fn tidy(&mut self) -> Result<(), Problem> {
        match self.tidy.job.take() {
            Some(job) if !job.is_finished() => {
                self.tidy.job = Some(job);
                return Ok(());
            }
            Some(job) => {
                let done = job.join().map_err(|_| Problem::bug("The housekeeping has panicked."))?;
                match done {
                    Ok(Some(tidied)) => {
                        self.commit_tidied(&tidied)?;
                    }
                    Ok(None) => {}
                    // It can wait for room, or for an object store; nothing else does.
                    Err(problem) if problem.awaits.is_some() => self.tidy.looked_at = Some(Instant::now()),
                    Err(problem) => return Err(problem),
                }
            }
            None => {}
        }
        self.tidy.job = match self.next_job() {
            Err(problem) if problem.awaits.is_some() => {
                self.tidy.looked_at = Some(Instant::now());
                None
            }
            job => job?,
        };
        Ok(())
    }

    fn commit_tidied(&mut self, tidied: &Tidied) -> Result<(), Problem> {
        let live: HashSet<&str> = self.owner.chain().files().map(|file| file.path.as_str()).collect();
        if !tidied.removed.iter().all(|file| live.contains(file.path.as_str())) {
            // Something else has replaced one of them meanwhile.
            return Ok(());
        }
        let commit = self.owner.begin();
        commit.absorb(&tidied.parts);
        let mut draft = self.draft(CommitKind::Tidy);
        draft.removed.clone_from(&tidied.removed);
        draft.dropped.clone_from(&tidied.dropped);
        draft.horizon = tidied.horizon;
        self.publish(&commit, &draft)?;
        let dropped: u64 = tidied.dropped.values().sum();
        let text = format!(
            "commit {}: {} files became {}, {dropped} rows were too old.",
            commit.number(),
            tidied.removed.len(),
            commit.files().len()
        );
        logline::say(self.settings.log_format, &logline::info(&text));
        Ok(())
    }

    fn next_job(&mut self) -> Result<Option<Running>, Problem> {
        let chain = self.owner.chain();
        let job = Job {
            store: self.owner.store().clone(),
            parts: self.owner.begin(),
            passport: passport::of_topics(&self.settings, chain.number() + 1),
            is_over: Arc::clone(&self.tidy.is_over),
        };
        let logs: Vec<&FileEntry> = chain.files_of(Table::Events.name()).collect();
        if let Some(files) = next_merge(&job.store, &logs, self.settings.keep_events_ms)? {
            return Ok(Some(std::thread::spawn(move || job.merge(&files))));
        }
        if self.tidy.looked_at.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(None);
        }
        self.tidy.looked_at = Some(Instant::now());
        let old = Old::find(&job.store, chain, &self.settings, &mut self.tidy.looked_to)?;
        if !self.tidy.looked_to.is_empty() {
            self.tidy.looked_at = None;
        }
        Ok(old.map(|old| std::thread::spawn(move || job.drop(&old))))
    }
}

fn size_of(bytes: u64) -> u32 {
    (bytes / SMALLEST).checked_ilog(FAN as u64).map_or(0, |size| size + 1)
}

/// The files to merge next: the oldest of a size of which there are enough.
fn next_merge(store: &Store, logs: &[&FileEntry], keep: Option<Ms>) -> Result<Option<Vec<FileEntry>>, Problem> {
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

/// What is too old.
#[derive(Debug, Default)]
struct Old {
    /// Events that had settled by this commit, and live minutes that had by that.
    horizon: Option<(u64, BTreeMap<String, Ms>)>,
    live_frontiers: BTreeMap<String, Ms>,
    events: Vec<FileEntry>,
    live: Vec<FileEntry>,
    rejected: Vec<FileEntry>,
}

impl Old {
    fn find(store: &Store, chain: &Chain, settings: &Settings, looked_to: &mut Places) -> Result<Option<Old>, Problem> {
        let now = directory::now();
        let mut old = Old::default();
        let mut candidates = |table: Table, horizon: u64| {
            let from = looked_to.remove(&table).unwrap_or_default();
            let files = chain.files_of(table.name()).filter(|file| file.begun_in() <= horizon && file.path > from);
            let files: Vec<FileEntry> = files.take(AT_ONCE).cloned().collect();
            if let Some(last) = files.last().filter(|_| files.len() == AT_ONCE) {
                looked_to.insert(table, last.path.clone());
            }
            files
        };
        if let Some(horizon) = commit_before(store, chain, now, settings.keep_events_ms)? {
            old.events = candidates(Table::Events, horizon);
            old.horizon = Some((horizon, Chain::open_to(store, WRITER, horizon)?.frontiers().clone()));
        }
        if let Some(horizon) = commit_before(store, chain, now, settings.keep_live_ms)? {
            old.live = candidates(Table::Live, horizon);
            old.live_frontiers = Chain::open_to(store, WRITER, horizon)?.frontiers().clone();
        }
        if let Some(keep) = settings.rejected_keep_ms {
            let first_kept = day_of(now.saturating_sub(keep));
            let files = chain.files_of(Table::Rejected.name());
            let is_old = |file: &&FileEntry| day_in(&file.path).is_some_and(|day| day < first_kept);
            old.rejected = files.filter(is_old).take(AT_ONCE).cloned().collect();
        }
        let nothing = old.events.is_empty() && old.live.is_empty() && old.rejected.is_empty();
        Ok((!nothing).then_some(old))
    }
}

/// The day of the folder `date=` that a path lies in.
fn day_in(path: &str) -> Option<i64> {
    let date = path.split('/').find_map(|folder| folder.strip_prefix("date="))?;
    let numbers: Vec<i64> = date.split('-').map(|number| number.parse().unwrap_or(0)).collect();
    let [year, month @ 1..=12, day @ 1..=31] = numbers[..] else { return None };
    Some(days_from_civil(year, month, day))
}

/// The last commit that was made `keep` ago or earlier.
fn commit_before(store: &Store, chain: &Chain, now: Ms, keep: Option<Ms>) -> Result<Option<u64>, Problem> {
    let Some(keep) = keep else { return Ok(None) };
    let (mut known, mut unknown) = (0, chain.number() + 1);
    while unknown - known > 1 {
        let middle = known + (unknown - known) / 2;
        let made = read_manifest(store, WRITER, middle)?.created_at;
        if made <= now.saturating_sub(keep) { known = middle } else { unknown = middle }
    }
    Ok((known > 0).then_some(known))
}

/// What a thread prepares.
struct Job {
    store: Store,
    parts: Commit,
    passport: Passport,
    is_over: Arc<AtomicBool>,
}

impl Job {
    /// Merges files of the log into one.
    fn merge(self, files: &[FileEntry]) -> Result<Option<Tidied>, Problem> {
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

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Writes those events of files of the log that are kept as one file; gives their number, if it was written.
    fn rewrite(
        &self,
        files: &[FileEntry],
        keep: impl Fn(&str, &exporter::LoggedEvent) -> bool,
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

    /// Takes what is too old out of files.
    fn drop(self, old: &Old) -> Result<Option<Tidied>, Problem> {
        let (mut removed, mut dropped) = (Vec::new(), BTreeMap::<String, u64>::new());
        let mut going = |file: &FileEntry, rows: u64| {
            removed.push(Removed::from(file));
            *dropped.entry(file.table.clone()).or_default() += rows;
        };
        let mut horizon = None;
        if let Some((number, frontiers)) = &old.horizon {
            let is_kept = |id: &str, row: &exporter::LoggedEvent| {
                row.commit > i64::try_from(*number).unwrap_or(i64::MAX)
                    || frontiers.get(id).is_none_or(|frontier| row.event.ts() >= *frontier)
            };
            for file in &old.events {
                let kept = self.count(file, &is_kept)?;
                if kept == file.rows || self.is_over() {
                    continue;
                }
                if kept > 0 && self.rewrite(std::slice::from_ref(file), is_kept)? != Some(kept) {
                    return Ok(None);
                }
                going(file, file.rows - kept);
                horizon = Some(*number);
            }
        }
        for file in &old.live {
            let rows = self.old_minutes(file, &old.live_frontiers)?;
            if rows > 0 {
                going(file, rows);
            }
        }
        old.rejected.iter().for_each(|file| going(file, file.rows));
        if removed.is_empty() || self.is_over() {
            return Ok(None);
        }
        Ok(Some(Tidied { parts: self.parts, removed, dropped, horizon }))
    }

    /// Events of a file that are kept.
    fn count(&self, file: &FileEntry, keep: &impl Fn(&str, &exporter::LoggedEvent) -> bool) -> Result<u64, Problem> {
        Ok(open_table(&self.store, Table::Events, file)?.count_events(keep)?)
    }

    /// Live minutes of a file that lie before their frontier; the others are written anew.
    fn old_minutes(&self, file: &FileEntry, frontiers: &BTreeMap<String, Ms>) -> Result<u64, Problem> {
        let names = std::cell::RefCell::new(audience::Names::default());
        let mut staying: Vec<MinuteRow> = Vec::new();
        let opened = open_table(&self.store, Table::Live, file)?;
        let passport = opened.passport().clone();
        for batch in opened.minutes(|id| names.borrow_mut().number(id))? {
            let names = names.borrow();
            let is_old = |row: &MinuteRow| {
                let frontier = frontiers.get(&*names.list()[row.broadcast as usize]);
                frontier.is_some_and(|frontier| row.minute_at < *frontier)
            };
            staying.extend(batch?.into_iter().filter(|row| !is_old(row)));
        }
        let going = file.rows - staying.len() as u64;
        if let (Some(first), true) = (staying.first(), going > 0) {
            let part = self.parts.part(Table::Live.name(), Folder::Day(day_of(first.minute_at)))?.rewritten();
            let mut writer: TableWriter<PartWriter> = TableWriter::new(Table::Live, &passport, part)?;
            writer.push(TableRows::Live(&staying), names.borrow().list())?;
            writer.finish()?.finish(staying.len() as u64)?;
        }
        Ok(going)
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

    #[test]
    fn a_path_tells_its_day_and_its_commit() {
        let path = "rejected/date=1970-01-03/00000000000000000042-0001.parquet";
        let file = FileEntry { path: path.to_owned(), ..FileEntry::default() };
        assert_eq!((day_in(path), file.begun_in()), (Some(2), 42));
        assert_eq!(day_in("events/writer=main/00000000000000000042-0001.parquet"), None);
    }
}
