//! Dice: seeded chance that falls the same way on every machine. Each concern of each broadcast has dice of its own, so
//! that a flag of one concern (disorder, say) leaves the others' throws as they were.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What dice are thrown for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Concern {
    /// The course of a drawn show, and its start.
    Script = 0,
    /// Retweets and their effects.
    Retweets = 1,
    /// Who comes, when, and for how long.
    Public = 2,
    /// Which leaves are lost.
    Loss = 3,
    /// Duplicates, disorder and lateness.
    Wire = 4,
}

/// A stream of throws.
#[derive(Debug)]
pub(crate) struct Dice {
    rng: ChaCha8Rng,
}

impl Dice {
    /// Dice of one concern of one broadcast.
    pub(crate) fn new(seed: u64, broadcast: u32, concern: Concern) -> Dice {
        let mut key = *b"________________jauge simulator ";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&u64::from(broadcast).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(concern as u64);
        Dice { rng }
    }

    /// Uniform over all of `u64`.
    pub(crate) fn word(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.word() >> 11) as f64 * STEP
    }

    /// True with probability `share`. Throws nothing where the answer is certain, so that a flag that is off costs
    /// nothing.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }

    /// Uniform in 0..n; 0 for `n = 0`. The bias of a multiply is below n / 2^64.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// Exponential with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Normal with mean 0 and deviation 1 (Marsaglia's polar method; its second value is not kept).
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let s = x * x + y * y;
            if s > 0.0 && s < 1.0 {
                return x * libm::sqrt(-2.0 * libm::log(s) / s);
            }
        }
    }

    /// Poisson with this mean, in time proportional to it.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let (mut count, mut at) = (0, self.exponential(1.0));
        while at < mean {
            count += 1;
            at += self.exponential(1.0);
        }
        count
    }

    /// Poisson with a small mean `m`, given as e^-m (Knuth's product: most often one throw).
    pub(crate) fn few(&mut self, exp_minus_mean: f64) -> u32 {
        let (mut count, mut product) = (0, self.unit());
        while product > exp_minus_mean {
            count += 1;
            product *= self.unit();
        }
        count
    }
}

/// A one-to-one map of `u64` onto itself that leaves no visible order (the finaliser of SplitMix64, Steele et al.
/// 2014): numbers in a row become ids that look drawn and never collide.
pub(crate) const fn scramble(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_have_the_moments_that_they_claim() {
        let mut dice = Dice::new(7, 0, Concern::Public);
        let mut mean_of =
            |draw: &mut dyn FnMut(&mut Dice) -> f64| (0..40_000).map(|_| draw(&mut dice)).sum::<f64>() / 40_000.0;
        assert!((mean_of(&mut Dice::unit) - 0.5).abs() < 0.01);
        assert!((mean_of(&mut |d| d.exponential(3.0)) - 3.0).abs() < 0.06);
        assert!(mean_of(&mut Dice::normal).abs() < 0.02);
        assert!((mean_of(&mut |d| libm::pow(d.normal(), 2.0)) - 1.0).abs() < 0.03);
        assert!((mean_of(&mut |d| f64::from(d.poisson(2.5))) - 2.5).abs() < 0.04);
        let small = libm::exp(-0.2);
        assert!((mean_of(&mut |d| f64::from(d.few(small))) - 0.2).abs() < 0.01);
        assert!((mean_of(&mut |d| d.below(10) as f64) - 4.5).abs() < 0.06);
    }

    #[test]
    fn concerns_and_broadcasts_do_not_share_throws() {
        let words = [(1, 0, Concern::Wire), (1, 0, Concern::Loss), (1, 1, Concern::Wire), (2, 0, Concern::Wire)]
            .map(|(seed, broadcast, concern)| Dice::new(seed, broadcast, concern).word());
        let mut distinct = words.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), words.len());
    }
}
