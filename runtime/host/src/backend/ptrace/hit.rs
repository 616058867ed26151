//! What happens when a thread meets a breakpoint, or gets a signal while it is inside a slot.

use rstap_program::{CodeKind, ProbeId};

use super::interrupted::Place;
use super::parking;
use super::space::{Frame, Passage, Space, SpaceId};
use super::sys::{self, Tid, UserRegisters};
use super::tracer::{Met, State, Tracer};
use crate::backend::{Handlers, Hit};
use crate::breakpoint::{Emulation, MAX_INSTRUCTION, Machine, Site};
use crate::process::status;

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
    /// A thread is stopped by a SIGTRAP: if by a breakpoint of ours, notes that and sends the thread past it, so that it
    /// can go on whenever we die.
    pub(super) fn meet(&mut self, tid: Tid) {
        let Some((_, space)) = self.space_of(tid) else { return };
        // The thread was killed while stopped; waitpid will tell.
        let Ok(registers) = sys::registers(tid) else { return };
        let address = registers.rip.wrapping_sub(1);
        let Some(s) = self.spaces.get(&space) else { return };
        let to = match (s.sites.get(&address), s.retired.get(&address)) {
            // A thread can get to the byte behind a breakpoint without having met it only if the instruction is one
            // byte long, so only then a SIGTRAP that somebody sent must be told from ours.
            (Some(site), _) if site.len == 1 && !is_breakpoint_trap(tid) => return,
            (Some(site), _) if site.passage == Passage::OwnTrap => return,
            (Some(site), _) => site.slot(),
            // Met just before it was taken out, or copied by a fork.
            (None, Some(retired)) if is_breakpoint_trap(tid) => {
                let _ = s.restore(address, retired.original);
                retired.slot
            }
            _ => return,
        };
        if to.is_none() {
            self.note_step(space, address);
        }
        let _ = sys::set_instruction_pointer(tid, to.unwrap_or(address));
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.met = Some(Met { address, registers });
        }
    }

    /// SIGTRAP: a breakpoint of ours, or a signal of the program's own.
    pub(super) fn trap(&mut self, tid: Tid) {
        let Some((pid, space)) = self.space_of(tid) else { return self.go_on(tid, 0) };
        let met = self.threads.get_mut(&tid).and_then(|thread| thread.met.take());
        let Some(Met { address, registers }) = met else { return self.own_int3_or_signal(tid, pid, space) };
        let is_site = self.spaces.get(&space).is_some_and(|s| s.sites.contains_key(&address));
        if self.quiet || !is_site {
            // It is past the breakpoint, or where it will not meet it again, already.
            self.note_step(space, 0);
            return self.go_on(tid, 0);
        }
        self.hit(At { tid, pid, space, address, registers, changed: false });
    }

    /// A SIGTRAP of the program's own, perhaps of an `int3` of its own that is probed.
    fn own_int3_or_signal(&mut self, tid: Tid, pid: i32, space: SpaceId) {
        if is_data_trap(tid) {
            self.meet_data(tid);
            return self.go_on(tid, 0);
        }
        if !is_breakpoint_trap(tid) {
            return self.deliver(tid, libc::SIGTRAP);
        }
        let Ok(registers) = sys::registers(tid) else { return };
        let address = registers.rip.wrapping_sub(1);
        let s = self.spaces.get(&space);
        match s.and_then(|s| s.sites.get(&address)).map(|site| site.passage) {
            Some(Passage::OwnTrap) if !self.quiet => {
                self.hit(At { tid, pid, space, address, registers, changed: false });
            }
            None if self.meets_moved(tid, pid, space, address) => self.go_on(tid, 0),
            _ => self.deliver(tid, libc::SIGTRAP),
        }
    }

    fn hit(&mut self, mut at: At) {
        self.cpu.hit(at.tid);
        // The check is a system call made by the thread, after which a signal that it stopped with can no longer be
        // delivered: not at a SIGTRAP that is the program's as well.
        if self.passage(&at) != Some(Passage::OwnTrap) {
            self.check_action(at.tid, at.pid, at.space, (at.address, at.registers.rsp));
        }
        let place = Place { address: at.address, rsp: at.registers.rsp };
        let is_served = self.threads.get_mut(&at.tid).is_some_and(|thread| thread.interrupted.resume(place));
        if !is_served && self.is_wanted(at.space, at.address) {
            self.run_handlers(&mut at);
            self.wake_wanted();
        }
        // Handlers may have planted breakpoints, so the site is looked up again.
        match self.passage(&at) {
            Some(passage) => self.pass(at, passage),
            // Taken out meanwhile (the loader unmapped the code).
            None => self.go_on(at.tid, 0),
        }
    }

    fn passage(&self, at: &At) -> Option<Passage> {
        self.spaces.get(&at.space)?.sites.get(&at.address).map(|site| site.passage)
    }

    fn run_handlers(&mut self, at: &mut At) {
        let Some(site) = self.spaces.get(&at.space).and_then(|s| s.sites.get(&at.address)) else { return };
        let (probes, is_return, is_loader) = (site.probes.clone(), site.is_return, site.is_loader);
        if site.is_mapper
            && at.registers.rdx & libc::PROT_EXEC as u64 != 0
            && let Some(thread) = self.threads.get_mut(&at.tid)
        {
            thread.maps_code = true;
        }
        if is_loader {
            self.mappings_changed(at.tid, at.pid);
        }
        if is_return {
            let rsp = at.registers.rsp.wrapping_sub(8);
            let place = self.stack_place(at.pid, at.space, &at.registers, rsp);
            let left = self.spaces.get_mut(&at.space).map(|s| s.leave(at.address, rsp, place));
            let frames = left.unwrap_or_default();
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
        let place = self.stack_place(at.pid, at.space, &at.registers, rsp);
        if !self.spaces.get_mut(&at.space).is_some_and(|s| s.enter(place, frame)) {
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
            // It is there already.
            Passage::Slot(_) if !at.changed => self.go_on(at.tid, 0),
            Passage::Slot(slot) => {
                at.registers.rip = slot;
                let _ = sys::set_registers(at.tid, &at.registers);
                self.go_on(at.tid, 0);
            }
            Passage::Emulate(emulation) => self.emulate(at, emulation),
            Passage::OwnTrap => {
                // The kernel's SIGTRAP is the program's own as well.
                if at.changed {
                    let _ = sys::set_registers(at.tid, &at.registers);
                }
                self.deliver(at.tid, libc::SIGTRAP);
            }
            Passage::Step => self.step(at),
        }
    }

    fn emulate(&mut self, mut at: At, emulation: Emulation) {
        let before = Machine { rip: at.address, rcx: at.registers.rcx, flags: at.registers.eflags };
        let mut machine = before;
        emulation.apply(&mut machine);
        self.note_step(at.space, 0);
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
        // A tracer that dies from here on leaves a SIGTRAP that the target's handler is to pass over.
        self.note_step(at.space, at.address);
        let _ = sys::set_registers(at.tid, &at.registers);
        if let Some(space) = self.spaces.get_mut(&at.space)
            && let Some(site) = space.sites.get(&at.address)
        {
            let original = site.original;
            let _ = space.restore(at.address, original);
            let mut bytes = [0; MAX_INSTRUCTION];
            let count = space.read_clean(at.address, &mut bytes);
            let is_system_call = bytes.starts_with(&[0x0f, 0x05]);
            let stores_flags =
                Site::new(at.address, &bytes[..count]).is_ok_and(|instruction| instruction.stores_flags());
            // A repeated string instruction stops after each round, still at its address.
            let repeats = matches!(original, 0xf2 | 0xf3);
            let in_it = || sys::registers(at.tid).is_ok_and(|now| now.rip == at.address);
            let mut is_done = parking::step(at.tid);
            while repeats && is_done && in_it() {
                is_done = parking::step(at.tid);
            }
            let _ = space.insert(at.address);
            match is_done {
                true => {
                    if is_system_call {
                        hide_trap_flag(at.tid);
                    }
                    if stores_flags {
                        hide_stored_trap_flag(at.tid, space);
                    }
                    self.meet_data(at.tid);
                    self.go_on(at.tid, 0);
                    // Not before: a dead tracer's trap flag stays set.
                    self.note_step(at.space, 0);
                }
                false => {
                    // If the instruction has not run, the thread will meet the breakpoint again, for the same hit.
                    let place = Place { address: at.address, rsp: at.registers.rsp };
                    if position(at.tid) == Some(place)
                        && let Some(thread) = self.threads.get_mut(&at.tid)
                    {
                        thread.interrupted.note(place);
                    }
                    self.note_step(at.space, 0);
                    // It is stopped by something else, which is still to be told.
                    self.set_state(at.tid, State::Running);
                }
            }
        }
        self.resume_others(others);
    }

    /// A signal of the program's own: it gets it, at an address of its own.
    pub(super) fn deliver(&mut self, tid: Tid, signal: i32) {
        if let Some((_, space)) = self.space_of(tid) {
            self.leave_slot(tid, space, signal);
            if signal == libc::SIGTRAP {
                self.own_trap(tid, space);
            }
            if let Some(thread) = self.threads.get_mut(&tid)
                && !thread.interrupted.is_empty()
                && status::catches(tid, signal) != Some(false)
                && let Some(place) = position(tid)
            {
                thread.interrupted.enter_handler(place);
            }
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
            thread.interrupted.note(Place { address: registers.rip, rsp: registers.rsp });
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
                parking::Stop::Otherwise | parking::Stop::CannotRun => {}
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

/// Where a stopped thread is.
fn position(tid: Tid) -> Option<Place> {
    sys::registers(tid).ok().map(|registers| Place { address: registers.rip, rsp: registers.rsp })
}

/// `syscall` leaves the flags in r11, with the trap flag if it was stepped.
fn hide_trap_flag(tid: Tid) {
    const TRAP: u64 = 1 << 8;
    if let Ok(mut registers) = sys::registers(tid) {
        registers.r11 &= !TRAP;
        let _ = sys::set_registers(tid, &registers);
    }
}

/// `pushf` left them on the stack.
fn hide_stored_trap_flag(tid: Tid, space: &Space) {
    let Ok(registers) = sys::registers(tid) else { return };
    // The trap flag is bit 8: the lowest of the second byte, however many were pushed.
    let mut byte = [0];
    if space.memory.read_raw(registers.rsp.wrapping_add(1), &mut byte) == 1 {
        let _ = space.memory.write_raw(registers.rsp.wrapping_add(1), &[byte[0] & !1]);
    }
}

/// Whether a thread in signal-delivery-stop has met an `int3`.
pub(super) fn is_breakpoint_trap(tid: Tid) -> bool {
    sys::signal_info(tid).is_ok_and(|info| info.code() == sys::SI_KERNEL)
}

/// Whether a thread in signal-delivery-stop has met data that a debug register watches. Nobody else sets those of a thread
/// that we trace.
fn is_data_trap(tid: Tid) -> bool {
    sys::signal_info(tid).is_ok_and(|info| info.code() == libc::TRAP_HWBKPT)
}
