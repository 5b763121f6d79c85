//! Restoring: at the start of a run the live state is read from the last snapshot and brought forward over the log's tail. A snapshot that is not
//! there, is damaged, or does not fit is said and passed over: the log has all of it.

use super::logline;
use super::rebuild::{self, rows_of};
use super::snapshot::{Reach, Snapshots};
use super::start::Started;
use crate::directory::WRITER;
use crate::draw;
use crate::problem::Problem;
use crate::replay::rules;
use crate::settings::Settings;
use crate::stored::open_table;
use aggregator::{Resume, SettledBefore};
use audience::Ms;
use exporter::{Head, ON_TIME, Restored, SnapshotReader, Table};
use std::collections::BTreeMap;
use std::io::BufRead;
use storage::{CommitKind, Manifest, Snapshot, open_snapshot, read_manifests};

/// Restores the live state of `started` from the snapshot that the last commit names; tells whether it did.
pub(super) fn restore(started: &mut Started, settings: &Settings) -> Result<bool, Problem> {
    let Some(snapshot) = started.writer.owner.chain().newest().and_then(|newest| newest.snapshot.clone()) else {
        return Ok(false);
    };
    match read(started, settings, &snapshot) {
        Ok((head, restored, later)) => resume(started, settings, &head, restored, &later).map(|()| true),
        Err(why) => {
            let text = format!("The snapshot is of no use: {why}. The live state is rebuilt from the log.");
            logline::say(settings.log_format, &logline::warning(&text));
            Ok(false)
        }
    }
}

/// The snapshot, and the commits after it; or why it is of no use.
fn read(
    started: &Started,
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<(Head, Restored, Vec<Manifest>), String> {
    let owner = &started.writer.owner;
    let reader = open_snapshot(owner.store(), snapshot).map_err(|error| error.to_string())?;
    fits(started, settings, &reader)?;
    let head = reader.head().clone();
    let later = read_manifests(owner.store(), WRITER, head.commit + 1..=owner.chain().number());
    let later = later.collect::<Result<Vec<Manifest>, _>>().map_err(|error| error.to_string())?;
    if later.iter().any(|manifest| manifest.kind == CommitKind::Forget) {
        return Err("a broadcast was forgotten since it was taken".to_owned());
    }
    let number = |id: &str| started.registry.number(id).0;
    let restored = reader.restore(rules(settings), number).map_err(|error| error.to_string())?;
    Ok((head, restored, later))
}

/// Whether the snapshot is of this run: of its commits, by its rules, and with its partitions in the same lanes.
fn fits(started: &Started, settings: &Settings, reader: &SnapshotReader<impl BufRead>) -> Result<(), String> {
    let (head, chain) = (reader.head(), started.writer.owner.chain());
    if head.commit > chain.number() || head.watermark > started.watermark {
        return Err(format!("it says that it is of commit {}, of a later time than the last commit is", head.commit));
    }
    if head.rules != exporter::SavedRules::from(rules(settings)) {
        return Err("sessions were opened and closed by other rules".to_owned());
    }
    let count = started.lanes.len();
    let lane_of = |head: &Head, topic: &str, partition: i32| {
        head.partitions.iter().find(|one| one.topic == topic && one.partition == partition).map(|one| one.lane)
    };
    let moved = |(index, one): (&usize, &super::lane::Partition)| {
        lane_of(head, &one.info.topic, one.info.partition).is_some_and(|lane| lane != index % count)
    };
    if head.lanes != count || started.partitions.iter().any(moved) {
        return Err("its partitions were read by other lanes".to_owned());
    }
    Ok(())
}

/// Brings what was restored forward over the tail of the log.
fn resume(
    started: &mut Started,
    settings: &Settings,
    head: &Head,
    restored: Restored,
    later: &[Manifest],
) -> Result<(), Problem> {
    let owner = &started.writer.owner;
    let commit = i64::try_from(head.commit).unwrap_or(i64::MAX);
    let mut live = restored.live;
    live.set_gaps(&rebuild::known_gaps(started));
    let mut resume = Resume::new(restored.lanes, live, commit, settled(started, head, later));
    let current = started
        .partitions
        .values()
        .map(|one| ((one.info.topic.to_string(), one.info.partition), one.index % started.lanes.len()));
    let before = head.partitions.iter().map(|one| ((one.topic.clone(), one.partition), one.lane));
    let lanes: BTreeMap<(String, i32), usize> = current.chain(before).collect();
    let (mut events, mut reach) = (0, Reach::default());
    // No event takes effect before this where there was no watermark yet.
    let from = head.watermark.unwrap_or(Ms::MIN);
    for file in owner.chain().files_of(Table::Events.name()).filter(|file| file.begun_in() >= head.held_from) {
        let table = open_table(owner.store(), Table::Events, file)?.tail(commit, from);
        rows_of(started, table, |row, topic, details| {
            let lane = lanes.get(&(topic.to_owned(), row.partition)).copied().unwrap_or(0);
            let late_at = (row.late_at != ON_TIME).then_some(row.late_at);
            events += u64::from(resume.push(lane, row.commit, row.event, details, late_at));
            reach.note(row.commit, row);
        })?;
    }
    (started.lanes, started.live) = resume.finish(started.watermark);
    let commits = later.iter().filter(|manifest| manifest.counts.read > 0).count() as u64;
    started.writer.snapshots = Snapshots::resumed(restored.entries, events, commits, reach);
    let n = draw::count;
    let text = format!(
        "Going on after commit {}, from the snapshot of commit {} ({} open sessions and known viewers) and {} events after it.",
        started.writer.owner.chain().number(),
        head.commit,
        n(restored.entries),
        n(events)
    );
    logline::say(settings.log_format, &logline::info(&text));
    Ok(())
}

/// What settled from the snapshot's cut on, each with the watermark of the last commit whose events were read.
fn settled(started: &Started, head: &Head, later: &[Manifest]) -> Vec<SettledBefore> {
    let mut settled = Vec::new();
    let mut watermark = head.watermark;
    for manifest in later {
        for settlement in &manifest.settled {
            let frontier =
                |airing: &storage::SettledAiring| (started.registry.number(&airing.broadcast_id).0, airing.frontier);
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
