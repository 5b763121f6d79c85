//! Numbers that did not fit in memory: sorted stretches of them, one after the other in one temporary file, and what
//! merges such stretches again. As with runs of events, the form is private to one process and the file is unlinked as
//! soon as it is open.

use super::run::{Section, SpillError, read_at, temporary_file};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

const NUMBER: usize = size_of::<u64>();
/// Bytes that are put into the file's form at once.
const WRITE_BUFFER: usize = 256 << 10;

/// A temporary file of numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    file: File,
    folder: PathBuf,
    written: u64,
}

impl Numbers {
    /// A file in `folder`, which must exist.
    ///
    /// # Errors
    /// [`SpillError::Io`].
    pub(crate) fn create(folder: &Path) -> Result<Numbers, SpillError> {
        Ok(Numbers { file: temporary_file(folder)?, folder: folder.to_path_buf(), written: 0 })
    }

    /// Adds `sorted`, ascending, and says where it lies.
    ///
    /// # Errors
    /// [`SpillError::Io`].
    pub(crate) fn append(&mut self, sorted: &[u64]) -> Result<Section, SpillError> {
        debug_assert!(sorted.is_sorted(), "what is merged is sorted");
        let section = Section { offset: self.written, bytes: size_of_val(sorted) as u64, records: sorted.len() as u64 };
        let mut bytes = Vec::with_capacity(WRITE_BUFFER.min(size_of_val(sorted)));
        for part in sorted.chunks(WRITE_BUFFER / NUMBER) {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|number| number.to_le_bytes()));
            let io = |source| SpillError::Io { doing: "write", folder: self.folder.clone(), source };
            self.file.write_all(&bytes).map_err(io)?;
        }
        self.written += section.bytes;
        Ok(section)
    }

    /// Merges sections of the file and `memory`, which is sorted. Of each section some `buffer_bytes` are held at a
    /// time, 4 KiB at least.
    pub(crate) fn merge(&self, sections: &[Section], memory: Vec<u64>, buffer_bytes: usize) -> NumbersMerge<'_> {
        let block = (buffer_bytes / NUMBER).max(4096 / NUMBER);
        let on_disk = sections.iter().map(|section| Piece { block: Vec::new(), at: 0, rest: *section });
        let in_memory = Piece { block: memory, at: 0, rest: Section::default() };
        NumbersMerge {
            numbers: self,
            pieces: on_disk.chain([in_memory]).collect(),
            block,
            merged: Vec::new(),
            bytes: Vec::new(),
        }
    }
}

/// One sorted piece: numbers in memory, and what follows them on the disk.
#[derive(Debug)]
struct Piece {
    block: Vec<u64>,
    /// The next of the block.
    at: usize,
    rest: Section,
}

/// The merge of sorted pieces, a stretch at a time.
#[derive(Debug)]
pub(crate) struct NumbersMerge<'a> {
    numbers: &'a Numbers,
    /// Those that are not at their end.
    pieces: Vec<Piece>,
    /// Numbers of a piece that are read at once.
    block: usize,
    merged: Vec<u64>,
    bytes: Vec<u8>,
}

impl NumbersMerge<'_> {
    /// The next numbers, ascending, and not below those before; none at the end.
    ///
    /// # Errors
    /// [`SpillError`]; the merge is then of no more use.
    pub(crate) fn next_stretch(&mut self) -> Result<&[u64], SpillError> {
        for piece in &mut self.pieces {
            if piece.at == piece.block.len() {
                piece.fill(self.numbers, self.block, &mut self.bytes)?;
            }
        }
        self.pieces.retain(|piece| piece.at < piece.block.len());
        self.merged.clear();
        // What is still on the disk comes after the block of its piece, so up to the least end of a block all numbers
        // are here.
        let Some(end) = self.pieces.iter().filter_map(|piece| piece.block.last()).min().copied() else {
            return Ok(&self.merged);
        };
        for piece in &mut self.pieces {
            let rest = &piece.block[piece.at..];
            let here = &rest[..rest.partition_point(|number| *number <= end)];
            self.merged.extend_from_slice(here);
            piece.at += here.len();
        }
        // Of the sorts of the standard library this one sees that it is given sorted runs, and only merges them.
        #[expect(clippy::stable_sort_primitive, reason = "the unstable sort would not use the order that is there")]
        self.merged.sort();
        Ok(&self.merged)
    }
}

impl Piece {
    /// The block is at its end: reads the next, if there is one.
    fn fill(&mut self, numbers: &Numbers, block: usize, bytes: &mut Vec<u8>) -> Result<(), SpillError> {
        // A piece that was whole in memory gives it back.
        if self.block.capacity() > block {
            self.block = Vec::new();
        }
        self.block.clear();
        self.at = 0;
        let count = usize::try_from(self.rest.records).unwrap_or(usize::MAX).min(block);
        bytes.resize(count * NUMBER, 0);
        let mut read = 0;
        while read < bytes.len() {
            let io = |source| SpillError::Io { doing: "read", folder: numbers.folder.clone(), source };
            match read_at(&numbers.file, &mut bytes[read..], self.rest.offset + read as u64).map_err(io)? {
                0 => {
                    let what = "it ends inside a section";
                    return Err(SpillError::Damaged { folder: numbers.folder.clone(), what });
                }
                more => read += more,
            }
        }
        let (read, _) = bytes.as_chunks();
        self.block.reserve_exact(count);
        self.block.extend(read.iter().map(|number| u64::from_le_bytes(*number)));
        self.rest.offset += bytes.len() as u64;
        self.rest.bytes -= bytes.len() as u64;
        self.rest.records -= count as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    #[test]
    fn a_merge_of_sections_and_memory_is_a_sort() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = 5;
        for pieces in 0..9_usize {
            let mut numbers = Numbers::create(dir.path()).unwrap();
            let (mut all, mut sections, mut memory) = (Vec::new(), Vec::new(), Vec::new());
            for piece in 0..pieces {
                // Few different numbers and many, short pieces and such of several blocks, one of them in memory.
                let (count, below) = ([0, 1, 700, 5_000][piece % 4], [3, 1 << 31][pieces % 2]);
                let mut some: Vec<u64> = (0..count).map(|_| random(&mut state, below) << 20).collect();
                some.sort_unstable();
                all.extend_from_slice(&some);
                if piece == 6 {
                    memory = some;
                } else {
                    sections.push(numbers.append(&some).unwrap());
                }
            }
            all.sort_unstable();
            for buffer in [0, 10_000, 1 << 20] {
                let mut merge = numbers.merge(&sections, memory.clone(), buffer);
                let mut merged = Vec::new();
                loop {
                    let stretch = merge.next_stretch().unwrap();
                    if stretch.is_empty() {
                        break;
                    }
                    // A block of each piece, and no more.
                    assert!(stretch.len() <= pieces * (buffer.max(4096) / NUMBER) + memory.len());
                    merged.extend_from_slice(stretch);
                }
                assert!(merge.next_stretch().unwrap().is_empty(), "the end stays the end");
                assert_eq!(merged, all);
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_file_that_was_cut_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut numbers = Numbers::create(dir.path()).unwrap();
        let sections = [numbers.append(&[1, 2, 3]).unwrap(), numbers.append(&[2, 4]).unwrap()];
        numbers.file.set_len(5 * 8 - 1).unwrap();
        let mut merge = numbers.merge(&sections, Vec::new(), 0);
        assert!(matches!(merge.next_stretch(), Err(SpillError::Damaged { .. })));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Numbers::create(Path::new("/nonexistent/folder")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_room_is_recognised() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut numbers = Numbers { file: full, folder: PathBuf::new(), written: 0 };
        assert!(problem::awaits(&numbers.append(&[1]).unwrap_err()) == Some(problem::Awaited::Room));
    }
}
