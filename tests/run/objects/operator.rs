//! What an operator asks for in an object store: of a run that goes on, and, told that there is none, at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{OFTEN, command, expect, until_end, url};
use crate::data_directory::{self, hex};
use crate::run::{RULES, Running, Topic, join, leave};
use crate::s3::{Endpoint, Moto, Stub};
use crate::support::{Ran, finish, folder, have, jauge};
use crate::tables::Tables;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

#[test]
fn an_operator_asks_the_run_and_settles_offline_where_there_is_none() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let keys = folder.path().join("keys");
    let events = [join("a", 0), leave("a", 60_000), join("b", 10_000), leave("b", 20_000)];
    topic.send_events(&events[..2]);
    until_end(&stub.endpoint, &topic, "asked", &keys, &[]);
    topic.send_events(&events[2..]);
    let mut running = Running::start(command(&stub.endpoint, &topic, "asked", &keys, &OFTEN));
    running.wait_until_read(4);

    // No lock tells whether a run is there, so it is asked; taking the directory over would end it.
    let url = url("asked");
    let asked = stub.endpoint.jauge(["settle", &url, "--broadcast=b"]).exits(0);
    asked.says(&["it is asked to do this"]);
    running.stop();
    expect(&stub.endpoint, &events, RULES, "asked", "settled by the run");
    let offline = stub.endpoint.jauge(["settle", &url, "--broadcast=b", "--offline"]).exits(0);
    assert!(!offline.stderr.contains("asked"), "{}", offline.stderr);
    expect(&stub.endpoint, &events, RULES, "asked", "settled offline");
}

/// A copy of the directory on the disk, read there.
fn tables(endpoint: &Endpoint, prefix: &str) -> (Tables, BTreeSet<String>, BTreeSet<String>) {
    let copy = folder();
    endpoint.download(prefix, copy.path());
    let column = |table: &str, column: &str| {
        data_directory::table(copy.path(), table).unwrap().sorted(&[column.to_owned()]).concat().into_iter().collect()
    };
    (data_directory::read(copy.path()), column("sessions", "viewer"), column("rejected", "payload"))
}

/// A settled directory of two viewers' stay, with three rejected events, one of them of the broadcast `b` and one
/// that tells of no broadcast.
fn settled(endpoint: &Endpoint, topic: &Topic, prefix: &str, keys: &Path) {
    topic.send_events(&[join("a", 0), leave("a", MINUTE)]);
    for value in [BAD, OTHERS, "no JSON"] {
        topic.send(0, Some(value.as_bytes()));
    }
    topic.flush();
    until_end(endpoint, topic, prefix, keys, &[]);
}

const BAD: &str = r#"{"type":"join","broadcast_id":"b","viewer_id":"in clear"}"#;
const OTHERS: &str = r#"{"type":"join","broadcast_id":"other","viewer_id":"x"}"#;

#[test]
fn a_forgotten_broadcast_leaves_its_curve_and_no_way_back_there_either() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let endpoint = &stub.endpoint;
    for (prefix, is_living) in [("living", true), ("offline", false)] {
        let (_broker, topic) = Topic::embedded(1);
        let folder = folder();
        let keys = folder.path().join("keys");
        settled(endpoint, &topic, prefix, &keys);
        let (before, viewers, payloads) = tables(endpoint, prefix);
        assert!(viewers.len() == 1 && payloads.contains(&hex(BAD.as_bytes())), "{payloads:?}");
        assert!(fs::read_to_string(&keys).unwrap().contains("\"b\""));

        let url = url(prefix);
        let running = is_living.then(|| {
            let mut running = Running::start(command(endpoint, &topic, prefix, &keys, &OFTEN));
            running.wait_for("word of going on", |line| line.contains("Going on"));
            running
        });
        let of_keys = keys.to_str().unwrap();
        let forget = |flags: &[&str]| endpoint.jauge([&["forget", &url, "--broadcast=b"], flags].concat());
        let flags = if is_living { &[][..] } else { &["--offline", "--keys", of_keys] };
        let said = forget(flags).exits(0);
        assert_eq!(said.stderr.contains("it is asked to do this"), is_living, "{}", said.stderr);
        let said = said.stdout;
        assert!(said.contains("its key is destroyed") && said.contains("bytes of 1 rejected"), "{said}");
        assert!(said.contains("keeps old versions") && said.contains("--all-payloads"), "{said}");
        assert!(!fs::read_to_string(&keys).unwrap().contains("\"b\""));
        running.into_iter().for_each(Running::stop);

        endpoint.jauge(["verify", &url]).exits(0);
        let (after, _, payloads) = tables(endpoint, prefix);
        let expected = [String::new(), hex(OTHERS.as_bytes()), hex(b"no JSON")];
        assert_eq!(payloads, expected.into());
        let listed = endpoint.jauge(["rejected", &url, "--payloads"]).exits(0).stdout;
        assert!(listed.contains("other") && !listed.contains("in clear"), "{listed}");
        Tables::assert_equal(&Tables { rejected: after.rejected.clone(), ..before }, &after, "all but bytes stays");
        let offline = ["--offline", "--keys", of_keys];
        assert!(forget(&offline).exits(0).stdout.contains("was forgotten before"));

        // Whoever comes again is somebody new.
        topic.send_events(&[join("a", 7 * HOUR), leave("a", 7 * HOUR + MINUTE)]);
        until_end(endpoint, &topic, prefix, &keys, &[]);
        assert_eq!(tables(endpoint, prefix).1.len(), 2);
        endpoint.jauge(["verify", &url]).exits(0);
    }
}

#[test]
fn offline_without_the_key_file_of_the_run_nothing_is_forgotten() {
    if !super::built() {
        return;
    }
    let stub = Stub::start();
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let keys = folder.path().join("keys");
    settled(&stub.endpoint, &topic, "keys", &keys);
    let url = url("keys");
    let forget =
        |flags: &[&str]| stub.endpoint.jauge([&["forget", &url, "--broadcast=b", "--offline"], flags].concat());
    let before = stub.endpoint.keys("keys");
    forget(&[]).exits(2).says(&["--keys", &url]);
    let elsewhere = folder.path().join("elsewhere");
    forget(&["--keys", elsewhere.to_str().unwrap()]).exits(3).says(&["no key file", "nothing is forgotten"]);
    assert!(!elsewhere.exists());
    assert_eq!(stub.endpoint.keys("keys"), before, "nobody has taken it over");
    // A run of this machine, which uses the file, is told of and goes on.
    let mut running = Running::start(command(&stub.endpoint, &topic, "keys", &keys, &OFTEN));
    running.wait_for("word of going on", |line| line.contains("Going on"));
    forget(&["--keys", keys.to_str().unwrap()]).exits(3).says(&["another jauge", "key file"]);
    topic.send_events(&[join("late", 2 * MINUTE)]);
    running.wait_until_read(6);
    running.stop();
    assert!(fs::read_to_string(&keys).unwrap().contains("\"b\""));
}

#[test]
fn a_bucket_with_versions_keeps_what_was_forgotten_as_the_documents_say() {
    if !super::built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    let endpoint = &moto.endpoint;
    let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(endpoint.ask("PUT", "/versioned").0, 200);
    assert_eq!(endpoint.send("PUT", "/versioned?versioning", on).0, 200);
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let keys = folder.path().join("keys");
    topic.send(0, Some(BAD.as_bytes()));
    topic.send_events(&[join("a", 0), leave("a", MINUTE)]);
    let run = |mut command: Command| -> Ran {
        command.arg("--keys").arg(&keys);
        endpoint.tell(&mut command);
        finish(command, &[])
    };
    let url = "s3://versioned/live";
    run(topic.command(url.as_ref(), &["--until-end"])).exits(0);
    let mut forget = jauge();
    forget.args(["forget", url, "--broadcast=b", "--offline"]);
    assert!(run(forget).exits(0).stdout.contains("keeps old versions"));
    endpoint.jauge(["verify", url]).exits(0);
    let listed = endpoint.ask("GET", "/versioned?versions&prefix=live/rejected/").1;
    let listed = String::from_utf8(listed).unwrap();
    let count = |what: &str| listed.matches(what).count();
    // The file with the bytes, under a mark that it is deleted; and the one in its place.
    assert_eq!((count("<Version>"), count("<DeleteMarker>")), (2, 1), "{listed}");
}
