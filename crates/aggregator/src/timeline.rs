//! The timeline of a broadcast: when it gave a sign, who came, and when it ended. Its airings are read from it before
//! any session is settled. It adds up over any split of the events.

use crate::Rules;
use crate::airings::{Airings, Frontier};
use crate::course::Course;
use crate::second_look::SecondLook;
use crate::signs::Signs;
use audience::time::minute_of;
use audience::{Event, Kind, MINUTE_MS, Ms};
use std::collections::BTreeMap;

/// What is known of a broadcast's events without their viewers. All that parts two airings takes a minute or longer, so
/// of each minute the first and the last of a kind are nearly always enough; where not, [`Timeline::second_look`]
/// tells.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Minutes by their start, without `recent`.
    minutes: BTreeMap<Ms, Signs>,
    /// The latest minute, kept out of the map: events come nearly in order.
    recent: Option<(Ms, Signs)>,
    /// Instants of `end`, with how many there were.
    ends: BTreeMap<Ms, i64>,
    events: u64,
    from: Frontier,
    /// Minutes may hold signs from before it, which do not count.
    cut_at: Ms,
    /// Airings whose frontier lies beyond it are not to be settled.
    over_at: Ms,
}

impl Default for Timeline {
    fn default() -> Timeline {
        let (minutes, recent, ends) = Default::default();
        Timeline { minutes, recent, ends, events: 0, from: Frontier::NONE, cut_at: Ms::MIN, over_at: Ms::MAX }
    }
}

impl Timeline {
    /// Takes note of an accepted event.
    #[inline]
    pub fn hear(&mut self, event: &Event) {
        self.events += 1;
        self.hear_of(event.kind(), event.ts());
    }

    /// The same of an event that is not its own: one at the frontier of what is to be settled tells how the broadcast
    /// went on there.
    #[inline]
    pub fn hear_of(&mut self, kind: Kind, at: Ms) {
        if kind == Kind::End {
            *self.ends.entry(at).or_default() += 1;
        }
        match &mut self.recent {
            // The usual case, without a division.
            Some((minute, recent)) if (*minute..*minute + MINUTE_MS).contains(&at) => recent.hear(kind, at),
            _ => {
                let mut signs = Signs::NONE;
                signs.hear(kind, at);
                self.note(minute_of(at), signs);
            }
        }
    }

    /// Adds signs of one minute.
    fn note(&mut self, minute: Ms, mut signs: Signs) {
        match &mut self.recent {
            Some((recent, known)) if *recent == minute => known.merge(&signs),
            Some((recent, _)) if *recent > minute => {
                self.minutes.entry(minute).and_modify(|known| known.merge(&signs)).or_insert(signs);
            }
            _ => {
                if let Some(known) = self.minutes.remove(&minute) {
                    signs.merge(&known);
                }
                if let Some((minute, signs)) = self.recent.replace((minute, signs)) {
                    self.minutes.insert(minute, signs);
                }
            }
        }
    }

    /// Adds what another part of the same broadcast's events told.
    pub fn merge(&mut self, other: Timeline) {
        self.events += other.events;
        for (minute, signs) in other.minutes.into_iter().chain(other.recent) {
            self.note(minute, signs);
        }
        for (at, count) in other.ends {
            *self.ends.entry(at).or_default() += count;
        }
    }

    /// Says where the broadcast is settled up to, before which it has no event that counts.
    pub fn begin_at(&mut self, from: Frontier) {
        self.from = from;
    }

    /// Says that only those airings are to be settled whose frontier is at or before `over_at`.
    pub fn only_over(&mut self, over_at: Ms) {
        self.over_at = over_at;
    }

    /// Accepted events heard.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The signs of each minute, ascending.
    pub(crate) fn signs(&self) -> impl Iterator<Item = Signs> {
        // The recent minute is the latest, so it comes last.
        let minutes = self.minutes.values().copied().chain(self.recent.map(|(_, signs)| signs));
        let at = self.cut_at;
        minutes.filter(move |signs| signs.last >= at).map(move |signs| {
            // A minute that begins later lies behind it.
            if at > Ms::MIN && minute_of(signs.last) < at { signs.cut(at) } else { signs }
        })
    }

    /// Instants of `end`.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Ms> {
        self.ends.keys().copied()
    }

    /// Adds signs that lie in one minute.
    pub(crate) fn add(&mut self, signs: Signs) {
        self.note(minute_of(signs.first), signs);
    }

    /// Adds an end whose signs are known.
    pub(crate) fn add_end(&mut self, at: Ms) {
        self.ends.insert(at, 1);
    }

    /// Forgets what lies before `frontier`, and begins there.
    pub(crate) fn forget_before(&mut self, frontier: Frontier) {
        let first = minute_of(frontier.at);
        self.minutes = self.minutes.split_off(&first);
        self.recent = self.recent.filter(|(minute, _)| *minute >= first);
        self.ends = self.ends.split_off(&frontier.at);
        self.begin_in_minute(frontier);
    }

    /// Says where the broadcast is settled up to; the minute that holds it may tell of events before it, too.
    pub(crate) fn begin_in_minute(&mut self, from: Frontier) {
        (self.from, self.cut_at) = (from, from.at);
    }

    /// Whether it has no sign.
    pub(crate) fn is_blank(&self) -> bool {
        self.signs().next().is_none()
    }

    /// The airings, and what their minutes leave in doubt.
    fn course<'a>(&'a self, rules: &'a Rules, look: Option<&SecondLook>) -> Course<'a> {
        let mut course = Course::new(rules, &self.ends, self.from);
        for signs in self.signs() {
            match look.and_then(|look| look.instants(minute_of(signs.last))) {
                Some(instants) => instants.for_each(|instant| course.take(instant)),
                None => course.take(&signs),
            }
        }
        course.finish();
        course
    }

    /// The airings. Where minutes leave something in doubt, their frontiers are right, but the last and the first sign
    /// of neighbours may be told as the instant that parts them, and a name as that of the first heartbeat.
    pub fn airings(&self, rules: &Rules) -> Airings {
        self.course(rules, None).airings(self.over_at)
    }

    /// What the events must be asked, which are to be looked at once more; `None` where nothing is in doubt.
    pub fn second_look(&self, rules: &Rules) -> Option<SecondLook> {
        self.course(rules, None).second_look()
    }

    /// The airings, as all the events told them that were looked at again.
    pub fn airings_seen(&self, rules: &Rules, look: &SecondLook) -> Airings {
        let mut airings = self.course(rules, Some(look)).airings(self.over_at);
        airings.airings.iter_mut().for_each(|airing| look.name(airing));
        airings
    }
}

#[cfg(test)]
mod tests;
