//! From a hit to a handler: a [`Worker`] for each thread of rstap that runs handlers, all on one arena.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rstap_abi::inject::ContextMemory;
use rstap_abi::layout::GlobalShape;
use rstap_core::arena::Arena;
use rstap_core::handler::{self, Outcome, Runner};
use rstap_core::image::Image;
use rstap_core::session::{SessionView, Skip};
use rstap_program::{CodeKind, Point, Probe, ProbeId, Program};

use crate::backend::inject::home::context_memory;
use crate::backend::ptrace::Colleagues;
use crate::backend::ptrace::control::Control;
use crate::backend::{FxSave, Handlers, Hit, Verdict};
use crate::environment::HostEnv;
use crate::output::Output;
use crate::process::Mapping;
use crate::symbols::Symbols;
use crate::timing::Timing;

/// What all workers share.
pub struct Shared<'s> {
    /// The program.
    pub program: &'s Program,
    /// Its image.
    pub image: Image<'s>,
    /// Its arena.
    pub arena: Arena<'s>,
    /// The session in the arena.
    pub session: SessionView<'s>,
    /// Where output goes.
    pub output: Output<'s>,
    /// `target()`
    pub target: AtomicU32,
    /// What processes have mapped.
    pub symbols: Symbols,
    /// What handlers cost, if anybody wants to know (-t).
    pub timing: Option<Timing>,
}

impl Shared<'_> {
    /// Stack that some handler needs at most, in bytes.
    pub fn largest_stack(&self) -> u32 {
        let handlers = (0..).map_while(|index| self.image.handler(index));
        handlers.map(|handler| handler.stack_bytes).max().unwrap_or(0)
    }
}

/// Memory of one worker.
pub struct WorkerMemory {
    message: Vec<u8>,
    output: Vec<u8>,
    scratch: Vec<u64>,
    tokens: Vec<u8>,
    matching: Vec<u64>,
}

/// How deep walks over the largest array can be nested.
const NESTED_WALKS: u64 = 4;
/// Output of one handler that goes to the ring at once.
const OUTPUT: usize = 16 * 1024;

impl WorkerMemory {
    /// As much as the handlers of a program need. What is not used costs address space only.
    pub fn new(program: &Program) -> WorkerMemory {
        let string = longest_string(program);
        WorkerMemory {
            message: vec![0; string],
            output: vec![0; OUTPUT],
            scratch: vec![0; scratch_words(program)],
            tokens: vec![0; string],
            matching: vec![0; rstap_abi::regex::memory_bytes(string as u64).div_ceil(8) as usize],
        }
    }

    /// How large the same is in a target, for each thread.
    pub fn sizes_in_target(program: &Program, stack: u32) -> ContextMemory {
        let scratch = scratch_words(program) as u64 * 8;
        let is_return = |probe: &&Probe| matches!(probe.point, Point::Code { kind: CodeKind::Return, .. });
        let values = program.probes.iter().filter(is_return).map(|probe| u64::from(probe.entry_bytes)).max();
        context_memory(longest_string(program) as u64, OUTPUT as u64, scratch, u64::from(stack), values)
    }
}

fn longest_string(program: &Program) -> usize {
    program.limits.max_string_len.min(1 << 30) as usize
}

fn scratch_words(program: &Program) -> usize {
    let walk = |shape: &GlobalShape| match shape {
        GlobalShape::Map(map) => map.walk_size(),
        _ => 0,
    };
    let largest = program.arena.globals.iter().map(|global| walk(&global.shape)).max().unwrap_or(0);
    (largest.saturating_mul(NESTED_WALKS) / 8).clamp(512, 1 << 29) as usize
}

/// Runs handlers on one thread.
pub struct Worker<'w, 's> {
    shared: &'w Shared<'s>,
    runner: Runner<'w>,
    owner: u32,
    entry_values: Vec<u64>,
    colleagues: Option<&'w dyn Colleagues>,
}

impl<'w, 's> Worker<'w, 's> {
    /// For the calling thread.
    pub fn new(shared: &'w Shared<'s>, memory: &'w mut WorkerMemory) -> Option<Worker<'w, 's>> {
        let memory = handler::Memory {
            message: &mut memory.message,
            output: &mut memory.output,
            scratch: &mut memory.scratch,
            tokens: &mut memory.tokens,
            matching: &mut memory.matching,
        };
        let mut runner = Runner::new(shared.image, shared.arena, &shared.program.limits, memory)?;
        runner.set_seed(crate::sys::cycles());
        runner.claim_shard();
        let owner = nix::unistd::gettid().as_raw() as u32;
        Some(Worker { shared, runner, owner, entry_values: Vec::new(), colleagues: None })
    }

    /// Others may take processes over.
    pub fn work_with(&mut self, colleagues: &'w dyn Colleagues) {
        self.colleagues = Some(colleagues);
    }

    /// Runs the handler of a begin, end or error probe, whatever the state of the session.
    pub fn run_always(&mut self, probe: ProbeId) {
        let mut hit = self.own_hit();
        hit.always = true;
        self.finish(probe, hit, None, &|| None);
    }

    /// Of a probe that no thread of a target hits: it is in rstap's own.
    fn own_hit<'v>(&self) -> handler::Hit<'v> {
        let mut hit = handler::Hit::default();
        (hit.pid, hit.tid) = (std::process::id(), self.owner);
        hit
    }

    /// Runs the handler of a timer probe. Whether the session is to end.
    pub fn run_timer(&mut self, probe: ProbeId) -> bool {
        self.finish(probe, self.own_hit(), None, &|| None);
        self.wants_end()
    }

    /// Whether the session is to end: `exit()`, `abort()`, too many errors or skipped probes.
    pub fn wants_end(&self) -> bool {
        !self.shared.session.is_running()
    }

    fn finish(
        &mut self,
        probe: ProbeId,
        hit: handler::Hit<'_>,
        memory: Option<&dyn crate::backend::TargetMemory>,
        vectors: &dyn Fn() -> Option<Box<FxSave>>,
    ) -> (Outcome, bool) {
        let target = self.shared.target.load(Ordering::Relaxed);
        let env =
            HostEnv::new(self.owner, &self.shared.output, target, &self.shared.symbols, memory, vectors);
        let run = || (self.runner.run(&env, probe.0, hit), env.wrote_registers());
        match &self.shared.timing {
            Some(timing) => timing.around(probe, run),
            None => run(),
        }
    }
}

impl Handlers for Worker<'_, '_> {
    fn run(&mut self, hit: Hit<'_>) -> Verdict {
        let Hit { probe, pid, tid, registers, entry_values, memory, vectors } = hit;
        let mut values = std::mem::take(&mut self.entry_values);
        values.clear();
        let (words, rest) = entry_values.as_chunks::<8>();
        values.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            values.push(u64::from_le_bytes(last));
        }
        let given = registers.as_deref().copied();
        let mut core_hit = handler::Hit::default();
        (core_hit.pid, core_hit.tid, core_hit.registers) = (pid, tid, given.as_ref());
        if !values.is_empty() {
            // SAFETY: the backend gives as many bytes as the program says for this probe (`Handlers::run`), and all
            // of them are in `values`.
            unsafe { core_hit.set_entry_values(&mut values) };
        }
        let (outcome, wrote_registers) = self.finish(probe, core_hit, Some(memory), vectors);
        for (to, word) in entry_values.chunks_mut(8).zip(&values) {
            to.copy_from_slice(&word.to_le_bytes()[..to.len()]);
        }
        self.entry_values = values;
        if wrote_registers && let Some(registers) = registers {
            *registers = *self.runner.registers();
        }
        Verdict {
            ran: matches!(outcome, Outcome::Ran | Outcome::Failed(_)),
            wrote_registers,
            end: self.wants_end(),
        }
    }

    fn mapped(&mut self, pid: u32, mappings: &[Mapping]) {
        self.shared.symbols.remember(pid as i32, mappings);
    }

    fn word(&self, pid: u32, address: u64) -> String {
        let place = self.shared.symbols.find(Some(pid as i32), address, None);
        crate::symbols::word(address, place.as_ref())
    }

    fn is_enabled(&self, probe: ProbeId) -> bool {
        self.runner.is_enabled(probe.0)
    }

    fn colleague(&mut self, pid: i32, own: &Control) -> Option<Arc<Control>> {
        self.colleagues?.find(pid, own)
    }

    fn enablings(&self) -> u64 {
        self.shared.session.enablings()
    }

    fn skip(&mut self, _probe: ProbeId) {
        self.shared.session.count_skip(Skip::Other, &self.shared.program.limits);
    }
}
