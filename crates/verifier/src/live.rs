//! The live minutes: each in its line, and complete but where a gap lies; and what they say of late events is what the
//! log says.

use super::airing::{Airing, named};
use super::gaps::wrong_complete;
use super::history::History;
use super::line::{BROKEN, MinuteLine};
use super::tables::OTHER_VERSION;
use audience::Ms;
use audience::time::rfc3339;
use exporter::Table;
use problem::Problem;
use std::collections::BTreeMap;
use storage::Stored;

/// How many late events the log has in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    /// Late events that a live row of that minute counts.
    pub(super) sure: i64,
    /// All late events. A run that starts again counts anew, without what has settled: late events of a broadcast that
    /// had settled may then be in no row.
    pub(super) all: i64,
}

/// Late events by broadcast and minute.
pub(super) type LateMinutes = BTreeMap<(u32, Ms), Late>;

/// Checks the live minutes: each by itself, in its line and against the gaps, and the late events against the log's.
/// Gives their number.
pub(super) fn check_live(stored: &Stored, history: &History, late: Option<&LateMinutes>) -> Result<u64, Problem> {
    let mut lines = BTreeMap::<Airing, MinuteLine>::new();
    let mut counted = BTreeMap::<(u32, Ms), i64>::new();
    let mut count = 0;
    stored.minutes_of_files(Table::Live, |file, rows| {
        for row in &rows {
            let airing = (row.broadcast, row.airing_at);
            let broken = |what: &str| Problem::data(format!("{}, table live: {what}.", named(stored, &airing)));
            aggregator::audit_minute(row).map_err(|breach| broken(&breach.0))?;
            if row.distinct.is_some() == stored.is_older() {
                return Err(broken(OTHER_VERSION));
            }
            if row.distinct.is_some_and(|people| people.returns != 0) {
                return Err(broken(&format!("minute {} has returns", rfc3339(row.minute_at))));
            }
            if let Some(what) = wrong_complete(history, file, row) {
                return Err(broken(&format!("minute {} {what}", rfc3339(row.minute_at))));
            }
            count += 1;
            lines.entry(airing).or_default().take(row);
            *counted.entry((row.broadcast, row.minute_at)).or_default() += row.late;
            if !(0..=row.lapses).contains(&row.lapses_backdated) {
                return Err(broken(&format!(
                    "minute {}: {} of {} lapses are backdated",
                    rfc3339(row.minute_at),
                    row.lapses_backdated,
                    row.lapses
                )));
            }
        }
        Ok(())
    })?;
    // First minutes may have been dropped for their age.
    let is_cut = history.live_dropped > 0;
    if let Some((airing, _)) = lines.iter().find(|(_, line)| !(line.is_whole() || is_cut && line.is_unbroken())) {
        return Err(Problem::data(format!("{}, table live: {BROKEN}.", named(stored, airing))));
    }
    let Some(late) = late else { return Ok(count) };
    for ((broadcast, minute_at), counted) in counted {
        let Late { sure, all } = late.get(&(broadcast, minute_at)).copied().unwrap_or_default();
        if !(sure..=all).contains(&counted) {
            return Err(Problem::data(format!(
                "broadcast {:?}, table live, minute {}: {counted} late events, where the table events has {all}.",
                stored.broadcast_ids()[broadcast as usize],
                rfc3339(minute_at)
            )));
        }
    }
    Ok(count)
}
