//! The receiver: who takes rows as they settle, be it for a commit, a check or a screen. Of sessions
//! and retweets it may leave out what it does not care for; that rows wait to be written is never forgotten by default.

use audience::{AiringRow, MinuteRow};
use problem::Problem;

/// Takes rows as they settle. Each thread has its own.
pub trait Receiver: aggregator::Rows + Send {
    /// A minute of the curve.
    fn minute(&mut self, row: MinuteRow);

    /// An airing; its minutes came just before it.
    fn airing(&mut self, row: AiringRow);

    /// A good moment to write what waits.
    ///
    /// # Errors
    /// It cannot be written.
    fn settle_down(&mut self) -> Result<(), Problem>;

    /// No more rows come.
    ///
    /// # Errors
    /// What waits cannot be written.
    fn finish(self) -> Result<(), Problem>
    where
        Self: Sized;
}
