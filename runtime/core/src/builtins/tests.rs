//! Tests of the builtins that ask about the process, memory and time, with an environment made for them.

use std::string::String;
use std::vec;
use std::vec::Vec;

use rstap_abi::context::register;
use rstap_abi::layout::{GlobalShape, StatShape, VALUE};
use rstap_abi::limits::Limits;

use super::*;
use crate::output::parse_speculation;
use crate::testing::{Bench, Caller, MEMORY, World};

fn bench() -> Bench {
    Bench::new(&[GlobalShape::String, GlobalShape::Stat(StatShape::default())], Limits::DEFAULT)
}

fn on_bench(world: &World, test: impl FnOnce(&Bench, &mut Caller<'_>)) {
    let bench = bench();
    let mut caller = bench.caller(world);
    test(&bench, &mut caller);
}

#[test]
fn faults_have_systemtaps_words() {
    let world = World::default();
    on_bench(&world, |_, caller| {
        caller.call().raise(b"the reason\0 and more");
        assert_eq!(caller.take_fault().as_deref(), Some("the reason"));
        let cases: [(Fault, u64, &str); 9] = [
            (Fault::DivisionByZero, 0, "division by 0"),
            (Fault::MaxAction, 0, "MAXACTION exceeded"),
            (Fault::MaxNesting, 0, "MAXNESTING exceeded"),
            (Fault::ArrayOverflow, 0, "Array overflow, check MAXMAPENTRIES"),
            (Fault::ArrayOverflow, 3, "Array overflow, check size limit (3)"),
            (Fault::EmptyAggregate, 0, "empty aggregate"),
            (Fault::HistogramIndex, 0, "histogram index out of range"),
            (Fault::OverloadsExhausted, 0, "all functions exhausted"),
            (Fault::ReadFault, 16, "read fault [man error::fault] at 0x10"),
        ];
        for (fault, value, words) in cases {
            caller.call().fail(fault, value);
            assert_eq!(caller.take_fault().as_deref(), Some(words));
        }
        assert_eq!(caller.take_fault(), None);
    });
}

#[test]
fn bad_arguments_say_what_is_wrong() {
    let world = World::default();
    on_bench(&world, |_, caller| {
        caller.call().stringat(b"abc", 3);
        assert_eq!(caller.take_fault().as_deref(), Some("Position out of bounds"));
        caller.text(|call, out| call.ctime(i64::MAX, out));
        assert_eq!(caller.take_fault().as_deref(), Some("Time cannot be converted"));
        caller.call().register(b"nonsense");
        assert_eq!(caller.take_fault().as_deref(), Some("Unknown register: nonsense"));
        caller.call().register(b"rax");
        assert_eq!(caller.take_fault().as_deref(), Some("cannot access CPU registers in this context"));
    });
}

#[test]
fn tokenize_goes_on_with_the_string_before() {
    let world = World::default();
    on_bench(&world, |_, caller| {
        let mut token =
            |s: &str, by: &str| caller.text(|call, out| call.tokenize(s.as_bytes(), by.as_bytes(), out));
        assert_eq!(token("", " "), "");
        assert_eq!(token("a b,c d", " "), "a");
        assert_eq!(token("", ","), "b");
        assert_eq!(token("", " "), "c");
        assert_eq!(token("", " "), "d");
        assert_eq!(token("", " "), "");
        assert_eq!(token("whole", ","), "whole");
    });
}

#[test]
fn string_globals_are_cut_and_kept() {
    let world = World::default();
    on_bench(&world, |bench, caller| {
        let global = bench.globals[0] as i64;
        assert_eq!(caller.text(|call, out| call.string_get(global, out)), "");
        caller.call().string_set(global, b"some text that is longer than a word");
        assert_eq!(
            caller.text(|call, out| call.string_get(global, out)),
            "some text that is longer than a word"
        );
        caller.call().string_set(global, &[b'x'; 600]);
        assert_eq!(caller.text(|call, out| call.string_get(global, out)), "x".repeat(511));
        caller.call().string_set(global, b"");
        assert_eq!(caller.text(|call, out| call.string_get(global, out)), "");
    });
}

#[test]
fn string_globals_grow_where_they_are() {
    let world = World::default();
    let letters: String = ('a'..='z').cycle().take(600).collect();
    on_bench(&world, |bench, caller| {
        let global = bench.globals[0] as i64;
        for first in 0..18 {
            for second in 0..18 {
                let (one, two) = (&letters[..first], &letters[first..first + second]);
                caller.call().string_set(global, b"something longer than what comes after it");
                caller.call().string_set(global, one.as_bytes());
                caller.call().string_append(global, two.as_bytes());
                let text = caller.text(|call, out| call.string_get(global, out));
                assert_eq!(text, letters[..first + second]);
            }
        }
        caller.call().string_set(global, &letters.as_bytes()[..509]);
        caller.call().string_append(global, b"1234");
        caller.call().string_append(global, b"5");
        assert_eq!(
            caller.text(|call, out| call.string_get(global, out)),
            std::format!("{}12", &letters[..509])
        );
    });
}

#[test]
fn strings_are_read_up_to_the_nul_and_not_beyond() {
    let mut memory = vec_of(b'a', 128);
    memory[70] = 0;
    let world = World { memory, ..World::default() };
    on_bench(&world, |_, caller| {
        let mut read = |address, most| caller.text(|call, out| call.user_string(address as i64, most, out));
        assert_eq!(read(MEMORY, 511), "a".repeat(70), "the string ends before memory does");
        assert_eq!(read(MEMORY + 60, 4), "aaaa");
        assert_eq!(read(MEMORY, -1), "");
        assert_eq!(caller.take_fault(), None);
        assert_eq!(caller.text(|call, out| call.user_string(0, 511, out)), "");
        let words = "user string copy fault -14 at 0x0 [man error::fault]";
        assert_eq!(caller.take_fault().as_deref(), Some(words));
        assert_eq!(caller.text(|call, out| call.user_string(MEMORY as i64 + 80, 511, out)), "");
        assert!(caller.take_fault().is_some(), "there is no NUL before the end of memory");
        assert_eq!(caller.text(|call, out| call.user_string(MEMORY as i64 + 120, 7, out)), "a".repeat(7));
        assert_eq!(caller.text(|call, out| call.user_string(MEMORY as i64 + 120, 8, out)), "");
        assert!(caller.take_fault().is_some(), "whether the string goes on cannot be known");
        assert_eq!(caller.text(|call, out| call.user_buffer(MEMORY as i64 + 120, 8, out)), "a".repeat(8));
        assert_eq!(caller.text(|call, out| call.user_buffer(MEMORY as i64 + 69, 3, out)), "a\0a");
    });
}

#[test]
fn quoted_strings_never_fault() {
    let mut memory = vec_of(b'a', 128);
    memory[3..5].copy_from_slice(b"\n\0");
    let world = World { memory, ..World::default() };
    on_bench(&world, |_, caller| {
        let mut quoted =
            |address: u64, most| caller.text(|call, out| call.user_string_quoted(address as i64, most, out));
        assert_eq!(quoted(MEMORY, 511), r#""aaa\n""#);
        assert_eq!(quoted(MEMORY, 2), r#""aa""#);
        assert_eq!(quoted(0, 511), "0x0");
        assert_eq!(quoted(MEMORY + 120, 511), std::format!("{:#x}", MEMORY + 120), "memory ends before it");
        assert_eq!(caller.call().user_readable(MEMORY as i64, 128), 1);
        assert_eq!(caller.call().user_readable(0, 0), 0);
        assert_eq!(caller.call().user_readable(-1, 9), 0);
        assert_eq!(caller.take_fault(), None);
    });
}

fn vec_of(byte: u8, len: usize) -> Vec<u8> {
    std::vec![byte; len]
}

#[test]
fn numbers_registers_and_arguments() {
    let world = World { memory: (0..64).collect(), ..World::default() };
    on_bench(&world, |_, caller| {
        assert_eq!(caller.call().read_memory(MEMORY as i64 + 1, 4), 0x0403_0201);
        assert_eq!(caller.call().read_memory(MEMORY as i64 + 1, 1), 1);
        caller.call().read_memory(0xbad, 8);
        assert_eq!(caller.take_fault().as_deref(), Some("read fault [man error::fault] at 0xbad"));
        caller.call().write_memory(0xbad, 8, 1);
        assert_eq!(caller.take_fault().as_deref(), Some("write fault [man error::fault] at 0xbad"));

        caller.context.flags = flags::HAS_REGISTERS;
        caller.context.registers[register::RDI] = 0xffff_ffff_ffff_fff0;
        caller.context.registers[register::RSP] = MEMORY;
        assert_eq!(caller.call().argument(1), -16);
        assert_eq!(caller.call().argument(7), 0x0f0e_0d0c_0b0a_0908, "above the return address");
        assert_eq!(caller.call().register(b"edi"), -16);
        assert_eq!(caller.call().u_register(b"edi"), 0xffff_fff0);
        assert_eq!(caller.call().u_register(b"dil"), 0xf0);
        assert_eq!(caller.call().register_number(register::RDI as i64), -16);
        assert_eq!(caller.take_fault(), None);
        caller.call().vector_register(17, 0);
        let fault = caller.take_fault();
        assert_eq!(fault.as_deref(), Some("cannot read floating-point registers here"));
        caller.call().argument(0);
        assert!(caller.take_fault().is_some());
    });
}

#[test]
fn output_larger_than_its_memory_goes_out_in_parts() {
    let world = World::default();
    on_bench(&world, |bench, caller| {
        let mut consumer = bench.consumer();
        caller.call().print_long(-5);
        caller.call().print_string(&[b'x'; 5000]);
        assert_eq!(caller.take_output(), "x".repeat(5002 - 2 * 2048));
        let sent: Vec<u8> = bench.drain(&mut consumer).into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(sent.len(), 2 * 2048);
        assert!(sent.starts_with(b"-5xxx"));
    });
}

#[test]
fn speculations_travel_apart_from_the_output() {
    let world = World::default();
    on_bench(&world, |bench, caller| {
        let mut consumer = bench.consumer();
        let mut call = caller.call();
        let (kept, thrown) = (call.speculation(), call.speculation());
        assert_ne!(kept, thrown);
        call.print_string(b"before ");
        for number in [kept, thrown] {
            call.speculate(number);
            call.print_string(b"perhaps");
            call.speculate(0);
        }
        call.print_string(b"after");
        call.commit(kept);
        call.discard(thrown);
        let records = bench.drain(&mut consumer);
        let kinds: Vec<RecordKind> = records.iter().map(|(kind, _)| *kind).collect();
        use RecordKind::{Commit, Discard, Output, Speculated};
        assert_eq!(kinds, [Output, Speculated, Speculated, Output, Commit, Discard]);
        assert_eq!(parse_speculation(&records[1].1), Some((kept as u64, b"perhaps".as_slice())));
        assert_eq!(parse_speculation(&records[4].1), Some((kept as u64, b"".as_slice())));
    });
}

#[test]
fn output_comes_before_the_command_that_follows_it() {
    let world = World::default();
    on_bench(&world, |bench, caller| {
        let mut consumer = bench.consumer();
        caller.call().print_string(b"first");
        caller.call().system(b"echo then");
        caller.call().warn(b"careful");
        let expected: [(RecordKind, &[u8]); 3] = [
            (RecordKind::Output, b"first"),
            (RecordKind::System, b"echo then"),
            (RecordKind::Warning, b"careful"),
        ];
        let records = bench.drain(&mut consumer);
        let records: Vec<_> = records.iter().map(|(kind, payload)| (*kind, payload.as_slice())).collect();
        assert_eq!(records, expected);
    });
}

#[test]
fn histograms_of_nothing_are_faults() {
    let world = World::default();
    on_bench(&world, |bench, caller| {
        let stat = (bench.globals[1] + VALUE) as i64;
        for stat in [stat, 0] {
            caller.call().hist_print(stat);
            assert_eq!(caller.take_fault().as_deref(), Some("empty aggregate"));
        }
        caller.call().stat_add(stat, 1);
        caller.call().hist_bucket(stat, 0);
        assert_eq!(caller.take_fault().as_deref(), Some("histogram index out of range"));
    });
}

#[test]
fn chance_stays_in_its_range() {
    let world = World::default();
    on_bench(&world, |_, caller| {
        let mut seen = [false; 3];
        (0..300).for_each(|_| seen[caller.call().randint(3) as usize] = true);
        assert_eq!(seen, [true; 3]);
        assert_eq!([1, 0, -1, i64::MIN].map(|n| caller.call().randint(n)), [0; 4]);
        assert!(caller.call().randint(i64::MAX) >= 0);
    });
}

/// The target may write over the expression: nonsense matches something or nothing, and ends.
#[test]
fn nonsense_for_an_expression_ends() {
    let bench = Bench::new(&[], Limits::DEFAULT);
    let world = World::default();
    let mut caller = bench.caller(&world);
    let mut state = 1u64;
    for _ in 0..2000 {
        let mut program = [0u8; 40 + 8 * 12 + 32];
        for byte in &mut program {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *byte = (state >> 56) as u8 % 9;
        }
        program[0] = 12;
        program[1..3].fill(0);
        program[2] = (state >> 40) as u8 % 4;
        program[3..8].fill(0);
        for step in program[40..136].as_chunks_mut::<8>().0 {
            step[5] = 0;
            step[7] = 0;
        }
        let found = caller.call().regex_match(&[1, 2, 3, 4, 0, 7, 8, 1, 1, 5], &program);
        let group = caller.text(|call, out| call.matched(1, out));
        assert!(found == 1 || group.is_empty());
        caller.context.fault = 0;
    }
    assert_eq!(caller.call().regex_match(b"a", &[255; 7]), 0);
    assert_eq!(caller.call().regex_match(b"a", &[255; 4000]), 0);
}

#[test]
fn wide_integers_are_decimal() {
    let world = World::default();
    on_bench(&world, |_, caller| {
        let mut text = |value: i128, signed: i64| {
            caller.text(|call, out| call.wide_text(value as i64, (value >> 64) as i64, signed, out))
        };
        for value in [0, 9, 10, -1, i128::MAX, i128::MIN, 1 << 64, -(1 << 100)] {
            assert_eq!(text(value, 1), std::format!("{value}"));
            assert_eq!(text(value, 0), std::format!("{}", value as u128));
        }
    });
}

#[test]
fn slots_in_use_are_found() {
    let mut memory = vec![0xff; 300];
    (memory[3], memory[200]) = (0x7f, 0);
    let world = World { memory, ..World::default() };
    on_bench(&world, |_, caller| {
        let start = MEMORY as i64;
        assert_eq!(caller.call().full_next(start), start + 3);
        assert_eq!(caller.call().full_next(start + 4), start + 200);
        assert_eq!(caller.take_fault(), None);
        caller.call().full_next(start + 201);
        assert!(caller.take_fault().is_some());
    });
}

#[test]
fn trees_are_walked_in_order() {
    // Nodes of three words: parent, left, right. 1 is the root over 0 and 3, 3 is over 2.
    let node = |index: u64| (MEMORY + index * 24) as i64;
    let links = [(1, 9, 9), (4, 0, 3), (3, 9, 9), (1, 2, 9), (1, 9, 9)];
    let link = |index: u64| if index == 9 { 0 } else { node(index) };
    let words = links.iter().flat_map(|&(parent, left, right)| [link(parent), link(left), link(right)]);
    let world = World { memory: words.flat_map(i64::to_le_bytes).collect(), ..World::default() };
    on_bench(&world, |_, caller| {
        let mut order = vec![node(0)];
        for _ in 0..3 {
            let last = order[order.len() - 1];
            order.push(caller.call().tree_next(last, 0, 8, 16));
        }
        assert_eq!(order, [node(0), node(1), node(2), node(3)]);
        assert_eq!(caller.take_fault(), None);
        caller.call().tree_next(0xbad, 0, 8, 16);
        assert!(caller.take_fault().is_some());
    });
}

#[test]
fn b_trees_are_walked_in_order() {
    // Nodes of eight words: parent, number there, length, then three nodes below. A root with two entries over leaves
    // of one, two and one.
    let node = |index: i64| MEMORY as i64 + index * 64;
    let nodes = [
        [0, 0, 2, node(1), node(2), node(3), 0, 0],
        [node(0), 0, 1, 0, 0, 0, 0, 0],
        [node(0), 1, 2, 0, 0, 0, 0, 0],
        [node(0), 2, 1, 0, 0, 0, 0, 0],
    ];
    let memory = nodes.into_iter().flatten().flat_map(i64::to_le_bytes).collect();
    let world = World { memory, ..World::default() };
    on_bench(&world, |_, caller| {
        let mut next = |cursor| caller.call().btree_next(cursor, 0, 8, 16, 24);
        let passed = |node: i64, passed: i64, height: i64| node | passed << 48 | height << 56;
        let mut at = passed(node(0), 0, 1);
        let walk = [(); 6].map(|()| {
            at = next(at);
            at
        });
        let order = [(1, 1, 0), (0, 1, 1), (2, 1, 0), (2, 2, 0), (0, 2, 1), (3, 1, 0)];
        assert_eq!(walk, order.map(|(index, of_it, height)| passed(node(index), of_it, height)));
        assert_eq!(caller.take_fault(), None);
        // Behind the last entry.
        caller.call().btree_next(walk[5], 0, 8, 16, 24);
        assert!(caller.take_fault().is_some());
    });
}

#[test]
fn slots_of_go_maps_are_found_in_old_and_new_buckets_and_their_chains() {
    // Buckets of two words: eight marks, and the next one of the chain.
    let bucket = |index: i64| MEMORY as i64 + index * 16;
    let marks = |full: [u8; 8]| i64::from_le_bytes(full);
    let words = [
        // Moved already.
        [marks([2, 3, 4, 0, 0, 0, 0, 0]), 0],
        [marks([0, 9, 0, 0, 0, 0, 0, 0]), bucket(4)],
        [marks([0, 0, 0, 0, 0, 0, 0, 5]), 0],
        [marks([0; 8]), 0],
        [marks([6, 0, 0, 0, 0, 0, 0, 0]), 0],
    ];
    let memory = words.into_iter().flatten().flat_map(i64::to_le_bytes).collect();
    let world = World { memory, ..World::default() };
    on_bench(&world, |_, caller| {
        let mut slot = |n| caller.call().go_map_slot(n, bucket(2), 2, bucket(0), 2, 16, 8);
        let found = [0, 1, 2].map(&mut slot);
        assert_eq!(found, [bucket(1) | 1 << 48, bucket(4), bucket(2) | 7 << 48]);
        assert_eq!(caller.take_fault(), None);
        caller.call().go_map_slot(3, bucket(2), 2, bucket(0), 2, 16, 8);
        assert!(caller.take_fault().is_some());
        // A chain that leads back to itself ends.
        caller.call().go_map_slot(0, bucket(5), 1, 0, 0, 16, 0);
        assert!(caller.take_fault().is_some());
    });
}

#[test]
fn floats_are_worded_and_widened() {
    on_bench(&World::default(), |_, caller| {
        let mut text = |value: f64| caller.text(|call, out| call.fp_text(value.to_bits() as i64, out));
        assert_eq!([text(1.5), text(0.1), text(-3.0), text(1e300)], ["1.5", "0.1", "-3.0", "1e300"]);
        let mut widened = |mantissa: u64, rest: u16| {
            f64::from_bits(caller.call().fp80_to_fp64(mantissa as i64, rest.into()) as u64)
        };
        assert_eq!(widened(0xc000_0000_0000_0000, 0x4000), 3.0);
        assert_eq!(widened(0x8000_0000_0000_0000, 0xbffe), -0.5);
        assert_eq!(widened(0, 0), 0.0);
        assert_eq!(widened(1 << 63, 0x7fff), f64::INFINITY);
        assert_eq!(widened(u64::MAX, 0x7ffe), f64::INFINITY);
        assert!(widened(0xc000_0000_0000_0000, 0x7fff).is_nan());
    });
}
