//! `jauge settle` and `jauge forget`: what an operator asks of a data directory, and its answer as words or JSON.

use crate::args::{ForgetArgs, SettleArgs};
use crate::layers::Origin;
use crate::setting::RULES;
use crate::settings::{Settings, as_text};
use crate::terminal;
use pipeline::{Answered, Said, Tell, ask};
use problem::Problem;
use settling::nothing_to_do;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use storage::Stored;
use storage::directory;
use storage::provenance;
use storage::{Request, RequestKind};

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
        stored.chain().refuse_older(stored.store())?;
        let rules = provenance::rules(stored.newest()?, &request.rules)?;
        nothing_to_do(&stored, &args.broadcast, rules)
    })?;
    if let Some(said) = nothing {
        return print(&Answered { commit: None, said }, args.json);
    }
    ask_and_print(&args.dir, &settings, &request, args.offline, args.json)
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
    ask_and_print(&args.dir, &settings, &request, args.offline, args.json)
}

/// The rules that somebody gave, by name.
fn given_rules(settings: &Settings) -> BTreeMap<String, String> {
    let entries = settings.origins.entries.iter();
    let given = entries.filter(|entry| RULES.contains(&entry.setting.name) && entry.origin != Origin::Default);
    given.map(|entry| (entry.setting.name.to_owned(), entry.setting.form.write(&entry.value))).collect()
}

fn ask_and_print(dir: &Path, settings: &Settings, request: &Request, offline: bool, json: bool) -> Result<(), Problem> {
    let options = Settings { out: Some(as_text(dir)?), ..settings.clone() }.options()?;
    let tell: Tell = Arc::new(|said| {
        if let Said::Info(text) | Said::Warning(text) = said {
            terminal::say(&text);
        }
    });
    print(&ask(dir, &options, request, offline, &tell)?, json)
}

fn print(answered: &Answered, json: bool) -> Result<(), Problem> {
    let Answered { commit, said } = answered;
    if json {
        return terminal::print_json(&serde_json::json!({ "commit": commit, "answer": said }));
    }
    terminal::print(&format!("{said}\n"))
}
