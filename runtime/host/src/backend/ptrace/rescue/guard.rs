//! Keeps SIGTRAP unblocked in a process that has breakpoints: the kernel forces the SIGTRAP of an `int3` on a thread that
//! blocks it, and takes our handler out of force for that. So where the C library, or a program without one, has the
//! kernel change the signals that are blocked (rt_sigprocmask) or that a handler blocks (rt_sigaction), there is a jump to
//! code that does the same without SIGTRAP (`code.rs`). The instruction that gives the number of the system call has just
//! the five bytes that a jump needs. With or without a tracer the jumps do their work, in forked children as well.
//!
//! ```text
//! mov eax, 14        jmp thunk         thunk   mov eax, 14
//! mov edx, ebx       mov edx, ebx              mov edx, ebx
//! syscall            syscall                   as the system call, without SIGTRAP
//! next               next                      jmp next
//! ```
//!
//! Does not know system calls that block signals while they wait (sigsuspend, ppoll), nor masks that a handler writes to
//! the frame it returns by: see docs/SURVIVAL.md.

use std::collections::HashSet;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, InstructionInfoFactory, OpAccess, Register};

use super::area::{Action, Entry, KIND_GUARD, PAGE, Piece};
use super::{TRAP, code, stack};
use crate::backend::Handlers;
use crate::backend::ptrace::lifecycle::wait_for_event_stop;
use crate::backend::ptrace::loader;
use crate::backend::ptrace::memory::Memory;
use crate::backend::ptrace::parking;
use crate::backend::ptrace::remote::RemoteError;
use crate::backend::ptrace::space::SpaceId;
use crate::backend::ptrace::sys::{self, Resume, Status, Tid};
use crate::backend::ptrace::tracer::{State, Tracer, Ways};
use crate::breakpoint::{MAX_INSTRUCTION, Site, Slot};
use crate::process::maps::{Content, Mapping};
use crate::process::status;

/// Bytes of a jump, and of the instruction that it replaces.
const JUMP: usize = 5;
/// Bytes of a thunk.
const THUNK: usize = 192;
/// A system call this far behind the instruction that gives its number is not looked for.
const FARTHEST: usize = 24;
/// More text is not looked through.
const MOST_TEXT: u64 = 256 << 20;

/// A jump that stands in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Guard {
    at: u64,
    number: u32,
    thunk: u64,
}

/// What keeps SIGTRAP unblocked in an address space.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    planted: Vec<Guard>,
    areas: Vec<Piece>,
    looked_at: HashSet<(u64, Content)>,
    /// Signals whose handlers blocked SIGTRAP when we came, with what is to be done with them.
    actions: Vec<(i32, Action)>,
}

impl Guards {
    /// Whether the thread in this system call only asks whether memory is readable, and does not do what the program said.
    pub fn is_question(&self, rip: u64, number: u64, first: u64) -> bool {
        number == libc::SYS_rt_sigprocmask as u64 && first as i32 == -1 && self.holds(rip)
    }

    /// Whether an address is in a thunk.
    fn holds(&self, address: u64) -> bool {
        self.areas.iter().any(|area| (area.start..area.end).contains(&address))
    }

    /// Whether a jump stands in a range.
    pub fn is_in(&self, range: &std::ops::Range<u64>) -> bool {
        self.planted.iter().any(|guard| guard.at < range.end && range.start < guard.at + JUMP as u64)
    }

    /// Takes the jumps out that are (still) there.
    pub fn take_out(&mut self, memory: &Memory) {
        for guard in self.planted.drain(..) {
            restore(memory, guard);
        }
    }

    /// Whether a thread may still come back to a thunk.
    pub(super) fn lead_back(&self, tid: Tid, pid: i32, memory: &Memory) -> bool {
        !self.areas.is_empty() && stack::leads_into(tid, pid, memory, &self.areas, None)
    }
}

/// Takes out a jump that a dead session has listed.
pub(super) fn undo(memory: &Memory, entry: &Entry) {
    restore(memory, Guard { at: entry.key, number: entry.count, thunk: entry.slot });
}

fn restore(memory: &Memory, guard: Guard) {
    let mut now = [0; JUMP];
    if memory.read_raw(guard.at, &mut now) == JUMP && Some(now) == jump(guard.at, guard.thunk) {
        // Failing means that the mapping is gone.
        let _ = memory.write_raw(guard.at, &number_given(guard.number));
    }
}

/// `mov eax, number`
fn number_given(number: u32) -> [u8; JUMP] {
    let [a, b, c, d] = number.to_le_bytes();
    [0xb8, a, b, c, d]
}

/// `jmp to`
fn jump(from: u64, to: u64) -> Option<[u8; JUMP]> {
    let distance = i32::try_from(to.wrapping_sub(from.wrapping_add(JUMP as u64)) as i64).ok()?;
    let [a, b, c, d] = distance.to_le_bytes();
    Some([0xe9, a, b, c, d])
}

/// Where a system call is made whose number stands in an instruction of its own.
struct Call {
    number: u32,
    /// From the instruction with the number to the one before the system call.
    sites: Vec<Site>,
    /// The address of the system call.
    at: u64,
}

impl Call {
    fn start(&self) -> u64 {
        self.sites[0].address
    }
}

/// The system calls in this text that change what is blocked.
fn calls(text: &[u8], start: u64) -> Vec<Call> {
    let gives_number = |bytes: &[u8]| bytes[0] == 0xb8 && matches!(bytes[1], 13 | 14) && bytes[2..] == [0; 3];
    let starts = text.windows(JUMP).enumerate().filter(|(_, bytes)| gives_number(bytes));
    // A REX prefix with its lowest bit set would make it an instruction for r8 (SDM volume 2, 2.2.1).
    let has_prefix = |at: usize| at > 0 && text[at - 1] & 0xf1 == 0x41;
    let is_in_page = |at: u64| at % PAGE as u64 + JUMP as u64 <= PAGE as u64;
    starts
        .map(|(at, bytes)| (at, u32::from(bytes[1])))
        .filter(|(at, _)| !has_prefix(*at) && is_in_page(start + *at as u64))
        .filter_map(|(at, number)| call(&text[at..], start + at as u64, number))
        .collect()
}

/// The system call behind the instruction that gives its number, if that is certain to be the next one.
fn call(text: &[u8], start: u64, number: u32) -> Option<Call> {
    let text = &text[..text.len().min(JUMP + FARTHEST + MAX_INSTRUCTION)];
    let mut decoder = Decoder::with_ip(64, text, start, DecoderOptions::NONE);
    let mut infos = InstructionInfoFactory::new();
    let mut sites = Vec::new();
    while decoder.position() <= JUMP + FARTHEST {
        let instruction = decoder.decode();
        let at = instruction.ip();
        if instruction.code() == Code::Syscall && !sites.is_empty() {
            return Some(Call { number, sites, at });
        }
        let is_write =
            |access: OpAccess| !matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::None);
        let spoils = |info: &iced_x86::InstructionInfo| {
            info.used_registers()
                .iter()
                .any(|used| used.register().full_register() == Register::RAX && is_write(used.access()))
        };
        let is_plain = instruction.flow_control() == FlowControl::Next && !instruction.is_stack_instruction();
        if !is_plain || !sites.is_empty() && spoils(infos.info(&instruction)) {
            return None;
        }
        sites.push(Site::new(at, &text[(at - start) as usize..]).ok()?);
    }
    None
}

/// The code that a jump leads to.
fn thunk(call: &Call, at: u64) -> Option<Vec<u8>> {
    let copies = Slot::emit_all(&call.sites, at, &|_, _| Vec::new()).ok()?;
    // Without the jump at its end.
    let mut code = copies.code;
    code.truncate(code.len().checked_sub(JUMP)?);
    code.extend(code::without_trap(call.number));
    code.extend(jump(at + code.len() as u64, call.at + 2)?);
    (code.len() <= THUNK).then_some(code)
}

impl<H: Handlers> Tracer<H> {
    /// Guards the text that a process has mapped since it was looked at the last time. `tid` is a stopped thread of it.
    pub(in crate::backend::ptrace) fn guard(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
    ) {
        if self.ways != Ways::All || self.spaces.get(&space).is_none_or(|s| s.rescue.is_none()) {
            return;
        }
        let texts = self.unguarded(pid, space, mappings);
        if texts.is_empty() {
            return;
        }
        let others = self.stop_others(tid, space);
        for text in texts {
            if let Some(s) = self.spaces.get_mut(&space) {
                s.guards.looked_at.insert((text.start, text.content_at(text.start)));
            }
            if let Err(error) = self.guard_text(tid, pid, space, text) {
                self.report.say(
                    1,
                    format_args!("process {pid} may block SIGTRAP: {} is not guarded: {error}", text.path),
                );
            }
        }
        self.resume_others(others);
    }

    /// Whether a process has yet to map the C library that is to be guarded.
    pub(in crate::backend::ptrace) fn awaits_guard(&self, pid: i32, mappings: &[Mapping]) -> bool {
        self.ways == Ways::All
            && loader::has_interpreter(pid)
            && !mappings.iter().any(|m| m.executable && loader::is_c_library(&m.path))
    }

    /// Text with system calls of its own that was not looked at.
    fn unguarded<'m>(&self, pid: i32, space: SpaceId, mappings: &'m [Mapping]) -> Vec<&'m Mapping> {
        let Some(s) = self.spaces.get(&space) else { return Vec::new() };
        let executable = self.processes.get(&pid).and_then(|process| process.subject.executable);
        let is_static = !loader::has_interpreter(pid);
        let is_program = |m: &Mapping| is_static && executable.is_some() && m.file_id(pid) == executable;
        let is_text = |m: &&Mapping| m.executable && !m.shared && m.is_file() && m.end - m.start <= MOST_TEXT;
        let texts = mappings.iter().filter(is_text);
        texts
            .filter(|m| !s.guards.looked_at.contains(&(m.start, m.content_at(m.start))))
            .filter(|m| loader::is_c_library(&m.path) || is_program(m))
            .collect()
    }

    fn guard_text(&mut self, tid: Tid, pid: i32, space: SpaceId, text: &Mapping) -> Result<(), RemoteError> {
        let s = self.spaces.get(&space).ok_or(RemoteError::Nowhere)?;
        let mut bytes = vec![0; (text.end - text.start) as usize];
        let count = s.memory.read_raw(text.start, &mut bytes);
        let mut calls = calls(&bytes[..count], text.start);
        // Where handlers run inside the process there may be jumps of theirs.
        let is_free = |call: &Call| {
            let range = call.start()..call.at + 2;
            !range.clone().any(|at| s.sites.contains_key(&at))
                && s.home.as_ref().is_none_or(|home| !home.jumps_in(range))
        };
        calls.retain(is_free);
        if calls.is_empty() {
            return Ok(());
        }
        let size = ((calls.len() * THUNK) as u64).next_multiple_of(PAGE as u64);
        let area = self.map_code(tid, pid, space, text.start..text.end, size)?;
        let s = self.spaces.get_mut(&space).ok_or(RemoteError::Nowhere)?;
        s.guards.areas.push(Piece { start: area, end: area + size });
        let mut planted = Vec::new();
        for (call, at) in calls.iter().zip((area..).step_by(THUNK)) {
            let Some(code) = thunk(call, at) else { continue };
            let guard = Guard { at: call.start(), number: call.number, thunk: at };
            let Some(jump) = jump(guard.at, at) else { continue };
            if s.memory.write_raw(at, &code).is_ok() {
                s.note(Entry {
                    key: guard.at,
                    slot: at,
                    kind: KIND_GUARD,
                    count: guard.number,
                    ..Entry::default()
                });
                if s.memory.write_raw(guard.at, &jump).is_ok() {
                    s.guards.planted.push(guard);
                    planted.push(call);
                }
            }
        }
        let count = planted.len();
        let is_stopped = |state| matches!(state, State::Parked(_) | State::Stopped);
        let stopped = self.threads.iter().filter(|(_, t)| t.pid == pid && is_stopped(t.state));
        for (&tid, _) in stopped {
            move_before(tid, &planted);
        }
        self.report
            .say(2, format_args!("process {pid}: {count} system calls of {} leave SIGTRAP alone", text.path));
        Ok(())
    }

    /// Takes a parked thread out of a thunk. It has little to do there, and calls nothing that waits, so it is stepped; with
    /// a note for our handler, should we die meanwhile.
    pub(in crate::backend::ptrace) fn leave_thunk(&mut self, tid: Tid, space: SpaceId) {
        let rip = || sys::registers(tid).map_or(0, |registers| registers.rip);
        let is_inside = |rip| self.spaces.get(&space).is_some_and(|s| s.guards.holds(rip));
        // The SIGTRAP of a step is forced as well: a thread that blocks it has it blocked by the kernel, in its handler for it.
        let is_blocked = sys::signal_mask(tid).is_ok_and(|mask| mask & TRAP != 0);
        if is_blocked || !is_inside(rip()) {
            return;
        }
        self.note_step(space, rip());
        let mut is_alone = true;
        while is_alone && is_inside(rip()) {
            is_alone = parking::step(tid);
        }
        let signal = match sys::wait(tid, false) {
            Ok(None) if is_alone => 0,
            Ok(Some((_, Status::Stopped(signal, 0)))) => signal,
            Ok(Some((_, status))) => return self.postpone(tid, status),
            _ => return,
        };
        if sys::interrupt(tid).and_then(|()| sys::resume(tid, Resume::Run, signal)).is_ok()
            && let Err(status) = wait_for_event_stop(tid)
        {
            self.postpone(tid, status);
        }
        // Not before: a dead tracer's trap flag stays set.
        self.note_step(space, 0);
    }

    /// No handler of the program blocks SIGTRAP any more.
    pub(super) fn unblock_in_handlers(&mut self, tid: Tid, pid: i32, space: SpaceId, base: u64) {
        let caught = status::caught(tid).unwrap_or(0) & !TRAP;
        for signal in (1..=64).filter(|signal| caught >> (signal - 1) & 1 != 0) {
            let Ok(action) = self.action_of(signal, tid, pid, space, base) else { continue };
            if action.mask & TRAP != 0
                && self.set_action_of(signal, tid, pid, space, base, unmasked(action)).is_ok()
                && let Some(s) = self.spaces.get_mut(&space)
            {
                s.guards.actions.push((signal, action));
            }
        }
    }

    /// Restores that, where the program has not changed it since.
    pub(super) fn block_in_handlers(&mut self, tid: Tid, pid: i32, space: SpaceId, base: u64) {
        let Some(s) = self.spaces.get_mut(&space) else { return };
        for (signal, action) in std::mem::take(&mut s.guards.actions) {
            if self.action_of(signal, tid, pid, space, base) == Ok(unmasked(action)) {
                // Failing means that the process is gone.
                let _ = self.set_action_of(signal, tid, pid, space, base, action);
            }
        }
    }
}

fn unmasked(action: Action) -> Action {
    Action { mask: action.mask & !TRAP, ..action }
}

/// A thread that is about to make one of these calls is made to take the jump. It stands behind instructions that may
/// not run twice otherwise.
fn move_before(tid: Tid, calls: &[&Call]) {
    let Ok(registers) = sys::registers(tid) else { return };
    let is_next = |call: &&&Call| call.at == registers.rip && call.sites.len() == 1;
    let is_in_call = registers.orig_rax as i64 >= 0;
    if let Some(call) = calls.iter().find(is_next).filter(|_| !is_in_call) {
        let _ = sys::set_instruction_pointer(tid, call.start());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 0x7000_0ff0;

    #[test]
    fn calls_are_found_where_nothing_comes_between() {
        let mov = number_given(14);
        let of = |between: &[u8], start: u64| {
            let text = [&[0x90][..], &mov, between, &[0x0f, 0x05, 0xc3]].concat();
            calls(&text, start).iter().map(|call| (call.start() - start, call.at - start)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[], START), [(1, 6)]);
        // mov edx, ebx; xor edi, edi
        assert_eq!(of(&[0x89, 0xda, 0x31, 0xff], START), [(1, 10)]);
        // xor eax, eax; push rbx; jmp to the next
        for other in [&[0x31, 0xc0][..], &[0x53], &[0xeb, 0]] {
            assert_eq!(of(other, START), []);
        }
        // mov r8d, 14
        let other = [&[0x41][..], &mov, &[0x0f, 0x05, 0xc3]].concat();
        assert!(calls(&other, START).is_empty());
        // The jump would be in two pages.
        assert_eq!(of(&[], START + 11), []);
    }

    #[test]
    fn a_thunk_leads_behind_the_call() {
        for number in [13, 14] {
            let text = [&number_given(number)[..], &[0x89, 0xda, 0x0f, 0x05]].concat();
            let calls = calls(&text, START);
            let at = 0x7001_0000;
            let code = thunk(&calls[0], at).expect("it is near");
            assert!(code.starts_with(&text[..7]), "{code:x?}");
            let end = jump(at + code.len() as u64 - 5, START + 9).expect("it is near");
            assert!(code.ends_with(&end), "{code:x?}");
        }
    }
}
