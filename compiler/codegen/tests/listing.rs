//! The listing of `-p4` shows what is in the image.

mod support;

use rstap_abi::layout::{MapShape, ValueShape};
use rstap_program::Initial;
use rstap_sema::ir::*;
use support::build::*;

#[test]
fn listing_shows_handlers_probes_and_arena() {
    let shape = MapShape {
        key_count: 2,
        string_keys: 0b10,
        value: ValueShape::Long,
        capacity: 16,
        sized: true,
        wrap: true,
    };
    let globals = vec![
        Global { initial: Initial::Long(3), ..scalar("n", Type::Long) },
        Global { name: "a".to_owned(), kind: GlobalKind::Map(shape), initial: Initial::Zero, sharded: false },
    ];
    let mut script = script(globals, vec![], &[], vec![print(vec![global(0, Type::Long)])]);
    script.handlers[0].locks.swap(0, 1);
    script.handlers[0].locks[1].write = false;
    let listing = rstap_codegen::describe(&rstap_codegen::compile(&script).expect("it compiles"));
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!(lines[1], "# handlers");
    assert!(lines[2].starts_with("handler 0: code 0x"), "{listing}");
    assert!(lines[2].ends_with(" locks n (read), a (write)"), "locks are in the order of offsets: {listing}");
    assert_eq!(lines[3..5], ["# probes", "probe 0: begin -> handler 0"]);
    assert_eq!(lines[6], "0x40 n: long = 3");
    assert_eq!(lines[7], "0x80 a: array [long, string] of long, 16 entries, wraps");
}

#[test]
fn limits_that_are_too_large_are_refused() {
    let mut huge = script(vec![], vec![], &[], vec![]);
    huge.limits.max_string_len = 1 << 30;
    let error = rstap_codegen::compile(&huge).expect_err("frames cannot hold such strings");
    assert_eq!(error.to_string(), "MAXSTRINGLEN=1073741824 is too large (at most 65536)");

    let shape = MapShape {
        key_count: 9,
        string_keys: 0x1ff,
        value: ValueShape::String,
        capacity: u32::MAX,
        sized: true,
        wrap: false,
    };
    let map = Global {
        name: "big".to_owned(),
        kind: GlobalKind::Map(shape),
        initial: Initial::Zero,
        sharded: false,
    };
    let error =
        rstap_codegen::compile(&script(vec![map], vec![], &[], vec![])).expect_err("no arena is so large");
    assert!(error.to_string().contains("global 'big' does not fit"), "{error}");
}
