//! Lies whose checksums hold: one cell, row or commit says what is not so, and everything that names the file by its
//! checksum was made to agree. Computing the tables again finds them, and the sentence says where.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use serde_json::Value;

use super::forge::{Cell, Forgery, number, pseudonym, text, with, write};
use super::{copied, directories, verify};
use crate::support::Ran;

/// Tells a lie in a copy of a directory; what verifying it says.
fn told(made: &Path, lie: impl FnOnce(&mut Forgery)) -> Ran {
    let (_folder, dir) = copied(made);
    let mut forgery = Forgery::of(&dir);
    lie(&mut forgery);
    forgery.seal();
    verify(&dir, &[])
}

/// Tells a lie in one cell, of the first row for which `is_it` holds; it is found, and the sentence has these words.
#[track_caller]
fn found(made: &Path, table: &str, column: &str, is_it: fn(&RecordBatch, usize) -> bool, to: Cell, says: &[&str]) {
    let ran = told(made, |forgery| forgery.change(table, column, is_it, to));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{table}.{column} {to:?}: {}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    ran.says(says);
}

fn any(_: &RecordBatch, _: usize) -> bool {
    true
}

/// An ordinary minute: people watch, and it is neither the first nor the last of anything.
fn busy(rows: &RecordBatch, row: usize) -> bool {
    number(rows, "viewers_min", row) > 2 && number(rows, "viewers_max", row) > number(rows, "viewers_end", row) + 1
}

const NIGHT: &str = "nuit-debout";

#[test]
fn sealing_alone_is_no_lie() {
    for made in [&directories().ran, &directories().replayed] {
        told(made, |_| ()).exits(0);
        // Nor is writing a file anew.
        told(made, |forgery| {
            for table in ["airings", "minutes", "sessions", "retweets", "rejected", "events", "live"] {
                forgery.files(table).iter().for_each(|(path, rows)| write(path, rows));
            }
        })
        .exits(0);
    }
}

#[test]
fn a_cell_of_a_settled_table_is_found() {
    for made in [&directories().ran, &directories().replayed] {
        let minute = |column, to| found(made, "minutes", column, busy, to, &[NIGHT, "minutes", "airing 2016-04-0"]);
        for column in
            ["viewers_max", "viewers_min", "joins", "leaves", "lapses", "viewers_start", "viewers_end", "retweets"]
        {
            minute(column, Cell::Plus(1));
        }
        for column in ["new_viewers", "retweet_followers", "late", "lapses_backdated", "viewers_max_at"] {
            minute(column, Cell::Plus(1));
        }
        for column in ["distinct_start", "distinct_end", "distinct_max", "distinct_max_at", "distinct_min", "returns"] {
            minute(column, Cell::Plus(1));
        }
        for column in ["viewers_min", "distinct_min", "distinct_max"] {
            minute(column, Cell::Plus(-1));
        }
        for column in ["viewers_max_at", "distinct_max_at"] {
            minute(column, Cell::Plus(86_400_000));
        }
        // The mean is the integral's, and names its file.
        for (column, mean) in [("viewer_ms", "viewers_mean"), ("distinct_ms", "distinct_mean")] {
            found(made, "minutes", column, busy, Cell::Plus(1), &["minutes/date=2016-04-0", mean]);
        }
        let airing =
            |column, is_it, to| found(made, "airings", column, is_it, to, &[NIGHT, "airings", "airing 2016-04-0"]);
        for column in ["sessions", "reach", "viewers_max", "joins", "leaves", "lapses", "retweets", "retweet_followers"]
        {
            airing(column, any, Cell::Plus(1));
        }
        for column in ["viewers_max_at", "first_joined_at", "last_at", "applied", "repeated", "orphaned"] {
            airing(column, any, Cell::Plus(1));
        }
        for column in ["distinct_max", "distinct_max_at", "returns"] {
            airing(column, any, Cell::Plus(1));
        }
        airing("distinct_max", any, Cell::Plus(-1));
        found(made, "airings", "distinct_ms", any, Cell::Plus(-1), &["airings/date=2016-04-0", "distinct_mean"]);
        found(made, "airings", "airtime_ms", any, Cell::Plus(1), &["airings/date=2016-04-0", "viewers_mean"]);
        let session = |column, to| found(made, "sessions", column, any, to, &[NIGHT, "airing 2016-04-0", "sessions"]);
        session("left_at", Cell::Plus(1));
        session("joined_at", Cell::Plus(1));
        session("left_at", Cell::Number(0));
        session("joined_at", Cell::Number(4_102_444_800_000));
        let leave: fn(&RecordBatch, usize) -> bool = |rows, row| text(rows, "end_reason", row) == Some("leave");
        found(made, "sessions", "end_reason", leave, Cell::Text("timeout"), &[NIGHT, "sessions"]);
        found(made, "sessions", "end_reason", leave, Cell::Text("boredom"), &["sessions/date=2016-04-0", "boredom"]);
        let known: fn(&RecordBatch, usize) -> bool = |rows, row| number(rows, "followers", row) > 0;
        found(made, "retweets", "followers", known, Cell::Plus(1), &[NIGHT, "retweets"]);
        found(made, "retweets", "retweeted_at", any, Cell::Plus(60_000), &[NIGHT, "retweets"]);
        for table in ["airings", "minutes", "sessions", "retweets"] {
            found(made, table, "broadcast_id", any, Cell::Text("somebody else"), &["broadcast \"", "airing 2016-04-0"]);
            found(made, table, "airing_at", any, Cell::Plus(1), &["airing 2016-04-0"]);
        }
    }
}

/// What the settled tables cannot know of each other, the log knows.
#[test]
fn only_the_log_knows() {
    let made = &directories().ran;
    let lapse: fn(&RecordBatch, usize) -> bool = |rows, row| text(rows, "end_reason", row) == Some("broadcast_end");
    found(made, "sessions", "end_reason", lapse, Cell::Text("end_of_data"), &[NIGHT, "table sessions"]);
    found(made, "sessions", "via", any, Cell::Text("another tweet"), &[NIGHT, "table sessions"]);
    // One viewer more or less would show in the reach: this one had one session alone.
    found(made, "sessions", "viewer", any, Cell::Pseudonym(7), &[NIGHT, "table sessions"]);
    found(made, "sessions", "session", any, Cell::Pseudonym(9), &[NIGHT, "table sessions"]);
    found(made, "retweets", "user_id", any, Cell::Text("another user"), &[NIGHT, "table retweets"]);
    found(made, "retweets", "retweet_of", any, Cell::Text("another tweet"), &[NIGHT, "table retweets"]);
    found(made, "retweets", "retweeted_at", any, Cell::Plus(1), &[NIGHT, "table retweets"]);
    // What became of an event, said otherwise by the airing, the commit and the ledger alike.
    told(made, |forgery| {
        let (path, rows, row) = forgery.find("airings", |rows, row| number(rows, "applied", row) > 100);
        let applied = number(&rows, "applied", row);
        let more = with(&with(&rows, "applied", row, Cell::Plus(1)), "repeated", row, Cell::Plus(-1));
        write(&path, &more);
        let airings = forgery.commits.iter_mut().filter_map(|commit| commit.get_mut("settled"));
        let mut airings = airings.flat_map(|settled| settled[0]["airings"].as_array_mut().unwrap());
        let one = airings.find(|one| one["applied"] == applied).unwrap();
        add(&mut one["repeated"], -1);
        add(&mut one["applied"], 1);
        shift_ledger(forgery, "repeated", "applied", applied + 1);
    })
    .exits(4)
    .says(&["airing 2016-04-0", "events"]);
}

/// Moves one from a count of the ledger to another, from the commit on in which an airing with so many
/// applied events settled.
fn shift_ledger(forgery: &mut Forgery, from: &str, to: &str, applied: i64) {
    let mut since = false;
    for commit in &mut forgery.commits {
        let settled = commit.get("settled").and_then(|settled| settled[0]["airings"].as_array());
        since |= settled.is_some_and(|airings| airings.iter().any(|one| one["applied"] == applied));
        if since {
            add(&mut commit["ledger"][from], -1);
            add(&mut commit["ledger"][to], 1);
        }
    }
}

fn add(count: &mut Value, more: i64) {
    *count = (count.as_i64().unwrap() + more).into();
}

#[test]
fn a_cell_of_the_live_table_is_found() {
    let made = &directories().ran;
    let minute = |column, to| found(made, "live", column, busy, to, &[NIGHT, "table live"]);
    for column in ["late", "viewers_start", "viewers_end", "joins", "leaves", "lapses", "lapses_backdated"] {
        minute(column, Cell::Plus(1));
    }
    for column in ["distinct_start", "distinct_end", "distinct_max", "returns"] {
        minute(column, Cell::Plus(1));
    }
    minute("distinct_min", Cell::Plus(-1_000));
    minute("viewers_min", Cell::Plus(-1_000));
    let late: fn(&RecordBatch, usize) -> bool = |rows, row| number(rows, "late", row) > 0;
    found(made, "live", "late", late, Cell::Plus(-1), &[NIGHT, "table live", "late"]);
    found(made, "live", "minute_at", busy, Cell::Plus(60_000), &[NIGHT, "table live"]);
    found(made, "live", "minute_at", busy, Cell::Plus(1), &[NIGHT, "table live", "whole minute"]);
    let ran = told(made, |forgery| {
        let (path, _, row) = forgery.find("live", busy);
        forgery.remove(&path, row);
    });
    ran.exits(4).says(&[NIGHT, "table live"]);
}

#[test]
fn a_cell_of_the_log_is_found() {
    let made = &directories().ran;
    let join: fn(&RecordBatch, usize) -> bool = |rows, row| text(rows, "type", row) == Some("join");
    let ran = told(made, |forgery| {
        // One that was said once: what is said again may say it later.
        let viewer = |rows: &RecordBatch, row: usize| pseudonym(rows, "viewer", row);
        let mut joins = BTreeMap::<_, usize>::new();
        for (_, rows) in forgery.files("events") {
            (0..rows.num_rows())
                .filter(|row| join(&rows, *row))
                .for_each(|row| *joins.entry(viewer(&rows, row)).or_default() += 1);
        }
        let lone = |rows: &RecordBatch, row: usize| join(rows, row) && joins[&viewer(rows, row)] == 1;
        forgery.change("events", "ts", lone, Cell::Plus(1));
    });
    ran.exits(4).says(&[NIGHT, "airing 2016-04-0", "table"]);
    found(made, "events", "viewer", join, Cell::Pseudonym(1), &[NIGHT, "table"]);
    found(made, "events", "session", join, Cell::Pseudonym(1), &[NIGHT, "table"]);
    found(made, "events", "type", join, Cell::Text("leave"), &[NIGHT]);
    found(made, "events", "type", join, Cell::Text("applause"), &["events/writer=main", "applause"]);
    found(made, "events", "broadcast_id", join, Cell::Text("somebody else"), &["events"]);
    found(made, "events", "commit", any, Cell::Plus(1), &["events: offset", "but its row says 2"]);
    found(made, "events", "commit", any, Cell::Number(99), &["events: offset", "but its row says 99"]);
    found(made, "events", "partition", any, Cell::Number(7), &["partition 7 of events"]);
    found(made, "events", "source", any, Cell::Text("another topic"), &["another topic"]);
    found(made, "events", "offset", any, Cell::Number(-1), &["events: offset -1"]);
    found(made, "events", "offset", any, Cell::Number(i64::MAX), &["events: offset 9223372036854775807"]);
    found(made, "rejected", "offset", any, Cell::Plus(1), &["offset", "of events"]);
    found(made, "rejected", "reason", any, Cell::Text("empty"), &["rejected"]);
    // The first offset that no commit read, a few behind the last: near enough for a rounded bound to hide it.
    let ran = told(made, |forgery| {
        let newest = forgery.commits.last().unwrap();
        let next = newest["inputs"]["partitions"][0]["to"].as_i64().unwrap();
        let last = move |rows: &RecordBatch, row: usize| {
            number(rows, "partition", row) == 0 && number(rows, "offset", row) == next - 1
        };
        forgery.change("events", "offset", last, Cell::Number(next));
    });
    ran.exits(4).says(&["no commit read it"]);
    // An offset twice.
    let ran = told(made, |forgery| {
        let (path, rows, _) = forgery.find("events", any);
        let other = (1..rows.num_rows()).find(|row| number(&rows, "partition", *row) == number(&rows, "partition", 0));
        write(&path, &with(&rows, "offset", 0, Cell::Number(number(&rows, "offset", other.unwrap()))));
    });
    ran.exits(4).says(&["stands twice"]);
}

#[test]
fn a_row_that_was_taken_away_is_found() {
    for (made, tables) in [
        (&directories().ran, &["airings", "minutes", "sessions", "retweets", "rejected", "events"][..]),
        (&directories().replayed, &["airings", "minutes", "sessions", "retweets", "rejected"]),
    ] {
        for table in tables {
            let ran = told(made, |forgery| {
                let (path, _, row) = forgery.find(table, any);
                forgery.remove(&path, row);
            });
            assert_eq!(ran.code, Some(4), "{table}: {}", ran.stderr);
            ran.says(&[table]);
        }
    }
}

/// An event taken out of the log, and out of every count of every commit: only computing the tables again finds that.
#[test]
fn an_event_that_never_was_is_missed() {
    let ran = told(&directories().ran, |forgery| {
        let (path, rows, row) = forgery.find("events", |rows, row| {
            text(rows, "type", row) == Some("join") && text(rows, "broadcast_id", row) == Some(NIGHT)
        });
        let number = |column: &str| number(&rows, column, row);
        let (by, partition) = (number("commit"), number("partition"));
        forgery.remove(&path, row);
        let mut is_settled = false;
        for commit in &mut forgery.commits {
            let now = commit["number"].as_i64().unwrap();
            if now < by {
                continue;
            }
            if now == by {
                let partitions = commit["inputs"]["partitions"].as_array_mut().unwrap();
                let one = partitions.iter_mut().find(|one| one["partition"] == partition).unwrap();
                add(&mut one["accepted"], -1);
                add(&mut one["skipped"], 1);
                add(&mut commit["counts"]["accepted"], -1);
                add(&mut commit["counts"]["read"], -1);
            }
            let airings = commit.get_mut("settled").map(|settled| settled[0]["airings"].as_array_mut().unwrap());
            let one = airings.into_iter().flatten().find(|one| one["broadcast_id"] == NIGHT);
            if let Some(one) = one.filter(|_| !is_settled) {
                add(&mut one["applied"], -1);
                is_settled = true;
            }
            let ledger = &mut commit["ledger"];
            for count in ["read", "accepted", if is_settled { "applied" } else { "not_yet_settled" }] {
                add(&mut ledger[count], -1);
            }
        }
        let first = |rows: &RecordBatch, row: usize| text(rows, "broadcast_id", row) == Some(NIGHT);
        forgery.change("airings", "applied", first, Cell::Plus(-1));
    });
    ran.exits(4).says(&[NIGHT, "airing 2016-04-03", "events give"]);
}

#[test]
fn a_commit_that_lies_is_found() {
    let made = &directories().ran;
    let ledger = |count: &'static str, other: &'static str| {
        told(made, |forgery| {
            let newest = forgery.commits.last_mut().unwrap();
            add(&mut newest["ledger"][count], 1);
            add(&mut newest["ledger"][other], -1);
        })
        .exits(4)
        .says(&["commits/main/"])
    };
    ledger("read", "rejected");
    ledger("applied", "repeated");
    // These two are free of the commit before; the log knows better.
    told(made, |forgery| {
        for commit in &mut forgery.commits.iter_mut().rev().take(1) {
            add(&mut commit["ledger"]["after_settle"], -1);
            add(&mut commit["ledger"]["not_yet_settled"], 1);
        }
    })
    .exits(4)
    .says(&["ledger", "events"]);
    let first_settling = |forgery: &Forgery| forgery.commits.iter().position(|one| one["settled"].is_array()).unwrap();
    told(made, |forgery| {
        let place = first_settling(forgery);
        add(&mut forgery.commits[place]["settled"][0]["airings"][0]["frontier"], 1);
    })
    .exits(4)
    .says(&["airing 2016-04-03", "commit"]);
    told(made, |forgery| {
        let place = first_settling(forgery);
        add(&mut forgery.commits[place]["settled"][0]["rules"]["end_idle_ms"], -60_000);
    })
    .exits(4)
    .says(&["airing 2016-04-03", "commit"]);
    told(made, |forgery| {
        let place = first_settling(forgery);
        forgery.commits[place]["settled"][0]["read_to"]["main"] = 1.into();
    })
    .exits(4)
    .says(&["airing 2016-04-03", "table"]);
    told(made, |forgery| {
        let partition = &mut forgery.commits[1]["inputs"]["partitions"][0];
        add(&mut partition["from"], 1);
    })
    .exits(4)
    .says(&["commits/main/00000000000000000002.json"]);
    // Offsets beyond all sense cost no memory.
    told(made, |forgery| {
        let partition = &mut forgery.commits.last_mut().unwrap()["inputs"]["partitions"][0];
        partition["skipped"] = (partition["skipped"].as_i64().unwrap() + (1 << 60)).into();
        partition["to"] = (partition["to"].as_i64().unwrap() + (1 << 60)).into();
    })
    .exits(0);
}
