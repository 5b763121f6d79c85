//! A piece is a stretch of whole lines in a buffer, or one line that is too long to be held.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::block::BlockKind;

/// With which the bytes of a file may begin that are UTF-8, and which is no part of its first line.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How much is held at once. Tests make them tiny, so that every boundary is met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a block, about; ≥ 1.
    pub(super) block_bytes: usize,
    /// The longest line that is held, without its LF; ≥ `head_bytes`.
    pub(super) line_bytes_max: usize,
    /// What is kept of a longer one.
    pub(super) head_bytes: usize,
}

impl Limits {
    /// 4 MiB keep two threads busy without a lock being felt; the other two are the contract's (`too_large`, cut
    /// payloads).
    pub(super) const REAL: Limits = Limits { block_bytes: 4 << 20, line_bytes_max: 1 << 20, head_bytes: 64 << 10 };
}

/// A stretch of a buffer that becomes a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) range: Range<usize>,
    pub(super) kind: BlockKind,
}

/// What one read of a source gave: at least one piece of one buffer.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Where the buffer's first byte lies in its source, uncompressed.
    pub(super) base: u64,
    pub(super) first: Stretch,
    pub(super) rest: std::vec::IntoIter<Stretch>,
}

impl Pieces {
    /// `None` where there is no piece.
    pub(super) fn new(base: u64, list: Vec<Stretch>) -> Option<Pieces> {
        let mut rest = list.into_iter();
        rest.next().map(|first| Pieces { base, first, rest })
    }
}

/// Where the first line of a source begins whose first bytes, uncompressed, are `head`: behind its byte order mark.
pub(super) fn begin(head: &[u8]) -> usize {
    if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// Cuts `bytes[range]`, which begins at the start of a line and holds whole lines (the last may lack its LF), where a
/// line is longer than the limit. Nearly always that is one piece, found by looking at one byte in a MiB.
pub(super) fn cut(bytes: &[u8], range: Range<usize>, limits: &Limits) -> Vec<Stretch> {
    let mut pieces = Vec::with_capacity(1);
    let (mut piece_start, mut line_start) = (range.start, range.start);
    while line_start < range.end {
        // A line of the greatest length has its LF at the last place of this window.
        let window_end = range.end.min(line_start + limits.line_bytes_max + 1);
        if let Some(lf) = memrchr(b'\n', &bytes[line_start..window_end]) {
            line_start += lf + 1;
        } else if window_end - line_start <= limits.line_bytes_max {
            break;
        } else {
            push_lines(&mut pieces, piece_start..line_start);
            let line_end = memchr(b'\n', &bytes[window_end..range.end]).map_or(range.end, |lf| window_end + lf);
            let is_blank = is_blank(&bytes[line_start..line_end]);
            pieces.push(oversized(line_start, (line_end - line_start) as u64, is_blank, limits));
            line_start = range.end.min(line_end + 1);
            piece_start = line_start;
        }
    }
    push_lines(&mut pieces, piece_start..range.end);
    pieces
}

/// The piece for a line of `line_bytes` that begins at `start` of the buffer.
pub(super) fn oversized(start: usize, line_bytes: u64, is_blank: bool, limits: &Limits) -> Stretch {
    Stretch { range: start..start + limits.head_bytes, kind: BlockKind::Oversized { line_bytes, is_blank } }
}

/// Whether a stretch of a line holds nothing but spaces, tabs and CR.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

fn push_lines(pieces: &mut Vec<Stretch>, range: Range<usize>) {
    if !range.is_empty() {
        pieces.push(Stretch { range, kind: BlockKind::Lines });
    }
}

/// Makes room for `len` bytes and keeps what is there: only bytes that were never used are zeroed.
pub(super) fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the pieces of `text`: lines as they are, an oversized line as its head and its length.
    fn check(text: &str, expected: &[&str]) {
        let limits = Limits { block_bytes: 1, line_bytes_max: 4, head_bytes: 2 };
        let pieces = cut(text.as_bytes(), 0..text.len(), &limits);
        let drawn: Vec<String> = pieces
            .iter()
            .map(|piece| match piece.kind {
                BlockKind::Lines => text[piece.range.clone()].to_owned(),
                BlockKind::Oversized { line_bytes, is_blank } => {
                    let blank = if is_blank { " blank" } else { "" };
                    format!("{}…{line_bytes}{blank}", &text[piece.range.clone()])
                }
            })
            .collect();
        assert_eq!(drawn, expected, "{text:?}");
    }

    #[test]
    fn long_lines_stand_alone() {
        check("", &[]);
        check("\n", &["\n"]);
        check("abcd\n", &["abcd\n"]);
        check("abcd", &["abcd"]);
        check("abcde\n", &["ab…5"]);
        check("abcde", &["ab…5"]);
        check("a\n\nabcdef\nb\n", &["a\n\n", "ab…6", "b\n"]);
        check("abcdef\nabcdefgh\n", &["ab…6", "ab…8"]);
        check("abcd\nabcd\nabcd\nabcd", &["abcd\nabcd\nabcd\nabcd"]);
        check("abcd\r\nx\r\n", &["ab…5", "x\r\n"]);
        check("  \t \r\n    a\n", &["  …5 blank", "  …5"]);
    }
}
