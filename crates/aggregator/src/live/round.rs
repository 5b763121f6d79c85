//! What lanes and their owner hand each other in one round of the watermark. Everything is about instants of effect: an
//! event's `ts`, or the watermark it came behind. Lanes hand back ±1, never maxima: a peak does not add up.

use super::gaps::EndedSession;
use crate::settle::Saying;
use crate::timeline::Timeline;
use audience::Ms;
use std::collections::BTreeMap;

/// What a lane's watermark has passed, by broadcast.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub(crate) heard: BTreeMap<u32, Heard>,
}

/// What one lane tells of one broadcast.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Signs that took effect in this round, without `late_joins`.
    pub(crate) signs: Timeline,
    /// By instant of effect, the greatest `ts` of the late joins and heartbeats. They are signs unless an end was
    /// applied in between.
    pub(crate) late_joins: BTreeMap<Ms, Ms>,
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

impl Heard {
    /// Adds what another lane tells of the same broadcast.
    pub(crate) fn merge(&mut self, other: Heard) {
        self.signs.merge(other.signs);
        for (at, ts) in other.late_joins {
            let known = self.late_joins.entry(at).or_insert(ts);
            *known = ts.max(*known);
        }
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

/// Ends and silences of one broadcast.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    /// The greatest `ts` of the ends applied in earlier rounds; `Ms::MIN` where there was none.
    before: Ms,
    /// Ascending.
    pub(crate) boundaries: Vec<Boundary>,
    /// By boundary: the greatest `ts` of the ends applied up to it.
    ended: Vec<Ms>,
}

impl Directive {
    /// The directive that follows from what earlier rounds know, the ends of this one (instant of effect, `ts`), and
    /// its silences.
    pub(crate) fn new(before: Ms, ends: &[(Ms, Ms)], silences: &[Ms]) -> Directive {
        let ends = ends.iter().map(|(at, ts)| Boundary { at: *at, what: Closing::End(*ts) });
        let silences = silences.iter().map(|at| Boundary { at: *at, what: Closing::Silence });
        let mut boundaries: Vec<Boundary> = silences.chain(ends).collect();
        boundaries.sort_unstable();
        let mut greatest = before;
        let ended = boundaries.iter().map(|one| {
            greatest = greatest.max(if let Closing::End(ts) = one.what { ts } else { Ms::MIN });
            greatest
        });
        let ended = ended.collect();
        Directive { before, boundaries, ended }
    }

    /// Closes everything at `at`, behind all else: the data end there.
    pub(crate) fn end_data(&mut self, at: Ms, is_later: bool) {
        self.ended.push(self.ended());
        self.boundaries.push(Boundary { at, what: Closing::Data { is_later } });
    }

    /// The greatest `ts` of all ends applied by the end of this round.
    pub(crate) fn ended(&self) -> Ms {
        self.ended.last().copied().unwrap_or(self.before)
    }

    /// Whether an end that was applied before the instant `at` came after `ts`, or with it: the end is the last of its
    /// ms.
    pub(crate) fn had_ended(&self, ts: Ms, at: Ms) -> bool {
        let applied = self.boundaries.partition_point(|one| one.at < at);
        applied.checked_sub(1).map_or(self.before, |last| self.ended[last]) >= ts
    }
}

/// An instant that closes all open sessions of a broadcast.
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
        if self.what == Closing::Silence { self.at <= at } else { self.at < at }
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
