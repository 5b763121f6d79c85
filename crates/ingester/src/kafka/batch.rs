//! A batch is what one call took from a lane: records and ends of partitions, still in librdkafka's memory.

use rdkafka::types::RDKafkaErrorCode;

use super::native::Messages;
use super::notice::Notice;

/// The place of a message that is no item.
pub(super) const NO_PARTITION: u32 = u32::MAX;

/// Records and ends in the order of their arrival; of one partition, in the order of their offsets. It can be decoded
/// on another thread, and must be dropped for its memory to be given back.
pub struct Batch {
    messages: Messages,
    /// Index of each message's partition.
    places: Vec<u32>,
    notices: Vec<Notice>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("items", &self.places.len()).field("notices", &self.notices).finish()
    }
}

/// What a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A record.
    Record {
        /// Index of its partition.
        partition: usize,
        /// Its offset, ≥ 0.
        offset: i64,
        /// Its time, of its creation or of its arrival at the broker, ms since the Unix epoch; `None` where it has
        /// none.
        time_ms: Option<i64>,
        /// Its key; `None` for null.
        key: Option<&'a [u8]>,
        /// Its value; `None` for null.
        value: Option<&'a [u8]>,
    },
    /// All that the partition holds for us was read.
    End {
        /// Index of the partition.
        partition: usize,
        /// The offset that the next record will have at least; control records and aborted ones are behind it.
        next_offset: i64,
    },
}

impl Batch {
    pub(super) fn new(messages: Messages, places: Vec<u32>, notices: Vec<Notice>) -> Batch {
        Batch { messages, places, notices }
    }

    /// The items.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.messages.iter().zip(&self.places).filter(|(_, place)| **place != NO_PARTITION).map(|(message, place)| {
            let partition = *place as usize;
            match message.code() {
                RDKafkaErrorCode::NoError => Item::Record {
                    partition,
                    offset: message.offset(),
                    time_ms: message.time_ms(),
                    key: message.key(),
                    value: message.bytes(),
                },
                _ => Item::End { partition, next_offset: message.offset() },
            }
        })
    }

    /// How many items there are at most; 0 is exact.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What happened to the client meanwhile.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}
