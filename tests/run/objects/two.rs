//! Two runs on one directory in an object store, where no lock keeps them apart: one stops with a sentence,
//! and the tables are exact.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{OFTEN, command, expect, until_end};
use crate::random_events::Chance;
use crate::run::signals::{crowd, wait_until_later};
use crate::run::{RULES, Running, SOON, Topic, join, leave, wait_until};
use crate::s3::{Moto, Stub};
use crate::support::{finish, folder, have};

/// What another machine has of the keys; `fs::copy` keeps who may read it.
fn copied(keys: &Path, name: &str) -> PathBuf {
    let copy = keys.with_file_name(name);
    fs::copy(keys, &copy).unwrap();
    copy
}

#[test]
fn the_second_writer_takes_over_and_the_first_stops() {
    if !super::built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let keys = folder.path().join("keys");
    let events = [join("a", 0), join("b", 1_000), leave("a", 60_000), leave("b", 90_000)];
    topic.send_events(&events[..1]);
    let mut first = Running::start(command(&moto.endpoint, &topic, "two", &keys, &OFTEN));
    first.wait_until_read(1);
    // On the same machine, with the same keys, it is told before it disturbs the first.
    let second = finish(command(&moto.endpoint, &topic, "two", &keys, &["--until-end"]), &[]).exits(3);
    second.says(&["another jauge", "key file"]);
    // On another machine, with a copy of the keys, it takes over: the first loses its next commit.
    let copy = copied(&keys, "copied-keys");
    topic.send_events(&events[1..2]);
    first.wait_until_read(2);
    let mut second = Running::start(command(&moto.endpoint, &topic, "two", &copy, &OFTEN));
    second.wait_for("sign of going on", |line| line.contains("Going on"));
    topic.send_events(&events[2..]);
    let said = first.exits(3, Duration::from_secs(60));
    assert!(said.contains("another jauge") && said.contains("has taken the directory over"), "{said}");
    second.wait_until_read(4);
    second.stop();
    until_end(&moto.endpoint, &topic, "two", &copy, &[]);
    expect(&moto.endpoint, &events, RULES, "two", "two writers");
}

#[test]
fn a_writer_that_wakes_after_another_took_over_changes_nothing() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(2);
    let (folder, mut chance) = (folder(), Chance::new(4));
    let keys = folder.path().join("keys");
    let mut sent = Vec::new();
    let mut send = |first: i64| {
        let more = crowd(first, 100);
        topic.send_events(&more);
        sent.extend(more);
        (sent.clone(), i64::try_from(sent.len()).unwrap())
    };
    for round in 0..6 {
        let (_, count) = send(round * 10_000);
        let mut first = Running::start(command(&stub.endpoint, &topic, "zombie", &keys, &OFTEN));
        first.wait_until_read(count);
        // Somewhere in what it does next: between two requests, or with one under way.
        send(round * 10_000 + 1_000);
        wait_until_later(Duration::from_millis(u64::try_from(chance.below(40)).unwrap()));
        first.signal("STOP");
        let copy = copied(&keys, &format!("keys-{round}"));
        let mut second = Running::start(command(&stub.endpoint, &topic, "zombie", &copy, &OFTEN));
        let (_, count) = send(round * 10_000 + 2_000);
        second.wait_until_read(count);
        first.signal("CONT");
        // Woken, it reads on, and wants to commit.
        let (_, count) = send(round * 10_000 + 3_000);
        let said = first.exits(3, SOON);
        assert!(said.contains("has taken the directory over"), "round {round}: {said}");
        second.wait_until_read(count);
        second.stop();
        expect_whole(&stub, "zombie");
    }
    let (sent, _) = send(100_000);
    until_end(&stub.endpoint, &topic, "zombie", &keys, &[]);
    expect(&stub.endpoint, &sent, RULES, "zombie", "six writers that slept too long");
}

/// `jauge verify` finds nothing wrong.
#[track_caller]
fn expect_whole(stub: &Stub, prefix: &str) {
    stub.endpoint.jauge(["verify", &super::url(prefix)]).exits(0);
}

#[test]
fn of_two_from_the_start_one_stops() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let keys = folder.path().join("keys");
    // So that both have the key of the broadcast.
    let mut sent = crowd(0, 10);
    topic.send_events(&sent);
    let mut running = Running::start(command(&stub.endpoint, &topic, "both", &keys, &OFTEN));
    running.wait_until_read(20);
    running.stop();
    for round in 1..=3 {
        let more = crowd(round * 1_000, 300);
        topic.send_events(&more);
        sent.extend(more);
        let copies = ["one", "other"].map(|name| copied(&keys, &format!("{name}-{round}")));
        let both = copies.map(|keys| Running::start(command(&stub.endpoint, &topic, "both", &keys, &OFTEN)));
        let has_ended = |running: &Running| running.heard.lines.lock().unwrap().1;
        let loser = wait_until("end of one of them", SOON, || both.iter().position(has_ended));
        let [one, other] = both;
        let (lost, winner) = if loser == 0 { (one, other) } else { (other, one) };
        let said = lost.exits(3, SOON);
        assert!(said.contains("another jauge") && said.contains("has taken the directory over"), "{said}");
        let count = sent.len();
        wait_until("all of it to be read", SOON, || {
            let newest = stub.endpoint.newest_manifest("both")?;
            (newest["ledger"]["read"] == count).then_some(())
        });
        winner.stop();
        expect_whole(&stub, "both");
    }
    until_end(&stub.endpoint, &topic, "both", &keys, &[]);
    expect(&stub.endpoint, &sent, RULES, "both", "two at once, three times");
}
