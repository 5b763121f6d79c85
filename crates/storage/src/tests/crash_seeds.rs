//! Lives of a data directory by chance: process after process takes it over, commits, and ends by a death, a power cut,
//! a full disk or a lost reply, wherever the seed says. A power cut leaves of what was not synced whatever the seed
//! says: each name or none, each file whole, old, torn or with zeros. Whatever happens, every commit that was reported
//! is there, once, and the next owner can go on.

use super::sample::*;
use crate::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// So many seeds, or as many as `make soak` asks for.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let first = number("JAUGE_CRASH_FIRST").unwrap_or(0);
    first..first + number("JAUGE_CRASH_SEEDS").unwrap_or(few)
}

/// A folder in memory where there is such a place: what would be on the disk is for these tests to say.
fn temp() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let new = temp();
    copy(dir, new.path());
    new
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// How a life ends, or what it goes through.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It dies at a step; what it did stays.
    Death(usize),
    /// The power goes at a step; what was not synced may stay.
    PowerCut(usize),
    /// One step is refused for want of room, and the process ends over it.
    Full(usize),
    /// The reply to a manifest is lost, one time.
    LostReply,
    /// Nothing happens to it.
    Peace,
}

/// One process: which it is, how many commits it wants to make, and how it ends.
#[derive(Clone, Copy)]
struct Life {
    incarnation: u128,
    commits: usize,
    end: End,
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wants {} commits, {:?}", self.incarnation, self.commits, self.end)
    }
}

fn lives(chance: &mut Chance) -> Vec<Life> {
    let count = 2 + chance.below(4);
    let life = |number: usize| {
        // A take-over has some 20 steps, a commit some 40.
        let at = chance.below(110);
        let end = match chance.below(8) {
            0..3 => End::Death(at),
            3..6 => End::PowerCut(at),
            6 => [End::Full(at), End::LostReply][chance.below(2)],
            _ => End::Peace,
        };
        Life { incarnation: 10 + number as u128, commits: 1 + chance.below(2), end }
    };
    (0..count).map(life).collect()
}

/// Lives one life in `dir`; the directory after it, and the commits that it was told are made.
fn live(life: Life, dir: tempfile::TempDir, chance: &mut Chance) -> (tempfile::TempDir, BTreeSet<u64>) {
    let mut made = BTreeSet::new();
    let mut work = |faults: Arc<dyn Faults>| {
        let store = Store::open(dir.path()).unwrap().with_faults(faults).unwrap();
        let Ok(mut owner) = take(&store, life.incarnation) else { return };
        for _ in 0..life.commits {
            match commit(&mut owner) {
                Ok(number) => made.insert(number),
                Err(_) => return,
            };
        }
    };
    match life.end {
        End::Death(at) => work(Script::dies_at(at)),
        End::Full(at) => work(Script::new(move |number, _| (number == at).then_some(ErrorKind::StorageFull))),
        End::LostReply => work(Script::fails_once(Step::Reply, ErrorKind::TimedOut)),
        End::Peace => work(Script::new(|_, _| None)),
        End::PowerCut(at) => {
            let disk = Disk::new(dir.path(), at);
            work(disk.clone());
            return (disk.image(chance), made);
        }
    }
    (dir, made)
}

/// Whatever happened, what is there is whole, and everything that was reported is there, once.
fn expect_whole(dir: &Path, reported: &BTreeMap<u64, u128>, wanted: &BTreeMap<u128, usize>, story: &str) {
    let store = Store::open(dir).unwrap();
    if Chain::open(&store, "main").unwrap_or_else(|error| panic!("{story}: {error}")).number() > 0 {
        let before = audit_chain(&store);
        assert!(before.is_ok(), "{story}: before the next start {before:?}");
    } else {
        assert!(reported.is_empty(), "{story}: nothing is left, but {reported:?} were reported");
    }
    let copy = copy_of(dir);
    let store = Store::open(copy.path()).unwrap();
    let mut owner = take(&store, 1_000_000).unwrap_or_else(|error| panic!("{story}: {error}"));
    commit(&mut owner).unwrap_or_else(|error| panic!("{story}: {error}"));
    drop(owner);
    let report = audit_chain(&store).unwrap_or_else(|error| panic!("{story}: {error}"));
    assert_eq!((&report.leftovers[..], &report.unnamed[..]), (&[][..], &[][..]), "{story}");
    let chain = Chain::open(&store, "main").unwrap();
    let mut found = BTreeMap::<u128, usize>::new();
    for number in 1..=chain.number() {
        let manifest = read_manifest(&store, "main", number).unwrap();
        let of = u128::from_str_radix(&manifest.incarnation, 16).unwrap();
        if let Some(reporter) = reported.get(&number) {
            assert_eq!(of, *reporter, "{story}: commit {number} is another's");
        }
        *found.entry(of).or_default() += usize::from(manifest.kind == CommitKind::Run);
    }
    assert!(reported.keys().all(|number| *number <= chain.number()), "{story}: {reported:?} of {}", chain.number());
    for (incarnation, most) in wanted {
        let found = found.get(incarnation).copied().unwrap_or(0);
        assert!(found <= *most, "{story}: {found} commits of {incarnation}, which wanted {most}");
    }
}

fn tell(seed: u64) {
    let mut chance = Chance(seed);
    let mut dir = temp();
    let (mut reported, mut wanted, mut story) = (BTreeMap::new(), BTreeMap::new(), format!("seed {seed}"));
    for life in lives(&mut chance) {
        story = format!("{story}; {life:?}");
        let (after, made) = live(life, dir, &mut chance);
        dir = after;
        reported.extend(made.into_iter().map(|number| (number, life.incarnation)));
        wanted.insert(life.incarnation, life.commits);
        expect_whole(dir.path(), &reported, &wanted, &story);
    }
}

#[test]
fn whatever_happens_to_a_directory_what_was_reported_is_there_once() {
    let (seeds, threads) = (seeds(400), 2);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mine = seeds.clone().filter(move |seed| seed % threads == thread);
            scope.spawn(move || mine.for_each(tell));
        }
    });
}

#[test]
fn every_pair_of_deaths_leaves_all_or_nothing() {
    let base = directory(2);
    let steps = |dir: &Path| {
        let script = Script::new(|_, _| None);
        let copy = copy_of(dir);
        let store = Store::open(copy.path()).unwrap().with_faults(script.clone()).unwrap();
        commit(&mut take(&store, 20).unwrap()).unwrap();
        script.steps().len()
    };
    // All of them where there is time; otherwise every pair of places, by a stride that is prime to what comes in fours
    // and sixes.
    let stride = if std::env::var_os("JAUGE_CRASH_SEEDS").is_some() { 1 } else { 5 };
    for first in (0..steps(base.path())).step_by(stride) {
        let mut chance = Chance(0);
        let one = Life { incarnation: 10, commits: 1, end: End::Death(first) };
        let (crashed, made) = live(one, copy_of(base.path()), &mut chance);
        let reported: BTreeMap<u64, u128> = made.into_iter().map(|number| (number, 10)).collect();
        for second in (0..steps(crashed.path())).step_by(stride) {
            let two = Life { incarnation: 11, commits: 1, end: End::Death(second) };
            let (after, made) = live(two, copy_of(crashed.path()), &mut chance);
            let mut reported = reported.clone();
            reported.extend(made.into_iter().map(|number| (number, 11)));
            let story = format!("deaths at the steps {first} and {second}");
            expect_whole(after.path(), &reported, &[(10, 1), (11, 1)].into(), &story);
        }
    }
}

/// A disk that loses power. What was synced stays; of the rest, chance decides, but a change of name is one thing and
/// not two, between folders, too: whichever of the two is synced, it is there.
struct Disk {
    at: usize,
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: usize,
    last: Option<(Step, PathBuf)>,
    folders: HashMap<u64, Folder>,
    /// Bytes of each file as they were when it was synced.
    synced: HashMap<u64, Vec<u8>>,
    /// Files that have left a folder which was synced since.
    moved: BTreeSet<u64>,
    /// Keeps removed files, so that their inodes are not given out again and their bytes can come back.
    graveyard: Option<tempfile::TempDir>,
}

/// Names and what they stand for: an inode, and whether it is a folder.
type Names = BTreeMap<String, (u64, bool)>;

#[derive(Default)]
struct Folder {
    synced: Names,
    now: Names,
    /// What was done since the sync, in its order.
    since: Vec<Change>,
}

enum Change {
    Made(String, (u64, bool)),
    Renamed(String, String, (u64, bool)),
    /// To another folder.
    Moved(String, u64),
    Removed(String),
}

impl Disk {
    fn new(root: &Path, at: usize) -> Arc<Disk> {
        let mut state = State { graveyard: Some(temp()), ..State::default() };
        state.sync_all(root);
        Arc::new(Disk { at, root: root.to_path_buf(), state: Mutex::new(state) })
    }

    /// The disk after the cut, in a new folder.
    fn image(&self, chance: &mut Chance) -> tempfile::TempDir {
        let image = temp();
        let mut state = self.state.lock().unwrap();
        // The last step was under way.
        if chance.coin() {
            state.done();
        }
        let mut bytes = HashMap::new();
        let graveyard = state.graveyard.as_ref().unwrap().path().to_path_buf();
        for folder in [&self.root, &graveyard] {
            gather(folder, &mut bytes);
        }
        let fates = state.fates(chance);
        state.write(ino(&self.root), image.path(), &bytes, &fates, chance);
        image
    }
}

fn ino(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

/// Bytes of all files under a folder.
fn gather(folder: &Path, bytes: &mut HashMap<u64, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), bytes);
        } else {
            bytes.insert(ino(&entry.path()), std::fs::read(entry.path()).unwrap());
        }
    }
}

fn names(folder: &Path) -> Names {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let name = |entry: std::fs::DirEntry| {
        let is_folder = entry.file_type().unwrap().is_dir();
        (entry.file_name().into_string().unwrap(), (entry.metadata().unwrap().ino(), is_folder))
    };
    entries.map(name).collect()
}

impl State {
    fn sync_all(&mut self, folder: &Path) {
        let now = names(folder);
        self.folders.insert(ino(folder), Folder { synced: now.clone(), now, since: Vec::new() });
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                self.sync_all(&entry.path());
            } else {
                self.synced.insert(ino(&entry.path()), std::fs::read(entry.path()).unwrap());
            }
        }
    }

    /// Notes what has changed in a folder.
    fn look(&mut self, path: &Path) {
        let found = names(path);
        let folder = self.folders.entry(ino(path)).or_default();
        let before = std::mem::take(&mut folder.now);
        let gone: Vec<(&String, &(u64, bool))> = before.iter().filter(|(name, _)| !found.contains_key(*name)).collect();
        for (name, what) in found.iter().filter(|(name, what)| before.get(*name) != Some(what)) {
            match gone.iter().find(|(_, old)| *old == what) {
                Some((old, _)) => folder.since.push(Change::Renamed((*old).clone(), name.clone(), *what)),
                None => folder.since.push(Change::Made(name.clone(), *what)),
            }
        }
        let is_elsewhere = |what: &(u64, bool)| found.values().any(|other| other == what);
        for (name, _) in gone.iter().filter(|(_, what)| !is_elsewhere(what)) {
            folder.since.push(Change::Removed((*name).clone()));
        }
        folder.now = found;
    }

    /// What the step that came last has done by now.
    fn done(&mut self) {
        let Some((step, path)) = self.last.take() else { return };
        match step {
            Step::SyncFile => drop(self.synced.insert(ino(&path), std::fs::read(&path).unwrap())),
            Step::SyncFolder => self.sync_names(&path),
            Step::MakeFolder => path.ancestors().filter(|above| above.exists()).for_each(|above| {
                if self.folders.contains_key(&ino(above)) || above == path {
                    self.look(above);
                }
            }),
            Step::Rename => self.look_at_move(&path),
            Step::CreatePart | Step::Remove => self.look(path.parent().unwrap()),
            _ => {}
        }
    }

    /// Notes that a file has its name `path`, and has left the folder where it lay.
    fn look_at_move(&mut self, path: &Path) {
        let (inode, to) = (ino(path), ino(path.parent().unwrap()));
        self.look(path.parent().unwrap());
        for (_, folder) in self.folders.iter_mut().filter(|(folder, _)| **folder != to) {
            let name = folder.now.iter().find(|(_, what)| **what == (inode, false)).map(|(name, _)| name.clone());
            if let Some(name) = name {
                folder.now.remove(&name);
                folder.since.push(Change::Moved(name, inode));
            }
        }
    }

    /// Of each file that has changed its folder, whether that is on the disk.
    fn fates(&self, chance: &mut Chance) -> HashMap<u64, bool> {
        let moved = self.folders.values().flat_map(|folder| &folder.since).filter_map(|change| match change {
            Change::Moved(_, inode) => Some(*inode),
            _ => None,
        });
        let moved: BTreeSet<u64> = moved.collect();
        let fates: HashMap<u64, bool> = moved.into_iter().map(|inode| (inode, chance.coin())).collect();
        fates.into_iter().chain(self.moved.iter().map(|inode| (*inode, true))).collect()
    }

    fn sync_names(&mut self, path: &Path) {
        self.look(path);
        let folder = self.folders.entry(ino(path)).or_default();
        folder.synced = folder.now.clone();
        for change in folder.since.drain(..) {
            if let Change::Moved(_, inode) = change {
                self.moved.insert(inode);
            }
        }
    }

    /// Writes what is left of a folder.
    fn write(
        &self,
        folder: u64,
        to: &Path,
        bytes: &HashMap<u64, Vec<u8>>,
        fates: &HashMap<u64, bool>,
        chance: &mut Chance,
    ) {
        let Some(folder) = self.folders.get(&folder) else { return };
        let mut names = folder.synced.clone();
        for change in &folder.since {
            let moved = match change {
                Change::Made(_, (inode, _)) | Change::Moved(_, inode) => fates.get(inode),
                _ => None,
            };
            if !moved.copied().unwrap_or_else(|| chance.coin()) {
                continue;
            }
            match change {
                Change::Made(name, what) => drop(names.insert(name.clone(), *what)),
                Change::Moved(name, _) | Change::Removed(name) => drop(names.remove(name)),
                Change::Renamed(old, new, what) => {
                    names.remove(old);
                    names.insert(new.clone(), *what);
                }
            }
        }
        for (name, (inode, is_folder)) in names {
            let to = to.join(name);
            if is_folder {
                std::fs::create_dir(&to).unwrap();
                self.write(inode, &to, bytes, fates, chance);
            } else {
                std::fs::write(&to, self.torn(inode, bytes, chance)).unwrap();
            }
        }
    }

    /// What is left of a file: all of it where it was synced, and otherwise what was synced, the whole, a part, or
    /// zeros at its end.
    fn torn(&self, inode: u64, bytes: &HashMap<u64, Vec<u8>>, chance: &mut Chance) -> Vec<u8> {
        let synced = self.synced.get(&inode);
        let whole = bytes.get(&inode).or(synced).cloned().unwrap_or_default();
        if synced == Some(&whole) {
            return whole;
        }
        let len = chance.below(whole.len() + 1);
        match chance.below(4) {
            0 => synced.cloned().unwrap_or_default(),
            1 => whole,
            2 => whole[..len].to_vec(),
            _ => [&whole[..len], &vec![0; whole.len() - len]].concat(),
        }
    }
}

impl Faults for Disk {
    fn before(&self, step: Step, path: &Path) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.steps > self.at {
            return Err(ErrorKind::Other.into());
        }
        state.done();
        if step == Step::Reply && path.exists() {
            let folder = path.parent().unwrap();
            state.synced.insert(ino(path), std::fs::read(path).unwrap());
            // The object store has made these folders; and it syncs the name before it replies, but perhaps not before
            // this cut.
            for above in folder.ancestors().take_while(|above| above.starts_with(&self.root)) {
                state.look(above);
            }
            if state.steps < self.at {
                state.sync_names(folder);
            }
        }
        state.steps += 1;
        if state.steps > self.at {
            return Err(ErrorKind::Other.into());
        }
        if step == Step::Remove && path.exists() {
            let buried = state.graveyard.as_ref().unwrap().path().join(state.steps.to_string());
            std::fs::hard_link(path, buried).unwrap();
        }
        state.last = Some((step, path.to_path_buf()));
        Ok(())
    }
}
