//! Tallies: whether the tables account for all that the commits say was read: what became of each settled airing's
//! events, and what was rejected.

use super::airing::{Airing, named};
use super::history::History;
use super::tables::Known;
use exporter::Table;
use problem::Problem;
use std::collections::BTreeMap;
use storage::Stored;

/// What became of each settled airing's events: its row against the commits that settled it.
pub(super) fn check_tallies(
    history: &History,
    stored: &Stored,
    known: &BTreeMap<Airing, Known>,
) -> Result<(), Problem> {
    let settled = history.tallies(stored);
    let broken = |airing: &Airing, what: &str| Err(Problem::data(format!("{}: {what}.", named(stored, airing))));
    if stored.keeps(Table::Airings) {
        for (airing, tally) in &settled {
            let Some(row) = known.get(airing).and_then(|known| known.row.as_ref()) else {
                return broken(airing, "a commit says that it settled, but it has no row in the table airings");
            };
            if *tally != [row.applied, row.repeated, row.orphaned].map(i64::unsigned_abs) {
                return broken(
                    airing,
                    "applied, repeated or orphaned in the table airings is not what the commit says that settled it",
                );
            }
        }
    }
    match known.keys().find(|airing| !settled.contains_key(airing)) {
        Some(airing) => broken(airing, "it has rows, but no commit says that it settled"),
        None => Ok(()),
    }
}

/// The rejected events against the commits: by reason, and by file.
pub(super) fn check_rejected(history: &History, stored: &Stored) -> Result<(), Problem> {
    if !stored.keeps(Table::Rejected) || history.rejected_dropped > 0 {
        return Ok(());
    }
    let mut reasons = BTreeMap::<String, u64>::new();
    let mut sources = BTreeMap::<String, u64>::new();
    stored.rejected(|rows| {
        for row in &rows {
            *reasons.entry(row.rejection.reason.word().to_owned()).or_default() += 1;
            *sources.entry(row.source.to_string()).or_default() += 1;
        }
        Ok(())
    })?;
    let of_files = history.sources.iter();
    let checks = [(&reasons, history.reasons.iter().collect::<Vec<_>>()), (&sources, of_files.collect())];
    for (rows, commits) in checks {
        for (what, count) in commits {
            let found = rows.get(what).copied().unwrap_or(0);
            if found != *count {
                return Err(Problem::data(format!(
                    "table rejected: {found} rows of {what}, where the commits say {count}."
                )));
            }
        }
    }
    Ok(())
}
