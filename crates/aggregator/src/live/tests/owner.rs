//! What the owner tells beside closed minutes: the number for now, what stands, what is due to settle.

use super::*;
use crate::{Due, SoFar, Standing};

fn joined(alone: &mut LiveAlone, viewer: u128, at: Ms) -> Option<Ms> {
    alone.lanes[0].push(Event::new(Kind::Join, 3, viewer, viewer, T + at, NO_DETAIL), &Details::new())
}

fn left(alone: &mut LiveAlone, viewer: u128, at: Ms) -> Option<Ms> {
    alone.lanes[1].push(Event::new(Kind::Leave, 3, viewer, viewer, T + at, NO_DETAIL), &Details::new())
}

#[test]
fn the_number_for_now_is_the_level_and_what_waits() {
    let mut alone = LiveAlone::new(Rules::default(), 2);
    joined(&mut alone, 1, 0);
    joined(&mut alone, 2, 1_000);
    joined(&mut alone, 2, 1_500);
    joined(&mut alone, 4, 2_000);
    left(&mut alone, 9, 3_000);
    assert_eq!((alone.lanes[0].waiting(3), alone.lanes[1].waiting(3)), (4, -1));
    assert_eq!(alone.advance(T + 2_000), []);
    let (viewer_ms, peak) = (3_000, Some((2, T + 1_000)));
    let so_far =
        SoFar { joins: 2, reach: 2, viewer_ms, peak, distinct_ms: viewer_ms, distinct_peak: peak, ..SoFar::default() };
    let standing = Standing { broadcast: 3, airing_at: T, viewers: 2, distinct: 2, waiting: 0, so_far };
    assert_eq!(alone.live.standing(), [standing], "an event at the watermark waits");
    assert_eq!(alone.live.now(3), 2);
    assert_eq!(alone.lanes.iter().map(crate::Lane::held).collect::<Vec<_>>(), [1, 1]);

    let mut again = alone.clone();
    assert_eq!(again.advance(T + 3_000), []);
    assert_eq!((again.live.now(3), again.live.standing()[0].viewers, again.live.standing()[0].waiting), (2, 3, -1));
    assert_eq!(again.lanes[0].open_sessions(), 3);
}

#[test]
fn an_airing_is_due_at_its_frontier_which_is_not_behind_it() {
    let rules = Rules { broadcast_idle: 60_000, ..Rules::default() };
    let mut alone = LiveAlone::new(rules, 2);
    joined(&mut alone, 1, 0);
    joined(&mut alone, 1, 40_000);
    alone.advance(T + 99_999);
    assert_eq!(alone.live.due(), []);
    alone.advance(T + 100_000);
    let frontier = Frontier { at: T + 100_000, off_air: None };
    assert_eq!(alone.live.due(), [Due { broadcast: 3, frontier }]);
    alone.set_frontier(3, frontier);
    assert_eq!(alone.live.due(), []);
    alone.advance(T + 100_001);
    assert_eq!(joined(&mut alone, 2, 99_999), Some(T + 100_001));
    assert_eq!(alone.lanes[0].held(), 0, "behind the frontier");
    assert_eq!(joined(&mut alone, 2, 100_000), Some(T + 100_001));
    assert_eq!(alone.lanes[0].held(), 1, "at the frontier, so it is of the next airing");
    let rows = alone.finish();
    let told: Vec<_> =
        rows.iter().map(|row| (row.airing_at - T, row.minute_at - T, row.joins, row.lapses, row.late)).collect();
    // Where two airings meet in a minute, its late events are counted with the first.
    assert_eq!(told, [(0, 60_000, 0, 1, 2), (100_001, 60_000, 1, 1, 0)]);
}

#[test]
fn what_is_open_lapses_with_the_last_sign_that_the_data_have() {
    let mut alone = LiveAlone::new(Rules { session_timeout: Some(80_000), ..Rules::default() }, 2);
    for (viewer, at) in [(1, 0), (2, 20_000), (1, 70_000), (3, 100_000)] {
        joined(&mut alone, viewer, at);
    }
    let mut rows = alone.advance(T + 60_000);
    rows.extend(alone.finish());
    let told: Vec<_> =
        rows.iter().map(|row| (row.minute_at - T, row.joins, row.lapses, row.viewers_end, row.viewer_ms)).collect();
    // The time-out of the second comes with that sign, and is one; the others lapse behind the join of that ms.
    assert_eq!(told, [(0, 2, 0, 2, 100_000), (60_000, 1, 3, 0, 80_000)]);
    assert_eq!(alone.live.standing(), []);
}

#[test]
fn what_begins_off_air_goes_on_as_what_was_there_before() {
    let rules = Rules { end_idle: Some(60_000), broadcast_idle: 600_000, ..Rules::default() };
    let mut settled = Script::default();
    settled.add(Kind::Join, 3, 1, 1, T);
    settled.add(Kind::End, 3, 0, 0, T + 10_000);
    settled.add(Kind::Heartbeat, 3, 1, 1, T + 20_000);
    let mut later = Script::default();
    later.retweet(3, 7, 1, None, T + 100_000);
    later.add(Kind::Heartbeat, 3, 1, 1, T + 110_000);
    later.add(Kind::Join, 3, 2, 2, T + 130_000);
    later.add(Kind::Heartbeat, 3, 1, 1, T + 130_000);
    let mut told = Vec::new();
    for begins_off_air in [false, true] {
        let mut alone = LiveAlone::new(rules, 1);
        if begins_off_air {
            alone.live.begin_off_air(3, T + 20_000);
        } else {
            for event in &settled.events {
                alone.lanes[0].push(*event, &settled.details);
            }
        }
        let mut rows = alone.advance(T + 70_000);
        alone.set_frontier(3, Frontier { at: T + 70_000, off_air: Some(T + 20_000) });
        for event in &later.events {
            alone.lanes[0].push(*event, &later.details);
        }
        rows.extend(alone.finish());
        rows.retain(|row| row.airing_at > T);
        told.push(sorted(rows));
    }
    let airings: Vec<_> = told[0].iter().map(|row| (row.airing_at - T, row.joins, row.retweets)).collect();
    assert_eq!(airings, [(100_000, 0, 1), (130_000, 2, 0)]);
    assert_eq!(told[0], told[1]);
}
