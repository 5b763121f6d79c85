//! `jauge replay`: its arguments, its progress on the terminal, and its last words.

use crate::args::ReplayArgs;
use crate::orphans;
use crate::progress::Bar;
use crate::settings::{LogFormat, Settings};
use crate::terminal;
use audience::text;
use pipeline::{self, Said, Tell};
use problem::{Problem, in_shell};
use std::sync::{Arc, Mutex, PoisonError};
use storage::Ledger;

/// `jauge replay`
pub(crate) fn command(args: &ReplayArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let options = settings.options()?;
    let replayed = pipeline::replay(&args.events, &options, &bar(&settings))?;
    let Ledger { read, accepted, rejected, applied, repeated, orphaned, .. } = replayed.ledger;
    if args.json {
        return terminal::print_json(&serde_json::json!({ "ledger": replayed.ledger, "airings": replayed.airings }));
    }
    let n = text::count;
    let orphans = orphans::told(&replayed.tally, options.rules.broadcast_idle).into_iter().map(|told| told + "\n");
    terminal::print(&format!(
        "{} events read: {} accepted ({} applied, {} repeated, {} orphaned), {} rejected. {} airings.\n{}\
         See them: jauge show {}\n",
        n(read),
        n(accepted),
        n(applied),
        n(repeated),
        n(orphaned),
        n(rejected),
        n(replayed.airings as u64),
        orphans.collect::<String>(),
        in_shell(&options.out)
    ))
}

/// Who shows how far it is; the bar goes away with it.
fn bar(settings: &Settings) -> Tell {
    let is_wanted = settings.log_format == LogFormat::Text;
    let bar = Mutex::new(None::<Bar>);
    Arc::new(move |said| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Said::Read { bytes, of } => bar.get_or_insert_with(|| Bar::new("reading", of, is_wanted)).reach(bytes),
            Said::Now(what) => bar.iter().for_each(|bar| bar.now(what)),
            Said::Warning(text) => terminal::say(&text),
            _ => {}
        }
    })
}
