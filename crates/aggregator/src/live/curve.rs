//! The owner's part of the live curve: it finds the silences, adds up the changes of all lanes, and closes the minutes.

use super::END_OF_DATA;
use super::gaps::{EndedSession, Exposed, LiveGaps};
use super::onair::{Applied, LateMinutes, OnAir};
use super::round::{Changes, Directive, Directives, Gathered, Heard};
use super::state::{FrontierState, LateMinute, LiveState, SignsState, SoFar, StageState, TweetState, UnsettledEnd};
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
    /// When to look whether a broadcast has been silent for `broadcast_idle`: one entry a stage with a last sign, no
    /// later than that.
    silences: BTreeSet<(Ms, u32)>,
    /// Between `advance` and `close`.
    rounds: BTreeMap<u32, Round>,
    /// The watermark of the round before, between `advance` and `close`.
    before: Ms,
    gaps: LiveGaps,
    /// Up to where the broadcasts are settled that are so at all.
    frontiers: BTreeMap<u32, Frontier>,
}

/// What is known of one broadcast.
#[derive(Clone, Debug)]
struct Stage {
    /// Unless it has been silent for `broadcast_idle` since.
    last_sign: Option<Ms>,
    /// Whether `silences` has it.
    is_watched: bool,
    /// The greatest `ts` of its applied ends.
    ended: Ms,
    late: LateMinutes,
    /// Ascending; only the last may be on air, the others are over and wait for their last minute to close.
    airings: Vec<OnAir>,
    waiting: i64,
    unsettled: Timeline,
    /// What the gaps of the input left open.
    exposed: Exposed,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            last_sign: None,
            is_watched: false,
            ended: Ms::MIN,
            late: LateMinutes::new(),
            airings: Vec::new(),
            waiting: 0,
            unsettled: Timeline::default(),
            exposed: Exposed::default(),
        }
    }
}

/// What one round applies to one broadcast besides its sessions.
#[derive(Clone, Debug, Default)]
struct Round {
    /// Ascending.
    silences: Vec<Ms>,
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
    /// The ±1 of the events that still wait, duplicates not removed: `viewers + waiting` is the number for now.
    pub waiting: i64,
    /// What it has had up to the watermark.
    pub so_far: SoFar,
}

impl Live {
    /// No broadcasts yet.
    pub fn new(rules: Rules) -> Live {
        let (watermark, rolled) = (Ms::MIN, Ms::MIN);
        let (stages, silences, rounds, gaps, frontiers) = Default::default();
        Live { rules, watermark, rolled, stages, silences, rounds, before: Ms::MIN, gaps, frontiers }
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
    pub fn advance(&mut self, watermark: Ms, gathered: Vec<Gathered>) -> Directives {
        self.before = self.watermark;
        self.watermark = self.watermark.max(watermark);
        let mut heard = BTreeMap::<u32, Heard>::new();
        for (broadcast, one) in gathered.into_iter().flat_map(|lane| lane.heard) {
            match heard.entry(broadcast) {
                std::collections::btree_map::Entry::Vacant(gap) => {
                    gap.insert(one);
                }
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut().merge(one),
            }
        }
        while let Some((_, broadcast)) = self.silences.first().copied().filter(|(at, _)| *at < self.watermark) {
            self.silences.pop_first();
            stage_of(&mut self.stages, broadcast).is_watched = false;
            heard.entry(broadcast).or_default();
        }
        let broadcasts = heard.into_iter().filter_map(|(broadcast, heard)| {
            let has_late_joins = !heard.late_joins.is_empty();
            let directive = self.hear(broadcast, heard);
            (has_late_joins || !directive.boundaries.is_empty()).then_some((broadcast, directive))
        });
        let broadcasts = broadcasts.collect();
        Directives { watermark: self.watermark, gaps_to: self.gaps.latest(), broadcasts }
    }

    fn hear(&mut self, broadcast: u32, mut heard: Heard) -> Directive {
        let idle = self.rules.broadcast_idle;
        let stage = stage_of(&mut self.stages, broadcast);
        for (minute, late) in heard.late {
            *stage.late.entry(minute).or_default() += late;
        }
        stage.waiting += heard.waiting;
        stage.unsettled.merge(heard.unsettled);
        self.frontiers.get(&broadcast).into_iter().for_each(|from| stage.unsettled.begin_in_minute(*from));

        heard.ends.sort_unstable();
        let ends_alone = Directive::new(stage.ended, &heard.ends, &[]);
        for (at, ts) in heard.late_joins {
            // A late join from before an applied end is no sign: it changes nothing but the number of late events.
            if !ends_alone.had_ended(ts, at) {
                heard.signs.add(Signs { first: at, last: at, ..Signs::NONE });
            }
        }
        let mut silences = Vec::new();
        for signs in heard.signs.signs() {
            silences.extend(stage.last_sign.map(|last| last + idle).filter(|silent_at| *silent_at <= signs.first));
            stage.last_sign = Some(signs.last);
        }
        let is_last = self.watermark == END_OF_DATA;
        // The end of the data passes no instant: what nobody was silent for until then is no silence.
        let passed = if is_last { self.before.saturating_add(1) } else { self.watermark };
        if let Some(silent_at) = stage.last_sign.map(|last| last + idle).filter(|at| *at < passed) {
            silences.push(silent_at);
            stage.last_sign = None;
        }
        let ended_by_data = stage.last_sign.take_if(|_| is_last);
        if let Some(last) = stage.last_sign
            && !std::mem::replace(&mut stage.is_watched, true)
        {
            self.silences.insert((last + idle, broadcast));
        }
        let mut directive = Directive::new(stage.ended, &heard.ends, &silences);
        if let Some(last) = ended_by_data {
            directive.end_data(last.max(self.before), last < self.before);
        }
        stage.ended = directive.ended();
        heard.retweets.sort_unstable_by_key(|(at, tweet, _)| (*at, *tweet));
        let ends = heard.ends.iter().map(|(at, _)| *at).collect();
        self.rounds.insert(broadcast, Round { silences, ends, retweets: heard.retweets, is_last });
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
            if stage.ended < frontier.at {
                // What came before that end comes before the frontier.
                stage.ended = Ms::MIN;
            }
        }
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
            let ended = (stage.ended > Ms::MIN).then_some(stage.ended);
            if ended.is_some() || stage.last_sign.is_some() {
                state.stages.push(StageState { broadcast, last_sign: stage.last_sign, ended });
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
                joins: (signs.first_join < Ms::MAX).then_some((signs.first_join, signs.last_join)),
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
            (stage.last_sign, stage.ended) = (one.last_sign, one.ended.unwrap_or(Ms::MIN));
            stage.is_watched = one.last_sign.is_some();
            live.silences.extend(one.last_sign.map(|last| (last + rules.broadcast_idle, one.broadcast)));
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
            let (first_join, last_join) = one.joins.unwrap_or((Ms::MAX, Ms::MIN));
            let signs = Signs { first: one.first, last: one.last, first_join, last_join, ..Signs::NONE };
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
    /// Applies a round, stretch by stretch between the silences.
    fn take(&mut self, broadcast: u32, watermark: Ms, changes: &[u64], round: &Round, rows: &mut Vec<MinuteRow>) {
        let (mut changes, mut ends, mut retweets) = (changes, &round.ends[..], &round.retweets[..]);
        self.roll_over(watermark, rows);
        for silent_at in &round.silences {
            // A lapse by silence or time-out at that ms is the old airing's, all else is the new one's.
            let first_new = packed(*silent_at, What::Join, 0);
            let (old_changes, new_changes) = changes.split_at(changes.partition_point(|change| *change < first_new));
            let (old_ends, new_ends) = ends.split_at(ends.partition_point(|at| at < silent_at));
            let (old, new) = retweets.split_at(retweets.partition_point(|(at, _, _)| at < silent_at));
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
        self.last_sign.is_none()
            && !self.is_watched
            && self.ended == Ms::MIN
            && self.late.is_empty()
            && self.airings.is_empty()
            && self.waiting == 0
            && self.unsettled.is_blank()
    }
}
