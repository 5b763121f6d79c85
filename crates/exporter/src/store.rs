//! A store is a data directory: a folder of tables and commits. Manifests go through `object_store`, so that a bucket needs no other
//! format; data files are streamed to `PATH.part` and renamed once a manifest names them.
//!
//! Paths inside a store are relative, with `/`. Everything here blocks; do not call it on a thread of a tokio runtime.

use crate::{
    faults::{Faults, Step},
    store_error::StoreError,
};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, local::LocalFileSystem};
use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A data directory. Clones are the same directory.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    objects: Arc<dyn ObjectStore>,
    runtime: tokio::runtime::Runtime,
    faults: Option<Arc<dyn Faults>>,
    /// Folders whose own names, up to the root, this process has synced.
    durable: Mutex<BTreeSet<PathBuf>>,
}

/// The tests of this crate learn from [`Faults`] what would have been synced; waiting for the disk would tell them no more.
const SYNCS: bool = !cfg!(test);

/// What became of a manifest that was to be created.
#[derive(Debug)]
pub(crate) enum Put {
    Created,
    Exists,
}

impl Store {
    /// Opens the data directory `place`, making it if it is absent.
    ///
    /// # Errors
    /// A URL, a file in its place, or a folder that cannot be made.
    pub fn create(place: &Path) -> Result<Store, StoreError> {
        refuse_url(place)?;
        let mut missing: Vec<&Path> = place.ancestors().take_while(|p| *p != Path::new("") && !p.exists()).collect();
        std::fs::create_dir_all(place).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::NotAFolder { path: place.to_path_buf() },
            _ => StoreError::Io { doing: "make the folder", path: place.to_path_buf(), source },
        })?;
        while let Some(made) = missing.pop() {
            let parent = made.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
            let synced = File::open(parent).and_then(|folder| folder.sync_all());
            synced.map_err(|source| StoreError::Io { doing: "sync", path: parent.to_path_buf(), source })?;
        }
        Store::open(place)
    }

    /// Opens the data directory `place`, which must exist.
    ///
    /// # Errors
    /// A URL, a file in its place, nothing there, or no permission.
    pub fn open(place: &Path) -> Result<Store, StoreError> {
        Store::open_with(place, None)
    }

    fn open_with(place: &Path, faults: Option<Arc<dyn Faults>>) -> Result<Store, StoreError> {
        refuse_url(place)?;
        let io = |doing| move |source| StoreError::Io { doing, path: place.to_path_buf(), source };
        let meta = std::fs::metadata(place).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Absent { path: place.to_path_buf() },
            _ => io("open")(source),
        })?;
        if !meta.is_dir() {
            return Err(StoreError::NotAFolder { path: place.to_path_buf() });
        }
        let objects = LocalFileSystem::new_with_prefix(place).map_err(|source| StoreError::Objects {
            doing: "open",
            path: place.display().to_string(),
            source,
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(io("start a runtime for"))?;
        let inner = Inner {
            root: place.to_path_buf(),
            objects: Arc::new(objects.with_fsync(SYNCS && faults.is_none())),
            runtime,
            faults,
            durable: Mutex::default(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The same directory with a disk that fails as `faults` says: for tests. What is on the disk is then for them to say, so nothing is
    /// really synced.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_faults(&self, faults: Arc<dyn Faults>) -> Result<Store, StoreError> {
        Store::open_with(&self.inner.root, Some(faults))
    }

    /// The directory's path as it was given.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The path on the disk of a relative path.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.inner.root.join(relative)
    }

    pub(crate) fn fault(&self, step: Step, path: &Path) -> io::Result<()> {
        self.inner.faults.as_ref().map_or(Ok(()), |faults| faults.before(step, path))
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

    /// Makes a folder of the store and those above it. `private`: only its owner may enter.
    pub(crate) fn make_folder(&self, relative: &str, private: bool) -> Result<(), StoreError> {
        let path = self.path(relative);
        self.on(Step::MakeFolder, "make the folder", &path, || {
            let top = relative.split('/').next().unwrap_or(relative);
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            if private {
                keep_private(&mut builder, &self.path(top))?;
            }
            builder.create(&path)
        })
    }

    /// Creates `relative`, which must be absent, for writing.
    pub(crate) fn create_part(&self, relative: &str) -> Result<File, StoreError> {
        let path = self.path(relative);
        self.on(Step::CreatePart, "create", &path, || OpenOptions::new().write(true).create_new(true).open(&path))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if SYNCS && self.inner.faults.is_none() { file.sync_all() } else { Ok(()) }
    }

    pub(crate) fn sync_file(&self, file: &File, relative: &str) -> Result<(), StoreError> {
        self.on(Step::SyncFile, "sync", &self.path(relative), || self.sync(file))
    }

    pub(crate) fn sync_folder(&self, relative: &str) -> Result<(), StoreError> {
        let path = self.path(relative);
        self.on(Step::SyncFolder, "sync", &path, || self.sync(&File::open(&path)?))
    }

    /// Syncs the folder and, once in a process, the names of those above it: a folder made before a crash may be known to the
    /// kernel alone.
    pub(crate) fn sync_folder_chain(&self, relative: &str) -> Result<(), StoreError> {
        self.sync_folder(relative)?;
        let durable = || self.inner.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable().contains(Path::new(relative)) {
            return Ok(());
        }
        for above in Path::new(relative).ancestors().skip(1) {
            self.sync_folder(&above.to_string_lossy())?;
        }
        durable().insert(PathBuf::from(relative));
        Ok(())
    }

    /// Gives `part` its final name. Done already, by us before a crash or by a newer owner, is done.
    pub(crate) fn rename(&self, part: &str, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        self.on(Step::Rename, "give its final name to", &path, || match std::fs::rename(self.path(part), &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
            other => other,
        })
    }

    /// Removes a file; one that is gone is removed.
    pub(crate) fn remove(&self, relative: &str) -> Result<(), StoreError> {
        let path = self.path(relative);
        self.on(Step::Remove, "remove", &path, || match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    /// Creates `relative` with `bytes` if it is absent; durable when it returns.
    pub(crate) fn put_new(&self, relative: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        let path = self.path(relative);
        let io = |source| StoreError::Io { doing: "create", path: path.clone(), source };
        self.fault(Step::CreateManifest, &path).map_err(io)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.to_vec());
        let location = object_store::path::Path::from(relative);
        let put = self.inner.runtime.block_on(self.inner.objects.put_opts(&location, payload, options));
        self.fault(Step::Reply, &path).map_err(io)?;
        match put {
            Ok(_) => Ok(Put::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Exists),
            Err(source) => Err(StoreError::Objects { doing: "create", path: relative.to_owned(), source }),
        }
    }

    /// The bytes of a small file; `None` where it is absent.
    pub(crate) fn get(&self, relative: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let location = object_store::path::Path::from(relative);
        let got = self.inner.runtime.block_on(async { self.inner.objects.get(&location).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::Objects { doing: "read", path: relative.to_owned(), source }),
        }
    }

    /// Names in a folder: (folders, files), each sorted. A folder that is absent is empty.
    pub(crate) fn list(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let prefix = object_store::path::Path::from(folder);
        let listed = self.inner.runtime.block_on(self.inner.objects.list_with_delimiter(Some(&prefix)));
        let listed = listed.map_err(|source| StoreError::Objects { doing: "list", path: folder.to_owned(), source })?;
        let name = |path: &object_store::path::Path| path.filename().unwrap_or_default().to_owned();
        let mut folders: Vec<_> = listed.common_prefixes.iter().map(name).collect();
        let mut files: Vec<_> = listed.objects.iter().map(|meta| name(&meta.location)).collect();
        folders.sort_unstable();
        files.sort_unstable();
        Ok((folders, files))
    }

    /// Every file below a local folder, staged ones, too, as sorted relative paths.
    pub(crate) fn walk(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut files = Vec::new();
        let mut todo = vec![folder.to_owned()];
        while let Some(folder) = todo.pop() {
            let path = self.path(&folder);
            let io = |source| StoreError::Io { doing: "list", path: path.clone(), source };
            let entries = match std::fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(io)?,
            };
            for entry in entries {
                let entry = entry.map_err(io)?;
                let relative = format!("{folder}/{}", entry.file_name().to_string_lossy());
                let is_folder = entry.file_type().map_err(io)?.is_dir();
                if is_folder { todo.push(relative) } else { files.push(relative) }
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

fn refuse_url(place: &Path) -> Result<(), StoreError> {
    let text = place.to_string_lossy();
    if text.contains("://") { Err(StoreError::ObjectStore { url: text.into_owned() }) } else { Ok(()) }
}

/// New folders get mode 0700, and so does `top` if it is there already.
#[cfg(unix)]
fn keep_private(builder: &mut DirBuilder, top: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    builder.mode(0o700);
    match std::fs::metadata(top) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            std::fs::set_permissions(top, std::fs::Permissions::from_mode(0o700))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn keep_private(_: &mut DirBuilder, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_a_directory_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "x").unwrap();
        for place in [&file, &file.join("below")] {
            let error = Store::create(place).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
        }
        assert!(matches!(Store::open(&dir.path().join("none")), Err(StoreError::Absent { .. })));
        let error = Store::create(Path::new("s3://bucket/data")).unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().contains("s3://bucket/data")), (2, true));
    }

    #[test]
    fn a_manifest_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("a/b")).unwrap();
        assert!(matches!(store.put_new("commits/main/1.json", b"one").unwrap(), Put::Created));
        assert!(matches!(store.put_new("commits/main/1.json", b"two").unwrap(), Put::Exists));
        assert_eq!(store.get("commits/main/1.json").unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.get("commits/main/2.json").unwrap(), None);
        assert_eq!(store.list("commits").unwrap(), (vec!["main".to_owned()], vec![]));
        assert_eq!(store.list("nothing").unwrap(), (vec![], vec![]));
        assert_eq!(store.walk("commits").unwrap(), ["commits/main/1.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_private_folder_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join("rejected")).unwrap();
        store.make_folder("rejected/date=2016-04-03", true).unwrap();
        let mode = |p: &str| std::fs::metadata(dir.path().join(p)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("rejected"), mode("rejected/date=2016-04-03")), (0o700, 0o700));
    }
}
