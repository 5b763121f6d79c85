//! The housekeeping of a run: the small files of the log merged into larger ones, and what is too old dropped. A thread
//! beside the writer prepares it; the writer commits it between other commits, so none waits for it.

use super::options::Options;
use super::publisher::Publisher;
use super::said::Said;
use audience::Ms;
use exporter::Table;
use problem::Problem;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use storage::provenance;
use storage::upkeep::{Job, Keep, Old, Places, Tidied, next_merge};
use storage::{CommitKind, FileEntry, Manifest};

/// How often what is too old is looked for.
const LOOK: Duration = Duration::from_secs(600);
/// And how often by the time of the records, ms.
const RECORDED: Ms = 600_000;

/// The housekeeping of one run.
#[derive(Debug, Default)]
pub(super) struct Tidy {
    job: Option<Running>,
    is_over: Arc<AtomicBool>,
    looked_at: Option<Instant>,
    /// The greatest time of a record when it was looked for last.
    recorded_at: Option<Ms>,
    looked_to: Places,
}

/// A job under way: what it prepares, if there is anything to do.
type Running = JoinHandle<Result<Option<Tidied>, Problem>>;

impl Drop for Tidy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // What it has prepared is no data.
        let _ = self.job.take().map(JoinHandle::join);
    }
}

impl Tidy {
    /// Commits what was prepared, and has the next thing prepared.
    pub(super) fn turn(&mut self, publisher: &mut Publisher) -> Result<(), Problem> {
        match self.job.take() {
            Some(job) if !job.is_finished() => {
                self.job = Some(job);
                return Ok(());
            }
            Some(job) => {
                let done = job.join().map_err(|_| Problem::bug("The housekeeping has panicked."))?;
                match done {
                    Ok(Some(tidied)) => commit_tidied(publisher, &tidied)?,
                    Ok(None) => {}
                    // It can wait for room, or for an object store; nothing else does.
                    Err(problem) if problem.awaits.is_some() => self.looked_at = Some(Instant::now()),
                    Err(problem) => return Err(problem),
                }
            }
            None => {}
        }
        self.job = match self.next_job(publisher) {
            Err(problem) if problem.awaits.is_some() => {
                self.looked_at = Some(Instant::now());
                None
            }
            job => job?,
        };
        Ok(())
    }

    fn next_job(&mut self, publisher: &Publisher) -> Result<Option<Running>, Problem> {
        let Publisher { committer, options, .. } = publisher;
        let Options { keep_events_ms: events, keep_live_ms: live, rejected_keep_ms: rejected, .. } = *options;
        let keep = Keep { events, live, rejected };
        let parts = committer.begin();
        let passport = provenance::of_topics(&options.rules, options.lateness_ms, &options.topic, parts.number());
        let job = Job { store: committer.store().clone(), parts, passport, is_over: Arc::clone(&self.is_over) };
        let chain = committer.chain();
        let logs: Vec<&FileEntry> = chain.files_of(Table::Events.name()).collect();
        if let Some(files) = next_merge(&job.store, &logs, keep.events)? {
            return Ok(Some(std::thread::spawn(move || job.merge(&files))));
        }
        // Rows may have become old by our clock long ago, and by the data just now.
        let recorded_at = chain.newest().and_then(Manifest::recorded_at);
        let went_on = recorded_at.map_or(0, |at| at - self.recorded_at.unwrap_or(0));
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK) && went_on < RECORDED {
            return Ok(None);
        }
        (self.looked_at, self.recorded_at) = (Some(Instant::now()), recorded_at);
        let old = Old::find(&job.store, chain, keep, &mut self.looked_to)?;
        if !self.looked_to.is_empty() {
            self.looked_at = None;
        }
        Ok(old.map(|old| std::thread::spawn(move || old.take_out(job))))
    }
}

fn commit_tidied(publisher: &mut Publisher, tidied: &Tidied) -> Result<(), Problem> {
    let live: HashSet<&str> = publisher.committer.chain().files().map(|file| file.path.as_str()).collect();
    if !tidied.removed.iter().all(|file| live.contains(file.path.as_str())) {
        // Something else has replaced one of them meanwhile.
        return Ok(());
    }
    let commit = publisher.committer.begin();
    commit.absorb(&tidied.parts);
    let mut draft = publisher.draft(CommitKind::Tidy);
    draft.removed.clone_from(&tidied.removed);
    draft.dropped.clone_from(&tidied.dropped);
    draft.horizon = tidied.horizon;
    publisher.publish(&commit, &draft)?;
    let dropped: u64 = tidied.dropped.values().sum();
    let of_tables: Vec<String> = tidied.dropped.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    let of_tables = if dropped > 0 { format!(" They were {}.", of_tables.join(", ")) } else { String::new() };
    publisher.say(Said::Info(format!(
        "commit {}: {} files became {}, {dropped} rows were too old.{of_tables}",
        commit.number(),
        tidied.removed.len(),
        commit.files().len()
    )));
    Ok(())
}
