//! Our clock, and whether it is to be believed. An event is refused for being of the future by it, so it must not be
//! the one that is wrong: it is believed once the newest record of a partition bears the time that it says, until it
//! leaps against the monotonic clock. What is known is a value, and so is each moment: nothing here reads a clock but
//! [`Moment::now`].

use audience::Ms;
use audience::text::span;
use audience::time::{TS_END, TS_MIN, rfc3339};
use std::fmt;
use std::time::Instant;
use storage::directory;

/// Clocks that are this near say the same; one that leaps by more is another.
const NEAR: Ms = 60_000;
/// A record at the end of its partition that is no older may have come just now.
const FRESH: Ms = 300_000;

/// What our clock says, and how long the monotonic one has run, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) says: Ms,
    pub(super) ran: Ms,
}

impl Moment {
    /// This moment, in a process that began at `began`.
    pub(super) fn now(began: Instant) -> Moment {
        Moment { says: directory::now(), ran: Ms::try_from(began.elapsed().as_millis()).unwrap_or(Ms::MAX) }
    }

    /// The same at every moment, unless our clock leaps.
    fn difference(self) -> Ms {
        self.says - self.ran
    }
}

/// What is known of our clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// How far ahead of it an event may be.
    future_max: Ms,
    /// The operator has said that it is right.
    is_accepted: bool,
    /// When the newest commit was made, by the clock of that time.
    committed_at: Option<Ms>,
    /// The [difference](Moment::difference) when a record bore the time that it said.
    agreed: Option<Ms>,
}

impl Clock {
    /// A clock of which nobody knows whether it is right.
    pub(super) fn new(future_max: Ms, is_accepted: bool, committed_at: Option<Ms>) -> Clock {
        Clock { future_max, is_accepted, committed_at, agreed: None }
    }

    /// The newest record of a partition that is read to its end bears this time.
    pub(super) fn hear(&mut self, moment: Moment, stamp: Ms) {
        if stamp >= moment.says - FRESH && !self.is_behind(moment, stamp) {
            self.agreed = Some(moment.difference());
        }
    }

    /// Whether it is to be believed, whatever a record says.
    pub(super) fn is_believed(&self, moment: Moment) -> bool {
        self.is_accepted || self.agreed.is_some_and(|agreed| (moment.difference() - agreed).abs() <= NEAR)
    }

    /// The last instant that is not of the future.
    fn latest(&self, moment: Moment) -> Ms {
        moment.says.saturating_add(self.future_max)
    }

    /// Whether it is behind this time, by more than it may be.
    pub(super) fn is_behind(&self, moment: Moment, stamp: Ms) -> bool {
        stamp > moment.says.saturating_add(self.future_max.max(NEAR))
    }

    /// Whether a record that would be refused is not to be, because it may be the clock that is wrong: where the record
    /// bears a time, by that; else by what any clock must say, and that of the newest commit has said.
    pub(super) fn is_in_doubt(&self, moment: Moment, stamp: Option<Ms>) -> bool {
        let known = stamp.or(self.committed_at).unwrap_or(Ms::MIN);
        moment.says < TS_MIN || self.is_behind(moment, known)
    }

    /// What is to be said at the start of a clock that is behind the newest commit.
    pub(super) fn behind_commit(&self, moment: Moment) -> Option<String> {
        let at = self.committed_at.filter(|at| self.is_behind(moment, *at))?;
        Some(format!(
            "Our clock says {}, and the newest commit was made {} later, at {}: one of the two is wrong. The times of the records tell \
             which; until then nothing is dropped for its age.",
            rfc3339(moment.says),
            span(at - moment.says),
            rfc3339(at),
        ))
    }
}

/// What is known of our clock, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) clock: Clock,
    pub(super) moment: Moment,
    /// Whatever a record says.
    pub(super) is_believed: bool,
}

impl Watch {
    pub(super) fn of(clock: Clock, moment: Moment) -> Watch {
        Watch { clock, moment, is_believed: clock.is_believed(moment) }
    }

    /// Whether an event with this `ts` is of the future.
    pub(super) fn is_future(&self, ts: Ms) -> bool {
        ts > self.clock.latest(self.moment)
    }
}

/// A record that cannot be refused before it is known whether our clock is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// The partition, by its name.
    pub(super) partition: String,
    pub(super) offset: i64,
    /// The time that it bears, where it does.
    pub(super) stamp: Option<Ms>,
    /// What our clock said.
    pub(super) says: Ms,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Doubt { partition, offset, stamp, says } = self;
        write!(f, "it says {}, and the record at offset {offset} of {partition} ", rfc3339(*says))?;
        match stamp {
            Some(stamp) => write!(f, "was made at {}.", rfc3339(*stamp))?,
            None => write!(f, "cannot be of the past.")?,
        }
        f.write_str(
            " Set the clock right, and reading goes on by itself. Where it is right, and the clock of whoever sent the record is wrong, \
             start again with --accept-clock: such records are rejected then",
        )
    }
}

/// The time that a record bears, where it can be one.
pub(super) fn stamp_of(time: Option<Ms>) -> Option<Ms> {
    time.filter(|at| (TS_MIN..TS_END).contains(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_700_000_000_000;
    const DAY: Ms = 86_400_000;

    /// After so many ms, with a clock that is so far off.
    fn after(ran: Ms, off: Ms) -> Moment {
        Moment { says: NOW + ran + off, ran }
    }

    fn clock(committed_at: Option<Ms>) -> Clock {
        Clock::new(300_000, false, committed_at)
    }

    #[test]
    fn a_clock_is_believed_once_a_fresh_record_bears_its_time_and_until_it_leaps() {
        let mut clock = clock(None);
        for (off, stamp, is_believed) in [
            (0, NOW - FRESH - 1, false),
            (-40 * DAY, NOW, false),
            (-NOW, NOW, false),
            (60 * DAY, NOW, false),
            (0, NOW - FRESH, true),
            (0, NOW + 300_000, true),
        ] {
            let mut clock = clock;
            clock.hear(after(0, off), stamp);
            assert_eq!(clock.is_believed(after(0, off)), is_believed, "{off} {stamp}");
        }
        clock.hear(after(0, 0), NOW);
        for (ran, off, is_believed) in
            [(DAY, 0, true), (DAY, NEAR, true), (DAY, -NEAR - 1, false), (9, 60 * DAY, false), (10, 0, true)]
        {
            assert_eq!(clock.is_believed(after(ran, off)), is_believed, "{ran} {off}");
        }
        assert!(Clock::new(0, true, None).is_believed(after(0, -40 * DAY)), "the operator says so");
    }

    #[test]
    fn a_record_says_whether_it_or_the_clock_is_of_another_time() {
        for (off, committed_at, stamp, is_in_doubt) in [
            // Its event alone is of the future.
            (0, None, Some(NOW), false),
            (0, None, Some(NOW + 300_001), true),
            (-40 * DAY, None, Some(NOW), true),
            (-NOW, None, Some(NOW), true),
            // It bears no time: the commits and the calendar say.
            (0, None, None, false),
            (-40 * DAY, None, None, false),
            (-40 * DAY, Some(NOW - DAY), None, true),
            (-NOW, None, None, true),
            // A commit of a clock that was wrong settles nothing that a record can.
            (0, Some(NOW + 60 * DAY), Some(NOW), false),
        ] {
            let found = clock(committed_at).is_in_doubt(after(0, off), stamp);
            assert_eq!(found, is_in_doubt, "{off} {committed_at:?} {stamp:?}");
        }
        assert_eq!(clock(Some(NOW)).behind_commit(after(0, -NEAR)), None);
        let said = clock(Some(NOW)).behind_commit(after(0, -40 * DAY)).unwrap_or_default();
        assert!(said.contains("40 d later") && said.contains("2023-11-14T22:13:20.000Z"), "{said}");
    }
}
