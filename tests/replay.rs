//! `jauge replay`: what it writes equals the reference and the oracle in every cell, however the events come.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::data_directory::{self, passport};
use crate::oracle::oracle;
use crate::random_events::{Chance, Scene};
use crate::reference::{self, Rules};
use crate::support::{NO_FLAGS, files_under, finish, folder, have, jauge, replay, seeds, shared};
use crate::tables::Tables;

const DAY: i64 = 86_400_000;

/// What a person writes for these rules.
pub(crate) fn flags(rules: Rules) -> Vec<String> {
    let mut flags = vec![format!("--broadcast-idle={}ms", rules.broadcast_idle_ms)];
    if rules.session_timeout_ms > 0 {
        flags.push(format!("--session-timeout={}ms", rules.session_timeout_ms));
        flags.push(format!("--timeout-grace={}ms", rules.timeout_grace_ms));
    }
    let end_idle = if rules.end_idle_ms > 0 { format!("{}ms", rules.end_idle_ms) } else { "off".to_owned() };
    flags.push(format!("--end-idle={end_idle}"));
    flags.push(format!("--straggler={}ms", rules.straggler_ms));
    flags.push(format!("--return-within={}ms", rules.return_within_ms));
    flags
}

/// Replays a scene into a new folder and holds the result against the reference.
fn check(scene: &Scene, events: &[PathBuf], out: &Path, more: &[&str]) {
    let flags = flags(scene.rules).into_iter().chain(more.iter().map(|flag| (*flag).to_owned()));
    replay(events, out, flags).exits(0);
    let expected = reference::settled(&scene.events, scene.rules);
    Tables::assert_equal(&expected, &data_directory::read(out), &context(scene));
}

fn context(scene: &Scene) -> String {
    format!("seed {}: the replay is not what the reference says, under {:?}", scene.seed, scene.rules)
}

/// One file of these lines, compressed as its name says, in several members where a format has them.
fn write_events(path: &Path, lines: &[String]) {
    let bytes: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
    let (one, other) = bytes.split_at(bytes.len() / 3);
    let mut file = File::create(path).unwrap();
    let gzip = |part: &[u8], file: &File| {
        let mut member = GzEncoder::new(file, Compression::fast());
        member.write_all(part).unwrap();
        member.finish().unwrap();
    };
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => [one, other].iter().for_each(|part| gzip(part, &file)),
        "zst" => [one, other].iter().for_each(|part| file.write_all(&zstd::encode_all(*part, 0).unwrap()).unwrap()),
        _ => file.write_all(&bytes).unwrap(),
    }
}

#[test]
fn random_events_give_what_the_reference_says() {
    for seed in seeds(60) {
        let (scene, folder) = (Scene::new(seed), folder());
        let file = folder.path().join("events.ndjson");
        write_events(&file, &scene.lines());
        check(&scene, &[file], &folder.path().join("out"), &[]);
    }
}

#[test]
fn files_may_be_many_compressed_and_in_any_order() {
    for seed in seeds(24) {
        let (scene, folder) = (Scene::new(seed), folder());
        let (mut lines, mut chance) = (scene.lines(), Chance::new(seed));
        chance.shuffle(&mut lines);
        let parts = lines.chunks(1 + lines.len() / (1 + chance.below(5)));
        let mut files = Vec::new();
        for (place, part) in parts.enumerate() {
            let ending = chance.pick(&["ndjson", "ndjson.gz", "ndjson.zst", "json"]);
            files.push(folder.path().join(format!("{place}.{ending}")));
            write_events(&files[place], part);
        }
        chance.shuffle(&mut files);
        check(&scene, &files, &folder.path().join("out"), &[]);
    }
}

#[test]
fn events_come_from_stdin() {
    let scene = Scene::new(3);
    let folder = folder();
    let out = folder.path().join("out");
    let mut command = jauge();
    command.args(["replay", "-", "--out"]).arg(&out).args(flags(scene.rules));
    finish(command, scene.lines().join("\n").as_bytes()).exits(0);
    let expected = reference::settled(&scene.events, scene.rules);
    Tables::assert_equal(&expected, &data_directory::read(&out), &context(&scene));
}

#[test]
fn no_events_give_no_rows() {
    let folder = folder();
    fs::write(folder.path().join("none.ndjson"), "\n\r\n \t\n").unwrap();
    replay([folder.path().join("none.ndjson")], &folder.path().join("out"), NO_FLAGS).exits(0);
    Tables::assert_equal(&Tables::empty(), &data_directory::read(&folder.path().join("out")), "blank lines alone");
}

/// Many viewers of few broadcasts over some hours; far more events than a small memory holds, and quick to
/// count for the reference.
fn crowd(events: usize) -> Scene {
    let mut chance = Chance::new(11);
    let few = Scene::new(11);
    let template = few.events.iter().find(|event| !event.viewer.is_empty()).unwrap();
    let mut crowd = Vec::new();
    for n in 0..events {
        let mut event = template.clone();
        event.kind = *chance.pick(&[reference::Kind::Join, reference::Kind::Leave, reference::Kind::Heartbeat]);
        event.broadcast = format!("crowd {}", n % 3);
        event.viewer = format!("viewer {}", chance.below(events / 4));
        event.session = None;
        event.via = None;
        event.ts = 1_700_000_000_000 + i64::try_from(chance.below(1_800_000)).unwrap();
        crowd.push(event);
    }
    let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 1_000, ..Rules::DEFAULT };
    Scene { seed: 11, rules, events: crowd }
}

#[test]
fn a_small_memory_spills_and_gives_the_same() {
    let (scene, folder) = (crowd(120_000), folder());
    let file = folder.path().join("crowd.ndjson");
    write_events(&file, &scene.lines());
    let out = folder.path().join("small");
    check(&scene, std::slice::from_ref(&file), &out, &["--memory=1MiB"]);
    let left: Vec<PathBuf> = files_under(&out).into_iter().filter(|path| is_unfinished(path)).collect();
    assert!(left.is_empty(), "what was spilled is gone: {left:?}");
    check(&scene, &[file], &folder.path().join("large"), &["--memory=1GiB"]);
}

/// A file that is none of a finished data directory's.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_none_or(|ending| ending != "parquet" && ending != "json")
        && path.file_name().is_some_and(|name| name != "keys" && name != "lock")
}

#[test]
fn only_the_tables_asked_for_are_written() {
    let (scene, folder) = (Scene::new(5), folder());
    let file = folder.path().join("events.ndjson");
    write_events(&file, &scene.lines());
    let out = folder.path().join("out");
    replay([&file], &out, flags(scene.rules).into_iter().chain(["--tables=minutes,airings".to_owned()])).exits(0);
    let (expected, found) = (reference::settled(&scene.events, scene.rules), data_directory::read(&out));
    let empty = Tables::empty();
    let half = Tables { sessions: empty.sessions, retweets: empty.retweets, rejected: empty.rejected, ..expected };
    Tables::assert_equal(&half, &found, "two tables of five");
    for absent in ["sessions", "retweets", "rejected", "events", "live"] {
        assert_eq!(files_under(&out.join(absent)), [] as [PathBuf; 0], "{absent} was not asked for");
    }
}

#[test]
fn ids_are_nowhere_in_clear() {
    let (folder, secret) = (folder(), "a-name-that-nobody-else-has");
    let line = |kind: &str, ts: i64| {
        let ids = format!(r#""viewer_id":"{secret}","session_id":"{secret}-1""#);
        format!(r#"{{"type":"{kind}","broadcast_id":"b","ts":{ts},{ids}}}"#)
    };
    let events = format!("{}\n{}\n", line("join", 1_700_000_000_000), line("leave", 1_700_000_060_000));
    fs::write(folder.path().join("events.ndjson"), events).unwrap();
    let out = folder.path().join("out");
    let ran = replay([folder.path().join("events.ndjson")], &out, NO_FLAGS).exits(0);
    assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "a log names a viewer");
    for path in files_under(&out) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{} names a viewer", path.display());
    }
}

#[test]
fn the_passport_tells_the_rules() {
    let (mut scene, folder) = (Scene::new(7), folder());
    scene.rules = Rules {
        session_timeout_ms: 90_000,
        timeout_grace_ms: 250,
        broadcast_idle_ms: 2 * 3_600_000,
        end_idle_ms: 90 * 60_000,
        straggler_ms: 45_000,
        return_within_ms: 1_500,
    };
    let file = folder.path().join("events.ndjson");
    write_events(&file, &scene.lines());
    let out = folder.path().join("out");
    check(&scene, &[file], &out, &[]);
    let about = passport(&files_under(&out.join("airings"))[0]);
    assert_eq!(about["jauge.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["jauge.contract"], "2");
    assert_eq!(told_by(&about), scene.rules, "{about:?}");
}

/// The rules of a passport.
fn told_by(passport: &BTreeMap<String, String>) -> Rules {
    let rule = |name: &str| ms(&passport[&format!("jauge.{name}")]);
    Rules {
        session_timeout_ms: rule("session_timeout"),
        timeout_grace_ms: rule("timeout_grace"),
        broadcast_idle_ms: rule("broadcast_idle"),
        end_idle_ms: rule("end_idle"),
        straggler_ms: rule("straggler"),
        return_within_ms: rule("return_within"),
    }
}

/// A duration as the product writes it, in ms; 0 for `off`.
fn ms(text: &str) -> i64 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY,
        "off" => return 0,
        other => panic!("{other:?} is no unit, in {text:?}"),
    };
    digits.parse::<i64>().unwrap() * unit
}

#[test]
fn real_data_give_what_the_oracle_says() {
    let Some(oracle) = have(oracle()) else { return };
    let data = shared().unwrap().join("data");
    let rules = |session_timeout_ms, broadcast_idle_ms| Rules {
        session_timeout_ms,
        timeout_grace_ms: session_timeout_ms / 10,
        broadcast_idle_ms,
        ..Rules::DEFAULT
    };
    let runs = [
        ("irc_qtox.ndjson.gz", rules(0, DAY / 4)),
        ("irc_qtox.ndjson.gz", rules(0, 30 * DAY)),
        ("irc_qtox.ndjson.gz", rules(3 * 3_600_000, DAY / 4)),
        ("irc_qtox.ndjson.gz", rules(DAY, 30 * DAY)),
        ("seismic_tweet.ndjson.gz", rules(0, DAY / 4)),
        ("seismic_tweet.ndjson.gz", rules(0, 60_000)),
    ];
    for (file, rules) in runs {
        let (folder, file) = (folder(), data.join(file));
        replay([&file], &folder.path().join("out"), flags(rules)).exits(0);
        let found = data_directory::read(&folder.path().join("out"));
        let context = format!("{} under {rules:?}: the replay is not what the oracle says", file.display());
        Tables::assert_equal(&oracle.tables(&[file], rules), &found, &context);
    }
}

/// `tests/compare DIR EVENTS…` has this test compare a directory of yours with what the oracle says of your events,
/// under the rules in the directory's passport; by itself it compares one that it makes.
#[test]
fn a_directory_equals_the_oracle() {
    let Some(oracle) = have(oracle()) else { return };
    let (folder, scene) = (folder(), Scene::new(1));
    let given = std::env::var_os("JAUGE_TEST_COMPARE_DIR").map(PathBuf::from);
    let (dir, events) = if let Some(dir) = given {
        let events =
            std::env::var_os("JAUGE_TEST_COMPARE_EVENTS").expect("JAUGE_TEST_COMPARE_EVENTS comes with the directory");
        (dir, std::env::split_paths(&events).collect())
    } else {
        let file = folder.path().join("events.ndjson");
        write_events(&file, &scene.lines());
        replay([&file], &folder.path().join("out"), flags(scene.rules)).exits(0);
        (folder.path().join("out"), vec![file])
    };
    let airings = files_under(&dir.join("airings"));
    let about = passport(airings.first().expect("a directory with an airing"));
    let said = oracle.tables(&events, told_by(&about));
    Tables::assert_equal(&said, &data_directory::read(&dir), &dir.display().to_string());
}
