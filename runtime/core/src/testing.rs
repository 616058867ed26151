//! What the tests share: an environment, and an arena with contexts on it.

use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;

use rstap_abi::context::Context;
use rstap_abi::layout::{GlobalShape, KeyHead, KeyPart, Off};
use rstap_abi::limits::Limits;

use crate::arena::{Arena, Line};
use crate::call::Call;
use crate::env::{Clock, Env};
use crate::output::Consumer;
use crate::setup::{self, Plan};
use crate::text::Text;

/// Where the target's memory begins in a [`World`].
pub const MEMORY: u64 = 0x1000;

/// An environment without a system.
pub struct World {
    pub owner: u32,
    pub dead: Vec<u32>,
    /// The target's memory, from [`MEMORY`] on.
    pub memory: Vec<u8>,
    /// What to do when the ring is full.
    pub make_room: Option<Box<dyn Fn()>>,
    /// What happens while a handler waits.
    pub on_pause: Option<Box<dyn Fn()>>,
    /// The time in cycles.
    pub now: core::cell::Cell<u64>,
}

impl Default for World {
    fn default() -> World {
        let now = core::cell::Cell::new(0);
        World { owner: 1, dead: Vec::new(), memory: Vec::new(), make_room: None, on_pause: None, now }
    }
}

impl Env for World {
    fn owner(&self) -> u32 {
        self.owner
    }
    fn is_alive(&self, owner: u32) -> bool {
        !self.dead.contains(&owner)
    }
    fn pause_us(&self, _us: u64) {
        match &self.on_pause {
            Some(act) => act(),
            None => std::thread::yield_now(),
        }
    }
    fn float_text(&self, value: f64, out: &mut crate::text::Text<'_>) {
        let _ = core::fmt::Write::write_fmt(out, format_args!("{value:?}"));
    }
    fn time_ns(&self, _clock: Clock) -> i64 {
        0
    }
    fn cycles(&self) -> u64 {
        self.now.get()
    }
    fn read_target(&self, _context: &Context, address: u64, into: &mut [u8]) -> bool {
        let Some(start) = address.checked_sub(MEMORY).map(|start| start as usize) else { return false };
        match start.checked_add(into.len()).and_then(|end| self.memory.get(start..end)) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
    fn make_room(&self) -> bool {
        self.make_room.as_ref().is_some_and(|drain| {
            drain();
            true
        })
    }
}

/// An arena with globals in memory of its own.
pub struct Bench {
    memory: Vec<Line>,
    pub plan: Plan,
    pub limits: Limits,
    /// Where the globals are.
    pub globals: Vec<u64>,
}

impl Bench {
    pub fn new(shapes: &[GlobalShape], limits: Limits) -> Bench {
        let mut end = 64;
        let mut globals = Vec::new();
        for shape in shapes {
            globals.push(end);
            end += shape.size(&limits);
        }
        let plan = setup::plan(end, 1 << 14).expect("it is small");
        let memory = vec![Line([0; 8]); plan.size.div_ceil(64) as usize];
        let mut bench = Bench { memory, plan, limits, globals };
        let arena = bench.arena();
        setup::session(&arena, &plan, &limits).expect("the arena is as large as its plan");
        for (&at, shape) in bench.globals.iter().zip(shapes) {
            setup::global(&arena, Off::new(at), shape, &limits).expect("it was planned");
        }
        bench.memory.truncate(bench.memory.len());
        bench
    }

    /// The arena. As with shared memory of several processes, everybody gets one.
    pub fn arena(&self) -> Arena<'_> {
        // SAFETY: the memory lives as long as the borrow of `self`, and is accessed through arenas only.
        unsafe { Arena::new(self.memory.as_ptr().cast(), self.plan.size) }
    }

    pub fn consumer(&self) -> Consumer<'_> {
        Consumer::new(&self.arena(), &self.plan).expect("a new ring")
    }

    /// All output, by record kind and payload.
    pub fn drain(&self, consumer: &mut Consumer<'_>) -> Vec<(rstap_abi::record::RecordKind, Vec<u8>)> {
        let mut buffer = vec![0; 1 << 14];
        let mut records = Vec::new();
        consumer.drain(
            &mut buffer,
            |_| true,
            |record| {
                records.push((record.kind, record.payload.to_vec()));
                true
            },
        );
        records
    }

    pub fn caller<'b>(&'b self, world: &'b World) -> Caller<'b> {
        Caller::new(self.arena(), self.limits, world)
    }
}

/// Somebody who calls builtins as compiled code does.
pub struct Caller<'b> {
    pub context: Context,
    world: &'b World,
    _message: Vec<u8>,
    _output: Vec<u8>,
    _scratch: Vec<u64>,
    _tokens: Vec<u8>,
    _matching: Vec<u64>,
}

impl<'b> Caller<'b> {
    pub fn new(arena: Arena<'b>, limits: Limits, world: &'b World) -> Caller<'b> {
        let (mut message, mut output) = (vec![0u8; 512], vec![0u8; 2048]);
        let (mut scratch, mut tokens) = (vec![0u64; 1 << 14], vec![0u8; limits.max_string_len as usize]);
        let mut matching =
            vec![0u64; rstap_abi::regex::memory_bytes(limits.max_string_len).div_ceil(8) as usize];
        let context = Context {
            arena: arena.address(),
            arena_size: arena.size(),
            env: core::ptr::from_ref(world) as u64,
            limits,
            message: message.as_mut_ptr() as u64,
            message_capacity: 512,
            output: output.as_mut_ptr() as u64,
            output_capacity: 2048,
            scratch: scratch.as_mut_ptr() as u64,
            scratch_capacity: 8 << 14,
            token_buffer: tokens.as_mut_ptr() as u64,
            match_memory: matching.as_mut_ptr() as u64,
            match_capacity: (matching.len() * 8) as u32,
            ..Context::EMPTY
        };
        Caller {
            context,
            world,
            _message: message,
            _output: output,
            _scratch: scratch,
            _tokens: tokens,
            _matching: matching,
        }
    }

    pub fn call(&mut self) -> Call<'_, World> {
        self.context.env = core::ptr::from_ref(self.world) as u64;
        // SAFETY: the context names memory of this caller, the arena and the world it has borrowed.
        unsafe { Call::new(&mut self.context) }
    }

    /// A string result.
    pub fn text(&mut self, call: impl FnOnce(&mut Call<'_, World>, &mut Text<'_>)) -> String {
        self.text_of(self.context.limits.max_string_len as usize - 1, call)
    }

    fn text_of(&mut self, room: usize, call: impl FnOnce(&mut Call<'_, World>, &mut Text<'_>)) -> String {
        let mut memory = vec![0; room];
        let mut text = Text::new(&mut memory);
        call(&mut self.call(), &mut text);
        String::from_utf8_lossy(text.as_bytes()).into_owned()
    }

    /// The fault's code and words, if there is one, which is cleared.
    pub fn take_fault(&mut self) -> Option<String> {
        let text = self.text_of(200, |call, out| call.fault_text(out));
        let fault = core::mem::take(&mut self.context.fault);
        (fault != 0).then_some(text)
    }

    /// What was printed since the last time.
    pub fn take_output(&mut self) -> String {
        let len = core::mem::take(&mut self.context.output_len) as usize;
        String::from_utf8_lossy(&self._output[..len]).into_owned()
    }
}

/// A key of longs.
pub fn longs(values: &[i64]) -> Vec<u64> {
    let parts: Vec<KeyPart> = values.iter().map(|&value| long(value)).collect();
    key(&parts)
}

/// A long as a key part.
pub fn long(value: i64) -> KeyPart {
    KeyPart { a: value as u64, b: 0 }
}

/// A string as a key part or an argument.
pub fn string(text: &[u8]) -> KeyPart {
    KeyPart { a: text.as_ptr() as u64, b: text.len() as u64 }
}

/// A key, as it lies in memory: its head, whose hash is not known, and its parts.
pub fn key(parts: &[KeyPart]) -> Vec<u64> {
    [KeyHead::default().hash].into_iter().chain(parts.iter().flat_map(|part| [part.a, part.b])).collect()
}

/// Address of a key, as builtins take it: they fill in the hash.
pub fn address(key: &mut [u64]) -> i64 {
    key.as_mut_ptr() as i64
}
