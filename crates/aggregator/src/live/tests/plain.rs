//! The live curve in the plainest way: one ms after the other, everything in one place, the contract's sentences in
//! their order. It shares no code with what it checks but the buckets of stays.

use super::*;
use crate::stays::{bucket_of, listed};
use std::collections::BTreeSet;

#[derive(Clone, Copy, PartialEq)]
enum Thing {
    Join { is_first: bool },
    Leave(Ms),
    Lapse(Ms, bool),
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

fn airings(rules: &Rules, log: &[(Event, Option<Ms>)], details: &Details, stood: Ms) -> Vec<Things> {
    let mut at_instant = BTreeMap::<Ms, Vec<(Event, bool)>>::new();
    for (event, late_at) in log {
        at_instant.entry(late_at.unwrap_or(event.ts())).or_default().push((*event, late_at.is_some()));
    }
    let mut airings = vec![Things::new()];
    // Of each open session when it opened and its last sign of life.
    let mut open = BTreeMap::<(u128, u128), (Ms, Ms)>::new();
    let (mut viewers, mut tweets) = (BTreeSet::new(), BTreeSet::new());
    let (mut last_sign, mut ended) = (None::<Ms>, Ms::MIN);
    loop {
        let silent_at = last_sign.map(|at| at + rules.broadcast_idle);
        let timeouts =
            rules.session_timeout.iter().flat_map(|timeout| open.values().map(move |(_, seen)| seen + timeout));
        let next = timeouts.chain(silent_at).chain(at_instant.keys().next().copied()).min();
        let over_at = last_sign.filter(|_| at_instant.is_empty()).map(|at| (at.max(stood), at < stood));
        if let Some((at, is_later)) = over_at.filter(|(at, _)| next.is_none_or(|next| next > *at)) {
            airings.last_mut().expect("there is one").append(&mut lapsed(&mut open, at, is_later));
            break;
        }
        let Some(now) = next else { break };
        let mut things = Things::new();
        if silent_at == Some(now) {
            airings.last_mut().expect("there is one").append(&mut lapsed(&mut open, now, true));
            airings.push(Things::new());
            (viewers, tweets, last_sign) = (BTreeSet::new(), BTreeSet::new(), None);
        }
        open.retain(|_, (joined, seen)| {
            let is_due = rules.session_timeout.is_some_and(|timeout| *seen + timeout == now);
            if is_due {
                things.push((now, Thing::Lapse(now - *joined, rules.session_timeout != Some(rules.timeout_grace))));
            }
            !is_due
        });
        let mut events = at_instant.remove(&now).unwrap_or_default();
        events.retain(|(event, is_late)| !(*is_late && event.kind() <= Kind::Heartbeat && event.ts() <= ended));
        if !events.is_empty() {
            last_sign = Some(now);
        }
        let mut firsts = BTreeSet::new();
        let of_kind = |kind| events.iter().map(|(event, _)| event).filter(move |event| event.kind() == kind);
        let sessions: BTreeSet<_> = events
            .iter()
            .filter(|(event, _)| event.kind() <= Kind::Leave)
            .map(|(e, _)| (e.viewer, e.session))
            .collect();
        for id in sessions {
            let has = |kind| of_kind(kind).any(|event| (event.viewer, event.session) == id);
            for kind in order_of(open.contains_key(&id)).into_iter().filter(|kind| has(*kind)) {
                if kind == Kind::Leave {
                    things.extend(open.remove(&id).map(|(joined, _)| (now, Thing::Leave(now - joined))));
                } else if let Some((_, seen)) = open.get_mut(&id) {
                    *seen = now;
                } else {
                    open.insert(id, (now, now));
                    let is_first = !viewers.contains(&id.0) && firsts.insert(id.0);
                    things.push((now, Thing::Join { is_first }));
                }
            }
        }
        viewers.append(&mut firsts);
        let counted = said(of_kind(Kind::Retweet), details).into_iter().filter(|(tweet, _)| tweets.insert(*tweet));
        things.extend(counted.map(|(_, followers)| (now, Thing::Retweet(followers))));
        for end in of_kind(Kind::End) {
            ended = ended.max(end.ts());
            things.append(&mut lapsed(&mut open, now, false));
            things.push((now, Thing::End));
        }
        airings.last_mut().expect("there is one").append(&mut things);
    }
    airings
}

/// Closes what is open, each by when it opened.
fn lapsed(open: &mut BTreeMap<(u128, u128), (Ms, Ms)>, at: Ms, is_later: bool) -> Things {
    std::mem::take(open).into_values().map(|(joined, _)| (at, Thing::Lapse(at - joined, is_later))).collect()
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

fn minutes(broadcast: u32, things: &Things, late: &mut BTreeMap<Ms, i64>) -> Vec<MinuteRow> {
    let (Some((airing_at, _)), Some((last_at, _))) = (things.first(), things.last()) else { return Vec::new() };
    let level = |at: Ms| {
        let change = |thing: &Thing| match thing {
            Thing::Join { .. } => 1,
            Thing::Leave(_) | Thing::Lapse(..) => -1,
            _ => 0,
        };
        things.iter().filter(|(when, _)| *when <= at).map(|(_, thing)| change(thing)).sum::<i64>()
    };
    let mut rows = Vec::new();
    let mut minute_at = airing_at.div_euclid(60_000) * 60_000;
    while minute_at <= *last_at {
        let end = minute_at + 60_000;
        let here: Vec<_> = things.iter().filter(|(at, _)| (minute_at..end).contains(at)).copied().collect();
        let mut steps: Vec<Ms> = here.iter().map(|(at, _)| *at).chain([minute_at, end]).collect();
        steps.dedup();
        steps.sort_unstable();
        steps.dedup();
        let levels: Vec<_> = steps.windows(2).map(|pair| (level(pair[0]), pair[0], pair[1] - pair[0])).collect();
        let viewers_max = levels.iter().map(|(viewers, ..)| *viewers).max().unwrap_or(0);
        let count = |is: fn(&Thing) -> bool| here.iter().map(|(_, thing)| i64::from(is(thing))).sum::<i64>();
        let mut stays: Vec<u16> = here
            .iter()
            .filter_map(|(_, thing)| match thing {
                Thing::Leave(stay) | Thing::Lapse(stay, _) => Some(bucket_of(*stay)),
                _ => None,
            })
            .collect();
        rows.push(MinuteRow {
            broadcast,
            airing_at: *airing_at,
            minute_at,
            joins: count(|thing| matches!(thing, Thing::Join { .. })),
            leaves: count(|thing| matches!(thing, Thing::Leave(_))),
            lapses: count(|thing| matches!(thing, Thing::Lapse(..))),
            viewers_start: level(minute_at - 1),
            viewers_end: level(end - 1),
            viewers_max,
            viewers_max_at: levels.iter().find(|(viewers, ..)| *viewers == viewers_max).map_or(0, |(_, at, _)| *at),
            viewers_min: levels.iter().map(|(viewers, ..)| *viewers).min().unwrap_or(0),
            viewer_ms: levels.iter().map(|(viewers, _, ms)| viewers * ms).sum(),
            distinct: None,
            new_viewers: count(|thing| *thing == Thing::Join { is_first: true }),
            retweets: count(|thing| matches!(thing, Thing::Retweet(_))),
            retweet_followers: here
                .iter()
                .map(|(_, thing)| if let Thing::Retweet(followers) = thing { *followers } else { 0 })
                .sum(),
            stays: listed(&mut stays),
            late: late.remove(&minute_at).unwrap_or(0),
            lapses_backdated: count(|thing| matches!(thing, Thing::Lapse(_, true))),
            complete: true,
        });
        minute_at = end;
    }
    rows
}
