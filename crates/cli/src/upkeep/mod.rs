//! The upkeep of a data directory: files merged, rewritten, and forgotten. Each job prepares a commit that somebody
//! else makes.

mod forget;
mod merge;
mod old;
mod outcome;
mod rewrite;

pub(crate) use forget::forget;
pub(crate) use merge::{Job, Tidied, next_merge};
pub(crate) use old::{Keep, Old, Places};
pub(crate) use outcome::Outcome;
pub(crate) use rewrite::{SETTLED, without};
