//! A lane: what one thread owns. It holds the events of its partitions until the watermark has passed them, and keeps
//! their open sessions.

use super::crowd::{Crowd, Pass, Wakes};
use super::gaps::EndedSession;
use super::held::Held;
use super::round::{Changes, Directives, Gathered, Heard};
use super::silenced::Silenced;
use crate::settle::Saying;
use crate::{Rules, Timeline};
use audience::time::minute_of;
use audience::{Details, Event, Kind, Ms};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The live part of one thread. A viewer's events lie in one lane wherever the partitions are keyed by viewer.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(super) rules: Rules,
    /// The watermark last gathered; `Ms::MIN` before the first.
    pub(super) watermark: Ms,
    pub(super) held: Held,
    /// Events that the watermark passed, at their instants of effect, between `gather` and `close`.
    due: Vec<Event>,
    /// Late joins and heartbeats among them, with their instants of effect: whether they count, the owner knows.
    due_late: Vec<(Ms, Event)>,
    /// By number of the broadcast.
    pub(super) places: Vec<Place>,
    /// Broadcasts that a `Heard` is due for, in any order.
    pub(super) touched: Vec<u32>,
    pub(super) wakes: Wakes,
    pub(super) sessions: usize,
    /// Not kept in a snapshot.
    silenced: Silenced,
}

/// What a lane knows of one broadcast.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) frontier: Ms,
    /// ±1 of what is held.
    pub(super) waiting: i64,
    is_touched: bool,
    /// What came since the last round.
    pub(super) news: Option<Box<News>>,
    /// Shared with whoever froze it, until one of the two changes it.
    pub(super) crowd: Option<Arc<Crowd>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) waiting: i64,
    pub(super) late: BTreeMap<Ms, i64>,
    pub(super) unsettled: Timeline,
}

/// What one round finds in all crowds.
#[derive(Debug)]
struct Found {
    changes: BTreeMap<u32, Vec<u64>>,
    gaps_to: Ms,
    ended: Vec<EndedSession>,
}

impl Lane {
    /// A lane without events.
    pub fn new(rules: Rules) -> Lane {
        Lane {
            rules,
            watermark: Ms::MIN,
            held: Held::default(),
            due: Vec::new(),
            due_late: Vec::new(),
            places: Vec::new(),
            touched: Vec::new(),
            wakes: Wakes::default(),
            sessions: 0,
            silenced: Silenced::default(),
        }
    }

    /// Takes an accepted event whose strings are in `details`. Where the watermark has passed it, it is late: gives the
    /// instant at which it takes effect, to be kept in the log.
    pub fn push(&mut self, event: Event, details: &Details) -> Option<Ms> {
        let late_at = (event.ts() < self.watermark).then_some(self.watermark);
        self.push_logged(event, details, late_at);
        late_at
    }

    /// Takes an event of the log, with the `late_at` it was given when it came. The order does not matter; frontiers
    /// are set before.
    pub fn push_logged(&mut self, event: Event, details: &Details, late_at: Option<Ms>) {
        let place = touch(&mut self.places, &mut self.touched, event.broadcast);
        if let Some(at) = late_at {
            *place.news.get_or_insert_default().late.entry(minute_of(at)).or_default() += 1;
        }
        if event.ts() >= place.frontier {
            self.hold(event, details, late_at);
        }
    }

    /// Holds an event, which is not counted as late here.
    pub(super) fn hold(&mut self, event: Event, details: &Details, late_at: Option<Ms>) {
        let place = touch(&mut self.places, &mut self.touched, event.broadcast);
        let news = place.news.get_or_insert_default();
        news.unsettled.hear(&event);
        news.waiting += change_of(&event);
        place.waiting += change_of(&event);
        self.held.push(event, late_at, details);
    }

    /// Counts late events that change nothing else.
    pub(super) fn note_late(&mut self, broadcast: u32, minute_at: Ms, late: i64) {
        let place = touch(&mut self.places, &mut self.touched, broadcast);
        *place.news.get_or_insert_default().late.entry(minute_at).or_default() += late;
    }

    /// Counts a late event of the log that changes nothing else, because it came behind its broadcast's frontier.
    pub fn hear_late(&mut self, broadcast: u32, late_at: Ms) {
        self.note_late(broadcast, minute_of(late_at), 1);
    }

    /// Says that what lies before `frontier` is settled: events of the broadcast with a smaller `ts` that come from now
    /// on change nothing here but the number of late ones.
    pub fn set_frontier(&mut self, broadcast: u32, frontier: Ms) {
        let place = place_of(&mut self.places, broadcast);
        place.frontier = place.frontier.max(frontier);
    }

    /// The frontier of a broadcast; the least instant where it has none.
    pub(super) fn frontier(&self, broadcast: u32) -> Ms {
        self.places.get(broadcast as usize).map_or(Ms::MIN, |place| place.frontier)
    }

    /// Sets the lane's watermark, and tells what it has passed. [`Lane::close`] comes next, before any other `gather`.
    pub fn gather(&mut self, watermark: Ms) -> Gathered {
        debug_assert!(self.due.is_empty() && self.due_late.is_empty(), "each gather is followed by its close");
        self.watermark = self.watermark.max(watermark);
        let Lane { held, due, due_late, places, touched, .. } = self;
        let mut heard = BTreeMap::<u32, Heard>::new();
        held.take(self.watermark, |at, event, details| {
            let place = touch(places, touched, event.broadcast);
            let change = change_of(&event);
            place.waiting -= change;
            place.news.get_or_insert_default().waiting -= change;
            let is_late = at != event.ts();
            match event.kind() {
                Kind::Retweet | Kind::End => {
                    let heard = heard.entry(event.broadcast).or_default();
                    heard.signs.hear(&event.at(at));
                    if let Some(detail) = details.retweet(&event) {
                        heard.retweets.push((at, event.viewer, Saying::of(&detail)));
                    } else if event.kind() == Kind::End {
                        heard.ends.push((at, event.ts()));
                    }
                }
                Kind::Join | Kind::Heartbeat if is_late => {
                    let late = heard.entry(event.broadcast).or_default().late_joins.entry(at).or_insert(Ms::MIN);
                    *late = event.ts().max(*late);
                    due_late.push((at, event));
                }
                _ => due.push(event.at(at)),
            }
        });
        due.sort_unstable();
        for events in due.chunk_by(|a, b| a.broadcast == b.broadcast) {
            let signs = &mut heard.entry(events[0].broadcast).or_default().signs;
            events.iter().for_each(|event| signs.hear(event));
        }
        for broadcast in touched.drain(..) {
            let place = &mut places[broadcast as usize];
            place.is_touched = false;
            if let Some(news) = place.news.take() {
                let heard = heard.entry(broadcast).or_default();
                (heard.waiting, heard.late, heard.unsettled) = (news.waiting, news.late, news.unsettled);
            }
        }
        Gathered { heard }
    }

    /// Applies what was gathered, with the ends and silences of all lanes, and gives the changes.
    pub fn close(&mut self, directives: &Directives) -> Changes {
        let mut due = std::mem::take(&mut self.due);
        let on_time = due.len();
        for (at, event) in self.due_late.drain(..) {
            let directive = directives.broadcasts.get(&event.broadcast);
            if !directive.is_some_and(|directive| directive.had_ended(event.ts(), at)) {
                due.push(event.at(at));
            }
        }
        if due.len() > on_time {
            due.sort_unstable();
        }
        let mut found = Found { changes: BTreeMap::new(), gaps_to: directives.gaps_to, ended: Vec::new() };
        for events in due.chunk_by(|a, b| a.broadcast == b.broadcast) {
            let broadcast = events[0].broadcast;
            let boundaries = directives.broadcasts.get(&broadcast).map_or(&[][..], |one| &one.boundaries);
            self.pass(broadcast, &mut found, |crowd, pass| crowd.take(events, boundaries, pass));
        }
        for (broadcast, directive) in &directives.broadcasts {
            let had_events = due.binary_search_by_key(broadcast, |event| event.broadcast).is_ok();
            let has_crowd = self.places.get(*broadcast as usize).is_some_and(|place| place.crowd.is_some());
            if !had_events && has_crowd && !directive.boundaries.is_empty() {
                self.pass(*broadcast, &mut found, |crowd, pass| crowd.take(&[], &directive.boundaries, pass));
            }
        }
        for wake in self.wakes.take(self.watermark) {
            self.pass(wake.broadcast, &mut found, |crowd, pass| crowd.wake(&wake, directives.watermark, pass));
        }
        // The buffer is used again, unless one round was far greater than others are.
        due.clear();
        due.shrink_to(1 << 16);
        self.due = due;
        let Found { changes, ended, .. } = found;
        let broadcasts = changes.into_iter().filter(|(_, changes)| !changes.is_empty()).collect();
        Changes { broadcasts, ended, silenced: self.silenced.take() }
    }

    fn pass(&mut self, broadcast: u32, found: &mut Found, act: impl FnOnce(&mut Crowd, &mut Pass<'_>)) {
        let place = place_of(&mut self.places, broadcast);
        let crowd = Arc::make_mut(place.crowd.get_or_insert_default());
        let before = crowd.seats.len();
        let Found { changes, ended, gaps_to } = found;
        let (changes, gaps_to) = (changes.entry(broadcast).or_default(), *gaps_to);
        let (wakes, silenced) = (&mut self.wakes, &mut self.silenced);
        act(crowd, &mut Pass { broadcast, rules: &self.rules, wakes, silenced, changes, gaps_to, ended });
        self.sessions = self.sessions + crowd.seats.len() - before;
        if crowd.is_empty() {
            place.crowd = None;
        }
    }

    /// The watermark last gathered.
    pub fn watermark(&self) -> Option<Ms> {
        (self.watermark > Ms::MIN).then_some(self.watermark)
    }

    /// The ±1 of the events of a broadcast that are held: what they would add to the level, duplicates not removed.
    pub fn waiting(&self, broadcast: u32) -> i64 {
        self.places.get(broadcast as usize).map_or(0, |place| place.waiting)
    }

    /// Sessions open at the watermark.
    pub fn open_sessions(&self) -> usize {
        self.sessions
    }

    /// Events held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Bytes of the events held.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Bytes held, nearly.
    pub fn bytes(&self) -> usize {
        let crowds = self.places.iter().filter_map(|place| place.crowd.as_deref());
        self.held.bytes()
            + self.places.capacity() * size_of::<Place>()
            + crowds.map(|crowd| crowd.seats.bytes() + crowd.viewers.bytes()).sum::<usize>()
    }
}

pub(super) fn place_of(places: &mut Vec<Place>, broadcast: u32) -> &mut Place {
    let number = broadcast as usize;
    if number >= places.len() {
        let none = Place { frontier: Ms::MIN, waiting: 0, is_touched: false, news: None, crowd: None };
        places.resize(number + 1, none);
    }
    &mut places[number]
}

/// The place of a broadcast that has something to tell in the next round.
fn touch<'a>(places: &'a mut Vec<Place>, touched: &mut Vec<u32>, broadcast: u32) -> &'a mut Place {
    let place = place_of(places, broadcast);
    if !std::mem::replace(&mut place.is_touched, true) {
        touched.push(broadcast);
    }
    place
}

/// What an event that waits is taken to do to the level.
fn change_of(event: &Event) -> i64 {
    match event.kind() {
        Kind::Join => 1,
        Kind::Leave => -1,
        _ => 0,
    }
}
