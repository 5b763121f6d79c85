//! The audit finds whatever is changed, cut, swapped, missing or too much.

use super::sample::*;
use crate::commits::commit::folder_of;
use crate::store::PARTS;
use crate::*;
use problem::Failure;
use std::{fs, path::Path};

fn sample() -> (tempfile::TempDir, Store, Vec<String>) {
    let dir = directory(3);
    let store = Store::open(dir.path()).unwrap();
    drop(take(&store, 2).unwrap());
    let folders = TABLES.into_iter().chain([SNAPSHOT, "commits"]);
    let files = folders.flat_map(|folder| store.walk(folder).unwrap()).collect();
    (dir, store, files)
}

fn expect_damage(store: &Store, what: &str) -> Damage {
    match audit_chain(store) {
        Err(error @ ChainError::Damaged(_)) => {
            assert_eq!(error.exit_code(), 4);
            let ChainError::Damaged(damage) = error else { unreachable!() };
            damage
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn an_audit_counts_what_is_there() {
    let (_dir, store, files) = sample();
    let report = audit_chain(&store).unwrap();
    assert_eq!((report.commits, report.files, report.records), (4, files.len() as u64 - 4, 4 + 5 + 6));
    assert_eq!(report.rows, [("events".into(), 12), ("live".into(), 9), ("rejected".into(), 3)].into());
}

#[test]
fn any_flipped_byte_of_any_file_is_found() {
    let (dir, store, files) = sample();
    let mut flips = 0;
    for (at, file) in files.iter().enumerate() {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        // Every byte of one manifest, every seventh of the others and of the tables.
        let step = if at + 1 == files.len() { 1 } else { 7 };
        for byte in (at % step..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[byte] ^= 1 << (byte % 8);
            fs::write(&path, &flipped).unwrap();
            let damage = expect_damage(&store, &format!("byte {byte} of {file}"));
            assert_eq!(damage.place, *file, "{damage}");
            flips += 1;
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(flips > 1_000, "{flips}");
    audit_chain(&store).unwrap();
}

#[test]
fn a_file_that_is_cut_missing_or_longer_is_found() {
    let (dir, store, files) = sample();
    for file in &files {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() - 1], &[], &[&whole[..], b"\n"].concat()] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(expect_damage(&store, file).place, *file);
        }
        fs::remove_file(&path).unwrap();
        let newest = *file == manifest_path("main", 4);
        // The newest manifest of a chain can be taken off unseen, when nothing but it is new: it says of itself that it
        // is the last.
        if newest {
            audit_chain(&store).map(|_| ()).unwrap();
        } else if file.starts_with(SNAPSHOT) {
            // A cache that is not there is no damage, and told.
            assert_eq!(audit_chain(&store).unwrap().lacking, std::slice::from_ref(file));
        } else {
            expect_damage(&store, file);
        }
        fs::write(&path, &whole).unwrap();
    }
    let newest = [4, 3].map(|number| dir.path().join(manifest_path("main", number)));
    let bytes = newest.each_ref().map(|path| fs::read(path).unwrap());
    newest.iter().for_each(|path| fs::remove_file(path).unwrap());
    expect_damage(&store, "the files of the third commit are named by nobody");
    for (path, bytes) in newest.iter().zip(bytes) {
        fs::write(path, bytes).unwrap();
    }
    audit_chain(&store).unwrap();
}

#[test]
fn files_that_change_places_are_found() {
    let (dir, store, files) = sample();
    for (a, b) in files.iter().zip(&files[1..]) {
        let (one, two) = (dir.path().join(a), dir.path().join(b));
        if fs::read(&one).unwrap() == fs::read(&two).unwrap() {
            continue;
        }
        swap(&one, &two);
        expect_damage(&store, &format!("{a} and {b}"));
        swap(&one, &two);
    }
}

fn swap(one: &Path, two: &Path) {
    let (a, b) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    fs::write(one, b).unwrap();
    fs::write(two, a).unwrap();
}

#[test]
fn a_commit_of_another_directory_is_found_though_its_checksum_is_right() {
    let (dir, store, _) = sample();
    let other = directory_of(5, 3);
    for number in 1..=3 {
        let path = dir.path().join(manifest_path("main", number));
        let whole = fs::read(&path).unwrap();
        fs::copy(other.path().join(manifest_path("main", number)), &path).unwrap();
        let damage = expect_damage(&store, "the commit names the same files, but is another");
        assert!(damage.what.contains("does not name the commit before it"), "{damage}");
        assert_eq!(Chain::open(&store, "main").unwrap_err().exit_code(), 4);
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn what_nobody_names_is_found_and_what_is_no_data_is_told() {
    let (dir, store, _) = sample();
    let stray = "sessions/date=2016-04-03/00000000000000000001-0009.parquet";
    fs::create_dir_all(dir.path().join("sessions/date=2016-04-03")).unwrap();
    fs::write(dir.path().join(stray), parquet(1)).unwrap();
    assert_eq!(expect_damage(&store, stray).place, stray);
    // Where parts lie, and where earlier versions laid them.
    let parts = [store.staged(stray), format!("{stray}.part"), format!("{PARTS}/jauge-0123456789abcdef.run")];
    fs::rename(dir.path().join(stray), dir.path().join(&parts[1])).unwrap();
    fs::create_dir_all(dir.path().join(folder_of(&parts[0]))).unwrap();
    fs::write(dir.path().join(&parts[0]), "left by a crash").unwrap();
    fs::write(dir.path().join(&parts[2]), "left by a crash").unwrap();
    let mut leftovers = audit_chain(&store).unwrap().leftovers;
    leftovers.sort_by_key(|path| parts.iter().position(|part| part == path));
    assert_eq!(leftovers, parts);
    take(&store, 3).unwrap();
    assert_eq!(audit_chain(&store).unwrap().leftovers, [""; 0]);
}

#[test]
fn a_file_without_its_final_name_is_data() {
    let dir = directory(1);
    let store = Store::open(dir.path()).unwrap();
    let file = store.walk("live").unwrap().remove(0);
    let path = dir.path().join(&file);
    let [part, beside] = &store.unnamed(&file)[..] else { panic!() };
    for (number, lies) in (3..).zip([part, beside]) {
        fs::create_dir_all(dir.path().join(folder_of(lies))).unwrap();
        fs::rename(&path, dir.path().join(lies)).unwrap();
        assert_eq!(audit_chain(&store).unwrap().unnamed, std::slice::from_ref(&file));
        if lies == part {
            // A copy of the directory may lack folders in which there is nothing.
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
        assert_eq!(take(&store, number).unwrap().recovered().named, std::slice::from_ref(&file));
        expect_in_order(&store);
    }
}

#[test]
fn rows_are_those_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = take(&Store::create(dir.path()).unwrap(), 1).unwrap();
    let commit = owner.begin();
    write(commit.part("minutes", Folder::Day(DAY)).unwrap(), &parquet(2), 3).unwrap();
    owner.publish(&commit, &draft(owner.chain(), 0, 0)).unwrap();
    let damage = expect_damage(owner.store(), "3 rows said, 2 written");
    assert!(damage.what.contains("has 2 rows, should have 3"), "{damage}");
}

#[test]
fn no_commits_are_no_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(expect_damage(&Store::open(dir.path()).unwrap(), "nothing").place, "commits");
}
