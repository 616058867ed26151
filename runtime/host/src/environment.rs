//! The core's environment inside rstap: time, pauses, and the process at the probe, looked up when a handler asks.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::IoSliceMut;
use std::path::Path;
use std::time::Duration;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rstap_abi::context::Context;
use rstap_core::env::{Address, Clock, Env, ProcessNumber, ProcessText, SymbolForm, TaskNumber, TaskText};
use rstap_core::image::Code;
use rstap_core::text::Text;

use crate::backend::{FxSave, TargetMemory};
use crate::output::Output;
use crate::process::{Status, status, task};
use crate::symbols::{self, Place, Stack, Symbols};

/// Where FXSAVE puts the registers.
const ST0: usize = 32;
const XMM0: usize = 160;

/// The surroundings of one handler.
pub struct HostEnv<'h, 's> {
    owner: u32,
    output: &'h Output<'s>,
    target: u32,
    memory: Option<&'h dyn TargetMemory>,
    vectors: &'h dyn Fn() -> Option<Box<FxSave>>,
    /// What `vectors` gave when it was asked.
    saved_vectors: OnceCell<Option<Box<FxSave>>>,
    symbols: &'h Symbols,
    /// Whether what the process has mapped was read for this handler.
    mappings_read: Cell<bool>,
    stack: RefCell<Option<Stack>>,
    wrote_registers: Cell<bool>,
    about: RefCell<Option<Status>>,
}

impl<'h, 's> HostEnv<'h, 's> {
    /// For a handler that runs on the thread `owner` of rstap.
    pub fn new(
        owner: u32,
        output: &'h Output<'s>,
        target: u32,
        symbols: &'h Symbols,
        memory: Option<&'h dyn TargetMemory>,
        vectors: &'h dyn Fn() -> Option<Box<FxSave>>,
    ) -> HostEnv<'h, 's> {
        let (wrote_registers, mappings_read) = (Cell::new(false), Cell::new(false));
        let (about, stack) = (RefCell::new(None), RefCell::new(None));
        let saved_vectors = OnceCell::new();
        HostEnv {
            owner,
            output,
            target,
            memory,
            vectors,
            saved_vectors,
            symbols,
            mappings_read,
            stack,
            wrote_registers,
            about,
        }
    }

    /// Whether the handler changed registers.
    pub fn wrote_registers(&self) -> bool {
        self.wrote_registers.get()
    }

    /// What is at an address of the process at the probe; in a probe that no target hits, of any process there was.
    fn find(&self, context: &Context, address: u64) -> Option<Place> {
        let pid = self.memory.is_some().then(|| process_of(context));
        if let Some(pid) = pid.filter(|_| !self.mappings_read.replace(true)) {
            self.symbols.refresh(pid);
        }
        self.symbols.find(pid, address, self.memory)
    }

    fn status<T>(&self, context: &Context, get: impl FnOnce(&Status) -> T) -> Option<T> {
        let mut about = self.about.borrow_mut();
        if about.is_none() {
            *about = Status::read(process_of(context));
        }
        about.as_ref().map(get)
    }
}

/// The process a handler asks about: that at the probe, or rstap itself in begin, end and timer probes.
fn process_of(context: &Context) -> i32 {
    if context.pid == 0 { std::process::id() as i32 } else { context.pid as i32 }
}

fn thread_of(context: &Context) -> i32 {
    if context.tid == 0 { std::process::id() as i32 } else { context.tid as i32 }
}

/// Copies memory of a process that goes on running: what the probes of rstap itself see of the target.
fn read_running(pid: u32, address: u64, into: &mut [u8]) -> bool {
    let len = into.len();
    let remote = RemoteIoVec { base: address as usize, len };
    let read = process_vm_readv(Pid::from_raw(pid as i32), &mut [IoSliceMut::new(into)], &[remote]);
    read.is_ok_and(|count| count == len)
}

/// Whether a thread of any process in our pid namespace exists.
pub fn is_alive(owner: u32) -> bool {
    Path::new(&format!("/proc/{owner}")).exists()
}

impl Env for HostEnv<'_, '_> {
    fn owner(&self) -> u32 {
        self.owner
    }

    fn is_alive(&self, owner: u32) -> bool {
        is_alive(owner)
    }

    fn pause_us(&self, us: u64) {
        std::thread::sleep(Duration::from_micros(us));
    }

    fn time_ns(&self, clock: Clock) -> i64 {
        let clock = match clock {
            Clock::Realtime => nix::time::ClockId::CLOCK_REALTIME,
            Clock::Monotonic => nix::time::ClockId::CLOCK_MONOTONIC,
            Clock::Thread => nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID,
        };
        nix::time::clock_gettime(clock)
            .map_or(0, |time| time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec()))
    }

    fn cycles(&self) -> u64 {
        crate::sys::cycles()
    }

    fn read_target(&self, _context: &Context, address: u64, into: &mut [u8]) -> bool {
        match self.memory {
            Some(memory) => memory.read(address, into),
            None => self.target != 0 && read_running(self.target, address, into),
        }
    }

    fn write_target(&self, _context: &Context, address: u64, from: &[u8]) -> bool {
        self.memory.is_some_and(|memory| memory.write(address, from))
    }

    fn write_register(&self, context: &Context, register: usize, _value: u64) -> bool {
        let general = register < rstap_abi::context::register::RIP;
        let possible = general && context.flags & rstap_abi::context::flags::HAS_REGISTERS != 0;
        self.wrote_registers.set(self.wrote_registers.get() || possible);
        possible
    }

    fn vector_register(&self, _context: &Context, register: usize, half: usize) -> Option<u64> {
        let at = match (register, half) {
            (17..=32, 0 | 1) => XMM0 + (register - 17) * 16 + half * 8,
            (33..=40, 0 | 1) => ST0 + (register - 33) * 16 + half * 8,
            _ => return None,
        };
        let saved = self.saved_vectors.get_or_init(self.vectors).as_ref()?;
        Some(u64::from_le_bytes(saved.get(at..at + 8)?.try_into().ok()?))
    }

    fn make_room(&self) -> bool {
        // A record whose producer died is given up by the writer thread; looking for that here would cost a
        // system call for each one that is merely slow.
        self.output.make_room(|_| true)
    }

    unsafe fn call(&self, code: Code, context: *mut Context) -> bool {
        // SAFETY: the caller's contract.
        unsafe { crate::guard::call(code, context) }
    }

    fn pushed(&self) {
        self.output.nudge();
    }

    fn process_number(&self, context: &Context, which: ProcessNumber) -> i64 {
        let field = |number| {
            status::stat_field(process_of(context), number).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let id = |get: fn(&Status) -> u32| self.status(context, get).map_or(0, i64::from);
        match which {
            ProcessNumber::Ppid => field(4),
            ProcessNumber::Pgrp => field(5),
            ProcessNumber::Sid => field(6),
            ProcessNumber::Uid => id(|s| s.user[0]),
            ProcessNumber::Euid => id(|s| s.user[1]),
            ProcessNumber::Gid => id(|s| s.group[0]),
            ProcessNumber::Egid => id(|s| s.group[1]),
            ProcessNumber::Cpu => status::cpu(thread_of(context)).map_or(0, |cpu| cpu as i64),
            ProcessNumber::Target => i64::from(self.target),
            ProcessNumber::TimeZoneOffset => crate::sys::time_zone().0,
        }
    }

    fn process_text(&self, context: &Context, which: ProcessText<'_>, out: &mut Text<'_>) {
        let pid = process_of(context);
        match which {
            ProcessText::ExecName => {
                let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
                out.put(name.strip_suffix(b"\n").unwrap_or(&name));
            }
            ProcessText::CommandLine(number) => {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                put_argument(&line, number, out);
            }
            ProcessText::Variable(name) => {
                let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let value = variables
                    .split(|b| *b == 0)
                    .find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="));
                out.put(value.unwrap_or_default());
            }
            ProcessText::TimeZone => {
                out.put(crate::sys::time_zone().1.as_bytes());
            }
        }
    }

    fn task_number(&self, id: i64, which: TaskNumber) -> i64 {
        task::number(id, which)
    }

    fn task_text(&self, id: i64, which: TaskText, out: &mut Text<'_>) {
        task::text(id, which, out);
    }

    fn float_text(&self, value: f64, out: &mut Text<'_>) {
        // A text that is full cuts, it does not fail.
        let _ = std::fmt::Write::write_fmt(out, format_args!("{value:?}"));
    }

    fn send_signal(&self, context: &Context, signal: i64) -> bool {
        let signal = i32::try_from(signal).ok().filter(|signal| *signal > 0);
        let at_a_probe = context.flags & rstap_abi::context::flags::HAS_REGISTERS != 0;
        signal
            .filter(|_| at_a_probe)
            .is_some_and(|signal| crate::sys::signal_thread(context.pid as i32, context.tid as i32, signal))
    }

    fn symbol(&self, context: &Context, address: Address, form: SymbolForm, out: &mut Text<'_>) {
        symbols::put(address, form, |address| self.find(context, address), out);
    }

    fn load_bias(&self, context: &Context, path: &[u8]) -> Option<u64> {
        let at_process = self.memory.is_some() || self.target == 0;
        let pid = if at_process { process_of(context) } else { self.target as i32 };
        if !self.mappings_read.replace(true) {
            self.symbols.refresh(pid);
        }
        self.symbols.load_bias(pid, path, self.memory)
    }

    fn frame(&self, context: &Context, n: u64) -> Option<u64> {
        let memory = self.memory?;
        let mut stack = self.stack.borrow_mut();
        let stack = stack.get_or_insert_with(|| Stack::new(&context.registers));
        stack.frame(n, memory, &|address| self.find(context, address))
    }
}

fn put_argument(line: &[u8], number: i64, out: &mut Text<'_>) {
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    let mut arguments = line.split(|b| *b == 0);
    if let Ok(number) = usize::try_from(number) {
        out.put(arguments.nth(number).unwrap_or_default());
        return;
    }
    for (index, argument) in arguments.enumerate() {
        if index > 0 {
            out.put(b" ");
        }
        out.put(argument);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_numbered_or_joined() {
        let argument = |number| {
            let mut bytes = [0; 64];
            let mut text = Text::new(&mut bytes);
            put_argument(b"prog\0-a\0b c\0", number, &mut text);
            String::from_utf8_lossy(text.as_bytes()).into_owned()
        };
        assert_eq!([argument(0), argument(2), argument(3)], ["prog", "b c", ""]);
        assert_eq!(argument(-1), "prog -a b c");
    }
}
