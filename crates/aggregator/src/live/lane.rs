//! A lane: what one thread owns. It holds the events of its partitions until the watermark has passed them, and keeps
//! their open sessions.

use super::crowd::{Crowd, Found, Pass, Wakes};
use super::gaps::EndedSession;
use super::held::Held;
use super::left::Forgets;
use super::round::{Changes, Directives, Gathered, Heard, LateSigns};
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
    /// Events that the watermark passed, at their instants of effect, between `gather` and `close`. The owner has a
    /// look at them meanwhile.
    due: Arc<Vec<Event>>,
    /// Late joins and heartbeats among them, with their instants of effect: whether they count, the owner knows.
    due_late: Vec<(Ms, Event)>,
    /// By number of the broadcast.
    pub(super) places: Vec<Place>,
    /// Broadcasts that a `Heard` is due for, in any order.
    pub(super) touched: Vec<u32>,
    pub(super) wakes: Wakes,
    pub(super) forgets: Forgets,
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

impl Lane {
    /// A lane without events.
    pub fn new(rules: Rules) -> Lane {
        Lane {
            rules,
            watermark: Ms::MIN,
            held: Held::default(),
            due: Arc::default(),
            due_late: Vec::new(),
            places: Vec::new(),
            touched: Vec::new(),
            wakes: Wakes::default(),
            forgets: Forgets::default(),
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
        let due = Arc::make_mut(due);
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
                    heard.entry(event.broadcast).or_default().add_late_signs(at, LateSigns::of(&event));
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
        Gathered { heard, due: Arc::clone(&self.due) }
    }

    /// Applies what was gathered, with the ends and silences of all lanes, and gives the changes.
    pub fn close(&mut self, directives: &Directives) -> Changes {
        // The owner has let go of them by now.
        let mut due = Arc::unwrap_or_clone(std::mem::take(&mut self.due));
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
        let mut found = BTreeMap::new();
        let mut ended = Vec::new();
        let mut round = Round { lane: self, directives, found: &mut found, ended: &mut ended };
        for events in due.chunk_by(|a, b| a.broadcast == b.broadcast) {
            let broadcast = events[0].broadcast;
            let boundaries = directives.broadcasts.get(&broadcast).map_or(&[][..], |one| &one.boundaries);
            round.pass(broadcast, |crowd, pass| crowd.take(events, boundaries, pass));
        }
        for (broadcast, directive) in &directives.broadcasts {
            let had_events = due.binary_search_by_key(broadcast, |event| event.broadcast).is_ok();
            if !had_events && round.lane.crowd(*broadcast).is_some() && !directive.boundaries.is_empty() {
                round.pass(*broadcast, |crowd, pass| crowd.take(&[], &directive.boundaries, pass));
            }
        }
        for wake in round.lane.wakes.take(directives.watermark) {
            round.pass(wake.broadcast, |crowd, pass| crowd.wake(&wake, pass));
        }
        self.forget(directives.watermark);
        // The buffer is used again, unless one round was far greater than others are.
        due.clear();
        due.shrink_to(1 << 16);
        self.due = Arc::new(due);
        let none = Crowd::default();
        let broadcasts = found.into_iter().map(|(broadcast, mut found): (u32, Found)| {
            found.steps.sweep(&self.crowd(broadcast).unwrap_or(&none).viewers, &mut found.changes);
            (broadcast, found.changes)
        });
        let broadcasts = broadcasts.filter(|(_, changes)| !changes.is_empty()).collect();
        Changes { broadcasts, ended, silenced: self.silenced.take() }
    }

    /// Forgets the leaves that no heartbeat from `watermark` on can come too soon after.
    fn forget(&mut self, watermark: Ms) {
        for forget in self.forgets.take(watermark) {
            let crowd = &mut place_of(&mut self.places, forget.broadcast).crowd;
            if let Some(known) = crowd {
                Arc::make_mut(known).left.forget(&forget.key, watermark.saturating_sub(self.rules.straggler));
                crowd.take_if(|crowd| crowd.is_empty());
            }
        }
    }

    fn crowd(&self, broadcast: u32) -> Option<&Crowd> {
        self.places.get(broadcast as usize)?.crowd.as_deref()
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
        self.held.bytes() + self.places.capacity() * size_of::<Place>() + crowds.map(Crowd::bytes).sum::<usize>()
    }
}

/// A lane in the second half of a round.
struct Round<'a> {
    lane: &'a mut Lane,
    directives: &'a Directives,
    found: &'a mut BTreeMap<u32, Found>,
    ended: &'a mut Vec<EndedSession>,
}

impl Round<'_> {
    fn pass(&mut self, broadcast: u32, act: impl FnOnce(&mut Crowd, &mut Pass<'_>)) {
        let Lane { places, rules, wakes, forgets, silenced, sessions, .. } = &mut *self.lane;
        let place = place_of(places, broadcast);
        let crowd = Arc::make_mut(place.crowd.get_or_insert_default());
        let before = crowd.seats.len();
        let Directives { watermark, gaps_to, broadcasts } = self.directives;
        let off_air = broadcasts.get(&broadcast).map_or(&[][..], |one| &one.off_air);
        let (found, ended) = (self.found.entry(broadcast).or_default(), &mut *self.ended);
        let (watermark, gaps_to) = (*watermark, *gaps_to);
        act(crowd, &mut Pass { broadcast, rules, watermark, off_air, wakes, forgets, silenced, found, gaps_to, ended });
        *sessions = *sessions + crowd.seats.len() - before;
        place.crowd.take_if(|crowd| crowd.is_empty());
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
