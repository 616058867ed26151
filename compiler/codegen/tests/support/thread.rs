//! What a thread needs to run handlers in this process: the memory of a runner, and an environment.

use rstap_abi::context::Context;
use rstap_abi::limits::Limits;
use rstap_core::env::{Clock, Env};
use rstap_core::handler::Memory;

/// The memory of one runner.
pub struct Buffers {
    message: Vec<u8>,
    output: Vec<u8>,
    scratch: Vec<u64>,
    tokens: Vec<u8>,
    matching: Vec<u64>,
}

impl Buffers {
    /// As much as handlers with these limits use.
    pub fn new(limits: &Limits) -> Buffers {
        let longest = limits.max_string_len as usize;
        Buffers {
            message: vec![0; longest.max(512)],
            output: vec![0; 4096],
            scratch: vec![0; 1 << 14],
            tokens: vec![0; longest],
            matching: vec![0; rstap_abi::regex::memory_bytes(limits.max_string_len).div_ceil(8) as usize],
        }
    }

    /// Lends it to a runner.
    pub fn memory(&mut self) -> Memory<'_> {
        Memory {
            message: &mut self.message,
            output: &mut self.output,
            scratch: &mut self.scratch,
            tokens: &mut self.tokens,
            matching: &mut self.matching,
        }
    }
}

/// A thread of a target, by its number as the owner of locks.
pub struct Thread(pub u32);

impl Env for Thread {
    fn owner(&self) -> u32 {
        self.0
    }

    fn is_alive(&self, _owner: u32) -> bool {
        true
    }

    fn pause_us(&self, us: u64) {
        std::thread::sleep(std::time::Duration::from_micros(us));
    }

    fn time_ns(&self, _clock: Clock) -> i64 {
        0
    }

    fn cycles(&self) -> u64 {
        // SAFETY: every x86-64 has it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    fn read_target(&self, _context: &Context, _address: u64, _into: &mut [u8]) -> bool {
        false
    }
}
