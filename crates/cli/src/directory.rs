//! A data directory as the commands meet it: made, refused where it holds something else, its keys, and who writes to it.

use crate::problem::Problem;
use crate::settings::{Pseudonyms, Settings};
use audience::{Key, Ms, Registry};
use exporter::Table;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
pub(crate) use storage::WRITER;
use storage::{CommitError, Committer, Identity, KeyFile, SNAPSHOT, Store, is_object_store};

/// Our clock, ms since the Unix epoch.
pub(crate) fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ms::try_from(since.as_millis()).unwrap_or(Ms::MAX)
}

/// A data directory that is new or empty.
pub(crate) fn create_empty(out: &str) -> Result<Store, Problem> {
    match local(out) {
        Some(place) => refuse_foreign(out, foreign_entry(place, &["keys", "lock"])?, "is not empty")?,
        None => return create_or_open(out),
    }
    Ok(Store::create(Path::new(out))?)
}

/// A data directory to go on with, or a new one.
pub(crate) fn create_or_open(out: &str) -> Result<Store, Problem> {
    const WHAT: &str = "is no data directory, and not empty";
    let Some(place) = local(out) else {
        let store = Store::create(Path::new(out))?;
        let (folders, files) = store.list("")?;
        if !folders.iter().any(|folder| folder == "commits") {
            // Tables without commits may be those of a commit that was begun; whether they are, their names tell.
            let is_foreign = |name: &String| Table::of_name(name).is_none() && name != SNAPSHOT;
            refuse_foreign(out, files.into_iter().chain(folders).find(is_foreign), WHAT)?;
        }
        return Ok(store);
    };
    if !place.join("commits").is_dir() {
        refuse_foreign(out, foreign_entry(place, &["keys", "lock"])?, WHAT)?;
    }
    Ok(Store::create(Path::new(out))?)
}

fn refuse_foreign(out: &str, entry: Option<String>, what: &str) -> Result<(), Problem> {
    entry.map_or(Ok(()), |entry| {
        Err(Problem::world(format!(
            "{out} {what}: it holds {entry}. Give --out a new folder, or remove what is there."
        )))
    })
}

/// A data directory to read.
pub(crate) fn open(dir: &Path) -> Result<Store, Problem> {
    Ok(Store::open(dir)?)
}

/// The folder of a data directory on the local disk.
fn local(out: &str) -> Option<&Path> {
    (!is_object_store(out)).then(|| Path::new(out.strip_prefix("file://").unwrap_or(out)))
}

/// Takes a data directory over with its keys. In an object store no lock keeps a second process of this machine from the same key file, so there
/// the file itself is locked, before the owner before is fenced.
pub(crate) fn take(
    store: &Store,
    settings: &Settings,
    take: impl FnOnce(&Store, Identity, Ms) -> Result<Committer, CommitError>,
) -> Result<(Committer, Keys), Problem> {
    let keys = if store.is_local() { None } else { Some(Keys::open(settings, true)?) };
    let owner = take(store, identity(settings)?, now())?;
    Ok((owner, keys.map_or_else(|| Keys::open(settings, false), Ok)?))
}

/// The first entry of a folder that is not of `ours`; none where there is no such folder.
fn foreign_entry(place: &Path, ours: &[&str]) -> Result<Option<String>, Problem> {
    let refused = |error| Problem::world(format!("The folder {} cannot be read: {error}.", place.display()));
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(refused)?,
    };
    for entry in entries {
        let name = entry.map_err(refused)?.file_name().to_string_lossy().into_owned();
        if !ours.contains(&name.as_str()) && !is_bare(&place.join(&name)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether a path holds folders only: what is left where a commit was begun and not made.
fn is_bare(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    entries.flatten().all(|entry| is_bare(&entry.path()))
}

/// Who this process is in its commits.
pub(crate) fn identity(settings: &Settings) -> Result<Identity, Problem> {
    let said: String = settings_of_data(settings).iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    Ok(Identity {
        writer: WRITER.to_owned(),
        incarnation: Identity::random_incarnation()?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: blake3::hash(said.as_bytes()).to_hex().to_string(),
    })
}

/// The settings that the data depend on, as they were written: where they are and who is asked for them is left out.
pub(crate) fn settings_of_data(settings: &Settings) -> BTreeMap<String, String> {
    const PLACES: [&str; 10] =
        ["brokers", "topic", "rejected_topic", "out", "keys", "memory", "lanes", "listen", "log_format", "config"];
    let entries = settings.origins.entries.iter().filter(|entry| !PLACES.contains(&entry.setting.name));
    entries.map(|entry| (entry.setting.name.to_owned(), entry.setting.form.write(&entry.value))).collect()
}

/// The key file, and which of its keys the registry has.
#[derive(Debug)]
pub(crate) struct Keys {
    file: KeyFile,
    known: Vec<(Option<String>, [u8; 16])>,
    pseudonyms: Pseudonyms,
    /// Keys that the registry had given when they were last written to the file.
    saved: usize,
}

impl Keys {
    /// Opens the key file of the directory; `alone`, so that no other process can do the same.
    pub(crate) fn open(settings: &Settings, alone: bool) -> Result<Keys, Problem> {
        let path = settings.needed_keys()?;
        let (file, known) = if alone { KeyFile::open_alone(&path)? } else { KeyFile::open(&path)? };
        Ok(Keys { file, known, pseudonyms: settings.pseudonyms, saved: 0 })
    }

    /// A registry with the keys of the file; new broadcasts get a random key each, or all the directory's.
    pub(crate) fn registry(&mut self) -> Result<Arc<Registry>, Problem> {
        let of_directory = self.known.iter().find(|(id, _)| id.is_none()).map(|(_, key)| Key(*key));
        let registry = match self.pseudonyms {
            Pseudonyms::Broadcast => Registry::new(random_key),
            Pseudonyms::Directory => {
                let key = of_directory.unwrap_or_else(random_key);
                if of_directory.is_none() {
                    self.file.append(&[(None, key.0)])?;
                    self.file.sync()?;
                }
                Registry::new(move || key)
            }
        };
        for (id, key) in &self.known {
            if let Some(id) = id {
                registry.restore(id, Key(*key));
            }
        }
        self.saved = registry.keys_given();
        Ok(Arc::new(registry))
    }

    /// Appends and syncs the keys that are new since the last call: before the commit that first uses them.
    pub(crate) fn append(&mut self, registry: &Registry) -> Result<(), Problem> {
        let (new, given) = registry.keys_since(self.saved);
        if self.pseudonyms == Pseudonyms::Broadcast && !new.is_empty() {
            let lines: Vec<_> = new.iter().map(|(id, Key(key))| (Some(&**id), *key)).collect();
            self.file.append(&lines)?;
            self.file.sync()?;
        }
        self.saved = given;
        Ok(())
    }

    /// Destroys the key of a broadcast, and gives whether there was one.
    pub(crate) fn forget(&mut self, id: &str) -> Result<bool, Problem> {
        self.known.retain(|(known, _)| known.as_deref() != Some(id));
        Ok(self.file.forget(id)?)
    }

    /// Whether one key serves the whole directory.
    pub(crate) fn is_of_directory(&self) -> bool {
        self.pseudonyms == Pseudonyms::Directory || self.known.iter().any(|(id, _)| id.is_none())
    }
}

fn random_key() -> Key {
    let mut key = [0; 16];
    getrandom::fill(&mut key).expect("without random bits no viewer could be hidden, so going on would be worse");
    Key(key)
}
