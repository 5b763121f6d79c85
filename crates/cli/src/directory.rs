//! A data directory as the commands meet it: made, refused where it holds something else, its keys, and who writes to it.

use crate::problem::Problem;
use crate::settings::{Pseudonyms, Settings, is_object_store};
use audience::{Key, Ms, Registry};
use exporter::{Identity, KeyFile, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The writer's name: one process owns the directory.
pub(crate) const WRITER: &str = "main";

/// Our clock, ms since the Unix epoch.
pub(crate) fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ms::try_from(since.as_millis()).unwrap_or(Ms::MAX)
}

/// A data directory that is new or empty.
pub(crate) fn create_empty(out: &str) -> Result<Store, Problem> {
    let place = local(out)?;
    if let Some(entry) = foreign_entry(place, &["keys", "lock"])? {
        return Err(Problem::world(format!(
            "{out} is not empty: it holds {entry}. Give --out a new folder, or remove what is there."
        )));
    }
    Ok(Store::create(place)?)
}

/// A data directory to go on with, or a new one.
pub(crate) fn create_or_open(out: &str) -> Result<Store, Problem> {
    let place = local(out)?;
    if !place.join("commits").is_dir()
        && let Some(entry) = foreign_entry(place, &["keys", "lock"])?
    {
        return Err(Problem::world(format!(
            "{out} is no data directory, and not empty: it holds {entry}. Give --out a new folder, or remove what is there."
        )));
    }
    Ok(Store::create(place)?)
}

/// A data directory to read.
pub(crate) fn open(dir: &Path) -> Result<Store, Problem> {
    if is_object_store(&dir.to_string_lossy()) {
        return Err(no_object_store(&dir.to_string_lossy()));
    }
    Ok(Store::open(dir)?)
}

fn local(out: &str) -> Result<&Path, Problem> {
    if is_object_store(out) {
        Err(no_object_store(out))
    } else {
        Ok(Path::new(out.strip_prefix("file://").unwrap_or(out)))
    }
}

fn no_object_store(out: &str) -> Problem {
    Problem::usage(format!("{out} is an object store, which this version cannot write to yet. Give a local folder."))
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
    /// Opens the key file of the directory.
    pub(crate) fn open(settings: &Settings) -> Result<Keys, Problem> {
        let (file, known) = KeyFile::open(&settings.needed_keys()?)?;
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
