//! Snapshots of a run: a base, frozen at a cut and written in the background, which the next commit that finds it
//! finished names. The changes since are the log's own tail, so nothing is written for them, and a base may be as old
//! as reading that tail takes time.

use super::message::Frozen;
use aggregator::FrozenLane;
use audience::Ms;
use exporter::{
    Head, LoggedEvent, ON_TIME, SNAPSHOT_EXTENSION, SNAPSHOT_FORMAT, SavedRules, SnapshotError, write_snapshot,
};
use problem::Problem;
use std::collections::BTreeMap;
use std::io::BufWriter;
use std::sync::Arc;
use std::thread::JoinHandle;
use storage::{Commit, Draft, FileEntry, Snapshot, SnapshotFile};

/// A new base is due after so many events, or as many as the last base had sessions and viewers, if those are more: so
/// bases cost each event at most one entry of a base, and a start reads no more than these events back.
const EVENTS: u64 = 1_000_000;
/// And after so many commits: each is a file of the log.
const COMMITS: u64 = 100;
/// What the base's file is gathered in.
const BUFFER: usize = 1 << 18;

/// Until when the events of each commit take effect, of commits that may have some that the watermark has not passed.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach(BTreeMap<i64, Ms>);

impl Reach {
    /// Takes note of an event of `commit`.
    pub(super) fn note(&mut self, commit: i64, row: &LoggedEvent) {
        let at = if row.late_at == ON_TIME { row.event.ts() } else { row.late_at };
        let reach = self.0.entry(commit).or_insert(at);
        *reach = at.max(*reach);
    }

    /// The first commit that has an event at `watermark` or after it; `or` where none has.
    fn from(&mut self, watermark: Option<Ms>, or: u64) -> u64 {
        self.0.retain(|_, reach| watermark.is_none_or(|watermark| *reach >= watermark));
        self.0.keys().next().and_then(|first| u64::try_from(*first).ok()).unwrap_or(or)
    }
}

/// The bases of a run, as its writer keeps them.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// Open sessions and known viewers of the last base.
    entries: u64,
    /// Since the cut of the last base.
    events: u64,
    commits: u64,
    reach: Reach,
    /// The live state came from the log alone, or a base was lost.
    is_wanted: bool,
    writing: Option<JoinHandle<Result<Base, SnapshotError>>>,
}

/// A base that is written, and belongs to no commit yet.
#[derive(Debug)]
pub(super) struct Base {
    part: Commit,
    file: FileEntry,
}

impl Base {
    /// Lets `commit` name it.
    pub(super) fn enter(&self, commit: &Commit, draft: &mut Draft) {
        commit.absorb(&self.part);
        let files = vec![SnapshotFile::from(&self.file)];
        draft.snapshot = Some(Snapshot { format: SNAPSHOT_FORMAT.to_owned(), files });
    }
}

impl Snapshots {
    /// After a start from a base of so many entries, after which so many events came in so many commits.
    pub(super) fn resumed(entries: u64, events: u64, commits: u64, reach: Reach) -> Snapshots {
        Snapshots { entries, events, commits, reach, ..Snapshots::default() }
    }

    /// After a start from the log alone.
    pub(super) fn rebuilt(reach: Reach, is_wanted: bool) -> Snapshots {
        Snapshots { reach, is_wanted, ..Snapshots::default() }
    }

    /// Takes note of a commit that was made.
    pub(super) fn note(&mut self, commit: i64, events: &[LoggedEvent]) {
        self.events += events.len() as u64;
        self.commits += 1;
        events.iter().for_each(|row| self.reach.note(commit, row));
    }

    /// Whether the next cut is to be frozen.
    pub(super) fn is_due(&self) -> bool {
        let is_time = self.is_wanted || self.events >= self.entries.max(EVENTS) || self.commits >= COMMITS;
        is_time && self.writing.is_none()
    }

    /// Whether a base would say anything new.
    pub(super) fn is_new(&self) -> bool {
        self.is_wanted || self.events > 0 || self.commits > 0
    }

    /// Begins to write what was frozen at the cut of `commit`; `part` takes the file.
    pub(super) fn begin(&mut self, frozen: Frozen, commit: u64, rules: SavedRules, names: Vec<Arc<str>>, part: Commit) {
        if self.writing.is_some() {
            return;
        }
        let Frozen { lanes, live, watermark, partitions } = frozen;
        self.entries = lanes.iter().map(FrozenLane::entries).sum();
        let held_from = self.reach.from(watermark, commit + 1);
        let head = Head { commit, watermark, rules, lanes: lanes.len(), partitions, held_from };
        (self.events, self.commits, self.is_wanted) = (0, 0, false);
        let write = move || {
            let refused = |error: storage::StoreError| SnapshotError::Io(error.into());
            let writer = part.snapshot_part(SNAPSHOT_EXTENSION).map_err(refused)?;
            let mut out = BufWriter::with_capacity(BUFFER, writer);
            write_snapshot(&mut out, &head, &names, lanes, &live.snapshot())?;
            let writer = out.into_inner().map_err(|error| SnapshotError::Io(error.into_error()))?;
            let file = writer.finish(0).map_err(refused)?;
            Ok(Base { part, file })
        };
        self.writing = Some(std::thread::spawn(write));
    }

    /// The base that is written, once: the commit that finds it names it. `Err` tells why there is none after all.
    pub(super) fn finished(&mut self) -> Result<Option<Base>, String> {
        let finished = self.writing.take_if(|writing| writing.is_finished());
        finished.map(Self::end).transpose()
    }

    /// Waits for the base that is being written, if one is.
    pub(super) fn wait(&mut self) -> Result<Option<Base>, String> {
        self.writing.take().map(Self::end).transpose()
    }

    fn end(writing: JoinHandle<Result<Base, SnapshotError>>) -> Result<Base, String> {
        let ended = writing.join().map_err(|_| Problem::bug("The thread that wrote it has panicked.").message);
        let ended = ended.and_then(|base| base.map_err(|error| error.to_string()));
        // Not at once: what refused it now may do so for a while. The events of the next base are counted from here.
        ended.map_err(|why| {
            format!("The snapshot could not be written ({why}). Nothing is lost: a start reads the log instead.")
        })
    }

    /// A base that was to be named was not.
    pub(super) fn lost(&mut self) {
        self.is_wanted = true;
    }
}
