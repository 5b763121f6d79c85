//! Settling: events of any order in, settled rows out, within a [`Budget`].
//!
//! `gather` keeps events by shard of viewers and spills sorted runs beyond its share of the memory; `engine` takes the
//! shards through `aggregator` side by side; `flows` adds up what they give to the curves, and spills beyond its share,
//! too; a [`Receiver`] takes the rows, and the `sink` is the one that hands them to the files of a commit. `due` is
//! what a run settles, `correct` what an operator has settled again, and `airings` are those of a directory as they
//! stand.

mod airings;
mod budget;
mod correct;
mod due;
mod engine;
mod flows;
mod gather;
mod lock;
mod order;
mod receiver;
mod rewrite;
mod settled;
mod sink;
mod source;
mod spill;

pub use airings::{AiringList, ListedAiring, Selection};
pub use budget::Budget;
pub use correct::{correct, nothing_to_do};
pub use due::{Settle, Settler, settle_due};
pub use engine::settle_all;
pub use gather::{Feeder, Gather, Shards};
pub use receiver::Receiver;
pub use settled::{Settled, settlement};
pub use sink::{Output, Sink, write_file};
pub use spill::run::SpillError;

use spill::merge::{Merge, Piece};
use spill::numbers::{Numbers, NumbersMerge};
use spill::run::{Run, RunWriter, Section};

#[cfg(test)]
mod tests;
