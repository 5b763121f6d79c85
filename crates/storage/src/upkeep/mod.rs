//! The upkeep of a data directory: files merged, dropped, and forgotten. Each job prepares a commit that somebody
//! else makes.

mod forget;
mod merge;
mod old;
mod outcome;

pub use forget::forget;
pub use merge::{Job, Tidied, next_merge};
pub use old::{Keep, Old, Places};
pub use outcome::Outcome;
