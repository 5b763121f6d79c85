//! The history: what all commits of a directory say of it, read one after the other, so that only what the checks need stays in memory; and
//! whether the tables account for all of it.

use super::gaps::Since;
use super::tables::{Airing, Known, named};
use crate::problem::Problem;
use crate::settlements::{self, Line, Settlements, Told};
use crate::settling::gaps_of;
use crate::stored::Stored;
use aggregator::{Gaps, Rules};
use audience::Ms;
use exporter::Table;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use storage::{CommitKind, Lost, Manifest, note_lost, read_manifests};

/// What the commits say.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What is settled, as the commits say it.
    settled: Settlements,
    /// The same for those who compute it again.
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
    /// Since when each of them is known.
    pub(super) lost_since: Vec<Since>,
    /// The same, as it decides which minutes are complete: as it was known from each of these commits on.
    gaps: BTreeMap<u64, Gaps>,
    /// Commits by which an operator settled again.
    pub(super) corrections: BTreeSet<i64>,
    /// Live rows that were dropped, for their age.
    pub(super) live_dropped: u64,
    /// Events that were dropped, for their age.
    pub(super) events_dropped: u64,
}

/// One settlement of one broadcast, its events those that the log still has.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    pub(super) broadcast: u32,
    /// Events before it are no longer all there; the airings that they were in are left out.
    pub(super) whole_from: Ms,
    pub(super) frontier: Ms,
    pub(super) read_to: i64,
    pub(super) rules: Rules,
    /// The gaps of the input that were known when it settled.
    pub(super) gaps: Gaps,
    /// In the order of time.
    pub(super) airings: Vec<Told>,
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
        for manifest in read_manifests(&stored.store, stored.chain.writer(), 1..=stored.chain.number()) {
            history.take(stored, &manifest?);
        }
        history.settlements = history.settlements(stored);
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
        if manifest.inputs.partitions.iter().any(|one| one.event_at_after_gap.is_some() || !one.gaps.is_empty()) {
            note_lost(&mut self.lost, manifest);
            self.lost_since.resize(self.lost.len(), Since { commit: number, after: None });
            for (lost, since) in self.lost.iter().zip(&mut self.lost_since) {
                since.after = since.after.or(lost.gap.event_at_after.map(|_| number));
            }
            self.gaps.insert(manifest.number, gaps_of(&self.lost));
        }
        if manifest.kind == CommitKind::Settle {
            self.corrections.insert(number);
        }
        self.live_dropped += manifest.dropped.get("live").copied().unwrap_or(0);
        self.events_dropped += manifest.dropped.get("events").copied().unwrap_or(0);
        self.settled.take(manifest);
    }

    /// The settlements as they hold after all commits, those of a broadcast in the order of time.
    fn settlements(&self, stored: &Stored) -> Vec<Settlement> {
        let mut all = Vec::new();
        for (id, line) in self.settled.lines() {
            let (broadcast, whole_from) = (stored.number_of(id), self.settled.whole_from(id));
            for one in &line.settlements {
                let mut airings = one.airings.clone();
                airings.retain(|airing| airing.frontier > whole_from);
                let settlements::Settlement { commit, frontier, read_to, rules, .. } = *one;
                // It knew the gaps of the commits before it.
                let gaps = self.gaps.range(..commit).next_back().map(|(_, gaps)| gaps.clone()).unwrap_or_default();
                all.push((commit, Settlement { broadcast, whole_from, frontier, read_to, rules, gaps, airings }));
            }
        }
        // Those by the same rules mostly come together.
        all.sort_by_key(|(commit, _)| *commit);
        all.into_iter().map(|(_, one)| one).collect()
    }

    /// What is settled of each broadcast, by its number.
    pub(super) fn lines(&self, stored: &Stored) -> HashMap<u32, &Line> {
        self.settled.lines().map(|(id, line)| (stored.number_of(id), line)).collect()
    }

    /// Settled airings whose events are no longer all in the log.
    pub(super) fn past(&self, stored: &Stored) -> BTreeSet<Airing> {
        let mut past = BTreeSet::new();
        for (id, line) in self.settled.lines() {
            let (broadcast, whole_from) = (stored.number_of(id), self.settled.whole_from(id));
            let airings = line.settlements.iter().flat_map(|one| &one.airings);
            let gone = airings.filter(|airing| airing.frontier <= whole_from);
            past.extend(gone.filter_map(|airing| airing.airing_at).map(|airing_at| (broadcast, airing_at)));
        }
        past
    }
}

/// What became of each settled airing's events: its row against the commits that settled it.
pub(super) fn check_tallies(
    history: &History,
    stored: &Stored,
    known: &BTreeMap<Airing, Known>,
) -> Result<(), Problem> {
    let mut settled = BTreeMap::new();
    for (id, line) in history.settled.lines() {
        let broadcast = stored.number_of(id);
        for told in line.settlements.iter().flat_map(|one| &one.airings) {
            let Some(airing_at) = told.airing_at else { continue };
            settled.insert((broadcast, airing_at), told.tally);
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
