//! Directories of version 1 of the contract: read as what they are, and refused to who would count on in them.
//!
//! `tests/version_1/directories.tar.zst` holds two, made by the last `jauge` of version 1 (c851e83), never to be made
//! again. `run` is of `jauge run --until-end` over [`SHOW`] in one partition, then of [`LATE`] until it was stopped,
//! then of `jauge settle`; `replayed` is of `jauge replay` over [`SHOW`] and a line that is no event.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ingester::embedded::EmbeddedBroker;
use serde_json::Value;

use crate::support::{Ran, files_under, finish, folder, have, jauge, program, replay, run};

/// Version 2 would count it otherwise: ana is there twice, bo beats on after the end, and a retweet comes late.
const SHOW: &str = r#"{"type":"join","broadcast_id":"gala","ts":"2026-03-14T19:00:10Z","viewer_id":"ana","session_id":"phone"}
{"type":"join","broadcast_id":"gala","ts":"2026-03-14T19:00:40Z","viewer_id":"ana","session_id":"screen","via":"1001"}
{"type":"join","broadcast_id":"gala","ts":"2026-03-14T19:01:05Z","viewer_id":"bo"}
{"type":"retweet","broadcast_id":"gala","ts":"2026-03-14T19:01:20Z","tweet_id":"1001","user_id":"cleo","followers":22000}
{"type":"leave","broadcast_id":"gala","ts":"2026-03-14T19:02:30Z","viewer_id":"ana","session_id":"phone"}
{"type":"end","broadcast_id":"gala","ts":"2026-03-14T19:03:00Z"}
{"type":"heartbeat","broadcast_id":"gala","ts":"2026-03-14T19:03:20Z","viewer_id":"bo"}
{"type":"retweet","broadcast_id":"gala","ts":"2026-03-14T19:05:00Z","tweet_id":"1002","user_id":"dan"}
"#;

/// Two events too late for the airing that had settled, and three of one that never did.
const LATE: &str = r#"{"type":"join","broadcast_id":"gala","ts":"2026-03-14T19:01:30Z","viewer_id":"eve"}
{"type":"leave","broadcast_id":"gala","ts":"2026-03-14T19:02:10Z","viewer_id":"eve"}
{"type":"join","broadcast_id":"encore","ts":"2026-03-15T19:00:00Z","viewer_id":"ana"}
{"type":"join","broadcast_id":"encore","ts":"2026-03-15T19:00:30Z","viewer_id":"bo"}
{"type":"join","broadcast_id":"encore","ts":"2026-03-15T19:04:30Z","viewer_id":"eve"}
"#;

/// The two directories, unpacked.
fn unpacked() -> Option<tempfile::TempDir> {
    let tar = have(program("tar"))?;
    let packed = include_bytes!("version_1/directories.tar.zst");
    let folder = folder();
    let mut command = Command::new(tar);
    // Modes are as they were: keys and rejected events are private.
    command.args(["-xpf", "-", "-C"]).arg(folder.path());
    finish(command, &zstd::decode_all(&packed[..]).unwrap()).exits(0);
    Some(folder)
}

fn show(dir: &Path, flags: &[&str]) -> Ran {
    run(["show".into(), dir.into()].into_iter().chain(flags.iter().map(Into::into))).exits(0)
}

fn json(dir: &Path, flags: &[&str]) -> Value {
    serde_json::from_str(&show(dir, &[flags, &["--json"]].concat()).stdout).unwrap()
}

/// All files of a directory with what they hold, but the lock.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files_under(dir).into_iter().filter(|path| path.file_name().is_some_and(|name| name != "lock"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_settled_is_shown_as_it_settled() {
    let Some(folder) = unpacked() else { return };
    let out = folder.path().join("run");
    let shown = show(&out, &[]).says(&["earlier version of the contract", "3 events have not settled"]);
    let gala = shown.stdout.lines().find(|line| line.starts_with("gala")).unwrap();
    let cells: Vec<&str> = gala.split_whitespace().collect();
    assert_eq!(cells[2..], ["4", "–", "1.8", "3", "0.15", "h"], "{}", shown.stdout);
    assert!(!shown.stdout.contains("encore") && !shown.stdout.contains("provisional"), "{}", shown.stdout);
    let drawn = show(&out, &["--broadcast", "gala"]);
    assert!(drawn.stdout.contains("Peak 4 concurrent viewers at 19:01:30 · AMA 1.8 ·"), "{}", drawn.stdout);
    let corrected = show(&out, &["--corrections"]).stdout;
    assert!(corrected.contains("3 → 4       –         +30"), "{corrected}");

    let airings = json(&out, &[]);
    assert_eq!(airings.as_array().unwrap().len(), 1);
    let (one, minute) = (&airings[0], &json(&out, &["--broadcast", "gala"])["minutes"][0]);
    // To the last retweet, as version 1 had it.
    assert_eq!(
        (&one["airtime_ms"], &one["sessions"], &one["distinct_max"]),
        (&290_000.into(), &5.into(), &Value::Null)
    );
    assert_eq!((&minute["viewers_max"], &minute["distinct_max"]), (&2.into(), &Value::Null));
    let replayed = show(&folder.path().join("replayed"), &[]);
    assert!(replayed.stderr.is_empty() && replayed.stdout.contains("gala"), "{replayed:?}");
    run(["rejected".into(), folder.path().join("replayed").into()]).exits(0);
}

#[test]
fn what_can_be_verified_is() {
    let Some(folder) = unpacked() else { return };
    for (dir, says) in
        [("run", "3 events have not settled, and will not"), ("replayed", "of version 1 of the contract")]
    {
        let dir = folder.path().join(dir);
        let verified = run(["verify".into(), dir.clone().into(), "--json".into()]).exits(0).stdout;
        let verified: Value = serde_json::from_str(&verified).unwrap();
        assert_eq!((&verified["ok"], &verified["events_settled_again"]), (&true.into(), &Value::Null));
        let notes = verified["notes"].to_string();
        assert!(notes.contains(says) && notes.contains("not derived again from the log"), "{notes}");

        let minutes = files_under(&dir.join("minutes")).remove(0);
        let mut bytes = fs::read(&minutes).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&minutes, bytes).unwrap();
        run(["verify".into(), dir.into()]).exits(4).says(&["checksum"]);
    }
}

#[test]
fn nothing_is_counted_on_in_one() {
    let Some(folder) = unpacked() else { return };
    let out = folder.path().join("run");
    let before = contents(&out);
    let broker = EmbeddedBroker::start(1, &["events"]).unwrap();
    let mut command = jauge();
    command.args(["run", "--brokers", broker.bootstrap(), "--topic", "events", "--until-end", "--out"]).arg(&out);
    let says = ["of version 1 of the contract", "replay its topic or its files into a new directory"];
    finish(command, &[]).exits(3).says(&says);
    for flags in [&["--broadcast", "gala"][..], &["--broadcast", "gala", "--offline", "--session-timeout=1min"]] {
        run(["settle".into(), out.clone().into()].into_iter().chain(flags.iter().map(Into::into))).exits(3).says(&says);
    }
    let events = folder.path().join("show.ndjson");
    fs::write(&events, SHOW).unwrap();
    replay([events], &out, ["--strict"]).exits(3).says(&["is not empty"]);
    assert!(contents(&out) == before, "a directory that was refused is as it was");
}

#[test]
fn forgetting_is_no_counting() {
    let Some(folder) = unpacked() else { return };
    let out = folder.path().join("run");
    run(["forget".into(), out.clone().into(), "--broadcast".into(), "gala".into()]).exits(0);
    assert!(!fs::read_to_string(out.join("keys")).unwrap().contains("gala"));
    run(["verify".into(), out.clone().into()]).exits(0);
    assert_eq!(json(&out, &[])[0]["viewers_max"], 4);
    // It is of version 1 still.
    show(&out, &[]).says(&["earlier version of the contract"]);
}

/// The same events, as they are counted now.
#[test]
fn its_events_are_replayed_into_a_new_directory() {
    let folder = folder();
    let events = folder.path().join("show.ndjson");
    fs::write(&events, [SHOW, LATE].concat()).unwrap();
    let out = folder.path().join("out");
    replay([events], &out, ["--strict"]).exits(0);
    assert!(json(&out, &[])[0]["distinct_max"].is_number());
}
