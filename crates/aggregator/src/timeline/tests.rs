//! Timelines by chance, on so few instants that everything meets, against the contract's sentences read one ms after
//! the other.

use super::*;
use crate::airings::{Airing, Frontier};
use crate::second_look::SecondLook;
use crate::settle::Sorted;
use audience::{Details, NO_DETAIL};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// 2016-04-03T19:31:00Z, a whole minute.
const T: Ms = 1_459_711_860_000;

/// Sorted events, the next at the end.
#[derive(Clone, Debug)]
struct Script(Vec<Event>, Details);

impl Sorted for Script {
    fn peek(&mut self) -> Option<Event> {
        self.0.last().copied()
    }
    fn advance(&mut self) {
        self.0.pop();
    }
    fn details(&self) -> &Details {
        &self.1
    }
}

fn script(events: &[Event], is_its: impl Fn(&Event) -> bool) -> Script {
    let mut events: Vec<Event> = events.iter().filter(|event| is_its(event)).copied().collect();
    events.sort_unstable();
    events.reverse();
    Script(events, Details::new())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let kind = prop_oneof![
        3 => Just(Kind::Join), 4 => Just(Kind::Heartbeat), 4 => Just(Kind::Leave), 1 => Just(Kind::Retweet),
        3 => Just(Kind::End)
    ];
    let at = (0..8i64, prop_oneof![Just(0), Just(1), Just(10_000), Just(30_000), Just(30_001), Just(59_999)]);
    let event = (kind, 1..4u128, at).prop_map(|(kind, viewer, (minute, ms))| {
        let viewer = if kind == Kind::End { 0 } else { viewer };
        Event::new(kind, 0, viewer, viewer, T + minute * MINUTE_MS + ms, NO_DETAIL)
    });
    proptest::collection::vec(event, 1..14)
}

fn rules() -> impl Strategy<Value = Rules> {
    let idle = prop_oneof![Just(60_000), Just(90_000), Just(200_000)];
    let end_idle = prop_oneof![Just(None), Just(Some(60_000)), Just(Some(90_000)), Just(Some(150_001))];
    let straggler = prop_oneof![Just(0), Just(1), Just(20_000), Just(60_000)];
    (idle, end_idle, straggler).prop_map(|(broadcast_idle, end_idle, straggler)| Rules {
        broadcast_idle,
        end_idle,
        straggler,
        ..Rules::default()
    })
}

/// What the contract says of each airing: its first and last sign, its name, its ends that apply, the events at which
/// it is off air, and its frontier.
#[derive(Debug, PartialEq)]
struct Told {
    signs: (Ms, Ms),
    airing_at: Ms,
    ends: Vec<(Ms, i64)>,
    repeated_ends: i64,
    off_air: BTreeSet<Ms>,
    frontier: Frontier,
}

fn plain(events: &[Event], rules: &Rules) -> Vec<Told> {
    let of = |kind: Kind| events.iter().filter(move |event| event.kind() == kind).map(Event::ts);
    let (joins, ends): (BTreeSet<Ms>, BTreeSet<Ms>) = (of(Kind::Join).collect(), of(Kind::End).collect());
    // Each airing's first sign, and whether a join began it behind an end.
    let mut begins: Vec<(Ms, bool)> = Vec::new();
    let (mut applied, mut off_air) = (BTreeSet::new(), BTreeSet::new());
    let (mut before, mut gone_at, mut has_parted) = (None::<Ms>, None::<Ms>, false);
    for at in events.iter().map(Event::ts).collect::<BTreeSet<Ms>>() {
        if before.is_none_or(|before| at - before >= rules.broadcast_idle) {
            begins.push((at, false));
            gone_at = None;
        } else if let (Some(gone), Some(end_idle), false) = (gone_at, rules.end_idle, has_parted)
            && at - gone >= end_idle
        {
            begins.push((at, false));
            has_parted = true;
        }
        before = Some(at);
        if joins.contains(&at) {
            if gone_at.is_some() && has_parted && begins.last().is_some_and(|(begin, _)| *begin != at) {
                begins.push((at, true));
            }
            gone_at = None;
        }
        if gone_at.is_some() {
            off_air.insert(at);
        } else if ends.contains(&at) {
            applied.insert(at);
            (gone_at, has_parted) = (Some(at), false);
        }
    }
    let told = |place: usize| {
        let (first, next) = (begins[place].0, begins.get(place + 1));
        let its: Vec<Event> = events
            .iter()
            .filter(|event| (first..next.map_or(Ms::MAX, |(next, _)| *next)).contains(&event.ts()))
            .copied()
            .collect();
        let last = its.iter().map(Event::ts).max().unwrap();
        let straggles = |one: &Event| {
            let mut leaves = its.iter().filter(|leave| leave.kind() == Kind::Leave && leave.viewer == one.viewer);
            off_air.contains(&one.ts()) || leaves.any(|leave| (0..rules.straggler).contains(&(one.ts() - leave.ts())))
        };
        let names = |one: &&Event| match one.kind() {
            Kind::Leave => false,
            Kind::Heartbeat => !straggles(one),
            Kind::End => applied.contains(&one.ts()),
            Kind::Join | Kind::Retweet => true,
        };
        let said = |at: Ms| of(Kind::End).map(|end| i64::from(end == at)).sum();
        let last_end = applied.range(first..=last).next_back();
        let parts_at = last_end.zip(rules.end_idle).map(|(end, idle)| (end, end + idle));
        let parts_at = parts_at.filter(|(end, at)| joins.range(*end + 1..*at).next().is_none()).map(|(_, at)| at);
        let joined_at = next.filter(|(_, is_joined)| *is_joined).map(|(at, _)| *at);
        let silent_at = last + rules.broadcast_idle;
        let at = [Some(silent_at), parts_at, joined_at].into_iter().flatten().min().unwrap();
        Told {
            signs: (first, last),
            airing_at: its.iter().filter(names).map(Event::ts).min().unwrap_or(Ms::MAX),
            ends: applied.range(first..=last).map(|at| (*at, said(*at))).collect(),
            repeated_ends: its
                .iter()
                .map(|one| i64::from(one.kind() == Kind::End && !applied.contains(&one.ts())))
                .sum(),
            off_air: off_air.range(first..=last).copied().collect(),
            frontier: Frontier { at, off_air: (parts_at == Some(at) && at < silent_at).then_some(last) },
        }
    };
    (0..begins.len()).map(told).collect()
}

fn heard(events: &[Event]) -> Timeline {
    let mut timeline = Timeline::default();
    events.iter().for_each(|event| timeline.hear(event));
    timeline
}

/// What the timeline tells, all events looked at again where it asks for that, in two parts.
fn told(timeline: &Timeline, events: &[Event], rules: &Rules) -> Vec<Airing> {
    let Some(look) = timeline.second_look(rules) else { return timeline.airings(rules).airings };
    let mut looks: Vec<SecondLook> = vec![look; 2];
    for (part, look) in (0..).zip(&mut looks) {
        look.hear(&mut script(events, |event| event.viewer % 2 == part));
    }
    let mut look = looks.swap_remove(0);
    look.merge(looks.swap_remove(0));
    timeline.airings_seen(rules, &look).airings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// For any events, in any order and split.
    #[test]
    fn airings_are_as_the_contract_says(events in events(), rules in rules(), split in 0..14usize) {
        let mut timeline = heard(&events[split.min(events.len())..]);
        timeline.merge(heard(&events[..split.min(events.len())]));
        let airings = told(&timeline, &events, &rules);
        let instants: BTreeSet<Ms> = events.iter().map(Event::ts).collect();
        let found: Vec<Told> = airings.iter().map(|airing| Told {
            signs: (airing.first_sign, airing.last_sign),
            airing_at: airing.airing_at,
            ends: airing.ends.iter().map(|end| (end.at, end.said)).collect(),
            repeated_ends: airing.repeated_ends,
            off_air: instants.range(airing.first_sign..=airing.last_sign)
                .copied().filter(|at| airing.is_off_air_at(*at)).collect(),
            frontier: airing.frontier,
        }).collect();
        prop_assert_eq!(found, plain(&events, &rules));
        // What is due is known without a second look, but for an airing that might have been before a join.
        let frontiers = |airings: &[Airing]| airings.iter().map(|airing| airing.frontier.at).collect::<BTreeSet<_>>();
        let (rough, exact) = (frontiers(&timeline.airings(&rules).airings), frontiers(&airings));
        prop_assert!(rough.is_superset(&exact));
        prop_assert!(rough.difference(&exact).all(|at| airings.iter().any(|airing| airing.first_sign == *at)));
    }

    /// What is settled may be forgotten: the frontier tells how to go on.
    #[test]
    fn a_frontier_is_a_beginning(events in events(), rules in rules()) {
        let airings = told(&heard(&events), &events, &rules);
        for (place, airing) in airings.iter().enumerate() {
            let rest: Vec<Event> = events.iter().filter(|event| event.ts() >= airing.frontier.at).copied().collect();
            let mut timeline = heard(&rest);
            timeline.begin_at(airing.frontier);
            prop_assert_eq!(&told(&timeline, &rest, &rules)[..], &airings[place + 1..]);
            // With the event at the frontier itself, what lies before it is known to be over there.
            let known: Vec<Event> = events.iter().filter(|event| event.ts() <= airing.frontier.at).copied().collect();
            let mut until = heard(&known);
            until.only_over(airing.frontier.at);
            prop_assert_eq!(&told(&until, &known, &rules)[..], &airings[..=place]);
        }
    }
}
