//! Housekeeping in an object store: files merged and what is too old dropped, killed in between, beside readers who
//! never see a row twice; and what a crash leaves there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ingester::producer::Target;
use serde_json::Value;

use super::{OFTEN, command, expect, until_end, url};
use crate::data_directory;
use crate::reference::{self, Rules};
use crate::run::settles::{night, rough};
use crate::run::signals::library;
use crate::run::{RULES, Running, SOON, Topic, join, leave, line, settled_rows, strs, wait_until, with_rules};
use crate::s3::{BUCKET, Endpoint, Fault, Stub};
use crate::support::{finish, folder, have};
use crate::tables::{Ledger, Tables};

const MINUTE: i64 = 60_000;

/// All manifests of a directory.
fn manifests(endpoint: &Endpoint, prefix: &str) -> Vec<Value> {
    let keys = endpoint.keys(&format!("{prefix}/commits/main"));
    keys.iter().map(|key| serde_json::from_slice(&endpoint.object(key).unwrap()).unwrap()).collect()
}

/// Rows of `events` as a stranger finds them: the list of files from `show`, each of them fetched. Where one is gone,
/// for it was merged meanwhile, the list is taken anew.
fn places(endpoint: &Endpoint, prefix: &str) -> Vec<(i32, i64)> {
    let url = url(prefix);
    wait_until("a whole list of files", SOON, || {
        let listed = endpoint.jauge(["show", &url, "--files", "events"]).exits(0).stdout;
        let mut rows = Vec::new();
        for file in listed.lines() {
            let key = file.strip_prefix(&format!("s3://{BUCKET}/")).unwrap();
            rows.extend(data_directory::places(endpoint.object(key)?));
        }
        Some(rows)
    })
}

#[test]
fn files_are_merged_and_no_reader_sees_a_row_twice_whenever_it_is_killed() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let endpoint = &stub.endpoint;
    let (_broker, topic) = Topic::embedded(3);
    let (folder, events) = (folder(), night(&simulator::NightOptions { scale: 0.001, ..rough() }));
    let (prefix, keys) = ("merged", folder.path().join("keys"));
    let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 10_000, ..RULES };
    let flags = with_rules(rules, &OFTEN);
    let is_over = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut seen, mut reads) = (0, 0);
            wait_until("first commit", SOON, || endpoint.newest_manifest(prefix));
            while !is_over.load(Ordering::Relaxed) {
                let rows = places(endpoint, prefix);
                let once: BTreeSet<_> = rows.iter().collect();
                assert_eq!(once.len(), rows.len(), "a row is there twice");
                assert!(rows.len() >= seen, "{} rows after {seen}", rows.len());
                (seen, reads) = (rows.len(), reads + 1);
            }
            reads
        });
        let mut sent = 0;
        for part in events.chunks(events.len().div_ceil(4)) {
            let mut running = Running::start(command(endpoint, &topic, prefix, &keys, &strs(&flags)));
            for few in part.chunks(part.len().div_ceil(12)) {
                topic.send_events(few);
                sent += few.len();
                running.wait_until_read(i64::try_from(sent).unwrap());
            }
            wait_until("word of housekeeping", SOON, || running.said().contains("became 1").then_some(()));
            running.signal("KILL");
            running.ends(Duration::from_secs(30));
            endpoint.jauge(["verify", &url(prefix)]).exits(0);
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads >= 4, "{reads}");
    until_end(endpoint, &topic, prefix, &keys, &strs(&flags));
    expect(endpoint, &events, rules, prefix, "killed and merged");
    let tidied = manifests(endpoint, prefix).iter().filter(|manifest| manifest["kind"] == "tidy").count();
    assert!(tidied >= 4, "{tidied}");
    // What was merged is gone from the store, too.
    let listed = endpoint.jauge(["show", &url(prefix), "--files", "events"]).exits(0).stdout;
    assert_eq!(endpoint.keys("merged/events").len(), listed.lines().count());
}

#[test]
fn what_is_too_old_goes_and_a_kill_in_between_changes_nothing() {
    if !super::built() {
        return;
    }
    let folder = folder();
    let Some(library) = have(library(folder.path())) else { return };
    let drops = |method: &str, target: &str, body: &[u8]| {
        method == "PUT" && target.contains("/commits/") && String::from_utf8_lossy(body).contains("\"dropped\":{\"")
    };
    // Killed before what is dropped is said, when it is said and that was not heard, and before the
    // first file is removed.
    too_old(Fault::CutBefore, &library, drops);
    too_old(Fault::SilentAfter, &library, drops);
    too_old(Fault::Silent, &library, |method, target, _| method == "DELETE" || target.contains("?delete"));
}

/// Events, live minutes and rejected events of three days ago go, though the process is killed at a
/// request that goes wrong.
fn too_old(fault: Fault, library: &Path, is_it: fn(&str, &str, &[u8]) -> bool) {
    let context = format!("{fault:?}");
    let stub = Stub::start();
    let endpoint = &stub.endpoint;
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let (prefix, keys, clock) = ("old", folder.path().join("keys"), folder.path().join("clock"));
    let of_clock = |flags: &[&str]| {
        let mut command = command(endpoint, &topic, prefix, &keys, flags);
        command.env("LD_PRELOAD", library).env("TEST_CLOCK", &clock);
        command
    };
    let first = [join("a", 0), leave("a", 3 * MINUTE), join("b", 90_000), leave("b", 4 * MINUTE)];
    let before =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() - 259_200_000;
    for value in first.iter().map(line).chain(["no event".to_owned()]) {
        topic.producer.send(&topic.name, Target::Partition(0), Some(value.as_bytes()), Some(before)).unwrap();
    }
    topic.flush();
    fs::write(&clock, "-259200").unwrap();
    finish(of_clock(&["--until-end"]), &[]).exits(0);
    assert_eq!(endpoint.keys("old/rejected").len(), 1);
    // Three days later by the records, too.
    let second = [join("a", 10 * 60 * MINUTE), leave("a", 10 * 60 * MINUTE + MINUTE)];
    topic.send_events(&second[..1]);

    fs::write(&clock, "0").unwrap();
    let dropped = |table: &str| -> i64 {
        manifests(endpoint, prefix).iter().filter_map(|manifest| manifest["dropped"][table].as_i64()).sum()
    };
    let keep = [&OFTEN[..], &["--keep-events=1d", "--keep-live=1d", "--rejected-keep=1d"]].concat();
    stub.turns_by_body(move |method, target, body| is_it(method, target, body).then_some(fault));
    let running = Running::start(of_clock(&keep));
    wait_until("request that goes wrong", SOON, || (stub.struck() > 0).then_some(()));
    running.signal("KILL");
    running.ends(SOON);
    stub.turns(|_, _| None);
    endpoint.jauge(["verify", &url(prefix)]).exits(0);
    assert_eq!(dropped("events") > 0, fault != Fault::CutBefore, "{context}");

    let mut running = Running::start(of_clock(&keep));
    wait_until("rows to go", SOON, || (dropped("rejected") > 0).then_some(()));
    topic.send_events(&second[1..]);
    running.wait_until_read(7);
    running.stop();
    assert_eq!((dropped("events"), dropped("rejected"), dropped("live") > 0), (4, 1, true), "{context}");
    assert_eq!(endpoint.keys("old/rejected"), [""; 0], "{context}");
    let said = endpoint.jauge(["verify", &url(prefix)]).exits(0).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("1 settled airings cannot be computed again"), "{said}");
    // What had settled stays, and what came since settles.
    until_end(endpoint, &topic, prefix, &keys, &[]);
    let copy = tempfile::tempdir_in(folder.path()).unwrap();
    endpoint.download(prefix, copy.path());
    let expected = reference::settled(&[&first[..], &second].concat(), RULES);
    let expected = Tables { rejected: Tables::empty().rejected, ledger: Ledger::default(), ..expected };
    Tables::assert_equal(&expected, &settled_rows(copy.path()), &context);
}

#[test]
fn what_a_crash_left_goes_at_the_next_start_and_what_others_may_yet_name_stays() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let endpoint = &stub.endpoint;
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let (prefix, keys) = ("left", folder.path().join("keys"));
    let events = [join("a", 0), leave("a", MINUTE)];
    topic.send_events(&events[..1]);
    let start = || Running::start(command(endpoint, &topic, prefix, &keys, &OFTEN));
    let mut running = start();
    running.wait_until_read(1);
    // Its file is uploaded, and its manifest is not.
    stub.turns(|method, target| (method == "PUT" && target.contains("/commits/")).then_some(Fault::Silent));
    topic.send_events(&events[1..]);
    wait_until("request without an answer", SOON, || (stub.struck() > 0).then_some(()));
    running.signal("KILL");
    running.ends(SOON);
    stub.turns(|_, _| None);
    let named = |kind: &str| -> BTreeSet<String> {
        let listed = endpoint.jauge(["show", &url(prefix), "--files", kind]).exits(0).stdout;
        listed.lines().map(|line| line.strip_prefix(&format!("s3://{BUCKET}/")).unwrap().to_owned()).collect()
    };
    let there = || -> BTreeSet<String> { endpoint.keys("left/events").into_iter().collect() };
    let left: Vec<String> = there().difference(&named("events")).cloned().collect();
    let [left] = &left[..] else { panic!("{left:?}") };
    assert!(endpoint.jauge(["verify", &url(prefix)]).exits(0).stdout.contains("No commit names"));

    // What a newer owner has begun: it will have taken over, with a commit of a higher number than
    // any that we make here.
    let number = endpoint.newest_manifest(prefix).unwrap()["number"].as_u64().unwrap();
    let file = |number: u64| format!("left/events/writer=main/{number:020}-{:032x}-0000.parquet", 7);
    let (newer, older) = (file(number + 1_000), file(number));
    for key in [&newer, &older] {
        endpoint.set(key, Some(&endpoint.object(left).unwrap()));
    }
    let mut running = start();
    running.wait_until_read(2);
    running.stop();
    assert_eq!(there(), named("events").into_iter().chain([newer.clone()]).collect());
    assert!(!there().contains(left));
    endpoint.set(&newer, None);
    until_end(endpoint, &topic, prefix, &keys, &[]);
    expect(endpoint, &events, RULES, prefix, "killed with a file uploaded");
}
