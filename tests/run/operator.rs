//! What an operator asks for: a broadcast settled again with the events that came too late, and a broadcast forgotten;
//! of a directory that nobody owns, and of a run that goes on.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::{
    RULES, Running, SOON, Topic, join, leave, ledger, newest_manifest, strs, verified, wait_until, with_rules,
};
use crate::data_directory;
use crate::oracle::{Oracle, oracle};
use crate::random_events::{Chance, Scene};
use crate::reference::{self, NaiveEvent, Rules};
use crate::replay::flags;
use crate::support::{Ran, files_under, folder, have, run, seeds, shared};
use crate::tables::Tables;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn operator(command: &str, out: &Path, id: &str, flags: &[&str]) -> Ran {
    let args = [command.into(), out.into(), OsString::from(format!("--broadcast={id}"))];
    run(args.into_iter().chain(flags.iter().map(Into::into)))
}

fn settle(out: &Path, flags: &[&str]) -> Ran {
    operator("settle", out, "b", flags)
}

/// A column of a table, as a glob finds it.
fn column(out: &Path, table: &str, column: &str) -> Vec<String> {
    data_directory::table(out, table).unwrap().sorted(&[column.to_owned()]).concat()
}

fn corrections(out: &Path) -> Vec<Value> {
    let shown = run(["show".into(), out.into(), "--corrections".into(), "--json".into()]).exits(0);
    serde_json::from_str(&shown.stdout).unwrap()
}

/// The settled tables and the ledger are those of all events, though some came late; and the
/// directory agrees with itself.
#[track_caller]
fn is_as_if_on_time(events: &[NaiveEvent], rules: Rules, out: &Path, context: &str) {
    Tables::assert_equal(&reference::settled(events, rules), &data_directory::read(out), context);
    verified(out);
}

#[test]
fn what_came_late_enters_and_the_ledger_of_corrections_says_what_moved() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let first = [join("a", 0), join("b", 30_000), leave("a", 2 * MINUTE), leave("b", 5 * MINUTE)];
    topic.send_events(&first);
    topic.until_end(&out, &[]).exits(0);
    assert!(settle(&out, &[]).exits(0).stdout.contains("nothing is to be changed"));
    let late = [join("c", MINUTE), leave("c", 3 * MINUTE + 1)];
    topic.send_events(&late);
    topic.until_end(&out, &[]).exits(0);
    assert_eq!(ledger(&out, "after_settle"), 2);
    let said = settle(&out, &[]).exits(0).stdout;
    assert!(said.contains("2 events that had come after settling") && said.contains("3 minutes moved"), "{said}");
    let all = [&first[..], &late].concat();
    is_as_if_on_time(&all, RULES, &out, "two came late");
    assert_eq!(ledger(&out, "after_settle"), 0);

    let moved = corrections(&out);
    let of = |row: &Value, side: &str, column: &str| row[side][column].as_i64().unwrap();
    assert_eq!(moved.len(), 3);
    let peaks: Vec<_> =
        moved.iter().map(|row| (of(row, "before", "viewers_max"), of(row, "after", "viewers_max"))).collect();
    assert_eq!(peaks, [(2, 3), (1, 2), (1, 2)]);
    let watched: i64 = moved.iter().map(|row| of(row, "after", "viewer_ms") - of(row, "before", "viewer_ms")).sum();
    assert_eq!(watched, 2 * MINUTE + 1);
    let commit = newest_manifest(&out).unwrap()["number"].clone();
    assert!(
        moved.iter().all(|row| row["late_events"] == 2 && row["commit"] == commit && row["rules_changed"] == false)
    );
    let shown = run(["show".into(), out.clone().into(), "--corrections".into()]).exits(0).stdout;
    assert!(shown.contains("2 → 3") && shown.contains("3 minutes moved"), "{shown}");

    // Once more there is nothing to do, and no commit.
    assert!(settle(&out, &[]).exits(0).stdout.contains("nothing is to be changed"));
    assert_eq!(newest_manifest(&out).unwrap()["number"], commit);
    // A second correction goes on where the first ended.
    topic.send_events(&[leave("c", 3 * MINUTE)]);
    topic.until_end(&out, &[]).exits(0);
    settle(&out, &[]).exits(0);
    is_as_if_on_time(&[&all[..], &[leave("c", 3 * MINUTE)]].concat(), RULES, &out, "a leave came later still");
    assert!(corrections(&out).len() > 3);
}

#[test]
fn an_event_in_the_silence_makes_two_airings_one() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let second = 10 * HOUR;
    let on_time =
        [join("a", 0), leave("a", 2 * MINUTE), join("a", second), join("b", second + 5), leave("a", second + MINUTE)];
    topic.send_events(&on_time);
    topic.until_end(&out, &[]).exits(0);
    // Another broadcast in the same files, which nobody touches.
    let other = NaiveEvent { broadcast: "other".into(), ..join("a", MINUTE) };
    let late = [join("z", 5 * HOUR), leave("z", 5 * HOUR + 7)];
    topic.send_events(late.iter().chain([&other]));
    topic.until_end(&out, &[]).exits(0);
    settle(&out, &[]).exits(0);
    let all = [&on_time[..], &late, &[other]].concat();
    is_as_if_on_time(&all, RULES, &out, "one airing of two");
    // Rules that part them again; what is not given is as it was.
    settle(&out, &["--broadcast-idle=1h"]).exits(0);
    verified(&out);
    let airings = data_directory::table(&out, "airings").unwrap();
    assert_eq!(airings.rows.len(), 4);
    assert!(corrections(&out).iter().any(|row| row["rules_changed"] == true && row["after"].is_null()));
    settle(&out, &["--timeout-grace=5s"]).exits(2).says(&["session_timeout"]);
}

#[test]
fn random_events_in_any_parts_settle_as_if_they_had_come_at_once() {
    for seed in seeds(10) {
        let (scene, folder, mut chance) = (Scene::new(seed), folder(), Chance::new(seed));
        if scene.events.iter().any(|event| event.broadcast.contains('\0')) {
            // No command line can say it.
            continue;
        }
        let (_broker, topic) = Topic::embedded(3);
        let out = folder.path().join("run");
        let with = with_rules(scene.rules, &["--commit-bytes=2KB", "--commit-interval=10ms"]);
        let mut parts = vec![Vec::new(); 3];
        for event in &scene.events {
            parts[chance.below(3)].push(event.clone());
        }
        for part in &parts {
            topic.send_events(part);
            topic.until_end(&out, &strs(&with)).exits(0);
            verified(&out);
        }
        let ids: BTreeSet<&str> = scene.events.iter().map(|event| event.broadcast.as_str()).collect();
        for id in ids {
            operator("settle", &out, id, &[]).exits(0);
            verified(&out);
        }
        is_as_if_on_time(&scene.events, scene.rules, &out, &format!("seed {seed} in three parts"));
        // By other rules, all again.
        let other = Rules { session_timeout_ms: 90_000, timeout_grace_ms: 5_000, ..scene.rules };
        let other_flags = flags(other);
        for id in scene.events.iter().map(|event| event.broadcast.as_str()).collect::<BTreeSet<_>>() {
            operator("settle", &out, id, &strs(&other_flags)).exits(0);
        }
        is_as_if_on_time(&scene.events, other, &out, &format!("seed {seed} by other rules"));
    }
}

/// Sends lines in three parts, each settled before the next comes, and has an operator settle what came late. Then, and
/// again by other rules, the tables are what the oracle says of all lines.
fn as_the_oracle_says(
    oracle: &Oracle,
    lines: &[String],
    ids: &BTreeSet<String>,
    rules: Rules,
    other: Rules,
    seed: u64,
) {
    let (_broker, topic) = Topic::embedded(3);
    let (folder, mut chance) = (folder(), Chance::new(seed));
    let (file, out) = (folder.path().join("events.ndjson"), folder.path().join("run"));
    fs::write(&file, lines.join("\n")).unwrap();
    let mut parts = vec![Vec::new(); 3];
    lines.iter().for_each(|line| parts[chance.below(3)].push(line));
    for part in &parts {
        for line in part {
            topic.send(i32::try_from(chance.below(3)).unwrap(), Some(line.as_bytes()));
        }
        topic.flush();
        topic.until_end(&out, &strs(&with_rules(rules, &["--commit-interval=50ms"]))).exits(0);
    }
    verified(&out);
    for (by, given) in [(rules, Vec::new()), (other, flags(other))] {
        ids.iter().for_each(|id| drop(operator("settle", &out, id, &strs(&given)).exits(0)));
        let context = format!("seed {seed}, settled again by {by:?}");
        Tables::assert_equal(&oracle.tables(std::slice::from_ref(&file), by), &data_directory::read(&out), &context);
        verified(&out);
    }
}

#[test]
fn what_is_settled_again_is_what_the_oracle_says() {
    let Some(oracle) = have(oracle()) else { return };
    for seed in seeds(4) {
        let scene = Scene::new(seed + 100);
        let ids: BTreeSet<String> = scene.events.iter().map(|event| event.broadcast.clone()).collect();
        if ids.iter().any(|id| id.contains('\0')) {
            // No command line can say it.
            continue;
        }
        let other = Rules {
            session_timeout_ms: 90_000,
            timeout_grace_ms: 5_000,
            broadcast_idle_ms: 3_600_000,
            end_idle_ms: 120_000,
            straggler_ms: 1_000,
            return_within_ms: 5_000,
        };
        as_the_oracle_says(&oracle, &scene.lines(), &ids, scene.rules, other, scene.seed);
    }
    // Weeks of a real chat, of which two thirds come late.
    let mut chat = String::new();
    let data = fs::File::open(shared().unwrap().join("data/irc_qtox.ndjson.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(data).read_to_string(&mut chat).unwrap();
    let lines: Vec<String> = chat.lines().map(str::to_owned).collect();
    let id = |line: &String| serde_json::from_str::<Value>(line).unwrap()["broadcast_id"].as_str().unwrap().to_owned();
    let other = Rules { session_timeout_ms: 3 * HOUR, timeout_grace_ms: HOUR, ..RULES };
    as_the_oracle_says(&oracle, &lines, &lines.iter().map(id).collect(), RULES, other, 1);
}

#[test]
fn what_is_not_over_stays_provisional_and_what_is_unknown_is_refused() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0), leave("a", MINUTE)]);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(2);
    running.stop();
    let said = settle(&out, &[]).exits(0).stdout;
    assert!(
        said.contains("Nothing of broadcast \"b\" is over yet") && said.contains("2 events stay provisional"),
        "{said}"
    );
    operator("settle", &out, "nobody", &[]).exits(2).says(&["no event of broadcast \"nobody\""]);
    operator("forget", &out, "nobody", &[]).exits(2).says(&["Nothing is known", "nobody"]);
    operator("settle", &folder.path().join("nowhere"), "b", &[]).exits(3);
}

#[test]
fn a_run_that_goes_on_is_asked_and_answers() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    let first = [join("a", 0), join("b", 30_000), leave("a", 2 * MINUTE), leave("b", 5 * MINUTE)];
    topic.send_events(&first);
    topic.until_end(&out, &[]).exits(0);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    let late = [join("c", MINUTE), leave("c", 3 * MINUTE + 1)];
    topic.send_events(&late);
    running.wait_until_read(6);
    let said = settle(&out, &["--json"]).exits(0);
    assert!(said.stderr.contains("requests/") && said.stderr.contains("the request stays"), "{}", said.stderr);
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(answer["answer"].as_str().unwrap().contains("3 minutes moved"), "{answer}");
    // The answer is true before the request is gone.
    wait_until("request to go", SOON, || files_under(&out.join("requests")).is_empty().then_some(()));
    is_as_if_on_time(&[&first[..], &late].concat(), RULES, &out, "settled by a run");
    // It is refused as it would be without a run.
    operator("forget", &out, "nobody", &[]).exits(2).says(&["Nothing is known", "nobody"]);
    // An event behind the frontier that the settling set is late, and one at it is not.
    let frontier = 5 * MINUTE + 6 * HOUR;
    topic.send_events(&[join("d", frontier - 1), join("e", frontier)]);
    running.wait_until_read(8);
    assert_eq!((ledger(&out, "after_settle"), ledger(&out, "not_yet_settled")), (1, 1));
    running.stop();
    verified(&out);
}

#[test]
fn a_request_that_nobody_waits_for_is_answered_at_the_next_start() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0), leave("a", MINUTE)]);
    topic.until_end(&out, &[]).exits(0);
    fs::create_dir(out.join("requests")).unwrap();
    let name = format!("{}.json", "7".repeat(32));
    fs::write(out.join("requests").join(&name), r#"{"kind":"forget","broadcast_id":"b","asked_at":1}"#).unwrap();
    fs::write(out.join("requests").join(name.replace('7', "8")), "no request").unwrap();
    topic.until_end(&out, &[]).exits(0);
    assert_eq!(files_under(&out.join("requests")).len(), 0);
    assert!(!fs::read_to_string(out.join("keys")).unwrap().contains("\"b\""));
    let answers: Vec<Value> = files_under(&out.join("commits"))
        .iter()
        .map(|path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()["answers"].clone())
        .filter(|answers| !answers.is_null())
        .collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers[0][0]["request"] == name && answers[0][0]["code"].is_null(), "{answers:?}");
    assert_eq!(answers[1][0]["code"], 2);
    verified(&out);
}

#[test]
fn a_forgotten_broadcast_leaves_its_curve_and_no_way_back() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let first = [join("a", 0), leave("a", MINUTE)];
    topic.send_events(&first);
    let bad = r#"{"type":"join","broadcast_id":"b","viewer_id":"in clear"}"#;
    let others = r#"{"type":"join","broadcast_id":"other","viewer_id":"x"}"#;
    for value in [bad, others, "no JSON"] {
        topic.send(0, Some(value.as_bytes()));
    }
    topic.flush();
    topic.until_end(&out, &[]).exits(0);
    let before = data_directory::read(&out);
    let payloads = || column(&out, "rejected", "payload");
    let hex = |text: &str| data_directory::hex(text.as_bytes());
    assert_eq!(payloads().len(), 3);

    let said = operator("forget", &out, "b", &[]).exits(0).stdout;
    assert!(said.contains("its key is destroyed") && said.contains("bytes of 1 rejected"), "{said}");
    assert!(said.contains("1 rejected events cannot be read") && said.contains("--all-payloads"), "{said}");
    assert!(!fs::read_to_string(out.join("keys")).unwrap().contains("\"b\""));
    assert!(
        payloads().contains(&String::new())
            && payloads().contains(&hex(others))
            && payloads().contains(&hex("no JSON"))
    );
    verified(&out);
    let after = data_directory::read(&out);
    Tables::assert_equal(&Tables { rejected: after.rejected.clone(), ..before }, &after, "all but bytes stays");
    assert!(operator("forget", &out, "b", &[]).exits(0).stdout.contains("was forgotten before"));
    let said = operator("forget", &out, "b", &["--all-payloads"]).exits(0).stdout;
    assert!(said.contains("bytes of 1 rejected"), "{said}");
    assert!(!payloads().contains(&hex("no JSON")) && payloads().contains(&hex(others)));

    // Whoever comes again is somebody new.
    let viewers = || -> BTreeSet<String> { column(&out, "sessions", "viewer").into_iter().collect() };
    assert_eq!(viewers().len(), 1);
    topic.send_events(&[join("a", 7 * HOUR), leave("a", 7 * HOUR + MINUTE)]);
    topic.until_end(&out, &[]).exits(0);
    assert_eq!(viewers().len(), 2);
    assert!(fs::read_to_string(out.join("keys")).unwrap().contains("\"b\""));
    verified(&out);
}

#[test]
fn a_run_that_goes_on_forgets_and_one_key_for_all_cannot_be_forgotten() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0), leave("a", MINUTE)]);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(2);
    operator("forget", &out, "b", &[]).exits(0);
    assert!(!fs::read_to_string(out.join("keys")).unwrap().contains("\"b\""));
    topic.send_events(&[join("a", 2 * MINUTE), leave("a", 3 * MINUTE)]);
    running.wait_until_read(4);
    running.stop();
    topic.until_end(&out, &[]).exits(0);
    assert_eq!(column(&out, "sessions", "viewer").into_iter().collect::<BTreeSet<_>>().len(), 2);
    verified(&out);

    let one = folder.path().join("one");
    topic.until_end(&one, &["--pseudonyms=directory"]).exits(0);
    operator("forget", &one, "b", &[]).exits(2).says(&["one key for all"]);
}
