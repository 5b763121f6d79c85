//! The live curve, drawn and by chance: against the settled curve where nothing was late and nothing lapsed, against
//! the identities for any disorder, and against itself for any split into lanes, rounds, snapshots and rebuilds.

mod chance;
mod drawn;
mod owner;
mod plain;

use super::{FrozenLane, Lane, Live, LiveAlone, Resume, SettledBefore, frozen};
use crate::curve::curve;
use crate::settle::Settling;
use crate::{Airings, Completeness, Frontier, Gap, Gaps, Rules, Sorted, Timeline};
use audience::{
    Detail, Details, DistinctMinute, Event, Kind, MinuteRow, Ms, NO_DETAIL, RetweetDetail, RetweetRow, SessionRow,
};
use std::collections::{BTreeMap, BTreeSet};

/// 2016-04-03T19:31:00Z, a whole minute.
const T: Ms = 1_459_711_860_000;

/// Events with their strings.
#[derive(Clone, Debug, Default)]
struct Script {
    events: Vec<Event>,
    details: Details,
}

impl Script {
    fn add(&mut self, kind: Kind, broadcast: u32, viewer: u128, session: u128, ts: Ms) {
        self.events.push(Event::new(kind, broadcast, viewer, session, ts, NO_DETAIL));
    }

    fn retweet(&mut self, broadcast: u32, tweet: u128, user: u8, followers: Option<i64>, ts: Ms) {
        let (tweet_id, user_id) = (tweet.to_string(), user.to_string());
        let detail = RetweetDetail { tweet_id: &tweet_id, user_id: &user_id, followers, retweet_of: None };
        let place = self.details.push(Detail::Retweet(detail));
        self.events.push(Event::new(Kind::Retweet, broadcast, tweet, 0, ts, place));
    }

    /// The events of one broadcast, to be read in their order.
    fn of(&self, broadcast: u32) -> Script {
        let of_it = self.events.iter().filter(|event| event.broadcast == broadcast);
        let mut events: Vec<Event> = of_it.copied().collect();
        events.sort_unstable();
        events.reverse();
        Script { events, details: self.details.clone() }
    }

    /// The settled airings of one broadcast.
    fn airings(&self, broadcast: u32, rules: &Rules) -> Airings {
        let mut timeline = Timeline::default();
        let mut sorted = self.of(broadcast);
        sorted.events.iter().for_each(|event| timeline.hear(event));
        let Some(mut look) = timeline.second_look(rules) else { return timeline.airings(rules) };
        look.hear(&mut sorted);
        timeline.airings_seen(rules, &look)
    }

    /// The settled minutes, by broadcast and airing.
    fn settled(&self, rules: &Rules) -> Vec<MinuteRow> {
        self.settled_with(rules, &[])
    }

    /// The settled minutes of an input with gaps, by broadcast and airing.
    fn settled_with(&self, rules: &Rules, gaps: &[Gap]) -> Vec<MinuteRow> {
        let gaps: Gaps = gaps.iter().copied().collect();
        let broadcasts: BTreeSet<u32> = self.events.iter().map(|event| event.broadcast).collect();
        let mut minutes = Vec::new();
        for broadcast in broadcasts {
            let (airings, mut sorted) = (self.airings(broadcast, rules), self.of(broadcast));
            let mut sessions = Sessions::default();
            let mut settling = Settling::new(broadcast, &airings, rules);
            settling.go_on(&mut sorted, &mut sessions, usize::MAX);
            for (airing, flow) in airings.airings.iter().zip(settling.flows()) {
                let mut completeness = Completeness::new(&gaps, airing.quiet_from);
                let of_it = sessions.0.iter().filter(|row| row.airing_at == airing.airing_at);
                of_it.for_each(|row| completeness.session(row.joined_at, row.left_at));
                let changes = flow.take_sorted();
                curve(broadcast, airing, flow, &mut changes.as_slice(), |row| {
                    minutes.push(MinuteRow { complete: completeness.is_complete(row.minute_at), ..row });
                });
            }
        }
        minutes
    }
}

impl Sorted for Script {
    fn peek(&mut self) -> Option<Event> {
        self.events.last().copied()
    }
    fn advance(&mut self) {
        self.events.pop();
    }
    fn details(&self) -> &Details {
        &self.details
    }
}

#[derive(Default)]
struct Sessions(Vec<SessionRow>);

impl crate::Rows for Sessions {
    fn session(&mut self, row: SessionRow, _: Option<&str>) {
        self.0.push(row);
    }
    fn retweet(&mut self, _: RetweetRow, _: RetweetDetail<'_>) {}
}

fn sorted(mut rows: Vec<MinuteRow>) -> Vec<MinuteRow> {
    rows.sort_by_key(|row| (row.broadcast, row.airing_at, row.minute_at));
    rows
}

/// Checks the identities of every airing, and that all are empty at the end.
fn audit(rows: &[MinuteRow]) {
    for airing in rows.chunk_by(|a, b| (a.broadcast, a.airing_at) == (b.broadcast, b.airing_at)) {
        crate::audit_minutes(airing, true).expect("the identities hold");
        assert_eq!(airing.last().map(|row| row.viewers_end), Some(0));
    }
}
