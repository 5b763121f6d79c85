//! A run is a sorted piece of the events that did not fit in memory, in a temporary file with a section for each shard
//! of viewers. The form is private to one process: a run is unlinked as soon as it is open, so that the kernel removes
//! it however the process ends.

use audience::{Detail, Details, Event, Kind, NO_DETAIL, RetweetDetail};
use problem::Failure;
use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The operating system refused.
    #[error("cannot {doing} a temporary file in {folder}: {source}", folder = folder.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The folder of the temporary files.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error(
        "a temporary file in {folder} is not what was written to it: {what}; check the disk",
        folder = folder.display()
    )]
    Damaged {
        /// The folder of the temporary files.
        folder: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

impl Failure for SpillError {
    fn exit_code(&self) -> u8 {
        3
    }
}

/// Bytes of a record before its detail: viewer, session, when, broadcast, length of the detail; all little-endian.
const FIXED: usize = 48;
const VIA: u8 = 0;
const RETWEET: u8 = 1;
const ABSENT: u16 = u16::MAX;
const WRITE_BUFFER: usize = 1 << 20;

/// Writes one run.
#[derive(Debug)]
pub(crate) struct RunWriter {
    out: BufWriter<File>,
    folder: Arc<Path>,
    sections: Vec<Section>,
    written: u64,
    section: Section,
    record: Vec<u8>,
}

/// A new file in `folder` without a name there.
pub(crate) fn temporary_file(folder: &Path) -> Result<File, SpillError> {
    let io = |source| SpillError::Io { doing: "create", folder: folder.to_path_buf(), source };
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io(io::Error::other(error)))?;
    let path = folder.join(format!("jauge-{:016x}.run", u64::from_le_bytes(random)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(io)?;
    std::fs::remove_file(&path).map_err(io)?;
    Ok(file)
}

/// Where a section lies in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// First byte.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) bytes: u64,
    /// Events, or numbers.
    pub(crate) records: u64,
}

impl RunWriter {
    /// Begins a run in `folder`, which must exist.
    ///
    /// # Errors
    /// [`SpillError::Io`].
    pub(crate) fn create(folder: &Path) -> Result<RunWriter, SpillError> {
        Ok(RunWriter {
            out: BufWriter::with_capacity(WRITE_BUFFER, temporary_file(folder)?),
            folder: folder.into(),
            sections: Vec::new(),
            written: 0,
            section: Section::default(),
            record: Vec::new(),
        })
    }

    /// Adds an event to the section, not before the one added last, with its strings.
    ///
    /// # Errors
    /// [`SpillError::Io`].
    pub(crate) fn push(&mut self, event: &Event, detail: Option<Detail<'_>>) -> Result<(), SpillError> {
        self.record.clear();
        self.record.extend_from_slice(&event.viewer.to_le_bytes());
        self.record.extend_from_slice(&event.session.to_le_bytes());
        self.record.extend_from_slice(&event.when().to_le_bytes());
        self.record.extend_from_slice(&event.broadcast.to_le_bytes());
        self.record.extend_from_slice(&[0; 4]);
        if let Some(detail) = detail {
            encode(detail, &mut self.record);
            let len = u32::try_from(self.record.len() - FIXED).expect("three ids of at most 64 KiB");
            self.record[FIXED - 4..FIXED].copy_from_slice(&len.to_le_bytes());
        }
        let written = self.out.write_all(&self.record);
        written.map_err(|source| SpillError::Io { doing: "write", folder: self.folder.to_path_buf(), source })?;
        self.written += self.record.len() as u64;
        self.section.records += 1;
        Ok(())
    }

    /// Ends the section; the next event opens another. A section may be empty.
    pub(crate) fn end_section(&mut self) {
        self.section.bytes = self.written - self.section.offset;
        self.sections.push(self.section);
        self.section = Section { offset: self.written, bytes: 0, records: 0 };
    }

    /// Ends the run, and the section if one is begun.
    ///
    /// # Errors
    /// [`SpillError`]: it is not whole in its file.
    pub(crate) fn finish(mut self) -> Result<Run, SpillError> {
        if self.section.records > 0 {
            self.end_section();
        }
        let io = |source| SpillError::Io { doing: "write", folder: self.folder.to_path_buf(), source };
        let file = self.out.into_inner().map_err(|error| io(error.into_error()))?;
        if file.metadata().map_err(io)?.len() != self.written {
            return Err(SpillError::Damaged { folder: self.folder.to_path_buf(), what: "its length is another" });
        }
        Ok(Run { file: Arc::new(file), folder: self.folder, sections: self.sections })
    }
}

/// A whole run. Its file lives until the run and its readers are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    file: Arc<File>,
    folder: Arc<Path>,
    sections: Vec<Section>,
}

impl Run {
    /// Its sections, in the order in which they were written.
    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Reads section `index` (an empty one if there is none) through a buffer of `buffer_bytes`, 4 KiB at least.
    pub(crate) fn section(&self, index: usize, buffer_bytes: usize) -> RunReader {
        let Section { offset, bytes, records } = self.sections.get(index).copied().unwrap_or_default();
        // No more than there is to read, and a byte, so that many small sections do not cost many large buffers.
        let capacity = buffer_bytes.max(4096).min(usize::try_from(bytes).unwrap_or(usize::MAX).max(FIXED));
        RunReader {
            file: Arc::clone(&self.file),
            folder: Arc::clone(&self.folder),
            at: offset,
            end: offset + bytes,
            records,
            buffer: vec![0; capacity],
            unread: 0..0,
            detail: 0..0,
        }
    }
}

/// Reads one section of a run in its order.
#[derive(Debug)]
pub(crate) struct RunReader {
    file: Arc<File>,
    folder: Arc<Path>,
    /// Where the file is read next, and where the section ends.
    at: u64,
    end: u64,
    /// Events not yet read.
    records: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read from the file, and belong to events not yet read.
    unread: Range<usize>,
    /// Bytes of the buffer that are the detail of the event read last.
    detail: Range<usize>,
}

impl RunReader {
    /// The next event, its strings added to `into`; `None` at the end of the section.
    ///
    /// # Errors
    /// [`SpillError`].
    #[cfg(test)]
    pub(crate) fn next(&mut self, into: &mut Details) -> Result<Option<Event>, SpillError> {
        let mut event = self.advance()?;
        if let Some(event) = &mut event {
            event.detail = self.take_detail(into)?;
        }
        Ok(event)
    }

    /// The next event without its strings, which [`RunReader::take_detail`] gives until the next call.
    pub(crate) fn advance(&mut self) -> Result<Option<Event>, SpillError> {
        if self.records == 0 {
            let rest = self.end - self.at + self.unread.len() as u64;
            return if rest == 0 { Ok(None) } else { Err(self.damaged("a section is longer than its events")) };
        }
        self.fill(FIXED)?;
        let mut record = Fields(&self.buffer[self.unread.clone()]);
        let read = (|| {
            let (viewer, session) = (u128::from_le_bytes(record.take()?), u128::from_le_bytes(record.take()?));
            let when = u64::from_le_bytes(record.take()?);
            let (broadcast, len) = (u32::from_le_bytes(record.take()?), u32::from_le_bytes(record.take()?));
            let kind = Kind::ALL.get((when & 7) as usize)?;
            Some((Event::new(*kind, broadcast, viewer, session, (when >> 3).cast_signed(), NO_DETAIL), len as usize))
        })();
        let (event, len) = read.ok_or_else(|| self.damaged("no kind has that number"))?;
        self.unread.start += FIXED;
        self.fill(len)?;
        self.detail = self.unread.start..self.unread.start + len;
        self.unread.start += len;
        self.records -= 1;
        Ok(Some(event))
    }

    /// Adds the strings of the event read last to `into`; their place, or [`NO_DETAIL`].
    pub(crate) fn take_detail(&self, into: &mut Details) -> Result<u32, SpillError> {
        if self.detail.is_empty() {
            return Ok(NO_DETAIL);
        }
        let detail = decode(&mut Fields(&self.buffer[self.detail.clone()]));
        detail.map(|detail| into.push(detail)).ok_or_else(|| self.damaged("a detail is cut"))
    }

    fn damaged(&self, what: &'static str) -> SpillError {
        SpillError::Damaged { folder: self.folder.to_path_buf(), what }
    }

    /// Has at least `len` unread bytes in the buffer.
    fn fill(&mut self, len: usize) -> Result<(), SpillError> {
        if self.unread.len() >= len {
            return Ok(());
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        while self.unread.len() < len {
            let room = &mut self.buffer[self.unread.end..];
            let wanted = room.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
            let io = |source| SpillError::Io { doing: "read", folder: self.folder.to_path_buf(), source };
            let read = read_at(&self.file, &mut room[..wanted], self.at).map_err(io)?;
            if read == 0 {
                return Err(self.damaged("it ends inside an event"));
            }
            self.unread.end += read;
            self.at += read as u64;
        }
        Ok(())
    }
}

/// Reads from `at` on what comes at once; 0 bytes at the end of the file.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match std::os::unix::fs::FileExt::read_at(file, buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(windows)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

fn encode(detail: Detail<'_>, to: &mut Vec<u8>) {
    let mut text = |text: Option<&str>| {
        let len = text.map_or(ABSENT, |text| u16::try_from(text.len()).expect("an id has at most 256 bytes"));
        to.extend_from_slice(&len.to_le_bytes());
        to.extend_from_slice(text.unwrap_or_default().as_bytes());
    };
    match detail {
        Detail::Via(via) => {
            text(Some(via));
            to.push(VIA);
        }
        Detail::Retweet(retweet) => {
            for id in [Some(retweet.tweet_id), Some(retweet.user_id), retweet.retweet_of] {
                text(id);
            }
            to.extend_from_slice(&retweet.followers.unwrap_or(-1).to_le_bytes());
            to.push(RETWEET);
        }
    }
}

fn decode<'a>(from: &mut Fields<'a>) -> Option<Detail<'a>> {
    let (tag, rest) = from.0.split_last()?;
    from.0 = rest;
    if *tag == VIA {
        return Some(Detail::Via(from.text()??));
    }
    let (tweet_id, user_id, retweet_of) = (from.text()??, from.text()??, from.text()?);
    let followers = i64::from_le_bytes(from.take()?);
    Some(Detail::Retweet(RetweetDetail {
        tweet_id,
        user_id,
        followers: (followers >= 0).then_some(followers),
        retweet_of,
    }))
}

/// Bytes, taken off from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A text that may be absent; `None` outside where the bytes are cut.
    fn text(&mut self) -> Option<Option<&'a str>> {
        let len = u16::from_le_bytes(self.take()?);
        if len == ABSENT {
            return Some(None);
        }
        let (text, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        str::from_utf8(text).ok().map(Some)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
