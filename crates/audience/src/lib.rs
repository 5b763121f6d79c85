//! The words of the audience meter and their wire form: what an event is, how bytes become one, the rows that the
//! tables hold, and how people write numbers and times.
//!
//! Nothing here does I/O or reads a clock. Every other crate speaks in these types, so this is the place to learn the
//! nouns.

mod decode;
mod details;
pub mod duration;
mod event;
mod fields;
mod flaw;
mod guise;
mod names;
mod outline;
mod quick;
mod registry;
mod reject;
mod rows;
mod strict;
pub mod text;
pub mod time;
mod zone;

pub use decode::{Decoder, fingerprint, is_blank};
pub use details::{Detail, Details, RetweetDetail};
pub use event::{Event, Kind, NO_DETAIL};
pub use flaw::flaw;
pub use guise::Guise;
pub use names::Names;
pub use registry::{Key, Registry};
pub use reject::{Field, Reason, Rejection};
pub use rows::{AiringRow, DistinctAiring, DistinctMinute, Ended, MinuteRow, RetweetRow, SessionRow, Stay};
pub use time::{MINUTE_MS, Ms};
pub use zone::Zone;
