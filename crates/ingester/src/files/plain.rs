//! A plain file is a regular file of lines, read by several threads at once in ranges of one block each.
//!
//! A range gives the lines that *start* in it. So each line comes once, whatever thread reads which range, and no
//! thread waits.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crc_fast::{CrcAlgorithm, checksum, checksum_combine};
use memchr::{memchr, memrchr};

use super::error::InputError;
use super::lines::{Limits, Pieces, Stretch, cut, grow, is_blank, oversized};

/// First step of the search for the end of a range's last line; each next one is twice as long, up to [`STEP_MAX`].
const STEP: usize = 4 << 10;
const STEP_MAX: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Plain {
    name: String,
    path: PathBuf,
    /// Bytes when it was opened; what is appended later is not read.
    size: u64,
    /// Where its first line begins.
    begin: u64,
    limits: Limits,
    /// The range that nobody has taken yet.
    next: AtomicU64,
    /// Ranges that were read to their end.
    done: AtomicU64,
    /// CRC-64/NVME of each range.
    sums: Box<[AtomicU64]>,
    /// Open from the first range to the last, so that thousands of files do not exhaust the descriptors.
    file: Mutex<Option<Arc<File>>>,
}

/// Where the last line of a range ends.
enum Tail {
    /// Within the buffer, at this length.
    Held(usize),
    /// Beyond what may be held; the line has so many bytes, and may be blank.
    Oversized(u64, bool),
}

impl Plain {
    pub(super) fn new(name: String, path: PathBuf, size: u64, begin: usize, limits: Limits) -> Plain {
        let ranges = size.div_ceil(limits.block_bytes as u64);
        let sums = (0..ranges).map(|_| AtomicU64::new(0)).collect();
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        Plain { name, path, size, begin: begin as u64, limits, next, done, sums, file: Mutex::new(None) }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether all ranges were given out.
    pub(super) fn finished(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.sums.len() as u64
    }

    /// Reads ranges until one gives lines, into `buffer`; `None` when all were given out. `progress` grows by the bytes
    /// read.
    pub(super) fn next(&self, buffer: &mut Vec<u8>, progress: &AtomicU64) -> Result<Option<Pieces>, InputError> {
        while !self.finished() {
            let range = self.next.fetch_add(1, Ordering::Relaxed);
            if range >= self.sums.len() as u64 {
                break;
            }
            let file = self.open()?;
            let pieces = self.read(&file, range, buffer, progress)?;
            if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.sums.len() as u64 {
                self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
            if pieces.is_some() {
                return Ok(pieces);
            }
        }
        Ok(None)
    }

    /// CRC-64/NVME of the whole file; meaningful when all ranges were read.
    pub(super) fn checksum(&self) -> u64 {
        let block = self.limits.block_bytes as u64;
        let sum = |range: &AtomicU64| range.load(Ordering::Acquire);
        let Some((first, rest)) = self.sums.split_first() else { return checksum(CrcAlgorithm::Crc64Nvme, b"") };
        rest.iter().zip(1u64..).fold(sum(first), |whole, (part, range)| {
            let len = block.min(self.size - range * block);
            checksum_combine(CrcAlgorithm::Crc64Nvme, whole, sum(part), len)
        })
    }

    fn read(
        &self,
        file: &File,
        range: u64,
        buffer: &mut Vec<u8>,
        progress: &AtomicU64,
    ) -> Result<Option<Pieces>, InputError> {
        let block = self.limits.block_bytes as u64;
        let start = range * block;
        let end = self.size.min(start + block);
        // The byte before the range tells whether a line starts at its first byte, save for the first of all.
        let lead = usize::from(range > 0);
        let base = start - lead as u64;
        let len = as_len(end - base);
        grow(buffer, len);
        self.read_exact(file, &mut buffer[..len], base)?;
        self.sums[as_len(range)].store(checksum(CrcAlgorithm::Crc64Nvme, &buffer[lead..len]), Ordering::Release);
        progress.fetch_add(end - start, Ordering::Relaxed);

        let first = match self.begin {
            begin if (start..end).contains(&begin) => as_len(begin - base),
            _ => memchr(b'\n', &buffer[..len]).map_or(len, |lf| lf + 1),
        };
        if first == len {
            return Ok(None);
        }
        if buffer[len - 1] == b'\n' {
            return Ok(Pieces::new(base, cut(buffer, first..len, &self.limits)));
        }
        let last = memrchr(b'\n', &buffer[first..len]).map_or(first, |lf| first + lf + 1);
        let list = match self.tail(file, buffer, last, len, end)? {
            Tail::Held(len) => cut(buffer, first..len, &self.limits),
            Tail::Oversized(line_bytes, is_blank) => {
                let mut list: Vec<Stretch> = cut(buffer, first..last, &self.limits);
                list.push(oversized(last, line_bytes, is_blank, &self.limits));
                list
            }
        };
        Ok(Pieces::new(base, list))
    }

    /// Reads on from `at` of the file until the line that begins at `last` of the buffer, which holds `len` bytes, has
    /// ended.
    fn tail(
        &self,
        file: &File,
        buffer: &mut Vec<u8>,
        last: usize,
        mut len: usize,
        mut at: u64,
    ) -> Result<Tail, InputError> {
        let mut step = STEP;
        loop {
            let room = (last + self.limits.line_bytes_max + 1).saturating_sub(len);
            if room == 0 {
                let held = (len - last) as u64;
                let (rest, is_rest_blank) = self.to_line_end(file, at)?;
                return Ok(Tail::Oversized(held + rest, is_rest_blank && is_blank(&buffer[last..len])));
            }
            let count = room.min(step).min(as_len(self.size - at));
            if count == 0 {
                return Ok(Tail::Held(len));
            }
            grow(buffer, len + count);
            self.read_exact(file, &mut buffer[len..len + count], at)?;
            if let Some(lf) = memchr(b'\n', &buffer[len..len + count]) {
                return Ok(Tail::Held(len + lf + 1));
            }
            len += count;
            at += count as u64;
            step = STEP_MAX.min(step * 2);
        }
    }

    /// How many bytes lie between `at` and the next LF, or the end of the file, and whether they are blank.
    fn to_line_end(&self, file: &File, mut at: u64) -> Result<(u64, bool), InputError> {
        let from = at;
        let mut blank = true;
        let mut buffer = vec![0; STEP_MAX];
        while at < self.size {
            let count = STEP_MAX.min(as_len(self.size - at));
            self.read_exact(file, &mut buffer[..count], at)?;
            if let Some(lf) = memchr(b'\n', &buffer[..count]) {
                return Ok((at + lf as u64 - from, blank && is_blank(&buffer[..lf])));
            }
            blank = blank && is_blank(&buffer[..count]);
            at += count as u64;
        }
        Ok((at - from, blank))
    }

    fn open(&self) -> Result<Arc<File>, InputError> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = slot.as_ref() {
            return Ok(Arc::clone(file));
        }
        let opened = File::open(&self.path);
        let file = Arc::new(opened.map_err(|source| InputError::Open { path: self.name.clone(), source })?);
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }

    fn read_exact(&self, file: &File, mut into: &mut [u8], mut at: u64) -> Result<(), InputError> {
        while !into.is_empty() {
            match file.read_at(into, at) {
                Ok(0) => {
                    return Err(InputError::Shrunk { path: self.name.clone(), expected: self.size, found: at });
                }
                Ok(count) => {
                    into = &mut into[count..];
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(InputError::Read { path: self.name.clone(), offset: at, source }),
            }
        }
        Ok(())
    }
}

/// A number of bytes that is far below the address space: of a block, or cut to one by the caller's `min`.
fn as_len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
