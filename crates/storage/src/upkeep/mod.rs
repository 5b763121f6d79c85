//! The upkeep of a data directory: files merged, rewritten, and forgotten. Each job prepares a commit that somebody
//! else makes.

mod forget;
mod merge;
mod old;
mod outcome;
mod rewrite;

pub use forget::forget;
pub use merge::{Job, Tidied, next_merge};
pub use old::{Keep, Old, Places};
pub use outcome::Outcome;
pub use rewrite::{SETTLED, without};
