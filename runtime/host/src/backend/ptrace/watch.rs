//! Data that the processor watches: the debug registers of each thread (Intel SDM, volume 3, 18.2; ptrace(2),
//! `PTRACE_POKEUSER` of `u_debugreg`). The trap comes after the instruction. What the kernel does for the program, as
//! read(2) into the data, is not seen.
//!
//! The registers belong to threads: new ones have none, and an exec drops them. So each thread notes which version of its
//! address space's list it has, and is given the newest before it goes on. They outlive a tracer that dies; the traps are
//! `rescue`'s then, and the next tracer clears them.

use nix::errno::Errno;
use rstap_abi::watch::{self, Piece};
use rstap_program::ProbeId;

use super::parking;
use super::space::SpaceId;
use super::sys::{self, Resume, Status, Tid};
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::backend::inject::home::Home;
use crate::process::Mapping;

/// One debug register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What it watches.
    pub piece: Piece,
    /// Reads count as well.
    pub reads: bool,
    /// For whom.
    pub probes: Vec<ProbeId>,
}

/// What is watched in an address space.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Changes with the registers; 0 before there were any.
    version: u32,
    registers: Vec<Register>,
}

impl Watched {
    /// Drops what no probe is left for that `takes` takes.
    pub fn retain(&mut self, takes: impl Fn(ProbeId) -> bool) {
        let before = self.registers.clone();
        self.registers.iter_mut().for_each(|register| register.probes.retain(|probe| takes(*probe)));
        self.registers.retain(|register| !register.probes.is_empty());
        self.version += u32::from(self.registers != before);
    }
}

impl<H: Handlers> Tracer<H> {
    /// Watches in a process what it should have watched, given what it has mapped now. `tid` is a stopped thread of it.
    pub(super) fn watch_data(&mut self, tid: Tid, pid: i32, space: SpaceId, mappings: &[Mapping]) {
        if !self.registry.watches_data() {
            return;
        }
        let registers = self.wanted_registers(pid, mappings);
        let Some(s) = self.spaces.get(&space).filter(|s| s.watched.registers != registers) else { return };
        let version = s.watched.version + 1;
        if !registers.is_empty() {
            self.protect(tid, pid, space, 0);
        }
        if let Some(s) = self.spaces.get_mut(&space) {
            s.watched = Watched { version, registers };
        }
        // The others get it when they go on.
        let others = self.stop_others(tid, space);
        self.resume_others(others);
    }

    /// The registers for a process. A probe gets all that it needs, or none.
    fn wanted_registers(&self, pid: i32, mappings: &[Mapping]) -> Vec<Register> {
        let Some(process) = self.processes.get(&pid) else { return Vec::new() };
        let mut registers: Vec<Register> = Vec::new();
        for data in self.registry.data() {
            let takes = process.accepted.get(data.probe.0 as usize) == Some(&true);
            let Some(address) = data.address(pid, mappings).filter(|_| takes) else { continue };
            let mut with = registers.clone();
            for piece in watch::pieces(address, data.length) {
                match with.iter_mut().find(|known| (known.piece, known.reads) == (piece, data.reads)) {
                    Some(known) => known.probes.push(data.probe),
                    None => with.push(Register { piece, reads: data.reads, probes: vec![data.probe] }),
                }
            }
            if with.len() <= watch::REGISTERS {
                registers = with;
            } else {
                self.report.warn(format_args!(
                    "not probed in process {pid}: {} bytes of data at {address:#x}: all {} debug registers are in use",
                    data.length,
                    watch::REGISTERS
                ));
            }
        }
        registers
    }

    /// Gives a stopped thread that is about to go on the registers that its process should have.
    pub(super) fn update_registers(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let pid = thread.pid;
        let space = self.processes.get(&pid).and_then(|process| self.spaces.get(&process.space));
        let Some(watched) = space.map(|s| &s.watched).filter(|w| thread.watches != Some(w.version)) else {
            return;
        };
        thread.watches = Some(watched.version);
        // ESRCH: it was killed.
        if let Err(errno) = write(tid, &watched.registers)
            && errno != Errno::ESRCH
        {
            self.report.warn(format_args!("thread {tid} of process {pid} is not watched: {errno}"));
        }
    }

    /// A thread is to be let go: nothing of its data is watched any more, and a trap that waits for it is forgotten.
    pub(super) fn unwatch(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let is_clean = thread.watches == Some(0);
        thread.watches = Some(0);
        if !is_clean
            && write(tid, &[]).is_ok()
            && sys::has_pending_data_trap(tid).unwrap_or(false)
            && let Some(status) = take_data_trap(tid)
        {
            self.postpone(tid, status);
        }
    }

    /// A thread has met watched data, if `DR6` says so.
    pub(super) fn meet_data(&mut self, tid: Tid) {
        let Some(space) = self.space_of(tid).and_then(|(_, space)| self.spaces.get(&space)) else { return };
        if self.quiet || space.watched.registers.is_empty() {
            return;
        }
        // Handlers that run inside the target look at data, too, and are not the program.
        let is_ours =
            |home: &Home| sys::registers(tid).is_ok_and(|registers| home.is_own_code(registers.rip));
        let Ok(status) = sys::debug_register(tid, 6) else { return };
        if space.home.as_ref().is_some_and(is_ours) {
            return;
        }
        let met = space.watched.registers.iter().enumerate().filter(|(index, _)| status & 1 << index != 0);
        let mut probes: Vec<ProbeId> =
            met.flat_map(|(_, register)| register.probes.iter().copied()).collect();
        probes.sort_unstable();
        probes.dedup();
        if !probes.is_empty() {
            self.run_probes(tid, &probes);
        }
    }
}

/// Fills the debug registers of a stopped thread.
fn write(tid: Tid, registers: &[Register]) -> Result<(), Errno> {
    if sys::debug_register(tid, 7)? != 0 {
        sys::set_debug_register(tid, 7, 0)?;
    }
    if registers.is_empty() {
        return Ok(());
    }
    for (index, register) in registers.iter().enumerate() {
        sys::set_debug_register(tid, index, register.piece.address)?;
    }
    sys::set_debug_register(tid, 7, control(registers))
}

/// DR7: enabled, condition and length of each register.
fn control(registers: &[Register]) -> u64 {
    const WRITE: u64 = 0b01;
    const READ_WRITE: u64 = 0b11;
    let bits = |(index, register): (usize, &Register)| {
        let condition = if register.reads { READ_WRITE } else { WRITE };
        let length = match register.piece.length {
            1 => 0b00,
            2 => 0b01,
            4 => 0b11,
            _ => 0b10,
        };
        1 << (2 * index) | (condition | length << 2) << (16 + 4 * index)
    };
    registers.iter().enumerate().map(bits).fold(0, |all, bits| all | bits)
}

/// Takes the trap that waits in the queue of a parked thread, which stays parked. Something else that happened instead.
fn take_data_trap(tid: Tid) -> Option<Status> {
    sys::resume(tid, Resume::Run, 0).ok()?;
    loop {
        match sys::wait(tid, true) {
            Ok(Some((_, Status::Stopped(libc::SIGTRAP, 0)))) => break,
            // A stop that was on its way; the SIGTRAP is next.
            Ok(Some((_, Status::Stopped(_, libc::PTRACE_EVENT_STOP)))) => {
                sys::resume(tid, Resume::Run, 0).ok()?;
            }
            Err(Errno::EINTR) | Ok(None) => {}
            Ok(Some((_, status))) => return Some(status),
            Err(_) => return None,
        }
    }
    parking::stop_again(tid)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn the_control_register_has_enable_bits_conditions_and_lengths() {
        let register = |length, reads| Register {
            piece: Piece { address: 0x1000, length },
            reads,
            probes: vec![ProbeId(0)],
        };
        assert_eq!(control(&[register(4, false)]), 1 | 0b1101 << 16);
        let all = [register(1, true), register(2, false), register(8, true), register(4, true)];
        assert_eq!(control(&all), 0b0101_0101 | 0b0011 << 16 | 0b0101 << 20 | 0b1011 << 24 | 0b1111 << 28);
    }

    #[test]
    fn what_nobody_asks_for_is_watched_no_more() {
        let register = |address, probes: &[u32]| Register {
            piece: Piece { address, length: 8 },
            reads: false,
            probes: probes.iter().copied().map(ProbeId).collect(),
        };
        let mut watched = Watched { version: 1, registers: vec![register(8, &[0, 1]), register(16, &[1])] };
        watched.retain(|_| true);
        assert_eq!(watched.version, 1);
        watched.retain(|probe| probe == ProbeId(0));
        assert_eq!((watched.version, watched.registers), (2, vec![register(8, &[0])]));
    }

    #[test]
    fn the_registers_are_where_the_kernel_has_them() {
        assert_eq!(offset_of!(libc::user, u_debugreg), 848);
    }
}
