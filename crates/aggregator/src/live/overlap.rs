//! The overlap: for each viewer the open sessions beyond the first. D is C less the overlap, so a lane tells how its
//! overlap moves beside the ±1 of its sessions. Of viewers with one session nothing is told, and that is nearly all.

use super::seats::{Key, Viewers};
use crate::curve::overlap_packed;
use audience::Ms;

/// A session of a viewer opens or closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    viewer: Key,
    at: Ms,
    /// +1 or −1.
    by: i64,
}

/// The steps of one broadcast in a span of time, in any order: all those of each viewer that has one, but those of a
/// time in which it never had two sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    pub(crate) fn add(&mut self, viewer: Key, at: Ms, by: i64) {
        self.0.push(Step { viewer, at, by });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What the steps from a place on add up to, and the first instant at which a session opens.
    pub(crate) fn since(&self, place: usize) -> (i64, Option<Ms>) {
        let steps = &self.0[place..];
        let opened = steps.iter().filter(|step| step.by > 0).map(|step| step.at).min();
        (steps.iter().map(|step| step.by).sum(), opened)
    }

    /// Leaves out what was added from a place on.
    pub(crate) fn leave_out(&mut self, place: usize) {
        self.0.truncate(place);
    }

    /// Tells how the overlap moved, where `viewers` is how it stands after it all. No step is left. Sessions of no
    /// length cancel out, and sessions that touch are one presence: what counts is the level after each instant.
    pub(crate) fn sweep(&mut self, viewers: &Viewers, changes: &mut Vec<u64>) {
        self.sweep_to(viewers, |at, by| changes.extend(overlap_packed(at, by)));
    }

    /// The same, where in the end, at `closed_at`, all sessions close. What opens and closes with that instant does not
    /// move the overlap of any airing.
    pub(crate) fn sweep_closed(&mut self, viewers: &mut Viewers, closed_at: Ms, changes: &mut Vec<u64>) {
        let mut last = 0;
        self.sweep_to(viewers, |at, by| {
            if at == closed_at {
                last += by;
            } else {
                changes.extend(overlap_packed(at, by));
            }
        });
        changes.extend(overlap_packed(closed_at, last - viewers.close_all()));
    }

    fn sweep_to(&mut self, viewers: &Viewers, mut moved_by: impl FnMut(Ms, i64)) {
        let mut steps = std::mem::take(&mut self.0);
        steps.sort_unstable();
        for of_viewer in steps.chunk_by(|a, b| a.viewer == b.viewer) {
            let moved: i64 = of_viewer.iter().map(|step| step.by).sum();
            let mut open = i64::from(viewers.open(&of_viewer[0].viewer).unwrap_or(0)) - moved;
            for instant in of_viewer.chunk_by(|a, b| a.at == b.at) {
                let before = overlap(open);
                open += instant.iter().map(|step| step.by).sum::<i64>();
                moved_by(instant[0].at, overlap(open) - before);
            }
        }
    }
}

/// What so many sessions of one viewer add to the overlap.
fn overlap(open: i64) -> i64 {
    (open - 1).max(0)
}
