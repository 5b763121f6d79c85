//! What people see and ask for: odd ids, days, zones, and no more airings than somebody can read.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{json, show};
use crate::support::{NO_FLAGS, folder, have, program, replay, run, shared, type_in};

/// 2026-03-14T19:31:00Z.
const EVENING: i64 = 1_773_516_660_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A directory of stays: broadcast, viewer, from when to when.
fn of_stays(folder: &Path, stays: &[(&str, &str, i64, i64)]) -> PathBuf {
    let line = |kind: &str, id: &str, viewer: &str, ts: i64| {
        serde_json::json!({ "type": kind, "broadcast_id": id, "viewer_id": viewer, "ts": ts }).to_string() + "\n"
    };
    let lines = stays
        .iter()
        .flat_map(|(id, viewer, from, to)| [line("join", id, viewer, *from), line("leave", id, viewer, *to)]);
    let (file, out) = (folder.join("stays.ndjson"), folder.join("audience"));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    replay([file], &out, NO_FLAGS).exits(0);
    out
}

/// Sixty broadcasts, an hour apart; the n-th has n % 7 + 1 viewers.
fn sixty(folder: &Path) -> PathBuf {
    let ids: Vec<String> = (0..60).map(|n| format!("show-{n:02}")).collect();
    let viewers = ["a", "b", "c", "d", "e", "f", "g"];
    let stays = (0..60).zip(&ids).flat_map(|(n, id)| {
        let from = EVENING + n * HOUR;
        let count = usize::try_from(n % 7).unwrap() + 1;
        viewers[..count].iter().map(move |viewer| (id.as_str(), *viewer, from, from + 5 * MINUTE))
    });
    of_stays(folder, &stays.collect::<Vec<_>>())
}

#[test]
fn an_id_may_begin_with_a_dash() {
    let folder = folder();
    let ids = ["-Ab3xYz_9Kq", "--help", "-"];
    let out = of_stays(folder.path(), &ids.map(|id| (id, "v", EVENING, EVENING + 5 * MINUTE)));
    for id in ids {
        assert!(show(&out, &["--broadcast", id]).exits(0).stdout.starts_with(id), "{id}");
        assert_eq!(json(&out, &["--broadcast", id])["viewer_ms"], 5 * MINUTE);
        for command in ["settle", "forget"] {
            let ran = run([command.into(), out.clone().into(), "--broadcast".into(), id.into()]);
            assert!(ran.code != Some(2), "{command} {id}: {}", ran.stderr);
        }
    }
}

#[test]
fn an_airing_of_several_days_has_its_days_beside_its_times() {
    let folder = folder();
    // Somebody comes every five hours, and two more at noon of the third day.
    let mut stays: Vec<(&str, &str, i64, i64)> =
        (0..24).map(|n| ("radio", "v", EVENING + n * 5 * HOUR, EVENING + n * 5 * HOUR + HOUR)).collect();
    stays.extend(["a", "b"].map(|viewer| ("radio", viewer, EVENING + 40 * HOUR, EVENING + 41 * HOUR)));
    let out = of_stays(folder.path(), &stays);
    let said = show(&out, &["--broadcast", "radio"]).exits(0).stdout;
    for part in [
        "Peak 3 concurrent viewers, as many people, at 03-16 11:31:00",
        "▼ 3 at 03-16 11:31:00",
        "03-15           03-16",
    ] {
        assert!(said.contains(part), "no {part:?}:\n{said}");
    }
    // Where columns are few, the day has a line of its own.
    let listed = show(&out, &[]).exits(0).stdout;
    assert!(listed.contains("at 11:31:00\n") && listed.contains("on 03-16\n"), "{listed}");
    let Some(shared) = have(shared()) else { return };
    let radio = folder.path().join("radio");
    replay([shared.join("cases/32-radio-five-days.ndjson")], &radio, NO_FLAGS).exits(0);
    let said = show(&radio, &["--broadcast", "radio"]).exits(0).stdout;
    assert!(
        said.contains("Peak 9 concurrent viewers") && said.contains("at 03-12 13:00:08") && said.contains("03-10"),
        "{said}"
    );
}

#[test]
fn times_are_those_of_the_zone_and_json_stays() {
    let folder = folder();
    let out = of_stays(folder.path(), &[("gala", "v", EVENING, EVENING + 5 * MINUTE)]);
    let plain = show(&out, &[]).exits(0).stdout;
    assert!(plain.contains("2026-03-14 19:31") && plain.contains("Times               UTC\n"), "{plain}");
    let zone = ["--zone", "asia/kolkata"];
    for flags in [&zone[..], &[&zone[..], &["--broadcast", "gala"]].concat()] {
        let said = show(&out, flags).exits(0).stdout;
        for part in ["2026-03-15 01:01", "at 01:01:00", "Times               Asia/Kolkata\n"] {
            assert!(said.contains(part), "no {part:?}:\n{said}");
        }
        assert_eq!(json(&out, flags), json(&out, &flags[2..]));
    }
    // An airing is found by what is shown, and by what JSON has.
    for at in ["2026-03-15 01:01", "2026-03-15T01:01", "2026-03-14T19:31:00.000Z"] {
        show(&out, &["--broadcast", "gala", "--zone", "Asia/Kolkata", "--airing", at]).exits(0);
    }
    let ran = show(&out, &["--broadcast", "gala", "--zone", "Asia/Kolkata", "--airing", "2026-03-14"]).exits(2);
    ran.says(&["2026-03-15T01:01 (Asia/Kolkata)"]);
    show(&out, &["--zone", "Paris"]).exits(2).says(&["no such zone", "Europe/Paris"]);
}

#[test]
fn an_airing_that_is_not_there_has_the_nearest_beside_it() {
    let folder = folder();
    let stays: Vec<_> =
        (0..40).map(|n| ("daily", "v", EVENING + n * 24 * HOUR, EVENING + n * 24 * HOUR + MINUTE)).collect();
    let out = of_stays(folder.path(), &stays);
    let ran = show(&out, &["--broadcast", "daily", "--airing", "2026-03-20T07"]).exits(2);
    ran.says(&["The nearest of 40 began at 2026-03-18T19:31, 2026-03-19T19:31, 2026-03-20T19:31 (UTC)."]);
    // What is no time is nearest to the newest.
    let ran = show(&out, &["--broadcast", "daily", "--airing", "yesterday"]).exits(2);
    let ran = ran.says(&["2026-04-22T19:31 (UTC)", "A time is written 2026-03-14"]);
    assert!(ran.stderr.len() < 250, "{}", ran.stderr);
}

#[test]
fn a_few_of_many_are_listed_where_that_is_asked_for() {
    let folder = folder();
    let out = sixty(folder.path());
    let ids = |flags: &[&str]| -> Vec<Value> {
        json(&out, flags).as_array().unwrap().iter().map(|one| one["broadcast_id"].clone()).collect()
    };
    assert_eq!(ids(&["--top", "3"]), ["show-06", "show-13", "show-20"]);
    assert_eq!((ids(&[]).len(), ids(&["--top", "100"]).len()), (60, 60));
    let said = show(&out, &["--top", "3"]).exits(0).stdout;
    assert!(said.contains("show-20") && said.contains("\nThe 3 largest of 60 airings.\n"), "{said}");
    assert_eq!(ids(&["--top", "3", "--broadcast", "show-07"]), ["show-07"]);
    show(&out, &["--top", "0"]).exits(2).says(&["--top"]);
    // A pipe is for programs, which want all.
    let all = show(&out, &[]).exits(0).stdout;
    assert!(all.contains("show-00") && all.contains("show-59") && !all.contains("newest"), "{all}");
}

#[test]
fn a_terminal_is_given_what_somebody_can_read() {
    let Some(_) = have(program("script")) else { return };
    let folder = folder();
    sixty(folder.path());
    let on_a_terminal = |line: &str| {
        let line = format!("script -qefc 'stty cols 60 rows 24; {line}' /dev/null");
        type_in("sh", folder.path(), &line).exits(0).stdout.replace('\r', "")
    };
    let said = on_a_terminal("jauge show audience");
    let more = "The newest 50 of 60 airings.\nAll of them: jauge show audience | less\n\
        The largest: jauge show audience --top 20\n";
    assert!(said.ends_with(more), "{said}");
    let shown: Vec<usize> = ["show-59", "show-10", "show-09"].iter().filter_map(|id| said.find(id)).collect();
    assert!(shown.len() == 2 && shown.is_sorted(), "{said}");
    let all = on_a_terminal("jauge show audience | cat");
    assert!(all.contains("show-09") && !all.contains("newest"), "{all}");
    assert!(on_a_terminal("jauge show audience --json").contains("show-09"));
    assert!(!on_a_terminal("jauge show audience --top 20").contains("newest"));
}
