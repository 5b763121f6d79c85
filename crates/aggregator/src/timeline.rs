//! The timeline of a broadcast: when it gave a sign, and when it ended. Its long silences, which part its airings, are
//! read from it before any session is settled. It adds up over any split of the events.

use crate::Rules;
use audience::time::minute_of;
use audience::{Event, Kind, MINUTE_MS, Ms};
use std::collections::BTreeMap;

/// What is known of a broadcast's events without their viewers. A silence that matters lasts a minute or longer, so of
/// each minute the first and the last sign are enough.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Minutes by their start, without `recent`.
    minutes: BTreeMap<Ms, Signs>,
    /// The latest minute, kept out of the map: events come nearly in order.
    recent: Option<(Ms, Signs)>,
    /// Instants of `end`, with how many there were.
    ends: BTreeMap<Ms, i64>,
    events: u64,
}

/// The signs of one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signs {
    pub(crate) first: Ms,
    pub(crate) last: Ms,
    /// The first event that is no leave. An airing's first join or heartbeat always opens a session, its first retweet
    /// always counts and an end always applies, so the first of these names the airing.
    pub(crate) first_applied: Ms,
}

impl Signs {
    fn merge(&mut self, other: &Signs) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.first_applied = self.first_applied.min(other.first_applied);
    }
}

impl Timeline {
    /// Takes note of an accepted event.
    #[inline]
    pub fn hear(&mut self, event: &Event) {
        let (at, kind) = (event.ts(), event.kind());
        let signs = Signs { first: at, last: at, first_applied: if kind == Kind::Leave { Ms::MAX } else { at } };
        self.events += 1;
        if kind == Kind::End {
            *self.ends.entry(at).or_default() += 1;
        }
        match &mut self.recent {
            // The usual case, without a division.
            Some((minute, recent)) if (*minute..*minute + MINUTE_MS).contains(&at) => recent.merge(&signs),
            _ => self.note(minute_of(at), signs),
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

    /// Accepted events heard.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The last sign; `None` where there was none.
    pub fn last_sign(&self) -> Option<Ms> {
        let recent = self.recent.map(|(_, signs)| signs.last);
        recent.max(self.minutes.last_key_value().map(|(_, signs)| signs.last))
    }

    /// The signs of each minute, ascending.
    pub(crate) fn signs(&self) -> impl Iterator<Item = Signs> {
        // The recent minute is the latest, so it comes last.
        self.minutes.values().copied().chain(self.recent.map(|(_, signs)| signs))
    }

    /// Adds signs that lie in one minute.
    pub(crate) fn add(&mut self, signs: Signs) {
        self.note(minute_of(signs.first), signs);
    }

    /// Forgets the minutes before the one that holds `frontier`. An airing's last sign lies a minute or more before its
    /// frontier, so what is settled goes and what is not stays.
    pub(crate) fn forget_before(&mut self, frontier: Ms) {
        let first = minute_of(frontier);
        self.minutes = self.minutes.split_off(&first);
        self.recent = self.recent.filter(|(minute, _)| *minute >= first);
        self.ends = self.ends.split_off(&frontier);
    }

    /// Whether it has no sign.
    pub(crate) fn is_blank(&self) -> bool {
        self.recent.is_none() && self.minutes.is_empty()
    }

    /// The airings that the silences of `rules.broadcast_idle` leave.
    pub fn airings(&self, rules: &Rules) -> Airings {
        let mut airings: Vec<Airing> = Vec::new();
        for signs in self.signs() {
            match airings.last_mut() {
                Some(airing) if signs.first - airing.last_sign < rules.broadcast_idle => {
                    airing.last_sign = signs.last;
                    airing.airing_at = airing.airing_at.min(signs.first_applied);
                }
                _ => airings.push(Airing {
                    quiet_from: signs.first - rules.broadcast_idle,
                    first_sign: signs.first,
                    last_sign: signs.last,
                    airing_at: signs.first_applied,
                    ends: Vec::new(),
                }),
            }
        }
        let mut all = Airings { airings };
        for (at, count) in &self.ends {
            let place = all.place_of(*at);
            all.airings[place].ends.push((*at, *count));
        }
        all
    }
}

/// One airing: the accepted events of a broadcast between two long silences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Airing {
    /// `broadcast_idle` before its first accepted event: from here to there the broadcast was silent.
    pub quiet_from: Ms,
    /// Its first accepted event.
    pub first_sign: Ms,
    /// Its last accepted event.
    pub last_sign: Ms,
    /// Its first applied thing, which is its name; `Ms::MAX` where nothing is applied, and then it leaves no row.
    pub airing_at: Ms,
    /// Its ends, ascending, with how often each was said.
    pub ends: Vec<(Ms, i64)>,
}

impl Airing {
    /// Whether anything is applied, so that it has a name and rows.
    pub fn is_named(&self) -> bool {
        self.airing_at < Ms::MAX
    }
}

/// The airings of one broadcast, ascending. Every accepted event lies in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Airings {
    /// The airings.
    pub airings: Vec<Airing>,
}

impl Airings {
    /// The place of the airing that holds the instant `at`, at or before the last sign of the broadcast.
    pub fn place_of(&self, at: Ms) -> usize {
        self.airings.partition_point(|airing| airing.last_sign < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::NO_DETAIL;

    const T: Ms = 1_459_711_860_000;

    fn heard(events: &[(Kind, Ms)]) -> Timeline {
        let mut timeline = Timeline::default();
        for (kind, at) in events {
            timeline.hear(&Event::new(*kind, 0, 1, 1, T + at, NO_DETAIL));
        }
        timeline
    }

    #[test]
    fn a_silence_as_long_as_the_rule_parts_two_airings() {
        let rules = Rules { broadcast_idle: MINUTE_MS, ..Rules::default() };
        let events = [
            (Kind::Leave, 0),
            (Kind::Join, 10),
            (Kind::End, 10),
            (Kind::End, 10),
            (Kind::Leave, 60_010),
            (Kind::Join, 120_009),
        ];
        let expected = vec![
            Airing {
                quiet_from: T - MINUTE_MS,
                first_sign: T,
                last_sign: T + 10,
                airing_at: T + 10,
                ends: vec![(T + 10, 2)],
            },
            Airing {
                quiet_from: T + 10,
                first_sign: T + 60_010,
                last_sign: T + 120_009,
                airing_at: T + 120_009,
                ends: vec![],
            },
        ];
        let mut reversed = events;
        reversed.reverse();
        for order in [events, reversed] {
            assert_eq!(heard(&order).airings(&rules).airings, expected);
            for split in 0..order.len() {
                let mut merged = heard(&order[..split]);
                merged.merge(heard(&order[split..]));
                assert_eq!(merged.airings(&rules).airings, expected);
                assert_eq!(merged.events(), 6);
                assert_eq!(merged.last_sign(), Some(T + 120_009));
            }
        }
    }
}
