//! Whatever is written over the arena while it is used: no panic, no endless loop, nothing outside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::vec;
use std::vec::Vec;

use rstap_abi::layout::{GlobalShape, Histogram, MapShape, Off, StatShape, ValueShape, order, stat_op};
use rstap_abi::limits::Limits;
use rstap_abi::record::RecordKind;

use crate::testing::{Bench, Caller, World, address, key, long, longs, string};
use crate::walk::Walk;

const STAT: StatShape =
    StatShape { histogram: Histogram::Log, variance_shift: 1, variance: true, sketch: true };
const LINEAR: StatShape = StatShape {
    histogram: Histogram::Linear { start: -10, stop: 10, interval: 3 },
    variance_shift: 0,
    variance: false,
    sketch: true,
};

fn shapes() -> [MapShape; 3] {
    let map = |key_count, string_keys, value| MapShape {
        key_count,
        string_keys,
        value,
        capacity: 16,
        sized: true,
        wrap: false,
    };
    [map(1, 0, ValueShape::Long), map(2, 2, ValueShape::String), map(1, 1, ValueShape::Stat(LINEAR))]
}

/// Xorshift: reproducible.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Every kind of operation, once.
fn use_everything(bench: &Bench, caller: &mut Caller<'_>, dice: &mut Dice) {
    let handles: Vec<i64> =
        shapes().iter().zip(&bench.globals).map(|(shape, &at)| shape.handle(Off::new(at)) as i64).collect();
    let number = (dice.throw() % 24) as i64;
    let text = std::format!("text {number}");
    let name = string(text.as_bytes());
    let mut keys = [longs(&[number]), key(&[long(number), name]), key(&[name])];
    let mut key = |index: usize| address(&mut keys[index]);
    let mut call = caller.call();
    call.map_add_long(handles[0], key(0), 1);
    call.map_set_string(handles[1], key(1), text.as_bytes());
    call.map_append_string(handles[1], key(1), text.as_bytes());
    call.map_stat_add(handles[2], key(2), number);
    call.map_get_long(handles[0], key(0));
    call.map_contains(handles[1], key(1), 1);
    let stat = call.map_stat_find(handles[2], key(2));
    for op in [stat_op::AVG, stat_op::VARIANCE] {
        call.stat_get(stat, op as i64);
    }
    match dice.throw() % 16 {
        0 => call.map_clear(handles[(dice.throw() % 3) as usize]),
        1..6 => call.map_delete(handles[0], key(0), 0),
        6 | 7 => call.map_delete(handles[1], key(1), 1),
        _ => {}
    }
    let globals = [bench.globals[3], bench.globals[4]];
    call.string_set(globals[0] as i64, text.as_bytes());
    call.string_append(globals[0] as i64, text.as_bytes());
    call.stat_add((globals[1] + rstap_abi::layout::VALUE) as i64, number - 12);
    call.hist_print((globals[1] + rstap_abi::layout::VALUE) as i64);
    call.print_string(b"output");
    call.flush();
    call.push(RecordKind::Warning, &[text.as_bytes()]);
    let orders = [order::NONE, order::KEY + order::DESCENDING, order::VALUE, order::STAT + stat_op::SUM];
    for (index, &handle) in handles.iter().enumerate() {
        let order = orders[(dice.throw() % if index == 2 { 4 } else { 3 }) as usize];
        let mut walk = Walk::default();
        let iter = core::ptr::from_mut(&mut walk) as i64;
        caller.call().iter_begin(iter, handle, order as i64, -1, 0, 0);
        while caller.call().iter_next(iter) != 0 {
            caller.call().iter_key_long(iter, 0);
            caller.text(|call, out| call.iter_key_string(iter, 1, out));
            caller.text(|call, out| call.iter_value_string(iter, out));
        }
        caller.call().iter_end(iter);
    }
    caller.text(|call, out| call.string_get(globals[0] as i64, out));
    caller.context.fault = 0;
}

fn bench() -> Bench {
    let limits = Limits { max_string_len: 24, ..Limits::DEFAULT };
    let mut globals: Vec<GlobalShape> = shapes().into_iter().map(GlobalShape::Map).collect();
    globals.extend([GlobalShape::String, GlobalShape::Stat(STAT)]);
    Bench::new(&globals, limits)
}

/// Writes something to a random word; often something small, which looks more like an index.
fn scribble(bench: &Bench, dice: &mut Dice) {
    let words = bench.plan.size / 8;
    let at = dice.throw() % words;
    let value = dice.throw() >> (dice.throw() % 64);
    let word = bench.arena();
    let word = word.word(at * 8).expect("it is in the arena");
    if dice.throw().is_multiple_of(2) {
        word.store(value, Ordering::Relaxed);
    } else {
        word.fetch_xor(1 << (value % 64), Ordering::Relaxed);
    }
}

/// An arena with a wall of known bytes behind it would be the same test: `Arena` compares each access with its
/// size, and valgrind and the sanitizers watch the memory behind the vector.
#[test]
fn a_scribbled_arena_never_panics_or_hangs() {
    let start = Instant::now();
    for seed in 1..=40u64 {
        let bench = bench();
        let world = World { dead: vec![1], ..World::default() };
        let mut caller = bench.caller(&world);
        let mut consumer = bench.consumer();
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for round in 0..40 {
            use_everything(&bench, &mut caller, &mut dice);
            for _ in 0..1 + round % 8 {
                scribble(&bench, &mut dice);
            }
            bench.drain(&mut consumer);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(120), "an operation took far too long");
}

#[test]
fn an_arena_scribbled_while_it_is_used_never_panics_or_hangs() {
    let bench = bench();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(99);
            while !stop.load(Ordering::Relaxed) {
                scribble(&bench, &mut dice);
                std::thread::yield_now();
            }
        });
        for owner in 1..=2 {
            let bench = &bench;
            let stop = &stop;
            scope.spawn(move || {
                let world = World { owner, ..World::default() };
                let mut caller = bench.caller(&world);
                let mut dice = Dice(u64::from(owner) + 1);
                for _ in 0..150 {
                    use_everything(bench, &mut caller, &mut dice);
                }
                stop.store(true, Ordering::Relaxed);
            });
        }
    });
}
