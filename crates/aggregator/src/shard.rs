//! A shard: the viewers of a broadcast that are settled together, apart from the others. What a shard adds to the
//! curves of the broadcast is a part; parts add up over any split of the viewers and in any order, and from their sum
//! each airing's curve is read.

use crate::airings::{Airing, Airings};
use crate::complete::{Completeness, Gaps};
use crate::curve::{Flow, Stretches, curve, tally_of};
use crate::settle::{Rows, Settling, Sorted};
use crate::{Rules, Tally};
use audience::{AiringRow, MinuteRow, RetweetDetail, RetweetRow, SessionRow};

/// Which of `shards`, a power of two, a viewer belongs to: the top bits of a pseudonym are as good as random.
#[inline]
pub fn shard_of(viewer: u128, shards: usize) -> usize {
    let top = viewer.checked_shr(u128::BITS - shards.ilog2()).unwrap_or(0);
    usize::try_from(top).unwrap_or(0)
}

/// What some events of one broadcast add to the curves of its airings.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// By place of the airing.
    pub flows: Vec<Flow>,
    /// By place of the airing; empty where the input has no gaps.
    pub completeness: Vec<Completeness>,
}

impl Part {
    /// What no event adds to the curves of `airings`.
    pub fn new(airings: &Airings, gaps: &Gaps) -> Part {
        let flows = airings.airings.iter().map(|airing| Flow::new(airing.airing_at)).collect();
        Part { flows, completeness: watched(airings, gaps) }
    }

    /// Adds what other events of the same broadcast add.
    pub fn merge(&mut self, mut other: Part) {
        self.flows.iter_mut().zip(&mut other.flows).for_each(|(flow, other)| flow.merge(other));
        self.completeness.iter_mut().zip(&other.completeness).for_each(|(heard, other)| heard.merge(other));
    }
}

/// What is to hear which minutes of a broadcast's airings are complete: nothing, where the input has no gaps.
fn watched(airings: &Airings, gaps: &Gaps) -> Vec<Completeness> {
    if gaps.is_empty() {
        return Vec::new();
    }
    airings.airings.iter().map(|airing| Completeness::new(gaps, airing.quiet_from)).collect()
}

/// The settling of one broadcast in one shard of viewers, some events at a time.
#[derive(Debug)]
pub struct Shard<'a> {
    settling: Settling<'a>,
    airings: &'a Airings,
    gaps: &'a Gaps,
    completeness: Vec<Completeness>,
}

impl<'a> Shard<'a> {
    /// Nothing is settled yet of the broadcast whose events have the number `broadcast`. Without airings, its events
    /// are passed over.
    pub fn new(broadcast: u32, airings: &'a Airings, rules: &'a Rules, gaps: &'a Gaps) -> Shard<'a> {
        let settling = Settling::new(broadcast, airings, rules);
        Shard { settling, airings, gaps, completeness: watched(airings, gaps) }
    }

    /// Settles the events of the broadcast, which are the next of `events`. Whether there may be more of them: it stops
    /// after `most` instants of sessions, each of which adds two changes and two rows at most.
    pub fn go_on(&mut self, events: &mut impl Sorted, rows: &mut impl Rows, most: usize) -> bool {
        let mut watching = Watching { rows, airings: self.airings, completeness: &mut self.completeness };
        self.settling.go_on(events, &mut watching, most)
    }

    /// Bytes of the changes that it has gained since they were last added to a part.
    pub fn bytes(&mut self) -> usize {
        self.settling.flows().iter().map(Flow::bytes).sum()
    }

    /// Adds to `part` what it has gained since this was last done, which it may be at any time. Its buffers stay with
    /// it for what comes next.
    pub fn add_to(&mut self, part: &mut Part) {
        part.flows.iter_mut().zip(self.settling.flows()).for_each(|(flow, gained)| flow.merge(gained));
        // What was heard can be heard again: the last instant counts.
        part.completeness.iter_mut().zip(&self.completeness).for_each(|(all, heard)| all.merge(heard));
    }

    /// What it has gained since it was last taken, as a part of its own.
    pub fn take(&mut self) -> Part {
        let mut part = Part::new(self.airings, self.gaps);
        self.add_to(&mut part);
        part
    }
}

/// Hands on the rows of a shard, and sees whose sessions a gap of the input left open.
struct Watching<'a, R> {
    rows: &'a mut R,
    airings: &'a Airings,
    completeness: &'a mut [Completeness],
}

impl<R: Rows> Rows for Watching<'_, R> {
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        if !self.completeness.is_empty() {
            self.completeness[self.airings.place_of(row.joined_at)].session(row.joined_at, row.left_at);
        }
        self.rows.session(row, via);
    }

    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        self.rows.retweet(row, detail);
    }
}

/// Reads the curve of an airing of the broadcast `broadcast` from the sum of its parts: their flow, the `changes` that
/// were taken off it, and what was heard of its `completeness`, where the input has gaps. Hands each minute to
/// `minute`, in order and without gaps, and gives the airing's own row, with what became of all its events. No row, and
/// no minute, where nothing was applied.
pub fn settle_curve(
    broadcast: u32,
    airing: &Airing,
    flow: &Flow,
    changes: &mut impl Stretches,
    completeness: Option<&Completeness>,
    mut minute: impl FnMut(MinuteRow),
) -> (Option<AiringRow>, Tally) {
    let is_complete = |minute_at| completeness.is_none_or(|heard| heard.is_complete(minute_at));
    let row = curve(broadcast, airing, flow, changes, |row| {
        minute(MinuteRow { complete: is_complete(row.minute_at), ..row });
    });
    (row, tally_of(airing, flow))
}

#[cfg(test)]
mod tests;
