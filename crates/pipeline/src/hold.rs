//! Holding back: a partition that is far ahead of the others in event time is paused, so that what waits for the
//! watermark stays bounded: by `max_drift`, and by a quarter of `memory`.

use audience::Ms;

/// How far partitions may be ahead while the held events take more than they may, ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    drift: Option<Ms>,
}

impl Hold {
    /// Learns what the held events take, of the bytes that they may, and how far the first partition is ahead of the
    /// last. It tightens by halves until it helps, and lets go when half of it is free again; but what lies within
    /// `least` is held whoever waits.
    pub(super) fn learn(&mut self, held: u64, most: u64, least: Ms, spread: impl FnOnce() -> Ms) {
        if held > most {
            self.drift = Some(self.drift.unwrap_or(Ms::MAX).min(spread() / 2).max(least));
        } else if held < most / 2 {
            self.drift = None;
        }
    }

    /// How far a partition may be ahead now, where it may be `most` at any time.
    pub(super) fn drift(self, most: Ms) -> Ms {
        self.drift.map_or(most, |drift| drift.min(most))
    }

    /// Which partitions to pause and which to resume, where these are too far ahead and those are paused. What is done
    /// is not read again.
    pub(super) fn moves(far: &[usize], paused: &[usize], is_done: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<usize>) {
        let pause = far.iter().filter(|index| !paused.contains(index));
        let resume = paused.iter().filter(|index| !far.contains(index) && !is_done(**index));
        (pause.copied().collect(), resume.copied().collect())
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

    #[test]
    fn who_is_no_longer_far_ahead_is_resumed_unless_it_is_done() {
        assert_eq!(Hold::moves(&[1, 2], &[2, 3, 4], |index| index == 4), (vec![1], vec![3]));
        assert_eq!(Hold::moves(&[2], &[2], |_| false), (vec![], vec![]));
    }
}
