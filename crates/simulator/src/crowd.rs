//! A crowd: the people of one broadcast, as they really come and go, in order of time. What clients then tell of it,
//! and when it arrives, is another matter (`broadcast.rs`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::NightOptions;
use crate::dice::{Concern, Dice};
use crate::plan::{CRASH_SHARE, MOUTH_MS, OUTAGE_S, Plan, RECONNECT_MS, RECONNECT_SHARE, StayLengths};
use crate::retweets::{self, DELAYS, Retweet};
use crate::script::Script;
use crate::whole;

/// Chance that a new session is that of a viewer who has gone before: before a crash, and after.
const RETURN_SHARE: (f64, f64) = (0.08, 0.45);
/// Mean time in which a crash throws viewers out, ms, and the longest.
const CRASH_MS: f64 = 2_500.0;
const CRASH_MS_MAX: f64 = 15_000.0;
/// Mean delay after an outage of a join that fell into it, ms.
const OUTAGE_BACKLOG_MS: f64 = 15_000.0;
/// Mean time in which viewers leave a broadcast that closed without its `end`, ms, and the longest.
const CLOSE_MS: f64 = 8_000.0;
const CLOSE_MS_MAX: f64 = 59_000.0;
/// Time in which the organic audience makes up for what chance added or took, s.
const CORRECTION_S: f64 = 90.0;

/// One stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    /// Number of its viewer.
    pub(crate) viewer: u32,
    /// Ms after the start.
    pub(crate) joined_at: u32,
    /// Ms after the start; the broadcast may be over before.
    pub(crate) leaves_at: u32,
    /// Why it is there.
    pub(crate) root: Root,
    /// Whether its viewer will reconnect.
    reconnects: bool,
    /// Whether its viewer never joined before.
    pub(crate) new_viewer: bool,
    /// Whether its join names the retweet that brought it.
    pub(crate) via: bool,
}

/// What brought a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    /// Nothing that is known.
    Organic,
    /// The crash.
    Reconnect,
    /// The retweet in this place, directly.
    Retweet(u32),
    /// Word of mouth that the retweet in this place started.
    Told(u32),
}

impl Root {
    /// The retweet at the root.
    pub(crate) fn retweet(self) -> Option<u32> {
        match self {
            Root::Retweet(place) | Root::Told(place) => Some(place),
            Root::Organic | Root::Reconnect => None,
        }
    }
}

/// Something that happened, ms after the start. Sessions and retweets are places in their lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// This session began.
    Joined(u32),
    /// This session gave a sign of life.
    Lived(u32),
    /// This session was over.
    Left(u32),
    /// This retweet was posted.
    Retweeted(u32),
    /// The broadcast ended, and with it all that was left.
    Ended,
}

/// Something that will happen. The order among equal times is that in which it was foreseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Foreseen {
    at: u32,
    number: u32,
    what: Coming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    /// Somebody new to this moment joins.
    Join(Root),
    /// This viewer joins again.
    Rejoin(u32),
    /// This session leaves, unless it was foreseen otherwise since.
    Leave(u32),
    /// This retweet.
    Retweet(u32),
}

/// The people of one broadcast.
#[derive(Debug)]
pub(crate) struct Public {
    script: Script,
    plan: Plan,
    stays: StayLengths,
    via: f64,
    word_of_mouth: f64,
    exp_minus_mouth: f64,
    heartbeat_ms: Option<u32>,
    ends: bool,
    dice: Dice,
    pub(crate) retweets: Vec<Retweet>,
    pub(crate) sessions: Vec<Session>,
    /// Viewers who have gone and may come again.
    gone: Vec<u32>,
    viewers: u32,
    /// Organic viewers present.
    organic: i64,
    foreseen: BinaryHeap<Reverse<Foreseen>>,
    foreseen_count: u32,
    /// Next signs of life: they have one interval, so they come due in the order in which they were queued.
    signs: VecDeque<(u32, u32)>,
    /// All before this second is foreseen.
    second: u32,
    /// Expected organic arrivals until the next one.
    patience: f64,
    closed: bool,
}

impl Public {
    /// The people of this script, before the first of them came.
    pub(crate) fn new(options: &NightOptions, script: Script) -> Public {
        let target = script.target();
        let mut dice = Dice::new(options.seed, script.broadcast, Concern::Retweets);
        let retweets = retweets::draw(&script, options.seed, &target, &mut dice);
        let (plan, stays) = Plan::new(&script, &target, &retweets, options.word_of_mouth);
        let mut dice = Dice::new(options.seed, script.broadcast, Concern::Public);
        let patience = dice.exponential(1.0);
        let mut crowd = Public {
            script,
            plan,
            stays,
            via: options.via,
            word_of_mouth: options.word_of_mouth,
            exp_minus_mouth: libm::exp(-options.word_of_mouth),
            heartbeat_ms: options.heartbeat_ms.and_then(|ms| u32::try_from(ms).ok()),
            ends: options.end,
            dice,
            retweets,
            sessions: Vec::new(),
            gone: Vec::new(),
            viewers: 0,
            organic: 0,
            foreseen: BinaryHeap::new(),
            foreseen_count: 0,
            signs: VecDeque::new(),
            second: 0,
            patience,
            closed: false,
        };
        for place in 0..crowd.retweets.len() {
            crowd.foresee(crowd.retweets[place].at, Coming::Retweet(place as u32));
        }
        crowd
    }

    /// When the broadcast breaks down, ms after its start.
    pub(crate) fn crash_at(&self) -> Option<u32> {
        self.script.crash().map(|second| second * 1_000)
    }

    /// When the broadcast is over, ms after its start.
    fn end(&self) -> u32 {
        self.script.seconds * 1_000
    }

    /// The next deed and its time, ms after the start; never before the one before.
    pub(crate) fn next_deed(&mut self) -> Option<(u32, Deed)> {
        loop {
            let horizon = if self.closed { u32::MAX } else { self.second * 1_000 };
            let foreseen = self.foreseen.peek().map_or(u32::MAX, |Reverse(next)| next.at);
            let sign = self.signs.front().map_or(u32::MAX, |sign| sign.0);
            if sign < horizon && sign < foreseen {
                if let Some(deed) = self.give_sign() {
                    return Some(deed);
                }
            } else if foreseen < horizon {
                if let Some(deed) = self.take_foreseen() {
                    return Some(deed);
                }
            } else if self.second < self.script.seconds {
                self.begin_second();
            } else if self.closed {
                return None;
            } else if let Some(deed) = self.close() {
                return Some(deed);
            }
        }
    }

    fn foresee(&mut self, at: u32, what: Coming) {
        self.foreseen.push(Reverse(Foreseen { at, number: self.foreseen_count, what }));
        self.foreseen_count += 1;
    }

    /// Foresees a join, after the outage where it would fall into one, and not at all after the end.
    fn foresee_join(&mut self, at: f64, what: Coming) {
        let mut at = at;
        if let Some(crash) = self.script.crash() {
            let (from, to) = (f64::from(crash) * 1_000.0, f64::from(crash + OUTAGE_S) * 1_000.0);
            if (from..to).contains(&at) {
                at = to + self.dice.exponential(OUTAGE_BACKLOG_MS);
            }
        }
        if at < f64::from(self.end()) {
            self.foresee(whole(at), what);
        }
    }

    /// Foresees the organic joins of the next second: a Poisson process whose rate is the plan's, with a slow
    /// correction towards it.
    fn begin_second(&mut self) {
        let second = self.second;
        if self.script.crash() == Some(second) {
            self.crash();
        }
        self.second += 1;
        let place = second as usize;
        let outage = self.script.crash().is_some_and(|crash| (crash..crash + OUTAGE_S).contains(&second));
        let (Some(&arrivals), Some(&organic)) = (self.plan.arrivals.get(place), self.plan.organic.get(place)) else {
            return;
        };
        let rate = arrivals + (organic - self.organic as f64) / CORRECTION_S;
        if outage || rate <= 0.0 {
            return;
        }
        let mut spent = 0.0;
        while self.patience <= rate - spent {
            spent += self.patience;
            let ms = whole(spent / rate * 1_000.0).min(999);
            self.foresee(second * 1_000 + ms, Coming::Join(Root::Organic));
            self.patience = self.dice.exponential(1.0);
        }
        self.patience -= rate - spent;
    }

    fn take_foreseen(&mut self) -> Option<(u32, Deed)> {
        let Reverse(Foreseen { at, what, .. }) = self.foreseen.pop()?;
        let deed = match what {
            Coming::Join(root) => {
                let viewer = self.draw_viewer(at);
                Deed::Joined(self.join(at, viewer, root))
            }
            Coming::Rejoin(viewer) => Deed::Joined(self.join(at, (viewer, false), Root::Reconnect)),
            Coming::Leave(place) => {
                let session = self.sessions[place as usize];
                if session.leaves_at != at {
                    return None;
                }
                self.organic -= i64::from(session.root == Root::Organic);
                if !session.reconnects {
                    self.gone.push(session.viewer);
                }
                Deed::Left(place)
            }
            Coming::Retweet(place) => {
                self.bring(at, place);
                Deed::Retweeted(place)
            }
        };
        Some((at, deed))
    }

    /// A viewer, and whether it is the first time: somebody who has gone, or somebody new.
    fn draw_viewer(&mut self, at: u32) -> (u32, bool) {
        let crashed = self.script.crash().is_some_and(|crash| at >= crash * 1_000);
        let share = if crashed { RETURN_SHARE.1 } else { RETURN_SHARE.0 };
        if self.dice.chance(share) && !self.gone.is_empty() {
            let place = self.dice.below(self.gone.len() as u64) as usize;
            return (self.gone.swap_remove(place), false);
        }
        self.viewers += 1;
        (self.viewers - 1, true)
    }

    /// Opens a session, draws its stay and the joins that it will bring by word of mouth, and returns its place.
    fn join(&mut self, at: u32, (viewer, new_viewer): (u32, bool), root: Root) -> u32 {
        let place = self.sessions.len() as u32;
        let (mut chosen, mut part) = (self.dice.unit(), 0);
        while part + 1 < self.stays.parts.len() && chosen >= self.stays.parts[part].0 {
            chosen -= self.stays.parts[part].0;
            part += 1;
        }
        let stay = 1.0 + self.dice.exponential(self.stays.parts[part].1);
        // Longer than any broadcast is long enough.
        let leaves_at = at + whole(stay.min(1e9));
        let via = matches!(root, Root::Retweet(_)) && self.dice.chance(self.via);
        self.sessions.push(Session { viewer, joined_at: at, leaves_at, root, reconnects: false, new_viewer, via });
        self.organic += i64::from(root == Root::Organic);
        if leaves_at < self.end() {
            self.foresee(leaves_at, Coming::Leave(place));
        }
        if let Some(interval) = self.heartbeat_ms {
            self.signs.push_back((at.saturating_add(interval), place));
        }
        if self.word_of_mouth > 0.0 && root != Root::Reconnect {
            let told = root.retweet().map_or(Root::Organic, Root::Told);
            for _ in 0..self.dice.few(self.exp_minus_mouth) {
                let delay = self.dice.exponential(MOUTH_MS);
                self.foresee_join(f64::from(at) + 1.0 + delay, Coming::Join(told));
            }
        }
        place
    }

    /// Foresees the joins that a retweet brings directly.
    fn bring(&mut self, at: u32, place: u32) {
        for _ in 0..self.retweets[place as usize].joins {
            let mean = if self.dice.chance(DELAYS[0].0) { DELAYS[0].1 } else { DELAYS[1].1 };
            let delay = self.dice.exponential(mean);
            self.foresee_join(f64::from(at) + 1.0 + delay, Coming::Join(Root::Retweet(place)));
        }
    }

    /// The sign of life that is due, and its next; none where the session is over.
    fn give_sign(&mut self) -> Option<(u32, Deed)> {
        let (at, place) = self.signs.pop_front()?;
        let interval = self.heartbeat_ms?;
        let over = self.ends && at >= self.end();
        if over || self.sessions[place as usize].leaves_at <= at {
            return None;
        }
        self.signs.push_back((at.saturating_add(interval), place));
        Some((at, Deed::Lived(place)))
    }

    /// Throws most viewers out, some of whom will try again at once.
    fn crash(&mut self) {
        let now = self.second * 1_000;
        let back = f64::from(now + OUTAGE_S * 1_000);
        for place in 0..self.sessions.len() {
            let session = self.sessions[place];
            if session.leaves_at <= now || !self.dice.chance(CRASH_SHARE) {
                continue;
            }
            let thrown_at = now + 1 + whole(self.dice.exponential(CRASH_MS).min(CRASH_MS_MAX));
            if thrown_at >= session.leaves_at {
                continue;
            }
            let reconnects = self.dice.chance(RECONNECT_SHARE);
            self.sessions[place] = Session { leaves_at: thrown_at, reconnects, ..session };
            self.foresee(thrown_at, Coming::Leave(place as u32));
            if reconnects {
                let delay = self.dice.exponential(RECONNECT_MS);
                self.foresee_join(back + delay, Coming::Rejoin(session.viewer));
            }
        }
    }

    /// The end of it: the `end`, or everybody's leaving.
    fn close(&mut self) -> Option<(u32, Deed)> {
        self.closed = true;
        let end = self.end();
        if self.ends {
            return Some((end, Deed::Ended));
        }
        for place in 0..self.sessions.len() {
            if self.sessions[place].leaves_at >= end {
                let leaves_at = end + whole(self.dice.exponential(CLOSE_MS).min(CLOSE_MS_MAX));
                self.sessions[place].leaves_at = leaves_at;
                self.foresee(leaves_at, Coming::Leave(place as u32));
            }
        }
        None
    }
}
