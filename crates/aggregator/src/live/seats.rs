//! Seats: the open sessions, and the viewers known, of one broadcast in one lane, packed for audiences of tens of
//! millions. A seat is 29 bytes, a viewer 13, in leaves that are filled to three fifths at least and lie in the order
//! of their keys, so that nothing depends on chance. A copy shares the leaves; only those that are written to
//! afterwards are copied.

use crate::machine::Open;
use audience::Ms;
use std::sync::Arc;

/// 72 bits of a pseudonym, or of two. Pseudonyms are pseudorandom: among 65 million, two are equal with a chance of 1
/// in 2 million.
pub(crate) const KEY: usize = 9;
pub(crate) type Key = [u8; KEY];

/// A key, the key of the viewer, and two times.
const SEAT: usize = 2 * KEY + 11;
/// A key, and how many sessions of the viewer are open.
const VIEWER: usize = KEY + 4;
/// Times are in [0, 2^42): up to the year 2109.
const TIME_BITS: u32 = 42;

/// An instant as tables keep it.
pub(super) fn bounded(at: Ms) -> Ms {
    at.clamp(0, (1 << TIME_BITS) - 1)
}

/// The key of a session.
pub(crate) fn key_of_session(viewer: u128, session: u128) -> Key {
    // Most sessions are named like their viewer. An even factor keeps those apart: 1 + K is odd, so v → v (1 + K) is
    // one to one.
    const K: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834;
    key_of(viewer.wrapping_add(session.wrapping_mul(K)))
}

/// The key of a viewer.
pub(crate) fn key_of(viewer: u128) -> Key {
    let mut key = [0; KEY];
    // Pseudonyms of tests may be small numbers; one multiplication spreads them, and costs nothing.
    const SPREAD: u128 = 0xda94_2042_e4dd_58b5_a3b1_9535_4a39_b70d;
    key.copy_from_slice(&viewer.wrapping_mul(SPREAD).to_be_bytes()[..KEY]);
    if key == EMPTY {
        key[KEY - 1] = 1;
    }
    key
}

const EMPTY: Key = [0; KEY];

/// A leaf: entries of `N` bytes whose keys begin with the same bits. Linear probing in the order of the keys. Its slots
/// are shared with whoever froze them, until one of the two writes: then these few are copied.
#[derive(Clone, Debug)]
struct Leaf<const N: usize> {
    slots: Arc<[[u8; N]]>,
    /// Slots that keys are spread over; the rest takes what runs over.
    homes: usize,
    len: usize,
    /// Bits that all its keys have in common.
    depth: u32,
}

/// Most slots beyond the homes. At the greatest filling a run is seldom so long; where one is, the leaf grows.
const TAIL: usize = 32;

impl<const N: usize> Leaf<N> {
    /// A leaf of `entries`, which come in the order of their keys.
    fn of<'a>(entries: impl Iterator<Item = &'a [u8; N]>, homes: usize, depth: u32) -> Leaf<N> {
        let mut leaf = Leaf { slots: Arc::default(), homes, len: 0, depth };
        let mut slots = vec![[0; N]; homes + homes.min(TAIL)];
        let mut next = 0;
        for entry in entries {
            // Each lies at its home, or right behind the one before.
            let place = leaf.home(Self::key(entry)).max(next);
            if place == slots.len() {
                slots.push([0; N]);
            }
            slots[place] = *entry;
            next = place + 1;
            leaf.len += 1;
        }
        leaf.slots = slots.into();
        leaf
    }

    fn key(entry: &[u8; N]) -> &[u8] {
        &entry[..KEY]
    }

    fn home(&self, key: &[u8]) -> usize {
        // The key, without what is common, as a fraction of the homes: the order of the homes is that of the keys.
        usize::try_from((u128::from(head_of(key) << self.depth) * self.homes as u128) >> 64).unwrap_or(0)
    }

    /// The place of a key (`Ok`), or the place where it belongs (`Err`).
    fn find(&self, key: &Key) -> Result<usize, usize> {
        if self.homes == 0 {
            return Err(0);
        }
        let mut place = self.home(key);
        while let Some(entry) = self.slots.get(place) {
            let here = Self::key(entry);
            if here == key {
                return Ok(place);
            }
            if here == EMPTY || here > &key[..] {
                break;
            }
            place += 1;
        }
        Err(place)
    }

    /// Adds an entry whose key is not there.
    fn insert(&mut self, entry: [u8; N], place: usize) {
        let mut key = EMPTY;
        key.copy_from_slice(Self::key(&entry));
        let end = self.slots.iter().skip(place).position(|entry| Self::key(entry) == EMPTY);
        match end {
            Some(run) if (self.len + 1) * 5 <= self.homes * 4 => {
                let slots = Arc::make_mut(&mut self.slots);
                slots.copy_within(place..place + run, place + 1);
                slots[place] = entry;
                self.len += 1;
            }
            _ => {
                *self = Leaf::of(self.entries(), (self.homes + self.homes / 4 + 4).max(8), self.depth);
                let place = self.find(&key).unwrap_or_else(|place| place);
                self.insert(entry, place);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let mut end = place + 1;
        while end < self.slots.len()
            && Self::key(&self.slots[end]) != EMPTY
            && self.home(Self::key(&self.slots[end])) < end
        {
            end += 1;
        }
        let slots = Arc::make_mut(&mut self.slots);
        slots.copy_within(place + 1..end, place);
        slots[end - 1] = [0; N];
        self.len -= 1;
    }

    fn entries(&self) -> impl Iterator<Item = &[u8; N]> {
        self.slots.iter().filter(|entry| Self::key(entry) != EMPTY)
    }
}

fn head_of(key: &[u8]) -> u64 {
    key.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head))
}

/// Beyond so many entries a leaf is split in two. So neither growing nor copying what is frozen ever takes the lane
/// more than some µs at an event, whatever the number of sessions.
const LEAF: usize = 900;
/// Bits by which leaves are told apart, at most: that is for a billion entries.
const DEPTH: u32 = 20;

/// Leaves, found by the first bits of a key.
#[derive(Clone, Debug)]
pub(super) struct KeyTables<const N: usize> {
    leaves: Vec<Leaf<N>>,
    /// The leaf of each value of the first `depth` bits, so in the order of the keys; empty where there is one leaf.
    directory: Vec<u32>,
    depth: u32,
    len: usize,
}

impl<const N: usize> KeyTables<N> {
    pub(super) fn new() -> KeyTables<N> {
        let leaf = Leaf { slots: Arc::default(), homes: 0, len: 0, depth: 0 };
        KeyTables { leaves: vec![leaf], directory: Vec::new(), depth: 0, len: 0 }
    }

    /// Tables for so many entries: none is split or grown on the way, in whatever order they come.
    fn for_entries(count: usize) -> KeyTables<N> {
        let depth = (count / (LEAF * 2 / 3)).next_power_of_two().trailing_zeros().min(DEPTH);
        let homes = homes_for(count >> depth).min(2 * LEAF);
        let leaves = vec![(); 1 << depth].iter().map(|()| Leaf::of(std::iter::empty(), homes, depth)).collect();
        let directory = if depth == 0 { Vec::new() } else { (0..1 << depth).collect() };
        KeyTables { leaves, directory, depth, len: 0 }
    }

    fn leaf_of(&self, key: &Key) -> usize {
        if self.depth == 0 { 0 } else { self.directory[self.prefix_of(key)] as usize }
    }

    fn prefix_of(&self, key: &[u8]) -> usize {
        usize::try_from(head_of(key) >> (64 - self.depth)).unwrap_or(0)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&[u8; N]> {
        let leaf = &self.leaves[self.leaf_of(key)];
        leaf.find(key).ok().map(|place| &leaf.slots[place])
    }

    /// Sets the entry of a key from its first nine bytes on; tells whether the key is new.
    pub(super) fn put(&mut self, key: &Key, rest: &[u8]) -> bool {
        let mut entry = [0; N];
        entry[..KEY].copy_from_slice(key);
        entry[KEY..].copy_from_slice(rest);
        loop {
            let number = self.leaf_of(key);
            let leaf = &mut self.leaves[number];
            match leaf.find(key) {
                Ok(place) => {
                    // What stays as it is need not be copied.
                    if leaf.slots[place] != entry {
                        Arc::make_mut(&mut leaf.slots)[place] = entry;
                    }
                    return false;
                }
                Err(_) if leaf.len >= LEAF && leaf.depth < DEPTH => self.split(number),
                Err(place) => {
                    leaf.insert(entry, place);
                    self.len += 1;
                    return true;
                }
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        let number = self.leaf_of(key);
        if let Ok(place) = self.leaves[number].find(key) {
            self.leaves[number].remove(place);
            self.len -= 1;
        }
    }

    /// Splits a leaf by the first bit in which its keys may differ.
    fn split(&mut self, number: usize) {
        let leaf = &self.leaves[number];
        let depth = leaf.depth + 1;
        let is_upper = |entry: &&[u8; N]| head_of(&entry[..KEY]) >> (64 - depth) & 1 == 1;
        let uppers = leaf.entries().filter(is_upper).count();
        let first = leaf.entries().next().map_or(0, |entry| head_of(&entry[..KEY]));
        let lower = Leaf::of(leaf.entries().filter(|entry| !is_upper(entry)), homes_for(leaf.len - uppers), depth);
        let upper = Leaf::of(leaf.entries().filter(is_upper), homes_for(uppers), depth);
        if self.depth < depth {
            let twice = |leaf: &u32| [*leaf; 2];
            self.directory = if self.depth == 0 { vec![0; 2] } else { self.directory.iter().flat_map(twice).collect() };
            self.depth = depth;
        }
        let width = 1 << (self.depth - depth);
        // The prefix of the upper half: the bit is set, those after it are not.
        let from = usize::try_from((first >> (64 - depth) | 1) << (self.depth - depth)).unwrap_or(0);
        let upper_number = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        self.directory[from..from + width].fill(upper_number);
        self.leaves[number] = lower;
        self.leaves.push(upper);
    }

    /// The numbers of the leaves in the order of their keys.
    fn order(&self) -> Vec<u32> {
        let mut order = if self.directory.is_empty() { vec![0] } else { self.directory.clone() };
        order.dedup();
        order
    }

    /// Entries in the order of their keys.
    fn entries(&self) -> impl Iterator<Item = (Key, &[u8; N])> {
        self.order()
            .into_iter()
            .flat_map(|number| self.leaves[number as usize].entries())
            .map(|entry| (key_in(entry), entry))
    }

    /// Entries in the order of their keys, each leaf let go of once it was read.
    pub(super) fn into_entries(mut self) -> impl Iterator<Item = (Key, [u8; N])> {
        let order = self.order();
        order.into_iter().flat_map(move |number| {
            let slots = std::mem::take(&mut self.leaves[number as usize].slots);
            let full = (0..slots.len()).map(move |place| slots[place]).filter(|entry| entry[..KEY] != EMPTY);
            full.map(|entry| (key_in(&entry), entry))
        })
    }

    /// Sets what follows the keys to zero, and hands what it was to `each`, where it was not.
    fn clear(&mut self, mut each: impl FnMut(&[u8])) {
        let is_set = |entry: &[u8; N]| entry[KEY..].iter().any(|byte| *byte > 0);
        for leaf in self.leaves.iter_mut().filter(|leaf| leaf.entries().any(is_set)) {
            for entry in Arc::make_mut(&mut leaf.slots).iter_mut().filter(|entry| is_set(entry)) {
                each(&entry[KEY..]);
                entry[KEY..].fill(0);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        let leaves: usize = self.leaves.iter().map(|leaf| leaf.slots.len() * N + size_of::<Leaf<N>>()).sum();
        leaves + self.directory.len() * size_of::<u32>()
    }
}

/// Homes for so many entries, and some more to come.
fn homes_for(entries: usize) -> usize {
    entries + entries / 2 + 8
}

fn key_in<const N: usize>(entry: &[u8; N]) -> Key {
    let mut key = EMPTY;
    key.copy_from_slice(&entry[..KEY]);
    key
}

/// The open sessions.
#[derive(Clone, Debug)]
pub(crate) struct Seats(KeyTables<SEAT>);

/// An open session, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) viewer: Key,
    pub(crate) open: Open,
}

impl Default for Seats {
    fn default() -> Seats {
        Seats(KeyTables::new())
    }
}

impl Seats {
    pub(crate) fn for_entries(count: usize) -> Seats {
        Seats(KeyTables::for_entries(count))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Seat> {
        self.0.get(key).map(Seat::of)
    }

    /// Tells whether the session was not there.
    pub(crate) fn put(&mut self, key: &Key, seat: &Seat) -> bool {
        let time = |at: Ms| u128::from(bounded(at).cast_unsigned());
        let times = time(seat.open.joined_at) << TIME_BITS | time(seat.open.seen_at);
        let mut rest = [0; SEAT - KEY];
        rest[..KEY].copy_from_slice(&seat.viewer);
        rest[KEY..].copy_from_slice(&times.to_be_bytes()[16 - (SEAT - 2 * KEY)..]);
        self.0.put(key, &rest)
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.0.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    /// The open sessions in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Seat)> {
        self.0.entries().map(|(key, entry)| (key, Seat::of(entry)))
    }

    /// The open sessions in the order of their keys, what was read let go of.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (Key, Seat)> {
        self.0.into_entries().map(|(key, entry)| (key, Seat::of(&entry)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Seat {
    fn of(entry: &[u8; SEAT]) -> Seat {
        let mut viewer = EMPTY;
        viewer.copy_from_slice(&entry[KEY..2 * KEY]);
        let mut times = [0; 16];
        times[16 - (SEAT - 2 * KEY)..].copy_from_slice(&entry[2 * KEY..]);
        let packed = u128::from_be_bytes(times);
        let time = |packed: u128| Ms::try_from(packed & ((1 << TIME_BITS) - 1)).unwrap_or(0);
        Seat { viewer, open: Open { joined_at: time(packed >> TIME_BITS), seen_at: time(packed) } }
    }
}

/// The viewers known, each with how many of its sessions are open.
#[derive(Clone, Debug)]
pub(crate) struct Viewers(KeyTables<VIEWER>);

impl Default for Viewers {
    fn default() -> Viewers {
        Viewers(KeyTables::new())
    }
}

impl Viewers {
    pub(crate) fn for_entries(count: usize) -> Viewers {
        Viewers(KeyTables::for_entries(count))
    }

    /// How many sessions of a viewer are open; `None` where it is not known.
    pub(crate) fn open(&self, key: &Key) -> Option<u32> {
        self.0.get(key).map(|entry| count_in(&entry[KEY..]))
    }

    /// Adds to a viewer's open sessions; it is known from then on.
    pub(crate) fn add(&mut self, key: &Key, by: i64) {
        let open = i64::from(self.open(key).unwrap_or(0)) + by;
        self.0.put(key, &u32::try_from(open.max(0)).unwrap_or(u32::MAX).to_be_bytes());
    }

    /// All sessions close; gives their overlap.
    pub(crate) fn close_all(&mut self) -> i64 {
        let mut overlap = 0;
        self.0.clear(|count| overlap += i64::from(count_in(count).saturating_sub(1)));
        overlap
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    /// The viewers in the order of their keys, letting go of what is behind.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Key> {
        self.0.into_entries().map(|(key, _)| key)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

fn count_in(rest: &[u8]) -> u32 {
    rest.first_chunk().map_or(0, |count| u32::from_be_bytes(*count))
}

#[cfg(test)]
mod tests;
