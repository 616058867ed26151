//! The environment of handlers that run inside the target.

use core::arch::asm;
use core::cell::Cell;
use core::hint::black_box;

use rstap_abi::context::{Context, register};
use rstap_core::env::{Clock, Env, ProcessNumber, ProcessText};
use rstap_core::text::Text;

use crate::slot::{self, config};
use crate::sys::{self, TimeSpec, number};

/// xmm0 to xmm15, eight bytes each time, the low ones first.
pub type VectorRegisters = [[u64; 2]; 16];

/// The target itself, for one thread in one hit.
#[derive(Debug)]
pub struct InTarget<'v> {
    tid: u32,
    vectors: &'v VectorRegisters,
    stack_pointer: u64,
    wrote_registers: Cell<bool>,
    waits: Cell<u32>,
    no_wait_before: Cell<i64>,
}

impl<'v> InTarget<'v> {
    /// For the running thread, with the stack pointer it had at the probe. A full ring is not waited for before this
    /// time.
    pub fn new(
        tid: u32,
        stack_pointer: u64,
        no_wait_before: i64,
        vectors: &'v VectorRegisters,
    ) -> InTarget<'v> {
        InTarget {
            tid,
            vectors,
            stack_pointer,
            wrote_registers: Cell::new(false),
            waits: Cell::new(0),
            no_wait_before: Cell::new(no_wait_before),
        }
    }

    /// Whether a handler changed registers.
    pub fn wrote_registers(&self) -> bool {
        self.wrote_registers.get()
    }

    /// Until when a full ring is not waited for again.
    pub fn no_wait_before(&self) -> i64 {
        self.no_wait_before.get()
    }

    /// Whether memory is there for certain: the page of the stack in use, or what rstap knows to stay.
    fn is_certain(&self, address: u64, len: u64) -> bool {
        let Some(end) = address.checked_add(len) else { return false };
        let page = self.stack_pointer & !0xfff;
        (page <= address && end <= page.saturating_add(0x1000))
            || config().ranges.iter().any(|range| range.start <= address && end <= range.end)
    }
}

/// How long a full ring is waited for at a time: rstap looks at it every 5 ms.
const WAIT_US: u64 = 4000;
/// How often in one hit, unless MAXOUTPUTWAIT allows more.
const MAX_WAITS: u32 = 3;
/// Waits between two looks whether rstap is still there.
const OWNER_CHECK: u32 = 16;
/// How long it is then not waited for.
const PATIENCE_NS: i64 = 1_000_000_000;
const CLOCK_REALTIME: usize = 0;
const CLOCK_MONOTONIC: usize = 1;
const CLOCK_THREAD_CPUTIME_ID: usize = 3;

/// How often a full ring is waited for in one hit by MAXOUTPUTWAIT.
fn max_waits() -> u64 {
    config().limits.max_output_wait_ms.saturating_mul(1000).div_ceil(WAIT_US)
}

/// Rounds to the nearest, traps nothing (Intel SDM vol. 1, 10.2.3).
static DEFAULT_MXCSR: u32 = 0x1f80;

impl Env for InTarget<'_> {
    fn owner(&self) -> u32 {
        self.tid
    }

    fn is_alive(&self, owner: u32) -> bool {
        // kill(2) takes thread ids too; signal 0 only asks.
        sys::ask(number::KILL, owner as usize, 0) != sys::ESRCH.wrapping_neg()
    }

    #[inline(always)]
    fn arithmetic<T>(&self, what: impl FnOnce() -> T) -> T {
        let mut before = 0u32;
        // SAFETY: reads and writes mxcsr, which only arithmetic looks at, and that of the program is elsewhere: its
        // value is put back below. What is to be computed goes through `black_box`, in memory, so that no operation is
        // moved across.
        unsafe {
            asm!("stmxcsr [{}]", in(reg) &raw mut before, options(nostack, preserves_flags));
            asm!("ldmxcsr [{}]", in(reg) &raw const DEFAULT_MXCSR, options(nostack, preserves_flags));
        }
        let done = black_box(black_box(what)());
        // SAFETY: as above.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const before, options(nostack, preserves_flags)) };
        done
    }

    fn pause_us(&self, us: u64) {
        if us == 0 {
            sys::ask(number::SCHED_YIELD, 0, 0);
            return;
        }
        let nanoseconds = us.wrapping_rem(1_000_000).wrapping_mul(1000) as i64;
        sys::sleep(TimeSpec { seconds: us.wrapping_div(1_000_000) as i64, nanoseconds });
    }

    fn time_ns(&self, clock: Clock) -> i64 {
        let time = sys::clock(
            config().clock,
            match clock {
                Clock::Realtime => CLOCK_REALTIME,
                Clock::Monotonic => CLOCK_MONOTONIC,
                Clock::Thread => CLOCK_THREAD_CPUTIME_ID,
            },
        );
        time.seconds.wrapping_mul(1_000_000_000).wrapping_add(time.nanoseconds)
    }

    fn cycles(&self) -> u64 {
        sys::time_stamp()
    }

    fn read_target(&self, _context: &Context, address: u64, into: &mut [u8]) -> bool {
        if self.is_certain(address, into.len() as u64) {
            // SAFETY: mapped and readable, as rstap found out. The program's own threads may be writing it, so it is
            // copied by an instruction and not looked at as a Rust value.
            unsafe { sys::copy_certain(address, into) };
            return true;
        }
        sys::copy_from(address, into)
    }

    fn vector_register(&self, _context: &Context, register: usize, half: usize) -> Option<u64> {
        match register {
            17..=32 => self.vectors.get(register.wrapping_sub(17))?.get(half).copied(),
            // Nothing that runs between the program and a handler touches these.
            33..=40 => sys::x87_registers().get(register.wrapping_sub(33))?.get(half).copied(),
            _ => None,
        }
    }

    fn write_target(&self, _context: &Context, address: u64, from: &[u8]) -> bool {
        // SAFETY: a script may write target memory with -g only, and answers for what it writes over.
        unsafe { sys::copy_to(address, from) }
    }

    fn make_room(&self) -> bool {
        let waits = self.waits.get();
        if waits == 0 && self.time_ns(Clock::Monotonic) < self.no_wait_before.get() {
            return false;
        }
        self.waits.set(waits.wrapping_add(1));
        if waits.wrapping_rem(OWNER_CHECK) == OWNER_CHECK - 1 {
            slot::look_after_owner();
        }
        // Neither a session that is ending nor a reader who has not read for so long is waited for any longer than that of
        // somebody who does not mind losses.
        let is_patient =
            || u64::from(waits) < max_waits() && self.no_wait_before.get() == 0 && slot::is_running();
        if waits < MAX_WAITS || is_patient() {
            self.pause_us(WAIT_US);
            if let Some(session) = slot::session(config()) {
                session.count_wait(WAIT_US);
            }
            return true;
        }
        // rstap does not read: it is overloaded, stopped or dead. The program is not to pay for that at each hit.
        self.no_wait_before.set(self.time_ns(Clock::Monotonic).saturating_add(PATIENCE_NS));
        slot::look_after_owner();
        false
    }

    fn pushed(&self) {
        if config().limits.max_output_wait_ms > 0 {
            self.no_wait_before.set(0);
        }
    }

    fn write_register(&self, _context: &Context, number: usize, _value: u64) -> bool {
        // The stack is where the way back is.
        let possible = number < register::RIP && number != register::RSP;
        self.wrote_registers.set(self.wrote_registers.get() || possible);
        possible
    }

    fn process_number(&self, _context: &Context, which: ProcessNumber) -> i64 {
        let asked = match which {
            ProcessNumber::Ppid => number::GETPPID,
            ProcessNumber::Pgrp => number::GETPGID,
            ProcessNumber::Sid => number::GETSID,
            ProcessNumber::Uid => number::GETUID,
            ProcessNumber::Euid => number::GETEUID,
            ProcessNumber::Gid => number::GETGID,
            ProcessNumber::Egid => number::GETEGID,
            ProcessNumber::Cpu => return i64::from(sys::cpu()),
            ProcessNumber::Target => return config().target as i64,
            // The time zone is in files, which are not read in a target; rstap knows it and prints times itself.
            ProcessNumber::TimeZoneOffset => return 0,
        };
        sys::ask(asked, 0, 0) as i64
    }

    fn process_text(&self, _context: &Context, which: ProcessText<'_>, out: &mut Text<'_>) {
        if which == ProcessText::ExecName {
            out.put(&sys::thread_name());
            out.end_at_nul();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use super::*;

    fn own() -> InTarget<'static> {
        let on_the_stack = 0u8;
        InTarget::new(sys::ask(number::GETTID, 0, 0) as u32, &raw const on_the_stack as u64, 0, &[[0; 2]; 16])
    }

    #[test]
    fn memory_that_is_not_there_is_an_answer() {
        let env = own();
        let (source, mut copy) = (*b"target memory", [0; 13]);
        assert!(env.read_target(&Context::EMPTY, source.as_ptr() as u64, &mut copy));
        assert_eq!(copy, source);
        for address in [0, 8, u64::MAX - 4, 1 << 63] {
            assert!(!env.read_target(&Context::EMPTY, address, &mut copy), "{address:x}");
            assert!(!env.write_target(&Context::EMPTY, address, b"x"), "{address:x}");
        }
        let mut place = vec![0u8; 4];
        assert!(env.write_target(&Context::EMPTY, place.as_mut_ptr() as u64, b"new!"));
        assert_eq!(std::hint::black_box(place), b"new!");
    }

    #[test]
    fn threads_are_alive_until_they_end() {
        let env = own();
        assert!(env.is_alive(env.owner()));
        let other = std::thread::spawn(|| own().owner()).join().expect("the thread ends");
        assert_ne!(other, env.owner());
        // Its number is given back a moment after the join.
        let gone = (0..1000).any(|_| {
            env.pause_us(1000);
            !env.is_alive(other)
        });
        assert!(gone);
    }

    #[test]
    fn clocks_and_numbers() {
        let env = own();
        let before = env.time_ns(Clock::Monotonic);
        env.pause_us(2000);
        assert!(env.time_ns(Clock::Monotonic) - before >= 2_000_000);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_nanos() as i64;
        assert!((env.time_ns(Clock::Realtime) - now).abs() < 10_000_000_000);
        assert_eq!(
            env.process_number(&Context::EMPTY, ProcessNumber::Target),
            0,
            "nobody has written the configuration"
        );
        assert!(env.process_number(&Context::EMPTY, ProcessNumber::Ppid) > 0);
        let mut memory = [0; 32];
        let mut name = Text::new(&mut memory);
        env.process_text(&Context::EMPTY, ProcessText::ExecName, &mut name);
        let expected = std::fs::read("/proc/thread-self/comm").expect("/proc is mounted");
        assert_eq!(String::from_utf8_lossy(name.as_bytes()), String::from_utf8_lossy(&expected).trim_end());
    }
}
