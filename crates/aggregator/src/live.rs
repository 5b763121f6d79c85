//! The live curve: an early look at the log, in the order of the watermark. Lanes hold events until the watermark has
//! passed them and keep the open sessions; one owner finds the silences, adds up the lanes' ±1 and closes the minutes.
//!
//! One round, for a watermark W that all lanes share: each [`Lane::gather`]s what W has passed, [`Live::advance`] turns
//! that into the ends and silences that concern every lane, each [`Lane::close`]s, and [`Live::close`] gives the
//! minutes that ended at or before W.

mod air;
mod alone;
mod crowd;
mod curve;
mod frozen;
mod gaps;
mod held;
mod lane;
mod left;
mod onair;
mod overlap;
mod resume;
mod round;
mod seats;
mod silenced;
mod state;
mod watermark;

#[cfg(test)]
mod tests;

pub use alone::LiveAlone;
pub use curve::{Due, Live, Standing};
pub use frozen::FrozenLane;
pub use lane::Lane;
pub use resume::{Resume, SettledBefore};
pub use round::{Changes, Directives, Gathered};
pub use state::{
    AiringState, CrowdState, ExposedState, FrontierState, GapState, LateMinute, LeftSession, LiveState, MinuteState,
    OpenSession, SignsState, SoFar, StageState, TweetState, UnsettledEnd, ViewerState,
};
pub use watermark::{Holder, PartitionState, Watermarks, Why};

use audience::Ms;

/// The watermark that passes everything: given to a round, it is the end of the data. What is open then lapses with the
/// last sign of its broadcast, or where the watermark stood before if that is later.
pub const END_OF_DATA: Ms = Ms::MAX;
