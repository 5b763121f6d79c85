//! What comes over a bad network, and from a broker that hangs, dies and comes back: late, perhaps, but whole and once.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::proxy::{Proxy, Weather};
use super::{Running, SOON, Topic, join, leave, ledger, settled, verified, wait_until};
use crate::kafka::RealKafka;
use crate::reference::NaiveEvent;
use crate::support::{folder, have};

/// Some hundred viewers from the `first` on, who come and go.
fn crowd(first: i64, viewers: i64) -> Vec<NaiveEvent> {
    let come = (first..first + viewers).map(|n| join(&format!("v-{n}"), n * 10));
    let go = (first..first + viewers).map(|n| leave(&format!("v-{n}"), n * 10 + 50_000));
    come.chain(go).collect()
}

/// A topic, a proxy before its broker, and a run that goes through it.
struct Scene {
    folder: tempfile::TempDir,
    direct: Topic,
    proxy: Proxy,
    running: Running,
    sent: Vec<NaiveEvent>,
}

impl Scene {
    fn new(kafka: &RealKafka, name: &str) -> Scene {
        let (folder, proxy) = (folder(), Proxy::before(kafka));
        kafka.make_topic(name, 2);
        // Not compressed, so that a proxy can see what it does to the records.
        let mut direct = Topic::at(&kafka.address, name, 2);
        let plain = [("compression.type".to_owned(), "none".to_owned())];
        direct.producer = ingester::producer::Producer::connect(&kafka.address, &plain).unwrap();
        let running = Scene::run(&proxy, name, &folder.path().join("run"));
        Scene { folder, direct, proxy, running, sent: Vec::new() }
    }

    fn run(proxy: &Proxy, name: &str, out: &Path) -> Running {
        let through = Topic::at(&proxy.address, name, 2);
        // A request is given up after 2 s instead of a minute, so that nobody has to wait so long
        // for what is to be seen.
        Running::of(&through, out, &["--idle-after=1h", "--kafka", "socket.timeout.ms=2000"])
    }

    fn send(&mut self, events: Vec<NaiveEvent>) {
        self.direct.send_events(&events);
        self.sent.extend(events);
    }

    /// Waits until all that was sent is committed.
    #[track_caller]
    fn wait(&mut self) {
        self.running.wait_until_read(i64::try_from(self.sent.len()).unwrap());
    }

    /// Waits until the weather has done some harm.
    #[track_caller]
    fn wait_for_harm(&self, harm: u64) {
        let began = Instant::now();
        wait_until("harm", SOON, || {
            assert!(began.elapsed() < SOON / 2, "{} of {harm}:\n{}", self.proxy.harmed(), self.running.said());
            (self.proxy.harmed() >= harm).then_some(())
        });
    }

    /// Stops the run, and holds what it settles against the reference.
    #[track_caller]
    fn end(self, context: &str) {
        self.running.stop();
        settled(&self.direct, &self.folder.path().join("run"), &self.sent, context);
    }
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let mut scene = Scene::new(kafka, "broken");
    scene.send(crowd(0, 50));
    scene.wait();
    for (number, weather) in (1..).zip([Weather::Cut, Weather::Reset, Weather::Cut, Weather::Reset]) {
        let harmed = scene.proxy.harmed();
        scene.proxy.set(weather);
        scene.send(crowd(number * 1_000, 300));
        scene.wait_for_harm(harmed + 2);
        scene.proxy.set(Weather::Fair);
        scene.wait();
    }
    scene.end("connections cut in the middle of answers, and reset");
}

#[test]
fn a_silence_of_the_network_loses_nothing() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let mut scene = Scene::new(kafka, "still");
    scene.send(crowd(0, 50));
    scene.wait();
    // Longer than a request may take, and without a word about any end of a connection.
    for (number, weather) in (1..).zip([Weather::Stalled, Weather::Silent]) {
        scene.proxy.set(weather);
        scene.send(crowd(number * 1_000, 300));
        scene.running.wait_for("word about the broker", |line| line.contains("Waiting for it"));
        let read = ledger(&scene.folder.path().join("run"), "read");
        assert!(read < i64::try_from(scene.sent.len()).unwrap(), "nothing came through, but all is there");
        scene.proxy.set(Weather::Fair);
        scene.wait();
    }
    scene.end("a network that stalled, and one that was half open");
}

#[test]
fn a_slow_network_is_waited_for_without_work() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let mut scene = Scene::new(kafka, "slow");
    scene.send(crowd(0, 50));
    scene.wait();
    let (passed, began, worked) = (scene.proxy.passed(), Instant::now(), cpu(&scene.running));
    scene.proxy.set(Weather::Slow(1_000));
    scene.send(crowd(1_000, 10));
    scene.wait();
    let seconds = began.elapsed().as_secs_f64();
    let bytes = scene.proxy.passed() - passed;
    assert!(bytes > 1_500 && seconds > 1.0, "{bytes} bytes in {seconds} s are no slow network");
    let worked = cpu(&scene.running) - worked;
    assert!(worked < Duration::from_secs_f64(0.5 + seconds / 4.0), "{worked:?} of work in {seconds} s of waiting");
    scene.proxy.set(Weather::Far(Duration::from_millis(250)));
    scene.send(crowd(2_000, 300));
    scene.wait();
    scene.proxy.set(Weather::Fair);
    scene.end("1 kB/s, and half a second there and back");
}

/// Time that a process has spent on a CPU.
fn cpu(running: &Running) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.child.id())).unwrap();
    // After the name in brackets: user and system time are the 12th and 13th, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis(fields[11..=12].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
}

#[test]
fn flipped_bits_are_never_counted() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let mut scene = Scene::new(kafka, "flipped");
    let out = scene.folder.path().join("run");
    scene.send(crowd(0, 50));
    scene.wait();
    for round in 1..4 {
        let (read, harmed) = (ledger(&out, "read"), scene.proxy.harmed());
        // `"v-7"` becomes `"v,7"`: still an event, of somebody who never was. Only the checksum of the batch can tell.
        scene.proxy.set(Weather::Garbled("\"v"));
        scene.send(crowd(round * 1_000, 300));
        scene.wait_for_harm(harmed + 100);
        if round == 1 {
            scene.running.wait_for("word about damage", |line| line.contains("CRC") && line.contains("fetched again"));
        }
        assert_eq!(ledger(&out, "read"), read, "nothing of what was damaged, or behind it");
        // The record in the broker is whole.
        scene.proxy.set(Weather::Fair);
        scene.wait();
    }
    scene.end("bits that flipped on the way");
}

#[test]
fn what_comes_damaged_again_and_again_ends_the_run() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let mut scene = Scene::new(kafka, "damaged");
    scene.send(crowd(0, 50));
    scene.wait();
    scene.proxy.set(Weather::Garbled("\"v"));
    scene.send(crowd(1_000, 300));
    let out = scene.folder.path().join("run");
    let Scene { folder: _folder, direct, proxy, running, sent } = scene;
    let refused = running.exits(4, SOON);
    assert!(refused.contains("damaged/") && refused.contains("CRC"), "{refused}");
    assert_eq!(ledger(&out, "read"), 100, "nothing of what was damaged");
    proxy.set(Weather::Fair);
    let mut again = Scene::run(&proxy, "damaged", &out);
    again.wait_until_read(i64::try_from(sent.len()).unwrap());
    again.stop();
    settled(&direct, &out, &sent, "damage that did not end");
}

#[test]
fn a_broker_that_hangs_dies_and_comes_back_is_waited_for() {
    let Some(kafka) = have(RealKafka::start()) else { return };
    let folder = folder();
    let out = folder.path().join("run");
    let topic = Topic::of(&kafka, "hanging", 2);
    let mut sent = crowd(0, 50);
    topic.send_events(&sent);
    let flags = ["--idle-after=1h", "--kafka", "socket.timeout.ms=2000"];
    let mut running = Running::of(&topic, &out, &flags);
    running.wait_until_read(100);

    kafka.signal("STOP");
    running.wait_for("word about a broker that hangs", |line| line.contains("Waiting for it"));
    kafka.signal("CONT");
    let more = crowd(1_000, 50);
    topic.send_events(&more);
    sent.extend(more);
    running.wait_until_read(200);

    kafka.kill();
    running.wait_for("word about a broker that died", |line| line.contains("Waiting for it"));
    kafka.start_again();
    let topic = Topic::at(&kafka.address, "hanging", 2);
    let more = crowd(2_000, 50);
    topic.send_events(&more);
    sent.extend(more);
    running.wait_until_read(300);

    // A stop does not wait for a broker, and a second signal for nothing.
    kafka.signal("STOP");
    running.stop();
    kafka.signal("CONT");
    verified(&out);
    let mut running = Running::of(&topic, &out, &flags);
    running.wait_for("sign of going on", |line| line.contains("Going on"));
    kafka.signal("STOP");
    running.signal("TERM");
    running.signal("INT");
    let (code, said) = running.ends(Duration::from_secs(30));
    assert!(matches!(code, Some(0 | 130)), "exit {code:?}: {said}");
    kafka.signal("CONT");
    settled(&topic, &out, &sent, "a broker that hung, died and came back");
}
