//! What is too old: events that settled long ago, live minutes that settled ones have replaced, and rejected events.
//! Files go as a whole where they can, and are written anew without those rows where they cannot. A clock may have been
//! wrong when a row came, and may be now: a row is old only where our clock and the time of the data say so both.

use super::merge::{Job, Tidied};
use crate::directory::{self, WRITER};
use crate::stored::open_table;
use crate::{Chain, FileEntry, Folder, Manifest, PartWriter, Removed, Store, read_manifest};
use audience::Names;
use audience::time::day_of;
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
        let Some(newest) = chain.newest() else { return Ok(None) };
        let now = Times { ours: directory::now(), ..Times::of(newest) };
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
        if let Some(horizon) = commit_before(store, chain, now, keep.rejected)? {
            let files = chain.files_of(Table::Rejected.name());
            old.rejected = files.filter(|file| file.begun_in() <= horizon).take(AT_ONCE).cloned().collect();
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

/// When a commit was made: by our clock, and by what the data up to it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    ours: Ms,
    /// The greatest time that a record bears.
    records: Option<Ms>,
    /// It runs on by the monotonic clock where nothing comes.
    watermark: Option<Ms>,
}

impl Times {
    fn of(manifest: &Manifest) -> Times {
        Times { ours: manifest.created_at, records: manifest.recorded_at(), watermark: manifest.watermark }
    }

    /// Whether what was committed then is older than `keep`. Our clock alone says so of data that have no time at all.
    fn is_old(self, now: Times, keep: Ms) -> bool {
        let is_past = |then: Option<Ms>, now: Option<Ms>| then.zip(now).is_some_and(|(then, now)| now - then >= keep);
        let by_data = is_past(self.records, now.records) || is_past(self.watermark, now.watermark);
        self.ours <= now.ours.saturating_sub(keep) && (by_data || (now.records, now.watermark) == (None, None))
    }
}

/// The last commit that was made `keep` ago or earlier. Where clocks went back meanwhile it may be an earlier one.
fn commit_before(store: &Store, chain: &Chain, now: Times, keep: Option<Ms>) -> Result<Option<u64>, Problem> {
    let Some(keep) = keep else { return Ok(None) };
    let (mut known, mut unknown) = (0, chain.number() + 1);
    while unknown - known > 1 {
        let middle = known + (unknown - known) / 2;
        let made = Times::of(&read_manifest(store, WRITER, middle)?);
        if made.is_old(now, keep) { known = middle } else { unknown = middle }
    }
    Ok((known > 0).then_some(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_so_by_our_clock_and_by_the_data() {
        let day = 86_400_000;
        let times = |ours: Ms, records: Ms, watermark: Ms| Times {
            ours: ours * day,
            records: Some(records * day),
            watermark: Some(watermark * day),
        };
        for (then, now, is_old) in [
            (times(100, 100, 100), times(130, 130, 130), true),
            (times(100, 100, 100), times(129, 130, 130), false),
            // Nothing has come since: time runs on by the monotonic clock.
            (times(100, 100, 100), times(130, 100, 130), true),
            (times(100, 100, 100), times(130, 100, 129), false),
            // A topic of long ago, read at once; a record of the year 2099.
            (times(100, 20, 5), times(100, 50, 40), false),
            (times(100, 40_000, 100), times(130, 40_000, 130), true),
            // A clock ahead now; behind when they came; ahead when they came.
            (times(100, 100, 100), times(160, 100, 100), false),
            (times(0, 100, 100), times(101, 101, 101), false),
            (times(160, 100, 100), times(130, 130, 130), false),
        ] {
            assert_eq!(then.is_old(now, 30 * day), is_old, "{then:?} {now:?}");
        }
        let bare = |ours: Ms| Times { ours: ours * day, records: None, watermark: None };
        assert!(bare(100).is_old(bare(130), 30 * day));
        assert!(!bare(100).is_old(times(130, 130, 130), 30 * day), "the data have a time since, and no more is known");
    }
}
