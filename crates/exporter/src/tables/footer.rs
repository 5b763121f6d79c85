//! The footer of a Parquet file, walked before it is decoded: the decoder makes room for as many entries as a list says
//! it has, and a damaged one says anything. It is one value of Thrift's compact protocol.

use parquet::errors::{ParquetError, Result};
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

/// Structs in structs; the deepest of Parquet has six.
const DEPTH: u32 = 16;

/// Reads the footer of a file.
pub(super) fn footer(input: &impl ChunkReader) -> Result<ParquetMetaData> {
    let wrong = |what: &str| ParquetError::General(what.to_owned());
    let before = input.len().checked_sub(FOOTER_SIZE as u64).ok_or_else(|| wrong("too short for a footer"))?;
    let tail = input.get_bytes(before, FOOTER_SIZE)?;
    let tail = FooterTail::try_new(tail.first_chunk().ok_or_else(|| wrong("too short for a footer"))?)?;
    if tail.is_encrypted_footer() {
        return Err(wrong("its footer is encrypted"));
    }
    let length = tail.metadata_length();
    let start = before.checked_sub(length as u64).ok_or_else(|| wrong("its footer is longer than the file"))?;
    let bytes = input.get_bytes(start, length)?;
    let mut walk = Walk(&bytes);
    walk.fields(DEPTH).filter(|()| walk.0.is_empty()).ok_or_else(|| wrong("its footer is damaged"))?;
    ParquetMetaDataReader::decode_metadata(&bytes)
}

/// What is left of the bytes. `None` is their end before that of a value.
struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The fields of a struct, to its end.
    fn fields(&mut self, depth: u32) -> Option<()> {
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            // The number of a field, where it is not near that of the one before.
            if head >> 4 == 0 {
                self.number()?;
            }
            // A field that is true or false says so by its kind.
            if !matches!(head & 0xf, 1 | 2) {
                self.value(head & 0xf, depth)?;
            }
        }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                // An entry takes a byte at least.
                if count > self.0.len() as u64 {
                    return None;
                }
                (0..count).try_for_each(|_| self.value(head & 0xf, depth.checked_sub(1)?))
            }
            12 => self.fields(depth.checked_sub(1)?),
            // Parquet has no maps and no ids.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walks(bytes: &[u8]) -> bool {
        let mut walk = Walk(bytes);
        walk.fields(DEPTH).is_some() && walk.0.is_empty()
    }

    #[test]
    fn a_list_has_no_more_entries_than_bytes_that_follow() {
        // Fields 1 to 5: a number, "ab", a list of two numbers, true, a struct of nothing; then field 300, a byte.
        let value = [0x15, 0x80, 0x01, 0x18, 2, b'a', b'b', 0x19, 0x25, 1, 2, 0x11, 0x1c, 0, 0x03, 0xd8, 0x04, 7, 0];
        assert!(walks(&value));
        for cut in 0..value.len() {
            assert!(!walks(&value[..cut]), "cut at {cut}");
        }
        assert!(!walks(&[&value[..], &[0]].concat()), "nothing may follow");
        // Two billion structs, in a list of the long form.
        assert!(!walks(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0]));
        assert!(!walks(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]), "a text longer than all");
        assert!(!walks(&[0x1c; 1_000]), "structs in structs");
    }
}
