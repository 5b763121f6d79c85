//! What does not fit in memory: sorted pieces in temporary files, and their merges.

pub(crate) mod merge;
pub(crate) mod numbers;
pub(crate) mod run;
