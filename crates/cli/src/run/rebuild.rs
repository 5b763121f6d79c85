//! The rebuilding of the live state: at the start of a run, lanes and live curve are brought from the log to where the last commit left them. The
//! minutes that close on the way are in the table `live` already.

use super::logline;
use super::restore::restore;
use super::snapshot::{Reach, Snapshots};
use super::start::Started;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::settlements::{Line, Settlements};
use crate::stored::open_table;
use audience::time::minute_of;
use audience::{Details, Ms, Names, fingerprint};
use exporter::{LoggedEvent, ON_TIME, Table, TableFile};
use std::collections::{BTreeMap, BTreeSet};
use storage::{FileEntry, StoredFile};

/// Brings the live state of `started` to where the last commit left it: from the snapshot, or else from the log alone.
pub(super) fn bring_back(started: &mut Started, settings: &Settings) -> Result<(), Problem> {
    if !restore(started, settings)? {
        rebuild(started, settings)?;
    }
    let gaps: Vec<aggregator::Gap> = started.gaps.iter().map(|(_, gap)| *gap).collect();
    started.live.set_gaps(&gaps);
    Ok(())
}

/// Rebuilds the live state of `started`.
///
/// What has settled is over for the live curve, too, but where a late event of it took effect near its frontier or later: then the live airing
/// went on while the settled one was over. The events of such a broadcast are taken again from the beginning, as they were taken then.
fn rebuild(started: &mut Started, settings: &Settings) -> Result<(), Problem> {
    started.live.set_gaps(&known_gaps(started));
    let frontiers = frontiers(started);
    let ended = ended(started);
    let mut overhanging = BTreeSet::new();
    if frontiers.iter().any(|frontier| *frontier > Ms::MIN) {
        read_log(started, |row, _, _| {
            let frontier = frontiers.get(row.event.broadcast as usize).copied().unwrap_or(Ms::MIN);
            let is_settled = row.event.ts() < frontier && row.commit > ended;
            if is_settled && row.late_at != ON_TIME && row.late_at > frontier - settings.broadcast_idle_ms {
                overhanging.insert(row.event.broadcast);
            }
        })?;
    }
    let overhang = lines_of(started, &overhanging)?;
    set_frontiers(started, &frontiers, |broadcast| !overhang.contains_key(&broadcast));
    let events = feed(started, &frontiers, &overhang)?;
    if let Some(watermark) = started.watermark {
        let gathered = started.lanes.iter_mut().map(|lane| lane.gather(watermark)).collect();
        let directives = started.live.advance(watermark, gathered);
        let changes = started.lanes.iter_mut().map(|lane| lane.close(&directives)).collect();
        started.live.close(changes);
    }
    set_frontiers(started, &frontiers, |broadcast| overhang.contains_key(&broadcast));
    let commit = started.writer.owner.chain().number();
    if commit > 0 {
        let text = format!("Going on after commit {commit}: {events} events had not settled.");
        logline::say(settings.log_format, &logline::info(&text));
    }
    Ok(())
}

/// The gaps that were known by the last commit. Which minutes were complete was decided by those known then; minutes that close from here on
/// know all of them.
pub(super) fn known_gaps(started: &Started) -> Vec<aggregator::Gap> {
    let count = started.writer.owner.chain().lost().len();
    started.gaps.iter().take(count).map(|(_, gap)| *gap).collect()
}

/// What is settled of these broadcasts, by their numbers.
fn lines_of(started: &Started, broadcasts: &BTreeSet<u32>) -> Result<BTreeMap<u32, Line>, Problem> {
    if broadcasts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (owner, names) = (&started.writer.owner, started.registry.ids());
    let ids = broadcasts.iter().map(|broadcast| names[*broadcast as usize].to_string()).collect();
    let settlements = Settlements::of(owner.store(), owner.chain(), ids)?;
    let line = |broadcast: &u32| settlements.line(&names[*broadcast as usize]).cloned().unwrap_or_default();
    Ok(broadcasts.iter().map(|broadcast| (*broadcast, line(broadcast))).collect())
}

/// The last commit with which the data ended: what came up to it has settled, and is over for the live curve, too.
fn ended(started: &Started) -> i64 {
    let ended = started.writer.owner.chain().newest().and_then(|newest| newest.ended);
    ended.map_or(0, |number| i64::try_from(number).unwrap_or(i64::MAX))
}

/// By number of the broadcast.
fn frontiers(started: &Started) -> Vec<Ms> {
    let known = started.writer.owner.chain().frontiers();
    for id in known.keys() {
        started.registry.place(id);
    }
    // Broadcasts of the log that have no key any more, or settled never, get their numbers while it is read, after these.
    let of = |id: &std::sync::Arc<str>| known.get(&**id).copied().unwrap_or(Ms::MIN);
    started.registry.ids().iter().map(of).collect()
}

fn set_frontiers(started: &mut Started, frontiers: &[Ms], which: impl Fn(u32) -> bool) {
    for (broadcast, frontier) in (0..).zip(frontiers) {
        if *frontier > Ms::MIN && which(broadcast) {
            started.live.set_frontier(broadcast, *frontier);
            started.lanes.iter_mut().for_each(|lane| lane.set_frontier(broadcast, *frontier));
        }
    }
}

/// Gives the lanes all events that the live curve had, and their number.
fn feed(started: &mut Started, frontiers: &[Ms], overhang: &BTreeMap<u32, Line>) -> Result<u64, Problem> {
    let partitions = started.partitions.values();
    let places: BTreeMap<(String, i32), usize> =
        partitions.map(|one| ((one.info.topic.to_string(), one.info.partition), one.index)).collect();
    let mut lanes = std::mem::take(&mut started.lanes);
    let count = lanes.len();
    let open = started.watermark.map(minute_of);
    let ended = ended(started);
    let (mut events, mut reach) = (0, Reach::default());
    let read = read_log(started, |row, topic, details| {
        reach.note(row.commit, row);
        if row.commit <= ended {
            return;
        }
        let frontier = frontiers.get(row.event.broadcast as usize).copied().unwrap_or(Ms::MIN);
        let is_live = match overhang.get(&row.event.broadcast) {
            Some(line) => line.was_open(row.commit, row.event.ts()),
            None => row.event.ts() >= frontier,
        };
        // A late event behind its frontier still counts as late in a minute that has not closed.
        let is_late_here = !is_live && row.late_at != ON_TIME && open.is_some_and(|open| row.late_at >= open);
        if is_live || is_late_here {
            // A partition that is no longer read still has its events in the curve.
            let lane = places.get(&(topic.to_owned(), row.partition)).map_or(0, |index| index % count);
            if is_late_here {
                return lanes[lane].hear_late(row.event.broadcast, row.late_at);
            }
            let late_at = (row.late_at != ON_TIME).then_some(row.late_at);
            lanes[lane].push_logged(row.event, details, late_at);
            events += u64::from(row.event.ts() >= frontier);
        }
    });
    started.lanes = lanes;
    started.writer.snapshots = Snapshots::rebuilt(reach, started.writer.owner.chain().number() > 0);
    read.map(|()| events)
}

/// Reads the log: each event with its topic and the arena of its strings.
fn read_log(started: &Started, mut take: impl FnMut(&LoggedEvent, &str, &Details)) -> Result<(), Problem> {
    let owner = &started.writer.owner;
    let files: Vec<&FileEntry> = owner.chain().files_of(Table::Events.name()).collect();
    for file in files {
        rows_of(started, open_table(owner.store(), Table::Events, file)?, &mut take)?;
    }
    Ok(())
}

/// Reads a file of the log: each event with its topic and the arena of its strings.
pub(super) fn rows_of(
    started: &Started,
    file: TableFile<StoredFile>,
    mut take: impl FnMut(&LoggedEvent, &str, &Details),
) -> Result<(), Problem> {
    let topics = std::cell::RefCell::new(Names::default());
    let source = |name: &str| topics.borrow_mut().number(name);
    let number = |id: &str| started.registry.place(id);
    for batch in file.events(number, source, fingerprint)? {
        let (rows, details) = batch?;
        let topics = topics.borrow();
        rows.iter().for_each(|row| take(row, &topics.list()[row.source as usize], &details));
    }
    Ok(())
}
