//! A snapshot as a manifest names it: what is not as it was written is told.

use super::sample::*;
use crate::*;
use aggregator::{FrozenLane, LiveAlone, Rules};
use audience::{Details, Event, Kind, NO_DETAIL};
use exporter::{Head, SNAPSHOT_EXTENSION, SNAPSHOT_FORMAT, SavedRules, SnapshotError, write_snapshot};
use std::io::Write;
use std::sync::Arc;

/// The bytes of a snapshot of two lanes with some sessions open.
fn written() -> Vec<u8> {
    let rules = Rules { session_timeout: Some(400_000), timeout_grace: 0, broadcast_idle: 600_000, ..Rules::default() };
    let mut alone = LiveAlone::new(rules, 2);
    for n in 0..4_000_u32 {
        let (at, viewer) = (NOW + i64::from(n) * 500, u128::from(n % 701) + 1);
        let event = Event::new(Kind::Join, n % 3, viewer, viewer, at, NO_DETAIL);
        alone.lanes[n as usize % 2].push(event, &Details::new());
    }
    alone.advance(NOW + 1_000_000);
    let frozen: Vec<FrozenLane> = alone.lanes.iter().map(|lane| lane.freeze().unwrap()).collect();
    let rules = SavedRules::from(rules);
    let head = Head { commit: 7, watermark: alone.live.watermark(), rules, lanes: 2, partitions: vec![], held_from: 6 };
    let names = ["one", "two", "é"].map(Arc::from);
    let mut bytes = Vec::new();
    write_snapshot(&mut bytes, &head, &names, frozen, &alone.live.snapshot()).unwrap();
    bytes
}

/// A snapshot file in a directory, as a manifest names it.
fn stored(bytes: &[u8]) -> (tempfile::TempDir, Store, Snapshot) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut owner = take(&store, 1).unwrap();
    let early = owner.begin();
    let mut part = early.snapshot_part(SNAPSHOT_EXTENSION).unwrap();
    part.write_all(bytes).unwrap();
    let file = part.finish(0).unwrap();
    let commit = owner.begin();
    commit.absorb(&early);
    let snapshot = Snapshot { format: SNAPSHOT_FORMAT.into(), files: vec![SnapshotFile::from(&file)] };
    let draft = Draft { snapshot: Some(snapshot.clone()), ..draft(owner.chain(), 0, 0) };
    owner.publish(&commit, &draft).unwrap();
    (dir, store, snapshot)
}

#[test]
fn a_byte_that_changed_another_format_or_no_file_is_told() {
    let (dir, store, snapshot) = stored(&written());
    assert_eq!(open_snapshot(&store, &snapshot).unwrap().head().commit, 7);
    let path = dir.path().join(&snapshot.files[0].path);
    let whole = std::fs::read(&path).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(matches!(open_snapshot(&store, &snapshot), Err(SnapshotError::Damaged(_))), "byte {at}");
    }
    std::fs::write(&path, [&whole[..], &whole].concat()).unwrap();
    assert!(matches!(open_snapshot(&store, &snapshot), Err(SnapshotError::Damaged(_))));
    std::fs::write(&path, &whole).unwrap();
    let newer = Snapshot { format: "arrow-ipc-streams-3".into(), ..snapshot.clone() };
    assert!(matches!(open_snapshot(&store, &newer), Err(SnapshotError::Format(_))));
    std::fs::remove_file(&path).unwrap();
    let absent = open_snapshot(&store, &snapshot).unwrap_err();
    assert!(absent.to_string().contains(&snapshot.files[0].path), "{absent}");
}
