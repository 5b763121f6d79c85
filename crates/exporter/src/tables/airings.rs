//! The table `airings`: one row says what became of one airing.

use super::columns::{Cells, instants, ints, maybe_instants, maybe_ints, maybe_means, numbered};
use super::minutes::distinct_of;
use super::read::{TableBatch, TableFile};
use super::{Table, TableError, stays};
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, PrimitiveArray};
use audience::time::TS_END;
use audience::{AiringRow, DistinctAiring};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

pub(super) fn encode<'a>(rows: &[AiringRow], names: &'a [Arc<str>]) -> Result<Vec<Cells<'a>>, TableError> {
    let distinct = distinct_of(Table::Airings, rows.iter().map(|row| row.distinct))?;
    let distinct = || distinct.iter();
    Ok(vec![
        numbered(rows.iter().map(|row| row.broadcast), names),
        instants(rows.iter().map(|row| row.airing_at)),
        maybe_instants(rows.iter().map(|row| row.first_joined_at)),
        instants(rows.iter().map(|row| row.last_at)),
        maybe_ints(rows.iter().map(|row| row.airtime_ms)),
        ints(rows.iter().map(|row| row.sessions)),
        ints(rows.iter().map(|row| row.reach)),
        ints(rows.iter().map(|row| row.viewers_max)),
        maybe_instants(rows.iter().map(|row| row.viewers_max_at)),
        ints(rows.iter().map(|row| row.viewer_ms)),
        maybe_means(rows.iter().map(AiringRow::viewers_mean)),
        ints(distinct().map(|people| people.max)),
        maybe_instants(distinct().map(|people| people.max_at)),
        ints(distinct().map(|people| people.ms)),
        maybe_means(rows.iter().map(AiringRow::distinct_mean)),
        ints(distinct().map(|people| people.returns)),
        ints(rows.iter().map(|row| row.joins)),
        ints(rows.iter().map(|row| row.leaves)),
        ints(rows.iter().map(|row| row.lapses)),
        ints(rows.iter().map(|row| row.retweets)),
        ints(rows.iter().map(|row| row.retweet_followers)),
        stays::encode(Table::Airings, "stays", rows.iter().map(|row| row.stays.as_slice()))?,
        ints(rows.iter().map(|row| row.applied)),
        ints(rows.iter().map(|row| row.repeated)),
        ints(rows.iter().map(|row| row.orphaned)),
    ])
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The airings, in batches. `number` gives the number of a broadcast's id.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn airings(
        self,
        mut number: impl FnMut(&str) -> u32,
    ) -> Result<impl Iterator<Item = Result<Vec<AiringRow>, TableError>>, TableError> {
        self.batches(&[Table::Airings], move |batch| decode(batch, &mut number))
    }
}

fn decode(batch: &TableBatch<'_>, number: &mut impl FnMut(&str) -> u32) -> Result<Vec<AiringRow>, TableError> {
    let broadcasts = batch.broadcasts(number)?;
    let airing_at = batch.instants("airing_at")?;
    let last_at = batch.instants("last_at")?;
    let first_joined_at = batch.maybe_instants("first_joined_at")?;
    let viewers_max_at = batch.maybe_instants("viewers_max_at")?;
    let airtime_ms = batch.maybe_ints("airtime_ms")?;
    let viewers_mean = batch.maybe_means("viewers_mean")?;
    let sessions = batch.ints("sessions")?;
    let reach = batch.ints("reach")?;
    let viewers_max = batch.ints("viewers_max")?;
    let viewer_ms = batch.ints("viewer_ms")?;
    let joins = batch.ints("joins")?;
    let leaves = batch.ints("leaves")?;
    let lapses = batch.ints("lapses")?;
    let retweets = batch.ints("retweets")?;
    let retweet_followers = batch.ints("retweet_followers")?;
    let stays = batch.stays("stays")?;
    let applied = batch.ints("applied")?;
    let repeated = batch.ints("repeated")?;
    let orphaned = batch.ints("orphaned")?;
    let distinct = decode_distinct(batch)?;
    let row = |row: usize| AiringRow {
        broadcast: broadcasts[row],
        airing_at: airing_at[row],
        first_joined_at: maybe(first_joined_at, row),
        last_at: last_at[row],
        airtime_ms: maybe(airtime_ms, row),
        sessions: sessions[row],
        reach: reach[row],
        viewers_max: viewers_max[row],
        viewers_max_at: maybe(viewers_max_at, row),
        viewer_ms: viewer_ms[row],
        distinct: distinct.as_ref().map(|people| people[row]),
        joins: joins[row],
        leaves: leaves[row],
        lapses: lapses[row],
        retweets: retweets[row],
        retweet_followers: retweet_followers[row],
        stays: stays.cell(row),
        applied: applied[row],
        repeated: repeated[row],
        orphaned: orphaned[row],
    };
    let rows: Vec<AiringRow> = (0..batch.len()).map(row).collect();
    for (row, airing) in rows.iter().enumerate() {
        let airtime_ms = airing.airtime_ms.unwrap_or(0);
        if !(0..TS_END).contains(&airtime_ms) {
            return Err(batch.wrong("airtime_ms", row, format!("{airtime_ms}")));
        }
    }
    batch.same_means("viewers_mean", rows.iter().map(AiringRow::viewers_mean), viewers_mean)?;
    if distinct.is_some() {
        let distinct_mean = batch.maybe_means("distinct_mean")?;
        batch.same_means("distinct_mean", rows.iter().map(AiringRow::distinct_mean), distinct_mean)?;
    }
    Ok(rows)
}

/// D of each row; `None` where the file is of version 1 of the contract.
fn decode_distinct(batch: &TableBatch<'_>) -> Result<Option<Vec<DistinctAiring>>, TableError> {
    if !batch.has("distinct_max") {
        return Ok(None);
    }
    let (max, max_at) = (batch.ints("distinct_max")?, batch.maybe_instants("distinct_max_at")?);
    let (ms, returns) = (batch.ints("distinct_ms")?, batch.ints("returns")?);
    let of =
        |row: usize| DistinctAiring { max: max[row], max_at: maybe(max_at, row), ms: ms[row], returns: returns[row] };
    Ok(Some((0..batch.len()).map(of).collect()))
}

/// The cell of a row, `None` where it is null.
pub(super) fn maybe<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    (!array.is_null(row)).then(|| array.value(row))
}
