//! A tally: the simulator's own bookkeeping of what it decided, deed by deed in order of time. It knows who stays how
//! long before the fact, and shares no code with the product, whose count it is there to check.

use crate::Ms;
use crate::count::{MINUTE_MS, RunningCount};
use crate::crowd::{Root, Session};
use crate::event::write_user;
use crate::retweets::Retweet;
use crate::truth::{BroadcastTruth, MinuteTruth, RetweetTruth};

/// Who is back after so long, ms, returns: the default of the contract's `return_within`.
const RETURN_WITHIN_MS: Ms = 60_000;

/// The truth of one broadcast so far.
#[derive(Debug)]
pub(crate) struct TruthTally {
    start: Ms,
    truth: BroadcastTruth,
    /// The row of the minute that is under way; none before the first deed.
    row: Option<MinuteTruth>,
    /// The instant whose changes are being gathered.
    now: Ms,
    /// Sessions, C(t).
    sessions: RunningCount,
    /// Viewers, D(t).
    people: RunningCount,
    /// All who ever came, by their numbers.
    viewers: Vec<Presence>,
    /// Of whom a session began or ended at this instant.
    moved: Vec<u32>,
    /// When a session last closed, or the end came.
    closed_at: Ms,
    /// Open sessions, and the sum of their joins, ms after the start: of all, and of each retweet.
    open: Open,
    open_by_retweet: Vec<Open>,
    /// When the sessions went whose leave was lost.
    lost: Vec<Ms>,
    last_event: Ms,
}

/// Where a viewer is.
#[derive(Clone, Copy, Debug, Default)]
struct Presence {
    /// Open sessions.
    open: u32,
    /// Whether there was one before this instant.
    there: bool,
    /// When there was last one, if there is none.
    gone_at: Option<Ms>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    sessions: i64,
    joined_at: i64,
}

impl Open {
    /// The stays of all that is open, if they were over at `at`, ms after the start.
    fn stays(self, at: i64) -> i64 {
        self.sessions * at - self.joined_at
    }
}

impl TruthTally {
    /// An empty tally of a broadcast that starts at `start` and breaks down at `crash_at`.
    pub(crate) fn new(broadcast_id: String, start: Ms, crash_at: Option<Ms>, retweets: &[Retweet]) -> TruthTally {
        let effects = retweets.iter().map(|retweet| effect(start, retweet)).collect();
        TruthTally {
            start,
            truth: BroadcastTruth { broadcast_id, crash_at, effects, ..BroadcastTruth::default() },
            row: None,
            now: start,
            sessions: RunningCount::default(),
            people: RunningCount::default(),
            viewers: Vec::new(),
            moved: Vec::new(),
            closed_at: start,
            open: Open::default(),
            open_by_retweet: vec![Open::default(); retweets.len()],
            lost: Vec::new(),
            last_event: start,
        }
    }

    /// A second copy of an event was sent.
    pub(crate) fn repeated(&mut self) {
        self.truth.repeated += 1;
    }

    /// A heartbeat was sent.
    pub(crate) fn lived(&mut self, at: Ms) {
        self.truth.applied += 1;
        self.last_event = at;
    }

    /// A join was sent.
    pub(crate) fn joined(&mut self, session: &Session) {
        let row = self.apply(self.start + Ms::from(session.joined_at));
        row.joins += 1;
        row.new_viewers += i64::from(session.new_viewer);
        self.sessions.change += 1;
        self.presence(session.viewer).open += 1;
        let truth = &mut self.truth;
        truth.first_joined_at.get_or_insert(self.now);
        truth.sessions += 1;
        truth.reach += i64::from(session.new_viewer);
        truth.reconnects += i64::from(session.root == Root::Reconnect);
        if let Some(effect) = session.root.retweet().and_then(|place| truth.effects.get_mut(place as usize)) {
            effect.joins += 1;
            effect.joins_direct += i64::from(matches!(session.root, Root::Retweet(_)));
            effect.joins_via += i64::from(session.via);
        }
        for open in self.opens(session) {
            open.sessions += 1;
            open.joined_at += i64::from(session.joined_at);
        }
    }

    /// A leave was sent.
    pub(crate) fn left(&mut self, session: &Session) {
        self.apply(self.start + Ms::from(session.leaves_at)).leaves += 1;
        self.sessions.change -= 1;
        self.presence(session.viewer).open -= 1;
        self.closed_at = self.now;
        self.truth.leaves += 1;
        let stay = i64::from(session.leaves_at) - i64::from(session.joined_at);
        self.truth.viewer_ms += stay;
        if let Some(effect) = session.root.retweet().and_then(|place| self.truth.effects.get_mut(place as usize)) {
            effect.viewer_ms += stay;
        }
        for open in self.opens(session) {
            open.sessions -= 1;
            open.joined_at -= i64::from(session.joined_at);
        }
    }

    /// A leave was lost: nobody can know of it.
    pub(crate) fn lost(&mut self, session: &Session) {
        self.lost.push(self.start + Ms::from(session.leaves_at));
    }

    /// A retweet was sent.
    pub(crate) fn retweeted(&mut self, retweet: &Retweet) {
        let followers = if retweet.known { i64::from(retweet.followers) } else { 0 };
        let row = self.apply(self.start + Ms::from(retweet.at));
        row.retweets += 1;
        row.retweet_followers += followers;
        self.truth.retweets += 1;
        self.truth.retweet_followers += followers;
    }

    /// The broadcast's `end` was sent.
    pub(crate) fn ended(&mut self, at: Ms) {
        self.apply(at);
        self.lapse();
    }

    /// The truth, when nothing more happens; none where no event was sent.
    pub(crate) fn finish(mut self) -> Option<BroadcastTruth> {
        if self.open.sessions > 0 {
            self.advance(self.last_event);
            self.lapse();
        }
        self.gather();
        self.close_row();
        self.truth.airtime_ms = self.truth.first_joined_at.map(|first| self.closed_at - first);
        (self.truth.applied > 0).then_some(self.truth)
    }

    /// Takes note of an event that changes something, and gives the row of its minute.
    fn apply(&mut self, at: Ms) -> &mut MinuteTruth {
        self.truth.applied += 1;
        self.last_event = at;
        self.advance(at)
    }

    /// Goes on to an instant.
    fn advance(&mut self, at: Ms) -> &mut MinuteTruth {
        let minute_at = at.div_euclid(MINUTE_MS) * MINUTE_MS;
        if self.row.is_none() {
            self.truth.airing_at = at;
        } else if at > self.now {
            self.gather();
            while self.row.as_ref().is_some_and(|row| row.minute_at < minute_at) {
                let next = self.close_row() + MINUTE_MS;
                self.row = Some(self.new_row(next));
            }
        }
        self.now = at;
        self.truth.last_at = at;
        if self.row.is_none() {
            self.row = Some(self.new_row(minute_at));
        }
        self.row.get_or_insert_default()
    }

    fn new_row(&mut self, minute_at: Ms) -> MinuteTruth {
        self.sessions.begin(minute_at);
        self.people.begin(minute_at);
        MinuteTruth { minute_at, ..MinuteTruth::default() }
    }

    /// A viewer of whom a session begins or ends now.
    fn presence(&mut self, viewer: u32) -> &mut Presence {
        self.moved.push(viewer);
        let place = viewer as usize;
        if self.viewers.len() <= place {
            self.viewers.resize(place + 1, Presence::default());
        }
        &mut self.viewers[place]
    }

    /// Lets what was gathered for this instant happen.
    fn gather(&mut self) {
        self.sessions.gather(self.now);
        for viewer in self.moved.drain(..) {
            let one = &mut self.viewers[viewer as usize];
            let there = one.open > 0;
            self.people.change += i64::from(there) - i64::from(one.there);
            if there && !one.there {
                let returns = one.gone_at.take().is_some_and(|gone_at| self.now - gone_at <= RETURN_WITHIN_MS);
                self.truth.returns += i64::from(returns);
                if let Some(row) = &mut self.row {
                    row.returns += i64::from(returns);
                }
            } else if one.there && !there {
                one.gone_at = Some(self.now);
            }
            one.there = there;
        }
        self.people.gather(self.now);
    }

    /// Keeps the row under way as the truth of its minute, which it returns.
    fn close_row(&mut self) -> Ms {
        let Some(mut row) = self.row.take() else {
            return self.now;
        };
        let (minute_at, end) = (row.minute_at, row.minute_at + MINUTE_MS);
        let (sessions, people) = (self.sessions.close(), self.people.close());
        (row.viewers_start, row.viewers_end, row.viewers_min) = (sessions.start, sessions.end, sessions.min);
        (row.viewers_max, row.viewers_max_at, row.viewer_ms) = (sessions.max, sessions.max_at, sessions.ms);
        (row.distinct_start, row.distinct_end, row.distinct_min) = (people.start, people.end, people.min);
        (row.distinct_max, row.distinct_max_at, row.distinct_ms) = (people.max, people.max_at, people.ms);
        let unnoticed = self.lost.partition_point(|gone_at| *gone_at < end) as u64;
        row.present_end = if row.viewers_end == 0 { 0 } else { row.viewers_end - unnoticed.cast_signed() };
        let truth = &mut self.truth;
        if row.viewers_max > truth.viewers_max {
            (truth.viewers_max, truth.viewers_max_at) = (row.viewers_max, Some(row.viewers_max_at));
        }
        if row.distinct_max > truth.distinct_max {
            (truth.distinct_max, truth.distinct_max_at) = (row.distinct_max, Some(row.distinct_max_at));
        }
        truth.distinct_ms += row.distinct_ms;
        truth.minutes.push(row);
        minute_at
    }

    /// Closes all that is open, now.
    fn lapse(&mut self) {
        let at = self.now - self.start;
        let open = std::mem::take(&mut self.open);
        self.sessions.change -= open.sessions;
        self.closed_at = self.now;
        for (viewer, one) in (0..).zip(&mut self.viewers).filter(|(_, one)| one.open > 0) {
            one.open = 0;
            self.moved.push(viewer);
        }
        self.truth.lapses += open.sessions;
        self.truth.viewer_ms += open.stays(at);
        if let Some(row) = &mut self.row {
            row.lapses += open.sessions;
        }
        for (effect, open) in self.truth.effects.iter_mut().zip(&mut self.open_by_retweet) {
            effect.viewer_ms += std::mem::take(open).stays(at);
        }
    }

    /// What is open of all, and of the session's retweet.
    fn opens(&mut self, session: &Session) -> impl Iterator<Item = &mut Open> {
        let by_retweet = session.root.retweet().and_then(|place| self.open_by_retweet.get_mut(place as usize));
        std::iter::once(&mut self.open).chain(by_retweet)
    }
}

/// The row of a retweet that has not caused anything yet.
fn effect(start: Ms, retweet: &Retweet) -> RetweetTruth {
    let mut user = Vec::new();
    write_user(&mut user, retweet.user);
    RetweetTruth {
        tweet_id: retweet.tweet.to_string(),
        user_id: String::from_utf8_lossy(&user).into_owned(),
        followers: retweet.known.then_some(i64::from(retweet.followers)),
        retweeted_at: start + Ms::from(retweet.at),
        retweet_of: retweet.of.map(|of| of.to_string()),
        ..RetweetTruth::default()
    }
}
