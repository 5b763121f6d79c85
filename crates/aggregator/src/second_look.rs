//! A second look at the events of a broadcast, where the first and the last of a minute do not tell how its airings
//! lie: which sign is the last before an airing's end, which end came between which joins, and which heartbeat is the
//! first that opens a session. It adds up over any split of the viewers.

use crate::Sorted;
use crate::airings::Airing;
use crate::signs::Signs;
use audience::time::minute_of;
use audience::{Event, Kind, Ms};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of the events, and what they told so far.
#[derive(Clone, Debug)]
pub struct SecondLook {
    straggler: Ms,
    /// By start of a minute: its instants.
    minutes: BTreeMap<Ms, BTreeMap<Ms, Signs>>,
    /// By first sign of an airing.
    openings: BTreeMap<Ms, FirstOpening>,
}

/// The first heartbeat that opens a session, before anything else is applied.
#[derive(Clone, Copy, Debug)]
struct FirstOpening {
    /// The airing's last sign.
    last: Ms,
    /// The first such heartbeat so far, or what is applied in any case; `Ms::MAX` where there is neither.
    first: Ms,
}

/// One session of the events that are looked at.
#[derive(Clone, Copy, Debug)]
struct Seen {
    who: (u128, u128),
    /// Its last leave so far.
    left_at: Option<Ms>,
    /// A heartbeat that straggles if a leave of the same ms follows.
    heartbeat: Option<Ms>,
}

impl SecondLook {
    pub(crate) fn new(straggler: Ms, minutes: BTreeSet<Ms>, openings: BTreeMap<Ms, (Ms, Ms)>) -> SecondLook {
        let minutes = minutes.into_iter().map(|minute| (minute, BTreeMap::new())).collect();
        let opening = |(begin, (sure, last))| (begin, FirstOpening { last, first: sure });
        let openings = openings.into_iter().map(opening).collect();
        SecondLook { straggler, minutes, openings }
    }

    /// Looks at the events of one broadcast, which are the next of `events`, all of them of some viewers.
    pub fn hear(&mut self, events: &mut impl Sorted) {
        let Some(Event { broadcast, .. }) = events.peek() else { return };
        let mut seen: Option<Seen> = None;
        while let Some(event) = events.peek().filter(|event| event.broadcast == broadcast) {
            let (at, kind) = (event.ts(), event.kind());
            if let Some(instants) = self.minutes.get_mut(&minute_of(at)) {
                instants.entry(at).or_insert(Signs::NONE).hear(kind, at);
            }
            if kind <= Kind::Leave && !self.openings.is_empty() {
                let who = (event.viewer, event.session);
                if seen.is_none_or(|seen| seen.who != who) {
                    self.opens(seen.replace(Seen { who, left_at: None, heartbeat: None }));
                }
                seen.iter_mut().for_each(|seen| self.follow(seen, kind, at));
            }
            events.advance();
        }
        self.opens(seen);
    }

    fn follow(&mut self, seen: &mut Seen, kind: Kind, at: Ms) {
        if seen.heartbeat == Some(at) {
            if kind == Kind::Heartbeat {
                return;
            }
            if kind == Kind::Leave && self.straggler > 0 {
                seen.heartbeat = None;
            }
        }
        self.opens(Some(*seen));
        seen.heartbeat = None;
        match kind {
            Kind::Leave => seen.left_at = Some(at),
            Kind::Heartbeat => {
                let begin = self.openings.range(..=at).next_back().map(|(begin, _)| *begin);
                let left_at = seen.left_at.filter(|left_at| begin.is_some_and(|begin| *left_at >= begin));
                seen.heartbeat = left_at.is_none_or(|left_at| at - left_at >= self.straggler).then_some(at);
            }
            _ => {}
        }
    }

    /// A heartbeat that does not straggle, if there is one, opens its session, if nothing has before.
    fn opens(&mut self, seen: Option<Seen>) {
        let Some(at) = seen.and_then(|seen| seen.heartbeat) else { return };
        let opening = self.openings.range_mut(..=at).next_back();
        if let Some((_, opening)) = opening.filter(|(_, opening)| at <= opening.last) {
            opening.first = opening.first.min(at);
        }
    }

    /// Adds what other viewers' events told.
    pub fn merge(&mut self, other: SecondLook) {
        for (minute, instants) in other.minutes {
            let known = self.minutes.entry(minute).or_default();
            for (at, signs) in instants {
                known.entry(at).and_modify(|known| known.merge(&signs)).or_insert(signs);
            }
        }
        for (begin, opening) in other.openings {
            let known = self.openings.entry(begin).or_insert(opening);
            known.first = known.first.min(opening.first);
        }
    }

    /// The instants of a minute that was in doubt.
    pub(crate) fn instants(&self, minute: Ms) -> Option<impl Iterator<Item = &Signs>> {
        self.minutes.get(&minute).map(|instants| instants.values())
    }

    /// Gives an airing whose name was in doubt the name it has.
    pub(crate) fn name(&self, airing: &mut Airing) {
        if let Some(opening) = self.openings.get(&airing.first_sign) {
            airing.airing_at = opening.first;
        }
    }
}
