//! What lanes and their owner hand each other in one round of the watermark. Everything is about instants of effect: an
//! event's `ts`, or the watermark it came behind. Lanes hand back ±1, never maxima: a peak does not add up.

use super::gaps::EndedSession;
use crate::settle::Saying;
use crate::timeline::Timeline;
use audience::{Event, Kind, Ms};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a lane's watermark has passed, by broadcast.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub(crate) heard: BTreeMap<u32, Heard>,
    /// The lane's own events that took effect on time, sorted; the lane needs them back.
    pub(crate) due: Arc<Vec<Event>>,
}

impl Gathered {
    /// When the joins of a broadcast took effect that came on time, in any order.
    pub(crate) fn joins(&self, broadcast: u32) -> impl Iterator<Item = Ms> {
        let first = self.due.partition_point(|event| event.broadcast < broadcast);
        let of_it = self.due[first..].iter().take_while(move |event| event.broadcast == broadcast);
        of_it.filter(|event| event.kind() == Kind::Join).map(Event::ts)
    }
}

/// What one lane tells of one broadcast.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Signs that took effect in this round, without `late_signs`.
    pub(crate) signs: Timeline,
    /// The late joins and heartbeats, by instant of effect. They are signs unless an end was applied in between.
    pub(crate) late_signs: BTreeMap<Ms, LateSigns>,
    /// Ends: instant of effect, `ts`.
    pub(crate) ends: Vec<(Ms, Ms)>,
    /// Retweets: instant of effect, fingerprint of the tweet, what it says.
    pub(crate) retweets: Vec<(Ms, u128, Saying)>,
    /// Late events since the last round, by minute.
    pub(crate) late: BTreeMap<Ms, i64>,
    /// How the ±1 of the held events changed since the last round.
    pub(crate) waiting: i64,
    /// Signs at their `ts` that came since the last round: what is to be settled.
    pub(crate) unsettled: Timeline,
}

/// Late joins and heartbeats of one instant of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LateSigns {
    /// Their greatest `ts`.
    pub(crate) latest: Ms,
    /// That of the joins alone; `Ms::MIN` where there is none.
    pub(crate) latest_join: Ms,
}

impl LateSigns {
    pub(crate) fn of(event: &Event) -> LateSigns {
        let latest = event.ts();
        LateSigns { latest, latest_join: if event.kind() == Kind::Join { latest } else { Ms::MIN } }
    }

    fn merge(&mut self, other: &LateSigns) {
        self.latest = self.latest.max(other.latest);
        self.latest_join = self.latest_join.max(other.latest_join);
    }
}

impl Heard {
    pub(crate) fn add_late_signs(&mut self, at: Ms, late: LateSigns) {
        self.late_signs.entry(at).and_modify(|known| known.merge(&late)).or_insert(late);
    }

    /// Adds what another lane tells of the same broadcast.
    pub(crate) fn merge(&mut self, other: Heard) {
        self.signs.merge(other.signs);
        other.late_signs.into_iter().for_each(|(at, late)| self.add_late_signs(at, late));
        self.ends.extend(other.ends);
        self.retweets.extend(other.retweets);
        for (minute, late) in other.late {
            *self.late.entry(minute).or_default() += late;
        }
        self.waiting += other.waiting;
        self.unsettled.merge(other.unsettled);
    }
}

/// What concerns every lane's sessions in this round.
#[derive(Clone, Debug)]
pub struct Directives {
    pub(crate) watermark: Ms,
    /// Sessions that opened before it tell their ends, for a gap of the input ended there. `Ms::MIN` where there is
    /// none.
    pub(crate) gaps_to: Ms,
    /// What concerns one broadcast each, ascending by broadcast.
    pub(crate) broadcasts: BTreeMap<u32, Directive>,
}

/// What closes all sessions of one broadcast, and when it is off air.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    /// The greatest `ts` of the ends applied in earlier rounds; `Ms::MIN` where there was none.
    before: Ms,
    /// Ascending.
    pub(crate) boundaries: Vec<Boundary>,
    /// By boundary: the greatest `ts` of the ends applied up to it.
    ended: Vec<Ms>,
    /// From when to when it is off air, neither of the two included, ascending; some of it may lie outside this round.
    pub(crate) off_air: Vec<(Ms, Ms)>,
}

impl Directive {
    /// No boundaries yet.
    pub(crate) fn new(before: Ms) -> Directive {
        let (boundaries, ended, off_air) = Default::default();
        Directive { before, boundaries, ended, off_air }
    }

    /// Adds a boundary behind those before.
    pub(crate) fn push(&mut self, boundary: Boundary) {
        let ts = if let Closing::End(ts) = boundary.what { ts } else { Ms::MIN };
        self.ended.push(self.ended.last().map_or(self.before, |last| *last).max(ts));
        self.boundaries.push(boundary);
    }

    /// The instants at which an airing is over and another may begin.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Ms> {
        let is_cut = |one: &&Boundary| matches!(one.what, Closing::Silence | Closing::Part);
        self.boundaries.iter().filter(is_cut).map(|one| one.at)
    }

    /// The instants at which an end is applied.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Ms> {
        self.boundaries.iter().filter(|one| matches!(one.what, Closing::End(_))).map(|one| one.at)
    }

    /// Whether an end that was applied before the instant `at` came after `ts`, or with it: the end is the last of its
    /// ms.
    pub(crate) fn had_ended(&self, ts: Ms, at: Ms) -> bool {
        let applied = self.boundaries.partition_point(|one| one.at < at);
        applied.checked_sub(1).map_or(self.before, |last| self.ended[last]) >= ts
    }
}

/// An instant that closes all open sessions of a broadcast, or parts its airings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Boundary {
    pub(crate) at: Ms,
    pub(crate) what: Closing,
}

/// Why all open sessions of a broadcast close, in the order of one ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    /// A silence, before all else of its ms.
    Silence,
    /// Another airing begins, before all else of its ms. No session is open then: the broadcast is off air.
    Part,
    /// An end, behind the events of its ms, and its `ts`.
    End(Ms),
    /// The end of the data, the last of its ms.
    Data {
        /// The watermark had passed the last sign of the broadcast by then.
        is_later: bool,
    },
}

impl Boundary {
    /// Whether an event that takes effect at `at` comes after it.
    pub(crate) fn is_before(&self, at: Ms) -> bool {
        if self.what <= Closing::Part { self.at <= at } else { self.at < at }
    }
}

/// What a lane did to its sessions: packed changes, by broadcast, in any order.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub(crate) broadcasts: Vec<(u32, Vec<u64>)>,
    /// Sessions that opened before [`Directives::gaps_to`] and ended.
    pub(crate) ended: Vec<EndedSession>,
    /// Leaves that came for sessions which a silence had closed, as far as the lane remembers.
    pub silenced: u64,
}

impl Changes {
    /// Sessions opened and closed, and viewers met.
    pub fn len(&self) -> usize {
        self.broadcasts.iter().map(|(_, changes)| changes.len()).sum()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.broadcasts.is_empty()
    }
}
