//! The tracer threads of a session, and which of them a process is given to.
//!
//! The kernel binds a process to the one thread that traces it, so two busy processes of one tracer thread would wait
//! for each other's handlers. So each process that is attached to gets a thread of its own, as long as there are not
//! too many; handlers of different threads run at the same time, on the same globals.
//!
//! A forked child, and a program that a child begins, is given to a thread of its own as `handover` says, if its parent's
//! thread has another process with probes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use rstap_program::ProbeId;

use crate::backend::inject::Injector;
use crate::backend::ptrace::control::Control;
use crate::backend::ptrace::registry::Registry;
use crate::backend::ptrace::{Colleagues, End, Report, Tracer, sys};
use crate::dispatch::{Shared, Worker, WorkerMemory};
use crate::notes::Notes;
use crate::process::{Handle, Status, status};
use crate::session::{Ender, Options, SessionError, Target, stack_size};

/// Most tracer threads. Beyond, processes share them.
const MOST_THREADS: usize = 64;

/// What a tracer thread begins with.
enum Start {
    /// Running the command of -c.
    Command(String),
    /// Attaching to the process of -x.
    Target(i32, Option<Arc<Handle>>),
    /// Attaching to these processes, as far as possible.
    Processes(Vec<i32>),
}

/// One tracer thread.
struct TracerThread<'scope> {
    control: Arc<Control>,
    go: Sender<bool>,
    /// Its sender goes with the thread.
    end: Receiver<()>,
    handle: ScopedJoinHandle<'scope, Option<End>>,
}

impl TracerThread<'_> {
    fn is_finished(&self) -> bool {
        self.end.try_recv() == Err(TryRecvError::Disconnected)
    }
}

/// Tells of the end of a tracer thread, however that comes.
struct Ending {
    end: Option<Sender<()>>,
    ender: Ender,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.end = None;
        self.ender.wake();
    }
}

/// The threads, and the processes given to them: start time and thread by process id.
#[derive(Default)]
struct Assigned<'scope> {
    threads: Vec<TracerThread<'scope>>,
    processes: HashMap<i32, (u64, usize)>,
    /// No more threads are started.
    is_closed: bool,
}

/// The tracer threads of a session.
pub struct Tracers<'scope, 'env, 's> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared<'s>,
    options: &'scope Options,
    ender: &'scope Ender,
    registry: Arc<Registry>,
    injector: Option<Arc<Injector>>,
    assigned: Mutex<Assigned<'scope>>,
    begun: AtomicBool,
}

impl<'scope, 'env, 's: 'scope> Tracers<'scope, 'env, 's> {
    /// No thread yet. Whoever waits for `ender` wakes up when one ends.
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        shared: &'scope Shared<'s>,
        options: &'scope Options,
        ender: &'scope Ender,
        registry: Registry,
        injector: Option<Injector>,
    ) -> Arc<Self> {
        Arc::new(Tracers {
            scope,
            shared,
            options,
            ender,
            registry: Arc::new(registry),
            injector: injector.map(Arc::new),
            assigned: Mutex::default(),
            begun: AtomicBool::new(false),
        })
    }

    /// Starts or attaches to the target, or to all processes that probes are for. All of them are held until
    /// [`Tracers::begin`]. `target` is a handle of the -x process, made when it was first looked at.
    pub fn start(self: &Arc<Self>, target: Option<Arc<Handle>>) -> Result<(), SessionError> {
        let mut starts = Vec::new();
        match &self.options.target {
            Target::Command(command) => starts.push((Start::Command(command.clone()), Vec::new())),
            Target::Pid(pid) => {
                let number = i32::try_from(*pid).map_err(|_| SessionError::BadPid { pid: *pid })?;
                starts.push((Start::Target(number, target), vec![number]));
            }
            Target::None if self.watches_newcomers() => {
                let found: Vec<i32> =
                    status::processes().into_iter().filter(|pid| self.registry.takes(*pid)).collect();
                for first in 0..found.len().min(self.most_threads()) {
                    let own: Vec<i32> =
                        found.iter().skip(first).step_by(self.most_threads()).copied().collect();
                    starts.push((Start::Processes(own.clone()), own));
                }
            }
            Target::None => {}
        }
        let mut reports = Vec::new();
        for (start, processes) in starts {
            let mut assigned = self.assigned();
            let (index, report) = self.spawn(&mut assigned, start)?;
            reports.push(report);
            for pid in processes {
                assigned.processes.insert(pid, (status::start_time(pid).unwrap_or(0), index));
            }
        }
        for report in reports {
            match report.recv() {
                Ok(outcome) => outcome?,
                // It panicked, and said so.
                Err(_) => self.stop(),
            }
        }
        // The command, which has a number only now.
        let target = self.shared.target.load(Ordering::Relaxed) as i32;
        if let Some(start) = status::start_time(target) {
            self.assigned().processes.entry(target).or_insert((start, 0));
        }
        Ok(())
    }

    /// Where handlers run in targets, tracers have little to do, and one knows of all that have our memory.
    fn most_threads(&self) -> usize {
        if self.injector.is_some() { 1 } else { MOST_THREADS }
    }

    /// Whether processes that appear later belong to the session.
    pub fn watches_newcomers(&self) -> bool {
        self.options.target == Target::None && self.registry.wants_processes()
    }

    /// Begin probes have run; with `false` the session ends before its target has run.
    pub fn begin(&self, go_on: bool) {
        self.begun.store(go_on, Ordering::Release);
        for thread in &self.assigned().threads {
            let _ = thread.go.send(go_on);
        }
    }

    /// A process has started or changed its program.
    pub fn offer(self: &Arc<Self>, pid: i32) {
        if !self.registry.takes(pid) || is_ours(pid) {
            return;
        }
        let Some(start) = status::start_time(pid) else { return };
        let mut assigned = self.assigned();
        let index = match assigned.processes.get(&pid) {
            // Two threads must never try to attach to one process.
            Some((known, index)) if *known == start => *index,
            _ => self.thread_for_another(&mut assigned),
        };
        if let Some(thread) = assigned.threads.get(index) {
            thread.control.ask(|asked| asked.newcomers.push(pid));
            assigned.processes.insert(pid, (start, index));
        }
    }

    /// The thread with the fewest processes, a new one if that has some.
    fn thread_for_another(self: &Arc<Self>, assigned: &mut Assigned<'scope>) -> usize {
        let loads = loads(assigned);
        let least = (0..loads.len()).min_by_key(|index| loads[*index]);
        match least {
            Some(index) if loads[index] == 0 || loads.len() >= self.most_threads() => index,
            _ => self.spawn_running(assigned).or(least).unwrap_or(0),
        }
    }

    /// A new thread that begins at once.
    fn spawn_running(self: &Arc<Self>, assigned: &mut Assigned<'scope>) -> Option<usize> {
        let (index, _) = self.spawn(assigned, Start::Processes(Vec::new())).ok()?;
        let _ = assigned.threads[index].go.send(self.begun.load(Ordering::Acquire));
        Some(index)
    }

    /// Profile probes are due.
    pub fn sample(&self, probe: ProbeId) {
        for thread in &self.assigned().threads {
            thread.control.ask(|asked| asked.samples.push(probe));
        }
    }

    /// A probe has become enabled: breakpoints that were taken out for want of one may have to be put back.
    pub fn wake_resting(&self) {
        for thread in &self.assigned().threads {
            thread.control.ask(|_| {});
        }
    }

    /// Repeats wake-ups that came too early.
    pub fn wake_pending(&self) {
        for thread in self.assigned().threads.iter().filter(|thread| thread.control.is_pending()) {
            thread.control.wake();
        }
    }

    /// Has all threads give their processes back until [`Tracers::resume`]. Returns when they have.
    pub fn suspend(&self) {
        let controls: Vec<Arc<Control>> =
            self.assigned().threads.iter().map(|thread| thread.control.clone()).collect();
        controls.iter().for_each(|control| control.suspend());
        while controls.iter().any(|control| control.is_suspending()) && !self.is_finished() {
            controls.iter().for_each(|control| control.wake());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// They take their processes again.
    pub fn resume(&self) {
        for thread in &self.assigned().threads {
            thread.control.resume();
        }
    }

    /// Whether one of the threads has ended: then the session is over.
    pub fn is_finished(&self) -> bool {
        self.assigned().threads.iter().any(TracerThread::is_finished)
    }

    /// Asks all threads to give their processes back and to end.
    pub fn stop(&self) {
        for thread in &self.assigned().threads {
            // Those that have not begun do not.
            let _ = thread.go.send(false);
            thread.control.stop();
        }
    }

    /// Waits for the end of all threads; how the target ended.
    pub fn finish(&self) -> Option<End> {
        self.assigned().is_closed = true;
        self.stop();
        let threads = std::mem::take(&mut self.assigned().threads);
        for thread in &threads {
            // A wake-up that comes too early is lost.
            while thread.end.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                thread.control.wake();
            }
        }
        threads.into_iter().filter_map(|thread| thread.handle.join().ok().flatten()).next()
    }

    fn assigned(&self) -> MutexGuard<'_, Assigned<'scope>> {
        self.assigned.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A new thread; its number, and what tells when it holds what it was to attach to.
    fn spawn(
        self: &Arc<Self>,
        assigned: &mut Assigned<'scope>,
        start: Start,
    ) -> Result<(usize, Receiver<Result<(), SessionError>>), SessionError> {
        let control = Arc::new(Control::default());
        let (go, wait_for_go) = mpsc::channel();
        let (report, reported) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let ending = Ending { end: Some(end), ender: self.ender.clone() };
        let (all, own) = (self.clone(), control.clone());
        let handle = std::thread::Builder::new()
            .name("rstap-tracer".into())
            .stack_size(stack_size(self.shared))
            .spawn_scoped(self.scope, move || {
                let _ending = ending;
                all.trace(own, start, &wait_for_go, &report)
            })
            .map_err(|error| SessionError::System { what: "a tracer thread", error })?;
        assigned.threads.push(TracerThread { control, go, end: ended, handle });
        Ok((assigned.threads.len() - 1, reported))
    }

    /// A tracer thread. Whatever happens in it, its processes are given back.
    fn trace(
        self: Arc<Self>,
        control: Arc<Control>,
        start: Start,
        wait_for_go: &Receiver<bool>,
        report: &Sender<Result<(), SessionError>>,
    ) -> Option<End> {
        let shared = self.shared;
        let mut memory = WorkerMemory::new(shared.program);
        let Some(mut worker) = Worker::new(shared, &mut memory) else {
            let _ = report.send(Err(SessionError::BadImage));
            return None;
        };
        worker.work_with(&self);
        let notes = shared.output.notes();
        let noting = Noting { notes, verbose: self.options.verbose, quiet: self.options.suppress_warnings };
        let mut tracer = Tracer::new(worker, self.registry.clone(), control, Box::new(noting));
        if let Some(injector) = &self.injector {
            tracer.inject_with(injector.clone());
        }
        let is_command = matches!(start, Start::Command(_));
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            match find_target(&mut tracer, shared, start) {
                Ok(()) => drop(report.send(Ok(()))),
                Err(error) => {
                    let _ = report.send(Err(error));
                    return false;
                }
            }
            let go_on = wait_for_go.recv().unwrap_or(false);
            if go_on {
                tracer.begin();
                tracer.run();
            }
            go_on
        }));
        tracer.detach_all();
        // What becomes of a command that the session outlived.
        if let (true, Some(pid), None) = (is_command, tracer.target(), tracer.target_end()) {
            sys::kill(pid, if *served.as_ref().unwrap_or(&true) { libc::SIGTERM } else { libc::SIGKILL });
        }
        if let Err(panic) = served {
            std::panic::resume_unwind(panic);
        }
        tracer.target_end()
    }
}

impl<'scope, 's: 'scope> Colleagues for Arc<Tracers<'scope, '_, 's>> {
    fn find(&self, pid: i32, own: &Control) -> Option<Arc<Control>> {
        let start = status::start_time(pid)?;
        let mut assigned = self.assigned();
        if assigned.is_closed || !self.begun.load(Ordering::Acquire) {
            return None;
        }
        let loads = loads(&mut assigned);
        let is_idle = |index: &usize| {
            let thread = &assigned.threads[*index];
            loads[*index] == 0 && !std::ptr::eq(&*thread.control, own) && !thread.is_finished()
        };
        let index = match (0..loads.len()).find(is_idle) {
            Some(index) => index,
            None if loads.len() < self.most_threads() => self.spawn_running(&mut assigned)?,
            None => return None,
        };
        assigned.processes.insert(pid, (start, index));
        Some(assigned.threads[index].control.clone())
    }
}

/// How many processes each thread has.
fn loads(assigned: &mut Assigned<'_>) -> Vec<usize> {
    assigned.processes.retain(|pid, (start, _)| status::start_time(*pid) == Some(*start));
    let mut loads = vec![0_usize; assigned.threads.len()];
    for (_, index) in assigned.processes.values() {
        loads[*index] += 1;
    }
    loads
}

/// Whether a process is traced by this rstap.
fn is_ours(pid: i32) -> bool {
    // The kernel names the thread that traces.
    pid == std::process::id() as i32
        || Status::read(pid).is_some_and(|status| {
            status.tracer != 0
                && std::fs::exists(format!("/proc/self/task/{}", status.tracer)).unwrap_or(false)
        })
}

fn find_target(
    tracer: &mut Tracer<Worker<'_, '_>>,
    shared: &Shared<'_>,
    start: Start,
) -> Result<(), SessionError> {
    match start {
        Start::Command(command) => {
            let pid = tracer.launch(&command)?;
            shared.target.store(pid as u32, Ordering::Relaxed);
        }
        Start::Target(pid, handle) => {
            shared.target.store(pid as u32, Ordering::Relaxed);
            tracer.attach_to(pid, handle.as_deref(), true)?;
        }
        Start::Processes(pids) => pids.into_iter().for_each(|pid| tracer.consider(pid)),
    }
    Ok(())
}

/// What tracers say goes to standard error, but they do not wait for it.
struct Noting {
    notes: Notes,
    verbose: u8,
    quiet: bool,
}

impl Report for Noting {
    fn say(&self, level: u8, text: std::fmt::Arguments<'_>) {
        if self.verbose >= level {
            self.notes.say(format_args!("rstap: {text}"));
        }
    }

    fn is_heard(&self, level: u8) -> bool {
        self.verbose >= level
    }

    fn warn(&self, text: std::fmt::Arguments<'_>) {
        if !self.quiet {
            self.notes.say(format_args!("WARNING: {text}"));
        }
    }
}
