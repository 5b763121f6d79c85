//! The table `rejected`: each event that could not be used, with its place, its reason and its bytes.

use super::columns::{Cells, instants, ints, maybe_bytes, small_ints, texts};
use super::read::{TableBatch, TableFile};
use super::{Table, TableError};
use arrow_array::Array;
use audience::{Field, Ms, Reason, Rejection};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

/// Where a payload is cut, bytes.
pub const PAYLOAD_MAX: usize = 64 << 10;

/// One event that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// The Kafka topic, or a file's path as given.
    pub source: Arc<str>,
    /// Kafka partition; 0 of a file.
    pub partition: i32,
    /// Kafka offset; of a file the place of the line's first byte, uncompressed.
    pub offset: i64,
    /// When it was received; of a file the start of the replay.
    pub received_at: Ms,
    /// Why it cannot be used.
    pub rejection: Rejection,
    /// The producer's bytes, cut at [`PAYLOAD_MAX`]; `None` where payloads are redacted.
    pub payload: Option<Vec<u8>>,
    /// Size of the whole payload, bytes, `>= 0`.
    pub payload_bytes: i64,
}

const FIELDS: [Field; 11] = [
    Field::None,
    Field::Type,
    Field::BroadcastId,
    Field::Ts,
    Field::ViewerId,
    Field::SessionId,
    Field::Via,
    Field::TweetId,
    Field::UserId,
    Field::Followers,
    Field::RetweetOf,
];

pub(super) fn encode(rows: &[RejectedRow]) -> Vec<Cells<'static>> {
    let payloads = rows.iter().map(|row| row.payload.as_deref());
    vec![
        texts(rows.iter().map(|row| &*row.source)),
        small_ints(rows.iter().map(|row| row.partition)),
        ints(rows.iter().map(|row| row.offset)),
        instants(rows.iter().map(|row| row.received_at)),
        texts(rows.iter().map(|row| row.rejection.reason.word())),
        texts(rows.iter().map(|row| row.rejection.field.word())),
        maybe_bytes(payloads.map(|payload| payload.map(|bytes| &bytes[..bytes.len().min(PAYLOAD_MAX)]))),
        ints(rows.iter().map(|row| row.payload_bytes)),
    ]
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The rejected events, in batches.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn rejected(self) -> Result<impl Iterator<Item = Result<Vec<RejectedRow>, TableError>>, TableError> {
        self.batches(&[Table::Rejected], decode)
    }
}

fn decode(batch: &TableBatch<'_>) -> Result<Vec<RejectedRow>, TableError> {
    let sources = batch.texts("source")?;
    let partitions = batch.small_ints("partition")?;
    let offsets = batch.ints("offset")?;
    let received_at = batch.instants("received_at")?;
    let reasons = batch.texts("reason")?;
    let fields = batch.texts("field")?;
    let payloads = batch.maybe_bytes("payload")?;
    let payload_bytes = batch.ints("payload_bytes")?;
    let mut rows: Vec<RejectedRow> = Vec::with_capacity(batch.len());
    for row in 0..batch.len() {
        let source = match rows.last() {
            Some(last) if *last.source == *sources.value(row) => Arc::clone(&last.source),
            _ => Arc::from(sources.value(row)),
        };
        let (reason, field) = (reasons.value(row), fields.value(row));
        let reason = Reason::ALL.into_iter().find(|known| known.word() == reason);
        let field = FIELDS.into_iter().find(|known| known.word() == field);
        rows.push(RejectedRow {
            source,
            partition: partitions[row],
            offset: offsets[row],
            received_at: received_at[row],
            rejection: Rejection {
                reason: reason.ok_or_else(|| batch.unknown("reason", row, reasons.value(row)))?,
                field: field.ok_or_else(|| batch.unknown("field", row, fields.value(row)))?,
            },
            payload: (!payloads.is_null(row)).then(|| payloads.value(row).to_vec()),
            payload_bytes: payload_bytes[row],
        });
    }
    Ok(rows)
}
