//! A count that goes up and down, sessions or viewers, and what one minute saw of it.

use crate::Ms;

/// Length of a minute, ms.
pub(crate) const MINUTE_MS: Ms = 60_000;

/// A count as it stands, in the minute that is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunningCount {
    /// Before the instant whose changes are being gathered.
    pub(crate) level: i64,
    /// Sum of the changes of that instant: all that happens in one ms happens at once.
    pub(crate) change: i64,
    minute_at: Ms,
    /// Whether nothing has changed in this minute yet.
    fresh: bool,
    /// Up to when the integral runs.
    integrated: Ms,
    seen: CountedMinute,
}

/// A count in one minute; `at` the first ms of `max`, `ms` the integral.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CountedMinute {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) max: i64,
    pub(crate) max_at: Ms,
    pub(crate) min: i64,
    pub(crate) ms: i64,
}

impl RunningCount {
    /// Goes on to the minute that begins at `minute_at`.
    pub(crate) fn begin(&mut self, minute_at: Ms) {
        let level = self.level;
        let seen =
            CountedMinute { start: level, max: level, max_at: minute_at, min: level, ..CountedMinute::default() };
        *self = RunningCount { minute_at, fresh: true, integrated: minute_at, seen, ..*self };
    }

    /// Lets what was gathered for `now` happen.
    pub(crate) fn gather(&mut self, now: Ms) {
        if self.change == 0 {
            return;
        }
        let seen = &mut self.seen;
        seen.ms += self.level * (now - self.integrated);
        self.integrated = now;
        self.level += self.change;
        self.change = 0;
        // A level that was over with the minute's first ms was never in it.
        let first = self.fresh && now == self.minute_at;
        self.fresh = false;
        if first || self.level > seen.max {
            (seen.max, seen.max_at) = (self.level, now);
        }
        if first || self.level < seen.min {
            seen.min = self.level;
        }
    }

    /// What the minute saw, when it is over.
    pub(crate) fn close(&self) -> CountedMinute {
        let rest = self.level * (self.minute_at + MINUTE_MS - self.integrated);
        CountedMinute { end: self.level, ms: self.seen.ms + rest, ..self.seen }
    }
}
