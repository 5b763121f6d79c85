//! An airing on air: its open minute, the minutes without an audience that are kept back until it goes on, and what it
//! has had so far.

use super::state::{AiringState, MinuteState, SoFar};
use crate::curve::{Level, OpenMinute, packed_at};
use crate::stays::{listed, merged};
use audience::time::minute_of;
use audience::{MINUTE_MS, MinuteRow, Ms, Stay};
use std::collections::{BTreeMap, BTreeSet};

/// Late events of a broadcast that no row has yet, by minute.
pub(crate) type LateMinutes = BTreeMap<Ms, i64>;

/// An airing that has an open minute.
#[derive(Clone, Debug)]
pub(crate) struct OnAir {
    broadcast: u32,
    airing_at: Ms,
    minute: OpenMinute,
    /// Whether anything was applied in the open minute.
    applied: bool,
    retweets: i64,
    retweet_followers: i64,
    /// The buckets of the stays that ended in the open minute.
    buckets: Vec<u16>,
    /// Stays that ended in the open minute and that a snapshot told, counted: it may tell of millions in one line.
    told: Vec<Stay>,
    /// First of the minutes kept back.
    kept_from: Option<Ms>,
    so_far: SoFar,
    /// Whether a silence has ended it, or an end that parts it from what comes next.
    pub(crate) over: bool,
    /// The retweets counted, by fingerprint.
    pub(crate) tweets: BTreeSet<u128>,
}

/// What was applied in one airing, each list ascending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied<'a> {
    pub(crate) changes: &'a [u64],
    pub(crate) ends: &'a [Ms],
    /// When, and known followers.
    pub(crate) retweets: &'a [(Ms, i64)],
}

impl Applied<'_> {
    /// The first instant; `None` where nothing was applied.
    pub(crate) fn first(&self) -> Option<Ms> {
        let changed = self.changes.first().map(|change| packed_at(*change));
        let firsts = [changed, self.ends.first().copied(), self.retweets.first().map(|(at, _)| *at)];
        firsts.into_iter().flatten().min()
    }
}

impl OnAir {
    /// An airing whose first applied thing is at `airing_at`.
    pub(crate) fn new(broadcast: u32, airing_at: Ms) -> OnAir {
        OnAir {
            broadcast,
            airing_at,
            minute: OpenMinute::new(minute_of(airing_at), 0, 0),
            applied: false,
            retweets: 0,
            retweet_followers: 0,
            buckets: Vec::new(),
            told: Vec::new(),
            kept_from: None,
            so_far: SoFar::default(),
            over: false,
            tweets: BTreeSet::new(),
        }
    }

    /// Takes what was applied since, closing minutes on the way.
    pub(crate) fn take(&mut self, mut applied: Applied<'_>, late: &mut LateMinutes, rows: &mut Vec<MinuteRow>) {
        while let Some(at) = applied.first() {
            self.roll(at, late, rows);
            let end = self.minute.level.minute_at + MINUTE_MS;
            let (changes, later) = split(applied.changes, |change| packed_at(*change) < end);
            self.minute.take(changes, 0, &mut self.buckets);
            let (_, later_ends) = split(applied.ends, |at| *at < end);
            let (retweets, later_retweets) = split(applied.retweets, |(at, _)| *at < end);
            self.retweets += i64::try_from(retweets.len()).unwrap_or(i64::MAX);
            self.retweet_followers += retweets.iter().map(|(_, followers)| followers).sum::<i64>();
            self.applied = true;
            applied = Applied { changes: later, ends: later_ends, retweets: later_retweets };
        }
    }

    /// Closes the minutes that end at or before `watermark`.
    pub(crate) fn roll(&mut self, watermark: Ms, late: &mut LateMinutes, rows: &mut Vec<MinuteRow>) {
        while self.minute.level.minute_at + MINUTE_MS <= watermark && !self.is_done() {
            self.close(late, rows);
        }
    }

    /// Whether it is over and has nothing left to write.
    pub(crate) fn is_done(&self) -> bool {
        self.over && !self.applied && self.minute.level.viewers == 0
    }

    fn close(&mut self, late: &mut LateMinutes, rows: &mut Vec<MinuteRow>) {
        let minute_at = self.minute.level.minute_at;
        let next = OpenMinute::new(minute_at + MINUTE_MS, self.minute.level.viewers, self.minute.people_now());
        let minute = std::mem::replace(&mut self.minute, next);
        if !self.applied && minute.level.start == 0 {
            self.kept_from.get_or_insert(minute_at);
            return;
        }
        self.applied = false;
        let mut kept = self.kept_from.take().unwrap_or(minute_at);
        while kept < minute_at {
            rows.push(self.named(OpenMinute::new(kept, 0, 0).close(), late));
            kept += MINUTE_MS;
        }
        let mut row = self.named(minute.close(), late);
        row.retweets = std::mem::take(&mut self.retweets);
        row.retweet_followers = std::mem::take(&mut self.retweet_followers);
        row.stays = merged(std::mem::take(&mut self.told), listed(&mut self.buckets));
        self.buckets.clear();
        self.so_far.add(&row);
        rows.push(row);
    }

    fn named(&self, row: MinuteRow, late: &mut LateMinutes) -> MinuteRow {
        let late = late.remove(&row.minute_at).unwrap_or(0);
        MinuteRow { broadcast: self.broadcast, airing_at: self.airing_at, late, ..row }
    }

    /// The first minute that has no row yet.
    pub(crate) fn unwritten_from(&self) -> Ms {
        self.kept_from.unwrap_or(self.minute.level.minute_at)
    }

    pub(crate) fn airing_at(&self) -> Ms {
        self.airing_at
    }

    /// C just before `watermark`.
    pub(crate) fn viewers(&self) -> i64 {
        self.minute.level.viewers
    }

    /// D just before `watermark`.
    pub(crate) fn distinct(&self) -> i64 {
        self.minute.people_now()
    }

    /// What it has had up to `watermark`, the open minute included.
    pub(crate) fn so_far(&self, watermark: Ms) -> SoFar {
        let minute = self.minute;
        let [mut viewers, mut distinct] = [minute.level, minute.people.unwrap_or(minute.level)];
        for level in [&mut viewers, &mut distinct] {
            level.last_until(watermark.clamp(level.since, level.minute_at + MINUTE_MS));
        }
        let mut so_far = self.so_far;
        so_far.joins += minute.joins;
        so_far.leaves += minute.leaves;
        so_far.lapses += minute.lapses;
        so_far.reach += minute.new_viewers;
        so_far.retweets += self.retweets;
        so_far.retweet_followers += self.retweet_followers;
        so_far.viewer_ms += viewers.area;
        so_far.distinct_ms += distinct.area;
        so_far.peak_at(viewers.max);
        so_far.distinct_peak_at(distinct.max);
        so_far
    }

    pub(crate) fn state(&self) -> AiringState {
        let OpenMinute { level, people, joins, leaves, lapses, lapses_backdated, new_viewers, .. } = self.minute;
        let people = people.unwrap_or(level);
        let minute = MinuteState {
            minute_at: level.minute_at,
            applied: self.applied,
            viewers_start: level.start,
            viewers: level.viewers,
            since: level.since,
            viewer_ms: level.area,
            viewers_max: level.max,
            viewers_min: level.min,
            distinct_start: people.start,
            distinct: people.viewers,
            distinct_ms: people.area,
            distinct_max: people.max,
            distinct_min: people.min,
            joins,
            leaves,
            lapses,
            lapses_backdated,
            new_viewers,
            retweets: self.retweets,
            retweet_followers: self.retweet_followers,
            stays: merged(self.told.clone(), listed(&mut self.buckets.clone())),
        };
        let (broadcast, airing_at) = (self.broadcast, self.airing_at);
        AiringState { broadcast, airing_at, over: self.over, kept_from: self.kept_from, minute, so_far: self.so_far }
    }

    pub(crate) fn restore(state: &AiringState) -> OnAir {
        let minute = &state.minute;
        let level = Level {
            minute_at: minute.minute_at,
            start: minute.viewers_start,
            viewers: minute.viewers,
            since: minute.since,
            area: minute.viewer_ms,
            max: minute.viewers_max,
            min: minute.viewers_min,
        };
        let people = Level {
            start: minute.distinct_start,
            viewers: minute.distinct,
            area: minute.distinct_ms,
            max: minute.distinct_max,
            min: minute.distinct_min,
            ..level
        };
        let MinuteState { joins, leaves, lapses, lapses_backdated, new_viewers, .. } = *minute;
        OnAir {
            minute: OpenMinute {
                level,
                people: Some(people),
                joins,
                leaves,
                lapses,
                lapses_backdated,
                new_viewers,
                returns: 0,
            },
            applied: minute.applied,
            retweets: minute.retweets,
            retweet_followers: minute.retweet_followers,
            told: merged(minute.stays.clone(), Vec::new()),
            kept_from: state.kept_from,
            so_far: state.so_far,
            over: state.over,
            ..OnAir::new(state.broadcast, state.airing_at)
        }
    }
}

/// The part at the front for which `is_front` holds, and the rest.
fn split<T>(all: &[T], is_front: impl Fn(&T) -> bool) -> (&[T], &[T]) {
    all.split_at(all.partition_point(is_front))
}
