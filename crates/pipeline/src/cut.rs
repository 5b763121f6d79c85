//! The commit of a cut: what all lanes have read since the last one, with the offsets up to which it was read, the live
//! minutes that closed, and a snapshot that is finished.

use super::message::{Cut, PartitionAtCut, Taken, Work};
use super::publisher::Publisher;
use super::snapshot::Snapshots;
use audience::{Details, Ms};
use exporter::{LoggedEvent, RejectedRow, TableRows, minutes_by_date, rejected_by_date, sort_events};
use ingester::kafka::PartitionInfo;
use problem::Problem;
use settling::write_file;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::provenance;
use storage::{Chain, CommitKind, Counts, Draft, Folder, InputPartition, Lost, OffsetGap};

/// The cuts of all lanes as one.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) events: Vec<LoggedEvent>,
    details: Details,
    rejected: Vec<RejectedRow>,
    partitions: BTreeMap<usize, Taken>,
}

impl Whole {
    /// The cuts of all lanes.
    pub(super) fn of(cuts: Vec<Cut>) -> Whole {
        let mut whole = Whole::default();
        for cut in cuts {
            if whole.events.is_empty() {
                whole.events = cut.events;
                whole.details = cut.details;
            } else {
                let details = &mut whole.details;
                let adopted = cut
                    .events
                    .into_iter()
                    .map(|row| LoggedEvent { event: details.adopt(row.event, &cut.details), ..row });
                whole.events.extend(adopted);
            }
            whole.rejected.extend(cut.rejected);
            whole.partitions.extend(cut.partitions);
        }
        whole
    }
}

/// The records of cuts, by what became of them.
pub(super) fn counts_of(cuts: &[Cut]) -> Counts {
    let mut counts = Counts::default();
    for cut in cuts {
        counts.accepted += cut.events.len() as u64;
        counts.rejected += cut.rejected.len() as u64;
        for row in &cut.rejected {
            *counts.reasons.entry(row.rejection.reason.word().to_owned()).or_default() += 1;
        }
    }
    counts.read = counts.accepted + counts.rejected;
    counts
}

/// Commits what was cut. It can be tried again after a problem that may pass.
pub(super) fn commit_cut(
    publisher: &mut Publisher,
    snapshots: &mut Snapshots,
    whole: &mut Whole,
    counts: &Counts,
    work: &mut Work,
) -> Result<(), Problem> {
    let commit = publisher.committer.begin();
    let names = publisher.registry.ids();
    let options = &publisher.options;
    let passport = provenance::of_topics(&options.rules, options.lateness_ms, &options.topic, commit.number());
    let number = i64::try_from(commit.number()).unwrap_or(i64::MAX);
    if !whole.events.is_empty() {
        whole.events.iter_mut().for_each(|row| row.commit = number);
        sort_events(&mut whole.events, &names);
        let sources = options.sources();
        let rows = TableRows::Events(&whole.events, &whole.details, &sources);
        write_file(&commit, Folder::Writer, rows, &names, &passport)?;
    }
    for (day, rows) in rejected_by_date(&mut whole.rejected) {
        write_file(&commit, Folder::Day(day), TableRows::Rejected(rows), &names, &passport)?;
    }
    for (day, rows) in minutes_by_date(&mut work.live, &names) {
        write_file(&commit, Folder::Day(day), TableRows::Live(rows), &names, &passport)?;
    }
    let mut draft = publisher.draft(CommitKind::Run);
    draft.watermark = work.watermark.max(draft.watermark);
    draft.silenced += work.silenced;
    place_partitions(publisher.committer.chain(), &mut draft, whole, &work.partitions);
    let after_settle = after_settle(publisher.frontiers(), &whole.events, &names);
    draft.counts = counts.clone();
    let ledger = &mut draft.ledger;
    ledger.read += counts.read;
    ledger.accepted += counts.accepted;
    ledger.rejected += counts.rejected;
    ledger.after_settle += after_settle;
    ledger.not_yet_settled += counts.accepted - after_settle;
    let is_end = work.settle.as_ref().is_some_and(|settle| settle.is_end);
    let base = if is_end { snapshots.wait() } else { snapshots.finished() };
    // What is on air ends with the data: a later run has nothing to go on with but the log.
    let base = publisher.heard(base).filter(|_| !is_end);
    draft.snapshot = draft.snapshot.filter(|_| !is_end);
    base.iter().for_each(|base| base.enter(&commit, &mut draft));
    let published = publisher.publish(&commit, &draft);
    if published.is_err() && base.is_some() {
        snapshots.lost();
    }
    published
}

/// Says in `draft` up to where each partition was read, and what came of it.
fn place_partitions(chain: &Chain, draft: &mut Draft, whole: &Whole, standings: &BTreeMap<usize, PartitionAtCut>) {
    for (index, standing) in standings {
        let Some(taken) = whole.partitions.get(index) else { continue };
        let partitions = &mut draft.inputs.partitions;
        let place = match place_of(partitions, &standing.info) {
            Some(place) => place,
            // A partition of which nothing was read yet is not known yet: it will be read from its log start. One that
            // has lost its beginning is known by that.
            None if taken.to == standing.start && standing.gap.is_none() => continue,
            None => {
                let (topic, partition) = (standing.info.topic.to_string(), standing.info.partition);
                let from = standing.gap.as_ref().map_or(standing.start, |gap| gap.from);
                partitions.push(InputPartition { topic, partition, from, to: from, ..InputPartition::default() });
                partitions.len() - 1
            }
        };
        let one = &mut partitions[place];
        if let Some(gap) = standing.gap.as_ref().filter(|gap| gap.from == one.from && one.to == one.from) {
            one.gaps.push(OffsetGap { event_at_after: taken.event_at_first, ..gap.clone() });
        }
        // Of an earlier gap, also where there is one more before the first event.
        if awaits(chain, &standing.info) {
            one.event_at_after_gap = taken.event_at_first;
        }
        let lost: u64 = one.gaps.iter().map(|gap| gap.to.abs_diff(gap.from)).sum();
        one.topic_id = standing.topic_id.as_deref().map(str::to_owned).or(one.topic_id.take());
        one.to = taken.to;
        one.accepted = taken.accepted;
        one.rejected = taken.rejected;
        one.skipped = (taken.to - one.from).unsigned_abs() - taken.accepted - taken.rejected - lost;
        one.event_at_last = taken.event_at_last.or(one.event_at_last);
        one.event_at_max = one.event_at_max.max(taken.event_at_max);
        one.record_at_max = one.record_at_max.max(taken.record_at_max);
        one.record_at_last = taken.record_at_last.or(one.record_at_last);
        one.watermark = one.watermark.max(standing.watermark);
        one.idle = standing.is_idle;
    }
    draft.inputs.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
}

/// The place of a partition among those of a commit.
pub(super) fn place_of(partitions: &[InputPartition], info: &PartitionInfo) -> Option<usize> {
    partitions.iter().position(|one| *one.topic == *info.topic && one.partition == info.partition)
}

/// Whether a gap of the partition waits for the event after it.
fn awaits(chain: &Chain, info: &PartitionInfo) -> bool {
    let waits = |lost: &Lost| lost.gap.event_at_after.is_none();
    let of_it = |lost: &&Lost| *lost.topic == *info.topic && lost.partition == info.partition;
    chain.lost().iter().filter(of_it).any(waits)
}

/// Events that come behind their broadcast's frontier.
fn after_settle(frontiers: &BTreeMap<String, Ms>, events: &[LoggedEvent], names: &[Arc<str>]) -> u64 {
    let of_broadcast: Vec<Ms> = names.iter().map(|id| frontiers.get(&**id).copied().unwrap_or(Ms::MIN)).collect();
    events.iter().filter(|row| row.event.ts() < of_broadcast[row.event.broadcast as usize]).count() as u64
}
