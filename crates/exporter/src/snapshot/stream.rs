//! A stream of a snapshot, read message by message. The reader that comes with Arrow makes room for whatever length a
//! message states, and asserts what a damaged one can break; here there is room only for bytes that came, and every end
//! is a batch or an error.

use super::SnapshotError;
use crate::caught::caught;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{FieldNode, Message, convert::fb_to_schema, reader::read_record_batch, root_as_message};
use arrow_schema::SchemaRef;
use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

/// Comes before the length of each message.
const CONTINUES: u32 = u32::MAX;

/// Room that is made before the first byte of a part has come.
const ROOM: u64 = 1 << 20;

/// A stream whose schema is read.
pub(super) struct NamedStream<'a, R> {
    input: &'a mut R,
    schema: SchemaRef,
}

/// One message: its head, and what it is of.
struct Frame {
    head: Vec<u8>,
    body: Buffer,
}

impl<'a, R: BufRead> NamedStream<'a, R> {
    /// Reads the schema.
    pub(super) fn open(input: &'a mut R) -> Result<NamedStream<'a, R>, SnapshotError> {
        let first = Frame::read(input)?.ok_or_else(|| SnapshotError::corrupt("a stream of nothing"))?;
        let schema = first.message()?.header_as_schema();
        let schema = schema.ok_or_else(|| SnapshotError::corrupt("a stream does not begin with its schema"))?;
        let schema = caught(|| fb_to_schema(schema)).map_err(SnapshotError::Corrupt)?;
        Ok(NamedStream { input, schema: Arc::new(schema) })
    }

    /// What the schema says under a key.
    pub(super) fn said(&self, key: &str) -> Option<&str> {
        self.schema.metadata().get(key).map(String::as_str)
    }

    /// The next batch; `None` at the end of the stream.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, SnapshotError> {
        let Some(frame) = Frame::read(self.input)? else { return Ok(None) };
        let message = frame.message()?;
        let batch = message.header_as_record_batch();
        let batch = batch.ok_or_else(|| SnapshotError::corrupt("a message that is no batch"))?;
        // A row has at least one byte in a column, whatever the columns are.
        let most = i64::try_from(frame.body.len()).unwrap_or(i64::MAX);
        let lengths = batch.nodes().into_iter().flatten().map(FieldNode::length);
        if lengths.chain([batch.length()]).any(|rows| !(0..=most).contains(&rows)) {
            return Err(SnapshotError::corrupt("a batch of more rows than there is room for in it"));
        }
        let schema = Arc::clone(&self.schema);
        let read = || read_record_batch(&frame.body, batch, schema, &HashMap::new(), None, &message.version());
        caught(read).map_err(SnapshotError::Corrupt)?.map_err(SnapshotError::of).map(Some)
    }
}

impl Frame {
    /// `None` at the end of the stream, which is a message of no length.
    fn read(input: &mut impl BufRead) -> Result<Option<Frame>, SnapshotError> {
        let mut length = word(input)?;
        if length == CONTINUES {
            length = word(input)?;
        }
        if length == 0 {
            return Ok(None);
        }
        let head = part(input, u64::from(length))?;
        let mut frame = Frame { head, body: Buffer::from(&[][..]) };
        let length = u64::try_from(frame.message()?.bodyLength());
        let length = length.map_err(|_| SnapshotError::corrupt("a message of less than nothing"))?;
        frame.body = Buffer::from_vec(part(input, length)?);
        Ok(Some(frame))
    }

    fn message(&self) -> Result<Message<'_>, SnapshotError> {
        root_as_message(&self.head).map_err(|error| SnapshotError::Corrupt(error.to_string()))
    }
}

fn word(input: &mut impl Read) -> Result<u32, SnapshotError> {
    let mut word = [0; 4];
    input.read_exact(&mut word)?;
    Ok(u32::from_le_bytes(word))
}

/// So many bytes; room is made as they come.
fn part(input: &mut impl Read, length: u64) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(ROOM)).unwrap_or(0));
    if input.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(bytes)
}
