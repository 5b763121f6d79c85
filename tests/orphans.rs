//! Leaves that found no session: `jauge replay` and `jauge show` say what their numbers tell, in a sentence each.

use std::fs;
use std::path::Path;

use crate::support::{folder, have, replay, run, shared};

/// One leave after a silence.
const SILENCED: &str = "1 leave came for a session that a silence of broadcast_idle (6h) had closed: if viewers stay longer than that \
                        without heartbeats, raise broadcast_idle.";

/// Events of the broadcast `radio`: what, in which hour, of whom, in which session.
fn events(path: &Path, events: &[(&str, i64, &str, &str)]) {
    let line = |(kind, hour, viewer, session): &(&str, i64, &str, &str)| {
        let ts = 1_700_000_000_000 + hour * 3_600_000;
        format!(
            r#"{{"type":"{kind}","broadcast_id":"radio","ts":{ts},"viewer_id":"{viewer}","session_id":"{session}"}}"#
        )
    };
    fs::write(path, events.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
}

/// What a replay and a show of its directory say.
#[track_caller]
fn said(of: &Path, flags: &[&str]) -> [String; 2] {
    let folder = folder();
    let out = folder.path().join("out");
    let replayed = replay([of], &out, flags).exits(0).stdout;
    [replayed, run(["show".into(), out.into()]).exits(0).stdout]
}

#[test]
fn a_leave_that_comes_after_a_silence_is_told() {
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    let night =
        [("join", 0, "night", "s"), ("leave", 8, "night", "s"), ("join", 9, "day", "d"), ("leave", 10, "day", "d")];
    events(&file, &night);
    for told in said(&file, &[]) {
        assert!(told.replace('\n', " ").contains(SILENCED), "{told}");
        assert!(!told.contains("found no open session"), "{told}");
    }
    // With the remedy there is nothing to say.
    for told in said(&file, &["--broadcast-idle=9h"]) {
        assert!(!told.contains("silence") && !told.contains("leave"), "{told}");
    }
    // A viewer who has left, or whom the end has sent away, was closed by no silence; nor does a second leave count.
    let mut others = vec![("join", 0, "gone", "s"), ("leave", 1, "gone", "s"), ("leave", 9, "gone", "s")];
    others.extend([("join", 1, "ended", "s"), ("end", 2, "", ""), ("leave", 9, "ended", "s")]);
    others.extend([("join", 2, "late", "s"), ("join", 10, "late", "s"), ("leave", 11, "late", "s")]);
    events(&file, &others);
    for told in said(&file, &[]) {
        assert!(!told.contains("silence"), "{told}");
    }
    let twice = [&night[..2], &[("leave", 9, "night", "s"), ("join", 9, "x", "x"), ("leave", 10, "x", "x")]].concat();
    events(&file, &twice);
    for told in said(&file, &[]) {
        assert!(told.replace('\n', " ").contains(SILENCED), "{told}");
    }
}

#[test]
fn leaves_that_are_mostly_orphaned_are_told() {
    let folder = folder();
    let file = folder.path().join("events.ndjson");
    events(&file, &[("join", 0, "a", "a1"), ("leave", 1, "a", "a2"), ("join", 0, "b", "b1"), ("leave", 1, "b", "b2")]);
    for told in said(&file, &[]) {
        let told = told.replace('\n', " ");
        assert!(told.contains("2 of 2 leaves found no open session: the join is missing"), "{told}");
        assert!(told.contains("another viewer_id or session_id."), "{told}");
    }
    // As many that closed one as did not: some are lost everywhere.
    let half = [("join", 0, "a", "a1"), ("leave", 1, "a", "a2"), ("join", 0, "b", "b1"), ("leave", 1, "b", "b1")];
    events(&file, &half);
    for told in said(&file, &[]) {
        assert!(!told.contains("found no"), "{told}");
    }
}

#[test]
fn the_cases_from_life_are_told() {
    let Some(shared) = have(shared()) else { return };
    for case in ["12a-week-long-listener-alone", "12c-overnight-listener"] {
        let told = said(&shared.join("cases").join(case).with_extension("ndjson"), &[]);
        assert!(told.iter().all(|told| told.replace('\n', " ").contains(SILENCED)), "{case}: {told:?}");
    }
}
