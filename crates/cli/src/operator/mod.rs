//! What an operator asks of a data directory: to settle a broadcast again, and to forget one. It is done at once where nobody owns the
//! directory; else a request is left for the owner, and the commit that answers it is waited for.

use crate::args::{ForgetArgs, SettleArgs};
use crate::directory::{self, Keys, WRITER};
use crate::layers::Origin;
use crate::problem::Problem;
use crate::setting::RULES;
use crate::settings::Settings;
use crate::settling::{Budget, correct, nothing_to_do};
use crate::stored::Stored;
use crate::terminal;
use crate::upkeep::{Outcome, forget};
use aggregator::Rules;
use audience::Ms;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use storage::{
    Answer, ChainError, CommitError, Committer, Manifest, Request, RequestKind, Store, StoreError, answer_to,
    remove_request,
};

/// How often an answer is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// `jauge settle`
pub(crate) fn settle_command(args: &SettleArgs) -> Result<(), Problem> {
    let settings = args.settings.load_unchecked()?;
    let request = Request {
        kind: RequestKind::Settle,
        broadcast_id: args.broadcast.clone(),
        all_payloads: false,
        rules: given_rules(&settings),
        asked_at: directory::now(),
    };
    // Where nothing is to be done nobody need be asked, and no commit made.
    let nothing = Stored::read(&args.dir, |stored| {
        let rules = rules(stored.newest()?, &request.rules)?;
        nothing_to_do(&stored, &args.broadcast, rules)
    })?;
    if let Some(said) = nothing {
        return tell(args.json, None, &said);
    }
    ask(&args.dir, &settings, &request, args.offline, args.json)
}

/// `jauge forget`
pub(crate) fn forget_command(args: &ForgetArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let request = Request {
        kind: RequestKind::Forget,
        broadcast_id: args.broadcast.clone(),
        all_payloads: args.all_payloads,
        rules: BTreeMap::new(),
        asked_at: directory::now(),
    };
    Stored::open(&args.dir)?;
    ask(&args.dir, &settings, &request, args.offline, args.json)
}

/// The rules that somebody gave, by name.
fn given_rules(settings: &Settings) -> BTreeMap<String, String> {
    let entries = settings.origins.entries.iter();
    let given = entries.filter(|entry| RULES.contains(&entry.setting.name) && entry.origin != Origin::Default);
    given.map(|entry| (entry.setting.name.to_owned(), entry.setting.form.write(&entry.value))).collect()
}

/// The rules of the commit `newest`, but for those that are `given`.
pub(crate) fn rules(newest: &Manifest, given: &BTreeMap<String, String>) -> Result<Rules, Problem> {
    let said = |name: &str| given.get(name).or_else(|| newest.settings.get(name));
    let duration = |name: &str| said(name).and_then(|text| crate::duration::parse(text).ok());
    let defaults = Rules::default();
    let rules = Rules {
        session_timeout: duration("session_timeout"),
        timeout_grace: duration("timeout_grace").unwrap_or(defaults.timeout_grace),
        broadcast_idle: duration("broadcast_idle").unwrap_or(defaults.broadcast_idle),
    };
    let grace_max: Ms = rules.session_timeout.unwrap_or(0);
    if rules.timeout_grace > grace_max {
        return Err(Problem::usage(format!(
            "timeout_grace = {:?} is longer than session_timeout = {:?}. Give both, so that a viewer who comes back is not counted twice.",
            said("timeout_grace").map_or("0s", String::as_str),
            said("session_timeout").map_or("off", String::as_str)
        )));
    }
    Ok(rules)
}

/// Does what is asked for, or has it done by the owner of the directory.
fn ask(dir: &Path, settings: &Settings, request: &Request, offline: bool, json: bool) -> Result<(), Problem> {
    let store = directory::open(dir)?;
    let settings = Settings { out: Some(dir.display().to_string()), ..settings.clone() };
    let mut asked: Option<(String, u64)> = None;
    loop {
        if let Some((name, next)) = &mut asked
            && let Some(answer) = answer_to(&store, WRITER, name, next)?
        {
            return answered(&answer, *next, json);
        }
        // In an object store there is no lock to tell whether a run is there: taking it over would end that run.
        let keys = if offline { keys_of_objects(&store, &settings, request)? } else { None };
        let taken = (store.is_local() || offline)
            .then(|| Ok::<_, Problem>(Committer::take(&store, directory::identity(&settings)?, directory::now())));
        match taken.transpose()? {
            Some(Ok(mut owner)) => {
                if let Some((name, _)) = &asked {
                    // It ended without an answer, or with one that came just now.
                    let mut next = 1;
                    if let Some(answer) = answer_to(&store, WRITER, name, &mut next)? {
                        return answered(&answer, next, json);
                    }
                    remove_request(&store, name)?;
                }
                return at_once(&mut owner, keys, &settings, request, json);
            }
            None | Some(Err(CommitError::Chain(ChainError::Store(StoreError::Locked { .. })))) => {}
            Some(Err(error)) => return Err(error.into()),
        }
        if asked.is_none() {
            asked = Some(leave(&store, request)?);
        }
        std::thread::park_timeout(LOOK);
    }
}

/// The key file, where forgetting needs one beside an object store. It is opened before the directory is taken over: a run on this machine that
/// uses it goes on. One that is not there is not made, for then the key would stay wherever it is.
fn keys_of_objects(store: &Store, settings: &Settings, request: &Request) -> Result<Option<Keys>, Problem> {
    if store.is_local() || request.kind != RequestKind::Forget {
        return Ok(None);
    }
    let path = settings.needed_keys()?;
    if !path.exists() {
        return Err(Problem::world(format!(
            "There is no key file {}, so nothing is forgotten. Give the one that the run uses.",
            path.display()
        )));
    }
    Keys::open(settings, true).map(Some)
}

/// Leaves the request; gives its name, and the commit from which on the answer can come.
fn leave(store: &Store, request: &Request) -> Result<(String, u64), Problem> {
    let chain = storage::Chain::open(store, WRITER)?;
    let name = request.leave(store)?;
    terminal::say(&format!(
        "Another jauge writes to {}: it is asked to do this (requests/{name}), and its answer is waited for. Ctrl-C ends the waiting only: \
         the request stays.",
        store.root().display()
    ));
    Ok((name, chain.number() + 1))
}

fn answered(answer: &Answer, commit: u64, json: bool) -> Result<(), Problem> {
    if answer.code == 0 {
        return tell(json, Some(commit), &answer.answer);
    }
    Err(Problem::answered(answer.code, answer.answer.clone()))
}

fn tell(json: bool, commit: Option<u64>, said: &str) -> Result<(), Problem> {
    if json {
        return terminal::print_json(&serde_json::json!({ "commit": commit, "answer": said }));
    }
    terminal::print(&format!("{said}\n"))
}

/// Does it as the owner of the directory.
fn at_once(
    owner: &mut Committer,
    keys: Option<Keys>,
    settings: &Settings,
    request: &Request,
    json: bool,
) -> Result<(), Problem> {
    let mut keys = match (request.kind, keys) {
        (RequestKind::Forget, None) => Some(Keys::open(settings, false)?),
        (_, keys) => keys,
    };
    let budget = Budget::beside_live(settings.memory_bytes, settings.lanes, owner.store().scratch());
    match obey(owner, keys.as_mut(), request, &budget)? {
        Outcome::Nothing(said) => tell(json, None, &said),
        Outcome::Commit(made) => {
            let (commit, draft, said) = *made;
            let number = commit.number();
            owner.publish(&commit, &draft)?;
            tell(json, Some(number), &said)
        }
    }
}

/// Does what is asked for, up to a commit that is not published yet.
pub(crate) fn obey(
    owner: &Committer,
    keys: Option<&mut Keys>,
    request: &Request,
    budget: &Budget,
) -> Result<Outcome, Problem> {
    let newest = owner.chain().newest().ok_or_else(|| Problem::world("Nothing was committed here yet."))?;
    match (request.kind, keys) {
        (RequestKind::Settle, _) => correct(owner, &request.broadcast_id, rules(newest, &request.rules)?, budget),
        (RequestKind::Forget, Some(keys)) => forget(owner, keys, &request.broadcast_id, request.all_payloads),
        (RequestKind::Forget, None) => Err(Problem::bug("Forgetting needs the key file.")),
    }
}
