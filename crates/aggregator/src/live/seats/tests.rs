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
                let seat = seat([last; KEY], at / 2, at);
                if is_put {
                    prop_assert_eq!(seats.put(&key, &seat), map.insert(key, seat).is_none());
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

fn seat(viewer: Key, joined_at: Ms, seen_at: Ms) -> Seat {
    Seat { viewer, open: Open { joined_at, seen_at } }
}

/// Keys in ascending order, as a snapshot has them, make the same leaves as any other order, and no deep directory.
#[test]
fn seats_can_come_in_order() {
    let seat = seat(EMPTY, 1, 2);
    let mut keys: Vec<Key> = (1..100_000).map(key_of).collect();
    keys.push([0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let of = |keys: &[Key]| {
        let mut seats = Seats::default();
        keys.iter().for_each(|key| assert!(seats.put(key, &seat)));
        seats
    };
    let any = of(&keys);
    keys.sort_unstable();
    let ordered = of(&keys);
    let mut room = Seats::for_entries(keys.len());
    let leaves = room.0.leaves.len();
    keys.iter().for_each(|key| assert!(room.put(key, &seat)));
    assert!(room.iter().eq(any.iter()) && room.bytes() < any.bytes() * 3 / 2);
    assert_eq!((room.0.leaves.len(), room.len()), (leaves, keys.len()), "nothing was split");
    assert!(ordered.iter().eq(any.iter()) && ordered.iter().map(|(key, _)| key).eq(keys));
    assert!(ordered.0.depth <= any.0.depth + 1, "{} and {}", ordered.0.depth, any.0.depth);
    assert!(ordered.bytes() < any.bytes() * 3 / 2, "{} and {}", ordered.bytes(), any.bytes());
}

/// After a copy, an event copies one leaf and no more.
#[test]
fn an_event_copies_one_leaf() {
    let mut seats = Seats::default();
    (1..50_000).for_each(|n| assert!(seats.put(&key_of(n), &seat(key_of(n), 1, 2))));
    let frozen = seats.clone();
    let shared = |a: &Seats, b: &Seats| {
        a.0.leaves.iter().zip(&b.0.leaves).filter(|(a, b)| Arc::ptr_eq(&a.slots, &b.slots)).count()
    };
    let all = seats.0.leaves.len();
    assert!(all > 50 && shared(&seats, &frozen) == all);
    seats.put(&key_of(7), &seat(key_of(7), 1, 2));
    assert_eq!(shared(&seats, &frozen), all, "what does not change is not copied");
    seats.put(&key_of(7), &seat(key_of(7), 1, 3));
    seats.remove(&key_of(7));
    assert_eq!(shared(&seats, &frozen), all - 1);
    assert!(seats.0.leaves.iter().all(|leaf| leaf.len <= LEAF));
}

#[test]
fn many_seats_take_few_bytes() {
    const SEATS: u128 = 300_000;
    let mut seats = Seats::default();
    let mut viewers = Viewers::default();
    let seat = |n: u128| seat(key_of(n), Ms::try_from(n).unwrap_or(0), (1 << 42) - 1);
    for n in 0..SEATS {
        seats.put(&key_of_session(n, n), &seat(n));
        assert_eq!(viewers.open(&key_of(n)), None);
        viewers.add(&key_of(n), 1);
        viewers.add(&key_of(n / 2), 0);
    }
    assert_eq!(seats.len(), 300_000);
    assert!(seats.iter().map(|(key, _)| key).is_sorted() && viewers.clone().into_entries().is_sorted());
    let bytes = (seats.bytes() + viewers.bytes()) / 300_000;
    assert!(bytes <= 70, "{bytes} bytes");
    for n in 0..SEATS {
        assert_eq!(seats.get(&key_of_session(n, n)), Some(seat(n)));
        assert_eq!(seats.get(&key_of_session(n, n + 1)), None);
        if n % 3 > 0 {
            seats.remove(&key_of_session(n, n));
        }
    }
    assert_eq!(seats.len(), 100_000);
    assert!((0..SEATS).all(|n| seats.get(&key_of_session(n, n)).is_some() == (n % 3 == 0)));
}

#[test]
fn viewers_know_how_many_sessions_they_have_open() {
    let mut viewers = Viewers::default();
    for n in 1..5_000 {
        (0..n % 4).for_each(|_| viewers.add(&key_of(n), 1));
    }
    viewers.add(&key_of(7), -1);
    viewers.add(&key_of(8), 0);
    let frozen = viewers.clone();
    assert_eq!([6, 7, 8, 4].map(|n| viewers.open(&key_of(n))), [Some(2), Some(2), Some(0), None]);
    // Of four viewers two have one and two sessions too many, but for the one whose third has closed.
    assert_eq!((viewers.close_all(), viewers.close_all()), (1_250 + 2 * 1_250 - 1, 0));
    assert_eq!((viewers.open(&key_of(7)), frozen.open(&key_of(7))), (Some(0), Some(2)));
    assert_eq!(viewers.len(), frozen.len());
}
