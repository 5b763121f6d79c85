//! DuckDB, Polars and pandas read what we write: by a plain glob, to the same cells, and as many as the reference says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::random_events::Scene;
use crate::reference;
use crate::replay::flags;
use crate::support::{Need, cache, finish, folder, have, replay, root};
use crate::tables::Table;

/// A Python that has all readers, made by `tests/readers/prepare`.
pub(crate) fn python() -> Need<PathBuf> {
    let home = cache().join("readers");
    let list = |folder: &Path| fs::read(folder.join("requirements.txt")).ok();
    let whole = list(&home).is_some() && list(&home) == list(&root().join("tests/readers"));
    let lack = "DuckDB, Polars and pandas: tests/readers/prepare installs them";
    if whole { Ok(home.join("bin/python")) } else { Err(lack.into()) }
}

/// Sum of a column of integers, where it is one.
fn sum(table: &Table, column: &str) -> Option<i64> {
    let place = table.place(column);
    let cells = table.rows.iter().map(|row| &row[place]).filter(|cell| !cell.is_empty());
    cells.map(|cell| cell.parse::<i64>().ok()).sum()
}

#[test]
fn duckdb_polars_and_pandas_agree() {
    let Some(python) = have(python()) else { return };
    // The scene with the most to read of the first few.
    let scene = (0..40).map(Scene::new).max_by_key(|scene| scene.events.len()).unwrap();
    let folder = folder();
    let (file, out) = (folder.path().join("events.ndjson"), folder.path().join("out"));
    fs::write(&file, scene.lines().join("\n") + "\n{}\nno JSON\n").unwrap();
    replay([&file], &out, flags(scene.rules)).exits(0);
    let mut command = Command::new(python);
    command.arg(root().join("tests/readers/read_tables.py")).arg(&out);
    let ran = finish(command, &[]).exits(0);
    let expected = reference::settled(&scene.events, scene.rules);
    let mut read = Vec::new();
    for line in ran.stdout.lines() {
        let digest: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = digest["table"].as_str().unwrap().to_owned();
        let table = match name.as_str() {
            "airings" => &expected.airings,
            "minutes" => &expected.minutes,
            "sessions" => &expected.sessions,
            "retweets" => &expected.retweets,
            "rejected" => {
                assert_eq!(digest["rows"], 2, "{digest}");
                read.push(name);
                continue;
            }
            other => panic!("{other} is no table of a replay"),
        };
        assert_eq!(digest["rows"], table.rows.len(), "{digest}");
        for column in table.columns.iter().filter(|column| !column.ends_with("_id") && !column.ends_with("_mean")) {
            if let (Some(sum), false) = (sum(table, column), digest["sums"][column].is_null()) {
                assert_eq!(digest["sums"][column], sum, "{name}.{column}: {digest}");
            }
        }
        read.push(name);
    }
    assert_eq!(read, ["airings", "minutes", "sessions", "retweets", "rejected"]);
}
