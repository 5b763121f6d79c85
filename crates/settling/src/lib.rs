//! Events in any order become settled rows in bounded memory: here is what spills, sorted runs of events and of numbers, and what merges
//! them again.

mod spill;

pub use spill::merge::{Merge, Piece};
pub use spill::numbers::{Numbers, NumbersMerge};
pub use spill::run::{Run, RunReader, RunWriter, Section, SpillError};
