//! Sharded globals: what threads add at the same time is all there when it is read, with and without shards of their
//! own, and the text of a script says which globals are sharded.

mod support;

use std::sync::Arc;

use rstap_abi::context::{REGISTER_COUNT, Registers, register};
use rstap_abi::layout::{Histogram, MapShape, StatShape, ValueShape};
use rstap_abi::session::state;
use rstap_core::arena::{Arena, Line};
use rstap_core::handler::{Hit, Outcome, Runner};
use rstap_core::image::Image;
use rstap_core::output::{Consumer, Record};
use rstap_core::session::SessionView;
use rstap_core::setup::{self, Plan};
use rstap_program::{Initial, Point, Program};
use rstap_sema::ir::*;
use support::build::*;
use support::mapped::Mapped;
use support::thread::{Buffers, Thread};

const STAT: StatShape =
    StatShape { histogram: Histogram::Log, variance_shift: 0, variance: false, sketch: false };

const EVERYTHING: StatShape = StatShape { variance: true, sketch: true, ..STAT };

fn array(name: &str, key_count: u8, string_keys: u16, value: ValueShape, capacity: u32) -> Global {
    let shape = MapShape { key_count, string_keys, value, capacity, sized: true, wrap: false };
    Global { name: name.to_owned(), kind: GlobalKind::Map(shape), initial: Initial::Zero, sharded: false }
}

fn key() -> Expr {
    long(ExprKind::Binary(
        BinaryOp::Mod,
        Box::new(long(ExprKind::Register(register::RDI as u8))),
        Box::new(num(10)),
        SITE,
    ))
}

fn value() -> Expr {
    long(ExprKind::Register(register::RDI as u8))
}

fn add(place: Place, value: Expr) -> Stmt {
    Stmt::Expr(update(place, BinaryOp::Add, value, false))
}

/// A probe in a program adds to globals of each kind; `timer.s(1)` prints them.
fn adding(capacity: u32) -> Script {
    let globals = vec![
        scalar("n", Type::Long),
        Global { kind: GlobalKind::Stat(EVERYTHING), ..scalar("s", Type::Long) },
        array("a", 1, 0, ValueShape::Long, capacity),
        array("h", 2, 2, ValueShape::Stat(STAT), capacity),
    ];
    let id = GlobalId;
    let adds = vec![
        add(Place::Global(id(0)), num(1)),
        Stmt::Aggregate(StatRef::Global(id(1)), value(), SITE),
        add(Place::Element(id(2), vec![key()].into()), num(2)),
        Stmt::Aggregate(StatRef::Element(id(3), vec![key(), text("x")].into()), value(), SITE),
    ];
    let stat = |stat: &StatRef, op| long(ExprKind::Stat(stat.clone(), op, SITE));
    let s = StatRef::Global(id(1));
    let element = StatRef::Local(LocalId(1));
    let walk = |map, keys: Vec<Option<LocalId>>, order, body| {
        let (slice, limit) = (Vec::new(), None);
        let value = Some(LocalId(1));
        Stmt::Foreach(Box::new(Foreach { map: id(map), keys, value, slice, order, limit, body, site: SITE }))
    };
    let number = |index| local(index, Type::Long);
    let reads = vec![
        print(vec![
            global(0, Type::Long),
            text(" "),
            stat(&s, 0),
            text(" "),
            stat(&s, 1),
            text(" "),
            stat(&s, 2),
            text(" "),
            stat(&s, 3),
        ]),
        walk(
            2,
            vec![Some(LocalId(0))],
            rstap_abi::layout::order::KEY,
            vec![print(vec![number(0), text("="), number(1)])],
        ),
        walk(
            3,
            vec![Some(LocalId(0)), None],
            rstap_abi::layout::order::KEY,
            vec![print(vec![number(0), text(":"), stat(&element, 0), text(" "), stat(&element, 1)])],
        ),
    ];
    let mut script = script(globals, Vec::new(), &[], adds);
    script.probes[0].flags = 0;
    script.probes[0].point = Point::Never;
    script.handlers.push(Handler {
        name: "timer".to_owned(),
        locals: locals(&[Type::Long, Type::Long]),
        body: reads,
        locks: Vec::new(),
        conditions: Vec::new(),
    });
    let timer = Point::Timer { period_ns: 1, randomize_ns: 0 };
    let probe = DerivedProbe { point: timer, handler: HandlerId(1), ..script.probes[0].clone() };
    script.probes.push(probe);
    rstap_sema::shards::assign(&mut script);
    rstap_sema::locks::assign(&mut script);
    script
}

/// A compiled script on an arena.
struct Stage {
    program: Program,
    mapped: Mapped,
    plan: Plan,
    memory: Vec<Line>,
}

impl Stage {
    fn new(script: &Script) -> Stage {
        let mut program = rstap_codegen::compile(script).expect("it compiles");
        // A busy machine can take the cpu from the holder of a lock for longer than the default tries last.
        program.limits.max_try_lock = 1_000_000;
        let mapped = Mapped::new(&program.image);
        let plan = setup::plan(program.arena.size, 1 << 16).expect("the arena is small");
        let memory = vec![Line([0; 8]); plan.size.div_ceil(64) as usize];
        let stage = Stage { program, mapped, plan, memory };
        setup::session(&stage.arena(), &stage.plan, &stage.program.limits).expect("the arena has its size");
        for global in &stage.program.arena.globals {
            setup::global(&stage.arena(), global.at, &global.shape, &stage.program.limits)
                .expect("it is in the arena");
        }
        SessionView::new(stage.arena()).expect("a session").set_state(state::RUNNING);
        stage
    }

    fn arena(&self) -> Arena<'_> {
        // SAFETY: the memory lives as long as the borrow of `self`, and is accessed through arenas only.
        unsafe { Arena::new(self.memory.as_ptr().cast(), self.plan.size) }
    }

    /// Runs probe `probe` once for each argument, in a new context.
    fn run(
        &self,
        owner: u32,
        probe: u32,
        own_shard: bool,
        arguments: impl Iterator<Item = u64>,
    ) -> Vec<Outcome> {
        // SAFETY: the mapping lives as long as the image is used, and `compile` made it.
        let image = unsafe { Image::new(self.mapped.address() as *const u8, self.program.image.len()) };
        let mut buffers = Buffers::new(&self.program.limits);
        let image = image.expect("an image of this ABI");
        let mut runner = Runner::new(image, self.arena(), &self.program.limits, buffers.memory())
            .expect("the memory is enough");
        let shard = if own_shard { runner.claim_shard() } else { 0 };
        assert_eq!(shard != 0, own_shard);
        arguments
            .map(|argument| {
                let mut registers: Registers = [0; REGISTER_COUNT];
                registers[register::RDI] = argument;
                let mut hit = Hit::default();
                hit.registers = Some(&registers);
                runner.run(&Thread(owner), probe, hit)
            })
            .collect()
    }

    fn printed(&self) -> String {
        let mut consumer = Consumer::new(&self.arena(), &self.plan).expect("a new ring");
        assert_eq!(self.run(99, 1, false, [0].into_iter()), [Outcome::Ran]);
        let (mut buffer, mut text) = (vec![0; 1 << 16], Vec::new());
        let take = |record: Record<'_>| {
            text.extend_from_slice(record.payload);
            true
        };
        consumer.drain(&mut buffer, |_| true, take);
        String::from_utf8(text).expect("text")
    }
}

#[test]
fn threads_count_exactly_in_shards() {
    const EACH: u64 = 20_000;
    let script = adding(100);
    assert!(script.globals.iter().all(|global| global.sharded));
    assert!(script.handlers[0].locks.is_empty());
    assert!(script.handlers[1].locks.iter().all(|lock| lock.gather && lock.write));
    let stage = Arc::new(Stage::new(&script));
    // Two with shards of their own, two that share one, and a reader in between.
    let threads: Vec<_> = (1..5)
        .map(|owner| {
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || {
                let outcomes = stage.run(owner, 0, owner <= 2, 0..EACH);
                assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ran));
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it counted");
    }
    let sum = 4 * (EACH * (EACH - 1) / 2);
    let mut expected = format!("{} {} {sum} 0 {}\n", 4 * EACH, 4 * EACH, EACH - 1);
    (0..10).for_each(|key| expected += &format!("{key}={}\n", 2 * 4 * EACH / 10));
    let of_key = |key: u64| (0..EACH).filter(|n| n % 10 == key).sum::<u64>() * 4;
    (0..10).for_each(|key| expected += &format!("{key}:{} {}\n", 4 * EACH / 10, of_key(key)));
    assert_eq!(stage.printed(), expected);
}

#[test]
fn a_context_that_is_gone_leaves_its_shard_to_the_next() {
    let stage = Stage::new(&adding(9));
    // Each has one of its own, so they have it one after the other.
    for _ in 0..2 * rstap_abi::limits::MAX_SHARDS {
        assert_eq!(stage.run(1, 0, true, 0..9).len(), 9);
    }
    let hits = u64::from(18 * rstap_abi::limits::MAX_SHARDS);
    assert!(stage.printed().starts_with(&format!("{hits} {hits} ")), "{}", stage.printed());
}

#[test]
fn a_full_sharded_array_is_a_fault() {
    let stage = Stage::new(&adding(9));
    let outcomes = stage.run(1, 0, true, 0..10);
    assert!(outcomes[..9].iter().all(|outcome| *outcome == Outcome::Ran));
    assert_eq!(outcomes[9], Outcome::Failed(rstap_abi::fault::Fault::ArrayOverflow));
}

#[test]
fn what_a_handler_reads_or_sets_is_not_sharded() {
    let mut script = adding(9);
    let marks = |script: &mut Script| -> Vec<bool> {
        rstap_sema::shards::assign(script);
        script.globals.iter().map(|global| global.sharded).collect()
    };
    // Read where it is added to; set; read by a probe in a program.
    script.handlers[0].body.push(set(0, global(0, Type::Long)));
    script.handlers[1].body.push(Stmt::DeleteGlobal(GlobalId(1), SITE));
    assert_eq!(marks(&mut script), [false, false, true, true]);
    let reader = DerivedProbe { point: Point::Never, ..script.probes[1].clone() };
    script.probes.push(reader);
    assert_eq!(marks(&mut script), [false, false, false, false]);
    script.globals[1].initial = Initial::Zero;
    let mut script = adding(9);
    script.probes[0].point = Point::Begin(0);
    assert_eq!(marks(&mut script), [false; 4]);
}
