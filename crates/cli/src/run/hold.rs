//! Holding back: a partition that is far ahead of the others in event time is paused, so that what waits for the watermark stays bounded: by
//! `max_drift`, and by a quarter of `memory`.

use super::lane::Ask;
use super::owner::Owner;
use super::status::sum_of;
use audience::Ms;

/// How far partitions may be ahead while the held events take more than they may, ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    drift: Option<Ms>,
}

impl Hold {
    /// Learns what the held events take, of the bytes that they may, and how far the first partition is ahead of the last. It tightens by halves
    /// until it helps, and lets go when half of it is free again; but what lies within `least` is held whoever waits.
    fn learn(&mut self, held: u64, most: u64, least: Ms, spread: impl FnOnce() -> Ms) {
        if held > most {
            self.drift = Some(self.drift.unwrap_or(Ms::MAX).min(spread() / 2).max(least));
        } else if held < most / 2 {
            self.drift = None;
        }
    }
}

impl Owner<'_> {
    /// Pauses partitions that are too far ahead, and resumes them.
    pub(super) fn hold_back(&mut self) {
        let held = sum_of(&self.lanes, |progress| progress.held_bytes);
        let (most, watermarks) = (self.settings.memory_bytes / 4, &self.watermarks);
        self.state.hold.learn(held, most, self.settings.lateness_ms, || watermarks.spread());
        let drift =
            self.state.hold.drift.map_or(self.settings.max_drift_ms, |drift| drift.min(self.settings.max_drift_ms));
        let done = |index: &usize| self.state.progress.get(index).is_some_and(|progress| progress.is_done);
        let mut far = self.watermarks.far_ahead(drift);
        far.retain(|index| !done(index));
        if far == self.state.paused {
            return;
        }
        for (place, lane) in self.lanes.iter().enumerate() {
            let here = |index: &&usize| *index % self.lanes.len() == place;
            let pause: Vec<usize> =
                far.iter().filter(here).filter(|index| !self.state.paused.contains(index)).copied().collect();
            let resume = self.state.paused.iter().filter(here).filter(|index| !far.contains(index) && !done(index));
            let resume: Vec<usize> = resume.copied().collect();
            for ask in
                [(!pause.is_empty()).then_some(Ask::Pause(pause)), (!resume.is_empty()).then_some(Ask::Resume(resume))]
            {
                // A lane that is gone has said why, and that is read next.
                let _ = ask.map(|ask| lane.asks.send(ask));
            }
        }
        self.state.paused = far;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tightens_until_it_helps_and_lets_go_when_half_is_free() {
        let mut hold = Hold::default();
        let mut after = |held, spread| {
            hold.learn(held, 100, 10, || spread);
            hold.drift
        };
        assert_eq!(after(100, 3_000), None, "as much as there may be");
        assert_eq!(after(101, 3_000), Some(1_500));
        assert_eq!(after(101, 3_000), Some(1_500), "whoever is paused stays where he is");
        assert_eq!(after(101, 1_000), Some(500), "the others come nearer");
        assert_eq!(after(60, 800), Some(500), "not yet");
        assert_eq!(after(101, 4), Some(10), "nobody waits for less than the lateness");
        assert_eq!(after(49, 4), None);
    }
}
