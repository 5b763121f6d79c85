//! The engine of settling: takes groups of broadcasts through all shards side by side, then reads their curves side by side.

use super::gather::{Gathered, lock};
use super::sink::Receiver;
use crate::problem::Problem;
use aggregator::{Airings, Completeness, Flow, Gaps, Rules, Tally, Timeline, curve, settle};
use audience::{MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Broadcasts are taken together until they have so many events: enough work to share, little enough to keep their flows in memory.
const GROUP_EVENTS: u64 = 1 << 20;

/// One airing that settled, for the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Number of the broadcast.
    pub(crate) broadcast: u32,
    /// Its name; `None` where nothing was applied, so that there is no row of it.
    pub(crate) airing_at: Option<Ms>,
    /// Its last accepted event.
    pub(crate) last_sign: Ms,
    /// What became of its events.
    pub(crate) tally: Tally,
}

/// Settles all that was gathered. `timelines` are those of the gathered events, by number of the broadcast; `gaps` are what the input lacks.
/// Each of `threads` threads gets a receiver from `receiver`.
pub(crate) fn settle_all<R: Receiver>(
    gathered: &Gathered,
    timelines: &[Timeline],
    rules: &Rules,
    gaps: &Gaps,
    threads: usize,
    receiver: impl Fn() -> R,
) -> Result<Vec<Settled>, Problem> {
    let mut receivers: Vec<R> = (0..threads.max(1)).map(|_| receiver()).collect();
    let mut settled = Vec::new();
    let mut first = 0;
    while first < timelines.len() {
        let mut events = 0;
        let group = timelines[first..].iter().take_while(|timeline| {
            let fits = events < GROUP_EVENTS;
            events += timeline.events();
            fits
        });
        let airings: Vec<Airings> = group.map(|timeline| timeline.airings(rules)).collect();
        let group = Group { first: u32::try_from(first).unwrap_or(u32::MAX), airings: &airings, rules, gaps };
        settled.extend(group.settle(gathered, &mut receivers)?);
        first += airings.len();
    }
    receivers.into_iter().try_for_each(Receiver::finish)?;
    Ok(settled)
}

/// Consecutive broadcasts.
struct Group<'a> {
    first: u32,
    airings: &'a [Airings],
    rules: &'a Rules,
    gaps: &'a Gaps,
}

/// What the shards of one broadcast give, by airing.
type Flows = Vec<(Flow, Completeness)>;

/// Hands on the rows of one broadcast in one shard, and sees whose sessions a gap of the input left open.
struct Watching<'a, R> {
    rows: &'a mut R,
    airings: &'a Airings,
    /// By airing.
    completeness: Vec<Completeness>,
}

impl<R: Receiver> aggregator::Rows for Watching<'_, R> {
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        self.completeness[self.airings.place_of(row.joined_at)].session(row.joined_at, row.left_at);
        self.rows.session(row, via);
    }

    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        self.rows.retweet(row, detail);
    }
}

impl Group<'_> {
    fn settle<R: Receiver>(&self, gathered: &Gathered, receivers: &mut [R]) -> Result<Vec<Settled>, Problem> {
        // By broadcast, then airing: the flows of all shards added up.
        let flows: Vec<Mutex<Flows>> = self.airings.iter().map(|_| Mutex::default()).collect();
        side_by_side(receivers, gathered.shards.len(), |shard, receiver| {
            let mut source = lock(&gathered.shards[shard]);
            for (place, airings) in self.airings.iter().enumerate() {
                let broadcast = self.first + u32::try_from(place).unwrap_or(u32::MAX);
                let part = self.shard(broadcast, airings, &mut *source, receiver);
                merge(&mut lock(&flows[place]), part);
                receiver.settle_down()?;
            }
            source.failure().map_or(Ok(()), Err)
        })?;
        let settled = Mutex::new(Vec::new());
        side_by_side(receivers, self.airings.len(), |place, receiver| {
            let broadcast = self.first + u32::try_from(place).unwrap_or(u32::MAX);
            let flows = std::mem::take(&mut *lock(&flows[place]));
            for (airing, (flow, completeness)) in self.airings[place].airings.iter().zip(flows) {
                let mut tally = flow.tally;
                let row = curve(broadcast, airing, flow, |row| {
                    let complete = completeness.is_complete(row.minute_at);
                    receiver.minute(MinuteRow { complete, ..row });
                });
                let airing_at = row.as_ref().map(|row| row.airing_at);
                if let Some(row) = row {
                    tally = Tally { applied: row.applied, repeated: row.repeated, orphaned: row.orphaned };
                    receiver.airing(row);
                }
                lock(&settled).push(Settled { broadcast, airing_at, last_sign: airing.last_sign, tally });
                receiver.settle_down()?;
            }
            Ok(())
        })?;
        let mut settled = settled.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        settled.sort_unstable_by_key(|one| (one.broadcast, one.last_sign));
        Ok(settled)
    }
}

impl Group<'_> {
    /// One shard of one broadcast.
    fn shard<R: Receiver>(
        &self,
        broadcast: u32,
        airings: &Airings,
        source: &mut impl aggregator::Sorted,
        receiver: &mut R,
    ) -> Flows {
        if self.gaps.is_empty() {
            let flows = settle(broadcast, airings, self.rules, source, receiver);
            return flows.into_iter().map(|flow| (flow, Completeness::default())).collect();
        }
        let completeness = vec![Completeness::new(self.gaps); airings.airings.len()];
        let mut watching = Watching { rows: receiver, airings, completeness };
        let flows = settle(broadcast, airings, self.rules, source, &mut watching);
        flows.into_iter().zip(watching.completeness).collect()
    }
}

fn merge(flows: &mut Flows, part: Flows) {
    if flows.is_empty() {
        *flows = part;
    } else {
        for ((flow, completeness), (part, heard)) in flows.iter_mut().zip(part) {
            flow.merge(part);
            completeness.merge(&heard);
        }
    }
}

/// Does the pieces of work 0..`pieces`, each by the next free of the threads, one for each of `helpers`. The first problem ends all.
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
