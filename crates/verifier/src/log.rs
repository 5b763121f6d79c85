//! The log against everything else: every offset once, and every settlement computed again from `events`.

use super::airing::{Airing, named};
use super::digest::Digest;
use super::gaps::Neighbours;
use super::history::{Again, History};
use super::live::{Late, LateMinutes};
use super::lock::lock;
use super::offsets::{OffsetsSeen, RowPlace};
use super::tables::{Digests, Known};
use aggregator::Timeline;
use audience::time::{MINUTE_MS, minute_of, rfc3339};
use audience::{AiringRow, Kind, MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow};
use exporter::{LoggedEvent, ON_TIME, Table};
use problem::Problem;
use settling::{Budget, Gather, Receiver, settle_all};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use storage::Stored;
use storage::{SettledOnce, ToldAiring};

/// What checking the log gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Logged {
    pub(super) events: u64,
    pub(super) after_settle: u64,
    /// Settled airings that the log no longer has whole.
    pub(super) past: u64,
    /// Events that have not settled, by number of the broadcast.
    pub(super) unsettled: BTreeMap<u32, u64>,
    pub(super) late: LateMinutes,
}

/// Checks the log against offsets, settled tables and ledger.
pub(super) fn check(
    stored: &Stored,
    history: &History,
    known: &BTreeMap<Airing, Known>,
    budget: &Budget,
) -> Result<Logged, Problem> {
    let settlements = &history.settlements;
    let mut by_broadcast = HashMap::<u32, Vec<usize>>::new();
    for (place, one) in settlements.iter().enumerate() {
        by_broadcast.entry(one.broadcast).or_default().push(place);
    }
    let lines = history.lines(stored);
    let gather = Gather::within(budget);
    let mut feeder = gather.feeder();
    let (mut offsets, mut neighbours) = (OffsetsSeen::of(history), Neighbours::of(stored, history));
    let (mut logged, mut joins) = (Logged::default(), Vec::new());
    stored.events(|rows, details| {
        let sources = stored.sources();
        for row in &rows {
            logged.events += 1;
            let (source, partition, offset) = (row.source, row.partition, row.offset);
            let topic = &*sources[source as usize];
            offsets.see(RowPlace { table: "events", source, topic, partition, offset, commit: Some(row.commit) })?;
            neighbours.see(row);
            let mut event = row.event;
            // Settlements of a broadcast come in the order of their frontiers.
            let places = by_broadcast.get(&event.broadcast).map_or(&[][..], Vec::as_slice);
            let next = places.partition_point(|place| settlements[*place].frontier <= event.ts());
            let settlement = places.get(next).map(|place| (*place, &settlements[*place]));
            logged.hear_late(row, lines.get(&event.broadcast).and_then(|line| line.first_beyond(event.ts())));
            let before = next.checked_sub(1).map(|before| (places[before], &settlements[places[before]]));
            // A join at a frontier may be why the frontier lies there.
            if let Some((place, _)) = before.filter(|(_, one)| one.ends_with(row)) {
                joins.push((place, event.ts()));
            }
            match settlement {
                None => *logged.unsettled.entry(event.broadcast).or_default() += 1,
                Some((_, one)) if row.commit > one.read_to => logged.after_settle += 1,
                // Of an airing whose other events are gone.
                Some((_, one)) if event.ts() < one.whole_from => {}
                Some((place, _)) => {
                    event.broadcast = u32::try_from(place).unwrap_or(u32::MAX);
                    feeder.push(&event, details)?;
                }
            }
        }
        Ok(())
    })?;
    see_rejected(stored, &mut offsets)?;
    if history.events_dropped + history.rejected_dropped == 0 {
        offsets.complete()?;
    }
    if history.events_dropped == 0 {
        neighbours.check()?;
    }
    let mut timelines = feeder.finish()?;
    for (timeline, one) in timelines.iter_mut().zip(settlements) {
        timeline.begin_at(one.from);
        timeline.only_over(one.airings.last().map_or(Ms::MAX, |last| last.frontier.at));
    }
    for (place, at) in joins {
        timelines.get_mut(place).into_iter().for_each(|timeline| timeline.hear_of(Kind::Join, at));
    }
    let past = history.past(stored);
    // By the rules of an earlier version of the contract nothing is computed any more.
    if !stored.is_older() {
        let again = settle_again(settlements, gather, &timelines, budget.threads)?;
        let kept = known.iter().filter(|(airing, _)| !past.contains(airing));
        compare(stored, &kept.collect(), &again.digests)?;
        compare_told(stored, settlements, again.told)?;
    }
    check_ledger(stored, &logged, history.events_dropped)?;
    logged.past = past.len() as u64;
    Ok(logged)
}

impl Logged {
    /// Events that have not settled.
    pub(super) fn not_yet_settled(&self) -> u64 {
        self.unsettled.values().sum()
    }

    /// Counts a late event to the minute in which it took effect; `settlement` is the one that first reached beyond it.
    fn hear_late(&mut self, row: &LoggedEvent, settlement: Option<SettledOnce>) {
        if row.late_at == ON_TIME {
            return;
        }
        let minute = minute_of(row.late_at);
        let is_sure = settlement.is_none_or(|one| row.commit <= one.read_to && minute + MINUTE_MS <= one.frontier);
        let late: &mut Late = self.late.entry((row.event.broadcast, minute)).or_default();
        late.all += 1;
        late.sure += i64::from(is_sure);
    }
}

fn see_rejected(stored: &Stored, offsets: &mut OffsetsSeen<'_>) -> Result<(), Problem> {
    stored.rejected(|rows| {
        rows.iter().try_for_each(|row| {
            let source = stored.source_of(&row.source);
            let (partition, offset) = (row.partition, row.offset);
            offsets.see(RowPlace { table: "rejected", source, topic: &row.source, partition, offset, commit: None })
        })
    })?;
    Ok(())
}

/// Events that were dropped may have come after settling; none that waits is dropped.
fn check_ledger(stored: &Stored, logged: &Logged, dropped: u64) -> Result<(), Problem> {
    let ledger = stored.ledger();
    for (what, log, ledger, dropped) in [
        ("events that came after their airing had settled", logged.after_settle, ledger.after_settle, dropped),
        ("events not yet settled", logged.not_yet_settled(), ledger.not_yet_settled, 0),
    ] {
        if !(log..=log + dropped).contains(&ledger) {
            return Err(Problem::data(format!(
                "The ledger does not close: {what} are {log} in events, {ledger} in the ledger."
            )));
        }
    }
    Ok(())
}

/// What the log gives.
struct FromLog {
    /// The rows by airing.
    digests: BTreeMap<Airing, Digests>,
    /// By settlement: its airings, and what became of their events.
    told: Vec<Vec<ToldAiring>>,
}

fn settle_again(
    settlements: &[Again],
    gather: Gather,
    timelines: &[Timeline],
    threads: usize,
) -> Result<FromLog, Problem> {
    let gathered = gather.finish()?;
    let digests = Mutex::new(BTreeMap::<Airing, Digests>::new());
    let mut told = vec![Vec::new(); settlements.len()];
    // Consecutive settlements by the same rules, of an input with the same gaps, go together; the shards are read in
    // that order, too.
    let mut first = 0;
    for group in settlements.chunk_by(|a, b| (a.rules, &a.gaps) == (b.rules, &b.gaps)) {
        let (begin, end) = (first, first + group.len());
        first = end;
        // Without an event of theirs the last settlements have no timeline.
        let mut part: Vec<Timeline> = timelines[..end.min(timelines.len())].to_vec();
        part.iter_mut().take(begin).for_each(|before| *before = Timeline::default());
        let receiver = || Digester { all: &digests, settlements, waiting: HashMap::new() };
        for one in settle_all(&gathered, &part, &group[0].rules, &group[0].gaps, threads, receiver)? {
            told[one.broadcast as usize].push(ToldAiring {
                frontier: one.frontier,
                airing_at: one.airing_at,
                tally: [one.tally.applied, one.tally.repeated, one.tally.orphaned].map(i64::unsigned_abs),
            });
        }
    }
    Ok(FromLog { digests: digests.into_inner().unwrap_or_else(PoisonError::into_inner), told })
}

/// The settled airings, and what became of their events, against what the commits say.
fn compare_told(stored: &Stored, settlements: &[Again], told: Vec<Vec<ToldAiring>>) -> Result<(), Problem> {
    for (one, mut again) in settlements.iter().zip(told) {
        again.sort_unstable();
        if one.airings != again {
            let other = one.airings.iter().zip(&again).find(|(told, again)| told != again);
            let at = other.and_then(|(told, _)| told.airing_at);
            return Err(Problem::data(format!(
                "broadcast {:?}{}: what a commit says of its settled airings and of what became of their events is not what events give.",
                stored.broadcast_ids()[one.broadcast as usize],
                at.map_or(String::new(), |at| format!(", airing {}", rfc3339(at)))
            )));
        }
    }
    Ok(())
}

fn compare(
    directory: &Stored,
    known: &BTreeMap<&Airing, &Known>,
    again: &BTreeMap<Airing, Digests>,
) -> Result<(), Problem> {
    let nothing = Digests::default();
    let airings = known.keys().copied().chain(again.keys().filter(|airing| !known.contains_key(airing)));
    for airing in airings {
        let said = known.get(&airing).map_or(&nothing, |known| &known.digests);
        let log = again.get(airing).unwrap_or(&nothing);
        let tables: [(Table, Digest, Digest); 4] = [
            (Table::Airings, said.airing, log.airing),
            (Table::Minutes, said.minutes, log.minutes),
            (Table::Sessions, said.sessions, log.sessions),
            (Table::Retweets, said.retweets, log.retweets),
        ];
        for (table, stored, log) in tables {
            if stored != log {
                return Err(Problem::data(format!(
                    "{}, table {table}: its rows ({}) are not those that events give ({}).",
                    named(directory, airing),
                    stored.rows,
                    log.rows
                )));
            }
        }
    }
    Ok(())
}

/// Turns rows into digests. Rows carry the number of their settlement as broadcast.
struct Digester<'a> {
    all: &'a Mutex<BTreeMap<Airing, Digests>>,
    settlements: &'a [Again],
    waiting: HashMap<Airing, Digests>,
}

impl Digester<'_> {
    fn of(&mut self, settlement: u32, airing_at: Ms) -> &mut Digests {
        let broadcast = self.settlements[settlement as usize].broadcast;
        self.waiting.entry((broadcast, airing_at)).or_default()
    }
}

impl aggregator::Rows for Digester<'_> {
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        self.of(row.broadcast, row.airing_at).sessions.add_session(&row, via);
    }

    fn retweet(&mut self, row: RetweetRow, said: RetweetDetail<'_>) {
        self.of(row.broadcast, row.airing_at).retweets.add_retweet(&row, said);
    }
}

impl Receiver for Digester<'_> {
    fn minute(&mut self, row: MinuteRow) {
        self.of(row.broadcast, row.airing_at).minutes.add_minute(&row);
    }

    fn airing(&mut self, row: AiringRow) {
        self.of(row.broadcast, row.airing_at).airing.add_airing(&row);
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    fn finish(self) -> Result<(), Problem> {
        let mut all = lock(self.all);
        for (airing, part) in self.waiting {
            all.entry(airing).or_default().add(&part);
        }
        Ok(())
    }
}
