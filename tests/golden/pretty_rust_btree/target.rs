// build: rustc --edition 2021 -g -C opt-level=0 target.rs -o target
use std::collections::{BTreeMap, BTreeSet};

#[inline(never)]
fn maps(many: &BTreeMap<u32, String>, one: &BTreeMap<&str, (u8, u64)>, empty: &BTreeMap<u8, u8>) -> usize {
    many.len() + one.len() + empty.len()
}

#[inline(never)]
fn sets(set: &BTreeSet<i8>, names: &BTreeSet<&str>) -> usize {
    set.len() + names.len()
}

fn main() {
    // A leaf holds eleven; filled in order, each but the last one holds six, and the seventh entry is above them.
    let many = (0..1000).map(|n| (n, format!("n{n}"))).collect();
    let one = BTreeMap::from([("answer", (42, 43))]);
    let code = maps(&many, &one, &BTreeMap::new()) + sets(&BTreeSet::from([3, -1, 2]), &BTreeSet::new());
    std::process::exit((code == 0).into());
}
