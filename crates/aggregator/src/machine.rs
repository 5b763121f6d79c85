//! The machine of one session: what the events of one instant do to it. The contract's section 2, the table and "At one
//! ms".

use crate::{Rules, Tally};
use audience::{Ended, Ms};

/// An open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// When it opened.
    pub(crate) joined_at: Ms,
    /// Its last sign of life; `>= joined_at`.
    pub(crate) seen_at: Ms,
}

impl Open {
    /// The `left_at` of a session that has timed out by the instant `at`.
    pub(crate) fn timed_out(&self, rules: &Rules, at: Ms) -> Option<Ms> {
        let timeout = rules.session_timeout?;
        (at - self.seen_at >= timeout).then_some(self.seen_at + rules.timeout_grace)
    }

    /// How and when a session ends that is open when its broadcast's data, or airing, end at `at`.
    pub(crate) fn at_end_of_data(&self, rules: &Rules, at: Ms) -> (Ms, Ended) {
        match self.timed_out(rules, at) {
            Some(left_at) => (left_at, Ended::Timeout),
            None => (at, Ended::EndOfData),
        }
    }
}

/// How many events of each kind one session has at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) joins: i64,
    pub(crate) heartbeats: i64,
    pub(crate) leaves: i64,
}

/// What a tick did: a session may close, and one (another, or the same) may open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The session that its leave closed; `left_at` is the tick's instant.
    pub(crate) closed: Option<Open>,
    /// A session opened; where `closed` opened in the same tick, it is that one.
    pub(crate) opened: bool,
}

/// Whether a heartbeat at `at` straggles that finds its session closed, whose last leave so far, whatever that leave
/// did, came at `left_at` in the same airing.
pub(crate) fn straggles(rules: &Rules, at: Ms, left_at: Option<Ms>) -> bool {
    left_at.is_some_and(|left_at| at - left_at < rules.straggler)
}

/// Applies the events of the instant `at` to a session whose time-out, if due, has been applied. An open session takes
/// heartbeats, leaves, joins in this order; a closed one joins, heartbeats, leaves. A heartbeat that finds it closed
/// opens it unless it `straggles`.
pub(crate) fn apply(session: &mut Option<Open>, at: Ms, tick: Tick, straggles: bool, tally: &mut Tally) -> Effect {
    let mut effect = Effect::default();
    let was_open = session.is_some();
    if was_open {
        sign_of_life(session, at, tick.heartbeats, straggles, &mut effect, tally);
        leave(session, tick.leaves, &mut effect, tally);
        join(session, at, tick.joins, &mut effect, tally);
    } else {
        join(session, at, tick.joins, &mut effect, tally);
        sign_of_life(session, at, tick.heartbeats, straggles, &mut effect, tally);
        leave(session, tick.leaves, &mut effect, tally);
    }
    effect
}

fn join(session: &mut Option<Open>, at: Ms, joins: i64, effect: &mut Effect, tally: &mut Tally) {
    if joins == 0 {
        return;
    }
    match session {
        Some(open) => {
            tally.repeated += joins;
            open.seen_at = at;
        }
        None => {
            tally.applied += 1;
            tally.repeated += joins - 1;
            *session = Some(Open { joined_at: at, seen_at: at });
            effect.opened = true;
        }
    }
}

fn sign_of_life(
    session: &mut Option<Open>,
    at: Ms,
    heartbeats: i64,
    straggles: bool,
    effect: &mut Effect,
    tally: &mut Tally,
) {
    if heartbeats == 0 {
        return;
    }
    tally.repeated += heartbeats - 1;
    if session.is_none() && straggles {
        tally.orphaned += 1;
        tally.straggled += 1;
        return;
    }
    tally.applied += 1;
    match session {
        Some(open) => open.seen_at = at,
        None => {
            *session = Some(Open { joined_at: at, seen_at: at });
            effect.opened = true;
        }
    }
}

fn leave(session: &mut Option<Open>, leaves: i64, effect: &mut Effect, tally: &mut Tally) {
    if leaves == 0 {
        return;
    }
    tally.repeated += leaves - 1;
    match session.take() {
        Some(open) => {
            tally.applied += 1;
            tally.leaves += 1;
            effect.closed = Some(open);
        }
        None => tally.orphaned += 1,
    }
}
