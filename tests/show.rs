//! `jauge show`: the numbers of the tables, as text and as JSON; and, before an airing settles, the numbers
//! that it will settle with.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::data_directory::{self, days_since_1970};
use crate::nights::{Topic, events, next_day, replayed, rough, write_lines};
use crate::support::{NO_FLAGS, Ran, files_under, folder, replay, run};
use crate::tables::Table;

// What people see and ask for.
mod people;

const NIGHT: &str = "nuit-debout";

fn show(dir: &Path, flags: &[&str]) -> Ran {
    run(["show".into(), OsString::from(dir)].into_iter().chain(flags.iter().map(Into::into)))
}

#[track_caller]
fn json(dir: &Path, flags: &[&str]) -> Value {
    let said = json_text(dir, flags);
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[track_caller]
fn json_text(dir: &Path, flags: &[&str]) -> String {
    show(dir, &[flags, &["--json"]].concat()).exits(0).stdout
}

/// The text of the table's cell that says the same.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.ends_with('Z') && text.contains('T') => ms(text).to_string(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().unwrap()),
        other => other.to_string(),
    }
}

/// `2016-04-03T17:31:00.000Z` as ms.
fn ms(text: &str) -> i64 {
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<i64> = time.split([':', '.']).map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds, ms] = parts[..] else { panic!("{text} has no milliseconds") };
    days_since_1970(date) * 86_400_000 + ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms
}

/// Every field of every object equals the column of its name, in the row with the same keys.
#[track_caller]
fn equals_table(text: &str, objects: &[Value], table: &Table, keys: &[(&str, String)], apart: &[&str]) {
    let keyed = |row: &&Vec<String>| keys.iter().all(|(column, value)| row[table.place(column)] == *value);
    let rows: Vec<&Vec<String>> = table.rows.iter().filter(keyed).collect();
    assert_eq!(objects.len(), rows.len());
    for (object, row) in objects.iter().zip(rows) {
        for (field, value) in object.as_object().unwrap().iter().filter(|(field, _)| !apart.contains(&field.as_str())) {
            let (said, stored) = (cell(value), &row[table.place(field)]);
            // serde_json reads the last digit of a mean only nearly right; what was printed is looked at beside.
            let is_mean = field.ends_with("_mean") && !stored.is_empty();
            let same = if is_mean { text.contains(&format!("\"{field}\": {stored}")) } else { said == *stored };
            assert!(same, "{field}: {said} of {object}, {stored} of {row:?}");
        }
    }
}

#[test]
fn json_is_what_the_tables_say() {
    let folder = folder();
    let both = [events(&rough(1)), events(&next_day(&rough(1)))].concat();
    let out = replayed(folder.path(), &both, &[]);
    let (mut airings, mut minutes) =
        (data_directory::table(&out, "airings").unwrap(), data_directory::table(&out, "minutes").unwrap());
    airings.rows.sort();
    minutes.rows.sort();
    let said = json(&out, &[]);
    let said = said.as_array().unwrap();
    assert_eq!(said.len(), 4, "two broadcasts, two airings each");
    equals_table(&json_text(&out, &[]), said, &airings, &[], &["provisional", "complete"]);
    for airing in said {
        assert_eq!((&airing["provisional"], &airing["complete"]), (&false.into(), &true.into()));
        let (id, at) = (airing["broadcast_id"].as_str().unwrap(), airing["airing_at"].as_str().unwrap());
        // The whole time, and what is enough of it.
        for at in [at, &at[..10]] {
            let flags = ["--broadcast", id, "--airing", at];
            let one = json(&out, &flags);
            let keys = [("broadcast_id", id.to_owned()), ("airing_at", cell(&airing["airing_at"]))];
            equals_table(&json_text(&out, &flags), one["minutes"].as_array().unwrap(), &minutes, &keys, &[]);
            let mut alone = one.clone();
            alone.as_object_mut().unwrap().remove("minutes");
            assert_eq!(alone, *airing);
        }
    }
    // Without a time the last one.
    assert!(json(&out, &["--broadcast", NIGHT])["airing_at"].as_str().unwrap().starts_with("2016-04-04"));
}

#[test]
fn people_see_peak_curve_and_definitions() {
    let folder = folder();
    let out = replayed(folder.path(), &events(&rough(4)), &[]);
    let peak = json(&out, &[])[0]["viewers_max"].to_string();
    let said = show(&out, &[]).exits(0).stdout;
    for part in [NIGHT, &peak, "Peak", "AMA", "Reach", "sessions open at one instant"] {
        assert!(said.contains(part), "no {part:?}:\n{said}");
    }
    assert!(!said.contains("provisional") && !said.contains('\u{1b}'), "{said}");
    let said = show(&out, &["--broadcast", NIGHT]).exits(0).stdout;
    for part in [&peak, "Peak", "concurrent viewers (sessions)", "█"] {
        assert!(said.contains(part), "no {part:?}:\n{said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = folder();
    let out = replayed(folder.path(), &events(&rough(4)), &[]);
    show(&out, &["--broadcast", "nuit-debut"]).exits(2).says(&["nuit-debut", "jauge show"]);
    show(&out, &["--broadcast", NIGHT, "--airing", "2017"]).exits(2).says(&["2017", "2016-04-03T17:3"]);
    show(&out, &["--airing", "2016"]).exits(2).says(&["--broadcast"]);
    show(&out, &["--files", "films"]).exits(2).says(&["films", "minutes"]);
}

#[test]
fn files_are_those_of_the_last_commit() {
    let folder = folder();
    let both = [events(&rough(1)), events(&next_day(&rough(1)))].concat();
    let out = replayed(folder.path(), &both, &["no JSON"]);
    for table in ["airings", "minutes", "sessions", "retweets", "rejected", "live", "events"] {
        let files = files_under(&out.join(table));
        assert_eq!(files.is_empty(), ["live", "events"].contains(&table), "{table}");
        let expected: Vec<String> = files.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
        let said = show(&out, &["--files", table]).exits(0).stdout;
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{table}");
        assert_eq!(json(&out, &["--files", table]), Value::from(expected), "{table}");
    }
}

#[test]
fn what_has_not_settled_is_what_will() {
    let folder = folder();
    let out = folder.path().join("audience");
    let (topic, night) = (Topic::new(3), events(&simulator::NightOptions { heartbeat_ms: Some(240_000), ..rough(5) }));
    let rules = ["--session-timeout=15min", "--timeout-grace=30s", "--end-idle=off"];
    topic.send(&night);
    topic.until_stopped(&out, night.len(), &rules);
    let ids = || json(&out, &[]).as_array().unwrap().iter().map(|one| one["broadcast_id"].clone()).collect::<Vec<_>>();
    let all = || {
        let curves = ids().into_iter().map(|id| json(&out, &["--broadcast", id.as_str().unwrap()]));
        [vec![json(&out, &[])], curves.collect()].concat()
    };
    let as_text =
        |provisional: bool, value: &Value| value.to_string().replace(&format!("\"provisional\":{provisional}"), "");
    let before: Vec<String> = all().iter().map(|value| as_text(true, value)).collect();
    assert!(ids().len() == 2 && !before[0].contains("provisional"), "{before:?}");
    let said = show(&out, &[]).exits(0).stdout;
    assert!(said.contains("not settled yet"), "{said}");
    assert!(show(&out, &["--broadcast", NIGHT]).exits(0).stdout.contains("provisional"));

    topic.until_end(&out, &rules);
    let after: Vec<String> = all().iter().map(|value| as_text(false, value)).collect();
    assert_eq!(before, after);

    // A later airing is provisional beside the settled one, and what came behind the frontier changes neither.
    topic.send(&night[..30]);
    let next = events(&next_day(&rough(5)));
    topic.send(&next);
    topic.until_stopped(&out, night.len() + 30 + next.len(), &rules);
    let provisional: Vec<bool> =
        json(&out, &[]).as_array().unwrap().iter().map(|one| one["provisional"] == true).collect();
    assert_eq!(provisional, [false, true, false, true]);
    let first = json(&out, &["--broadcast", NIGHT, "--airing", "2016-04-03"]);
    assert!(after.contains(&as_text(false, &first)), "{first}");
}

#[test]
fn strange_ids_harm_nobody() {
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    let id = "z,\"q\"\n\t\\/\u{1b}[31m\u{202e}😀";
    let event = |kind: &str, ts: i64| {
        let event = serde_json::json!({ "type": kind, "broadcast_id": id, "viewer_id": id, "ts": ts });
        (Vec::new(), event.to_string().into_bytes())
    };
    write_lines(&file, &[event("join", 1_700_000_000_000), event("leave", 1_700_000_090_000)], &[]);
    replay([&file], &folder.path().join("out"), NO_FLAGS).exits(0);
    let out = folder.path().join("out");
    assert_eq!(json(&out, &[])[0]["broadcast_id"], id);
    assert_eq!(json(&out, &["--broadcast", id])["viewer_ms"], 90_000);
    for flags in [&[][..], &["--broadcast", id]] {
        let said = show(&out, flags).exits(0).stdout;
        assert!(!said.contains('\u{1b}') && !said.contains('\t') && !said.contains('\u{202e}'), "{said:?}");
    }
}

#[test]
fn a_table_that_is_not_kept_is_named() {
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    write_lines(&file, &events(&rough(4)), &[]);
    let kept = |tables: &str| {
        let out = folder.path().join(tables);
        replay([&file], &out, [format!("--tables={tables}")]).exits(0);
        out
    };
    show(&kept("minutes"), &[]).exits(2).says(&["airings"]);
    let airings = kept("airings");
    assert_eq!(json(&airings, &["--broadcast", NIGHT])["minutes"], Value::Array(vec![]));
    show(&airings, &["--broadcast", NIGHT]).exits(0);
    show(&airings, &[]).exits(0);
    // Nobody at all is no mistake.
    fs::write(&file, "").unwrap();
    let none = folder.path().join("none");
    replay([&file], &none, NO_FLAGS).exits(0);
    assert!(show(&none, &[]).exits(0).stdout.contains("No airing"));
    assert_eq!(json(&none, &[]), Value::Array(vec![]));
}
