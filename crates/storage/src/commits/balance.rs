//! A balance is the arithmetic that a commit must satisfy before it is made, and that `verify` finds satisfied after:
//! no offset is read twice or passed over, and every record is a row somewhere.

use super::manifest::{CommitKind, FileEntry, InputPartition, Ledger, Manifest, TABLES};
use std::collections::BTreeMap;

/// Checks `manifest` against the commit before it; the error is the first sum that does not hold, with its numbers.
pub(crate) fn check(manifest: &Manifest, parent: Option<&Manifest>) -> Result<(), String> {
    if let Some(parent) = parent.filter(|parent| parent.contract != manifest.contract) {
        return Err(format!("it is of contract {}, the commit before of {}", manifest.contract, parent.contract));
    }
    partitions(manifest, parent)?;
    counts(manifest)?;
    ledger(manifest, parent)?;
    files(manifest)?;
    for table in TABLES.into_iter().rev() {
        rows(manifest, table)?;
    }
    if parent.and_then(|p| p.watermark) > manifest.watermark {
        return Err(format!(
            "the watermark goes back from {:?} to {:?}",
            parent.and_then(|p| p.watermark),
            manifest.watermark
        ));
    }
    let was = parent.and_then(|p| p.ended);
    if ![was, Some(manifest.number)].contains(&manifest.ended) {
        return Err(format!("the data ended with commit {:?}, before that with {was:?}", manifest.ended));
    }
    Ok(())
}

fn partitions(manifest: &Manifest, parent: Option<&Manifest>) -> Result<(), String> {
    let mut now = BTreeMap::new();
    for partition in &manifest.inputs.partitions {
        offsets(partition)?;
        if now.insert((partition.topic.as_str(), partition.partition), partition).is_some() {
            return Err(format!("{} is there twice", name(partition)));
        }
    }
    for before in parent.map_or(&[][..], |p| &p.inputs.partitions) {
        let Some(partition) = now.get(&(before.topic.as_str(), before.partition)) else {
            return Err(format!("{} of the commit before is missing", name(before)));
        };
        if partition.gaps.iter().any(|gap| gap.beginning) {
            return Err(format!("{} has lost its beginning, but was read before", name(before)));
        }
        if partition.from != before.to {
            return Err(format!("{} is read from {}, was read to {}", name(before), partition.from, before.to));
        }
        if let (Some(is), Some(was)) = (&partition.topic_id, &before.topic_id)
            && is != was
        {
            return Err(format!("{} is of another topic of that name: id {is}, was {was}", name(before)));
        }
        if partition.watermark < before.watermark {
            let (is, was) = (partition.watermark, before.watermark);
            return Err(format!("the watermark of {} goes back from {was:?} to {is:?}", name(before)));
        }
    }
    Ok(())
}

fn name(partition: &InputPartition) -> String {
    format!("partition {} of {}", partition.partition, partition.topic)
}

fn offsets(partition: &InputPartition) -> Result<(), String> {
    let InputPartition { from, to, accepted, rejected, skipped, .. } = *partition;
    let mut lost = 0;
    let mut end = from;
    for gap in &partition.gaps {
        if gap.from < end || gap.to <= gap.from || gap.to > to {
            let (a, b) = (gap.from, gap.to);
            return Err(format!("{} has a gap [{a}, {b}) out of its place in [{from}, {to})", name(partition)));
        }
        end = gap.to;
        lost += i128::from(gap.to) - i128::from(gap.from);
    }
    if accepted == 0 && partition.event_at_after_gap.is_some() {
        return Err(format!("{} names the event after a gap, without an event", name(partition)));
    }
    let held = i128::from(accepted) + i128::from(rejected) + i128::from(skipped) + lost;
    if from < 0 || held != i128::from(to) - i128::from(from) {
        return Err(format!(
            "{}: {accepted} accepted + {rejected} rejected + {skipped} skipped + {lost} lost is not [{from}, {to})",
            name(partition)
        ));
    }
    Ok(())
}

fn counts(manifest: &Manifest) -> Result<(), String> {
    let counts = &manifest.counts;
    let inputs = &manifest.inputs;
    let of_partitions = inputs.partitions.iter().map(|p| (p.accepted, p.rejected));
    let all = of_partitions.chain(inputs.sources.iter().map(|s| (s.accepted, s.rejected)));
    let (accepted, rejected) = all.fold((0, 0), |(a, r), (b, s)| (a + i128::from(b), r + i128::from(s)));
    same("records accepted from all inputs", accepted, "accepted by this commit", counts.accepted)?;
    same("records rejected from all inputs", rejected, "rejected by this commit", counts.rejected)?;
    same("accepted and rejected", accepted + rejected, "read by this commit", counts.read)?;
    same("rejected by reason", sum(counts.reasons.values()), "rejected by this commit", counts.rejected)
}

fn ledger(manifest: &Manifest, parent: Option<&Manifest>) -> Result<(), String> {
    let is = manifest.ledger;
    let was = parent.map_or(Ledger::default(), |p| p.ledger);
    let counts = &manifest.counts;
    let plus = |a: u64, b: u64| i128::from(a) + i128::from(b);
    same("read before and now", plus(was.read, counts.read), "the ledger's read", is.read)?;
    same("accepted before and now", plus(was.accepted, counts.accepted), "the ledger's accepted", is.accepted)?;
    same("rejected before and now", plus(was.rejected, counts.rejected), "the ledger's rejected", is.rejected)?;
    let outcomes = sum([is.applied, is.repeated, is.orphaned, is.after_settle, is.not_yet_settled].iter());
    same(
        "applied, repeated, orphaned, after settle and not yet settled",
        outcomes,
        "the ledger's accepted",
        is.accepted,
    )?;
    // An operator's settle changes what earlier commits said; no other commit may.
    if manifest.kind == CommitKind::Settle {
        return Ok(());
    }
    let airings = || manifest.settled.iter().flat_map(|settlement| &settlement.airings);
    let settled = |what: &str, was: u64, now: i128, is: u64| {
        same(
            &format!("{what} before and in what settled now"),
            i128::from(was) + now,
            &format!("the ledger's {what}"),
            is,
        )
    };
    settled("applied", was.applied, airings().map(|a| i128::from(a.applied)).sum(), is.applied)?;
    settled("repeated", was.repeated, airings().map(|a| i128::from(a.repeated)).sum(), is.repeated)?;
    settled("orphaned", was.orphaned, airings().map(|a| i128::from(a.orphaned)).sum(), is.orphaned)
}

fn files(manifest: &Manifest) -> Result<(), String> {
    for FileEntry { table, path, .. } in &manifest.added {
        if !manifest.tables.contains(table) {
            return Err(format!("{path} is of a table that this writer does not keep"));
        }
    }
    Ok(())
}

/// New rows are records; rows of removed files stand in rewritten ones, or are counted as dropped.
fn rows(manifest: &Manifest, table: &str) -> Result<(), String> {
    let added = |rewritten: bool| {
        let files = manifest.added.iter().filter(move |f| f.table == table && f.rewritten == rewritten);
        files.map(|f| i128::from(f.rows)).sum::<i128>()
    };
    let removed = manifest.removed.iter().filter(|f| f.table == table).map(|f| i128::from(f.rows)).sum::<i128>();
    let dropped = manifest.dropped.get(table).map_or(0, |rows| i128::from(*rows));
    let removed_rows = u64::try_from(removed).map_err(|_| format!("too many rows removed from {table}"))?;
    same(&format!("rows of {table} rewritten and dropped"), added(true) + dropped, "rows removed", removed_rows)?;
    if ["events", "rejected"].contains(&table) && manifest.tables.contains(table) {
        let records = if table == "events" { manifest.counts.accepted } else { manifest.counts.rejected };
        same(&format!("new rows of {table}"), added(false), "records of this commit that belong there", records)?;
    }
    Ok(())
}

fn sum<'a>(numbers: impl Iterator<Item = &'a u64>) -> i128 {
    numbers.map(|n| i128::from(*n)).sum()
}

fn same(left: &str, a: i128, right: &str, b: u64) -> Result<(), String> {
    if a == i128::from(b) { Ok(()) } else { Err(format!("{left}: {a}; {right}: {b}")) }
}
