//! How long sessions lasted: buckets of an HdrHistogram of 3 significant digits, as a sorted list that adds up in any order.

use audience::{Ms, Stay};

/// The bucket of a stay of `ms >= 0`, as a small number that orders like the bucket's lowest value. HdrHistogram keeps 11 significant bits
/// (2,048 sub-buckets) for 3 significant digits.
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

#[cfg(test)]
mod tests {
    use super::*;

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
