//! The sink: where settled rows wait until there are enough for files of a commit.

use super::gather::lock;
use crate::problem::Problem;
use audience::{AiringRow, Detail, Details, MinuteRow, NO_DETAIL, RetweetDetail, RetweetRow, SessionRow};
use exporter::{
    Commit, Folder, Passport, Rows, Table, airings_by_date, minutes_by_date, retweets_by_date, sessions_by_date,
    write_rows,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Takes rows as they settle. Each thread has its own.
pub(crate) trait Receiver: aggregator::Rows + Send {
    /// A minute of the curve.
    fn minute(&mut self, row: MinuteRow);
    /// An airing; its minutes came just before it.
    fn airing(&mut self, row: AiringRow);
    /// A good moment to write what waits.
    fn settle_down(&mut self) -> Result<(), Problem>;
    /// No more rows come.
    fn finish(self) -> Result<(), Problem>;
}

/// The files of one commit that settled rows go to.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    commit: &'a Commit,
    names: &'a [Arc<str>],
    passport: &'a Passport,
    tables: &'a BTreeSet<Table>,
    /// Bytes of rows that one sink keeps before it writes files.
    sink_bytes: usize,
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
    /// Rows of `tables` go to files of `commit`, with `passport`; `names` are the ids of the broadcasts. Each of the sinks keeps at most about
    /// `sink_bytes` of rows.
    pub(crate) fn new(
        commit: &'a Commit,
        names: &'a [Arc<str>],
        passport: &'a Passport,
        tables: &'a BTreeSet<Table>,
        sink_bytes: usize,
    ) -> Output<'a> {
        Output { commit, names, passport, tables, sink_bytes, rest: Mutex::default() }
    }

    /// A sink for one thread.
    pub(crate) fn sink(&self) -> Sink<'_> {
        Sink { output: self, held: Held::default() }
    }

    /// All sinks are finished: writes what they left.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let mut rest = std::mem::take(&mut *lock(&self.rest));
        self.write(&mut rest)
    }

    fn write(&self, held: &mut Held) -> Result<(), Problem> {
        let Held { airings, minutes, sessions, sessions_details, retweets, retweets_details, stays_bytes } = held;
        for (day, rows) in airings_by_date(airings, self.names) {
            self.file(day, Rows::Airings(rows))?;
        }
        for (day, rows) in minutes_by_date(minutes, self.names) {
            self.file(day, Rows::Minutes(rows))?;
        }
        for (day, rows) in sessions_by_date(sessions, self.names) {
            self.file(day, Rows::Sessions(rows, sessions_details))?;
        }
        for (day, rows) in retweets_by_date(retweets, retweets_details, self.names) {
            self.file(day, Rows::Retweets(rows, retweets_details))?;
        }
        airings.clear();
        minutes.clear();
        sessions.clear();
        sessions_details.clear();
        retweets.clear();
        retweets_details.clear();
        *stays_bytes = 0;
        Ok(())
    }

    fn file(&self, day: i64, rows: Rows<'_>) -> Result<(), Problem> {
        write_file(self.commit, Folder::Day(day), rows, self.names, self.passport)
    }
}

/// Writes one file of one partition of a table to a commit.
pub(crate) fn write_file(
    commit: &Commit,
    folder: Folder,
    rows: Rows<'_>,
    names: &[Arc<str>],
    passport: &Passport,
) -> Result<(), Problem> {
    let count = rows.len() as u64;
    let part = commit.part(rows.table().name(), folder)?;
    write_rows(rows, names, passport, part)?.finish(count)?;
    Ok(())
}

/// One thread's rows on their way to files.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
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
