//! `jauge show`: the airings of a data directory, those not settled yet computed from the log and marked provisional;
//! or one curve.

use crate::args::ShowArgs;
use crate::corrections;
use crate::orphans;
use crate::settings::Settings;
use crate::terminal;
use audience::Ms;
use audience::time::rfc3339;
use exporter::Table;
use problem::Problem;
use report::AiringLine;
use report::text::{Look, airings, curve};
use settling::{AiringList, Budget, ListedAiring, Selection};
use std::path::Path;
use storage::{ReadError, Stored};

/// `jauge show`
pub(crate) fn show(args: &ShowArgs) -> Result<(), Problem> {
    Stored::read(&args.dir, |stored| show_stored(stored, args))
}

fn show_stored(stored: Stored, args: &ShowArgs) -> Result<(), ReadError> {
    if let Some(table) = &args.files {
        return Ok(print_files(&stored, table, args.json)?);
    }
    if args.corrections {
        return corrections::show(stored, args.broadcast.as_deref(), args.json);
    }
    // Only what computes has settings: who lists files needs none that a run has. Rules are those of the directory.
    let settings = args.settings.load_unchecked()?;
    let listed = load(stored, args.broadcast.as_deref(), &settings)?;
    Ok(print(&listed, args)?)
}

fn print(listed: &AiringList, args: &ShowArgs) -> Result<(), Problem> {
    let look = terminal::look();
    let Some(id) = &args.broadcast else {
        let lines: Vec<AiringLine> = listed.iter().map(|(id, one)| line(id, one)).collect();
        return if args.json {
            terminal::print_json(&lines.iter().map(AiringLine::as_json).collect::<Vec<_>>())
        } else {
            let orphans =
                orphans::told(&listed.tally, listed.broadcast_idle).into_iter().map(|told| format!("\n{told}\n"));
            terminal::print(&(airings::table(&lines, look) + &orphans.collect::<String>()))
        };
    };
    let one = pick(listed, id, args.airing.as_deref())?;
    if args.json {
        terminal::print_json(&line(id, one).as_json_with(&one.minutes))
    } else {
        terminal::print(&drawn(id, one, look))
    }
}

/// Prints the paths of a table's files as of the last commit, one a line or as a list of JSON.
fn print_files(stored: &Stored, table: &str, json: bool) -> Result<(), Problem> {
    let files = stored.paths(table).map(|path| path.display().to_string());
    if json {
        return terminal::print_json(&files.collect::<Vec<_>>());
    }
    terminal::print(&files.map(|file| file + "\n").collect::<String>())
}

/// Prints the curve of a broadcast's last airing.
pub(crate) fn curve_of(dir: &Path, id: &str, settings: &Settings) -> Result<(), Problem> {
    let listed = load(Stored::open(dir)?, Some(id), settings)?;
    terminal::print(&drawn(id, pick(&listed, id, None)?, terminal::look()))
}

/// What there is to show: everything, or all of one broadcast with its retweets.
fn load(stored: Stored, only: Option<&str>, settings: &Settings) -> Result<AiringList, ReadError> {
    if !stored.keeps(Table::Airings) {
        return Err(Problem::usage(format!(
            "{} keeps no table airings, so there is nothing to show. Replay with airings among --tables.",
            stored.store().root().display()
        ))
        .into());
    }
    let budget = Budget::alone(settings.memory_bytes, settings.lanes, std::env::temp_dir());
    let selection = Selection { broadcast: only, retweets: only.is_some(), ..Selection::default() };
    AiringList::load(stored, selection, &budget)
}

/// The airing of `id` that began last, of those that began at `at` (a date, or a date and a time).
fn pick<'a>(listed: &'a AiringList, id: &str, at: Option<&str>) -> Result<&'a ListedAiring, Problem> {
    if listed.of_broadcast(id).next().is_none() {
        return Err(Problem::usage(format!(
            "There is no airing of broadcast {id:?} here. `jauge show DIR` lists those there are."
        )));
    }
    let began = |one: &&ListedAiring| at.is_none_or(|at| rfc3339(one.row.airing_at).starts_with(at));
    listed.of_broadcast(id).rfind(began).ok_or_else(|| {
        let times: Vec<String> = listed.of_broadcast(id).map(|one| rfc3339(one.row.airing_at)).collect();
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

fn line(id: &str, one: &ListedAiring) -> AiringLine {
    AiringLine::of(id, &one.row, &one.minutes, one.is_provisional)
}
