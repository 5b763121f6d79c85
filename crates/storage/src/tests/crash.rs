//! Crashes at every step: a process that dies, twice in a row, and a power cut that loses all that was not synced.
//! After each, the commit is there as a whole or not at all, and the next owner puts the directory in order.

use super::sample::*;
use crate::*;
use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Takes the directory over and makes a commit, as far as the faults let it; whether the commit was reported as made.
fn run(dir: &Path, faults: Arc<dyn Faults>, incarnation: u128) -> bool {
    let store = Store::open(dir).unwrap().with_faults(faults).unwrap();
    take(&store, incarnation).and_then(|mut owner| commit(&mut owner)).is_ok()
}

/// Starts again on a sound disk, and checks that the commit of `incarnation` is whole or absent, and there if it was
/// reported.
fn expect_whole(dir: &Path, incarnation: u128, reported: bool, what: &str) -> bool {
    let store = Store::open(dir).unwrap();
    let before = audit_chain(&store);
    assert!(before.is_ok(), "{what}: before the next start {before:?}");
    drop(take(&store, 99).unwrap_or_else(|error| panic!("{what}: {error}")));
    let chain = expect_in_order(&store);
    let mine = |m: &Manifest| m.incarnation == format!("{incarnation:032x}") && m.kind == CommitKind::Run;
    let made = (1..=chain.number()).map(|n| read_manifest(&store, "main", n).unwrap()).filter(mine).count();
    assert!(made <= 1 && (made == 1 || !reported), "{what}: made {made}, reported {reported}");
    // And the directory works.
    commit(&mut take(&store, 100).unwrap()).unwrap();
    expect_in_order(&store);
    made == 1
}

#[test]
fn a_process_that_dies_at_any_step_leaves_all_or_nothing() {
    let base = directory(2);
    let whole = Script::new(|_, _| None);
    assert!(run(copied(base.path()).path(), whole.clone(), 2));
    let steps = whole.steps();
    assert!(steps.len() > 30, "{steps:?}");
    let mut made = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let dir = copied(base.path());
        let reported = run(dir.path(), Script::dies_at(at), 2);
        made.push(expect_whole(dir.path(), 2, reported, &format!("step {at} {step:?}")));
    }
    // Once made it stays made: there is one step before which it is not, and from which on it is.
    assert!(made.is_sorted() && !made[0] && made[made.len() - 1], "{made:?}");
    assert_eq!(steps[made.iter().position(|made| *made).unwrap()].0, Step::Reply);
}

#[test]
fn a_first_commit_that_dies_leaves_a_new_directory_or_the_commit() {
    let whole = Script::new(|_, _| None);
    assert!(run(tempfile::tempdir().unwrap().path(), whole.clone(), 2));
    for (at, step) in whole.steps().iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let reported = run(dir.path(), Script::dies_at(at), 2);
        let store = Store::open(dir.path()).unwrap();
        let made = Chain::open(&store, "main").unwrap().number() == 1;
        assert_eq!(refuse_data(&store).is_err(), made, "step {at} {step:?}");
        assert!(made || !reported);
        commit(&mut take(&store, 3).unwrap()).unwrap();
        assert_eq!(expect_in_order(&store).number(), if made { 3 } else { 1 });
    }
}

#[test]
fn a_process_that_dies_while_it_puts_things_in_order_loses_nothing() {
    let base = directory(2);
    let whole = Script::new(|_, _| None);
    run(copied(base.path()).path(), whole.clone(), 2);
    // The steps that matter: those after which parts, or names, are left.
    let count = whole.steps().len();
    for first in (0..count).step_by(3) {
        let crashed = copied(base.path());
        let reported = run(crashed.path(), Script::dies_at(first), 2);
        let recovery = Script::new(|_, _| None);
        drop(
            take(&Store::open(copied(crashed.path()).path()).unwrap().with_faults(recovery.clone()).unwrap(), 3)
                .unwrap(),
        );
        for second in 0..recovery.steps().len() {
            let dir = copied(crashed.path());
            let faulty = Store::open(dir.path()).unwrap().with_faults(Script::dies_at(second)).unwrap();
            assert!(take(&faulty, 3).is_err() || second + 1 >= recovery.steps().len());
            expect_whole(dir.path(), 2, reported, &format!("steps {first} and {second}"));
        }
    }
}

/// A disk that can lose power: what was not synced is then gone. Files are known by their inode.
struct Power {
    at: usize,
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: usize,
    last: Option<(Step, PathBuf)>,
    /// Bytes of each file as they are on the disk.
    contents: HashMap<u64, Vec<u8>>,
    /// Names of each folder as they are on the disk; a folder is known by its inode.
    names: HashMap<u64, BTreeMap<String, (u64, bool)>>,
    /// Keeps the inodes of removed files from being given out again.
    graveyard: Option<tempfile::TempDir>,
}

impl Power {
    fn new(root: &Path, at: usize) -> Arc<Power> {
        let mut state = State { graveyard: Some(tempfile::tempdir().unwrap()), ..State::default() };
        state.sync_all(root);
        Arc::new(Power { at, root: root.to_path_buf(), state: Mutex::new(state) })
    }

    /// The disk as it is after the cut, in a new folder. A file whose bytes were not synced holds the first of them
    /// only.
    fn image(&self) -> tempfile::TempDir {
        let image = tempfile::tempdir().unwrap();
        let state = self.state.lock().unwrap();
        state.write(std::fs::metadata(&self.root).unwrap().ino(), image.path());
        image
    }
}

impl State {
    fn sync_all(&mut self, folder: &Path) {
        self.sync_names(folder);
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                self.sync_all(&entry.path());
            } else {
                self.sync_bytes(&entry.path());
            }
        }
    }

    fn sync_bytes(&mut self, file: &Path) {
        self.contents.insert(std::fs::metadata(file).unwrap().ino(), std::fs::read(file).unwrap());
    }

    fn sync_names(&mut self, folder: &Path) {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let name = |e: std::fs::DirEntry| {
            let is_folder = e.file_type().unwrap().is_dir();
            (e.file_name().into_string().unwrap(), (e.metadata().unwrap().ino(), is_folder))
        };
        self.names.insert(std::fs::metadata(folder).unwrap().ino(), entries.map(name).collect());
    }

    /// What the step that came last has done by now.
    fn done(&mut self) {
        match self.last.take() {
            Some((Step::SyncFile, path)) => self.sync_bytes(&path),
            Some((Step::SyncFolder, path)) => self.sync_names(&path),
            _ => {}
        }
    }

    fn write(&self, folder: u64, to: &Path) {
        for (name, (inode, is_folder)) in self.names.get(&folder).into_iter().flatten() {
            let to = to.join(name);
            if *is_folder {
                std::fs::create_dir(&to).unwrap();
                self.write(*inode, &to);
            } else {
                std::fs::write(&to, self.contents.get(inode).map_or(&b"PAR1"[..], Vec::as_slice)).unwrap();
            }
        }
    }
}

impl Faults for Power {
    fn before(&self, step: Step, path: &Path) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.steps > self.at {
            return Err(std::io::ErrorKind::Other.into());
        }
        state.done();
        if step == Step::Reply && path.exists() {
            // The object store has synced the file and its folder, and the folders that it made.
            state.sync_bytes(path);
            state.sync_names(path.parent().unwrap());
        }
        if state.steps == self.at {
            state.steps += 1;
            return Err(std::io::ErrorKind::Other.into());
        }
        if step == Step::Remove && path.exists() {
            let buried = state.graveyard.as_ref().unwrap().path().join(state.steps.to_string());
            std::fs::hard_link(path, buried).unwrap();
        }
        state.steps += 1;
        state.last = Some((step, path.to_path_buf()));
        Ok(())
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_all_or_nothing() {
    for commits in [0, 2] {
        let base = directory(commits);
        let whole = Script::new(|_, _| None);
        assert!(run(copied(base.path()).path(), whole.clone(), 2));
        let count = whole.steps().len();
        for at in 0..=count {
            let dir = copied(base.path());
            let power = Power::new(dir.path(), at);
            let reported = run(dir.path(), power.clone(), 2);
            let image = power.image();
            if Chain::open(&Store::open(image.path()).unwrap(), "main").unwrap().number() == 0 {
                assert!(!reported && commits == 0);
                continue;
            }
            expect_whole(image.path(), 2, reported, &format!("{commits} commits, power cut at step {at} of {count}"));
        }
    }
}

/// An operator's settling: rows of other broadcasts written anew, those of one replaced, and the request answered.
fn settle_again(owner: &mut Committer) -> Result<(), CommitError> {
    let commit = owner.begin();
    let number = commit.number();
    let refused = |source| CommitError::Store { number, source };
    let old: Vec<FileEntry> = owner.chain().files_of("minutes").cloned().collect();
    write(commit.part("minutes", Folder::Day(DAY)).map_err(refused)?.rewritten(), &parquet(5), 5).map_err(refused)?;
    part(&commit, "minutes", Folder::Day(DAY + 1), 4).map_err(refused)?;
    part(&commit, "corrections", Folder::Day(DAY), 2).map_err(refused)?;
    let newest = owner.chain().newest().expect("the base has commits");
    let mut draft = Draft::after(newest, CommitKind::Settle, NOW + 2);
    draft.removed = old.iter().map(Removed::from).collect();
    draft.dropped = [("minutes".to_owned(), 3)].into();
    draft.answers = vec![Answer { request: "r".into(), answer: "Done.".into(), code: 0 }];
    owner.publish(&commit, &draft)?;
    Ok(())
}

#[test]
fn a_settling_that_dies_at_any_step_leaves_the_rows_before_or_after() {
    let base = directory(2);
    let mut owner = take(&Store::open(base.path()).unwrap(), 2).unwrap();
    let commit = owner.begin();
    part(&commit, "minutes", Folder::Day(DAY), 8).unwrap();
    owner.publish(&commit, &draft(owner.chain(), 0, 0)).unwrap();
    drop(owner);
    let run = |dir: &Path, faults: Arc<dyn Faults>| {
        let store = Store::open(dir).unwrap().with_faults(faults).unwrap();
        take(&store, 3).and_then(|mut owner| settle_again(&mut owner)).is_ok()
    };
    let whole = Script::new(|_, _| None);
    assert!(run(copied(base.path()).path(), whole.clone()));
    let mut made = Vec::new();
    for at in 0..=whole.steps().len() {
        let dir = copied(base.path());
        let reported = run(dir.path(), Script::dies_at(at));
        let store = Store::open(dir.path()).unwrap();
        assert!(audit_chain(&store).is_ok(), "step {at}: before the next start");
        drop(take(&store, 4).unwrap());
        let chain = expect_in_order(&store);
        let rows = |table: &str| chain.files_of(table).map(|file| file.rows).sum::<u64>();
        let is_made = rows("corrections") == 2;
        assert_eq!(rows("minutes"), if is_made { 9 } else { 8 }, "step {at}");
        let answered = answer_to(&store, "main", "r", &mut 1).unwrap().is_some();
        assert!(answered == is_made && (is_made || !reported), "step {at}");
        // The files in the folder are those that live: a plain glob sees each row once.
        assert_eq!(store.walk("minutes").unwrap().len(), if is_made { 2 } else { 1 }, "step {at}");
        made.push(is_made);
    }
    assert!(made.is_sorted() && !made[0] && made[made.len() - 1], "{made:?}");
}
