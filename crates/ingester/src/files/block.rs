//! A block is a stretch of one source: whole lines, or the beginning of a line that is too long.

use std::ops::Range;

/// What the bytes of a [`Block`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Whole lines, each with its LF; only the last line of a source may lack it. CR and blank lines are kept as they
    /// are.
    Lines,
    /// The first 64 KiB of one line that is longer than 1 MiB.
    Oversized {
        /// All its bytes before its LF; > 1,048,576.
        line_bytes: u64,
        /// Whether all of them are spaces, tabs and CR: who counts lines may pass over a blank one, however long.
        is_blank: bool,
    },
}

/// A stretch of one source.
#[derive(Debug)]
pub struct Block {
    /// Which source: its place in the list of paths.
    pub source: u32,
    /// Where the block begins in that source, uncompressed, in bytes.
    pub offset: u64,
    /// What its bytes are.
    pub kind: BlockKind,
    pub(super) buffer: Vec<u8>,
    /// Where in the buffer its bytes are.
    pub(super) range: Range<usize>,
}

impl Block {
    /// The bytes; never empty.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }

    /// The memory behind the block, to be passed to `Files::next_block` again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}
