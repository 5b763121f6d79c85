//! `jauge simulate`: the same seed gives the same bytes, and the truth beside them is what counting them gives,
//! whatever the network did.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data_directory::{self, table};
use crate::nights::Topic;
use crate::support::{NO_FLAGS, Ran, files_under, folder, replay, run};
use crate::tables::{Table, Tables, difference};

fn simulate(flags: impl IntoIterator<Item = impl Into<OsString>>) -> Ran {
    run(["simulate".into()].into_iter().chain(flags.into_iter().map(Into::into)))
}

/// Flags for two files, and more.
fn into(events: &Path, truth: &Path, flags: &[&str]) -> Vec<OsString> {
    let files: [OsString; 4] = ["--out".into(), events.into(), "--truth".into(), truth.into()];
    files.into_iter().chain(flags.iter().map(Into::into)).collect()
}

const SMALL: [&str; 2] = ["--scale=0.001", "--retweets=20"];

#[test]
fn a_seed_means_the_same_bytes() {
    let folder = folder();
    let flags = |seed: &'static str| [&SMALL[..], &["--disorder=10s", "--duplicates=0.1", seed]].concat();
    let (events, truth) = (folder.path().join("events"), folder.path().join("truth"));
    simulate(into(&events, &truth, &flags("--seed=7"))).exits(0).says(&["events"]);
    let to_stdout = simulate(flags("--seed=7")).exits(0);
    assert_eq!(fs::read_to_string(&events).unwrap(), to_stdout.stdout);
    assert_eq!(to_stdout.stderr, "");
    let told = fs::read(&truth).unwrap();
    simulate(into(&events, &truth, &flags("--seed=7"))).exits(0);
    assert_eq!(fs::read(&truth).unwrap(), told);
    assert_ne!(simulate(flags("--seed=8")).exits(0).stdout, to_stdout.stdout);
}

/// The truth's lines of one type as a table with the columns of `like` that they have.
fn truth_table(truth: &str, kind: &str, like: &Table) -> Table {
    let lines = truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.filter(|line| line["type"] == kind).collect();
    let columns = like.columns.iter().filter(|column| lines[0].get(column.as_str()).is_some());
    let mut table = Table { columns: columns.cloned().collect(), rows: Vec::new() };
    for line in &lines {
        let cell = |column: &String| match &line[column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.push(table.columns.clone().iter().map(cell));
    }
    table
}

/// All that the truth and the tables of `out` both say is the same.
#[track_caller]
fn truth_is_counted(truth: &Path, out: &Path, context: &str) {
    let truth = fs::read_to_string(truth).unwrap();
    let empty = Tables::empty();
    for (kind, name, like, columns) in [
        ("broadcast", "airings", empty.airings, 22),
        ("minute", "minutes", empty.minutes, 21),
        ("retweet", "retweets", empty.retweets, 6),
    ] {
        let expected = truth_table(&truth, kind, &like);
        assert!(expected.columns.len() >= columns, "{name}: {:?}", expected.columns);
        let found = table(out, name).unwrap();
        let found_only = Table { columns: expected.columns.clone(), rows: found.sorted(&expected.columns) };
        if let Some(difference) = difference(name, &expected, &found_only) {
            panic!("{context}: {difference}");
        }
    }
}

#[test]
fn the_truth_is_what_is_counted() {
    let networks: [&[&str]; 6] = [
        &["--broadcasts=3"],
        &["--broadcasts=2", "--disorder=2min", "--duplicates=0.2", "--seed=2"],
        &["--late=0.2", "--late-by=30min", "--seed=3"],
        &["--lost-leaves=0.3", "--no-end", "--seed=4", "--broadcasts=2"],
        &["--lost-leaves=0.3", "--heartbeat=5min", "--seed=5"],
        &["--lost-leaves=1", "--late=1", "--duplicates=1", "--disorder=10min", "--broadcasts=3", "--seed=6"],
    ];
    for network in networks {
        let folder = folder();
        let (events, truth, out) =
            (folder.path().join("events.ndjson"), folder.path().join("truth"), folder.path().join("out"));
        simulate(into(&events, &truth, &[&SMALL[..], network].concat())).exits(0);
        replay([&events], &out, NO_FLAGS).exits(0);
        truth_is_counted(&truth, &out, &network.join(" "));
        assert!(data_directory::read(&out).rejected.rows.is_empty());
    }
}

#[test]
fn the_truth_is_counted_through_kafka() {
    let folder = folder();
    let (truth, out) = (folder.path().join("truth"), folder.path().join("out"));
    let topic = Topic::new(4);
    let mut flags: Vec<OsString> =
        ["--brokers", topic.broker.bootstrap(), "--topic", "events", "--truth"].map(Into::into).into();
    flags.push(truth.clone().into());
    flags.extend(SMALL.iter().chain(&["--disorder=1min", "--duplicates=0.1", "--lost-leaves=0.1"]).map(Into::into));
    simulate(flags).exits(0).says(&["events"]);
    topic.until_end(&out, &[]);
    truth_is_counted(&truth, &out, "through Kafka");
}

#[test]
fn a_rate_is_kept() {
    // 40 ms at the least, at so many a second; what takes longer is a busy machine.
    let count = simulate(SMALL).exits(0).stdout.lines().count();
    let began = std::time::Instant::now();
    let rate = format!("--rate={}", count * 25);
    let said = simulate(SMALL.into_iter().chain([rate.as_str()])).exits(0).stdout;
    assert!(began.elapsed().as_millis() >= 38, "{count} events in {:?}", began.elapsed());
    assert_eq!(said.lines().count(), count);
}

#[test]
fn what_cannot_be_written_is_named() {
    let folder = folder();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    simulate(into(&place("no/such/folder"), &place("truth"), &SMALL)).exits(3).says(&["no/such/folder"]);
    // Before any event goes anywhere.
    let ran = simulate(["--truth".into(), OsString::from(place("no/such/truth"))]).exits(3).says(&["no/such/truth"]);
    assert_eq!(ran.stdout, "");
    simulate(into(&place("one"), &place("one"), &SMALL)).exits(2).says(&["--out", "--truth"]);
    fs::write(place("a-file"), "x").unwrap();
    simulate(into(&place("a-file/below"), &place("truth"), &SMALL)).exits(3).says(&["a-file/below"]);
    assert!(files_under(folder.path()).iter().all(|path| path.ends_with("a-file") || path.ends_with("truth")));
}

#[test]
fn an_option_out_of_range_is_named_by_its_flag() {
    for (flag, says) in [
        ("--broadcasts=0", "--broadcasts"),
        ("--retweets=100001", "--retweets"),
        ("--heartbeat=1ms", "--heartbeat"),
        ("--late-by=2d", "--late-by"),
        ("--disorder=2d", "--disorder"),
        ("--scale=0", "--scale"),
        ("--lost-leaves=2", "--lost-leaves"),
        ("--rate=0", "--rate"),
        ("--brokers=127.0.0.1:1", "--topic"),
    ] {
        let ran = simulate([flag]).exits(2).says(&[says]);
        assert_eq!(ran.stdout, "", "{flag}");
    }
}
