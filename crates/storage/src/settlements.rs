//! The settlements of a directory: which airings are settled, by which rules and from which events, as all its commits
//! together say. An operator's settling takes the place of those before it.

use crate::{Chain, Manifest, Store, read_manifests};
use aggregator::{Frontier, Rules};
use audience::Ms;
use problem::Problem;
use std::collections::{BTreeMap, BTreeSet};

/// One settlement of one broadcast: the events of commits up to `read_to` with a `ts` in `[from, frontier)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledSpan {
    /// The commit that says what settled.
    pub commit: u64,
    /// Its first instant.
    pub from: Ms,
    /// The first instant after it.
    pub frontier: Ms,
    /// The last commit whose events it took.
    pub read_to: i64,
    /// By which it was computed.
    pub rules: Rules,
    /// What settled, in the order of time.
    pub airings: Vec<ToldAiring>,
}

/// What a commit says of an airing that settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToldAiring {
    /// The first instant after it.
    pub frontier: Frontier,
    /// When the airing began; `None` where it leaves no row.
    pub airing_at: Option<Ms>,
    /// Events applied, repeated, orphaned.
    pub tally: [u64; 3],
}

/// One settlement as it was made.
#[derive(Clone, Copy, Debug)]
pub struct SettledOnce {
    commit: u64,
    /// The last commit whose events it took.
    pub read_to: i64,
    /// The broadcast's frontier from then on.
    pub frontier: Ms,
}

/// What is settled of one broadcast.
#[derive(Clone, Debug, Default)]
pub struct SettledLine {
    /// What is settled now, in the order of time.
    pub settlements: Vec<SettledSpan>,
    /// Every settlement that there ever was, in the order of the commits.
    history: Vec<SettledOnce>,
}

/// The settlements of all broadcasts, or of some.
#[derive(Clone, Debug, Default)]
pub struct Settlements {
    only: Option<BTreeSet<String>>,
    lines: BTreeMap<String, SettledLine>,
    horizon: Option<u64>,
}

impl Settlements {
    /// Reads the settlements of the broadcasts `ids` from all commits.
    pub fn of(store: &Store, chain: &Chain, ids: BTreeSet<String>) -> Result<Settlements, Problem> {
        let mut settlements = Settlements { only: Some(ids), ..Settlements::default() };
        for manifest in read_manifests(store, chain.writer(), 1..=chain.number()) {
            settlements.take(&manifest?);
        }
        Ok(settlements)
    }

    /// Takes in the next commit.
    pub fn take(&mut self, manifest: &Manifest) {
        self.horizon = self.horizon.max(manifest.horizon);
        for settlement in &manifest.settled {
            let (rules, read_to) = (Rules::from(settlement.rules), settlement.read_to());
            let mut by_broadcast = BTreeMap::<&str, Vec<ToldAiring>>::new();
            let ours = settlement.airings.iter();
            for one in ours.filter(|one| self.only.as_ref().is_none_or(|only| only.contains(&one.broadcast_id))) {
                let tally = [one.applied, one.repeated, one.orphaned];
                let told = ToldAiring {
                    frontier: Frontier { at: one.frontier, off_air: one.off_air },
                    airing_at: one.airing_at,
                    tally,
                };
                by_broadcast.entry(&one.broadcast_id).or_default().push(told);
            }
            for (id, mut airings) in by_broadcast {
                airings.sort_unstable();
                let line = self.lines.entry(id.to_owned()).or_default();
                let before = line.frontier();
                let from = settlement.replaces_from.unwrap_or(before);
                line.cut(from);
                let frontier = airings.last().map_or(before, |last| last.frontier.at.max(before));
                line.history.push(SettledOnce { commit: manifest.number, read_to, frontier });
                line.settlements.push(SettledSpan { commit: manifest.number, from, frontier, read_to, rules, airings });
            }
        }
    }

    /// All broadcasts, each with what is settled of it.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &SettledLine)> {
        self.lines.iter().map(|(id, line)| (id.as_str(), line))
    }

    /// What is settled of a broadcast.
    pub fn line(&self, id: &str) -> Option<&SettledLine> {
        self.lines.get(id)
    }

    /// The first instant from which on all events of a broadcast are kept, at the beginning of an airing: what settled
    /// before it can no longer be computed again.
    pub fn whole_from(&self, id: &str) -> Ms {
        let (Some(horizon), Some(line)) = (self.horizon, self.lines.get(id)) else { return Ms::MIN };
        let dropped = line.history.iter().rfind(|one| one.commit <= horizon).map_or(Ms::MIN, |one| one.frontier);
        let mut whole = dropped;
        for settlement in &line.settlements {
            let mut from = settlement.from;
            for airing in &settlement.airings {
                if from < dropped {
                    whole = whole.max(airing.frontier.at);
                }
                from = airing.frontier.at;
            }
        }
        whole
    }
}

impl SettledLine {
    /// Where the broadcast is settled up to.
    pub fn frontier(&self) -> Ms {
        self.history.last().map_or(Ms::MIN, |one| one.frontier)
    }

    /// How the broadcast goes on from an instant `at` up to which it is settled.
    pub fn from(&self, at: Ms) -> Frontier {
        let mut airings = self.settlements.iter().flat_map(|one| &one.airings);
        let before = airings.rfind(|airing| airing.frontier.at <= at);
        Frontier { at, off_air: before.and_then(|airing| airing.frontier.off_air) }
    }

    /// Whether an event of the log's commit `commit` lay before no frontier that was set when it came.
    pub fn was_open(&self, commit: i64, ts: Ms) -> bool {
        self.history.iter().all(|one| commit <= one.read_to || ts >= one.frontier)
    }

    /// The settlement that first reached beyond an instant.
    #[inline]
    pub fn first_beyond(&self, ts: Ms) -> Option<SettledOnce> {
        self.history.iter().find(|one| one.frontier > ts).copied()
    }

    /// The settlement in whose time an instant lies.
    pub fn at(&self, ts: Ms) -> Option<&SettledSpan> {
        let next = self.settlements.partition_point(|one| one.frontier <= ts);
        self.settlements.get(next)
    }

    /// Forgets what is settled from `from` on, where an airing begins.
    fn cut(&mut self, from: Ms) {
        for one in &mut self.settlements {
            one.airings.retain(|airing| airing.frontier.at <= from);
            one.frontier = one.frontier.min(from);
        }
        self.settlements.retain(|one| !one.airings.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitKind, Draft, SettledAiring};

    const HOUR: Ms = 3_600_000;

    /// Commits that settle airings of the broadcast `b`: (what it replaces, last events in hours).
    fn taken(commits: &[(Option<Ms>, &[Ms])], horizon: Option<u64>) -> Settlements {
        let mut settlements = Settlements::default();
        for (number, (replaces_from, hours)) in (1..).zip(commits) {
            let airing = |hour: &Ms| SettledAiring {
                broadcast_id: "b".into(),
                airing_at: Some(hour * HOUR),
                frontier: (hour + 6) * HOUR,
                applied: 1,
                ..SettledAiring::default()
            };
            let settlement = crate::Settlement {
                read_to: [("main".to_owned(), number - 1)].into(),
                replaces_from: *replaces_from,
                rules: Rules { broadcast_idle: 6 * HOUR, ..Rules::default() }.into(),
                airings: hours.iter().map(airing).collect(),
            };
            let mut manifest = manifest(number);
            manifest.settled = vec![settlement];
            manifest.horizon = horizon.filter(|horizon| *horizon < number);
            settlements.take(&manifest);
        }
        settlements
    }

    /// A manifest without a settlement, as it is read from a file.
    fn manifest(number: u64) -> Manifest {
        let draft = Draft::first(CommitKind::Run, 0);
        serde_json::from_value(serde_json::json!({
            "contract": 1, "version": "", "config": "", "writer": "main", "incarnation": "",
            "number": number, "parent": null,
            "created_at": 0, "kind": "run", "tables": draft.tables, "inputs": {}, "checksum": "",
            "counts": {"read": 0, "accepted": 0, "rejected": 0}, "ledger": draft.ledger,
        }))
        .unwrap()
    }

    fn drawn(settlements: &Settlements) -> Vec<(u64, Ms, Ms, usize)> {
        let line = settlements.line("b").unwrap();
        let hours = |at: Ms| if at == Ms::MIN { -1 } else { at / HOUR };
        let draw = |one: &SettledSpan| (one.commit, hours(one.from), hours(one.frontier), one.airings.len());
        line.settlements.iter().map(draw).collect()
    }

    #[test]
    fn each_goes_on_where_the_one_before_ended() {
        let settlements = taken(&[(None, &[1, 20]), (None, &[40])], None);
        assert_eq!(drawn(&settlements), [(1, -1, 26, 2), (2, 26, 46, 1)]);
        let line = settlements.line("b").unwrap();
        let at = |hour: Ms| line.at(hour * HOUR).map(|one| one.commit);
        assert_eq!([0, 8, 25, 26, 45, 46].map(at), [Some(1), Some(1), Some(1), Some(2), Some(2), None]);
        assert_eq!((line.frontier(), settlements.whole_from("b")), (46 * HOUR, Ms::MIN));
    }

    #[test]
    fn an_operators_takes_the_place_of_those_before() {
        let settlements = taken(&[(None, &[1, 20]), (None, &[40]), (Some(0), &[1, 19, 39])], None);
        // An event that made it shorter there cannot be, but other rules can: the frontier stays.
        assert_eq!(drawn(&settlements), [(3, 0, 46, 3)]);
        let part = taken(&[(None, &[1, 20]), (None, &[40]), (Some(7 * HOUR), &[30]), (None, &[60])], None);
        assert_eq!(drawn(&part), [(1, -1, 7, 1), (3, 7, 46, 1), (4, 46, 66, 1)]);
    }

    #[test]
    fn what_was_dropped_is_an_airings_beginning() {
        let commits: [(Option<Ms>, &[Ms]); 4] = [(None, &[1, 20]), (None, &[40]), (None, &[60]), (None, &[80])];
        assert_eq!(taken(&commits, Some(2)).whole_from("b"), 46 * HOUR);
        // Settled as one with what came later, an airing of which a part was dropped is gone as a whole.
        let merged = taken(&[(None, &[1]), (None, &[20]), (Some(0), &[22, 50])], Some(1));
        assert_eq!(merged.whole_from("b"), 28 * HOUR);
        assert_eq!(merged.whole_from("c"), Ms::MIN);
    }
}
