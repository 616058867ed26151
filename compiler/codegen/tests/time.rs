//! How long compiling takes. Times are printed, and bounded loosely: the machine may be busy and the build a debug one.

mod support;

use std::time::{Duration, Instant};

use rstap_sema::ir::*;
use support::build::*;

/// `probe process("x").function("f") { n[$arg]++ if (n[$arg] > 5) printf("%d %d\n", $arg, n[$arg]) }`
fn small() -> Script {
    let map = rstap_abi::layout::MapShape {
        key_count: 1,
        string_keys: 0,
        value: rstap_abi::layout::ValueShape::Long,
        capacity: 2048,
        sized: false,
        wrap: false,
    };
    let n = Global {
        name: "n".to_owned(),
        kind: GlobalKind::Map(map),
        initial: rstap_program::Initial::Zero,
        sharded: false,
    };
    let arg = || long(ExprKind::Register(5));
    let element = || element(0, vec![arg()], Type::Long);
    script(
        vec![n],
        Vec::new(),
        &[],
        vec![
            Stmt::Expr(update(Place::Element(GlobalId(0), vec![arg()].into()), BinaryOp::Add, num(1), true)),
            Stmt::If(
                compare(CompareOp::Gt, element(), num(5)),
                vec![print(vec![arg(), text(" "), element()])],
                vec![],
            ),
        ],
    )
}

/// One handler of this many statements.
fn large(statements: usize) -> Script {
    let x = || local(0, Type::Long);
    let body = (0..statements as i64)
        .map(|n| match n % 3 {
            0 => set(0, binary(BinaryOp::Add, x(), num(n))),
            1 => assign(Place::Global(GlobalId(0)), binary(BinaryOp::Xor, x(), num(n))),
            _ => print(vec![text("x = "), x()]),
        })
        .collect();
    script(vec![scalar("g", Type::Long)], Vec::new(), &[Type::Long], body)
}

fn fastest(script: &Script, runs: usize) -> Duration {
    let time = |_| {
        let begin = Instant::now();
        rstap_codegen::compile(script).expect("the script compiles");
        begin.elapsed()
    };
    (0..runs).map(time).min().expect("it ran")
}

#[test]
fn compiling_is_fast() {
    let slower = if cfg!(debug_assertions) { 30 } else { 1 };
    for (name, script, bound_ms) in
        [("small", small(), 3), ("499 statements", large(499), 150), ("5,000 statements", large(5000), 400)]
    {
        let time = fastest(&script, 5);
        println!("{name}: {time:?}");
        assert!(time < Duration::from_millis(bound_ms * slower), "{name}: {time:?}");
    }
}
