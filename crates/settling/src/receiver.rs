//! The receiver: who takes rows as they settle, be it for a commit, a check or a screen. What it does not care for it
//! leaves out.

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
    fn settle_down(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    /// No more rows come.
    ///
    /// # Errors
    /// What waits cannot be written.
    fn finish(self) -> Result<(), Problem>
    where
        Self: Sized,
    {
        Ok(())
    }
}
