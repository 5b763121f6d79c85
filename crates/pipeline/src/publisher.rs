//! The publisher: whoever owns the data directory during a run, and makes its commits. A full disk is waited for, and
//! so is an object store, or a topic of rejected records, that is away.

use super::lock::lock;
use super::options::Options;
use super::said::{Said, Tell};
use aggregator::Frontier;
use audience::{Ms, Registry};
use problem::{Awaited, Problem};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::Keys;
use storage::directory;
use storage::{Commit, CommitKind, Committer, Draft, Ledger, WRITER, read_manifest};

/// How long what is waited for is left alone before the next try.
const WAIT: Duration = Duration::from_secs(2);

/// The publisher's state.
pub(super) struct Publisher {
    pub(super) committer: Committer,
    pub(super) keys: Keys,
    pub(super) registry: Arc<Registry>,
    pub(super) options: Options,
    pub(super) tell: Tell,
    /// The run is to stop: do not wait for a disk. What is not committed is read again.
    pub(super) give_up: Arc<AtomicBool>,
    /// What it waits for just now.
    pub(super) awaited: Arc<Mutex<Option<Awaited>>>,
}

impl Publisher {
    /// Where each broadcast's events are settled up to, by its id.
    pub(super) fn frontiers(&self) -> &BTreeMap<String, Ms> {
        self.committer.chain().frontiers()
    }

    /// The frontier of a broadcast, and how it goes on from there.
    pub(super) fn frontier(&self, id: &str) -> Frontier {
        self.committer.chain().frontier(id)
    }

    /// All records up to the newest commit.
    pub(super) fn ledger(&self) -> Ledger {
        self.committer.chain().newest().map(|newest| newest.ledger).unwrap_or_default()
    }

    /// When the last commit was made that did more than begin a process.
    pub(super) fn committed_before(&self) -> Result<Option<Ms>, Problem> {
        let mut number = self.committer.chain().number();
        while number > 0 {
            let manifest = read_manifest(self.committer.store(), WRITER, number)?;
            if manifest.kind != CommitKind::Open {
                return Ok(Some(manifest.created_at));
            }
            number -= 1;
        }
        Ok(None)
    }

    /// A commit to be filled: what was true stays true.
    pub(super) fn draft(&self, kind: CommitKind) -> Draft {
        let now = directory::now();
        let mut draft = match self.committer.chain().newest() {
            Some(newest) => Draft::after(newest, kind, now),
            None => Draft::first(kind, now),
        };
        draft.settings = self.options.recorded.clone();
        draft
    }

    /// Makes `commit` as `draft` says; the keys that it needs are on the disk before it.
    pub(super) fn publish(&mut self, commit: &Commit, draft: &Draft) -> Result<(), Problem> {
        self.keys.append(&self.registry)?;
        // Once a manifest may be there, the same commit must be tried again and no other with the same records.
        loop {
            let done = self.committer.publish(commit, draft).map(|_| ()).map_err(Problem::from);
            if !self.waits(&done) {
                return done;
            }
        }
    }

    /// Tries again while what it needs is away, such as room on the disk.
    pub(super) fn until_it_fits<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Publisher) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        loop {
            let done = attempt(self);
            if !self.waits(&done) {
                return done;
            }
        }
    }

    /// Waits a while where that may help, and says so at first and at last; false where there is nothing to wait for.
    fn waits<T>(&self, done: &Result<T, Problem>) -> bool {
        let awaits = done.as_ref().err().and_then(|problem| problem.awaits);
        let awaits = awaits.filter(|_| !self.give_up.load(Ordering::Relaxed));
        let before = std::mem::replace(&mut *lock(&self.awaited), awaits);
        match (done, before) {
            (Ok(_), Some(awaited)) => self.say(Said::Over(awaited)),
            (Err(problem), before) if before != awaits => {
                awaits.into_iter().for_each(|awaited| self.say(Said::Waiting(awaited, problem.message.clone())));
            }
            _ => {}
        }
        if awaits.is_some() {
            std::thread::park_timeout(WAIT);
        }
        awaits.is_some()
    }

    /// What came of something that may fail without harm; why it did is said.
    pub(super) fn heard<T>(&self, done: Result<Option<T>, String>) -> Option<T> {
        done.unwrap_or_else(|why| {
            self.say(Said::Warning(why));
            None
        })
    }

    /// Says something.
    pub(super) fn say(&self, said: Said) {
        (self.tell)(said);
    }
}
