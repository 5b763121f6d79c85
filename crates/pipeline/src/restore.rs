//! Restoring: at the start of a run the live state is read from the last snapshot and brought forward over the log's
//! tail. A snapshot that is not there, is damaged, or does not fit is said and passed over: the log has all of it.

use super::log::{Log, Resumed};
use super::message::Partition;
use super::said::{Said, Tell};
use super::snapshot::{Reach, Snapshots};
use aggregator::{Frontier, Resume, Rules, SettledBefore};
use audience::Ms;
use audience::text;
use exporter::{Head, ON_TIME, Restored, SnapshotReader, Table};
use problem::Problem;
use std::collections::BTreeMap;
use std::io::BufRead;
use storage::directory::WRITER;
use storage::open_table;
use storage::{CommitKind, Manifest, Snapshot, open_snapshot, read_manifests};

/// The live state of `lanes` lanes from the snapshot that the last commit names; `None` where there is none, or none
/// that is of use.
pub(super) fn restore(log: Log<'_>, rules: &Rules, lanes: usize, tell: &Tell) -> Result<Option<Resumed>, Problem> {
    let Some(snapshot) = log.chain().newest().and_then(|newest| newest.snapshot.as_ref()) else {
        return Ok(None);
    };
    match read(log, rules, lanes, snapshot) {
        Ok((head, restored, later)) => resume(log, lanes, &head, restored, &later, tell).map(Some),
        Err(why) => {
            tell(Said::Warning(format!("The snapshot is of no use: {why}. The live state is rebuilt from the log.")));
            Ok(None)
        }
    }
}

/// The snapshot, and the commits after it; or why it is of no use.
fn read(
    log: Log<'_>,
    rules: &Rules,
    lanes: usize,
    snapshot: &Snapshot,
) -> Result<(Head, Restored, Vec<Manifest>), String> {
    let store = log.committer.store();
    let reader = open_snapshot(store, snapshot).map_err(|error| error.to_string())?;
    fits(log, rules, lanes, &reader)?;
    let head = reader.head().clone();
    let later = read_manifests(store, WRITER, head.commit + 1..=log.chain().number());
    let later = later.collect::<Result<Vec<Manifest>, _>>().map_err(|error| error.to_string())?;
    if later.iter().any(|manifest| manifest.kind == CommitKind::Forget) {
        return Err("a broadcast was forgotten since it was taken".to_owned());
    }
    let number = |id: &str| log.registry.number(id).0;
    let restored = reader.restore(*rules, number).map_err(|error| error.to_string())?;
    Ok((head, restored, later))
}

/// Whether the snapshot is of this run: of its commits, by its rules, and with its partitions in the same lanes.
fn fits(log: Log<'_>, rules: &Rules, lanes: usize, reader: &SnapshotReader<impl BufRead>) -> Result<(), String> {
    let head = reader.head();
    if head.commit > log.chain().number() || head.watermark > log.watermark() {
        return Err(format!("it says that it is of commit {}, of a later time than the last commit is", head.commit));
    }
    if head.rules != exporter::SavedRules::from(*rules) {
        return Err("sessions were opened and closed by other rules".to_owned());
    }
    let lane_of = |head: &Head, topic: &str, partition: i32| {
        head.partitions.iter().find(|one| one.topic == topic && one.partition == partition).map(|one| one.lane)
    };
    let moved = |(index, one): (&usize, &Partition)| {
        lane_of(head, &one.info.topic, one.info.partition).is_some_and(|lane| lane != index % lanes)
    };
    if head.lanes != lanes || log.partitions.iter().any(moved) {
        return Err("its partitions were read by other lanes".to_owned());
    }
    Ok(())
}

/// Brings what was restored forward over the tail of the log.
fn resume(
    log: Log<'_>,
    lanes: usize,
    head: &Head,
    restored: Restored,
    later: &[Manifest],
    tell: &Tell,
) -> Result<Resumed, Problem> {
    let commit = i64::try_from(head.commit).unwrap_or(i64::MAX);
    let mut live = restored.live;
    live.set_gaps(&log.known_gaps());
    let mut resume = Resume::new(restored.lanes, live, commit, settled(log, head, later));
    let current = log.partitions.values();
    let current = current.map(|one| ((one.info.topic.to_string(), one.info.partition), one.index % lanes));
    let before = head.partitions.iter().map(|one| ((one.topic.clone(), one.partition), one.lane));
    let lane_of: BTreeMap<(String, i32), usize> = current.chain(before).collect();
    let (mut events, mut reach) = (0, Reach::default());
    // No event takes effect before this where there was no watermark yet.
    let from = head.watermark.unwrap_or(Ms::MIN);
    for file in log.chain().files_of(Table::Events.name()).filter(|file| file.begun_in() >= head.held_from) {
        let table = open_table(log.committer.store(), Table::Events, file)?.tail(commit, from);
        log.rows_of(table, |row, topic, details| {
            let lane = lane_of.get(&(topic.to_owned(), row.partition)).copied().unwrap_or(0);
            let late_at = (row.late_at != ON_TIME).then_some(row.late_at);
            events += u64::from(resume.push(lane, row.commit, row.event, details, late_at));
            reach.note(row.commit, row);
        })?;
    }
    let (lanes, live) = resume.finish(log.watermark());
    let commits = later.iter().filter(|manifest| manifest.counts.read > 0).count() as u64;
    let n = text::count;
    tell(Said::Info(format!(
        "Going on after commit {}, from the snapshot of commit {} ({} open sessions and known viewers) and {} events after it.",
        log.chain().number(),
        head.commit,
        n(restored.entries),
        n(events)
    )));
    Ok(Resumed { lanes, live, snapshots: Snapshots::resumed(restored.entries, events, commits, reach) })
}

/// What settled from the snapshot's cut on, each with the watermark of the last commit whose events were read.
fn settled(log: Log<'_>, head: &Head, later: &[Manifest]) -> Vec<SettledBefore> {
    let mut settled = Vec::new();
    let mut watermark = head.watermark;
    for manifest in later {
        for settlement in &manifest.settled {
            let frontier = |airing: &storage::SettledAiring| {
                let frontier = Frontier { at: airing.frontier, off_air: airing.off_air };
                (log.registry.number(&airing.broadcast_id).0, frontier)
            };
            settled.push(SettledBefore {
                read_to: settlement.read_to(),
                watermark,
                frontiers: settlement.airings.iter().map(frontier).collect(),
            });
        }
        watermark = manifest.watermark;
    }
    settled
}
