//! The sink: where settled rows wait until there are enough for files of a commit.

use super::receiver::Receiver;
use crate::lock::lock;
use audience::{AiringRow, Detail, Details, MinuteRow, NO_DETAIL, RetweetDetail, RetweetRow, SessionRow};
use exporter::{
    Passport, Table, TableRows, airings_by_date, minutes_by_date, retweets_by_date, sessions_by_date, write_rows,
};
use problem::Problem;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::{Commit, Folder, PartWriter};

/// Threads that help the sinks to write files, at most: they wait for the disk most of the time.
const HELPERS_MAX: usize = 8;

/// A helper for so many files.
const HELPER_FILES: usize = 8;

/// A helper for so many bytes of rows: writing one more file at a time costs some 5 MiB, buffers of the encoder and of
/// the compression.
const HELPER_BYTES: usize = 8 << 20;

/// The files of one commit that settled rows go to.
#[derive(Debug)]
pub struct Output<'a> {
    commit: &'a Commit,
    names: &'a [Arc<str>],
    passport: &'a Passport,
    tables: &'a BTreeSet<Table>,
    /// Bytes of rows that one sink keeps before it writes files.
    sink_bytes: usize,
    /// Threads that may yet help to write.
    helpers: AtomicUsize,
    /// What finished sinks left over, so that the last files are few.
    rest: Mutex<Held>,
}

/// Rows that wait.
#[derive(Debug, Default)]
struct Held {
    airings: Vec<AiringRow>,
    minutes: Vec<MinuteRow>,
    sessions: Vec<SessionRow>,
    sessions_details: Details,
    retweets: Vec<RetweetRow>,
    retweets_details: Details,
    /// Bytes of the stays of airings and minutes, whose rows hold lists.
    stays_bytes: usize,
}

impl Held {
    fn bytes(&self) -> usize {
        self.airings.len() * size_of::<AiringRow>()
            + self.minutes.len() * size_of::<MinuteRow>()
            + self.sessions.len() * size_of::<SessionRow>()
            + self.retweets.len() * size_of::<RetweetRow>()
            + self.sessions_details.len()
            + self.retweets_details.len()
            + self.stays_bytes
    }

    fn absorb(&mut self, other: Held) {
        self.stays_bytes += other.stays_bytes;
        self.airings.extend(other.airings);
        self.minutes.extend(other.minutes);
        for row in other.sessions {
            let via = other.sessions_details.get(row.via).map_or(NO_DETAIL, |via| self.sessions_details.push(via));
            self.sessions.push(SessionRow { via, ..row });
        }
        for row in other.retweets {
            let detail =
                other.retweets_details.get(row.detail).map_or(NO_DETAIL, |said| self.retweets_details.push(said));
            self.retweets.push(RetweetRow { detail, ..row });
        }
    }
}

impl<'a> Output<'a> {
    /// Rows of `tables` go to files of `commit`, with `passport`; `names` are the ids of the broadcasts. Each of the
    /// sinks keeps at most about `sink_bytes` of rows.
    pub fn new(
        commit: &'a Commit,
        names: &'a [Arc<str>],
        passport: &'a Passport,
        tables: &'a BTreeSet<Table>,
        sink_bytes: usize,
    ) -> Output<'a> {
        let helpers = AtomicUsize::new((sink_bytes / HELPER_BYTES).clamp(1, HELPERS_MAX));
        Output { commit, names, passport, tables, sink_bytes, helpers, rest: Mutex::default() }
    }

    /// A sink for one thread.
    pub fn sink(&self) -> Sink<'_> {
        Sink { output: self, held: Held::default() }
    }

    /// All sinks are finished: writes what they left.
    pub fn finish(self) -> Result<(), Problem> {
        let mut rest = std::mem::take(&mut *lock(&self.rest));
        self.write(&mut rest)
    }

    fn write(&self, held: &mut Held) -> Result<(), Problem> {
        let Held { airings, minutes, sessions, sessions_details, retweets, retweets_details, stays_bytes } = held;
        let (said, retold) = (&*sessions_details, &*retweets_details);
        let files = (airings_by_date(airings, self.names).map(|(day, rows)| (day, TableRows::Airings(rows))))
            .chain(minutes_by_date(minutes, self.names).map(|(day, rows)| (day, TableRows::Minutes(rows))))
            .chain(sessions_by_date(sessions, self.names).map(|(day, rows)| (day, TableRows::Sessions(rows, said))))
            .chain(
                retweets_by_date(retweets, retold, self.names)
                    .map(|(day, rows)| (day, TableRows::Retweets(rows, retold))),
            );
        self.write_files(files.collect())?;
        airings.clear();
        minutes.clear();
        sessions.clear();
        sessions_details.clear();
        retweets.clear();
        retweets_details.clear();
        *stays_bytes = 0;
        Ok(())
    }

    /// Writes files side by side: where they are many and small, most of their time is waiting for the disk.
    fn write_files(&self, files: Vec<(i64, TableRows<'_>)>) -> Result<(), Problem> {
        // A few files are large: beside each other they would only need more memory.
        let wanted = files.len() / HELPER_FILES;
        let free =
            self.helpers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| Some(free - free.min(wanted)));
        let helpers = free.unwrap_or(0).min(wanted);
        let files = Mutex::new(files.into_iter());
        // Names are given in the order of the rows, whichever thread is quicker.
        let begin = || -> Result<Option<_>, Problem> {
            let mut files = lock(&files);
            let Some((day, rows)) = files.next() else { return Ok(None) };
            Ok(Some((rows, self.commit.part(rows.table().name(), Folder::Day(day))?)))
        };
        let write = || -> Result<(), Problem> {
            while let Some((rows, part)) = begin()? {
                finish_file(part, rows, self.names, self.passport)?;
            }
            Ok(())
        };
        let first = Mutex::new(None);
        let work = || {
            if let Err(problem) = write() {
                lock(&first).get_or_insert(problem);
                // The others end with the file at hand.
                lock(&files).by_ref().for_each(drop);
            }
        };
        std::thread::scope(|scope| {
            (0..helpers).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        self.helpers.fetch_add(helpers, Ordering::Relaxed);
        first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// Writes one file of one partition of a table to a commit.
pub fn write_file(
    commit: &Commit,
    folder: Folder,
    rows: TableRows<'_>,
    names: &[Arc<str>],
    passport: &Passport,
) -> Result<(), Problem> {
    finish_file(commit.part(rows.table().name(), folder)?, rows, names, passport)
}

fn finish_file(part: PartWriter, rows: TableRows<'_>, names: &[Arc<str>], passport: &Passport) -> Result<(), Problem> {
    write_rows(rows, names, passport, part)?.finish(rows.len() as u64)?;
    Ok(())
}

/// One thread's rows on their way to files.
#[derive(Debug)]
pub struct Sink<'a> {
    output: &'a Output<'a>,
    held: Held,
}

impl aggregator::Rows for Sink<'_> {
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        if self.output.tables.contains(&Table::Sessions) {
            let via = via.map_or(NO_DETAIL, |via| self.held.sessions_details.push(Detail::Via(via)));
            self.held.sessions.push(SessionRow { via, ..row });
        }
    }

    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        if self.output.tables.contains(&Table::Retweets) {
            let detail = self.held.retweets_details.push(Detail::Retweet(detail));
            self.held.retweets.push(RetweetRow { detail, ..row });
        }
    }
}

impl Receiver for Sink<'_> {
    fn minute(&mut self, row: MinuteRow) {
        if self.output.tables.contains(&Table::Minutes) {
            self.held.stays_bytes += size_of_val(row.stays.as_slice());
            self.held.minutes.push(row);
        }
    }

    fn airing(&mut self, row: AiringRow) {
        if self.output.tables.contains(&Table::Airings) {
            self.held.stays_bytes += size_of_val(row.stays.as_slice());
            self.held.airings.push(row);
        }
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        if self.held.bytes() > self.output.sink_bytes { self.output.write(&mut self.held) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<(), Problem> {
        let mut rest = lock(&self.output.rest);
        if rest.bytes() + self.held.bytes() > self.output.sink_bytes {
            drop(rest);
            return self.output.write(&mut self.held);
        }
        rest.absorb(self.held);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
