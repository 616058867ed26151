//! The few atomic operations that the lock and the ring are written in. They are generic over this trait so that
//! their tests can run them on loom's atomics, which try every interleaving.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(crate) trait Atomic<T> {
    fn load(&self, order: Ordering) -> T;
    /// A load that takes part in the one total order of SeqCst operations.
    fn load_total(&self) -> T;
    fn store(&self, value: T, order: Ordering);
    /// SeqCst on success. The value found, if it is not `old`.
    fn exchange(&self, old: T, new: T) -> Result<T, T>;
}

macro_rules! atomic {
    ($name:ty, $value:ty) => {
        impl Atomic<$value> for $name {
            #[inline(always)]
            fn load(&self, order: Ordering) -> $value {
                <$name>::load(self, order)
            }

            #[inline(always)]
            fn load_total(&self) -> $value {
                <$name>::load(self, Ordering::SeqCst)
            }

            #[inline(always)]
            fn store(&self, value: $value, order: Ordering) {
                <$name>::store(self, value, order)
            }

            #[inline(always)]
            fn exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                self.compare_exchange(old, new, Ordering::SeqCst, Ordering::Acquire)
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
