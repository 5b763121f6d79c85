//! A chain is the commits of one writer, each naming the checksum of the one before: from it follow the live files, the
//! offsets reached and the frontiers. Opening reads back to the last manifest that restates them all; `audit` reads
//! every one.

use super::{
    balance,
    error::ChainError,
    manifest::{FileEntry, InputPartition, Lost, Manifest, RESTATE_EVERY, Restated, manifest_path, note_lost},
    seal::unseal,
};
use crate::store::{Store, StoreError};
use crate::stray::may_be_ours;
use aggregator::Frontier;
use audience::Ms;
use std::{
    collections::{BTreeMap, VecDeque},
    iter,
};

/// The commits of one writer, and what they add up to.
#[derive(Clone, Debug)]
pub struct Chain {
    writer: String,
    newest: Option<Manifest>,
    state: ChainState,
}

/// What the commits so far add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChainState {
    pub(crate) live: BTreeMap<String, FileEntry>,
    pub(crate) frontiers: BTreeMap<String, Ms>,
    /// The last event of those that are off air there.
    pub(crate) off_air: BTreeMap<String, Ms>,
    pub(crate) lost: Vec<Lost>,
}

impl ChainState {
    /// Takes in `manifest`, or says why it cannot follow.
    pub(crate) fn apply(&mut self, manifest: &Manifest) -> Result<(), String> {
        for removed in &manifest.removed {
            match self.live.remove(&removed.path) {
                Some(file) if file.table == removed.table && file.rows == removed.rows => {}
                Some(file) => return Err(format!("removes {}, whose rows are {}", removed.path, file.rows)),
                None => return Err(format!("removes {}, which is no live file", removed.path)),
            }
        }
        for added in &manifest.added {
            if self.live.insert(added.path.clone(), added.clone()).is_some() {
                return Err(format!("adds {}, which is a live file already", added.path));
            }
        }
        for settled in manifest.settled.iter().flat_map(|settlement| &settlement.airings) {
            let frontier = self.frontiers.entry(settled.broadcast_id.clone()).or_insert(settled.frontier);
            *frontier = settled.frontier.max(*frontier);
            // Those of a broadcast come in the order of time.
            match settled.off_air {
                Some(last) => self.off_air.insert(settled.broadcast_id.clone(), last),
                None => self.off_air.remove(&settled.broadcast_id),
            };
        }
        note_lost(&mut self.lost, manifest);
        Ok(())
    }

    /// Whether `manifest`, which was taken in last, restates what it should.
    pub(crate) fn check_restated(&self, manifest: &Manifest) -> Result<(), String> {
        if manifest.restated.is_some() != manifest.number.is_multiple_of(RESTATE_EVERY) {
            return Err(format!(
                "should restate all files if, and only if, its number is a multiple of {RESTATE_EVERY}"
            ));
        }
        if manifest.restated.as_ref().is_some_and(|restated| *restated != self.restate()) {
            return Err("restates other files than its parents add up to".to_owned());
        }
        Ok(())
    }

    pub(crate) fn restate(&self) -> Restated {
        let files = self.live.values().cloned().collect();
        Restated { files, frontiers: self.frontiers.clone(), off_air: self.off_air.clone(), lost: self.lost.clone() }
    }

    fn of_restated(restated: &Restated) -> ChainState {
        let live = restated.files.iter().map(|file| (file.path.clone(), file.clone())).collect();
        let (frontiers, off_air) = (restated.frontiers.clone(), restated.off_air.clone());
        ChainState { live, frontiers, off_air, lost: restated.lost.clone() }
    }
}

impl Chain {
    /// Reads the chain of `writer` in `store`; one without commits is empty.
    ///
    /// # Errors
    /// [`ChainError`]: unreadable, damaged, or newer than this version.
    pub fn open(store: &Store, writer: &str) -> Result<Chain, ChainError> {
        Chain::open_to(store, writer, newest_number(store, writer)?)
    }

    /// The chain as it was when commit `last`, which must be there, was the newest.
    ///
    /// # Errors
    /// As [`Chain::open`].
    pub fn open_to(store: &Store, writer: &str, last: u64) -> Result<Chain, ChainError> {
        let mut unread = Vec::new();
        let mut state = ChainState::default();
        let mut newest = None;
        // What lies before the last that restates is not even asked for.
        let first = (last - last % RESTATE_EVERY).max(1);
        let back = read_manifests(store, writer, (first..=last).rev());
        for manifest in back.chain(read_manifests(store, writer, (1..first).rev())) {
            let manifest = manifest?;
            if let Some(child) = unread.last() {
                follows(child, Some(&manifest))?;
            }
            if let Some(restated) = &manifest.restated {
                state = ChainState::of_restated(restated);
                newest = Some(manifest);
                break;
            }
            unread.push(manifest);
        }
        if newest.is_none()
            && let Some(first) = unread.last()
        {
            follows(first, None)?;
        }
        for manifest in unread.into_iter().rev() {
            let place = || manifest_path(writer, manifest.number);
            let applied = state.apply(&manifest).and_then(|()| state.check_restated(&manifest));
            applied.map_err(|what| ChainError::damaged(&place(), what))?;
            newest = Some(manifest);
        }
        Ok(Chain { writer: writer.to_owned(), newest, state })
    }

    /// The newest commit, unless there is none.
    pub fn newest(&self) -> Option<&Manifest> {
        self.newest.as_ref()
    }

    /// Refuses a directory of an earlier version of the contract to who would count on in it.
    ///
    /// # Errors
    /// [`ChainError::Older`].
    pub fn refuse_older(&self, store: &Store) -> Result<(), ChainError> {
        match self.newest().filter(|newest| newest.is_older()) {
            None => Ok(()),
            Some(newest) => Err(ChainError::Older { dir: store.root().to_path_buf(), contract: newest.contract }),
        }
    }

    /// Number of the newest commit; 0 if there is none.
    pub fn number(&self) -> u64 {
        self.newest().map_or(0, |manifest| manifest.number)
    }

    /// The writer's name.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// All live files, by path.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.state.live.values()
    }

    /// The live files of one table, by path.
    pub fn files_of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a FileEntry> {
        self.files().filter(move |file| file.table == table)
    }

    /// How far each partition was read: its `to` is where to go on.
    pub fn partitions(&self) -> &[InputPartition] {
        self.newest().map_or(&[], |manifest| &manifest.inputs.partitions)
    }

    /// The frontier of each broadcast that ever settled: an event of it with a smaller `ts` that comes now is
    /// `after_settle`.
    pub fn frontiers(&self) -> &BTreeMap<String, Ms> {
        &self.state.frontiers
    }

    /// The frontier of a broadcast, and how it goes on from there.
    pub fn frontier(&self, id: &str) -> Frontier {
        let at = self.state.frontiers.get(id).copied();
        at.map_or(Frontier::NONE, |at| Frontier { at, off_air: self.state.off_air.get(id).copied() })
    }

    /// What was lost of the input, in the order of the commits: a gap keeps its place.
    pub fn lost(&self) -> &[Lost] {
        &self.state.lost
    }

    pub(crate) fn state(&self) -> &ChainState {
        &self.state
    }

    /// Takes in a commit that was just made, and the state with it.
    pub(crate) fn advance(&mut self, manifest: Manifest, state: ChainState) {
        self.newest = Some(manifest);
        self.state = state;
    }
}

/// Reads one commit and checks its own checksum.
///
/// # Errors
/// [`ChainError`]; a commit that is absent is damage.
pub fn read_manifest(store: &Store, writer: &str, number: u64) -> Result<Manifest, ChainError> {
    let got = store.get(&manifest_path(writer, number))?;
    checked(writer, number, got)
}

/// Reads commits in the order of `numbers`, as [`read_manifest`] does; from an object store some at once, for each
/// request takes its time.
pub fn read_manifests(
    store: &Store,
    writer: &str,
    mut numbers: impl Iterator<Item = u64>,
) -> impl Iterator<Item = Result<Manifest, ChainError>> {
    let mut got = VecDeque::new();
    iter::from_fn(move || {
        if got.is_empty() {
            let next: Vec<u64> = numbers.by_ref().take(store.at_once()).collect();
            let paths: Vec<String> = next.iter().map(|number| manifest_path(writer, *number)).collect();
            got.extend(next.into_iter().zip(store.get_all(&paths)));
        }
        let (number, bytes) = got.pop_front()?;
        Some(bytes.map_err(ChainError::from).and_then(|bytes| checked(writer, number, bytes)))
    })
}

fn checked(writer: &str, number: u64, bytes: Option<Vec<u8>>) -> Result<Manifest, ChainError> {
    let path = manifest_path(writer, number);
    let bytes = bytes.ok_or_else(|| ChainError::damaged(&path, "is missing"))?;
    let manifest = unseal(&path, &bytes)?;
    if manifest.number != number || manifest.writer != writer {
        let what = format!("says that it is commit {} of {}", manifest.number, manifest.writer);
        return Err(ChainError::damaged(&path, what));
    }
    Ok(manifest)
}

/// Whether `child` may follow `parent`: number, checksum, and what is conserved.
pub(crate) fn follows(child: &Manifest, parent: Option<&Manifest>) -> Result<(), ChainError> {
    let place = manifest_path(&child.writer, child.number);
    let named = child.parent.as_ref().map(|p| (p.number, p.checksum.as_str()));
    let is = parent.map(|p| (p.number, p.checksum.as_str()));
    if named != is || child.number != is.map_or(0, |(number, _)| number) + 1 {
        return Err(ChainError::damaged(&place, "does not name the commit before it by number and checksum"));
    }
    balance::check(child, parent).map_err(|what| ChainError::damaged(&place, format!("does not add up: {what}")))
}

const NO_COMMIT: &str = "if somebody put it there, move it elsewhere; if it is a commit that was renamed, give it back \
    its name, 20 digits and .json";

/// Number of the newest commit of `writer`; 0 if there is none. All numbers from 1 must be there; in an object store,
/// where a long list takes long, those from the last that restates.
pub(crate) fn newest_number(store: &Store, writer: &str) -> Result<u64, ChainError> {
    let mut last = if store.is_local() { 0 } else { newest_restating(store, writer)? };
    let after = (last > 0).then(|| manifest_path(writer, last));
    let names = store.names_after(&format!("commits/{writer}"), after.as_deref())?;
    for name in names.into_iter().filter(|name| may_be_ours(name)) {
        let next = manifest_path(writer, last + 1);
        let number = name.strip_suffix(".json").filter(|stem| stem.len() == 20).and_then(|stem| stem.parse().ok());
        match number {
            Some(number) if number == last + 1 => last = number,
            Some(0) | None => {
                let place = format!("commits/{writer}/{name}");
                return Err(ChainError::unlike(&place, "is not the name of a commit", NO_COMMIT));
            }
            Some(_) => return Err(ChainError::damaged(&next, format!("should be the next commit, but {name} is"))),
        }
    }
    Ok(last)
}

/// Number of a commit that restates, by and large the newest that does; 0 if there is none. A search by halves takes a
/// few requests, where a list of all commits of a year takes thousands.
fn newest_restating(store: &Store, writer: &str) -> Result<u64, StoreError> {
    let is_there = |place: u64| store.is_there(&manifest_path(writer, place * RESTATE_EVERY));
    let mut unknown = 1;
    while is_there(unknown)? {
        unknown *= 2;
    }
    let mut known = unknown / 2;
    while unknown - known > 1 {
        let middle = known + (unknown - known) / 2;
        if is_there(middle)? { known = middle } else { unknown = middle }
    }
    Ok(known * RESTATE_EVERY)
}
