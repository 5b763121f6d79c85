//! The registry of broadcasts: each id's number in this process, and the key of its pseudonyms. Shared by all decoders; each keeps a copy of
//! what it has met, so the lock is taken at a broadcast's first event only.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// The key of a broadcast's pseudonyms: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key that is printed is a key that leaks.
        f.write_str("Key(..)")
    }
}

/// Numbers and keys of the broadcasts met so far.
pub struct Registry {
    inner: RwLock<Inner>,
    new_key: Box<dyn Fn() -> Key + Send + Sync>,
}

#[derive(Default)]
struct Inner {
    numbers: HashMap<Arc<str>, u32>,
    ids: Vec<Arc<str>>,
    keys: Vec<Key>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("broadcasts", &self.len()).finish_non_exhaustive()
    }
}

impl Registry {
    /// An empty registry. `new_key` gives the key of a broadcast that is new: chance is an argument.
    pub fn new(new_key: impl Fn() -> Key + Send + Sync + 'static) -> Registry {
        Registry { inner: RwLock::default(), new_key: Box::new(new_key) }
    }

    /// Number and key of a broadcast; it is given both if it has none.
    pub fn number(&self, id: &str) -> (u32, Key) {
        if let Some(known) = self.known(id) {
            return known;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = inner.numbers.get(id) {
            return (*number, inner.keys[*number as usize]);
        }
        let key = (self.new_key)();
        (inner.insert(id, key), key)
    }

    /// Gives a broadcast the key that it had before. The first key of a broadcast wins.
    pub fn restore(&self, id: &str, key: Key) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if !inner.numbers.contains_key(id) {
            inner.insert(id, key);
        }
    }

    /// Number and key of a broadcast that was met before.
    pub fn known(&self, id: &str) -> Option<(u32, Key)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let number = *inner.numbers.get(id)?;
        Some((number, inner.keys[number as usize]))
    }

    /// The ids of all broadcasts, by number.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).ids.clone()
    }

    /// Ids and keys of the broadcasts from number `first` on: those that are new since a count taken before.
    pub fn keys_since(&self, first: usize) -> Vec<(Arc<str>, Key)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.ids.iter().cloned().zip(inner.keys.iter().copied()).skip(first).collect()
    }

    /// Broadcasts met so far.
    pub fn len(&self) -> usize {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).ids.len()
    }

    /// Whether none was met.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn insert(&mut self, id: &str, key: Key) -> u32 {
        let number = u32::try_from(self.ids.len()).expect("memory ends long before 2^32 broadcasts do");
        let id: Arc<str> = Arc::from(id);
        self.numbers.insert(Arc::clone(&id), number);
        self.ids.push(id);
        self.keys.push(key);
        number
    }
}
