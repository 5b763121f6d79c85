//! The presence of a viewer in an airing: the union of its sessions of more than zero length. Where they overlap, D is
//! less than C; where it is there again soon after having gone, it has returned. A viewer with one session, as nearly
//! all are, costs nothing.

use crate::curve::Flow;
use audience::Ms;

/// Sessions that are kept before those that lie together are made one.
const KEPT_MAX: usize = 1 << 12;

/// Where one viewer was, by place of the airing: no session reaches out of one.
#[derive(Debug)]
pub(crate) struct Presence {
    intervals: Vec<Interval>,
    /// So many are kept before the next sweep.
    kept_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    from: Ms,
    to: Ms,
    place: usize,
}

impl Default for Presence {
    fn default() -> Presence {
        Presence { intervals: Vec::new(), kept_max: KEPT_MAX }
    }
}

impl Presence {
    /// A session of the viewer, in the airing at `place`. The curves learn of overlaps.
    #[inline]
    pub(crate) fn session(&mut self, place: usize, joined_at: Ms, left_at: Ms, flows: &mut [Flow]) {
        if joined_at == left_at {
            return;
        }
        if self.intervals.len() == self.kept_max {
            self.sweep(flows);
            self.kept_max = KEPT_MAX.max(2 * self.intervals.len());
        }
        self.intervals.push(Interval { from: joined_at, to: left_at, place });
    }

    /// All sessions of the viewer are known: the curves learn of the overlaps, and of its returns.
    pub(crate) fn close(&mut self, return_within: Ms, flows: &mut [Flow]) {
        if self.intervals.len() > 1 {
            self.sweep(flows);
            for pair in self.intervals.windows(2) {
                let (before, after) = (pair[0], pair[1]);
                if before.place == after.place && after.from - before.to <= return_within {
                    flows[after.place].comes_back(after.from);
                }
            }
        }
        self.intervals.clear();
        self.kept_max = KEPT_MAX;
    }

    /// Makes one of what overlaps or touches. What is counted as overlap here is one interval from then on.
    fn sweep(&mut self, flows: &mut [Flow]) {
        self.intervals.sort_unstable();
        self.intervals.dedup_by(|next, known| {
            let is_one = next.place == known.place && next.from <= known.to;
            if is_one {
                let until = next.to.min(known.to);
                if next.from < until {
                    flows[next.place].overlap(next.from, 1);
                    flows[next.place].overlap(until, -1);
                }
                known.to = known.to.max(next.to);
            }
            is_one
        });
    }
}
