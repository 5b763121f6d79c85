//! The keyring of a data directory: the keys of its pseudonyms, in a file beside it, and which of them this process has
//! given.

use crate::{KeyFile, PrivateTo};
use audience::{Key, Registry};
use problem::Problem;
use std::path::PathBuf;
use std::sync::Arc;

/// How far one key of the pseudonyms reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pseudonyms {
    /// A key for each broadcast: nobody can be followed from one to another.
    Broadcast,
    /// One key for the directory.
    Directory,
}

/// Where the keys are, and which they are.
#[derive(Clone, Debug)]
pub struct KeyOptions {
    /// The key file; or why there is none, which is a problem only of those who need it.
    pub path: Result<PathBuf, Problem>,
    /// One key a broadcast or one for all.
    pub pseudonyms: Pseudonyms,
    /// Who may read the file, and the folder of rejected events.
    pub private_to: PrivateTo,
}

/// The key file, and which of its keys the registry has.
#[derive(Debug)]
pub struct Keys {
    file: KeyFile,
    known: Vec<(Option<String>, [u8; 16])>,
    pseudonyms: Pseudonyms,
    /// Keys that the registry had given when they were last written to the file.
    saved: usize,
}

impl Keys {
    /// Opens the key file of a directory; `alone`, so that no other process can do the same. `tell` is told what an
    /// operator should know.
    pub fn open(options: &KeyOptions, alone: bool, tell: &dyn Fn(String)) -> Result<Keys, Problem> {
        let path = options.path.as_ref().map_err(Problem::clone)?;
        let (file, known) = KeyFile::open(path, alone, options.private_to, tell)?;
        Ok(Keys { file, known, pseudonyms: options.pseudonyms, saved: 0 })
    }

    /// A registry with the keys of the file; new broadcasts get a random key each, or all the directory's.
    pub fn registry(&mut self) -> Result<Arc<Registry>, Problem> {
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
    pub fn append(&mut self, registry: &Registry) -> Result<(), Problem> {
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
    pub fn forget(&mut self, id: &str) -> Result<bool, Problem> {
        self.known.retain(|(known, _)| known.as_deref() != Some(id));
        Ok(self.file.forget(id)?)
    }

    /// That the file can only be read, where new broadcasts would need keys in it.
    pub(crate) fn cannot_add(&self) -> Option<String> {
        let (path, why) = self.file.read_only().filter(|_| self.pseudonyms == Pseudonyms::Broadcast)?;
        let path = path.display();
        Some(format!("The key file {path} can only be read ({why}): a broadcast that has no key in it ends this."))
    }

    /// Whether one key serves the whole directory.
    pub fn is_of_directory(&self) -> bool {
        self.pseudonyms == Pseudonyms::Directory || self.known.iter().any(|(id, _)| id.is_none())
    }
}

fn random_key() -> Key {
    let mut key = [0; 16];
    getrandom::fill(&mut key).expect("without random bits no viewer could be hidden, so going on would be worse");
    Key(key)
}
