//! The tables `minutes` and `live`: the curve, one row a minute of an airing. They have the same columns.

use super::columns::{Cells, flags, instants, ints, means, numbered};
use super::read::{TableBatch, TableFile};
use super::{Table, TableError, stays};
use audience::{DistinctMinute, MinuteRow};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

pub(super) fn encode<'a>(
    table: Table,
    rows: &[MinuteRow],
    names: &'a [Arc<str>],
) -> Result<Vec<Cells<'a>>, TableError> {
    let distinct = distinct_of(table, rows.iter().map(|row| row.distinct))?;
    let distinct = || distinct.iter();
    Ok(vec![
        numbered(rows.iter().map(|row| row.broadcast), names),
        instants(rows.iter().map(|row| row.airing_at)),
        instants(rows.iter().map(|row| row.minute_at)),
        ints(rows.iter().map(|row| row.joins)),
        ints(rows.iter().map(|row| row.leaves)),
        ints(rows.iter().map(|row| row.lapses)),
        ints(rows.iter().map(|row| row.viewers_start)),
        ints(rows.iter().map(|row| row.viewers_end)),
        ints(rows.iter().map(|row| row.viewers_max)),
        instants(rows.iter().map(|row| row.viewers_max_at)),
        ints(rows.iter().map(|row| row.viewers_min)),
        ints(rows.iter().map(|row| row.viewer_ms)),
        means(rows.iter().map(MinuteRow::viewers_mean)),
        ints(distinct().map(|people| people.start)),
        ints(distinct().map(|people| people.end)),
        ints(distinct().map(|people| people.max)),
        instants(distinct().map(|people| people.max_at)),
        ints(distinct().map(|people| people.min)),
        ints(distinct().map(|people| people.ms)),
        means(rows.iter().filter_map(MinuteRow::distinct_mean)),
        ints(distinct().map(|people| people.returns)),
        ints(rows.iter().map(|row| row.new_viewers)),
        ints(rows.iter().map(|row| row.retweets)),
        ints(rows.iter().map(|row| row.retweet_followers)),
        stays::encode(table, "stays", rows.iter().map(|row| row.stays.as_slice()))?,
        ints(rows.iter().map(|row| row.late)),
        ints(rows.iter().map(|row| row.lapses_backdated)),
        flags(rows.iter().map(|row| row.complete)),
    ])
}

/// D of each row; only version 2 of the contract is written, where every row has it.
pub(super) fn distinct_of<T>(table: Table, rows: impl Iterator<Item = Option<T>>) -> Result<Vec<T>, TableError> {
    let all: Option<Vec<T>> = rows.collect();
    all.ok_or_else(|| TableError::bug(table, "a row of version 1 of the contract has no distinct viewers"))
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The minutes of a file of `minutes` or `live`, in batches. `number` gives the number of a broadcast's id.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn minutes(
        self,
        mut number: impl FnMut(&str) -> u32,
    ) -> Result<impl Iterator<Item = Result<Vec<MinuteRow>, TableError>>, TableError> {
        self.batches(&[Table::Minutes, Table::Live], move |batch| decode(batch, &mut number))
    }
}

fn decode(batch: &TableBatch<'_>, number: &mut impl FnMut(&str) -> u32) -> Result<Vec<MinuteRow>, TableError> {
    let broadcasts = batch.broadcasts(number)?;
    let airing_at = batch.instants("airing_at")?;
    let minute_at = batch.instants("minute_at")?;
    let joins = batch.ints("joins")?;
    let leaves = batch.ints("leaves")?;
    let lapses = batch.ints("lapses")?;
    let viewers_start = batch.ints("viewers_start")?;
    let viewers_end = batch.ints("viewers_end")?;
    let viewers_max = batch.ints("viewers_max")?;
    let viewers_max_at = batch.instants("viewers_max_at")?;
    let viewers_min = batch.ints("viewers_min")?;
    let viewer_ms = batch.ints("viewer_ms")?;
    let viewers_mean = batch.maybe_means("viewers_mean")?;
    let new_viewers = batch.ints("new_viewers")?;
    let retweets = batch.ints("retweets")?;
    let retweet_followers = batch.ints("retweet_followers")?;
    let stays = batch.stays("stays")?;
    let late = batch.ints("late")?;
    let lapses_backdated = batch.ints("lapses_backdated")?;
    let complete = batch.flags("complete")?;
    let distinct = decode_distinct(batch)?;
    let row = |row: usize| MinuteRow {
        broadcast: broadcasts[row],
        airing_at: airing_at[row],
        minute_at: minute_at[row],
        joins: joins[row],
        leaves: leaves[row],
        lapses: lapses[row],
        viewers_start: viewers_start[row],
        viewers_end: viewers_end[row],
        viewers_max: viewers_max[row],
        viewers_max_at: viewers_max_at[row],
        viewers_min: viewers_min[row],
        viewer_ms: viewer_ms[row],
        distinct: distinct.as_ref().map(|people| people[row]),
        new_viewers: new_viewers[row],
        retweets: retweets[row],
        retweet_followers: retweet_followers[row],
        stays: stays.cell(row),
        late: late[row],
        lapses_backdated: lapses_backdated[row],
        complete: complete.value(row),
    };
    let rows: Vec<MinuteRow> = (0..batch.len()).map(row).collect();
    batch.same_means("viewers_mean", rows.iter().map(|row| Some(row.viewers_mean())), viewers_mean)?;
    if distinct.is_some() {
        let distinct_mean = batch.maybe_means("distinct_mean")?;
        batch.same_means("distinct_mean", rows.iter().map(MinuteRow::distinct_mean), distinct_mean)?;
    }
    Ok(rows)
}

/// D of each row; `None` where the file is of version 1 of the contract.
fn decode_distinct(batch: &TableBatch<'_>) -> Result<Option<Vec<DistinctMinute>>, TableError> {
    if !batch.has("distinct_max") {
        return Ok(None);
    }
    let (start, end) = (batch.ints("distinct_start")?, batch.ints("distinct_end")?);
    let (max, max_at) = (batch.ints("distinct_max")?, batch.instants("distinct_max_at")?);
    let (min, ms) = (batch.ints("distinct_min")?, batch.ints("distinct_ms")?);
    let returns = batch.ints("returns")?;
    let of = |row: usize| DistinctMinute {
        start: start[row],
        end: end[row],
        max: max[row],
        max_at: max_at[row],
        min: min[row],
        ms: ms[row],
        returns: returns[row],
    };
    Ok(Some((0..batch.len()).map(of).collect()))
}
