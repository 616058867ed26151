//! Models of the lock (loom), and threads on a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::vec::Vec;

use rstap_abi::context::Context;
use rstap_abi::limits::Limits;

use super::*;
use crate::env::Clock;
use crate::testing::World;

fn free() -> LockCells {
    LockCells {
        writer: AtomicU64::new(0),
        readers: [const { AtomicU32::new(0) }; READER_SLOTS],
        timeouts: AtomicU64::new(0),
    }
}

fn world(dead: &[u32]) -> World {
    World { dead: dead.to_vec(), ..World::default() }
}

#[test]
fn readers_share_and_a_writer_excludes() {
    let (lock, world, limits) = (free(), world(&[]), Limits::DEFAULT);
    assert_eq!(lock.acquire(false, 1, &limits, &world), Acquired::Free);
    assert_eq!(lock.acquire(false, 2, &limits, &world), Acquired::Free);
    assert_eq!(lock.acquire(true, 3, &limits, &world), Acquired::TimedOut);
    lock.release(false, 1);
    lock.release(false, 2);
    assert_eq!(lock.acquire(true, 3, &limits, &world), Acquired::Free);
    assert_eq!(lock.acquire(false, 1, &limits, &world), Acquired::TimedOut);
    assert_eq!(lock.acquire(true, 4, &limits, &world), Acquired::TimedOut);
    lock.release(true, 3);
    assert_eq!(lock.acquire(false, 1, &limits, &world), Acquired::Free);
}

#[test]
fn the_wait_is_bounded_by_maxtrylock() {
    let (lock, world) = (free(), world(&[]));
    let limits = Limits { max_try_lock: 0, ..Limits::DEFAULT };
    assert_eq!(lock.acquire(true, 1, &limits, &world), Acquired::Free);
    assert_eq!(lock.acquire(true, 2, &limits, &world), Acquired::TimedOut);
}

#[test]
fn what_the_dead_held_is_taken_back() {
    let (lock, limits) = (free(), Limits::DEFAULT);
    let everybody_lives = world(&[]);
    lock.acquire(true, 7, &limits, &everybody_lives);
    assert_eq!(lock.acquire(false, 8, &limits, &world(&[7])), Acquired::FromDeadWriter);
    lock.release(false, 8);
    for reader in 1..=READER_SLOTS as u32 {
        assert_eq!(lock.acquire(false, reader, &limits, &everybody_lives), Acquired::Free);
    }
    assert_eq!(lock.acquire(false, 9, &limits, &everybody_lives), Acquired::TimedOut, "no slot is free");
    assert_eq!(lock.acquire(true, 9, &limits, &world(&[1, 2, 3, 4])), Acquired::Free);
}

#[test]
fn scribbled_words_are_treated_as_dead_owners() {
    let (lock, limits) = (free(), Limits::DEFAULT);
    lock.writer.store(u64::MAX, Relaxed);
    assert_eq!(lock.acquire(true, 9, &limits, &world(&[])), Acquired::FromDeadWriter);
}

#[test]
fn many_threads_never_lose_an_update() {
    let shared = Arc::new((free(), AtomicU64::new(0)));
    let limits = Limits { max_try_lock: 1_000_000, ..Limits::DEFAULT };
    let threads: Vec<_> = (1..=6)
        .map(|owner| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let (lock, value) = &*shared;
                let world = world(&[]);
                for turn in 0..300 {
                    let write = turn % 3 != 0;
                    assert_eq!(lock.acquire(write, owner, &limits, &world), Acquired::Free);
                    let before = value.load(Relaxed);
                    if write {
                        value.store(before + 1, Relaxed);
                    } else {
                        assert_eq!(value.load(Relaxed), before);
                    }
                    lock.release(write, owner);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread failed");
    }
    assert_eq!(shared.1.load(Relaxed), 6 * 200);
}

/// The same code on loom's atomics, under every interleaving.
mod models {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

    use super::*;

    macro_rules! loom_atomic {
        ($name:ty, $value:ty) => {
            impl Atomic<$value> for $name {
                fn load(&self, order: Ordering) -> $value {
                    <$name>::load(self, order)
                }
                // Loom knows the total order of fences but not that of SeqCst accesses.
                fn load_total(&self) -> $value {
                    fence(Ordering::SeqCst);
                    <$name>::load(self, Ordering::SeqCst)
                }
                fn store(&self, value: $value, order: Ordering) {
                    <$name>::store(self, value, order)
                }
                fn exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                    self.compare_exchange(old, new, Ordering::SeqCst, Ordering::Acquire)
                }
            }
        };
    }
    loom_atomic!(AtomicU32, u32);
    loom_atomic!(AtomicU64, u64);

    type Cells = LockCells<AtomicU64, AtomicU32>;

    struct Shared {
        lock: Cells,
        value: UnsafeCell<u64>,
    }
    // SAFETY: `value` is accessed under `lock` only; that this is enough is what the model checks.
    unsafe impl Sync for Shared {}
    // SAFETY: as above.
    unsafe impl Send for Shared {}

    fn shared() -> Arc<Shared> {
        let lock = Cells {
            writer: AtomicU64::new(0),
            readers: core::array::from_fn(|_| AtomicU32::new(0)),
            timeouts: AtomicU64::new(0),
        };
        Arc::new(Shared { lock, value: UnsafeCell::new(0) })
    }

    fn one_try(shared: &Shared, write: bool, owner: u32) -> bool {
        let held = if write { shared.lock.try_write(owner) } else { shared.lock.try_read(owner) };
        if held {
            // SAFETY: loom reports it if the lock does not exclude a concurrent access.
            shared.value.with_mut(|value| unsafe {
                if write {
                    *value += 1;
                }
            });
            shared.lock.release(write, owner);
        }
        held
    }

    #[test]
    fn two_writers_exclude_each_other() {
        loom::model(|| {
            let shared = shared();
            let other = shared.clone();
            let thread = loom::thread::spawn(move || one_try(&other, true, 2));
            let mine = one_try(&shared, true, 1);
            let theirs = thread.join().expect("the other thread failed");
            assert!(mine || theirs, "of two writers one gets the lock");
            // SAFETY: the other thread has ended.
            let value = shared.value.with(|value| unsafe { *value });
            assert_eq!(value, u64::from(mine) + u64::from(theirs));
        });
    }

    #[test]
    fn a_reader_and_a_writer_exclude_each_other() {
        loom::model(|| {
            let shared = shared();
            let other = shared.clone();
            let thread = loom::thread::spawn(move || one_try(&other, false, 2));
            one_try(&shared, true, 1);
            thread.join().expect("the other thread failed");
        });
    }

    #[test]
    fn a_writer_that_waits_gets_the_lock_from_a_reader() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let shared = shared();
            let other = shared.clone();
            let thread = loom::thread::spawn(move || one_try(&other, false, 2));
            let limits = Limits { max_try_lock: 1, ..Limits::DEFAULT };
            if shared.lock.acquire(true, 1, &limits, &Loom) == Acquired::Free {
                // SAFETY: loom reports it if the lock does not exclude a concurrent access.
                shared.value.with_mut(|value| unsafe { *value += 1 });
                shared.lock.release(true, 1);
            }
            thread.join().expect("the other thread failed");
        });
    }

    struct Loom;

    impl Env for Loom {
        fn owner(&self) -> u32 {
            1
        }
        fn is_alive(&self, _owner: u32) -> bool {
            true
        }
        fn pause_us(&self, _us: u64) {
            loom::thread::yield_now();
        }
        fn time_ns(&self, _clock: Clock) -> i64 {
            0
        }
        fn read_target(&self, _context: &Context, _address: u64, _into: &mut [u8]) -> bool {
            false
        }
    }
}
