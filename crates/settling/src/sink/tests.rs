//! Tests of files that are written side by side: the same names and bytes each time, and nothing left of what failed.

use super::*;
use aggregator::Rows as _;
use audience::{Ended, Ms};
use std::path::Path;
use storage::{Committer, Identity, Store};

const DAY_MS: Ms = 86_400_000;
const T: Ms = 1_459_711_860_000;
const DAYS: i64 = 40;

fn committer(folder: &Path) -> Committer {
    let store = Store::create(folder).unwrap();
    let identity = Identity { writer: "main".into(), incarnation: 1, version: "0.1.0".into(), config: "c".into() };
    Committer::take_new(&store, identity, T).unwrap()
}

/// A session on each of many days, given by two sinks.
fn write(commit: &Commit) -> Result<(), Problem> {
    let (names, passport, tables) = ([Arc::from("b")], Passport::default(), [Table::Sessions].into());
    let output = Output::new(commit, &names, &passport, &tables, 1 << 20);
    let mut sinks = [output.sink(), output.sink()];
    for day in 0..DAYS {
        let joined_at = T + day * DAY_MS;
        let (viewer, session) = (u128::from(day.unsigned_abs()), 1);
        let (left_at, ended) = (joined_at + 1, Ended::Leave);
        let row = SessionRow { broadcast: 0, via: NO_DETAIL, airing_at: T, viewer, session, joined_at, left_at, ended };
        sinks[usize::try_from(day % 2).unwrap()].session(row, Some("via"));
    }
    sinks.into_iter().try_for_each(Receiver::finish)?;
    output.finish()
}

#[test]
fn files_have_the_same_names_and_bytes_each_time() {
    let files = || {
        let folder = tempfile::tempdir().unwrap();
        let commit = committer(folder.path()).begin();
        write(&commit).unwrap();
        commit.files()
    };
    let first = files();
    assert_eq!(first.len(), usize::try_from(DAYS).unwrap());
    assert!(first.is_sorted_by_key(|file| &file.path) && first.iter().all(|file| file.rows == 1));
    for _ in 0..5 {
        assert_eq!(files(), first);
    }
}

#[test]
fn the_first_problem_ends_all_and_nothing_stays() {
    // Names are the same each time, so it is known where the file of one day will be begun: there lies a folder.
    let elsewhere = tempfile::tempdir().unwrap();
    let named = committer(elsewhere.path()).begin();
    write(&named).unwrap();
    let blocked = format!("{}.part", named.files()[17].path.rsplit('/').next().unwrap());

    let folder = tempfile::tempdir().unwrap();
    let committer = committer(folder.path());
    let parts = folder.path().join("parts/sessions");
    std::fs::create_dir_all(parts.join(&blocked)).unwrap();
    let commit = committer.begin();
    let problem = write(&commit).unwrap_err();
    assert_eq!(problem.exit_code(), 3);
    assert!(problem.message.contains(&blocked), "{problem}");
    assert!(commit.files().len() < 17 + HELPERS_MAX, "the days after it are not written");
    drop(commit);
    let left: Vec<_> = std::fs::read_dir(&parts).unwrap().map(|part| part.unwrap().path()).collect();
    assert_eq!(left, [parts.join(&blocked)], "parts are removed");
}
