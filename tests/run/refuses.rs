//! What a run refuses, each with its exit code and one sentence; and what it waits for instead: room on the disk.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ingester::producer::create_topic;

use super::{RULES, Running, SOON, Topic, join, leave, ledger, verified};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::reference::{self, NaiveEvent};
use crate::support::{clear_settings, files_under, finish, folder, have, jauge, program};
use crate::tables::Tables;

#[test]
fn a_broker_that_is_not_there_is_named() {
    let folder = folder();
    let out = folder.path().join("run");
    let mut command = jauge();
    // Port 1 is nobody's; this takes the 30 s that a broker is given.
    command.args(["run", "--brokers=127.0.0.1:1", "--topic=events", "--until-end", "--out"]).arg(&out);
    let ran = finish(command, &[]).exits(3).says(&["127.0.0.1:1"]);
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{}", ran.stderr);
    assert!(files_under(&out).is_empty(), "nothing is made where there is nothing to read");
}

/// Somebody who gives everybody this answer; gone with the process.
fn answering(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Whoever hangs up meanwhile has heard enough.
            let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(answer));
        }
    });
    address
}

#[test]
fn what_is_given_as_a_broker_and_is_none_is_named_at_once() {
    let folder = folder();
    let out = folder.path().join("run");
    let run = |brokers: &str| {
        let mut command = jauge();
        command.args(["run", "--topic=events", "--until-end", "--brokers", brokers, "--out"]).arg(&out);
        finish(command, &[])
    };
    for (given, meant) in [
        ("kafka://localhost:9094", "localhost:9094"),
        ("http://localhost:8080/", "localhost:9092"),
        ("localhost:9092/events", "localhost:9092"),
        ("localhost:port", "localhost:9092"),
    ] {
        run(given).exits(2).says(&[given, "HOST:PORT", &format!("as in {meant}")]);
    }
    // Long before the 30 s that a broker is given.
    let began = Instant::now();
    let http = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    run(&http).exits(3).says(&[&http, "an HTTP server answers there"]);
    let tls = answering(b"\x15\x03\x03\x00\x02\x02\x50");
    run(&tls).exits(3).says(&[&tls, "it speaks TLS, and this client does not"]);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(files_under(&out).is_empty(), "nothing is made where there is nothing to read");
}

#[test]
fn a_broker_that_tells_a_name_that_leads_nowhere_is_named_with_it() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let folder = folder();
    let out = folder.path().join("run");
    kafka.make_topic("blind", 1);
    let blind = Topic::at(&kafka.blind_address, "blind", 1);
    let said = ["no-such-host.invalid:9092", &kafka.blind_address, "answers", "advertised.listeners"];
    blind.until_end(&out, &[]).exits(3).says(&said);
    assert!(files_under(&out).is_empty(), "a run that is refused leaves nothing");
}

#[test]
fn topics_that_cannot_be_counted_are_refused() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let folder = folder();
    let out = folder.path().join("run");
    let unknown = Topic::at(&kafka.address, "no-such-topic", 1);
    unknown.until_end(&out, &[]).exits(3).says(&["no-such-topic"]);
    for (name, policy) in [("compacted", "compact"), ("compacted-too", "compact,delete")] {
        let settings = [("cleanup.policy", policy)];
        assert!(create_topic(&kafka.address, &[], name, 1, &settings, SOON).unwrap());
        let compacted = Topic::at(&kafka.address, name, 1);
        compacted.until_end(&out, &[]).exits(3).says(&[name, "compact"]);
    }
    assert!(files_under(&out).is_empty(), "a run that is refused leaves nothing");
}

#[test]
fn properties_that_would_break_a_promise_are_refused() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    for property in ["auto.offset.reset=latest", "group.id=mine", "isolation.level=read_uncommitted"] {
        let name = property.split('=').next().unwrap();
        topic.until_end(&out, &["--kafka", property]).exits(2).says(&[name]);
    }
    topic.until_end(&out, &["--kafka", "no.such.property=1"]).exits(2).says(&["no.such.property"]);
    if !cfg!(feature = "tls") {
        let refused = topic.until_end(&out, &["--kafka", "security.protocol=SSL"]).exits(2);
        refused.says(&["security.protocol", "--features tls"]);
    }
    assert!(files_under(&out).is_empty(), "a run that is refused leaves nothing");
    topic.until_end(&out, &["--kafka", "fetch.wait.max.ms=7"]).exits(0);
}

#[test]
fn what_is_needed_is_asked_for() {
    let folder = folder();
    let out = folder.path().join("run");
    for (given, lacks) in [
        (["--brokers=127.0.0.1:1", "--topic=events"], "out"),
        (["--brokers=127.0.0.1:1", "--lanes=1"], "topic"),
        (["--topic=events", "--lanes=1"], "brokers"),
    ] {
        let mut command = jauge();
        command.arg("run").args(given);
        if lacks != "out" {
            command.arg("--out").arg(&out);
        }
        finish(command, &[]).exits(2).says(&[lacks]);
    }
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&[join("a", 0)]);
    let folder = folder();
    let out = folder.path().join("holiday");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("photo.jpg"), "no data").unwrap();
    topic.until_end(&out, &[]).exits(3).says(&["holiday", "photo.jpg"]);
    assert_eq!(files_under(&out), [out.join("photo.jpg")]);
    let file = out.join("photo.jpg");
    topic.until_end(&file, &[]).exits(3).says(&["photo.jpg"]);
}

#[test]
fn a_topic_made_again_is_no_continuation() {
    let folder = folder();
    let out = folder.path().join("run");
    let (_first, topic) = Topic::embedded(1);
    topic.send_events(&[join("a", 0), leave("a", 1_000)]);
    topic.until_end(&out, &[]).exits(0);
    let (_second, again) = Topic::embedded(1);
    again.send_events(&[join("b", 0)]);
    again.until_end(&out, &[]).exits(3).says(&["events/0"]);
    verified(&out);
}

#[test]
fn a_full_disk_is_waited_for() {
    let Some(unshare) = have(program("unshare")) else { return };
    let (_broker, topic) = Topic::embedded(2);
    let events: Vec<NaiveEvent> = (0..4_000)
        .map(|n| if n % 2 == 0 { join(&(n / 2).to_string(), n) } else { leave(&(n / 2).to_string(), n * 20) })
        .collect();
    topic.send_events(&events);
    let folder = folder();
    let out = folder.path().join("run");
    fs::create_dir(&out).unwrap();
    // The small disk is seen by this script alone: it is filled, and room is made when a line comes in; what was
    // counted is copied out at the end.
    let script = r#"mount -t tmpfs -o size=2m none "$1" || exit 99; out=$1; kept=$2; shift 2
        mkdir "$out/commits"; dd if=/dev/zero of="$out/commits/ballast.part" bs=1k count=1990 2>/dev/null
        { read line; rm "$out/commits/ballast.part"; } <&3 &
        "$@" 3<&-; code=$?; cp -r "$out" "$kept"; exit $code"#;
    let kept = folder.path().join("kept");
    let mut command = Command::new("sh");
    clear_settings(&mut command);
    command.args(["-c", "exec 3<&0; exec \"$@\"", "sh"]).arg(unshare);
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).args([&out, &kept]);
    command.arg(env!("CARGO_BIN_EXE_jauge")).args(["run", "--until-end", "--log-format=json"]);
    command.args(["--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(&out);
    let mut running = Running::start(command);
    let first = running.wait_for("word", |_| true);
    let refused = first.starts_with("unshare:") || first.starts_with("mount:");
    if have(if refused { Err(format!("a mount namespace with a small disk of its own: {first}")) } else { Ok(()) })
        .is_none()
    {
        return;
    }
    if !first.contains("Waiting for room") {
        running.wait_for("word about the disk", |line| line.contains("Waiting for room"));
    }
    running.child.stdin.take().unwrap().write_all(b"there is room\n").unwrap();
    running.wait_for("word about the room", |line| line.contains("room on the disk again"));
    running.exits(0, SOON);
    let expected = reference::settled(&events, RULES);
    Tables::assert_equal(&expected, &data_directory::read(&kept), "a disk that was full");
    assert_eq!(ledger(&kept, "read"), 4_000);
    verified(&kept);
}

#[test]
fn a_full_disk_does_not_hold_a_stop() {
    let Some(unshare) = have(program("unshare")) else { return };
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&(0..2_000).map(|n| join(&n.to_string(), n)).collect::<Vec<_>>());
    let folder = folder();
    let out = folder.path().join("run");
    fs::create_dir(&out).unwrap();
    let script = r#"mount -t tmpfs -o size=2m none "$1" || exit 99; out=$1; shift
        mkdir "$out/commits"; dd if=/dev/zero of="$out/commits/ballast.part" bs=1k count=1990 2>/dev/null; exec "$@""#;
    let mut command = Command::new(unshare);
    clear_settings(&mut command);
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&out);
    command.arg(env!("CARGO_BIN_EXE_jauge")).args(["run", "--commit-interval=20ms", "--log-format=json"]);
    command.args(["--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(&out);
    let mut running = Running::start(command);
    let first = running.wait_for("word", |_| true);
    let refused = first.starts_with("unshare:") || first.starts_with("mount:");
    if have(if refused { Err(format!("a mount namespace with a small disk of its own: {first}")) } else { Ok(()) })
        .is_none()
    {
        return;
    }
    if !first.contains("Waiting for room") {
        running.wait_for("word about the disk", |line| line.contains("Waiting for room"));
    }
    running.signal("TERM");
    // What could not be committed is read again, so nothing is lost; but it was not committed, and
    // the exit code says so.
    running.exits(3, Duration::from_secs(30));
}
