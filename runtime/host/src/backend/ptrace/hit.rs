//! What happens when a thread meets a breakpoint, or gets a signal while it is inside a slot.

use rstap_program::{CodeKind, ProbeId};

use super::parking;
use super::space::{Frame, Passage, SpaceId};
use super::sys::{self, Tid, UserRegisters};
use super::tracer::{State, Tracer};
use crate::backend::{Handlers, Hit};
use crate::breakpoint::{Emulation, Machine};

/// A thread at a breakpoint.
struct At {
    tid: Tid,
    pid: i32,
    space: SpaceId,
    address: u64,
    registers: UserRegisters,
    /// A handler changed the registers.
    changed: bool,
}

impl<H: Handlers> Tracer<H> {
    /// SIGTRAP: a breakpoint of ours, or a signal of the program's own.
    pub(super) fn trap(&mut self, tid: Tid) {
        let Some((pid, space)) = self.space_of(tid) else { return self.go_on(tid, 0) };
        // The thread was killed while stopped; waitpid will tell.
        let Ok(registers) = sys::registers(tid) else { return };
        let address = registers.rip.wrapping_sub(1);
        let known = self.spaces.get(&space).map(|s| {
            let site = s.sites.get(&address);
            (site.map(|site| (site.len, site.passage)), s.retired.get(&address).copied())
        });
        match known {
            Some((Some((len, passage)), _)) => {
                // A thread can get to the byte behind a breakpoint without having met it only if the instruction is
                // one byte long, so only then a SIGTRAP that somebody sent must be told from ours.
                if len == 1 && !is_breakpoint_trap(tid) {
                    return self.deliver(tid, libc::SIGTRAP);
                }
                let at = At { tid, pid, space, address, registers, changed: false };
                if self.quiet {
                    self.undo(at, passage);
                } else {
                    self.hit(at);
                }
            }
            Some((None, Some(original))) if is_breakpoint_trap(tid) => {
                // Met just before it was taken out, or copied by a fork.
                if let Some(space) = self.spaces.get(&space) {
                    let _ = space.restore(address, original);
                }
                let _ = sys::set_instruction_pointer(tid, address);
                self.go_on(tid, 0);
            }
            _ => self.deliver(tid, libc::SIGTRAP),
        }
    }

    /// As if the thread had not come to the breakpoint yet.
    fn undo(&mut self, at: At, passage: Passage) {
        if passage == Passage::Emulate(Emulation::OwnTrap) {
            return self.deliver(at.tid, libc::SIGTRAP);
        }
        let _ = sys::set_instruction_pointer(at.tid, at.address);
        self.go_on(at.tid, 0);
    }

    fn hit(&mut self, mut at: At) {
        self.cpu.hit(at.tid);
        let served = self.threads.get_mut(&at.tid).and_then(|thread| thread.served.take());
        if served != Some((at.address, at.registers.rsp)) && self.is_wanted(at.space, at.address) {
            self.run_handlers(&mut at);
            self.wake_wanted();
        }
        // Handlers may have planted breakpoints, so the site is looked up again.
        let passage = self.spaces.get(&at.space).and_then(|s| s.sites.get(&at.address)).map(|s| s.passage);
        match passage {
            Some(passage) => self.pass(at, passage),
            // Taken out meanwhile (the loader unmapped the code).
            None => {
                let _ = sys::set_instruction_pointer(at.tid, at.address);
                self.go_on(at.tid, 0);
            }
        }
    }

    fn run_handlers(&mut self, at: &mut At) {
        let Some(site) = self.spaces.get(&at.space).and_then(|s| s.sites.get(&at.address)) else { return };
        let (probes, is_return, is_loader) = (site.probes.clone(), site.is_return, site.is_loader);
        if is_loader {
            self.mappings_changed(at.tid, at.pid);
        }
        if is_return {
            let rsp = at.registers.rsp;
            let frames = self.spaces.get_mut(&at.space).map(|s| s.leave(at.address, rsp)).unwrap_or_default();
            for frame in frames {
                self.returned(at, frame);
            }
        }
        for &(probe, kind) in probes.iter() {
            if self.processes.get(&at.pid).is_none_or(|p| p.accepted.get(probe.0 as usize) != Some(&true)) {
                continue;
            }
            match kind {
                CodeKind::Hit => {
                    self.call(at, probe, &mut []);
                }
                CodeKind::Return => self.entered(at, probe),
            }
        }
    }

    /// Runs a handler; whether it was not skipped.
    fn call(&mut self, at: &mut At, probe: ProbeId, entry_values: &mut [u8]) -> bool {
        let Some(space) = self.spaces.get(&at.space) else { return false };
        let mut registers = sys::to_context(&at.registers, at.address);
        let verdict = self.handlers.run(Hit {
            probe,
            pid: at.pid as u32,
            tid: at.tid as u32,
            registers: Some(&mut registers),
            entry_values,
            memory: space,
            vectors: &|| sys::vector_registers(at.tid).ok(),
        });
        if verdict.wrote_registers {
            sys::from_context(&mut at.registers, &registers);
            at.changed = true;
        }
        self.end_wanted |= verdict.end;
        verdict.ran
    }

    /// A function with a return probe was entered.
    fn entered(&mut self, at: &mut At, probe: ProbeId) {
        if !self.handlers.is_enabled(probe) {
            return;
        }
        let (entry, bytes) = self.registry.entry_of(probe);
        let rsp = at.registers.rsp;
        let Some(to) = self.spaces.get(&at.space).and_then(|s| s.memory.word(rsp)) else {
            return self.handlers.skip(probe);
        };
        let mut values = vec![0; bytes];
        let spoiled = match entry {
            Some(entry) => !self.call(at, entry, &mut values),
            None => false,
        };
        if !self.plant_return(at.tid, at.pid, to) {
            return self.handlers.skip(probe);
        }
        let frame = Frame { probe, to, tid: at.tid, values, spoiled };
        if !self.spaces.get_mut(&at.space).is_some_and(|s| s.enter(rsp, frame)) {
            self.handlers.skip(probe);
        }
    }

    fn returned(&mut self, at: &mut At, mut frame: Frame) {
        if frame.spoiled {
            self.handlers.skip(frame.probe);
        } else {
            self.call(at, frame.probe, &mut frame.values);
        }
    }

    /// Takes a thread past a breakpoint.
    fn pass(&mut self, mut at: At, passage: Passage) {
        match passage {
            Passage::Slot(slot) if !at.changed => {
                let _ = sys::set_instruction_pointer(at.tid, slot);
                self.go_on(at.tid, 0);
            }
            Passage::Slot(slot) => {
                at.registers.rip = slot;
                let _ = sys::set_registers(at.tid, &at.registers);
                self.go_on(at.tid, 0);
            }
            Passage::Emulate(emulation) => self.emulate(at, emulation),
            Passage::Step => self.step(at),
        }
    }

    fn emulate(&mut self, mut at: At, emulation: Emulation) {
        let before = Machine { rip: at.address, rcx: at.registers.rcx, flags: at.registers.eflags };
        let mut machine = before;
        if !emulation.apply(&mut machine) {
            // The program's own int3: the kernel's SIGTRAP is its own as well.
            if at.changed {
                let _ = sys::set_registers(at.tid, &at.registers);
            }
            return self.deliver(at.tid, libc::SIGTRAP);
        }
        if at.changed || machine.rcx != before.rcx {
            (at.registers.rip, at.registers.rcx) = (machine.rip, machine.rcx);
            let _ = sys::set_registers(at.tid, &at.registers);
        } else {
            let _ = sys::set_instruction_pointer(at.tid, machine.rip);
        }
        self.go_on(at.tid, 0);
    }

    /// The last resort: nobody else runs while the instruction is what it was.
    fn step(&mut self, mut at: At) {
        let others = self.stop_others(at.tid, at.space);
        at.registers.rip = at.address;
        let _ = sys::set_registers(at.tid, &at.registers);
        if let Some(space) = self.spaces.get_mut(&at.space)
            && let Some(site) = space.sites.get(&at.address)
        {
            let original = site.original;
            let _ = space.restore(at.address, original);
            let mut bytes = [0; 2];
            let is_system_call = space.read_clean(at.address, &mut bytes) == 2 && bytes == [0x0f, 0x05];
            // A repeated string instruction stops after each round, still at its address.
            let repeats = matches!(original, 0xf2 | 0xf3);
            let in_it = || sys::registers(at.tid).is_ok_and(|now| now.rip == at.address);
            let mut stepped = parking::step(at.tid);
            while repeats && matches!(stepped, parking::Stepped::Done) && in_it() {
                stepped = parking::step(at.tid);
            }
            let _ = space.insert(at.address);
            match stepped {
                parking::Stepped::Done => {
                    if is_system_call {
                        hide_trap_flag(at.tid);
                    }
                    self.go_on(at.tid, 0);
                }
                parking::Stepped::Event(status) => {
                    // If the instruction has not run, the thread will meet the breakpoint again, for the same hit.
                    let met = (at.address, at.registers.rsp);
                    if sys::registers(at.tid).is_ok_and(|now| (now.rip, now.rsp) == met)
                        && let Some(thread) = self.threads.get_mut(&at.tid)
                    {
                        thread.served = Some(met);
                    }
                    self.postpone(at.tid, status);
                }
            }
        }
        self.resume_others(others);
    }

    /// A signal of the program's own: it gets it, at an address of its own.
    pub(super) fn deliver(&mut self, tid: Tid, signal: i32) {
        if let Some((_, space)) = self.space_of(tid) {
            self.leave_slot(tid, space, signal);
        }
        self.go_on(tid, signal);
    }

    /// Moves a stopped thread that is inside a slot to where it would be without slots.
    pub(super) fn leave_slot(&mut self, tid: Tid, space: SpaceId, signal: i32) {
        let Some(space) = self.spaces.get(&space) else { return };
        if space.areas.is_empty() {
            return;
        }
        let Ok(mut registers) = sys::registers(tid) else { return };
        let Some(place) = space.locate(registers.rip) else { return };
        if matches!(signal, libc::SIGILL | libc::SIGFPE | libc::SIGSEGV | libc::SIGBUS | libc::SIGTRAP)
            && let Ok(mut info) = sys::signal_info(tid)
            && info.code() > 0
            && info.address() == registers.rip
        {
            info.set_address(place.rip);
            let _ = sys::set_signal_info(tid, &info);
        }
        if place.rcx_is_rip && registers.rcx == registers.rip {
            registers.rcx = place.rip;
        }
        registers.rip = place.rip;
        registers.rsp = registers.rsp.wrapping_add(place.rsp_add);
        let _ = sys::set_registers(tid, &registers);
        if !place.done
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            thread.served = Some((registers.rip, registers.rsp));
        }
    }

    /// Process and address space of a thread.
    pub(super) fn space_of(&self, tid: Tid) -> Option<(i32, SpaceId)> {
        let pid = self.threads.get(&tid)?.pid;
        Some((pid, self.processes.get(&pid)?.space))
    }

    /// Stops the other threads that run in an address space; those to resume later.
    pub(super) fn stop_others(&mut self, tid: Tid, space: SpaceId) -> Vec<Tid> {
        let shares = |pid: &i32| self.processes.get(pid).is_some_and(|p| p.space == space);
        let others: Vec<Tid> = self
            .threads
            .iter()
            .filter(|(other, thread)| **other != tid && thread.state == State::Running && shares(&thread.pid))
            .map(|(other, _)| *other)
            .collect();
        let mut parked = Vec::new();
        for other in others {
            match parking::stop(other) {
                parking::Stop::Interrupted(signal) => {
                    if let Some(thread) = self.threads.get_mut(&other) {
                        thread.state = State::Parked(signal);
                    }
                    parked.push(other);
                }
                parking::Stop::Event(status) => self.postpone(other, status),
                parking::Stop::CannotRun => {}
            }
        }
        parked
    }

    pub(super) fn resume_others(&mut self, parked: Vec<Tid>) {
        for tid in parked {
            self.event_stop_of_parked(tid);
        }
    }
}

/// `syscall` leaves the flags in r11, with the trap flag if it was stepped.
fn hide_trap_flag(tid: Tid) {
    const TRAP: u64 = 1 << 8;
    if let Ok(mut registers) = sys::registers(tid) {
        registers.r11 &= !TRAP;
        let _ = sys::set_registers(tid, &registers);
    }
}

fn is_breakpoint_trap(tid: Tid) -> bool {
    sys::signal_info(tid).is_ok_and(|info| info.code() == sys::SI_KERNEL)
}
