//! The registry of broadcasts: each id's number in this process, and the key of its pseudonyms. Shared by all decoders;
//! each keeps a copy of what it has met, so the lock is taken at a broadcast's first event only.

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
    /// None where it was forgotten, or never needed.
    keys: Vec<Option<Key>>,
    /// Numbers in the order in which they got their keys; one whose key was forgotten may come again.
    keyed: Vec<u32>,
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

    /// Number and key of a broadcast; it is given what it lacks.
    pub fn number(&self, id: &str) -> (u32, Key) {
        if let Some(known) = self.known(id) {
            return known;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let number = inner.insert(id);
        if let Some(key) = inner.keys[number as usize] {
            return (number, key);
        }
        let key = (self.new_key)();
        inner.give(number, key);
        (number, key)
    }

    /// Number of a broadcast whose pseudonyms are made already: it needs no key.
    pub fn place(&self, id: &str) -> u32 {
        let known = self.inner.read().unwrap_or_else(PoisonError::into_inner).numbers.get(id).copied();
        known.unwrap_or_else(|| self.inner.write().unwrap_or_else(PoisonError::into_inner).insert(id))
    }

    /// Forgets the key of a broadcast, which keeps its number: what comes of it later gets a new one. Decoders keep
    /// copies of what they have met: [`Decoder::forget`](crate::Decoder::forget).
    pub fn forget(&self, id: &str) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = inner.numbers.get(id).copied() {
            inner.keys[number as usize] = None;
        }
    }

    /// Gives a broadcast the key that it had before. The first key of a broadcast wins.
    pub fn restore(&self, id: &str, key: Key) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let number = inner.insert(id);
        if inner.keys[number as usize].is_none() {
            inner.give(number, key);
        }
    }

    /// Number and key of a broadcast that has a key.
    pub fn known(&self, id: &str) -> Option<(u32, Key)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let number = *inner.numbers.get(id)?;
        Some((number, inner.keys[number as usize]?))
    }

    /// The ids of all broadcasts, by number.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).ids.clone()
    }

    /// How many keys were given so far, forgotten ones included.
    pub fn keys_given(&self) -> usize {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).keyed.len()
    }

    /// Ids and keys given since [`Registry::keys_given`] was `first`, without those that were forgotten; and what it is
    /// now.
    pub fn keys_since(&self, first: usize) -> (Vec<(Arc<str>, Key)>, usize) {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let new = inner.keyed.iter().skip(first).map(|number| *number as usize);
        let keys = new.filter_map(|number| Some((Arc::clone(&inner.ids[number]), inner.keys[number]?)));
        (keys.collect(), inner.keyed.len())
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
    /// The number of a broadcast, which may be new.
    fn insert(&mut self, id: &str) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.ids.len()).expect("memory ends long before 2^32 broadcasts do");
        let id: Arc<str> = Arc::from(id);
        self.numbers.insert(Arc::clone(&id), number);
        self.ids.push(id);
        self.keys.push(None);
        number
    }

    fn give(&mut self, number: u32, key: Key) {
        self.keys[number as usize] = Some(key);
        self.keyed.push(number);
    }
}
