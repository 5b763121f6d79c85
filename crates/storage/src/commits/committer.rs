//! A committer is what the owner of a data directory writes with, the one process that may: it holds the lock, where
//! there is one, has fenced the owners before it, and makes commits.

use super::{
    balance,
    chain::{Chain, ChainState, read_manifest},
    commit::{Commit, CommitError, folder_of, is_private},
    draft::Draft,
    error::ChainError,
    identity::Identity,
    lock::Lock,
    manifest::{Manifest, RESTATE_EVERY, SNAPSHOT, manifest_path},
    recover::{self, Recovered},
    seal::seal,
};
use crate::store::{Put, Store, StoreError};
use audience::Ms;
use problem::{Awaited, Failure};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicU32},
};

/// The right to make commits in a data directory.
#[derive(Debug)]
pub struct Committer {
    store: Store,
    identity: Identity,
    chain: Chain,
    /// Names parts; begins again with each commit.
    seq: Arc<AtomicU32>,
    /// What is left to do for a commit that is made.
    pending: Pending,
    recovered: Recovered,
    /// The store was seen to refuse a second manifest of one name.
    refuses: bool,
    _lock: Lock,
}

/// Renames and removals that follow a manifest.
#[derive(Debug, Default)]
struct Pending {
    number: u64,
    name: Vec<String>,
    remove: Vec<String>,
}

/// What lies under the name of a manifest that was to be created.
enum Found {
    Ours,
    Theirs,
    /// Nothing yet; and why the request failed, unless it was told that there is something.
    Nothing(Option<StoreError>),
}

/// How often a new owner tries to take over an object store.
const ATTEMPTS: u32 = 5;

fn refused(source: StoreError) -> CommitError {
    CommitError::Chain(source.into())
}

/// Locks a store on which commits can be made.
fn lock(store: &Store) -> Result<Lock, StoreError> {
    let lock = Lock::take(store)?;
    store.probe()?;
    Ok(lock)
}

impl Committer {
    /// Takes `store` over at `now`: takes the lock, reads the chain, fences the owner before by an empty commit (unless
    /// the directory is new), and puts the files in order.
    ///
    /// # Errors
    /// [`CommitError`]: locked, damaged, of an earlier version of the contract, fenced itself, or refused by the disk.
    pub fn take(store: &Store, identity: Identity, now: Ms) -> Result<Committer, CommitError> {
        let lock = lock(store).map_err(refused)?;
        Committer::take_locked(store, identity, now, lock, Chain::refuse_older)
    }

    /// The same for who counts nothing, in a directory of whatever version of the contract: its commits are of that.
    ///
    /// # Errors
    /// As [`Committer::take`].
    pub fn take_as_it_is(store: &Store, identity: Identity, now: Ms) -> Result<Committer, CommitError> {
        let lock = lock(store).map_err(refused)?;
        Committer::take_locked(store, identity, now, lock, |_, _| Ok(()))
    }

    /// Takes `store` over if it holds no data; what a crash left before its first commit is removed.
    ///
    /// # Errors
    /// [`CommitError`]: it holds data, is locked, or is refused by the disk.
    pub fn take_new(store: &Store, identity: Identity, now: Ms) -> Result<Committer, CommitError> {
        let lock = lock(store).map_err(refused)?;
        recover::refuse_data(store).map_err(refused)?;
        Committer::take_locked(store, identity, now, lock, Chain::refuse_older)
    }

    fn take_locked(
        store: &Store,
        identity: Identity,
        now: Ms,
        lock: Lock,
        refuse: fn(&Chain, &Store) -> Result<(), ChainError>,
    ) -> Result<Committer, CommitError> {
        let chain = Chain::open(store, &identity.writer)?;
        refuse(&chain, store)?;
        let mut owner = Committer::fence(store, identity, now, lock, chain)?;
        // Where nothing was committed nobody is fenced yet, and in an object store somebody else may be at work.
        if store.is_local() || owner.chain.newest().is_some() {
            owner.recovered = recover::recover(store, &owner.chain).map_err(refused)?;
        }
        Ok(owner)
    }

    /// Ends the chain with a commit of its own, unless it is empty.
    fn fence(store: &Store, identity: Identity, now: Ms, lock: Lock, chain: Chain) -> Result<Committer, CommitError> {
        let mut owner = Committer {
            store: store.clone(),
            identity,
            chain,
            seq: Arc::default(),
            pending: Pending::default(),
            recovered: Recovered::default(),
            refuses: store.is_local(),
            _lock: lock,
        };
        let mut attempts = if store.is_local() { 1 } else { ATTEMPTS };
        while let Some(newest) = owner.chain.newest() {
            let draft = Draft::open(newest, now);
            attempts -= 1;
            match owner.publish(&owner.begin(), &draft).map(|_| ()) {
                // What the owner before had asked for may come to be after it died.
                Err(CommitError::Fenced { .. }) if attempts > 0 => {
                    owner.chain = Chain::open(store, &owner.identity.writer)?;
                }
                done => {
                    done?;
                    break;
                }
            }
        }
        Ok(owner)
    }

    /// The chain as it stands.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The data directory.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What was put in order at the start.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The same owner on a disk that fails otherwise.
    #[cfg(test)]
    pub(crate) fn on(self, store: &Store) -> Committer {
        Committer { store: store.clone(), ..self }
    }

    /// Begins the next commit.
    pub fn begin(&self) -> Commit {
        let number = self.chain.number() + 1;
        Commit::new(self.store.clone(), &self.identity, number, Arc::clone(&self.seq))
    }

    /// Makes `commit` as `draft` says: from here on its files are data, and its offsets are read.
    ///
    /// After an error for which [`CommitError::may_pass`] holds, the same commit can be published again with the same
    /// draft: the same bytes under the same name, so that a request still under way does no harm. After any other,
    /// stop: the next start finds out what is true.
    ///
    /// # Errors
    /// [`CommitError`]. Nothing is half made after any of them.
    pub fn publish(&mut self, commit: &Commit, draft: &Draft) -> Result<&Manifest, CommitError> {
        let number = commit.number();
        self.finish_pending()?;
        if commit.basket.parts().made {
            return self.made(number);
        }
        let (manifest, state, bytes) = self.prepare(commit, draft)?;
        let refused = |source| CommitError::Store { number, source };
        self.make_way(commit).map_err(refused)?;
        self.create(commit, &manifest, &bytes)?;
        commit.basket.parts().made = true;
        self.see_it_refuse(number, &bytes)?;
        self.pending = self.what_follows(commit, &manifest);
        self.chain.advance(manifest, state);
        self.seq = Arc::default();
        self.finish_pending()?;
        self.made(number)
    }

    fn made(&self, number: u64) -> Result<&Manifest, CommitError> {
        let what = || "it is no commit of this owner".to_owned();
        self.chain.newest().ok_or_else(|| CommitError::Unbalanced { number, what: what() })
    }

    /// The manifest, the state after it, and its bytes; or why it cannot be.
    fn prepare(&self, commit: &Commit, draft: &Draft) -> Result<(Manifest, ChainState, Vec<u8>), CommitError> {
        let number = commit.number();
        let unbalanced = |what: String| CommitError::Unbalanced { number, what };
        let parent = self.chain.newest();
        if number != self.chain.number() + 1 {
            return Err(unbalanced(format!("the newest commit is {}", self.chain.number())));
        }
        if commit.basket.parts().unfinished > 0 {
            return Err(unbalanced("a file of it is still being written".to_owned()));
        }
        let (snapshots, files): (Vec<_>, Vec<_>) = commit.files().into_iter().partition(|file| file.table == SNAPSHOT);
        draft.names_snapshot(&snapshots, parent).map_err(unbalanced)?;
        let mut manifest = draft.manifest(&self.identity, parent, files);
        let mut state = self.chain.state().clone();
        balance::check(&manifest, parent).map_err(unbalanced)?;
        state.apply(&manifest).map_err(unbalanced)?;
        if number.is_multiple_of(RESTATE_EVERY) {
            manifest.restated = Some(state.restate());
        }
        let bytes = seal(&mut manifest);
        Ok((manifest, state, bytes))
    }

    /// Creates the manifest, and finds out whose it is where that is in doubt.
    fn create(&self, commit: &Commit, manifest: &Manifest, bytes: &[u8]) -> Result<(), CommitError> {
        let number = manifest.number;
        let path = manifest_path(&manifest.writer, number);
        // Until we know that there is no manifest, there may be one that names the parts.
        commit.basket.parts().kept = true;
        let mut pauses = self.store.pauses().iter();
        loop {
            let found = self.attempt(&path, bytes).map_err(|source| CommitError::Store { number, source });
            let absent = match found? {
                Found::Ours => return Ok(()),
                Found::Theirs => {
                    // On a disk another's parts may have the same names.
                    commit.basket.parts().kept = self.store.is_local();
                    let other = read_manifest(&self.store, &manifest.writer, number)?.incarnation;
                    return Err(CommitError::Fenced { writer: manifest.writer.clone(), number, other });
                }
                Found::Nothing(why) => why,
            };
            if self.store.is_local() {
                // A folder has no replies under way: what is absent now was not made.
                let gone = || ChainError::damaged(&path, "was there a moment ago, and is gone");
                let source = absent.ok_or_else(gone)?;
                commit.basket.parts().kept = false;
                return Err(CommitError::Store { number, source });
            }
            // A request that failed, or was told of a conflict, may be under way still. So the same bytes are sent
            // again until the name is taken: then it is decided, and whichever of the requests for them comes last
            // changes nothing.
            match (absent, pauses.next()) {
                (Some(source), _) if source.awaits() != Some(Awaited::Store) => {
                    return Err(CommitError::Store { number, source });
                }
                (_, Some(pause)) if self.store.pause(*pause) => {}
                _ => {
                    let source = StoreError::Undecided { path: self.store.path(&path) };
                    return Err(CommitError::Store { number, source });
                }
            }
        }
    }

    /// Makes the folders of all that follows, and what was written durable under the names that it has by now.
    fn make_way(&self, commit: &Commit) -> Result<(), StoreError> {
        let (mut parts, mut places) = (BTreeSet::new(), BTreeSet::new());
        for file in commit.files() {
            let place = folder_of(&file.path);
            self.store.make_folder(place, is_private(&file.table))?;
            places.insert(place.to_owned());
            parts.insert(folder_of(&self.store.staged(&file.path)).to_owned());
        }
        let chain = format!("commits/{}", self.identity.writer);
        self.store.make_folder(&chain, false)?;
        parts.insert(chain);
        self.store.sync_folder_chains(&parts)?;
        self.store.sync_above(&places)
    }

    /// Everything rests on a name being given once. A store that does not know the condition creates a manifest twice,
    /// and says nothing: so a new owner asks for its first one again, with the same bytes.
    fn see_it_refuse(&mut self, number: u64, bytes: &[u8]) -> Result<(), CommitError> {
        if !self.refuses {
            let path = manifest_path(&self.identity.writer, number);
            match self.store.put_new(&path, bytes) {
                Ok(Put::Exists) => self.refuses = true,
                Ok(Put::Created) => {
                    let source = StoreError::Overwrites { path: self.store.root().to_path_buf() };
                    return Err(CommitError::Store { number, source });
                }
                // Told of nothing: the next commit asks.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Asks once for the manifest to be created, and looks whose it is.
    fn attempt(&self, path: &str, bytes: &[u8]) -> Result<Found, StoreError> {
        let failed = match self.store.put_new(path, bytes) {
            Ok(Put::Created) => return Ok(Found::Ours),
            Ok(Put::Exists) => None,
            Err(error) => Some(error),
        };
        match self.store.get(path) {
            Ok(Some(found)) if found == bytes => {
                // It is ours; after a lost reply, that its name is on the disk is not certain yet.
                if failed.is_some() {
                    self.store.sync_folder(folder_of(path))?;
                }
                Ok(Found::Ours)
            }
            Ok(Some(_)) => Ok(Found::Theirs),
            Ok(None) => Ok(Found::Nothing(failed)),
            Err(error) if self.store.is_local() => Err(error),
            Err(error) => Ok(Found::Nothing(Some(error))),
        }
    }

    fn what_follows(&self, commit: &Commit, manifest: &Manifest) -> Pending {
        let name = commit.files().into_iter().map(|file| file.path).collect();
        let snapshot = |m: &Manifest| -> BTreeSet<String> {
            m.snapshot.iter().flat_map(|s| s.files.iter().map(|file| file.path.clone())).collect()
        };
        let before = self.chain.newest().map(snapshot).unwrap_or_default();
        let old = before.difference(&snapshot(manifest)).cloned().collect::<Vec<_>>();
        let remove = manifest.removed.iter().map(|file| file.path.clone()).chain(old).collect();
        Pending { number: manifest.number, name, remove }
    }

    /// Names the files of the commit that was made last, and removes those that it replaced.
    fn finish_pending(&mut self) -> Result<(), CommitError> {
        let Pending { number, name, remove } = &self.pending;
        let unnamed = |source| CommitError::Unnamed { number: *number, source };
        for path in name {
            self.store.name(&self.store.staged(path), path).map_err(unnamed)?;
        }
        let folders: BTreeSet<_> = name.iter().map(|path| folder_of(path)).collect();
        for folder in folders {
            self.store.sync_folder(folder).map_err(unnamed)?;
        }
        for path in remove {
            self.store.remove(path).map_err(unnamed)?;
        }
        self.pending = Pending::default();
        Ok(())
    }
}
