//! What is added in shards is all there when it is gathered: whichever shard it was added in, and while others add.

use std::sync::Barrier;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use rstap_abi::image::LOCK_GATHER;
use rstap_abi::layout::{GlobalShape, Histogram, StatShape, stat_op};

use super::*;
use crate::arena::Line;
use crate::testing::Bench;

const HISTOGRAMS: [Histogram; 3] =
    [Histogram::None, Histogram::Log, Histogram::Linear { start: -100, stop: 1000, interval: 7 }];

/// Shards behind a global, in memory of their own.
const SHARDS: Shards = Shards { at: 1 << 14, stride: 1 << 13, count: 4 };

/// An arena with one statistic at 64, followed by shards.
struct Stage {
    memory: Vec<Line>,
    shape: StatShape,
}

impl Stage {
    fn new(histogram: Histogram) -> Stage {
        Stage::of(StatShape { histogram, variance_shift: 0, variance: false, sketch: false })
    }

    fn of(shape: StatShape) -> Stage {
        let stage = Stage { memory: vec![Line([0; 8]); 1 << 10], shape };
        crate::setup::global(
            &stage.arena(),
            rstap_abi::layout::Off::new(64),
            &GlobalShape::Stat(shape),
            &Limits::DEFAULT,
        )
        .expect("the global is in the arena");
        stage
    }

    fn arena(&self) -> Arena<'_> {
        // SAFETY: the memory lives as long as the borrow of `self`, and is accessed through arenas only.
        unsafe { Arena::new(self.memory.as_ptr().cast(), size_of_val(&*self.memory) as u64) }
    }

    fn add(&self, shard: u64, value: i64) {
        let at = SHARDS.offset(shard).expect("a shard") + SHARD_HEADER;
        add_to_stat(&self.arena(), at, Shape::from(&self.shape), value).expect("it is in the arena");
    }

    /// Gathers it; its words.
    fn gathered(&self) -> Vec<u64> {
        let lock = LockEntry { global: 64 | LOCK_GATHER, part: SHARD_HEADER | gather::STAT };
        gather(&self.arena(), SHARDS, &lock, &Limits::DEFAULT).expect("the arena is sound");
        self.words()
    }

    fn words(&self) -> Vec<u64> {
        let words = Shape::from(&self.shape).words();
        let words: &[AtomicU64] = self.arena().slice(64 + VALUE, words).expect("it is in the arena");
        words.iter().map(|word| word.load(Relaxed)).collect()
    }
}

proptest! {
    #[test]
    fn a_statistic_is_the_same_in_parts(
        values in proptest::collection::vec((0u64..4, prop_oneof![-200i64..1200, any::<i64>()]), 0..60),
        histogram in 0usize..3,
    ) {
        let (parts, whole) = (Stage::new(HISTOGRAMS[histogram]), Stage::new(HISTOGRAMS[histogram]));
        for (shard, value) in values {
            parts.add(shard, value);
            Stat::at(&whole.arena(), 64 + VALUE).add(value).expect("it is in the arena");
        }
        prop_assert_eq!(parts.gathered(), whole.words());
        // Gathering again counts nothing twice.
        prop_assert_eq!(parts.gathered(), whole.words());
    }
}

proptest! {
    #[test]
    fn a_variance_is_that_of_all_parts(values in proptest::collection::vec((0u64..4, -999i64..999), 2..60)) {
        let shape =
            StatShape { histogram: Histogram::Log, variance_shift: 12, variance: true, sketch: false };
        let (parts, one, whole) = (Stage::of(shape), Stage::of(shape), Stage::of(shape));
        for (shard, value) in values {
            parts.add(shard, value);
            one.add(2, value);
            Stat::at(&whole.arena(), 64 + VALUE).add(value).expect("it is in the arena");
        }
        prop_assert_eq!(one.gathered(), whole.words(), "in one shard nothing is rounded another way");
        parts.gathered();
        let variance = |stage: &Stage| {
            Stat::at(&stage.arena(), 64 + VALUE).get(stat_op::VARIANCE).expect("there are values")
        };
        prop_assert!(variance(&parts).abs_diff(variance(&whole)) <= 1);
    }
}

#[test]
fn a_reader_sees_every_addition_that_is_done_and_none_twice() {
    const ROUNDS: i64 = 200;
    const EACH: i64 = 100;
    let stage = Stage::new(Histogram::Log);
    let (begin, rest) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        for shard in 1..3 {
            let (stage, begin, rest) = (&stage, &begin, &rest);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    begin.wait();
                    (0..EACH).for_each(|value| stage.add(shard, value + 1));
                    rest.wait();
                }
            });
        }
        for round in 1..=ROUNDS {
            begin.wait();
            // While they add, each word is somewhere between what it was and what it will be.
            let (before, after) = (2 * EACH * (round - 1), 2 * EACH * round);
            let words = stage.gathered();
            assert!((before..=after).contains(&(words[COUNT as usize] as i64)));
            let buckets = words[SHAPED as usize..].iter().sum::<u64>() as i64;
            assert!((before..=after).contains(&buckets));
            rest.wait();
            let words = stage.gathered();
            assert_eq!(words[COUNT as usize] as i64, after);
            assert_eq!(words[SUM as usize] as i64, round * EACH * (EACH + 1));
            assert_eq!(words[SHAPED as usize..].iter().sum::<u64>() as i64, after);
        }
    });
}

#[test]
fn shards_are_claimed_given_back_and_run_out() {
    let bench = Bench::new(&[], Limits::DEFAULT);
    let session = crate::session::SessionView::new(bench.arena()).expect("a session");
    let claimed: Vec<u64> = (0..5).map(|_| session.claim_shard(4)).collect();
    assert_eq!(claimed, [1, 2, 3, 0, 0]);
    session.free_shard(2);
    session.free_shard(0);
    assert_eq!([session.claim_shard(4), session.claim_shard(4)], [2, 0]);
    assert_eq!(session.claim_shard(0), 0);
}
