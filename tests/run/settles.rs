//! What a run settles equals the reference, the oracle and the replay of the same events in every cell, however they
//! lie in topics and partitions; and the live curve equals the settled one where nothing was late and nothing lapsed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::health::{address, get, metric};
use super::{
    RULES, Running, SOON, Topic, join, leave, line, live_is_settled, place, strs, verified, wait_until, with_rules,
};
use crate::data_directory;
use crate::kafka::RealKafka;
use crate::oracle::oracle;
use crate::random_events::{Chance, Scene};
use crate::reference::{self, Kind, NaiveEvent, Rules};
use crate::replay::flags;
use crate::support::{folder, have, replay, seeds};
use crate::tables::Tables;

/// A night of three broadcasts in the order of arrival.
pub(super) fn night(options: &simulator::NightOptions) -> Vec<NaiveEvent> {
    let arrivals = simulator::generate(options).unwrap();
    let mut bytes = Vec::new();
    let parsed = |arrival: simulator::Arrival| {
        bytes.clear();
        arrival.event.write_json(&mut bytes);
        parse(&bytes)
    };
    arrivals.map(parsed).collect()
}

/// Events from their lines.
pub(super) fn parsed<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<NaiveEvent> {
    lines.into_iter().map(parse).collect()
}

fn parse(line: &[u8]) -> NaiveEvent {
    let fields: Value = serde_json::from_slice(line).unwrap();
    let text = |name: &str| match &fields[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let kind = match fields["type"].as_str().unwrap() {
        "join" => Kind::Join,
        "heartbeat" => Kind::Heartbeat,
        "leave" => Kind::Leave,
        "retweet" => Kind::Retweet,
        "end" => Kind::End,
        other => panic!("{other} is no type"),
    };
    NaiveEvent {
        kind,
        broadcast: text("broadcast_id").unwrap(),
        ts: fields["ts"].as_i64().unwrap(),
        viewer: text("viewer_id").unwrap_or_default(),
        session: text("session_id"),
        via: text("via").filter(|_| kind == Kind::Join),
        tweet: text("tweet_id").unwrap_or_default(),
        user: text("user_id").unwrap_or_default(),
        followers: fields["followers"].as_i64(),
        retweet_of: text("retweet_of"),
    }
}

/// A rough night: disorder, duplicates, lost leaves, late events, signs of life.
pub(super) fn rough() -> simulator::NightOptions {
    simulator::NightOptions {
        seed: 5,
        broadcasts: 3,
        scale: 0.003,
        retweets: 40,
        lost_leaves: 0.1,
        heartbeat_ms: Some(120_000),
        disorder_ms: 20_000,
        duplicates: 0.05,
        late: 0.02,
        ..simulator::NightOptions::default()
    }
}

/// A night on a perfect network, but for some disorder that the lateness forgives.
pub(super) fn smooth(seed: u64) -> simulator::NightOptions {
    simulator::NightOptions { lost_leaves: 0.0, heartbeat_ms: None, late: 0.0, duplicates: 0.03, seed, ..rough() }
}

#[test]
fn a_rough_night_is_what_everybody_says() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let (folder, events) = (folder(), night(&rough()));
    let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 10_000, ..RULES };
    let mut expected = reference::settled(&events, rules);
    let topic = Topic::of(kafka, "rough-night", 5);
    let (mut chance, mut next, mut lines) = (Chance::new(5), [0_i64; 5], Vec::new());
    for event in &events {
        let place = place(event, 5);
        let offset = &mut next[usize::try_from(place).unwrap()];
        let mut records = vec![line(event)];
        if chance.one_in(200) {
            records.insert(0, r#"{"type":"join","broadcast_id":"nuit-debout"}"#.to_owned());
            expected.rejected.push(["rough-night", &offset.to_string(), "missing_field", "ts"].map(str::to_owned));
            expected.ledger.rejected += 1;
            expected.ledger.read += 1;
        }
        for record in records {
            topic.send(place, Some(record.as_bytes()));
            *offset += 1;
            lines.push(record);
        }
    }
    topic.flush();

    let out = folder.path().join("run");
    topic.until_end(&out, &strs(&with_rules(rules, &[]))).exits(0);
    let found = data_directory::read(&out);
    Tables::assert_equal(&expected, &found, "a night through Kafka is not what the reference says");
    verified(&out);

    let file = folder.path().join("events.ndjson");
    fs::write(&file, lines.join("\n")).unwrap();
    let replayed = folder.path().join("replay");
    replay([&file], &replayed, flags(rules)).exits(0);
    let but_rejected = |tables: Tables| Tables { rejected: expected.rejected.clone(), ..tables };
    let replayed = but_rejected(data_directory::read(&replayed));
    Tables::assert_equal(&replayed, &found, "a night through Kafka is not what its replay says");
    let Some(oracle) = have(oracle()) else { return };
    let said = but_rejected(oracle.tables(&[file], rules));
    Tables::assert_equal(&said, &found, "a night through Kafka is not what the oracle says");
}

#[test]
fn random_events_settle_as_the_reference_says() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    for seed in seeds(12) {
        let (scene, folder, mut chance) = (Scene::new(seed), folder(), Chance::new(seed));
        let names = [format!("random-{seed}-a"), format!("random-{seed}-b")];
        let topics = [Topic::of(kafka, &names[0], 3), Topic::of(kafka, &names[1], 2)];
        for line in scene.lines() {
            let topic = chance.pick(&topics);
            let partition = chance.below(usize::try_from(topic.partitions).unwrap());
            topic.send(i32::try_from(partition).unwrap(), Some(line.as_bytes()));
        }
        topics.iter().for_each(Topic::flush);
        let out = folder.path().join("run");
        let lateness = *chance.pick(&["--lateness=0s", "--lateness=30s", "--lateness=30d"]);
        let lanes = *chance.pick(&["--lanes=1", "--lanes=2", "--lanes=4"]);
        let drift = *chance.pick(&["--max-drift=1s", "--max-drift=1h"]);
        let more = ["--topic", &names[1], lateness, lanes, drift];
        topics[0].until_end(&out, &strs(&with_rules(scene.rules, &more))).exits(0);
        check(&scene.events, scene.rules, &out, &format!("seed {seed} under {:?} with {more:?}", scene.rules));
    }
}

#[track_caller]
fn check(events: &[NaiveEvent], rules: Rules, out: &Path, context: &str) {
    let expected = reference::settled(events, rules);
    Tables::assert_equal(&expected, &data_directory::read(out), context);
    verified(out);
}

#[test]
fn the_live_curve_of_a_smooth_night_is_the_settled_one() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    for (seed, partitions) in [(1, 4), (2, 1)] {
        let (folder, events) = (folder(), night(&smooth(seed)));
        let topic = Topic::of(kafka, &format!("smooth-night-{seed}"), partitions);
        topic.send_events(&events);
        let out = folder.path().join("run");
        topic.until_end(&out, &["--lateness=30s"]).exits(0);
        let context = format!("smooth night of seed {seed}");
        check(&events, RULES, &out, &context);
        live_is_settled(&out, &context);
    }
}

#[test]
fn the_live_curve_of_ordered_random_events_is_the_settled_one() {
    for seed in seeds(12) {
        let (broker, topic) = Topic::embedded(3);
        let mut scene = Scene::new(seed);
        let broadcast_idle_ms = 30 * 24 * 3_600_000;
        scene.rules = Rules { broadcast_idle_ms, session_timeout_ms: 0, timeout_grace_ms: 0, ..scene.rules };
        // An end for each broadcast after all else, so that nothing lapses.
        let mut last: BTreeMap<String, NaiveEvent> = BTreeMap::new();
        for event in &scene.events {
            let ts = event.ts.max(last.get(&event.broadcast).map_or(0, |end| end.ts));
            let end = NaiveEvent { kind: Kind::End, ts, ..leave("", 0) };
            last.insert(event.broadcast.clone(), NaiveEvent { broadcast: event.broadcast.clone(), ..end });
        }
        scene.events.extend(last.into_values().map(|end| NaiveEvent { ts: end.ts + 1, ..end }));
        // In order nothing is late, and within 30 days of disorder nothing is either.
        let lateness = if seed % 2 == 0 {
            scene.events.sort_by_key(|event| event.ts);
            "--lateness=0s"
        } else {
            "--lateness=30d"
        };
        topic.send_events(&scene.events);
        let folder = folder();
        let out = folder.path().join("run");
        let drift = if seed % 3 == 0 { "--max-drift=1s" } else { "--max-drift=1h" };
        topic.until_end(&out, &strs(&with_rules(scene.rules, &[lateness, drift]))).exits(0);
        let context = format!("seed {seed}, {lateness}");
        check(&scene.events, scene.rules, &out, &context);
        live_is_settled(&out, &context);
        drop(broker);
    }
}

/// What waits for a partition that says nothing takes no more memory than it may.
#[test]
fn what_waits_for_a_partition_is_bounded_in_bytes() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "held", 2);
    let folder = folder();
    let out = folder.path().join("run");
    topic.send(0, Some(line(&join("first", 0)).as_bytes()));
    let flags = ["--listen=127.0.0.1:0", "--lateness=0s", "--idle-after=1h", "--memory=8MiB"];
    let mut running = Running::of(&topic, &out, &flags);
    let address = address(&mut running);
    let status = || serde_json::from_str::<Value>(&get(&address, "/status").1).unwrap();
    // Of 50 minutes, all of which `max_drift` alone would have wait.
    let mut sent = 0;
    while sent < 300_000 {
        for n in sent..sent + 10_000 {
            topic.send(1, Some(line(&join(&format!("v-{}", n % 1_000), n * 10)).as_bytes()));
        }
        topic.flush();
        sent += 10_000;
        let is_settled = |one: &Value| one["paused"] == true || one["position"] == sent;
        wait_until("reading", SOON, || Some(status()["partitions"][1].clone()).filter(is_settled));
    }
    let one = status()["partitions"][1].clone();
    let read = one["position"].as_i64().unwrap();
    let held = metric(&get(&address, "/metrics").1, "jauge_held_bytes").unwrap();
    assert!(one["paused"] == true && (20_000..90_000).contains(&read), "{read} events of 48 bytes read");
    assert!((2e6..5e6).contains(&held), "{held} bytes held: a quarter of 8 MiB, and what came before that was seen");

    topic.send(0, Some(line(&leave("first", sent * 10)).as_bytes()));
    topic.flush();
    running.wait_until_read(sent + 2);
    let is_free = || (metric(&get(&address, "/metrics").1, "jauge_held_bytes")? < 2e6).then_some(());
    wait_until("end of the waiting", SOON, is_free);
    running.stop();
    verified(&out);
}

/// A partition that is hours ahead of another is not read far ahead: and so, though the slow one is
/// long, nothing is late.
#[test]
fn a_partition_far_ahead_waits_for_the_others() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "drift", 2);
    let mut events = Vec::new();
    let minutes = 300_i64;
    let everyone: Vec<String> = (0..60).map(|n| format!("viewer {n}")).collect();
    // The viewers of one partition have come and gone hours before those of the other come.
    for (number, viewer) in (0..).zip(&everyone) {
        let hours = i64::from(place(&join(viewer, 0), 2)) * 4 * 3_600_000;
        for minute in 0..minutes {
            let at = hours + minute * 60_000 + number * 17;
            let one = if minute % 2 == 0 { join(viewer, at) } else { leave(viewer, at) };
            events.push(one);
        }
    }
    events.push(NaiveEvent { kind: Kind::End, ..leave("", 10 * 3_600_000) });
    events.sort_by_key(|event| event.ts);
    topic.send_events(&events);
    let folder = folder();
    let out = folder.path().join("run");
    topic.until_end(&out, &["--max-drift=1min", "--lateness=0s", "--commit-interval=50ms"]).exits(0);
    check(&events, RULES, &out, "a partition hours ahead");
    live_is_settled(&out, "a partition hours ahead");
}
