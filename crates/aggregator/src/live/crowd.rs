//! A crowd: the open sessions of one broadcast in one lane. It takes the events of a round session by session, stops at
//! the ends and silences that close everything, and writes down each change.

use super::gaps::EndedSession;
use super::round::{Boundary, Closing};
use super::seats::{Key, Seats, Viewers, key_of, key_of_session};
use super::silenced::Silenced;
use crate::curve::{What, packed};
use crate::machine::{Open, Tick, apply};
use crate::stays::bucket_of;
use crate::{Rules, Tally};
use audience::{Event, Kind, Ms};
use std::collections::BTreeMap;

/// The open sessions of one broadcast in one lane, and the viewers that the airing has had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) seats: Seats,
    pub(crate) viewers: Viewers,
}

/// When sessions are looked at for their time-out, by second. A session has one entry from when it opens, set on when
/// it turns out that a sign of life came since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakes {
    seconds: BTreeMap<i64, Vec<Wake>>,
}

/// An entry is of the session that opened at `joined_at`; where another has the seat by then, it means nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wake {
    pub(crate) broadcast: u32,
    pub(crate) key: Key,
    joined_at: Ms,
}

impl Wakes {
    /// Looks at a session when its time-out would be due.
    pub(crate) fn add(&mut self, broadcast: u32, key: Key, open: &Open, rules: &Rules) {
        if let Some(due) = due_at(open, rules) {
            let wake = Wake { broadcast, key, joined_at: open.joined_at };
            self.seconds.entry(due.div_euclid(1_000)).or_default().push(wake);
        }
    }

    /// Takes out all that may be due before `watermark`.
    pub(crate) fn take(&mut self, watermark: Ms) -> Vec<Wake> {
        let mut due = Vec::new();
        while let Some(second) = self.seconds.first_entry().filter(|entry| *entry.key() * 1_000 < watermark) {
            due.append(&mut second.remove());
        }
        due
    }
}

/// When an open session times out unless another sign comes.
fn due_at(open: &Open, rules: &Rules) -> Option<Ms> {
    rules.session_timeout.map(|timeout| open.seen_at.saturating_add(timeout))
}

/// The packed changes of one broadcast, as they are found.
pub(crate) struct Pass<'a> {
    pub(crate) broadcast: u32,
    pub(crate) rules: &'a Rules,
    pub(crate) wakes: &'a mut Wakes,
    pub(crate) silenced: &'a mut Silenced,
    pub(crate) changes: &'a mut Vec<u64>,
    /// The ends of sessions that opened before it are told one by one.
    pub(crate) gaps_to: Ms,
    pub(crate) ended: &'a mut Vec<EndedSession>,
}

impl Pass<'_> {
    fn opened(&mut self, at: Ms, what: What) {
        self.changes.push(packed(at, what, 0));
    }

    fn closed(&mut self, open: &Open, at: Ms, what: What) {
        self.changes.push(packed(at, what, bucket_of(at - open.joined_at)));
        if open.joined_at < self.gaps_to {
            self.ended.push(EndedSession { broadcast: self.broadcast, joined_at: open.joined_at, left_at: at });
        }
    }

    /// Closes a session whose time-out is due at or before `until`; tells whether it did.
    fn timed_out(&mut self, open: &Open, until: Ms) -> bool {
        let Some(at) = due_at(open, self.rules).filter(|at| *at <= until) else { return false };
        let backdated = self.rules.session_timeout.is_some_and(|timeout| self.rules.timeout_grace < timeout);
        self.closed(open, at, if backdated { What::BackdatedTimeout } else { What::Timeout });
        true
    }
}

impl Crowd {
    /// Takes the events of a round, which are sorted, at their instants of effect, and all that the boundaries close.
    pub(crate) fn take(&mut self, events: &[Event], boundaries: &[Boundary], pass: &mut Pass<'_>) {
        if boundaries.is_empty() {
            return self.stretch(events, pass);
        }
        let part_of = |event: &Event| boundaries.partition_point(|boundary| boundary.is_before(event.ts()));
        let mut parted: Vec<(usize, Event)> = events.iter().map(|event| (part_of(event), *event)).collect();
        parted.sort_unstable();
        let mut next = 0;
        for part in 0..=boundaries.len() {
            let end = next + parted[next..].partition_point(|(place, _)| *place == part);
            let events: Vec<Event> = parted[next..end].iter().map(|(_, event)| *event).collect();
            next = end;
            self.stretch(&events, pass);
            if let Some(boundary) = boundaries.get(part) {
                self.close_all(boundary, pass);
            }
        }
    }

    /// Events with no boundary between them.
    fn stretch(&mut self, events: &[Event], pass: &mut Pass<'_>) {
        for of_viewer in events.chunk_by(|a, b| a.viewer == b.viewer) {
            let mut first: Option<Ms> = None;
            for of_session in of_viewer.chunk_by(|a, b| a.session == b.session) {
                let joined_at = self.session(of_session, pass);
                first = [first, joined_at].into_iter().flatten().min();
            }
            if let Some(at) = first
                && self.viewers.insert(&key_of(of_viewer[0].viewer))
            {
                pass.opened(at, What::FirstJoin);
            }
        }
    }

    /// The events of one session; gives the first instant at which it opened.
    fn session(&mut self, events: &[Event], pass: &mut Pass<'_>) -> Option<Ms> {
        let key = key_of_session(events[0].viewer, events[0].session);
        let before = self.seats.get(&key);
        let mut seat = before;
        let mut first = None;
        // What became of live events is not counted: the ledger is the settled tables'.
        let mut tally = Tally::default();
        for tick in events.chunk_by(|a, b| a.ts() == b.ts()) {
            let at = tick[0].ts();
            if seat.is_some_and(|open| pass.timed_out(&open, at)) {
                seat = None;
            }
            let effect = apply(&mut seat, at, tick_of(tick), false, &mut tally);
            if effect.opened {
                first = first.or(Some(at));
                pass.opened(at, What::Join);
            }
            if let Some(open) = effect.closed {
                pass.closed(&open, at, What::Leave);
            }
        }
        if before.is_none() {
            pass.silenced.hear(pass.broadcast, key, tally.orphaned > 0);
        }
        match (&before, &seat) {
            (_, Some(open)) => {
                self.seats.put(&key, *open);
                if before.is_none_or(|before| before.joined_at != open.joined_at) {
                    pass.wakes.add(pass.broadcast, key, open, pass.rules);
                }
            }
            (Some(_), None) => self.seats.remove(&key),
            (None, None) => {}
        }
        first
    }

    /// Closes what is open at an end or a silence.
    fn close_all(&mut self, boundary: &Boundary, pass: &mut Pass<'_>) {
        let at = boundary.at;
        // A silence and a time-out at one ms: the broadcast gave no sign any more when the time-out came, so the
        // silence it is, as when settled.
        let (what, until) = match boundary.what {
            Closing::Silence => (What::Silence, at - 1),
            Closing::End(_) | Closing::Data { is_later: false } => (What::Lapse, at),
            Closing::Data { is_later: true } => (What::Silence, at),
        };
        for (key, open) in std::mem::take(&mut self.seats).iter() {
            if !pass.timed_out(&open, until) {
                pass.closed(&open, at, what);
                if what == What::Silence {
                    pass.silenced.add(pass.broadcast, key);
                }
            }
        }
        if !matches!(boundary.what, Closing::End(_)) {
            self.viewers = Viewers::default();
        }
    }

    /// Looks at a session whose time-out may be due before `watermark`.
    pub(crate) fn wake(&mut self, wake: &Wake, watermark: Ms, pass: &mut Pass<'_>) {
        let Some(open) = self.seats.get(&wake.key).filter(|open| open.joined_at == wake.joined_at) else { return };
        if pass.timed_out(&open, watermark - 1) {
            self.seats.remove(&wake.key);
        } else {
            pass.wakes.add(pass.broadcast, wake.key, &open, pass.rules);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seats.len() == 0 && self.viewers.len() == 0
    }
}

fn tick_of(events: &[Event]) -> Tick {
    let mut tick = Tick::default();
    for event in events {
        match event.kind() {
            Kind::Join => tick.joins += 1,
            Kind::Heartbeat => tick.heartbeats += 1,
            _ => tick.leaves += 1,
        }
    }
    tick
}
