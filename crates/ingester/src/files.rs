//! A file is NDJSON, plain, gzip or zstd, and comes out as blocks of whole lines, each with its place in its source.
//!
//! Several threads call [`Files::next_block`] at once. A plain file is read by all of them in ranges; a compressed
//! file, a pipe or standard input by one at a time, different ones side by side. What a source is, its first bytes say:
//! a file named `.gz` that is none is read as what it is, but one that is cut before its first bytes are whole is an
//! error, and so is what they say is no file of lines. A byte order mark at its very beginning, uncompressed, is passed
//! over. Memory is bounded: a block is about 4 MiB, and a line of more than 1 MiB is not held but described.

mod block;
mod error;
mod foreign;
mod lines;
mod plain;
mod raw;
mod stream;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use block::{Block, BlockKind};
pub use error::InputError;
use foreign::Foreign;
pub use lines::BYTE_ORDER_MARK;
use lines::{Limits, Pieces};
use plain::Plain;
use stream::{Format, Stream, StreamOrigin, Turn};

/// A source that was read, for the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The path as it was given; `-` for standard input.
    pub path_as_given: String,
    /// Its size as it is stored.
    pub bytes: u64,
    /// CRC-64/NVME of its bytes as they are stored.
    pub crc64: u64,
}

/// Input files that are open for reading by several threads.
#[derive(Debug)]
pub struct Files {
    names: Vec<String>,
    sources: Vec<Source>,
    /// The first source that is not finished.
    first: AtomicUsize,
    /// Blocks that came of one read beside the first: lines before and after an oversized one.
    spare: Mutex<VecDeque<Block>>,
    bytes_read: Arc<AtomicU64>,
    bytes_total: Option<u64>,
}

#[derive(Debug)]
enum Source {
    Plain(Plain),
    Stream(Stream),
}

impl Source {
    fn finished(&self) -> bool {
        match self {
            Source::Plain(plain) => plain.finished(),
            Source::Stream(stream) => stream.finished(),
        }
    }
}

impl Files {
    /// Opens `paths`, `-` being standard input. A path that is missing, a folder or unreadable is refused here, before
    /// anything is read; a compressed file that is cut within its first bytes, and one that is foreign, too.
    pub fn open(paths: &[PathBuf]) -> Result<Files, InputError> {
        Files::open_with(paths, Limits::REAL)
    }

    fn open_with(paths: &[PathBuf], limits: Limits) -> Result<Files, InputError> {
        if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
            return Err(InputError::StdinTwice);
        }
        let bytes_read = Arc::new(AtomicU64::new(0));
        let (mut sources, mut bytes_total) = (Vec::with_capacity(paths.len()), Some(0));
        let mut pipes = BTreeMap::new();
        for path in paths {
            let (source, size) = open_source(path, limits, &bytes_read, &mut pipes)?;
            sources.push(source);
            bytes_total = bytes_total.zip(size).map(|(total, size)| total + size);
        }
        let names = paths.iter().map(|path| path.display().to_string()).collect();
        let (first, spare) = (AtomicUsize::new(0), Mutex::new(VecDeque::new()));
        Ok(Files { names, sources, first, spare, bytes_read, bytes_total })
    }

    /// The path of a source as it was given; `None` for a number that no block has.
    pub fn path(&self, source: u32) -> Option<&str> {
        self.names.get(source as usize).map(String::as_str)
    }

    /// The next block of any source, or `None` when all sources are at their end. Pass the memory of a used block as
    /// `buffer`, or an empty vector. Blocks of one source come in no order where several threads ask. After an error
    /// the rest of that source does not come, so what was read must not be published.
    pub fn next_block(&self, mut buffer: Vec<u8>) -> Result<Option<Block>, InputError> {
        if let Some(block) = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Ok(Some(block));
        }
        loop {
            let mut busy = None;
            for index in self.first.load(Ordering::Relaxed)..self.sources.len() {
                match self.ask(index, &mut buffer, false)? {
                    Turn::Pieces(pieces) => return Ok(Some(self.blocks(index, buffer, pieces))),
                    Turn::Busy => busy = busy.or(Some(index)),
                    Turn::Finished => self.advance(index),
                }
            }
            // All that is left is being read by others: wait for the first of them.
            let Some(index) = busy else { return Ok(None) };
            if let Turn::Pieces(pieces) = self.ask(index, &mut buffer, true)? {
                return Ok(Some(self.blocks(index, buffer, pieces)));
            }
        }
    }

    /// Raw bytes read so far, of all sources.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Raw bytes of all sources; `None` where one is a pipe, so that nobody knows.
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Size and checksum of each source. They are those of the whole once every thread has got `None`.
    pub fn sources(&self) -> Vec<SourceReport> {
        let report = |(name, source): (&String, &Source)| {
            let (bytes, crc64) = match source {
                Source::Plain(plain) => (plain.size(), plain.checksum()),
                Source::Stream(stream) => (stream.tally().bytes(), stream.tally().crc64()),
            };
            SourceReport { path_as_given: name.clone(), bytes, crc64 }
        };
        self.names.iter().zip(&self.sources).map(report).collect()
    }

    fn ask(&self, index: usize, buffer: &mut Vec<u8>, wait: bool) -> Result<Turn, InputError> {
        match &self.sources[index] {
            Source::Plain(plain) => Ok(plain.next(buffer, &self.bytes_read)?.map_or(Turn::Finished, Turn::Pieces)),
            Source::Stream(stream) => stream.next(buffer, wait),
        }
    }

    /// The first block of `pieces`; the others wait in `spare` for whoever asks next.
    fn blocks(&self, index: usize, buffer: Vec<u8>, pieces: Pieces) -> Block {
        let source = u32::try_from(index).unwrap_or(u32::MAX);
        let place = |start: usize| pieces.base + start as u64;
        let first = pieces.first;
        for piece in pieces.rest {
            let bytes = buffer[piece.range.clone()].to_vec();
            let (offset, range) = (place(piece.range.start), 0..bytes.len());
            let block = Block { source, offset, kind: piece.kind, buffer: bytes, range };
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push_back(block);
        }
        Block { source, offset: place(first.range.start), kind: first.kind, buffer, range: first.range }
    }

    /// Notes that all sources up to the first unfinished one are done, so that nobody looks at them again.
    fn advance(&self, index: usize) {
        if index == self.first.load(Ordering::Relaxed) && self.sources[index].finished() {
            self.first.fetch_max(index + 1, Ordering::Relaxed);
        }
    }
}

/// The paths of the pipes among the sources, by what the system knows each by.
type Pipes = BTreeMap<(u64, u64), String>;

/// Notes the pipe that `name` is. One of two names is refused: its two readers would tear its lines.
fn note_pipe(facts: &Metadata, name: &str, pipes: &mut Pipes) -> Result<(), InputError> {
    if !facts.file_type().is_fifo() && !facts.file_type().is_socket() {
        return Ok(());
    }
    match pipes.insert((facts.dev(), facts.ino()), name.to_owned()) {
        Some(other) => Err(InputError::PipeTwice { path: name.to_owned(), other }),
        None => Ok(()),
    }
}

/// A source, and its size where it has one.
fn open_source(
    path: &Path,
    limits: Limits,
    progress: &Arc<AtomicU64>,
    pipes: &mut Pipes,
) -> Result<(Source, Option<u64>), InputError> {
    let name = path.display().to_string();
    let refused = |source| InputError::Open { path: name.clone(), source };
    if path.as_os_str() == "-" {
        let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().map_err(refused)?;
        let stdin = File::from(stdin);
        note_pipe(&stdin.metadata().map_err(refused)?, &name, pipes)?;
        let origin = StreamOrigin::Open(Box::new(stdin));
        return Ok((Source::Stream(Stream::new(name, origin, limits, progress)), None));
    }
    let facts = std::fs::metadata(path).map_err(refused)?;
    note_pipe(&facts, &name, pipes)?;
    if facts.file_type().is_fifo() {
        // To open one waits for whoever writes to it, who may write to another one first: it waits for its turn.
        let origin = StreamOrigin::File(path.to_owned());
        return Ok((Source::Stream(Stream::new(name, origin, limits, progress)), None));
    }
    let mut file = File::open(path).map_err(refused)?;
    if facts.is_dir() {
        return Err(InputError::Folder { path: path.to_owned() });
    }
    if !facts.is_file() {
        // What is no file gives its bytes once, so it stays open.
        let origin = StreamOrigin::Open(Box::new(file));
        return Ok((Source::Stream(Stream::new(name, origin, limits, progress)), None));
    }
    let head = stream::head_of(&mut file).map_err(|(_, error)| refused(error))?;
    let source = match Format::of(&head) {
        Format::Plain => {
            refuse_cut(&name, path, &head)?;
            if let Some(foreign) = Foreign::of(&head) {
                return Err(InputError::foreign(&name, &foreign, None));
            }
            Source::Plain(Plain::new(name, path.to_owned(), facts.len(), lines::begin(&head), limits))
        }
        Format::Gzip | Format::Zstd => {
            Source::Stream(Stream::new(name, StreamOrigin::File(path.to_owned()), limits, progress))
        }
    };
    Ok((source, Some(facts.len())))
}

/// A file that its name calls compressed, and that ends before its first bytes could tell, was cut: read as what it is
/// it would pass for a file without events.
fn refuse_cut(name: &str, path: &Path, magic: &[u8]) -> Result<(), InputError> {
    let format = match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("gz") => Format::Gzip,
        Some("zst") => Format::Zstd,
        _ => return Ok(()),
    };
    let whole: &[u8] = if format == Format::Gzip { &[0x1f, 0x8b, 0x08] } else { &[0x28, 0xb5, 0x2f, 0xfd] };
    if magic.len() < whole.len() && whole.starts_with(magic) {
        let reason = "it ends too early".to_owned();
        return Err(InputError::Corrupt { path: name.to_owned(), format: format.word(), offset: 0, reason });
    }
    Ok(())
}
