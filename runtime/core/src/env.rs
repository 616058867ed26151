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

/// How an address is to be worded, by the argument of `symbol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolForm {
    /// The symbol alone.
    Name,
    /// Symbol, offset, module.
    Data,
    /// The module.
    Module,
    /// File and line.
    Line,
}

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

    /// A record is in the ring: wakes a consumer that sleeps.
    fn pushed(&self) {}

    /// A number about the process at the probe.
    fn process_number(&self, _context: &Context, _which: ProcessNumber) -> i64 {
        0
    }

    /// A text about the process at the probe; nothing if there is none.
    fn process_text(&self, _context: &Context, _which: ProcessText<'_>, _out: &mut Text<'_>) {}

    /// Words an address. The default is the address in hexadecimal.
    fn symbol(&self, _context: &Context, address: u64, _form: SymbolForm, out: &mut Text<'_>) {
        out.put_hex(address);
    }

    /// Writes the addresses of at most `frames` frames in hexadecimal, separated by blanks. The default knows only
    /// the innermost one.
    fn backtrace(&self, context: &Context, frames: u64, out: &mut Text<'_>) {
        if frames > 0 {
            out.put_hex(context.registers[rstap_abi::context::register::RIP]);
        }
    }
}
