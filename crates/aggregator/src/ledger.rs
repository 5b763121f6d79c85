//! The tally of an airing: what became of its accepted events.

/// What became of accepted events. `applied + repeated + orphaned` is their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Had an effect.
    pub applied: i64,
    /// Said again what was known.
    pub repeated: i64,
    /// Leaves without an open session.
    pub orphaned: i64,
}

impl Tally {
    /// All events in the tally.
    pub fn total(&self) -> i64 {
        self.applied + self.repeated + self.orphaned
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.applied += other.applied;
        self.repeated += other.repeated;
        self.orphaned += other.orphaned;
    }
}
