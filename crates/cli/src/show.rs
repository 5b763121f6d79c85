//! `jauge show`: the airings of a data directory, those not settled yet computed from the log and marked provisional;
//! or one curve.

use crate::airings::{self, AiringLine};
use crate::args::ShowArgs;
use crate::corrections;
use crate::curve;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::settling::{AiringList, Budget, ListedAiring, Selection, scratch_of_reader};
use crate::stored::{Stored, path_of};
use crate::terminal::{self, Look};
use audience::Ms;
use audience::time::rfc3339;
use exporter::Table;
use std::path::Path;

/// `jauge show`
pub(crate) fn show(args: &ShowArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    Stored::read(&args.dir, |stored| show_stored(stored, args, &settings))
}

fn show_stored(stored: Stored, args: &ShowArgs, settings: &Settings) -> Result<(), Problem> {
    if let Some(table) = &args.files {
        return print_files(&stored, table, args.json);
    }
    if args.corrections {
        return corrections::show(stored, args.broadcast.as_deref(), args.json);
    }
    let airings = load(stored, args.broadcast.as_deref(), settings)?;
    let look = Look::of_stdout();
    let Some(id) = &args.broadcast else {
        let lines: Vec<AiringLine> = airings.iter().map(|(id, one)| line(id, one)).collect();
        return if args.json {
            terminal::print_json(&lines.iter().map(AiringLine::as_json).collect::<Vec<_>>())
        } else {
            terminal::print(&airings::table(&lines, look))
        };
    };
    let one = pick(&airings, id, args.airing.as_deref())?;
    if args.json { terminal::print_json(&as_json(id, one)) } else { terminal::print(&drawn(id, one, look)) }
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
pub(crate) fn curve_of(dir: &Path, id: &str, settings: &Settings) -> Result<(), Problem> {
    let airings = load(Stored::open(dir)?, Some(id), settings)?;
    terminal::print(&drawn(id, pick(&airings, id, None)?, Look::of_stdout()))
}

/// What there is to show: everything, or all of one broadcast with its retweets.
fn load(stored: Stored, only: Option<&str>, settings: &Settings) -> Result<AiringList, Problem> {
    if !stored.keeps(Table::Airings) {
        return Err(Problem::usage(format!(
            "{} keeps no table airings, so there is nothing to show. Replay with airings among --tables.",
            stored.store.root().display()
        )));
    }
    let budget = Budget::alone(settings.memory_bytes, settings.lanes, scratch_of_reader(&stored.store));
    let selection = Selection { broadcast: only, retweets: only.is_some(), ..Selection::default() };
    AiringList::load(stored, selection, &budget)
}

/// The airing of `id` that began last, of those that began at `at` (a date, or a date and a time).
fn pick<'a>(airings: &'a AiringList, id: &str, at: Option<&str>) -> Result<&'a ListedAiring, Problem> {
    if airings.of_broadcast(id).next().is_none() {
        return Err(Problem::usage(format!(
            "There is no airing of broadcast {id:?} here. `jauge show DIR` lists those there are."
        )));
    }
    let began = |one: &&ListedAiring| at.is_none_or(|at| rfc3339(one.row.airing_at).starts_with(at));
    airings.of_broadcast(id).rfind(began).ok_or_else(|| {
        let times: Vec<String> = airings.of_broadcast(id).map(|one| rfc3339(one.row.airing_at)).collect();
        Problem::usage(format!(
            "No airing of {id:?} began at {}. They began at {}.",
            at.unwrap_or_default(),
            times.join(", ")
        ))
    })
}

fn drawn(id: &str, one: &ListedAiring, look: Look) -> String {
    let retweets: Vec<Ms> = one.retweets.iter().map(|row| row.retweeted_at).collect();
    curve::airing(&line(id, one), &retweets, look)
}

fn as_json(id: &str, one: &ListedAiring) -> serde_json::Value {
    let minutes = one.minutes.iter().map(|row| {
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
    let mut json = line(id, one).as_json();
    json["minutes"] = minutes.collect();
    json
}

fn line(id: &str, one: &ListedAiring) -> AiringLine {
    let (row, minutes) = (&one.row, &one.minutes);
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
        provisional: one.is_provisional,
    }
}
