//! Settling by chance: however the viewers are split, however often a shard stops, and however the changes come, as one
//! list or as stretches of merged runs, the rows are the same.

use super::*;
use crate::curve::{What, packed_at};
use crate::{Gap, Timeline, audit_airing};
use audience::{Detail, Details, Event, Kind, MINUTE_MS, Ms, NO_DETAIL};

const T: Ms = 1_459_711_860_000;

struct Chance(u64);

impl Chance {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Sorted events, the next at the end.
#[derive(Clone, Default)]
struct Script {
    events: Vec<Event>,
    details: Details,
}

impl Script {
    /// Few viewers and instants, so that much happens in one ms; silences between some of them.
    fn new(chance: &mut Chance) -> Script {
        let mut script = Script::default();
        for _ in 0..chance.below(400) {
            let kind = Kind::ALL[usize::try_from(chance.below(20)).unwrap().min(9) % 5];
            let ts = T + (chance.below(4) * (1 + chance.below(2) * MINUTE_MS.cast_unsigned())).cast_signed();
            let ts = ts + chance.below(8).saturating_sub(5).cast_signed() * 20 * MINUTE_MS;
            let (viewer, session) = (u128::from(chance.below(40)), u128::from(chance.below(3)));
            let event = match kind {
                Kind::Retweet => {
                    let (user_id, followers) = (chance.below(3).to_string(), Some(chance.below(9).cast_signed()));
                    let said = RetweetDetail { tweet_id: "t", user_id: &user_id, followers, retweet_of: None };
                    Event::new(kind, 0, viewer, 0, ts, script.details.push(Detail::Retweet(said)))
                }
                Kind::End => Event::new(kind, 0, 0, 0, ts, NO_DETAIL),
                _ => Event::new(kind, 0, viewer, session, ts, NO_DETAIL),
            };
            script.events.push(event);
        }
        script.events.sort_unstable();
        script.events.reverse();
        script
    }

    fn airings(&self, rules: &Rules) -> Airings {
        let mut timeline = Timeline::default();
        self.events.iter().for_each(|event| timeline.hear(event));
        timeline.airings(rules)
    }
}

impl Sorted for Script {
    fn peek(&mut self) -> Option<Event> {
        self.events.last().copied()
    }
    fn advance(&mut self) {
        self.events.pop();
    }
    fn details(&self) -> &Details {
        &self.details
    }
}

#[derive(Debug, Default, PartialEq)]
struct Kept {
    sessions: Vec<SessionRow>,
    retweets: Vec<(RetweetRow, String)>,
    minutes: Vec<MinuteRow>,
    airings: Vec<(Option<AiringRow>, Tally)>,
}

impl Rows for Kept {
    fn session(&mut self, row: SessionRow, _: Option<&str>) {
        self.sessions.push(row);
    }
    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        self.retweets.push((row, format!("{detail:?}")));
    }
}

impl Kept {
    /// Holds each airing against its minutes and sessions.
    fn audit(&self, rules: &Rules) {
        for row in self.airings.iter().filter_map(|(row, _)| row.as_ref()) {
            let minutes = self.minutes.iter().filter(|minute| minute.airing_at == row.airing_at);
            let sessions = self.sessions.iter().filter(|session| session.airing_at == row.airing_at);
            let (minutes, sessions) = (minutes.cloned().collect::<Vec<_>>(), sessions.copied().collect::<Vec<_>>());
            audit_airing(row, &minutes, &sessions, rules.return_within).unwrap();
        }
    }

    /// Reads the curve of the airing at `place` of its broadcast.
    fn read(&mut self, airing: &Airing, part: &Part, place: usize, changes: &mut impl Stretches) {
        let heard = part.completeness.get(place);
        let (row, tally) = settle_curve(0, airing, &part.flows[place], changes, heard, |row| self.minutes.push(row));
        self.airings.push((row, tally));
    }

    /// Reads the curves of all airings of a broadcast at once.
    fn read_all(&mut self, airings: &Airings, mut part: Part) {
        for (place, airing) in airings.airings.iter().enumerate() {
            let changes = part.flows[place].take_sorted();
            self.read(airing, &part, place, &mut changes.as_slice());
        }
    }

    fn sorted(mut self) -> Kept {
        self.sessions.sort_by_key(|row| (row.viewer, row.session, row.joined_at, row.left_at));
        self.retweets.sort_by_key(|(row, said)| (row.airing_at, row.retweeted_at, said.clone()));
        self
    }
}

/// Stretches of any length.
struct Cut<'a> {
    rest: Vec<u64>,
    stretch: Vec<u64>,
    chance: &'a mut Chance,
}

impl Stretches for Cut<'_> {
    fn next_stretch(&mut self) -> &[u64] {
        let count = self.rest.len().min(1 + usize::try_from(self.chance.below(5)).unwrap());
        self.stretch = self.rest.drain(..count).collect();
        &self.stretch
    }
}

/// Whether in one ms sessions open and close in every way, and not all of it in one run.
fn meet_in_one_ms(runs: &[Vec<u64>]) -> bool {
    let mut all: Vec<(Ms, u64, usize)> = Vec::new();
    for (run, changes) in runs.iter().enumerate() {
        all.extend(changes.iter().map(|change| (packed_at(*change), *change >> 16 & 15, run)));
    }
    all.sort_unstable();
    all.chunk_by(|a, b| a.0 == b.0).any(|ms| {
        let has = |what: What| ms.iter().any(|(_, one, _)| *one == what as u64);
        let whats = [What::Join, What::Leave, What::Lapse, What::NewJoin];
        whats.into_iter().all(has) && ms.iter().any(|(_, _, run)| *run != ms[0].2)
    })
}

#[test]
fn stops_and_runs_change_nothing() {
    let (mut met, mut spoilt) = (0, 0);
    for seed in 0..300 {
        let chance = &mut Chance(seed);
        let script = Script::new(chance);
        let session_timeout = [None, Some(2), Some(MINUTE_MS)][usize::try_from(chance.below(3)).unwrap()];
        let rules = Rules { session_timeout, timeout_grace: 0, broadcast_idle: 10 * MINUTE_MS, ..Rules::default() };
        let airings = script.airings(&rules);

        let gap = |before: u64, after: u64| Gap {
            before: (before > 0).then_some(T + before.cast_signed() * MINUTE_MS),
            after: (after > 0).then_some(T + after.cast_signed() * MINUTE_MS),
            is_beginning: (before + after) % 7 == 1,
        };
        let gaps: Gaps = (0..chance.below(3)).map(|_| gap(chance.below(30), chance.below(30))).collect();

        let mut whole = Kept::default();
        let mut shard = Shard::new(0, &airings, &rules, &gaps);
        assert!(!shard.go_on(&mut script.clone(), &mut whole, usize::MAX));
        whole.read_all(&airings, shard.take());
        whole.audit(&rules);

        let mut parted = Kept::default();
        let mut sum = Part::new(&airings, &gaps);
        let mut runs: Vec<Vec<Vec<u64>>> = vec![Vec::new(); airings.airings.len()];
        let shards = 1 + chance.below(4);
        for number in 0..shards {
            let mut events = script.clone();
            events.events.retain(|event| event.viewer % u128::from(shards) == u128::from(number));
            let mut shard = Shard::new(0, &airings, &rules, &gaps);
            let most = 1 + usize::try_from(chance.below(30)).unwrap();
            while shard.go_on(&mut events, &mut parted, most) {
                match chance.below(2) {
                    0 => sum.merge(shard.take()),
                    _ => shard.add_to(&mut sum),
                }
                for (flow, runs) in sum.flows.iter_mut().zip(&mut runs) {
                    if chance.below(3) == 0 {
                        runs.push(flow.take_sorted());
                    }
                }
            }
            sum.merge(shard.take());
        }
        for (place, (airing, runs)) in airings.airings.iter().zip(&mut runs).enumerate() {
            runs.push(sum.flows[place].take_sorted());
            met += usize::from(meet_in_one_ms(runs));
            let mut rest = runs.concat();
            rest.sort_unstable();
            parted.read(airing, &sum, place, &mut Cut { rest, stretch: Vec::new(), chance });
        }
        assert_eq!(sum.flows.iter().map(Flow::bytes).sum::<usize>(), 0);
        spoilt += usize::from(whole.minutes.iter().any(|row| !row.complete));
        assert_eq!(parted.sorted(), whole.sorted(), "seed {seed}");
    }
    assert!(met > 20, "only {met} airings had all that can happen in one ms of several runs");
    assert!(spoilt > 20, "only {spoilt} broadcasts had minutes that are not complete");
}

/// One viewer's sessions come in any order of time: the earliest of an airing is the first.
#[test]
fn a_viewer_is_new_once_an_airing() {
    let mut script = Script::default();
    for (session, minute) in [(1, 5), (2, 3), (3, 3), (4, 100), (5, 4)] {
        for (kind, at) in [(Kind::Join, 0), (Kind::Leave, 10)] {
            script.events.push(Event::new(kind, 0, 7, session, T + minute * MINUTE_MS + at, NO_DETAIL));
        }
    }
    script.events.reverse();
    let rules = Rules { broadcast_idle: 10 * MINUTE_MS, ..Rules::default() };
    let airings = script.airings(&rules);
    let mut kept = Kept::default();
    let gaps = Gaps::default();
    let mut shard = Shard::new(0, &airings, &rules, &gaps);
    shard.go_on(&mut script, &mut kept, usize::MAX);
    kept.read_all(&airings, shard.take());
    let new: Vec<_> = kept.minutes.iter().map(|row| ((row.minute_at - T) / MINUTE_MS, row.new_viewers)).collect();
    assert_eq!(new, [(3, 1), (4, 0), (5, 0), (100, 1)]);
}

/// Every viewer has one shard, and neighbours in the order of settling have neighbouring ones.
#[test]
fn a_shard_is_a_range_of_viewers() {
    let viewers = [0, 1, u128::MAX / 3, u128::MAX / 2, u128::MAX / 2 + 1, u128::MAX - 1, u128::MAX];
    for shards in [1, 2, 16] {
        let places: Vec<usize> = viewers.iter().map(|viewer| shard_of(*viewer, shards)).collect();
        assert!(places.is_sorted() && places[0] == 0 && places[6] == shards - 1, "{shards}: {places:?}");
    }
}
