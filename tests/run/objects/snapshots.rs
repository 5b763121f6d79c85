//! Snapshots in an object store: a killed run goes on from the one that is kept there, an older one is removed, and one
//! that is gone or damaged is said and made again.

use super::{OFTEN, command, expect, until_end, url};
use crate::run::signals::crowd;
use crate::run::{RULES, Running, SOON, Topic, join, leave, strs, with_rules};
use crate::s3::{Endpoint, Moto, Stub};
use crate::support::{folder, have};

/// The key of the one snapshot there, which the newest commit names.
#[track_caller]
fn snapshot(endpoint: &Endpoint, prefix: &str) -> String {
    let manifest = endpoint.newest_manifest(prefix).expect("there is a commit");
    let named = manifest["snapshot"]["files"][0]["path"].as_str().unwrap_or_else(|| panic!("no snapshot: {manifest}"));
    let key = format!("{prefix}/{named}");
    assert_eq!(endpoint.keys(&format!("{prefix}/snapshot")), std::slice::from_ref(&key), "older ones are removed");
    key
}

#[test]
fn a_killed_run_goes_on_from_the_snapshot_in_the_store() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let mut endpoints = vec![stub.endpoint];
    endpoints.extend(have(Moto::shared()).map(|moto| moto.endpoint.clone()));
    for endpoint in endpoints {
        let (_broker, topic) = Topic::embedded(2);
        let (folder, events) = (folder(), crowd(0, 90));
        let (prefix, keys) = ("snapshots", folder.path().join("keys"));
        let flags = with_rules(RULES, &OFTEN);
        let start = |expected: &str| {
            let mut running = Running::start(command(&endpoint, &topic, prefix, &keys, &strs(&flags)));
            let said = running.wait_for("word of going on", |line| line.contains("Going on"));
            assert!(said.contains(expected), "{said}");
            running
        };
        let (first, rest) = events.split_at(20);
        topic.send_events(first);
        let mut running = Running::start(command(&endpoint, &topic, prefix, &keys, &strs(&flags)));
        running.wait_until_read(20);
        running.stop();
        let of_stop = snapshot(&endpoint, prefix);

        // A hundred commits later another is due, and the one before goes.
        let mut running = start("from the snapshot of commit");
        for (sent, event) in (21..).zip(rest) {
            topic.send_events([event]);
            running.wait_until_read(sent);
        }
        running.signal("KILL");
        running.ends(SOON);
        let later = endpoint.newest_manifest(prefix).unwrap()["snapshot"]["files"][0]["path"].clone();
        assert!(later.as_str().is_some_and(|later| !of_stop.ends_with(later)), "{later}");
        start("from the snapshot of commit").stop();
        assert_ne!(snapshot(&endpoint, prefix), of_stop);
        until_end(&endpoint, &topic, prefix, &keys, &strs(&flags));
        expect(&endpoint, &events, RULES, prefix, "killed after a snapshot");
        assert_eq!(endpoint.keys("snapshots/snapshot"), [""; 0], "after the end of the data nothing is on air");
    }
}

#[test]
fn one_that_is_gone_or_damaged_is_said_and_made_again() {
    if !super::built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    let endpoint = &moto.endpoint;
    let (_broker, topic) = Topic::embedded(2);
    let (folder, prefix) = (folder(), "damaged");
    let keys = folder.path().join("keys");
    let mut events = vec![join("a", 0), join("b", 1_000)];
    topic.send_events(&events);
    let start = || Running::start(command(endpoint, &topic, prefix, &keys, &OFTEN));
    let begins = |expected: &str| {
        let mut running = start();
        running.wait_for("word of going on", |line| line.contains("Going on"));
        let said = running.said();
        assert!(said.contains(expected), "{expected:?} is not in {said}");
        assert_eq!(said.contains("is of no use"), expected != "from the snapshot of commit", "{said}");
        running
    };
    let mut running = start();
    running.wait_until_read(2);
    running.stop();

    endpoint.set(&snapshot(endpoint, prefix), None);
    let told = endpoint.jauge(["verify", &url(prefix)]).exits(0).stdout;
    assert!(told.contains("snapshot is not there"), "{told}");
    begins("is not there").stop();
    begins("from the snapshot of commit").stop();

    let key = snapshot(endpoint, prefix);
    let mut bytes = endpoint.object(&key).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 4;
    endpoint.set(&key, Some(&bytes));
    endpoint.jauge(["verify", &url(prefix)]).exits(4).says(&["snapshot/", "checksum"]);
    let mut running = begins("is damaged");
    let more = [leave("a", 90_000), join("c", 95_000), leave("b", 96_000), leave("c", 97_000)];
    topic.send_events(&more);
    events.extend(more);
    running.wait_until_read(6);
    running.stop();
    begins("from the snapshot of commit").stop();
    until_end(endpoint, &topic, prefix, &keys, &[]);
    expect(endpoint, &events, RULES, prefix, "without its snapshots");
}
