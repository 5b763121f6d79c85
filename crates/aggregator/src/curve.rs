//! The curve of an airing: the sum of its sessions' ±1, read minute by minute. C(t) is right-continuous over integer
//! ms, and all that happens in one ms happens at once. D(t), the people, is C less the overlap: for each viewer the
//! sessions open beyond the first. Where nobody watches twice there is no overlap, and D costs nothing.

use crate::Tally;
use crate::airings::Airing;
use crate::stays::{RECENT_MAX, Stays, bucket_of};
use audience::time::minute_of;
use audience::{AiringRow, DistinctAiring, DistinctMinute, Ended, MINUTE_MS, MinuteRow, Ms};
use std::collections::BTreeMap;

/// What a shard of viewers adds to one airing's curve.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The zero of the changes' time.
    airing_at: Ms,
    /// The last change, those that were taken off included; `airing_at` where there was none.
    changed_at: Ms,
    /// The last retweet; `airing_at` where there was none.
    retweeted_at: Ms,
    /// Packed changes at `t − airing_at`, in any order: numbers that sort by time.
    changes: Vec<u64>,
    /// By start of the minute: retweets that count, and the sum of their known followers.
    retweets: BTreeMap<Ms, (i64, i64)>,
    /// What became of the shard's events.
    pub tally: Tally,
}

/// The packed changes of an airing in their order, a stretch at a time.
pub trait Stretches {
    /// The next stretch. It is empty at the end, however often one asks.
    fn next_stretch(&mut self) -> &[u64];
}

/// Changes in memory, sorted, are one stretch.
impl Stretches for &[u64] {
    fn next_stretch(&mut self) -> &[u64] {
        std::mem::take(self)
    }
}

/// What one change is. The order is that of one ms: a live silence or time-out comes before all else in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub(crate) enum What {
    /// Live: a session lapses because its broadcast was silent; it had ended long before.
    Silence = 0,
    /// Live: a session lapses by its time-out, whose grace had ended before.
    BackdatedTimeout = 1,
    /// Live: a session lapses by its time-out, at the end of its grace.
    Timeout = 2,
    /// The overlap becomes smaller. As it lasted before, this is of what comes before all else of its ms, too.
    OverlapEnd = 3,
    /// A session opens.
    Join = 4,
    /// A viewer's first session of the airing opens; beside its `Join`.
    FirstJoin = 5,
    /// A session closes by its leave.
    Leave = 6,
    /// A session closes otherwise.
    Lapse = 7,
    /// Settled: a session opens, its viewer's first of the airing.
    NewJoin = 8,
    /// The overlap becomes greater.
    Overlap = 9,
    /// Settled: a viewer is there again soon after having gone.
    Return = 10,
}

const BACKDATED: u64 = What::BackdatedTimeout as u64;
const JOIN: u64 = What::Join as u64;
const FIRST_JOIN: u64 = What::FirstJoin as u64;
const LEAVE: u64 = What::Leave as u64;
const NEW_JOIN: u64 = What::NewJoin as u64;
const OVERLAP: u64 = What::Overlap as u64;
const OVERLAP_END: u64 = What::OverlapEnd as u64;
const RETURN: u64 = What::Return as u64;
const AT: u32 = 20;
const WHAT: u32 = 16;
const WHAT_BITS: u64 = 15;

/// One change as a number that sorts by time, then by kind: `t << 20 | what << 16 | bucket of the stay`. `at` is in [0,
/// 2^44).
pub(crate) fn packed(at: Ms, what: What, bucket: u16) -> u64 {
    at.cast_unsigned() << AT | (what as u64) << WHAT | u64::from(bucket)
}

/// When a packed change happens.
pub(crate) fn packed_at(change: u64) -> Ms {
    (change >> AT).cast_signed()
}

/// Whether a packed change of the live curve opens a session.
pub(crate) fn is_join(change: u64) -> bool {
    change >> WHAT & WHAT_BITS == JOIN
}

/// The changes by which the overlap moves by `by` at the instant `at`. They tell how much where others tell a stay.
pub(crate) fn overlap_packed(at: Ms, by: i64) -> impl Iterator<Item = u64> {
    const MOST: u64 = u16::MAX as u64;
    let (what, by) = (if by < 0 { What::OverlapEnd } else { What::Overlap }, by.unsigned_abs());
    let rest = u16::try_from(by % MOST).ok().filter(|rest| *rest > 0);
    let whole = (0..by / MOST).map(|_| u16::MAX);
    whole.chain(rest).map(move |by| packed(at, what, by))
}

impl Flow {
    /// The flow of a shard without events. Time is counted from `airing_at`, the same in all shards.
    pub fn new(airing_at: Ms) -> Flow {
        let (changes, retweets, tally) = Default::default();
        Flow { airing_at, changed_at: airing_at, retweeted_at: airing_at, changes, retweets, tally }
    }

    /// Takes note of a session that opens; `is_first` where it is its viewer's first of the airing.
    pub(crate) fn join(&mut self, at: Ms, is_first: bool) {
        self.push(at, if is_first { What::NewJoin } else { What::Join }, 0);
    }

    /// Takes note of a session that closes, `stay` ms after it opened.
    pub(crate) fn leave(&mut self, at: Ms, stay: Ms, ended: Ended) {
        let what = if ended == Ended::Leave { What::Leave } else { What::Lapse };
        self.push(at, what, bucket_of(stay));
    }

    /// Takes note that the overlap moves by `by`.
    pub(crate) fn overlap(&mut self, at: Ms, by: i64) {
        self.changes.extend(overlap_packed(at - self.airing_at, by));
    }

    /// Takes note of a viewer's return.
    pub(crate) fn comes_back(&mut self, at: Ms) {
        self.push(at, What::Return, 0);
    }

    /// Takes note of a retweet that counts.
    pub(crate) fn retweet(&mut self, at: Ms, followers: Option<i64>) {
        self.retweeted_at = self.retweeted_at.max(at);
        let (retweets, sum) = self.retweets.entry(minute_of(at)).or_default();
        *retweets += 1;
        *sum += followers.unwrap_or(0);
    }

    fn push(&mut self, at: Ms, what: What, bucket: u16) {
        self.changed_at = self.changed_at.max(at);
        self.changes.push(packed(at - self.airing_at, what, bucket));
    }

    /// Adds another shard's flow of the same airing, of which nothing is left there.
    pub fn merge(&mut self, other: &mut Flow) {
        self.tally += std::mem::take(&mut other.tally);
        self.changed_at = self.changed_at.max(other.changed_at);
        self.retweeted_at = self.retweeted_at.max(other.retweeted_at);
        if self.changes.is_empty() {
            std::mem::swap(&mut self.changes, &mut other.changes);
        } else {
            self.changes.append(&mut other.changes);
        }
        for (minute, (retweets, followers)) in std::mem::take(&mut other.retweets) {
            let sum = self.retweets.entry(minute).or_default();
            *sum = (sum.0 + retweets, sum.1 + followers);
        }
    }

    /// Takes the changes off that it holds, sorted: they may be kept elsewhere until their curve is read.
    pub fn take_sorted(&mut self) -> Vec<u64> {
        let mut changes = std::mem::take(&mut self.changes);
        sort(&mut changes);
        changes
    }

    /// Bytes of the changes that it holds.
    pub fn bytes(&self) -> usize {
        size_of_val(self.changes.as_slice())
    }
}

/// Reads the curve of `airing` from the flow of all its shards and their `changes`, which were taken off it: hands each
/// minute to `minute`, in order and without gaps, and gives the airing's own row. `None`, and no minute, where nothing
/// was applied.
pub(crate) fn curve(
    broadcast: u32,
    airing: &Airing,
    flow: &Flow,
    changes: &mut impl Stretches,
    mut minute: impl FnMut(MinuteRow),
) -> Option<AiringRow> {
    if !airing.is_named() {
        return None;
    }
    let at_of = |change: &u64| airing.airing_at + packed_at(*change);
    let audience_end = airing.ends.last().map_or(flow.changed_at, |end| flow.changed_at.max(end.at));
    let last_at = audience_end.max(flow.retweeted_at);
    let mut row = empty_airing(broadcast, airing, last_at, tally_of(airing, flow));
    let mut rest = changes.next_stretch();
    row.first_joined_at = rest.first().map(at_of);
    row.airtime_ms = row.first_joined_at.map(|first| audience_end - first);

    let (mut stays, mut stays_here) = (Stays::default(), Stays::default());
    let (mut viewers, mut people) = (0, 0);
    let mut minute_at = minute_of(airing.airing_at);
    while minute_at <= last_at {
        let end = minute_at + MINUTE_MS;
        let mut open = OpenMinute::new(minute_at, viewers, people);
        // The minute is over where a stretch goes beyond it.
        while !rest.is_empty() {
            let (here, later) = rest.split_at(rest.partition_point(|change| at_of(change) < end));
            for some in here.chunks(RECENT_MAX) {
                stays_here.add(|recent| open.take(some, airing.airing_at, recent));
            }
            rest = later;
            if !rest.is_empty() {
                break;
            }
            rest = changes.next_stretch();
        }
        let mut one = open.close();
        (one.broadcast, one.airing_at) = (broadcast, airing.airing_at);
        if let Some((retweets, followers)) = flow.retweets.get(&minute_at) {
            (one.retweets, one.retweet_followers) = (*retweets, *followers);
        }
        one.stays = stays_here.listed();
        stays.merge(&stays_here);
        stays_here.clear();
        (viewers, people) = (one.viewers_end, one.distinct.map_or(0, |distinct| distinct.end));
        add_minute(&mut row, &one);
        minute(one);
        minute_at = end;
    }
    row.stays = stays.listed();
    Some(row)
}

/// Changes that are copied to be sorted; more are sorted where they are, so that the largest broadcasts do not need
/// twice their memory.
const COPIED_MAX: usize = 1 << 22;

/// Sorts packed changes: first by minutes of their own time, which are few, then inside each.
fn sort(changes: &mut Vec<u64>) {
    let minute_of = |change: &u64| usize::try_from(packed_at(*change) / MINUTE_MS).unwrap_or(usize::MAX);
    let minutes = changes.iter().map(minute_of).max().unwrap_or(0);
    if minutes > changes.len() / 16 || changes.len() > COPIED_MAX {
        changes.sort_unstable();
        return;
    }
    let mut next = vec![0; minutes + 1];
    for change in &*changes {
        next[minute_of(change)] += 1;
    }
    let mut start = 0;
    for place in &mut next {
        start += std::mem::replace(place, start);
    }
    let mut sorted = vec![0; changes.len()];
    for change in &*changes {
        let place = &mut next[minute_of(change)];
        sorted[*place] = *change;
        *place += 1;
    }
    let mut start = 0;
    for end in next {
        sorted[start..end].sort_unstable();
        start = end;
    }
    *changes = sorted;
}

/// What became of all events of an airing: those of its flow, and its ends, which no flow has.
pub(crate) fn tally_of(airing: &Airing, flow: &Flow) -> Tally {
    let ends = airing.ends.iter().map(|end| Tally { applied: 1, repeated: end.said - 1, ..Tally::default() });
    let off_air = Tally { repeated: airing.repeated_ends, ..Tally::default() };
    ends.chain([flow.tally, off_air]).sum()
}

fn empty_airing(broadcast: u32, airing: &Airing, last_at: Ms, tally: Tally) -> AiringRow {
    AiringRow {
        broadcast,
        airing_at: airing.airing_at,
        first_joined_at: None,
        last_at,
        airtime_ms: None,
        sessions: 0,
        reach: 0,
        viewers_max: 0,
        viewers_max_at: None,
        viewer_ms: 0,
        distinct: Some(DistinctAiring::default()),
        joins: 0,
        leaves: 0,
        lapses: 0,
        retweets: 0,
        retweet_followers: 0,
        stays: Vec::new(),
        applied: tally.applied,
        repeated: tally.repeated,
        orphaned: tally.orphaned,
    }
}

fn add_minute(row: &mut AiringRow, minute: &MinuteRow) {
    row.sessions += minute.joins;
    row.joins += minute.joins;
    row.leaves += minute.leaves;
    row.lapses += minute.lapses;
    row.reach += minute.new_viewers;
    row.viewer_ms += minute.viewer_ms;
    row.retweets += minute.retweets;
    row.retweet_followers += minute.retweet_followers;
    if minute.viewers_max > row.viewers_max {
        row.viewers_max = minute.viewers_max;
        row.viewers_max_at = Some(minute.viewers_max_at);
    }
    if let (Some(all), Some(here)) = (&mut row.distinct, &minute.distinct) {
        all.ms += here.ms;
        all.returns += here.returns;
        if here.max > all.max {
            (all.max, all.max_at) = (here.max, Some(here.max_at));
        }
    }
}

/// One minute while its changes come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenMinute {
    /// C.
    pub(crate) level: Level,
    /// D; `None` as long as it was C all the minute.
    pub(crate) people: Option<Level>,
    pub(crate) joins: i64,
    pub(crate) leaves: i64,
    pub(crate) lapses: i64,
    pub(crate) lapses_backdated: i64,
    pub(crate) new_viewers: i64,
    pub(crate) returns: i64,
}

impl OpenMinute {
    /// The minute that starts at `minute_at`, with C and D just before it.
    pub(crate) fn new(minute_at: Ms, viewers: i64, people: i64) -> OpenMinute {
        let level = Level::new(minute_at, viewers);
        let people = (people != viewers).then(|| Level::new(minute_at, people));
        OpenMinute { level, people, joins: 0, leaves: 0, lapses: 0, lapses_backdated: 0, new_viewers: 0, returns: 0 }
    }

    /// D now.
    pub(crate) fn people_now(&self) -> i64 {
        self.people.map_or(self.level.viewers, |people| people.viewers)
    }

    /// Takes changes of the minute, sorted, after those before; their time counts from `zero`. What happens in one ms
    /// may come in parts. Buckets of the stays that ended go to `buckets`.
    pub(crate) fn take(&mut self, changes: &[u64], zero: Ms, buckets: &mut Vec<u16>) {
        for group in changes.chunk_by(|a, b| a >> AT == b >> AT) {
            let (mut change, mut overlap) = (0, 0);
            for one in group {
                match one >> WHAT & WHAT_BITS {
                    what @ (JOIN | NEW_JOIN) => {
                        self.joins += 1;
                        self.new_viewers += i64::from(what == NEW_JOIN);
                        change += 1;
                    }
                    FIRST_JOIN => self.new_viewers += 1,
                    OVERLAP => overlap += i64::from(low_bits(*one)),
                    OVERLAP_END => overlap -= i64::from(low_bits(*one)),
                    RETURN => self.returns += 1,
                    what => {
                        if what == LEAVE {
                            self.leaves += 1;
                        } else {
                            self.lapses += 1;
                            self.lapses_backdated += i64::from(what <= BACKDATED);
                        }
                        change -= 1;
                        buckets.push(low_bits(*one));
                    }
                }
            }
            let at = zero + packed_at(group[0]);
            if overlap != 0 {
                self.people.get_or_insert(self.level);
            }
            self.level.step(at, change);
            if let Some(people) = &mut self.people {
                people.step(at, change - overlap);
            }
        }
    }

    /// The minute is over: its row, with zeros for what is counted elsewhere.
    pub(crate) fn close(self) -> MinuteRow {
        let OpenMinute { level, people, joins, leaves, lapses, lapses_backdated, new_viewers, returns } = self;
        let viewers = level.closed();
        let people = people.map_or(viewers, Level::closed);
        let (viewers_max, viewers_max_at) = viewers.greatest();
        let (max, max_at) = people.greatest();
        let (start, end, min, ms) = (people.start, people.viewers, people.min, people.area);
        MinuteRow {
            broadcast: 0,
            airing_at: 0,
            minute_at: level.minute_at,
            joins,
            leaves,
            lapses,
            viewers_start: viewers.start,
            viewers_end: viewers.viewers,
            viewers_max,
            viewers_max_at,
            viewers_min: viewers.min,
            viewer_ms: viewers.area,
            distinct: Some(DistinctMinute { start, end, max, max_at, min, ms, returns }),
            new_viewers,
            retweets: 0,
            retweet_followers: 0,
            stays: Vec::new(),
            late: 0,
            lapses_backdated,
            complete: true,
        }
    }
}

/// The bucket of the stay, or the number, that a packed change tells.
fn low_bits(change: u64) -> u16 {
    (change & u64::from(u16::MAX)).try_into().unwrap_or(u16::MAX)
}

/// A level, of C or of D, inside one minute: its extremes and its area.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) minute_at: Ms,
    pub(crate) start: i64,
    pub(crate) viewers: i64,
    pub(crate) since: Ms,
    pub(crate) area: i64,
    /// Extremes over what has lasted at least one ms; `None` before that.
    pub(crate) max: Option<(i64, Ms)>,
    pub(crate) min: i64,
}

impl Level {
    /// The level at the minute's first ms, before anything of it happens.
    pub(crate) fn new(minute_at: Ms, viewers: i64) -> Level {
        Level { minute_at, start: viewers, viewers, since: minute_at, area: 0, max: None, min: viewers }
    }

    /// All that happens at the instant `at`, not before the step before.
    pub(crate) fn step(&mut self, at: Ms, change: i64) {
        self.last_until(at);
        self.viewers += change;
    }

    /// The level has been what it is from `since` to `until`: a count that lasts no time is no audience.
    pub(crate) fn last_until(&mut self, until: Ms) {
        if until == self.since {
            return;
        }
        self.area += self.viewers * (until - self.since);
        match &mut self.max {
            None => {
                self.max = Some((self.viewers, self.since));
                self.min = self.viewers;
            }
            Some((max, max_at)) => {
                if self.viewers > *max {
                    (*max, *max_at) = (self.viewers, self.since);
                }
                self.min = self.min.min(self.viewers);
            }
        }
        self.since = until;
    }

    /// The level as the end of its minute leaves it.
    fn closed(mut self) -> Level {
        self.last_until(self.minute_at + MINUTE_MS);
        self
    }

    /// The greatest count, and its first ms.
    fn greatest(&self) -> (i64, Ms) {
        self.max.unwrap_or((self.viewers, self.minute_at))
    }
}
