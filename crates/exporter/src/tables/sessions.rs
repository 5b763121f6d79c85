//! The table `sessions`: each stay, with the pseudonyms of who stayed.

use super::columns::{Cells, ids, instants, maybe_texts, numbered, words};
use super::read::{TableBatch, TableFile};
use super::{Table, TableError};
use audience::{Detail, Details, Ended, NO_DETAIL, SessionRow};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

/// The words of the column `end_reason`, each at its reason's number.
const WORDS: [&str; 4] =
    [Ended::Leave.word(), Ended::BroadcastEnd.word(), Ended::Timeout.word(), Ended::EndOfData.word()];

pub(super) fn encode<'a>(
    rows: &[SessionRow],
    details: &Details,
    names: &'a [Arc<str>],
) -> Result<Vec<Cells<'a>>, TableError> {
    let via = |row: &SessionRow| match row.via {
        NO_DETAIL => None,
        place => match details.get(place) {
            Some(Detail::Via(via)) => Some(via),
            _ => None,
        },
    };
    Ok(vec![
        numbered(rows.iter().map(|row| row.broadcast), names),
        instants(rows.iter().map(|row| row.airing_at)),
        ids(rows.iter().map(|row| row.viewer)),
        ids(rows.iter().map(|row| row.session)),
        instants(rows.iter().map(|row| row.joined_at)),
        instants(rows.iter().map(|row| row.left_at)),
        words(rows.iter().map(|row| row.ended as u8), &WORDS),
        maybe_texts(rows.iter().map(via)),
    ])
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The sessions, in batches of rows with the strings (`via`) that they point to. `number` gives the number of a
    /// broadcast's id.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn sessions(
        self,
        mut number: impl FnMut(&str) -> u32,
    ) -> Result<impl Iterator<Item = Result<(Vec<SessionRow>, Details), TableError>>, TableError> {
        self.batches(&[Table::Sessions], move |batch| decode(batch, &mut number))
    }
}

fn decode(
    batch: &TableBatch<'_>,
    number: &mut impl FnMut(&str) -> u32,
) -> Result<(Vec<SessionRow>, Details), TableError> {
    let broadcasts = batch.broadcasts(number)?;
    let airings = batch.instants("airing_at")?;
    let viewers = batch.pseudonyms("viewer")?;
    let sessions = batch.pseudonyms("session")?;
    let joins = batch.instants("joined_at")?;
    let ends = batch.instants("left_at")?;
    let reasons = batch.texts("end_reason")?;
    let vias = batch.maybe_ids("via")?;
    let mut details = Details::new();
    let mut rows = Vec::with_capacity(batch.len());
    for row in 0..batch.len() {
        let reason = reasons.value(row);
        let ended = Ended::ALL.into_iter().find(|ended| ended.word() == reason);
        let via = vias.get(batch, row)?;
        rows.push(SessionRow {
            broadcast: broadcasts[row],
            via: via.map_or(NO_DETAIL, |via| details.push(Detail::Via(via))),
            airing_at: airings[row],
            viewer: viewers.get(row),
            session: sessions.get(row),
            joined_at: joins[row],
            left_at: ends[row],
            ended: ended.ok_or_else(|| batch.unknown("end_reason", row, reason))?,
        });
    }
    Ok((rows, details))
}
