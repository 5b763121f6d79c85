//! What an operator asks of a data directory: to settle a broadcast again, or to forget one. It is done at once where
//! nobody owns the directory; else a request is left for the owner, and the commit that answers it is waited for.

use super::options::Options;
use super::said::{Said, Tell};
use problem::Problem;
use settling::{Budget, correct};
use std::path::Path;
use std::time::Duration;
use storage::Keys;
use storage::directory::{self, WRITER};
use storage::provenance;
use storage::upkeep::{Outcome, forget};
use storage::{
    Answer, Chain, ChainError, CommitError, Committer, Request, RequestKind, Store, StoreError, answer_to,
    remove_request,
};

/// How often an answer is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The commit that was made for it; `None` where nothing was to be changed.
    pub commit: Option<u64>,
    /// A sentence.
    pub said: String,
}

/// Does in the data directory `dir` what is asked for, or has it done by the owner of the directory. `offline`: nobody
/// else is there, whatever it looks like. It works with the options of who asks, whose `out` is `dir`.
pub fn ask(dir: &Path, options: &Options, request: &Request, offline: bool, tell: &Tell) -> Result<Answered, Problem> {
    let store = directory::open(dir)?;
    let mut asked: Option<(String, u64)> = None;
    loop {
        if let Some((name, next)) = &mut asked
            && let Some(answer) = answer_to(&store, WRITER, name, next)?
        {
            return answered(answer, *next);
        }
        // In an object store there is no lock to tell whether a run is there: taking it over would end that run.
        let keys = if offline { keys_of_objects(&store, options, request, tell)? } else { None };
        let taken = (store.is_local() || offline).then(|| {
            // To forget is to count nothing.
            let take = match request.kind {
                RequestKind::Settle => Committer::take,
                RequestKind::Forget => Committer::take_as_it_is,
            };
            Ok::<_, Problem>(take(&store, directory::identity(&options.recorded)?, directory::now()))
        });
        match taken.transpose()? {
            Some(Ok(mut committer)) => {
                if let Some((name, _)) = &asked {
                    // It ended without an answer, or with one that came just now.
                    let mut next = 1;
                    if let Some(answer) = answer_to(&store, WRITER, name, &mut next)? {
                        return answered(answer, next);
                    }
                    remove_request(&store, name)?;
                }
                return at_once(&mut committer, keys, options, request, tell);
            }
            None | Some(Err(CommitError::Chain(ChainError::Store(StoreError::Locked { .. })))) => {}
            Some(Err(error)) => return Err(error.into()),
        }
        if asked.is_none() {
            asked = Some(leave(&store, request, tell)?);
        }
        std::thread::park_timeout(LOOK);
    }
}

/// The key file, where forgetting needs one beside an object store. It is opened before the directory is taken over: a
/// run on this machine that uses it goes on. One that is not there is not made, for then the key would stay wherever it
/// is.
fn keys_of_objects(store: &Store, options: &Options, request: &Request, tell: &Tell) -> Result<Option<Keys>, Problem> {
    if store.is_local() || request.kind != RequestKind::Forget {
        return Ok(None);
    }
    let path = options.keys.path.as_ref().map_err(Problem::clone)?;
    if !path.exists() {
        return Err(Problem::world(format!(
            "There is no key file {}, so nothing is forgotten. Give the one that the run uses.",
            path.display()
        )));
    }
    open_keys(options, true, tell).map(Some)
}

fn open_keys(options: &Options, alone: bool, tell: &Tell) -> Result<Keys, Problem> {
    Keys::open(&options.keys, alone, &|said| tell(Said::Warning(said)))
}

/// Leaves the request; gives its name, and the commit from which on the answer can come.
fn leave(store: &Store, request: &Request, tell: &Tell) -> Result<(String, u64), Problem> {
    let chain = Chain::open(store, WRITER)?;
    let name = request.leave(store)?;
    tell(Said::Info(format!(
        "Another jauge writes to {}: it is asked to do this (requests/{name}), and its answer is waited for. Ctrl-C ends the waiting only: \
         the request stays.",
        store.root().display()
    )));
    Ok((name, chain.number() + 1))
}

fn answered(answer: Answer, commit: u64) -> Result<Answered, Problem> {
    if answer.code == 0 {
        return Ok(Answered { commit: Some(commit), said: answer.answer });
    }
    Err(Problem::answered(answer.code, answer.answer))
}

/// Does it as the owner of the directory.
fn at_once(
    committer: &mut Committer,
    keys: Option<Keys>,
    options: &Options,
    request: &Request,
    tell: &Tell,
) -> Result<Answered, Problem> {
    let mut keys = match (request.kind, keys) {
        (RequestKind::Forget, None) => Some(open_keys(options, false, tell)?),
        (_, keys) => keys,
    };
    let budget = Budget::beside_live(options.memory_bytes, options.lanes, committer.store().scratch());
    match obey(committer, keys.as_mut(), request, &budget)? {
        Outcome::Nothing(said) => Ok(Answered { commit: None, said }),
        Outcome::Commit(made) => {
            let (commit, draft, said) = *made;
            let number = commit.number();
            committer.publish(&commit, &draft)?;
            Ok(Answered { commit: Some(number), said })
        }
    }
}

/// Does what is asked for, up to a commit that is not published yet.
pub(super) fn obey(
    committer: &Committer,
    keys: Option<&mut Keys>,
    request: &Request,
    budget: &Budget,
) -> Result<Outcome, Problem> {
    let newest = committer.chain().newest().ok_or_else(|| Problem::world("Nothing was committed here yet."))?;
    match (request.kind, keys) {
        (RequestKind::Settle, _) => {
            correct(committer, &request.broadcast_id, provenance::rules(newest, &request.rules)?, budget)
        }
        (RequestKind::Forget, Some(keys)) => forget(committer, keys, &request.broadcast_id, request.all_payloads),
        (RequestKind::Forget, None) => Err(Problem::bug("Forgetting needs the key file.")),
    }
}
