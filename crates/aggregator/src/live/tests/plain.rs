//! The live curve in the plainest way: one ms after the other, everything in one place, the contract's sentences in
//! their order. It shares no code with what it checks but the buckets of stays. A viewer's events lie in one lane here.

use super::*;
use crate::stays::{bucket_of, listed};

#[derive(Clone, Copy)]
enum Thing {
    Join { viewer: u128, is_first: bool },
    Leave { viewer: u128, stay: Ms },
    Lapse { viewer: u128, stay: Ms, is_backdated: bool },
    Retweet(i64),
    End,
}

type Things = Vec<(Ms, Thing)>;

/// All rows of a log of events with their `late_at`, to the end of the data, which came when the watermark stood at
/// `stood`.
pub(super) fn rows(rules: &Rules, log: &[(Event, Option<Ms>)], details: &Details, stood: Ms) -> Vec<MinuteRow> {
    let broadcasts: BTreeSet<u32> = log.iter().map(|(event, _)| event.broadcast).collect();
    let of = |broadcast| {
        let log: Vec<_> = log.iter().filter(|(event, _)| event.broadcast == broadcast).copied().collect();
        let mut late = BTreeMap::<Ms, i64>::new();
        for at in log.iter().filter_map(|(_, late_at)| *late_at) {
            *late.entry(at.div_euclid(60_000) * 60_000).or_default() += 1;
        }
        let airings = airings(rules, &log, details, stood);
        airings.into_iter().flat_map(|things| minutes(broadcast, &things, &mut late)).collect::<Vec<_>>()
    };
    broadcasts.into_iter().flat_map(of).collect()
}

/// What is known of the airing that goes on.
#[derive(Default)]
struct Known {
    viewers: BTreeSet<u128>,
    tweets: BTreeSet<u128>,
    /// The last leave of each session, whatever it did.
    left: BTreeMap<(u128, u128), Ms>,
}

/// Of each open session when it opened and its last sign of life.
type OpenSessions = BTreeMap<(u128, u128), (Ms, Ms)>;

fn airings(rules: &Rules, log: &[(Event, Option<Ms>)], details: &Details, stood: Ms) -> Vec<Things> {
    let mut at_instant = BTreeMap::<Ms, Vec<(Event, bool)>>::new();
    for (event, late_at) in log {
        at_instant.entry(late_at.unwrap_or(event.ts())).or_default().push((*event, late_at.is_some()));
    }
    let mut airings = vec![Things::new()];
    let (mut open, mut known) = (OpenSessions::new(), Known::default());
    let (mut last_sign, mut ended) = (None::<Ms>, Ms::MIN);
    // Since when the broadcast is off air, and whether that has parted two airings.
    let mut off_air = None::<(Ms, bool)>;
    loop {
        let silent_at = last_sign.map(|at| at + rules.broadcast_idle);
        let parts_at =
            off_air.filter(|(_, has_parted)| !has_parted).and_then(|(since, _)| Some(since + rules.end_idle?));
        let timeouts =
            rules.session_timeout.iter().flat_map(|timeout| open.values().map(move |(_, seen)| seen + timeout));
        let next = timeouts.chain(silent_at).chain(parts_at).chain(at_instant.keys().next().copied()).min();
        let over_at = last_sign.filter(|_| at_instant.is_empty()).map(|at| (at.max(stood), at < stood));
        if let Some((at, is_later)) = over_at.filter(|(at, _)| next.is_none_or(|next| next > *at)) {
            airings.last_mut().expect("there is one").append(&mut lapsed(&mut open, at, is_later));
            break;
        }
        let Some(now) = next else { break };
        if silent_at == Some(now) {
            airings.last_mut().expect("there is one").append(&mut lapsed(&mut open, now, true));
            airings.push(Things::new());
            (known, last_sign, off_air) = (Known::default(), None, None);
        } else if parts_at == Some(now) {
            airings.push(Things::new());
            (known, off_air) = (Known::default(), off_air.map(|(since, _)| (since, true)));
        }
        let mut things = timed_out(rules, &mut open, now);
        let mut events = at_instant.remove(&now).unwrap_or_default();
        events.retain(|(event, is_late)| !(*is_late && event.kind() <= Kind::Heartbeat && event.ts() <= ended));
        if !events.is_empty() {
            last_sign = Some(now);
        }
        let events: Vec<Event> = events.into_iter().map(|(event, _)| event).collect();
        if events.iter().any(|event| event.kind() == Kind::Join)
            && let Some((_, true)) = off_air.take()
        {
            airings.push(Things::new());
            known = Known::default();
        }
        things.append(&mut seen(rules, &events, now, off_air.is_some(), &mut open, &mut known));
        let of_kind = |kind| events.iter().filter(move |event| event.kind() == kind);
        let counted = said(of_kind(Kind::Retweet), details);
        let counted = counted.into_iter().filter(|(tweet, _)| known.tweets.insert(*tweet));
        things.extend(counted.map(|(_, followers)| (now, Thing::Retweet(followers))));
        if let Some(end) = of_kind(Kind::End).map(Event::ts).max().filter(|_| off_air.is_none()) {
            (ended, off_air) = (ended.max(end), Some((now, false)));
            things.append(&mut lapsed(&mut open, now, false));
            things.push((now, Thing::End));
        }
        airings.last_mut().expect("there is one").append(&mut things);
    }
    airings
}

/// The sessions that time out at `now`.
fn timed_out(rules: &Rules, open: &mut OpenSessions, now: Ms) -> Things {
    let mut things = Things::new();
    open.retain(|(viewer, _), (joined, seen)| {
        let is_due = rules.session_timeout.is_some_and(|timeout| *seen + timeout == now);
        if is_due {
            let is_backdated = rules.session_timeout != Some(rules.timeout_grace);
            things.push((now, Thing::Lapse { viewer: *viewer, stay: now - *joined, is_backdated }));
        }
        !is_due
    });
    things
}

/// What the joins, heartbeats and leaves of one instant do.
fn seen(
    rules: &Rules,
    events: &[Event],
    now: Ms,
    is_off_air: bool,
    open: &mut OpenSessions,
    known: &mut Known,
) -> Things {
    let mut things = Things::new();
    let sessions: BTreeSet<_> =
        events.iter().filter(|event| event.kind() <= Kind::Leave).map(|event| (event.viewer, event.session)).collect();
    for id in sessions {
        let has = |kind| events.iter().any(|event| event.kind() == kind && (event.viewer, event.session) == id);
        if has(Kind::Leave) {
            known.left.insert(id, now);
        }
        for kind in order_of(open.contains_key(&id)).into_iter().filter(|kind| has(*kind)) {
            let left_just_now = known.left.get(&id).is_some_and(|left_at| now - left_at < rules.straggler);
            if kind == Kind::Leave {
                let closed = open.remove(&id);
                things.extend(closed.map(|(joined, _)| (now, Thing::Leave { viewer: id.0, stay: now - joined })));
            } else if let Some((_, seen)) = open.get_mut(&id) {
                *seen = now;
            } else if kind == Kind::Join || !(is_off_air || left_just_now) {
                open.insert(id, (now, now));
                let is_first = known.viewers.insert(id.0);
                things.push((now, Thing::Join { viewer: id.0, is_first }));
            }
        }
    }
    things
}

/// Closes what is open, each by when it opened.
fn lapsed(open: &mut OpenSessions, at: Ms, is_backdated: bool) -> Things {
    let lapse = |((viewer, _), (joined, _))| (at, Thing::Lapse { viewer, stay: at - joined, is_backdated });
    std::mem::take(open).into_iter().map(lapse).collect()
}

/// The order in which a session takes the events of one ms.
fn order_of(is_open: bool) -> [Kind; 3] {
    if is_open { [Kind::Heartbeat, Kind::Leave, Kind::Join] } else { [Kind::Join, Kind::Heartbeat, Kind::Leave] }
}

/// Known followers by tweet, as the smallest of its retweets at one instant says.
fn said<'a>(retweets: impl Iterator<Item = &'a Event>, details: &Details) -> BTreeMap<u128, i64> {
    let mut said = BTreeMap::<u128, (&str, bool, i64)>::new();
    for event in retweets {
        let detail = details.retweet(event).expect("a retweet says something");
        let says = (detail.user_id, detail.followers.is_none(), detail.followers.unwrap_or(0));
        said.entry(event.viewer).and_modify(|known| *known = says.min(*known)).or_insert(says);
    }
    said.into_iter().map(|(tweet, (_, _, followers))| (tweet, followers)).collect()
}

/// The viewers with open sessions at the end of an instant, each with how many.
fn present(things: &Things, at: Ms) -> BTreeMap<u128, i64> {
    let mut present = BTreeMap::new();
    for (_, thing) in things.iter().filter(|(when, _)| *when <= at) {
        match thing {
            Thing::Join { viewer, .. } => *present.entry(*viewer).or_default() += 1,
            Thing::Leave { viewer, .. } | Thing::Lapse { viewer, .. } => *present.entry(*viewer).or_default() -= 1,
            Thing::Retweet(_) | Thing::End => {}
        }
    }
    present.retain(|_, sessions| *sessions > 0);
    present
}

/// The levels of one minute: how it begins and ends, its extremes, and its area.
fn levels(level: &dyn Fn(Ms) -> i64, steps: &[Ms]) -> DistinctMinute {
    let levels: Vec<_> = steps.windows(2).map(|pair| (level(pair[0]), pair[0], pair[1] - pair[0])).collect();
    let max = levels.iter().map(|(viewers, ..)| *viewers).max().unwrap_or(0);
    DistinctMinute {
        start: level(steps[0] - 1),
        end: level(steps[steps.len() - 1] - 1),
        max,
        max_at: levels.iter().find(|(viewers, ..)| *viewers == max).map_or(0, |(_, at, _)| *at),
        min: levels.iter().map(|(viewers, ..)| *viewers).min().unwrap_or(0),
        ms: levels.iter().map(|(viewers, _, ms)| viewers * ms).sum(),
        returns: 0,
    }
}

fn minutes(broadcast: u32, things: &Things, late: &mut BTreeMap<Ms, i64>) -> Vec<MinuteRow> {
    let (Some((airing_at, _)), Some((last_at, _))) = (things.first(), things.last()) else { return Vec::new() };
    let mut rows = Vec::new();
    let mut minute_at = airing_at.div_euclid(60_000) * 60_000;
    while minute_at <= *last_at {
        let end = minute_at + 60_000;
        let here: Vec<_> = things.iter().filter(|(at, _)| (minute_at..end).contains(at)).copied().collect();
        let mut steps: Vec<Ms> = here.iter().map(|(at, _)| *at).chain([minute_at, end]).collect();
        steps.sort_unstable();
        steps.dedup();
        let viewers = levels(&|at| present(things, at).values().sum(), &steps);
        let distinct = levels(&|at| present(things, at).values().map(|_| 1).sum(), &steps);
        let count = |is: fn(&Thing) -> bool| here.iter().map(|(_, thing)| i64::from(is(thing))).sum::<i64>();
        let mut stays: Vec<u16> = here
            .iter()
            .filter_map(|(_, thing)| match thing {
                Thing::Leave { stay, .. } | Thing::Lapse { stay, .. } => Some(bucket_of(*stay)),
                _ => None,
            })
            .collect();
        rows.push(MinuteRow {
            broadcast,
            airing_at: *airing_at,
            minute_at,
            joins: count(|thing| matches!(thing, Thing::Join { .. })),
            leaves: count(|thing| matches!(thing, Thing::Leave { .. })),
            lapses: count(|thing| matches!(thing, Thing::Lapse { .. })),
            viewers_start: viewers.start,
            viewers_end: viewers.end,
            viewers_max: viewers.max,
            viewers_max_at: viewers.max_at,
            viewers_min: viewers.min,
            viewer_ms: viewers.ms,
            distinct: Some(distinct),
            new_viewers: count(|thing| matches!(thing, Thing::Join { is_first: true, .. })),
            retweets: count(|thing| matches!(thing, Thing::Retweet(_))),
            retweet_followers: here
                .iter()
                .map(|(_, thing)| if let Thing::Retweet(followers) = thing { *followers } else { 0 })
                .sum(),
            stays: listed(&mut stays),
            late: late.remove(&minute_at).unwrap_or(0),
            lapses_backdated: count(|thing| matches!(thing, Thing::Lapse { is_backdated: true, .. })),
            complete: true,
        });
        minute_at = end;
    }
    rows
}
