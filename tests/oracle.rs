//! The oracle: the contract computed by another program, in another language, which is no part of this
//! repository. Where a folder with it is at hand, the reference of these tests is held against it, and so is
//! the product on real data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::random_events::Scene;
use crate::reference::{self, Rules};
use crate::support::{Need, finish_within, folder, have, program, seeds, shared};
use crate::tables::{Ledger, Table, Tables, csv};

/// It takes a minute for a million events, and more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The oracle and the Python that runs it.
#[derive(Debug)]
pub(crate) struct Oracle {
    python: PathBuf,
    script: PathBuf,
}

/// The oracle, if it and Python are at hand.
pub(crate) fn oracle() -> Need<Oracle> {
    Ok(Oracle { script: shared()?.join("oracle/v2/oracle.py"), python: program("python3")? })
}

impl Oracle {
    /// What the oracle says of these files under these rules.
    pub(crate) fn tables(&self, events: &[PathBuf], rules: Rules) -> Tables {
        let out = folder();
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args(events).arg("--out").arg(out.path());
        command.arg(format!("--session-timeout-ms={}", rules.session_timeout_ms));
        command.arg(format!("--timeout-grace-ms={}", rules.timeout_grace_ms));
        command.arg(format!("--broadcast-idle-ms={}", rules.broadcast_idle_ms));
        command.arg(format!("--end-idle-ms={}", rules.end_idle_ms));
        command.arg(format!("--straggler-ms={}", rules.straggler_ms));
        command.arg(format!("--return-within-ms={}", rules.return_within_ms));
        finish_within(command, &[], PATIENCE).exits(0);
        read(out.path())
    }
}

fn read(out: &Path) -> Tables {
    let table = |name: &str| csv(&fs::read_to_string(out.join(name)).unwrap());
    let with_means =
        |table: Table| table.map("viewers_mean", as_rust_writes_it).map("distinct_mean", as_rust_writes_it);
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    let count = |name: &str| summary["ledger"][name].as_i64().unwrap();
    Tables {
        airings: with_means(table("airings.csv")),
        minutes: table("minutes.csv"),
        sessions: table("sessions.csv").rename("viewer_id", "viewer").rename("session_id", "session"),
        retweets: table("retweets.csv"),
        rejected: table("rejected.csv"),
        ledger: Ledger {
            read: count("read"),
            applied: count("applied"),
            repeated: count("repeated"),
            orphaned: count("orphaned"),
            rejected: count("rejected"),
        },
    }
}

/// The shortest text of one double is written a little differently by each language.
fn as_rust_writes_it(double: &str) -> String {
    if double.is_empty() { String::new() } else { format!("{:?}", double.parse::<f64>().unwrap()) }
}

#[test]
fn the_reference_equals_the_oracle() {
    let Some(oracle) = have(oracle()) else { return };
    for seed in seeds(40) {
        let scene = Scene::new(seed);
        let folder = folder();
        let file = folder.path().join("events.ndjson");
        fs::write(&file, scene.lines().join("\n")).unwrap();
        let (expected, found) = (oracle.tables(&[file], scene.rules), reference::settled(&scene.events, scene.rules));
        Tables::assert_equal(&expected, &found, &format!("seed {seed}, {:?}", scene.rules));
    }
}
