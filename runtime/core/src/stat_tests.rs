//! Statistics and their pictures against what SystemTap printed.

use rstap_abi::layout::GlobalShape;
use rstap_abi::limits::Limits;

use super::*;
use crate::testing::Bench;

fn with(shape: StatShape, values: impl IntoIterator<Item = i64>, test: impl FnOnce(Stat<'_>)) {
    let bench = Bench::new(&[GlobalShape::Stat(shape)], Limits::DEFAULT);
    let stat = Stat::at(&bench.arena(), bench.globals[0] + rstap_abi::layout::VALUE);
    for value in values {
        stat.add(value).expect("the arena is whole");
    }
    test(stat);
}

fn variance(shift: u8, values: impl IntoIterator<Item = i64>) -> i64 {
    let mut variance = 0;
    let shape = StatShape { variance: true, variance_shift: shift, ..StatShape::default() };
    with(shape, values, |stat| variance = stat.get(stat_op::VARIANCE).expect("not empty"));
    variance
}

#[test]
fn extractors() {
    let all = [stat_op::COUNT, stat_op::SUM, stat_op::MIN, stat_op::MAX, stat_op::AVG];
    with(StatShape::default(), [10, -3, 4, 4], |stat| {
        assert_eq!(all.map(|op| stat.get(op).unwrap()), [4, 15, -3, 10, 3]);
        stat.clear().unwrap();
        assert_eq!(stat.get(stat_op::COUNT), Ok(0));
        [-7, -8].into_iter().for_each(|value| stat.add(value).unwrap());
        assert_eq!(all.map(|op| stat.get(op).unwrap()), [2, -15, -8, -7, -7]);
    });
    with(StatShape::default(), [i64::MAX, 1], |stat| {
        let expected = [2, i64::MIN, 1, i64::MAX, i64::MIN / 2];
        assert_eq!(all.map(|op| stat.get(op).unwrap()), expected);
    });
}

#[test]
fn empty_ones_have_count_and_sum_only() {
    with(StatShape::default(), [], |stat| {
        assert_eq!(stat.get(stat_op::COUNT), Ok(0));
        assert_eq!(stat.get(stat_op::SUM), Ok(0));
        for op in [stat_op::MIN, stat_op::MAX, stat_op::AVG, stat_op::VARIANCE] {
            assert_eq!(stat.get(op), Err(Fault::EmptyAggregate));
        }
        let absent = Stat::at(&stat.arena, 0);
        assert_eq!(absent.get(stat_op::SUM), Ok(0));
        assert_eq!(absent.get(stat_op::AVG), Err(Fault::EmptyAggregate));
        assert_eq!(absent.bucket(0), Err(Fault::EmptyAggregate));
        absent.clear().unwrap();
    });
}

/// Figures that SystemTap printed for the same values.
#[test]
fn the_variance_is_systemtaps() {
    assert_eq!(variance(0, [1]), 0);
    assert_eq!(variance(0, [1, 2]), 1);
    assert_eq!(variance(0, [1, 2, 10, 33]), 231);
    assert_eq!(variance(0, [-5, 5, -15]), 100);
    assert_eq!(variance(0, [7, 7, 7]), 0);
    assert_eq!(variance(5, (0..20).map(|i| i * i)), 13_583);
    assert_eq!(variance(8, (0..20).map(|i| i * i)), 13_562);
}

#[test]
fn linear_buckets() {
    let histogram = Histogram::Linear { start: 0, stop: 20, interval: 5 };
    with(
        StatShape { histogram, ..StatShape::default() },
        [-9, 0, 5, 5, 10, 99, i64::MAX, i64::MIN],
        |stat| {
            assert_eq!(stat.bucket_count(), Ok(7));
            let buckets: [i64; 7] = core::array::from_fn(|index| stat.bucket(index as i64).unwrap());
            assert_eq!(buckets, [2, 1, 2, 1, 0, 0, 2]);
            assert_eq!(stat.bucket(7), Err(Fault::HistogramIndex));
            assert_eq!(stat.bucket(-1), Err(Fault::HistogramIndex));
        },
    );
}

#[test]
fn log_buckets() {
    let shape = StatShape { histogram: Histogram::Log, ..StatShape::default() };
    let cases = [(0, 64), (1, 65), (2, 66), (3, 66), (-1, 63), (-5, 61), (i64::MAX, 127), (i64::MIN, 63)];
    for (value, bucket) in cases {
        with(shape, [value], |stat| assert_eq!(stat.bucket(bucket), Ok(1), "{value}"));
    }
}

#[test]
fn nonsense_is_found_out() {
    with(StatShape { histogram: Histogram::Log, ..StatShape::default() }, [1], |stat| {
        for descriptor in [u64::MAX, 1 | 5 << 32, 2 | 1 << 32, 7, u64::from(u32::MAX) << 32] {
            stat.word(0).unwrap().store(descriptor, Relaxed);
            assert_eq!(stat.add(1), Err(Corrupt), "{descriptor:x}");
        }
    });
}
