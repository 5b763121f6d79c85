//! A stream is a source that can only be read from front to back: a compressed file, a pipe, standard input.
//!
//! One thread at a time reads it, under its lock; the others read other sources meanwhile.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use memchr::{memchr, memrchr};

use super::error::InputError;
use super::foreign::{Foreign, HEAD_BYTES};
use super::lines::{Limits, Pieces, begin, cut, grow, is_blank, oversized};
use super::raw::{RawReader, RawTally};
use super::unpack::{Frames, Members};

/// How much is asked of a decompressor at once.
const STEP: usize = 256 << 10;

/// What the first bytes of a source say it is. Its name says nothing, save where the file ends before they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Gzip,
    Zstd,
}

impl Format {
    pub(super) fn of(magic: &[u8]) -> Format {
        match magic {
            [0x1f, 0x8b, 0x08, ..] => Format::Gzip,
            // A frame, or a frame to be skipped, which may come first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
            _ => Format::Plain,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Gzip => "gzip",
            Format::Zstd => "zstd",
        }
    }

    /// The command that gives the bytes inside.
    fn unpacked_by(self) -> Option<&'static str> {
        match self {
            Format::Plain => None,
            Format::Gzip => Some("gzip -dc"),
            Format::Zstd => Some("zstd -dc"),
        }
    }
}

/// Where a stream comes from.
pub(super) enum StreamOrigin {
    /// A file, opened when its turn comes, so that thousands of files do not exhaust the descriptors.
    File(PathBuf),
    /// Something that is open.
    Open(Box<dyn Read + Send>),
}

impl std::fmt::Debug for StreamOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StreamOrigin::File(path) => f.debug_tuple("File").field(path).finish(),
            StreamOrigin::Open(_) => f.write_str("Open"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    name: String,
    limits: Limits,
    tally: Arc<RawTally>,
    progress: Arc<AtomicU64>,
    finished: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    format: Format,
    /// The beginning of a line whose end was not read yet.
    carry: Vec<u8>,
    /// Where `carry` begins in the uncompressed source.
    offset: u64,
}

impl State {
    /// Lines begin in `head`, the first bytes of the source, behind which `rest` comes.
    fn read_from(&mut self, mut head: Vec<u8>, rest: impl Read + Send + 'static) {
        let begin = begin(&head);
        head.drain(..begin);
        self.offset = begin as u64;
        self.stage = Stage::Reading(Box::new(Cursor::new(head).chain(rest)));
    }
}

enum Stage {
    Waiting(StreamOrigin),
    Reading(Box<dyn Read + Send>),
    Ended,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Waiting(_) => "Waiting",
            Stage::Reading(_) => "Reading",
            Stage::Ended => "Ended",
        })
    }
}

/// What came of asking a stream for a block.
pub(super) enum Turn {
    Pieces(Pieces),
    /// Another thread is reading it.
    Busy,
    Finished,
}

impl Stream {
    pub(super) fn new(name: String, origin: StreamOrigin, limits: Limits, progress: &Arc<AtomicU64>) -> Stream {
        let state = State { stage: Stage::Waiting(origin), format: Format::Plain, carry: Vec::new(), offset: 0 };
        Stream {
            name,
            limits,
            tally: Arc::new(RawTally::default()),
            progress: Arc::clone(progress),
            finished: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(super) fn tally(&self) -> &RawTally {
        &self.tally
    }

    pub(super) fn finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// The next lines into `buffer`, if no other thread is reading this stream, or after it where `wait` is set.
    pub(super) fn next(&self, buffer: &mut Vec<u8>, wait: bool) -> Result<Turn, InputError> {
        if self.finished() {
            return Ok(Turn::Finished);
        }
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::WouldBlock) if !wait => return Ok(Turn::Busy),
            Err(_) => self.state.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let turn = self.read(&mut state, buffer);
        if !matches!(turn, Ok(Some(_))) {
            state.stage = Stage::Ended;
            self.finished.store(true, Ordering::Release);
        }
        Ok(turn?.map_or(Turn::Finished, Turn::Pieces))
    }

    fn read(&self, state: &mut MutexGuard<'_, State>, buffer: &mut Vec<u8>) -> Result<Option<Pieces>, InputError> {
        self.start(state)?;
        let State { stage: Stage::Reading(reader), format, carry, offset } = &mut **state else { return Ok(None) };
        let base = *offset;
        let mut len = carry.len();
        grow(buffer, len.max(self.limits.block_bytes));
        buffer[..len].copy_from_slice(carry);
        carry.clear();
        // Behind a skipped line the carry may hold whole lines.
        let mut line_end = memrchr(b'\n', &buffer[..len]).map(|lf| lf + 1);
        while line_end.is_none() || len < self.limits.block_bytes {
            if line_end.is_none() && len > self.limits.line_bytes_max {
                let blank = is_blank(&buffer[..len]);
                return self.skip_line(reader, *format, (len, blank), offset, carry);
            }
            let wanted = if len < self.limits.block_bytes {
                self.limits.block_bytes - len
            } else {
                STEP.min(self.limits.line_bytes_max + 1 - len)
            };
            grow(buffer, len + wanted);
            let into = &mut buffer[len..len + wanted.min(STEP)];
            let count = self.fill(reader, *format, into, base + len as u64)?;
            if count == 0 {
                *offset = base + len as u64;
                return Ok(Pieces::new(base, cut(buffer, 0..len, &self.limits)));
            }
            line_end = memrchr(b'\n', &buffer[len..len + count]).map(|lf| len + lf + 1).or(line_end);
            len += count;
        }
        let line_end = line_end.unwrap_or(len);
        carry.extend_from_slice(&buffer[line_end..len]);
        *offset = base + line_end as u64;
        Ok(Pieces::new(base, cut(buffer, 0..line_end, &self.limits)))
    }

    /// The line that begins at the buffer's first byte and fills `len` of it, all blank or not, is too long to be held:
    /// counts it to its end.
    fn skip_line(
        &self,
        reader: &mut dyn Read,
        format: Format,
        (len, mut blank): (usize, bool),
        offset: &mut u64,
        carry: &mut Vec<u8>,
    ) -> Result<Option<Pieces>, InputError> {
        let base = *offset;
        let mut line_bytes = len as u64;
        let mut step = vec![0; STEP.min(self.limits.block_bytes)];
        loop {
            let count = self.fill(reader, format, &mut step, base + line_bytes)?;
            if let Some(lf) = memchr(b'\n', &step[..count]) {
                blank = blank && is_blank(&step[..lf]);
                line_bytes += lf as u64;
                carry.extend_from_slice(&step[lf + 1..count]);
                *offset = base + line_bytes + 1;
                break;
            }
            blank = blank && is_blank(&step[..count]);
            line_bytes += count as u64;
            if count == 0 {
                *offset = base + line_bytes;
                break;
            }
        }
        Ok(Pieces::new(base, vec![oversized(0, line_bytes, blank, &self.limits)]))
    }

    /// Opens the source and looks at its first bytes, if that was not done yet.
    fn start(&self, state: &mut State) -> Result<(), InputError> {
        let Stage::Waiting(_) = state.stage else { return Ok(()) };
        let Stage::Waiting(origin) = std::mem::replace(&mut state.stage, Stage::Ended) else { return Ok(()) };
        let inner: Box<dyn Read + Send> = match origin {
            StreamOrigin::Open(reader) => reader,
            StreamOrigin::File(path) => {
                Box::new(File::open(path).map_err(|source| InputError::Open { path: self.name.clone(), source })?)
            }
        };
        let mut raw = RawReader::buffered(inner, &self.tally, &self.progress);
        let head = head_of(&mut raw).map_err(|(_, error)| self.error(Format::Plain, 0, &error))?;
        state.format = Format::of(&head);
        let mut unpacked: Box<dyn Read + Send> = match state.format {
            Format::Plain => {
                self.refuse(Foreign::of(&head), Format::Plain)?;
                state.read_from(head, raw);
                return Ok(());
            }
            Format::Gzip => Box::new(Members::new(Cursor::new(head).chain(raw))),
            Format::Zstd => {
                let frames = Frames::new(&head, Cursor::new(head.clone()).chain(raw));
                Box::new(frames.map_err(|error| self.error(Format::Zstd, 0, &error))?)
            }
        };
        let head = head_of(&mut unpacked).map_err(|(read, error)| self.error(state.format, read as u64, &error))?;
        self.refuse(Foreign::within(&head), state.format)?;
        state.read_from(head, unpacked);
        Ok(())
    }

    fn refuse(&self, foreign: Option<Foreign>, outer: Format) -> Result<(), InputError> {
        foreign.map_or(Ok(()), |foreign| Err(InputError::foreign(&self.name, &foreign, outer.unpacked_by())))
    }

    fn fill(&self, reader: &mut dyn Read, format: Format, into: &mut [u8], offset: u64) -> Result<usize, InputError> {
        reader.read(into).map_err(|error| self.error(format, offset, &error))
    }

    /// The system's error, or the data's.
    fn error(&self, format: Format, offset: u64, error: &io::Error) -> InputError {
        let path = self.name.clone();
        if self.tally.failed() || format == Format::Plain {
            let source = io::Error::new(error.kind(), error.to_string());
            return InputError::Read { path, offset: self.tally.bytes(), source };
        }
        if let Some(foreign) = error.get_ref().and_then(|inner| inner.downcast_ref::<Foreign>()) {
            return InputError::foreign(&self.name, foreign, None);
        }
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        InputError::Corrupt { path, format: format.word(), offset, reason }
    }
}

/// The first bytes of a source, at most [`HEAD_BYTES`]; or how many came before an error.
pub(super) fn head_of(reader: &mut impl Read) -> Result<Vec<u8>, (usize, io::Error)> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    match reader.take(HEAD_BYTES as u64).read_to_end(&mut head) {
        Ok(_) => Ok(head),
        Err(error) => Err((head.len(), error)),
    }
}
