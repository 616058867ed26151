//! Statistics: what `<<<` adds to and the extractors read.
//!
//! A statistic is words in the arena: descriptor, count, sum, min, max; with a variance also the mean and the sum of
//! squared differences (both shifted left by the variance's shift, once and twice); with a linear histogram start and
//! interval; then the buckets; with `@quantile` those of its `crate::sketch`. The variance is Welford's running one in integers, so that it is exact where
//! SystemTap's is and off where SystemTap's is.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::fault::Fault;
use rstap_abi::layout::{Histogram, LOG_BUCKETS, SKETCH_BUCKETS, StatShape, stat_op};

use crate::arena::{Arena, Checked, Corrupt};
use crate::sketch;

pub(crate) const COUNT: u64 = 1;
pub(crate) const SUM: u64 = 2;
pub(crate) const MIN: u64 = 3;
pub(crate) const MAX: u64 = 4;
/// First word that depends on the shape.
pub(crate) const SHAPED: u64 = 5;

/// A statistic's shape as the arena has it: an allegation, but one that can do no harm outside the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Histogram kind in 8 bits, then variance 8, shift 8, sketch 8, bucket count 32.
    pub descriptor: u64,
    pub start: i64,
    pub interval: i64,
}

const LOG: u64 = 1;
const LINEAR: u64 = 2;

impl From<&StatShape> for Shape {
    fn from(shape: &StatShape) -> Shape {
        let (kind, start, interval) = match shape.histogram {
            Histogram::None => (0, 0, 0),
            Histogram::Log => (LOG, 0, 0),
            Histogram::Linear { start, interval, .. } => (LINEAR, start, interval.max(1)),
        };
        let buckets = shape.histogram.bucket_count() & 0xffff_ffff;
        let variance = u64::from(shape.variance) << 8 | u64::from(shape.variance_shift & 63) << 16;
        let sketch = u64::from(shape.sketch) << 24;
        Shape { descriptor: kind | variance | sketch | buckets << 32, start, interval }
    }
}

impl Shape {
    fn kind(self) -> u64 {
        self.descriptor & 0xff
    }

    pub fn has_variance(self) -> bool {
        self.descriptor >> 8 & 1 != 0
    }

    fn has_sketch(self) -> bool {
        self.descriptor >> 24 & 1 != 0
    }

    fn shift(self) -> u32 {
        (self.descriptor >> 16 & 63) as u32
    }

    pub fn buckets(self) -> u64 {
        self.descriptor >> 32
    }

    fn linear_at(self) -> u64 {
        if self.has_variance() { SHAPED.wrapping_add(2) } else { SHAPED }
    }

    fn buckets_at(self) -> u64 {
        let linear = self.linear_at();
        if self.kind() == LINEAR { linear.wrapping_add(2) } else { linear }
    }

    fn sketch_at(self) -> u64 {
        self.buckets_at().wrapping_add(self.buckets())
    }

    /// Numbers of the words that are buckets.
    pub fn bucket_words(self) -> core::ops::Range<u64> {
        self.buckets_at()..self.words()
    }

    /// Number of the word that is the bucket of a value.
    #[inline(always)]
    pub fn bucket_word(self, value: i64) -> u64 {
        self.buckets_at().wrapping_add(self.bucket_of(value))
    }

    /// Words of a statistic of this shape.
    pub fn words(self) -> u64 {
        let sketch = if self.has_sketch() { SKETCH_BUCKETS } else { 0 };
        self.sketch_at().wrapping_add(sketch)
    }

    /// The bucket of a value.
    fn bucket_of(self, value: i64) -> u64 {
        if self.kind() == LINEAR {
            return self.linear_bucket(value);
        }
        let bits = u64::from(u64::BITS.wrapping_sub(value.unsigned_abs().leading_zeros()));
        match value {
            // Its magnitude is not a long, so SystemTap has it here.
            i64::MIN => 63,
            0.. => bits.wrapping_add(64),
            _ => 64u64.wrapping_sub(bits),
        }
    }

    fn linear_bucket(self, value: i64) -> u64 {
        if value < self.start {
            return 0;
        }
        let last = self.buckets().saturating_sub(1);
        let step = value.abs_diff(self.start).checked_div(self.interval.unsigned_abs()).unwrap_or(0);
        step.saturating_add(1).min(last)
    }

    /// What the rows of the histogram are labelled with.
    pub fn label(self, bucket: u64) -> Label {
        if self.kind() == LINEAR {
            let last = self.buckets().saturating_sub(1);
            let lower = |bucket: u64| {
                self.start.wrapping_add((bucket.wrapping_sub(1) as i64).wrapping_mul(self.interval))
            };
            return match bucket {
                0 => Label::Below(self.start),
                _ if bucket == last => Label::Above(lower(last.wrapping_sub(1))),
                _ => Label::From(lower(bucket)),
            };
        }
        let power = |bits: u64| 1i64.checked_shl((bits.wrapping_sub(1)) as u32).unwrap_or(0);
        match bucket {
            64 => Label::From(0),
            65.. => Label::From(power(bucket.wrapping_sub(64))),
            _ => Label::From(power(64u64.wrapping_sub(bucket)).wrapping_neg()),
        }
    }

    pub fn is_log(self) -> bool {
        self.kind() == LOG
    }

    pub fn is_linear(self) -> bool {
        self.kind() == LINEAR
    }
}

/// What a row of a histogram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// Values from this to the next row's.
    From(i64),
    /// Values below the range.
    Below(i64),
    /// Values above the range.
    Above(i64),
}

/// A statistic in the arena. `at` 0 is an empty one.
#[derive(Clone, Copy)]
pub(crate) struct Stat<'a> {
    arena: Arena<'a>,
    at: u64,
}

impl<'a> Stat<'a> {
    pub fn at(arena: &Arena<'a>, at: u64) -> Stat<'a> {
        Stat { arena: *arena, at }
    }

    /// Word `index` of it.
    #[inline(always)]
    pub fn word(&self, index: u64) -> Checked<&'a AtomicU64> {
        self.arena.word(self.at.wrapping_add(index.wrapping_mul(8)))
    }

    fn long(&self, index: u64) -> Checked<i64> {
        Ok(self.word(index)?.load(Relaxed) as i64)
    }

    /// Its shape, with bounds that hold.
    #[inline(always)]
    pub fn shape(&self) -> Checked<Shape> {
        let mut shape = Shape { descriptor: self.word(0)?.load(Relaxed), start: 0, interval: 1 };
        if shape.is_linear() {
            let at = shape.linear_at();
            shape.start = self.long(at)?;
            shape.interval = self.long(at.wrapping_add(1))?;
        }
        let sensible = match shape.kind() {
            0 => shape.buckets() == 0,
            LOG => shape.buckets() == LOG_BUCKETS,
            LINEAR => shape.buckets() >= 2 && shape.interval > 0,
            _ => false,
        };
        if sensible { Ok(shape) } else { Err(Corrupt) }
    }

    /// Makes it an empty statistic of this shape.
    pub fn initialise(&self, shape: &Shape) -> Checked<()> {
        let words: &[AtomicU64] = self.arena.slice(self.at, shape.words())?;
        for word in words {
            word.store(0, Relaxed);
        }
        if shape.is_linear() {
            let at = shape.linear_at();
            self.word(at)?.store(shape.start as u64, Relaxed);
            self.word(at.wrapping_add(1))?.store(shape.interval as u64, Relaxed);
        }
        self.word(0)?.store(shape.descriptor, Relaxed);
        Ok(())
    }

    /// Empties it.
    pub fn clear(&self) -> Checked<()> {
        if self.at == 0 {
            return Ok(());
        }
        let shape = self.shape()?;
        self.initialise(&shape)
    }

    /// `s <<< value`
    #[inline]
    pub fn add(&self, value: i64) -> Checked<()> {
        let shape = self.shape()?;
        let words: &[AtomicU64] = self.arena.slice(self.at, SHAPED)?;
        let [_, count, sum, min, max] = words else { return Err(Corrupt) };
        let before = count.load(Relaxed);
        count.store(before.wrapping_add(1), Relaxed);
        sum.store(sum.load(Relaxed).wrapping_add(value as u64), Relaxed);
        if before == 0 || value < min.load(Relaxed) as i64 {
            min.store(value as u64, Relaxed);
        }
        if before == 0 || value > max.load(Relaxed) as i64 {
            max.store(value as u64, Relaxed);
        }
        self.add_to_shape(shape, value, before.wrapping_add(1))
    }

    /// What `<<<` does to the words that depend on the shape; `count` values with this one.
    #[inline]
    pub fn add_to_shape(&self, shape: Shape, value: i64, count: u64) -> Checked<()> {
        if shape.has_variance() {
            self.add_to_variance(shape, value, count as i64)?;
        }
        if shape.buckets() > 0 {
            let bucket = self.word(shape.bucket_word(value))?;
            bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        }
        if shape.has_sketch() {
            let bucket = self.word(shape.sketch_at().wrapping_add(sketch::bucket_of(value)))?;
            bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        }
        Ok(())
    }

    fn add_to_variance(&self, shape: Shape, value: i64, count: i64) -> Checked<()> {
        let (mean, squares) = (self.word(SHAPED)?, self.word(SHAPED.wrapping_add(1))?);
        let value = value.wrapping_shl(shape.shift());
        let before = mean.load(Relaxed) as i64;
        let delta = value.wrapping_sub(before);
        let after = before.wrapping_add(delta.checked_div(count).unwrap_or(0));
        mean.store(after as u64, Relaxed);
        let square = delta.wrapping_mul(value.wrapping_sub(after));
        squares.store((squares.load(Relaxed) as i64).wrapping_add(square) as u64, Relaxed);
        Ok(())
    }

    /// Takes the mean and the squares of `count` other values in, after `before` values: Welford's step for as many
    /// values at once (Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm").
    pub fn merge_variance(
        &self,
        before: u64,
        count: u64,
        other_mean: i64,
        other_squares: i64,
    ) -> Checked<()> {
        let (mean, squares) = (self.word(SHAPED)?, self.word(SHAPED.wrapping_add(1))?);
        let (count, all) = (count as i64, before.wrapping_add(count) as i64);
        let own = mean.load(Relaxed) as i64;
        let delta = other_mean.wrapping_sub(own);
        // delta * count / all, without the product where it may be large.
        let whole = delta.checked_div(all).unwrap_or(0).wrapping_mul(count);
        let rest = delta.checked_rem(all).unwrap_or(0).wrapping_mul(count).checked_div(all).unwrap_or(0);
        let after = own.wrapping_add(whole).wrapping_add(rest);
        mean.store(after as u64, Relaxed);
        let between = delta.wrapping_mul(other_mean.wrapping_sub(after)).wrapping_mul(count);
        let sum = (squares.load(Relaxed) as i64).wrapping_add(other_squares).wrapping_add(between);
        squares.store(sum as u64, Relaxed);
        Ok(())
    }

    /// Number of values.
    pub fn count(&self) -> Checked<i64> {
        if self.at == 0 { Ok(0) } else { self.long(COUNT) }
    }

    /// An extractor, by its code in [`stat_op`].
    pub fn get(&self, op: u64) -> Result<i64, Fault> {
        let count = self.count()?;
        match op {
            stat_op::COUNT => return Ok(count),
            stat_op::SUM if self.at == 0 => return Ok(0),
            stat_op::SUM => return Ok(self.long(SUM)?),
            _ if count == 0 => return Err(Fault::EmptyAggregate),
            _ => {}
        }
        match op {
            stat_op::MIN => Ok(self.long(MIN)?),
            stat_op::MAX => Ok(self.long(MAX)?),
            stat_op::AVG => Ok(self.long(SUM)?.checked_div(count).unwrap_or(i64::MIN)),
            stat_op::VARIANCE => Ok(self.variance(count)?),
            _ => Err(Fault::CorruptArena),
        }
    }

    fn variance(&self, count: i64) -> Checked<i64> {
        let shape = self.shape()?;
        if !shape.has_variance() || count < 2 {
            return Ok(0);
        }
        let squares = self.long(SHAPED.wrapping_add(1))?;
        let variance = squares.checked_div(count.wrapping_sub(1)).unwrap_or(0);
        Ok(variance.checked_shr(shape.shift().wrapping_mul(2)).unwrap_or(0))
    }

    /// `@quantile(s, p)` with p of `of` parts; outside of 0 to `of` it is the least or the greatest value.
    pub fn quantile(&self, p: i64, of: i64) -> Result<i64, Fault> {
        let count = self.count()?;
        if count == 0 {
            return Err(Fault::EmptyAggregate);
        }
        let shape = self.shape()?;
        if !shape.has_sketch() {
            return Err(Fault::CorruptArena);
        }
        let at = self.at.wrapping_add(shape.sketch_at().wrapping_mul(8));
        let buckets: &[AtomicU64] = self.arena.slice(at, SKETCH_BUCKETS)?;
        Ok(sketch::quantile(buckets, count as u64, (self.long(MIN)?, self.long(MAX)?), p, of))
    }

    /// Number of its buckets.
    pub fn bucket_count(&self) -> Checked<u64> {
        if self.at == 0 { Ok(0) } else { Ok(self.shape()?.buckets()) }
    }

    /// `@hist_x(s)[index]`
    pub fn bucket(&self, index: i64) -> Result<i64, Fault> {
        if self.count()? == 0 {
            return Err(Fault::EmptyAggregate);
        }
        let shape = self.shape()?;
        match u64::try_from(index) {
            Ok(index) if index < shape.buckets() => Ok(self.long(shape.buckets_at().wrapping_add(index))?),
            _ => Err(Fault::HistogramIndex),
        }
    }

    /// All buckets.
    pub fn buckets(&self, shape: Shape) -> Checked<&'a [AtomicU64]> {
        self.arena.slice(self.at.wrapping_add(shape.buckets_at().wrapping_mul(8)), shape.buckets())
    }
}

#[cfg(test)]
#[path = "stat_tests.rs"]
mod tests;
