//! Runs handlers: what every backend does for every hit, in [`Runner::run`].
//!
//! ```text
//! is the session running?  →  is the probe enabled?  →  take the lock set  →  call the code
//!   →  evaluate conditions it may have changed  →  give the locks back
//!   →  hand output to the ring  →  count and report an error  →  did all of that take too long?
//! ```

use rstap_abi::context::{Context, MAX_CALLERS, REGISTER_COUNT, Registers, flags};
use rstap_abi::fault::Fault;
use rstap_abi::image::{HandlerEntry, LOCK_GATHER, LOCK_WRITE, LockEntry, ProbeEntry, needs};
use rstap_abi::limits::Limits;
use rstap_abi::record::{FaultRecord, RecordKind};

use core::mem::offset_of;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::arena::Arena;
use crate::call::Call;
use crate::env::Env;
use crate::image::{Code, Image};
use crate::lock::{self, Acquired, LockCells};
use crate::output::fault_head;
use crate::overload::Overload;
use crate::session::{SessionView, Skip};
use crate::shard::{self, Shards};
use crate::table::table;
use crate::text::Text;

/// Memory that a runner's handlers use.
pub struct Memory<'a> {
    /// For the text of `error()`; longer texts are cut. MAXSTRINGLEN bytes take any.
    pub message: &'a mut [u8],
    /// For the output of one handler; what is longer goes to the ring in parts.
    pub output: &'a mut [u8],
    /// For walks: `MapShape::walk_size` of the largest array, for each level that they are nested.
    pub scratch: &'a mut [u64],
    /// For `tokenize`: at least MAXSTRINGLEN bytes.
    pub tokens: &'a mut [u8],
    /// For regular expressions: `rstap_abi::regex::memory_bytes`.
    pub matching: &'a mut [u64],
}

/// A context with its memory: runs one handler at a time, for one thread at a time.
pub struct Runner<'a> {
    context: Context,
    arena: Arena<'a>,
    image: Image<'a>,
    shards: Shards,
    /// The one in use; 0 is everybody's.
    shard: u64,
    session: SessionView<'a>,
    overload: Overload,
}

/// Its shard is free for others then; what was added to it stays.
impl Drop for Runner<'_> {
    fn drop(&mut self) {
        self.session.free_shard(self.shard);
    }
}

/// Tries of a handler that no thread of the target waits for: about a second, with the default delay between them.
const PATIENT_TRIES: u64 = 20_000;

/// The limits of begin, end and error probes. A report is worth a wait: what holds its locks is a handler in a thread
/// that the kernel has not given a cpu to for a while.
#[cold]
fn patient(limits: &Limits) -> Limits {
    Limits { max_try_lock: limits.max_try_lock.max(PATIENT_TRIES), ..*limits }
}

/// What a hit brings with it.
#[derive(Debug, Default)]
pub struct Hit<'h> {
    /// Process of the thread at the probe.
    pub pid: u32,
    /// The thread at the probe.
    pub tid: u32,
    /// Its registers; none for begin, end, error and timer probes.
    pub registers: Option<&'h Registers>,
    /// They are where [`Runner::registers_mut`] leads to already; `registers` is not looked at.
    pub registers_in_place: bool,
    /// Run it whatever the state of the session: begin, end and error probes, whose time the host chooses.
    pub always: bool,
    entry_values: Option<&'h mut [u64]>,
}

impl<'h> Hit<'h> {
    /// Gives the handler of a return probe the values that were saved at entry, or the handler that saves them the
    /// place for it.
    ///
    /// # Safety
    /// `values` has at least the bytes that the program says for this probe (`Probe::entry_bytes`).
    pub unsafe fn set_entry_values(&mut self, values: &'h mut [u64]) {
        self.entry_values = Some(values);
    }
}

/// What became of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler ran to its end, or to `next`.
    Ran,
    /// It failed; reported and counted, but for [`Fault::Abort`], which is no error.
    Failed(Fault),
    /// It did not run, and that was counted.
    Skipped(Skip),
    /// It was not to run: the session has not begun or is ending.
    NotRunning,
    /// It was not to run: the condition of its probe point is false. Nothing is counted.
    Disabled,
}

impl<'a> Runner<'a> {
    /// A runner for handlers of `image` on `arena`. `None` if `memory.tokens` is too small for these limits, or the
    /// arena is not a session's or not one for this image.
    ///
    /// It adds to sharded globals in the shard that all share who have none of their own ([`Runner::claim_shard`]).
    pub fn new(
        image: Image<'a>,
        arena: Arena<'a>,
        limits: &Limits,
        memory: Memory<'a>,
    ) -> Option<Runner<'a>> {
        let tokens = u64::try_from(memory.tokens.len()).ok()?;
        if tokens < limits.max_string_len || tokens > u64::from(u32::MAX) {
            return None;
        }
        let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let session = SessionView::new(arena).ok()?;
        let (ring, ring_shift) = session.ring().map_or((0, 0), |ring| ring.place());
        let context = Context {
            ring,
            ring_shift,
            image: image.address(),
            arena: arena.address(),
            arena_size: arena.size(),
            limits: *limits,
            message: memory.message.as_mut_ptr() as u64,
            message_capacity: len(memory.message.len()),
            output: memory.output.as_mut_ptr() as u64,
            output_capacity: len(memory.output.len()),
            scratch: memory.scratch.as_mut_ptr() as u64,
            scratch_capacity: len(size_of_val(memory.scratch)),
            token_buffer: memory.tokens.as_mut_ptr() as u64,
            match_memory: memory.matching.as_mut_ptr() as u64,
            match_capacity: len(size_of_val(memory.matching)),
            ..Context::EMPTY
        };
        let shards = Shards::of(&image, &arena)?;
        let overload = Overload::default();
        let mut runner = Runner { context, arena, image, shards, shard: 0, session, overload };
        runner.use_shard(0);
        Some(runner)
    }

    fn use_shard(&mut self, number: u64) {
        let own = self.shards.offset(number).filter(|_| number != 0);
        let at = own.or_else(|| self.shards.offset(0));
        self.shard = if own.is_some() { number } else { 0 };
        self.context.shard = at.map_or(0, |at| self.context.arena.wrapping_add(at));
        self.context.shard_shared = u32::from(own.is_none());
    }

    /// Adds to sharded globals in a shard of its own from now on, if one is left, which goes back when the runner is
    /// dropped. The number of its shard, below [`rstap_abi::limits::MAX_SHARDS`]; 0 is the one that all share who have
    /// none of their own.
    pub fn claim_shard(&mut self) -> u64 {
        if self.shard == 0 {
            self.use_shard(self.session.claim_shard(self.shards.count()));
        }
        self.shard
    }

    /// Whether there are sharded globals, and it has no shard of its own to add to them.
    pub fn lacks_shard(&self) -> bool {
        self.shard == 0 && self.shards.count() > 1
    }

    /// Leaves its shard to whoever else has it: this runner is a copy, made by a fork.
    pub fn forget_shard(&mut self) {
        self.use_shard(0);
    }

    /// Takes the shard of another runner of this session, which is left with the one that all share.
    pub fn take_shard_of(&mut self, other: &mut Runner<'_>) {
        let number = core::mem::take(&mut other.shard);
        other.use_shard(0);
        self.use_shard(number);
    }

    /// Sets the seed of `randint`.
    pub fn set_seed(&mut self, seed: u64) {
        self.context.random = seed | 1;
    }

    /// The registers, which the handler may have changed (target variables in registers, with -g).
    pub fn registers(&self) -> &Registers {
        &self.context.registers
    }

    /// Tells whose hits it handles, for code that calls a handler itself: one that needs no state, has no condition and
    /// takes no lock. All it needs of the context is in it then, but for registers.
    pub fn set_thread(&mut self, pid: u32, tid: u32) {
        (self.context.pid, self.context.tid) = (pid, tid);
    }

    /// Where the context that handlers are given lies in a runner, in bytes from its start.
    pub const CONTEXT_AT: usize = offset_of!(Runner<'static>, context);

    /// Where [`Runner::registers`] lie in a runner, in bytes from its start: code that saves registers writes them
    /// there itself.
    pub const REGISTERS_AT: usize = offset_of!(Runner<'static>, context) + offset_of!(Context, registers);

    /// The registers, for hits that have them [in place](Hit::registers_in_place).
    pub fn registers_mut(&mut self) -> &mut Registers {
        &mut self.context.registers
    }

    /// Whether the condition of probe `probe` is true, or it has none. An outcome that the target has overwritten is
    /// true: the handler asks once more.
    #[inline]
    pub fn is_enabled(&self, probe: u32) -> bool {
        self.image.probe(probe).is_none_or(|entry| self.has_condition_met(&entry))
    }

    #[inline(always)]
    fn has_condition_met(&self, entry: &ProbeEntry) -> bool {
        entry.condition == 0 || self.outcome(entry.condition).is_none_or(|outcome| outcome.load(Acquire) != 0)
    }

    fn outcome(&self, words: u32) -> Option<&'a AtomicU64> {
        self.arena.word(u64::from(words).wrapping_mul(8)).ok()
    }

    /// Runs the handler of probe `probe`.
    #[inline]
    pub fn run<E: Env>(&mut self, env: &E, probe: u32, hit: Hit<'_>) -> Outcome {
        if !self.session.is_running() && !hit.always {
            return Outcome::NotRunning;
        }
        let Some(entry) = self.image.probe(probe) else { return Outcome::NotRunning };
        if !self.has_condition_met(&entry) {
            return Outcome::Disabled;
        }
        let Some(handler) = self.image.handler(entry.handler) else { return Outcome::NotRunning };
        let patiently = hit.always;
        let stops_a_thread = hit.registers_in_place || hit.registers.is_some();
        self.prepare(env, probe, entry.flags, handler.needs, hit);
        let code = self.image.code(handler);
        if handler.lock_count | handler.condition_count | handler.needs & needs::STATE == 0 {
            let context: *mut Context = &mut self.context;
            // SAFETY: as in `run_with_state`.
            return match unsafe { env.call(code, context) } {
                true => Outcome::Ran,
                false => self.crashed::<E>(),
            };
        }
        // Without state there are no loops either: such a handler is over at once.
        let start = if stops_a_thread { self.overload.start(env) } else { None };
        let outcome = self.run_with_state(env, handler, code, patiently);
        if let Some(start) = start
            && self.overload.end(start, env.cycles(), &self.context.limits)
        {
            self.session.overload();
        }
        outcome
    }

    #[inline]
    fn run_with_state<E: Env>(
        &mut self,
        env: &E,
        handler: &'a HandlerEntry,
        code: Code,
        patiently: bool,
    ) -> Outcome {
        let session = self.session;
        let locks = Locks::new(self, handler, env);
        let taken = match patiently {
            true => locks.take(env, &patient(&self.context.limits), &session),
            false => locks.take(env, &self.context.limits, &session),
        };
        match taken {
            Ok(()) => {}
            Err(NotTaken::TimedOut) => {
                session.count_skip(Skip::Locked, &self.context.limits);
                return Outcome::Skipped(Skip::Locked);
            }
            Err(NotTaken::Corrupt) => {
                session.count_error(&self.context.limits);
                return Outcome::Failed(Fault::CorruptArena);
            }
        }
        let context: *mut Context = &mut self.context;
        // SAFETY: the code is a handler of this image, whose contract is the context (`Image::new`); the context's
        // addresses are of memory that this runner has borrowed for 'a, or that `run` has borrowed until it returns;
        // `builtins` and `env` are for the same `E`.
        if !unsafe { env.call(code, context) } {
            self.context.fault = Fault::Crash as u32;
        }
        if handler.condition_count > 0 {
            self.evaluate_conditions(env, handler, &session);
        }
        locks.give_back();
        let context = &self.context;
        let left = context.fault | context.output_len | context.flags & flags::EXIT;
        if left | context.speculation | context.match_groups | context.caller_count == 0 {
            return Outcome::Ran;
        }
        self.finish::<E>()
    }

    /// Evaluates the conditions that a handler may have changed; its locks, still held, are those of all that they
    /// read. One that cannot be evaluated counts as true, so that the handlers it guards run, fail at it and say so.
    #[cold]
    fn evaluate_conditions<E: Env>(&mut self, env: &E, handler: &HandlerEntry, session: &SessionView<'_>) {
        let ended = self.context.clone();
        for condition in self.image.conditions(handler) {
            let (Some(handler), Some(outcome)) =
                (self.image.handler(condition.handler), self.outcome(condition.outcome))
            else {
                continue;
            };
            let before = outcome.load(Acquire);
            self.context.fault = 0;
            self.context.actions = i64::MAX;
            let code = self.image.code(handler);
            let context: *mut Context = &mut self.context;
            // SAFETY: as for the handler that was just called.
            let returned = unsafe { env.call(code, context) };
            if !returned || self.context.fault != 0 {
                outcome.store(1, Release);
            }
            if before == 0 && outcome.load(Acquire) != 0 {
                session.cells.enablings.fetch_add(1, AcqRel);
            }
        }
        self.context = ended;
    }

    #[cold]
    fn crashed<E: Env>(&mut self) -> Outcome {
        self.context.fault = Fault::Crash as u32;
        self.finish::<E>()
    }

    /// Hands out what a handler left in the context, and cleans it for the next one.
    fn finish<E: Env>(&mut self) -> Outcome {
        let context: *mut Context = &mut self.context;
        // SAFETY: as for the call; the handler is done with the context.
        let call = unsafe { Call::<E>::new(context) };
        let outcome = finish(call, &self.session);
        self.context.clean();
        outcome
    }

    #[inline]
    fn prepare<E: Env>(&mut self, env: &E, probe: u32, probe_flags: u32, needs: u32, hit: Hit<'_>) {
        let context = &mut self.context;
        context.builtins = table::<E>().address();
        context.env = core::ptr::from_ref(env) as u64;
        context.probe = probe;
        context.pid = hit.pid;
        context.tid = hit.tid;
        context.flags = probe_flags & !(flags::EXIT | flags::HAS_REGISTERS);
        if hit.registers_in_place || hit.registers.is_some() {
            context.flags |= flags::HAS_REGISTERS;
        }
        if needs & needs::REGISTERS != 0 && !hit.registers_in_place {
            match hit.registers {
                Some(registers) => context.registers = *registers,
                None => context.registers = [0; REGISTER_COUNT],
            }
        }
        context.entry_values = hit.entry_values.map_or(0, |values| values.as_mut_ptr() as u64);
        let limits = &context.limits;
        let interruptible = context.flags & flags::INTERRUPTIBLE != 0;
        let actions = if interruptible { limits.max_action_interruptible } else { limits.max_action };
        context.actions = i64::try_from(actions).unwrap_or(i64::MAX);
        context.nesting = u32::try_from(limits.max_nesting).unwrap_or(u32::MAX);
    }
}

/// Hands out the output and reports a fault.
fn finish<E: Env>(mut call: Call<'_, E>, session: &SessionView<'_>) -> Outcome {
    call.flush();
    if call.context.flags & flags::EXIT != 0 {
        session.request_exit();
    }
    if call.context.fault == 0 {
        return Outcome::Ran;
    }
    let fault = Fault::from_code(call.context.fault).unwrap_or(Fault::CorruptArena);
    if fault == Fault::Abort {
        session.request_exit();
        return Outcome::Failed(fault);
    }
    if fault == Fault::Busy {
        session.count_skip(Skip::Locked, &call.context.limits);
        return Outcome::Skipped(Skip::Locked);
    }
    report(&call, fault);
    session.count_error(&call.context.limits);
    Outcome::Failed(fault)
}

/// Longest text of a fault that is not a message.
const FAULT_TEXT: usize = 96;

#[cold]
fn report<E: Env>(call: &Call<'_, E>, fault: Fault) {
    let context = &call.context;
    let callers = context.callers.get(..context.caller_count as usize).unwrap_or(&context.callers);
    let mut places = [0; 4 * MAX_CALLERS];
    for (to, site) in places.chunks_mut(4).zip(callers) {
        to.copy_from_slice(&site.to_le_bytes());
    }
    let places = places.get(..size_of_val(callers)).unwrap_or_default();
    let head = fault_head(&FaultRecord {
        fault: fault as u32,
        site: context.fault_site,
        probe: context.probe,
        callers: callers.len() as u32,
    });
    let mut memory = [0; FAULT_TEXT];
    let mut text = Text::new(&mut memory);
    let says = match fault {
        Fault::Raised | Fault::BadArgument => call.message(),
        _ => {
            crate::builtins::fault_words(fault, context.fault_value, &mut text);
            text.as_bytes()
        }
    };
    call.push(RecordKind::Fault, &[&head, places, says]);
}

/// The lock set of a handler.
struct Locks<'a> {
    arena: Arena<'a>,
    image: Image<'a>,
    shards: Shards,
    handler: &'a HandlerEntry,
    owner: u32,
}

enum NotTaken {
    TimedOut,
    Corrupt,
}

impl<'a> Locks<'a> {
    #[inline(always)]
    fn new<E: Env>(runner: &Runner<'a>, handler: &'a HandlerEntry, env: &E) -> Locks<'a> {
        // To ask for the owner may take a system call.
        let owner = if handler.lock_count > 0 { env.owner() } else { 0 };
        Locks { arena: runner.arena, image: runner.image, shards: runner.shards, handler, owner }
    }

    #[inline(always)]
    fn set(&self) -> impl DoubleEndedIterator<Item = (Option<&'a LockCells>, LockEntry)> + Clone {
        let arena = self.arena;
        self.image.locks(self.handler).map(move |lock| (lock::of_global(&arena, lock.at()).ok(), lock))
    }

    #[inline(always)]
    fn take<E: Env>(&self, env: &E, limits: &Limits, session: &SessionView<'_>) -> Result<(), NotTaken> {
        for (taken, (lock, entry)) in self.set().enumerate() {
            let write = entry.global & LOCK_WRITE != 0;
            let acquired = lock.map(|lock| lock.acquire(write, self.owner, limits, env));
            if acquired == Some(Acquired::FromDeadWriter) {
                session.cells.counts.recovered.fetch_add(1, Relaxed);
            }
            let (held, not_taken) = match acquired {
                Some(Acquired::TimedOut) => (taken, NotTaken::TimedOut),
                None => (taken, NotTaken::Corrupt),
                Some(_) if entry.global & LOCK_GATHER == 0 => continue,
                Some(_) => match shard::gather(&self.arena, self.shards, &entry, limits) {
                    Ok(()) => continue,
                    Err(_) => (taken.saturating_add(1), NotTaken::Corrupt),
                },
            };
            if let (Some(lock), true) = (lock, held == taken) {
                lock.timeouts.fetch_add(1, Relaxed);
            }
            self.give_back_first(held);
            return Err(not_taken);
        }
        Ok(())
    }

    #[inline(always)]
    fn give_back(&self) {
        self.give_back_first(usize::MAX);
    }

    #[inline(always)]
    fn give_back_first(&self, count: usize) {
        for (lock, entry) in self.set().take(count) {
            if let Some(lock) = lock {
                lock.release(entry.global & LOCK_WRITE != 0, self.owner);
            }
        }
    }
}

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;
