//! A disk that fails, and too little of everything: room, inodes, open files, rights. Each time the run waits or says
//! what is wrong, and what is there is whole.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{RULES, Running, SOON, Topic, join, leave, ledger, line, newest_manifest, settled, verified};
use crate::data_directory;
use crate::preload::preload;
use crate::reference::{self, NaiveEvent};
use crate::support::{Need, Ran, clear_settings, files_under, finish, folder, have, jauge, program};
use crate::tables::Tables;

fn crowd() -> Vec<NaiveEvent> {
    (0..200).flat_map(|n| [join(&n.to_string(), n * 10), leave(&n.to_string(), n * 10 + 50_000)]).collect()
}

/// strace, where it may trace.
pub(super) fn strace() -> Need<PathBuf> {
    let strace = program("strace")?;
    let mut probe = Command::new(&strace);
    probe.args(["-f", "--seccomp-bpf", "-e", "trace=fsync", "true"]);
    let ran = finish(probe, &[]);
    if ran.code == Some(0) { Ok(strace) } else { Err(format!("the right to trace: {}", ran.stderr.trim())) }
}

/// `jauge run --until-end`, with the n-th of these calls of its answered by an error.
fn failing(strace: &Path, topic: &Topic, out: &Path, calls: &str, error: &str, nth: u32) -> Ran {
    let mut command = Command::new(strace);
    clear_settings(&mut command);
    let log = out.with_extension("strace");
    command.args(["-f", "--seccomp-bpf", "-o"]).arg(log).args(["-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}:when={nth}")]);
    command.arg(env!("CARGO_BIN_EXE_jauge")).args(["run", "--until-end", "--commit-interval=1s"]);
    command.args(["--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(out);
    finish(command, &[])
}

/// Fails each of these calls in turn, until a run has fewer. Whatever a run says of it, what it
/// leaves can be gone on with.
fn each_fails(calls: &str, at_least: u32) {
    let Some(strace) = have(strace()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let mut refused = 0;
    for nth in 1.. {
        let folder = folder();
        let out = folder.path().join("run");
        let ran = failing(&strace, &topic, &out, calls, "EIO", nth);
        let injected = fs::read_to_string(out.with_extension("strace")).unwrap().contains("(INJECTED)");
        let context = format!("{calls} number {nth} failed");
        if ran.code == Some(0) {
            verified(&out);
        } else {
            refused += 1;
            let ran = ran.exits(3).says(&["Input/output error"]);
            let sentences = ran.stderr.lines().filter(|line| line.starts_with("jauge: ")).count();
            assert_eq!(sentences, 1, "{context}: {}", ran.stderr);
            if newest_manifest(&out).is_some() {
                // What is published is whole before anybody tidies up.
                verified(&out);
            }
        }
        settled(&topic, &out, &crowd(), &context);
        if !injected {
            assert!(refused >= at_least, "only {refused} of {nth} runs minded that {calls} failed");
            return;
        }
    }
}

#[test]
fn a_sync_that_fails_publishes_nothing() {
    each_fails("fsync", 6);
}

#[test]
fn a_name_that_cannot_be_given_loses_nothing() {
    each_fails("rename,renameat,renameat2,link,linkat", 4);
}

#[test]
fn room_that_is_gone_for_one_call_is_waited_for() {
    let Some(strace) = have(strace()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let mut waited = 0;
    for calls in ["mkdir,mkdirat", "fsync", "rename,renameat,renameat2,link,linkat"] {
        for nth in [2, 3] {
            let folder = folder();
            let out = folder.path().join("run");
            let ran = failing(&strace, &topic, &out, calls, "ENOSPC", nth);
            waited += u32::from(ran.stderr.contains("Waiting for room"));
            ran.exits(0);
            settled(&topic, &out, &crowd(), &format!("no room for {calls} number {nth}"));
        }
    }
    assert!(waited > 0, "no run had to wait for room");
}

#[test]
fn what_cannot_be_read_is_named() {
    let Some(strace) = have(strace()) else { return };
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let folder = folder();
    let out = folder.path().join("run");
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(400);
    running.stop();
    let of_log = files_under(&out.join("events")).into_iter().next().unwrap();
    for path in [files_under(&out.join("commits")).pop().unwrap(), of_log, out.join("keys")] {
        let mut command = Command::new(&strace);
        clear_settings(&mut command);
        let calls = "read,pread64";
        command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-P"]).arg(&path);
        command.args(["-e", &format!("inject={calls}:error=EIO")]);
        command.arg(env!("CARGO_BIN_EXE_jauge")).args(["run", "--until-end"]);
        command.args(["--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(&out);
        let name = path.file_name().unwrap().to_str().unwrap();
        let ran = finish(command, &[]).exits(3);
        assert!(ran.stderr.contains(name) && ran.stderr.contains("Input/output error"), "{}", ran.stderr);
    }
    settled(&topic, &out, &crowd(), "files that could not be read for a while");
}

/// A run on a small file system that it alone sees, mounted with these options; `script` runs before it, and may use
/// `$out` and wait for a line on descriptor 3. `Err` where no file system can be mounted.
fn mounted(topic: &Topic, out: &Path, options: &str, script: &str) -> Need<Running> {
    let unshare = program("unshare")?;
    fs::create_dir(out).unwrap();
    let script = format!(
        r#"mount -t tmpfs -o {options} none "$1" || exit 99; out=$1; kept=$2; shift 2
        {script}
        "$@" 3<&-; code=$?; cp -r "$out" "$kept"; exit $code"#
    );
    let mut command = Command::new("sh");
    clear_settings(&mut command);
    command.args(["-c", "exec 3<&0; exec \"$@\"", "sh"]).arg(unshare);
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command.arg(out).arg(out.with_extension("kept")).arg(env!("CARGO_BIN_EXE_jauge"));
    command.args(["run", "--until-end", "--log-format=json"]);
    command.args(["--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(out);
    let mut running = Running::start(command);
    let first = running.wait_for("word", |_| true);
    running.passed = 0;
    let refused = first.starts_with("unshare:") || first.starts_with("mount:");
    if refused { Err(format!("a mount namespace with a small disk of its own: {first}")) } else { Ok(running) }
}

#[test]
fn a_disk_without_inodes_is_waited_for() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let folder = folder();
    let out = folder.path().join("run");
    let script = r#"{ read line; mount -o remount,nr_inodes=1000 "$out"; } <&3 &"#;
    let Some(mut running) = have(mounted(&topic, &out, "size=8m,nr_inodes=6", script)) else { return };
    running.wait_for("word about the disk", |line| line.contains("Waiting for room"));
    running.child.stdin.take().unwrap().write_all(b"there is room\n").unwrap();
    running.wait_for("word about the room", |line| line.contains("room on the disk again"));
    running.exits(0, SOON);
    let kept = out.with_extension("kept");
    Tables::assert_equal(&reference::settled(&crowd(), RULES), &data_directory::read(&kept), "a disk without inodes");
    assert_eq!(ledger(&kept, "read"), 400);
    verified(&kept);
}

#[test]
fn a_folder_that_may_only_be_read_is_named() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let folder = folder();
    let out = folder.path().join("run");
    let script = r#"mount -o remount,ro "$out""#;
    let Some(running) = have(mounted(&topic, &out, "size=8m", script)) else { return };
    let said = running.exits(3, SOON);
    assert!(said.contains("Read-only file system") && said.contains("run"), "{said}");
}

/// `jauge run` of this topic, behind a `ulimit` with these words.
fn limited(topic: &Topic, out: &Path, ulimit: &str) -> Command {
    let mut command = Command::new("sh");
    clear_settings(&mut command);
    command.args(["-c", &format!("ulimit {ulimit} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_jauge")]);
    command.args(["run", "--lanes=1", "--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(out);
    command
}

#[test]
fn too_few_open_files_are_said_at_the_start() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let folder = folder();
    let out = folder.path().join("run");
    for most in ["16", "32", "79"] {
        finish(limited(&topic, &out, &format!("-n {most}")), &[]).exits(3).says(&[most, "ulimit -n", "80"]);
        assert!(!out.exists(), "nothing is made");
    }
    // What is needed is enough, and a limit that the process may raise is none.
    for ulimit in ["-n 80", "-S -n 24"] {
        let out = folder.path().join(ulimit);
        let mut command = limited(&topic, &out, ulimit);
        command.arg("--until-end");
        finish(command, &[]).exits(0);
        settled(&topic, &out, &crowd(), ulimit);
    }
}

#[test]
fn open_files_that_run_out_are_named_and_nothing_is_lost() {
    let Some(prlimit) = have(program("prlimit")) else { return };
    let (_broker, topic) = Topic::embedded(1);
    let (first, second) = (&crowd()[..100], &crowd()[100..]);
    topic.send_events(first);
    let folder = folder();
    let out = folder.path().join("run");
    let mut running = Running::of(&topic, &out, &["--lanes=1", "--idle-after=1h"]);
    running.wait_until_read(100);
    // As if something else had taken them all: nothing more can be opened.
    let mut command = Command::new(prlimit);
    command.args(["--nofile=8:8", "--pid", &running.child.id().to_string()]);
    finish(command, &[]).exits(0);
    topic.send_events(second);
    let said = running.exits(3, SOON);
    assert!(said.contains("Too many open files"), "{said}");
    assert_eq!(ledger(&out, "read"), 100);
    verified(&out);
    settled(&topic, &out, &crowd(), "open files had run out");
}

/// A file system that cannot do one of the things that each commit needs: its name, the C that makes it so, and what is
/// said of it.
const UNFIT: [(&str, &str, &str); 3] = [
    (
        "no-links",
        r"#include <errno.h>
        int link(const char *a, const char *b) { errno = EPERM; return -1; }
        int linkat(int a, const char *b, int c, const char *d, int e) { errno = EPERM; return -1; }",
        "makes no hard links",
    ),
    (
        "no-folder-sync",
        r#"#define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <sys/stat.h>
        int fsync(int fd) {
            int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
            struct stat is;
            if (fstat(fd, &is) || !S_ISDIR(is.st_mode)) return real(fd);
            errno = EINVAL;
            return -1;
        }"#,
        "cannot sync a folder",
    ),
    (
        "no-locks",
        r"#include <errno.h>
        int flock(int fd, int what) { errno = ENOLCK; return -1; }",
        "locks no files",
    ),
];

#[test]
fn a_file_system_that_cannot_is_refused_before_any_work() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd());
    let folder = folder();
    let (file, whole) = (folder.path().join("events.ndjson"), folder.path().join("whole"));
    fs::write(&file, crowd().iter().map(|event| line(event) + "\n").collect::<String>()).unwrap();
    topic.until_end(&whole, &[]).exits(0);
    let before = files_under(&whole.join("commits"));
    let run = ["run", "--brokers", &topic.address, "--topic", &topic.name];
    for (name, source, says) in UNFIT {
        let Some(library) = have(preload(folder.path(), name, source)) else { return };
        let jauge = |args: &[&str]| {
            let mut command = jauge();
            command.env("LD_PRELOAD", &library).args(args);
            command
        };
        for args in [&run[..], &["replay", file.to_str().unwrap()]] {
            let out = folder.path().join(format!("{name}-{}", args[0]));
            // Once more where the folder is there, and nothing is to be made above it.
            for _ in 0..2 {
                let mut command = jauge(args);
                command.arg("--out").arg(&out);
                finish(command, &[]).exits(3).says(&[says, "ext4", folder.path().to_str().unwrap()]);
                let left = files_under(&out);
                assert!(left.iter().all(|path| path.ends_with("lock")), "{name}: {left:?}");
                let _ = fs::create_dir(&out);
            }
        }
        // By other rules, so that there is something to be changed.
        for args in [&["settle", "--broadcast=b", "--session-timeout=10s"][..], &["forget", "--broadcast=b"]] {
            let mut command = jauge(args);
            command.arg(&whole);
            finish(command, &[]).exits(3).says(&[says, whole.to_str().unwrap()]);
            assert_eq!(files_under(&whole.join("commits")), before, "{name}");
        }
    }
}
