//! The settled tables against each other: what is stored, airing by airing, and what the stored sessions say again.

use super::airing::{Airing, named};
use super::digest::Digest;
use super::line::{BROKEN, MinuteLine};
use super::lock::lock;
use aggregator::{Gaps, Rules};
use audience::time::{TS_END, TS_MIN, minute_of, rfc3339};
use audience::{
    AiringRow, Detail, Details, Ended, Event, Kind, MINUTE_MS, MinuteRow, Ms, NO_DETAIL, RetweetDetail, RetweetRow,
    SessionRow,
};
use exporter::Table;
use problem::Problem;
use settling::{Gather, Receiver, settle_all};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use storage::Stored;

/// The digests of one airing's rows, by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) airing: Digest,
    pub(super) minutes: Digest,
    pub(super) sessions: Digest,
    pub(super) retweets: Digest,
}

impl Digests {
    /// Adds the digests of other rows of the same airing.
    pub(super) fn add(&mut self, other: &Digests) {
        self.airing += other.airing;
        self.minutes += other.minutes;
        self.sessions += other.sessions;
        self.retweets += other.retweets;
    }
}

/// What is stored of one airing.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) row: Option<AiringRow>,
    pub(super) digests: Digests,
    curve: Digest,
    line: MinuteLine,
    sums: Sums,
    /// What happened in which minute, by the table `minutes` and by the tables `sessions` and `retweets`.
    said: Happened,
    happened: Happened,
}

/// Minutes with how much of each happened in them.
#[derive(Clone, Copy, Debug, Default)]
struct Happened {
    leaves: Digest,
    retweets: Digest,
    followers: Digest,
}

/// Sums over the minutes of an airing, wide enough for whatever they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    minutes: i128,
    joins: i128,
    leaves: i128,
    lapses: i128,
    new_viewers: i128,
    retweets: i128,
    followers: i128,
    viewer_ms: i128,
    viewers_max: i64,
    viewers_max_at: Option<Ms>,
}

impl Known {
    fn minute(&mut self, row: &MinuteRow) {
        self.digests.minutes.add_minute(row);
        self.curve.add_curve(row);
        self.line.take(row);
        self.said.leaves.add_times(row.minute_at, row.leaves);
        self.said.retweets.add_times(row.minute_at, row.retweets);
        self.said.followers.add_times(row.minute_at, row.retweet_followers);
        let sums = &mut self.sums;
        sums.minutes += 1;
        sums.joins += i128::from(row.joins);
        sums.leaves += i128::from(row.leaves);
        sums.lapses += i128::from(row.lapses);
        sums.new_viewers += i128::from(row.new_viewers);
        sums.retweets += i128::from(row.retweets);
        sums.followers += i128::from(row.retweet_followers);
        sums.viewer_ms += i128::from(row.viewer_ms);
        if row.viewers_max > sums.viewers_max {
            (sums.viewers_max, sums.viewers_max_at) = (row.viewers_max, Some(row.viewers_max_at));
        } else if row.viewers_max == sums.viewers_max && row.viewers_max > 0 {
            sums.viewers_max_at = sums.viewers_max_at.min(Some(row.viewers_max_at));
        }
    }

    fn session(&mut self, row: &SessionRow, via: Option<&str>) {
        self.digests.sessions.add_session(row, via);
        if row.ended == Ended::Leave {
            self.happened.leaves.add_times(minute_of(row.left_at), 1);
        }
    }

    fn retweet(&mut self, row: &RetweetRow, details: &Details) {
        if let Some(Detail::Retweet(said)) = details.get(row.detail) {
            self.digests.retweets.add_retweet(row, said);
            let minute = minute_of(row.retweeted_at);
            self.happened.retweets.add_times(minute, 1);
            self.happened.followers.add_times(minute, said.followers.unwrap_or(0));
        }
    }
}

/// What is stored of all airings.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) known: BTreeMap<Airing, Known>,
    /// The airings that have sessions, by the number under which those were gathered.
    airings: Vec<Airing>,
    timelines: Vec<aggregator::Timeline>,
}

/// Reads all settled tables. The sessions go to `gather` as joins and leaves, each airing under a number of its own.
pub(super) fn read(stored: &Stored, gather: &Gather) -> Result<Tables, Problem> {
    let mut known = BTreeMap::<Airing, Known>::new();
    let broken = |table: Table, airing: Airing, what: &str| {
        Err(Problem::data(format!("{}, table {table}: {what}.", named(stored, &airing))))
    };
    stored.airings(|rows| {
        for row in rows {
            let airing = (row.broadcast, row.airing_at);
            let one = known.entry(airing).or_default();
            one.digests.airing.add_airing(&row);
            if one.row.replace(row).is_some() {
                return broken(Table::Airings, airing, "it stands there twice");
            }
        }
        Ok(())
    })?;
    stored.minutes(Table::Minutes, |rows| {
        for row in &rows {
            let airing = (row.broadcast, row.airing_at);
            if let Err(breach) = aggregator::audit_minute(row) {
                return broken(Table::Minutes, airing, &breach.0);
            }
            if (row.late, row.lapses_backdated) != (0, 0) {
                let what = format!("minute {} has late events or backdated lapses", rfc3339(row.minute_at));
                return broken(Table::Minutes, airing, &what);
            }
            known.entry(airing).or_default().minute(row);
        }
        Ok(())
    })?;
    stored.retweets(|(rows, details)| {
        rows.iter().for_each(|row| known.entry((row.broadcast, row.airing_at)).or_default().retweet(row, &details));
        Ok(())
    })?;
    read_sessions(stored, known, gather)
}

/// Reads the sessions, and gathers them.
fn read_sessions(stored: &Stored, mut known: BTreeMap<Airing, Known>, gather: &Gather) -> Result<Tables, Problem> {
    let mut feeder = gather.feeder();
    let mut numbers = BTreeMap::<Airing, u32>::new();
    let mut airings = Vec::new();
    let mut session = 0u128;
    stored.sessions(|(rows, details)| {
        for row in &rows {
            let airing = (row.broadcast, row.airing_at);
            let via = match details.get(row.via) {
                Some(Detail::Via(via)) => Some(via),
                _ => None,
            };
            known.entry(airing).or_default().session(row, via);
            if row.joined_at < row.airing_at.max(TS_MIN) || row.left_at < row.joined_at || row.left_at >= TS_END {
                let (joined, left) = (rfc3339(row.joined_at), rfc3339(row.left_at));
                let named = named(stored, &airing);
                return Err(Problem::data(format!(
                    "{named}, table sessions: no session can last from {joined} to {left}."
                )));
            }
            let number = *numbers.entry(airing).or_insert_with(|| {
                airings.push(airing);
                u32::try_from(airings.len() - 1).unwrap_or(u32::MAX)
            });
            session += 1;
            for (kind, at) in [(Kind::Join, row.joined_at), (Kind::Leave, row.left_at)] {
                feeder.push(&Event::new(kind, number, row.viewer, session, at, NO_DETAIL), &Details::new())?;
            }
        }
        Ok(())
    })?;
    Ok(Tables { known, airings, timelines: feeder.finish()? })
}

/// Checks each airing against its minutes and, where they are kept, against its sessions and retweets.
pub(super) fn check(stored: &Stored, tables: &Tables, gather: Gather, threads: usize) -> Result<(), Problem> {
    for (airing, known) in &tables.known {
        check_minutes(stored, known).map_err(|what| Problem::data(format!("{}: {what}.", named(stored, airing))))?;
    }
    if stored.keeps(Table::Sessions) { check_sessions(stored, tables, gather, threads) } else { Ok(()) }
}

fn check_sessions(stored: &Stored, tables: &Tables, gather: Gather, threads: usize) -> Result<(), Problem> {
    let Tables { known, airings, timelines } = tables;
    // Nothing parts these sessions: their airing is given.
    let rules = Rules { broadcast_idle: Ms::MAX, end_idle: None, ..Rules::default() };
    let curves = Mutex::new(Vec::new());
    settle_all(&gather.finish()?, timelines, &rules, &Gaps::default(), threads, || CurveDigester {
        all: &curves,
        minutes: None,
    })?;
    let curves = curves.into_inner().unwrap_or_else(PoisonError::into_inner);
    let by_airing: BTreeMap<Airing, &(AiringRow, Digest)> =
        curves.iter().map(|one| (airings[one.0.broadcast as usize], one)).collect();
    for (airing, known) in known {
        let broken = |what: &str| Problem::data(format!("{}: {what}.", named(stored, airing)));
        let (row, curve) = by_airing.get(airing).map_or((None, Digest::default()), |one| (Some(&one.0), one.1));
        if let Some(stored) = &known.row {
            check_row(stored, row).map_err(broken)?;
        }
        if stored.keeps(Table::Minutes) && known.curve != curve {
            return Err(broken("the curve in the table minutes is not the one that the table sessions gives"));
        }
        if stored.keeps(Table::Minutes) && known.said.leaves != known.happened.leaves {
            return Err(broken("the leaves of some minute in the table minutes are not those of the table sessions"));
        }
    }
    Ok(())
}

/// An airing's minutes as a line, against its row, and against its retweets.
fn check_minutes(stored: &Stored, known: &Known) -> Result<(), String> {
    let (airings, minutes) = (stored.keeps(Table::Airings), stored.keeps(Table::Minutes));
    if !known.line.is_whole() || known.line.viewers_end() != 0 {
        return Err(format!("table minutes: {BROKEN}, or the last does not end with nobody"));
    }
    if let Some(row) = &known.row {
        check_times(row)?;
    } else if airings {
        return Err("it has minutes, sessions or retweets, but no row in the table airings".to_owned());
    }
    if airings && minutes {
        check_sums(known)?;
    }
    if !stored.keeps(Table::Retweets) {
        return Ok(());
    }
    let (said, happened) = (&known.said, &known.happened);
    if minutes && (said.retweets, said.followers) != (happened.retweets, happened.followers) {
        return Err(
            "the retweets or followers of some minute in the table minutes are not those of the table retweets"
                .to_owned(),
        );
    }
    match &known.row {
        Some(row) if row.retweets.unsigned_abs() != known.digests.retweets.rows => Err(format!(
            "{} retweets in the table airings, {} in the table retweets",
            row.retweets, known.digests.retweets.rows
        )),
        _ => Ok(()),
    }
}

/// The instants of an airing's row.
fn check_times(row: &AiringRow) -> Result<(), String> {
    let airtime = row.first_joined_at.map(|first| i128::from(row.last_at) - i128::from(first));
    let is_within = |at: Ms| (row.airing_at..=row.last_at).contains(&at);
    let instants = [Some(row.last_at), row.first_joined_at, row.viewers_max_at];
    if row.airtime_ms.map(i128::from) != airtime || !instants.into_iter().flatten().all(is_within) {
        return Err(
            "table airings: first_joined_at, viewers_max_at, last_at and airtime_ms do not fit together".to_owned()
        );
    }
    if row.joins != row.sessions {
        return Err(format!("table airings: {} joins, {} sessions", row.joins, row.sessions));
    }
    Ok(())
}

/// The sums of an airing's minutes against its row.
fn check_sums(known: &Known) -> Result<(), String> {
    let Some(row) = &known.row else { return Ok(()) };
    let sums = known.sums;
    let same = |what: &str, minutes: i128, airing: i64| {
        if minutes == i128::from(airing) {
            Ok(())
        } else {
            Err(format!("{what}: the table minutes gives {minutes}, the table airings {airing}"))
        }
    };
    same("Σ joins", sums.joins, row.joins)?;
    same("Σ leaves", sums.leaves, row.leaves)?;
    same("Σ lapses", sums.lapses, row.lapses)?;
    same("Σ leaves + lapses and sessions", sums.leaves + sums.lapses, row.sessions)?;
    same("Σ new viewers and reach", sums.new_viewers, row.reach)?;
    same("Σ retweets", sums.retweets, row.retweets)?;
    same("Σ followers", sums.followers, row.retweet_followers)?;
    same("Σ viewer_ms", sums.viewer_ms, row.viewer_ms)?;
    same("peak", sums.viewers_max.into(), row.viewers_max)?;
    if sums.viewers_max_at != row.viewers_max_at {
        return Err("the first instant of the peak is not the same in the tables minutes and airings".to_owned());
    }
    let (first, last) = known.line.span().unwrap_or_default();
    same("first minute", first.into(), minute_of(row.airing_at))?;
    same("last minute", last.into(), minute_of(row.last_at))?;
    same("minutes from first to last", sums.minutes, (last - first) / MINUTE_MS + 1)
}

/// An airing's row against the one that its sessions give.
fn check_row(stored: &AiringRow, again: Option<&AiringRow>) -> Result<(), &'static str> {
    let Some(again) = again else {
        return if stored.sessions == 0 {
            Ok(())
        } else {
            Err("its sessions in the table airings are missing in the table sessions")
        };
    };
    let facts = |row: &AiringRow| {
        (row.sessions, row.reach, row.viewer_ms, row.viewers_max, row.viewers_max_at, row.first_joined_at)
    };
    if facts(stored) != facts(again) {
        return Err(
            "sessions, reach, viewer_ms, the peak or the first join in the table airings is not what the table sessions gives",
        );
    }
    if stored.stays != again.stays {
        Err("the stays in the table airings are not those of the table sessions")
    } else {
        Ok(())
    }
}

/// Keeps the row of each airing that sessions give, with the digest of its curve.
struct CurveDigester<'a> {
    all: &'a Mutex<Vec<(AiringRow, Digest)>>,
    /// The digest of the minutes of the airing that comes next, where it has any.
    minutes: Option<Digest>,
}

impl aggregator::Rows for CurveDigester<'_> {
    fn session(&mut self, _: SessionRow, _: Option<&str>) {}
    fn retweet(&mut self, _: RetweetRow, _: RetweetDetail<'_>) {}
}

impl Receiver for CurveDigester<'_> {
    fn minute(&mut self, row: MinuteRow) {
        self.minutes.get_or_insert_default().add_curve(&row);
    }

    fn airing(&mut self, row: AiringRow) {
        let curve = self.minutes.take().unwrap_or_default();
        lock(self.all).push((row, curve));
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    fn finish(self) -> Result<(), Problem> {
        Ok(())
    }
}
