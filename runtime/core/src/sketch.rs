//! The sketch behind `@quantile`: a DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch
//! with Relative-Error Guarantees", VLDB 2019) with the linearly interpolated mapping of DataDog's libraries, which
//! takes a value's power of two from its bits and divides it into equal steps. All longs have a bucket, so nothing is
//! ever collapsed. Two sketches are merged by adding their buckets.
//!
//! ```text
//! |v| < 64                bucket |v|, exact
//! 2^e ≤ |v| < 2^(e+1)     bucket 32·(e − 5) + |v| / 2^(e − 5), 2^(e − 5) values wide
//! ```
//!
//! What it gives back is the middle of a bucket, at most half a step off: 1/64 of the value.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::layout::{SKETCH_SIDE, SKETCH_STEPS};

/// Bits of a value that its bucket keeps behind the first one.
const KEPT: u32 = SKETCH_STEPS.trailing_zeros();

/// The bucket of a value.
#[inline]
pub(crate) fn bucket_of(value: i64) -> u64 {
    // 2^63, the magnitude of the smallest long, has no bucket of its own.
    let size = value.unsigned_abs().min(i64::MAX as u64);
    let shift = size.checked_ilog2().unwrap_or(0).saturating_sub(KEPT);
    let side = SKETCH_STEPS.wrapping_mul(u64::from(shift)).wrapping_add(size.wrapping_shr(shift));
    if value < 0 { SKETCH_SIDE.wrapping_sub(1).wrapping_sub(side) } else { SKETCH_SIDE.wrapping_add(side) }
}

/// The middle of a bucket.
fn middle(bucket: u64) -> i64 {
    let (side, negative) = match bucket.checked_sub(SKETCH_SIDE) {
        Some(side) => (side, false),
        None => (SKETCH_SIDE.wrapping_sub(1).wrapping_sub(bucket), true),
    };
    let shift = (side.wrapping_shr(KEPT) as u32).saturating_sub(1);
    let kept = side.wrapping_sub(SKETCH_STEPS.wrapping_mul(u64::from(shift)));
    let half = 1u64.wrapping_shl(shift).wrapping_sub(1).wrapping_shr(1);
    let size = kept.wrapping_shl(shift).wrapping_add(half) as i64;
    if negative { size.wrapping_neg() } else { size }
}

/// The value that `p` of `of` parts of all `count` values are not above. Of `least` and `most`, the values at the ends,
/// nothing is lost.
pub(crate) fn quantile(buckets: &[AtomicU64], count: u64, (least, most): (i64, i64), p: i64, of: i64) -> i64 {
    let of = i128::from(of.max(1));
    let p = i128::from(p).clamp(0, of);
    let above = p.saturating_mul(i128::from(count)).saturating_add(of.wrapping_sub(1));
    let wanted = above.checked_div(of).unwrap_or(0).max(1);
    if wanted == 1 {
        return least;
    }
    if wanted >= i128::from(count) {
        return most;
    }
    let mut seen: i128 = 0;
    for (bucket, values) in (0u64..).zip(buckets) {
        seen = seen.saturating_add(i128::from(values.load(Relaxed)));
        if seen >= wanted {
            // What the target overwrote may have them the wrong way round.
            return middle(bucket).min(most).max(least);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstap_abi::layout::SKETCH_BUCKETS;
    use std::vec::Vec;

    fn interesting() -> Vec<i64> {
        let powers = (0..63).map(|bit| 1i64 << bit);
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power + power / 3]);
        near.flat_map(|value| [value, -value]).chain([0, i64::MAX, i64::MIN, i64::MIN + 1]).collect()
    }

    #[test]
    fn the_middle_of_a_bucket_is_near_every_value_in_it() {
        for value in interesting() {
            let bucket = bucket_of(value);
            assert!(bucket < SKETCH_BUCKETS, "{value}: bucket {bucket}");
            let error = i128::from(middle(bucket)) - i128::from(value);
            assert!(error.abs() * 64 <= i128::from(value).abs(), "{value}: {}", middle(bucket));
        }
    }

    #[test]
    fn buckets_are_in_the_order_of_their_values() {
        let mut values = interesting();
        values.sort_unstable();
        assert!(values.is_sorted_by_key(|value| bucket_of(*value)));
        let middles: Vec<i64> = (0..SKETCH_BUCKETS).map(middle).collect();
        assert!(middles.is_sorted());
    }

    #[test]
    fn quantiles_of_small_numbers_are_exact() {
        let buckets: Vec<AtomicU64> = (0..SKETCH_BUCKETS).map(|_| AtomicU64::new(0)).collect();
        for value in -10..=50 {
            buckets[bucket_of(value) as usize].fetch_add(1, Relaxed);
        }
        let quantile = |p, of| quantile(&buckets, 61, (-10, 50), p, of);
        assert_eq!([quantile(0, 100), quantile(50, 100), quantile(100, 100)], [-10, 20, 50]);
        assert_eq!([quantile(999, 1000), quantile(-5, 100), quantile(700, 100)], [50, -10, 50]);
    }
}
