//! Pass 5: one session, from a program to its outcome.
//!
//! ```text
//! map arena and image, initialise globals
//! start or attach to the target, plant probes; it is held
//! begin probes, by number; process.begin; the target goes on
//!     timers │ tracer threads │ writer thread │ this thread waits: end of the target, exit(), signals, -T
//! target given back unharmed
//! end probes by number, or error probes after too many errors; all output written; counts
//! ```
//!
//! A command (-c) that still runs when the session ends is given back and sent SIGTERM: it was started for the
//! session only, and would be left fighting with the shell for the terminal. One that has not begun (a begin probe
//! said exit()) is killed. A process given with -x, or found, just goes on.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rstap_abi::session::state;
use rstap_core::output::Consumer;
use rstap_core::session::{SessionView, skipped};
use rstap_core::setup;
use rstap_program::{Initial, Point, ProbeId, Program};

use crate::backend::inject::Injector;
use crate::backend::ptrace::registry::Registry;
use crate::backend::ptrace::{End, LaunchError, sys};
use crate::dispatch::{Shared, Worker, WorkerMemory};
use crate::environment::is_alive;
use crate::mapping::{ArenaMapping, ImageMapping, MappingError};
use crate::notes::Notes;
use crate::output::Output;
use crate::process::access::AccessError;
use crate::process::filter::MissingModule;
use crate::process::newcomers::Newcomers;
use crate::process::{Handle, Modules, status};
use crate::signals::Signals;
use crate::sink::{Rotation, Sink};
use crate::symbols::{DebugPlaces, Symbols};
use crate::timers::{Due, Stop, Timers};
use crate::timing::Timing;
use crate::tracers::Tracers;

/// What a session works on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Start this command (-c).
    Command(String),
    /// This process (-x).
    Pid(u32),
    /// All processes that the probes are for, now and later.
    #[default]
    None,
}

/// How a session is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it works on.
    pub target: Target,
    /// Output goes here instead of standard output (-o).
    pub output: Option<PathBuf>,
    /// And in more files after that one (-S).
    pub rotation: Option<Rotation>,
    /// Number of -v.
    pub verbose: u8,
    /// Ends the session after this time (-T).
    pub timeout: Option<Duration>,
    /// No warnings (-w).
    pub suppress_warnings: bool,
    /// Run-time errors are only counted: no message, no exit status (--suppress-handler-errors).
    pub suppress_handler_errors: bool,
    /// Says at the end how often each probe was hit and what it cost (-t).
    pub timing: bool,
    /// SIGINT, SIGTERM, SIGHUP and SIGQUIT end the session instead of the process. Off for programs that have their
    /// own idea of signals, and end the session with [`Ender::end`].
    pub handle_signals: bool,
    /// How targets are reached.
    pub backend: Backend,
    /// Bytes of the output ring.
    pub ring_bytes: u64,
    /// Where debug files are.
    pub debug_places: DebugPlaces,
}

/// How targets are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// As is best.
    #[default]
    Auto,
    /// By breakpoints; handlers run in rstap.
    Ptrace,
    /// By jumps; handlers run in the target wherever that is sound, the others as under [`Backend::Ptrace`].
    Inject,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            target: Target::None,
            output: None,
            rotation: None,
            verbose: 0,
            timeout: None,
            suppress_warnings: false,
            suppress_handler_errors: false,
            timing: false,
            handle_signals: true,
            backend: Backend::default(),
            ring_bytes: 4 << 20,
            debug_places: DebugPlaces::default(),
        }
    }
}

/// A session could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The globals are larger than any memory.
    #[error("the script's globals need {bytes} bytes; give arrays a smaller size or lower MAXMAPENTRIES")]
    TooLarge {
        /// What they need.
        bytes: u64,
    },
    /// No memory.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The image is not one.
    #[error("the handler image is not one of this rstap's ABI version")]
    BadImage,
    /// The plan of the arena contradicts itself.
    #[error("the plan of the arena is inconsistent")]
    BadPlan,
    /// A probed file is gone.
    #[error(transparent)]
    Module(#[from] MissingModule),
    /// The -o file cannot be made.
    #[error("cannot open {path}: {error}")]
    OutputFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A number of processes.
    #[error("{pid} is no process id")]
    BadPid {
        /// What was given.
        pid: u32,
    },
    /// The target cannot be traced.
    #[error("cannot attach: {0}")]
    Access(#[from] AccessError),
    /// The command cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The system refused something a session needs.
    #[error("cannot set up {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status for rstap: 0, or 1 after run-time errors, a failed command, or output that could not be written.
    pub status: i32,
    /// Run-time errors.
    pub errors: u64,
    /// Skipped probes.
    pub skipped: u64,
    /// How the -c or -x process ended, if it did.
    pub target: Option<End>,
}

/// Ends a session from any thread. Its descriptor is readable from the moment the session is to end.
#[derive(Clone, Debug)]
pub struct Ender(Arc<Events>);

/// Why the waiting thread wakes up.
#[derive(Debug)]
struct Events {
    fd: EventFd,
    end: AtomicBool,
}

impl Ender {
    fn new() -> Result<Ender, SessionError> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| system("an event descriptor", errno))?;
        Ok(Ender(Arc::new(Events { fd, end: AtomicBool::new(false) })))
    }

    /// Ends the session: probes are removed, end probes run.
    pub fn end(&self) {
        self.0.end.store(true, Ordering::Release);
        self.wake();
    }

    /// Makes the waiting thread look whether the session is over.
    pub(crate) fn wake(&self) {
        let _ = self.0.fd.write(1);
    }

    fn is_over(&self) -> bool {
        self.0.end.load(Ordering::Acquire)
    }

    /// Readable when the session is to end.
    pub fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

fn system(what: &'static str, errno: nix::errno::Errno) -> SessionError {
    SessionError::System { what, error: errno.into() }
}

/// What is called when the probes are in.
pub type Ready = Box<dyn FnOnce() + Send + Sync>;

/// A session that has not run.
pub struct Session {
    program: Program,
    options: Options,
    arena: ArenaMapping,
    image: ImageMapping,
    plan: setup::Plan,
    modules: Modules,
    /// The -x process, whatever becomes of its number.
    target: Option<Arc<Handle>>,
    ender: Ender,
    output: Option<File>,
    ready: Option<Ready>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Session {
    /// Maps arena and image and initialises the globals. Touches no process.
    pub fn new(program: Program, options: Options) -> Result<Session, SessionError> {
        crate::signals::expect_file_limits();
        let target = match options.target {
            Target::Pid(pid) => i32::try_from(pid).ok().and_then(Handle::open).map(Arc::new),
            _ => None,
        };
        let too_large = SessionError::TooLarge { bytes: program.arena.size };
        let plan = setup::plan(program.arena.size, options.ring_bytes).ok_or(too_large)?;
        let arena = ArenaMapping::new(plan.size)?;
        let image = ImageMapping::new(&program.image)?;
        initialise(&arena, &plan, &program).map_err(|_| SessionError::BadPlan)?;
        let modules = Modules::of(&program)?;
        let ender = Ender::new()?;
        Ok(Session {
            program,
            options,
            arena,
            image,
            plan,
            modules,
            target,
            ender,
            output: None,
            ready: None,
        })
    }

    /// What handlers print goes there, to a pipe perhaps, whatever the options say.
    pub fn write_to(&mut self, output: File) {
        self.output = Some(output);
    }

    /// To be called once begin probes have run and the probes are in, unless the session is over by then.
    pub fn when_ready(&mut self, ready: Ready) {
        self.ready = Some(ready);
    }

    /// Something to end it with from elsewhere.
    pub fn ender(&self) -> Ender {
        self.ender.clone()
    }

    /// Runs it to its end on the calling thread.
    pub fn run(mut self) -> Result<Outcome, SessionError> {
        let ready = self.ready.take();
        crate::guard::prepare();
        sys::prepare_wake_ups().map_err(|errno| system("signals", errno))?;
        let signals = if self.options.handle_signals {
            Some(Signals::take_over().map_err(|errno| system("signal handlers", errno))?)
        } else {
            None
        };
        let sink = self.sink()?;
        let arena = self.arena.arena();
        // SAFETY: the driver passes what pass 4 made; the ABI version in it is checked.
        let image = unsafe { self.image.image() }.ok_or(SessionError::BadImage)?;
        let session = SessionView::new(arena).map_err(|_| SessionError::BadPlan)?;
        let consumer = Consumer::new(&arena, &self.plan).map_err(|_| SessionError::BadPlan)?;
        let mut output = Output::new(&self.program, image, consumer, self.plan.ring_words);
        output.silent_errors = self.options.suppress_handler_errors;
        let shared = Shared {
            program: &self.program,
            image,
            arena,
            session,
            output,
            target: AtomicU32::new(0),
            symbols: Symbols::new(self.options.debug_places.clone()),
            timing: self.options.timing.then(|| Timing::new(&self.program)),
        };
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| shared.output.run(sink, is_alive, || self.ender.end()));
            let outcome = self.run_with_output(&shared, signals.as_ref(), ready);
            // Targets are free. If nobody reads the output, another ^C ends what is left.
            drop(signals);
            if let Some(timing) = &shared.timing {
                shared.output.say(timing.report(&self.program).into_bytes(), is_alive);
            }
            shared.output.finish();
            let _ = writer.join();
            outcome.map(|outcome| self.conclude(&shared, outcome))
        })
    }

    fn sink(&self) -> Result<Sink, SessionError> {
        if let Some(output) = &self.output {
            let clone = output.try_clone();
            let failed = |error| SessionError::System { what: "the output", error };
            return clone.map(Sink::opened).map_err(failed);
        }
        match &self.options.output {
            None => Ok(Sink::Stdout),
            Some(path) => Sink::create(path, self.options.rotation)
                .map_err(|error| SessionError::OutputFile { path: path.clone(), error }),
        }
    }

    fn run_with_output(
        &self,
        shared: &Shared<'_>,
        signals: Option<&Signals>,
        ready: Option<Ready>,
    ) -> Result<Outcome, SessionError> {
        let mut memory = WorkerMemory::new(&self.program);
        let mut worker = Worker::new(shared, &mut memory).ok_or(SessionError::BadImage)?;
        self.warn_without_target();
        let target = std::thread::scope(|scope| {
            let registry = Registry::new(&self.program, self.modules.clone());
            let tracers =
                Tracers::new(scope, shared, &self.options, &self.ender, registry, self.injector(shared));
            if let Err(error) = tracers.start(self.target.clone()) {
                tracers.finish();
                return Err(error);
            }
            let go_on = self.run_begin(shared, &mut worker);
            if go_on {
                shared.session.set_state(state::RUNNING);
            }
            tracers.begin(go_on);
            if go_on {
                ready.into_iter().for_each(|ready| ready());
                self.wait(shared, signals, &tracers);
            }
            shared.output.hurry(true);
            Ok(tracers.finish())
        })?;
        shared.output.hurry(false);
        self.run_end(shared, &mut worker);
        Ok(Outcome { target, ..Outcome::default() })
    }

    /// As stap says it: bare `process` probes need a target.
    fn warn_without_target(&self) {
        let bare = |point: &Point| match point {
            Point::Code { process, .. }
            | Point::Mark { process, .. }
            | Point::Address { process, .. }
            | Point::Data { process, .. }
            | Point::Process { process, .. } => process.target_only,
            _ => false,
        };
        let needed = self.program.probes.iter().any(|probe| bare(&probe.point));
        if needed && self.options.target == Target::None && !self.options.suppress_warnings {
            eprintln!("WARNING: process probes require a target (-c or -x)");
        }
    }

    /// Runs begin probes in order of their numbers; whether the session goes on.
    fn run_begin(&self, shared: &Shared<'_>, worker: &mut Worker<'_, '_>) -> bool {
        let begins = self.numbered(|point| match point {
            Point::Begin(number) => Some(*number),
            _ => None,
        });
        let over = || shared.session.exit_requested() || shared.session.state() == state::ERROR;
        run_numbered(&begins, over, |probe| worker.run_always(probe));
        !over()
    }

    /// Runs end probes, or error probes if there were too many errors.
    fn run_end(&self, shared: &Shared<'_>, worker: &mut Worker<'_, '_>) {
        let failed = || shared.session.state() == state::ERROR;
        if !failed() {
            shared.session.set_state(state::STOPPING);
            let ends = self.numbered(|point| match point {
                Point::End(number) => Some(*number),
                _ => None,
            });
            run_numbered(&ends, failed, |probe| worker.run_always(probe));
        }
        if failed() {
            let errors = self.numbered(|point| match point {
                Point::Error(number) => Some(*number),
                _ => None,
            });
            for (_, probe) in errors {
                worker.run_always(probe);
            }
        }
        shared.session.set_state(state::STOPPED);
    }

    fn numbered(&self, number: impl Fn(&Point) -> Option<i64>) -> Vec<(i64, ProbeId)> {
        let numbered = |(index, probe): (usize, &rstap_program::Probe)| {
            number(&probe.point).map(|number| (number, ProbeId(index as u32)))
        };
        let mut all: Vec<_> = self.program.probes.iter().enumerate().filter_map(numbered).collect();
        all.sort();
        all
    }

    /// What puts handlers into targets, if they are to run there.
    fn injector(&self, shared: &Shared<'_>) -> Option<Injector> {
        let arena = self.arena.file().try_clone().ok().filter(|_| self.options.backend == Backend::Inject)?;
        let memory = WorkerMemory::sizes_in_target(&self.program, shared.largest_stack());
        Some(Injector::new(&self.program, (arena, self.arena.name()), self.plan.size, memory))
    }

    /// Waits for the end of the session, with timers running.
    fn wait(&self, shared: &Shared<'_>, signals: Option<&Signals>, tracers: &Arc<Tracers<'_, '_, '_>>) {
        let stop = Stop::default();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let timers = Timers::of(&self.program);
            if !timers.is_empty() {
                let stack = stack_size(shared);
                let body = || self.run_timers(shared, tracers, timers, &stop);
                let thread = std::thread::Builder::new().name("rstap-timers".into()).stack_size(stack);
                if let Err(error) = thread.spawn_scoped(scope, body) {
                    shared.output.notes().say(format_args!("ERROR: cannot start the timer thread: {error}"));
                    self.ender.end();
                }
            }
            if tracers.watches_newcomers() {
                scope.spawn(|| self.watch_newcomers(&shared.output.notes(), tracers, &over));
            }
            self.wait_for_end(shared, signals, tracers);
            over.store(true, Ordering::Release);
            stop.stop();
        });
    }

    fn wait_for_end(&self, shared: &Shared<'_>, signals: Option<&Signals>, tracers: &Tracers<'_, '_, '_>) {
        /// Handlers in other processes have no descriptor to tell of anything with.
        const LOOK: Duration = Duration::from_millis(10);
        let mut enablings = shared.session.enablings();
        let deadline = self.options.timeout.map(|timeout| Instant::now() + timeout);
        while !tracers.is_finished() && !self.ender.is_over() && shared.session.is_running() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            let mut fds = vec![PollFd::new(self.ender.descriptor(), PollFlags::POLLIN)];
            fds.extend(signals.map(|s| PollFd::new(s.descriptor(), PollFlags::POLLIN)));
            let time = left.unwrap_or(LOOK).min(LOOK);
            let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut fds, timeout);
            // Handlers in targets cannot wake the writer.
            if self.options.backend == Backend::Inject {
                shared.output.nudge();
            }
            if std::mem::replace(&mut enablings, shared.session.enablings()) != enablings {
                tracers.wake_resting();
            }
            tracers.wake_pending();
            let is_command = matches!(self.options.target, Target::Command(_));
            if is_command {
                crate::signals::stop_with_the_command();
            } else if signals.is_some_and(Signals::take_stop) {
                tracers.suspend();
                Signals::stop();
                tracers.resume();
            }
            if let Some(signal) = signals.and_then(Signals::take) {
                if self.options.verbose > 0 {
                    shared.output.notes().say(format_args!("rstap: {signal} ends the session"));
                }
                return;
            }
        }
    }

    fn run_timers(&self, shared: &Shared<'_>, tracers: &Tracers<'_, '_, '_>, timers: Timers, stop: &Stop) {
        let mut memory = WorkerMemory::new(&self.program);
        let Some(mut worker) = Worker::new(shared, &mut memory) else { return };
        timers.run(stop, |due| match due {
            Due::Timer(probe) => {
                let enablings = shared.session.enablings();
                let ends = worker.run_timer(probe);
                if shared.session.enablings() != enablings {
                    tracers.wake_resting();
                }
                if ends {
                    self.ender.end();
                    stop.stop();
                }
            }
            Due::Sample(probe) => tracers.sample(probe),
        });
    }

    fn watch_newcomers(&self, notes: &Notes, tracers: &Arc<Tracers<'_, '_, '_>>, over: &AtomicBool) {
        let mut newcomers = Newcomers::watch();
        if self.options.verbose > 0 {
            notes.say(format_args!("rstap: {}", newcomers.describe()));
        }
        // What started while the first scan was under way.
        status::processes().into_iter().for_each(|pid| tracers.offer(pid));
        while !over.load(Ordering::Acquire) {
            newcomers.wait().into_iter().for_each(|pid| tracers.offer(pid));
            tracers.wake_pending();
        }
    }

    /// The last words, and the exit status.
    fn conclude(&self, shared: &Shared<'_>, mut outcome: Outcome) -> Outcome {
        let counts = shared.session.counts();
        outcome.errors = counts.errors;
        outcome.skipped = skipped(&counts);
        let mut failed = counts.errors > 0 && !self.options.suppress_handler_errors;
        if outcome.skipped > self.program.limits.max_skipped {
            eprintln!("ERROR: Skipped too many probes, check MAXSKIPPED or use -t for details.");
            failed = true;
        }
        if counts.overloads > 0 {
            eprintln!(
                "ERROR: probe overhead exceeded threshold, check STP_OVERLOAD_THRESHOLD or use -t for details."
            );
            failed = true;
        }
        if outcome.errors > 0 || outcome.skipped > 0 {
            eprintln!("WARNING: Number of errors: {}, skipped probes: {}", outcome.errors, outcome.skipped);
        }
        let waited_us = counts.waited_us + shared.output.waited_us();
        if self.program.limits.max_output_wait_ms > 0 && waited_us > 0 {
            eprintln!(
                "WARNING: Handlers waited {} ms for their output to be read.",
                waited_us.div_ceil(1000)
            );
        }
        let lost = counts.dropped + shared.output.lost();
        match shared.output.failure() {
            // The reader has had enough, like `head`: no failure of ours, and nothing to complain about.
            Some(error) if error.error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Some(error) => {
                failed = true;
                eprintln!("ERROR: {error}");
            }
            None if lost > 0 => eprintln!(
                "WARNING: There were {lost} transport failures: output was lost because nobody read it."
            ),
            None => {}
        }
        if let (Target::Command(_), Some(end)) = (&self.options.target, outcome.target) {
            failed |= report_end(end);
        }
        outcome.status = i32::from(failed);
        outcome
    }
}

/// Says how a command failed, as stap does; whether it did.
fn report_end(end: End) -> bool {
    match end {
        End::Exited(0) => false,
        End::Exited(status) => {
            eprintln!("WARNING: Child process exited with status {status}");
            true
        }
        End::Killed(signal) => {
            eprintln!(
                "WARNING: Child process exited with signal {signal} ({})",
                crate::sys::signal_name(signal)
            );
            true
        }
    }
}

/// Runs numbered probes in order. Once the session is over, those of the number that is being run are the last.
fn run_numbered(probes: &[(i64, ProbeId)], over: impl Fn() -> bool, mut run: impl FnMut(ProbeId)) {
    let mut current = None;
    for &(number, probe) in probes {
        if over() && current.is_some_and(|current| current != number) {
            break;
        }
        current = Some(number);
        run(probe);
    }
}

fn initialise(
    mapping: &ArenaMapping,
    plan: &setup::Plan,
    program: &Program,
) -> rstap_core::arena::Checked<()> {
    let arena = mapping.arena();
    let limits = &program.limits;
    setup::session(&arena, plan, limits)?;
    for global in &program.arena.globals {
        setup::global(&arena, global.at, &global.shape, limits)?;
        match &global.initial {
            Initial::Zero => {}
            Initial::Long(value) => setup::set_long(&arena, global.at, *value)?,
            Initial::String(value) => setup::set_string(&arena, global.at, value, limits)?,
        }
    }
    Ok(())
}

/// Stack for a thread that runs handlers.
pub(crate) fn stack_size(shared: &Shared<'_>) -> usize {
    const OWN: usize = 2 << 20;
    OWN + shared.largest_stack() as usize
}
