//! The freeze: fills a lane with open sessions, freezes it, and goes on with random events while another thread writes
//! the snapshot to a file. Tells the longest time that the path of the events stood still, beside that of the same
//! rounds without a snapshot: by the wall clock, and on the processor, which other processes do not lengthen.

#![expect(clippy::print_stdout, reason = "it is a program, and this is its result")]
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it is a program: it has the clock, the file and the thread that the room has not"
)]

use aggregator::{LiveAlone, Rules};
use audience::{Details, Event, Kind, Ms, NO_DETAIL};
use exporter::{Head, SnapshotReader, write_snapshot};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const T: Ms = 1_459_711_860_000;
/// Events of a round, about what a lane reads in 10 ms.
const ROUND: u64 = 10_000;
/// Rounds before the freeze, and at least so many after it.
const ROUNDS: u64 = 200;

/// An audience that comes and goes: some `open` viewers are there, and each event is of any of them.
struct Crowd {
    alone: LiveAlone,
    open: u64,
    step: u64,
    at: Ms,
}

impl Crowd {
    /// A viewer that nobody can foretell, and the same for the same step.
    fn viewer(&self, step: u64) -> u128 {
        u128::from(step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (2 * self.open)) + 1
    }

    /// One round: how long it took, and of that on the processor.
    fn round(&mut self, kinds: &[Kind]) -> (Duration, Duration) {
        let (began, ran) = (Instant::now(), on_processor());
        for _ in 0..ROUND {
            self.step += 1;
            let (viewer, kind) = (self.viewer(self.step), kinds[self.step as usize % kinds.len()]);
            self.alone.lanes[0].push(Event::new(kind, 0, viewer, viewer, self.at, NO_DETAIL), &Details::new());
        }
        self.at += 10;
        self.alone.advance(self.at);
        (began.elapsed(), on_processor().saturating_sub(ran))
    }
}

/// How long this thread has run, where the kernel tells.
fn on_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0))
}

/// The longest of each kind.
fn longest(rounds: impl Iterator<Item = (Duration, Duration)>) -> String {
    let (wall, ran) = rounds.fold(<(Duration, Duration)>::default(), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    format!("{:.1} ms, {:.1} ms on the processor", ms(wall), ms(ran))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [sessions, file] = args.as_slice() else { return Err("usage: freeze SESSIONS FILE".into()) };
    let sessions: u64 = sessions.parse()?;
    let rules = Rules::default();
    let mut crowd = Crowd { alone: LiveAlone::new(rules, 1), open: sessions, step: 0, at: T };
    while crowd.alone.lanes[0].open_sessions() < usize::try_from(sessions)? {
        crowd.round(&[Kind::Join]);
    }
    let come_and_go = [Kind::Join, Kind::Heartbeat, Kind::Leave];
    let without = longest((0..ROUNDS).map(|_| crowd.round(&come_and_go)));
    let open = crowd.alone.lanes[0].open_sessions();

    let began = Instant::now();
    let frozen = crowd.alone.lanes[0].freeze().ok_or("a late event is held")?;
    let live = crowd.alone.live.clone();
    let freeze = began.elapsed();
    let entries = frozen.entries();
    let out = BufWriter::with_capacity(1 << 18, File::create(file)?);
    let head = Head {
        commit: 1,
        watermark: Some(crowd.at),
        rules: rules.into(),
        lanes: 1,
        partitions: Vec::new(),
        held_from: 2,
    };
    let write = move || {
        let (mut out, began) = (out, Instant::now());
        write_snapshot(&mut out, &head, &[Arc::from("broadcast")], vec![frozen], &live.snapshot())?;
        out.get_ref().sync_all()?;
        Ok::<_, exporter::SnapshotError>(began.elapsed())
    };
    let writing: JoinHandle<Result<Duration, exporter::SnapshotError>> = std::thread::spawn(write);
    let mut rounds = Vec::new();
    while !writing.is_finished() || rounds.len() < ROUNDS as usize {
        rounds.push((crowd.round(&come_and_go), writing.is_finished()));
    }
    let wrote = writing.join().map_err(|_| "the writing thread has panicked")??;
    let meanwhile = rounds.iter().filter(|(_, after)| !after).count();
    let with = longest(rounds.iter().map(|(took, _)| *took));

    let began = Instant::now();
    let bytes = std::fs::metadata(file)?.len();
    let reader = SnapshotReader::open(BufReader::with_capacity(1 << 18, File::open(file)?), bytes)?;
    let restored = reader.restore(rules, |_| 0)?;
    let read = began.elapsed();
    let same = restored.lanes[0].open_sessions() == open && restored.entries == entries;
    println!("open sessions {open}, entries {entries}, bytes {bytes}, restored alike {same}");
    println!("longest round of {ROUND} events without a snapshot: {without}");
    println!("freeze: {:.3} ms", ms(freeze));
    println!("longest round while it is written and after ({meanwhile} of {} while): {with}", rounds.len());
    println!("written in {:.0} ms, read back in {:.0} ms", ms(wrote), ms(read));
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
