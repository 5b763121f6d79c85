//! Signals, clocks, and two who want one directory: stopped and woken, starved, sent back and forth in time.
//! The tables do not change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{
    Running, SOON, Topic, join, leave, ledger, live_is_settled, newest_manifest, settled, verified, wait_until,
};
use crate::kafka::RealKafka;
use crate::random_events::Chance;
use crate::reference::NaiveEvent;
use crate::support::{Need, finish, folder, have, program};

/// Viewers who come and go, in the order of time.
pub(super) fn crowd(first: i64, viewers: i64) -> Vec<NaiveEvent> {
    let each = |n: i64| [join(&format!("v-{n}"), n * 10), leave(&format!("v-{n}"), n * 10 + 5_000)];
    let mut events: Vec<NaiveEvent> = (first..first + viewers).flat_map(each).collect();
    events.sort_by_key(|event| event.ts);
    events
}

#[test]
fn a_writer_that_wakes_after_another_took_over_changes_nothing() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (folder, mut chance) = (folder(), Chance::new(4));
    let out = folder.path().join("run");
    let topic = Topic::of(kafka, "zombie", 2);
    let mut sent = Vec::new();
    let mut send = |first: i64| {
        let more = crowd(first, 100);
        topic.send_events(&more);
        sent.extend(more);
        (sent.clone(), i64::try_from(sent.len()).unwrap())
    };
    for round in 0..6 {
        let (_, count) = send(round * 10_000);
        let mut first = Running::of(&topic, &out, &["--idle-after=1h"]);
        first.wait_until_read(count);
        // Somewhere in what it does next.
        send(round * 10_000 + 1_000);
        let moment = Duration::from_millis(u64::try_from(chance.below(40)).unwrap());
        wait_until_later(moment);
        first.signal("STOP");
        // On one machine the lock keeps others out. On a disk that machines share it may not, so here it is gone.
        fs::remove_file(out.join("lock")).unwrap();
        let mut second = Running::of(&topic, &out, &["--idle-after=1h"]);
        let (_, count) = send(round * 10_000 + 2_000);
        second.wait_until_read(count);
        first.signal("CONT");
        // Woken, it reads on, and wants to commit.
        let (_, count) = send(round * 10_000 + 3_000);
        let said = first.exits(3, SOON);
        assert!(said.contains("has taken the directory over"), "round {round}: {said}");
        second.wait_until_read(count);
        second.stop();
        verified(&out);
    }
    settled(&topic, &out, &send(100_000).0, "six writers that slept too long");
}

/// Waits for a moment that means nothing to the process: that is what a random moment is.
#[expect(clippy::disallowed_methods, reason = "a random moment is waited for by the clock alone")]
pub(super) fn wait_until_later(moment: Duration) {
    std::thread::sleep(moment);
}

#[test]
fn of_two_from_the_start_one_stops() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let folder = folder();
    let out = folder.path().join("run");
    let topic = Topic::of(kafka, "two", 2);
    let sent = crowd(0, 2_000);
    topic.send_events(&sent);
    let both = [(); 2].map(|()| Running::of(&topic, &out, &["--idle-after=1h"]));
    let has_ended = |running: &Running| running.heard.lines.lock().unwrap().1;
    let loser = wait_until("end of one of them", SOON, || both.iter().position(has_ended));
    let [one, other] = both;
    let (lost, mut winner) = if loser == 0 { (one, other) } else { (other, one) };
    let said = lost.exits(3, SOON);
    assert!(said.contains("another jauge is writing"), "{said}");
    if newest_manifest(&out).is_none_or(|newest| newest["ledger"]["read"] != 4_000) {
        winner.wait_until_read(4_000);
    }
    winner.stop();
    settled(&topic, &out, &sent, "two at once");
}

#[test]
fn a_starved_run_is_only_slow() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let folder = folder();
    let out = folder.path().join("run");
    let topic = Topic::of(kafka, "starved", 2);
    let sent = crowd(0, 4_000);
    let mut running = Running::of(&topic, &out, &[]);
    for part in sent.chunks(sent.len() / 20) {
        topic.send_events(part);
        // A tenth of a CPU: it runs for 10 ms and stands for 90.
        running.signal("STOP");
        wait_until_later(Duration::from_millis(90));
        running.signal("CONT");
        wait_until_later(Duration::from_millis(10));
    }
    running.wait_until_read(8_000);
    running.stop();
    settled(&topic, &out, &sent, "starved of CPU");
    live_is_settled(&out, "starved of CPU");
}

/// Gives a process another wall clock, so many seconds off as a file says, and leaves its monotonic clock alone. The
/// kernel's own waits go by its true clocks: setting those is for no test.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (clock != CLOCK_REALTIME || done != 0) return done;
    char text[32] = {0};
    int file = open(getenv("TEST_CLOCK"), O_RDONLY);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
        close(file);
    }
    return 0;
}
"#;

/// A library of [`CLOCK`]: loaded before others, it reads the file that `TEST_CLOCK` names.
pub(super) fn library(folder: &Path) -> Need<PathBuf> {
    let cc = program("cc")?;
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let mut command = Command::new(cc);
    command.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl");
    finish(command, &[]).exits(0);
    Ok(library)
}

#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let folder = folder();
    let Some(library) = have(library(folder.path())) else { return };
    let out = folder.path().join("run");
    let clock = folder.path().join("clock");
    fs::write(&clock, "0").unwrap();
    let topic = Topic::of(kafka, "clock", 2);
    let mut command = topic.command(&out, &["--idle-after=1h", "--log-format=json", "--commit-interval=20ms"]);
    command.env("LD_PRELOAD", library).env("TEST_CLOCK", &clock);
    let mut running = Running::start(command);
    let (mut sent, mut days) = (Vec::new(), Vec::new());
    for (round, jump) in (1..).zip(["0", "-3600", "3600", "-86400", "86400", "-172800", "0"]) {
        fs::write(&clock, jump).unwrap();
        let more = crowd(round * 1_000, 100);
        topic.send_events(&more);
        sent.extend(more);
        running.wait_until_read(i64::try_from(sent.len()).unwrap());
        days.push(newest_manifest(&out).unwrap()["created_at"].as_i64().unwrap() / 86_400_000);
    }
    running.stop();
    assert!(days.iter().max() > days.iter().min(), "the clock did not jump: {days:?}");
    assert_eq!(ledger(&out, "rejected"), 0);
    settled(&topic, &out, &sent, "a clock that jumped back and forth");
    live_is_settled(&out, "a clock that jumped back and forth");
}
