//! The verifier holds a data directory against itself, offline: the chain and its files, the identities of the settled
//! tables, and, where the log is kept, every offset once and every settlement computed again from it.

mod airing;
mod corrections;
mod digest;
mod gaps;
mod history;
mod line;
mod live;
mod lock;
mod log;
mod offsets;
mod tables;
mod tallies;

use audience::{text, time};
use exporter::Table;
use history::History;
use log::Logged;
use problem::Problem;
use settling::{Budget, Gather};
use std::path::Path;
use storage::{CONTRACT, ChainReport, Ledger, Stored, audit_chain};

/// What was checked, all of it in order.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The chain of commits and its files.
    pub chain: ChainReport,
    /// What became of all records.
    pub ledger: Ledger,
    /// Settled airings.
    pub airings: u64,
    /// Events of the log from which the settled tables were computed again; `None` where the directory keeps no log, or
    /// is of an earlier version of the contract.
    pub events: Option<u64>,
    /// Minutes moved by corrections.
    pub corrections: u64,
    /// Rows of the table `live`.
    pub live_minutes: u64,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

/// Verifies the directory `dir`, with so many bytes of `memory` and so many `threads`.
///
/// # Errors
/// The first thing that is wrong; or the directory cannot be read.
pub fn verify(dir: &Path, memory: u64, threads: usize) -> Result<Verified, Problem> {
    let stored = Stored::open(dir)?;
    let chain = audit_chain(stored.store())?;
    let budget = Budget::alone(memory, threads, std::env::temp_dir());

    let history = History::read(&stored)?;
    let gather = Gather::within(&budget);
    let tables = tables::read(&stored, &gather)?;
    tables::check(&stored, &tables, &history.return_within(&stored), gather, budget.threads)?;
    let known = &tables.known;
    tallies::check_tallies(&history, &stored, known)?;
    tallies::check_rejected(&history, &stored)?;
    let logged = if stored.keeps(Table::Events) { Some(log::check(&stored, &history, known, &budget)?) } else { None };
    let corrections = corrections::check(&stored, &history.corrections)?;
    let late = logged.as_ref().map(|logged| &logged.late).filter(|_| history.events_dropped == 0);
    let live_minutes = live::check_live(&stored, &history, late)?;
    let ledger = stored.ledger();
    let mut notes = notes(&stored, &chain, logged.as_ref());
    notes.extend(not_kept(&stored));
    notes.extend(too_old(&history));
    notes.extend(
        gaps::told(&history.lost, false)
            .map(|gaps| format!("These offsets were lost, and accepted as lost: {}.", few(&gaps))),
    );
    notes.extend(gaps::told(&history.lost, true).map(|gaps| {
        format!("The broker no longer had these offsets when their partitions were first read: {}. Airings that may have begun in them are \
             not complete.", few(&gaps))
    }));
    let events = logged.filter(|_| !stored.is_older()).map(|logged| logged.events);
    Ok(Verified { chain, ledger, airings: known.len() as u64, corrections, events, live_minutes, notes })
}

/// What there is to say beside that all holds.
fn notes(stored: &Stored, chain: &ChainReport, logged: Option<&Logged>) -> Vec<String> {
    let mut notes = Vec::new();
    if !chain.leftovers.is_empty() {
        notes.push(format!("No commit names these files, so they are no data: {}.", few(&chain.leftovers)));
    }
    if !chain.strays.is_empty() {
        notes.push(format!(
            "These are not jauge's, and were passed over: {}. Readers that take all files of a folder may stumble over them: remove them.",
            few(&chain.strays)
        ));
    }
    if !chain.unnamed.is_empty() {
        notes.push(format!(
            "These files of the last commit have not got their names yet; the next start gives them: {}.",
            few(&chain.unnamed)
        ));
    }
    if !chain.lacking.is_empty() {
        notes.push(format!(
            "The snapshot is not there ({}): the next start reads the log instead, which takes longer.",
            few(&chain.lacking)
        ));
    }
    if let Some(past) = logged.map(|logged| logged.past).filter(|past| *past > 0) {
        notes.push(format!(
            "{} settled airings cannot be computed again: events of theirs were dropped for their age (keep_events). Their tables were \
             checked against each other.",
            text::count(past)
        ));
    }
    if stored.is_older() {
        notes.push(of_older(stored, logged));
        return notes;
    }
    match logged {
        Some(logged) if !logged.unsettled.is_empty() => notes.push(unsettled(stored, logged)),
        Some(_) => {}
        None => notes.push(
            "No events are kept here: the settled tables were checked against each other, not computed again."
                .to_owned(),
        ),
    }
    notes
}

/// What was not checked of a directory of an earlier version of the contract.
fn of_older(stored: &Stored, logged: Option<&Logged>) -> String {
    let contract = stored.newest().map_or(1, |newest| newest.contract);
    let waiting = logged.map_or(0, Logged::not_yet_settled);
    let waiting = match waiting {
        0 => String::new(),
        events => format!(" {} events have not settled, and will not.", text::count(events)),
    };
    format!(
        "This directory is of version {contract} of the contract. Its settled tables were checked against each other; they are not derived again \
         from the log, for events are counted by the rules of version {CONTRACT} now.{waiting}"
    )
}

/// The tables that are not kept.
fn not_kept(stored: &Stored) -> impl Iterator<Item = String> {
    let tables = [Table::Airings, Table::Minutes, Table::Sessions, Table::Retweets, Table::Rejected];
    let missing = tables.into_iter().filter(|table| !stored.keeps(*table));
    missing.map(|table| format!("The table {table} is not kept here, so nothing was checked against it."))
}

/// What was dropped for its age.
fn too_old(history: &History) -> Option<String> {
    let dropped = history.too_old.iter();
    let dropped: Vec<String> = dropped
        .map(|(table, (rows, last_at))| {
            format!("{} of {table}, the last at {}", text::count(*rows), time::rfc3339(*last_at))
        })
        .collect();
    (!dropped.is_empty()).then(|| format!("These rows were dropped for their age: {}.", dropped.join("; ")))
}

fn unsettled(stored: &Stored, logged: &Logged) -> String {
    let ids = stored.broadcast_ids();
    let names: Vec<String> =
        logged.unsettled.keys().map(|broadcast| format!("{:?}", ids[*broadcast as usize])).collect();
    let events = text::count(logged.not_yet_settled());
    format!(
        "{events} events have not settled yet, so there is no table to hold them against. `jauge show` computes them. They are of {}.",
        few(&names)
    )
}

/// The first names of a list, and how many more there are.
fn few(names: &[String]) -> String {
    const NAMED: usize = 3;
    let named = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED { format!("{named} and {} more", names.len() - NAMED) } else { named }
}
