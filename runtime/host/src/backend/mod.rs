//! Backends: each plants the probes of a program in processes, its own way, and calls the handlers.
//!
//! What all of them share is here: what a backend gives to a handler and what it gets back.

pub mod inject;
pub mod ptrace;

use std::sync::Arc;

use rstap_abi::context::Registers;
use rstap_program::ProbeId;

use self::ptrace::control::Control;
use crate::process::Mapping;

/// Memory of the process at the probe, as the program itself sees it: without breakpoints.
pub trait TargetMemory {
    /// Copies from it; `false` when not all of it can be read.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
    /// Copies to it; `false` when that is impossible.
    fn write(&self, address: u64, from: &[u8]) -> bool;
}

/// A probe was hit.
pub struct Hit<'a> {
    /// Which one.
    pub probe: ProbeId,
    /// Process at the probe.
    pub pid: u32,
    /// Thread at the probe.
    pub tid: u32,
    /// Its registers; a handler may change them. `None` where the thread has none (any more).
    pub registers: Option<&'a mut Registers>,
    /// Values saved at the function's entry for a return probe; empty if there are none.
    pub entry_values: &'a mut [u8],
    /// Its memory.
    pub memory: &'a dyn TargetMemory,
    /// Its floating-point and vector registers, which only few handlers ask for.
    pub vectors: &'a dyn Fn() -> Option<Box<FxSave>>,
}

/// Floating-point and vector registers as FXSAVE lays them out (Intel SDM vol. 1, 10.5.1).
pub type FxSave = [u8; 512];

/// What came of a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The handler ran, also if it ended in an error. `false`: it was skipped, and counted as such.
    pub ran: bool,
    /// It changed registers of the thread.
    pub wrote_registers: bool,
    /// The session is to end.
    pub end: bool,
}

/// Runs handlers.
pub trait Handlers {
    /// Runs the handler of a probe.
    fn run(&mut self, hit: Hit<'_>) -> Verdict;
    /// A process has these mappings now. Not all changes are told.
    fn mapped(&mut self, _pid: u32, _mappings: &[Mapping]) {}
    /// An address of a process in words.
    fn word(&self, _pid: u32, address: u64) -> String {
        format!("{address:#x}")
    }
    /// Whether the condition of the probe's point is true, or it has none.
    fn is_enabled(&self, _probe: ProbeId) -> bool {
        true
    }
    /// Changes whenever a probe has become enabled.
    fn enablings(&self) -> u64 {
        0
    }
    /// The tracer thread that is to serve a process from now on, if another one than that with this control should.
    fn colleague(&mut self, _pid: i32, _own: &Control) -> Option<Arc<Control>> {
        None
    }
    /// Counts a probe whose handler cannot be run, for a reason that is the backend's.
    fn skip(&mut self, probe: ProbeId);
}
