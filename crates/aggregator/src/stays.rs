//! How long sessions lasted: buckets of an HdrHistogram of 3 significant digits, as a sorted list that adds up in any
//! order.

use audience::{Ms, Stay};

/// The bucket of a stay of `ms >= 0`, as a small number that orders like the bucket's lowest value. HdrHistogram keeps
/// 11 significant bits (2,048 sub-buckets) for 3 significant digits.
pub(crate) fn bucket_of(ms: Ms) -> u16 {
    let shift = (64 - ms.leading_zeros()).saturating_sub(11);
    let bucket = (i64::from(shift) << 10) + (ms >> shift);
    u16::try_from(bucket).expect("stays lie in [0, 100 years), whose buckets end far below 2^16")
}

/// The lowest value of a bucket.
pub(crate) fn lowest_of(bucket: u16) -> Ms {
    if bucket < 2048 {
        return Ms::from(bucket);
    }
    // Above the first 2,048 the mantissa is in [1024, 2048), so the shift is what is left of it.
    let shift = (bucket >> 10) - 1;
    Ms::from(bucket - (shift << 10)) << shift
}

/// Counts buckets given in any order.
pub(crate) fn listed(buckets: &mut [u16]) -> Vec<Stay> {
    buckets.sort_unstable();
    let groups = buckets.chunk_by(|a, b| a == b);
    groups
        .map(|group| Stay { ms: lowest_of(group[0]), sessions: i64::try_from(group.len()).unwrap_or(i64::MAX) })
        .collect()
}

/// Counts in the form of a row, added up; the first may be in any order.
pub(crate) fn merged(mut some: Vec<Stay>, more: Vec<Stay>) -> Vec<Stay> {
    if some.is_empty() {
        return more;
    }
    some.extend(more);
    some.sort_unstable_by_key(|stay| stay.ms);
    some.dedup_by(|stay, kept| {
        let is_same = stay.ms == kept.ms;
        if is_same {
            kept.sessions += stay.sessions;
        }
        is_same
    });
    some
}

/// Stays that are not yet counted by bucket, at most: from here on counting is quicker than sorting, and needs less.
pub(crate) const RECENT_MAX: usize = 1 << 14;

/// Any number of stays in little memory: few as they came, many as counts by bucket, of which there are some 34,000.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stays {
    recent: Vec<u16>,
    /// By bucket; empty as long as there were few.
    counts: Vec<i64>,
}

impl Stays {
    /// Lets `add` append buckets, [`RECENT_MAX`] at most.
    pub(crate) fn add(&mut self, add: impl FnOnce(&mut Vec<u16>)) {
        add(&mut self.recent);
        if self.recent.len() > RECENT_MAX {
            self.count();
        }
    }

    /// Adds others.
    pub(crate) fn merge(&mut self, others: &Stays) {
        self.add(|recent| recent.extend_from_slice(&others.recent));
        if self.counts.len() < others.counts.len() {
            self.counts.resize(others.counts.len(), 0);
        }
        for (count, other) in self.counts.iter_mut().zip(&others.counts) {
            *count += other;
        }
    }

    /// All stays, in the form of a row.
    pub(crate) fn listed(&mut self) -> Vec<Stay> {
        if self.counts.is_empty() {
            return listed(&mut self.recent);
        }
        self.count();
        let full = (0..).zip(&self.counts).filter(|(_, sessions)| **sessions > 0);
        full.map(|(bucket, sessions)| Stay { ms: lowest_of(bucket), sessions: *sessions }).collect()
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.counts.clear();
    }

    fn count(&mut self) {
        let buckets = self.recent.iter().max().map_or(0, |most| usize::from(*most) + 1);
        if self.counts.len() < buckets {
            self.counts.resize(buckets, 0);
        }
        for bucket in self.recent.drain(..) {
            self.counts[usize::from(bucket)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_counted_as_few_are() {
        let mut state = 3_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for parts in [0, 1, 2, 40] {
            let (mut all, mut stays, mut one) = (Vec::new(), Stays::default(), Stays::default());
            for part in 0..parts {
                let most = [10, 300, RECENT_MAX as u64][part % 3];
                let longest = 1 << random(42);
                let some: Vec<u16> = (0..random(most)).map(|_| bucket_of(random(longest).cast_signed())).collect();
                all.extend_from_slice(&some);
                one.add(|recent| recent.extend_from_slice(&some));
                if part % 4 == 3 {
                    stays.merge(&one);
                    one.clear();
                }
            }
            stays.merge(&one);
            let expected = listed(&mut all);
            assert_eq!(stays.listed(), expected, "{parts} parts");
            assert_eq!(stays.listed(), expected, "listing does not change them");
        }
    }

    #[test]
    fn buckets_are_those_of_hdrhistogram() {
        let histogram = hdrhistogram::Histogram::<u64>::new_with_max(1 << 42, 3).expect("bounds are valid");
        let mut values: Vec<i64> = (0..5_000).collect();
        values.extend((11..42).flat_map(|bits| [-1, 0, 1, 12_345].map(|by| (1i64 << bits) + by)));
        for ms in values {
            let lowest = lowest_of(bucket_of(ms));
            assert_eq!(lowest.cast_unsigned(), histogram.lowest_equivalent(ms.cast_unsigned()), "{ms}");
            let shift = (64 - ms.leading_zeros()).saturating_sub(11);
            assert_eq!(lowest, ms >> shift << shift, "{ms}");
        }
    }

    #[test]
    fn buckets_order_like_their_values() {
        let of = |ms: i64| bucket_of(ms);
        assert!((0..100_000).map(of).is_sorted());
    }
}
