//! `jauge show`: the airings of a data directory, those not settled yet computed from the log and marked provisional; or one curve.

use crate::airings::{self, AiringLine};
use crate::args::ShowArgs;
use crate::corrections;
use crate::curve;
use crate::problem::Problem;
use crate::provenance;
use crate::settling::{Gather, Receiver, gaps_of, lock, settle_all};
use crate::stored::{Stored, path_of};
use crate::terminal::{self, Look};
use audience::time::rfc3339;
use audience::{AiringRow, MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow};
use exporter::Table;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of unsettled events kept in memory; the rest spills.
const MEMORY: usize = 512 << 20;

/// `jauge show`
pub(crate) fn show(args: &ShowArgs) -> Result<(), Problem> {
    Stored::read(&args.dir, |stored| show_stored(stored, args))
}

fn show_stored(stored: Stored, args: &ShowArgs) -> Result<(), Problem> {
    if let Some(table) = &args.files {
        return print_files(&stored, table, args.json);
    }
    if args.corrections {
        return corrections::show(stored, args.broadcast.as_deref(), args.json);
    }
    let shown = Shown::load(stored, args.broadcast.as_deref())?;
    let look = Look::of_stdout();
    match &args.broadcast {
        None if args.json => terminal::print_json(&shown.lines().map(|one| one.line.as_json()).collect::<Vec<_>>()),
        None => {
            let lines: Vec<AiringLine> = shown.lines().map(|one| one.line.clone()).collect();
            terminal::print(&airings::table(&lines, look))
        }
        Some(id) => {
            let one = shown.pick(id, args.airing.as_deref())?;
            if args.json {
                terminal::print_json(&one.as_json())
            } else {
                terminal::print(&curve::airing(&one.line, &one.retweets, look))
            }
        }
    }
}

/// Prints the paths of a table's files as of the last commit, one a line or as a list of JSON.
fn print_files(stored: &Stored, table: &str, json: bool) -> Result<(), Problem> {
    let files = stored.chain.files_of(table).map(|file| path_of(&stored.store, file).display().to_string());
    if json {
        return terminal::print_json(&files.collect::<Vec<_>>());
    }
    terminal::print(&files.map(|file| file + "\n").collect::<String>())
}

/// Prints the curve of a broadcast's last airing.
pub(crate) fn curve_of(dir: &Path, id: &str) -> Result<(), Problem> {
    let shown = Shown::load(Stored::open(dir)?, Some(id))?;
    let one = shown.pick(id, None)?;
    terminal::print(&curve::airing(&one.line, &one.retweets, Look::of_stdout()))
}

/// One airing with its curve.
#[derive(Clone, Debug)]
struct One {
    line: AiringLine,
    minutes: Vec<MinuteRow>,
    retweets: Vec<Ms>,
}

impl One {
    fn as_json(&self) -> serde_json::Value {
        let minutes = self.minutes.iter().map(|row| {
            serde_json::json!({
                "minute_at": rfc3339(row.minute_at),
                "viewers_start": row.viewers_start,
                "viewers_end": row.viewers_end,
                "viewers_max": row.viewers_max,
                "viewers_max_at": rfc3339(row.viewers_max_at),
                "viewers_min": row.viewers_min,
                "viewers_mean": row.viewers_mean(),
                "viewer_ms": row.viewer_ms,
                "joins": row.joins,
                "leaves": row.leaves,
                "lapses": row.lapses,
                "new_viewers": row.new_viewers,
                "retweets": row.retweets,
                "retweet_followers": row.retweet_followers,
                "complete": row.complete,
            })
        });
        let mut json = self.line.as_json();
        json["minutes"] = minutes.collect();
        json
    }
}

/// What there is to show, by (broadcast_id, airing_at).
#[derive(Debug, Default)]
struct Shown {
    airings: BTreeMap<(Arc<str>, Ms), One>,
}

impl Shown {
    /// Everything, or all of one broadcast with its retweets.
    fn load(stored: Stored, only: Option<&str>) -> Result<Shown, Problem> {
        let stored = match only {
            Some(id) => stored.of_broadcast(id),
            None => stored,
        };
        if !stored.keeps(Table::Airings) {
            return Err(Problem::usage(format!(
                "{} keeps no table airings, so there is nothing to show. Replay with airings among --tables.",
                stored.store.root().display()
            )));
        }
        let mut found = Found::default();
        stored.airings(|rows| {
            found.airings.extend(rows.into_iter().map(|row| (row, false)));
            Ok(())
        })?;
        stored.minutes(Table::Minutes, |rows| {
            found.minutes.extend(rows.into_iter().map(light));
            Ok(())
        })?;
        if only.is_some() {
            stored.retweets(|(rows, _)| {
                found.retweets.extend(rows);
                Ok(())
            })?;
        }
        let provisional = provisional(&stored)?;
        found.airings.extend(provisional.airings);
        found.minutes.extend(provisional.minutes.into_iter().map(light));
        found.retweets.extend(provisional.retweets);
        Ok(found.sorted(&stored.broadcast_ids()))
    }

    fn lines(&self) -> impl Iterator<Item = &One> {
        self.airings.values()
    }

    /// The airing of `id` that began last, of those that began at `at` (a date, or a date and a time).
    fn pick(&self, id: &str, at: Option<&str>) -> Result<&One, Problem> {
        let of_broadcast = || self.airings.iter().filter(|((broadcast, _), _)| **broadcast == *id).map(|(_, one)| one);
        if of_broadcast().next().is_none() {
            return Err(Problem::usage(format!(
                "There is no airing of broadcast {id:?} here. `jauge show DIR` lists those there are."
            )));
        }
        let began = |one: &&One| at.is_none_or(|at| rfc3339(one.line.airing_at).starts_with(at));
        of_broadcast().rfind(began).ok_or_else(|| {
            let times: Vec<String> = of_broadcast().map(|one| rfc3339(one.line.airing_at)).collect();
            Problem::usage(format!(
                "No airing of {id:?} began at {}. They began at {}.",
                at.unwrap_or_default(),
                times.join(", ")
            ))
        })
    }
}

/// Without its stays, which are not shown, the table of many airings is small.
fn light(mut row: MinuteRow) -> MinuteRow {
    row.stays = Vec::new();
    row
}

/// Rows as they were found, each airing with whether it is provisional.
#[derive(Debug, Default)]
struct Found {
    airings: Vec<(AiringRow, bool)>,
    minutes: Vec<MinuteRow>,
    retweets: Vec<RetweetRow>,
}

impl Found {
    fn sorted(mut self, ids: &[Arc<str>]) -> Shown {
        self.minutes.sort_unstable_by_key(|row| (row.broadcast, row.airing_at, row.minute_at));
        let mut minutes = BTreeMap::<(u32, Ms), Vec<MinuteRow>>::new();
        for row in self.minutes {
            minutes.entry((row.broadcast, row.airing_at)).or_default().push(row);
        }
        let mut shown = Shown::default();
        for (row, provisional) in self.airings {
            let minutes = minutes.remove(&(row.broadcast, row.airing_at)).unwrap_or_default();
            let retweets =
                self.retweets.iter().filter(|one| (one.broadcast, one.airing_at) == (row.broadcast, row.airing_at));
            let id = Arc::clone(&ids[row.broadcast as usize]);
            let line = line(&id, &row, &minutes, provisional);
            let one = One { line, minutes, retweets: retweets.map(|one| one.retweeted_at).collect() };
            shown.airings.insert((id, row.airing_at), one);
        }
        shown
    }
}

fn line(id: &str, row: &AiringRow, minutes: &[MinuteRow], provisional: bool) -> AiringLine {
    AiringLine {
        broadcast_id: id.to_owned(),
        airing_at: row.airing_at,
        airtime_ms: row.airtime_ms,
        sessions: row.sessions,
        reach: row.reach,
        viewers_max: row.viewers_max,
        viewers_max_at: row.viewers_max_at,
        viewers_mean: row.viewers_mean(),
        viewer_ms: row.viewer_ms,
        retweets: row.retweets,
        // There are no gaps in it; a table that is not kept leaves it empty.
        minutes: minutes.iter().map(|minute| minute.viewers_max).collect(),
        incomplete: (0..).zip(minutes).filter(|(_, minute)| !minute.complete).map(|(place, _)| place).collect(),
        provisional,
    }
}

/// The airings that have not settled, from the log, by the rules of the last commit.
fn provisional(stored: &Stored) -> Result<Found, Problem> {
    if !stored.keeps(Table::Events) {
        return Ok(Found::default());
    }
    let frontiers: BTreeMap<u32, Ms> =
        stored.chain.frontiers().iter().map(|(id, frontier)| (stored.number_of(id), *frontier)).collect();
    let gather = Gather::new(MEMORY, std::env::temp_dir());
    let mut feeder = gather.feeder();
    stored.events(|rows, details| {
        for row in rows {
            let is_settled = frontiers.get(&row.event.broadcast).is_some_and(|frontier| row.event.ts() < *frontier);
            if !is_settled {
                feeder.push(&row.event, details)?;
            }
        }
        Ok(())
    })?;
    let timelines = feeder.finish()?;
    let found = Mutex::new(Found::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let newest = stored.chain.newest().ok_or_else(|| Problem::bug("A directory without a commit was opened."))?;
    let rules = provenance::rules(newest, &BTreeMap::new())?;
    let gaps = gaps_of(stored.chain.lost());
    settle_all(&gather.finish()?, &timelines, &rules, &gaps, threads, || Collector { found: &found })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps what settles, as provisional.
struct Collector<'a> {
    found: &'a Mutex<Found>,
}

impl aggregator::Rows for Collector<'_> {
    fn session(&mut self, _: SessionRow, _: Option<&str>) {}

    fn retweet(&mut self, row: RetweetRow, _: RetweetDetail<'_>) {
        lock(self.found).retweets.push(row);
    }
}

impl Receiver for Collector<'_> {
    fn minute(&mut self, row: MinuteRow) {
        lock(self.found).minutes.push(row);
    }

    fn airing(&mut self, row: AiringRow) {
        lock(self.found).airings.push((row, true));
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    fn finish(self) -> Result<(), Problem> {
        Ok(())
    }
}
