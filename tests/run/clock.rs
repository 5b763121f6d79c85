//! Our clock is wrong: of 1970, behind, or ahead. What comes meanwhile waits, nothing is refused or dropped for it, and
//! when it is right again the run goes on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use ingester::producer::Target;
use serde_json::Value;

use super::health::{address, get, metric};
use super::signals::library;
use super::{
    RULES, Running, SOON, T, Topic, join, leave, ledger, line, newest_manifest, settled_rows, verified, wait_until,
};
use crate::data_directory;
use crate::reference::{self, NaiveEvent};
use crate::support::{files_under, folder, have, run};
use crate::tables::{Ledger, Tables};

const DAY: i64 = 86_400_000;

/// Now, in ms after [`T`].
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() - T
}

/// A run whose clock is as many seconds off as a file says.
struct Clocked {
    library: PathBuf,
    file: PathBuf,
    out: PathBuf,
}

impl Clocked {
    fn new(folder: &Path) -> Option<Clocked> {
        let library = have(library(folder))?;
        Some(Clocked { library, file: folder.join("clock"), out: folder.join("run") })
    }

    fn set(&self, off_ms: i64) {
        // Whole at every moment.
        let new = self.file.with_extension("new");
        fs::write(&new, (off_ms / 1_000).to_string()).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }

    fn start(&self, topic: &Topic, flags: &[&str]) -> Running {
        let often = ["--log-format=json", "--commit-interval=20ms", "--listen=127.0.0.1:0"];
        let mut command: Command = topic.command(&self.out, &[&often[..], flags].concat());
        command.env("LD_PRELOAD", &self.library).env("TEST_CLOCK", &self.file);
        Running::start(command)
    }

    fn manifests(&self) -> Vec<Value> {
        let files = files_under(&self.out.join("commits/main"));
        let whole = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        whole.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    fn dropped(&self, table: &str) -> i64 {
        self.manifests().iter().filter_map(|manifest| manifest["dropped"][table].as_i64()).sum()
    }
}

/// Sends a record that bears a time, so many ms after [`T`].
fn send_at(topic: &Topic, event: &NaiveEvent, after: i64) {
    topic.producer.send(&topic.name, Target::Partition(0), Some(line(event).as_bytes()), Some(T + after)).unwrap();
    topic.flush();
}

/// Joins and leaves of just now.
fn just_now(viewers: std::ops::Range<i64>) -> Vec<NaiveEvent> {
    let at = now() - 100_000;
    viewers.flat_map(|n| [join(&n.to_string(), at + n), leave(&n.to_string(), at + 50_000 + n)]).collect()
}

/// Starts with a clock that is behind, on a new directory or on one with data.
fn behind(off: impl Fn() -> i64, has_data: bool) {
    let folder = folder();
    let Some(clocked) = Clocked::new(folder.path()) else { return };
    let (_broker, topic) = Topic::embedded(2);
    let mut sent = Vec::new();
    if has_data {
        sent = just_now(0..5);
        topic.send_events(&sent);
        clocked.set(0);
        let mut running = clocked.start(&topic, &[]);
        running.wait_until_read(10);
        running.signal("KILL");
        running.ends(SOON);
    }
    clocked.set(off());
    let more = just_now(10..20);
    topic.send_events(&more);
    // What is only refused for its form waits, too: when it came is kept with it.
    topic.send(0, Some(b"no event"));
    topic.flush();
    let mut running = clocked.start(&topic, &[]);
    let address = address(&mut running);
    if has_data {
        running.wait_for("word of the commit", |line| line.contains("the newest commit was made"));
    }
    let said = running.wait_for("word of the clock", |line| line.contains("Waiting for our clock"));
    assert!(said.contains("--accept-clock") && said.contains("events/"), "{said}");
    let (code, said) = wait_until("readiness told", SOON, || {
        Some(get(&address, "/readyz")).filter(|(_, said)| said.contains("the clock"))
    });
    assert_eq!((code, said.as_str()), (503, "it waits for the clock\n"));
    assert_eq!(metric(&get(&address, "/metrics").1, "jauge_waiting{for=\"clock\"}"), Some(1.0));
    let read = newest_manifest(&clocked.out).map_or(0, |manifest| manifest["ledger"]["read"].as_i64().unwrap());
    assert_eq!(read, i64::try_from(sent.len()).unwrap(), "nothing is refused meanwhile");

    clocked.set(0);
    running.wait_for("word that it goes on", |line| line.contains("Our clock and the records agree"));
    sent.extend(more);
    running.wait_until_read(i64::try_from(sent.len()).unwrap() + 1);
    running.stop();
    assert_eq!(ledger(&clocked.out, "rejected"), 1);
    let today = files_under(&clocked.out.join("rejected"));
    assert!(today.iter().all(|path| !path.display().to_string().contains("date=19")), "{today:?}");
    assert_eq!(["events", "live", "rejected"].map(|table| clocked.dropped(table)), [0; 3]);
    verified(&clocked.out);
    topic.until_end(&clocked.out, &[]).exits(0);
    let expected = Tables { ledger: Ledger::default(), ..reference::settled(&sent, RULES) };
    Tables::assert_equal(&expected, &settled_rows(&clocked.out), "a clock that was behind");
    verified(&clocked.out);
}

#[test]
fn a_start_in_1970_waits_for_the_clock() {
    behind(|| -(T + now()), false);
}

#[test]
fn a_start_forty_days_behind_waits_for_the_clock() {
    behind(|| -40 * DAY, true);
}

#[test]
fn a_clock_ahead_drops_nothing_and_blocks_nothing() {
    let folder = folder();
    let Some(clocked) = Clocked::new(folder.path()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    clocked.set(0);
    let first = [join("a", 0), leave("a", 180_000)];
    topic.send_events(&first);
    topic.send(0, Some(b"no event"));
    topic.flush();
    topic.until_end(&clocked.out, &[]).exits(0);
    let live = data_directory::table(&clocked.out, "live").unwrap();

    // Ahead for a while, with commits after which it looks for what is old.
    clocked.set(60 * DAY);
    let mut running = clocked.start(&topic, &["--idle-after=1h"]);
    let mut read = 3;
    let mut more = |running: &mut Running, kind: fn(&str, i64) -> NaiveEvent, at: i64| {
        topic.send_events(&[kind("b", 10 * 3_600_000 + at)]);
        read += 1;
        running.wait_until_read(read);
    };
    more(&mut running, join, 0);
    (1..20).for_each(|n| more(&mut running, join, n));
    assert!(newest_manifest(&clocked.out).unwrap()["created_at"].as_i64().unwrap() > T + now() + 59 * DAY);
    for (n, off) in [(20, 0), (21, -40 * DAY), (22, 60 * DAY)] {
        clocked.set(off);
        more(&mut running, join, n);
    }
    running.stop();
    assert_eq!(["events", "live", "rejected"].map(|table| clocked.dropped(table)), [0; 3]);
    clocked.set(0);

    // Right again at the next start, behind commits that were made ahead.
    let mut running = clocked.start(&topic, &["--idle-after=1h"]);
    running.wait_for("word of the commit", |line| line.contains("60 d later") || line.contains("59 d 23 h later"));
    more(&mut running, leave, 70_000);
    assert!(!running.said().contains("Waiting for"), "{}", running.said());
    running.stop();
    assert_eq!(["events", "live", "rejected"].map(|table| clocked.dropped(table)), [0; 3]);
    assert_eq!(data_directory::table(&clocked.out, "live").unwrap().rows[..live.rows.len()], live.rows);
    verified(&clocked.out);

    // Sixty days go by for the data, too.
    clocked.set(60 * DAY + 3_600_000);
    let mut running = clocked.start(&topic, &["--idle-after=1h"]);
    send_at(&topic, &join("c", 20 * 3_600_000), now() + 60 * DAY + 3_600_000);
    wait_until("rows to go", SOON, || {
        (clocked.dropped("events") == 2 && clocked.dropped("rejected") == 1).then_some(())
    });
    running.wait_for("word of it", |line| line.contains("of events") && line.contains("of rejected"));
    running.stop();
    let said = run(["verify".into(), clocked.out.clone().into()]).exits(0).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("dropped for their age: ") && said.contains("2 of events, the last at 20"), "{said}");
    run(["rejected".into(), clocked.out.clone().into()]).exits(0).says(&["1 more were dropped for their age"]);
}

#[test]
fn of_a_record_and_a_clock_the_others_tell_which_is_wrong() {
    let folder = folder();
    let Some(clocked) = Clocked::new(folder.path()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    clocked.set(0);
    let far = |viewer: &str| join(viewer, now() + DAY);
    // Alone, nobody can tell.
    send_at(&topic, &far("x"), now() + DAY);
    let mut running = clocked.start(&topic, &["--idle-after=1h"]);
    running.wait_for("word of the clock", |line| line.contains("Waiting for our clock"));
    // One that came later bears the time of our clock.
    send_at(&topic, &join("a", now()), now());
    running.wait_until_read(2);
    assert_eq!(ledger(&clocked.out, "rejected"), 1);
    // From now on the clock is known, and nothing waits.
    send_at(&topic, &far("y"), now() + DAY);
    running.wait_until_read(3);
    assert_eq!((ledger(&clocked.out, "rejected"), running.said().matches("Waiting for").count()), (2, 1));
    running.stop();

    // The operator knows.
    send_at(&topic, &far("z"), now() + DAY);
    let mut running = clocked.start(&topic, &["--accept-clock", "--idle-after=1h"]);
    running.wait_until_read(4);
    running.stop();
    assert_eq!(ledger(&clocked.out, "rejected"), 3);
    verified(&clocked.out);
}
