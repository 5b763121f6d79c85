//! A curve: levels between knots, interpolated so that it overshoots none of them and has no kinks (Fritsch and
//! Butland's monotone cubic), because a kink in an audience would be a jump in its joins that nobody published.

/// A time in seconds, and a level.
pub(crate) type Knot = (f64, f64);

/// The curve's level at each whole second from the first knot's time to the last one's, both included. Times are whole
/// and rise; fewer than two knots make no curve.
pub(crate) fn levels(knots: &[Knot]) -> Vec<f64> {
    let slopes: Vec<f64> = knots.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect();
    let mut levels = Vec::new();
    for (place, pair) in knots.windows(2).enumerate() {
        let [(start, from), (end, to)] = [pair[0], pair[1]];
        let (left, right) = (tangent(&slopes, place), tangent(&slopes, place + 1));
        let span = end - start;
        let mut at = start;
        while at < end {
            let u = (at - start) / span;
            let v = 1.0 - u;
            let level =
                v * v * (1.0 + 2.0 * u) * from + u * u * (3.0 - 2.0 * u) * to + span * u * v * (v * left - u * right);
            levels.push(level);
            at += 1.0;
        }
    }
    levels.extend(knots.last().map(|knot| knot.1));
    levels
}

/// The derivative at a knot: none at a turn, the harmonic mean of both sides elsewhere, the one side's slope at an end.
fn tangent(slopes: &[f64], knot: usize) -> f64 {
    match (knot.checked_sub(1).and_then(|before| slopes.get(before)), slopes.get(knot)) {
        (Some(&before), Some(&after)) if before * after > 0.0 => 2.0 * before * after / (before + after),
        (Some(_), Some(_)) | (None, None) => 0.0,
        (Some(&only), None) | (None, Some(&only)) => only,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whole;

    #[test]
    fn a_curve_passes_its_knots_and_overshoots_none() {
        let knots = [(0.0, 0.0), (10.0, 5.0), (14.0, 40.0), (30.0, 41.0), (31.0, 3.0), (60.0, 3.0)];
        let curve = levels(&knots);
        assert_eq!(curve.len(), 61);
        for pair in knots.windows(2) {
            let (low, high) = (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1));
            for level in &curve[whole(pair[0].0) as usize..=whole(pair[1].0) as usize] {
                assert!((low - 1e-9..=high + 1e-9).contains(level), "{level} between {pair:?}");
            }
        }
        for (at, level) in knots {
            assert!((curve[whole(at) as usize] - level).abs() < 1e-9);
        }
        assert_eq!(levels(&[]), Vec::<f64>::new());
    }
}
