//! The table `corrections`: each minute that an operator's `settle` moved, as it was and as it is, and why. Without
//! rows of it a settled minute never changed.

use super::airings::maybe;
use super::columns::{Cells, flags, instants, ints, maybe_instants, numbered};
use super::read::{TableBatch, TableFile};
use super::{Table, TableError, stays};
use audience::{MinuteRow, Ms, Stay};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

/// One minute that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectionRow {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Start of the minute.
    pub minute_at: Ms,
    /// Number of the commit that moved it, `>= 1`.
    pub commit: i64,
    /// Our clock then.
    pub corrected_at: Ms,
    /// Events of the broadcast that had come after it settled and count from now on, `>= 0`.
    pub late_events: i64,
    /// First and last `ts` of those; `None` where there were none.
    pub late_span: Option<(Ms, Ms)>,
    /// Whether other rules hold from now on.
    pub rules_changed: bool,
    /// The settled row before; `None` where no airing had the minute.
    pub before: Option<MinuteRow>,
    /// The settled row from now on; `None` where no airing has the minute any more.
    pub after: Option<MinuteRow>,
}

impl CorrectionRow {
    pub(super) fn stays_bytes(&self) -> usize {
        [&self.before, &self.after].into_iter().flatten().map(|row| size_of_val(row.stays.as_slice())).sum()
    }
}

/// A count of the settled row on one side.
type Count = fn(&MinuteRow) -> i64;

/// The counts between `airing_at` and `stays`, in the table's order but for `viewers_max_at`.
const COUNTS: [(&str, &str, Count); 11] = [
    ("joins_before", "joins_after", |row| row.joins),
    ("leaves_before", "leaves_after", |row| row.leaves),
    ("lapses_before", "lapses_after", |row| row.lapses),
    ("viewers_start_before", "viewers_start_after", |row| row.viewers_start),
    ("viewers_end_before", "viewers_end_after", |row| row.viewers_end),
    ("viewers_max_before", "viewers_max_after", |row| row.viewers_max),
    ("viewers_min_before", "viewers_min_after", |row| row.viewers_min),
    ("viewer_ms_before", "viewer_ms_after", |row| row.viewer_ms),
    ("new_viewers_before", "new_viewers_after", |row| row.new_viewers),
    ("retweets_before", "retweets_after", |row| row.retweets),
    ("retweet_followers_before", "retweet_followers_after", |row| row.retweet_followers),
];

/// Counts before `viewers_max_at` in the table's order.
const BEFORE_MAX_AT: usize = 6;

pub(super) fn encode<'a>(rows: &[CorrectionRow], names: &'a [Arc<str>]) -> Result<Vec<Cells<'a>>, TableError> {
    let sides: [fn(&CorrectionRow) -> Option<&MinuteRow>; 2] = [|row| row.before.as_ref(), |row| row.after.as_ref()];
    let mut cells = vec![
        numbered(rows.iter().map(|row| row.broadcast), names),
        instants(rows.iter().map(|row| row.minute_at)),
        ints(rows.iter().map(|row| row.commit)),
        instants(rows.iter().map(|row| row.corrected_at)),
        ints(rows.iter().map(|row| row.late_events)),
        maybe_instants(rows.iter().map(|row| row.late_span.map(|(from, _)| from))),
        maybe_instants(rows.iter().map(|row| row.late_span.map(|(_, to)| to))),
        flags(rows.iter().map(|row| row.rules_changed)),
    ];
    for side in sides {
        cells.push(maybe_instants(rows.iter().map(|row| side(row).map(|minute| minute.airing_at))));
    }
    for (place, (_, _, count)) in COUNTS.iter().enumerate() {
        if place == BEFORE_MAX_AT {
            for side in sides {
                cells.push(maybe_instants(rows.iter().map(|row| side(row).map(|minute| minute.viewers_max_at))));
            }
        }
        for side in sides {
            cells.push(ints(rows.iter().map(|row| side(row).map_or(0, count))));
        }
    }
    for (side, column) in sides.into_iter().zip(["stays_before", "stays_after"]) {
        let none: &[Stay] = &[];
        let of = rows.iter().map(|row| side(row).map_or(none, |minute| minute.stays.as_slice()));
        cells.push(stays::encode(Table::Corrections, column, of)?);
    }
    Ok(cells)
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The corrections, in batches. `number` gives the number of a broadcast's id.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn corrections(
        self,
        mut number: impl FnMut(&str) -> u32,
    ) -> Result<impl Iterator<Item = Result<Vec<CorrectionRow>, TableError>>, TableError> {
        self.batches(&[Table::Corrections], move |batch| decode(batch, &mut number))
    }
}

fn decode(batch: &TableBatch<'_>, number: &mut impl FnMut(&str) -> u32) -> Result<Vec<CorrectionRow>, TableError> {
    let broadcasts = batch.broadcasts(number)?;
    let minute_at = batch.instants("minute_at")?;
    let commits = batch.ints("commit")?;
    let corrected_at = batch.instants("corrected_at")?;
    let late_events = batch.ints("late_events")?;
    let late_from = batch.maybe_instants("late_from")?;
    let late_to = batch.maybe_instants("late_to")?;
    let rules_changed = batch.flags("rules_changed")?;
    let mut before = Side::decode(batch, 0)?.into_iter();
    let mut after = Side::decode(batch, 1)?.into_iter();
    let mut rows = Vec::with_capacity(batch.len());
    for row in 0..batch.len() {
        let with_name =
            |minute: Option<MinuteRow>| minute.map(|minute| MinuteRow { broadcast: broadcasts[row], ..minute });
        rows.push(CorrectionRow {
            broadcast: broadcasts[row],
            minute_at: minute_at[row],
            commit: commits[row],
            corrected_at: corrected_at[row],
            late_events: late_events[row],
            late_span: maybe(late_from, row).zip(maybe(late_to, row)),
            rules_changed: rules_changed.value(row),
            before: with_name(before.next().flatten()),
            after: with_name(after.next().flatten()),
        });
    }
    Ok(rows)
}

/// The rows of one side, before or after.
struct Side;

impl Side {
    fn decode(batch: &TableBatch<'_>, side: usize) -> Result<Vec<Option<MinuteRow>>, TableError> {
        let (airing, max_at, histogram) = [
            ("airing_at_before", "viewers_max_at_before", "stays_before"),
            ("airing_at_after", "viewers_max_at_after", "stays_after"),
        ][side];
        let counts = COUNTS.map(|(before, after, _)| batch.ints([before, after][side]));
        let mut columns = Vec::with_capacity(counts.len());
        for count in counts {
            columns.push(count?);
        }
        let (minute_at, airing_at) = (batch.instants("minute_at")?, batch.maybe_instants(airing)?);
        let (max_at, stays) = (batch.maybe_instants(max_at)?, batch.stays(histogram)?);
        let minute = |row: usize| {
            let count = |place: usize| columns[place][row];
            maybe(airing_at, row).map(|airing_at| MinuteRow {
                broadcast: 0,
                airing_at,
                minute_at: minute_at[row],
                joins: count(0),
                leaves: count(1),
                lapses: count(2),
                viewers_start: count(3),
                viewers_end: count(4),
                viewers_max: count(5),
                viewers_max_at: maybe(max_at, row).unwrap_or(minute_at[row]),
                viewers_min: count(6),
                viewer_ms: count(7),
                distinct: None,
                new_viewers: count(8),
                retweets: count(9),
                retweet_followers: count(10),
                stays: stays.cell(row),
                late: 0,
                lapses_backdated: 0,
                complete: true,
            })
        };
        Ok((0..batch.len()).map(minute).collect())
    }
}
