//! A simulator: a seed in; the events of any number of broadcasts out, in arrival order, with the truth about them
//! beside.
//!
//! The first broadcast is the night of 3 to 4 April 2016 as far as it was published (see [`PUBLISHED`]); the others are
//! drawn shows. A seed means the same events for ever, on any machine: chance is ChaCha, and every function beyond + −
//! × ÷ √ is `libm`'s, never the platform's. Nothing here does I/O, reads a clock, or uses the counting that its truth
//! is meant to check.
//!
//! ```
//! let options = simulator::NightOptions { scale: 0.001, ..simulator::NightOptions::default() };
//! let mut night = simulator::generate(&options)?;
//! let mut line = Vec::new();
//! for arrival in night.by_ref() {
//!     line.clear();
//!     arrival.event.write_json(&mut line);
//! }
//! let truth = night.truth();
//! assert_eq!(truth.broadcasts[0].broadcast_id, "nuit-debout");
//! # Ok::<(), String>(())
//! ```

mod broadcast;
mod count;
mod crowd;
mod curve;
mod dice;
mod event;
mod json;
mod night;
mod options;
mod plan;
mod retweets;
mod script;
mod tally;
#[cfg(test)]
mod tests;
mod truth;

pub use event::{Arrival, RELAY_ID, SimAct, SimEvent};
pub use night::{Night, generate};
pub use options::{NIGHT_AT, NightOptions};
pub use script::{NIGHT_ID, PUBLISHED, broadcast_id};
pub use truth::{BroadcastTruth, MinuteTruth, RetweetTruth, Truth};

/// Milliseconds since the Unix epoch, UTC.
pub type Ms = i64;

/// The whole part of a number; 0 of a negative one.
#[expect(clippy::cast_sign_loss, reason = "the cast saturates, so a negative number is 0, which is what is wanted")]
fn whole(number: f64) -> u32 {
    number as u32
}
