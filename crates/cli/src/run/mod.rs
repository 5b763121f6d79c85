//! `jauge run`: Kafka in, the live curve and the settled tables out. One owner (`owner`), lanes that read and decode (`lane`), one writer that
//! commits and settles (`writer`); threads meet in channels only.

mod finder;
mod hold;
mod lane;
mod letters;
mod logline;
mod open_files;
mod owner;
mod rebuild;
mod requests;
mod restore;
mod snapshot;
mod start;
mod status;
mod tidy;
mod writer;

use crate::args::RunArgs;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::terminal;
use owner::{Happening, LaneHandle, Owner, State};
use start::Started;
use status::Teller;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use storage::Ledger;

pub(crate) use owner::View;

/// What a run is asked to do besides reading on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// Read to where the partitions end now, and settle all.
    pub(crate) until_end: bool,
    /// Go on behind offsets that are gone.
    pub(crate) accept_gap: bool,
}

/// What a run did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) commit: u64,
    pub(crate) ledger: Ledger,
}

/// `jauge run`
pub(crate) fn command(args: &RunArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let stop = stop_signals()?;
    let how = How { until_end: args.until_end, accept_gap: args.accept_gap };
    let ran = run(&settings, how, &stop, &mut |_| {})?;
    if args.json {
        return terminal::print_json(&serde_json::json!({ "commit": ran.commit, "ledger": ran.ledger }));
    }
    Ok(())
}

/// A flag that SIGTERM and SIGINT set. A second signal ends the process at once: nothing is lost by it but what is not committed, and that is
/// read again.
fn stop_signals() -> Result<Arc<AtomicBool>, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let refused = |error| Problem::world(format!("Signal {signal} cannot be waited for: {error}."));
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop)).map_err(refused)?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(refused)?;
    }
    Ok(stop)
}

/// Runs until `stop` is set, or to the end of the data; `watch` is shown the live curve a few times a second.
pub(crate) fn run(
    settings: &Settings,
    how: How,
    stop: &Arc<AtomicBool>,
    watch: &mut dyn FnMut(&View<'_>),
) -> Result<Ran, Problem> {
    open_files::raise(settings.lanes)?;
    let mut teller = Teller::start(settings)?;
    let mut started = Started::open(settings, how, stop)?;
    started.writer.awaited = Arc::clone(&teller.awaited);
    teller.begin(started.partitions.iter().map(|(index, partition)| (*index, partition.from)));
    let written = started.written();
    let (tell, happenings) = mpsc::channel();
    let Started { kafka, mut writer, registry, partitions, watermarks, watermark, live, lanes, gaps } = started;

    let (give, work) = mpsc::sync_channel(1);
    let tell_written = tell.clone();
    let writing = std::thread::spawn(move || {
        for work in work {
            let written = writer.write(work);
            let is_over = written.is_err();
            if tell_written.send(Happening::Written(written.map(Box::new))).is_err() || is_over {
                return;
            }
        }
    });

    let mut threads = vec![writing];
    let mut handles = Vec::new();
    let count = lanes.len();
    let bytes_max = usize::try_from(settings.commit_bytes).unwrap_or(usize::MAX) / count;
    for (place, live) in lanes.into_iter().enumerate() {
        let partitions: Vec<lane::Partition> =
            partitions.values().filter(|one| one.index % count == place).cloned().collect();
        let begun: Vec<(usize, i64)> = partitions.iter().map(|one| (one.index, one.from)).collect();
        let (asks, asked) = mpsc::channel();
        let progress = Arc::new(Mutex::new(BTreeMap::new()));
        let parts = lane::LaneParts {
            kafka: kafka.lane(&begun)?,
            live,
            registry: Arc::clone(&registry),
            partitions,
            progress: Arc::clone(&progress),
            asks: asked,
            tells: tell.clone(),
            future_max: settings.future_max_ms,
            keeps_letters: settings.rejected_topic.is_some(),
            redact: settings.rejected_redact,
            strict: settings.strict,
            bytes_max,
        };
        threads.push(std::thread::spawn(move || lane::run(parts)));
        handles.push(LaneHandle { asks, progress });
    }
    let (finder, over) = mpsc::channel();
    if !how.until_end {
        finder::start(&kafka, &partitions, tell.clone(), over);
    }
    drop(tell);
    let state = State::new(watermark, written);
    let owner = Owner {
        settings,
        kafka,
        lanes: handles,
        happenings,
        writer: give,
        live,
        watermarks,
        partitions,
        is_until_end: how.until_end,
        gaps,
        _finder: finder,
        stop,
        watch,
        state,
        teller,
    };
    let ended = owner.run();
    // The owner is gone, and with it its ends of the channels: the threads see that and return.
    join(threads)?;
    let written = ended.map_err(|problem| if stop.load(Ordering::Relaxed) { stopped(problem) } else { problem })?;
    Ok(Ran { commit: written.commit, ledger: written.ledger })
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
