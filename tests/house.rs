//! The rules of the house that a machine can hold: which room may see which, how long a file may be, which lints rule.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{files_under, finish, have, root};

/// The rooms by their storey. A room sees only the storeys below its own.
const ROOMS: [(&str, u8); 9] = [
    ("audience", 0),
    ("aggregator", 1),
    ("amplification", 1),
    ("report", 1),
    ("simulator", 1),
    ("exporter", 2),
    ("ingester", 2),
    ("dashboard", 3),
    ("cli", 4),
];

/// The storeys whose rooms do no I/O, and so know no crate that does.
const PURE: std::ops::RangeInclusive<u8> = 0..=1;

/// Crates by which I/O, threads and clocks come in.
const IMPURE: [&str; 14] = [
    "arrow",
    "clap",
    "flate2",
    "getrandom",
    "indicatif",
    "libc",
    "object_store",
    "parquet",
    "rdkafka",
    "signal-hook",
    "tempfile",
    "tokio",
    "toml",
    "zstd",
];

/// Lines that a file of Rust may have.
const LINES: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: [(&str, &str); 0] = [];

struct Crate {
    name: String,
    manifest: PathBuf,
    text: toml::Table,
}

fn crates() -> Vec<Crate> {
    let mut crates = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let manifest = entry.unwrap().path().join("Cargo.toml");
        let text: toml::Table = fs::read_to_string(&manifest).unwrap().parse().unwrap();
        let name = text["package"]["name"].as_str().unwrap().to_owned();
        crates.push(Crate { name, manifest, text });
    }
    crates
}

impl Crate {
    fn storey(&self) -> u8 {
        let room = ROOMS.iter().find(|(name, _)| *name == self.name);
        room.unwrap_or_else(|| panic!("{} has no place in the house: give it a storey in ROOMS", self.name)).1
    }

    /// Names of the crates that the product's code may use; those of its tests are another matter.
    fn dependencies(&self) -> Vec<&String> {
        let tables = ["dependencies", "build-dependencies"].iter().filter_map(|kind| self.text.get(*kind));
        let per_target =
            self.text.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
        let per_target = per_target.filter_map(|target| target.get("dependencies"));
        tables.chain(per_target).filter_map(toml::Value::as_table).flat_map(toml::Table::keys).collect()
    }
}

#[test]
fn a_room_sees_only_the_storeys_below() {
    let storey: BTreeMap<&str, u8> = ROOMS.into_iter().collect();
    for room in crates() {
        for dependency in room.dependencies() {
            let Some(other) = storey.get(dependency.as_str()) else { continue };
            assert!(*other < room.storey(), "{} must not see {dependency}", room.manifest.display());
        }
    }
}

#[test]
fn pure_rooms_know_no_crate_that_does_io() {
    for room in crates().iter().filter(|room| PURE.contains(&room.storey())) {
        for dependency in room.dependencies() {
            let impure = IMPURE.contains(&dependency.as_str());
            assert!(!impure, "{} is pure: {dependency} is not for it", room.manifest.display());
        }
    }
}

#[test]
fn pure_rooms_have_their_bans() {
    // Clippy reads the nearest clippy.toml alone, so the bans of the whole house stand in each room's own, too.
    let bans = |path: PathBuf| -> Vec<String> {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let table: toml::Table = text.parse().unwrap();
        let lists = ["disallowed-methods", "disallowed-types", "disallowed-macros"];
        let items = lists.iter().filter_map(|list| table.get(*list)).flat_map(|list| list.as_array().unwrap());
        let ban = |item: &toml::Value| {
            assert!(item["reason"].as_str().is_some(), "{}: a ban has a reason: {item:?}", path.display());
            item["path"].as_str().unwrap().to_owned()
        };
        items.map(ban).collect()
    };
    let house = bans(root().join("clippy.toml"));
    let mut rooms = crates();
    rooms.retain(|room| PURE.contains(&room.storey()));
    let first = bans(rooms[0].manifest.with_file_name("clippy.toml"));
    for room in &rooms {
        let own = bans(room.manifest.with_file_name("clippy.toml"));
        assert_eq!(own, first, "{} and {} have the same bans", room.name, rooms[0].name);
        let lost: Vec<&String> = house.iter().filter(|ban| !own.contains(ban)).collect();
        assert!(lost.is_empty(), "{} has lost the house's bans {lost:?}", room.name);
    }
}

#[test]
fn licences_are_those_that_we_allow() {
    let deny: toml::Table = fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let allowed: Vec<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(root()).args(["tree", "--workspace", "--all-features", "--locked", "--offline", "--quiet"]);
    tree.args(["--edges=normal,build", "--prefix=none", "--format={l}|{p}"]);
    let ran = finish(tree, &[]);
    let here = if ran.stderr.contains("--offline") {
        Err("crates of the features that are off: `cargo fetch` brings them".into())
    } else {
        Ok(ran)
    };
    let Some(ran) = have(here) else { return };
    let tree = ran.exits(0).stdout;
    // No expression among our dependencies has an AND inside an OR, so this reads them all, and would be too strict with one.
    let may = |part: &str| part.trim_matches(['(', ')']).split(" OR ").any(|licence| allowed.contains(&licence));
    for (licence, package) in tree.lines().filter_map(|line| line.split_once('|')) {
        assert!(
            licence.replace(" / ", "/").replace('/', " OR ").split(" AND ").all(may),
            "{package} has the licence {licence:?}"
        );
    }
    assert!(tree.lines().count() > 10, "the tree of dependencies was read: {tree}");
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    for room in crates() {
        let lints = room.text.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{} has no lints.workspace = true", room.manifest.display());
    }
}

#[test]
fn files_are_read_in_one_sitting() {
    let mut allowed: BTreeMap<&str, &str> = LONGER.into_iter().collect();
    let sources = ["crates", "tests", "benches"].iter().flat_map(|folder| files_under(&root().join(folder)));
    let (mut long, mut unsaid) = (Vec::new(), Vec::new());
    for path in sources.filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if !text.starts_with("//! ") {
            unsaid.push(name.clone());
        }
        let lines = text.lines().count();
        if lines > LINES && allowed.remove(name.as_str()).is_none() {
            long.push(format!("{name} has {lines} lines"));
        }
    }
    assert!(unsaid.is_empty(), "files that do not open with a paragraph that says what they are: {unsaid:?}");
    assert!(long.is_empty(), "over {LINES} lines, each perhaps two rooms in one: {long:?}");
    assert!(allowed.is_empty(), "no longer long, so no longer excused: {allowed:?}");
}

#[test]
fn no_test_file_is_forgotten() {
    let main = fs::read_to_string(root().join("tests/main.rs")).unwrap();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else { continue };
        let line = format!("mod {module};");
        let place =
            main.lines().position(|l| l == line).unwrap_or_else(|| panic!("tests/main.rs has no line `{line}`"));
        let comment = main.lines().nth(place - 1).is_some_and(|above| above.starts_with("// "));
        assert!(comment, "tests/main.rs does not say what {module} is for");
    }
}

#[test]
fn no_test_is_skipped_without_a_word() {
    let mark = concat!("#[", "ignore");
    for path in ["crates", "tests"].iter().flat_map(|folder| files_under(&root().join(folder))) {
        let skips =
            path.extension().is_some_and(|ending| ending == "rs") && fs::read_to_string(&path).unwrap().contains(mark);
        assert!(!skips, "{} ignores a test: what cannot run says so by `have`", path.display());
    }
}
