//! The rebuilding of the live state: at the start of a run, lanes and live curve are brought from the log to where the
//! last commit left them. The minutes that close on the way are in the table `live` already.

use super::log::{Log, Resumed};
use super::said::{Said, Tell};
use super::snapshot::{Reach, Snapshots};
use aggregator::{Frontier, Lane, Live, Rules};
use audience::time::minute_of;
use audience::{Kind, Ms};
use exporter::ON_TIME;
use problem::Problem;
use std::collections::{BTreeMap, BTreeSet};
use storage::{SettledLine, Settlements};

/// The live state of `count` lanes from the log alone.
///
/// What has settled is over for the live curve, too, but where a late event of it took effect near its frontier or
/// later, or was an end, from which the live curve may have parted other airings: then the live airing went on while
/// the settled one was over. Or it lies before its frontier in a minute that has not closed. The events of such a
/// broadcast are taken again from the beginning, as they were taken then.
pub(super) fn rebuild(log: Log<'_>, rules: &Rules, count: usize, tell: &Tell) -> Result<Resumed, Problem> {
    let mut lanes: Vec<Lane> = (0..count).map(|_| Lane::new(*rules)).collect();
    let mut live = Live::new(*rules);
    live.set_gaps(&log.known_gaps());
    let frontiers = log.frontiers();
    let ended = log.ended();
    let open = log.watermark().map(minute_of);
    let is_open = |frontier: &Frontier| frontier.at > Ms::MIN && open == Some(minute_of(frontier.at));
    let of_open = (0..).zip(&frontiers).filter(|(_, frontier)| is_open(frontier)).map(|(broadcast, _)| broadcast);
    let mut overhanging: BTreeSet<u32> = of_open.collect();
    let idle = rules.broadcast_idle.max(rules.end_idle.unwrap_or(0));
    if frontiers.iter().any(|frontier| frontier.at > Ms::MIN) {
        log.read(|row, _, _| {
            let frontier = frontiers.get(row.event.broadcast as usize).map_or(Ms::MIN, |frontier| frontier.at);
            let is_settled = row.event.ts() < frontier && row.commit > ended;
            let is_near = row.late_at > frontier - idle || row.event.kind() == Kind::End;
            if is_settled && row.late_at != ON_TIME && is_near {
                overhanging.insert(row.event.broadcast);
            }
        })?;
    }
    let overhang = lines_of(log, &overhanging)?;
    set_frontiers(&mut lanes, &mut live, &frontiers, |broadcast| !overhang.contains_key(&broadcast));
    for (broadcast, frontier) in (0..).zip(&frontiers).filter(|(broadcast, _)| !overhang.contains_key(broadcast)) {
        frontier.off_air.into_iter().for_each(|last_at| live.begin_off_air(broadcast, last_at));
    }
    let (events, reach) = feed(log, &mut lanes, &frontiers, &overhang)?;
    if let Some(watermark) = log.watermark() {
        let gathered = lanes.iter_mut().map(|lane| lane.gather(watermark)).collect();
        let directives = live.advance(watermark, gathered);
        let changes = lanes.iter_mut().map(|lane| lane.close(&directives)).collect();
        live.close(changes);
    }
    set_frontiers(&mut lanes, &mut live, &frontiers, |broadcast| overhang.contains_key(&broadcast));
    let commit = log.chain().number();
    if commit > 0 {
        tell(Said::Info(format!("Going on after commit {commit}: {events} events had not settled.")));
    }
    Ok(Resumed { lanes, live, snapshots: Snapshots::rebuilt(reach, commit > 0) })
}

/// What is settled of these broadcasts, by their numbers.
fn lines_of(log: Log<'_>, broadcasts: &BTreeSet<u32>) -> Result<BTreeMap<u32, SettledLine>, Problem> {
    if broadcasts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = log.registry.ids();
    let ids = broadcasts.iter().map(|broadcast| names[*broadcast as usize].to_string()).collect();
    let settlements = Settlements::of(log.committer.store(), log.chain(), ids)?;
    let line = |broadcast: &u32| settlements.line(&names[*broadcast as usize]).cloned().unwrap_or_default();
    Ok(broadcasts.iter().map(|broadcast| (*broadcast, line(broadcast))).collect())
}

fn set_frontiers(lanes: &mut [Lane], live: &mut Live, frontiers: &[Frontier], which: impl Fn(u32) -> bool) {
    for (broadcast, frontier) in (0..).zip(frontiers) {
        if frontier.at > Ms::MIN && which(broadcast) {
            live.set_frontier(broadcast, *frontier);
            lanes.iter_mut().for_each(|lane| lane.set_frontier(broadcast, frontier.at));
        }
    }
}

/// Gives the lanes all events that the live curve had. Gives the number of those that had not settled, and how far the
/// commits reach.
fn feed(
    log: Log<'_>,
    lanes: &mut [Lane],
    frontiers: &[Frontier],
    overhang: &BTreeMap<u32, SettledLine>,
) -> Result<(u64, Reach), Problem> {
    let partitions = log.partitions.values();
    let places: BTreeMap<(String, i32), usize> =
        partitions.map(|one| ((one.info.topic.to_string(), one.info.partition), one.index)).collect();
    let count = lanes.len();
    let open = log.watermark().map(minute_of);
    let ended = log.ended();
    let (mut events, mut reach) = (0, Reach::default());
    log.read(|row, topic, details| {
        reach.note(row.commit, row);
        if row.commit <= ended {
            return;
        }
        let frontier = frontiers.get(row.event.broadcast as usize).map_or(Ms::MIN, |frontier| frontier.at);
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
    })?;
    Ok((events, reach))
}
