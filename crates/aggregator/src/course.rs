//! The course of a broadcast: how its accepted events fall into airings, between two silences of `broadcast_idle`, and
//! parted where it was off air for `end_idle` after an end. The contract's section 2, "Off air" and "Airing", in the
//! order of time.

use crate::Rules;
use crate::airings::{Airing, Airings, AppliedEnd, Frontier};
use crate::second_look::SecondLook;
use crate::signs::Signs;
use audience::time::minute_of;
use audience::{Kind, Ms};
use std::collections::{BTreeMap, BTreeSet};

/// An end that holds the broadcast off air.
#[derive(Clone, Copy, Debug)]
struct OffAir {
    /// When it would part an airing; `Ms::MAX` where it has done so, or never does.
    parts_at: Ms,
    has_parted: bool,
}

/// A broadcast on its way through its signs, minute by minute or, where that is known, instant by instant.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    rules: &'a Rules,
    ends: &'a BTreeMap<Ms, i64>,
    airings: Vec<Airing>,
    /// The last sign so far.
    before: Option<Ms>,
    off_air: Option<OffAir>,
    opening: Opening,
    /// Minutes whose signs do not tell enough.
    minutes: BTreeSet<Ms>,
    /// By first sign of an airing: what names it unless a heartbeat does, and its last sign.
    openings: BTreeMap<Ms, (Ms, Ms)>,
}

/// What the name of the airing at hand follows from. Its first join, retweet or end that applies is applied in any
/// case; a heartbeat before that is, unless it straggles behind a leave of its session.
#[derive(Clone, Copy, Debug)]
struct Opening {
    sure: Ms,
    heartbeat: Ms,
    leave: Ms,
}

impl Opening {
    const NONE: Opening = Opening { sure: Ms::MAX, heartbeat: Ms::MAX, leave: Ms::MAX };
}

impl<'a> Course<'a> {
    pub(crate) fn new(rules: &'a Rules, ends: &'a BTreeMap<Ms, i64>, from: Frontier) -> Course<'a> {
        let off_air = from.off_air.map(|_| OffAir { parts_at: Ms::MAX, has_parted: true });
        let (airings, minutes, openings) = Default::default();
        Course { rules, ends, airings, before: from.off_air, off_air, opening: Opening::NONE, minutes, openings }
    }

    /// Takes the signs that come next.
    pub(crate) fn take(&mut self, signs: &Signs) {
        if self.before.is_none_or(|before| signs.first - before >= self.rules.broadcast_idle) {
            self.begin(signs.first, Ms::MAX, None);
        } else if self.airings.is_empty() {
            self.begin(signs.first, Ms::MAX, self.off_air);
        }
        self.part(signs);
        self.ends_before(signs);
        self.come_back(signs);
        self.ends_after(signs);
        self.extend(signs.last);
        // Off air nobody's heartbeat opens anything.
        if !self.airings.last().is_some_and(|airing| airing.is_off_air) {
            self.opening.heartbeat = self.opening.heartbeat.min(signs.first_of(Kind::Heartbeat));
            self.opening.leave = self.opening.leave.min(signs.first_of(Kind::Leave));
            self.opening.sure = self.opening.sure.min(signs.first_of(Kind::Join));
        }
        self.opening.sure = self.opening.sure.min(signs.first_of(Kind::Retweet));
    }

    /// The airing ends where the broadcast has been off air long enough, and its signs go on.
    fn part(&mut self, signs: &Signs) {
        let Some(off_air) =
            self.off_air.filter(|off_air| off_air.parts_at <= signs.last.min(signs.first_of(Kind::Join)))
        else {
            return;
        };
        let at = off_air.parts_at;
        if signs.first < at {
            self.minutes.insert(minute_of(signs.last));
            self.extend(at - 1);
        }
        self.begin(signs.first.max(at), at, Some(OffAir { parts_at: Ms::MAX, has_parted: true }));
    }

    /// Ends before the first join of these signs.
    fn ends_before(&mut self, signs: &Signs) {
        for (at, said) in self.ends.range(signs.first..signs.first_of(Kind::Join).min(signs.last + 1)) {
            self.end(*at, *said);
        }
    }

    /// Ends with the last join of these signs, or after it; and those between their joins.
    fn ends_after(&mut self, signs: &Signs) {
        if signs.last_join == Ms::MIN {
            return;
        }
        for (at, said) in self.ends.range(signs.first_of(Kind::Join)..=signs.last) {
            if *at < signs.last_join {
                self.minutes.insert(minute_of(*at));
            }
            self.end(*at, *said);
            if *at < signs.last_join {
                self.back_on_air(signs.last_join);
            }
        }
    }

    fn end(&mut self, at: Ms, said: i64) {
        let parts_at = self.rules.end_idle.map_or(Ms::MAX, |idle| at.saturating_add(idle));
        let is_off_air = self.off_air.is_some();
        let Some(airing) = self.airings.last_mut() else { return };
        if is_off_air {
            airing.repeated_ends += said;
        } else {
            airing.ends.push(AppliedEnd { at, said, back_at: Ms::MAX });
            self.off_air = Some(OffAir { parts_at, has_parted: false });
            self.opening.sure = self.opening.sure.min(at);
        }
    }

    /// The first join of these signs puts the broadcast on air; where its end has parted an airing, it begins another.
    fn come_back(&mut self, signs: &Signs) {
        let (at, Some(off_air)) = (signs.first_of(Kind::Join), self.off_air) else { return };
        if at == Ms::MAX {
            return;
        }
        self.back_on_air(at);
        if !off_air.has_parted {
            return;
        }
        match self.airings.last_mut() {
            // What is off air since before has nothing to say.
            Some(airing) if airing.first_sign == at => airing.is_off_air = false,
            _ => {
                if signs.first < at {
                    self.minutes.insert(minute_of(at));
                    self.extend(at - 1);
                }
                self.begin(at, at, None);
            }
        }
    }

    fn back_on_air(&mut self, at: Ms) {
        self.off_air = None;
        if let Some(end) = self.airings.last_mut().and_then(|airing| airing.ends.last_mut()) {
            end.back_at = end.back_at.min(at);
        }
    }

    /// An airing begins at `first_sign`, on air or not; what was before it is over by `bound` at the latest.
    fn begin(&mut self, first_sign: Ms, bound: Ms, off_air: Option<OffAir>) {
        self.close(bound);
        self.off_air = off_air;
        self.airings.push(Airing {
            quiet_from: first_sign - self.rules.broadcast_idle,
            first_sign,
            last_sign: first_sign,
            airing_at: Ms::MAX,
            ends: Vec::new(),
            repeated_ends: 0,
            is_off_air: self.off_air.is_some(),
            frontier: Frontier::NONE,
        });
        self.opening = Opening::NONE;
    }

    fn extend(&mut self, last_sign: Ms) {
        if let Some(airing) = self.airings.last_mut() {
            airing.last_sign = airing.last_sign.max(last_sign);
            self.before = Some(airing.last_sign);
        }
    }

    /// The airing at hand is over.
    fn close(&mut self, bound: Ms) {
        let (opening, idle) = (self.opening, self.rules.broadcast_idle);
        let Some(airing) = self.airings.last_mut() else { return };
        airing.airing_at = opening.sure.min(opening.heartbeat);
        // Of an airing that a join began, the signs may be of the one before.
        let is_unsure = airing.first_sign <= opening.heartbeat && opening.heartbeat < opening.sure;
        if is_unsure && opening.leave <= opening.heartbeat && self.rules.straggler > 0 {
            self.openings.insert(airing.first_sign, (opening.sure, airing.last_sign));
        }
        let silent_at = airing.last_sign.saturating_add(idle);
        // Where it parts an airing, that is known here as the bound; where nothing came any more, it is not.
        let parts_at = self.off_air.map_or(Ms::MAX, |off_air| off_air.parts_at);
        let at = silent_at.min(bound).min(parts_at);
        let is_parted = at < silent_at && airing.ends.last().is_some_and(|end| end.back_at == Ms::MAX);
        airing.frontier = Frontier { at, off_air: is_parted.then_some(airing.last_sign) };
    }

    /// All signs are taken.
    pub(crate) fn finish(&mut self) {
        self.close(Ms::MAX);
    }

    /// Those whose frontier is at or before `over_at`.
    pub(crate) fn airings(mut self, over_at: Ms) -> Airings {
        let over = self.airings.partition_point(|airing| airing.frontier.at <= over_at);
        self.airings.truncate(over);
        Airings { airings: self.airings }
    }

    pub(crate) fn second_look(self) -> Option<SecondLook> {
        let is_sure = self.minutes.is_empty() && self.openings.is_empty();
        (!is_sure).then(|| SecondLook::new(self.rules.straggler, self.minutes, self.openings))
    }
}
