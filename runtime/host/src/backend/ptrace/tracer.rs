//! The tracer thread's state and its event loop: one stop in, one decision out. Nothing here waits for one particular
//! thread but [`super::remote`] and stepping; all other threads of the target keep running.
//!
//! Fairness: waitpid names the first stopped thread of a list, always from its front. So all that have stopped are
//! taken in before the first of them goes on, and served in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nix::errno::Errno;
use rstap_program::{ProbeId, ProcessEvent};

use super::control::Control;
use super::cpu::{Follower, Patience};
use super::detached::Detached;
use super::interrupted::{Interrupted, Place};
use super::registry::Registry;
use super::rescue::code::UC_RIP;
use super::space::{Space, SpaceId};
use super::sys::{self, Resume, Status, Tid, UserRegisters};
use crate::backend::inject::Injector;
use crate::backend::inject::code::Functions;
use crate::backend::{Handlers, Hit};
use crate::process::filter::Subject;

/// Stands for the number of a system call that code of ours makes.
const OURS: u64 = u64::MAX;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits in the kernel.
    Running,
    /// It stopped, and what that means is not decided yet.
    Stopped,
    /// It is held in `PTRACE_EVENT_STOP`. The signal is that of a group stop, 0 for none.
    Parked(i32),
    /// It cannot be stopped now (it waits for its vfork child, for a disk, or to be collected), but before it runs
    /// any code of the program it will stop.
    Blocked,
}

/// A traced thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its process.
    pub pid: i32,
    /// What it is doing.
    pub state: State,
    /// It is to be held at its next stop.
    pub park: bool,
    /// It has not made its first stop.
    pub is_new: bool,
    /// Hits whose handlers have run but whose instruction has not.
    pub interrupted: Interrupted,
    /// The system call it is in, where those are watched. Kept because rt_sigreturn spoils the register.
    pub system_call: Option<u64>,
    /// It is about to map code. Its next system call is watched.
    pub maps_code: bool,
    /// Profile probes that wait for its next stop.
    pub samples: Vec<ProbeId>,
    /// It has met a breakpoint, and is not served yet.
    pub met: Option<Met>,
    /// The signals it blocked when we unblocked SIGTRAP for it; 0 if we did not.
    pub blocked: u64,
    /// The version of its address space's watched data that it has. `None`: what somebody has left there.
    pub watches: Option<u32>,
    /// Breakpoint and stack pointer of its last hit, at which it was asked what signals it blocks.
    pub asked_at: Option<(u64, u64)>,
}

/// A breakpoint that a thread has met.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// Where.
    pub address: u64,
    /// The thread's registers there. Its instruction pointer is elsewhere by now: see [`Tracer::take`].
    pub registers: UserRegisters,
}

/// A traced process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its memory.
    pub space: SpaceId,
    /// For each probe, whether it is for this process.
    pub accepted: Vec<bool>,
    /// What filters were asked about.
    pub subject: Subject,
    /// Some probe is for its system calls.
    pub watches_system_calls: bool,
    /// Its loader is mapping the program's libraries, and one that has probes is not there yet. Until it is, system
    /// calls are watched: the loader tells of libraries only when it has run code of them.
    pub is_loading: bool,
    /// Its begin probes ran.
    pub has_begun: bool,
    /// Its end probes ran.
    pub has_ended: bool,
}

/// How a command or process that the session follows ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// How breakpoints may be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// As is best.
    All,
    /// As if there were no memory for slots: emulated or stepped.
    NoSlots,
    /// By stopping all threads, restoring and stepping, as if no instruction could run elsewhere.
    StepOnly,
}

/// What the tracer tells about its work.
pub trait Report: Send {
    /// A line for -v; level 1 is the first v.
    fn say(&self, level: u8, text: std::fmt::Arguments<'_>);
    /// Whether anybody hears that; for what is dear to word.
    fn is_heard(&self, _level: u8) -> bool {
        true
    }
    /// Something the user should know in any case.
    fn warn(&self, text: std::fmt::Arguments<'_>);
}

/// The tracer.
pub struct Tracer<H> {
    pub(super) handlers: H,
    pub(super) registry: Arc<Registry>,
    pub(super) control: Arc<Control>,
    pub(super) injector: Option<Arc<Injector>>,
    pub(super) functions: Functions,
    pub(super) detached: Detached,
    /// The target is a command that was started for the session.
    pub(super) launched: bool,
    pub(super) report: Box<dyn Report>,
    pub(super) spaces: HashMap<SpaceId, Space>,
    pub(super) next_space: u32,
    pub(super) processes: HashMap<i32, Process>,
    pub(super) threads: HashMap<Tid, Thread>,
    /// New threads that stopped before the event that announces them.
    pub(super) early: HashMap<Tid, Status>,
    pub(super) queue: VecDeque<(Tid, Status)>,
    pub(super) cpu: Follower,
    pub(super) patience: Patience,
    /// The -c or -x process.
    pub(super) target: Option<i32>,
    pub(super) target_end: Option<End>,
    /// A handler asked for the end.
    pub(super) end_wanted: bool,
    /// Begin probes have not run: newly traced threads are held.
    pub(super) holding: bool,
    /// No more handlers run; hits are undone.
    pub(super) quiet: bool,
    /// Some breakpoint is taken out until a probe there is enabled.
    pub(super) has_resting: bool,
    /// What `Handlers::enablings` was when resting breakpoints were last looked at.
    pub(super) enablings: u64,
    /// How breakpoints may be passed.
    pub(super) ways: Ways,
    /// Processes are searched for leftovers that only an explicit request is worth.
    pub(super) thorough: bool,
}

impl<H: Handlers> Tracer<H> {
    /// A tracer that traces nothing yet. The calling thread is the one that must make all further calls.
    pub fn new(
        handlers: H,
        registry: impl Into<Arc<Registry>>,
        control: Arc<Control>,
        report: Box<dyn Report>,
    ) -> Tracer<H> {
        control.adopt();
        Tracer {
            handlers,
            registry: registry.into(),
            control,
            injector: None,
            functions: Functions::default(),
            detached: Detached::default(),
            launched: false,
            report,
            spaces: HashMap::new(),
            next_space: 0,
            processes: HashMap::new(),
            threads: HashMap::new(),
            early: HashMap::new(),
            queue: VecDeque::new(),
            cpu: Follower::default(),
            patience: Patience::default(),
            target: None,
            target_end: None,
            end_wanted: false,
            holding: true,
            quiet: false,
            has_resting: false,
            enablings: 0,
            ways: Ways::All,
            thorough: false,
        }
    }

    /// Restricts how breakpoints are passed. For tests of the lesser ways, and for targets that must not get memory
    /// for slots.
    pub fn restrict(&mut self, ways: Ways) {
        self.ways = ways;
    }

    /// Runs handlers inside targets where that is sound.
    pub fn inject_with(&mut self, injector: impl Into<Arc<Injector>>) {
        self.injector = Some(injector.into());
    }

    /// The handlers, with what they have gathered.
    pub fn into_handlers(self) -> H {
        self.handlers
    }

    /// The -c or -x process.
    pub fn target(&self) -> Option<i32> {
        self.target
    }

    /// How the -c or -x process ended, if it did.
    pub fn target_end(&self) -> Option<End> {
        self.target_end
    }

    /// Serves the target until the session is to end: its process ended, a handler or another thread said so.
    pub fn run(&mut self) {
        while !self.end_wanted && self.target_end.is_none() && !self.control.is_stopping() {
            if let Some(asked) = self.control.take() {
                self.serve(asked);
                self.wake_wanted();
                if self.control.is_suspending() {
                    self.suspend();
                    continue;
                }
            }
            self.look_after_detached();
            if self.target_end.is_some() {
                return;
            }
            match self.next_event(true) {
                Ok(Some((tid, status))) => self.handle(tid, status),
                Ok(None) | Err(Errno::EINTR) => {}
                // Nothing is traced (yet).
                Err(_) => self.control.wait(self.detached.interval()),
            }
        }
    }

    fn serve(&mut self, asked: super::control::Asked) {
        for handover in asked.given {
            self.adopt(*handover);
        }
        for pid in asked.newcomers {
            self.consider(pid);
        }
        if !asked.samples.is_empty() {
            self.sample(&asked.samples);
        }
    }

    /// The next news of a thread.
    pub(super) fn next_event(&mut self, block: bool) -> Result<Option<(Tid, Status)>, Errno> {
        if let Some(event) = self.queue.pop_front() {
            return Ok(Some(event));
        }
        let early = if block { self.patience.look(|| sys::peek(-1, false).transpose()) } else { None };
        let mut news = match early {
            Some(event) => Some(event?),
            None => sys::peek(-1, block)?,
        };
        let first = loop {
            let Some((tid, status)) = news else { return Ok(None) };
            if let Some(first) = self.take(tid, status)? {
                break Some(first);
            }
            news = sys::peek(-1, false)?;
        };
        for _ in 1..self.threads.len() {
            let Ok(Some((tid, status))) = sys::peek(-1, false) else { break };
            if self.take(tid, status)?.is_some() {
                self.postpone(tid, status);
            }
        }
        Ok(first)
    }

    /// Takes in news that was looked at. A signal that is taken is not delivered if we die before we have decided
    /// about it. So a thread that has met a breakpoint is sent past it first, and a signal of the program's own is
    /// not taken at all, but handled here and now: `None`.
    pub(super) fn take(&mut self, tid: Tid, status: Status) -> Result<Option<(Tid, Status)>, Errno> {
        let is_signal = matches!(status, Status::Stopped(signal, 0) if signal != libc::SIGTRAP | 0x80);
        if is_signal && self.threads.contains_key(&tid) {
            if status == Status::Stopped(libc::SIGTRAP, 0) {
                self.meet(tid);
            }
            if self.threads.get(&tid).is_none_or(|thread| thread.met.is_none()) {
                self.handle(tid, status);
                return Ok(None);
            }
        }
        sys::wait(tid, false)
    }

    /// Keeps a thread's news for later. Until then it counts as stopped.
    pub(super) fn postpone(&mut self, tid: Tid, status: Status) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = State::Stopped;
        }
        self.queue.push_back((tid, status));
    }

    /// Decides about a thread's news.
    pub(super) fn handle(&mut self, tid: Tid, status: Status) {
        let (signal, event) = match status {
            Status::Stopped(signal, event) => (signal, event),
            ended => return self.thread_ended(tid, ended),
        };
        let Some(thread) = self.threads.get_mut(&tid) else {
            self.early.insert(tid, status);
            return;
        };
        thread.state = State::Stopped;
        match event {
            0 if signal == libc::SIGTRAP | 0x80 => self.system_call_stop(tid),
            0 if signal == libc::SIGTRAP => self.trap(tid),
            0 => self.deliver(tid, signal),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                self.announced(tid, event);
            }
            libc::PTRACE_EVENT_EXEC => self.executed(tid),
            libc::PTRACE_EVENT_EXIT => self.exiting(tid),
            libc::PTRACE_EVENT_STOP => self.event_stop(tid, signal),
            _ => self.go_on(tid, 0),
        }
    }

    /// Lets a stopped thread go on, unless it is to be held: then it stops again before it runs anything.
    pub(super) fn go_on(&mut self, tid: Tid, signal: i32) {
        self.update_registers(tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let process = self.processes.get(&thread.pid).filter(|_| !self.quiet);
        let is_watched = |p: &Process| {
            p.watches_system_calls || p.is_loading || thread.maps_code || !thread.interrupted.is_empty()
        };
        let watches = process.is_some_and(is_watched);
        if thread.park {
            // Errors mean that it was killed meanwhile; waitpid will tell.
            let _ = sys::interrupt(tid);
        }
        let how = if watches { Resume::ToSystemCall } else { Resume::Run };
        thread.state = State::Running;
        if let Some(space) = self.processes.get(&thread.pid).and_then(|p| self.spaces.get_mut(&p.space)) {
            space.memory.forget();
        }
        let _ = sys::resume(tid, how, signal);
    }

    /// `PTRACE_EVENT_STOP`: the first stop of a new thread, an interruption, a group stop, or its end.
    fn event_stop(&mut self, tid: Tid, signal: i32) {
        let group_stop = if signal == libc::SIGTRAP { 0 } else { signal };
        if group_stop == 0 && self.launched && self.target == Some(tid) {
            crate::signals::command_stopped(false);
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        thread.state = State::Parked(group_stop);
        if std::mem::take(&mut thread.is_new) {
            self.first_stop(tid);
        }
        self.run_samples(tid);
        if self.threads.get(&tid).is_some_and(|thread| !thread.park) {
            self.release(tid);
        }
    }

    /// Lets a parked thread go on; a group stop goes on as one.
    pub(super) fn release(&mut self, tid: Tid) {
        match self.threads.get_mut(&tid) {
            Some(thread) if matches!(thread.state, State::Parked(signal) if signal != 0) => {
                thread.state = State::Running;
                let _ = sys::listen(tid);
                if self.launched && self.target == Some(tid) {
                    crate::signals::command_stopped(true);
                }
            }
            Some(_) => self.go_on(tid, 0),
            None => {}
        }
    }

    /// Runs the probes of an event for a process; registers are those of a stopped thread of it.
    pub(super) fn fire(&mut self, tid: Tid, event: ProcessEvent) {
        if !self.quiet && self.registry.has_event(event) {
            let probes: Vec<ProbeId> = self.registry.events(event).collect();
            self.run_probes(tid, &probes);
        }
    }

    /// Runs probes with the registers of a stopped thread, as they would be without slots.
    pub(super) fn run_probes(&mut self, tid: Tid, probes: &[ProbeId]) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let pid = thread.pid;
        let Some(process) = self.processes.get(&pid) else { return };
        let Some(space) = self.spaces.get(&process.space) else { return };
        let mut registers = sys::registers(tid).ok().map(|registers| {
            let rip = space.locate(registers.rip).map_or(registers.rip, |at| at.rip);
            let registers = match thread.system_call {
                Some(number) => UserRegisters { orig_rax: number, ..registers },
                None => registers,
            };
            sys::to_context(&registers, rip)
        });
        for &probe in probes {
            if process.accepted.get(probe.0 as usize) != Some(&true) {
                continue;
            }
            let verdict = self.handlers.run(Hit {
                probe,
                pid: pid as u32,
                tid: tid as u32,
                registers: registers.as_mut(),
                entry_values: &mut [],
                memory: space,
                vectors: &|| sys::vector_registers(tid).ok(),
            });
            self.end_wanted |= verdict.end;
        }
        self.wake_wanted();
    }

    /// A thread enters or leaves the kernel. The stops alternate, but for an exec, which begins a new program.
    fn system_call_stop(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if let Some(number) = thread.system_call {
            if number != OURS {
                self.fire(tid, ProcessEvent::SyscallReturn);
            }
            if number == libc::SYS_mmap as u64 {
                self.loaded(tid);
            }
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.system_call = None;
                thread.maps_code = false;
                thread.interrupted.count_system_call();
            }
        } else if let Ok(registers) = sys::registers(tid) {
            let space = self.processes.get(&thread.pid).and_then(|process| self.spaces.get(&process.space));
            if space.is_some_and(|s| s.guards.is_question(registers.rip, registers.orig_rax, registers.rdi)) {
                thread.system_call = Some(OURS);
                return self.go_on(tid, 0);
            }
            thread.system_call = Some(registers.orig_rax);
            let is_watched = !thread.interrupted.is_empty();
            if is_watched && registers.orig_rax == libc::SYS_rt_sigreturn as u64 {
                self.leave_handler(tid, registers.rsp);
            }
            self.fire(tid, ProcessEvent::Syscall);
        }
        self.go_on(tid, 0);
    }

    /// A thread is about to go back to what a signal interrupted; `context` is the ucontext_t that says where that is.
    fn leave_handler(&mut self, tid: Tid, context: u64) {
        const RSP: u64 = 160;
        let Some(space) = self.space_of(tid).and_then(|(_, space)| self.spaces.get(&space)) else { return };
        let word = |at| space.memory.word(context.wrapping_add(at));
        let (Some(address), Some(rsp)) = (word(UC_RIP as u64), word(RSP)) else { return };
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.interrupted.leave_handler(Place { address, rsp });
        }
    }

    /// A thread has mapped something.
    fn loaded(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let (pid, maps_code) = (thread.pid, thread.maps_code);
        let Some(process) = self.processes.get(&pid).filter(|p| p.is_loading || maps_code) else { return };
        let is_code = |r: &UserRegisters| r.rdx & libc::PROT_EXEC as u64 != 0 && (r.rax as i64) > 0;
        let Ok(registers) = sys::registers(tid) else { return };
        if !is_code(&registers) {
            return;
        }
        if let Some(space) = self.spaces.get_mut(&process.space) {
            // Perhaps in place of something else.
            space.forget(&(registers.rax..registers.rax.saturating_add(registers.rsi)));
        }
        self.mappings_changed(tid, pid);
    }

    /// Interrupts each thread that is running, for profile probes.
    fn sample(&mut self, probes: &[ProbeId]) {
        for (tid, thread) in &mut self.threads {
            let running = thread.state == State::Running && crate::process::status::state(*tid) == Some('R');
            if running && sys::interrupt(*tid).is_ok() {
                thread.samples.extend(probes);
            }
        }
    }

    fn run_samples(&mut self, tid: Tid) {
        let samples = self.threads.get_mut(&tid).map(|t| std::mem::take(&mut t.samples)).unwrap_or_default();
        if !samples.is_empty() && !self.quiet {
            self.run_probes(tid, &samples);
        }
    }
}
