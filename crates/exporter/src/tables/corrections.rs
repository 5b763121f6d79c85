//! The table `corrections`: each minute that an operator's `settle` moved, as it was and as it is, and why. Without
//! rows of it a settled minute never changed.

use super::airings::maybe;
use super::columns::{Cells, flags, instants, ints, maybe_instants, numbered};
use super::read::{TableBatch, TableFile};
use super::{Table, TableError, stays};
use audience::{DistinctMinute, MinuteRow, Ms, Stay};
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

/// A cell of the settled row on one side.
enum Of {
    Count(fn(&MinuteRow) -> i64),
    Instant(fn(&MinuteRow) -> Option<Ms>),
}

/// Two columns: what a cell was before, and what it is after.
struct Pair {
    name: &'static str,
    columns: [&'static str; 2],
    of: Of,
}

macro_rules! pair {
    ($name:literal, $of:expr) => {
        Pair { name: $name, columns: [concat!($name, "_before"), concat!($name, "_after")], of: $of }
    };
}

/// A count of D, 0 where version 1 of the contract wrote the row.
macro_rules! people {
    ($field:ident) => {
        Of::Count(|row| row.distinct.map_or(0, |people| people.$field))
    };
}

/// The columns between `airing_at` and `stays`, in the table's order.
const PAIRS: [Pair; 19] = [
    pair!("joins", Of::Count(|row| row.joins)),
    pair!("leaves", Of::Count(|row| row.leaves)),
    pair!("lapses", Of::Count(|row| row.lapses)),
    pair!("viewers_start", Of::Count(|row| row.viewers_start)),
    pair!("viewers_end", Of::Count(|row| row.viewers_end)),
    pair!("viewers_max", Of::Count(|row| row.viewers_max)),
    pair!("viewers_max_at", Of::Instant(|row| Some(row.viewers_max_at))),
    pair!("viewers_min", Of::Count(|row| row.viewers_min)),
    pair!("viewer_ms", Of::Count(|row| row.viewer_ms)),
    pair!("distinct_start", people!(start)),
    pair!("distinct_end", people!(end)),
    pair!("distinct_max", people!(max)),
    pair!("distinct_max_at", Of::Instant(|row| row.distinct.map(|people| people.max_at))),
    pair!("distinct_min", people!(min)),
    pair!("distinct_ms", people!(ms)),
    pair!("returns", people!(returns)),
    pair!("new_viewers", Of::Count(|row| row.new_viewers)),
    pair!("retweets", Of::Count(|row| row.retweets)),
    pair!("retweet_followers", Of::Count(|row| row.retweet_followers)),
];

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
    for pair in &PAIRS {
        for side in sides {
            cells.push(match pair.of {
                Of::Count(count) => ints(rows.iter().map(|row| side(row).map_or(0, count))),
                Of::Instant(instant) => maybe_instants(rows.iter().map(|row| side(row).and_then(instant))),
            });
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
        let (airing, histogram) = [("airing_at_before", "stays_before"), ("airing_at_after", "stays_after")][side];
        let column = |name: &str| PAIRS.iter().find(|pair| pair.name == name).map_or("", |pair| pair.columns[side]);
        let ints = |name: &str| batch.ints(column(name));
        let (joins, leaves, lapses) = (ints("joins")?, ints("leaves")?, ints("lapses")?);
        let (start, end) = (ints("viewers_start")?, ints("viewers_end")?);
        let (max, min, viewer_ms) = (ints("viewers_max")?, ints("viewers_min")?, ints("viewer_ms")?);
        let (new_viewers, retweets) = (ints("new_viewers")?, ints("retweets")?);
        let followers = ints("retweet_followers")?;
        let (minute_at, airing_at) = (batch.instants("minute_at")?, batch.maybe_instants(airing)?);
        let (max_at, stays) = (batch.maybe_instants(column("viewers_max_at"))?, batch.stays(histogram)?);
        let distinct = Side::decode_distinct(batch, column)?;
        let minute = |row: usize| {
            maybe(airing_at, row).map(|airing_at| MinuteRow {
                broadcast: 0,
                airing_at,
                minute_at: minute_at[row],
                joins: joins[row],
                leaves: leaves[row],
                lapses: lapses[row],
                viewers_start: start[row],
                viewers_end: end[row],
                viewers_max: max[row],
                viewers_max_at: maybe(max_at, row).unwrap_or(minute_at[row]),
                viewers_min: min[row],
                viewer_ms: viewer_ms[row],
                distinct: distinct.as_ref().map(|people| people[row]),
                new_viewers: new_viewers[row],
                retweets: retweets[row],
                retweet_followers: followers[row],
                stays: stays.cell(row),
                late: 0,
                lapses_backdated: 0,
                complete: true,
            })
        };
        Ok((0..batch.len()).map(minute).collect())
    }

    /// D of each row; `None` where the file is of version 1 of the contract.
    fn decode_distinct(
        batch: &TableBatch<'_>,
        column: impl Fn(&str) -> &'static str,
    ) -> Result<Option<Vec<DistinctMinute>>, TableError> {
        if !batch.has(column("distinct_max")) {
            return Ok(None);
        }
        let ints = |name: &str| batch.ints(column(name));
        let (start, end, max) = (ints("distinct_start")?, ints("distinct_end")?, ints("distinct_max")?);
        let (min, ms, returns) = (ints("distinct_min")?, ints("distinct_ms")?, ints("returns")?);
        let (max_at, minute_at) = (batch.maybe_instants(column("distinct_max_at"))?, batch.instants("minute_at")?);
        let of = |row: usize| DistinctMinute {
            start: start[row],
            end: end[row],
            max: max[row],
            max_at: maybe(max_at, row).unwrap_or(minute_at[row]),
            min: min[row],
            ms: ms[row],
            returns: returns[row],
        };
        Ok(Some((0..batch.len()).map(of).collect()))
    }
}
