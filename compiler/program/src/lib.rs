//! What pass 4 hands to pass 5: the handler image, the arena's plan, and where probes go. Plain data, no behaviour;
//! nothing here refers to the script's text or to DWARF any more.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use rstap_abi::address::{FileOffset, TargetAddr};
use rstap_abi::layout::{GlobalShape, Off};
use rstap_abi::limits::Limits;

/// A compiled script.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Code and constants; byte 0 is an `rstap_abi::image::ImageHeader`.
    pub image: Vec<u8>,
    /// The arena.
    pub arena: ArenaPlan,
    /// Limits of the run.
    pub limits: Limits,
    /// Probes; the index is `Context::probe` and that of the image's probe table.
    pub probes: Vec<Probe>,
    /// Probes whose handlers ask what only rstap itself can answer (symbols, stacks, files), by rising id.
    pub host_only: Vec<ProbeId>,
    /// What each probe was derived from; for reports only.
    pub origins: Vec<Origin>,
    /// ELF files that have probes.
    pub modules: Vec<Module>,
    /// Places in the script that can fault, by `Context::fault_site`.
    pub sites: Vec<Site>,
}

/// What a probe was derived from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Where it stands in the script: `FILE:LINE:COLUMN`.
    pub place: String,
    /// The points it comes from: the alias, if it is one's, then the point as written.
    pub from: Vec<String>,
}

/// An index into [`Program::probes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u32);

/// An index into [`Program::modules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// How the arena is divided.
#[derive(Clone, Debug, Default)]
pub struct ArenaPlan {
    /// Bytes that the globals need, from byte 0; the runtime adds what it needs itself (header, ring) after them.
    /// The first `GLOBAL_ALIGN` bytes are left to the header, so that no global is at offset 0.
    pub size: u64,
    /// Globals by rising offset.
    pub globals: Vec<Global>,
    /// Where the shards are.
    pub shards: ShardPlan,
}

/// How the shards of the globals that handlers only add to are placed: `count` times `stride` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardPlan {
    /// Arena offset of the first.
    pub at: u64,
    /// Bytes of each.
    pub stride: u64,
    /// Their number; 0 if the script has no such globals.
    pub count: u32,
}

/// A global of the script.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Its name, for reports about its lock.
    pub name: String,
    /// Where it is.
    pub at: Off<u8>,
    /// What it is.
    pub shape: GlobalShape,
    /// Its first value, if not 0 or "".
    pub initial: Initial,
    /// Where in a shard its part is, if it is sharded.
    pub part: Option<u64>,
}

/// First value of a global.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Initial {
    /// 0, "" or empty.
    #[default]
    Zero,
    /// Of a `GlobalShape::Long`.
    Long(i64),
    /// Of a `GlobalShape::String`.
    String(Vec<u8>),
}

/// An ELF file that probes are in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Module {
    /// Where it was read, symbolic links resolved.
    pub path: PathBuf,
    /// Its build-id, empty if it has none.
    pub build_id: Vec<u8>,
}

/// A derived probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Where it is.
    pub point: Point,
    /// `pp()`, also named in messages.
    pub pp: String,
    /// For a return probe whose handler needs values from the entry: the probe whose handler saves them.
    pub entry: Option<ProbeId>,
    /// Bytes of saved values.
    pub entry_bytes: u32,
}

/// Where a probe is.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// `begin(N)`
    Begin(i64),
    /// `end(N)`
    End(i64),
    /// `error(N)`
    Error(i64),
    /// `never`, and probes that only serve as [`Probe::entry`].
    Never,
    /// `timer.ms(N).randomize(M)`
    Timer {
        /// Nanoseconds between two.
        period_ns: u64,
        /// Added or taken away at random: at most this.
        randomize_ns: u64,
    },
    /// `timer.profile`: each running thread of the target, at this rate.
    Profile {
        /// Samples a second.
        hz: u64,
    },
    /// An instruction of a file, in every process that the filter takes and that maps the file.
    Code {
        /// Which processes.
        process: ProcessFilter,
        /// The file.
        module: ModuleId,
        /// The instruction: the probed one, for a return probe the function's first.
        at: FileOffset,
        /// When it fires.
        kind: CodeKind,
    },
    /// A marker of <sys/sdt.h>, which is hit as an instruction of [`Point::Code`] is.
    Mark {
        /// Which processes.
        process: ProcessFilter,
        /// The file.
        module: ModuleId,
        /// The marker's nop.
        at: FileOffset,
        /// A 16-bit counter in the file's data that is one higher in each process where the probe is planted: programs
        /// pass a marker by that nobody watches.
        semaphore: Option<FileOffset>,
    },
    /// An instruction at an address, whatever is mapped there.
    Address {
        /// Which processes.
        process: ProcessFilter,
        /// The instruction.
        at: TargetAddr,
    },
    /// Data that the processor watches, each time a thread of the program writes it, or reads it as well.
    Data {
        /// Which processes.
        process: ProcessFilter,
        /// Where.
        place: DataPlace,
        /// Bytes.
        length: u64,
        /// Reads count as well.
        reads: bool,
    },
    /// `process.begin`, `.end`, `.thread.begin`, `.thread.end`, `.syscall`, `.syscall.return`
    Process {
        /// Which processes.
        process: ProcessFilter,
        /// Which event.
        event: ProcessEvent,
    },
}

/// Where watched data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataPlace {
    /// In the memory of a file, which need not be in the file (`.bss`): so far behind a byte of its code.
    File {
        /// The file.
        module: ModuleId,
        /// A byte of its code.
        code: FileOffset,
        /// Added to its address, modulo 2^64.
        distance: u64,
    },
    /// At this address, whatever is there.
    Address(TargetAddr),
}

/// When a probe on an instruction fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeKind {
    /// When the instruction is about to run.
    Hit,
    /// When the function that begins there returns to its caller.
    Return,
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ProcessEvent {
    Begin,
    End,
    ThreadBegin,
    ThreadEnd,
    Syscall,
    SyscallReturn,
}

/// Which processes a probe is for. All conditions that are set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProcessFilter {
    /// It runs this file.
    pub executable: Option<ModuleId>,
    /// It has this pid.
    pub pid: Option<u32>,
    /// Its real user id is this.
    pub uid: Option<u32>,
    /// It is the -c or -x target or one of its descendants (bare `process`).
    pub target_only: bool,
}

/// A place that can fault, for `ERROR: TEXT near TOKEN at PLACE in probe PP`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// `operator '/'`, `identifier 'a'`
    pub token: String,
    /// `file:line:column`
    pub place: String,
}
