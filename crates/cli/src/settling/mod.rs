//! Settling at the edge: events of any order in, settled tables out, in bounded memory. `gather` keeps events by shard of viewers and spills
//! sorted runs beyond its share of the memory; `engine` takes the shards through `aggregator` side by side; `flows` adds up what they give to
//! the curves, and spills beyond its share, too; `sink` hands the rows to the files of a commit. `replay`, `run`, `show` and `verify` all
//! settle here.

mod engine;
mod flows;
mod gather;
mod order;
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

pub(crate) use engine::{Settled, settle_all};
pub(crate) use gather::{Feeder, Gather, lock};
pub(crate) use settled::settlement;
pub(crate) use sink::{Output, Receiver, Sink, write_file};

/// Shards of viewers: the unit of parallelism. A power of two; many more than threads, so that uneven shards even out.
pub(crate) const SHARDS: usize = 16;

#[cfg(test)]
mod tests;
