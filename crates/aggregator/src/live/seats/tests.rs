//! Seats against a plain map, their size, and what a copy shares.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

proptest! {
    /// Runs of keys from so few that they collide, of like heads, and so many that leaves are split; a copy taken on
    /// the way stays as it was.
    #[test]
    fn seats_are_a_map(
        steps in proptest::collection::vec((0..4u8, 0..6u8, 0..200u8, 0..1i64 << 42, any::<bool>(), 0..9u8), 0..120)
    ) {
        let (mut seats, mut map) = (Seats::default(), BTreeMap::new());
        let mut frozen = Vec::new();
        for (head, next, last, at, is_put, run) in steps {
            for last in last..last + 6 * run {
                let key = [head * 85, next, last & 63, 0, 0, 0, 0, 0, last + 1];
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
            if run == 0 && frozen.len() < 8 {
                frozen.push((seats.clone(), map.clone()));
            }
        }
        frozen.push((seats, map));
        for (seats, map) in frozen {
            prop_assert_eq!(seats.len(), map.len());
            prop_assert!(seats.iter().eq(map.clone()));
            prop_assert!(seats.into_entries().eq(map));
        }
    }
}

/// Keys in ascending order, as a snapshot has them, make the same leaves as any other order, and no deep directory.
#[test]
fn seats_can_come_in_order() {
    let open = Open { joined_at: 1, seen_at: 2 };
    let mut keys: Vec<Key> = (1..100_000).map(key_of).collect();
    keys.push([0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let of = |keys: &[Key]| {
        let mut seats = Seats::default();
        keys.iter().for_each(|key| seats.put(key, open));
        seats
    };
    let any = of(&keys);
    keys.sort_unstable();
    let ordered = of(&keys);
    let mut room = Seats::for_entries(keys.len());
    let leaves = room.0.leaves.len();
    keys.iter().for_each(|key| room.put(key, open));
    assert!(room.iter().eq(any.iter()) && room.bytes() < any.bytes() * 3 / 2);
    assert_eq!((room.0.leaves.len(), room.len()), (leaves, keys.len()), "nothing was split");
    assert!(ordered.iter().eq(any.iter()) && ordered.iter().map(|(key, _)| key).eq(keys));
    assert!(ordered.0.depth <= any.0.depth + 1, "{} and {}", ordered.0.depth, any.0.depth);
    assert!(ordered.bytes() < any.bytes() * 3 / 2, "{} and {}", ordered.bytes(), any.bytes());
}

/// After a copy, an event copies one leaf and no more.
#[test]
fn an_event_copies_one_leaf() {
    let open = Open { joined_at: 1, seen_at: 2 };
    let mut seats = Seats::default();
    (1..50_000).for_each(|n| seats.put(&key_of(n), open));
    let frozen = seats.clone();
    let shared = |a: &Seats, b: &Seats| {
        a.0.leaves.iter().zip(&b.0.leaves).filter(|(a, b)| Arc::ptr_eq(&a.slots, &b.slots)).count()
    };
    let all = seats.0.leaves.len();
    assert!(all > 50 && shared(&seats, &frozen) == all);
    seats.put(&key_of(7), open);
    assert_eq!(shared(&seats, &frozen), all, "what does not change is not copied");
    seats.put(&key_of(7), Open { seen_at: 3, ..open });
    seats.remove(&key_of(7));
    assert_eq!(shared(&seats, &frozen), all - 1);
    assert!(seats.0.leaves.iter().all(|leaf| leaf.len <= LEAF));
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
    assert!(seats.iter().map(|(key, _)| key).is_sorted() && viewers.clone().into_entries().is_sorted());
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
