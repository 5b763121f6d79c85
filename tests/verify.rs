//! `jauge verify`: what `replay` and `run` make passes; what was damaged is found by its file, and what was changed
//! with all its checksums made right again is found by computing it anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::nights::{Topic, copy, events, next_day, replayed, rough};
use crate::support::{NO_FLAGS, Ran, files_under, folder, replay, run};

// Bytes flipped, files cut, missing and too many.
mod damage;
// Writes what is not true, with checksums that hold.
pub(crate) mod forge;
// Consistent lies, and what finds them.
mod lies;

/// Lines that are no events.
const NO_EVENTS: [&str; 4] = ["no JSON", "{}", "{}", r#"{"type":"join","broadcast_id":"nuit-debout","viewer_id":"a"}"#];

fn verify(dir: &Path, flags: &[&str]) -> Ran {
    run(["verify".into(), dir.into()].into_iter().chain(flags.iter().map(Into::into)))
}

/// What it said when all held, without the line ends that it needs for its width.
#[track_caller]
fn words(ran: Ran) -> String {
    ran.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Both fixtures: every kind of file that there is.
struct Directories {
    /// Made by `replay`, from one file.
    replayed: PathBuf,
    /// Made by `run`, stopped and started again, twice `--until-end`: late events, two settlements, events that
    /// came after the first one.
    ran: PathBuf,
    _folder: TempDir,
}

fn directories() -> &'static Directories {
    static MADE: OnceLock<Directories> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = folder();
        let first = events(&rough(1));
        let replayed = replayed(folder.path(), &first, &NO_EVENTS);
        let ran = folder.path().join("ran");
        let topic = Topic::new(3);
        let flags = ["--commit-bytes=30KB", "--lateness=5s", "--lanes=2"];
        topic.send(&NO_EVENTS.map(|line| (b"a".to_vec(), line.as_bytes().to_vec())));
        let mut sent = NO_EVENTS.len();
        for part in first.chunks(first.len().div_ceil(3)) {
            topic.send(part);
            sent += part.len();
            topic.until_stopped(&ran, sent, &flags);
            // Again, hours late.
            topic.send(&part[..8]);
            sent += 8;
        }
        topic.until_end(&ran, &flags);
        topic.send(&first[..40]);
        topic.send(&events(&next_day(&rough(1))));
        topic.until_end(&ran, &flags);
        Directories { replayed, ran, _folder: folder }
    })
}

/// A copy of a directory, to do something to.
fn copied(dir: &Path) -> (TempDir, PathBuf) {
    let folder = folder();
    let out = folder.path().join("audience");
    copy(dir, &out);
    (folder, out)
}

#[test]
fn what_was_made_is_as_it_should_be() {
    let Directories { replayed, ran, .. } = directories();
    verify(replayed, &[]).exits(0);
    let said = words(verify(ran, &[]));
    assert!(said.contains("every offset is there once") && said.contains("verified"), "{said}");
    let of = |dir: &Path| -> Value { serde_json::from_str(&verify(dir, &["--json"]).exits(0).stdout).unwrap() };
    let (replayed, ran) = (of(replayed), of(ran));
    assert_eq!((&replayed["ok"], &ran["ok"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!((&replayed["airings"], &ran["airings"]), (&2.into(), &4.into()));
    // Forty came after the end of the data; eight more where a quarter of an hour after a broadcast's end had passed
    // before its run was stopped.
    assert!([40, 48].contains(&ran["ledger"]["after_settle"].as_u64().unwrap()), "{ran}");
    assert_eq!(ran["ledger"]["rejected"], NO_EVENTS.len());
    assert_eq!(ran["events_settled_again"], ran["ledger"]["accepted"]);
    assert!(replayed["events_settled_again"].is_null());
    assert!(ran["commits"].as_u64() > Some(6), "several commits: {ran}");
    assert!(ran["live_minutes"].as_u64() > Some(300), "{ran}");
    assert_eq!(ran["notes"], Value::Array(vec![]));
}

#[test]
fn a_small_memory_spills_and_finds_the_same() {
    let folder = folder();
    let out = folder.path().join("ran");
    let topic = Topic::new(2);
    topic.send(&events(&simulator::NightOptions { scale: 0.03, broadcasts: 1, ..rough(9) }));
    topic.until_end(&out, &[]);
    let said = |flags: &[&str]| verify(&out, flags).exits(0).stdout;
    assert_eq!(said(&["--memory=1MiB"]), said(&["--memory=1GiB", "--lanes=1"]));
}

#[test]
fn what_is_not_kept_is_named() {
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    crate::nights::write_lines(&file, &events(&rough(2)), &NO_EVENTS);
    let all = ["airings", "minutes", "sessions", "retweets", "rejected"];
    for kept in
        ["minutes", "airings", "sessions", "retweets", "airings,minutes", "minutes,sessions", "airings,rejected"]
    {
        let out = folder.path().join(kept);
        replay([&file], &out, [format!("--tables={kept}")]).exits(0);
        let said = words(verify(&out, &[]));
        assert!(said.contains("No events are kept here"), "{said}");
        for table in all {
            let is_named = said.contains(&format!("The table {table} is not kept here"));
            assert_eq!(is_named, !kept.split(',').any(|kept| kept == table), "{kept}: {table}: {said}");
        }
    }
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("empty")).unwrap();
    fs::create_dir_all(place("photos/events")).unwrap();
    fs::write(place("photos/events/party.jpg"), "x").unwrap();
    fs::write(place("a-file"), "x").unwrap();
    for (name, says) in
        [("missing", "no data directory"), ("empty", "no commit"), ("photos", "no commit"), ("a-file", "is a file")]
    {
        for command in ["verify", "show"] {
            let ran = run([command.into(), place(name).into()]).exits(3).says(&[name, says]);
            assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{}", ran.stderr);
        }
    }
    assert_eq!(files_under(folder.path()).len(), 2, "looking changes nothing");
    // Without one event there are a commit and no airing.
    let none = place("none.ndjson");
    fs::write(&none, "").unwrap();
    replay([&none], &place("none"), NO_FLAGS).exits(0);
    verify(&place("none"), &[]).exits(0);
}

#[test]
fn what_has_not_settled_is_said() {
    let folder = folder();
    let out = folder.path().join("stopped");
    let (topic, night) = (Topic::new(2), events(&rough(3)));
    topic.send(&night);
    // Nothing is over before the data end.
    let flags = ["--end-idle=off"];
    topic.until_stopped(&out, night.len(), &flags);
    let said = words(verify(&out, &[]));
    assert!(said.contains("events have not settled yet") && said.contains("They are of \"nuit-debout\", \""), "{said}");
    let said: Value = serde_json::from_str(&verify(&out, &["--json"]).exits(0).stdout).unwrap();
    assert_eq!(said["ledger"]["not_yet_settled"], night.len());
    assert_eq!((&said["airings"], &said["events_settled_again"]), (&0.into(), &night.len().into()));
    // It settles, and a later part has not: both are told apart.
    topic.until_end(&out, &flags);
    let part = &events(&next_day(&rough(3)))[..50];
    topic.send(part);
    topic.until_stopped(&out, night.len() + part.len(), &flags);
    let said: Value = serde_json::from_str(&verify(&out, &["--json"]).exits(0).stdout).unwrap();
    assert_eq!((&said["ledger"]["not_yet_settled"], &said["airings"]), (&50.into(), &2.into()));
}
