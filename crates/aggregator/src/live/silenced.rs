//! The silenced: sessions that a silence of their broadcast has closed, remembered for a while. Their leave may come
//! yet, and tells that the broadcast was not silent but its viewers were. It is a hint for people, so as many are
//! remembered as cost nothing.

use super::seats::Key;
use std::collections::{BTreeSet, VecDeque};

/// So many are remembered, the last ones.
const REMEMBERED_MAX: usize = 10_000;

/// The silenced sessions of a lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silenced {
    /// By number of the broadcast.
    sessions: BTreeSet<(u32, Key)>,
    /// In the order of the silences; of some nothing may be remembered any more.
    order: VecDeque<(u32, Key)>,
    /// Leaves of theirs that came since this was last taken.
    found: u64,
}

impl Silenced {
    /// A silence has closed this session.
    pub(crate) fn add(&mut self, broadcast: u32, key: Key) {
        if self.order.len() == REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
        self.sessions.insert((broadcast, key));
        self.order.push_back((broadcast, key));
    }

    /// Something came of a session that is not open; `is_orphaned` where it is a leave that found it so.
    pub(crate) fn hear(&mut self, broadcast: u32, key: Key, is_orphaned: bool) {
        if !self.sessions.is_empty() && self.sessions.remove(&(broadcast, key)) {
            self.found += u64::from(is_orphaned);
        }
    }

    /// How many leaves of theirs came since this was last asked.
    pub(crate) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leave_is_found_once_and_the_oldest_are_forgotten() {
        let key = |n: u32| {
            let mut key = Key::default();
            key[..4].copy_from_slice(&n.to_be_bytes());
            key
        };
        let mut silenced = Silenced::default();
        for n in 0..=u32::try_from(REMEMBERED_MAX).unwrap() {
            silenced.add(7, key(n));
        }
        for (broadcast, n, is_orphaned) in [(7, 0, true), (8, 5, true), (7, 5, false), (7, 5, true), (7, 6, true)] {
            silenced.hear(broadcast, key(n), is_orphaned);
        }
        assert_eq!((silenced.take(), silenced.take()), (1, 0));
    }
}
