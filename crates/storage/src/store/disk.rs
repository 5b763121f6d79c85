//! The disk under a store: what is done to files and folders by their names, each step with its fault. A name is
//! durable once its folder is synced, bytes once their file is.

use super::{
    error::StoreError,
    faults::{Faults, Step},
};
use crate::stray::is_clutter;
use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A folder on a local disk. Paths are relative to it.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    faults: Option<Arc<dyn Faults>>,
    /// Folders whose own names, up to the root, this process has synced.
    durable: Mutex<BTreeSet<PathBuf>>,
}

/// The folder where data files lie until a manifest names them: no reader of a table looks there. What is in it is no
/// data unless a manifest says so.
pub(crate) const PARTS: &str = "parts";

/// The tests of this crate learn from [`Faults`] what would have been synced; waiting for the disk would tell them no
/// more.
const SYNCS: bool = !cfg!(test);

/// Makes the folder `place` and those above it, durably.
pub(super) fn make_root(place: &Path) -> Result<(), StoreError> {
    let mut missing: Vec<&Path> = place.ancestors().take_while(|p| *p != Path::new("") && !p.exists()).collect();
    std::fs::create_dir_all(place).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => StoreError::NotAFolder { path: place.to_path_buf() },
        _ => StoreError::Io { doing: "make the folder", path: place.to_path_buf(), source },
    })?;
    while let Some(made) = missing.pop() {
        let parent = made.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
        let synced = File::open(parent).and_then(|folder| folder.sync_all());
        synced.map_err(|source| unsynced(parent, source))?;
    }
    Ok(())
}

/// Why the names in a folder are not durable.
fn unsynced(folder: &Path, source: io::Error) -> StoreError {
    let path = folder.to_path_buf();
    match source.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => StoreError::Unfit {
            path,
            lacks: "cannot sync a folder, so a power cut could take back what was committed",
            source,
        },
        _ => StoreError::Io { doing: "sync", path, source },
    }
}

impl Disk {
    /// The folder `root`, which must exist.
    pub(super) fn open(root: &Path, faults: Option<Arc<dyn Faults>>) -> Result<Disk, StoreError> {
        let meta = std::fs::metadata(root).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Absent { path: root.to_path_buf() },
            _ => StoreError::Io { doing: "open", path: root.to_path_buf(), source },
        })?;
        if !meta.is_dir() {
            return Err(StoreError::NotAFolder { path: root.to_path_buf() });
        }
        Ok(Disk { root: root.to_path_buf(), faults, durable: Mutex::default() })
    }

    /// Refuses a file system on which no commit could be made: a manifest is a hard link, which is made only where
    /// there is nothing, in a folder that is synced. For want of room nothing is refused: that is waited for elsewhere.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        if !self.syncs() {
            return Ok(());
        }
        let (file, link) =
            (self.path(&format!("{PARTS}/jauge-probe")), self.path(&format!("{PARTS}/jauge-probe-link")));
        let clear = || [&file, &link].map(|path| std::fs::remove_file(path).is_ok());
        clear();
        let probed = self.make_folder(PARTS, false).and_then(|()| {
            let io = |doing, source| StoreError::Io { doing, path: file.clone(), source };
            File::create_new(&file).map_err(|source| io("create", source))?;
            std::fs::hard_link(&file, &link).map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::TooManyLinks => StoreError::Unfit {
                    path: self.root.clone(),
                    lacks: "makes no hard links, by which a commit is made once and by one writer",
                    source,
                },
                _ => io("make a hard link of", source),
            })?;
            let folder = self.path(PARTS);
            File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|source| unsynced(&folder, source))
        });
        clear();
        probed.or_else(|error| if error.is_disk_full() { Ok(()) } else { Err(error) })
    }

    /// Whether what is written is really synced.
    pub(super) fn syncs(&self) -> bool {
        SYNCS && self.faults.is_none()
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(super) fn fault(&self, step: Step, path: &Path) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.before(step, path))
    }

    fn on<T>(
        &self,
        step: Step,
        doing: &'static str,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let done = self.fault(step, path).and_then(|()| act());
        done.map_err(|source| StoreError::Io { doing, path: path.to_path_buf(), source })
    }

    /// Makes a folder and those above it. `private`: only its owner may enter.
    pub(super) fn make_folder(&self, relative: &str, private: bool) -> Result<(), StoreError> {
        let path = self.path(relative);
        self.on(Step::MakeFolder, "make the folder", &path, || {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            if private {
                // From the folder of the table on: what is above it is everybody's.
                let is_part = relative.starts_with(PARTS);
                let table = if is_part { Some(relative) } else { relative.split('/').next() };
                let table = self.path(table.unwrap_or(relative));
                table.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                keep_private(&mut builder, &table)?;
            }
            builder.create(&path)
        })
    }

    /// Creates `relative`, which must be absent, for writing.
    pub(super) fn create(&self, relative: &str) -> Result<File, StoreError> {
        let path = self.path(relative);
        self.on(Step::CreatePart, "create", &path, || OpenOptions::new().write(true).create_new(true).open(&path))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.syncs() { file.sync_all() } else { Ok(()) }
    }

    pub(super) fn sync_file(&self, file: &File, relative: &str) -> Result<(), StoreError> {
        self.on(Step::SyncFile, "sync", &self.path(relative), || self.sync(file))
    }

    pub(super) fn sync_folder(&self, relative: &str) -> Result<(), StoreError> {
        let path = self.path(relative);
        self.on(Step::SyncFolder, "sync", &path, || self.sync(&File::open(&path)?))
    }

    /// Syncs folders and the names of those above them.
    pub(super) fn sync_folder_chains(&self, folders: &BTreeSet<String>) -> Result<(), StoreError> {
        for folder in folders {
            self.sync_folder(folder)?;
        }
        self.sync_above(folders)
    }

    /// Syncs, once in a process, the names of folders and of those above them: a folder made before a crash may be
    /// known to the kernel alone. Of many folders below one, that one is synced once.
    pub(super) fn sync_above(&self, folders: &BTreeSet<String>) -> Result<(), StoreError> {
        let durable = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut new, mut above) = (BTreeSet::new(), BTreeSet::new());
        for folder in folders {
            if !durable().contains(Path::new(folder)) {
                above.extend(Path::new(folder).ancestors().skip(1));
                new.insert(PathBuf::from(folder));
            }
        }
        for folder in above {
            self.sync_folder(&folder.to_string_lossy())?;
        }
        durable().append(&mut new);
        Ok(())
    }

    /// Gives `part` its final name. Done already, by us before a crash or by a newer owner, is done.
    pub(super) fn rename(&self, part: &str, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        self.on(Step::Rename, "give its final name to", &path, || match std::fs::rename(self.path(part), &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
            other => other,
        })
    }

    /// Removes a file; one that is gone is removed.
    pub(super) fn remove(&self, relative: &str) -> Result<(), StoreError> {
        let path = self.path(relative);
        self.on(Step::Remove, "remove", &path, || match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    /// Names in a folder, whatever they are: (folders, files), each sorted. A folder that is absent is empty.
    pub(super) fn list(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), StoreError> {
        self.names(folder, true)
    }

    fn names(&self, folder: &str, follows_links: bool) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let path = self.path(folder);
        let io = |source| StoreError::Io { doing: "list", path: path.clone(), source };
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((folders, files)),
            entries => entries.map_err(io)?,
        };
        for entry in entries {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().map_err(io)?;
            let is_folder = kind.is_dir() || follows_links && kind.is_symlink() && entry.path().is_dir();
            if is_folder { folders.push(name) } else { files.push(name) }
        }
        folders.sort_unstable();
        files.sort_unstable();
        Ok((folders, files))
    }

    /// Every file below a folder, staged ones, too, as sorted relative paths. What lies in folders that others left is
    /// not looked at: one may be a copy of ours that a file system keeps, another may not be entered.
    pub(super) fn walk(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let mut todo = vec![folder.to_owned()];
        while let Some(folder) = todo.pop() {
            let (folders, files) = self.names(&folder, false)?;
            let (others, ours): (Vec<_>, Vec<_>) = folders.into_iter().partition(|name| is_clutter(name));
            let within = |name: String| format!("{folder}/{name}");
            todo.extend(ours.into_iter().map(within));
            found.extend(files.into_iter().chain(others).map(within));
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// New folders get mode 0700, and so does `top` if it is there and everybody may enter it: whether its group may was
/// seen to at the start.
#[cfg(unix)]
fn keep_private(builder: &mut DirBuilder, top: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    builder.mode(0o700);
    match std::fs::metadata(top) {
        Ok(meta) if meta.permissions().mode() & 0o007 != 0 => {
            std::fs::set_permissions(top, std::fs::Permissions::from_mode(0o700))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn keep_private(_: &mut DirBuilder, _: &Path) -> io::Result<()> {
    Ok(())
}
