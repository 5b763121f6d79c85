//! What is too old: events that settled long ago, live minutes that settled ones have replaced, and rejected events.
//! Files go as a whole where they can, and are written anew without those rows where they cannot.

use super::merge::{Job, Tidied};
use crate::directory::{self, WRITER};
use crate::stored::open_table;
use crate::{Chain, FileEntry, Folder, PartWriter, Removed, Store, read_manifest};
use audience::Names;
use audience::time::{day_of, days_from_civil};
use audience::{MinuteRow, Ms};
use exporter::{LoggedEvent, Table, TableRows, TableWriter};
use problem::Problem;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Files of a table that are looked through at once.
const AT_ONCE: usize = 256;

/// By table, the path of the file that was looked through last, where more come after it.
pub type Places = BTreeMap<Table, String>;

/// How long rows are kept, ms; `None` for ever.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Events, after they settled.
    pub events: Option<Ms>,
    /// Live minutes, after they settled.
    pub live: Option<Ms>,
    /// Rejected events, after they came.
    pub rejected: Option<Ms>,
}

/// What is too old.
#[derive(Debug, Default)]
pub struct Old {
    /// Events that had settled by this commit, and live minutes that had by that.
    horizon: Option<(u64, BTreeMap<String, Ms>)>,
    live_frontiers: BTreeMap<String, Ms>,
    events: Vec<FileEntry>,
    live: Vec<FileEntry>,
    rejected: Vec<FileEntry>,
}

impl Old {
    /// Looks for what is older than `keep` says, from the places `looked_to` on.
    pub fn find(store: &Store, chain: &Chain, keep: Keep, looked_to: &mut Places) -> Result<Option<Old>, Problem> {
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
        if let Some(horizon) = commit_before(store, chain, now, keep.events)? {
            old.events = candidates(Table::Events, horizon);
            old.horizon = Some((horizon, Chain::open_to(store, WRITER, horizon)?.frontiers().clone()));
        }
        if let Some(horizon) = commit_before(store, chain, now, keep.live)? {
            old.live = candidates(Table::Live, horizon);
            old.live_frontiers = Chain::open_to(store, WRITER, horizon)?.frontiers().clone();
        }
        if let Some(keep) = keep.rejected {
            let first_kept = day_of(now.saturating_sub(keep));
            let files = chain.files_of(Table::Rejected.name());
            let is_old = |file: &&FileEntry| day_in(&file.path).is_some_and(|day| day < first_kept);
            old.rejected = files.filter(is_old).take(AT_ONCE).cloned().collect();
        }
        let nothing = old.events.is_empty() && old.live.is_empty() && old.rejected.is_empty();
        Ok((!nothing).then_some(old))
    }

    /// Takes it out of its files; `None` where nothing of it is there, or where `job` was to end before.
    pub fn take_out(&self, job: Job) -> Result<Option<Tidied>, Problem> {
        let (mut removed, mut dropped) = (Vec::new(), BTreeMap::<String, u64>::new());
        let mut going = |file: &FileEntry, rows: u64| {
            removed.push(Removed::from(file));
            *dropped.entry(file.table.clone()).or_default() += rows;
        };
        let mut horizon = None;
        if let Some((number, frontiers)) = &self.horizon {
            let is_kept = |id: &str, row: &LoggedEvent| {
                row.commit > i64::try_from(*number).unwrap_or(i64::MAX)
                    || frontiers.get(id).is_none_or(|frontier| row.event.ts() >= *frontier)
            };
            for file in &self.events {
                let kept = count(&job, file, &is_kept)?;
                if kept == file.rows || job.is_over() {
                    continue;
                }
                if kept > 0 && job.rewrite(std::slice::from_ref(file), is_kept)? != Some(kept) {
                    return Ok(None);
                }
                going(file, file.rows - kept);
                horizon = Some(*number);
            }
        }
        for file in &self.live {
            let rows = old_minutes(&job, file, &self.live_frontiers)?;
            if rows > 0 {
                going(file, rows);
            }
        }
        self.rejected.iter().for_each(|file| going(file, file.rows));
        if removed.is_empty() || job.is_over() {
            return Ok(None);
        }
        Ok(Some(Tidied { parts: job.parts, removed, dropped, horizon }))
    }
}

/// Events of a file that are kept.
fn count(job: &Job, file: &FileEntry, keep: &impl Fn(&str, &LoggedEvent) -> bool) -> Result<u64, Problem> {
    Ok(open_table(&job.store, Table::Events, file)?.count_events(keep)?)
}

/// Live minutes of a file that lie before their frontier; the others are written anew.
fn old_minutes(job: &Job, file: &FileEntry, frontiers: &BTreeMap<String, Ms>) -> Result<u64, Problem> {
    let names = RefCell::new(Names::default());
    let mut staying: Vec<MinuteRow> = Vec::new();
    let opened = open_table(&job.store, Table::Live, file)?;
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
        let part = job.parts.part(Table::Live.name(), Folder::Day(day_of(first.minute_at)))?.rewritten();
        let mut writer: TableWriter<PartWriter> = TableWriter::new(Table::Live, &passport, part)?;
        writer.push(TableRows::Live(&staying), names.borrow().list())?;
        writer.finish()?.finish(staying.len() as u64)?;
    }
    Ok(going)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_day_and_its_commit() {
        let path = "rejected/date=1970-01-03/00000000000000000042-0001.parquet";
        let file = FileEntry { path: path.to_owned(), ..FileEntry::default() };
        assert_eq!((day_in(path), file.begun_in()), (Some(2), 42));
        assert_eq!(day_in("events/writer=main/00000000000000000042-0001.parquet"), None);
    }
}
