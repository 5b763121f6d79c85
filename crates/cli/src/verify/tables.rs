//! The settled tables against each other: what is stored, airing by airing, and what the stored sessions say again.

use super::digest::Digest;
use crate::problem::Problem;
use crate::settling::{Gather, Receiver, settle_all};
use crate::stored::Stored;
use aggregator::Rules;
use audience::time::{minute_of, rfc3339};
use audience::{
    AiringRow, Details, Ended, Event, Kind, MINUTE_MS, MinuteRow, Ms, NO_DETAIL, RetweetDetail, RetweetRow, SessionRow,
};
use exporter::Table;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// (number of the broadcast, airing_at).
pub(super) type Airing = (u32, Ms);

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
    /// Minutes with their leaves, and the same from the sessions.
    leaves: Digest,
    leaves_of_sessions: Digest,
    sums: Sums,
    /// First and last minute.
    span: Option<(Ms, Ms)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    minutes: i64,
    joins: i64,
    leaves: i64,
    lapses: i64,
    new_viewers: i64,
    retweets: i64,
    followers: i64,
    viewer_ms: i64,
    viewers_max: i64,
}

impl Known {
    fn minute(&mut self, row: &MinuteRow) {
        self.digests.minutes.add_minute(row);
        self.curve.add_curve(row);
        self.leaves.add_times(row.minute_at, row.leaves);
        let sums = &mut self.sums;
        sums.minutes += 1;
        sums.joins += row.joins;
        sums.leaves += row.leaves;
        sums.lapses += row.lapses;
        sums.new_viewers += row.new_viewers;
        sums.retweets += row.retweets;
        sums.followers += row.retweet_followers;
        sums.viewer_ms += row.viewer_ms;
        sums.viewers_max = sums.viewers_max.max(row.viewers_max);
        let (first, last) = self.span.unwrap_or((row.minute_at, row.minute_at));
        self.span = Some((first.min(row.minute_at), last.max(row.minute_at)));
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
    stored.airings(|rows| {
        for row in rows {
            let one = known.entry((row.broadcast, row.airing_at)).or_default();
            one.digests.airing.add_airing(&row);
            if one.row.replace(row).is_some() {
                return Err(Problem::data("An airing stands twice in the table airings."));
            }
        }
        Ok(())
    })?;
    stored.minutes(Table::Minutes, |rows| {
        for row in &rows {
            aggregator::audit_minute(row).map_err(|breach| Problem::data(breach.0))?;
            known.entry((row.broadcast, row.airing_at)).or_default().minute(row);
        }
        Ok(())
    })?;
    stored.retweets(|(rows, details)| {
        for row in &rows {
            let one = known.entry((row.broadcast, row.airing_at)).or_default();
            one.digests.retweets.add_stored_retweet(row, &details);
        }
        Ok(())
    })?;
    let mut feeder = gather.feeder();
    let mut numbers = BTreeMap::<Airing, u32>::new();
    let mut airings = Vec::new();
    let mut session = 0u128;
    stored.sessions(|(rows, details)| {
        for row in &rows {
            let airing = (row.broadcast, row.airing_at);
            let one = known.entry(airing).or_default();
            let via = match details.get(row.via) {
                Some(audience::Detail::Via(via)) => Some(via),
                _ => None,
            };
            one.digests.sessions.add_session(row, via);
            if row.left_at < row.joined_at {
                return Err(Problem::data(format!("A session of {} ends before it begins.", rfc3339(row.airing_at))));
            }
            if row.ended == Ended::Leave {
                one.leaves_of_sessions.add_times(minute_of(row.left_at), 1);
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

/// Checks each airing against its minutes and, where they are kept, against its sessions.
pub(super) fn check(stored: &Stored, tables: &Tables, gather: Gather, threads: usize) -> Result<(), Problem> {
    let Tables { known, airings, timelines } = tables;
    let ids = stored.broadcast_ids();
    let named = |airing: &Airing| format!("broadcast {:?}, airing {}", ids[airing.0 as usize], rfc3339(airing.1));
    if stored.keeps(Table::Airings) && stored.keeps(Table::Minutes) {
        for (airing, known) in known {
            check_sums(known).map_err(|what| Problem::data(format!("{}: {what}", named(airing))))?;
        }
    }
    if !stored.keeps(Table::Sessions) {
        return Ok(());
    }
    // No silence parts these sessions: their airing is given.
    let rules = Rules { broadcast_idle: Ms::MAX, ..Rules::default() };
    let again = Again::default();
    settle_all(&gather.finish()?, timelines, &rules, threads, || AgainOne { all: &again, minutes: Vec::new() })?;
    let again = again.curves.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let by_airing: BTreeMap<Airing, &(AiringRow, Digest)> =
        again.iter().map(|one| (airings[one.0.broadcast as usize], one)).collect();
    for (airing, known) in known {
        let broken = |what: &str| Problem::data(format!("{}: {what}", named(airing)));
        let (row, curve) = by_airing.get(airing).map_or((None, Digest::default()), |one| (Some(&one.0), one.1));
        if let Some(stored) = &known.row {
            check_row(stored, row).map_err(broken)?;
        }
        if stored.keeps(Table::Minutes) && known.curve != curve {
            return Err(broken("the curve in the table minutes is not the one that the table sessions gives"));
        }
        if stored.keeps(Table::Minutes) && known.leaves != known.leaves_of_sessions {
            return Err(broken("the leaves of some minute in the table minutes are not those of the table sessions"));
        }
    }
    Ok(())
}

/// The sums of an airing's minutes against its row.
fn check_sums(known: &Known) -> Result<(), String> {
    let Some(row) = &known.row else {
        return Err("it has minutes, sessions or retweets, but no row in airings".to_owned());
    };
    let sums = known.sums;
    let same = |what: &str, minutes: i64, airing: i64| {
        if minutes == airing {
            Ok(())
        } else {
            Err(format!("{what}: its minutes give {minutes}, its row in airings {airing}"))
        }
    };
    same("Σ joins", sums.joins, row.joins)?;
    same("Σ joins and sessions", sums.joins, row.sessions)?;
    same("Σ leaves", sums.leaves, row.leaves)?;
    same("Σ lapses", sums.lapses, row.lapses)?;
    same("Σ leaves + lapses", sums.leaves + sums.lapses, row.sessions)?;
    same("Σ new viewers and reach", sums.new_viewers, row.reach)?;
    same("Σ retweets", sums.retweets, row.retweets)?;
    same("Σ followers", sums.followers, row.retweet_followers)?;
    same("Σ viewer_ms", sums.viewer_ms, row.viewer_ms)?;
    same("peak", sums.viewers_max, row.viewers_max)?;
    let (first, last) = known.span.unwrap_or_default();
    same("first minute", first, minute_of(row.airing_at))?;
    same("last minute", last, minute_of(row.last_at))?;
    same("minutes from first to last", sums.minutes, (last - first) / MINUTE_MS + 1)
}

/// An airing's row against the one that its sessions give.
fn check_row(stored: &AiringRow, again: Option<&AiringRow>) -> Result<(), &'static str> {
    let Some(again) = again else {
        return if stored.sessions == 0 { Ok(()) } else { Err("its sessions are missing in the table sessions") };
    };
    let facts = |row: &AiringRow| {
        (row.sessions, row.reach, row.viewer_ms, row.viewers_max, row.viewers_max_at, row.first_joined_at)
    };
    if facts(stored) != facts(again) {
        return Err("sessions, reach, viewer_ms, the peak or the first join is not what the table sessions gives");
    }
    if stored.stays != again.stays { Err("the stays are not those of the table sessions") } else { Ok(()) }
}

/// The curves that sessions give, each with the digest of its minutes.
#[derive(Debug, Default)]
struct Again {
    curves: Mutex<Vec<(AiringRow, Digest)>>,
}

struct AgainOne<'a> {
    all: &'a Again,
    minutes: Vec<Digest>,
}

impl aggregator::Rows for AgainOne<'_> {
    fn session(&mut self, _: SessionRow, _: Option<&str>) {}
    fn retweet(&mut self, _: RetweetRow, _: RetweetDetail<'_>) {}
}

impl Receiver for AgainOne<'_> {
    fn minute(&mut self, row: MinuteRow) {
        if self.minutes.is_empty() {
            self.minutes.push(Digest::default());
        }
        self.minutes[0].add_curve(&row);
    }

    fn airing(&mut self, row: AiringRow) {
        let curve = self.minutes.pop().unwrap_or_default();
        crate::settling::lock(&self.all.curves).push((row, curve));
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    fn finish(self) -> Result<(), Problem> {
        Ok(())
    }
}

/// What became of each settled airing's events: its row against the commits that settled it.
pub(super) fn check_tallies(
    stored: &Stored,
    known: &BTreeMap<Airing, Known>,
    manifests: &[exporter::Manifest],
) -> Result<(), Problem> {
    if !stored.keeps(Table::Airings) {
        return Ok(());
    }
    let mut settled = BTreeMap::new();
    for one in manifests.iter().flat_map(|manifest| &manifest.settled).flat_map(|settlement| &settlement.airings) {
        if let Some(airing_at) = one.airing_at {
            settled.insert((stored.number_of(&one.broadcast_id), airing_at), [one.applied, one.repeated, one.orphaned]);
        }
    }
    let ids = stored.broadcast_ids();
    let broken = |airing: &Airing, what: &str| {
        Problem::data(format!("broadcast {:?}, airing {}: {what}", ids[airing.0 as usize], rfc3339(airing.1)))
    };
    for (airing, tally) in &settled {
        let row = known.get(airing).and_then(|known| known.row.as_ref());
        let row = row.ok_or_else(|| broken(airing, "a commit says that it settled, but it has no row in airings"))?;
        if *tally != [row.applied, row.repeated, row.orphaned].map(i64::unsigned_abs) {
            return Err(broken(airing, "applied, repeated or orphaned is not what the commit says that settled it"));
        }
    }
    match known.keys().find(|airing| !settled.contains_key(airing)) {
        Some(airing) => Err(broken(airing, "it has rows, but no commit says that it settled")),
        None => Ok(()),
    }
}

/// The live minutes: each by itself, and each starting where the one before ended. Gives their number.
pub(super) fn check_live(stored: &Stored) -> Result<u64, Problem> {
    #[derive(Default)]
    struct Line {
        /// Σ hash(start of a minute, viewers there) and Σ hash(end of a minute, viewers there): equal but for the two ends of the line.
        starts: Digest,
        ends: Digest,
        first: Option<(Ms, i64)>,
        last: Option<(Ms, i64)>,
    }
    let mut lines = BTreeMap::<Airing, Line>::new();
    let mut count = 0;
    stored.minutes(Table::Live, |rows| {
        for row in &rows {
            aggregator::audit_minute(row).map_err(|breach| Problem::data(format!("live: {}", breach.0)))?;
            count += 1;
            let line = lines.entry((row.broadcast, row.airing_at)).or_default();
            let end = (row.minute_at + MINUTE_MS, row.viewers_end);
            let start = (row.minute_at, row.viewers_start);
            line.starts.add_pair(start);
            line.ends.add_pair(end);
            line.first = Some(line.first.map_or(start, |first| first.min(start)));
            line.last = Some(line.last.map_or(end, |last| last.max(end)));
        }
        Ok(())
    })?;
    let ids = stored.broadcast_ids();
    for (airing, mut line) in lines {
        let (Some(first), Some(last)) = (line.first, line.last) else { continue };
        line.starts.add_pair(last);
        line.ends.add_pair(first);
        if line.starts != line.ends || first.1 != 0 {
            let (id, at) = (&ids[airing.0 as usize], rfc3339(airing.1));
            return Err(Problem::data(format!(
                "live: broadcast {id:?}, airing {at}: some minute does not begin with the viewers with whom the one before ended"
            )));
        }
    }
    Ok(count)
}
