//! The history: what all commits of a directory say of it, read one after the other, so that only what the checks need
//! stays in memory.

use super::airing::Airing;
use aggregator::{Frontier, Gaps, Rules};
use audience::{Kind, Ms};
use exporter::{LoggedEvent, Table};
use problem::Problem;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use storage::{CommitKind, Lost, Manifest, Stored, note_lost, provenance};
use storage::{SettledLine, Settlements, ToldAiring};

/// What the commits say.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What is settled, as the commits say it.
    settled: Settlements,
    /// What is settled, for those who compute it again.
    pub(super) settlements: Vec<Again>,
    /// What was read of each partition, by numbers of source and partition.
    pub(super) partitions: BTreeMap<(u32, i32), PartitionRead>,
    /// Rejected events by reason.
    pub(super) reasons: BTreeMap<String, u64>,
    /// Rejected events by file.
    pub(super) sources: BTreeMap<String, u64>,
    /// Rejected rows that were dropped, for their age.
    pub(super) rejected_dropped: u64,
    /// What was lost of the input and accepted as lost.
    pub(super) lost: Vec<Lost>,
    /// Since when each gap of `lost` is known.
    pub(super) lost_since: Vec<Since>,
    /// `broadcast_idle` by the commit from which on it holds.
    idle: Vec<(i64, Ms)>,
    /// What was lost, as it decides which minutes are complete: as it was known from each of these commits on.
    gaps: BTreeMap<u64, Gaps>,
    /// Commits by which an operator settled again.
    pub(super) corrections: BTreeSet<i64>,
    /// Live rows that were dropped, for their age.
    pub(super) live_dropped: u64,
    /// Events that were dropped, for their age.
    pub(super) events_dropped: u64,
    /// By table, how many rows were dropped for their age, and when the last of them were.
    pub(super) too_old: BTreeMap<Table, (u64, Ms)>,
}

/// One settlement of one broadcast, its events those that the log still has.
#[derive(Clone, Debug)]
pub(super) struct Again {
    pub(super) broadcast: u32,
    /// Events before it are no longer all there; the airings that they were in are left out.
    pub(super) whole_from: Ms,
    /// How the broadcast went on where its events begin.
    pub(super) from: Frontier,
    pub(super) frontier: Ms,
    pub(super) read_to: i64,
    pub(super) rules: Rules,
    /// The gaps of the input that were known when it settled.
    pub(super) gaps: Gaps,
    /// In the order of time.
    pub(super) airings: Vec<ToldAiring>,
}

impl Again {
    /// Whether an event is a join at the very end of what settled, and was known then.
    pub(super) fn ends_with(&self, row: &LoggedEvent) -> bool {
        let last = self.airings.last().map(|last| last.frontier.at);
        row.event.kind() == Kind::Join && Some(row.event.ts()) == last && row.commit <= self.read_to
    }
}

/// When the commits told of a gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// The commit that has it.
    pub(super) commit: i64,
    /// The one that read the event after it.
    pub(super) after: Option<i64>,
}

/// What was read of one partition.
#[derive(Debug)]
pub(super) struct PartitionRead {
    pub(super) topic: String,
    from: i64,
    /// By commit that read something: the first offset it did not read, and its number.
    commits: Vec<(i64, i64)>,
    /// Offsets that hold a record.
    pub(super) records: u64,
}

impl PartitionRead {
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
        for manifest in stored.manifests() {
            history.take(stored, &manifest?);
        }
        history.settlements = history.settlements(stored);
        Ok(history)
    }

    fn take(&mut self, stored: &Stored, manifest: &Manifest) {
        let number = i64::try_from(manifest.number).unwrap_or(i64::MAX);
        for one in &manifest.inputs.partitions {
            let key = (stored.source_of(&one.topic), one.partition);
            let new = || PartitionRead { topic: one.topic.clone(), from: one.from, commits: Vec::new(), records: 0 };
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
            self.gaps.insert(manifest.number, storage::gaps_of(&self.lost));
        }
        let idle = provenance::rules(manifest, &BTreeMap::new()).map(|rules| rules.broadcast_idle);
        if let Ok(idle) = idle
            && self.idle.last().is_none_or(|(_, known)| *known != idle)
        {
            self.idle.push((number, idle));
        }
        if manifest.kind == CommitKind::Settle {
            self.corrections.insert(number);
        }
        self.live_dropped += manifest.dropped.get("live").copied().unwrap_or(0);
        self.events_dropped += manifest.dropped.get("events").copied().unwrap_or(0);
        for table in [Table::Events, Table::Live, Table::Rejected] {
            let rows = manifest.too_old(table.name());
            if rows > 0 {
                let (before, last_at) = self.too_old.entry(table).or_default();
                (*before, *last_at) = (*before + rows, manifest.created_at);
            }
        }
        self.settled.take(manifest);
    }

    /// The settlements as they hold after all commits, those of a broadcast in the order of time.
    fn settlements(&self, stored: &Stored) -> Vec<Again> {
        let mut all = Vec::new();
        for (id, line) in self.settled.lines() {
            let (broadcast, whole_from) = (stored.number_of(id), self.settled.whole_from(id));
            for one in &line.settlements {
                let mut airings = one.airings.clone();
                airings.retain(|airing| airing.frontier.at > whole_from);
                let from = line.from(one.from.max(whole_from));
                let storage::SettledSpan { commit, frontier, read_to, rules, .. } = *one;
                // It knew the gaps of the commits before it.
                let gaps = self.gaps.range(..commit).next_back().map(|(_, gaps)| gaps.clone()).unwrap_or_default();
                all.push((commit, Again { broadcast, whole_from, from, frontier, read_to, rules, gaps, airings }));
            }
        }
        // Those by the same rules mostly come together.
        all.sort_by_key(|(commit, _)| *commit);
        all.into_iter().map(|(_, one)| one).collect()
    }

    /// `broadcast_idle` as of a commit.
    pub(super) fn idle_at(&self, commit: i64) -> Ms {
        let place = self.idle.partition_point(|(from, _)| *from <= commit);
        place.checked_sub(1).map_or_else(|| Rules::default().broadcast_idle, |place| self.idle[place].1)
    }

    /// What is settled of each broadcast, by its number.
    pub(super) fn lines(&self, stored: &Stored) -> HashMap<u32, &SettledLine> {
        self.settled.lines().map(|(id, line)| (stored.number_of(id), line)).collect()
    }

    /// What became of the events of each settled airing: applied, repeated, orphaned.
    pub(super) fn tallies(&self, stored: &Stored) -> BTreeMap<Airing, [u64; 3]> {
        let mut tallies = BTreeMap::new();
        for (id, line) in self.settled.lines() {
            let broadcast = stored.number_of(id);
            for told in line.settlements.iter().flat_map(|one| &one.airings) {
                let Some(airing_at) = told.airing_at else { continue };
                tallies.insert((broadcast, airing_at), told.tally);
            }
        }
        tallies
    }

    /// `return_within` of each settled airing.
    pub(super) fn return_within(&self, stored: &Stored) -> BTreeMap<Airing, Ms> {
        let mut within = BTreeMap::new();
        for (id, line) in self.settled.lines() {
            let broadcast = stored.number_of(id);
            for one in &line.settlements {
                let airings = one.airings.iter().filter_map(|airing| airing.airing_at);
                within.extend(airings.map(|airing_at| ((broadcast, airing_at), one.rules.return_within)));
            }
        }
        within
    }

    /// Settled airings whose events are no longer all in the log.
    pub(super) fn past(&self, stored: &Stored) -> BTreeSet<Airing> {
        let mut past = BTreeSet::new();
        for (id, line) in self.settled.lines() {
            let (broadcast, whole_from) = (stored.number_of(id), self.settled.whole_from(id));
            let airings = line.settlements.iter().flat_map(|one| &one.airings);
            let gone = airings.filter(|airing| airing.frontier.at <= whole_from);
            past.extend(gone.filter_map(|airing| airing.airing_at).map(|airing_at| (broadcast, airing_at)));
        }
        past
    }
}
