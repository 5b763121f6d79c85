//! The tally of an airing: what became of its accepted events.

/// What became of accepted events. `applied + repeated + orphaned` is their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Had an effect.
    pub applied: i64,
    /// Said again what was known.
    pub repeated: i64,
    /// Leaves without an open session, and heartbeats that straggle.
    pub orphaned: i64,
    /// Of the applied: leaves that closed their session.
    pub leaves: i64,
    /// Of the orphaned: leaves of sessions that a silence of their broadcast had closed.
    pub silenced: i64,
    /// Of the orphaned: heartbeats that straggle.
    pub straggled: i64,
}

impl Tally {
    /// All events in the tally.
    pub fn total(&self) -> i64 {
        self.applied + self.repeated + self.orphaned
    }

    /// Whether more leaves found no session than closed one, but for those of a silence.
    pub fn is_mostly_orphaned(&self) -> bool {
        self.orphaned - self.straggled - self.silenced > self.leaves
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.applied += other.applied;
        self.repeated += other.repeated;
        self.orphaned += other.orphaned;
        self.leaves += other.leaves;
        self.silenced += other.silenced;
        self.straggled += other.straggled;
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}
