//! Processes and threads that come, change and go: launch, attach, clone, fork, vfork, exec, exit.

use std::ffi::CString;
use std::time::Duration;

use nix::errno::Errno;
use rstap_program::ProcessEvent;

use super::injecting::remove_jumps_unless;
use super::interrupted::Interrupted;
use super::semaphores::lower_semaphores;
use super::space::{Space, SpaceId};
use super::sys::{self, Status, Tid};
use super::tracer::{End, Process, State, Thread, Tracer};
use crate::backend::Handlers;
use crate::process::access::{self, AccessError};
use crate::process::filter::Subject;
use crate::process::{Handle, status};

/// The -c command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The command has no words.
    #[error("the command of -c is empty")]
    Empty,
    /// It contains a NUL.
    #[error("the command of -c contains a NUL byte")]
    Nul,
    /// No process could be made.
    #[error("cannot start a process: {0}")]
    Fork(#[source] Errno),
    /// The process could not be traced.
    #[error("cannot trace the command: {0}")]
    Trace(#[source] AccessError),
}

/// The words of a command: split as a shell would (wordexp(3)) where that is possible, else given to a shell, which
/// replaces itself by the command.
pub fn command_words(command: &str) -> Result<Vec<CString>, LaunchError> {
    if command.trim().is_empty() {
        return Err(LaunchError::Empty);
    }
    if let Some(words) = sys::shell_words(command) {
        return Ok(words);
    }
    ["/bin/sh", "-c", command]
        .map(|word| CString::new(word).map_err(|_| LaunchError::Nul))
        .into_iter()
        .collect()
}

impl<H: Handlers> Tracer<H> {
    /// Starts a command, traced from its first instruction. It is held until [`Tracer::begin`]. If it cannot be
    /// executed, it has ended (status 127) when this returns.
    pub fn launch(&mut self, command: &str) -> Result<i32, LaunchError> {
        let words = command_words(command)?;
        let waiting = sys::spawn(&words).map_err(LaunchError::Fork)?;
        let pid = waiting.pid;
        sys::seize(pid, self.options()).map_err(|errno| LaunchError::Trace(access::explain(pid, errno)))?;
        (self.target, self.launched) = (Some(pid), true);
        self.add_process(pid, None, true);
        self.add_thread(pid, pid);
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.is_new = false;
        }
        waiting.go();
        // What the waiting process does before its exec is rstap's own code.
        while self.target_end.is_none() && !self.processes.get(&pid).is_some_and(|p| self.is_armed(p)) {
            match self.next_event(true) {
                Ok(Some((tid, status))) => self.handle(tid, status),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        Ok(pid)
    }

    fn is_armed(&self, process: &Process) -> bool {
        self.spaces.contains_key(&process.space)
    }

    /// Attaches to a running process with all its threads, and plants what it should have. Its threads go on at
    /// once, or are held until [`Tracer::begin`].
    pub fn attach(&mut self, pid: i32, is_target: bool) -> Result<(), AccessError> {
        self.attach_to(pid, Handle::open(pid).as_ref(), is_target)
    }

    /// The same for the process that a handle is of: its number may be another one's by now.
    pub fn attach_to(
        &mut self,
        pid: i32,
        handle: Option<&Handle>,
        is_target: bool,
    ) -> Result<(), AccessError> {
        access::check(pid)?;
        self.seize_all(pid)?;
        if handle.is_some_and(|handle| !handle.is_alive()) {
            self.abandon(pid);
            return Err(AccessError::NoSuchProcess { pid });
        }
        if is_target {
            self.target = Some(pid);
        }
        let space = Space::open(pid).map_err(|error| {
            access::explain(pid, Errno::from_raw(error.raw_os_error().unwrap_or(libc::EPERM)))
        })?;
        let id = self.new_space(space);
        self.add_process(pid, Some(id), is_target);
        self.park(|other| other == pid, Duration::from_millis(20));
        self.wait_for_strangers(pid, id);
        let parked = |(_, t): &(&Tid, &Thread)| t.pid == pid && matches!(t.state, State::Parked(_));
        match self.threads.iter().find(parked).map(|(tid, _)| *tid) {
            Some(tid) => self.arm(tid, pid),
            None => return Err(AccessError::NoSuchProcess { pid }),
        }
        if !self.holding {
            self.begin_process(pid);
            self.let_run(pid);
        }
        Ok(())
    }

    /// Becomes the tracer of each thread. Threads made by traced ones are traced from the start, so once all that
    /// are listed are ours, all are.
    pub(super) fn seize_all(&mut self, pid: i32) -> Result<(), AccessError> {
        loop {
            let mut found_new = false;
            for tid in status::threads(pid) {
                if self.threads.contains_key(&tid) || self.early.contains_key(&tid) {
                    continue;
                }
                match sys::seize(tid, self.options()) {
                    Ok(()) => {
                        self.add_thread(tid, pid);
                        if let Some(thread) = self.threads.get_mut(&tid) {
                            thread.is_new = false;
                            thread.park = true;
                            thread.watches = None;
                        }
                        found_new = true;
                    }
                    // It ended, or it is a new one that is traced already.
                    Err(Errno::ESRCH) => {}
                    Err(_) if matches!(status::state(tid), None | Some('Z' | 'X')) => {}
                    Err(_) if tid != pid && self.is_traced_by_us(tid) => {}
                    Err(errno) => {
                        let error = access::explain(pid, errno);
                        self.abandon(pid);
                        return Err(error);
                    }
                }
            }
            if !found_new {
                return Ok(());
            }
        }
    }

    fn is_traced_by_us(&self, tid: Tid) -> bool {
        crate::process::Status::read(tid)
            .is_some_and(|s| s.tracer == std::process::id() as i32 || s.tracer == sys::this_thread())
    }

    /// Gives up a process that could not be attached to completely.
    fn abandon(&mut self, pid: i32) {
        self.park(|other| other == pid, Duration::from_millis(20));
        let tids: Vec<Tid> = self.threads.iter().filter(|(_, t)| t.pid == pid).map(|(tid, _)| *tid).collect();
        for tid in tids {
            let _ = sys::detach(tid, 0);
            self.threads.remove(&tid);
        }
    }

    /// Attaches to a process if some probe is for it. What cannot be traced is passed over, with a word at -v.
    pub fn consider(&mut self, pid: i32) {
        if self.processes.contains_key(&pid) || pid == std::process::id() as i32 || self.is_covered(pid) {
            return;
        }
        if !self.registry.takes(pid) {
            return;
        }
        match self.attach(pid, false) {
            Ok(()) => self.report.say(1, format_args!("attached to process {pid}")),
            Err(error) => self.report.say(1, format_args!("not attached: {error}")),
        }
    }

    /// Begin probes have run: all processes go on.
    pub fn begin(&mut self) {
        self.holding = false;
        let mut pids: Vec<i32> = self.processes.keys().copied().collect();
        pids.sort_unstable();
        for pid in pids {
            self.begin_process(pid);
        }
        if !self.end_wanted {
            let pids: Vec<i32> = self.processes.keys().copied().collect();
            for pid in pids {
                self.let_run(pid);
            }
            self.unpark(|_| true);
        }
    }

    /// Runs process.begin, once for each program a process runs.
    fn begin_process(&mut self, pid: i32) {
        let parked = |(_, t): &(&Tid, &Thread)| t.pid == pid && !matches!(t.state, State::Running);
        // The first thread, if there is a choice.
        let is_other = |tid: &Tid| *tid != pid;
        let first = self.threads.iter().filter(parked).map(|(tid, _)| *tid).min_by_key(is_other);
        let Some(tid) = first else { return };
        match self.processes.get_mut(&pid) {
            Some(process) if !process.has_begun => process.has_begun = true,
            _ => return,
        }
        self.fire(tid, ProcessEvent::Begin);
        // Those that are there already: a process that is attached to, not one that starts.
        if self.registry.has_event(ProcessEvent::ThreadBegin) {
            let is_there = |(other, t): &(&Tid, &Thread)| t.pid == pid && !t.is_new && **other != pid;
            let mut others: Vec<Tid> = self.threads.iter().filter(is_there).map(|(tid, _)| *tid).collect();
            others.sort_unstable();
            for other in others {
                self.fire(other, ProcessEvent::ThreadBegin);
            }
        }
    }

    pub(super) fn new_space(&mut self, space: Space) -> SpaceId {
        let id = SpaceId(self.next_space);
        self.next_space += 1;
        self.spaces.insert(id, space);
        id
    }

    pub(super) fn drop_space_if_unused(&mut self, space: SpaceId) {
        if self.processes.values().all(|process| process.space != space) {
            self.spaces.remove(&space);
        }
    }

    pub(super) fn add_process(&mut self, pid: i32, space: Option<SpaceId>, in_target: bool) {
        let subject = Subject::read(pid, in_target).unwrap_or(Subject {
            pid,
            executable: None,
            uid: u32::MAX,
            in_target,
        });
        let accepted = self.registry.accepted(&subject);
        let process = Process {
            // Until its exec a launched process has none; no space has this number.
            space: space.unwrap_or(SpaceId(u32::MAX)),
            watches_system_calls: self.registry.watches_system_calls(&accepted),
            is_loading: false,
            accepted,
            subject,
            has_begun: false,
            has_ended: false,
        };
        self.processes.insert(pid, process);
    }

    fn add_thread(&mut self, tid: Tid, pid: i32) {
        let thread = Thread {
            pid,
            state: State::Running,
            park: self.holding || self.quiet,
            is_new: true,
            interrupted: Interrupted::default(),
            maps_code: false,
            system_call: None,
            samples: Vec::new(),
            met: None,
            blocked: 0,
            watches: Some(0),
            asked_at: None,
        };
        self.threads.insert(tid, thread);
    }

    /// clone, fork or vfork: a thread announces a new one, which is traced already.
    pub(super) fn announced(&mut self, tid: Tid, event: i32) {
        let Some(new) = sys::event_message(tid).ok().map(|message| message as Tid) else {
            return self.go_on(tid, 0);
        };
        let Some(parent) = self.threads.get(&tid).cloned() else { return };
        let is_thread = crate::process::Status::read(new).is_some_and(|s| s.process == parent.pid);
        self.add_thread(new, parent.pid);
        if is_thread {
            if let Some(thread) = self.threads.get_mut(&new) {
                thread.park |= parent.park;
            }
        } else {
            self.forked(tid, new, parent.pid, event);
            if let Some(thread) = self.threads.get_mut(&new) {
                // It goes back from the same signal handlers.
                thread.interrupted = parent.interrupted;
            }
        }
        if let Some(status) = self.early.remove(&new) {
            self.postpone(new, status);
        }
        self.go_on(tid, 0);
    }

    fn forked(&mut self, tid: Tid, new: i32, parent: i32, event: i32) {
        let Some(parent) = self.processes.get(&parent).cloned() else { return };
        let shares = event == libc::PTRACE_EVENT_VFORK
            || event == libc::PTRACE_EVENT_CLONE && sys::share_memory(tid, new) == Some(true);
        let space = if shares {
            Some(parent.space)
        } else {
            let copy = self.spaces.get(&parent.space).map(|space| space.fork(new));
            match copy {
                Some(Ok(space)) => Some(self.new_space(space)),
                // It was killed already.
                _ => None,
            }
        };
        self.add_process(new, space, parent.subject.in_target);
        if let Some(thread) = self.threads.get_mut(&new) {
            thread.pid = new;
        }
    }

    /// A new thread is stopped before its first instruction.
    pub(super) fn first_stop(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let pid = thread.pid;
        if self.quiet {
            return;
        }
        let Some(process) = self.processes.get(&pid) else { return };
        if tid != pid {
            // Otherwise it is one of those that are there when the process begins.
            if process.has_begun {
                self.fire(tid, ProcessEvent::ThreadBegin);
            }
            return;
        }
        let (accepted, subject) = (process.accepted.contains(&true), process.subject);
        if !accepted && !self.is_worth_following(&subject) {
            return self.let_go(pid);
        }
        if self.spaces.get(&process.space).is_some_and(|space| space.lacks_probes) {
            self.arm(tid, pid);
        }
        self.prune(pid);
        self.begin_process(pid);
        self.hand_over(tid, pid, false);
    }

    /// Whether a process that no probe is for may yet run a program that some probe is for.
    fn is_worth_following(&self, subject: &Subject) -> bool {
        // Without a target, exec events lead to it.
        subject.in_target && self.registry.could_take(subject)
    }

    /// Takes out of a forked copy the breakpoints of probes that are not for it.
    fn prune(&mut self, pid: i32) {
        let Some(process) = self.processes.get(&pid) else { return };
        let shared = self.processes.iter().any(|(other, p)| *other != pid && p.space == process.space);
        let Some(space) = self.spaces.get_mut(&process.space) else { return };
        if shared {
            return;
        }
        let accepted = &process.accepted;
        let useless = |site: &super::space::Planted| {
            !site.is_loader
                && !site.is_mapper
                && !site.is_return
                && site.probes.iter().all(|(probe, _)| accepted.get(probe.0 as usize) != Some(&true))
        };
        let addresses: Vec<u64> = space.sites.iter().filter(|(_, s)| useless(s)).map(|(at, _)| *at).collect();
        for address in addresses {
            space.remove(address);
        }
        let takes = |probe: &u32| accepted.get(*probe as usize) == Some(&true);
        remove_jumps_unless(space, takes);
        space.watched.retain(|probe| accepted.get(probe.0 as usize) == Some(&true));
        lower_semaphores(space, |probe| accepted.get(probe.0 as usize) != Some(&true));
    }

    /// Detaches from a process that is no longer of interest; its only thread is parked. A vfork child is let go
    /// only at its exec: its memory is its parent's.
    fn let_go(&mut self, pid: i32) {
        let Some(space) = self.processes.get(&pid).map(|p| p.space) else { return };
        if self.processes.iter().any(|(other, p)| *other != pid && p.space == space) {
            return;
        }
        if let Some(space) = self.spaces.get_mut(&space) {
            space.remove_all();
        }
        self.detach_process(pid);
    }

    /// exec: another program, in new memory, by one thread, whose id is now that of the process.
    pub(super) fn executed(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let pid = thread.pid;
        let former = sys::event_message(tid).map_or(tid, |message| message as Tid);
        let was_parked = thread.park || self.threads.get(&former).is_some_and(|t| t.park);
        self.threads.retain(|other, thread| thread.pid != pid || *other == tid);
        if self.processes.get(&pid).is_some_and(|p| p.has_begun && !p.has_ended) {
            self.fire(tid, ProcessEvent::End);
        }
        let Some(old) = self.processes.remove(&pid) else { return };
        self.drop_space_if_unused(old.space);
        if let Some(thread) = self.threads.get_mut(&tid) {
            (thread.park, thread.system_call) = (was_parked, None);
            thread.interrupted = Interrupted::default();
            thread.watches = Some(0);
        }
        if self.quiet {
            if let Ok(space) = Space::open(pid) {
                let id = self.new_space(space);
                self.add_process(pid, Some(id), old.subject.in_target);
            }
            return self.go_on(tid, 0);
        }
        self.enter_program(tid, pid, old.subject.in_target);
    }

    /// A thread is at the first instruction of a program.
    fn enter_program(&mut self, tid: Tid, pid: i32, in_target: bool) {
        let space = match Space::open(pid) {
            Ok(space) => self.new_space(space),
            Err(_) => return self.go_on(tid, 0),
        };
        self.add_process(pid, Some(space), in_target);
        let Some(process) = self.processes.get(&pid) else { return };
        let (accepted, subject) = (process.accepted.contains(&true), process.subject);
        if access::class(pid) == Some(access::Class::ThirtyTwo) {
            self.report.warn(format_args!("process {pid} runs a 32-bit program, which is not probed"));
            return self.leave_alone(tid, pid);
        }
        let is_target = self.target == Some(pid);
        if !accepted && !is_target && !self.is_worth_following(&subject) {
            return self.leave_alone(tid, pid);
        }
        // Out of the exec system call, so that registers are the program's.
        let begin = sys::interrupt(tid).and_then(|()| sys::resume(tid, sys::Resume::Run, 0));
        if begin.is_err() {
            return;
        }
        match wait_for_event_stop(tid) {
            Ok(signal) => {
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.state = State::Parked(signal);
                    thread.park |= self.holding;
                }
                if self.hand_over(tid, pid, true) {
                    return;
                }
                self.begin_program(tid, pid);
                self.event_stop_of_parked(tid);
            }
            Err(status) => self.postpone(tid, status),
        }
    }

    /// Arms a process that is at the first instruction of a program.
    pub(super) fn begin_program(&mut self, tid: Tid, pid: i32) {
        self.arm(tid, pid);
        self.watch_loading(pid);
        if !self.holding {
            self.begin_process(pid);
        }
    }

    /// Detaches from a process with one thread, just after its exec.
    fn leave_alone(&mut self, tid: Tid, pid: i32) {
        if self.target == Some(pid) {
            return self.go_on(tid, 0);
        }
        let _ = sys::detach(tid, 0);
        self.threads.remove(&tid);
        if let Some(process) = self.processes.remove(&pid) {
            self.drop_space_if_unused(process.space);
        }
    }

    /// A thread is about to end; its registers are still there.
    pub(super) fn exiting(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get(&tid) {
            let pid = thread.pid;
            if tid != pid {
                self.fire(tid, ProcessEvent::ThreadEnd);
            }
            let others = self.threads.iter().any(|(other, t)| {
                *other != tid && t.pid == pid && !matches!(status::state(*other), None | Some('Z' | 'X'))
            });
            if !others {
                self.end_process(tid, pid);
            }
        }
        // It runs no more code, so it need not be held; interrupting it would be in vain.
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.park = false;
        }
        self.go_on(tid, 0);
    }

    fn end_process(&mut self, tid: Tid, pid: i32) {
        match self.processes.get_mut(&pid) {
            Some(process) if process.has_begun && !process.has_ended => process.has_ended = true,
            _ => return,
        }
        self.fire(tid, ProcessEvent::End);
    }

    /// A thread is gone. That of a process's first thread is told last.
    pub(super) fn thread_ended(&mut self, tid: Tid, status: Status) {
        self.early.remove(&tid);
        let Some(pid) = self.threads.get(&tid).map(|thread| thread.pid) else { return };
        if tid == pid {
            self.end_process(tid, pid);
            self.threads.retain(|_, thread| thread.pid != pid);
            if let Some(process) = self.processes.remove(&pid) {
                self.drop_space_if_unused(process.space);
            }
            if self.target == Some(pid) {
                self.target_end = Some(match status {
                    Status::Exited(code) => End::Exited(code),
                    Status::Killed(signal) | Status::Stopped(signal, _) => End::Killed(signal),
                });
            }
            return;
        }
        self.threads.remove(&tid);
        if let Some(space) = self.processes.get(&pid).and_then(|p| self.spaces.get_mut(&p.space)) {
            space.forget_thread(tid);
        }
    }
}

/// Waits for the interruption of a thread that has nothing else to do; the signal of a group stop.
pub(super) fn wait_for_event_stop(tid: Tid) -> Result<i32, Status> {
    loop {
        match sys::wait(tid, true) {
            Ok(Some((_, Status::Stopped(libc::SIGTRAP, libc::PTRACE_EVENT_STOP)))) => return Ok(0),
            Ok(Some((_, Status::Stopped(signal, libc::PTRACE_EVENT_STOP)))) => return Ok(signal),
            // The end of the exec system call, where system calls are watched.
            Ok(Some((_, Status::Stopped(signal, 0)))) if signal == libc::SIGTRAP | 0x80 => {
                let _ = sys::resume(tid, sys::Resume::Run, 0);
            }
            Ok(Some((_, status))) => return Err(status),
            Ok(None) | Err(Errno::EINTR) => {}
            Err(_) => return Err(Status::Killed(libc::SIGKILL)),
        }
    }
}
