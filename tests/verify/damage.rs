//! Damage: a byte flipped anywhere, a file cut, missing or too many is found, and the sentence names the file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{copied, directories, verify, words};
use crate::support::{files_under, run};

/// The files of a directory that a commit names, and the commits.
fn data_files(dir: &Path) -> Vec<PathBuf> {
    let is_data = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet" || ending == "json");
    files_under(dir).into_iter().filter(is_data).map(|path| path.strip_prefix(dir).unwrap().to_owned()).collect()
}

/// Does something to one file, verifies that it is found by its name, and undoes it.
#[track_caller]
fn found(dir: &Path, file: &Path, what: &str, harm: impl FnOnce(&Path)) {
    let path = dir.join(file);
    let before = fs::read(&path).unwrap();
    harm(&path);
    let ran = verify(dir, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{}: {what}: {}", file.display(), ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{what}: {}", ran.stderr);
    ran.says(&[file.to_str().unwrap()]);
    fs::write(&path, before).unwrap();
}

/// Files of every table and of the commits; of many of one kind the first, one in the middle and the last.
fn some_of_each(dir: &Path) -> Vec<PathBuf> {
    let files = data_files(dir);
    let kind = |file: &PathBuf| file.iter().next().unwrap().to_owned();
    let kinds: BTreeSet<_> = files.iter().map(kind).collect();
    let few = |of: Vec<&PathBuf>| -> BTreeSet<PathBuf> {
        [of[0], of[of.len() / 2], of[of.len() - 1]].into_iter().cloned().collect()
    };
    kinds.iter().flat_map(|one| few(files.iter().filter(|file| kind(file) == *one).collect())).collect()
}

fn kinds(files: &[PathBuf]) -> BTreeSet<&str> {
    files.iter().map(|file| file.iter().next().unwrap().to_str().unwrap()).collect()
}

#[test]
fn a_flipped_byte_is_found_in_every_file() {
    let all = ["airings", "commits", "events", "live", "minutes", "rejected", "retweets", "sessions"];
    for (made, expected) in
        [(&directories().ran, &all[..]), (&directories().replayed, &[all[0], all[1], all[4], all[5], all[6], all[7]])]
    {
        let (_folder, dir) = copied(made);
        let files = data_files(&dir);
        assert_eq!(kinds(&files), expected.iter().copied().collect(), "a file of every kind");
        // Every file in one place of its own, and some of each kind in several.
        for (number, file) in files.iter().enumerate() {
            found(&dir, file, "one byte", |path| flip(path, (number * 7_919) % length(path)));
        }
        for file in some_of_each(&dir) {
            let length = length(&dir.join(&file));
            for at in [0, length / 3, length - 70, length - 1] {
                found(&dir, &file, &format!("byte {at} of {length}"), |path| flip(path, at));
            }
        }
        verify(&dir, &[]).exits(0);
    }
}

fn length(path: &Path) -> usize {
    usize::try_from(fs::metadata(path).unwrap().len()).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_cut_or_missing_file_is_found() {
    for made in [&directories().ran, &directories().replayed] {
        let (_folder, dir) = copied(made);
        let newest = data_files(&dir).into_iter().rfind(|file| file.starts_with("commits")).unwrap();
        for file in some_of_each(&dir) {
            let cut = |path: &Path, length: usize| fs::write(path, &fs::read(path).unwrap()[..length]).unwrap();
            found(&dir, &file, "cut by a byte", |path| cut(path, length(path) - 1));
            found(&dir, &file, "cut in half", |path| cut(path, length(path) / 2));
            found(&dir, &file, "emptied", |path| cut(path, 0));
            found(&dir, &file, "longer", |path| fs::write(path, [fs::read(path).unwrap(), vec![0]].concat()).unwrap());
            if file != newest {
                found(&dir, &file, "removed", |path| fs::remove_file(path).unwrap());
            }
        }
        // Without its last commit the files of that commit are nobody's; without any the directory
        // is none that can be read.
        fs::remove_file(dir.join(&newest)).unwrap();
        verify(&dir, &[]).exits(4).says(&["no commit"]);
    }
}

#[test]
fn a_file_too_many_is_found() {
    let (_folder, dir) = copied(&directories().ran);
    for file in some_of_each(&dir).into_iter().filter(|file| !file.starts_with("commits")) {
        let extra = dir.join(&file).with_file_name("00000000000000000099-0000.parquet");
        fs::copy(dir.join(&file), &extra).unwrap();
        let name = extra.strip_prefix(&dir).unwrap().to_str().unwrap();
        verify(&dir, &[]).exits(4).says(&[name, "no commit names it"]);
        fs::remove_file(&extra).unwrap();
    }
    // Commits whose numbers do not go on, or that are somebody else's.
    let newest = data_files(&dir).into_iter().rfind(|file| file.starts_with("commits")).unwrap();
    for name in ["00000000000000000099.json", "copy.json"] {
        let extra = dir.join(&newest).with_file_name(name);
        fs::copy(dir.join(&newest), &extra).unwrap();
        verify(&dir, &[]).exits(4).says(&[name]);
        fs::remove_file(&extra).unwrap();
    }
    verify(&dir, &[]).exits(0);
}

#[test]
fn commits_that_changed_places_are_found() {
    let (_folder, dir) = copied(&directories().ran);
    let commit = |number: u64| dir.join(format!("commits/main/{number:020}.json"));
    let (second, third) = (fs::read(commit(2)).unwrap(), fs::read(commit(3)).unwrap());
    fs::write(commit(2), &third).unwrap();
    fs::write(commit(3), &second).unwrap();
    verify(&dir, &[]).exits(4).says(&["commits/main/0000000000000000000"]);
    fs::write(commit(2), &second).unwrap();
    verify(&dir, &[]).exits(4).says(&["commits/main/00000000000000000003.json", "commit 2"]);
}

/// A crash between a commit and the renaming of its files: nothing is lost, and what reads the last commit reads all of
/// it. Earlier versions laid such files beside their places.
#[test]
fn files_without_their_names_are_still_data() {
    let part = |file: &Path| {
        let table = file.components().next().unwrap();
        Path::new("parts").join(table).join(format!("{}.part", file.file_name().unwrap().display()))
    };
    let beside = |file: &Path| PathBuf::from(format!("{}.part", file.display()));
    for lies in [&part as &dyn Fn(&Path) -> PathBuf, &beside] {
        let (_folder, dir) = copied(&directories().ran);
        let shown = |dir: &Path| run(["show".into(), dir.into(), "--json".into()]).exits(0).stdout;
        let before = shown(&dir);
        for file in some_of_each(&dir).iter().filter(|file| !file.starts_with("commits")) {
            fs::create_dir_all(dir.join(lies(file)).parent().unwrap()).unwrap();
            fs::rename(dir.join(file), dir.join(lies(file))).unwrap();
        }
        let left = lies(Path::new("events/writer=main/00000000000000000099-0000.parquet"));
        fs::write(dir.join(left), "left by a crash").unwrap();
        let said = words(verify(&dir, &[]));
        assert!(said.contains("No commit names these files") && said.contains("0099-0000.parquet.part"), "{said}");
        assert!(said.contains("have not got their names yet") && said.contains("more"), "{said}");
        assert_eq!(shown(&dir), before);
        let listed = run(["show".into(), dir.clone().into(), "--files=events".into()]).exits(0).stdout;
        assert!(listed.lines().all(|path| Path::new(path).is_file()), "{listed}");
    }
}
