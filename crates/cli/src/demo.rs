//! `jauge demo`: the whole path on this machine alone. The simulated night goes through an embedded broker into `run`,
//! whose live curve is shown as it grows; then `run --until-end` settles it, `verify` checks it, and its curve is
//! drawn.

use crate::args::{DemoArgs, OfRun};
use crate::flags::Flags;
use crate::settings::{Settings, as_text};
use crate::terminal;
use crate::{show, verify};
use aggregator::Live;
use audience::Ms;
use audience::text;
use ingester::embedded::EmbeddedBroker;
use ingester::producer::{Producer, Target};
use pipeline::{self, How, Tell, View};
use problem::{Problem, ProblemKind};
use report::text::draw;
use simulator::{NIGHT_ID, NightOptions, generate};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const TOPIC: &str = "audience";
/// The embedded broker keeps 5 MiB a partition, and the night is some 100 MB.
const PARTITIONS: usize = 32;
/// The producer is at most so many records ahead of the reader in a partition: the embedded broker drops the oldest
/// without a word.
const AHEAD: i64 = 10_000;
/// How long the night takes here.
const NIGHT_TAKES: Duration = Duration::from_secs(12);

/// `jauge demo`
pub(crate) fn command(args: &DemoArgs) -> Result<(), Problem> {
    let in_temp = || std::env::temp_dir().join(format!("jauge-demo-{}", std::process::id()));
    let dir = args.out.clone().unwrap_or_else(in_temp);
    if dir.exists() {
        return Err(Problem::world(format!(
            "{} is there already. Give --out a new folder, or remove it.",
            dir.display()
        )));
    }
    let done = play(args, &dir);
    // What is left of a demo that could not be played is of no use. A reader of stdout that went away is no reason to
    // take anything away, and what does not verify is evidence.
    if done.as_ref().is_err_and(|problem| matches!(problem.kind(), ProblemKind::Usage | ProblemKind::World)) {
        let _ = std::fs::remove_dir_all(&dir);
    }
    done
}

fn play(args: &DemoArgs, dir: &Path) -> Result<(), Problem> {
    let broker = EmbeddedBroker::start(i32::try_from(PARTITIONS).unwrap_or(32), &[TOPIC])?;
    let settings = settings(broker.bootstrap(), dir)?;
    let run = settings.options_of_run()?;
    pipeline::raise_open_files(run.lanes)?;
    terminal::say("Nuit Debout, Paris, 3 April 2016: one phone films, and word gets around.");
    terminal::say("Simulated, 5 h 14 in 12 s; times are UTC.\n");

    let positions = Arc::new(Positions::default());
    let stop = Arc::new(AtomicBool::new(false));
    let feed =
        Feed { brokers: broker.bootstrap().to_owned(), positions: Arc::clone(&positions), stop: Arc::clone(&stop) };
    let options = NightOptions { seed: args.seed, scale: args.scale, ..NightOptions::default() };
    let producing = std::thread::spawn(move || feed.produce(&options));
    let mut ticker = Ticker::new();
    // The demo has a voice of its own.
    let tell: Tell = Arc::new(|_| {});
    let watch = |view: &View<'_>| {
        positions.set(view);
        if !view.is_stopping {
            ticker.show(view);
        }
    };
    let ran = pipeline::run(&run, How::default(), &stop, &tell, Box::new(watch));
    stop.store(true, Ordering::Relaxed);
    let produced = producing.join().map_err(|_| Problem::bug("The demo's producer has panicked."))?;
    ran?;
    let produced = produced?;
    ticker.finish();

    terminal::say(&format!(
        "\n{} events through {PARTITIONS} partitions. Settled from the log, exact to the viewer-millisecond:\n",
        text::thousands(produced)
    ));
    let until_end = How { until_end: true, ..How::default() };
    pipeline::run(&run, until_end, &Arc::new(AtomicBool::new(false)), &tell, Box::new(|_| {}))?;
    let verified = verifier::verify(dir, settings.memory_bytes, settings.lanes)?;
    show::curve_of(dir, NIGHT_ID, &settings)?;
    terminal::print(&format!("\n{}", verify::told(&verified, terminal::look())))?;
    let glob = dir.join("minutes").join("*").join("*.parquet");
    terminal::print(&format!(
        "\nThe tables are Parquet files in {}. With DuckDB, for one:\n\n  \
         duckdb -c \"SELECT minute_at, viewers_max, distinct_max, joins\n             FROM '{}'\n             ORDER BY viewers_max DESC LIMIT 5\"\n",
        dir.display(),
        quoted(&glob.to_string_lossy())
    ))
}

/// A path as it stands in single quotes of SQL within double quotes of a shell.
fn quoted(path: &str) -> String {
    let mut quoted = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '\'' => quoted.push('\''),
            '"' | '\\' | '$' | '`' => quoted.push('\\'),
            _ => {}
        }
        quoted.push(c);
    }
    quoted
}

/// The settings of the demo's runs.
fn settings(brokers: &str, dir: &Path) -> Result<Settings, Problem> {
    let out = as_text(dir)?;
    let given = |name, value: &str| (name, crate::form::Raw::Text(value.to_owned()));
    Flags::<OfRun>::of(vec![
        given("brokers", brokers),
        given("topic", TOPIC),
        given("out", &out),
        given("commit_interval", "2s"),
    ])
    .load_alone()
}

/// The producer of the demo.
struct Feed {
    brokers: String,
    positions: Arc<Positions>,
    stop: Arc<AtomicBool>,
}

impl Feed {
    /// Plays the night, waits until all of it has been read, and stops the run. Gives the number of events.
    fn produce(&self, options: &NightOptions) -> Result<i64, Problem> {
        // However this ends, a panic included, the run must not wait for more.
        let _stops = Stops(&self.stop);
        self.feed(options)
    }

    fn feed(&self, options: &NightOptions) -> Result<i64, Problem> {
        let night = generate(options).map_err(Problem::usage)?;
        let properties = [("compression.type".to_owned(), "lz4".to_owned()), ("linger.ms".to_owned(), "20".to_owned())];
        let producer = Producer::connect(&self.brokers, &properties)?;
        let mut sent = vec![0i64; PARTITIONS];
        let (began, mut first) = (Instant::now(), None);
        let mut value = Vec::new();
        for (count, arrival) in night.enumerate() {
            let first = *first.get_or_insert(arrival.at);
            if count % 256 == 0 {
                pace(began, arrival.at - first);
            }
            let partition = partition_of(&arrival.event.key());
            if !self.positions.reach(|read| sent[partition] - read(partition) <= AHEAD, &self.stop) {
                return Ok(sent.iter().sum());
            }
            value.clear();
            arrival.event.write_json(&mut value);
            producer.send(TOPIC, Target::Partition(i32::try_from(partition).unwrap_or(0)), Some(&value), None)?;
            sent[partition] += 1;
        }
        producer.flush(Duration::from_secs(30))?;
        self.positions.reach(|read| (0..PARTITIONS).all(|partition| read(partition) >= sent[partition]), &self.stop);
        Ok(sent.iter().sum())
    }
}

/// Stops the run when it is dropped.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How far each partition has been read.
#[derive(Default)]
struct Positions {
    read: Mutex<BTreeMap<usize, i64>>,
    moved: Condvar,
}

impl Positions {
    fn set(&self, view: &View<'_>) {
        let positions = view.partitions().map(|partition| (partition.index, partition.position));
        *self.lock() = positions.collect();
        self.moved.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, i64>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_reached`, given how far a partition has been read; false where the demo stops before.
    fn reach(&self, is_reached: impl Fn(&dyn Fn(usize) -> i64) -> bool, stop: &AtomicBool) -> bool {
        let mut read = self.lock();
        while !is_reached(&|partition| read.get(&partition).copied().unwrap_or(0)) {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let waited = self.moved.wait_timeout(read, Duration::from_millis(100));
            read = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Event time runs so that the night takes as long as it should.
fn pace(began: Instant, event_ms: Ms) {
    const NIGHT_MS: f64 = 5.25 * 3_600_000.0;
    #[expect(clippy::cast_precision_loss, reason = "a microsecond more or less is no matter")]
    let due = NIGHT_TAKES.mul_f64((event_ms as f64 / NIGHT_MS).clamp(0.0, 2.0));
    std::thread::park_timeout(due.saturating_sub(began.elapsed()));
}

/// FNV-1a: any spread will do, as long as one viewer stays in one partition.
fn partition_of(key: &[u8]) -> usize {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    usize::try_from(hash >> 32).unwrap_or(0) % PARTITIONS
}

/// The live number, as it moves.
struct Ticker {
    is_terminal: bool,
    width: usize,
    /// The number for now, at each look.
    seen: Vec<i64>,
    shown_at: Instant,
    /// Off a terminal: the last half hour of event time that was told.
    told: Ms,
}

impl Ticker {
    fn new() -> Ticker {
        let (is_terminal, width) = (std::io::stderr().is_terminal(), terminal::look().width);
        Ticker { is_terminal, width, seen: Vec::new(), shown_at: Instant::now(), told: 0 }
    }

    fn show(&mut self, view: &View<'_>) {
        if self.shown_at.elapsed() < Duration::from_millis(100) {
            return;
        }
        self.shown_at = Instant::now();
        let Some((at, viewers)) = standing(view.live) else { return };
        self.seen.push(viewers);
        let said = format!("live {}  {:>7} viewers", text::second(at), text::thousands(viewers));
        if self.is_terminal {
            let spark = draw::sparkline(&self.seen, self.width.saturating_sub(said.chars().count() + 3));
            let mut stderr = std::io::stderr().lock();
            // If even stderr is gone, nobody is left to watch.
            let _ = write!(stderr, "\r\x1b[K{said}  {spark}").and_then(|()| stderr.flush());
        } else if at - self.told >= 1_800_000 {
            self.told = at;
            terminal::say(&said);
        }
    }

    fn finish(&self) {
        if self.is_terminal {
            terminal::say("");
        }
    }
}

/// Where the live curve stands, and the number for now.
fn standing(live: &Live) -> Option<(Ms, i64)> {
    let at = live.watermark()?;
    Some((at, live.standing().iter().map(|one| one.viewers + one.waiting).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_sql_and_shell() {
        assert_eq!(quoted("/tmp/a b/*.parquet"), "/tmp/a b/*.parquet");
        assert_eq!(quoted("it's $5 \"`\\"), "it''s \\$5 \\\"\\`\\\\");
    }
}
