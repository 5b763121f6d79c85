//! Housekeeping: many small files of the log become few, what is too old goes, and nothing else changes, whenever it is killed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::settles::{night, rough};
use super::{RULES, Running, SOON, Topic, join, leave, ledger, settled_rows, strs, verified, wait_until, with_rules};
use crate::data_directory;
use crate::reference::{self, Rules};
use crate::support::{files_under, folder, run};
use crate::tables::{Ledger, Tables};

const MINUTE: i64 = 60_000;

/// All manifests of a directory.
fn manifests(out: &Path) -> Vec<Value> {
    let files = files_under(&out.join("commits/main"));
    files.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

fn tidied(out: &Path) -> usize {
    manifests(out).iter().filter(|manifest| manifest["kind"] == "tidy").count()
}

fn logs(out: &Path) -> usize {
    files_under(&out.join("events")).len()
}

fn said_of_verify(out: &Path) -> String {
    let said = run(["verify".into(), out.into()]).exits(0).stdout;
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn many_small_files_become_few_and_say_the_same_whenever_it_is_killed() {
    let (_broker, topic) = Topic::embedded(3);
    let (folder, events) = (folder(), night(&simulator::Options { scale: 0.001, ..rough() }));
    let out = folder.path().join("run");
    let rules = Rules { session_timeout_ms: 300_000, timeout_grace_ms: 10_000, ..RULES };
    let flags = with_rules(rules, &["--idle-after=1h"]);
    let flags = strs(&flags);
    let mut sent = 0;
    for part in events.chunks(events.len().div_ceil(4)) {
        let mut running = Running::of(&topic, &out, &flags);
        // A commit at least for each of these.
        for few in part.chunks(part.len().div_ceil(12)) {
            topic.send_events(few);
            sent += few.len();
            running.wait_until_read(i64::try_from(sent).unwrap());
        }
        wait_until("word of housekeeping", SOON, || running.said().contains("became 1").then_some(()));
        running.signal("KILL");
        running.ends(Duration::from_secs(30));
        verified(&out);
    }
    topic.until_end(&out, &flags).exits(0);
    assert_eq!(ledger(&out, "read"), i64::try_from(sent).unwrap());
    let commits = manifests(&out).iter().filter(|manifest| manifest["counts"]["accepted"] != 0).count();
    assert!(tidied(&out) >= 4 && logs(&out) < commits / 2, "{} files of {commits} commits", logs(&out));
    Tables::assert_equal(&reference::settled(&events, rules), &data_directory::read(&out), "killed and merged");
    assert!(said_of_verify(&out).contains("every offset is there once"));
    // Settled once more from the merged log, nothing is other than it was.
    let settle = ["settle".into(), out.clone().into(), "--broadcast=nuit-debout".into()];
    assert!(run(settle).exits(0).stdout.contains("nothing is to be changed"));
}

#[test]
fn what_is_too_old_goes_and_what_is_not_settled_stays() {
    let (_broker, topic) = Topic::embedded(1);
    let folder = folder();
    let out = folder.path().join("run");
    let first = [join("a", 0), leave("a", 3 * MINUTE), join("b", 90_000), leave("b", 4 * MINUTE)];
    topic.send_events(&first);
    topic.send(0, Some(b"no event"));
    topic.flush();
    topic.until_end(&out, &[]).exits(0);
    let later = 10 * 60 * MINUTE;
    let second = [join("a", later), leave("a", later + MINUTE)];
    let keep = ["--keep-events=0s", "--keep-live=0s", "--idle-after=1h"];
    let mut running = Running::of(&topic, &out, &keep);
    wait_until("commit that drops", Duration::from_secs(60), || {
        manifests(&out).iter().any(|manifest| manifest["dropped"]["events"] == 4).then_some(())
    });
    topic.send_events(second.iter().chain(&[join("late", MINUTE)]));
    running.wait_until_read(8);
    running.stop();
    let said = said_of_verify(&out);
    assert!(said.contains("1 settled airings cannot be computed again"), "{said}");
    assert_eq!((ledger(&out, "after_settle"), ledger(&out, "not_yet_settled")), (1, 2));
    let live: i64 = manifests(&out).iter().filter_map(|manifest| manifest["dropped"]["live"].as_i64()).sum();
    assert!(live > 0, "live minutes went, too");
    // It still settles what comes, and says what it no longer can.
    topic.until_end(&out, &["--keep-events=forever", "--keep-live=forever"]).exits(0);
    let settle = ["settle".into(), out.clone().into(), "--broadcast=b".into()];
    let said = run(settle).exits(0).stdout;
    assert!(said.contains("1 events that came late cannot enter any more"), "{said}");
    let both = [&first[..], &second].concat();
    let found = settled_rows(&out);
    let expected =
        Tables { rejected: Tables::empty().rejected, ledger: Ledger::default(), ..reference::settled(&both, RULES) };
    Tables::assert_equal(&expected, &found, "dropped after it settled");
    said_of_verify(&out);
}
