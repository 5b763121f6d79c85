//! A directory before its first commit. Killed at every step up to there, a `run` goes on and a `replay` can be done
//! again; what is somebody else's is refused, and stays.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::strace;
use super::{RULES, Topic, join, leave, line, newest_manifest, settled, verified};
use crate::data_directory;
use crate::reference::{self, NaiveEvent};
use crate::support::{NO_FLAGS, Ran, clear_settings, files_under, finish, folder, have, replay};
use crate::tables::Tables;

/// The calls by which names come to be on a disk, and go.
const CALLS: &str = "mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat";

fn crowd() -> Vec<NaiveEvent> {
    (0..20).flat_map(|n| [join(&n.to_string(), n * 10), leave(&n.to_string(), n * 10 + 50_000)]).collect()
}

/// `jauge` with these arguments into `out`, traced with these flags.
fn traced(strace: &Path, flags: &[&str], args: &[&str], out: &Path) -> Ran {
    let mut command = Command::new(strace);
    clear_settings(&mut command);
    command.arg("-f").args(flags).arg(env!("CARGO_BIN_EXE_jauge")).args(args).arg("--out").arg(out);
    finish(command, &[])
}

/// The steps up to the first commit: each a call, and the path below the directory that it is for.
fn steps(strace: &Path, args: &[&str]) -> Vec<(String, PathBuf)> {
    let folder = folder();
    let (log, out) = (folder.path().join("log"), folder.path().join("out"));
    traced(strace, &["-o", log.to_str().unwrap(), "-e", &format!("trace={CALLS}")], args, &out).exits(0);
    let mut steps = vec![("flock".to_owned(), PathBuf::from("lock"))];
    for line in fs::read_to_string(log).unwrap().lines() {
        // PID CALL("PATH", …
        let call = line.split('(').next().and_then(|begin| begin.split_whitespace().last());
        let (Some(call), Some(path)) = (call, line.split('"').nth(1)) else { continue };
        let Ok(path) = Path::new(path).strip_prefix(&out) else { continue };
        let step = (call.to_owned(), path.to_owned());
        if !steps.contains(&step) {
            steps.push(step);
        }
        if path.to_string_lossy().contains(".json#") {
            return steps;
        }
    }
    panic!("no commit was made: {steps:?}");
}

/// Kills these arguments at each step up to their first commit, and looks at what each leaves.
fn each_killed(strace: &Path, args: &[&str], look: impl Fn(&Path, &str)) {
    let mut met = BTreeSet::new();
    for (call, path) in steps(strace, args) {
        let folder = folder();
        let out = folder.path().join("out");
        let at = out.join(&path);
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL"));
        let flags = ["-o", "/dev/null", "-P", at.to_str().unwrap(), "-e", &trace, "-e", &inject];
        let ran = traced(strace, &flags, args, &out);
        // The threads may have begun their files in another order, and no file of that name.
        if ran.code.is_none() {
            met.insert(files_under(&out));
            look(&out, &format!("killed by {call} of {}, leaving {:?}", path.display(), files_under(&out)));
        } else {
            ran.exits(0);
        }
    }
    assert!(met.len() > 6, "only {met:?}");
}

#[test]
fn a_replay_that_is_killed_at_any_step_can_be_done_again() {
    let Some(strace) = have(strace()) else { return };
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    let lines: String = crowd().iter().map(|event| line(event) + "\n").collect();
    // One that is no event, so that there is a file of them, too.
    fs::write(&file, lines + "{}\n").unwrap();
    let args = ["replay", file.to_str().unwrap()];
    let whole = folder.path().join("whole");
    replay([&file], &whole, NO_FLAGS).exits(0);
    // When a record was rejected is another matter each time.
    let read = |out: &Path| Tables { rejected: Tables::empty().rejected, ..data_directory::read(out) };
    each_killed(&strace, &args, |out, context| {
        assert!(tables(out).is_empty(), "{context}");
        if newest_manifest(out).is_some() {
            // The call by which it is made was done.
            return verified(out);
        }
        let ran = replay([&file], out, NO_FLAGS);
        assert_eq!(ran.code, Some(0), "{context}: {}", ran.stderr);
        Tables::assert_equal(&read(&whole), &read(out), context);
        assert_eq!(files_under(&out.join("rejected")).len(), 1, "{context}");
        assert!(files_under(&out.join("parts")).is_empty(), "{context}");
    });
}

#[test]
fn a_run_that_is_killed_at_any_step_before_its_first_commit_goes_on() {
    let Some(strace) = have(strace()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let args = ["run", "--until-end", "--lanes=1", "--brokers", &topic.address, "--topic", &topic.name];
    each_killed(&strace, &args, |out, context| {
        assert!(tables(out).is_empty(), "{context}");
        settled(&topic, out, &crowd(), context);
        assert!(files_under(&out.join("parts")).is_empty(), "{context}");
    });
}

/// What lies in the folders of the tables.
fn tables(out: &Path) -> Vec<PathBuf> {
    let folders =
        ["airings", "minutes", "sessions", "retweets", "live", "rejected", "events", "corrections", "snapshot"];
    folders.iter().flat_map(|folder| files_under(&out.join(folder))).collect()
}

#[test]
fn what_earlier_versions_left_is_removed_and_nothing_else_is() {
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    let (ends, lines) = (".parquet.part", crowd().iter().map(|event| line(event) + "\n").collect::<String>());
    fs::write(&file, lines).unwrap();
    let given = |out: &str, left: &[&str]| {
        let out = folder.path().join(out);
        for path in left {
            fs::create_dir_all(out.join(path).parent().unwrap()).unwrap();
            fs::write(out.join(path), "left").unwrap();
        }
        out
    };
    let part = |table: &str, number: u32| format!("{table}/date=2023-11-14/00000000000000000001-{number:04}{ends}");
    let beside = [part("minutes", 0), part("sessions", 1), "commits/main/00000000000000000001.json#1".to_owned()];
    let out = given("earlier", &beside.each_ref().map(String::as_str));
    replay([&file], &out, NO_FLAGS).exits(0);
    Tables::assert_equal(&reference::settled(&crowd(), RULES), &data_directory::read(&out), "begun anew");
    assert!(beside.iter().all(|path| !out.join(path).exists()));

    // Whatever is not ours is refused by its name, and stays.
    let foreign = ["parts/drawing.dxf", "events/party.parquet", "notes/plan.txt", "commits/main/x.json", "thesis.tex"];
    for (number, path) in (0..).zip(foreign) {
        let out = given(&format!("foreign-{number}"), &[&beside[0], path]);
        let first = path.split('/').next().unwrap();
        replay([&file], &out, NO_FLAGS).exits(3).says(&["is not empty", first]);
        assert!([path, &beside[0]].iter().all(|path| out.join(path).exists()), "{path}");
    }
    // And one with data is not begun anew.
    replay([&file], &out, NO_FLAGS).exits(3).says(&["is not empty"]);
}
