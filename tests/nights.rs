//! Simulated nights for the tests of the commands: as lines of a file, as records of a broker within this process,
//! and counted from either.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ingester::embedded::EmbeddedBroker;
use ingester::producer::{Producer, Target};
use serde_json::Value;
use simulator::{NightOptions, generate};

use crate::support::{NO_FLAGS, Ran, finish, jauge, kill, replay};

/// Far longer than anything here takes.
const SOON: Duration = Duration::from_secs(60);

/// Two broadcasts of a few hundred sessions on a bad network.
pub(crate) fn rough(seed: u64) -> NightOptions {
    NightOptions {
        seed,
        broadcasts: 2,
        scale: 0.001,
        retweets: 30,
        lost_leaves: 0.1,
        disorder_ms: 20_000,
        duplicates: 0.05,
        late: 0.03,
        ..NightOptions::default()
    }
}

/// The same night a day later: other airings of the same broadcasts.
pub(crate) fn next_day(options: &NightOptions) -> NightOptions {
    NightOptions { start: options.start + 86_400_000, seed: options.seed + 1, ..options.clone() }
}

/// The events of a night in the order of their arrival, each with its key.
pub(crate) fn events(options: &NightOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let line = |arrival: simulator::Arrival| {
        let mut json = Vec::new();
        arrival.event.write_json(&mut json);
        (arrival.event.key().to_vec(), json)
    };
    generate(options).unwrap().map(line).collect()
}

/// A file of these events, and of these lines that are none.
pub(crate) fn write_lines(path: &Path, events: &[(Vec<u8>, Vec<u8>)], no_events: &[&str]) {
    let lines =
        events.iter().map(|(_, json)| json.clone()).chain(no_events.iter().map(|line| line.as_bytes().to_vec()));
    fs::write(path, lines.flat_map(|line| [line, b"\n".to_vec()].concat()).collect::<Vec<u8>>()).unwrap();
}

/// A data directory below `folder`, replayed from these events.
pub(crate) fn replayed(folder: &Path, events: &[(Vec<u8>, Vec<u8>)], no_events: &[&str]) -> PathBuf {
    let (file, out) = (folder.join("events.ndjson"), folder.join("replayed"));
    write_lines(&file, events, no_events);
    replay([&file], &out, NO_FLAGS).exits(0);
    out
}

/// A topic `events` of a broker within this process.
pub(crate) struct Topic {
    pub(crate) broker: EmbeddedBroker,
    producer: Producer,
}

impl Topic {
    pub(crate) fn new(partitions: i32) -> Topic {
        let broker = EmbeddedBroker::start(partitions, &["events"]).unwrap();
        let producer = Producer::connect(broker.bootstrap(), &[]).unwrap();
        Topic { broker, producer }
    }

    /// Sends events by their keys, and waits until the broker has them.
    pub(crate) fn send(&self, events: &[(Vec<u8>, Vec<u8>)]) {
        for (key, json) in events {
            self.producer.send("events", Target::Key(key), Some(json), None).unwrap();
        }
        self.producer.flush(SOON).unwrap();
    }

    /// `jauge run` of this topic.
    fn command(&self, out: &Path, flags: &[&str]) -> Command {
        let mut command = jauge();
        command.args(["run", "--brokers", self.broker.bootstrap(), "--topic", "events", "--out"]).arg(out).args(flags);
        command
    }

    /// Counts all that is there, to the end.
    pub(crate) fn until_end(&self, out: &Path, flags: &[&str]) -> Ran {
        let mut command = self.command(out, flags);
        command.arg("--until-end");
        finish(command, &[]).exits(0)
    }

    /// Counts until so many records are committed, over all runs into `out`, and stops by SIGTERM. No partition is
    /// idle, so no time passes.
    pub(crate) fn until_stopped(&self, out: &Path, records: usize, flags: &[&str]) {
        let mut command = self.command(out, flags);
        command.args(["--log-format=json", "--commit-interval=20ms", "--idle-after=1h"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let read = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["ledger"]["read"].as_u64().unwrap_or(0)
        };
        let mut said = String::new();
        loop {
            let Ok(line) = told.recv_timeout(SOON) else {
                kill(&mut child);
                panic!("{records} records were not committed:\n{said}");
            };
            said += &(line.clone() + "\n");
            if read(&line) >= records as u64 {
                break;
            }
        }
        let mut term = Command::new("kill");
        term.arg("-TERM").arg(child.id().to_string());
        finish(term, &[]).exits(0);
        // Its stderr ends when it does.
        while let Ok(line) = told.recv_timeout(SOON) {
            said += &(line + "\n");
        }
        let ended = child.try_wait().unwrap().or_else(|| {
            // Closing stderr is among the last things that it does.
            Some(child.wait().unwrap())
        });
        assert_eq!(ended.and_then(|ended| ended.code()), Some(0), "{said}");
    }
}

/// A copy of a whole data directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
