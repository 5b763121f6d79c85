//! A time zone: what the clocks on people's walls show at an instant. All reckoning is in UTC; a zone is for those who
//! read. Which zones there are and when their clocks change is the edge's to find out.

use crate::Ms;

/// A time zone by its name, with all changes of its clocks that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    /// From which instant on, and how far ahead of UTC, ms; ascending. Before the first of them it is UTC.
    offsets: Vec<(Ms, Ms)>,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Zone {
        Zone::of("UTC", Vec::new())
    }

    /// The zone of that name whose clocks are so far ahead of UTC from these instants on, ascending.
    pub fn of(name: impl Into<String>, offsets: Vec<(Ms, Ms)>) -> Zone {
        Zone { name: name.into(), offsets }
    }

    /// The name, as people know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the clocks show at `at`: the instant at which clocks of UTC show the same.
    pub fn clock(&self, at: Ms) -> Ms {
        let later = self.offsets.partition_point(|(from, _)| *from <= at);
        let offset = later.checked_sub(1).map_or(0, |place| self.offsets[place].1);
        at.saturating_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_by_the_last_change_before() {
        const HOUR: Ms = 3_600_000;
        let zone = Zone::of("Here/There", vec![(0, HOUR), (10 * HOUR, 2 * HOUR), (20 * HOUR, -HOUR)]);
        let clocks = [-1, 0, 10 * HOUR - 1, 10 * HOUR, 20 * HOUR].map(|at| zone.clock(at));
        assert_eq!(clocks, [-1, HOUR, 11 * HOUR - 1, 12 * HOUR, 19 * HOUR]);
        assert_eq!((Zone::utc().clock(7), Zone::utc().name()), (7, "UTC"));
    }
}
