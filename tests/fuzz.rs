//! The fuzz targets as plain tests: the committed corpus, and mutations of it by a seed. What fails is kept as a file and named.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::random_events::Chance;
use crate::support::{NO_FLAGS, files_under, finish, folder, jauge, knob, replay, root};

#[path = "../fuzz/targets.rs"]
mod targets;

/// Mutations of each target's corpus, in `make test`; `make soak` asks for more.
fn mutations(few: u64) -> u64 {
    knob("JAUGE_FUZZ", few)
}

/// What a target begins with.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let seeds: Vec<Vec<u8>> =
        files_under(&root().join("fuzz/corpus").join(target)).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "fuzz/corpus/{target} is empty");
    seeds
}

/// Words at which readers stumble.
const WORDS: [&[u8]; 16] = [
    b"null",
    b"\"\"",
    b"-1",
    b"0",
    b"1e400",
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

/// Bytes changed in one to four ways: flipped, cut, doubled, joined with others, or with a word in their middle.
fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.pick(seeds).clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let to = at + chance.below(bytes.len() - at + 1).min(64);
        match chance.below(8) {
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
            _ if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            _ => {}
        }
    }
    bytes
}

/// Gives a target its corpus, and so many mutations of it.
#[track_caller]
fn feed(target: &str, seeds: &[Vec<u8>], count: u64, take: impl Fn(&[u8])) {
    let mut chance = Chance::new(9);
    let inputs = seeds.iter().cloned().chain((0..count).map(|_| mutated(seeds, &mut chance)));
    for (number, input) in inputs.enumerate() {
        if catch_unwind(AssertUnwindSafe(|| take(&input))).is_err() {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{number}"));
            fs::write(&kept, &input).unwrap();
            panic!("{target}: input {number} fails; it is kept in {}", kept.display());
        }
    }
}

#[test]
fn any_bytes_are_an_event_or_a_rejection() {
    feed("decoder", &corpus("decoder"), mutations(40_000), targets::decoder);
}

#[test]
fn any_bytes_are_a_manifest_or_damage() {
    feed("manifest", &corpus("manifest"), mutations(1_500), targets::manifest);
}

#[test]
fn any_bytes_are_keys_or_damage() {
    feed("keys", &corpus("keys"), mutations(3_000), targets::keys);
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
    feed("tables", &files, mutations(2_000), targets::tables);
}

#[test]
fn any_bytes_are_settings_or_refused() {
    let folder = folder();
    let file = folder.path().join("jauge.toml");
    feed("settings", &corpus("settings"), mutations(100).min(3_000), |bytes| {
        fs::write(&file, bytes).unwrap();
        let mut command = jauge();
        command.arg("config").arg("--config").arg(&file);
        let ran = finish(command, &[]);
        assert!(matches!(ran.code, Some(0 | 2)), "exit {:?}: {}", ran.code, ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    });
}
