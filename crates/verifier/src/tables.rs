//! The settled tables against each other: what is stored, airing by airing, and what the stored sessions say again.

use super::airing::{Airing, named};
use super::digest::Digest;
use super::line::{BROKEN, MinuteLine};
use super::lock::lock;
use aggregator::{Gaps, Rules, Timeline};
use audience::time::{TS_END, TS_MIN, minute_of, rfc3339};
use audience::{
    AiringRow, Detail, Details, Ended, Event, Kind, MINUTE_MS, MinuteRow, Ms, NO_DETAIL, RetweetDetail, RetweetRow,
    SessionRow,
};
use exporter::Table;
use problem::Problem;
use settling::{Gather, Receiver, settle_all};
use std::collections::{BTreeMap, BTreeSet};
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
    /// By the tables `sessions` and `retweets`: the last end of a session, and the last retweet.
    last_left_at: Option<Ms>,
    last_retweet_at: Option<Ms>,
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
    returns: i128,
    distinct_ms: i128,
    viewers: Peak,
    people: Peak,
}

/// The greatest of some levels, and its first instant; none of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Peak {
    max: i64,
    at: Option<Ms>,
}

impl Peak {
    fn take(&mut self, max: i64, at: Ms) {
        if max > self.max {
            *self = Peak { max, at: Some(at) };
        } else if max == self.max && max > 0 {
            self.at = self.at.min(Some(at));
        }
    }
}

/// What is wrong with a row whose version of the contract is not the directory's.
pub(super) const OTHER_VERSION: &str = "some row is of another version of the contract than the directory";

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
        sums.viewers.take(row.viewers_max, row.viewers_max_at);
        if let Some(people) = row.distinct {
            sums.people.take(people.max, people.max_at);
            sums.distinct_ms += i128::from(people.ms);
            sums.returns += i128::from(people.returns);
        }
    }

    fn session(&mut self, row: &SessionRow, via: Option<&str>) {
        self.digests.sessions.add_session(row, via);
        self.last_left_at = self.last_left_at.max(Some(row.left_at));
        if row.ended == Ended::Leave {
            self.happened.leaves.add_times(minute_of(row.left_at), 1);
        }
    }

    fn retweet(&mut self, row: &RetweetRow, details: &Details) {
        if let Some(Detail::Retweet(said)) = details.get(row.detail) {
            self.digests.retweets.add_retweet(row, said);
            self.last_retweet_at = self.last_retweet_at.max(Some(row.retweeted_at));
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
            if row.distinct.is_some() == stored.is_older() {
                return broken(Table::Airings, airing, OTHER_VERSION);
            }
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
            if row.distinct.is_some() == stored.is_older() {
                return broken(Table::Minutes, airing, OTHER_VERSION);
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

/// Checks each airing against its minutes and, where they are kept, against its sessions and retweets; `within` is
/// `return_within` of each.
pub(super) fn check(
    stored: &Stored,
    tables: &Tables,
    within: &BTreeMap<Airing, Ms>,
    gather: Gather,
    threads: usize,
) -> Result<(), Problem> {
    for (airing, known) in &tables.known {
        check_minutes(stored, known).map_err(|what| Problem::data(format!("{}: {what}.", named(stored, airing))))?;
    }
    if stored.keeps(Table::Sessions) { check_sessions(stored, tables, within, gather, threads) } else { Ok(()) }
}

/// The airings that their sessions give, each with the digest of its curve. Without D where the directory has none.
fn settled_again(
    stored: &Stored,
    tables: &Tables,
    within: &BTreeMap<Airing, Ms>,
    gather: Gather,
    threads: usize,
) -> Result<Vec<(AiringRow, Digest)>, Problem> {
    let Tables { airings, timelines, .. } = tables;
    let gathered = gather.finish()?;
    let within = |number: usize| airings.get(number).and_then(|airing| within.get(airing)).copied().unwrap_or(0);
    let spans: BTreeSet<Ms> = (0..airings.len()).map(within).collect();
    let curves = Mutex::new(Vec::new());
    for return_within in spans {
        // Nothing parts these sessions: their airing is given. Nor is there a heartbeat that could straggle.
        let rules = Rules { broadcast_idle: Ms::MAX, end_idle: None, straggler: 0, return_within, ..Rules::default() };
        let mut ours = timelines.clone();
        let others = ours.iter_mut().enumerate().filter(|(number, _)| within(*number) != return_within);
        others.for_each(|(_, other)| *other = Timeline::default());
        settle_all(&gathered, &ours, &rules, &Gaps::default(), threads, || CurveDigester {
            all: &curves,
            minutes: None,
            has_people: !stored.is_older(),
        })?;
    }
    Ok(curves.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn check_sessions(
    stored: &Stored,
    tables: &Tables,
    within: &BTreeMap<Airing, Ms>,
    gather: Gather,
    threads: usize,
) -> Result<(), Problem> {
    let curves = settled_again(stored, tables, within, gather, threads)?;
    let Tables { known, airings, .. } = tables;
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
    if !known.line.is_whole() || !known.line.ends_with_nobody() {
        return Err(format!("table minutes: {BROKEN}, or the last does not end with nobody"));
    }
    if let Some(row) = &known.row {
        check_times(stored, row, known)?;
        check_people(row)?;
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

/// The instants of an airing's row. Its audience ends with its last session, or with an end after that, which no table
/// tells but the airing's own; and whatever came last was that or a retweet.
fn check_times(stored: &Stored, row: &AiringRow, known: &Known) -> Result<(), String> {
    let audience_end = row.first_joined_at.zip(row.airtime_ms).map(|(first, airtime)| first.saturating_add(airtime));
    let is_whole = row.first_joined_at.is_some() == row.airtime_ms.is_some()
        && match audience_end {
            None => true,
            Some(end) if stored.is_older() => end == row.last_at,
            Some(end) if stored.keeps(Table::Retweets) => Some(row.last_at) == known.last_retweet_at.max(Some(end)),
            Some(end) => end <= row.last_at,
        };
    let is_after_all = known.last_left_at.is_none_or(|left| audience_end.is_some_and(|end| left <= end));
    let is_within = |at: Ms| (row.airing_at..=row.last_at).contains(&at);
    let people_at = row.distinct.and_then(|people| people.max_at);
    let instants = [Some(row.last_at), row.first_joined_at, row.viewers_max_at, people_at];
    if !is_whole || !is_after_all || !instants.into_iter().flatten().all(is_within) {
        return Err(
            "table airings: first_joined_at, viewers_max_at, last_at and airtime_ms do not fit together, or not with the \
             last of its sessions"
                .to_owned()
        );
    }
    if row.joins != row.sessions {
        return Err(format!("table airings: {} joins, {} sessions", row.joins, row.sessions));
    }
    Ok(())
}

/// What an airing's row has of D against what it has of C. Who has returned has a session more than others.
fn check_people(row: &AiringRow) -> Result<(), String> {
    let Some(people) = row.distinct else { return Ok(()) };
    let is_within = (0..=row.viewers_max.min(row.reach)).contains(&people.max)
        && (0..=row.viewer_ms).contains(&people.ms)
        && (people.max == 0) == (row.viewers_max == 0)
        && (0..=row.sessions.saturating_sub(row.reach)).contains(&people.returns);
    if is_within {
        return Ok(());
    }
    Err(format!(
        "table airings: distinct_max {}, distinct_ms {} or returns {} does not fit what it has of sessions and reach",
        people.max, people.ms, people.returns
    ))
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
    same("peak", sums.viewers.max.into(), row.viewers_max)?;
    let people = row.distinct.unwrap_or_default();
    same("Σ distinct_ms", sums.distinct_ms, people.ms)?;
    same("distinct_max", sums.people.max.into(), people.max)?;
    same("Σ returns", sums.returns, people.returns)?;
    if (sums.viewers.at, sums.people.at) != (row.viewers_max_at, people.max_at) {
        return Err(
            "the first instant of the peak, of sessions or of people, is not the same in the tables minutes and airings"
                .to_owned(),
        );
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
    if stored.distinct.is_some_and(|people| Some(people) != again.distinct) {
        return Err(
            "distinct_max, distinct_max_at, distinct_ms or returns in the table airings is not what the table sessions gives",
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
    /// Whether the directory has D.
    has_people: bool,
}

impl aggregator::Rows for CurveDigester<'_> {
    fn session(&mut self, _: SessionRow, _: Option<&str>) {}
    fn retweet(&mut self, _: RetweetRow, _: RetweetDetail<'_>) {}
}

impl Receiver for CurveDigester<'_> {
    fn minute(&mut self, row: MinuteRow) {
        let distinct = row.distinct.filter(|_| self.has_people);
        self.minutes.get_or_insert_default().add_curve(&MinuteRow { distinct, ..row });
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
