//! A Rust program with a function in a module, one with type parameters, and a closure.

mod shop {
    #[inline(never)]
    pub fn price(item: u32) -> u32 {
        std::hint::black_box(item) * 3
    }

    #[inline(never)]
    pub fn twice<T: Copy + std::ops::Add<Output = T>>(value: T) -> T {
        std::hint::black_box(value) + value
    }
}

fn main() {
    let count = std::env::args().count() as u32;
    let more = |extra: u32| shop::price(extra) + count;
    println!("{} {} {}", shop::twice(count), shop::twice(1.5), more(2));
}
