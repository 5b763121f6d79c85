//! Settling at the edge: events of any order in, settled tables out, within a `budget`. `gather` keeps events by shard
//! of viewers and spills sorted runs beyond its share of the memory; `engine` takes the shards through `aggregator`
//! side by side; `flows` adds up what they give to the curves, and spills beyond its share, too; a `receiver` takes the
//! rows, and `sink` is the one that hands them to the files of a commit. `replay`, `run`, `show` and `verify` all
//! settle here.

mod airings;
mod budget;
mod correct;
mod due;
mod engine;
mod flows;
mod gather;
mod order;
mod receiver;
mod settled;
mod sink;
mod source;

use aggregator::{Gap, Gaps};
use storage::Lost;

/// What was lost of the input, as the commits say.
pub(crate) fn gap_of(lost: &Lost) -> Gap {
    Gap { before: lost.gap.event_at_before, after: lost.gap.event_at_after }
}

/// All that was lost.
pub(crate) fn gaps_of(lost: &[Lost]) -> Gaps {
    lost.iter().map(gap_of).collect()
}

pub(crate) use airings::{AiringList, ListedAiring, Selection};
pub(crate) use budget::{Budget, scratch_of_reader};
pub(crate) use correct::{correct, nothing_to_do};
pub(crate) use due::{Settle, Settler, settle_due};
pub(crate) use engine::settle_all;
pub(crate) use gather::{Feeder, Gather, lock};
pub(crate) use receiver::Receiver;
pub(crate) use settled::{Settled, settlement};
pub(crate) use sink::{Output, write_file};

#[cfg(test)]
mod tests;
