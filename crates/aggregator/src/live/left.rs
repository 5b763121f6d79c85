//! The left: sessions by their last leave, remembered for as long as a heartbeat of theirs would straggle.

use super::seats::{KEY, Key, KeyTables};
use audience::Ms;
use std::collections::BTreeMap;

/// A key and 6 bytes of time.
const ENTRY: usize = KEY + 6;

/// Of one broadcast in one lane: when the last leave of a session took effect, whatever that leave did.
#[derive(Clone, Debug)]
pub(crate) struct LastLeaves(KeyTables<ENTRY>);

impl Default for LastLeaves {
    fn default() -> LastLeaves {
        LastLeaves(KeyTables::new())
    }
}

impl LastLeaves {
    pub(crate) fn get(&self, key: &Key) -> Option<Ms> {
        self.0.get(key).map(left_at)
    }

    pub(crate) fn put(&mut self, key: &Key, left_at: Ms) {
        self.0.put(key, &left_at.to_be_bytes()[8 - (ENTRY - KEY)..]);
    }

    /// Forgets a session whose last leave came at or before `until`.
    pub(crate) fn forget(&mut self, key: &Key, until: Ms) {
        if self.get(key).is_some_and(|left_at| left_at <= until) {
            self.0.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The sessions in the order of their keys, what was read let go of.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (Key, Ms)> {
        self.0.into_entries().map(|(key, entry)| (key, left_at(&entry)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

fn left_at(entry: &[u8; ENTRY]) -> Ms {
    let mut bytes = [0; 8];
    bytes[8 - (ENTRY - KEY)..].copy_from_slice(&entry[KEY..]);
    Ms::from_be_bytes(bytes)
}

/// When leaves are forgotten, by second: one entry a leave that is remembered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forgets {
    seconds: BTreeMap<i64, Vec<Forget>>,
}

/// A leave matters no more from `at` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forget {
    at: Ms,
    pub(crate) broadcast: u32,
    pub(crate) key: Key,
}

impl Forgets {
    pub(crate) fn add(&mut self, broadcast: u32, key: Key, at: Ms) {
        self.seconds.entry(at.div_euclid(1_000)).or_default().push(Forget { at, broadcast, key });
    }

    /// Takes out all that matter no more from `watermark` on.
    pub(crate) fn take(&mut self, watermark: Ms) -> Vec<Forget> {
        let mut due = Vec::new();
        while let Some(mut second) = self.seconds.first_entry().filter(|entry| *entry.key() * 1_000 <= watermark) {
            due.extend(second.get_mut().extract_if(.., |forget| forget.at <= watermark));
            if !second.get().is_empty() {
                // It is the second that holds the watermark: all others lie after it.
                break;
            }
            second.remove();
        }
        due
    }
}
