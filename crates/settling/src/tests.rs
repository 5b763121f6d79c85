//! Tests of settling in little memory: whatever goes through the disk, events or changes, the rows are the same.

use super::*;
use crate::lock::lock;
use aggregator::{Gaps, Rules, Timeline};
use audience::{
    AiringRow, Details, Event, Kind, MINUTE_MS, MinuteRow, Ms, NO_DETAIL, RetweetDetail, RetweetRow, SessionRow,
};
use std::collections::BTreeSet;
use std::sync::Mutex;

const T: Ms = 1_459_711_860_000;

/// Events of few instants, so that much happens in one ms: one broadcast has most of them. Viewers of all shards.
fn events(count: usize) -> Vec<Event> {
    let mut state = 11_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let event = |_| {
        let broadcast = u32::try_from(random(12).saturating_sub(8)).unwrap_or(0);
        let kind = [Kind::Join, Kind::Join, Kind::Leave, Kind::Heartbeat][usize::try_from(random(4)).unwrap_or(0)];
        let kind = if random(500) == 0 { Kind::End } else { kind };
        let viewer = u128::from(random(3_000).wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64;
        let ts = T + (random(6) + random(4) * 40_000).cast_signed() + random(2).cast_signed() * 30 * MINUTE_MS;
        Event::new(kind, broadcast, viewer, u128::from(random(2)), ts, NO_DETAIL)
    };
    (0..count).map(event).collect()
}

/// Rows as text, which sorts.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeSet<String>>);

struct Keeper<'a>(&'a Kept);

impl Keeper<'_> {
    fn keep(&self, row: String) {
        assert!(lock(&self.0.0).insert(row), "no row comes twice");
    }
}

impl aggregator::Rows for Keeper<'_> {
    fn session(&mut self, row: SessionRow, _: Option<&str>) {
        self.keep(format!("{row:?}"));
    }

    fn retweet(&mut self, row: RetweetRow, _: RetweetDetail<'_>) {
        self.keep(format!("{row:?}"));
    }
}

impl Receiver for Keeper<'_> {
    fn minute(&mut self, row: MinuteRow) {
        self.keep(format!("{row:?}"));
    }

    fn airing(&mut self, row: AiringRow) {
        self.keep(format!("{row:?}"));
    }

    fn settle_down(&mut self) -> Result<(), problem::Problem> {
        Ok(())
    }

    fn finish(self) -> Result<(), problem::Problem> {
        Ok(())
    }
}

fn settled(events: &[Event], budget: usize, threads: usize, folder: &std::path::Path) -> (BTreeSet<String>, usize) {
    let gather = Gather::new(budget, folder.to_path_buf());
    let mut timelines: Vec<Timeline> = Vec::new();
    let mut feeders: Vec<Feeder<'_>> = (0..threads).map(|_| gather.feeder()).collect();
    for (place, event) in events.iter().enumerate() {
        feeders[place % threads].push(event, &Details::new()).unwrap();
    }
    for part in feeders.into_iter().map(|feeder| feeder.finish().unwrap()) {
        timelines.resize_with(timelines.len().max(part.len()), Timeline::default);
        timelines.iter_mut().zip(part).for_each(|(whole, part)| whole.merge(part));
    }
    let rules =
        Rules { session_timeout: Some(20_000), timeout_grace: 1, broadcast_idle: 10 * MINUTE_MS, ..Rules::default() };
    let kept = Kept::default();
    let settled =
        settle_all(&gather.finish().unwrap(), &timelines, &rules, &Gaps::default(), threads, || Keeper(&kept)).unwrap();
    assert_eq!(settled.iter().map(|one| one.tally.total()).sum::<i64>(), i64::try_from(events.len()).unwrap());
    (kept.0.into_inner().unwrap(), settled.len())
}

#[test]
fn any_memory_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let events = events(60_000);
    let expected = settled(&events, usize::MAX, 1, folder.path());
    assert_eq!(expected.1, 8, "four broadcasts of two airings each");
    // From nothing, where each shard's part of an airing goes to the disk by itself, to where only some of the events
    // do.
    for (budget, threads) in [(0, 1), (1 << 10, 2), (100 << 10, 1), (300 << 10, 3), (2 << 20, 2), (64 << 20, 2)] {
        let rows = settled(&events, budget, threads, folder.path());
        assert!(rows == expected, "{budget} bytes, {threads} threads: other rows");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_folder_for_changes_that_is_gone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let gather = Gather::new(64 << 10, gone.clone());
    let mut feeder = gather.feeder();
    for event in &events(1_000) {
        feeder.push(event, &Details::new()).unwrap();
    }
    let timelines = feeder.finish().unwrap();
    // The events fit in memory, their changes do not.
    let gathered = gather::Shards { flows_bytes: 0, ..gather.finish().unwrap() };
    let kept = Kept::default();
    let problem =
        settle_all(&gathered, &timelines, &Rules::default(), &Gaps::default(), 2, || Keeper(&kept)).unwrap_err();
    assert_eq!(problem.exit_code(), 3);
    assert!(problem.message.contains(&gone.to_string_lossy().into_owned()), "{problem}");
}
