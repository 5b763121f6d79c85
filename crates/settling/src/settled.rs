//! What settled: one airing for those who asked, and all of them as the manifest says it.

use aggregator::{Frontier, Rules, Tally};
use audience::Ms;
use std::sync::Arc;
use storage::directory::WRITER;
use storage::{SettledAiring, Settlement};

/// One airing that settled, for the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Its name; `None` where nothing was applied, so that there is no row of it.
    pub airing_at: Option<Ms>,
    /// Its last accepted event.
    pub last_sign: Ms,
    /// What has a smaller `ts` and comes later comes too late.
    pub frontier: Frontier,
    /// What became of its events.
    pub tally: Tally,
}

/// What settled by `rules`, as the manifest says it: `settled` from the events up to the commit `read_to`. `names` are
/// the ids of the broadcasts, by number.
pub fn settlement(settled: &[Settled], names: &[Arc<str>], rules: &Rules, read_to: u64) -> Settlement {
    let airings = settled.iter().map(|one| SettledAiring {
        broadcast_id: names[one.broadcast as usize].to_string(),
        airing_at: one.airing_at,
        frontier: one.frontier.at,
        off_air: one.frontier.off_air,
        applied: one.tally.applied.unsigned_abs(),
        repeated: one.tally.repeated.unsigned_abs(),
        orphaned: one.tally.orphaned.unsigned_abs(),
    });
    Settlement {
        read_to: [(WRITER.to_owned(), read_to)].into(),
        replaces_from: None,
        rules: exporter::SavedRules::from(*rules),
        airings: airings.collect(),
    }
}
