//! The engine of settling: takes groups of broadcasts through all shards side by side, then reads their curves side by side.

use super::flows::Flows;
use super::gather::{Gathered, lock};
use super::sink::Receiver;
use crate::problem::Problem;
use aggregator::{Airings, Completeness, Gaps, Rules, Settling, Tally, Timeline, curve};
use audience::{MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Broadcasts are taken together until they have so many events, and fewer where memory is scarce: enough work to share, little enough to keep
/// their flows in memory.
const GROUP_EVENTS: usize = 1 << 20;

/// Bytes of the changes that one event can make: a session's +1 and −1.
const EVENT_BYTES: usize = 16;

/// Instants of sessions that one thread settles before it hands over what they gave: their rows and flows are held beside the budgets.
const PIECE: usize = 1 << 15;

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
    let group_events = (gathered.flows_bytes / EVENT_BYTES).min(GROUP_EVENTS) as u64;
    let mut settled = Vec::new();
    let mut first = 0;
    while first < timelines.len() {
        let mut events = 0;
        let group = timelines[first..].iter().take_while(|timeline| {
            let is_first = events == 0;
            events += timeline.events();
            is_first || events <= group_events
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

/// Hands on the rows of one broadcast in one shard, and sees whose sessions a gap of the input left open.
struct Watching<'a, R> {
    rows: &'a mut R,
    airings: &'a Airings,
    /// By airing; empty where the input has no gaps.
    completeness: Vec<Completeness>,
}

impl<R: Receiver> aggregator::Rows for Watching<'_, R> {
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        if !self.completeness.is_empty() {
            self.completeness[self.airings.place_of(row.joined_at)].session(row.joined_at, row.left_at);
        }
        self.rows.session(row, via);
    }

    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        self.rows.retweet(row, detail);
    }
}

impl Group<'_> {
    /// The number of the broadcast at `place`.
    fn number(&self, place: usize) -> u32 {
        self.first + u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// What is to hear which minutes of a broadcast's airings are complete: nothing, where the input has no gaps.
    fn watched(&self, airings: &Airings) -> Vec<Completeness> {
        if self.gaps.is_empty() { Vec::new() } else { vec![Completeness::new(self.gaps); airings.airings.len()] }
    }

    fn settle<R: Receiver>(&self, gathered: &Gathered, receivers: &mut [R]) -> Result<Vec<Settled>, Problem> {
        let flows = Flows::new(self.airings, gathered.flows_bytes, &gathered.folder);
        // By broadcast, then airing; nothing where the input has no gaps.
        let complete: Vec<Mutex<Vec<Completeness>>> =
            self.airings.iter().map(|one| Mutex::new(self.watched(one))).collect();
        side_by_side(receivers, gathered.shards.len(), |shard, receiver| {
            let mut source = lock(&gathered.shards[shard]);
            for (place, airings) in self.airings.iter().enumerate() {
                let mut settling = Settling::new(self.number(place), airings, self.rules);
                let mut watching = Watching { rows: receiver, airings, completeness: self.watched(airings) };
                let mut has_more = true;
                while has_more {
                    has_more = settling.go_on(&mut *source, &mut watching, PIECE);
                    flows.take(place, settling.flows())?;
                    watching.rows.settle_down()?;
                }
                let heard = watching.completeness;
                lock(&complete[place]).iter_mut().zip(&heard).for_each(|(all, heard)| all.merge(heard));
            }
            source.failure().map_or(Ok(()), Err)
        })?;
        let (flows, readers) = (flows.finish(), receivers.len());
        let settled = Mutex::new(Vec::new());
        side_by_side(receivers, self.airings.len(), |place, receiver| {
            let broadcast = self.number(place);
            let complete = std::mem::take(&mut *lock(&complete[place]));
            let flows = flows.take(place, readers).enumerate();
            for (airing, (number, (flow, mut changes))) in self.airings[place].airings.iter().zip(flows) {
                let mut tally = flow.tally;
                let mut settled_down = Ok(());
                let is_complete = |at| complete.get(number).is_none_or(|one| one.is_complete(at));
                let row = curve(broadcast, airing, &flow, &mut changes, |row| {
                    receiver.minute(MinuteRow { complete: is_complete(row.minute_at), ..row });
                    if settled_down.is_ok() {
                        settled_down = receiver.settle_down();
                    }
                });
                settled_down?;
                changes.failure()?;
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
