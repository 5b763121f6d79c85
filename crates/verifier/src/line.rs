//! A line is the minutes of one airing, settled or live: each begins when and with as many viewers as the one before
//! ended.

use super::digest::Digest;
use audience::{MINUTE_MS, MinuteRow, Ms};

/// The minutes of an airing, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct MinuteLine {
    /// Σ hash(start of a minute, viewers there) and Σ hash(end of a minute, viewers there): equal but for the two ends
    /// of the line.
    starts: Digest,
    ends: Digest,
    first: Option<(Ms, i64)>,
    last: Option<(Ms, i64)>,
}

impl MinuteLine {
    /// Adds a minute.
    pub(super) fn take(&mut self, row: &MinuteRow) {
        let start = (row.minute_at, row.viewers_start);
        let end = (row.minute_at.saturating_add(MINUTE_MS), row.viewers_end);
        self.starts.add_pair(start);
        self.ends.add_pair(end);
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = Some(self.last.map_or(end, |last| last.max(end)));
    }

    /// Whether it begins with nobody and has no break.
    pub(super) fn is_whole(&self) -> bool {
        self.is_unbroken() && self.first.is_none_or(|first| first.1 == 0)
    }

    /// Whether it has no break.
    pub(super) fn is_unbroken(&self) -> bool {
        let (Some(first), Some(last)) = (self.first, self.last) else { return true };
        let (mut starts, mut ends) = (self.starts, self.ends);
        starts.add_pair(last);
        ends.add_pair(first);
        starts == ends
    }

    /// Start of the first minute and of the last.
    pub(super) fn span(&self) -> Option<(Ms, Ms)> {
        Some((self.first?.0, self.last?.0.saturating_sub(MINUTE_MS)))
    }

    /// Viewers at its end.
    pub(super) fn viewers_end(&self) -> i64 {
        self.last.map_or(0, |(_, viewers)| viewers)
    }
}

/// What is wrong with a broken line.
pub(super) const BROKEN: &str =
    "some minute is missing, is there twice, or does not begin with the viewers with whom the one before ended";
