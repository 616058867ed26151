//! The environment of handlers that run inside the target.

use rstap_abi::context::Context;
use rstap_core::env::{Clock, Env, ProcessNumber, ProcessText};
use rstap_core::text::Text;

use crate::sys::{self, TimeSpec, number};

/// The target itself, for one thread in one handler.
#[derive(Clone, Copy, Debug)]
pub struct InTarget {
    tid: u32,
    target: u32,
}

impl InTarget {
    /// For the running thread; `target` is what `target()` gives.
    pub fn new(target: u32) -> InTarget {
        InTarget { tid: sys::ask(number::GETTID, 0, 0) as u32, target }
    }
}

const CLOCK_REALTIME: usize = 0;
const CLOCK_MONOTONIC: usize = 1;
const CLOCK_THREAD_CPUTIME_ID: usize = 3;

impl Env for InTarget {
    fn owner(&self) -> u32 {
        self.tid
    }

    fn is_alive(&self, owner: u32) -> bool {
        // kill(2) takes thread ids too; signal 0 only asks.
        sys::ask(number::KILL, owner as usize, 0) != sys::ESRCH.wrapping_neg()
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
        let time = sys::clock(match clock {
            Clock::Realtime => CLOCK_REALTIME,
            Clock::Monotonic => CLOCK_MONOTONIC,
            Clock::Thread => CLOCK_THREAD_CPUTIME_ID,
        });
        time.seconds.wrapping_mul(1_000_000_000).wrapping_add(time.nanoseconds)
    }

    fn cycles(&self) -> u64 {
        sys::time_stamp()
    }

    fn read_target(&self, _context: &Context, address: u64, into: &mut [u8]) -> bool {
        sys::copy_from(address, into)
    }

    fn write_target(&self, _context: &Context, address: u64, from: &[u8]) -> bool {
        // SAFETY: a script may write target memory with -g only, and answers for what it writes over.
        unsafe { sys::copy_to(address, from) }
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
            ProcessNumber::Target => return i64::from(self.target),
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

    #[test]
    fn memory_that_is_not_there_is_an_answer() {
        let env = InTarget::new(0);
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
        let env = InTarget::new(0);
        assert!(env.is_alive(env.owner()));
        let other = std::thread::spawn(|| InTarget::new(0).owner()).join().expect("the thread ends");
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
        let env = InTarget::new(7);
        let before = env.time_ns(Clock::Monotonic);
        env.pause_us(2000);
        assert!(env.time_ns(Clock::Monotonic) - before >= 2_000_000);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_nanos() as i64;
        assert!((env.time_ns(Clock::Realtime) - now).abs() < 10_000_000_000);
        assert_eq!(env.process_number(&Context::EMPTY, ProcessNumber::Target), 7);
        assert!(env.process_number(&Context::EMPTY, ProcessNumber::Ppid) > 0);
        let mut memory = [0; 32];
        let mut name = Text::new(&mut memory);
        env.process_text(&Context::EMPTY, ProcessText::ExecName, &mut name);
        let expected = std::fs::read("/proc/thread-self/comm").expect("/proc is mounted");
        assert_eq!(String::from_utf8_lossy(name.as_bytes()), String::from_utf8_lossy(&expected).trim_end());
    }
}
