//! Settling: from the events of a broadcast, sorted by viewer, session and time, to its sessions, its retweets and the
//! flow of its curve. A shard of viewers settles by itself; the flows of all shards add up.

use crate::airings::Airings;
use crate::curve::Flow;
use crate::machine::{Effect, Open, Tick, apply, straggles};
use crate::presence::Presence;
use crate::{Rules, Tally};
use audience::{Details, Ended, Event, Kind, Ms, NO_DETAIL, RetweetDetail, RetweetRow, SessionRow};

/// Events in the order (broadcast, viewer, session, ts, kind).
pub trait Sorted {
    /// The next event, which stays the next until [`Sorted::advance`].
    fn peek(&mut self) -> Option<Event>;
    /// Goes on to the next event.
    fn advance(&mut self);
    /// Where the strings of the event last peeked at are.
    fn details(&self) -> &Details;
}

/// Where settled rows go. Who does not say what to do with a row, does nothing with it.
pub trait Rows {
    /// A session is complete; `row.via` is not set yet: the text is `via`.
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        let _ = (row, via);
    }

    /// A retweet counts; `row.detail` is not set yet.
    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        let _ = (row, detail);
    }
}

/// The settling of one broadcast in one shard of viewers, some events at a time. The events of one viewer, and those of
/// one tweet, lie in one shard; which shard, does not matter.
#[derive(Debug)]
pub(crate) struct Settling<'a> {
    broadcast: u32,
    airings: &'a Airings,
    rules: &'a Rules,
    /// What the curves have gained, by place of the airing.
    flows: Vec<Flow>,
    viewer: Option<u128>,
    presence: Presence,
    /// The stay of the session at hand, where it has more events than could be settled at once.
    stay: Stay,
    /// By place of the airing: the start of the viewer's first session that is known so far, `Ms::MAX` where there is
    /// none.
    firsts: Vec<Ms>,
    /// Airings in which a first session of the viewer is known so far, by their places.
    places: Vec<usize>,
}

/// An open session of the settled log, with what opened it.
#[derive(Debug, Default)]
struct Stay {
    open: Option<Open>,
    via: Option<Box<str>>,
    /// The session's last leave, whatever it did.
    left_at: Option<Ms>,
    /// A silence of the broadcast closed it last.
    is_silenced: bool,
}

/// Who has a session: the viewer, and the session.
type Who = (u128, u128);

impl<'a> Settling<'a> {
    /// Nothing is settled yet. Without airings, the events of the broadcast are passed over.
    pub(crate) fn new(broadcast: u32, airings: &'a Airings, rules: &'a Rules) -> Settling<'a> {
        let flows: Vec<Flow> = airings.airings.iter().map(|airing| Flow::new(airing.airing_at)).collect();
        let firsts = vec![Ms::MAX; flows.len()];
        let (viewer, presence, stay, places) = Default::default();
        Settling { broadcast, airings, rules, flows, viewer, presence, stay, firsts, places }
    }

    /// Settles the events of the broadcast, which are the next of `events`. Whether there may be more of them: it stops
    /// after `most` instants of sessions, each of which adds two changes and two rows at most.
    pub(crate) fn go_on(&mut self, events: &mut impl Sorted, rows: &mut impl Rows, most: usize) -> bool {
        let (mut left, last) = (most, self.airings.last_sign());
        while let Some(event) = events.peek().filter(|event| event.broadcast == self.broadcast) {
            if left == 0 {
                return true;
            }
            match event.kind() {
                // Of an airing that is not over yet.
                _ if event.ts() > last => events.advance(),
                Kind::Retweet => {
                    left -= 1;
                    self.tweet(events, event.viewer, rows);
                }
                // Ends are known from the timeline, to every shard.
                Kind::End => events.advance(),
                _ => {
                    if self.viewer != Some(event.viewer) {
                        self.close_viewer();
                        self.viewer = Some(event.viewer);
                    }
                    self.session(events, (event.viewer, event.session), rows, &mut left);
                }
            }
        }
        self.close_viewer();
        false
    }

    /// What the curve of each airing has gained, by its place; to be taken off at any time.
    pub(crate) fn flows(&mut self) -> &mut [Flow] {
        &mut self.flows
    }

    /// The events of one session: all, or as many as may be settled.
    fn session(&mut self, events: &mut impl Sorted, who: Who, rows: &mut impl Rows, left: &mut usize) {
        let (mut stay, last) = (std::mem::take(&mut self.stay), self.airings.last_sign());
        loop {
            let next = events.peek().filter(|event| {
                let is_its = event.broadcast == self.broadcast && (event.viewer, event.session) == who;
                is_its && event.kind() <= Kind::Leave && event.ts() <= last
            });
            let Some(event) = next else { break };
            if *left == 0 {
                self.stay = stay;
                return;
            }
            *left -= 1;
            let at = event.ts();
            self.close_before(who, &mut stay, at, rows);
            let (tick, via) = take_tick(events, &event);
            let place = self.airings.place_of(at);
            let straggles = self.straggles(&stay, place, at, tick);
            let tally = &mut self.flows[place].tally;
            let orphans = |tally: &Tally| tally.orphaned - tally.straggled;
            let before = orphans(tally);
            let Effect { closed, opened } = apply(&mut stay.open, at, tick, straggles, tally);
            tally.silenced += i64::from(stay.is_silenced && orphans(tally) > before);
            stay.is_silenced = false;
            if tick.leaves > 0 {
                stay.left_at = Some(at);
            }
            // A reconnect closes the session before it opens the next; a session of no length opens before it closes.
            let closed_is_new = closed.is_some() && opened && stay.open.is_none();
            if closed_is_new {
                stay.via.clone_from(&via);
            }
            if let Some(open) = closed {
                self.close(who, open, stay.via.take().as_deref(), (at, Ended::Leave), rows);
            }
            if opened && !closed_is_new {
                stay.via = via;
            }
        }
        self.close_before(who, &mut stay, Ms::MAX, rows);
    }

    /// Whether the heartbeats of a tick, if there are any, straggle where they find the session closed.
    fn straggles(&self, stay: &Stay, place: usize, at: Ms, tick: Tick) -> bool {
        if tick.heartbeats == 0 || stay.open.is_some() {
            return false;
        }
        let airing = &self.airings.airings[place];
        let left_at = if tick.leaves > 0 { Some(at) } else { stay.left_at.filter(|at| *at >= airing.first_sign) };
        straggles(self.rules, at, left_at) || airing.is_off_air_at(at)
    }

    /// Closes the session where an end, a time-out or the airing's last event comes before `at`.
    fn close_before(&mut self, who: Who, stay: &mut Stay, at: Ms, rows: &mut impl Rows) {
        let Some(open) = stay.open else { return };
        let airing = &self.airings.airings[self.airings.place_of(open.joined_at)];
        // Its own events at the very instant of an end came before the end, so an end at `seen_at` counts; one before
        // it has been dealt with.
        let next_end = airing.ends.partition_point(|end| end.at < open.seen_at);
        let end = airing.ends.get(next_end).map(|end| end.at).filter(|end| *end < at);
        let left = match end {
            Some(end) => match open.timed_out(self.rules, end) {
                Some(left_at) => (left_at, Ended::Timeout),
                None => (end, Ended::BroadcastEnd),
            },
            None if airing.last_sign < at => open.at_end_of_data(self.rules, airing.last_sign),
            None => match open.timed_out(self.rules, at) {
                Some(left_at) => (left_at, Ended::Timeout),
                None => return,
            },
        };
        stay.open = None;
        stay.is_silenced = left.1 == Ended::EndOfData;
        self.close(who, open, stay.via.take().as_deref(), left, rows);
    }

    fn close(&mut self, who: Who, open: Open, via: Option<&str>, left: (Ms, Ended), rows: &mut impl Rows) {
        let ((viewer, session), joined_at, (left_at, ended)) = (who, open.joined_at, left);
        let place = self.airings.place_of(joined_at);
        let flow = &mut self.flows[place];
        flow.leave(left_at, left_at - joined_at, ended);
        self.presence.session(place, joined_at, left_at, &mut self.flows);
        let flow = &mut self.flows[place];
        // Which of a viewer's sessions is the first, is known when all are: until then the first so far waits.
        let first = &mut self.firsts[place];
        if *first == Ms::MAX {
            self.places.push(place);
        } else {
            flow.join(joined_at.max(*first), false);
        }
        *first = joined_at.min(*first);
        let airing_at = self.airings.airings[place].airing_at;
        let broadcast = self.broadcast;
        rows.session(
            SessionRow { broadcast, via: NO_DETAIL, airing_at, viewer, session, joined_at, left_at, ended },
            via,
        );
    }

    fn close_viewer(&mut self) {
        self.presence.close(self.rules.return_within, &mut self.flows);
        for place in self.places.drain(..) {
            self.flows[place].join(std::mem::replace(&mut self.firsts[place], Ms::MAX), true);
        }
    }

    /// All retweets with one tweet_id: in each airing the earliest counts.
    fn tweet(&mut self, events: &mut impl Sorted, tweet: u128, rows: &mut impl Rows) {
        let mut counted: Option<usize> = None;
        let (broadcast, last) = (self.broadcast, self.airings.last_sign());
        let is_same = |event: &Event| {
            event.kind() == Kind::Retweet && event.viewer == tweet && event.broadcast == broadcast && event.ts() <= last
        };
        while let Some(event) = events.peek().filter(is_same) {
            let at = event.ts();
            let place = self.airings.place_of(at);
            if counted == Some(place) {
                self.flows[place].tally.repeated += 1;
                events.advance();
                continue;
            }
            counted = Some(place);
            let mut said: Option<Saying> = None;
            let mut times = 0;
            while let Some(same) = events.peek().filter(|same| is_same(same) && same.ts() == at) {
                if let Some(detail) = events.details().retweet(&same) {
                    said = Some(said.map_or_else(|| Saying::of(&detail), |known| known.or_smaller(&detail)));
                }
                times += 1;
                events.advance();
            }
            let flow = &mut self.flows[place];
            flow.tally.applied += 1;
            flow.tally.repeated += times - 1;
            let Some(said) = said else { continue };
            flow.retweet(at, said.followers);
            let airing_at = self.airings.airings[place].airing_at;
            let row = RetweetRow { broadcast: self.broadcast, detail: NO_DETAIL, airing_at, retweeted_at: at };
            rows.retweet(row, said.detail());
        }
    }
}

/// The events of one session at one instant: how many of each kind, and the `via` that counts, the smallest known.
fn take_tick(events: &mut impl Sorted, first: &Event) -> (Tick, Option<Box<str>>) {
    let mut tick = Tick::default();
    let mut via: Option<Box<str>> = None;
    let same = |event: &Event| {
        event.broadcast == first.broadcast
            && event.viewer == first.viewer
            && event.session == first.session
            && event.ts() == first.ts()
            && event.kind() <= Kind::Leave
    };
    while let Some(event) = events.peek().filter(same) {
        match event.kind() {
            Kind::Join => {
                tick.joins += 1;
                if let Some(other) = events.details().via(&event)
                    && via.as_deref().is_none_or(|known| other.as_bytes() < known.as_bytes())
                {
                    via = Some(other.into());
                }
            }
            Kind::Heartbeat => tick.heartbeats += 1,
            _ => tick.leaves += 1,
        }
        events.advance();
    }
    (tick, via)
}

/// A retweet's own copy of what it says, for as long as another may say it smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saying {
    tweet_id: Box<str>,
    user_id: Box<str>,
    pub(crate) followers: Option<i64>,
    retweet_of: Option<Box<str>>,
}

impl Saying {
    pub(crate) fn of(detail: &RetweetDetail<'_>) -> Saying {
        Saying {
            tweet_id: detail.tweet_id.into(),
            user_id: detail.user_id.into(),
            followers: detail.followers,
            retweet_of: detail.retweet_of.map(Into::into),
        }
    }

    pub(crate) fn detail(&self) -> RetweetDetail<'_> {
        RetweetDetail {
            tweet_id: &self.tweet_id,
            user_id: &self.user_id,
            followers: self.followers,
            retweet_of: self.retweet_of.as_deref(),
        }
    }

    /// Of two retweets at one instant the smaller (user_id, followers, retweet_of), unknown last.
    pub(crate) fn or_smaller(self, other: &RetweetDetail<'_>) -> Saying {
        if tie_key(other) < tie_key(&self.detail()) { Saying::of(other) } else { self }
    }
}

pub(crate) type TieKey<'a> = (&'a [u8], (bool, i64), (bool, &'a [u8]));

pub(crate) fn tie_key<'a>(detail: &RetweetDetail<'a>) -> TieKey<'a> {
    let retweet_of = detail.retweet_of.unwrap_or_default().as_bytes();
    (
        detail.user_id.as_bytes(),
        (detail.followers.is_none(), detail.followers.unwrap_or_default()),
        (detail.retweet_of.is_none(), retweet_of),
    )
}
