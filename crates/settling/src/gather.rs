//! The gathering: events by shard of viewers, in memory up to a budget and in sorted runs on disk beyond it.

use super::budget::Budget;
use super::lock::lock;
use super::order::{self, SHARDS};
use super::source::ShardSource;
use crate::{Run, RunWriter};
use aggregator::{Timeline, shard_of};
use audience::{Details, Event, NO_DETAIL};
use problem::Problem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The changes of the curves may take as much as one part in so many of what the events may take; to be sorted, as much
/// again.
const FLOWS_SHARE: usize = 4;

/// Events a feeder keeps for a shard before it takes the shard's lock.
const FEED: usize = 512;

/// Takes events from several feeders.
#[derive(Debug)]
pub struct Gather {
    shards: Vec<Mutex<Heap>>,
    /// Bytes of events and strings in the shards.
    held: AtomicUsize,
    budget: usize,
    /// How many feed it, and so how many threads there are to spill with.
    feeders: AtomicUsize,
    spill: Mutex<Spill>,
}

/// Events of one shard in the order in which they came.
#[derive(Debug, Default)]
struct Heap {
    events: Vec<Event>,
    details: Details,
}

impl Heap {
    fn bytes(&self) -> usize {
        self.events.len() * size_of::<Event>() + self.details.len()
    }

    fn take(&mut self, events: &[Event], details: &Details) {
        for event in events {
            self.events.push(if event.detail == NO_DETAIL { *event } else { self.details.adopt(*event, details) });
        }
    }
}

/// What lies on the disk.
#[derive(Debug)]
struct Spill {
    folder: PathBuf,
    /// Each of the threads that spill has one, which grows by sections of all shards each time, so that open files are
    /// few.
    writers: Vec<RunWriter>,
    /// How often it has grown.
    times: usize,
    /// Events that a shard may hold twice to be sorted.
    spare_max: usize,
}

impl Gather {
    /// Keeps as many events in memory as `budget` allows, and spills the rest.
    pub fn within(budget: &Budget) -> Gather {
        Gather::new(budget.events, budget.scratch.clone())
    }

    /// Keeps at most about `budget` bytes of events in memory, and spills the rest to files in the folder `spill_to`.
    pub fn new(budget: usize, spill_to: PathBuf) -> Gather {
        Gather {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            held: AtomicUsize::new(0),
            budget,
            feeders: AtomicUsize::new(0),
            spill: Mutex::new(Spill { folder: spill_to, writers: Vec::new(), times: 0, spare_max: spare_max(budget) }),
        }
    }

    /// A way in for one thread.
    pub fn feeder(&self) -> Feeder<'_> {
        self.feeders.fetch_add(1, Ordering::Relaxed);
        Feeder { gather: self, timelines: Vec::new(), feeds: (0..SHARDS).map(|_| Heap::default()).collect() }
    }

    fn take(&self, shard: usize, feed: &mut Heap) -> Result<(), Problem> {
        let bytes = feed.bytes();
        lock(&self.shards[shard]).take(&feed.events, &feed.details);
        feed.events.clear();
        feed.details.clear();
        if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes > self.budget {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes what the shards hold as sorted runs. Others wait here, so the memory stays bounded.
    fn spill(&self) -> Result<(), Problem> {
        let mut spill = lock(&self.spill);
        if self.held.load(Ordering::Relaxed) <= self.budget {
            return Ok(());
        }
        spill.write(&self.shards, &self.held, self.feeders.load(Ordering::Relaxed))
    }

    /// All events are in: the shards, each to be read in order.
    pub fn finish(self) -> Result<Shards, Problem> {
        let mut spill = self.spill.into_inner().unwrap_or_else(PoisonError::into_inner);
        if spill.times > 0 && self.held.load(Ordering::Relaxed) > 0 {
            spill.write(&self.shards, &self.held, self.feeders.load(Ordering::Relaxed))?;
        }
        let (times, folder, spare_max) = (spill.times, spill.folder, spill.spare_max);
        let runs = spill.writers.into_iter().map(RunWriter::finish).collect::<Result<Arc<[Run]>, _>>()?;
        // Each time a shard went to one of the runs.
        let buffer = (self.budget / (4 * SHARDS * times.max(1))).clamp(4 << 10, 256 << 10);
        let mut sources = Vec::with_capacity(SHARDS);
        for (number, heap) in self.shards.into_iter().enumerate() {
            let heap = heap.into_inner().unwrap_or_else(PoisonError::into_inner);
            sources.push(Mutex::new(if times == 0 {
                ShardSource::memory(heap.events, heap.details, spare_max)
            } else {
                ShardSource::runs(&runs, number, buffer)?
            }));
        }
        Ok(Shards { sources, folder, flows_bytes: self.budget / FLOWS_SHARE })
    }
}

/// Events that a shard may hold twice while it is sorted: twice its even share of `budget` bytes.
fn spare_max(budget: usize) -> usize {
    2 * budget / (SHARDS * size_of::<Event>())
}

impl Spill {
    /// Each of `threads` threads writes its share of the shards to its run; the sections of the others are empty there.
    fn write(&mut self, shards: &[Mutex<Heap>], held: &AtomicUsize, threads: usize) -> Result<(), Problem> {
        let threads = threads.clamp(1, SHARDS).max(self.writers.len());
        while self.writers.len() < threads {
            self.writers.push(RunWriter::create(&self.folder)?);
        }
        self.times += 1;
        let spare_max = self.spare_max;
        let write = |thread: usize, writer: &mut RunWriter| {
            write_shards(writer, shards, held, spare_max, |shard| shard % threads == thread)
        };
        std::thread::scope(|scope| {
            let mut writers = self.writers.iter_mut().enumerate();
            let first = writers.next();
            let helpers: Vec<_> = writers.map(|(thread, writer)| scope.spawn(move || write(thread, writer))).collect();
            let first = first.map_or(Ok(()), |(thread, writer)| write(thread, writer));
            let others = helpers
                .into_iter()
                .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            std::iter::once(first).chain(others).collect()
        })
    }
}

fn write_shards(
    writer: &mut RunWriter,
    shards: &[Mutex<Heap>],
    held: &AtomicUsize,
    spare_max: usize,
    is_ours: impl Fn(usize) -> bool,
) -> Result<(), Problem> {
    let mut spare = Vec::new();
    for (number, shard) in shards.iter().enumerate() {
        if is_ours(number) {
            let mut heap = lock(shard);
            order::sort(&mut heap.events, &mut spare, spare_max);
            for event in &heap.events {
                writer.push(event, heap.details.get(event.detail))?;
            }
            held.fetch_sub(heap.bytes(), Ordering::Relaxed);
            heap.events.clear();
            // A shard that was far larger than the others must not keep what another may need next.
            heap.events.shrink_to(spare_max);
            heap.details.clear();
        }
        writer.end_section();
    }
    Ok(())
}

/// One thread's way into a [`Gather`].
#[derive(Debug)]
pub struct Feeder<'a> {
    gather: &'a Gather,
    /// By number of the broadcast.
    timelines: Vec<Timeline>,
    feeds: Vec<Heap>,
}

impl Feeder<'_> {
    /// Takes an accepted event, whose strings are in `details`.
    #[inline]
    pub fn push(&mut self, event: &Event, details: &Details) -> Result<(), Problem> {
        let broadcast = event.broadcast as usize;
        if broadcast >= self.timelines.len() {
            self.timelines.resize_with(broadcast + 1, Timeline::default);
        }
        self.timelines[broadcast].hear(event);
        let shard = shard_of(event.viewer, SHARDS);
        let feed = &mut self.feeds[shard];
        let event = if event.detail == NO_DETAIL { *event } else { feed.details.adopt(*event, details) };
        feed.events.push(event);
        if feed.events.len() == FEED {
            self.gather.take(shard, feed)?;
        }
        Ok(())
    }

    /// Hands over the rest, and the timelines of the broadcasts by number.
    pub fn finish(mut self) -> Result<Vec<Timeline>, Problem> {
        for (shard, feed) in self.feeds.iter_mut().enumerate() {
            self.gather.take(shard, feed)?;
        }
        Ok(self.timelines)
    }
}

/// All events, by shard, each shard in order.
#[derive(Debug)]
pub struct Shards {
    pub(super) sources: Vec<Mutex<ShardSource>>,
    /// Where settling may put temporary files.
    pub(super) folder: PathBuf,
    /// Bytes of changes that settling may hold.
    pub(super) flows_bytes: usize,
}
