//! A run whose data directory lies in an object store: killed, stopped, beside another, under requests that fail.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::settles::{night, smooth};
use super::{RULES, Running, Topic, join, leave, strs, with_rules};
use crate::data_directory;
use crate::objects::built;
use crate::random_events::Chance;
use crate::reference::{self, NaiveEvent, Rules};
use crate::s3::{BUCKET, Endpoint, Fault, Moto, Stub};
use crate::support::{finish, folder, have};
use crate::tables::Tables;

// Snapshots that are kept there.
mod snapshots;
// What an operator asks for there.
mod operator;
// Housekeeping there, and what a crash leaves.
mod tidy;
// Stopped while the store says nothing.
mod stops;
// Two who want one directory.
mod two;
// Azure and Google Cloud.
mod clouds;

/// `jauge run` of a topic into a prefix, with the key file of this name.
fn command(endpoint: &Endpoint, topic: &Topic, prefix: &str, keys: &Path, flags: &[&str]) -> Command {
    let mut command = topic.command(url(prefix).as_ref(), flags);
    command.arg("--keys").arg(keys);
    endpoint.tell(&mut command);
    command
}

const OFTEN: [&str; 3] = ["--log-format=json", "--commit-interval=20ms", "--idle-after=1h"];

/// What lies under the prefix is what the reference says of the events, and verifies.
#[track_caller]
fn expect(endpoint: &Endpoint, events: &[NaiveEvent], rules: Rules, prefix: &str, context: &str) {
    endpoint.jauge(["verify", &url(prefix)]).exits(0);
    let copy = folder();
    endpoint.download(prefix, copy.path());
    Tables::assert_equal(&reference::settled(events, rules), &data_directory::read(copy.path()), context);
}

/// The URL of a prefix.
fn url(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

/// `jauge run --until-end`.
fn until_end(endpoint: &Endpoint, topic: &Topic, prefix: &str, keys: &Path, flags: &[&str]) {
    finish(command(endpoint, topic, prefix, keys, &[flags, &["--until-end"]].concat()), &[]).exits(0);
}

#[test]
fn kills_lose_nothing_and_count_nothing_twice() {
    if !built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    let (_broker, topic) = Topic::embedded(3);
    let (folder, events) = (folder(), night(&smooth(5)));
    let keys = folder.path().join("keys");
    let flags = with_rules(RULES, &OFTEN);
    let mut sent = 0;
    for (round, part) in events.chunks(events.len().div_ceil(5)).enumerate() {
        topic.send_events(part);
        let mut running = Running::start(command(&moto.endpoint, &topic, "killed", &keys, &strs(&flags)));
        running.wait_until_read(sent + 1);
        // In the midst of whatever it does; the embedded broker is not slow, so a later round finds it later.
        let wait = Duration::from_millis(7 * u64::try_from(round).unwrap());
        std::thread::park_timeout(wait);
        running.signal("KILL");
        running.ends(Duration::from_secs(30));
        sent += i64::try_from(part.len()).unwrap();
    }
    let flags = with_rules(RULES, &["--until-end"]);
    finish(command(&moto.endpoint, &topic, "killed", &keys, &strs(&flags)), &[]).exits(0);
    expect(&moto.endpoint, &events, RULES, "killed", "killed five times");
}

#[test]
fn requests_that_fail_are_waited_out() {
    if !built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(2);
    let (folder, events) = (folder(), night(&smooth(6)));
    topic.send_events(&events);
    let keys = folder.path().join("keys");
    let mut chance = Chance::new(11);
    stub.turns(move |method, target| {
        let fault = *chance.pick(&[
            Fault::Refused(503, "SlowDown"),
            Fault::CutAfter,
            Fault::CutBefore,
            Fault::FailsAfter,
            Fault::Refused(409, "ConditionalRequestConflict"),
        ]);
        let may = method == "PUT" && target.contains("/commits/") || !matches!(fault, Fault::Refused(409, _));
        (chance.below(8) == 0 && may).then_some(fault)
    });
    let flags = with_rules(RULES, &["--until-end", "--commit-interval=20ms"]);
    finish(command(&stub.endpoint, &topic, "unsteady", &keys, &strs(&flags)), &[]).exits(0);
    assert!(stub.struck() > 0);
    stub.turns(|_, _| None);
    expect(&stub.endpoint, &events, RULES, "unsteady", "one request in eight fails");
}

#[test]
fn a_store_that_is_away_is_waited_for() {
    if !built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let keys = folder.path().join("keys");
    let events = [join("a", 0), join("b", 1_000), leave("a", 60_000), leave("b", 90_000)];
    topic.send_events(&events[..2]);
    let mut running = Running::start(command(&stub.endpoint, &topic, "away", &keys, &OFTEN));
    running.wait_until_read(2);
    stub.turns(|_, _| Some(Fault::Refused(503, "SlowDown")));
    topic.send_events(&events[2..]);
    running.wait_for("word about the store", |line| line.contains("Waiting for the object store; nothing is lost."));
    stub.turns(|_, _| None);
    running.wait_for("word that it is back", |line| line.contains("The object store answers again."));
    running.wait_until_read(4);
    running.stop();
    finish(command(&stub.endpoint, &topic, "away", &keys, &["--until-end"]), &[]).exits(0);
    expect(&stub.endpoint, &events, RULES, "away", "a store that was away");
}
