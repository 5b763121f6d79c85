//! A frozen lane: its open sessions, its known viewers and who left just now, as they were at one instant, while the
//! lane goes on. Both share their tables until the lane writes to one; the lane then copies that leaf. What the lane
//! held is not in it: the log has it.

use super::crowd::Crowd;
use super::lane::{Lane, place_of};
use super::left::LastLeaves;
use super::seats::{Seat, Seats, Viewers, bounded};
use super::state::{CrowdState, LateMinute, LeftSession, OpenSession, ViewerState};
use crate::Rules;
use crate::machine::Open;
use audience::Ms;
use std::sync::Arc;

/// A lane at one instant between two rounds.
#[derive(Clone, Debug, Default)]
pub struct FrozenLane {
    /// The watermark last gathered; `None` before the first.
    pub watermark: Option<Ms>,
    /// Late events not yet told to the owner, by broadcast and minute.
    pub late: Vec<LateMinute>,
    crowds: Vec<(u32, Arc<Crowd>)>,
}

impl FrozenLane {
    /// Open sessions and known viewers.
    pub fn entries(&self) -> u64 {
        self.crowds.iter().map(|(_, crowd)| (crowd.seats.len() + crowd.viewers.len()) as u64).sum()
    }

    /// How many open sessions and known viewers each broadcast has, ascending by broadcast.
    pub fn crowds(&self) -> impl Iterator<Item = CrowdState> {
        self.crowds.iter().map(|(broadcast, crowd)| CrowdState {
            broadcast: *broadcast,
            sessions: i64::try_from(crowd.seats.len()).unwrap_or(i64::MAX),
            viewers: i64::try_from(crowd.viewers.len()).unwrap_or(i64::MAX),
        })
    }

    /// All entries, each table sorted by broadcast and key. What was handed out is let go of at once, so that the lane
    /// need not copy it any more.
    pub fn thaw(
        self,
    ) -> (impl Iterator<Item = OpenSession>, impl Iterator<Item = ViewerState>, impl Iterator<Item = LeftSession>) {
        let (mut sessions, mut known, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (broadcast, crowd) in self.crowds {
            let Crowd { seats, viewers, left } = Arc::unwrap_or_clone(crowd);
            sessions.push((broadcast, seats));
            known.push((broadcast, viewers));
            gone.push((broadcast, left));
        }
        let sessions = sessions.into_iter().flat_map(|(broadcast, seats): (u32, Seats)| {
            let session = move |(key, Seat { viewer, open: Open { joined_at, seen_at } })| OpenSession {
                broadcast,
                key,
                viewer,
                joined_at,
                seen_at,
            };
            seats.into_entries().map(session)
        });
        let viewers = known.into_iter().flat_map(|(broadcast, viewers): (u32, Viewers)| {
            viewers.into_entries().map(move |key| ViewerState { broadcast, key })
        });
        let left = gone.into_iter().flat_map(|(broadcast, left): (u32, LastLeaves)| {
            left.into_entries().map(move |(key, left_at)| LeftSession { broadcast, key, left_at })
        });
        (sessions, viewers, left)
    }
}

impl Lane {
    /// The lane as it is, between two rounds, in time that grows with the number of broadcasts only. `None` while it
    /// holds a late event from behind a frontier: the log does not tell it from one that came after the frontier was
    /// set. The watermark's next move takes it.
    pub fn freeze(&self) -> Option<FrozenLane> {
        if self.held.late().any(|event| event.ts() < self.frontier(event.broadcast)) {
            return None;
        }
        let mut frozen = FrozenLane { watermark: self.watermark(), ..FrozenLane::default() };
        for (broadcast, place) in (0..).zip(&self.places) {
            for (minute_at, late) in place.news.iter().flat_map(|news| &news.late) {
                frozen.late.push(LateMinute { broadcast, minute_at: *minute_at, late: *late });
            }
            frozen.crowds.extend(place.crowd.iter().map(|crowd| (broadcast, Arc::clone(crowd))));
        }
        Some(frozen)
    }

    /// A lane that stands at `watermark`; its state is put back by the functions that follow.
    pub fn restore(rules: Rules, watermark: Option<Ms>) -> Lane {
        let mut lane = Lane::new(rules);
        lane.watermark = watermark.unwrap_or(Ms::MIN);
        lane
    }

    /// Makes room for the sessions and viewers of a broadcast, which are put back next. Without it that takes longer.
    pub fn put_crowd(&mut self, crowd: &CrowdState) {
        let count = |count: i64| usize::try_from(count).unwrap_or(0);
        let (seats, viewers) = (Seats::for_entries(count(crowd.sessions)), Viewers::for_entries(count(crowd.viewers)));
        place_of(&mut self.places, crowd.broadcast).crowd =
            Some(Arc::new(Crowd { seats, viewers, left: LastLeaves::default() }));
    }

    /// Puts an open session back, once.
    pub fn put_session(&mut self, session: &OpenSession) {
        let OpenSession { broadcast, key, viewer, joined_at, seen_at } = *session;
        let open = Open { joined_at, seen_at };
        let crowd = Arc::make_mut(place_of(&mut self.places, broadcast).crowd.get_or_insert_default());
        if crowd.seats.put(&key, &Seat { viewer, open }) {
            self.sessions += 1;
            crowd.viewers.add(&viewer, 1);
        }
        self.wakes.add(broadcast, key, &open, &self.rules);
    }

    /// Puts a known viewer back.
    pub fn put_viewer(&mut self, viewer: &ViewerState) {
        let crowd = place_of(&mut self.places, viewer.broadcast).crowd.get_or_insert_default();
        Arc::make_mut(crowd).viewers.add(&viewer.key, 0);
    }

    /// Puts a session back that left just now.
    pub fn put_left(&mut self, session: &LeftSession) {
        let LeftSession { broadcast, key, left_at } = *session;
        let left_at = bounded(left_at);
        let crowd = place_of(&mut self.places, broadcast).crowd.get_or_insert_default();
        Arc::make_mut(crowd).left.put(&key, left_at);
        self.forgets.add(broadcast, key, left_at + self.rules.straggler);
    }

    /// Puts late events back that the owner was not told of.
    pub fn put_late(&mut self, late: &LateMinute) {
        self.note_late(late.broadcast, late.minute_at, late.late);
    }
}

/// All that a lane knows, as text: equal lanes are equal texts.
#[cfg(test)]
pub(super) fn told(lane: &Lane) -> String {
    use audience::Details;
    let said = |details: &Details, event: &audience::Event| format!("{:?}", details.retweet(event));
    let mut held: Vec<_> = lane
        .held
        .iter()
        .map(|(late_at, event, details)| (event.at(event.ts()), late_at, said(details, &event)))
        .collect();
    held.iter_mut().for_each(|(event, ..)| event.detail = audience::NO_DETAIL);
    held.sort();
    let crowds = (0..).zip(&lane.places).map(|(broadcast, place): (u32, _)| {
        let crowd = place.crowd.as_deref().cloned().unwrap_or_default();
        let seats: Vec<_> = crowd.seats.iter().collect();
        let viewers = crowd.viewers.clone().into_entries().map(|key| (key, crowd.viewers.open(&key)));
        let viewers: Vec<_> = viewers.collect();
        let left: Vec<_> = crowd.left.into_entries().collect();
        (broadcast, place.frontier, place.waiting, seats, viewers, left)
    });
    let crowds = crowds.filter(|(_, frontier, waiting, seats, viewers, left)| {
        *frontier > Ms::MIN || *waiting != 0 || !seats.is_empty() || !viewers.is_empty() || !left.is_empty()
    });
    format!("{:?} {:#?} {held:#?} {}", lane.watermark(), crowds.collect::<Vec<_>>(), lane.open_sessions())
}
