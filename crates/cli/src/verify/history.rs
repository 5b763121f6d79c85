//! The history: what all commits of a directory say of it, read one after the other, so that only what the checks need stays in memory; and
//! whether the tables account for all of it.

use super::tables::{Airing, Known, named};
use crate::problem::Problem;
use crate::settling::gaps_of;
use crate::stored::Stored;
use aggregator::{Gaps, Rules};
use audience::Ms;
use exporter::{Lost, Manifest, Table, note_lost, read_manifest};
use std::collections::BTreeMap;

/// What the commits say.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What settled, in the order of the commits; one a broadcast and settling commit.
    pub(super) settlements: Vec<Settlement>,
    /// What was read of each partition, by numbers of source and partition.
    pub(super) partitions: BTreeMap<(u32, i32), Read>,
    /// Rejected events by reason.
    pub(super) reasons: BTreeMap<String, u64>,
    /// Rejected events by file.
    pub(super) sources: BTreeMap<String, u64>,
    /// Rejected rows that were dropped, for their age.
    pub(super) rejected_dropped: u64,
    /// What was lost of the input and accepted as lost.
    pub(super) lost: Vec<Lost>,
    /// The same, as it decides which minutes are complete.
    gaps: Gaps,
}

/// One settlement of one broadcast: the events of commits up to `read_to`, before `frontier` and not before the frontier before it.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    pub(super) broadcast: u32,
    pub(super) frontier: Ms,
    pub(super) read_to: i64,
    pub(super) rules: Rules,
    /// The gaps of the input that were known when it settled.
    pub(super) gaps: Gaps,
    /// In the order of time.
    pub(super) airings: Vec<Told>,
}

/// What a commit says of an airing that settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub(super) frontier: Ms,
    /// `None` where it leaves no row.
    pub(super) airing_at: Option<Ms>,
    /// Applied, repeated, orphaned.
    pub(super) tally: [u64; 3],
}

/// What was read of one partition.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) topic: String,
    from: i64,
    /// By commit that read something: the first offset it did not read, and its number.
    commits: Vec<(i64, i64)>,
    /// Offsets that hold a record.
    pub(super) records: u64,
}

impl Read {
    /// The commit that read an offset.
    pub(super) fn commit_of(&self, offset: i64) -> Option<i64> {
        let place = self.commits.partition_point(|(to, _)| *to <= offset);
        self.commits.get(place).filter(|_| offset >= self.from).map(|(_, number)| *number)
    }
}

impl History {
    /// Reads all commits up to the newest that `stored` has.
    pub(super) fn read(stored: &Stored) -> Result<History, Problem> {
        let mut history = History::default();
        for number in 1..=stored.chain.number() {
            let manifest = read_manifest(&stored.store, stored.chain.writer(), number)?;
            history.take(stored, &manifest);
        }
        Ok(history)
    }

    fn take(&mut self, stored: &Stored, manifest: &Manifest) {
        let number = i64::try_from(manifest.number).unwrap_or(i64::MAX);
        for one in &manifest.inputs.partitions {
            let key = (stored.source_of(&one.topic), one.partition);
            let new = || Read { topic: one.topic.clone(), from: one.from, commits: Vec::new(), records: 0 };
            let read = self.partitions.entry(key).or_insert_with(new);
            if one.to > one.from {
                read.commits.push((one.to, number));
                read.records += one.accepted + one.rejected;
            }
        }
        for (reason, count) in &manifest.counts.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
        for source in &manifest.inputs.sources {
            *self.sources.entry(source.path.clone()).or_default() += source.rejected;
        }
        self.rejected_dropped += manifest.dropped.get("rejected").copied().unwrap_or(0);
        // A settlement reads up to the commit before it.
        self.settle(stored, manifest);
        if manifest.inputs.partitions.iter().any(|one| one.event_at_after_gap.is_some() || !one.gaps.is_empty()) {
            note_lost(&mut self.lost, manifest);
            self.gaps = gaps_of(&self.lost);
        }
    }

    fn settle(&mut self, stored: &Stored, manifest: &Manifest) {
        for settlement in &manifest.settled {
            let rules = Rules {
                session_timeout: settlement.rules.session_timeout_ms,
                timeout_grace: settlement.rules.timeout_grace_ms,
                broadcast_idle: settlement.rules.broadcast_idle_ms,
            };
            let read_to = settlement.read_to.values().max().map_or(0, |to| i64::try_from(*to).unwrap_or(i64::MAX));
            let mut by_broadcast = BTreeMap::<&str, Vec<Told>>::new();
            for one in &settlement.airings {
                let tally = [one.applied, one.repeated, one.orphaned];
                let told = Told { frontier: one.frontier, airing_at: one.airing_at, tally };
                by_broadcast.entry(&one.broadcast_id).or_default().push(told);
            }
            for (id, mut airings) in by_broadcast {
                airings.sort_unstable();
                let frontier = airings.last().map_or(Ms::MIN, |last| last.frontier);
                self.settlements.push(Settlement {
                    broadcast: stored.number_of(id),
                    frontier,
                    read_to,
                    rules,
                    gaps: self.gaps.clone(),
                    airings,
                });
            }
        }
    }
}

/// What became of each settled airing's events: its row against the commits that settled it.
pub(super) fn check_tallies(
    history: &History,
    stored: &Stored,
    known: &BTreeMap<Airing, Known>,
) -> Result<(), Problem> {
    let mut settled = BTreeMap::new();
    for one in &history.settlements {
        for told in &one.airings {
            let Some(airing_at) = told.airing_at else { continue };
            settled.insert((one.broadcast, airing_at), told.tally);
        }
    }
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
