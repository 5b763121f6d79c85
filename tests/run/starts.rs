//! What a run says of itself: at its start what it reads and from where, at its end why it stops.

use serde_json::{Value, json};

use super::{Running, Topic, join};
use crate::support::folder;

/// Waits for the line of this kind.
fn said(running: &mut Running, event: &str) -> Value {
    let of_it = |line: &str| serde_json::from_str(line).ok().filter(|line: &Value| line["event"] == event);
    of_it(&running.wait_for(event, |line| of_it(line).is_some())).unwrap()
}

#[test]
fn what_is_read_is_said_at_the_start_and_at_the_end_why_it_stops() {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let out = folder.path().join("run");
    // Nobody has to wait for a commit to learn that nothing is there.
    let mut running = Running::of(&topic, &out, &[]);
    let empty = |partition: i32| json!({ "partition": partition, "from": 0, "to": 0, "new": true });
    let reading = said(&mut running, "reading");
    assert_eq!(reading["partitions"], json!([empty(0), empty(1)]));
    let message = "Reading events from its beginning, 2 partitions: 0 from offset 0 of 0, 1 from offset 0 of 0. \
                   Nothing is there to be read yet.";
    assert_eq!(reading["message"], message);

    topic.send_events(&[join("a", 0), join("a", 1_000), join("a", 2_000)]);
    running.wait_until_read(3);
    running.signal("TERM");
    said(&mut running, "stopping");
    running.exits(0, super::SOON);

    topic.send_events(&[join("a", 3_000)]);
    let ran = topic.until_end(&out, &[]).exits(0);
    ran.says(&[
        " from offset 3 of 4",
        " from offset 0 of 0",
        "1 record is there to be read.",
        "Everything is read, up to where the topics ended at the start",
    ]);
}
