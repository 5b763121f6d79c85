//! What a run tells over HTTP: whether it lives and is ready, what it is doing, and its numbers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::{Running, SOON, Topic, join, leave, wait_until};
use crate::support::{finish, folder, root};

/// Where a run says that it answers.
pub(super) fn address(running: &mut Running) -> String {
    let said = running.wait_for("address", |line| line.contains("http://"));
    let rest = said.split("http://").nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// The answer to a GET: its status and its body.
pub(super) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: jauge\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The value of one line of the metrics.
pub(super) fn metric(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|said| said.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn a_run_says_how_far_it_is_and_when_its_broker_is_gone() {
    let (broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0), join("b", 1_000), leave("a", 90_000)]);
    topic.send(0, Some(b"no event"));
    topic.flush();
    let mut running = Running::of(&topic, &out, &["--listen=127.0.0.1:0", "--lateness=0s", "--idle-after=0s"]);
    let address = address(&mut running);
    wait_until("ready run", SOON, || (get(&address, "/readyz") == (200, "ok\n".to_owned())).then_some(()));
    running.wait_until_read(4);

    // All is read, durable, and applied.
    let text = wait_until("durable records", SOON, || {
        let (_, text) = get(&address, "/metrics");
        let is = |line: &str, value: f64| metric(&text, line) == Some(value);
        let records = is("jauge_records_total{outcome=\"accepted\"}", 3.0)
            && is("jauge_records_total{outcome=\"rejected\"}", 1.0);
        (records && is("jauge_sessions_open", 1.0)).then_some(text)
    });
    for partition in 0..2 {
        for what in ["jauge_lag_records", "jauge_durable_lag_records"] {
            let line = format!("{what}{{topic=\"events\",partition=\"{partition}\"}}");
            assert_eq!(metric(&text, &line), Some(0.0), "{line}\n{text}");
        }
    }
    assert!(metric(&text, "jauge_commit_duration_seconds_count").is_some_and(|count| count >= 1.0), "{text}");
    assert_eq!(metric(&text, "jauge_events{state=\"not_yet_settled\"}"), Some(3.0), "{text}");
    are_documented(&text);
    let (code, status) = get(&address, "/status");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((code, &status["phase"], &status["ledger"]["read"]), (200, &"running".into(), &4.into()), "{status}");
    assert_eq!(status["partitions"].as_array().map(Vec::len), Some(2), "{status}");
    assert_eq!(get(&address, "/livez"), (200, "ok\n".to_owned()));

    // Without its broker it lives, and is not ready.
    drop(broker);
    let waits = || (get(&address, "/readyz") == (503, "it waits for the broker\n".to_owned())).then_some(());
    wait_until("word about the broker", SOON, waits);
    assert_eq!(get(&address, "/livez").0, 200);
    assert_eq!(metric(&get(&address, "/metrics").1, "jauge_waiting{for=\"broker\"}"), Some(1.0));
    running.stop();
}

/// Panics unless the metrics are those that docs/operations.md lists.
fn are_documented(text: &str) {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let said: BTreeSet<String> = families
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let is_metric = |name: &&str| ["jauge_", "process_"].iter().any(|prefix| name.starts_with(prefix));
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(said, listed.filter(is_metric).map(str::to_owned).collect());
}

#[test]
fn an_address_that_is_taken_is_refused_before_anything_is_made() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let _held = std::net::TcpListener::bind(&taken).unwrap();
    for (address, why) in [(taken.as_str(), "cannot listen on"), ("nowhere", "cannot listen on nowhere")] {
        let ran = finish(topic.command(&out, &["--listen", address]), &[]).exits(3);
        ran.says(&[why, "--listen", "127.0.0.1:9464"]);
        assert!(!out.exists(), "nothing is made");
    }
}
