//! Files of the wrong kind: what `replay` and `rejected` say of them, and that the command they give makes events of
//! them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{NO_FLAGS, Ran, clear_settings, finish, folder, have, program, replay, run, shared};

/// Four events, as they should have come.
const EVENTS: [&str; 4] = [
    r#"{"type":"join","broadcast_id":"show","ts":"2026-03-14T19:00:00Z","viewer_id":"ana"}"#,
    r#"{"type":"join","broadcast_id":"show","ts":"2026-03-14T19:01:00Z","viewer_id":"bo"}"#,
    r#"{"type":"leave","broadcast_id":"show","ts":"2026-03-14T19:10:00Z","viewer_id":"ana"}"#,
    r#"{"type":"end","broadcast_id":"show","ts":"2026-03-14T19:11:00Z"}"#,
];

fn lines(of: impl Fn(&str) -> String) -> Vec<u8> {
    EVENTS.iter().map(|event| of(event) + "\n").collect::<String>().into_bytes()
}

/// Each event over several lines.
fn pretty(event: &str) -> String {
    event.replace('{', "{\n  ").replace(",\"", ",\n  \"").replace('}', "\n}")
}

/// What programs write instead: its name, its bytes, what it seems to be, and the program that mends it, if any.
fn wrong_kinds() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let whole = lines(str::to_owned);
    let text = String::from_utf8(whole).unwrap();
    let utf16 = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let docker = |event: &str| {
        let log = serde_json::to_string(&format!("{event}\n")).unwrap();
        format!(r#"{{"log":{log},"stream":"stdout","time":"2026-03-14T19:00:00.1Z"}}"#)
    };
    let debezium = |event: &str| format!(r#"{{"schema":{{}},"payload":{{"before":null,"after":{event},"op":"c"}}}}"#);
    vec![
        ("utf16.ndjson", utf16, "UTF-16", "iconv"),
        ("array.json", format!("[{}]\n", EVENTS.join(", ")).into(), "a JSON array", "jq"),
        ("array-lines.json", format!("[\n{}\n]\n", EVENTS.join(",\n")).into(), "a JSON array", "jq"),
        ("pretty.json", lines(pretty), "JSON over several lines", "jq"),
        ("glued.ndjson", EVENTS.concat().into(), "several objects in one line", "jq"),
        ("events.csv", b"type,broadcast_id,ts,viewer_id\njoin,show,2026-03-14T19:00:00Z,ana\n".into(), "columns", ""),
        ("docker.log", lines(docker), "Docker's log: the event is its .log, as a text", "jq"),
        ("debezium.ndjson", lines(debezium), "Kafka Connect's envelope", "jq"),
        ("cloud.ndjson", lines(|event| format!(r#"{{"specversion":"1.0","data":{event}}}"#)), "a CloudEvents", "jq"),
        (
            "other.ndjson",
            lines(|event| format!(r#"{{"id":7,"my-event":{event}}}"#)),
            "an object around the event",
            "jq",
        ),
        ("twice.ndjson", lines(|event| serde_json::to_string(event).unwrap()), "written as JSON twice", "jq"),
        ("cri.log", lines(|event| format!("2026-03-14T19:00:00Z stdout F {event}")), "lines of a log", "sed"),
        ("bom.ndjson", format!("\u{feff}\u{feff}{}\n", EVENTS[0]).into(), "byte order mark", "sed"),
        ("printed.txt", lines(|event| event.replace('"', "'")), "what a program prints of a dictionary", ""),
        ("zeros.ndjson", vec![0; 4_096], "nothing but zero bytes", ""),
    ]
}

/// A file of these bytes in a folder of its own, replayed there; and where it is.
fn replayed(name: &str, bytes: &[u8], flags: &[&str]) -> (tempfile::TempDir, PathBuf, Ran) {
    let folder = folder();
    let file = folder.path().join(name);
    fs::write(&file, bytes).unwrap();
    let ran = replay([&file], &folder.path().join("out"), flags);
    (folder, file, ran)
}

#[test]
fn a_file_of_the_wrong_kind_says_what_it_seems_to_be_and_what_to_do() {
    for (name, bytes, seems, by) in wrong_kinds() {
        let (folder, file, ran) = replayed(name, &bytes, &[]);
        let ran = ran.exits(0);
        // The last line of an array of lines has no comma: it is an event.
        let nothing = if name == "array-lines.json" { "5 of 6 events were rejected" } else { "Nothing of " };
        let nothing = nothing.replace("Nothing of ", &format!("Nothing of {} was accepted", file.display()));
        for part in [nothing.as_str(), seems, "first in line 1", "jauge rejected "] {
            assert!(ran.stderr.contains(part), "{name} says no {part:?}:\n{}", ran.stderr);
        }
        let is_seen = ran.stdout.contains("jauge show");
        assert_eq!(is_seen, !ran.stdout.contains(" 0 accepted"), "{name}: is there nothing to see?\n{}", ran.stdout);
        let out = folder.path().join("out");
        let listed = run(["rejected".into(), out.clone().into()]).exits(0).stdout;
        assert!(listed.contains(seems) || name == "utf16.ndjson", "{name} says no {seems:?}:\n{listed}");
        // What it says is done as it is said.
        let Some(line) = ran.stderr.lines().find_map(|line| line.split_once("Try: ")) else {
            assert_eq!(by, "", "{name} says no command:\n{}", ran.stderr);
            continue;
        };
        assert!(!by.is_empty() && line.1.starts_with(by), "{name}: {}", line.1);
        if have(program(by)).is_some() {
            let again = typed(folder.path(), &line.1.replace("--out DIR", "--out again --strict")).exits(0);
            let all = if name == "bom.ndjson" { "1 events read: 1 accepted" } else { "4 events read: 4 accepted" };
            assert!(again.stdout.contains(all), "{name}: {}\n{}", line.1, again.stdout);
        }
    }
}

/// Files with a byte order mark each, joined to one: the first of them is where one may be.
#[test]
fn files_that_were_joined_are_told_from_their_marks() {
    let text = format!("\u{feff}{}\n\u{feff}{}\n", EVENTS[0], EVENTS[1]);
    let (folder, _, ran) = replayed("joined.ndjson", text.as_bytes(), &[]);
    let ran = ran.exits(0);
    let says =
        ["1 of 2 events were rejected", "first in line 2", "a byte order mark, with which only a file may begin"];
    says.iter().for_each(|part| assert!(ran.stderr.contains(part), "no {part:?}:\n{}", ran.stderr));
    let line = ran.stderr.lines().find_map(|line| line.split_once("Try: ")).expect("a command").1;
    let again = typed(folder.path(), &line.replace("--out DIR", "--out again --strict")).exits(0);
    assert!(again.stdout.contains("2 events read: 2 accepted"), "{line}\n{}", again.stdout);
}

/// Runs a line in a folder, with `jauge` on the path.
fn typed(folder: &Path, line: &str) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_jauge")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([binary].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder).env("PATH", path);
    clear_settings(&mut shell);
    finish(shell, &[])
}

#[test]
fn the_three_most_frequent_reasons_come_with_their_first_line() {
    let join = |ts: &str| EVENTS[0].replace("\"2026-03-14T19:00:00Z\"", ts);
    let of_type = |word: &str| EVENTS[0].replace("join", word);
    let bad = [
        join("1694522730"),
        join("1694522730000"),
        of_type("JOIN"),
        String::new(),
        of_type("part"),
        join("1694522731"),
        join("\"2026-03-14 19:00:00\""),
        "{\"type\":\"join\",}".to_owned(),
        of_type("joined"),
        of_type("leaving"),
        EVENTS[0].replace("broadcast_id", "broadcastId"),
        join("\"2026-03-14 19:00:00\""),
        "{\"type\":\"join\",}".to_owned(),
        "{\"type\":\"join\",}".to_owned(),
    ]
    .join("\n");
    let (_folder, file, ran) = replayed("some.ndjson", bad.as_bytes(), &[]);
    let ran = ran.exits(0);
    let said: Vec<&str> = ran.stderr.lines().map(str::trim).collect();
    let head = format!("Of {}, 12 of 13 events were rejected.", file.display());
    let type_hint = "`JOIN` is none of join, heartbeat, leave, retweet, end; `join` may be meant.";
    let expected = [
        head.as_str(),
        "4  unknown_type (type), first in line 3: ",
        type_hint,
        "3  not_json, first in line 8: {\"type\":\"join\",}",
        "It is no JSON from its byte 16 on, `}`.",
        "2  bad_timestamp (ts), first in line 7: ",
        "`2026-03-14 19:00:00` has no zone: an offset or `Z` is to end it; right is 2026-03-14T19:00:00.250Z, or an \
         integer of milliseconds.",
        "and 2 reasons more",
        "All that were rejected: jauge rejected ",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said:?} instead of {expected:?}");
    }
    assert!(ran.stdout.contains("See them: jauge show "), "{}", ran.stdout);
}

#[test]
fn programs_get_the_hints_with_line_and_place() {
    let text = format!("{}\n\n{}\n", EVENTS[0], EVENTS[1].replace("\"2026-03-14T19:01:00Z\"", "1694522730"));
    let (_folder, file, ran) = replayed("one.ndjson", text.as_bytes(), &["--json"]);
    let ran = ran.exits(0);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((said["ledger"]["read"].as_u64(), said["airings"].as_u64()), (Some(2), Some(1)), "{said}");
    let hints = &said["hints"];
    assert_eq!((&hints[0]["source"], hints.as_array().unwrap().len()), (&file.to_str().unwrap().into(), 1), "{said}");
    let reason = &hints[0]["reasons"][0];
    assert_eq!((&reason["reason"], &reason["field"]), (&"timestamp_out_of_range".into(), &"ts".into()), "{said}");
    assert_eq!((&reason["line"], &reason["offset"]), (&3.into(), &(EVENTS[0].len() + 2).into()), "{said}");
    let hint = reason["hint"].as_str().unwrap();
    assert!(hint.contains("1970-01-20 in milliseconds") && hint.contains("2023-09-12 in seconds"), "{hint}");
    assert_eq!(ran.stderr, "", "the rest is for people");
}

/// Blocks are read by several threads, a line that is too long is a block of its own, and a compressed file has others.
#[test]
fn a_line_is_counted_over_all_blocks() {
    let mut text = String::new();
    (0..90_000).for_each(|_| text += &format!("{}\n", EVENTS[0]));
    text += &format!("{}\n\n{}\n{{}}\n{}\n{{}}\n", "x".repeat(3 << 20), " ".repeat(2 << 20), EVENTS[0]);
    for (name, bytes) in
        [("long.ndjson", text.clone().into()), ("long.zst", zstd::encode_all(text.as_bytes(), 1).unwrap())]
    {
        let (_folder, _, ran) = replayed(name, &bytes, &["--lanes=2"]);
        let ran = ran.exits(0);
        let hints = ["too_large, first in line 90,001: xxx", "missing_field (type), first in line 90,004: {}"];
        for part in hints {
            assert!(ran.stderr.contains(part), "{name} says no {part:?}:\n{}", ran.stderr);
        }
    }
}

#[test]
fn what_is_not_to_be_shown_is_not_shown() {
    let secret = EVENTS[0].replace("\"2026-03-14T19:00:00Z\"", "\"secret\"");
    let (folder, _, ran) = replayed("a.ndjson", secret.as_bytes(), &["--rejected-payload=redact"]);
    let ran = ran.exits(0);
    assert!(ran.stderr.contains("1  bad_timestamp (ts), first in line 1\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    // Nor is a table named that is not there.
    let out = folder.path().join("without");
    let ran = replay([folder.path().join("a.ndjson")], &out, ["--tables=minutes"]).exits(0);
    assert!(ran.stderr.contains("secret") && !ran.stderr.contains("jauge rejected"), "{}", ran.stderr);
}

#[test]
fn a_strict_replay_says_what_is_wrong_too() {
    let (_folder, _, ran) = replayed("array.json", format!("[{}]", EVENTS[0]).as_bytes(), &["--strict"]);
    ran.exits(4).says(&["array.json", "not_an_object", "It seems to be a JSON array"]);
    let seconds = EVENTS[0].replace("\"2026-03-14T19:00:00Z\"", "1694522730");
    let (_folder, _, ran) = replayed("seconds.ndjson", seconds.as_bytes(), &["--strict"]);
    ran.exits(4).says(&["timestamp_out_of_range (ts)", "2023-09-12 in seconds"]);
}

#[test]
fn the_cases_of_real_life_are_explained() {
    let Some(shared) = have(shared()) else { return };
    let cases: [(&str, &[&str]); 13] = [
        ("03-epoch-units.ndjson", &["2023-09-12 in seconds", "1694522730500", "`Wed Aug 27"]),
        ("16c-utf16-powershell.ndjson", &["Nothing of", "UTF-16"]),
        ("17a-json-array-file.json", &["Nothing of", "jq -c '.[]'"]),
        ("17b-pretty-printed.json", &["Nothing of", "JSON over several lines", "jq -c ."]),
        ("17d-csv.csv", &["Nothing of", "columns (CSV)"]),
        ("17e-concatenated-one-line.ndjson", &["Nothing of", "several objects in one line"]),
        ("array-lines.json", &["a JSON array"]),
        ("docker.log", &["Nothing of", "Docker's log", "jq -c '.log | fromjson'"]),
        ("20-pandas-floats.ndjson", &["send an integer, or null", "NaN is no value of JSON"]),
        ("pandas.ndjson", &["send ids as strings"]),
        ("duckdb.ndjson", &["needs hours and minutes in its offset"]),
        ("js.ndjson", &["is no integer: 1773514860000 is"]),
        ("42-raw-tweet.ndjson", &["Nothing of", "tweets as Twitter's API gives them"]),
    ];
    for (name, says) in cases {
        let folder = folder();
        let ran = replay([shared.join("cases").join(name)], &folder.path().join("out"), NO_FLAGS).exits(0);
        for part in says {
            assert!(ran.stderr.contains(part), "{name} says no {part:?}:\n{}", ran.stderr);
        }
    }
    let folder = folder();
    let out = folder.path().join("out");
    let ran = replay([shared.join("cases/41-raw-platform-events.ndjson")], &out, NO_FLAGS).exits(0);
    assert!(ran.stderr.contains("with one of join, heartbeat, leave, retweet, end"), "{}", ran.stderr);
    for (name, says) in [("ok.ndjson.xz", "is compressed by xz"), ("ok.tar.gz", "is a tar archive")] {
        replay([shared.join("cases").join(name)], &folder.path().join(name), NO_FLAGS).exits(4).says(&[name, says]);
    }
    let long = shared.join("cases/long31.ndjson.zst");
    replay([long], &folder.path().join("long"), NO_FLAGS).exits(4).says(&["window of 2 GiB", "zstd -dc --long=31"]);
    replay([shared.join("cases/zeropad.ndjson.gz")], &folder.path().join("zeros"), ["--strict"]).exits(0);
}
