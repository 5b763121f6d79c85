//! Reading files: blocks of lines side by side through the decoder, accepted events into a gathering, the others into
//! `rejected`.

use super::rejects::{RejectedLine, Rejects, SourceCounts};
use aggregator::Timeline;
use audience::{Decoder, Details, Ms, Reason, Registry, Rejection, is_blank};
use exporter::{PAYLOAD_MAX, RejectedRow};
use ingester::files::{Block, BlockKind, Files};
use problem::Problem;
use settling::{Feeder, Gather};
use std::path::PathBuf;
use std::sync::Arc;

/// What reading gave beside the events.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// By number of the broadcast.
    pub(super) timelines: Vec<Timeline>,
    /// By number of the source.
    pub(super) counts: Vec<SourceCounts>,
    /// The rejected events by reason, with an example of each.
    pub(super) rejects: Rejects,
    /// With `--strict`: the first rejected event that was met.
    pub(super) refused: Option<RejectedRow>,
}

/// How to read.
pub(super) struct Reading<'a> {
    pub(super) files: &'a Files,
    pub(super) paths: &'a [PathBuf],
    pub(super) registry: &'a Arc<Registry>,
    pub(super) gather: &'a Gather,
    pub(super) threads: usize,
    /// The time of the whole replay: `received_at` of its rejected events.
    pub(super) started_at: Ms,
    pub(super) is_strict: bool,
    pub(super) redact: bool,
    /// Whether rejected events are kept, and not only counted.
    pub(super) keep_rejected: bool,
    /// Takes a batch of rejected events.
    pub(super) reject: &'a (dyn Fn(&mut Vec<RejectedRow>) -> Result<(), Problem> + Sync),
    /// Bytes of payloads that one thread keeps before it hands them over.
    pub(super) rejected_bytes: usize,
    /// Called after each block.
    pub(super) progress: &'a (dyn Fn() + Sync),
}

impl Reading<'_> {
    /// Reads all files to their ends.
    pub(super) fn read(&self) -> Result<Read, Problem> {
        let sources: Vec<Arc<str>> = self.paths.iter().map(|path| Arc::from(path.to_string_lossy())).collect();
        let workers = (0..self.threads.max(1)).map(|_| Worker::new(self, &sources));
        let reads = std::thread::scope(|scope| {
            let threads: Vec<_> = workers.map(|worker| scope.spawn(|| worker.work())).collect();
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Vec<_>>()
        });
        let mut whole = Read { counts: vec![SourceCounts::default(); self.paths.len()], ..Read::default() };
        for read in reads {
            whole.absorb(read?);
        }
        Ok(whole)
    }
}

impl Read {
    fn absorb(&mut self, part: Read) {
        if self.timelines.len() < part.timelines.len() {
            self.timelines.resize_with(part.timelines.len(), Timeline::default);
        }
        for (whole, part) in self.timelines.iter_mut().zip(part.timelines) {
            whole.merge(part);
        }
        for (whole, part) in self.counts.iter_mut().zip(part.counts) {
            whole.accepted += part.accepted;
            whole.rejected += part.rejected;
        }
        self.rejects.absorb(part.rejects);
        let place = |row: &RejectedRow| (row.source.clone(), row.offset);
        self.refused = [self.refused.take(), part.refused].into_iter().flatten().min_by_key(place);
    }

    /// All accepted events.
    pub(super) fn accepted(&self) -> u64 {
        self.counts.iter().map(|counts| counts.accepted).sum()
    }

    /// All rejected events.
    pub(super) fn rejected(&self) -> u64 {
        self.counts.iter().map(|counts| counts.rejected).sum()
    }
}

struct Worker<'a> {
    reading: &'a Reading<'a>,
    sources: &'a [Arc<str>],
    decoder: Decoder,
    details: Details,
    feeder: Feeder<'a>,
    read: Read,
    rejected: Vec<RejectedRow>,
    rejected_bytes: usize,
}

impl<'a> Worker<'a> {
    fn new(reading: &'a Reading<'a>, sources: &'a [Arc<str>]) -> Worker<'a> {
        Worker {
            reading,
            sources,
            decoder: Decoder::new(Arc::clone(reading.registry)),
            details: Details::new(),
            feeder: reading.gather.feeder(),
            read: Read { counts: vec![SourceCounts::default(); sources.len()], ..Read::default() },
            rejected: Vec::new(),
            rejected_bytes: 0,
        }
    }

    fn work(mut self) -> Result<Read, Problem> {
        let mut buffer = Vec::new();
        while let Some(block) = self.reading.files.next_block(buffer)? {
            self.block(&block)?;
            (self.reading.progress)();
            if self.read.refused.is_some() {
                break;
            }
            buffer = block.into_buffer();
        }
        self.hand_over()?;
        self.read.timelines = self.feeder.finish()?;
        Ok(self.read)
    }

    fn block(&mut self, block: &Block) -> Result<(), Problem> {
        self.details.clear();
        if let BlockKind::Oversized { line_bytes, is_blank } = block.kind {
            self.read.rejects.read(block.source, block.offset, 1);
            if is_blank {
                return Ok(());
            }
            return self.reject(block, (0, 0), block.bytes(), line_bytes, Rejection::whole(Reason::TooLarge));
        }
        let (mut start, mut lines) = (0, 0);
        while start < block.bytes().len() {
            let rest = &block.bytes()[start..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.line(block, (start, lines), &rest[..length])?;
            start += length + 1;
            lines += 1;
        }
        self.read.rejects.read(block.source, block.offset, lines);
        Ok(())
    }

    /// `place`: where in the block the line begins, and how many lines of the block come before it.
    fn line(&mut self, block: &Block, place: (usize, u64), line: &[u8]) -> Result<(), Problem> {
        match self.decoder.decode(line, &mut self.details) {
            Ok(event) => {
                self.read.counts[block.source as usize].accepted += 1;
                self.feeder.push(&event, &self.details)
            }
            // In a file a blank line is no event.
            Err(_) if is_blank(line) => Ok(()),
            Err(rejection) => self.reject(block, place, line, line.len() as u64, rejection),
        }
    }

    fn reject(
        &mut self,
        block: &Block,
        (start, lines_before): (usize, u64),
        line: &[u8],
        bytes: u64,
        rejection: Rejection,
    ) -> Result<(), Problem> {
        self.read.counts[block.source as usize].rejected += 1;
        let offset = block.offset + start as u64;
        let line = &line[..line.len().min(PAYLOAD_MAX)];
        let rejected = RejectedLine { source: block.source, block: block.offset, lines_before, offset, bytes: line };
        self.read.rejects.add(rejection, &rejected, self.reading.redact);
        if !self.reading.keep_rejected && !self.reading.is_strict {
            return Ok(());
        }
        let payload = (!self.reading.redact).then(|| line.to_vec());
        let row = RejectedRow {
            source: Arc::clone(&self.sources[block.source as usize]),
            partition: 0,
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            received_at: self.reading.started_at,
            rejection,
            payload,
            payload_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        };
        if self.reading.is_strict {
            if self.read.refused.is_none() {
                self.read.refused = Some(row);
            }
            return Ok(());
        }
        self.rejected_bytes += size_of::<RejectedRow>() + row.payload.as_ref().map_or(0, Vec::len);
        self.rejected.push(row);
        if self.rejected_bytes > self.reading.rejected_bytes { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Problem> {
        self.rejected_bytes = 0;
        if self.rejected.is_empty() { Ok(()) } else { (self.reading.reject)(&mut self.rejected) }
    }
}
