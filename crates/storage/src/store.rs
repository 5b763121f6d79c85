//! A store is a data directory: tables and commits, in a folder on a local disk or under a prefix of an object store.
//! Manifests are created through `object_store` on both. Data files differ: a disk has folders, renames and syncs, an
//! object store has none of them, and what need not be done there is done by doing nothing.
//!
//! Paths inside a store are relative, with `/`. Everything here blocks; do not call it on a thread of a tokio runtime.

mod backend;
mod connect;
mod disk;
mod error;
mod faults;
mod part;
mod patience;
mod read;

#[cfg(test)]
mod tests;

pub(crate) use backend::Put;
use backend::{Backend, Medium};
use disk::Disk;
pub(crate) use disk::PARTS;
pub use error::StoreError;
pub use faults::{Faults, Step};
use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, local::LocalFileSystem, memory::InMemory,
};
pub(crate) use part::FilePart;
use patience::Patience;
pub use read::{StoredFile, StoredReader};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// A data directory. Clones are the same directory.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<Backend>,
}

/// Half a minute: a request that was given up may be under way no longer.
const PAUSES: &[Duration] = &[
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_600),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(9),
    Duration::from_secs(9),
];

/// Small files that are asked for at once.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 64 };

/// Whether a place is a URL of an object store. `file://` is the local disk.
pub fn is_object_store(place: &str) -> bool {
    place.contains("://") && !place.starts_with("file://")
}

impl Store {
    /// Opens the data directory `place`, a path or a URL, making it if it is absent.
    ///
    /// # Errors
    /// A file in its place, a folder that cannot be made, or as [`Store::open`].
    pub fn create(place: &Path) -> Result<Store, StoreError> {
        if let Some(folder) = folder(place) {
            disk::make_root(&folder)?;
        }
        Store::open(place)
    }

    /// Opens the data directory `place`, a path or a URL. A folder must exist; a prefix of an object store always does.
    ///
    /// # Errors
    /// A file in its place, nothing there, no permission; an object store that does not answer or refuses.
    pub fn open(place: &Path) -> Result<Store, StoreError> {
        if let Some(folder) = folder(place) {
            return Store::open_disk(&folder, None);
        }
        let store = Store::of_objects(place, connect::connect(&place.to_string_lossy())?, PAUSES)?;
        // What is wrong with bucket, endpoint or credentials is said before anything is done.
        store.list("")?;
        Ok(store)
    }

    /// A directory in memory that holds these files, by their paths, and is gone with its last clone: for tests. In all
    /// else it is like one in an object store.
    ///
    /// # Errors
    /// A path that no file can have.
    pub fn in_memory<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Store, StoreError> {
        let store = Store::of_objects(Path::new("memory:///"), Arc::new(InMemory::new()), &[])?;
        for (path, bytes) in files {
            store.put_new(path, bytes)?;
        }
        Ok(store)
    }

    fn open_disk(place: &Path, faults: Option<Arc<dyn Faults>>) -> Result<Store, StoreError> {
        let disk = Disk::open(place, faults)?;
        let objects = LocalFileSystem::new_with_prefix(place).map_err(|error| StoreError::Objects {
            doing: "open",
            path: place.display().to_string(),
            error,
        })?;
        let objects = Arc::new(objects.with_fsync(disk.syncs()));
        Store::of(place, objects, Medium::Disk(disk))
    }

    /// The data directory whose root is that of `objects`; `place` is its name for people.
    pub(crate) fn of_objects(
        place: &Path,
        objects: Arc<dyn ObjectStore>,
        pauses: &'static [Duration],
    ) -> Result<Store, StoreError> {
        Store::of(place, objects, Medium::Objects { pauses, patience: Patience::default() })
    }

    fn of(place: &Path, objects: Arc<dyn ObjectStore>, medium: Medium) -> Result<Store, StoreError> {
        Ok(Store { backend: Arc::new(Backend::new(place, objects, medium)?) })
    }

    /// The same directory with a disk that fails as `faults` says: for tests. What is on the disk is then for them to
    /// say, so nothing is really synced.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_faults(&self, faults: Arc<dyn Faults>) -> Result<Store, StoreError> {
        Store::open_disk(&self.backend.place, Some(faults))
    }

    /// Path or URL of the directory.
    pub fn root(&self) -> &Path {
        &self.backend.place
    }

    /// Path or URL of what lies in it under a relative path.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.backend.path(relative)
    }

    /// A local folder for temporary files: that of the parts, or that of the system where it is no local one.
    pub fn scratch(&self) -> PathBuf {
        if self.is_local() { self.path(PARTS) } else { std::env::temp_dir() }
    }

    /// Whether it is a folder on a local disk: one that can be locked, with files that are renamed.
    pub fn is_local(&self) -> bool {
        matches!(self.backend.medium, Medium::Disk(_))
    }

    /// Refuses a disk on which no commit could be made, before any work; makes the folder of the parts.
    pub(crate) fn probe(&self) -> Result<(), StoreError> {
        self.disk().map_or(Ok(()), Disk::probe)
    }

    fn disk(&self) -> Option<&Disk> {
        self.backend.disk()
    }

    /// From when `sign` is set on, an object store that does not answer is given up within some seconds. A disk is not
    /// asked.
    pub fn give_up_at(&self, sign: &Arc<AtomicBool>) {
        if let Medium::Objects { patience, .. } = &self.backend.medium {
            patience.ends_with(Arc::clone(sign));
        }
    }

    /// Pauses before an object store is asked again; false where it is not to be any more.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        match &self.backend.medium {
            Medium::Disk(_) => true,
            Medium::Objects { patience, .. } => patience.pause(pause),
        }
    }

    /// Pauses before each further attempt to find out whether a manifest was created. A disk has no requests under way.
    pub(crate) fn pauses(&self) -> &'static [Duration] {
        match &self.backend.medium {
            Medium::Disk(_) => &[],
            Medium::Objects { pauses, .. } => pauses,
        }
    }

    /// The name under which a data file lies until a manifest names it.
    pub(crate) fn staged(&self, path: &str) -> String {
        let (table, name) = (path.split('/').next().unwrap_or_default(), path.rsplit('/').next().unwrap_or_default());
        if self.is_local() { format!("{PARTS}/{table}/{name}.part") } else { path.to_owned() }
    }

    /// The other names under which a data file that a manifest names may lie: a crash came before it got its own. The
    /// second is that of earlier versions, which laid it beside its place.
    pub(crate) fn unnamed(&self, path: &str) -> Vec<String> {
        if self.is_local() { vec![self.staged(path), format!("{path}.part")] } else { Vec::new() }
    }

    /// Begins the data file `path`.
    pub(crate) fn begin(&self, path: &str) -> Result<FilePart, StoreError> {
        FilePart::create(&self.backend, self.staged(path))
    }

    /// Opens a whole data file; `None` where it is absent.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<StoredFile>, StoreError> {
        StoredFile::open(&self.backend, path)
    }

    /// Makes a folder of the store and those above it. `private`: only its owner may enter.
    pub(crate) fn make_folder(&self, relative: &str, private: bool) -> Result<(), StoreError> {
        self.disk().map_or(Ok(()), |disk| disk.make_folder(relative, private))
    }

    pub(crate) fn sync_folder(&self, relative: &str) -> Result<(), StoreError> {
        self.disk().map_or(Ok(()), |disk| disk.sync_folder(relative))
    }

    /// Syncs folders and the names of those above them.
    pub(crate) fn sync_folder_chains(&self, folders: &BTreeSet<String>) -> Result<(), StoreError> {
        self.disk().map_or(Ok(()), |disk| disk.sync_folder_chains(folders))
    }

    /// Syncs the names of folders and of those above them.
    pub(crate) fn sync_above(&self, folders: &BTreeSet<String>) -> Result<(), StoreError> {
        self.disk().map_or(Ok(()), |disk| disk.sync_above(folders))
    }

    /// Gives a data file that lies at `unnamed`, and that a manifest names, its final name. Done already is done.
    pub(crate) fn name(&self, unnamed: &str, path: &str) -> Result<(), StoreError> {
        self.disk().map_or(Ok(()), |disk| disk.rename(unnamed, path))
    }

    /// Removes a file; one that is gone is removed.
    pub(crate) fn remove(&self, relative: &str) -> Result<(), StoreError> {
        self.backend.remove(relative)
    }

    /// Creates `relative` with `bytes` if it is absent; durable when it returns. After an error it may be there, or
    /// come to be: read it back.
    pub(crate) fn put_new(&self, relative: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        let path = self.path(relative);
        let io = |source| StoreError::Io { doing: "create", path: path.clone(), source };
        self.backend.fault(Step::CreateManifest, &path).map_err(io)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.to_vec());
        let location = object_store::path::Path::from(relative);
        let put = self.backend.block_on(self.backend.objects.put_opts(&location, payload, options));
        self.backend.fault(Step::Reply, &path).map_err(io)?;
        match put {
            Ok(_) => Ok(Put::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Exists),
            Err(error) => Err(self.backend.refused("create", relative)(error)),
        }
    }

    /// The bytes of a small file; `None` where it is absent.
    pub(crate) fn get(&self, relative: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.backend.drive(self.bytes_of(relative))
    }

    /// How many small files are best asked for at once.
    pub(crate) fn at_once(&self) -> usize {
        if self.is_local() { 1 } else { AT_ONCE }
    }

    /// The bytes of small files, each as [`Store::get`] gives them, asked for at once.
    pub(crate) fn get_all(&self, relative: &[String]) -> Vec<Result<Option<Vec<u8>>, StoreError>> {
        let asked = relative.iter().map(|path| self.bytes_of(path));
        self.backend.drive(futures_util::future::join_all(asked))
    }

    async fn bytes_of(&self, relative: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let location = object_store::path::Path::from(relative);
        match self.backend.ask(async { self.backend.objects.get(&location).await?.bytes().await }).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.backend.refused("read", relative)(error)),
        }
    }

    /// Whether there is a file of that name.
    pub(crate) fn is_there(&self, relative: &str) -> Result<bool, StoreError> {
        match self.backend.block_on(self.backend.objects.head(&object_store::path::Path::from(relative))) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.backend.refused("read", relative)(error)),
        }
    }

    /// Names in a folder: (folders, files), each sorted. A folder that is absent is empty.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn list(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), StoreError> {
        if let Some(disk) = self.disk() {
            return disk.list(folder);
        }
        let prefix = object_store::path::Path::from(folder);
        let listed = self.backend.block_on(self.backend.objects.list_with_delimiter(Some(&prefix)));
        let listed = listed.map_err(self.backend.refused("list", folder))?;
        let name = |path: &object_store::path::Path| path.filename().unwrap_or_default().to_owned();
        let mut folders: Vec<_> = listed.common_prefixes.iter().map(name).collect();
        let mut files: Vec<_> = listed.objects.iter().map(|meta| name(&meta.location)).collect();
        folders.sort_unstable();
        files.sort_unstable();
        Ok((folders, files))
    }

    /// Names of the files in a folder that has none below it, sorted; of those behind the file `after`, where one is
    /// given.
    pub(crate) fn names_after(&self, folder: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let Some(after) = after else { return Ok(self.list(folder)?.1) };
        let (prefix, after) = (object_store::path::Path::from(folder), object_store::path::Path::from(after));
        let listed = self.backend.objects.list_with_offset(Some(&prefix), &after);
        let listed =
            self.backend.block_on(listed.try_collect::<Vec<_>>()).map_err(self.backend.refused("list", folder))?;
        let names = listed.iter().filter_map(|meta| meta.location.filename()).map(str::to_owned);
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Every file below a folder, staged ones, too, as sorted relative paths.
    pub(crate) fn walk(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        if let Some(disk) = self.disk() {
            return disk.walk(folder);
        }
        let prefix = object_store::path::Path::from(folder);
        let listed = self.backend.block_on(self.backend.objects.list(Some(&prefix)).try_collect::<Vec<_>>());
        let listed = listed.map_err(self.backend.refused("list", folder))?;
        let mut files: Vec<_> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
        files.sort_unstable();
        Ok(files)
    }
}

/// The folder of a place on the local disk; `None` for an object store.
fn folder(place: &Path) -> Option<PathBuf> {
    let text = place.to_string_lossy();
    match text.strip_prefix("file://") {
        Some(folder) => Some(PathBuf::from(folder)),
        None if is_object_store(&text) => None,
        None => Some(place.to_path_buf()),
    }
}
