//! A line is the minutes of one airing, settled or live: each begins when and with as many viewers as the one before ended. And what the live
//! table says of late events is what the log says.

use super::digest::Digest;
use super::history::History;
use super::tables::{Airing, named};
use crate::problem::Problem;
use crate::stored::Stored;
use audience::time::rfc3339;
use audience::{MINUTE_MS, MinuteRow, Ms};
use exporter::Table;
use std::collections::BTreeMap;

/// The minutes of an airing, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// Σ hash(start of a minute, viewers there) and Σ hash(end of a minute, viewers there): equal but for the two ends of the line.
    starts: Digest,
    ends: Digest,
    first: Option<(Ms, i64)>,
    last: Option<(Ms, i64)>,
}

impl Line {
    /// Adds a minute.
    pub(super) fn take(&mut self, row: &MinuteRow) {
        let start = (row.minute_at, row.viewers_start);
        let end = (row.minute_at.saturating_add(MINUTE_MS), row.viewers_end);
        self.starts.add_pair(start);
        self.ends.add_pair(end);
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = Some(self.last.map_or(end, |last| last.max(end)));
    }

    /// Whether it begins with nobody and has no break.
    pub(super) fn is_whole(&self) -> bool {
        self.is_unbroken() && self.first.is_none_or(|first| first.1 == 0)
    }

    /// Whether it has no break.
    pub(super) fn is_unbroken(&self) -> bool {
        let (Some(first), Some(last)) = (self.first, self.last) else { return true };
        let (mut starts, mut ends) = (self.starts, self.ends);
        starts.add_pair(last);
        ends.add_pair(first);
        starts == ends
    }

    /// Start of the first minute and of the last.
    pub(super) fn span(&self) -> Option<(Ms, Ms)> {
        Some((self.first?.0, self.last?.0.saturating_sub(MINUTE_MS)))
    }

    /// Viewers at its end.
    pub(super) fn viewers_end(&self) -> i64 {
        self.last.map_or(0, |(_, viewers)| viewers)
    }
}

/// What is wrong with a broken line.
pub(super) const BROKEN: &str =
    "some minute is missing, is there twice, or does not begin with the viewers with whom the one before ended";

/// How many late events the log has in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    /// Those that a live row of that minute counts.
    pub(super) sure: i64,
    /// All. A run that starts again counts anew, without what has settled: late events of a broadcast that had settled may then be in no row.
    pub(super) all: i64,
}

/// By broadcast and minute.
pub(super) type LateMinutes = BTreeMap<(u32, Ms), Late>;

/// Checks the live minutes: each by itself, in its line and against the gaps, and the late events against the log's. Gives their number.
pub(super) fn check_live(stored: &Stored, history: &History, late: Option<&LateMinutes>) -> Result<u64, Problem> {
    let mut lines = BTreeMap::<Airing, Line>::new();
    let mut counted = BTreeMap::<(u32, Ms), i64>::new();
    let mut count = 0;
    stored.minutes_of_files(Table::Live, |file, rows| {
        for row in &rows {
            let airing = (row.broadcast, row.airing_at);
            let broken = |what: &str| Problem::data(format!("{}, table live: {what}.", named(stored, &airing)));
            aggregator::audit_minute(row).map_err(|breach| broken(&breach.0))?;
            if let Some(what) = history.wrong_complete(file, row) {
                return Err(broken(&format!("minute {} {what}", rfc3339(row.minute_at))));
            }
            count += 1;
            lines.entry(airing).or_default().take(row);
            *counted.entry((row.broadcast, row.minute_at)).or_default() += row.late;
            if !(0..=row.lapses).contains(&row.lapses_backdated) {
                return Err(broken(&format!(
                    "minute {}: {} of {} lapses are backdated",
                    rfc3339(row.minute_at),
                    row.lapses_backdated,
                    row.lapses
                )));
            }
        }
        Ok(())
    })?;
    // First minutes may have been dropped for their age.
    let is_cut = history.live_dropped > 0;
    if let Some((airing, _)) = lines.iter().find(|(_, line)| !(line.is_whole() || is_cut && line.is_unbroken())) {
        return Err(Problem::data(format!("{}, table live: {BROKEN}.", named(stored, airing))));
    }
    let Some(late) = late else { return Ok(count) };
    for ((broadcast, minute_at), counted) in counted {
        let Late { sure, all } = late.get(&(broadcast, minute_at)).copied().unwrap_or_default();
        if !(sure..=all).contains(&counted) {
            return Err(Problem::data(format!(
                "broadcast {:?}, table live, minute {}: {counted} late events, where the table events has {all}.",
                stored.broadcast_ids()[broadcast as usize],
                rfc3339(minute_at)
            )));
        }
    }
    Ok(count)
}
