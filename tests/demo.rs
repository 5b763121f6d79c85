//! `jauge demo`: a night is simulated, counted through an embedded broker, verified and drawn, and its directory stays.

use std::fs;
use std::path::PathBuf;

use crate::data_directory::table;
use crate::support::{files_under, folder, run};

#[test]
fn a_night_is_played_counted_and_verified() {
    let folder = folder();
    let out = folder.path().join("it's a night");
    let ran =
        run(["demo".into(), "--scale=0.02".into(), "--seed=3".into(), "--out".into(), out.clone().into()]).exits(0);
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["Peak", "concurrent viewers (sessions)", "█", "verified", "duckdb -c", "every offset is there once"]
    {
        assert!(words.contains(part), "no {part:?}:\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("it''s a night/minutes/*/*.parquet"), "{}", ran.stdout);
    assert!(ran.stderr.contains("live "), "the live number is told: {}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    run(["verify".into(), out.clone().into()]).exits(0);
    let shown = run(["show".into(), out.clone().into(), "--broadcast=nuit-debout".into()]).exits(0).stdout;
    assert!(ran.stdout.contains(shown.lines().next().unwrap()), "show draws the same:\n{shown}");

    // What it counted is what was simulated.
    let truth = folder.path().join("truth");
    let told: [PathBuf; 2] = [folder.path().join("events"), truth.clone()];
    let [events, truth_flag] = told.map(PathBuf::into_os_string);
    let flags = ["--scale=0.02".into(), "--seed=3".into(), "--out".into(), events, "--truth".into(), truth_flag];
    run(["simulate".into()].into_iter().chain(flags)).exits(0);
    let said: serde_json::Value =
        serde_json::from_str(fs::read_to_string(&truth).unwrap().lines().next().unwrap()).unwrap();
    let airings = table(&out, "airings").unwrap();
    let counts =
        ["sessions", "reach", "viewers_max", "viewer_ms", "distinct_max", "distinct_ms", "returns", "retweets"];
    for column in counts.iter().chain(&["viewers_max_at", "distinct_max_at", "last_at", "airtime_ms"]) {
        assert_eq!(airings.rows[0][airings.place(column)], said[*column].to_string(), "{column}");
    }

    // A second one does not touch it.
    let before = files_under(&out);
    run(["demo".into(), "--out".into(), out.clone().into()]).exits(3).says(&["it's a night", "--out"]);
    assert_eq!(files_under(&out), before);
}

#[test]
fn a_place_that_cannot_be_is_named() {
    let folder = folder();
    let file = folder.path().join("a-file");
    fs::write(&file, "x").unwrap();
    run(["demo".into(), "--out".into(), file.clone().into()]).exits(3).says(&["a-file"]);
    run(["demo".into(), "--out".into(), file.join("below").into()]).exits(3).says(&["a-file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");
    run(["demo".into(), "--scale=0".into()]).exits(2).says(&["--scale"]);
}
