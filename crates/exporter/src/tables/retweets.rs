//! The table `retweets`: who passed the broadcast on, once a retweet.

use super::airings::maybe;
use super::columns::{Cells, instants, maybe_ints, maybe_texts, numbered, texts};
use super::read::{Ids, TableBatch, TableFile};
use super::{Table, TableError};
use arrow_array::Int64Array;
use audience::{Detail, Details, RetweetDetail, RetweetRow};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

pub(super) fn encode<'a>(
    rows: &[RetweetRow],
    details: &Details,
    names: &'a [Arc<str>],
) -> Result<Vec<Cells<'a>>, TableError> {
    let table = Table::Retweets;
    let said = rows.iter().map(|row| match details.get(row.detail) {
        Some(Detail::Retweet(retweet)) => Ok(retweet),
        _ => Err(TableError::bug(table, format!("a retweet at {} ms has lost its strings", row.retweeted_at))),
    });
    let said: Vec<RetweetDetail<'_>> = said.collect::<Result<_, _>>()?;
    Ok(vec![
        numbered(rows.iter().map(|row| row.broadcast), names),
        instants(rows.iter().map(|row| row.airing_at)),
        texts(said.iter().map(|retweet| retweet.tweet_id)),
        texts(said.iter().map(|retweet| retweet.user_id)),
        maybe_ints(said.iter().map(|retweet| retweet.followers)),
        instants(rows.iter().map(|row| row.retweeted_at)),
        maybe_texts(said.iter().map(|retweet| retweet.retweet_of)),
    ])
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The retweets, in batches of rows with the strings that they point to. `number` gives the number of a broadcast's
    /// id.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn retweets(
        self,
        mut number: impl FnMut(&str) -> u32,
    ) -> Result<impl Iterator<Item = Result<(Vec<RetweetRow>, Details), TableError>>, TableError> {
        self.batches(&[Table::Retweets], move |batch| decode(batch, &mut number))
    }
}

fn decode(
    batch: &TableBatch<'_>,
    number: &mut impl FnMut(&str) -> u32,
) -> Result<(Vec<RetweetRow>, Details), TableError> {
    let broadcasts = batch.broadcasts(number)?;
    let airing_at = batch.instants("airing_at")?;
    let retweeted_at = batch.instants("retweeted_at")?;
    let said = RetweetColumns::of(batch)?;
    let mut details = Details::new();
    let mut rows = Vec::with_capacity(batch.len());
    for row in 0..batch.len() {
        rows.push(RetweetRow {
            broadcast: broadcasts[row],
            detail: details.push(Detail::Retweet(said.get(batch, row)?)),
            airing_at: airing_at[row],
            retweeted_at: retweeted_at[row],
        });
    }
    Ok((rows, details))
}

/// The columns of what a retweet says, which `events` has, too.
pub(super) struct RetweetColumns<'a> {
    tweet_id: Ids<'a>,
    user_id: Ids<'a>,
    followers: &'a Int64Array,
    retweet_of: Ids<'a>,
}

impl<'a> RetweetColumns<'a> {
    pub(super) fn of(batch: &'a TableBatch<'_>) -> Result<RetweetColumns<'a>, TableError> {
        Ok(RetweetColumns {
            tweet_id: batch.maybe_ids("tweet_id")?,
            user_id: batch.maybe_ids("user_id")?,
            followers: batch.maybe_ints("followers")?,
            retweet_of: batch.maybe_ids("retweet_of")?,
        })
    }

    /// What the retweet of a row says; a row without its two ids is an error.
    pub(super) fn get(&self, batch: &TableBatch<'_>, row: usize) -> Result<RetweetDetail<'a>, TableError> {
        let followers = maybe(self.followers, row);
        if let Some(negative) = followers.filter(|count| *count < 0) {
            return Err(batch.wrong("followers", row, format!("{negative}")));
        }
        Ok(RetweetDetail {
            tweet_id: self.tweet_id.get(batch, row)?.ok_or_else(|| batch.wrong("tweet_id", row, "null"))?,
            user_id: self.user_id.get(batch, row)?.ok_or_else(|| batch.wrong("user_id", row, "null"))?,
            followers,
            retweet_of: self.retweet_of.get(batch, row)?,
        })
    }
}
