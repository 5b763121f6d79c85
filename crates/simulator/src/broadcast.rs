//! A broadcast: what its crowd does, as its clients tell it and as that arrives: some leaves lost, some events twice,
//! late, or out of order, as the options ask. The tally sees what was told, before it is delayed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::crowd::{Deed, Public};
use crate::dice::{Concern, Dice, scramble};
use crate::event::{Arrival, SimAct, SimEvent};
use crate::script::{Script, broadcast_id};
use crate::tally::TruthTally;
use crate::truth::BroadcastTruth;
use crate::{Ms, NightOptions};

/// One broadcast under way.
#[derive(Debug)]
pub(crate) struct Broadcast {
    number: u32,
    start: Ms,
    crowd: Public,
    tally: TruthTally,
    lost_leaves: f64,
    loss: Dice,
    ids: Ids,
    wire: Wire,
    /// No later deed is before this.
    now: Ms,
    over: bool,
}

impl Broadcast {
    /// The broadcast of this number, before its first event.
    pub(crate) fn new(options: &NightOptions, number: u32) -> Broadcast {
        let script = Script::new(options, number);
        let start = script.start;
        let crowd = Public::new(options, script);
        let crash_at = crowd.crash_at().map(|at| start + Ms::from(at));
        Broadcast {
            number,
            start,
            tally: TruthTally::new(broadcast_id(number), start, crash_at, &crowd.retweets),
            crowd,
            lost_leaves: options.lost_leaves,
            loss: Dice::new(options.seed, number, Concern::Loss),
            ids: Ids::new(options.seed, number),
            wire: Wire::new(options, number),
            now: start,
            over: false,
        }
    }

    /// The next event to arrive.
    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        loop {
            let certain = if self.over { Ms::MAX } else { self.now };
            if let Some(arrival) = self.wire.arrive(certain) {
                return Some(arrival);
            }
            if self.over {
                return None;
            }
            match self.crowd.next_deed() {
                Some((at, deed)) => {
                    self.now = self.start + Ms::from(at);
                    self.tell(deed);
                }
                None => self.over = true,
            }
        }
    }

    /// The truth, when it is over.
    pub(crate) fn finish(self) -> Option<BroadcastTruth> {
        self.tally.finish()
    }

    /// Sends what a client tells of a deed, if it does.
    fn tell(&mut self, deed: Deed) {
        let what = match deed {
            Deed::Joined(place) => {
                let joined = &self.crowd.sessions[place as usize];
                self.tally.joined(joined);
                let retweet = joined.root.retweet().filter(|_| joined.via);
                let via = retweet.map(|place| self.crowd.retweets[place as usize].tweet);
                SimAct::Join { viewer: self.ids.viewer(joined.viewer), session: self.ids.session(place), via }
            }
            Deed::Lived(place) => {
                self.tally.lived(self.now);
                let viewer = self.ids.viewer(self.crowd.sessions[place as usize].viewer);
                SimAct::Heartbeat { viewer, session: self.ids.session(place) }
            }
            Deed::Left(place) => {
                let left = &self.crowd.sessions[place as usize];
                if self.loss.chance(self.lost_leaves) {
                    self.tally.lost(left);
                    return;
                }
                self.tally.left(left);
                SimAct::Leave { viewer: self.ids.viewer(left.viewer), session: self.ids.session(place) }
            }
            Deed::Retweeted(place) => {
                let retweet = &self.crowd.retweets[place as usize];
                self.tally.retweeted(retweet);
                let followers = retweet.known.then_some(retweet.followers);
                SimAct::Retweet { tweet: retweet.tweet, user: retweet.user, followers, of: retweet.of }
            }
            Deed::Ended => {
                self.tally.ended(self.now);
                SimAct::End
            }
        };
        if self.wire.send(SimEvent { ts: self.now, broadcast: self.number, what }) {
            self.tally.repeated();
        }
    }
}

/// Ids of viewers and sessions: numbers in a row made unrecognisable, never the same in two broadcasts of a seed.
#[derive(Debug)]
struct Ids {
    viewers: u64,
    sessions: u64,
    broadcast: u64,
}

impl Ids {
    fn new(seed: u64, number: u32) -> Ids {
        let key = scramble(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
        Ids { viewers: key, sessions: scramble(key), broadcast: u64::from(number) << 32 }
    }

    fn viewer(&self, number: u32) -> u64 {
        scramble(self.viewers ^ (self.broadcast | u64::from(number)))
    }

    fn session(&self, number: u32) -> u64 {
        scramble(self.sessions ^ (self.broadcast | u64::from(number)))
    }
}

/// What lies between a client's telling and its arrival.
#[derive(Debug)]
struct Wire {
    dice: Dice,
    disorder_ms: u64,
    duplicates: f64,
    late: f64,
    late_ms: u64,
    /// Under way: when it arrives, the how-manieth it is, and the event.
    under_way: BinaryHeap<Reverse<(Ms, u64, SimEvent)>>,
    sent: u64,
}

impl Wire {
    fn new(options: &NightOptions, number: u32) -> Wire {
        Wire {
            dice: Dice::new(options.seed, number, Concern::Wire),
            disorder_ms: options.disorder_ms.unsigned_abs(),
            duplicates: options.duplicates,
            late: options.late,
            late_ms: options.late_ms.unsigned_abs(),
            under_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// Puts an event on its way, and says whether twice.
    fn send(&mut self, event: SimEvent) -> bool {
        self.put(event);
        let twice = self.dice.chance(self.duplicates);
        if twice {
            self.put(event);
        }
        twice
    }

    fn put(&mut self, event: SimEvent) {
        let mut delay = 0;
        if self.disorder_ms > 0 {
            delay += self.dice.below(self.disorder_ms + 1);
        }
        if event.what != SimAct::End && self.dice.chance(self.late) {
            delay += self.late_ms + self.dice.below(self.late_ms + 1);
        }
        self.sent += 1;
        self.under_way.push(Reverse((event.ts + delay.cast_signed(), self.sent, event)));
    }

    /// The next event that arrives at `until` or before.
    fn arrive(&mut self, until: Ms) -> Option<Arrival> {
        let Reverse((at, ..)) = self.under_way.peek()?;
        if *at > until {
            return None;
        }
        self.under_way.pop().map(|Reverse((at, _, event))| Arrival { at, event })
    }
}
