//! Killed again and again: the real binary against a real Kafka, SIGKILL at random moments before its first commit is
//! made, while events come in, at its start and while it settles. After each round nothing is lost, nothing is there
//! twice, and the settled tables are the oracle's. A seed names the events and the moments. `make test` runs a share of
//! it; `make soak` the long run, which leaves a record.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use ingester::producer::Target;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::{RULES, Running, Topic, newest_manifest, settles, strs, verified, with_rules};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::oracle::oracle;
use crate::random_events::Chance;
use crate::reference::{self, Rules};
use crate::support::{files_under, finish, finish_within, folder, have, jauge, knob, root, say};
use crate::tables::Tables;

/// Events of a round at most: the oracle takes 1 GB for a million of them.
const ROUND: u64 = 1_000_000;
/// Partitions of a round's topic.
const PARTITIONS: i32 = 4;
/// What a million events may take on a busy machine, in the oracle as in `verify`.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How long a life lasts, ms. Short ones are as likely as ten times longer ones.
const LIFE: (f64, f64) = (10.0, 5_000.0);
/// Of so many kills one at least is to come before a directory has its first commit.
const BEGINNINGS: u64 = 3;

/// What one round, or all of them, came to.
#[derive(Clone, Debug, Default)]
struct Toll {
    rounds: u64,
    events: u64,
    kills: u64,
    /// Of these, before the directory had its first commit.
    beginnings: u64,
    /// Kills by what the process was at, as what it left tells.
    at: BTreeMap<&'static str, u64>,
    lost: u64,
    double: u64,
    seconds: f64,
}

impl Toll {
    fn add(&mut self, other: &Toll) {
        self.rounds += other.rounds;
        self.events += other.events;
        self.kills += other.kills;
        self.beginnings += other.beginnings;
        self.lost += other.lost;
        self.double += other.double;
        self.seconds += other.seconds;
        for (at, kills) in &other.at {
            *self.at.entry(at).or_default() += kills;
        }
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: Vec<String> = self.at.iter().map(|(at, kills)| format!("{kills} {at}")).collect();
        let Toll { rounds, events, kills, beginnings, lost, double, seconds, .. } = self;
        let at = at.join(", ");
        write!(
            f,
            "{rounds} rounds, {events} events, {kills} kills ({beginnings} before a directory had a commit; {at}), \
             {lost} lost, {double} double, {seconds:.0} s"
        )
    }
}

#[test]
fn killed_at_random_moments() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (events, kills) = (knob("JAUGE_SOAK_EVENTS", 60_000), knob("JAUGE_SOAK_KILLS", 20));
    let seed = knob("JAUGE_SOAK_SEED", 1);
    let rounds = events.div_ceil(ROUND).max(2);
    let mut all = Toll::default();
    for number in 0..rounds {
        let share = |whole: u64| whole * (number + 1) / rounds - whole * number / rounds;
        let round = Round { seed: seed * 1_000 + number, events: share(events), kills: share(kills) };
        let toll = round.run(kafka);
        all.add(&toll);
        say(&format!("round {} of {rounds}, seed {}: {toll}, equal to the oracle", number + 1, round.seed));
    }
    let begun = all.beginnings >= kills / BEGINNINGS;
    assert_eq!((all.lost, all.double, all.kills >= kills, begun), (0, 0, true, true), "{all}");
    record(&format!("seed {seed}, commit {}: {all}", commit()));
}

/// Where `make soak` wants the record of the run.
fn record(line: &str) {
    let Some(path) = std::env::var_os("JAUGE_SOAK_RECORD") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
    say(line);
}

/// Of the checkout; a `+` says that it was changed since.
fn commit() -> String {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(root());
        finish(command, &[]).stdout.trim().to_owned()
    };
    let changed = if git(&["status", "--porcelain"]).is_empty() { "" } else { "+" };
    git(&["rev-parse", "--short=12", "HEAD"]) + changed
}

/// The moment of a kill.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Life {
    long: Duration,
    /// Counted from when it is ready, and not from its start.
    is_ready: bool,
}

/// Some events through one topic into one directory, and how often it is killed meanwhile.
struct Round {
    seed: u64,
    events: u64,
    kills: u64,
}

impl Round {
    /// By turns: broadcasts that settle while others are on air, and a rough night with time-outs
    /// that settles at its end.
    fn scene(&self) -> (simulator::NightOptions, Rules) {
        #[expect(clippy::cast_precision_loss, reason = "some events more or fewer are cut off")]
        let size = self.events as f64 / 1_000_000.0;
        let seed = self.seed;
        if seed.is_multiple_of(2) {
            let rules = Rules { broadcast_idle_ms: 1_800_000, ..RULES };
            return (simulator::NightOptions { scale: size * 1.1, retweets: 300, ..settles::smooth(seed) }, rules);
        }
        let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 10_000, ..RULES };
        (simulator::NightOptions { scale: size * 0.8, retweets: 300, seed, ..settles::rough() }, rules)
    }

    fn run(&self, kafka: &RealKafka) -> Toll {
        let (began, folder) = (Instant::now(), folder());
        let (options, rules) = self.scene();
        let arrivals = simulator::generate(&options).unwrap().take(usize::try_from(self.events).unwrap());
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        for arrival in arrivals {
            arrival.event.write_json(&mut bytes);
            lines.push((arrival.event.key().to_vec(), std::mem::take(&mut bytes)));
        }
        assert_eq!(lines.len() as u64, self.events, "the night is long enough");
        let file = folder.path().join("events.ndjson");
        let mut out = BufWriter::new(File::create(&file).unwrap());
        lines.iter().for_each(|(_, line)| out.write_all(line).and_then(|()| out.write_all(b"\n")).unwrap());
        out.into_inner().unwrap();

        let topic = Topic::of(kafka, &format!("kills-{}", self.seed), PARTITIONS);
        // No partition is ever idle, so event time does not run on over a pause and nothing is late.
        let flags = with_rules(rules, &["--idle-after=1h", "--settle-interval=0s"]);
        let flags = strs(&flags);
        let mut toll = Toll { rounds: 1, events: self.events, ..Toll::default() };
        let lives = self.lives(self.kills - self.kills.div_ceil(BEGINNINGS));
        let fed = lives.iter().filter(|life| life.is_ready).count();
        // The first finds something to commit; each that comes so far has its part of the rest come in while it lives.
        let (before, rest) = lines.split_at(lines.len() / 50);
        feed(&topic, before, Duration::ZERO);
        let out = self.begin(&topic, folder.path(), &flags, &mut toll);
        let mut parts = rest.chunks(rest.len().div_ceil(fed.max(1)));
        for (number, life) in (0..).zip(&lives) {
            let part = if life.is_ready { parts.next().unwrap_or_default() } else { &[] };
            kill_after(&topic, &out, &self.flags(&flags, number), *life, part, &mut toll);
        }
        parts.for_each(|part| feed(&topic, part, Duration::ZERO));
        self.finish(&topic, &out, &flags, &mut toll);

        (toll.lost, toll.double) = count(&out, &topic, self.events);
        let expected = match oracle() {
            Ok(oracle) => oracle.tables(&[file], rules),
            Err(_) => reference::settled(&settles::parsed(lines.iter().map(|(_, line)| &line[..])), rules),
        };
        Tables::assert_equal(&expected, &data_directory::read(&out), &format!("seed {}: {toll}", self.seed));
        let mut verify = jauge();
        verify.arg("verify").arg(&out);
        finish_within(verify, &[], PATIENCE).exits(0);
        toll.seconds = began.elapsed().as_secs_f64();
        toll
    }

    /// Kills that come before a directory has a commit. The moments are shares of the time that a first commit takes,
    /// which the lives that are too long to be killed before it tell; each of those leaves a directory that is whole,
    /// and the next begins another. Gives the last, which nobody has committed to.
    fn begin(&self, topic: &Topic, folder: &Path, flags: &[&str], toll: &mut Toll) -> PathBuf {
        let mut chance = Chance::new(self.seed ^ 0xbe91);
        let (mut out, mut long) = (folder.join("run-0"), Duration::from_secs(1));
        for number in 1.. {
            if toll.beginnings == self.kills.div_ceil(BEGINNINGS) {
                break;
            }
            let share = f64::from(u32::try_from(chance.below(1_100)).unwrap()) / 1_000.0;
            let life = Life { long: long.mul_f64(share), is_ready: false };
            let before = toll.beginnings;
            kill_after(topic, &out, &self.flags(flags, number << 16), life, &[], toll);
            if toll.beginnings > before {
                long = long.max(life.long);
                continue;
            }
            long = life.long;
            verified(&out);
            out = folder.join(format!("run-{number}"));
        }
        out
    }

    /// The moments of so many kills. One in three is at a start, and some of those come as volleys.
    fn lives(&self, kills: u64) -> Vec<Life> {
        let mut chance = Chance::new(self.seed);
        let mut lives = Vec::new();
        let (least, most) = LIFE;
        while (lives.len() as u64) < kills {
            let is_ready = !lives.is_empty() && !chance.one_in(4);
            let volley = if !is_ready && chance.one_in(3) { 3 } else { 1 };
            for _ in 0..volley {
                let share = f64::from(u32::try_from(chance.below(10_000)).unwrap()) / 10_000.0;
                let long = Duration::from_secs_f64(least * (most / least).powf(share) / 1_000.0);
                lives.push(Life { long, is_ready });
            }
        }
        lives.truncate(usize::try_from(kills).unwrap());
        lives
    }

    /// Of each life: commits so frequent that many are cut, and lanes that are other partitions' than before.
    fn flags<'a>(&self, rules: &[&'a str], number: u64) -> Vec<&'a str> {
        let mut chance = Chance::new(self.seed ^ (number << 32));
        let interval = *chance.pick(&["--commit-interval=20ms", "--commit-interval=100ms", "--commit-interval=500ms"]);
        let lanes = *chance.pick(&["--lanes=1", "--lanes=2", "--lanes=3"]);
        [rules, &["--log-format=json", interval, lanes]].concat()
    }

    /// To the end of the data; the first runs do not live to see it.
    fn finish(&self, topic: &Topic, out: &Path, flags: &[&str], toll: &mut Toll) {
        let flags = [flags, &["--until-end", "--log-format=json"]].concat();
        for (tenths, is_ready) in [(2, false), (1, true), (12, true)] {
            let life = Life { long: Duration::from_millis(tenths * 100), is_ready };
            kill_after(topic, out, &flags, life, &[], toll);
        }
        let mut command = topic.command(out, &flags);
        command.arg("--json");
        let ran = finish_within(command, &[], PATIENCE).exits(0);
        let said: Value = serde_json::from_str(&ran.stdout).unwrap();
        let ledger = |count: &str| said["ledger"][count].as_u64().unwrap();
        let settled = ["rejected", "applied", "repeated", "orphaned", "after_settle"].map(ledger).iter().sum::<u64>();
        assert_eq!((ledger("read"), ledger("not_yet_settled")), (settled, 0), "the ledger closes: {said}");
        assert_eq!((ledger("read"), ledger("after_settle")), (self.events, 0), "all was read, and in time: {said}");
    }
}

/// An event's key and its line.
type Line = (Vec<u8>, Vec<u8>);

/// Sends the events at an even rate, as long as it takes.
#[expect(clippy::disallowed_methods, reason = "a rate is kept by waiting")]
fn feed(topic: &Topic, lines: &[Line], lasts: Duration) {
    let (began, parts) = (Instant::now(), 50_u32);
    for (number, part) in (0..).zip(lines.chunks(lines.len().div_ceil(50).max(1))) {
        thread::sleep((lasts * number / parts).saturating_sub(began.elapsed()));
        for (key, line) in part {
            topic.producer.send(&topic.name, Target::Key(key), Some(line), None).unwrap();
        }
    }
    topic.flush();
}

/// Starts a run, feeds it, and kills it. Where it ends before by itself, it was to the end of the data.
fn kill_after(topic: &Topic, out: &Path, flags: &[&str], life: Life, lines: &[Line], toll: &mut Toll) {
    let before = newest_number(out);
    let mut running = Running::start(topic.command(out, flags));
    if life.is_ready {
        running.wait_for("word", |_| true);
    }
    let said = thread::scope(|scope| {
        scope.spawn(|| feed(topic, lines, life.long));
        running.killed_after(life.long)
    });
    let Some(said) = said else { return };
    toll.kills += 1;
    toll.beginnings += u64::from(newest_manifest(out).is_none());
    let unnamed = files_under(out).iter().any(|path| path.to_string_lossy().ends_with(".parquet.part"));
    let at = match newest_manifest(out) {
        _ if said.is_empty() => "at a start",
        Some(newest) if unnamed && is_unnamed(out, &newest) => "in a commit that was made",
        _ if unnamed => "in a commit that was not",
        _ if newest_number(out) <= before + 1 => "before a first commit",
        _ => "between two commits",
    };
    *toll.at.entry(at).or_default() += 1;
}

fn newest_number(out: &Path) -> u64 {
    newest_manifest(out).map_or(0, |newest| newest["number"].as_u64().unwrap())
}

/// Whether a file that the manifest names has not got its name.
fn is_unnamed(out: &Path, manifest: &Value) -> bool {
    let paths = manifest["added"].as_array().into_iter().flatten().map(|file| file["path"].as_str().unwrap());
    // An empty list is not written.
    paths.into_iter().any(|path| !out.join(path).exists())
}

/// Records of the topic that neither `events` nor `rejected` holds, and those that are there more than once.
fn count(out: &Path, topic: &Topic, events: u64) -> (u64, u64) {
    let mut seen: BTreeMap<i32, Vec<u8>> = BTreeMap::new();
    let files = ["events", "rejected"].iter().flat_map(|table| files_under(&out.join(table)));
    for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")) {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let columns = ProjectionMask::columns(builder.parquet_schema(), ["partition", "offset"]);
        for batch in builder.with_projection(columns).build().unwrap().map(Result::unwrap) {
            let column = |name: &str| batch.column_by_name(name).unwrap().clone();
            let (partitions, offsets) = (column("partition"), column("offset"));
            let offsets = offsets.as_primitive::<Int64Type>().values();
            for (partition, offset) in partitions.as_primitive::<Int32Type>().values().iter().zip(offsets) {
                let seen = seen.entry(*partition).or_default();
                let place = usize::try_from(*offset).unwrap();
                seen.resize(seen.len().max(place + 1), 0);
                seen[place] = seen[place].saturating_add(1);
            }
        }
    }
    assert!(seen.len() <= usize::try_from(topic.partitions).unwrap(), "{:?}", seen.keys());
    let times = || seen.values().flatten();
    let once = times().filter(|times| **times > 0).count() as u64;
    (events - once.min(events), times().filter(|times| **times > 1).count() as u64)
}

#[test]
fn a_seed_names_the_moments() {
    let round = |seed| Round { seed, events: 0, kills: 500 }.lives(500);
    let (lives, again) = (round(7), round(7));
    assert_eq!(lives, again);
    assert_ne!(lives, round(8));
    let share = |from: u64, to: u64| {
        let span = Duration::from_millis(from)..Duration::from_millis(to);
        lives.iter().filter(|life| span.contains(&life.long)).count()
    };
    // From the first milliseconds to many commits later, at starts and after.
    assert!([(10, 30), (30, 200), (200, 1_000), (1_000, 5_000)].iter().all(|(from, to)| share(*from, *to) > 50));
    let ready = lives.iter().filter(|life| life.is_ready).count();
    assert!((200..400).contains(&ready), "{ready} of {} after they were ready", lives.len());
}
