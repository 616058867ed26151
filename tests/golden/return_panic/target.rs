// build: rustc -g -C opt-level=0 target.rs -o target
//! Panics pass through functions whose returns are probed.

use std::panic::catch_unwind;

#[inline(never)]
fn deep(n: u32) -> u32 {
    if n == 0 {
        std::panic::panic_any(7_u32);
    }
    std::hint::black_box(deep(n - 1)) + 1
}

struct Held(Box<u32>);

impl Drop for Held {
    fn drop(&mut self) {
        std::hint::black_box(&self.0);
    }
}

#[inline(never)]
fn holding(n: u32) -> u32 {
    let held = Held(Box::new(n));
    std::hint::black_box(deep(*held.0)) + 1
}

#[inline(never)]
fn caught(n: u32) -> u32 {
    let result = catch_unwind(|| holding(n));
    std::hint::black_box(result.err().and_then(|error| error.downcast::<u32>().ok()).map_or(0, |value| *value))
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let sum: u32 = (0..100).map(|n| caught(n % 10)).sum();
    eprintln!("{sum}");
}
