//! Seats: the open sessions, and the viewers known, of one broadcast in one lane, packed for audiences of tens of millions. A seat is 20 bytes,
//! a viewer 9, in tables that are filled to three fifths at least and lie in the order of their keys, so that nothing depends on chance.

use crate::machine::Open;
use audience::Ms;

/// 72 bits of a pseudonym, or of two. Pseudonyms are pseudorandom: among 65 million, two are equal with a chance of 1 in 2 million.
pub(crate) const KEY: usize = 9;
pub(crate) type Key = [u8; KEY];

const SEAT: usize = 20;
/// Times are in [0, 2^42): up to the year 2109.
const TIME_BITS: u32 = 42;

/// The key of a session.
pub(crate) fn key_of_session(viewer: u128, session: u128) -> Key {
    // Most sessions are named like their viewer. An even factor keeps those apart: 1 + K is odd, so v → v (1 + K) is one to one.
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

/// A table of entries of `N` bytes, the first nine of which are the key: linear probing in the order of the keys.
#[derive(Clone, Debug)]
struct Table<const N: usize> {
    slots: Vec<[u8; N]>,
    /// Slots that keys are spread over; the rest takes what runs over.
    homes: usize,
    len: usize,
}

/// Most slots beyond the homes. At the greatest filling a run is that long with a chance that is practically nil; then the table grows.
const TAIL: usize = 64;

impl<const N: usize> Table<N> {
    fn new(homes: usize) -> Table<N> {
        Table { slots: vec![[0; N]; homes + homes.min(TAIL)], homes, len: 0 }
    }

    fn key(entry: &[u8; N]) -> &[u8] {
        &entry[..KEY]
    }

    fn home(&self, key: &[u8]) -> usize {
        let head = key.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head));
        // The key as a fraction of the homes: the order of the homes is that of the keys.
        usize::try_from((u128::from(head) * self.homes as u128) >> 64).unwrap_or(0)
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
                self.slots.copy_within(place..place + run, place + 1);
                self.slots[place] = entry;
                self.len += 1;
            }
            _ => {
                self.grow();
                let place = self.find(&key).unwrap_or_else(|place| place);
                self.insert(entry, place);
            }
        }
    }

    fn grow(&mut self) {
        let mut grown = Table::new((self.homes + self.homes / 4 + 4).max(8));
        let mut next = 0;
        for entry in self.slots.iter().filter(|entry| Self::key(entry) != EMPTY) {
            // Entries come in the order of their keys, so each lies at its home or right behind the one before.
            let place = grown.home(Self::key(entry)).max(next);
            if place == grown.slots.len() {
                grown.slots.push([0; N]);
            }
            grown.slots[place] = *entry;
            next = place + 1;
        }
        grown.len = self.len;
        *self = grown;
    }

    fn remove(&mut self, place: usize) {
        let mut end = place + 1;
        while end < self.slots.len()
            && Self::key(&self.slots[end]) != EMPTY
            && self.home(Self::key(&self.slots[end])) < end
        {
            end += 1;
        }
        self.slots.copy_within(place + 1..end, place);
        self.slots[end - 1] = [0; N];
        self.len -= 1;
    }

    fn entries(&self) -> impl Iterator<Item = &[u8; N]> {
        self.slots.iter().filter(|entry| Self::key(entry) != EMPTY)
    }
}

/// Beyond so many entries a table is split by the first byte of its keys, so that growing never stalls the lane for long.
const SPLIT: usize = 1 << 16;

/// One table, or 256 of them.
#[derive(Clone, Debug)]
struct Tables<const N: usize> {
    tables: Vec<Table<N>>,
}

impl<const N: usize> Tables<N> {
    fn new() -> Tables<N> {
        Tables { tables: vec![Table::new(0)] }
    }

    fn table_of(&self, key: &Key) -> usize {
        if self.tables.len() == 1 { 0 } else { usize::from(key[0]) }
    }

    /// Inside one of 256 tables the first byte says nothing: homes are spread by what follows it.
    fn local(&self, key: &Key) -> Key {
        let mut local = *key;
        if self.tables.len() > 1 {
            local.rotate_left(1);
        }
        local
    }

    fn whole(&self, table: usize, entry: &[u8; N]) -> Key {
        let mut key = EMPTY;
        key.copy_from_slice(&entry[..KEY]);
        if self.tables.len() > 1 {
            key.rotate_right(1);
            debug_assert_eq!(usize::from(key[0]), table, "an entry lies in the table of its first byte");
        }
        key
    }

    fn get(&self, key: &Key) -> Option<&[u8; N]> {
        let table = &self.tables[self.table_of(key)];
        table.find(&self.local(key)).ok().map(|place| &table.slots[place])
    }

    /// Sets the entry of a key from its first nine bytes on; tells whether the key is new.
    fn put(&mut self, key: &Key, rest: &[u8]) -> bool {
        if self.tables.len() == 1 && self.tables[0].len == SPLIT {
            self.split();
        }
        let mut entry = [0; N];
        entry[..KEY].copy_from_slice(&self.local(key));
        entry[KEY..].copy_from_slice(rest);
        let table = self.table_of(key);
        let local = self.local(key);
        let table = &mut self.tables[table];
        match table.find(&local) {
            Ok(place) => {
                table.slots[place] = entry;
                false
            }
            Err(place) => {
                table.insert(entry, place);
                true
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let table = self.table_of(key);
        let local = self.local(key);
        if let Ok(place) = self.tables[table].find(&local) {
            self.tables[table].remove(place);
        }
    }

    fn split(&mut self) {
        let one = std::mem::replace(&mut self.tables, vec![Table::new(SPLIT / 256 * 2); 256]);
        for entry in one.iter().flat_map(Table::entries) {
            let mut key = EMPTY;
            key.copy_from_slice(&entry[..KEY]);
            self.put(&key, &entry[KEY..]);
        }
    }

    fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len).sum()
    }

    /// Entries in the order of their keys.
    fn entries(&self) -> impl Iterator<Item = (Key, &[u8; N])> {
        self.tables
            .iter()
            .enumerate()
            .flat_map(move |(number, table)| table.entries().map(move |entry| (self.whole(number, entry), entry)))
    }

    fn bytes(&self) -> usize {
        self.tables.iter().map(|table| table.slots.capacity() * N + size_of::<Table<N>>()).sum()
    }
}

/// The open sessions.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Tables<SEAT>);

impl Default for Seats {
    fn default() -> Seats {
        Seats(Tables::new())
    }
}

impl Seats {
    pub(crate) fn get(&self, key: &Key) -> Option<Open> {
        self.0.get(key).map(open_of)
    }

    pub(crate) fn put(&mut self, key: &Key, open: Open) {
        let time = |at: Ms| u128::from(at.clamp(0, (1 << TIME_BITS) - 1).cast_unsigned());
        let packed = time(open.joined_at) << TIME_BITS | time(open.seen_at);
        self.0.put(key, &packed.to_be_bytes()[16 - (SEAT - KEY)..]);
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.0.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The open sessions in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Open)> {
        self.0.entries().map(|(key, entry)| (key, open_of(entry)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

fn open_of(entry: &[u8; SEAT]) -> Open {
    let mut bytes = [0; 16];
    bytes[16 - (SEAT - KEY)..].copy_from_slice(&entry[KEY..]);
    let packed = u128::from_be_bytes(bytes);
    let time = |packed: u128| Ms::try_from(packed & ((1 << TIME_BITS) - 1)).unwrap_or(0);
    Open { joined_at: time(packed >> TIME_BITS), seen_at: time(packed) }
}

/// The viewers known.
#[derive(Clone, Debug)]
pub(crate) struct Viewers(Tables<KEY>);

impl Default for Viewers {
    fn default() -> Viewers {
        Viewers(Tables::new())
    }
}

impl Viewers {
    /// Adds a viewer; tells whether it is new.
    pub(crate) fn insert(&mut self, key: &Key) -> bool {
        self.0.put(key, &[])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The viewers in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Key> {
        self.0.entries().map(|(key, _)| key)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Keys from so few that they collide, in runs of like heads.
        #[test]
        fn seats_are_a_map(steps in proptest::collection::vec((0..4u8, 0..6u8, 0..30u8, 0..1i64 << 42, any::<bool>()), 0..400)) {
            let (mut seats, mut map) = (Seats::default(), BTreeMap::new());
            for (head, next, last, at, is_put) in steps {
                let key = [head * 85, next, 0, 0, 0, 0, 0, 0, last + 1];
                let open = Open { joined_at: at / 2, seen_at: at };
                if is_put {
                    seats.put(&key, open);
                    map.insert(key, open);
                } else {
                    seats.remove(&key);
                    map.remove(&key);
                }
                prop_assert_eq!(seats.get(&key), map.get(&key).copied());
            }
            prop_assert_eq!(seats.len(), map.len());
            prop_assert!(seats.iter().eq(map.into_iter()));
        }
    }

    #[test]
    fn many_seats_take_few_bytes() {
        const SEATS: u128 = 300_000;
        let mut seats = Seats::default();
        let mut viewers = Viewers::default();
        let open = |n: u128| Open { joined_at: Ms::try_from(n).unwrap_or(0), seen_at: (1 << 42) - 1 };
        for n in 0..SEATS {
            seats.put(&key_of_session(n, n), open(n));
            assert!(viewers.insert(&key_of(n)));
            assert!(!viewers.insert(&key_of(n / 2)));
        }
        assert_eq!(seats.len(), 300_000);
        assert!(seats.iter().map(|(key, _)| key).is_sorted() && viewers.iter().is_sorted());
        let bytes = (seats.bytes() + viewers.bytes()) / 300_000;
        assert!(bytes <= 48, "{bytes} bytes");
        for n in 0..SEATS {
            assert_eq!(seats.get(&key_of_session(n, n)), Some(open(n)));
            assert_eq!(seats.get(&key_of_session(n, n + 1)), None);
            if n % 3 > 0 {
                seats.remove(&key_of_session(n, n));
            }
        }
        assert_eq!(seats.len(), 100_000);
        assert!((0..SEATS).all(|n| seats.get(&key_of_session(n, n)).is_some() == (n % 3 == 0)));
    }
}
