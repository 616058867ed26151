//! Threads that fill maps, format, sort and unwind until the file given exists; every round must yield the same.

use std::collections::{BTreeMap, HashMap};
use std::panic;
use std::path::Path;
use std::thread;

fn parts(round: u64) -> Vec<String> {
    let mut seen = HashMap::new();
    for k in 0..200u64 {
        *seen.entry(format!("{:x}", k * round % 61)).or_insert(0u64) += k;
    }
    let mut all: Vec<String> = seen.iter().map(|(name, sum)| format!("{name}={sum}")).collect();
    all.sort();
    all
}

fn depth(tree: &BTreeMap<u64, Vec<u64>>, at: u64) -> u64 {
    tree.get(&at).map_or(0, |below| 1 + below.iter().map(|next| depth(tree, *next)).max().unwrap_or(0))
}

fn work(number: u64) -> u64 {
    let tree = (0..100).map(|n| (n, vec![2 * n + 1, 2 * n + 2])).collect();
    let caught = panic::catch_unwind(|| panic::resume_unwind(Box::new(number)));
    let thrown = caught.err().and_then(|any| any.downcast::<u64>().ok()).map_or(0, |n| *n + 7);
    parts(number + 3).join(",").bytes().map(u64::from).sum::<u64>() + depth(&tree, 0) + thrown
}

fn main() {
    let stop = std::env::args().nth(1).expect("a path");
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let stop = stop.clone();
            thread::spawn(move || {
                let first = work(number);
                while !Path::new(&stop).exists() {
                    if work(number) != first {
                        std::process::exit(3);
                    }
                }
            })
        })
        .collect();
    println!("ready");
    for thread in threads {
        thread.join().expect("it does not panic");
    }
    println!("right");
}
