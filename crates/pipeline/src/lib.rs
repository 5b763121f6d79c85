//! The pipeline: Kafka or files in, commits out, and the live view on the way. A run has one owner (`owner`), lanes
//! that read and decode (`lane`), and one writer that commits and settles (`writer`); threads meet in channels only,
//! and what they hand each other is in `message`. It prints nothing: what it says are values (`said`), and so is what
//! it shows (`view`).

mod clock;
mod cut;
mod finder;
mod hold;
mod lane;
mod lanes;
mod letters;
mod lock;
mod log;
mod message;
mod misfit;
mod open_files;
mod operator;
mod options;
mod owner;
mod partitions;
mod publisher;
mod reading;
mod rebuild;
mod rejects;
mod replay;
mod requests;
mod restore;
mod resume;
mod said;
mod snapshot;
mod start;
mod tidy;
mod view;
mod writer;

use audience::Registry;
use clock::{Clock, Moment};
use ingester::kafka::Kafka;
use lane::LaneParts;
use lanes::{LaneHandle, Lanes};
use message::{Happening, Partition, Work};
use owner::{Owner, State};
use partitions::Partitions;
use problem::Problem;
use start::Started;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use storage::Ledger;
use writer::Writer;

pub use open_files::raise as raise_open_files;
pub use operator::{Answered, ask};
pub use options::{How, Options};
pub use rejects::{RejectedFile, RejectedGroup};
pub use replay::{Replayed, replay};
pub use said::{Beginning, Said, Tell};
pub use view::{PartitionView, View};

/// What a run did.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// The newest commit.
    pub commit: u64,
    /// All records up to it.
    pub ledger: Ledger,
}

/// Runs until `stop` is set, or to the end of the data. `tell` is told what happens, and `watch` is shown where it
/// stands, each turn; it is let go of as soon as nothing is read any more. [`raise_open_files`] comes before.
pub fn run(
    options: &Options,
    how: How,
    stop: &Arc<AtomicBool>,
    tell: &Tell,
    watch: Box<dyn FnMut(&View<'_>) + '_>,
) -> Result<Ran, Problem> {
    let started = Started::open(options, how, stop, tell)?;
    let Started { kafka, writer, registry, partitions, watermarks, watermark, live, lanes, gaps } = started;
    let (tells, happenings) = mpsc::channel();
    let began = Instant::now();
    let clock = Clock::new(options.future_max_ms, how.accept_clock, writer.publisher.committed_before()?);
    clock.behind_commit(Moment::now(began)).into_iter().for_each(|said| tell(Said::Warning(said)));
    let clock = (Arc::new(Mutex::new(clock)), began);
    let (handles, mut threads) = start_lanes(lanes, &kafka, &registry, &partitions, options, &clock, &tells)?;
    let (finder, over) = mpsc::channel();
    if !how.until_end {
        finder::start(&kafka, &partitions, tells.clone(), over);
    }
    let (written, awaited) = (writer.written(0), Arc::clone(&writer.publisher.awaited));
    let (give, writing) = start_writer(writer, tells);
    // The writer is waited for first: whatever became of the others, what it has begun is finished.
    threads.insert(0, writing);
    let owner = Owner {
        options,
        tell: Arc::clone(tell),
        kafka,
        lanes: Lanes::new(handles),
        happenings,
        writer: give,
        awaited,
        live,
        partitions: Partitions::new(partitions, watermarks, gaps),
        is_until_end: how.until_end,
        _finder: finder,
        stop,
        watch,
        state: State::new(watermark, written),
    };
    let ended = owner.run();
    // The owner is gone, and with it its ends of the channels: the threads see that and return.
    join(threads)?;
    let written = ended.map_err(|problem| if stop.load(Ordering::Relaxed) { stopped(problem) } else { problem })?;
    Ok(Ran { commit: written.commit, ledger: written.ledger })
}

/// Starts a thread that writes what it is given, and tells what came of it.
fn start_writer(mut writer: Writer, tells: Sender<Happening>) -> (SyncSender<Work>, JoinHandle<()>) {
    let (give, work) = mpsc::sync_channel(1);
    let writing = std::thread::spawn(move || {
        for work in work {
            let written = writer.write(work);
            let is_over = written.is_err();
            if tells.send(Happening::Written(written.map(Box::new))).is_err() || is_over {
                return;
            }
        }
    });
    (give, writing)
}

/// Starts a thread for each lane.
fn start_lanes(
    lanes: Vec<aggregator::Lane>,
    kafka: &Arc<Kafka>,
    registry: &Arc<Registry>,
    partitions: &BTreeMap<usize, Partition>,
    options: &Options,
    clock: &(Arc<Mutex<Clock>>, Instant),
    tells: &Sender<Happening>,
) -> Result<(Vec<LaneHandle>, Vec<JoinHandle<()>>), Problem> {
    let count = lanes.len();
    let bytes_max = usize::try_from(options.commit_bytes).unwrap_or(usize::MAX) / count;
    let (mut handles, mut threads) = (Vec::new(), Vec::new());
    for (place, live) in lanes.into_iter().enumerate() {
        let partitions: Vec<Partition> =
            partitions.values().filter(|one| one.index % count == place).cloned().collect();
        let begun: Vec<(usize, i64)> = partitions.iter().map(|one| (one.index, one.from)).collect();
        let (asks, asked) = mpsc::channel();
        let progress = Arc::new(Mutex::default());
        let parts = LaneParts {
            kafka: kafka.lane(&begun)?,
            live,
            registry: Arc::clone(registry),
            partitions,
            progress: Arc::clone(&progress),
            asks: asked,
            tells: tells.clone(),
            clock: clock.clone(),
            keeps_letters: options.rejected_topic.is_some(),
            redact: options.rejected_redact,
            strict: options.strict,
            bytes_max,
        };
        threads.push(std::thread::spawn(move || lane::run(parts)));
        handles.push(LaneHandle { asks, progress });
    }
    Ok((handles, threads))
}

/// What a stop did not wait for is said as such.
fn stopped(mut problem: Problem) -> Problem {
    if problem.awaits.is_some() {
        let message = &problem.message;
        problem.message = format!("Stopped, and what is not committed is read again at the next start: {message}");
    }
    problem
}

fn join(threads: Vec<JoinHandle<()>>) -> Result<(), Problem> {
    for thread in threads {
        thread.join().map_err(|_| Problem::bug("A thread of the run has panicked."))?;
    }
    Ok(())
}
