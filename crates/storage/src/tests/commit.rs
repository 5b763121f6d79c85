//! Tests of commits on a disk that works, fails, or is shared with a zombie.

use super::sample::*;
use crate::store::PARTS;
use crate::*;
use exporter::SavedRules;
use problem::Failure;
use std::{
    io::{ErrorKind, Write},
    path::Path,
};

fn files(dir: &Path) -> Vec<String> {
    let store = Store::open(dir).unwrap();
    TABLES.into_iter().chain([SNAPSHOT, PARTS]).flat_map(|table| store.walk(table).unwrap()).collect()
}

#[test]
fn a_commit_makes_its_files_data() {
    let dir = directory(1);
    assert_eq!(
        files(dir.path()),
        [
            "live/date=2016-04-04/00000000000000000001-0002.parquet",
            "rejected/date=2016-04-03/00000000000000000001-0001.parquet",
            "events/writer=main/00000000000000000001-0000.parquet",
            "snapshot/00000000000000000001-0003.arrow",
        ]
    );
    let chain = expect_in_order(&Store::open(dir.path()).unwrap());
    let newest = chain.newest().unwrap();
    assert_eq!((newest.number, newest.parent.as_ref(), newest.counts.accepted), (1, None, 3));
    assert_eq!(chain.partitions()[0].to, 7 + 5);
    let events: Vec<_> = chain.files_of("events").collect();
    let bytes = std::fs::read(dir.path().join(&events[0].path)).unwrap();
    assert_eq!((events[0].rows, events[0].bytes), (3, bytes.len() as u64));
    assert_eq!(events[0].blake3, blake3::hash(&bytes).to_hex().as_str());
}

#[test]
fn a_directory_goes_on_where_it_was_and_merges_its_files() {
    let dir = directory(2);
    let store = Store::open(dir.path()).unwrap();
    let mut owner = take(&store, 2).unwrap();
    assert_eq!(owner.recovered(), &Recovered::default());
    assert_eq!(owner.chain().newest().unwrap().kind, CommitKind::Open);
    assert_eq!(commit(&mut owner).unwrap(), 4);
    let chain = expect_in_order(&store);
    assert_eq!(chain.newest().unwrap().ledger.accepted, 3 + 4 + 6);
    assert_eq!(chain.files_of("events").map(|f| f.rows).collect::<Vec<_>>(), [6, 7]);
    assert_eq!(chain.partitions()[0].to, 7 + 5 + 6 + 8);
}

#[test]
fn what_is_not_published_is_removed() {
    let dir = directory(1);
    let before = files(dir.path());
    let owner = take(&Store::open(dir.path()).unwrap(), 2).unwrap();
    let commit = owner.begin();
    part(&commit, "minutes", Folder::Day(DAY), 1).unwrap();
    let mut begun = commit.part("minutes", Folder::Day(DAY)).unwrap();
    begun.write_all(b"x").unwrap();
    assert_eq!(files(dir.path()).len(), before.len() + 2);
    drop(begun);
    assert_eq!(files(dir.path()).len(), before.len() + 1);
    drop(commit);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn many_threads_write_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = take(&Store::create(dir.path()).unwrap(), 1).unwrap();
    let (commit, background) = (owner.begin(), owner.begin());
    std::thread::scope(|scope| {
        for day in 0..4 {
            let to = if day == 0 { &background } else { &commit };
            scope.spawn(move || (0..5).for_each(|_| drop(part(to, "minutes", Folder::Day(day), 2).unwrap())));
        }
    });
    commit.absorb(&background);
    drop(background);
    owner.publish(&commit, &draft(owner.chain(), 0, 0)).unwrap();
    let chain = expect_in_order(owner.store());
    assert_eq!(chain.files_of("minutes").count(), 20);
}

#[test]
fn a_full_disk_can_be_waited_for_at_every_step() {
    let steps = [Step::SyncFolder, Step::CreateManifest, Step::Rename, Step::Remove];
    for step in steps {
        let dir = directory(2);
        let store = Store::open(dir.path()).unwrap();
        drop(take(&store, 2).unwrap());
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        let mut owner = take(&store.with_faults(Script::new(|_, _| None)).unwrap(), 3).unwrap();
        let commit = owner.begin();
        let draft = fill(&owner, &commit).unwrap();
        // From here on the disk is full, once.
        owner = owner.on(&store.with_faults(Script::fails_once(step, ErrorKind::StorageFull)).unwrap());
        let error = owner.publish(&commit, &draft).map(|_| ()).unwrap_err();
        assert!(error.is_disk_full(), "{step:?}: {error}");
        assert_eq!(error.exit_code(), 3);
        assert_eq!(owner.publish(&commit, &draft).unwrap().number, 5);
        drop((owner, commit));
        expect_in_order(&store);
    }
}

#[test]
fn a_part_that_failed_to_sync_is_gone_and_written_anew() {
    for step in [Step::Write, Step::SyncFile, Step::CreatePart, Step::MakeFolder] {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::create(dir.path()).unwrap().with_faults(Script::fails_once(step, ErrorKind::StorageFull)).unwrap();
        let mut owner = take(&store, 1).unwrap();
        let commit = owner.begin();
        assert!(part(&commit, "minutes", Folder::Day(DAY), 2).unwrap_err().is_disk_full());
        assert_eq!(files(dir.path()), [""; 0], "{step:?}");
        part(&commit, "minutes", Folder::Day(DAY), 2).unwrap();
        owner.publish(&commit, &draft(owner.chain(), 0, 0)).unwrap();
        expect_in_order(&store);
    }
}

#[test]
fn a_lost_reply_is_read_back() {
    let dir = directory(1);
    let faults = Script::fails_once(Step::Reply, ErrorKind::TimedOut);
    let store = Store::open(dir.path()).unwrap();
    let mut owner = take(&store.with_faults(faults.clone()).unwrap(), 2).unwrap();
    // Whether the name of the manifest was synced before the reply was lost, nobody knows: so it is synced again.
    let steps = faults.steps();
    let reply = steps.iter().position(|(step, _)| *step == Step::Reply).unwrap();
    assert_eq!(steps[reply + 1], (Step::SyncFolder, dir.path().join("commits/main")));
    assert_eq!(commit(&mut owner).unwrap(), 3);
    expect_in_order(&store);
}

#[test]
fn parts_stay_while_a_manifest_may_name_them_and_go_when_none_can() {
    for (failing, made) in [(Step::Reply, true), (Step::Rename, true), (Step::CreateManifest, false)] {
        let dir = directory(1);
        let store = Store::open(dir.path()).unwrap();
        let before = files(dir.path());
        let mut owner = take(&store, 2).unwrap();
        let commit = owner.begin();
        let draft = fill(&owner, &commit).unwrap();
        // The step fails, and where the reply is lost, the sync that would make it certain fails, too.
        owner = owner.on(&store.with_faults(Script::fails_with_the_next(failing)).unwrap());
        let error = owner.publish(&commit, &draft).map(|_| ()).unwrap_err();
        assert_eq!((error.exit_code(), error.is_disk_full()), (3, false), "{error}");
        drop((owner, commit));
        let parts = files(dir.path()).iter().filter(|file| file.ends_with(".part")).count();
        assert_eq!(parts, if made { 5 } else { 0 }, "{failing:?}");
        drop(take(&store, 3).unwrap());
        assert_eq!(expect_in_order(&store).files_of("events").map(|f| f.rows).sum::<u64>(), if made { 8 } else { 3 });
        assert_eq!(files(dir.path()) == before, !made);
    }
}

/// Two owners on one directory: a lock cannot keep them apart on every file system, and here it is taken away.
#[test]
fn a_zombie_is_fenced_and_harms_nothing() {
    let dir = directory(1);
    let store = Store::open(dir.path()).unwrap();
    let mut zombie = take(&store, 2).unwrap();
    let begun = zombie.begin();
    let said = fill(&zombie, &begun).unwrap();
    let error = take(&store, 3).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("another jauge")), (3, true));
    std::fs::remove_file(dir.path().join("lock")).unwrap();

    let mut owner = take(&store, 3).unwrap();
    assert_eq!(owner.recovered().removed.len(), 5, "the zombie's parts are no data");
    for _ in 0..2 {
        let error = zombie.publish(&begun, &said).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let CommitError::Fenced { number: 3, other, .. } = error else { panic!("{error}") };
        assert_eq!(other, format!("{:032x}", 3));
    }
    commit(&mut owner).unwrap();
    drop((zombie, begun));
    expect_in_order(&store);
}

#[test]
fn what_was_made_by_somebody_else_stays_and_is_told() {
    let dir = directory(1);
    let store = Store::open(dir.path()).unwrap();
    let foreign = "sessions/mine.parquet";
    std::fs::create_dir(dir.path().join("sessions")).unwrap();
    std::fs::write(dir.path().join(foreign), "x").unwrap();
    assert_eq!(take(&store, 2).unwrap().recovered().foreign, [foreign]);
    let ChainError::Damaged(damage) = audit_chain(&store).unwrap_err() else { panic!() };
    assert_eq!(damage.place, foreign);
}

#[test]
fn tables_without_commits_are_not_taken_for_rubbish() {
    let dir = directory(1);
    std::fs::remove_dir_all(dir.path().join("commits")).unwrap();
    let before = files(dir.path());
    let store = Store::open(dir.path()).unwrap();
    assert!(refuse_data(&store).is_err());
    for error in [take(&store, 2).unwrap_err(), Committer::take_new(&store, identity(2), NOW).unwrap_err()] {
        assert!(matches!(error, CommitError::Chain(ChainError::Store(StoreError::HoldsData { .. }))), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_new_directory_is_one_without_commits() {
    let dir = directory(0);
    let store = Store::open(dir.path()).unwrap();
    std::fs::create_dir_all(dir.path().join("minutes/date=2016-04-03")).unwrap();
    let left = "minutes/date=2016-04-03/00000000000000000001-0000.parquet.part";
    let part = store.staged("minutes/date=2016-04-03/00000000000000000001-0001.parquet");
    std::fs::create_dir_all(dir.path().join("parts/minutes")).unwrap();
    for left in [left, &part] {
        std::fs::write(dir.path().join(left), "left by a crash").unwrap();
    }
    let mut owner = Committer::take_new(&store, identity(2), NOW).unwrap();
    assert_eq!(owner.recovered().removed, [left, &part]);
    commit(&mut owner).unwrap();
    drop(owner);
    let error = Committer::take_new(&store, identity(3), NOW).unwrap_err();
    assert!(error.to_string().contains("holds data already (commits/main/00000000000000000001.json)"), "{error}");
}

#[test]
fn a_manifest_that_was_only_staged_is_none() {
    let dir = directory(1);
    let staged = dir.path().join("commits/main/00000000000000000002.json#1");
    std::fs::write(&staged, "{").unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(audit_chain(&store).unwrap().commits, 1);
    assert_eq!(commit(&mut take(&store, 2).unwrap()).unwrap(), 3);
    assert!(!staged.exists());
}

#[test]
fn a_long_chain_opens_from_its_last_restatement() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut owner = take(&store, 1).unwrap();
    for number in 1..=2 * RESTATE_EVERY + 2 {
        assert_eq!(commit(&mut owner).unwrap(), number);
        let opened = Chain::open(&store, "main").unwrap();
        assert_eq!((opened.newest(), opened.state()), (owner.chain().newest(), owner.chain().state()));
    }
    expect_in_order(&store);
    // Opening does not read what was restated; the audit does.
    let old = dir.path().join(manifest_path("main", 2));
    std::fs::write(&old, "gone bad").unwrap();
    Chain::open(&store, "main").unwrap();
    assert_eq!(audit_chain(&store).unwrap_err().exit_code(), 4);
    std::fs::remove_file(&old).unwrap();
    assert_eq!(Chain::open(&store, "main").unwrap_err().exit_code(), 4);
}

#[test]
fn settling_moves_the_frontier_and_the_ledger() {
    let dir = directory(1);
    let mut owner = take(&Store::open(dir.path()).unwrap(), 2).unwrap();
    let rules = SavedRules::from(aggregator::Rules::default());
    let airing = |frontier, applied| SettledAiring {
        broadcast_id: "b".into(),
        airing_at: Some(NOW),
        frontier,
        applied,
        ..SettledAiring::default()
    };
    let mut draft = draft(owner.chain(), 0, 0);
    let airings = vec![airing(NOW + 9, 2), airing(NOW + 5, 1)];
    draft.settled = vec![Settlement { read_to: [("main".into(), 1)].into(), replaces_from: None, rules, airings }];
    let commit = owner.begin();
    let error = owner.publish(&commit, &draft).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("applied"), "{error}");
    (draft.ledger.applied, draft.ledger.not_yet_settled) = (3, 0);
    owner.publish(&commit, &draft).unwrap();
    let chain = expect_in_order(owner.store());
    assert_eq!(chain.frontiers(), &[("b".to_owned(), NOW + 9)].into());
}
