//! `jauge replay`: its arguments, its progress on the terminal, and its last words.

use crate::args::ReplayArgs;
use crate::hints;
use crate::orphans;
use crate::progress::Bar;
use crate::settings::{LogFormat, Settings};
use crate::terminal;
use audience::text;
use exporter::Table;
use pipeline::{self, Replayed, Said, Tell};
use problem::{Problem, in_shell};
use std::sync::{Arc, Mutex, PoisonError};
use storage::Ledger;

/// `jauge replay`
pub(crate) fn command(args: &ReplayArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let options = settings.options()?;
    let replayed = pipeline::replay(&args.events, &options, &bar(&settings))?;
    if args.json {
        let Replayed { ledger, airings, rejected, .. } = &replayed;
        let hints = hints::as_json(rejected);
        return terminal::print_json(&serde_json::json!({ "ledger": ledger, "airings": airings, "hints": hints }));
    }
    let orphans = orphans::told(&replayed.tally, options.rules.broadcast_idle).into_iter().map(|told| told + "\n");
    terminal::print(&last_words(&replayed, &orphans.collect::<String>(), &options.out))?;
    let kept = options.tables.iter().any(|table| table == Table::Rejected.name());
    let hints = hints::told(&replayed.rejected, kept.then_some(options.out.as_str()));
    if !hints.is_empty() {
        terminal::say(hints.trim_end());
    }
    Ok(())
}

/// What became of the events, and where to look.
fn last_words(replayed: &Replayed, orphans: &str, out: &str) -> String {
    let Ledger { read, accepted, rejected, applied, repeated, orphaned, .. } = replayed.ledger;
    let n = text::count;
    let mut words = format!(
        "{} events read: {} accepted ({} applied, {} repeated, {} orphaned), {} rejected. {} airings.\n{orphans}",
        n(read),
        n(accepted),
        n(applied),
        n(repeated),
        n(orphaned),
        n(rejected),
        n(replayed.airings as u64),
    );
    // Where nothing was accepted there is nothing to see.
    if accepted > 0 || rejected == 0 {
        words.push_str(&format!("See them: jauge show {}\n", in_shell(out)));
    }
    words
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
