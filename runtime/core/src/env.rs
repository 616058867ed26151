//! What the core needs from its surroundings. The backends differ in this and in where they call the handler, in
//! nothing else.

use rstap_abi::context::Context;

use crate::image::Code;
use crate::text::Text;

/// A clock, by the argument of `time_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Since 1970.
    Realtime,
    /// Since some fixed time.
    Monotonic,
    /// CPU time of the thread at the probe.
    Thread,
}

/// A number about the process at the probe or about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ProcessNumber {
    Ppid,
    Pgrp,
    Sid,
    Uid,
    Euid,
    Gid,
    Egid,
    Cpu,
    /// Of the -c or -x target.
    Target,
    /// Of local time from UTC, in seconds.
    TimeZoneOffset,
}

/// A text about the process at the probe or about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessText<'a> {
    /// Its name.
    ExecName,
    /// Argument of its command line; -1: all.
    CommandLine(i64),
    /// Value of this environment variable.
    Variable(&'a [u8]),
    /// Name of the local time zone.
    TimeZone,
}

/// A number about any thread or process that exists, by the second argument of `task_number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskNumber {
    /// Id of its process.
    Process,
    /// Id of the process that started it.
    Parent,
    /// Real user.
    Uid,
    /// Effective user.
    Euid,
    /// Real group.
    Gid,
    /// Effective group.
    Egid,
    /// 0 running, 1 sleeping, 2 not to be interrupted, 4 stopped, 8 traced, 16 zombie, 32 dead.
    State,
    /// As the kernel counts: 120 is nice 0.
    Priority,
    /// -20 to 19
    Nice,
    /// On which it ran last.
    Cpu,
    /// Nanoseconds in its own code.
    UserTime,
    /// Nanoseconds in the kernel on its behalf.
    SystemTime,
    /// Nanoseconds from the machine's start to its own.
    StartTime,
    /// Pages of its address space.
    MemorySize,
    /// Pages of it in memory.
    MemoryResident,
    /// Pages of those that others may share.
    MemoryShared,
    /// Pages of code.
    MemoryText,
    /// Pages of data and stack.
    MemoryData,
    /// Files it has open.
    OpenFiles,
    /// Files its table has room for.
    MaxFiles,
    /// Process id of rstap, whatever the id.
    Rstap,
    /// Soft limit of resource `n` of getrlimit(2); -1: none.
    Limit(usize),
}

impl TaskNumber {
    /// The first `which` of the limits.
    const LIMITS: usize = 32;

    /// By the argument of the builtin.
    pub fn from_argument(which: i64) -> Option<TaskNumber> {
        const NUMBERS: [TaskNumber; 21] = [
            TaskNumber::Process,
            TaskNumber::Parent,
            TaskNumber::Uid,
            TaskNumber::Euid,
            TaskNumber::Gid,
            TaskNumber::Egid,
            TaskNumber::State,
            TaskNumber::Priority,
            TaskNumber::Nice,
            TaskNumber::Cpu,
            TaskNumber::UserTime,
            TaskNumber::SystemTime,
            TaskNumber::StartTime,
            TaskNumber::MemorySize,
            TaskNumber::MemoryResident,
            TaskNumber::MemoryShared,
            TaskNumber::MemoryText,
            TaskNumber::MemoryData,
            TaskNumber::OpenFiles,
            TaskNumber::MaxFiles,
            TaskNumber::Rstap,
        ];
        let which = usize::try_from(which).ok()?;
        NUMBERS.get(which).copied().or_else(|| which.checked_sub(TaskNumber::LIMITS).map(TaskNumber::Limit))
    }
}

/// A text about any thread or process that exists, by the second argument of `task_text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskText {
    /// Its name.
    Name,
    /// Path of its working directory.
    Directory,
    /// Path of its program.
    Program,
    /// What a file descriptor of it stands for: a path, or `socket:[…]`, `pipe:[…]` and the like.
    File(i64),
}

/// How an address is to be worded, by the number that `symbol` is called with. Where the symbol is not known, the
/// address stands for it, with the module and the position in it in the forms that name the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolForm {
    /// The symbol.
    Name,
    /// `symbol+offset/size [module]`
    Data,
    /// Path of the module; nothing if there is none.
    Module,
    /// `file:line`; the address if that is not known.
    FileLine,
    /// The source file; the address if that is not known.
    File,
    /// The line; the address if that is not known.
    Line,
    /// `address : symbol+offset/size [module]`
    Full,
    /// `address : symbol+offset/size at file:line [module]`, after such a line for each call that was inlined there
    FullLine,
    /// `symbol+offset [last component of the module's path]`
    Simple,
    /// `symbol+offset`
    Brief,
    /// Address of the module's first byte in hexadecimal; nothing if there is no module.
    ModuleStart,
    /// The module's build-id in hexadecimal; nothing if it has none.
    BuildId,
}

impl SymbolForm {
    /// The forms by their number.
    pub const ALL: [SymbolForm; 12] = [
        SymbolForm::Name,
        SymbolForm::Data,
        SymbolForm::Module,
        SymbolForm::FileLine,
        SymbolForm::File,
        SymbolForm::Line,
        SymbolForm::Full,
        SymbolForm::FullLine,
        SymbolForm::Simple,
        SymbolForm::Brief,
        SymbolForm::ModuleStart,
        SymbolForm::BuildId,
    ];
}

/// An address that is to be worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub value: u64,
    /// It is where a call returns to: the call is before it, perhaps at the very end of its function.
    pub is_return: bool,
}

/// Bytes of the longest address with `0x` and a blank.
const MAX_ADDRESS_TEXT: usize = 19;

/// The surroundings of a handler. No method may panic, allocate or wait without a bound when it runs in a target.
pub trait Env {
    /// Thread id of the running thread (which, when rstap runs the handler, is not the thread at the probe). Not 0,
    /// below 2^24. Locks and records in the ring are signed with it.
    fn owner(&self) -> u32;

    /// Whether the thread that signed with `owner` still exists. If unsure: yes.
    fn is_alive(&self, owner: u32) -> bool;

    /// Lets about this time go by, while a lock is busy.
    fn pause_us(&self, us: u64);

    /// The clock, in nanoseconds.
    fn time_ns(&self, clock: Clock) -> i64;

    /// The processor's time-stamp counter.
    fn cycles(&self) -> u64 {
        0
    }

    /// Copies target memory; `false` when not all of it can be read, and then `into` may hold anything.
    fn read_target(&self, context: &Context, address: u64, into: &mut [u8]) -> bool;

    /// Writes target memory; `false` when that is impossible.
    fn write_target(&self, _context: &Context, _address: u64, _from: &[u8]) -> bool {
        false
    }

    /// Sets a register of the thread at the probe, by DWARF number; `false` when that is impossible.
    fn write_register(&self, _context: &Context, _register: usize, _value: u64) -> bool {
        false
    }

    /// Eight bytes of a floating-point or vector register of the thread at the probe, by DWARF number (17 is xmm0, 33
    /// is st0); `half` is 0 or 1, the low ones first.
    fn vector_register(&self, _context: &Context, _register: usize, _half: usize) -> Option<u64> {
        None
    }

    /// Called when the output ring is full. `true`: it was drained, try again.
    fn make_room(&self) -> bool {
        false
    }

    /// Calls handler code; `false` if it crashed and the environment survived that.
    ///
    /// # Safety
    /// The contract of the code, as [`crate::image::Image::new`] has it, holds for this context.
    unsafe fn call(&self, code: Code, context: *mut Context) -> bool {
        // SAFETY: the caller's contract.
        unsafe { code(context) };
        true
    }

    /// Runs floating-point arithmetic. Where a program's thread runs it, with rounding and traps as they are by default,
    /// whatever the program has set, and without a trace in its flags.
    #[inline(always)]
    fn arithmetic<T>(&self, what: impl FnOnce() -> T) -> T {
        what()
    }

    /// A record is in the ring: wakes a consumer that sleeps.
    fn pushed(&self) {}

    /// A number about the process at the probe.
    fn process_number(&self, _context: &Context, _which: ProcessNumber) -> i64 {
        0
    }

    /// A text about the process at the probe; nothing if there is none.
    fn process_text(&self, _context: &Context, _which: ProcessText<'_>, _out: &mut Text<'_>) {}

    /// A number about a thread or process; 0 if it does not exist, or where that cannot be known.
    fn task_number(&self, _task: i64, _which: TaskNumber) -> i64 {
        0
    }

    /// A text about a thread or process; nothing if it does not exist, or where that cannot be known.
    fn task_text(&self, _task: i64, _which: TaskText, _out: &mut Text<'_>) {}

    /// The shortest decimal number that is nearest to this one (`NaN`, `inf`). The algorithm is large and
    /// may panic, so the core has none.
    fn float_text(&self, _value: f64, _out: &mut Text<'_>) {}

    /// Sends a signal to the thread at the probe; `false` when that is impossible.
    fn send_signal(&self, _context: &Context, _signal: i64) -> bool {
        false
    }

    /// Words an address. The default is the address in hexadecimal.
    fn symbol(&self, _context: &Context, address: Address, _form: SymbolForm, out: &mut Text<'_>) {
        out.put_hex(address.value);
    }

    /// Address in memory minus address in the file, of a file that the process has mapped; `None` if it has not, or
    /// where that cannot be known.
    fn load_bias(&self, _context: &Context, _path: &[u8]) -> Option<u64> {
        None
    }

    /// Writes the addresses of at most `frames` frames in hexadecimal, separated by blanks.
    fn backtrace(&self, context: &Context, frames: u64, out: &mut Text<'_>) {
        for (n, address) in (0..frames).map_while(|n| Some((n, self.frame(context, n)?))) {
            // Cut between addresses: half of one would be another one.
            if out.room() < MAX_ADDRESS_TEXT {
                break;
            }
            if n > 0 {
                out.put(b" ");
            }
            out.put_hex(address);
        }
    }

    /// Address of the `n`-th frame of the stack, 0 being the innermost. The default knows only that one.
    fn frame(&self, context: &Context, n: u64) -> Option<u64> {
        (n == 0).then_some(context.registers[rstap_abi::context::register::RIP])
    }
}
