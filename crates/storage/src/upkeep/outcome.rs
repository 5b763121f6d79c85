//! The outcome of what an operator asked for.

use crate::{Commit, Draft};

/// What doing it comes to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing is to be changed: a sentence that says why.
    Nothing(String),
    /// A commit to publish, and a sentence.
    Commit(Box<(Commit, Draft, String)>),
}
