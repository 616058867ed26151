//! Scripts built by hand, one for each rule that random ones meet too rarely. Each runs compiled and in the evaluator.

mod support;

use rstap_abi::builtins::Builtin;
use rstap_abi::layout::{Histogram, MapShape, StatShape, ValueShape, order};
use rstap_sema::ir::*;
use support::build::*;
use support::run::check;

const L: Type = Type::Long;
const S: Type = Type::Str;

fn map(name: &str, string_keys: u16, value: ValueShape, capacity: u32) -> Global {
    let shape = MapShape { key_count: 1, string_keys, value, capacity, sized: true, wrap: false };
    Global {
        name: name.to_owned(),
        kind: GlobalKind::Map(shape),
        initial: Default::default(),
        sharded: false,
    }
}

fn function(name: &str, params: &[Type], ret: Option<Type>, body: Vec<Stmt>) -> Function {
    Function {
        name: name.to_owned(),
        param_count: params.len() as u32,
        locals: locals(params),
        ret,
        can_decline: body.contains(&Stmt::Decline),
        body,
    }
}

fn call(ids: &[u32], args: Vec<Expr>, ty: Type) -> Expr {
    Expr { ty, kind: ExprKind::Call(ids.iter().map(|id| FuncId(*id)).collect(), args, SITE) }
}

fn builtin(builtin: Builtin, args: Vec<Expr>, ty: Type) -> Expr {
    Expr { ty, kind: ExprKind::Builtin(builtin, args, SITE) }
}

fn concat(a: Expr, b: Expr) -> Expr {
    binary(BinaryOp::Concat, a, b)
}

fn assigned(index: u32, value: Expr) -> Expr {
    Expr { ty: value.ty, kind: ExprKind::Assign(Place::Local(LocalId(index)), Box::new(value), SITE) }
}

fn foreach(map: u32, key: u32, body: Vec<Stmt>) -> Foreach {
    Foreach {
        map: GlobalId(map),
        keys: vec![Some(LocalId(key))],
        value: None,
        slice: Vec::new(),
        order: order::NONE,
        limit: None,
        body,
        site: SITE,
    }
}

fn walk(map: u32, key: u32, body: Vec<Stmt>) -> Stmt {
    Stmt::Foreach(Box::new(foreach(map, key, body)))
}

fn increment(index: u32) -> Expr {
    update(Place::Local(LocalId(index)), BinaryOp::Add, num(1), true)
}

/// `for (l = 0; l < count; l++)`
fn count_to(index: u32, count: i64, body: Vec<Stmt>) -> Vec<Stmt> {
    let condition = compare(CompareOp::Lt, local(index, L), num(count));
    vec![set(index, num(0)), Stmt::Loop(Some(condition), body, Some(increment(index)))]
}

/// Fills array 0 with `[k] = 10 * k` for k below `count`, by local `index`.
fn fill(index: u32, count: i64) -> Vec<Stmt> {
    let element = Place::Element(GlobalId(0), vec![local(index, L)].into());
    count_to(index, count, vec![assign(element, binary(BinaryOp::Mul, local(index, L), num(10)))])
}

#[test]
fn numbers() {
    let of = |op, a, b| binary(op, num(a), num(b));
    let minus_one = || binary(BinaryOp::Sub, local(0, L), num(1));
    let args = vec![
        of(BinaryOp::ShiftLeft, 1, 65),
        text(" "),
        of(BinaryOp::ShiftRight, -8, -63),
        text(" "),
        of(BinaryOp::UnsignedShiftRight, -1, 63),
        text(" "),
        of(BinaryOp::Div, -7, 2),
        text(" "),
        of(BinaryOp::Mod, -7, 2),
        text(" "),
        of(BinaryOp::Div, i64::MIN, -1),
        text(" "),
        binary(BinaryOp::Div, num(i64::MIN), minus_one()),
        text(" "),
        binary(BinaryOp::Mod, num(i64::MIN), minus_one()),
        text(" "),
        binary(BinaryOp::Div, num(9), minus_one()),
    ];
    let expected = format!("2 -4 1 -3 -1 {0} {0} 0 -9\n", i64::MIN);
    check(&script(vec![], vec![], &[L], vec![print(args)]), &expected);
}

#[test]
fn division_by_zero_ends_the_handler_unless_caught() {
    let divide = || Stmt::Expr(binary(BinaryOp::Div, num(1), local(0, L)));
    let body = vec![
        Stmt::Try(
            vec![divide(), print(vec![text("not reached")])],
            Some(LocalId(1)),
            vec![print(vec![local(1, S)])],
        ),
        divide(),
        print(vec![text("nor this")]),
    ];
    check(&script(vec![], vec![], &[L, S], body), "division by 0\nDivisionByZero");
}

#[test]
fn strings_read_before_an_assignment_keep_their_value() {
    let body = vec![
        set(0, text("a")),
        print(vec![concat(local(0, S), assigned(0, text("b"))), local(0, S)]),
        print(vec![concat(assigned(0, text("c")), assigned(0, text("d")))]),
        print(vec![local(0, S), assigned(0, concat(local(0, S), text("e"))), local(0, S)]),
        set(0, long_text(local(0, S))),
        print(vec![local(0, S)]),
    ];
    check(&script(vec![], vec![], &[S], body), "abb\ncd\nddede\nde\n");
}

/// `1 ? s : ""`
fn long_text(value: Expr) -> Expr {
    string(ExprKind::Ternary(Box::new(num(1)), Box::new(value), Box::new(text(""))))
}

#[test]
fn only_values_are_cut_not_literals() {
    let literal = || text("abcdefghijklmnop");
    let show = function(
        "show",
        &[S],
        Some(S),
        vec![
            print(vec![local(0, S), text(" "), builtin(Builtin::strlen, vec![local(0, S)], L)]),
            Stmt::Return(Some(concat(local(0, S), text("!")))),
        ],
    );
    let body = vec![
        print(vec![literal(), text(" "), builtin(Builtin::strlen, vec![literal()], L)]),
        print(vec![assigned(0, literal()), text(" "), local(0, S)]),
        print(vec![call(&[0], vec![literal()], S)]),
        print(vec![concat(literal(), text("x"))]),
    ];
    let mut script = script(vec![], vec![show], &[S], body);
    script.limits.max_string_len = 8;
    check(&script, "abcdefghijklmnop 16\nabcdefg abcdefg\nabcdefg 7\nabcdefg\nabcdefg\n");
}

#[test]
fn updates_yield_old_or_new() {
    let globals = vec![map("a", 0, ValueShape::Long, 4), scalar("s", S), map("t", 1, ValueShape::String, 4)];
    let number =
        |op, value, old| update(Place::Element(GlobalId(0), vec![num(1)].into()), op, num(value), old);
    let append = |place, old| update(place, BinaryOp::Concat, text("x"), old);
    let element = || Place::Element(GlobalId(2), vec![text("k")].into());
    let body = vec![
        print(vec![
            number(BinaryOp::Add, 5, true),
            number(BinaryOp::Sub, 2, false),
            number(BinaryOp::Mul, 7, true),
        ]),
        print(vec![element_of(0, num(1), L), number(BinaryOp::Add, 1, false)]),
        print(vec![append(Place::Global(GlobalId(1)), true), append(Place::Global(GlobalId(1)), false)]),
        print(vec![append(element(), false), append(element(), true), element_of(2, text("k"), S)]),
        print(vec![
            append(Place::Local(LocalId(0)), true),
            append(Place::Local(LocalId(0)), true),
            local(0, S),
        ]),
    ];
    check(&script(globals, vec![], &[S], body), "033\n2122\nxx\nxxxx\nxxx\n");
}

fn element_of(map: u32, key: Expr, ty: Type) -> Expr {
    element(map, vec![key], ty)
}

#[test]
fn actions_are_charged_by_runs() {
    let show = |n| print(vec![num(n)]);
    let mut straight = script(vec![], vec![], &[], (0..8).map(show).collect());
    straight.limits.max_action_interruptible = 5;
    check(&straight, "MaxAction");
    straight.limits.max_action_interruptible = 8;
    check(&straight, "0\n1\n2\n3\n4\n5\n6\n7\n");

    // `while (1) n++` has two actions a turn, and no `try` catches the end of them.
    let endless = Stmt::Loop(None, vec![print(vec![increment(0)])], None);
    let mut caught = script(vec![], vec![], &[L], vec![Stmt::Try(vec![endless], None, vec![show(99)])]);
    caught.limits.max_action_interruptible = 8;
    check(&caught, "0\n1\n2\nMaxAction");
}

#[test]
fn walks_are_charged_by_turns() {
    // As observed of SystemTap: 40 actions are 19 turns of walks over 12 entries.
    let turns =
        || walk(0, 1, vec![Stmt::Expr(update(Place::Global(GlobalId(1)), BinaryOp::Add, num(1), true))]);
    let mut body = fill(0, 12);
    body.push(Stmt::Next);
    let mut script = script(
        vec![map("a", 0, ValueShape::Long, 20), scalar("n", L)],
        vec![],
        &[L, L],
        vec![turns(), turns(), turns(), turns()],
    );
    script.handlers.insert(0, Handler { body, ..script.handlers[0].clone() });
    let last = Handler { body: vec![print(vec![global(1, L)])], ..script.handlers[0].clone() };
    script.handlers.push(last);
    for handler in [1, 2] {
        script.probes.push(DerivedProbe { handler: HandlerId(handler), ..script.probes[0].clone() });
    }
    script.limits.max_action_interruptible = 40;
    check(&script, "");
    let seen = support::run::evaluate(&script);
    assert_eq!(seen[1].fault.as_ref().map(|fault| fault.0), Some(rstap_abi::fault::Fault::MaxAction));
    assert_eq!(seen[2].output, "19\\n");
}

#[test]
fn nesting_is_limited_and_the_fault_caught() {
    let down = function(
        "down",
        &[L],
        Some(L),
        vec![
            print(vec![local(0, L)]),
            Stmt::Return(Some(call(&[0], vec![binary(BinaryOp::Add, local(0, L), num(1))], L))),
        ],
    );
    let body = vec![
        Stmt::Try(
            vec![Stmt::Expr(call(&[0], vec![num(1)], L))],
            Some(LocalId(0)),
            vec![print(vec![local(0, S)])],
        ),
        Stmt::Expr(call(&[0], vec![num(7)], L)),
    ];
    let mut script = script(vec![], vec![down], &[S], body);
    script.limits.max_nesting = 3;
    check(&script, "1\n2\n3\nMAXNESTING exceeded\n7\n8\n9\nMaxNesting");
}

#[test]
fn candidates_may_decline() {
    let pick = |name: &str, wanted: i64| {
        let declines =
            Stmt::If(compare(CompareOp::Ne, local(0, L), num(wanted)), vec![Stmt::Decline], vec![]);
        function(name, &[L], Some(S), vec![declines, Stmt::Return(Some(text(name)))])
    };
    let mut functions = vec![pick("one", 1), pick("two", 2)];
    for function in &mut functions {
        function.can_decline = true;
    }
    let of = |n| print(vec![call(&[0, 1], vec![num(n)], S)]);
    check(&script(vec![], functions, &[], vec![of(1), of(2), of(3), of(1)]), "one\ntwo\nOverloadsExhausted");
}

#[test]
fn next_in_a_function_ends_the_handler() {
    let globals = || vec![map("a", 0, ValueShape::Long, 9)];
    let stop = function(
        "stop",
        &[L],
        Some(L),
        vec![
            Stmt::If(compare(CompareOp::Eq, local(0, L), num(2)), vec![Stmt::Next], vec![]),
            Stmt::Return(Some(local(0, L))),
        ],
    );
    let outer = function("outer", &[L], Some(L), vec![Stmt::Return(Some(call(&[0], vec![local(0, L)], L)))]);
    let mut body = fill(0, 4);
    let turn = vec![Stmt::Try(
        vec![print(vec![call(&[1], vec![local(1, L)], L)])],
        None,
        vec![print(vec![text("no")])],
    )];
    body.push(walk(0, 1, turn));
    body.push(print(vec![text("not reached")]));
    check(&script(globals(), vec![stop, outer], &[L, L], body), "0\n1\n");
}

#[test]
fn walks_that_are_left_give_their_memory_back() {
    // Each round leaves two walks in another way; together they would take far more than there is.
    let inner = |leave: Stmt| {
        walk(0, 2, vec![Stmt::If(compare(CompareOp::Eq, local(2, L), num(1)), vec![leave], vec![])])
    };
    let leaver = function(
        "leaver",
        &[L, L, L],
        Some(L),
        vec![walk(0, 1, vec![walk(0, 2, vec![Stmt::Return(Some(local(2, L)))])])],
    );
    let fails = Stmt::Expr(binary(BinaryOp::Mod, num(1), num(0)));
    let round = vec![
        walk(0, 1, vec![inner(Stmt::Break), Stmt::Break]),
        walk(0, 1, vec![inner(Stmt::Continue), Stmt::Continue]),
        Stmt::Try(vec![walk(0, 1, vec![walk(0, 2, vec![fails])])], None, vec![]),
        Stmt::Expr(call(&[0], vec![num(0), num(0), num(0)], L)),
    ];
    let mut body = fill(0, 50);
    body.extend(count_to(3, 60, round));
    body.push(print(vec![local(3, L)]));
    let mut script = script(vec![map("a", 0, ValueShape::Long, 50)], vec![leaver], &[L, L, L, L], body);
    script.limits.max_action_interruptible = 10_000_000;
    check(&script, "60\n");
}

#[test]
fn walks_have_order_limit_slice_and_value() {
    let mut body = fill(0, 6);
    let show = |order, limit: Option<i64>, slice: Vec<Option<Expr>>| {
        let body = vec![print(vec![local(1, L), text("="), local(2, L)])];
        let value = Some(LocalId(2));
        Stmt::Foreach(Box::new(Foreach { order, limit: limit.map(num), slice, value, ..foreach(0, 1, body) }))
    };
    body.push(show(order::VALUE + order::DESCENDING, Some(2), vec![]));
    body.push(print(vec![text("--")]));
    body.push(show(order::KEY, Some(-1), vec![]));
    body.push(show(order::NONE, None, vec![Some(num(3))]));
    check(
        &script(vec![map("a", 0, ValueShape::Long, 9)], vec![], &[L, L, L], body),
        "5=50\n4=40\n--\n3=30\n",
    );
}

#[test]
fn statistics_and_their_histograms() {
    let shape = StatShape {
        histogram: Histogram::Linear { start: 0, stop: 20, interval: 5 },
        variance: true,
        sketch: true,
        variance_shift: 0,
    };
    let stat = || StatRef::Element(GlobalId(0), vec![text("k")].into());
    let bucket = |index| long(ExprKind::StatAt(stat(), StatIndex::Bucket, Box::new(index), SITE));
    let mut body: Vec<Stmt> =
        [-9, 0, 5, 5, 10, 99].map(|value| Stmt::Aggregate(stat(), num(value), SITE)).into_iter().collect();
    body.push(Stmt::PrintHistogram(stat()));
    body.push(Stmt::ForeachBucket(
        LocalId(0),
        stat(),
        vec![print(vec![local(0, L), text(":"), bucket(local(0, L))])],
    ));
    body.push(Stmt::DeleteGlobal(GlobalId(0), SITE));
    body.push(Stmt::ForeachBucket(LocalId(0), stat(), vec![print(vec![text("no")])]));
    body.push(print(vec![long(ExprKind::Stat(stat(), rstap_abi::layout::stat_op::SUM, SITE))]));
    body.push(print(vec![bucket(num(0))]));
    let expected = "\
value |-------------------------------------------------- count
   <0 |@                                                  1
    0 |@                                                  1
    5 |@@                                                 2
   10 |@                                                  1
   15 |                                                   0
   20 |                                                   0
  >20 |@                                                  1

0:1
1:1
2:2
3:1
4:0
5:0
6:1
0
EmptyAggregate";
    check(&script(vec![map("h", 1, ValueShape::Stat(shape), 4)], vec![], &[L], body), expected);
}

#[test]
fn memory_is_extended_by_size_and_sign() {
    let read = |size, signed| {
        let address = Box::new(num(support::run::READABLE.start as i64 + 3));
        print(vec![long(ExprKind::Memory(address, size, signed, SITE))])
    };
    let mut body = Vec::new();
    for size in [1, 2, 4, 8] {
        body.extend([read(size, false), read(size, true)]);
    }
    let fails = long(ExprKind::Memory(Box::new(num(0x10)), 4, false, SITE));
    body.push(Stmt::Try(vec![print(vec![fails])], Some(LocalId(0)), vec![print(vec![local(0, S)])]));

    let bytes: Vec<u8> = (3..11).map(|n| support::run::byte_at(support::run::READABLE.start + n)).collect();
    let value = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let numbers = [
        i64::from(value as u8),
        i64::from(value as i8),
        i64::from(value as u16),
        i64::from(value as i16),
        i64::from(value as u32),
        i64::from(value as i32),
        value as i64,
        value as i64,
    ];
    let mut expected: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    expected.push_str("read fault [man error::fault] at 0x10\n");
    check(&script(vec![], vec![], &[S], body), &expected);
}

#[test]
fn arguments_of_printf_come_before_its_output() {
    let noisy =
        function("noisy", &[], Some(S), vec![print(vec![text("first")]), Stmt::Return(Some(text("third")))]);
    let body = vec![print(vec![text("second "), call(&[0], vec![], S)])];
    check(&script(vec![], vec![noisy], &[], body), "first\nsecond third\n");
}

#[test]
fn a_callee_may_change_its_copy_of_a_string() {
    let change = function(
        "change",
        &[S],
        Some(S),
        vec![set(0, concat(local(0, S), text("+"))), Stmt::Return(Some(local(0, S)))],
    );
    let body = vec![set(0, text("s")), print(vec![call(&[0], vec![local(0, S)], S), local(0, S)])];
    check(&script(vec![], vec![change], &[S], body), "s+s\n");
}

#[test]
fn error_has_its_text_and_abort_is_not_caught() {
    let raise = || Stmt::Expr(builtin(Builtin::raise, vec![text("mine")], L));
    let abort = Stmt::Expr(builtin(Builtin::abort, vec![], L));
    let body = vec![
        Stmt::Try(vec![raise()], Some(LocalId(0)), vec![print(vec![text("caught "), local(0, S)])]),
        Stmt::Try(vec![abort], None, vec![print(vec![text("no")])]),
        print(vec![text("nor this")]),
    ];
    let script = script(vec![], vec![], &[S], body);
    // `abort()` is no error, so the core reports none; the evaluator names what ended the handler.
    let program = rstap_codegen::compile(&script).expect("it compiles");
    let seen = support::run::execute(&program, true).swap_remove(0);
    assert_eq!((seen.output.as_str(), seen.fault), ("caught mine\\n", None));
    assert_eq!(support::run::evaluate(&script).swap_remove(0).output, "caught mine\\n");
}

#[test]
fn many_operands_reuse_stack_slots() {
    // As much as the main thread of a program has: without optimisation the compiler's own frames are large.
    let body = || std::thread::Builder::new().stack_size(8 << 20).spawn(sum_of_many);
    body().expect("a thread").join().expect("the sum is right");
}

fn sum_of_many() {
    let sum = (0..200).fold(text("a"), |sum, n| concat(sum, text(if n % 2 == 0 { "b" } else { "c" })));
    let body = vec![print(vec![sum])];
    let script = script(vec![], vec![], &[], body);
    check(&script, &format!("a{}\n", "bc".repeat(100)));
    let listing = rstap_codegen::describe(&rstap_codegen::compile(&script).expect("it compiles"));
    let stack =
        listing.split("stack ").nth(1).and_then(|rest| rest.split(' ').next()).expect("the stack is listed");
    assert!(stack.parse::<u32>().expect("a number") < 2048, "{listing}");
}

fn matches(subject: &str, pattern: &str) -> Expr {
    let pattern = rstap_sema::regex::parse(pattern.as_bytes()).expect("the pattern is right");
    long(ExprKind::Regex(Box::new(text(subject)), Box::new(pattern), true))
}

fn group(number: i64) -> Expr {
    builtin(Builtin::matched, vec![num(number)], S)
}

/// The leftmost place, the longest from there, and the first choices; empty rounds of a loop do not count.
#[test]
fn regular_expressions() {
    let mut body = Vec::new();
    let mut expected = String::new();
    for (subject, pattern, groups) in [
        ("xabcdx", "(a|ab)(c|bcd)?", &["abcd", "a", "bcd"][..]),
        ("xabcx", "a|abc", &["abc"]),
        ("aab", "(a*)*(b)", &["aab", "aa", "b"]),
        ("b", "(a*)+", &["", ""]),
        ("abab", "(a|(b))*", &["abab", "b", "b"]),
        ("a", "(()|a)+", &["a", "a", ""]),
        ("abc", "c$|^b|(^a)", &["a", "a"]),
        ("aaaaa", "a{2,3}", &["aaa"]),
        ("x-]y", "[]-]+", &["-]"]),
    ] {
        let mut shown = vec![matches(subject, pattern)];
        expected.push('1');
        for (number, group_text) in groups.iter().enumerate() {
            shown.extend([text("|"), group(number as i64)]);
            expected.push_str(&format!("|{group_text}"));
        }
        expected.push('\n');
        body.push(print(shown));
    }
    check(&script(Vec::new(), Vec::new(), &[], body), &expected);
}
