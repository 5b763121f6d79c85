//! Event time that runs on by the clock, on a topic on which nothing comes any more: it goes on over a
//! stop, and over a crash.

use super::{Running, SOON, T, Topic, join, newest_manifest, verified, wait_until};
use crate::support::folder;

/// The watermark of the newest manifest, in ms after [`T`].
fn watermark(out: &std::path::Path) -> i64 {
    newest_manifest(out).and_then(|manifest| manifest["watermark"].as_i64()).unwrap_or(T) - T
}

#[test]
fn an_idle_run_says_how_far_it_is_and_goes_on_from_there_after_a_crash() {
    let (_broker, topic) = Topic::embedded(2);
    topic.send_events(&[join("a", 0), join("b", 1)]);
    let folder = folder();
    let out = folder.path().join("run");
    let flags = ["--lateness=0s", "--idle-after=0s", "--settle-interval=0s"];
    // No minute closes, and nothing comes: only time goes on.
    let mut running = Running::of(&topic, &out, &flags);
    running.wait_until_read(2);
    wait_until("watermark beyond the events", SOON, || (watermark(&out) >= 1_500).then_some(()));
    drop(running);
    let stood = watermark(&out);
    let again = Running::of(&topic, &out, &flags);
    wait_until("watermark beyond the crash", SOON, || (watermark(&out) >= stood + 1_500).then_some(()));
    drop(again);
    verified(&out);
}

#[test]
fn a_stop_says_how_far_it_is() {
    let (_broker, topic) = Topic::embedded(1);
    // The minute closes soon after the last event: by the clock alone.
    topic.send_events(&[join("a", 0), join("b", 59_500)]);
    let folder = folder();
    let out = folder.path().join("run");
    let mut running = Running::of(&topic, &out, &["--lateness=0s", "--idle-after=0s", "--settle-interval=1h"]);
    running.wait_until_read(2);
    wait_until("closed minute", SOON, || (watermark(&out) >= 60_000).then_some(()));
    let (stood, commits) = (watermark(&out), newest_manifest(&out).unwrap()["number"].clone());
    running.stop();
    assert!(watermark(&out) > stood, "{stood} after the commit {commits}");
    verified(&out);
    // Nobody read anything since: what stands is what was said.
    let stood = watermark(&out);
    let mut running = Running::of(&topic, &out, &["--lateness=0s", "--idle-after=1h", "--settle-interval=1h"]);
    running.wait_for("word of the start", |line| line.contains("Going on after commit"));
    running.stop();
    assert_eq!(watermark(&out), stood, "without an idle partition time stands, where it stood");
    verified(&out);
}
