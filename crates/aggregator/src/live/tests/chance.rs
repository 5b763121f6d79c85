//! The live curve on events drawn by chance from a domain so small that everything collides.

use super::*;
use proptest::prelude::*;

/// One event that may come: kind, broadcast, viewer, session, a step of 10 s and a ms, and how long it takes to come.
#[derive(Clone, Debug)]
struct Draw {
    kind: Kind,
    broadcast: u32,
    viewer: u128,
    session: u128,
    ts: Ms,
    delay: Ms,
    /// Rounds: none, to the lateness behind the greatest `ts`, or to the `ts` itself.
    round: u8,
    salt: u8,
}

const LATENESS: Ms = 30_000;

fn draws(most: usize) -> impl Strategy<Value = Vec<Draw>> {
    let kind = prop_oneof![
        5 => Just(Kind::Join),
        5 => Just(Kind::Heartbeat),
        4 => Just(Kind::Leave),
        2 => Just(Kind::Retweet),
        2 => Just(Kind::End)
    ];
    let draw = (kind, 0..2u32, 1..4u128, 0..2u128, (0..60i64, 0..3i64), 0..=LATENESS, 0..4u8, any::<u8>());
    let draw = draw.prop_map(|(kind, broadcast, viewer, session, (step, ms), delay, round, salt)| {
        let ts = T + step * 10_000 + ms;
        Draw { kind, broadcast, viewer, session: viewer + 8 * session, ts, delay, round, salt }
    });
    proptest::collection::vec(draw, 1..most)
}

fn rules() -> impl Strategy<Value = Rules> {
    let timeouts = prop_oneof![
        Just((None, 0)),
        Just((Some(10_000), 10_000)),
        Just((Some(25_001), 25_001)),
        Just((Some(60_000), 60_000))
    ];
    let idles = prop_oneof![Just(60_000), Just(90_000), Just(200_000), Just(600_000)];
    let end_idles = prop_oneof![Just(None), Just(Some(60_000)), Just(Some(90_000)), Just(Some(120_000))];
    let stragglers = prop_oneof![Just(0), Just(10_000), Just(60_000)];
    (timeouts, idles, end_idles, stragglers).prop_map(
        |((session_timeout, timeout_grace), broadcast_idle, end_idle, straggler)| Rules {
            session_timeout,
            timeout_grace,
            broadcast_idle,
            end_idle,
            straggler,
            ..Rules::default()
        },
    )
}

fn gaps() -> impl Strategy<Value = Vec<Gap>> {
    let at = || proptest::option::weighted(0.8, (0..60i64).prop_map(|step| T + step * 10_000 + 1));
    proptest::collection::vec((at(), at()).prop_map(|(before, after)| Gap { before, after, is_beginning: false }), 0..4)
}

fn script_of(draws: &[Draw]) -> Script {
    let mut script = Script::default();
    for draw in draws {
        match draw.kind {
            Kind::Retweet => {
                let followers = (draw.salt % 5 > 0).then_some(i64::from(draw.salt % 5));
                script.retweet(draw.broadcast, draw.viewer, draw.salt % 3, followers, draw.ts);
            }
            Kind::End => script.add(Kind::End, draw.broadcast, 0, 0, draw.ts),
            kind => script.add(kind, draw.broadcast, draw.viewer, draw.session, draw.ts),
        }
    }
    script
}

/// Adds an end at the last event of each airing, so that no session is open after it.
fn ended(mut draws: Vec<Draw>, rules: &Rules) -> Vec<Draw> {
    for broadcast in 0..2 {
        for airing in script_of(&draws).airings(broadcast, rules).airings {
            let ts = airing.last_sign;
            let end = Draw { kind: Kind::End, broadcast, viewer: 0, session: 0, ts, delay: 0, round: 0, salt: 0 };
            draws.push(end);
        }
    }
    draws
}

fn lane_of(draw: &Draw, lanes: usize) -> usize {
    let lane = if draw.kind <= Kind::Leave { draw.viewer } else { u128::from(draw.salt) };
    usize::try_from(lane).unwrap_or(0) % lanes
}

/// One thing at a time, as it would come: an event to push, then perhaps a round. Gives what `each` saw of it.
struct Play {
    rules: Rules,
    alone: LiveAlone,
    rows: Vec<MinuteRow>,
    watermark: Ms,
    newest: Ms,
    /// What the log keeps: lane, event, `late_at`, commit.
    log: Vec<(usize, Event, Option<Ms>, i64)>,
    /// The newest commit.
    commit: i64,
    settled: Vec<SettledBefore>,
    /// What was lost of the input. The event after a gap is known once it has come.
    gaps: Vec<Gap>,
}

/// What a snapshot keeps.
struct Base {
    commit: i64,
    lanes: Vec<FrozenLane>,
    live: Live,
}

impl Play {
    fn new(rules: Rules, lanes: usize) -> Play {
        let alone = LiveAlone::new(rules, lanes);
        Play {
            rules,
            alone,
            rows: Vec::new(),
            watermark: 0,
            newest: 0,
            log: Vec::new(),
            commit: 0,
            settled: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn with(mut self, gaps: &[Gap]) -> Play {
        self.gaps = gaps.to_vec();
        self.tell_gaps();
        self
    }

    fn tell_gaps(&mut self) {
        let known = |gap: &Gap| Gap { after: gap.after.filter(|after| *after <= self.newest), ..*gap };
        let gaps: Vec<Gap> = self.gaps.iter().map(known).collect();
        self.alone.live.set_gaps(&gaps);
    }

    fn step(&mut self, draw: &Draw, event: Event, details: &Details, is_orderly: bool) {
        let lane = lane_of(draw, self.alone.lanes.len());
        let late_at = self.alone.lanes[lane].push(event, details);
        self.log.push((lane, event, late_at, self.commit + 1));
        self.newest = self.newest.max(draw.ts);
        self.tell_gaps();
        match draw.round {
            0 => self.round(self.newest - LATENESS),
            // A watermark that runs ahead of what is still to come, so that it comes late.
            1 if !is_orderly => self.round(self.newest + draw.delay - 1_000),
            _ => {}
        }
    }

    fn round(&mut self, watermark: Ms) {
        self.watermark = self.watermark.max(watermark);
        self.rows.extend(self.alone.advance(self.watermark));
    }

    fn all(mut self, draws: &[Draw], script: &Script, is_orderly: bool) -> Vec<MinuteRow> {
        for (draw, event) in draws.iter().zip(&script.events) {
            self.step(draw, *event, &script.details, is_orderly);
        }
        self.rows.extend(self.alone.finish());
        assert_eq!(self.alone.lanes.iter().map(|lane| lane.open_sessions() + lane.held()).sum::<usize>(), 0);
        for broadcast in 0..2 {
            assert_eq!(self.alone.live.now(broadcast), 0);
        }
        sorted(self.rows)
    }

    /// A cut, with what is due to settle.
    fn cut(&mut self) {
        self.round(self.watermark);
        let due = self.alone.live.due();
        self.commit += 1;
        if !due.is_empty() {
            let frontiers: Vec<_> = due.iter().map(|due| (due.broadcast, due.frontier)).collect();
            frontiers.iter().for_each(|(broadcast, frontier)| self.alone.set_frontier(*broadcast, *frontier));
            self.settled.push(SettledBefore { read_to: self.commit, watermark: Some(self.watermark), frontiers });
            self.commit += 1;
        }
    }

    /// Frozen right after a cut; it may be nothing that settled with it.
    fn freeze(&self) -> Option<Base> {
        let lanes: Option<Vec<FrozenLane>> = self.alone.lanes.iter().map(Lane::freeze).collect();
        let commit = self
            .settled
            .last()
            .map_or(self.commit, |last| if last.read_to + 1 == self.commit { last.read_to } else { self.commit });
        Some(Base { commit, lanes: lanes?, live: self.alone.live.clone() })
    }

    /// The state that `base` and the log give.
    fn resumed(&self, base: Base, details: &Details, order: u64) -> LiveAlone {
        let mut sorted_log = self.log.clone();
        sorted_log.sort_by_key(|(_, event, ..)| (event.when() ^ order).wrapping_mul(order | 1));
        let known = base.live.snapshot();
        let lanes = base.lanes.into_iter().map(|frozen| {
            let mut lane = Lane::restore(self.rules, frozen.watermark);
            known.frontiers.iter().for_each(|one| lane.set_frontier(one.broadcast, one.at));
            frozen.late.iter().for_each(|late| lane.put_late(late));
            if order.is_multiple_of(2) {
                frozen.crowds().for_each(|crowd| lane.put_crowd(&crowd));
            }
            let (sessions, viewers, left) = frozen.thaw();
            sessions.for_each(|session| lane.put_session(&session));
            viewers.for_each(|viewer| lane.put_viewer(&viewer));
            left.for_each(|session| lane.put_left(&session));
            lane
        });
        let live = Live::restore(self.rules, &known);
        let settled = self.settled.iter().filter(|settled| settled.read_to >= base.commit).cloned().collect();
        let mut resume = Resume::new(lanes.collect(), live, base.commit, settled);
        for (lane, event, late_at, commit) in &sorted_log {
            let is_new = resume.push(*lane, *commit, *event, details, *late_at);
            assert_eq!(is_new, *commit > base.commit);
        }
        let (lanes, live) = resume.finish(Some(self.watermark));
        LiveAlone { lanes, live }
    }

    fn states(&self) -> String {
        states(&self.alone)
    }
}

fn states(alone: &LiveAlone) -> String {
    let lanes: Vec<String> = alone.lanes.iter().map(frozen::told).collect();
    format!("{} {:#?}", lanes.concat(), alone.live.snapshot())
}

/// Rows as live ones are: returns are told when settled.
fn without_returns(mut rows: Vec<MinuteRow>) -> Vec<MinuteRow> {
    rows.iter_mut().flat_map(|row| &mut row.distinct).for_each(|distinct| distinct.returns = 0);
    rows
}

fn backdated(mut rules: Rules, grace: bool) -> Rules {
    if grace {
        rules.timeout_grace = 0;
    }
    rules
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Where nothing was late and nothing lapsed but by a time-out with its whole grace, live and settled are equal,
    /// for any order within the lateness, any split over lanes, any rounds.
    #[test]
    fn live_equals_settled(rules in rules(), draws in draws(40), lanes in 1..4usize) {
        let mut draws = ended(draws, &rules);
        draws.sort_by_key(|draw| draw.ts + draw.delay);
        let script = script_of(&draws);
        let live = Play::new(rules, lanes).all(&draws, &script, true);
        audit(&live);
        prop_assert_eq!(live, without_returns(script.settled(&rules)));
    }

    /// Live and settled are equal where the input has gaps, in which minutes are complete, too.
    #[test]
    fn live_equals_settled_where_the_input_has_gaps(
        rules in rules(), draws in draws(40), lanes in 1..4usize, gaps in gaps(), at in 0..40usize
    ) {
        let mut draws = ended(draws, &rules);
        draws.sort_by_key(|draw| draw.ts + draw.delay);
        let script = script_of(&draws);
        let mut play = Play::new(rules, lanes).with(&gaps);
        for (place, (draw, event)) in draws.iter().zip(&script.events).enumerate() {
            if place == at {
                play.cut();
                let base = play.freeze().expect("nothing is late");
                play.alone = play.resumed(base, &script.details, 1);
            }
            play.step(draw, *event, &script.details, true);
        }
        // Of a gap after which nothing came, nobody knows the end.
        let newest = play.newest;
        let known: Vec<Gap> =
            gaps.iter().map(|gap| Gap { after: gap.after.filter(|after| *after <= newest), ..*gap }).collect();
        play.rows.extend(play.alone.finish());
        prop_assert_eq!(sorted(play.rows), without_returns(script.settled_with(&rules, &known)));
    }

    /// Whatever comes, however late: the identities hold, and lanes and a second run make no difference.
    #[test]
    fn identities_hold_for_any_disorder(
        rules in rules(), grace in any::<bool>(), draws in draws(40), lanes in 2..4usize
    ) {
        let rules = backdated(rules, grace);
        let script = script_of(&draws);
        let rows = Play::new(rules, lanes).all(&draws, &script, false);
        audit(&rows);
        prop_assert_eq!(&rows, &Play::new(rules, lanes).all(&draws, &script, false));
        prop_assert_eq!(&rows, &Play::new(rules, 1).all(&draws, &script, false));
    }

    /// What came late, and what lapsed, is as the plainest reading of the contract has it.
    #[test]
    fn live_is_what_the_contract_says(
        rules in rules(), grace in any::<bool>(), draws in draws(40), lanes in 1..4usize
    ) {
        let rules = backdated(rules, grace);
        let script = script_of(&draws);
        let mut play = Play::new(rules, lanes);
        for (draw, event) in draws.iter().zip(&script.events) {
            play.step(draw, *event, &script.details, false);
        }
        let stood = play.watermark;
        play.rows.extend(play.alone.finish());
        let log: Vec<_> = play.log.iter().map(|(_, event, late_at, _)| (*event, *late_at)).collect();
        prop_assert_eq!(sorted(play.rows), plain::rows(&rules, &log, &script.details, stood));
    }

    /// A state frozen at any cut, written down while the lanes go on, and brought forward over the log, in any order,
    /// is the state that was never left: with late events, time-outs, ends, and airings that settle before and after.
    #[test]
    fn a_frozen_state_and_the_log_give_the_state_that_went_on(
        rules in rules(), grace in any::<bool>(), draws in draws(60), lanes in 1..4usize, order in any::<u64>(),
        is_orderly in any::<bool>()
    ) {
        let rules = backdated(rules, grace);
        let script = script_of(&draws);
        let mut play = Play::new(rules, lanes);
        play.round(T - LATENESS);
        let (mut bases, mut rests) = (Vec::new(), Vec::new());
        for (draw, event) in draws.iter().zip(&script.events) {
            play.step(draw, *event, &script.details, is_orderly);
            if draw.salt % 4 == 0 {
                play.cut();
                bases.extend(play.freeze());
            }
        }
        play.cut();
        let after = draws.iter().zip(&script.events).take(12);
        for base in bases {
            let mut again = play.resumed(base, &script.details, order);
            play.round(play.watermark);
            prop_assert_eq!(states(&again), play.states());
            // And it goes on alike: the same late events, the same rows.
            let mut went_on = play.alone.clone();
            let mut told = Vec::new();
            for alone in [&mut again, &mut went_on] {
                let mut rows = Vec::new();
                for (draw, event) in after.clone() {
                    let later = event.at(event.ts() + 100_000);
                    alone.lanes[lane_of(draw, lanes)].push(later, &script.details);
                    rows.extend(alone.advance(play.watermark + 20_000));
                }
                rows.extend(alone.finish());
                told.push(sorted(rows));
            }
            rests.push(told);
        }
        for told in rests {
            prop_assert_eq!(&told[0], &told[1]);
        }
    }

    /// The log with its `late_at`, in any order and in one round, gives the state that many rounds gave.
    #[test]
    fn the_log_rebuilds_the_state(
        rules in rules(), grace in any::<bool>(), draws in draws(40), lanes in 1..4usize, order in any::<u64>(),
        gaps in gaps()
    ) {
        let rules = backdated(rules, grace);
        let script = script_of(&draws);
        // Known from the beginning, as they are when a log is read again.
        let mut play = Play::new(rules, lanes);
        play.alone.live.set_gaps(&gaps);
        for (draw, event) in draws.iter().zip(&script.events) {
            play.step(draw, *event, &script.details, false);
        }
        play.round(T - LATENESS);
        let mut log = play.log.clone();
        log.sort_by_key(|(_, event, ..)| (event.when() ^ order).wrapping_mul(order | 1));
        let mut again = Play::new(play.rules, lanes);
        again.alone.live.set_gaps(&gaps);
        for (lane, event, late_at, _) in log {
            again.alone.lanes[lane].push_logged(event, &script.details, late_at);
        }
        again.round(play.watermark);
        prop_assert_eq!(again.states(), play.states());
        prop_assert_eq!(sorted(again.rows), sorted(play.rows));
    }

    /// Where nothing was late, what is not settled is enough: the log from the frontiers on gives the state, once the
    /// minutes have closed in which they lie.
    #[test]
    fn the_log_from_the_frontiers_on_rebuilds_the_state(
        rules in rules(), grace in any::<bool>(), draws in draws(60), lanes in 1..4usize
    ) {
        let rules = backdated(rules, grace);
        let mut draws = draws;
        draws.sort_by_key(|draw| draw.ts + draw.delay);
        let script = script_of(&draws);
        let mut play = Play::new(rules, lanes);
        for (draw, event) in draws.iter().zip(&script.events) {
            play.step(draw, *event, &script.details, true);
            if draw.salt % 4 == 0 {
                play.cut();
            }
        }
        let frontiers: BTreeMap<u32, Frontier> =
            play.settled.iter().flat_map(|settled| settled.frontiers.iter().copied()).collect();
        // What minutes tell of a frontier may be another than what all events do, so that is not what settles.
        let is_settled = |(broadcast, frontier): &(u32, Frontier)| {
            script.airings(*broadcast, &rules).airings.iter().any(|airing| airing.frontier == *frontier)
        };
        if !play.settled.iter().flat_map(|settled| &settled.frontiers).all(is_settled) {
            return Ok(());
        }
        let closed = frontiers.values().map(|frontier| (frontier.at.div_euclid(60_000) + 1) * 60_000).max();
        play.round(closed.unwrap_or(0));
        let mut again = LiveAlone::new(rules, lanes);
        for (broadcast, frontier) in &frontiers {
            again.set_frontier(*broadcast, *frontier);
            frontier.off_air.into_iter().for_each(|last_at| again.live.begin_off_air(*broadcast, last_at));
        }
        for (lane, event, late_at, _) in &play.log {
            if frontiers.get(&event.broadcast).is_none_or(|frontier| event.ts() >= frontier.at) {
                again.lanes[*lane].push_logged(*event, &script.details, *late_at);
            }
        }
        again.advance(play.watermark);
        // Since when a broadcast is off air matters no more, once its airings are parted.
        let told = |alone: &LiveAlone| {
            let mut state = alone.live.snapshot();
            for stage in state.stages.iter_mut().filter(|stage| stage.has_parted) {
                stage.off_air_since = Some(0);
            }
            format!("{} {state:#?}", alone.lanes.iter().map(frozen::told).collect::<String>())
        };
        prop_assert_eq!(told(&again), told(&play.alone));
    }

    /// What is settled comes no more: behind a frontier an event changes nothing but the number of late ones.
    #[test]
    fn behind_the_frontier_only_late_changes(rules in rules(), draws in draws(30), late in draws(10)) {
        let script = script_of(&draws);
        let mut play = Play::new(rules, 2);
        for (draw, event) in draws.iter().zip(&script.events) {
            play.step(draw, *event, &script.details, true);
        }
        play.round(play.newest + 1);
        for due in play.alone.live.due() {
            play.alone.set_frontier(due.broadcast, due.frontier);
            let behind = script_of(&late);
            let mut other = play.alone.clone();
            let mut came = 0;
            let of_it = |event: &&Event| event.broadcast == due.broadcast && event.ts() < due.frontier.at;
            for event in behind.events.iter().filter(of_it) {
                came += i64::from(other.lanes[0].push(*event, &behind.details).is_some());
            }
            let told = other.finish();
            let blank = |rows: &[MinuteRow]| {
                rows.iter().map(|row| MinuteRow { late: 0, ..row.clone() }).collect::<Vec<_>>()
            };
            let before = play.alone.clone().finish();
            prop_assert_eq!(blank(&told), blank(&before));
            let count = |rows: &[MinuteRow]| rows.iter().map(|row| row.late).sum::<i64>();
            prop_assert!(count(&told) - count(&before) <= came);
        }
    }
}
