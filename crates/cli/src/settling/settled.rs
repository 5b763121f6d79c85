//! What settled, as a manifest says it.

use super::engine::Settled;
use crate::directory::WRITER;
use aggregator::Rules;
use std::sync::Arc;
use storage::{SettledAiring, Settlement};

/// The airings `settled` by `rules` from the events up to the commit `read_to`; `names` are the ids of the broadcasts.
pub(crate) fn settlement(settled: &[Settled], names: &[Arc<str>], rules: &Rules, read_to: u64) -> Settlement {
    let airings = settled.iter().map(|one| SettledAiring {
        broadcast_id: names[one.broadcast as usize].to_string(),
        airing_at: one.airing_at,
        frontier: one.last_sign + rules.broadcast_idle,
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
