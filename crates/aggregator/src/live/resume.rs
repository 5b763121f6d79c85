//! Resuming: a frozen state is brought forward over the log to where another process left it. The log's tail is the
//! list of changes: events of later commits, those that had still been held, and what settled in between, each where it
//! happened.

use super::{Lane, Live, LiveAlone};
use crate::Frontier;
use audience::{Details, Event, Ms};
use std::collections::BTreeMap;

/// Airings that settled after the freeze.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettledBefore {
    /// The last commit whose events were read; what came in later ones, before a frontier, came too late.
    pub read_to: i64,
    /// The watermark of that commit.
    pub watermark: Option<Ms>,
    /// By number of the broadcast.
    pub frontiers: Vec<(u32, Frontier)>,
}

/// A state on its way forward.
#[derive(Clone, Debug)]
pub struct Resume {
    alone: LiveAlone,
    commit: i64,
    settled: Vec<SettledBefore>,
    /// By broadcast: up to which commit each settlement read, and its frontier.
    history: BTreeMap<u32, Vec<(i64, Ms)>>,
}

impl Resume {
    /// Lanes and owner as they were frozen at the cut of `commit`, and what settled from then on, in that order.
    pub fn new(lanes: Vec<Lane>, live: Live, commit: i64, settled: Vec<SettledBefore>) -> Resume {
        let mut history = BTreeMap::<u32, Vec<(i64, Ms)>>::new();
        for one in &settled {
            for (broadcast, frontier) in &one.frontiers {
                history.entry(*broadcast).or_default().push((one.read_to, frontier.at));
            }
        }
        Resume { alone: LiveAlone { lanes, live }, commit, settled, history }
    }

    /// Whether an event of the log is needed: one of a commit up to the freeze is only where it was still held.
    pub fn needs(commit: i64, watermark: Option<Ms>, of_commit: i64, ts: Ms, late_at: Option<Ms>) -> bool {
        of_commit > commit || watermark.is_none_or(|watermark| late_at.unwrap_or(ts) >= watermark)
    }

    /// Takes an event of the log, in any order; what is not needed is passed over. Tells whether it came after the
    /// freeze.
    pub fn push(&mut self, lane: usize, of_commit: i64, event: Event, details: &Details, late_at: Option<Ms>) -> bool {
        let lane = &mut self.alone.lanes[lane];
        if !Resume::needs(self.commit, lane.watermark(), of_commit, event.ts(), late_at) {
            return false;
        }
        if of_commit <= self.commit {
            // The state has counted it where it was late, and nothing that it holds lies behind a frontier.
            if event.ts() >= lane.frontier(event.broadcast) {
                lane.hold(event, details, late_at);
            }
            return false;
        }
        let mut history = self.history.get(&event.broadcast).into_iter().flatten();
        if !history.any(|(read_to, frontier)| of_commit > *read_to && event.ts() < *frontier) {
            lane.push_logged(event, details, late_at);
        } else if let Some(at) = late_at {
            lane.hear_late(event.broadcast, at);
        }
        true
    }

    /// The state at the last commit's watermark. Minutes that close on the way have been written.
    pub fn finish(mut self, watermark: Option<Ms>) -> (Vec<Lane>, Live) {
        for SettledBefore { watermark, frontiers, .. } in self.settled {
            // An event that came later takes effect at that watermark or after it, so it does no harm that it is held
            // already.
            watermark.into_iter().for_each(|watermark| drop(self.alone.advance(watermark)));
            frontiers.iter().for_each(|(broadcast, frontier)| self.alone.set_frontier(*broadcast, *frontier));
        }
        watermark.into_iter().for_each(|watermark| drop(self.alone.advance(watermark)));
        (self.alone.lanes, self.alone.live)
    }
}
