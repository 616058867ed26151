//! Processes that are probed without being traced: all their probes are jumps, so nothing of what happens in them has to
//! be seen. Other tracers (gdb, strace) can attach meanwhile. They are looked at from time to time, and traced again
//! for the moment in which the probes are taken out.
//!
//! A child that such a process forks has the jumps too, and the same arena, by which it is found in the end.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rstap_abi::inject::{CONTEXTS_AT, POOL_WIPED};

use super::space::{Space, SpaceId};
use super::sys::{self, Tid};
use super::tracer::{End, State, Tracer};
use crate::backend::Handlers;
use crate::backend::inject::ledger::Ledger;
use crate::process::access::AccessError;
use crate::process::maps;
use crate::process::status;

/// Time between two looks at the processes.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long another tracer is waited for when probes are to be taken out.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time for handlers that run to end, before their memory is taken away: on a busy machine, the time until each thread has
/// had the cpu.
pub(super) const LAST_HANDLERS: Duration = Duration::from_millis(500);
/// The longest that threads run before they are looked at again.
const LONGEST_RUN: Duration = Duration::from_millis(32);

/// Processes that are not traced.
#[derive(Debug, Default)]
pub struct Detached {
    pids: HashSet<i32>,
    looked: Option<Instant>,
}

impl Detached {
    /// How long a tracer that traces nothing may sleep.
    pub fn interval(&self) -> Duration {
        if self.pids.is_empty() { Duration::MAX } else { INTERVAL }
    }
}

impl<H: Handlers> Tracer<H> {
    /// Lets the parked threads of a process go on: untraced, if nothing needs it to be traced.
    pub(super) fn let_run(&mut self, pid: i32) {
        if !self.can_run_untraced(pid) {
            return self.unpark(|other| other == pid);
        }
        for tid in self.threads_of(pid) {
            let _ = sys::detach(tid, 0);
            self.threads.remove(&tid);
        }
        self.detached.pids.insert(pid);
        self.report.say(1, format_args!("process {pid} runs untraced, with all its probes"));
    }

    pub(super) fn threads_of(&self, pid: i32) -> Vec<Tid> {
        self.threads.iter().filter(|(_, thread)| thread.pid == pid).map(|(tid, _)| *tid).collect()
    }

    fn can_run_untraced(&self, pid: i32) -> bool {
        // What a command executes is to be probed from its first instruction.
        if self.launched || self.registry.needs_tracing() {
            return false;
        }
        let Some(space) = self.processes.get(&pid).map(|process| process.space) else { return false };
        let shared = self.processes.iter().any(|(other, process)| *other != pid && process.space == space);
        let all_jumps = self.spaces.get(&space).is_some_and(|s| {
            s.sites.is_empty()
                && s.semaphores.is_empty()
                && s.home.as_ref().is_some_and(|home| !home.jumps.is_empty())
        });
        let parked = |tid: &Tid| matches!(self.threads.get(tid).map(|t| t.state), Some(State::Parked(_)));
        !shared && all_jumps && self.threads_of(pid).iter().all(parked)
    }

    /// Notices that a process has ended, or runs another program.
    pub(super) fn look_after_detached(&mut self) {
        if self.detached.pids.is_empty() || self.detached.looked.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        self.detached.looked = Some(Instant::now());
        for pid in self.detached.pids.clone() {
            let Some(space) = self.processes.get(&pid).map(|process| process.space) else { continue };
            if self.spaces.get(&space).is_some_and(has_its_memory) {
                continue;
            }
            let has_ended = matches!(status::state(pid), None | Some('Z' | 'X'));
            if !has_ended && maps::read(pid).is_ok_and(|mappings| mappings.is_empty()) {
                // It is about to end: its memory goes first.
                continue;
            }
            self.forget_detached(pid, space);
            let is_target = self.target == Some(pid);
            if has_ended {
                if is_target {
                    // Nobody but its parent is told how.
                    self.target_end = Some(End::Exited(0));
                }
            } else {
                self.report.warn(format_args!(
                    "process {pid} has executed another program; its first instructions were not probed"
                ));
                if let Err(error) = self.attach(pid, is_target) {
                    self.report.warn(format_args!("{error}"));
                }
            }
        }
    }

    fn forget_detached(&mut self, pid: i32, space: SpaceId) {
        self.detached.pids.remove(&pid);
        self.processes.remove(&pid);
        self.drop_space_if_unused(space);
    }

    /// Whether a process has our jumps already: one that is not traced, or its forked child.
    pub(super) fn is_covered(&self, pid: i32) -> bool {
        let Some(injector) = self.injector.as_ref().filter(|_| !self.detached.pids.is_empty()) else {
            return false;
        };
        let ours = |m: &maps::Mapping| {
            m.path.strip_prefix("/memfd:").is_some_and(|name| name.starts_with(&injector.arena_name))
        };
        maps::read(pid).is_ok_and(|mappings| mappings.iter().any(ours))
    }

    /// Traces those processes again whose probes are to be taken out, and the children they have forked. They are
    /// parked.
    pub(super) fn retrace(&mut self) {
        let known: Vec<(i32, SpaceId)> = self
            .detached
            .pids
            .iter()
            .filter_map(|pid| Some((*pid, self.processes.get(pid)?.space)))
            .filter(|(_, space)| self.spaces.get(space).is_some_and(has_its_memory))
            .collect();
        let children: Vec<i32> = status::processes()
            .into_iter()
            .filter(|pid| !self.processes.contains_key(pid) && self.is_covered(*pid))
            .collect();
        for child in children {
            self.adopt_child(child, &known);
        }
        for pid in std::mem::take(&mut self.detached.pids) {
            let Some(space) = self.processes.get(&pid).map(|process| process.space) else { continue };
            let is_there = self.spaces.get(&space).is_some_and(has_its_memory);
            if is_there && let Err(error) = self.seize_patiently(pid) {
                self.switch_off(space);
                self.report.warn(format_args!("probes in process {pid} are off, but stay in it: {error}"));
            }
            if !is_there || self.threads_of(pid).is_empty() {
                self.processes.remove(&pid);
                self.drop_space_if_unused(space);
            }
        }
    }

    /// Another rstap may be tracing the process for a moment.
    fn seize_patiently(&mut self, pid: i32) -> Result<(), AccessError> {
        let begin = Instant::now();
        loop {
            match self.seize_all(pid) {
                Err(_) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
                done => return done,
            }
        }
    }

    /// A child has a copy of what its parent had, at the same addresses.
    fn adopt_child(&mut self, child: i32, known: &[(i32, SpaceId)]) {
        let Ok(mappings) = maps::read(child) else { return };
        let space = known.iter().find_map(|(_, space)| {
            let s = self.spaces.get(space)?;
            let base = s.home.as_ref()?.base;
            mappings.iter().any(|m| m.executable && m.start == base).then(|| s.fork(child).ok()).flatten()
        });
        if let Some(space) = space {
            let id = self.new_space(space);
            self.add_process(child, Some(id), false);
            self.detached.pids.insert(child);
        }
    }

    /// Makes hits pass by in a process that cannot be stopped.
    fn switch_off(&mut self, space: SpaceId) {
        let Some(s) = self.spaces.get_mut(&space) else { return };
        if let Some(home) = &mut s.home {
            let (at, bytes) = home.switched_off();
            let _ = s.memory.write_raw(at, &bytes);
        }
    }

    /// Takes away the memory that handlers have used, where certainly none is using it: the jumps are out, so none
    /// begins any more. The code stays, and lets pass by who comes late: a signal may have interrupted a thread in a
    /// trampoline. `pid` is parked; it runs while handlers are waited for.
    pub(super) fn retire_home(&mut self, pid: i32, space: SpaceId, patience: Duration) {
        self.switch_off(space);
        let begin = Instant::now();
        let mut run = Duration::from_millis(1);
        while !self.is_at_rest(space) {
            if begin.elapsed() >= patience {
                return self.report.say(1, format_args!("process {pid} keeps the memory of its handlers"));
            }
            self.unpark(|other| other == pid);
            std::thread::sleep(run);
            run = (run * 2).min(LONGEST_RUN);
            self.park(|other| other == pid, INTERVAL);
        }
        let parked = |tid: &Tid| matches!(self.threads.get(tid).map(|t| t.state), Some(State::Parked(_)));
        let Some(tid) = self.threads_of(pid).into_iter().find(parked) else { return };
        let Some(home) = self.spaces.get_mut(&space).and_then(|s| s.home.take()) else { return };
        for (start, len) in
            [(home.config.arena, home.config.arena_size), (home.config.pool, home.plan.pool_size)]
        {
            let arguments = [start, len, 0, 0, 0, 0];
            if start != 0 {
                // Failing leaves memory behind that nobody uses.
                let _ = self.remote_call(tid, pid, space, libc::SYS_munmap, arguments);
            }
        }
        if let Some(s) = self.spaces.get(&space) {
            // All is undone. Failing means that the process is gone.
            let _ = s.memory.write_raw(home.base, &Ledger::of(&home, None).to_bytes());
        }
    }

    /// Whether no thread is in a handler, on the way to one, or will come back to one.
    fn is_at_rest(&self, space: SpaceId) -> bool {
        let Some(s) = self.spaces.get(&space) else { return true };
        let Some(home) = &s.home else { return true };
        let code = home.base..home.base + home.plan.size;
        // Not all of it: it is so large that half a pointer, which any stack has, leads into it.
        let used = s.memory.word(home.config.pool + POOL_WIPED).unwrap_or(0).min(home.plan.contexts);
        let pool_size = if home.config.pool == 0 { 0 } else { CONTEXTS_AT + used * home.plan.context_size };
        let pool = home.config.pool..home.config.pool + pool_size;
        self.positions(space).is_some_and(|positions| {
            positions.iter().all(|position| {
                let stack_is_ours = pool.contains(&position.rsp);
                !stack_is_ours
                    && !code.contains(&position.rip)
                    && !position.stack.iter().any(|word| code.contains(word) || pool.contains(word))
            })
        })
    }
}

/// Whether the memory that was changed is still that of a process: it is not after exec or its end.
fn has_its_memory(space: &Space) -> bool {
    space.home.as_ref().is_some_and(|home| space.memory.is_there(home.base))
}
