//! The engine of settling: takes groups of broadcasts through all shards side by side, then reads their curves side by
//! side.

use super::budget::Budget;
use super::flows::{Flows, Sum};
use super::gather::{Gather, Shards};
use super::receiver::Receiver;
use super::settled::Settled;
use super::source::ShardSource;
use crate::lock::lock;
use aggregator::{Airings, Gaps, Rules, SecondLook, Shard, Sorted, Timeline, settle_curve};
use problem::Problem;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Broadcasts are taken together until they have so many events, and fewer where memory is scarce: enough work to
/// share, little enough to keep their flows in memory.
const GROUP_EVENTS: usize = 1 << 20;

/// Bytes of the changes that one event can make: a session's +1 and −1.
const EVENT_BYTES: usize = 16;

/// Instants of sessions that one thread settles before it hands over what they gave: their rows and flows are held
/// beside the budgets.
const PIECE: usize = 1 << 15;

/// The recipe: what `feed` feeds settles within `budget`, by `rules`, with `gaps` as what the input lacks. `feed` gives
/// the timelines of the broadcasts by number; events of one that has none there are passed over. Each thread gets a
/// receiver from `receiver`.
///
/// # Errors
/// Those of `feed` and of the receivers; or temporary files cannot be written.
pub(crate) fn settle<R: Receiver, E: From<Problem>>(
    feed: impl FnOnce(&Gather) -> Result<Vec<Timeline>, E>,
    rules: &Rules,
    gaps: &Gaps,
    budget: &Budget,
    receiver: impl Fn() -> R,
) -> Result<Vec<Settled>, E> {
    let gather = Gather::within(budget);
    let timelines = feed(&gather)?;
    if timelines.iter().all(|timeline| timeline.events() == 0) {
        return Ok(Vec::new());
    }
    Ok(settle_all(&gather.finish()?, &timelines, rules, gaps, budget.threads, receiver)?)
}

/// Settles all that was gathered. `timelines` are those of the gathered events, by number of the broadcast; `gaps` are
/// what the input lacks. Each of `threads` threads gets a receiver from `receiver`.
pub fn settle_all<R: Receiver>(
    shards: &Shards,
    timelines: &[Timeline],
    rules: &Rules,
    gaps: &Gaps,
    threads: usize,
    receiver: impl Fn() -> R,
) -> Result<Vec<Settled>, Problem> {
    let mut receivers: Vec<R> = (0..threads.max(1)).map(|_| receiver()).collect();
    let looks = look_again(shards, timelines, rules, threads)?;
    let group_events = (shards.flows_bytes / EVENT_BYTES).min(GROUP_EVENTS) as u64;
    let mut settled = Vec::new();
    let mut first = 0;
    while first < timelines.len() {
        let mut events = 0;
        let group = timelines[first..].iter().take_while(|timeline| {
            let is_first = events == 0;
            events += timeline.events();
            is_first || events <= group_events
        });
        let airings = |(place, timeline): (usize, &Timeline)| match looks.get(&number_of(first + place)) {
            Some(look) => timeline.airings_seen(rules, look),
            None => timeline.airings(rules),
        };
        let airings: Vec<Airings> = group.enumerate().map(airings).collect();
        let group = Group { first: number_of(first), airings: &airings, rules, gaps };
        settled.extend(group.settle(shards, &mut receivers)?);
        first += airings.len();
    }
    receivers.into_iter().try_for_each(Receiver::finish)?;
    Ok(settled)
}

/// The number of the broadcast at `place`.
fn number_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Looks once more at the events of those broadcasts, by number, whose timelines do not tell how their airings lie.
fn look_again(
    shards: &Shards,
    timelines: &[Timeline],
    rules: &Rules,
    threads: usize,
) -> Result<BTreeMap<u32, SecondLook>, Problem> {
    let asked = (0..).zip(timelines).filter_map(|(number, timeline)| Some((number, timeline.second_look(rules)?)));
    let asked: BTreeMap<u32, SecondLook> = asked.collect();
    if asked.is_empty() {
        return Ok(asked);
    }
    let last = asked.last_key_value().map_or(0, |(number, _)| *number);
    let mut told = vec![asked; threads.max(1)];
    side_by_side(&mut told, shards.sources.len(), |shard, looks| {
        let mut source = lock(&shards.sources[shard]);
        while let Some(event) = source.peek().filter(|event| event.broadcast <= last) {
            match looks.get_mut(&event.broadcast) {
                Some(look) => look.hear(&mut *source),
                None => source.advance(),
            }
        }
        source.failure().map_or(Ok(()), Err)?;
        source.rewind()
    })?;
    let mut told = told.into_iter();
    let mut all = told.next().unwrap_or_default();
    // Each was asked the same.
    for looks in told {
        all.values_mut().zip(looks.into_values()).for_each(|(known, look)| known.merge(look));
    }
    Ok(all)
}

/// Consecutive broadcasts.
struct Group<'a> {
    first: u32,
    airings: &'a [Airings],
    rules: &'a Rules,
    gaps: &'a Gaps,
}

impl Group<'_> {
    /// The number of the broadcast at `place`.
    fn number(&self, place: usize) -> u32 {
        self.first + number_of(place)
    }

    fn settle<R: Receiver>(&self, shards: &Shards, receivers: &mut [R]) -> Result<Vec<Settled>, Problem> {
        let flows = Flows::new(self.airings, self.gaps, shards.flows_bytes, &shards.folder);
        side_by_side(receivers, shards.sources.len(), |shard, receiver| {
            self.settle_shard(&mut lock(&shards.sources[shard]), &flows, receiver)
        })?;
        let (flows, readers) = (flows.finish(), receivers.len());
        let settled = Mutex::new(Vec::new());
        side_by_side(receivers, self.airings.len(), |place, receiver| {
            self.read_curves(place, flows.take(place, readers), receiver, |one| lock(&settled).push(one))
        })?;
        let mut settled = settled.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        settled.sort_unstable_by_key(|one| (one.broadcast, one.last_sign));
        Ok(settled)
    }

    /// Takes all broadcasts through one shard.
    fn settle_shard(
        &self,
        source: &mut ShardSource,
        flows: &Flows<'_>,
        receiver: &mut impl Receiver,
    ) -> Result<(), Problem> {
        for (place, airings) in self.airings.iter().enumerate() {
            let mut shard = Shard::new(self.number(place), airings, self.rules, self.gaps);
            let mut has_more = true;
            while has_more {
                has_more = shard.go_on(source, receiver, PIECE);
                flows.take(place, &mut shard)?;
                receiver.settle_down()?;
            }
        }
        source.failure().map_or(Ok(()), Err)
    }

    /// Reads the curves of the broadcast at `place` from `sums`, by place of the airing.
    fn read_curves<'a>(
        &self,
        place: usize,
        sums: impl Iterator<Item = Sum<'a>>,
        receiver: &mut impl Receiver,
        mut settles: impl FnMut(Settled),
    ) -> Result<(), Problem> {
        let broadcast = self.number(place);
        for (airing, sum) in self.airings[place].airings.iter().zip(sums) {
            let Sum { flow, mut changes, completeness } = sum;
            let mut settled_down = Ok(());
            let (row, tally) = settle_curve(broadcast, airing, &flow, &mut changes, completeness.as_ref(), |row| {
                receiver.minute(row);
                if settled_down.is_ok() {
                    settled_down = receiver.settle_down();
                }
            });
            settled_down?;
            changes.failure()?;
            let airing_at = row.as_ref().map(|row| row.airing_at);
            row.into_iter().for_each(|row| receiver.airing(row));
            settles(Settled { broadcast, airing_at, last_sign: airing.last_sign, frontier: airing.frontier, tally });
            receiver.settle_down()?;
        }
        Ok(())
    }
}

/// Does the pieces of work 0..`pieces`, each by the next free of the threads, one for each of `helpers`. The first
/// problem ends all.
fn side_by_side<H: Send>(
    helpers: &mut [H],
    pieces: usize,
    work: impl Fn(usize, &mut H) -> Result<(), Problem> + Sync,
) -> Result<(), Problem> {
    let next = AtomicUsize::new(0);
    let run = |helper: &mut H| -> Result<(), Problem> {
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return Ok(());
            }
            if let Err(problem) = work(piece, helper) {
                next.store(pieces, Ordering::Relaxed);
                return Err(problem);
            }
        }
    };
    if pieces < 2 || helpers.len() < 2 {
        return helpers.first_mut().map_or(Ok(()), run);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = helpers.iter_mut().map(|helper| scope.spawn(|| run(helper))).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}
