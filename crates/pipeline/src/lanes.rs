//! The lanes of a run as its owner holds them: what it asks of them, and how far they are.

use super::clock::Doubt;
use super::lock::lock;
use super::message::{Ask, LaneProgress, Progress};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

/// A lane, seen from outside.
#[derive(Debug)]
pub(super) struct LaneHandle {
    pub(super) asks: Sender<Ask>,
    /// How far it is; the lane itself keeps this true.
    pub(super) progress: Arc<Mutex<LaneProgress>>,
}

/// All lanes. Partition `i` is read by the lane `i % len`. One that is gone has said why, and that is read next: so
/// nobody here minds.
#[derive(Debug)]
pub(super) struct Lanes(Vec<LaneHandle>);

impl Lanes {
    /// At least one.
    pub(super) fn new(lanes: Vec<LaneHandle>) -> Lanes {
        Lanes(lanes)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Asks the same of all.
    pub(super) fn ask(&self, ask: &Ask) {
        for lane in &self.0 {
            let _ = lane.asks.send(ask.clone());
        }
    }

    /// Asks the lane of the partition `index`.
    pub(super) fn ask_one(&self, index: usize, ask: Ask) {
        let _ = self.0[index % self.len()].asks.send(ask);
    }

    /// Asks something on these partitions, of each lane on its own.
    pub(super) fn ask_on(&self, indices: &[usize], ask: fn(Vec<usize>) -> Ask) {
        for (place, lane) in self.0.iter().enumerate() {
            let here: Vec<usize> = indices.iter().filter(|index| *index % self.len() == place).copied().collect();
            if !here.is_empty() {
                let _ = lane.asks.send(ask(here));
            }
        }
    }

    /// How far each partition is, by its index.
    pub(super) fn progress(&self) -> impl Iterator<Item = (usize, Progress)> {
        self.0.iter().flat_map(|lane| lock(&lane.progress).partitions.clone())
    }

    /// What a lane waits for our clock with, if one does.
    pub(super) fn doubt(&self) -> Option<Doubt> {
        self.0.iter().find_map(|lane| lock(&lane.progress).doubt.clone())
    }

    /// Bytes that all hold since the last cut.
    pub(super) fn cut_bytes(&self) -> u64 {
        self.sum(|progress| progress.cut_bytes)
    }

    /// Bytes of the events of all that the watermark has not passed.
    pub(super) fn held_bytes(&self) -> u64 {
        self.sum(|progress| progress.held_bytes)
    }

    fn sum(&self, of: fn(&LaneProgress) -> usize) -> u64 {
        self.0.iter().map(|lane| of(&lock(&lane.progress))).sum::<usize>() as u64
    }
}
