//! The image runs wherever it is mapped, and calls out only through the table.

mod support;

use rstap_abi::builtins::{Builtin, COUNT};
use rstap_abi::context::Context;
use rstap_abi::format::{Argument, Directive, conversion};
use rstap_program::Program;
use rstap_sema::ir::*;
use support::build::*;
use support::mapped::Mapped;

extern "C" fn printf(ctx: *mut Context, directives: *const Directive, count: usize, args: *const Argument) {
    // SAFETY: the test passes a context whose `env` is the address of a live `String`, and the image that it has mapped.
    let (out, image) = unsafe { (&mut *((*ctx).env as *mut String), (*ctx).image) };
    // SAFETY: compiled code passes so many directives, and an argument for each that is not a literal.
    let directives = unsafe { std::slice::from_raw_parts(directives, count) };
    let taken = directives.iter().filter(|directive| directive.conversion != conversion::LITERAL).count();
    // SAFETY: as above.
    let mut args = unsafe { std::slice::from_raw_parts(args, taken) }.iter();
    let mut put_text = |address: u64, len: u64| {
        // SAFETY: compiled code passes address and length of a string; literals are in the image.
        let text = unsafe { std::slice::from_raw_parts(address as *const u8, len as usize) };
        out.push_str(&String::from_utf8_lossy(text));
    };
    for directive in directives {
        if directive.conversion == conversion::LITERAL {
            put_text(image + u64::from(directive.text), u64::from(directive.text_len));
            continue;
        }
        let arg = args.next().expect("there is one for each");
        match directive.conversion {
            conversion::STRING => put_text(arg.a, arg.b),
            conversion::SIGNED => {
                let digits = (arg.a as i64).to_string();
                put_text(digits.as_ptr().addr() as u64, digits.len() as u64);
            }
            other => panic!("the script has no conversion {other}"),
        }
    }
}

extern "C" fn not_expected() {
    panic!("a builtin that the script does not use");
}

/// `function fact(n) { if (n < 2) return 1 return n * fact(n - 1) }`
fn fact() -> Function {
    let n = || local(0, Type::Long);
    let call = long(ExprKind::Call(vec![FuncId(0)], vec![binary(BinaryOp::Sub, n(), num(1))], SITE));
    Function {
        name: "fact".to_owned(),
        param_count: 1,
        locals: locals(&[Type::Long]),
        ret: Some(Type::Long),
        can_decline: false,
        body: vec![
            Stmt::If(compare(CompareOp::Lt, n(), num(2)), vec![Stmt::Return(Some(num(1)))], Vec::new()),
            Stmt::Return(Some(binary(BinaryOp::Mul, n(), call))),
        ],
    }
}

/// Counts to 5 in a loop, then computes 10! by recursion, and keeps it in a global.
fn example() -> Script {
    let i = || local(0, Type::Long);
    let call = long(ExprKind::Call(vec![FuncId(0)], vec![num(10)], SITE));
    let turn = update(Place::Local(LocalId(0)), BinaryOp::Add, num(1), true);
    script(
        vec![scalar("g", Type::Long)],
        vec![fact()],
        &[Type::Long],
        vec![
            Stmt::Loop(
                Some(compare(CompareOp::Lt, i(), num(5))),
                vec![print(vec![text("i = "), i()])],
                Some(turn),
            ),
            assign(Place::Global(GlobalId(0)), call),
            print(vec![global(0, Type::Long)]),
        ],
    )
}

/// Calls the handler with this many actions: its output and its fault.
fn run(mapped: &Mapped, arena: &mut [u64], actions: i64) -> (String, u32) {
    let mut out = String::new();
    let mut table = [not_expected as extern "C" fn() as usize as u64; COUNT];
    let printf: extern "C" fn(*mut Context, *const Directive, usize, *const Argument) = printf;
    table[Builtin::printf as usize] = printf as usize as u64;
    let mut context = Context {
        builtins: table.as_ptr().addr() as u64,
        arena: arena.as_mut_ptr().addr() as u64,
        env: (&raw mut out).addr() as u64,
        actions,
        nesting: 10,
        ..Context::EMPTY
    };
    mapped.call(0, &mut context);
    assert_eq!(context.nesting, 10);
    (out, context.fault)
}

fn compiled() -> Program {
    rstap_codegen::compile(&example()).expect("the example compiles")
}

#[test]
fn image_runs_at_two_addresses() {
    let program = compiled();
    let (first, second) = (Mapped::new(&program.image), Mapped::new(&program.image));
    assert_ne!(first.address(), second.address());
    let mut arena = vec![0; program.arena.size as usize / 8];
    let expected = "i = 0\ni = 1\ni = 2\ni = 3\ni = 4\n3628800\n";
    assert_eq!(run(&first, &mut arena, 1000), (expected.to_owned(), 0));
    assert_eq!(run(&second, &mut arena, 1000), (expected.to_owned(), 0));
}

/// Made in another buffer, at another address: nothing of that address is in it.
#[test]
fn image_is_the_same_each_time() {
    assert_eq!(compiled().image, compiled().image);
}

#[test]
fn actions_run_out_without_a_trace_of_the_run() {
    let program = compiled();
    let mapped = Mapped::new(&program.image);
    let mut arena = vec![0; program.arena.size as usize / 8];
    let (out, fault) = run(&mapped, &mut arena, 5);
    assert_eq!(fault, rstap_abi::fault::Fault::MaxAction as u32);
    assert_eq!(out, "i = 0\ni = 1\n");
}
