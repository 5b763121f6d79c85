//! The upkeep of a data directory: files rewritten and forgotten. Each job prepares a commit that somebody else makes.

mod forget;
mod outcome;
mod rewrite;

pub(crate) use forget::forget;
pub(crate) use outcome::Outcome;
pub(crate) use rewrite::{SETTLED, without};
