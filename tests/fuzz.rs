//! The fuzz targets as plain tests: the committed corpus, and mutations of it by a seed. What fails is
//! kept as a file and named.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use aggregator::{FrozenLane, Gap, LiveAlone};
use audience::{Details, Event, Kind, Ms, NO_DETAIL, RetweetDetail};
use exporter::{Head, PartitionLane, write_snapshot};

use crate::random_events::Chance;
use crate::support::{NO_FLAGS, files_under, finish, folder, jauge, knob, replay, root, say};

#[path = "../fuzz/targets.rs"]
mod targets;

/// What a target begins with.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let seeds: Vec<Vec<u8>> =
        files_under(&root().join("fuzz/corpus").join(target)).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "fuzz/corpus/{target} is empty");
    seeds
}

/// Words at which readers stumble.
const WORDS: [&[u8]; 21] = [
    b"null",
    b"\"\"",
    b"-1",
    b"0",
    b"1e400",
    b".0",
    b"\"1459711860000\"",
    b"23:59:60",
    b"+2359",
    b"\xef\xbb\xbf",
    b"18446744073709551616",
    b"\\ud800",
    b"\xff\xfe",
    b"\0",
    b"{",
    b"}",
    b"[",
    b"\"",
    b"\n",
    b"../",
    b"\xf0\x9f\x98\x80",
];

/// Numbers at which readers of bytes stumble.
const NUMBERS: [i64; 8] = [0, 1, -1, i64::MIN, i64::MAX, 1 << 31, 1 << 40, u32::MAX as i64];

/// Bytes changed in one to four ways: flipped, cut, doubled, joined with others, or with a word or a
/// number in their middle.
fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.pick(seeds).clone();
    // Half of them keep their length, which formats with places and lengths inside need to be read on.
    let first = if chance.one_in(2) { 5 } else { 0 };
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let to = at + chance.below(bytes.len() - at + 1).min(64);
        match first + chance.below(9 - first) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
            3 => drop(bytes.splice(at..to, chance.pick(&WORDS).to_vec())),
            4 => {
                let other = chance.pick(seeds);
                let from = chance.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 => {
                let number = chance.pick(&NUMBERS).to_le_bytes();
                let at = at & !3;
                let len = chance.pick(&[4, 8]).min(&(bytes.len() - at)).to_owned();
                bytes[at..at + len].copy_from_slice(&number[..len]);
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            _ => {}
        }
    }
    bytes
}

/// Gives a target what it begins with, and mutations of it: so many in `make test`, so many times as many in
/// `make soak`. Some are used, or the target would only ever be at the door.
#[track_caller]
fn feed(target: &str, seeds: &[Vec<u8>], few: u64, take: impl Fn(&[u8]) -> bool) {
    let (count, began) = (few * knob("JAUGE_FUZZ", 1), Instant::now());
    let mut chance = Chance::new(knob("JAUGE_FUZZ_SEED", 9));
    let inputs = seeds.iter().cloned().chain((0..count).map(|_| mutated(seeds, &mut chance)));
    let (mut used, mut refused) = (0_u64, 0_u64);
    for (number, input) in inputs.enumerate() {
        match catch_unwind(AssertUnwindSafe(|| take(&input))) {
            Ok(true) => used += 1,
            Ok(false) => refused += 1,
            Err(_) => {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{number}"));
                fs::write(&kept, &input).unwrap();
                panic!("{target}: input {number} fails; it is kept in {}", kept.display());
            }
        }
    }
    if std::env::var_os("JAUGE_FUZZ").is_some() {
        let (seeds, took) = (seeds.len(), began.elapsed().as_secs_f64());
        say(&format!("fuzz: {target}: {count} mutations of {seeds}: {used} used, {refused} refused; {took:.0} s"));
    }
    assert!(used > count / 1_000 && refused > count / 1_000, "{target}: {used} used, {refused} refused");
}

/// Keeps what a target begins with where `fuzz/run` looks for it: what this version writes is no part of the corpus.
fn keep(target: &str, seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("JAUGE_FUZZ_SEEDS") else { return };
    let folder = Path::new(&folder).join(target);
    fs::create_dir_all(&folder).unwrap();
    seeds.iter().enumerate().for_each(|(number, seed)| fs::write(folder.join(number.to_string()), seed).unwrap());
}

#[test]
fn any_bytes_are_an_event_or_a_rejection() {
    feed("decoder", &corpus("decoder"), 100_000, targets::decoder);
}

#[test]
fn any_bytes_are_a_manifest_or_damage() {
    feed("manifest", &corpus("manifest"), 1_000, targets::manifest);
}

#[test]
fn any_bytes_are_a_request_or_none() {
    feed("requests", &corpus("requests"), 10_000, targets::requests);
}

#[test]
fn any_bytes_are_keys_or_damage() {
    feed("keys", &corpus("keys"), 10_000, targets::keys);
}

#[test]
fn any_bytes_are_a_snapshot_or_none() {
    let made = [snapshot(0), snapshot(40), snapshot(400)];
    assert!(made.iter().all(|bytes| targets::snapshot(bytes)), "what is written is read");
    keep("snapshot", &made);
    feed("snapshot", &[&made[..], &corpus("snapshot")].concat(), 5_000, targets::snapshot);
}

/// A snapshot after so many events in two lanes: open sessions and known viewers, airings, ends, retweets, late
/// events, a frontier, gaps.
fn snapshot(events: u32) -> Vec<u8> {
    const NOW: Ms = 1_459_711_860_000;
    let mut alone = LiveAlone::new(targets::RULES, 2);
    let gap = |before: Ms, after: Option<Ms>| Gap {
        before: Some(NOW + before),
        after: after.map(|after| NOW + after),
        is_beginning: false,
    };
    let step = 1_600_000 / Ms::from(events.max(1));
    if events > 0 {
        alone.live.set_gaps(&[gap(100_000, Some(160_000)), gap(1_400_000, None)]);
    }
    let mut details = Details::new();
    for n in 0..events {
        let (at, viewer) = (NOW + Ms::from(n) * step, u128::from(n % 31) + 1);
        // The second broadcast falls silent; some events are late.
        let broadcast = if n % 3 == 0 && n < events / 2 { 1 } else { 0 };
        let ts = if n % 11 == 10 { at - 60_000 } else { at };
        let event = match n % 20 {
            7 => {
                let id = n.to_string();
                let tweet = RetweetDetail { tweet_id: &id, user_id: "u", followers: Some(3), retweet_of: None };
                let detail = details.push(audience::Detail::Retweet(tweet));
                Event::new(Kind::Retweet, broadcast, u128::from(n) << 70, 0, ts, detail)
            }
            19 if n % 200 == 199 => Event::new(Kind::End, broadcast, 0, 0, ts, NO_DETAIL),
            _ => {
                let kind = [Kind::Join, Kind::Join, Kind::Heartbeat, Kind::Leave][n as usize % 4];
                Event::new(kind, broadcast, viewer, viewer, ts, NO_DETAIL)
            }
        };
        alone.lanes[n as usize % 2].push(event, &details);
        if n % 9 == 8 {
            alone.advance(at - 5_000);
        }
    }
    for due in alone.live.due() {
        alone.set_frontier(due.broadcast, due.frontier);
    }
    alone.advance(NOW + 1_600_000);
    let rules = targets::RULES.into();
    let partition = |n| PartitionLane { topic: "events".into(), partition: n, lane: usize::from(n == 1) };
    let partitions = (0..3).map(partition).collect();
    let head = Head { commit: 7, watermark: alone.live.watermark(), rules, lanes: 2, partitions, held_from: 6 };
    let frozen: Vec<FrozenLane> = alone.lanes.iter().map(|lane| lane.freeze().unwrap()).collect();
    let names = ["b1", "é"].map(Arc::from);
    let mut bytes = Vec::new();
    write_snapshot(&mut bytes, &head, &names, frozen, &alone.live.snapshot()).unwrap();
    bytes
}

#[test]
fn any_bytes_are_rows_or_damage() {
    let folder = folder();
    let (events, out) = (folder.path().join("events.ndjson"), folder.path().join("out"));
    let lines = corpus("decoder").concat();
    fs::write(&events, lines).unwrap();
    replay([events], &out, NO_FLAGS).exits(0);
    let is_table = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
    let files: Vec<Vec<u8>> =
        files_under(&out).iter().filter(|path| is_table(path)).map(|p| fs::read(p).unwrap()).collect();
    assert!(files.len() >= 5, "a replay of the corpus makes a file of each table");
    keep("tables", &files);
    feed("tables", &[files, corpus("tables")].concat(), 3_000, targets::tables);
}

#[test]
fn any_bytes_are_settings_or_refused() {
    feed("settings", &corpus("settings"), 100, |bytes| {
        let file = targets::file(bytes);
        let mut command = jauge();
        command.arg("config").arg("--config").arg(file.path());
        let ran = finish(command, &[]);
        assert!(matches!(ran.code, Some(0 | 2)), "exit {:?}: {}", ran.code, ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran.code == Some(0)
    });
}
