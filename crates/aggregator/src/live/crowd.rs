//! A crowd: the open sessions of one broadcast in one lane. It takes the events of a round session by session, stops at
//! the ends and silences that close everything, and writes down each change.

use super::gaps::EndedSession;
use super::left::{Forgets, LastLeaves};
use super::overlap::Steps;
use super::round::{Boundary, Closing};
use super::seats::{Key, Seat, Seats, Viewers, key_of, key_of_session};
use super::silenced::Silenced;
use crate::curve::{What, packed};
use crate::machine::{Open, Tick, apply, straggles};
use crate::stays::bucket_of;
use crate::{Rules, Tally};
use audience::{Event, Kind, Ms};
use std::collections::BTreeMap;

/// The open sessions of one broadcast in one lane, the viewers that the airing has had, and who left just now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) seats: Seats,
    pub(crate) viewers: Viewers,
    pub(crate) left: LastLeaves,
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

/// What is found of one broadcast.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Packed changes, in any order.
    pub(crate) changes: Vec<u64>,
    /// What has opened and closed since the last boundary, of viewers that may have more than one session.
    pub(crate) steps: Steps,
}

/// A round of one broadcast in one lane.
pub(crate) struct Pass<'a> {
    pub(crate) broadcast: u32,
    pub(crate) rules: &'a Rules,
    pub(crate) watermark: Ms,
    /// From when to when the broadcast is off air, neither included, ascending.
    pub(crate) off_air: &'a [(Ms, Ms)],
    pub(crate) wakes: &'a mut Wakes,
    pub(crate) forgets: &'a mut Forgets,
    pub(crate) silenced: &'a mut Silenced,
    pub(crate) found: &'a mut Found,
    /// The ends of sessions that opened before it are told one by one.
    pub(crate) gaps_to: Ms,
    pub(crate) ended: &'a mut Vec<EndedSession>,
}

impl Pass<'_> {
    fn opened(&mut self, seat: &Seat) {
        let at = seat.open.joined_at;
        self.found.changes.push(packed(at, What::Join, 0));
        self.found.steps.add(seat.viewer, at, 1);
    }

    /// A session closes; what that does to its viewer's overlap is told elsewhere.
    fn closed(&mut self, open: &Open, at: Ms, what: What) {
        self.found.changes.push(packed(at, what, bucket_of(at - open.joined_at)));
        if open.joined_at < self.gaps_to {
            self.ended.push(EndedSession { broadcast: self.broadcast, joined_at: open.joined_at, left_at: at });
        }
    }

    /// Closes a session whose time-out is due at or before `until`; tells whether it did.
    fn timed_out(&mut self, seat: &Seat, until: Ms) -> bool {
        let Some(at) = due_at(&seat.open, self.rules).filter(|at| *at <= until) else { return false };
        let backdated = self.rules.session_timeout.is_some_and(|timeout| self.rules.timeout_grace < timeout);
        self.closed(&seat.open, at, if backdated { What::BackdatedTimeout } else { What::Timeout });
        self.found.steps.add(seat.viewer, at, -1);
        true
    }

    fn is_off_air(&self, at: Ms) -> bool {
        self.off_air[self.off_air.partition_point(|(_, to)| *to <= at)..].first().is_some_and(|(from, _)| *from < at)
    }
}

impl Crowd {
    /// Takes the events of a round, which are sorted, at their instants of effect, and all that the boundaries close.
    pub(crate) fn take(&mut self, events: &[Event], boundaries: &[Boundary], pass: &mut Pass<'_>) {
        if boundaries.is_empty() {
            return self.stretch(events, pass.watermark, pass);
        }
        let part_of = |event: &Event| boundaries.partition_point(|boundary| boundary.is_before(event.ts()));
        let mut parted: Vec<(usize, Event)> = events.iter().map(|event| (part_of(event), *event)).collect();
        parted.sort_unstable();
        let mut next = 0;
        for part in 0..=boundaries.len() {
            let end = next + parted[next..].partition_point(|(place, _)| *place == part);
            let events: Vec<Event> = parted[next..end].iter().map(|(_, event)| *event).collect();
            next = end;
            let boundary = boundaries.get(part);
            self.stretch(&events, boundary.map_or(pass.watermark, |boundary| boundary.at), pass);
            if let Some(boundary) = boundary {
                self.close_all(boundary, pass);
            }
        }
    }

    /// Events with no boundary between them, up to `until`.
    fn stretch(&mut self, events: &[Event], until: Ms, pass: &mut Pass<'_>) {
        for of_viewer in events.chunk_by(|a, b| a.viewer == b.viewer) {
            let viewer = key_of(of_viewer[0].viewer);
            let place = pass.found.steps.len();
            let (mut sessions, mut were_open) = (0, 0);
            for of_session in of_viewer.chunk_by(|a, b| a.session == b.session) {
                sessions += 1;
                were_open += u32::from(self.session(viewer, of_session, until, pass));
            }
            if pass.found.steps.len() == place {
                continue;
            }
            let (by, opened) = pass.found.steps.since(place);
            let known = self.viewers.open(&viewer);
            if known.is_none() {
                pass.found.changes.extend(opened.map(|at| packed(at, What::FirstJoin, 0)));
            }
            if known.is_none() || by != 0 {
                self.viewers.add(&viewer, by);
            }
            if sessions == 1 && known.unwrap_or(0) == were_open {
                // It had no other session: there was nothing to overlap with.
                pass.found.steps.leave_out(place);
            }
        }
    }

    /// The events of one session; tells whether it was open before them.
    fn session(&mut self, viewer: Key, events: &[Event], until: Ms, pass: &mut Pass<'_>) -> bool {
        let key = key_of_session(events[0].viewer, events[0].session);
        let before = self.seats.get(&key).map(|seat| seat.open);
        let mut open = before;
        let mut left = None;
        // What became of live events is not counted: the ledger is the settled tables'.
        let mut tally = Tally::default();
        for tick in events.chunk_by(|a, b| a.ts() == b.ts()) {
            let at = tick[0].ts();
            if open.is_some_and(|open| pass.timed_out(&Seat { viewer, open }, at)) {
                open = None;
            }
            let tick = tick_of(tick);
            if tick.leaves > 0 {
                left = Some(at);
            }
            let is_straggler = open.is_none()
                && tick.heartbeats > 0
                && (pass.is_off_air(at) || straggles(pass.rules, at, left.or_else(|| self.left.get(&key))));
            let effect = apply(&mut open, at, tick, is_straggler, &mut tally);
            if effect.opened {
                pass.opened(&Seat { viewer, open: Open { joined_at: at, seen_at: at } });
            }
            if let Some(closed) = effect.closed {
                pass.closed(&closed, at, What::Leave);
                pass.found.steps.add(viewer, at, -1);
            }
        }
        if before.is_none() {
            pass.silenced.hear(pass.broadcast, key, tally.orphaned > tally.straggled);
        }
        if let Some(left_at) = left.filter(|left_at| left_at + pass.rules.straggler > until) {
            self.left.put(&key, left_at);
            pass.forgets.add(pass.broadcast, key, left_at + pass.rules.straggler);
        }
        match (&before, open) {
            (_, Some(open)) => {
                self.seats.put(&key, &Seat { viewer, open });
                if before.is_none_or(|before| before.joined_at != open.joined_at) {
                    pass.wakes.add(pass.broadcast, key, &open, pass.rules);
                }
            }
            (Some(_), None) => self.seats.remove(&key),
            (None, None) => {}
        }
        before.is_some()
    }

    /// Closes what is open at an end or a silence, and forgets what is of this airing alone where it is over.
    fn close_all(&mut self, boundary: &Boundary, pass: &mut Pass<'_>) {
        let at = boundary.at;
        // A silence and a time-out at one ms: the broadcast gave no sign any more when the time-out came, so the
        // silence it is, as when settled.
        let (what, until) = match boundary.what {
            Closing::Silence => (What::Silence, at - 1),
            Closing::Part | Closing::End(_) | Closing::Data { is_later: false } => (What::Lapse, at),
            Closing::Data { is_later: true } => (What::Silence, at),
        };
        for (key, seat) in std::mem::take(&mut self.seats).iter() {
            if pass.timed_out(&seat, until) {
                self.viewers.add(&seat.viewer, -1);
                continue;
            }
            pass.closed(&seat.open, at, what);
            if what == What::Silence {
                pass.silenced.add(pass.broadcast, key);
            }
        }
        let Found { changes, steps } = &mut *pass.found;
        steps.sweep_closed(&mut self.viewers, at, changes);
        if !matches!(boundary.what, Closing::End(_)) {
            *self = Crowd::default();
        }
    }

    /// Looks at a session whose time-out may be due before `watermark`.
    pub(crate) fn wake(&mut self, wake: &Wake, pass: &mut Pass<'_>) {
        let seat = self.seats.get(&wake.key).filter(|seat| seat.open.joined_at == wake.joined_at);
        let Some(seat) = seat else { return };
        if pass.timed_out(&seat, pass.watermark - 1) {
            self.seats.remove(&wake.key);
            self.viewers.add(&seat.viewer, -1);
        } else {
            pass.wakes.add(pass.broadcast, wake.key, &seat.open, pass.rules);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seats.len() == 0 && self.viewers.len() == 0 && self.left.len() == 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.seats.bytes() + self.viewers.bytes() + self.left.bytes()
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
