//! Housekeeping: many small files of the log become few, what is too old goes, and nothing else
//! changes, whenever it is killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::disk::strace;
use super::settles::{night, rough};
use super::{RULES, Running, SOON, Topic, join, leave, ledger, settled_rows, strs, verified, wait_until, with_rules};
use crate::data_directory;
use crate::reference::{self, NaiveEvent, Rules};
use crate::support::{clear_settings, files_under, finish, folder, have, run};
use crate::tables::{Ledger, Tables};

const MINUTE: i64 = 60_000;

/// All manifests of a directory.
fn manifests(out: &Path) -> Vec<Value> {
    let files = files_under(&out.join("commits/main"));
    // One that is being written has another name.
    let whole = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    whole.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

fn tidied(out: &Path) -> usize {
    manifests(out).iter().filter(|manifest| manifest["kind"] == "tidy").count()
}

fn logs(out: &Path) -> usize {
    files_under(&out.join("events")).len()
}

fn said_of_verify(out: &Path) -> String {
    let said = run(["verify".into(), out.into()]).exits(0).stdout;
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn many_small_files_become_few_and_say_the_same_whenever_it_is_killed() {
    let (_broker, topic) = Topic::embedded(3);
    let (folder, events) = (folder(), night(&simulator::NightOptions { scale: 0.001, ..rough() }));
    let out = folder.path().join("run");
    let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 10_000, ..RULES };
    let flags = with_rules(rules, &["--idle-after=1h"]);
    let flags = strs(&flags);
    let mut sent = 0;
    for part in events.chunks(events.len().div_ceil(4)) {
        let mut running = Running::of(&topic, &out, &flags);
        // A commit at least for each of these.
        for few in part.chunks(part.len().div_ceil(12)) {
            topic.send_events(few);
            sent += few.len();
            running.wait_until_read(i64::try_from(sent).unwrap());
        }
        wait_until("word of housekeeping", SOON, || running.said().contains("became 1").then_some(()));
        running.signal("KILL");
        running.ends(Duration::from_secs(30));
        verified(&out);
    }
    topic.until_end(&out, &flags).exits(0);
    assert_eq!(ledger(&out, "read"), i64::try_from(sent).unwrap());
    let commits = manifests(&out).iter().filter(|manifest| manifest["counts"]["accepted"] != 0).count();
    assert!(tidied(&out) >= 4 && logs(&out) < commits / 2, "{} files of {commits} commits", logs(&out));
    Tables::assert_equal(&reference::settled(&events, rules), &data_directory::read(&out), "killed and merged");
    assert!(said_of_verify(&out).contains("every offset is there once"));
    // Settled once more from the merged log, nothing is other than it was.
    let settle = ["settle".into(), out.clone().into(), "--broadcast=nuit-debout".into()];
    assert!(run(settle).exits(0).stdout.contains("nothing is to be changed"));
}

/// How far a merge was when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merge {
    /// The merged file is there; no commit names it.
    Written,
    /// The commit is there, and so are all old files.
    Committed,
    /// Some of the old files are gone.
    Removing,
    Done,
}

/// Looks how far the merge of these files is.
fn how_far(out: &Path, olds: &[PathBuf]) -> Merge {
    let left = olds.iter().filter(|path| out.join(path).exists()).count();
    match (tidied(out) > 0, left) {
        (false, _) => Merge::Written,
        (true, 0) => Merge::Done,
        (true, left) if left == olds.len() => Merge::Committed,
        (true, _) => Merge::Removing,
    }
}

/// Each event is in one of these files, and in it once.
#[track_caller]
fn each_once(files: &[PathBuf], events: usize, context: &str) {
    let places: Vec<(i32, i64)> =
        files.iter().flat_map(|path| data_directory::places(fs::read(path).unwrap())).collect();
    let distinct: BTreeSet<&(i32, i64)> = places.iter().collect();
    assert_eq!((places.len(), distinct.len()), (events, events), "{context}: {files:?}");
}

/// The files of the log that the last commit names.
fn named(out: &Path) -> Vec<PathBuf> {
    let shown = run(["show".into(), out.into(), "--files=events".into()]).exits(0).stdout;
    shown.lines().map(PathBuf::from).collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.arg("-r").args([from, to]);
    finish(command, &[]).exits(0);
}

/// Commits these events two by two, and merges nothing; gives the files of the log.
fn eight_small_files(topic: &Topic, base: &Path, events: &[NaiveEvent]) -> Vec<PathBuf> {
    // Files that span more than an eighth of the time for which they are kept are not merged yet.
    let mut running = Running::of(topic, base, &["--idle-after=1h", "--keep-events=1ms"]);
    for (sent, few) in (2..).step_by(2).zip(events.chunks(2)) {
        topic.send_events(few);
        running.wait_until_read(sent);
    }
    running.signal("KILL");
    running.ends(Duration::from_secs(30));
    let olds = files_under(&base.join("events"));
    let olds: Vec<PathBuf> = olds.iter().map(|path| path.strip_prefix(base).unwrap().to_owned()).collect();
    assert!(olds.len() == 8 && tidied(base) == 0, "{olds:?}");
    olds
}

/// Killed by each call by which a merge becomes true: the merged file synced, the manifest created, the file
/// named, each old one removed.
#[test]
fn a_merge_that_is_killed_at_any_step_shows_no_event_twice() {
    let Some(strace) = have(strace()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let base = folder.path().join("base");
    let events: Vec<_> = (0..8).flat_map(|n| [join(&n.to_string(), n), leave(&n.to_string(), n + MINUTE)]).collect();
    let olds = eight_small_files(&topic, &base, &events);
    // What it does is the same each time, names included: seen once without a kill.
    let whole = folder.path().join("whole");
    copy(&base, &whole);
    let mut running = Running::of(&topic, &whole, &["--idle-after=1h"]);
    running.wait_for("merge", |line| line.contains("8 files became 1"));
    drop(running);
    assert_eq!(how_far(&whole, &olds), Merge::Done);
    let part =
        |path: &PathBuf| Path::new("parts/events").join(path.file_name().unwrap()).with_extension("parquet.part");
    let merged = part(&files_under(&whole.join("events"))[0]);
    let manifest = files_under(&whole.join("commits/main")).pop().unwrap();
    let manifest = manifest.strip_prefix(&whole).unwrap();
    let naming = "rename,renameat,renameat2,link,linkat";
    let mut kills = vec![("fsync", merged.clone()), (naming, manifest.to_owned()), (naming, merged)];
    kills.extend(olds.iter().map(|old| ("unlink,unlinkat", old.clone())));
    let mut met = Vec::new();
    let expected = reference::settled(&events, RULES);
    for (number, (calls, path)) in kills.iter().enumerate() {
        let out = folder.path().join(number.to_string());
        copy(&base, &out);
        let mut command = Command::new(&strace);
        clear_settings(&mut command);
        command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-P"]).arg(out.join(path));
        command.args(["-e", &format!("inject={calls}:signal=KILL")]);
        command.arg(env!("CARGO_BIN_EXE_jauge")).args(["run", "--commit-interval=20ms", "--idle-after=1h"]);
        command.args(["--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(&out);
        let (_, said) = Running::start(command).ends(SOON);
        let context = format!("killed by {calls} of {}", path.display());
        assert!(!said.contains("became 1"), "{context}: {said}");
        // The call may be done or not.
        met.push(how_far(&out, &olds));
        each_once(&named(&out), events.len(), &context);
        verified(&out);

        topic.until_end(&out, &["--idle-after=1h"]).exits(0);
        // From the next start on a plain glob is right, too.
        for files in [named(&out), files_under(&out.join("events"))] {
            each_once(&files, events.len(), &context);
        }
        Tables::assert_equal(&expected, &data_directory::read(&out), &context);
        verified(&out);
    }
    assert_eq!(met[0], Merge::Written);
    assert!([Merge::Committed, Merge::Removing].iter().all(|far| met.contains(far)), "{met:?}");
}

#[test]
fn what_is_too_old_goes_and_what_is_not_settled_stays() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let first = [join("a", 0), leave("a", 3 * MINUTE), join("b", 90_000), leave("b", 4 * MINUTE)];
    topic.send_events(&first);
    topic.send(0, Some(b"no event"));
    topic.flush();
    topic.until_end(&out, &[]).exits(0);
    let later = 10 * 60 * MINUTE;
    let second = [join("a", later), leave("a", later + MINUTE)];
    let keep = ["--keep-events=0s", "--keep-live=0s", "--idle-after=1h"];
    let mut running = Running::of(&topic, &out, &keep);
    wait_until("commit that drops", Duration::from_secs(60), || {
        manifests(&out).iter().any(|manifest| manifest["dropped"]["events"] == 4).then_some(())
    });
    topic.send_events(second.iter().chain(&[join("late", MINUTE)]));
    running.wait_until_read(8);
    running.stop();
    let said = said_of_verify(&out);
    assert!(said.contains("1 settled airings cannot be computed again"), "{said}");
    assert_eq!((ledger(&out, "after_settle"), ledger(&out, "not_yet_settled")), (1, 2));
    let live: i64 = manifests(&out).iter().filter_map(|manifest| manifest["dropped"]["live"].as_i64()).sum();
    assert!(live > 0, "live minutes went, too");
    // It still settles what comes, and says what it no longer can.
    topic.until_end(&out, &["--keep-events=forever", "--keep-live=forever"]).exits(0);
    let settle = ["settle".into(), out.clone().into(), "--broadcast=b".into()];
    let said = run(settle).exits(0).stdout;
    assert!(said.contains("1 events that came late cannot enter any more"), "{said}");
    let both = [&first[..], &second].concat();
    let found = settled_rows(&out);
    let expected =
        Tables { rejected: Tables::empty().rejected, ledger: Ledger::default(), ..reference::settled(&both, RULES) };
    Tables::assert_equal(&expected, &found, "dropped after it settled");
    said_of_verify(&out);
}
