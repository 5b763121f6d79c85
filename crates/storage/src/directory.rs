//! A data directory as the commands meet it: made, refused where it holds something else, and taken over.

pub use crate::WRITER;
use crate::keyring::{KeyOptions, Keys};
use crate::store::PARTS;
use crate::{CommitError, Committer, Identity, PrivateTo, SNAPSHOT, Store, is_object_store};
use audience::Ms;
use exporter::Table;
use problem::Problem;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Our clock, ms since the Unix epoch.
pub fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ms::try_from(since.as_millis()).unwrap_or(Ms::MAX)
}

/// A data directory that is new or empty, but for what a crash before its first commit has left.
pub fn create_empty(out: &str) -> Result<Store, Problem> {
    match local(out) {
        Some(place) => refuse_foreign(out, foreign_entry(place)?, "is not empty")?,
        None => return create_or_open(out),
    }
    Ok(Store::create(Path::new(out))?)
}

/// A data directory to go on with, or a new one.
pub fn create_or_open(out: &str) -> Result<Store, Problem> {
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
        refuse_foreign(out, foreign_entry(place)?, WHAT)?;
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
pub fn open(dir: &Path) -> Result<Store, Problem> {
    Ok(Store::open(dir)?)
}

/// The folder of a data directory on the local disk.
fn local(out: &str) -> Option<&Path> {
    (!is_object_store(out)).then(|| Path::new(out.strip_prefix("file://").unwrap_or(out)))
}

/// Takes a data directory over with its keys, for a process whose data depend on what is `recorded`. In an object store
/// no lock keeps a second process of this machine from the same key file, so there the file itself is locked, before
/// the owner before is fenced. `tell` is told what an operator should know of what is private.
pub fn take(
    store: &Store,
    recorded: &BTreeMap<String, String>,
    keys: &KeyOptions,
    tell: &dyn Fn(String),
    take: impl FnOnce(&Store, Identity, Ms) -> Result<Committer, CommitError>,
) -> Result<(Committer, Keys), Problem> {
    let alone = if store.is_local() { None } else { Some(Keys::open(keys, true, tell)?) };
    let committer = take(store, identity(recorded)?, now())?;
    let opened = alone.map_or_else(|| Keys::open(keys, false, tell), Ok)?;
    if store.is_local() {
        keep_private(&store.path(Table::Rejected.name()), keys.private_to, tell)?;
    }
    opened.cannot_add().into_iter().for_each(tell);
    Ok((committer, opened))
}

/// Sees to the mode of a private folder, where it is there.
fn keep_private(folder: &Path, private_to: PrivateTo, tell: &dyn Fn(String)) -> Result<(), Problem> {
    let place = folder.display();
    let opened = match fs::File::open(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|error| Problem::world(format!("The folder {place} cannot be opened: {error}.")))?,
    };
    let kept = private_to.keep(&opened, folder, 0o700).map_err(|(mode, error)| {
        Problem::world(format!(
            "The folder {place}, which holds ids in clear, has mode {mode:04o}, and that cannot be changed ({error}). Set private_to = \"group\" if \
             its group may read it (fsGroup of Kubernetes), or have its owner chmod 700 it."
        ))
    })?;
    kept.into_iter().for_each(tell);
    Ok(())
}

/// The first entry of a folder that nobody of us leaves there before the first commit; none where there is no such
/// folder.
fn foreign_entry(place: &Path) -> Result<Option<String>, Problem> {
    let refused = |error| Problem::world(format!("The folder {} cannot be read: {error}.", place.display()));
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(refused)?,
    };
    for entry in entries {
        let name = entry.map_err(refused)?.file_name().to_string_lossy().into_owned();
        if !is_left(&place.join(&name), &name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether an entry of a data directory may be there before its first commit, at whichever step of that a crash came.
fn is_left(path: &Path, name: &str) -> bool {
    match name {
        "lock" | "keys" | "keys.new" => true,
        PARTS => holds_only(path, |file| file.ends_with(".part") || file.starts_with("jauge-")),
        "commits" => holds_only(path, |file| file.contains(".json#")),
        "requests" => holds_only(path, |file| file.contains(".json")),
        // Earlier versions laid parts beside their places.
        _ if Table::of_name(name).is_some() || name == SNAPSHOT => holds_only(path, |file| file.ends_with(".part")),
        _ => holds_only(path, |_| false),
    }
}

/// Whether a path is a folder in which there are, at any depth, only folders and such files.
fn holds_only(path: &Path, is_ours: fn(&str) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    entries.flatten().all(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds_only(&entry.path(), is_ours),
        _ => is_ours(&entry.file_name().to_string_lossy()),
    })
}

/// Who a process is in its commits whose data depend on what is `recorded`.
pub fn identity(recorded: &BTreeMap<String, String>) -> Result<Identity, Problem> {
    let said: String = recorded.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    Ok(Identity {
        writer: WRITER.to_owned(),
        incarnation: Identity::random_incarnation()?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: blake3::hash(said.as_bytes()).to_hex().to_string(),
    })
}
