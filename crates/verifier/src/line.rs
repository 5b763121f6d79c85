//! A line is the minutes of one airing, settled or live: each begins when and with as many viewers, and as many people,
//! as the one before ended.

use super::digest::Digest;
use audience::{MINUTE_MS, MinuteRow, Ms};

/// The minutes of an airing, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct MinuteLine {
    /// Σ hash(start of a minute, C and D there) and Σ hash(end of a minute, C and D there): equal but for the two ends
    /// of the line.
    starts: Digest,
    ends: Digest,
    first: Option<(Ms, [i64; 2])>,
    last: Option<(Ms, [i64; 2])>,
}

impl MinuteLine {
    /// Adds a minute.
    pub(super) fn take(&mut self, row: &MinuteRow) {
        let people = row.distinct.unwrap_or_default();
        let start = (row.minute_at, [row.viewers_start, people.start]);
        let end = (row.minute_at.saturating_add(MINUTE_MS), [row.viewers_end, people.end]);
        self.starts.add_instant(start.0, start.1);
        self.ends.add_instant(end.0, end.1);
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = Some(self.last.map_or(end, |last| last.max(end)));
    }

    /// Whether it begins with nobody and has no break.
    pub(super) fn is_whole(&self) -> bool {
        self.is_unbroken() && self.first.is_none_or(|(_, levels)| levels == [0, 0])
    }

    /// Whether it has no break.
    pub(super) fn is_unbroken(&self) -> bool {
        let (Some(first), Some(last)) = (self.first, self.last) else { return true };
        let (mut starts, mut ends) = (self.starts, self.ends);
        starts.add_instant(last.0, last.1);
        ends.add_instant(first.0, first.1);
        starts == ends
    }

    /// Start of the first minute and of the last.
    pub(super) fn span(&self) -> Option<(Ms, Ms)> {
        Some((self.first?.0, self.last?.0.saturating_sub(MINUTE_MS)))
    }

    /// Whether nobody is there at its end.
    pub(super) fn ends_with_nobody(&self) -> bool {
        self.last.is_none_or(|(_, levels)| levels == [0, 0])
    }
}

/// What is wrong with a broken line.
pub(super) const BROKEN: &str = "some minute is missing, is there twice, or does not begin with the viewers or the people with whom the one before ended";
