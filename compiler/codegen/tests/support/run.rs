//! A script run twice: compiled, on `rstap_core`, and by the evaluator. Both see the same small world.

use rstap_abi::context::{Context, REGISTER_COUNT, Registers};
use rstap_abi::fault::Fault;
use rstap_abi::layout::GlobalShape;
use rstap_abi::record::{NO_SITE, RecordKind};
use rstap_core::arena::{Arena, Line};
use rstap_core::env::{Clock, Env};
use rstap_core::handler::{Hit, Runner};
use rstap_core::image::Image;
use rstap_core::output::{Consumer, parse_fault, put_formatted};
use rstap_core::setup;
use rstap_program::{Initial, Program};
use rstap_sema::ir::eval::{Environment, Evaluator};
use rstap_sema::ir::{HandlerId, Script};

use super::mapped::Mapped;
use super::thread::Buffers;

/// Addresses that can be read: byte `a` of them is [`byte_at`].
pub const READABLE: std::ops::Range<u64> = 0x1000..0x1800;

/// Bytes for the values saved at entry.
pub const ENTRY_BYTES: usize = 4096;

/// What a handler left behind, as far as it can be compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its output, as text.
    pub output: String,
    /// Fault, site and text.
    pub fault: Option<(Fault, u32, String)>,
}

/// What memory holds at an address.
pub fn byte_at(address: u64) -> u8 {
    (address.wrapping_mul(167) >> 2) as u8
}

fn read(address: u64, len: usize) -> Option<Vec<u8>> {
    let end = address.checked_add(len as u64)?;
    (READABLE.contains(&address) && end <= READABLE.end).then(|| (address..end).map(byte_at).collect())
}

fn registers() -> Registers {
    let mut registers = [0; REGISTER_COUNT];
    for (index, register) in registers.iter_mut().enumerate() {
        *register = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    registers
}

struct World;

impl Environment for World {
    fn register(&mut self, index: u8) -> u64 {
        registers()[usize::from(index)]
    }

    fn read(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        read(address, len)
    }
}

impl Env for World {
    fn owner(&self) -> u32 {
        1
    }

    fn is_alive(&self, _owner: u32) -> bool {
        true
    }

    fn pause_us(&self, _us: u64) {
        panic!("nobody else holds the locks");
    }

    fn time_ns(&self, _clock: Clock) -> i64 {
        0
    }

    fn read_target(&self, _context: &Context, address: u64, into: &mut [u8]) -> bool {
        read(address, into.len()).map(|bytes| into.copy_from_slice(&bytes)).is_some()
    }
}

/// Runs the probes of a script one after the other with the evaluator.
pub fn evaluate(script: &Script) -> Vec<Seen> {
    let mut evaluator = Evaluator::new(script, World);
    let actions = script.limits.max_action_interruptible as i64;
    (0..script.probes.len())
        .map(|probe| {
            evaluator.entry.clear();
            let outcome = evaluator.run(HandlerId(script.probes[probe].handler.0), actions);
            Seen {
                output: outcome.output.escape_ascii().to_string(),
                fault: outcome.failure.map(|failure| {
                    let site = failure.site.map_or(NO_SITE, |site| site.0);
                    (failure.fault, site, failure.text().escape_ascii().to_string())
                }),
            }
        })
        .collect()
}

/// Runs the probes of a compiled script one after the other on the core, in a context that has a shard of its own or not.
pub fn execute(program: &Program, has_shard: bool) -> Vec<Seen> {
    let mapped = Mapped::new(&program.image);
    // SAFETY: the mapping lives as long as the image is used, and `compile` made it.
    let image = unsafe { Image::new(mapped.address() as *const u8, program.image.len()) };
    let image = image.expect("an image of this ABI");
    let plan = setup::plan(program.arena.size, 1 << 16).expect("the arena is small");
    let mut memory = vec![Line([0; 8]); plan.size.div_ceil(64) as usize];
    let arena = Arena::in_memory(&mut memory);
    prepare(program, &arena, &plan);
    let mut consumer = Consumer::new(&arena, &plan).expect("a new arena");
    let mut buffers = Buffers::new(&program.limits);
    let mut runner = Runner::new(image, arena, &program.limits, buffers.memory()).expect("enough memory");
    if has_shard {
        runner.claim_shard();
    }
    let world = Draining(image, std::cell::RefCell::new((&mut consumer, Gathered::default())));
    (0..program.probes.len())
        .map(|probe| {
            let mut entry = vec![0; ENTRY_BYTES / 8];
            let registers = registers();
            let mut hit = Hit::default();
            hit.registers = Some(&registers);
            hit.always = true;
            // SAFETY: the scripts of these tests keep to ENTRY_BYTES.
            unsafe { hit.set_entry_values(&mut entry) };
            runner.run(&world, probe as u32, hit);
            world.drain();
            std::mem::take(&mut world.1.borrow_mut().1).seen()
        })
        .collect()
}

fn prepare(program: &Program, arena: &Arena<'_>, plan: &setup::Plan) {
    let limits = &program.limits;
    setup::session(arena, plan, limits).expect("the arena has its planned size");
    for global in &program.arena.globals {
        setup::global(arena, global.at, &global.shape, limits).expect("the global is in the arena");
        match (&global.initial, global.shape) {
            (Initial::Zero, _) => Ok(()),
            (Initial::Long(value), GlobalShape::Long) => setup::set_long(arena, global.at, *value),
            (Initial::String(text), GlobalShape::String) => setup::set_string(arena, global.at, text, limits),
            (initial, shape) => panic!("{shape:?} starts as {initial:?}"),
        }
        .expect("the global is in the arena");
    }
}

#[derive(Default)]
struct Gathered {
    output: Vec<u8>,
    fault: Option<(Fault, u32, String)>,
}

impl Gathered {
    fn seen(self) -> Seen {
        Seen { output: self.output.escape_ascii().to_string(), fault: self.fault }
    }
}

/// The world, with a ring that is drained when it is full.
struct Draining<'c, 'a>(Image<'c>, std::cell::RefCell<(&'c mut Consumer<'a>, Gathered)>);

impl Draining<'_, '_> {
    fn drain(&self) {
        let (consumer, gathered) = &mut *self.1.borrow_mut();
        let drained = consumer.drain(
            &mut vec![0; 1 << 16],
            |_| true,
            |record| {
                match record.kind {
                    RecordKind::Output => gathered.output.extend_from_slice(record.payload),
                    RecordKind::Formatted => {
                        put_formatted(&self.0, record.payload, |text| {
                            gathered.output.extend_from_slice(text)
                        });
                    }
                    RecordKind::Fault => {
                        let (head, _, text) = parse_fault(record.payload).expect("a fault record");
                        let fault = Fault::from_code(head.fault).expect("a known fault");
                        gathered.fault = Some((fault, head.site, text.escape_ascii().to_string()));
                    }
                    other => panic!("a record of kind {other:?}"),
                }
                true
            },
        );
        assert_eq!((drained.lost, drained.corrupt), (0, false));
    }
}

impl Env for Draining<'_, '_> {
    fn owner(&self) -> u32 {
        World.owner()
    }

    fn is_alive(&self, owner: u32) -> bool {
        World.is_alive(owner)
    }

    fn pause_us(&self, us: u64) {
        World.pause_us(us);
    }

    fn time_ns(&self, clock: Clock) -> i64 {
        World.time_ns(clock)
    }

    fn read_target(&self, context: &Context, address: u64, into: &mut [u8]) -> bool {
        World.read_target(context, address, into)
    }

    fn make_room(&self) -> bool {
        self.drain();
        true
    }
}

/// What differs between the two runs of a script, if anything does.
pub fn difference(script: &Script) -> Option<String> {
    let program = match rstap_codegen::compile(script) {
        Ok(program) => program,
        Err(error) => return Some(format!("it does not compile: {error}")),
    };
    let (mut expected, mut seen) =
        (evaluate(script), execute(&program, script.sites.len().is_multiple_of(2)));
    for one in expected.iter_mut().chain(&mut seen) {
        if let Some((fault, site, _)) = &mut one.fault
            && *fault == Fault::MaxAction
        {
            // The place is that of a statement before: an approximation, not part of the contract.
            *site = NO_SITE;
        }
    }
    (expected != seen).then(|| format!("evaluator: {expected:#?}\ngenerated: {seen:#?}"))
}

/// Compares both runs, then the output of the first probe with what is expected. Its fault is shown as a last line.
pub fn check(script: &Script, expected: &str) {
    if let Some(difference) = difference(script) {
        panic!("{difference}\n{}", rstap_sema::ir::print::print(script));
    }
    let seen = evaluate(script).swap_remove(0);
    let fault = seen.fault.map(|(fault, _, _)| format!("{fault:?}")).unwrap_or_default();
    assert_eq!(format!("{}{fault}", seen.output.replace("\\n", "\n")), expected);
}
