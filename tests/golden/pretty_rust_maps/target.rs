// build: rustc --edition 2021 -g -C opt-level=0 target.rs -o target
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Puts a number into the slot with that number.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }
}

type Ordered<K, V> = HashMap<K, V, BuildHasherDefault<Itself>>;

#[inline(never)]
fn maps(one: &HashMap<String, i32>, many: &Ordered<u64, &str>, empty: &HashMap<u8, u8>) -> usize {
    one.len() + many.len() + empty.len()
}

#[inline(never)]
fn sets(set: &HashSet<u32, BuildHasherDefault<Itself>>, names: &HashSet<&str>) -> usize {
    set.len() + names.len()
}

fn main() {
    let one = HashMap::from([("answer".to_owned(), 42)]);
    let names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let many: Ordered<u64, &str> = (0..11).zip(names).collect();
    let set = [3, 1, 2].into_iter().collect();
    let code = maps(&one, &many, &HashMap::new()) + sets(&set, &HashSet::from(["only"]));
    std::process::exit((code == 0).into());
}
