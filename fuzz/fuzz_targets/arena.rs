//! A target can write anything into the arena that it shares with rstap: whatever is there, the host reads records and
//! counters from it without a panic, in bounded time.
//!
//! The input is a list of changes to a fresh arena: offset in words, then the word.

#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use rstap_abi::layout::{GlobalShape, Off};
use rstap_abi::limits::Limits;
use rstap_core::arena::{Arena, Line};
use rstap_core::output::{Consumer, parse_fault, parse_speculation};
use rstap_core::session::{SessionView, skipped};
use rstap_core::setup;

/// Bytes of globals before the session.
const GLOBALS: u64 = 4096;

fuzz_target!(|changes: Vec<(u16, u64)>| {
    let limits = Limits::DEFAULT;
    let plan = setup::plan(GLOBALS, 4096).expect("a small arena");
    let mut memory = vec![Line([0; 8]); plan.size.div_ceil(size_of::<Line>() as u64) as usize];
    let arena = Arena::in_memory(&mut memory);
    setup::session(&arena, &plan, &limits).expect("the arena is as large as its plan");
    setup::global(&arena, Off::new(0x400), &GlobalShape::String, &limits).expect("the global fits");

    for &(word, value) in &changes {
        // SAFETY: the word is inside the memory, which no reference but the arena's atomics is held to.
        let cell = unsafe {
            &*(arena.address() as *const AtomicU64).add(usize::from(word) % (arena.size() as usize / 8))
        };
        cell.store(value, Ordering::Relaxed);
    }
    read(&arena, &plan);
});

fn read(arena: &Arena<'_>, plan: &setup::Plan) {
    let mut consumer = Consumer::new(arena, plan).expect("the plan is rstap's own");
    let mut buffer = vec![0; plan.ring_words as usize * 8];
    // Twice: what the first pass leaves must do for the next one.
    for _ in 0..2 {
        let drained = consumer.drain(
            &mut buffer,
            |thread| thread % 2 == 0,
            |record| {
                let _ = (parse_fault(record.payload), parse_speculation(record.payload));
                true
            },
        );
        assert!(drained.records + drained.lost <= plan.ring_words);
    }
    if let Ok(session) = SessionView::new(*arena) {
        let _ = (session.state(), session.exit_requested(), session.is_running(), skipped(&session.counts()));
    }
}
