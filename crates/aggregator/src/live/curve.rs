//! The owner's part of the live curve: it finds the silences, adds up the changes of all lanes, and closes the minutes.

use super::END_OF_DATA;
use super::air::Air;
use super::gaps::{EndedSession, Exposed, LiveGaps};
use super::onair::{Applied, LateMinutes, OnAir};
use super::round::{Changes, Directive, Directives, Gathered, Heard};
use super::state::{FrontierState, LateMinute, LiveState, SignsState, SoFar, TweetState, UnsettledEnd};
use crate::complete::Gap;
use crate::curve::{What, packed};
use crate::settle::Saying;
use crate::signs::Signs;
use crate::timeline::Timeline;
use crate::{Frontier, Rules};
use audience::time::minute_of;
use audience::{MinuteRow, Ms};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The live curves of all broadcasts. A clone shares what is known of each broadcast until one of the two changes it.
#[derive(Clone, Debug)]
pub struct Live {
    rules: Rules,
    /// `Ms::MIN` before the first round.
    watermark: Ms,
    /// The minute that held the watermark when all stages were last looked at.
    rolled: Ms,
    stages: BTreeMap<u32, Arc<Stage>>,
    /// When to look whether a broadcast has been silent, or off air, for long enough: of each that may be one entry,
    /// no later than that.
    looks: BTreeSet<(Ms, u32)>,
    /// Between `advance` and `close`.
    rounds: BTreeMap<u32, Round>,
    /// The watermark of the round before, between `advance` and `close`.
    before: Ms,
    gaps: LiveGaps,
    /// Up to where the broadcasts are settled that are so at all.
    frontiers: BTreeMap<u32, Frontier>,
}

/// What is known of one broadcast.
#[derive(Clone, Debug, Default)]
struct Stage {
    air: Air,
    /// Its entry of `looks`.
    look_at: Option<Ms>,
    late: LateMinutes,
    /// Ascending; only the last may be on air, the others are over and wait for their last minute to close.
    airings: Vec<OnAir>,
    waiting: i64,
    unsettled: Timeline,
    /// What the gaps of the input left open.
    exposed: Exposed,
}

/// What one round applies to one broadcast besides its sessions.
#[derive(Clone, Debug, Default)]
struct Round {
    /// Silences, and where an end parts two airings; ascending.
    cuts: Vec<Ms>,
    /// Ascending.
    ends: Vec<Ms>,
    /// Ascending by instant and tweet.
    retweets: Vec<(Ms, u128, Saying)>,
    /// The data end with it, so whatever is on air is over.
    is_last: bool,
}

/// An airing that is ready to settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// What lies before it may be settled.
    pub frontier: Frontier,
}

/// An airing on air, at the watermark and now: provisional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Name of the airing, with the broadcast.
    pub airing_at: Ms,
    /// C just before the watermark.
    pub viewers: i64,
    /// D just before the watermark.
    pub distinct: i64,
    /// The ±1 of the events that still wait, duplicates not removed: `viewers + waiting` is the number for now.
    pub waiting: i64,
    /// What it has had up to the watermark.
    pub so_far: SoFar,
}

impl Live {
    /// No broadcasts yet.
    pub fn new(rules: Rules) -> Live {
        let (watermark, rolled) = (Ms::MIN, Ms::MIN);
        let (stages, looks, rounds, gaps, frontiers) = Default::default();
        Live { rules, watermark, rolled, stages, looks, rounds, before: Ms::MIN, gaps, frontiers }
    }

    /// Says what is known of the gaps of the input, between two rounds: all that were told before, in their order, and
    /// new ones behind them. Minutes that close from now on are complete, or not, by it.
    pub fn set_gaps(&mut self, gaps: &[Gap]) {
        for gap in self.gaps.set(gaps, self.watermark) {
            for stage in self.stages.values_mut() {
                let viewers = stage.viewers();
                Arc::make_mut(stage).exposed.begin(gap, viewers);
            }
        }
    }

    /// Adds up what all lanes gathered for the watermark, and finds the ends and silences that it has passed.
    /// [`Live::close`] comes next.
    pub fn advance(&mut self, watermark: Ms, mut gathered: Vec<Gathered>) -> Directives {
        self.before = self.watermark;
        self.watermark = self.watermark.max(watermark);
        let mut heard = BTreeMap::<u32, Heard>::new();
        for (broadcast, one) in gathered.iter_mut().flat_map(|lane| std::mem::take(&mut lane.heard)) {
            match heard.entry(broadcast) {
                std::collections::btree_map::Entry::Vacant(gap) => {
                    gap.insert(one);
                }
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut().merge(one),
            }
        }
        while let Some((_, broadcast)) = self.looks.first().copied().filter(|(at, _)| *at < self.watermark) {
            self.looks.pop_first();
            stage_of(&mut self.stages, broadcast).look_at = None;
            heard.entry(broadcast).or_default();
        }
        let broadcasts = heard.into_iter().filter_map(|(broadcast, heard)| {
            let has_late_signs = !heard.late_signs.is_empty();
            let directive = self.hear(broadcast, heard, &gathered);
            let is_blank = directive.boundaries.is_empty() && directive.off_air.is_empty();
            (has_late_signs || !is_blank).then_some((broadcast, directive))
        });
        let broadcasts = broadcasts.collect();
        Directives { watermark: self.watermark, gaps_to: self.gaps.latest(), broadcasts }
    }

    fn hear(&mut self, broadcast: u32, mut heard: Heard, gathered: &[Gathered]) -> Directive {
        let stage = stage_of(&mut self.stages, broadcast);
        for (minute, late) in std::mem::take(&mut heard.late) {
            *stage.late.entry(minute).or_default() += late;
        }
        stage.waiting += heard.waiting;
        stage.unsettled.merge(std::mem::take(&mut heard.unsettled));
        self.frontiers.get(&broadcast).into_iter().for_each(|from| stage.unsettled.begin_in_minute(*from));

        let mut joins = Vec::new();
        if stage.air.needs_joins(&heard) {
            joins.extend(gathered.iter().flat_map(|lane| lane.joins(broadcast)));
        }
        let directive = stage.air.pass(&self.rules, &heard, &joins, self.before, self.watermark);
        if let Some(at) = stage.air.next(&self.rules).filter(|at| stage.look_at.is_none_or(|look_at| *at < look_at)) {
            if let Some(look_at) = stage.look_at.replace(at) {
                self.looks.remove(&(look_at, broadcast));
            }
            self.looks.insert((at, broadcast));
        }
        heard.retweets.sort_unstable_by_key(|(at, tweet, _)| (*at, *tweet));
        let (cuts, ends) = (directive.cuts().collect(), directive.ends().collect());
        let is_last = self.watermark == END_OF_DATA;
        self.rounds.insert(broadcast, Round { cuts, ends, retweets: heard.retweets, is_last });
        directive
    }

    /// Adds up the changes of all lanes, and gives the minutes that closed: by broadcast, each airing's in order and
    /// without gaps.
    pub fn close(&mut self, changes: Vec<Changes>) -> Vec<MinuteRow> {
        let mut rows = Vec::new();
        let mut by_broadcast = BTreeMap::<u32, Vec<u64>>::new();
        let mut ended = BTreeMap::<u32, Vec<EndedSession>>::new();
        for lane in changes {
            for (broadcast, mut changes) in lane.broadcasts {
                by_broadcast.entry(broadcast).or_default().append(&mut changes);
            }
            lane.ended.into_iter().for_each(|one| ended.entry(one.broadcast).or_default().push(one));
        }
        let mut rounds = std::mem::take(&mut self.rounds);
        for broadcast in by_broadcast.keys() {
            rounds.entry(*broadcast).or_default();
        }
        let (now, idle) = (minute_of(self.watermark), self.rules.broadcast_idle);
        for (broadcast, round) in rounds {
            let mut changes = by_broadcast.remove(&broadcast).unwrap_or_default();
            changes.sort_unstable();
            let stage = stage_of(&mut self.stages, broadcast);
            let first = rows.len();
            stage.take(broadcast, self.watermark, &changes, &round, &mut rows);
            stage.roll(self.watermark, now, &mut rows);
            if !self.gaps.is_empty() {
                let ended = ended.get(&broadcast).map_or(&[][..], Vec::as_slice);
                stage.exposed.take(&self.gaps, self.before, &changes, ended);
            }
            stage.mark(&self.gaps, idle, &mut rows[first..]);
        }
        // A stage without news has a minute to close only where the watermark has passed one.
        if std::mem::replace(&mut self.rolled, now) != now {
            self.stages.retain(|_, stage| {
                let first = rows.len();
                let stage = Arc::make_mut(stage);
                stage.roll(self.watermark, now, &mut rows);
                stage.mark(&self.gaps, idle, &mut rows[first..]);
                !stage.is_blank()
            });
        }
        rows.sort_by_key(|row| (row.broadcast, row.airing_at, row.minute_at));
        rows
    }

    /// The watermark of the last round.
    pub fn watermark(&self) -> Option<Ms> {
        (self.watermark > Ms::MIN).then_some(self.watermark)
    }

    /// The provisional number for now: the level at the watermark, and the ±1 of the events that still wait.
    pub fn now(&self, broadcast: u32) -> i64 {
        self.stages.get(&broadcast).map_or(0, |stage| stage.viewers() + stage.waiting)
    }

    /// All airings on air, ascending by broadcast.
    pub fn standing(&self) -> Vec<Standing> {
        let on_air = self.stages.iter().filter_map(|(broadcast, stage)| {
            let airing = stage.airings.last().filter(|airing| !airing.over)?;
            Some(Standing {
                broadcast: *broadcast,
                airing_at: airing.airing_at(),
                viewers: airing.viewers(),
                distinct: airing.distinct(),
                waiting: stage.waiting,
                so_far: airing.so_far(self.watermark),
            })
        });
        on_air.collect()
    }

    /// The broadcasts that have something to settle at the watermark, each with the frontier up to which it may be,
    /// ascending.
    pub fn due(&self) -> Vec<Due> {
        let due = self.stages.iter().filter_map(|(broadcast, stage)| {
            let airings = stage.unsettled.airings(&self.rules).airings;
            let mut frontiers = airings.iter().rev().map(|airing| airing.frontier);
            let over = frontiers.find(|frontier| frontier.at <= self.watermark)?;
            Some(Due { broadcast: *broadcast, frontier: over })
        });
        due.collect()
    }

    /// Says that what lies before `frontier` is settled. The lanes are told, too:
    /// [`Lane::set_frontier`](super::Lane::set_frontier).
    pub fn set_frontier(&mut self, broadcast: u32, frontier: Frontier) {
        let known = self.frontiers.get(&broadcast).copied().unwrap_or(Frontier::NONE);
        if frontier.at < known.at {
            return;
        }
        // The timeline may tell only the minute of the last event, so that is all that counts.
        let at = frontier.at;
        let rough = |last: Ms| if minute_of(last) == minute_of(at) { at - 1 } else { last };
        let frontier = Frontier { at, off_air: frontier.off_air.map(rough) };
        self.frontiers.insert(broadcast, frontier);
        if let Some(stage) = self.stages.get_mut(&broadcast).map(Arc::make_mut) {
            stage.unsettled.forget_before(frontier);
            stage.air.settle(at);
        }
    }

    /// Says that a broadcast of which nothing is known yet is off air, that its end has parted an airing from what
    /// comes next, and that it gave its last sign at `last_at`: it is settled up to there.
    pub fn begin_off_air(&mut self, broadcast: u32, last_at: Ms) {
        let stage = stage_of(&mut self.stages, broadcast);
        stage.air = Air::off(last_at);
        stage.look_at = stage.air.next(&self.rules);
        self.looks.extend(stage.look_at.map(|at| (at, broadcast)));
    }

    /// The owner's state between two rounds. What the lanes hold is theirs.
    pub fn snapshot(&self) -> LiveState {
        let mut state = LiveState { watermark: self.watermark(), gaps: self.gaps.state(), ..LiveState::default() };
        let frontiers = self.frontiers.iter().map(|(broadcast, frontier)| FrontierState {
            broadcast: *broadcast,
            at: frontier.at,
            off_air: frontier.off_air,
        });
        state.frontiers = frontiers.collect();
        for (broadcast, stage) in &self.stages {
            let broadcast = *broadcast;
            if !stage.air.is_blank() {
                state.stages.push(stage.air.state(broadcast));
            }
            state.airings.extend(stage.airings.iter().map(OnAir::state));
            state.exposed.extend(stage.exposed.state(broadcast));
            let on_air = stage.airings.last().filter(|airing| !airing.over);
            let tweets = on_air.iter().flat_map(|airing| &airing.tweets);
            state.tweets.extend(tweets.map(|tweet| TweetState { broadcast, tweet: *tweet }));
            let late = stage.late.iter();
            state.late.extend(late.map(|(minute_at, late)| LateMinute {
                broadcast,
                minute_at: *minute_at,
                late: *late,
            }));
            state.unsettled.extend(stage.unsettled.signs().map(|signs| SignsState {
                broadcast,
                first: signs.first,
                last: signs.last,
                joins: signs.joins(),
            }));
            let ends = stage.unsettled.ends();
            state.unsettled_ends.extend(ends.map(|at| UnsettledEnd { broadcast, at }));
        }
        state
    }

    /// The owner's part as it was.
    pub fn restore(rules: Rules, state: &LiveState) -> Live {
        let mut live = Live::new(rules);
        live.watermark = state.watermark.unwrap_or(Ms::MIN);
        live.gaps = LiveGaps::restore(&state.gaps);
        for one in &state.exposed {
            stage_of(&mut live.stages, one.broadcast).exposed.restore(one);
        }
        for one in &state.stages {
            let stage = stage_of(&mut live.stages, one.broadcast);
            stage.air = Air::restore(one);
            stage.look_at = stage.air.next(&rules);
            live.looks.extend(stage.look_at.map(|at| (at, one.broadcast)));
        }
        for one in &state.airings {
            stage_of(&mut live.stages, one.broadcast).airings.push(OnAir::restore(one));
        }
        for one in &state.tweets {
            if let Some(airing) = stage_of(&mut live.stages, one.broadcast).airings.last_mut() {
                airing.tweets.insert(one.tweet);
            }
        }
        for one in &state.late {
            stage_of(&mut live.stages, one.broadcast).late.insert(one.minute_at, one.late);
        }
        for one in &state.unsettled {
            let signs = Signs::of(one.first, one.last, one.joins);
            stage_of(&mut live.stages, one.broadcast).unsettled.add(signs);
        }
        for one in &state.unsettled_ends {
            stage_of(&mut live.stages, one.broadcast).unsettled.add_end(one.at);
        }
        for one in &state.frontiers {
            let frontier = Frontier { at: one.at, off_air: one.off_air };
            live.frontiers.insert(one.broadcast, frontier);
            if let Some(stage) = live.stages.get_mut(&one.broadcast).map(Arc::make_mut) {
                stage.unsettled.begin_in_minute(frontier);
            }
        }
        live
    }
}

fn stage_of(stages: &mut BTreeMap<u32, Arc<Stage>>, broadcast: u32) -> &mut Stage {
    Arc::make_mut(stages.entry(broadcast).or_default())
}

impl Stage {
    /// Applies a round, airing by airing.
    fn take(&mut self, broadcast: u32, watermark: Ms, changes: &[u64], round: &Round, rows: &mut Vec<MinuteRow>) {
        let (mut changes, mut ends, mut retweets) = (changes, &round.ends[..], &round.retweets[..]);
        self.roll_over(watermark, rows);
        for cut_at in &round.cuts {
            // A lapse by silence or time-out at that ms is the old airing's, all else is the new one's.
            let first_new = packed(*cut_at, What::Join, 0);
            let (old_changes, new_changes) = changes.split_at(changes.partition_point(|change| *change < first_new));
            let (old_ends, new_ends) = ends.split_at(ends.partition_point(|at| at < cut_at));
            let (old, new) = retweets.split_at(retweets.partition_point(|(at, _, _)| at < cut_at));
            self.stretch(broadcast, old_changes, old_ends, old, rows);
            self.go_off();
            self.roll_over(watermark, rows);
            (changes, ends, retweets) = (new_changes, new_ends, new);
        }
        self.stretch(broadcast, changes, ends, retweets, rows);
        if round.is_last {
            self.go_off();
        }
    }

    /// What is on air is over.
    fn go_off(&mut self) {
        if let Some(airing) = self.airings.last_mut() {
            airing.over = true;
            airing.tweets.clear();
        }
    }

    fn stretch(
        &mut self,
        broadcast: u32,
        changes: &[u64],
        ends: &[Ms],
        retweets: &[(Ms, u128, Saying)],
        rows: &mut Vec<MinuteRow>,
    ) {
        let on_air = self.airings.last().filter(|airing| !airing.over);
        let known = on_air.map(|airing| &airing.tweets);
        let mut tweets = BTreeSet::new();
        let mut counted = Vec::new();
        // Of one tweet the earliest counts; of those at its instant the smallest.
        for same in retweets.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (at, tweet, _) = same[0];
            if known.is_some_and(|known| known.contains(&tweet)) || !tweets.insert(tweet) {
                continue;
            }
            let said = same[1..].iter().fold(same[0].2.clone(), |said, other| said.or_smaller(&other.2.detail()));
            counted.push((at, said.followers.unwrap_or(0)));
        }
        let applied = Applied { changes, ends, retweets: &counted };
        let Some(first) = applied.first() else { return };
        if on_air.is_none() {
            self.airings.push(OnAir::new(broadcast, first));
        }
        let Stage { airings, late, .. } = self;
        if let Some(airing) = airings.last_mut() {
            airing.tweets.append(&mut tweets);
            airing.take(applied, late, rows);
        }
    }

    /// Closes the last minutes of the airings that are over. Where two airings meet in a minute, the late events of
    /// that minute are counted with the first: so it comes first, however many rounds there are.
    fn roll_over(&mut self, watermark: Ms, rows: &mut Vec<MinuteRow>) {
        for airing in self.airings.iter_mut().filter(|airing| airing.over) {
            airing.roll(watermark, &mut self.late, rows);
        }
    }

    /// Closes the minutes that the watermark has passed; `now` is the minute it stands in.
    fn roll(&mut self, watermark: Ms, now: Ms, rows: &mut Vec<MinuteRow>) {
        let Stage { airings, late, .. } = self;
        for airing in airings.iter_mut() {
            airing.roll(watermark, late, rows);
        }
        airings.retain(|airing| !airing.is_done());
        if !late.is_empty() {
            // Late events of minutes that no row will be written for any more.
            let first = airings.iter().map(OnAir::unwritten_from).min().unwrap_or(now);
            *late = late.split_off(&first);
        }
    }

    /// Says of minutes that closed whether they are complete. An airing's first event is here its first applied thing.
    fn mark(&self, gaps: &LiveGaps, idle: Ms, rows: &mut [MinuteRow]) {
        for row in rows {
            row.complete = !gaps.had(row.airing_at - idle) && self.exposed.is_complete(gaps, row.minute_at);
        }
    }

    fn viewers(&self) -> i64 {
        self.airings.last().filter(|airing| !airing.over).map_or(0, OnAir::viewers)
    }

    /// Whether nothing is known of it, so that it can be forgotten.
    fn is_blank(&self) -> bool {
        self.air.is_blank()
            && self.look_at.is_none()
            && self.late.is_empty()
            && self.airings.is_empty()
            && self.waiting == 0
            && self.unsettled.is_blank()
    }
}
