//! The rooms of the house: on which storey each lies, how pure it is, which others it sees, and which heavy crates it
//! may name.

use std::collections::{BTreeMap, BTreeSet};

use Purity::{Bytes, Edge, Pure};

use super::product::{Texts, drawn};

/// What a room may reach for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purity {
    /// Nothing outside: the same input gives the same output, on every machine, for ever.
    Pure,
    /// The form of files, and no file.
    Bytes,
    /// The world.
    Edge,
}

/// A row of the house.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) name: &'static str,
    storey: u8,
    pub(super) purity: Purity,
    /// Exactly these of the others, each on a lower storey.
    sees: &'static [&'static str],
    /// It has its place before it is there.
    is_to_come: bool,
}

const fn room(name: &'static str, storey: u8, purity: Purity, sees: &'static [&'static str]) -> Room {
    Room { name, storey, purity, sees, is_to_come: false }
}

impl Room {
    const fn to_come(self) -> Room {
        Room { is_to_come: true, ..self }
    }
}

/// The house, from the ground up.
pub(super) const ROOMS: [Room; 15] = [
    room("audience", 0, Pure, &[]),
    room("problem", 0, Pure, &[]),
    room("aggregator", 1, Pure, &["audience"]),
    room("amplification", 1, Pure, &["audience"]).to_come(),
    room("ingester", 1, Edge, &["problem"]),
    room("simulator", 1, Pure, &[]),
    room("exporter", 2, Bytes, &["aggregator", "audience", "problem"]),
    room("report", 2, Pure, &["audience"]),
    room("storage", 3, Edge, &["aggregator", "audience", "exporter", "problem"]),
    room("settling", 4, Edge, &["aggregator", "audience", "exporter", "problem", "storage"]),
    room("dashboard", 5, Edge, &["aggregator", "audience", "problem", "storage"]),
    room("distributed", 5, Edge, &["aggregator", "audience", "exporter", "problem", "settling", "storage"]).to_come(),
    room("pipeline", 5, Edge, &["aggregator", "audience", "exporter", "ingester", "problem", "settling", "storage"]),
    room("verifier", 5, Edge, &["aggregator", "audience", "exporter", "problem", "settling", "storage"]),
    room(
        "cli",
        6,
        Edge,
        &[
            "aggregator",
            "audience",
            "dashboard",
            "exporter",
            "ingester",
            "pipeline",
            "problem",
            "report",
            "settling",
            "simulator",
            "storage",
            "verifier",
        ],
    ),
];

/// Crates by which I/O, threads and clocks come in.
const IMPURE: [&str; 20] = [
    "arrow",
    "arrow-array",
    "arrow-buffer",
    "arrow-ipc",
    "arrow-schema",
    "arrow-select",
    "clap",
    "flate2",
    "getrandom",
    "indicatif",
    "jiff",
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

/// Those of them that know the form of a file, and take its bytes from whoever has them.
const OF_BYTES: [&str; 7] =
    ["arrow", "arrow-array", "arrow-buffer", "arrow-ipc", "arrow-schema", "arrow-select", "parquet"];

/// Crates that cost a build or tie us to others' types, and the rooms that alone may name them.
const HEAVY: [(&str, &[&str]); 24] = [
    ("arrow", &["distributed"]),
    ("arrow-array", &["exporter"]),
    ("arrow-buffer", &["exporter"]),
    ("arrow-ipc", &["exporter"]),
    ("arrow-schema", &["exporter"]),
    ("arrow-select", &["exporter"]),
    ("axum", &["dashboard"]),
    ("ballista", &["distributed"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("datafusion", &["distributed"]),
    ("indicatif", &["cli"]),
    ("jiff", &["cli"]),
    ("object_store", &["storage"]),
    ("parquet", &["exporter"]),
    ("prometheus-client", &["dashboard"]),
    ("rdkafka", &["ingester"]),
    ("reqwest", &["storage"]),
    ("rustls", &["storage"]),
    ("signal-hook", &["cli"]),
    ("terminal_size", &["cli"]),
    ("tokio", &["dashboard", "storage"]),
    ("toml", &["cli"]),
];

/// Rooms that the everyday build must not know of: they cost more than all others together.
const APART: [&str; 1] = ["distributed"];

/// Names of the crates that the product of a manifest may use, by the name of its package; those of its tests are
/// another matter.
fn dependencies(manifest: &str) -> (String, BTreeSet<String>) {
    let manifest: toml::Table = manifest.parse().unwrap();
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let tables = targets.filter_map(toml::Value::as_table).chain([&manifest]);
    let lists = tables.flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)));
    let names = lists.flatten().filter_map(toml::Value::as_table).flat_map(toml::Table::keys).cloned().collect();
    (manifest["package"]["name"].as_str().unwrap().to_owned(), names)
}

/// What each package of these manifests uses, by its name.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// What is wrong with the walls: rooms, who sees whom, and how pure they are.
fn faults_of_walls(rooms: &[Room], manifests: &Texts) -> Vec<String> {
    let mut faults = Vec::new();
    let mut uses = Uses::new();
    for (path, manifest) in manifests {
        let (name, names) = dependencies(manifest);
        if *path != format!("crates/{name}/Cargo.toml") {
            faults.push(format!("{path} is the package {name}: a room has one name"));
        }
        uses.insert(name, names);
    }
    let by_name: BTreeMap<&str, &Room> = rooms.iter().map(|room| (room.name, room)).collect();
    let homeless = uses.keys().filter(|name| !by_name.contains_key(name.as_str()));
    faults.extend(homeless.map(|name| format!("{name} has no place in the house: give it a row in ROOMS")));
    for room in rooms {
        let name = room.name;
        match (uses.get(name), room.is_to_come) {
            (Some(used), false) => faults.extend(faults_of_room(room, used, &by_name)),
            (None, false) => faults.push(format!("{name} has a row in ROOMS and is not there")),
            (Some(_), true) => faults.push(format!("{name} is there, and no longer to come")),
            (None, true) => {}
        }
        for other in room.sees.iter().filter_map(|other| by_name.get(other)) {
            if other.storey >= room.storey {
                faults.push(format!(
                    "{name} lies on storey {}, no higher than {}, which it sees",
                    room.storey, other.name
                ));
            }
            if other.purity == Edge && room.purity != Edge {
                faults.push(format!("{name} is no edge, and {}, which it sees, is one", other.name));
            }
        }
    }
    faults
}

fn faults_of_room(room: &Room, used: &BTreeSet<String>, by_name: &BTreeMap<&str, &Room>) -> Vec<String> {
    let name = room.name;
    let seen: BTreeSet<&str> = used.iter().map(String::as_str).filter(|other| by_name.contains_key(other)).collect();
    let sees: BTreeSet<&str> = room.sees.iter().copied().collect();
    let uncalled = seen.difference(&sees).map(|other| format!("{name} must not see {other}"));
    let unused = sees.difference(&seen).map(|other| format!("{name} does not see {other}, as its row says"));
    let may = |other: &str| match room.purity {
        Pure => !IMPURE.contains(&other),
        Bytes => !IMPURE.contains(&other) || OF_BYTES.contains(&other),
        Edge => true,
    };
    let purity = room.purity;
    let impure =
        used.iter().filter(|other| !may(other)).map(|other| format!("{name} is {purity:?}: {other} is not for it"));
    uncalled.chain(unused).chain(impure).collect()
}

/// Heavy crates that a room names to which they do not belong.
fn misplaced(heavy: &[(&str, &[&str])], manifests: &Texts) -> Vec<String> {
    let uses: Uses = manifests.values().map(|manifest| dependencies(manifest)).collect();
    let mut misplaced = Vec::new();
    for (dependency, rooms) in heavy {
        let named = uses.iter().filter(|(_, used)| used.contains(*dependency)).map(|(name, _)| name.as_str());
        let elsewhere = named.filter(|name| !rooms.contains(name));
        misplaced.extend(elsewhere.map(|name| format!("{name} names {dependency}, which is for {}", rooms.join(", "))));
    }
    misplaced
}

/// Rooms that are to stand apart and that the workspace builds with all others.
fn not_apart(apart: &[&str], workspace: &str, manifests: &Texts) -> Vec<String> {
    let workspace: toml::Table = workspace.parse().unwrap();
    let excluded = workspace["workspace"].get("exclude").and_then(toml::Value::as_array);
    let excluded: Vec<&str> = excluded.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let paths = apart.iter().map(|name| format!("crates/{name}"));
    let there = paths.filter(|path| manifests.contains_key(&format!("{path}/Cargo.toml")));
    there.filter(|path| !excluded.contains(&path.as_str())).collect()
}

#[test]
fn a_room_sees_what_its_row_says_and_nothing_else() {
    let faults = faults_of_walls(&ROOMS, &super::manifests());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_heavy_dependency_has_one_room() {
    let misplaced = misplaced(&HEAVY, &super::manifests());
    assert!(misplaced.is_empty(), "{}", misplaced.join("\n"));
}

#[test]
fn the_everyday_build_is_light() {
    let workspace = super::text("Cargo.toml");
    let not_apart = not_apart(&APART, &workspace, &super::manifests());
    assert!(not_apart.is_empty(), "`exclude` of Cargo.toml lacks {not_apart:?}");
}

/// A drawn house: `a` on the ground, `b` above it, and the edge on top.
const HOUSE: [Room; 4] = [
    room("a", 0, Pure, &[]),
    room("b", 1, Bytes, &["a"]),
    room("c", 2, Edge, &["b"]),
    room("d", 2, Edge, &["a"]).to_come(),
];

fn manifest(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\n[dependencies]\n{dependencies}\n[dev-dependencies]\ntempfile = \"1\"\nc = \"1\"\n"
    )
}

fn house() -> Texts {
    drawn([
        ("crates/a/Cargo.toml", &manifest("a", "siphasher = \"1\"")),
        ("crates/b/Cargo.toml", &manifest("b", "a.workspace = true\narrow = { version = \"1\", features = [] }")),
        ("crates/c/Cargo.toml", &manifest("c", "b.workspace = true\n[target.'cfg(unix)'.dependencies]\ntokio = \"1\"")),
    ])
}

#[test]
fn a_house_with_its_walls_passes() {
    assert_eq!(faults_of_walls(&HOUSE, &house()), [""; 0]);
    assert_eq!(misplaced(&[("arrow", &["b"]), ("tokio", &["c"])], &house()), [""; 0]);
}

#[test]
fn a_wall_with_a_hole_is_seen() {
    let faults = |path: &str, text: String| {
        let mut texts = house();
        texts.insert(path.into(), text);
        faults_of_walls(&HOUSE, &texts)
    };
    assert_eq!(faults("crates/c/Cargo.toml", manifest("c", "b = \"1\"\na = \"1\"")), ["c must not see a"]);
    assert_eq!(faults("crates/c/Cargo.toml", manifest("c", "")), ["c does not see b, as its row says"]);
    assert_eq!(faults("crates/a/Cargo.toml", manifest("a", "arrow = \"1\"")), ["a is Pure: arrow is not for it"]);
    let impure = manifest("b", "a = \"1\"\n[build-dependencies]\ntokio = \"1\"");
    assert_eq!(faults("crates/b/Cargo.toml", impure), ["b is Bytes: tokio is not for it"]);
    let homeless = ["e has no place in the house: give it a row in ROOMS"];
    assert_eq!(faults("crates/e/Cargo.toml", manifest("e", "")), homeless);
    assert_eq!(faults("crates/d/Cargo.toml", manifest("d", "a = \"1\"")), ["d is there, and no longer to come"]);
    let other = faults("crates/e/Cargo.toml", manifest("c", "b = \"1\""));
    assert_eq!(other, ["crates/e/Cargo.toml is the package c: a room has one name"]);
    let mut texts = house();
    texts.remove("crates/c/Cargo.toml");
    assert_eq!(faults_of_walls(&HOUSE, &texts), ["c has a row in ROOMS and is not there"]);
}

#[test]
fn a_row_that_sees_its_own_storey_is_seen() {
    let rooms = [room("a", 0, Pure, &["b"]), room("b", 0, Edge, &["a"])];
    let texts = drawn([
        ("crates/a/Cargo.toml", &manifest("a", "b = \"1\"")),
        ("crates/b/Cargo.toml", &manifest("b", "a = \"1\"")),
    ]);
    let a = ["a lies on storey 0, no higher than b, which it sees", "a is no edge, and b, which it sees, is one"];
    let b = ["b lies on storey 0, no higher than a, which it sees"];
    assert_eq!(faults_of_walls(&rooms, &texts), [&a[..], &b].concat());
}

#[test]
fn a_heavy_dependency_in_another_room_is_seen() {
    let heavy: [(&str, &[&str]); 2] = [("arrow", &["b"]), ("tokio", &["a", "b"])];
    assert_eq!(misplaced(&heavy, &house()), ["c names tokio, which is for a, b"]);
    let texts = house();
    assert_eq!(not_apart(&["c", "d"], "[workspace]\nmembers = [\"crates/*\"]", &texts), ["crates/c"]);
    assert_eq!(not_apart(&["c", "d"], "[workspace]\nexclude = [\"crates/c\"]", &texts), [""; 0]);
}
