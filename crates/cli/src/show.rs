//! `jauge show`: the airings of a data directory, those not settled yet computed from the log and marked provisional;
//! or one curve.

use crate::args::ShowArgs;
use crate::corrections;
use crate::orphans;
use crate::settings::{Settings, as_text};
use crate::terminal;
use audience::text;
use audience::time::rfc3339;
use audience::{Ms, Zone};
use exporter::Table;
use problem::{Problem, in_shell};
use report::AiringLine;
use report::text::{Look, airings, curve};
use settling::{AiringList, Budget, ListedAiring, Selection};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use storage::{ReadError, Stored};

/// A terminal is given so many airings unasked.
const ON_A_TERMINAL: usize = 50;

/// `jauge show`
pub(crate) fn show(args: &ShowArgs) -> Result<(), Problem> {
    Stored::read(&args.dir, |stored| show_stored(stored, args))
}

fn show_stored(stored: Stored, args: &ShowArgs) -> Result<(), ReadError> {
    if let Some(table) = &args.files {
        return Ok(print_files(&stored, table, args.json)?);
    }
    if args.corrections {
        return corrections::show(stored, args.broadcast.as_deref(), &args.zone, args.json);
    }
    // Only what computes has settings: who lists files needs none that a run has. Rules are those of the directory.
    let settings = args.settings.load_unchecked()?;
    let listed = load(stored, args.broadcast.as_deref(), &settings)?;
    Ok(print(&listed, args)?)
}

fn print(listed: &AiringList, args: &ShowArgs) -> Result<(), Problem> {
    if let Some(id) = &args.broadcast {
        let one = pick(listed, id, args.airing.as_deref(), &args.dir, &args.zone)?;
        return match (args.top, args.json) {
            (Some(_), _) => print_list(listed, args),
            (None, true) => terminal::print_json(&line(id, one).as_json_with(&one.minutes)),
            (None, false) => terminal::print(&drawn(id, one, &args.zone, terminal::look())),
        };
    }
    print_list(listed, args)
}

fn print_list(listed: &AiringList, args: &ShowArgs) -> Result<(), Problem> {
    let lines: Vec<AiringLine> = listed.iter().map(|(id, one)| line(id, one)).collect();
    let (all, dir) = (lines.len(), in_shell(&args.dir));
    let n = |count: usize| text::count(count as u64);
    let (lines, said) = match args.top {
        Some(most) if all > 0 => {
            let lines = airings::largest(lines, usize::try_from(most).unwrap_or(usize::MAX));
            let said = format!("\nThe {} largest of {} airings.\n", n(lines.len()), n(all));
            (lines, said)
        }
        None if all > ON_A_TERMINAL && terminal::is_there() && !args.json => {
            let said = format!(
                "\nThe newest {ON_A_TERMINAL} of {} airings.\nAll of them: jauge show {dir} | less\n\
                 The largest: jauge show {dir} --top 20\n",
                n(all)
            );
            (airings::newest(lines, ON_A_TERMINAL), said)
        }
        _ => (lines, String::new()),
    };
    if args.json {
        return terminal::print_json(&lines.iter().map(AiringLine::as_json).collect::<Vec<_>>());
    }
    let orphans = orphans::told(&listed.tally, listed.broadcast_idle).into_iter().map(|told| format!("\n{told}\n"));
    let table = airings::table(&lines, &args.zone, terminal::look());
    terminal::print(&(table + &said + &orphans.collect::<String>()))
}

/// Prints the paths of a table's files as of the last commit, one a line or as a list of JSON.
fn print_files(stored: &Stored, table: &str, json: bool) -> Result<(), Problem> {
    let files = stored.paths(table);
    if json {
        let files: Vec<String> = files.map(as_text).collect::<Result<_, _>>()?;
        return terminal::print_json(&files);
    }
    let lines = files.flat_map(|path| OsString::from(path).into_vec().into_iter().chain([b'\n']));
    terminal::print_bytes(&lines.collect::<Vec<u8>>())
}

/// Prints the curve of a broadcast's last airing.
pub(crate) fn curve_of(dir: &Path, id: &str, settings: &Settings) -> Result<(), Problem> {
    let (listed, zone) = (load(Stored::open(dir)?, Some(id), settings)?, Zone::utc());
    terminal::print(&drawn(id, pick(&listed, id, None, dir, &zone)?, &zone, terminal::look()))
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
    if stored.is_older() {
        say_what_is_not_shown(&stored);
    }
    AiringList::load(stored, selection, &budget)
}

/// What has not settled under an earlier version of the contract is not computed: it is told instead.
fn say_what_is_not_shown(stored: &Stored) {
    let waiting = stored.ledger().not_yet_settled;
    if waiting > 0 {
        terminal::say(&format!(
            "{} is of an earlier version of the contract: {} events have not settled there, and are not shown, for they would be counted by \
             other rules.",
            stored.store().root().display(),
            text::count(waiting)
        ));
    }
}

/// The airing of `id` that began last, of those that began at `at` (a date, or a date and a time) by the clocks of
/// `zone`, or in UTC where `at` says so.
fn pick<'a>(
    listed: &'a AiringList,
    id: &str,
    at: Option<&str>,
    dir: &Path,
    zone: &Zone,
) -> Result<&'a ListedAiring, Problem> {
    let began: Vec<Ms> = listed.of_broadcast(id).map(|one| one.row.airing_at).collect();
    if began.is_empty() {
        return Err(Problem::usage(format!(
            "There is no airing of broadcast {id:?} here. See those there are: jauge show {}",
            in_shell(dir)
        )));
    }
    // As the table has it, with a space, or as JSON has it.
    let at = at.unwrap_or_default().replacen(' ', "T", 1);
    let clock = |began: Ms| if at.ends_with('Z') { began } else { zone.clock(began) };
    let is_it = |one: &&ListedAiring| rfc3339(clock(one.row.airing_at)).starts_with(&at);
    listed.of_broadcast(id).rfind(is_it).ok_or_else(|| none_began(id, &at, began, zone))
}

/// What is said where none of the airings that `began` then is meant by `at`.
fn none_began(id: &str, at: &str, began: Vec<Ms>, zone: &Zone) -> Problem {
    let all = began.len();
    let (meant, form) = match text::beginning(at) {
        Some(meant) => (meant, ""),
        None => (Ms::MAX, " A time is written 2026-03-14, or 2026-03-14T19:31."),
    };
    let mut clocks: Vec<Ms> = began.into_iter().map(|began| zone.clock(began)).collect();
    clocks.sort_by_key(|clock| clock.abs_diff(meant));
    clocks.truncate(3);
    clocks.sort_unstable();
    let clocks: Vec<String> = clocks.into_iter().map(|clock| rfc3339(clock)[..16].to_owned()).collect();
    let which =
        if all > clocks.len() { format!("The nearest of {}", text::count(all as u64)) } else { "They".to_owned() };
    let (clocks, zone) = (clocks.join(", "), zone.name());
    Problem::usage(format!("No airing of {id:?} began at {at}. {which} began at {clocks} ({zone}).{form}"))
}

fn drawn(id: &str, one: &ListedAiring, zone: &Zone, look: Look) -> String {
    let retweets: Vec<Ms> = one.retweets.iter().map(|row| row.retweeted_at).collect();
    curve::airing(&line(id, one), &retweets, zone, look)
}

fn line(id: &str, one: &ListedAiring) -> AiringLine {
    AiringLine::of(id, &one.row, &one.minutes, one.is_provisional)
}
