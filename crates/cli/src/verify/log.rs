//! The log against everything else: every offset once, and every settlement computed again from `events`.

use super::digest::Digest;
use super::tables::{Airing, Digests, Known};
use crate::problem::Problem;
use crate::settling::{Gather, Receiver, lock, settle_all};
use crate::stored::Stored;
use aggregator::{Rules, Timeline};
use audience::time::rfc3339;
use audience::{AiringRow, MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow};
use exporter::{Manifest, Partition, Table};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;

/// One settlement of one broadcast: the events of commits up to `read_to`, before `frontier` and not before the one before it.
#[derive(Clone, Copy, Debug)]
struct Settlement {
    broadcast: u32,
    frontier: Ms,
    read_to: i64,
    rules: Rules,
}

/// What checking the log gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logged {
    pub(super) events: u64,
    pub(super) after_settle: u64,
    pub(super) not_yet_settled: u64,
}

/// Checks the log against offsets, settled tables and ledger.
pub(super) fn check(
    stored: &Stored,
    manifests: &[Manifest],
    known: &BTreeMap<Airing, Known>,
    budget: usize,
    spill: &Path,
    threads: usize,
) -> Result<Logged, Problem> {
    let settlements = settlements(stored, manifests);
    let mut by_broadcast = HashMap::<u32, Vec<usize>>::new();
    for (place, one) in settlements.iter().enumerate() {
        by_broadcast.entry(one.broadcast).or_default().push(place);
    }
    let gather = Gather::new(budget, spill.to_path_buf());
    let mut feeder = gather.feeder();
    let mut offsets = Offsets::of(stored, manifests);
    let mut logged = Logged::default();
    stored.events(|rows, details| {
        for row in &rows {
            logged.events += 1;
            offsets.see(row.source, row.partition, row.offset, "events")?;
            let mut event = row.event;
            // Settlements of a broadcast come in the order of their frontiers.
            let places = by_broadcast.get(&event.broadcast).map_or(&[][..], Vec::as_slice);
            let next = places.partition_point(|place| settlements[*place].frontier <= event.ts());
            match places.get(next) {
                None => logged.not_yet_settled += 1,
                Some(place) if row.commit > settlements[*place].read_to => logged.after_settle += 1,
                Some(place) => {
                    event.broadcast = u32::try_from(*place).unwrap_or(u32::MAX);
                    feeder.push(&event, details)?;
                }
            }
        }
        Ok(())
    })?;
    stored.rejected(|rows| {
        rows.iter()
            .try_for_each(|row| offsets.see(stored.source_of(&row.source), row.partition, row.offset, "rejected"))
    })?;
    offsets.complete()?;
    let timelines = feeder.finish()?;
    let again = settle_again(&settlements, gather, &timelines, threads)?;
    compare(stored, known, &again)?;
    let ledger = stored.chain.newest().map(|newest| newest.ledger).unwrap_or_default();
    for (what, log, ledger) in [
        ("events that came after their airing had settled", logged.after_settle, ledger.after_settle),
        ("events not yet settled", logged.not_yet_settled, ledger.not_yet_settled),
    ] {
        if log != ledger {
            return Err(Problem::data(format!(
                "The ledger does not close: {what} are {log} in events, {ledger} in the ledger."
            )));
        }
    }
    Ok(logged)
}

fn settlements(stored: &Stored, manifests: &[Manifest]) -> Vec<Settlement> {
    let mut all = Vec::new();
    for settlement in manifests.iter().flat_map(|manifest| &manifest.settled) {
        let rules = Rules {
            session_timeout: settlement.rules.session_timeout_ms,
            timeout_grace: settlement.rules.timeout_grace_ms,
            broadcast_idle: settlement.rules.broadcast_idle_ms,
        };
        let read_to = settlement.read_to.values().max().map_or(0, |number| i64::try_from(*number).unwrap_or(i64::MAX));
        let mut frontiers = BTreeMap::<&str, Ms>::new();
        for airing in &settlement.airings {
            let frontier = frontiers.entry(&airing.broadcast_id).or_insert(airing.frontier);
            *frontier = airing.frontier.max(*frontier);
        }
        all.extend(frontiers.into_iter().map(|(id, frontier)| Settlement {
            broadcast: stored.number_of(id),
            frontier,
            read_to,
            rules,
        }));
    }
    all
}

/// The digests of what the log gives, by airing.
fn settle_again(
    settlements: &[Settlement],
    gather: Gather,
    timelines: &[Timeline],
    threads: usize,
) -> Result<BTreeMap<Airing, Digests>, Problem> {
    let gathered = gather.finish()?;
    let again = Mutex::new(BTreeMap::<Airing, Digests>::new());
    // Consecutive settlements by the same rules go together; the shards are read in that order, too.
    let mut first = 0;
    for group in settlements.chunk_by(|a, b| a.rules == b.rules) {
        let end = (first + group.len()).min(timelines.len());
        if first < end {
            let mut part: Vec<Timeline> = timelines[..end].to_vec();
            part[..first].fill_with(Timeline::default);
            let receiver = || Digester { all: &again, settlements, waiting: HashMap::new() };
            settle_all(&gathered, &part, &group[0].rules, threads, receiver)?;
        }
        first = end;
    }
    Ok(again.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn compare(stored: &Stored, known: &BTreeMap<Airing, Known>, again: &BTreeMap<Airing, Digests>) -> Result<(), Problem> {
    let ids = stored.broadcast_ids();
    let nothing = Digests::default();
    let airings = known.keys().chain(again.keys().filter(|airing| !known.contains_key(airing)));
    for airing in airings {
        let said = known.get(airing).map_or(&nothing, |known| &known.digests);
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
                    "broadcast {:?}, airing {}: its rows in {table} ({}) are not those that events give ({}).",
                    ids[airing.0 as usize],
                    rfc3339(airing.1),
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
    settlements: &'a [Settlement],
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

/// Which offsets were seen, a bit each.
struct Offsets {
    partitions: BTreeMap<(u32, i32), Seen>,
    topics: Vec<String>,
}

struct Seen {
    topic: usize,
    from: i64,
    bits: Vec<u64>,
    seen: u64,
    records: u64,
}

impl Offsets {
    /// The offsets that the commits have read.
    fn of(stored: &Stored, manifests: &[Manifest]) -> Offsets {
        let mut offsets = Offsets { partitions: BTreeMap::new(), topics: Vec::new() };
        for Partition { topic, partition, from, to, accepted, rejected, .. } in
            manifests.iter().flat_map(|manifest| &manifest.inputs.partitions)
        {
            let key = (stored.source_of(topic), *partition);
            let seen = offsets.partitions.entry(key).or_insert_with(|| {
                offsets.topics.push(topic.clone());
                Seen { topic: offsets.topics.len() - 1, from: *from, bits: Vec::new(), seen: 0, records: 0 }
            });
            let length = usize::try_from(to - seen.from).unwrap_or(0);
            seen.bits.resize(length.div_ceil(64).max(seen.bits.len()), 0);
            seen.records += accepted + rejected;
        }
        offsets
    }

    fn see(&mut self, source: u32, partition: i32, offset: i64, table: &str) -> Result<(), Problem> {
        let topics = &self.topics;
        let Some(seen) = self.partitions.get_mut(&(source, partition)) else {
            return Err(Problem::data(format!(
                "A row of {table} is of partition {partition}, of which no commit read anything."
            )));
        };
        let place = usize::try_from(offset - seen.from).unwrap_or(usize::MAX);
        let wrong = |what: &str| {
            Problem::data(format!(
                "Offset {offset} of partition {partition} of {} {what} ({table}).",
                topics[seen.topic]
            ))
        };
        let Some(word) = seen.bits.get_mut(place / 64) else {
            return Err(wrong("stands in the tables, but no commit read it"));
        };
        if *word & 1 << (place % 64) != 0 {
            return Err(wrong("stands twice in the tables"));
        }
        *word |= 1 << (place % 64);
        seen.seen += 1;
        Ok(())
    }

    fn complete(&self) -> Result<(), Problem> {
        for ((_, partition), seen) in &self.partitions {
            if seen.seen != seen.records {
                return Err(Problem::data(format!(
                    "Partition {partition} of {}: the commits read {} records, events and rejected hold {}.",
                    self.topics[seen.topic], seen.records, seen.seen
                )));
            }
        }
        Ok(())
    }
}
