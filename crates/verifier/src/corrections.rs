//! The correction ledger against the settled minutes: each correction of a minute begins where the one before ended,
//! and the last ends at the row that the table `minutes` has.

use audience::time::rfc3339;
use audience::{MinuteRow, Ms};
use exporter::{CorrectionRow, Table};
use problem::Problem;
use std::collections::{BTreeMap, BTreeSet};
use storage::Stored;

/// Checks the corrections; `settling` are the commits that an operator's settling made. Gives their number.
pub(super) fn check(stored: &Stored, settling: &BTreeSet<i64>) -> Result<u64, Problem> {
    let mut rows = Vec::<CorrectionRow>::new();
    stored.corrections(|batch| {
        rows.extend(batch);
        Ok(())
    })?;
    rows.sort_by_key(|row| (row.broadcast, row.minute_at, row.commit));
    let broken = |row: &CorrectionRow, what: &str| {
        Problem::data(format!(
            "broadcast {:?}, table corrections, minute {}, commit {}: {what}.",
            stored.broadcast_ids()[row.broadcast as usize],
            rfc3339(row.minute_at),
            row.commit
        ))
    };
    let mut before: Option<&CorrectionRow> = None;
    for row in &rows {
        if !settling.contains(&row.commit) {
            return Err(broken(row, "no settling of an operator made that commit"));
        }
        if row.before == row.after {
            return Err(broken(row, "nothing moved"));
        }
        for minute in [&row.before, &row.after].into_iter().flatten() {
            aggregator::audit_minute(minute).map_err(|breach| broken(row, &breach.0))?;
        }
        let same = before.filter(|before| (before.broadcast, before.minute_at) == (row.broadcast, row.minute_at));
        if same.is_some_and(|same| same.commit == row.commit) {
            return Err(broken(row, "it stands there twice"));
        }
        if same.is_some_and(|same| same.after != row.before) {
            return Err(broken(row, "it does not begin with the minute with which the correction before ended"));
        }
        before = Some(row);
    }
    let mut last: BTreeMap<(u32, Ms), &CorrectionRow> = BTreeMap::new();
    last.extend(rows.iter().map(|row| ((row.broadcast, row.minute_at), row)));
    if stored.keeps(Table::Minutes) {
        stored.minutes(Table::Minutes, |minutes| {
            for minute in minutes {
                let Some(row) = last.remove(&(minute.broadcast, minute.minute_at)) else { continue };
                // Whether an input had a gap is not the correction's to say.
                if row.after != Some(MinuteRow { complete: true, ..minute }) {
                    return Err(broken(row, "the table minutes has another row than the last correction left"));
                }
            }
            Ok(())
        })?;
        if let Some(row) = last.values().find(|row| row.after.is_some()) {
            return Err(broken(row, "the minute that the last correction left is not in the table minutes"));
        }
    }
    Ok(rows.len() as u64)
}
