//! Recovery puts the files of a data directory in order when an owner starts: what the manifests name gets its final
//! name, what they do not name is removed, so that a plain glob is exact again. It runs at the start only, never on an
//! error path, and twice is as once.
//!
//! On a disk the lock says that nobody else is at work. In an object store a newer owner may be, so there only that is
//! removed of which it is certain that no manifest will ever name it: the files begun for a commit whose manifest is
//! there.

use super::{
    chain::Chain,
    commit::{folder_of, is_private, name_prefix},
    identity::WRITER,
    manifest::{SNAPSHOT, TABLES},
};
use crate::store::{PARTS, Store, StoreError};
use std::collections::BTreeSet;

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Files of a commit that had not got their final names.
    pub named: Vec<String>,
    /// Files that no commit names.
    pub removed: Vec<String>,
    /// Files in the folders of the tables that no commit names, and that no writer of this name made: they stay.
    pub foreign: Vec<String>,
}

/// Puts the files of the chain's own writer in order; the caller owns the directory and has fenced the owner before.
pub(crate) fn recover(store: &Store, chain: &Chain) -> Result<Recovered, StoreError> {
    if !store.is_local() {
        return recover_objects(store, chain);
    }
    let named = named(chain);
    let present = present(store)?;
    // Without commits these are somebody's data, perhaps ours without its commits: nothing here is ours to judge.
    let is_data = |path: &&String| is_of(chain.writer(), path) && !is_part(path);
    if chain.newest().is_none()
        && let Some(found) = present.iter().find(is_data)
    {
        let found = format!("{found}, but no commits");
        return Err(StoreError::HoldsData { path: store.root().to_path_buf(), found });
    }
    let mut recovered = Recovered::default();
    let mut renamed = BTreeSet::new();
    for path in named.iter().filter(|path| !present.contains(*path)) {
        // A file that is under no name is for `verify` and its reader to tell of.
        if let Some(unnamed) = store.unnamed(path).into_iter().find(|unnamed| present.contains(unnamed)) {
            // A copy of the directory may lack folders in which nothing was.
            store.make_folder(folder_of(path), path.split('/').next().is_some_and(is_private))?;
            store.name(&unnamed, path)?;
            renamed.insert(unnamed);
            recovered.named.push(path.clone());
        }
    }
    store.sync_folder_chains(&recovered.named.iter().map(|path| folder_of(path).to_owned()).collect())?;
    for path in present {
        if named.contains(&path) || renamed.contains(&path) {
            continue;
        }
        if is_of(chain.writer(), &path) || is_temporary(&path) {
            store.remove(&path)?;
            recovered.removed.push(path);
        } else {
            recovered.foreign.push(path);
        }
    }
    for staged in store.walk(&format!("commits/{}", chain.writer()))? {
        if staged.contains(".json#") {
            store.remove(&staged)?;
        }
    }
    Ok(recovered)
}

/// Removes what the commits up to the newest left; the caller has made the newest, which fences the owners before. All
/// files of those were begun for a commit up to this one, and all files of later owners for one after it.
fn recover_objects(store: &Store, chain: &Chain) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let named = named(chain);
    for path in present(store)?.into_iter().filter(|path| !named.contains(path)) {
        match number_of(chain.writer(), &path) {
            Some(number) if number <= chain.number() => {
                store.remove(&path)?;
                recovered.removed.push(path);
            }
            Some(_) => {}
            None => recovered.foreign.push(path),
        }
    }
    Ok(recovered)
}

/// Refuses a directory in which somebody has committed, or that has files where tables would be; what a crash left
/// before the first commit is none.
///
/// # Errors
/// [`StoreError::HoldsData`], or the directory cannot be read.
pub fn refuse_data(store: &Store) -> Result<(), StoreError> {
    let commits = store.walk("commits")?.into_iter().filter(|path| path.ends_with(".json"));
    let is_left = |path: &String| match store.is_local() {
        true => is_part(path),
        false => number_of(WRITER, path).is_some(),
    };
    let files = present(store)?.into_iter().filter(|path| !is_left(path));
    match commits.chain(files).next() {
        Some(found) => Err(StoreError::HoldsData { path: store.root().to_path_buf(), found }),
        None => Ok(()),
    }
}

/// All files that are data or snapshot.
pub(crate) fn named(chain: &Chain) -> BTreeSet<String> {
    let snapshot = chain.newest().and_then(|newest| newest.snapshot.as_ref());
    let snapshot = snapshot.iter().flat_map(|snapshot| &snapshot.files).map(|file| file.path.clone());
    chain.files().map(|file| file.path.clone()).chain(snapshot).collect()
}

/// All files in the folders of the tables, of the snapshot and of the parts.
pub(crate) fn present(store: &Store) -> Result<BTreeSet<String>, StoreError> {
    let mut present = BTreeSet::new();
    for folder in TABLES.into_iter().chain([SNAPSHOT]).chain(store.is_local().then_some(PARTS)) {
        present.extend(store.walk(folder)?);
    }
    Ok(present)
}

/// Whether a file of a disk is none that a reader takes for data. Earlier versions laid parts beside their places.
pub(crate) fn is_part(path: &str) -> bool {
    path.starts_with(PARTS) || path.ends_with(".part")
}

/// Whether it is a temporary file of settling, which has a name for an instant only.
fn is_temporary(path: &str) -> bool {
    path.strip_prefix(PARTS).is_some_and(|path| path.starts_with("/jauge-"))
}

/// Whether `path` has the name of a file that `writer` made.
pub(crate) fn is_of(writer: &str, path: &str) -> bool {
    number_of(writer, path).is_some()
}

/// The commit for which `writer` began the file `path`: 20 digits, perhaps the incarnation in 32 hex digits, 4 digits
/// or more, an extension.
pub(crate) fn number_of(writer: &str, path: &str) -> Option<u64> {
    let name = path[folder_of(path).len()..].trim_start_matches('/');
    let (stem, ending) = name.strip_prefix(&name_prefix(writer))?.split_once('.')?;
    // A copy that an editor or a person made of one of ours is theirs.
    if !ending.strip_suffix(".part").unwrap_or(ending).bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = stem.split('-');
    let number = parts.next().filter(|number| number.len() == 20 && digits(number))?;
    let (incarnation, seq) = match (parts.next()?, parts.next(), parts.next()) {
        (seq, None, None) => (None, seq),
        (incarnation, Some(seq), None) => (Some(incarnation), seq),
        _ => return None,
    };
    let is_incarnation = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if seq.len() < 4 || !digits(seq) || !incarnation.is_none_or(is_incarnation) {
        return None;
    }
    number.parse().ok()
}
