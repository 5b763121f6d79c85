//! What `clippy.toml` bans in a room, and the lints that the workspace has on: the rules of which clippy holds the
//! letter.

use std::collections::{BTreeMap, BTreeSet};

use super::product::{Texts, drawn};
use super::rooms::{Purity, ROOMS, Room};

/// The clock of the machine, its files, and threads, by the paths that lead to them.
const OUTSIDE: [&str; 17] = [
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::sync::Condvar",
    "std::sync::Mutex",
    "std::fs::create_dir_all",
    "std::fs::metadata",
    "std::fs::read",
    "std::fs::read_dir",
    "std::fs::read_to_string",
    "std::fs::remove_file",
    "std::fs::rename",
    "std::fs::write",
    "std::thread::current",
    "std::thread::scope",
    "std::thread::spawn",
];

/// What a room must not have that reads a data directory and never writes to one.
const WRITING: [&str; 8] = [
    "storage::Committer",
    "storage::Commit",
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::fs::create_dir_all",
    "std::fs::remove_file",
    "std::fs::rename",
    "std::fs::write",
];

/// The rooms of the edge that only read.
const READERS: [&str; 2] = ["dashboard", "verifier"];

/// Lines that a function may have: it fits a screen.
const SCREEN: i64 = 70;

/// A file of settings for clippy: its bans, and all else that it says.
#[derive(Debug, Default)]
struct Clippy {
    bans: BTreeSet<String>,
    settings: BTreeMap<String, toml::Value>,
    /// Bans that give no reason.
    unreasoned: Vec<String>,
}

impl Clippy {
    fn of(text: &str) -> Clippy {
        let mut clippy = Clippy::default();
        for (key, value) in text.parse::<toml::Table>().unwrap() {
            let Some(bans) = value.as_array().filter(|_| key.starts_with("disallowed-")) else {
                clippy.settings.insert(key, value);
                continue;
            };
            for ban in bans {
                let path = ban["path"].as_str().unwrap().to_owned();
                if ban.get("reason").and_then(toml::Value::as_str).is_none() {
                    clippy.unreasoned.push(path.clone());
                }
                clippy.bans.insert(path);
            }
        }
        clippy
    }
}

/// What the files of clippy lack. It reads the nearest file alone, so the rules of the house stand in each room's own,
/// too.
fn faults_of_bans(rooms: &[Room], files: &Texts) -> Vec<String> {
    let house = Clippy::of(&files["clippy.toml"]);
    let mut faults = Vec::new();
    let mut first: Option<(&str, BTreeSet<String>)> = None;
    for room in rooms {
        let path = format!("crates/{}/clippy.toml", room.name);
        let must = match room.purity {
            Purity::Pure | Purity::Bytes => &OUTSIDE[..],
            Purity::Edge if READERS.contains(&room.name) => &WRITING,
            Purity::Edge => &[],
        };
        let Some(own) = files.get(&path).map(|text| Clippy::of(text)) else {
            faults.extend((!must.is_empty()).then(|| format!("{path} is not there, and bans nothing")));
            continue;
        };
        faults.extend(own.unreasoned.iter().map(|ban| format!("{path} bans {ban} without a reason")));
        let lacks =
            house.bans.iter().map(String::as_str).chain(must.iter().copied()).filter(|ban| !own.bans.contains(*ban));
        faults.extend(lacks.map(|ban| format!("{path} does not ban {ban}")));
        let lost = house.settings.iter().filter(|(key, value)| own.settings.get(*key) != Some(value));
        faults.extend(lost.map(|(key, _)| format!("{path} does not say what the house says of {key}")));
        if room.purity == Purity::Pure {
            let (name, bans) = first.get_or_insert_with(|| (room.name, own.bans.clone()));
            let differs: Vec<&String> = own.bans.symmetric_difference(bans).collect();
            faults.extend((!differs.is_empty()).then(|| format!("{path} and that of {name} differ by {differs:?}")));
        }
    }
    faults
}

/// What keeps a function of any length from being seen.
fn faults_of_screen(workspace: &str, clippy: &str, screen: i64) -> Vec<String> {
    let workspace: toml::Table = workspace.parse().unwrap();
    let lint = workspace["workspace"]["lints"]["clippy"].get("too_many_lines").and_then(toml::Value::as_str);
    let most = Clippy::of(clippy).settings.get("too-many-lines-threshold").and_then(toml::Value::as_integer);
    let is_on = (lint != Some("warn")).then(|| "Cargo.toml does not warn of clippy::too_many_lines".to_owned());
    let is_set =
        (most != Some(screen)).then(|| format!("clippy.toml does not say too-many-lines-threshold = {screen}"));
    is_on.into_iter().chain(is_set).collect()
}

/// Manifests of crates that do not take the lints of the workspace.
fn without_lints(manifests: &Texts) -> Vec<&str> {
    let takes = |manifest: &str| {
        let manifest: toml::Table = manifest.parse().unwrap();
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    manifests.iter().filter(|(_, manifest)| !takes(manifest)).map(|(path, _)| path.as_str()).collect()
}

#[test]
fn every_room_has_its_bans() {
    let mut files = super::texts_named("clippy.toml", &["crates"]);
    files.insert("clippy.toml".into(), super::text("clippy.toml"));
    let there = super::manifests();
    let mut rooms = ROOMS.to_vec();
    rooms.retain(|room| there.contains_key(&format!("crates/{}/Cargo.toml", room.name)));
    let faults = faults_of_bans(&rooms, &files);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_function_fits_a_screen() {
    let faults = faults_of_screen(&super::text("Cargo.toml"), &super::text("clippy.toml"), SCREEN);
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let manifests = super::manifests();
    let without = without_lints(&manifests);
    assert!(without.is_empty(), "these have no lints.workspace = true: {without:?}");
}

/// A file of clippy as the house has it, with these bans of types besides.
fn clippy(bans: &[&str]) -> String {
    let ban = |path: &&str| format!("{{ path = \"{path}\", reason = \"drawn\" }},");
    let types: String = bans.iter().map(ban).collect();
    format!(
        "too-many-lines-threshold = 9\ndisallowed-types = [{types}]\ndisallowed-methods = [{}]\n",
        ban(&"std::process::exit")
    )
}

/// The bans of a drawn house: one pure room, one of bytes, one that only reads, and one that may do all.
fn files() -> Texts {
    drawn([
        ("clippy.toml", &clippy(&[])),
        ("crates/audience/clippy.toml", &clippy(&OUTSIDE)),
        ("crates/aggregator/clippy.toml", &clippy(&OUTSIDE)),
        ("crates/exporter/clippy.toml", &clippy(&OUTSIDE)),
        ("crates/verifier/clippy.toml", &clippy(&WRITING)),
    ])
}

fn drawn_rooms() -> Vec<Room> {
    let drawn = ["audience", "aggregator", "exporter", "verifier", "cli"];
    ROOMS.into_iter().filter(|room| drawn.contains(&room.name)).collect()
}

#[test]
fn a_house_with_its_bans_passes() {
    assert_eq!(faults_of_bans(&drawn_rooms(), &files()), [""; 0]);
}

#[test]
fn a_lost_ban_is_seen() {
    let faults = |name: &str, text: String| {
        let mut files = files();
        files.insert(format!("crates/{name}/clippy.toml"), text);
        faults_of_bans(&drawn_rooms(), &files)
    };
    let at = |name: &str, fault: &str| [format!("crates/{name}/clippy.toml {fault}")];
    assert_eq!(faults("verifier", clippy(&WRITING[1..])), at("verifier", "does not ban storage::Committer"));
    assert_eq!(faults("exporter", clippy(&OUTSIDE[1..])), at("exporter", "does not ban std::time::Instant"));
    let more = [&OUTSIDE[..], &["std::net::UdpSocket"]].concat();
    let differs = "and that of audience differ by [\"std::net::UdpSocket\"]";
    assert_eq!(faults("aggregator", clippy(&more)), at("aggregator", differs));
    let unreasoned = clippy(&["x"]).replacen(", reason = \"drawn\"", "", 1);
    let all = at("cli", "bans x without a reason");
    assert_eq!(faults("cli", unreasoned), all);
    let unlimited = clippy(&[]).replace("= 9", "= 90");
    assert_eq!(faults("cli", unlimited), at("cli", "does not say what the house says of too-many-lines-threshold"));
    let nothing = faults("cli", String::new());
    assert_eq!(nothing.len(), 2, "the ban of the house is lost, and its threshold: {nothing:?}");
    let mut files = files();
    files.remove("crates/exporter/clippy.toml");
    assert_eq!(faults_of_bans(&drawn_rooms(), &files), at("exporter", "is not there, and bans nothing"));
}

#[test]
fn a_lint_that_is_off_is_seen() {
    let on = "[workspace.lints.clippy]\ntoo_many_lines = \"warn\"";
    let off = "[workspace.lints.clippy]\ndbg_macro = \"warn\"";
    let loose = ["clippy.toml does not say too-many-lines-threshold = 8"];
    assert_eq!(faults_of_screen(on, &clippy(&[]), 9), [""; 0]);
    assert_eq!(faults_of_screen(on, &clippy(&[]), 8), loose);
    assert_eq!(faults_of_screen(off, &clippy(&[]), 9), ["Cargo.toml does not warn of clippy::too_many_lines"]);
    let texts = drawn([("a", "[lints]\nworkspace = true"), ("b", "[lints.clippy]\nall = \"warn\"")]);
    assert_eq!(without_lints(&texts), ["b"]);
}
