//! Writing a snapshot, stream after stream. Memory: a batch. What a lane froze is let go of as it is written.

use super::cells::{Record, Row, StayState};
use super::{BROADCASTS, HEAD, Head, LANE, LEFT, SESSIONS, SnapshotError, TABLE, VIEWERS};
use aggregator::{FrozenLane, LeftSession, LiveState, OpenSession, ViewerState};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

/// Rows of a batch.
const BATCH: usize = 1 << 15;
/// Bytes of a key.
const KEY: usize = 9;

/// Writes what the lanes and their owner froze at one cut; `names` gives the id of each broadcast by its number. Ends
/// with a flush.
///
/// # Errors
/// [`SnapshotError::Io`] where `out` refuses.
pub fn write_snapshot(
    out: &mut impl Write,
    head: &Head,
    names: &[Arc<str>],
    lanes: Vec<FrozenLane>,
    live: &LiveState,
) -> Result<(), SnapshotError> {
    let said = serde_json::to_string(head).map_err(|error| SnapshotError::corrupt(error.to_string()))?;
    let mut stream = Stream::new(out, BROADCASTS, None, &[("broadcast_id", DataType::Utf8)], Some(said))?;
    for names in names.chunks(BATCH) {
        stream.write(vec![Arc::new(StringArray::from_iter_values(names))])?;
    }
    stream.finish()?;
    records(out, None, live.frontiers.iter().copied())?;
    for (number, mut lane) in lanes.into_iter().enumerate() {
        records(out, Some(number), std::mem::take(&mut lane.late))?;
        records(out, Some(number), lane.crowds())?;
        let (sessions, viewers, left) = lane.thaw();
        write_sessions(out, number, sessions)?;
        write_viewers(out, number, viewers)?;
        write_left(out, number, left)?;
    }
    records(out, None, live.stages.iter().copied())?;
    records(out, None, live.airings.iter().cloned())?;
    let stays = (0..).zip(&live.airings).flat_map(|(airing, state)| {
        state.minute.stays.iter().map(move |stay| StayState { airing, ms: stay.ms, sessions: stay.sessions })
    });
    records(out, None, stays)?;
    records(out, None, live.tweets.iter().copied())?;
    records(out, None, live.late.iter().copied())?;
    records(out, None, live.unsettled.iter().copied())?;
    records(out, None, live.unsettled_ends.iter().copied())?;
    records(out, None, live.gaps.iter().copied())?;
    records(out, None, live.exposed.iter().copied())?;
    Ok(out.flush()?)
}

/// One stream.
struct Stream<'a, W: Write> {
    writer: StreamWriter<&'a mut W>,
    schema: Arc<Schema>,
}

impl<'a, W: Write> Stream<'a, W> {
    fn new(
        out: &'a mut W,
        table: &str,
        lane: Option<usize>,
        columns: &[(&str, DataType)],
        head: Option<String>,
    ) -> Result<Stream<'a, W>, SnapshotError> {
        let lane = lane.map(|lane| (LANE.to_owned(), lane.to_string()));
        let head = head.map(|head| (HEAD.to_owned(), head));
        let metadata: HashMap<String, String> =
            [(TABLE.to_owned(), table.to_owned())].into_iter().chain(lane).chain(head).collect();
        let fields: Vec<Field> = columns.iter().map(|(name, ty)| Field::new(*name, ty.clone(), true)).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let writer = StreamWriter::try_new(out, &schema).map_err(SnapshotError::of)?;
        Ok(Stream { writer, schema })
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), SnapshotError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(SnapshotError::of)?;
        self.writer.write(&batch).map_err(SnapshotError::of)
    }

    fn finish(mut self) -> Result<(), SnapshotError> {
        self.writer.finish().map_err(SnapshotError::of)
    }
}

/// A table of integers.
fn records<R: Record>(
    out: &mut impl Write,
    lane: Option<usize>,
    records: impl IntoIterator<Item = R>,
) -> Result<(), SnapshotError> {
    let mut names = Vec::new();
    R::names("", &mut names);
    let columns: Vec<(&str, DataType)> = names.iter().map(|name| (name.as_str(), DataType::Int64)).collect();
    let mut stream = Stream::new(out, R::TABLE, lane, &columns, None)?;
    let mut batch: Vec<Vec<Option<i64>>> = vec![Vec::new(); names.len()];
    let mut records = records.into_iter().peekable();
    let mut row = Row::new();
    while let Some(record) = records.next() {
        record.put(&mut row);
        batch.iter_mut().zip(row.drain(..)).for_each(|(column, cell)| column.push(cell));
        if batch[0].len() == BATCH || records.peek().is_none() {
            let array =
                |column: &mut Vec<Option<i64>>| -> ArrayRef { Arc::new(Int64Array::from_iter(column.drain(..))) };
            stream.write(batch.iter_mut().map(array).collect())?;
        }
    }
    stream.finish()
}

fn key_type() -> DataType {
    DataType::FixedSizeBinary(9)
}

fn keys(keys: &mut Vec<u8>) -> Result<ArrayRef, SnapshotError> {
    let bytes = std::mem::replace(keys, Vec::with_capacity(BATCH * KEY));
    Ok(Arc::new(FixedSizeBinaryArray::try_new(9, Buffer::from_vec(bytes), None).map_err(SnapshotError::of)?))
}

fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn instants(instants: &mut Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(std::mem::take(instants)).with_timezone("UTC"))
}

fn numbers(numbers: &mut Vec<u32>) -> ArrayRef {
    Arc::new(UInt32Array::from(std::mem::take(numbers)))
}

fn write_sessions(
    out: &mut impl Write,
    lane: usize,
    sessions: impl Iterator<Item = OpenSession>,
) -> Result<(), SnapshotError> {
    let columns = [
        ("broadcast", DataType::UInt32),
        ("key", key_type()),
        ("viewer", key_type()),
        ("joined_at", instant_type()),
        ("seen_at", instant_type()),
    ];
    let mut stream = Stream::new(out, SESSIONS, Some(lane), &columns, None)?;
    let mut sessions = sessions.peekable();
    let (mut broadcasts, mut joined, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, mut viewers) = (Vec::new(), Vec::new());
    while let Some(session) = sessions.next() {
        broadcasts.push(session.broadcast);
        bytes.extend_from_slice(&session.key);
        viewers.extend_from_slice(&session.viewer);
        joined.push(session.joined_at);
        seen.push(session.seen_at);
        if joined.len() == BATCH || sessions.peek().is_none() {
            let (key, viewer) = (keys(&mut bytes)?, keys(&mut viewers)?);
            stream.write(vec![numbers(&mut broadcasts), key, viewer, instants(&mut joined), instants(&mut seen)])?;
        }
    }
    stream.finish()
}

fn write_left(out: &mut impl Write, lane: usize, left: impl Iterator<Item = LeftSession>) -> Result<(), SnapshotError> {
    let columns = [("broadcast", DataType::UInt32), ("key", key_type()), ("left_at", instant_type())];
    let mut stream = Stream::new(out, LEFT, Some(lane), &columns, None)?;
    let mut left = left.peekable();
    let (mut broadcasts, mut bytes, mut left_at) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(session) = left.next() {
        broadcasts.push(session.broadcast);
        bytes.extend_from_slice(&session.key);
        left_at.push(session.left_at);
        if left_at.len() == BATCH || left.peek().is_none() {
            stream.write(vec![numbers(&mut broadcasts), keys(&mut bytes)?, instants(&mut left_at)])?;
        }
    }
    stream.finish()
}

fn write_viewers(
    out: &mut impl Write,
    lane: usize,
    viewers: impl Iterator<Item = ViewerState>,
) -> Result<(), SnapshotError> {
    let columns = [("broadcast", DataType::UInt32), ("key", key_type())];
    let mut stream = Stream::new(out, VIEWERS, Some(lane), &columns, None)?;
    let mut viewers = viewers.peekable();
    let (mut broadcasts, mut bytes) = (Vec::new(), Vec::new());
    while let Some(viewer) = viewers.next() {
        broadcasts.push(viewer.broadcast);
        bytes.extend_from_slice(&viewer.key);
        if broadcasts.len() == BATCH || viewers.peek().is_none() {
            stream.write(vec![numbers(&mut broadcasts), keys(&mut bytes)?])?;
        }
    }
    stream.finish()
}
