//! Globals: scalars, statistics and arrays, the simplest way.

use std::collections::BTreeMap;

use rstap_abi::fault::Fault;
use rstap_abi::layout::{Histogram, MapShape, StatShape, ValueShape, stat_op};
use rstap_abi::limits::Limits;
use rstap_program::Initial;

use super::{Failure, Value};
use crate::ir::{Global, GlobalKind, Type};

/// A part of a key.
pub type Part = Value;

/// 0 or "".
pub(super) fn zero(ty: Type) -> Value {
    match ty {
        Type::Long => Value::Long(0),
        Type::Str => Value::Str(Vec::new()),
    }
}

/// The value of a global.
#[derive(Clone, Debug, PartialEq)]
pub enum GlobalValue {
    /// A long or a string.
    Scalar(Value),
    /// A statistic.
    Stat(Statistic),
    /// An array.
    Map(Map),
}

impl GlobalValue {
    /// The value before the first handler.
    pub(super) fn first(global: &Global, limits: &Limits) -> GlobalValue {
        match global.kind {
            GlobalKind::Scalar(ty) => GlobalValue::Scalar(match (&global.initial, ty) {
                (Initial::Zero, _) => zero(ty),
                (Initial::Long(value), Type::Long) => Value::Long(*value),
                (Initial::String(text), Type::Str) => {
                    let most = limits.max_string_len.max(1) as usize - 1;
                    Value::Str(text[..text.len().min(most)].to_vec())
                }
                (initial, _) => panic!("{} starts with {initial:?}", global.name),
            }),
            GlobalKind::Stat(shape) => GlobalValue::Stat(Statistic { shape, values: Vec::new() }),
            GlobalKind::Map(shape) => GlobalValue::Map(Map { shape, stamps: 0, elements: BTreeMap::new() }),
        }
    }
}

/// A statistic: every value it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistic {
    /// What is asked of it.
    pub shape: StatShape,
    /// The values in order.
    pub values: Vec<i64>,
}

impl Statistic {
    /// An extractor.
    pub(super) fn extract(&self, op: u64) -> Result<i64, Failure> {
        let count = self.values.len() as i64;
        let sum = self.values.iter().fold(0i64, |sum, value| sum.wrapping_add(*value));
        let empty = || Failure::new(Fault::EmptyAggregate);
        Ok(match op {
            stat_op::COUNT => count,
            stat_op::SUM => sum,
            stat_op::MIN => *self.values.iter().min().ok_or_else(empty)?,
            stat_op::MAX => *self.values.iter().max().ok_or_else(empty)?,
            stat_op::AVG if count > 0 => sum / count,
            stat_op::VARIANCE if count > 0 => self.variance(),
            _ => return Err(empty()),
        })
    }

    /// Welford's running variance in integers, with values scaled by the shift.
    fn variance(&self) -> i64 {
        if !self.shape.variance || self.values.len() < 2 {
            return 0;
        }
        let shift = u32::from(self.shape.variance_shift);
        let (mut mean, mut squares) = (0i64, 0i64);
        for (index, value) in self.values.iter().enumerate() {
            let scaled = value.wrapping_shl(shift);
            let distance = scaled.wrapping_sub(mean);
            mean = mean.wrapping_add(distance / (index as i64 + 1));
            squares = squares.wrapping_add(distance.wrapping_mul(scaled.wrapping_sub(mean)));
        }
        (squares / (self.values.len() as i64 - 1)) >> (2 * shift)
    }

    /// The value at a quantile, as exact as a sketch keeps it: the lower end of its step of 1/32 of a power of two
    /// (of values below 64: itself), plus half the step.
    pub(super) fn quantile(&self, p: i64, of: i64) -> i64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        let wanted = (i128::from(p) * sorted.len() as i128 + i128::from(of) - 1).div_euclid(i128::from(of));
        let rank = wanted.clamp(1, sorted.len() as i128) as usize - 1;
        let value = sorted[rank];
        if rank == 0 || rank == sorted.len() - 1 {
            return value;
        }
        let size = u128::from(value.unsigned_abs());
        let step = if size < 64 { 1 } else { 1 << (size.ilog2() - 5) };
        let middle = (size / step * step + (step - 1) / 2) as i128;
        let middle = if value < 0 { -middle } else { middle };
        middle.clamp(i128::from(sorted[0]), i128::from(sorted[sorted.len() - 1])) as i64
    }

    /// The buckets of its histogram.
    pub(super) fn buckets(&self) -> Vec<u64> {
        let count = match self.shape.histogram {
            Histogram::None => 0,
            Histogram::Log => 128,
            // One for each interval from start to stop, one below, one above.
            Histogram::Linear { start, stop, interval } => ((stop - start) / interval + 3) as usize,
        };
        let mut buckets = vec![0; count];
        for value in &self.values {
            buckets[self.bucket_of(*value, count)] += 1;
        }
        buckets
    }

    fn bucket_of(&self, value: i64, count: usize) -> usize {
        match self.shape.histogram {
            Histogram::None => panic!("pass 2 gave the statistic the histogram that is asked for"),
            Histogram::Log => {
                let bits = 64 - value.unsigned_abs().leading_zeros() as usize;
                match value {
                    // Its own negation, which the shift by bits does not see as negative.
                    i64::MIN => 63,
                    0.. => 64 + bits,
                    _ => 64 - bits,
                }
            }
            Histogram::Linear { start, .. } if value < start => 0,
            Histogram::Linear { start, interval, .. } => {
                let row = (i128::from(value) - i128::from(start)) / i128::from(interval);
                usize::try_from(row + 1).unwrap_or(usize::MAX).min(count - 1)
            }
        }
    }
}

/// An element of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// Of an array of longs or strings.
    Scalar(Value),
    /// Of an array of statistics.
    Stat(Statistic),
}

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Its shape.
    pub shape: MapShape,
    stamps: u64,
    elements: BTreeMap<Vec<Part>, (u64, Element)>,
}

impl Map {
    /// An element.
    pub fn get(&self, key: &[Part]) -> Option<&Element> {
        self.elements.get(key).map(|(_, element)| element)
    }

    /// An element, made if absent.
    pub(super) fn make(&mut self, key: &[Part]) -> Result<&mut Element, Failure> {
        if !self.elements.contains_key(key) {
            self.make_room()?;
            self.stamps += 1;
            self.elements.insert(key.to_vec(), (self.stamps, self.empty()));
        }
        Ok(&mut self.elements.get_mut(key).expect("it was just made").1)
    }

    fn make_room(&mut self) -> Result<(), Failure> {
        if self.elements.len() < self.shape.capacity as usize {
            return Ok(());
        }
        if !self.shape.wrap {
            let size = if self.shape.sized { u64::from(self.shape.capacity) } else { 0 };
            return Err(Failure::about(Fault::ArrayOverflow, size));
        }
        if let Some(oldest) = self.keys().first() {
            self.elements.remove(oldest);
        }
        Ok(())
    }

    fn empty(&self) -> Element {
        match self.shape.value {
            ValueShape::Long => Element::Scalar(Value::Long(0)),
            ValueShape::String => Element::Scalar(Value::Str(Vec::new())),
            ValueShape::Stat(shape) => Element::Stat(Statistic { shape, values: Vec::new() }),
        }
    }

    /// The keys in the order of insertion.
    pub fn keys(&self) -> Vec<Vec<Part>> {
        let mut keys: Vec<_> = self.elements.iter().map(|(key, (stamp, _))| (*stamp, key.clone())).collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// What tells an element from a later one with the same key.
    pub(super) fn stamp(&self, key: &[Part]) -> Option<u64> {
        self.elements.get(key).map(|(stamp, _)| *stamp)
    }

    pub(super) fn delete(&mut self, pattern: &[Option<Part>]) {
        self.elements.retain(|key, _| !matches(key, pattern));
    }

    pub(super) fn contains(&self, pattern: &[Option<Part>]) -> bool {
        self.elements.keys().any(|key| matches(key, pattern))
    }

    pub(super) fn clear(&mut self) {
        self.elements.clear();
    }
}

/// Whether a key has the parts that the pattern names.
pub(super) fn matches(key: &[Part], pattern: &[Option<Part>]) -> bool {
    pattern.iter().zip(key).all(|(wanted, part)| wanted.as_ref().is_none_or(|wanted| wanted == part))
}
