//! Stopped while a commit is undecided: the store is silent, refuses, or has done what it does not answer. A stop takes
//! no longer than who asked for it waits, says how it is, and nothing is lost or there twice after the next start.

use std::time::{Duration, Instant};

use super::{OFTEN, command, expect, until_end};
use crate::run::{RULES, Running, SOON, Topic, join, leave, wait_until};
use crate::s3::{Fault, Stub};
use crate::support::folder;

/// What an orchestrator waits before it kills.
const GRACE: Duration = Duration::from_secs(30);

/// What is asked for creates a manifest.
fn commits(method: &str, target: &str) -> bool {
    method == "PUT" && target.contains("/commits/")
}

/// Stops a run whose requests of a kind go wrong in this way, and expects this exit code; then starts
/// again under a clear sky.
fn stopped(fault: Fault, is_it: fn(&str, &str) -> bool, code: i32) -> String {
    let context = format!("{fault:?}");
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let keys = folder.path().join("keys");
    let events = [join("a", 0), join("b", 1_000), leave("a", 60_000), leave("b", 90_000)];
    topic.send_events(&events[..2]);
    let mut running = Running::start(command(&stub.endpoint, &topic, "stopped", &keys, &OFTEN));
    running.wait_until_read(2);
    stub.turns(move |method, target| is_it(method, target).then_some(fault));
    topic.send_events(&events[2..]);
    wait_until("request that goes wrong", SOON, || (stub.struck() > 0).then_some(()));
    let began = Instant::now();
    running.signal("TERM");
    let said = running.exits(code, GRACE);
    assert!(began.elapsed() < GRACE, "{context}: {:?}", began.elapsed());
    assert_eq!(said.contains("what is not committed is read again at the next start"), code == 3, "{context}: {said}");
    stub.turns(|_, _| None);
    until_end(&stub.endpoint, &topic, "stopped", &keys, &[]);
    expect(&stub.endpoint, &events, RULES, "stopped", &context);
    said
}

#[test]
fn a_commit_that_is_undecided_holds_no_stop_and_is_decided_by_the_next_start() {
    if !super::built() {
        return;
    }
    // Side by side, for each takes its ten seconds.
    std::thread::scope(|scope| {
        let undecided = [
            (Fault::Silent, "does not answer"),
            (Fault::SilentAfter, "does not answer"),
            (Fault::Refused(503, "SlowDown"), "cannot tell whether"),
        ];
        for (fault, says) in undecided {
            scope.spawn(move || {
                let said = stopped(fault, commits, 3);
                assert!(said.contains("cannot tell whether") || said.contains(says), "{fault:?}: {said}");
            });
        }
        scope.spawn(|| stopped(Fault::Silent, |_, _| true, 3));
    });
    // What can be found out, and what passes, is a commit like any other.
    stopped(Fault::CutAfter, commits, 0);
    stopped(Fault::FailsAfter, commits, 0);
}

#[test]
fn a_second_signal_ends_it_at_once_and_a_start_can_be_stopped_too() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let keys = folder.path().join("keys");
    let events = [join("a", 0), leave("a", 60_000)];
    topic.send_events(&events[..1]);
    let start = || Running::start(command(&stub.endpoint, &topic, "twice", &keys, &OFTEN));
    let silent = || stub.turns(|method, target| commits(method, target).then_some(Fault::SilentAfter));
    let mut running = start();
    running.wait_until_read(1);
    silent();
    topic.send_events(&events[1..]);
    wait_until("request without an answer", SOON, || (stub.struck() > 0).then_some(()));
    let began = Instant::now();
    running.signal("TERM");
    running.signal("TERM");
    running.exits(143, Duration::from_secs(5));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // While it takes the directory over.
    silent();
    let running = start();
    wait_until("request without an answer", SOON, || (stub.struck() > 0).then_some(()));
    running.signal("TERM");
    running.exits(3, GRACE);
    stub.turns(|_, _| None);
    until_end(&stub.endpoint, &topic, "twice", &keys, &[]);
    expect(&stub.endpoint, &events, RULES, "twice", "ended by a second signal");
}
