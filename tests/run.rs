//! `jauge run`: the path through Kafka, with the real binary. What it settles equals the reference, the oracle and the
//! replay of the same events, whatever happens on the way. Here is what these tests share: topics, a process that runs,
//! and a look at its directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ingester::embedded::EmbeddedBroker;
use ingester::producer::{Producer, Target};
use serde_json::Value;

use crate::data_directory;
use crate::kafka::RealKafka;
use crate::random_events::{Chance, json};
use crate::reference::{self, Kind, NaiveEvent, Rules};
use crate::replay::flags;
use crate::support::{Ran, files_under, finish, jauge, kill, run};
use crate::tables::{Ledger, Table, Tables, difference};

// What it settles: the same as everybody else says.
mod settles;
// What a start says that it reads, and an end why it stops.
mod starts;
// Stopped and started again.
mod stops;
// Where the data end: empty partitions, transactions, producers that go on.
mod ends;
// The live curve: idle partitions, late events, silence.
mod live;
// Started again from a snapshot.
mod snapshots;
// What an operator asks for: settled again, and forgotten.
mod operator;
// Files merged, and what is too old dropped.
mod tidy;
// A data directory in an object store.
mod objects;
// What it refuses, and what it waits for.
mod refuses;
// Records that are no events.
mod rejects;
// Health, status and metrics.
mod health;
// Offsets that are gone: refused, or accepted and told.
mod gaps;
// Topics that have lost their beginning before anybody read it.
mod lost_beginnings;
// Topics that change: made again, deleted, with more partitions.
mod topics;
// Event time over a stop.
mod time;
// A wall clock that is wrong.
mod clock;
// Killed again and again, in the middle of everything.
mod kills;
// A network that can be made bad: a proxy before the broker.
mod proxy;
// What comes over a bad network, and from a broker that hangs, dies and comes back.
mod network;
// A disk that fails, and too little of everything.
mod disk;
// What is private on disks that others mount.
#[cfg(unix)]
mod private;
// What others leave among our files.
mod strays;
// A commit that is held up before it is made.
mod held;
// A directory before its first commit: killed at every step, and begun anew.
mod beginnings;
// Signals, and two who want one directory.
mod signals;
// Shows under one id, one after the other.
mod off_air;

/// How long anything here may take: far longer than it does.
const SOON: Duration = Duration::from_secs(90);

/// 2023-11-14T22:14:00Z, a minute's first ms: where invented events begin.
const T: i64 = 1_700_000_040_000;

/// One topic, and who writes to it.
struct Topic {
    address: String,
    name: String,
    partitions: i32,
    producer: Producer,
}

impl Topic {
    /// A new topic of a real Kafka.
    fn of(kafka: &RealKafka, name: &str, partitions: i32) -> Topic {
        kafka.make_topic(name, partitions);
        Topic::at(&kafka.address, name, partitions)
    }

    /// A topic that is there.
    fn at(address: &str, name: &str, partitions: i32) -> Topic {
        // The broker of these tests takes messages of 8 MiB.
        let large = [("message.max.bytes".to_owned(), "8000000".to_owned())];
        let producer = Producer::connect(address, &large).unwrap();
        Topic { address: address.to_owned(), name: name.to_owned(), partitions, producer }
    }

    /// A topic `events` of a broker within this process.
    fn embedded(partitions: i32) -> (EmbeddedBroker, Topic) {
        let broker = EmbeddedBroker::start(partitions, &["events"]).unwrap();
        let topic = Topic::at(broker.bootstrap(), "events", partitions);
        (broker, topic)
    }

    fn send(&self, partition: i32, value: Option<&[u8]>) {
        self.producer.send(&self.name, Target::Partition(partition), value, None).unwrap();
    }

    /// Sends events, each to the partition of its viewer, and waits until the broker has them.
    fn send_events<'a>(&self, events: impl IntoIterator<Item = &'a NaiveEvent>) {
        for event in events {
            self.send(place(event, self.partitions), Some(line(event).as_bytes()));
        }
        self.flush();
    }

    fn flush(&self) {
        self.producer.flush(SOON).unwrap();
    }

    /// `jauge run` of this topic.
    fn command(&self, out: &Path, flags: &[&str]) -> Command {
        let mut command = jauge();
        command.args(["run", "--brokers", &self.address, "--topic", &self.name, "--out"]).arg(out).args(flags);
        command
    }

    /// `jauge run --until-end` of this topic, to its end.
    fn until_end(&self, out: &Path, flags: &[&str]) -> Ran {
        let mut command = self.command(out, flags);
        command.arg("--until-end");
        finish(command, &[])
    }
}

/// The partition of an event's viewer; what has no viewer goes anywhere.
fn place(event: &NaiveEvent, partitions: i32) -> i32 {
    let id = if event.viewer.is_empty() { &event.tweet } else { &event.viewer };
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i32::try_from((hash >> 8) % partitions.unsigned_abs()).unwrap()
}

/// An event as it goes into a record.
fn line(event: &NaiveEvent) -> String {
    json(event, &mut Chance::new(event.ts.unsigned_abs()))
}

/// An event of the broadcast `b`, `after` ms after [`T`].
fn event(kind: Kind, viewer: &str, after: i64) -> NaiveEvent {
    NaiveEvent {
        kind,
        broadcast: "b".into(),
        ts: T + after,
        viewer: viewer.into(),
        session: None,
        via: None,
        tweet: String::new(),
        user: String::new(),
        followers: None,
        retweet_of: None,
    }
}

fn join(viewer: &str, after: i64) -> NaiveEvent {
    event(Kind::Join, viewer, after)
}

fn leave(viewer: &str, after: i64) -> NaiveEvent {
    event(Kind::Leave, viewer, after)
}

/// The default rules.
const RULES: Rules = Rules::DEFAULT;

/// Flags of these rules, and more.
fn with_rules(rules: Rules, more: &[&str]) -> Vec<String> {
    flags(rules).into_iter().chain(more.iter().map(|flag| (*flag).to_owned())).collect()
}

fn strs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// What a run to the end of the data settles is what the reference computes of `sent`.
#[track_caller]
fn settled(topic: &Topic, out: &Path, sent: &[NaiveEvent], context: &str) {
    topic.until_end(out, &[]).exits(0);
    Tables::assert_equal(&reference::settled(sent, RULES), &data_directory::read(out), context);
    verified(out);
}

/// `jauge verify` finds nothing wrong.
#[track_caller]
fn verified(out: &Path) {
    run(["verify".into(), out.into()]).exits(0);
}

/// A `jauge run` that goes on until it is told to stop; killed when dropped. It says in JSON what happens, which is how
/// a test knows how far it is.
struct Running {
    child: Child,
    heard: Arc<Heard>,
    /// Lines that a wait has passed.
    passed: usize,
}

#[derive(Default)]
struct Heard {
    /// Lines of stderr, and whether it is at its end.
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Running {
    fn start(mut command: Command) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let heard = Arc::new(Heard::default());
        let hearer = Arc::clone(&heard);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                hearer.lines.lock().unwrap().0.push(line);
                hearer.more.notify_all();
            }
            hearer.lines.lock().unwrap().1 = true;
            hearer.more.notify_all();
        });
        Running { child, heard, passed: 0 }
    }

    /// Starts `jauge run` of a topic that says what it does in JSON and commits often.
    fn of(topic: &Topic, out: &Path, flags: &[&str]) -> Running {
        Running::start(topic.command(out, &[&["--log-format=json", "--commit-interval=20ms"], flags].concat()))
    }

    /// All that it has said so far.
    fn said(&self) -> String {
        self.heard.lines.lock().unwrap_or_else(PoisonError::into_inner).0.join("\n")
    }

    /// Waits for a line, of those that no wait has passed, for which `is_it` holds; returns it.
    #[track_caller]
    fn wait_for(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + SOON;
        let mut lines = self.heard.lines.lock().unwrap();
        loop {
            while self.passed < lines.0.len() {
                self.passed += 1;
                if is_it(&lines.0[self.passed - 1]) {
                    return lines.0[self.passed - 1].clone();
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!lines.1, "it ended before {what}:\n{}", lines.0.join("\n"));
            assert!(!left.is_zero(), "no {what} after {SOON:?}:\n{}", lines.0.join("\n"));
            lines = self.heard.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits for a commit with which so many records have been read.
    #[track_caller]
    fn wait_until_read(&mut self, records: i64) -> Value {
        let read = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["ledger"]["read"].as_i64().is_some_and(|read| read >= records)
        };
        serde_json::from_str(&self.wait_for(&format!("commit of {records} records"), read)).unwrap()
    }

    /// Sends a signal.
    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(self.child.id().to_string());
        finish(kill, &[]).exits(0);
    }

    /// Stops it by SIGTERM, after which it exits 0 within the grace that an orchestrator gives.
    #[track_caller]
    fn stop(self) {
        self.signal("TERM");
        self.exits(0, Duration::from_secs(30));
    }

    /// Lets it live so long, and kills it; returns what it said. `None` where it has come to a good end before.
    #[track_caller]
    fn killed_after(mut self, life: Duration) -> Option<String> {
        let deadline = Instant::now() + life;
        let mut lines = self.heard.lines.lock().unwrap();
        while !lines.1 && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            lines = self.heard.more.wait_timeout(lines, left).unwrap().0;
        }
        let by_itself = lines.1;
        drop(lines);
        kill(&mut self.child);
        if by_itself {
            let ended = self.child.wait().unwrap();
            assert!(ended.code() == Some(0), "it ended before it was killed: {ended}\n{}", self.said());
            return None;
        }
        Some(self.said())
    }

    /// Waits for its end, and for this exit code; returns what it said.
    #[track_caller]
    fn exits(self, code: i32, within: Duration) -> String {
        let (ended, said) = self.ends(within);
        assert_eq!(ended, Some(code), "{said}");
        said
    }

    /// Waits for its end; returns the exit code, if no signal ended it, and what it said.
    #[track_caller]
    fn ends(mut self, within: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + within;
        let mut lines = self.heard.lines.lock().unwrap();
        while !lines.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it did not end within {within:?}:\n{}", lines.0.join("\n"));
            lines = self.heard.more.wait_timeout(lines, left).unwrap().0;
        }
        drop(lines);
        let ended = self.child.wait().unwrap();
        (ended.code(), self.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Asks until there is an answer: for what nobody tells when it becomes true.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "files tell nobody that they have come, so this asks again and again")]
fn wait_until<A>(what: &str, within: Duration, ask: impl Fn() -> Option<A>) -> A {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} within {within:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The newest manifest of a directory that may be written to meanwhile; `None` before the first.
fn newest_manifest(out: &Path) -> Option<Value> {
    let whole = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let newest = files_under(&out.join("commits/main")).into_iter().rfind(whole)?;
    Some(serde_json::from_slice(&fs::read(newest).unwrap()).unwrap())
}

/// A count of the newest manifest's ledger.
fn ledger(out: &Path, count: &str) -> i64 {
    let manifest = newest_manifest(out).expect("there is a manifest");
    manifest["ledger"][count].as_i64().unwrap_or_else(|| panic!("no {count} in {}", manifest["ledger"]))
}

/// The settled rows of a directory whose ledger is another matter.
fn settled_rows(out: &Path) -> Tables {
    let table = |name: &str, empty: Table| data_directory::table(out, name).unwrap_or(empty);
    let empty = Tables::empty();
    Tables {
        airings: table("airings", empty.airings),
        minutes: table("minutes", empty.minutes),
        sessions: table("sessions", empty.sessions),
        retweets: table("retweets", empty.retweets),
        rejected: empty.rejected,
        ledger: Ledger::default(),
    }
}

/// The rows of the live curve, closed minutes of all airings.
fn live_rows(out: &Path) -> Table {
    data_directory::table(out, "live").unwrap_or_else(|| Tables::empty().minutes)
}

/// Panics unless the live curve is the settled one, but for returns, which it does not know. They are where nothing was
/// late and nothing lapsed.
#[track_caller]
fn live_is_settled(out: &Path, context: &str) {
    let settled = settled_rows(out).minutes.map("returns", |_| "0".to_owned());
    let live = live_rows(out);
    if let Some(difference) = difference("minutes", &settled, &live) {
        panic!("{context}: live (found) is not as settled (expected)\n{difference}");
    }
}
