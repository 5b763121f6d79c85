//! The live curve in one thread: lanes and their owner driven together: to bring a state forward over the log, and for
//! tests.

use super::{Changes, END_OF_DATA, Gathered, Lane, Live};
use crate::{Frontier, Rules};
use audience::{MinuteRow, Ms};

/// Lanes and their owner. Events are pushed to the lanes.
#[derive(Clone, Debug)]
pub struct LiveAlone {
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// The owner of the lanes.
    pub live: Live,
}

impl LiveAlone {
    /// `lanes` empty lanes.
    pub fn new(rules: Rules, lanes: usize) -> LiveAlone {
        LiveAlone { lanes: vec![Lane::new(rules); lanes], live: Live::new(rules) }
    }

    /// One round: all that the watermark has passed is applied; gives the minutes that closed.
    pub fn advance(&mut self, watermark: Ms) -> Vec<MinuteRow> {
        let gathered: Vec<Gathered> = self.lanes.iter_mut().map(|lane| lane.gather(watermark)).collect();
        let directives = self.live.advance(watermark, gathered);
        let changes: Vec<Changes> = self.lanes.iter_mut().map(|lane| lane.close(&directives)).collect();
        self.live.close(changes)
    }

    /// The end of the data: everything held is applied, what is open lapses, and all rows come out.
    pub fn finish(&mut self) -> Vec<MinuteRow> {
        self.advance(END_OF_DATA)
    }

    /// Says to lanes and owner that what lies before `frontier` is settled.
    pub fn set_frontier(&mut self, broadcast: u32, frontier: Frontier) {
        self.lanes.iter_mut().for_each(|lane| lane.set_frontier(broadcast, frontier.at));
        self.live.set_frontier(broadcast, frontier);
    }
}
