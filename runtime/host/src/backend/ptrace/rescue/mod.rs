//! A target outlives its tracer, whenever and however that dies.
//!
//! A breakpoint is an `int3`, and its SIGTRAP kills who has no tracer. So before the first one is written, the target
//! gets a SIGTRAP handler that does what the tracer would do about the instruction, and no more: it sends the thread
//! to the breakpoint's slot. While somebody traces, the kernel asks the tracer first and the handler never runs, but
//! for the program's own SIGTRAPs, which it passes on. Forked children inherit breakpoints, slots and handler together.
//!
//! ```text
//! page of code │ header │ table of what to undo        one mapping of a memory file named "rstap-rescue"
//! slots                                                 more of them, near the code they belong to
//! ```
//!
//! The order of changes is what makes any moment a good one to die at: slot, table entry, byte; and back: byte, threads
//! out of slots, action, memory. A thread stopped by a breakpoint has its SIGTRAP delivered if we die, but only as long
//! as nobody has taken the news by waitpid(2). So its instruction pointer is set to the slot before that; and to nothing
//! but a slot, which the handler can tell from a breakpoint just met.
//!
//! The kernel forces the SIGTRAP of an `int3` on threads that block it, and resets the action for all. So nobody blocks it:
//! see `guard`. What gets past that is noticed at the next hit of a thread that blocks signals (if it was not at the same
//! place with the same stack the last time), at the latest a tenth of a second after it at some hit. A tracer killed in
//! between leaves breakpoints without a handler. The same holds for a program that takes SIGTRAP for itself while it is
//! probed, and for a child between its vfork and its exec that sets all signals back.

pub mod area;
mod cave;
pub mod code;
mod copy;
pub mod guard;
mod leftovers;
mod stack;
pub mod table;

use std::fs::File;
use std::mem::offset_of;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use self::area::{Action, Entry, Header, KIND_SITE, KIND_THREAD, MAX_AREAS, PAGE, Piece, bytes, from_bytes};
use self::table::Table;
use super::memory::Memory;
use super::remote::{self, Instruction, RemoteError};
use super::space::{Passage, Space, SpaceId};
use super::sys::{self, Tid};
use super::tracer::{State, Tracer};
use crate::backend::Handlers;
use crate::process::maps::{self, Mapping};
use crate::process::status;

pub use cave::Cave;
pub use leftovers::Cleaned;

/// SIGTRAP in a signal mask.
const TRAP: u64 = 1 << (libc::SIGTRAP - 1);
/// Signals that nobody blocks but who blocks all: the sign of a mask that had SIGTRAP in it as well.
const FULL_MASK: u64 = 1 << (libc::SIGILL - 1) | 1 << (libc::SIGABRT - 1) | 1 << (libc::SIGFPE - 1);
/// How often the action is looked at.
const CHECK: Duration = Duration::from_millis(100);

/// Where the pid and the start time of the owner are in our memory.
const OWNER: u64 = (PAGE + offset_of!(Header, owner)) as u64;

/// What protects an address space.
#[derive(Clone, Debug)]
pub struct Rescue {
    base: u64,
    header: Box<Header>,
    table: Table,
    checked: Instant,
    /// A SIGTRAP of the program's own went through our handler.
    pub delivered: bool,
    /// The program has had our handler's address.
    replaced: bool,
}

impl Rescue {
    /// Whether an address is in it.
    pub fn holds(&self, address: u64) -> bool {
        self.pieces().iter().any(|piece| (piece.start..piece.end).contains(&address))
    }

    /// The stub in it.
    fn stub(&self) -> u64 {
        self.base + code::stub()
    }

    fn put<T: area::Plain>(&self, memory: &Memory, offset: usize, value: &T) -> std::io::Result<()> {
        memory.write_raw(self.base + (PAGE + offset) as u64, bytes(value))
    }

    fn put_header(&self, memory: &Memory) -> std::io::Result<()> {
        memory.write_raw(self.base + PAGE as u64, bytes(&*self.header))
    }

    fn pieces(&self) -> &[Piece] {
        &self.header.areas[..self.header.area_count as usize]
    }

    /// What the kernel is to do instead of `old`: our handler, with that mask and that kind of interruption.
    fn action(&self, old: &Action) -> Action {
        const SA_RESTORER: u64 = 0x0400_0000;
        let flags = (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER) as u64 | SA_RESTORER;
        let restart = if old.is_function() { old.flags } else { u64::MAX } & libc::SA_RESTART as u64;
        let mask = if old.is_function() { old.mask & !TRAP } else { 0 };
        Action { handler: self.base + code::handler(), flags: flags | restart, restorer: self.base, mask }
    }
}

impl<H: Handlers> Tracer<H> {
    /// Has a stopped thread make a system call; its result. If the thread is gone, that is noted.
    pub(super) fn remote_call(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        number: i64,
        arguments: [u64; 6],
    ) -> Result<u64, RemoteError> {
        // Without a stub there is no way back for the thread if we die now.
        let without_stub = self.stub_address(space).is_none();
        if without_stub {
            self.open_cave(pid, space);
        }
        let instruction = self.remote_instruction(pid, space).ok_or(RemoteError::Nowhere)?;
        let outcome = remote::system_call(tid, instruction, self.options(), number, arguments);
        if without_stub {
            self.close_cave(space);
        }
        match outcome {
            Ok(done) => {
                if let Some(thread) = self.threads.get_mut(&tid)
                    && matches!(thread.state, State::Parked(_))
                {
                    thread.state = State::Parked(done.group_stop);
                }
                Ok(done.value)
            }
            Err(RemoteError::Gone(status)) => {
                self.postpone(tid, status);
                Err(RemoteError::Gone(status))
            }
            Err(error) => Err(error),
        }
    }

    /// What a thread is to be pointed at for a system call.
    pub(super) fn remote_instruction(&mut self, pid: i32, space: SpaceId) -> Option<Instruction> {
        let stub = self.stub_address(space).map(Instruction::Stub);
        stub.or_else(|| self.system_call_instruction(pid, space).map(Instruction::Bare))
    }

    pub(super) fn stub_address(&self, space: SpaceId) -> Option<u64> {
        let s = self.spaces.get(&space)?;
        s.cave.as_ref().map(|cave| cave.at).or_else(|| s.rescue.as_ref().map(|rescue| rescue.stub()))
    }

    /// Puts the stub where no code is, for the calls that cannot be made from memory of our own.
    pub(super) fn open_cave(&mut self, pid: i32, space: SpaceId) {
        let Some(s) = self.spaces.get_mut(&space).filter(|s| s.cave.is_none()) else { return };
        let cave = cave::find(pid, &s.memory, code::stub_alone());
        let cave = cave.filter(|cave| s.memory.write_raw(cave.at, code::stub_alone()).is_ok());
        if cave.is_none() {
            self.report.say(
                1,
                format_args!(
                    "process {pid} has no unused text: until it is protected, it does not survive a kill -9 of rstap"
                ),
            );
        }
        s.cave = cave;
    }

    pub(super) fn close_cave(&mut self, space: SpaceId) {
        if let Some(s) = self.spaces.get_mut(&space)
            && let Some(cave) = s.cave.take()
        {
            // Failing means that the process is gone.
            let _ = s.memory.write_raw(cave.at, &cave.original);
        }
    }

    /// Maps memory in the target: pieces of one memory file, as (bytes, protection), with this content at its front.
    pub(super) fn map_pieces(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        place: u64,
        pieces: &[(u64, i32)],
        content: &[u8],
    ) -> Result<(), RemoteError> {
        let size = pieces.iter().map(|(len, _)| len).sum();
        let file = self.memory_file(tid, pid, space, size, content);
        let kind = if file.is_some() { 0 } else { libc::MAP_ANONYMOUS };
        let flags = (libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE | kind) as u64;
        let descriptor = file.unwrap_or(u64::MAX);
        let mut done = 0;
        let mut outcome = Ok(());
        for (len, protection) in pieces {
            let at = place + done;
            let offset = if file.is_some() { done } else { 0 };
            let arguments = [at, *len, *protection as u64, flags, descriptor, offset];
            outcome = match self.remote_call(tid, pid, space, libc::SYS_mmap, arguments) {
                Ok(value) if value == at => Ok(()),
                Ok(_) => Err(RemoteError::Failed(Errno::EEXIST)),
                Err(error) => Err(error),
            };
            if outcome.is_err() {
                break;
            }
            done += len;
        }
        if file.is_some() {
            let _ = self.remote_call(tid, pid, space, libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
        } else if outcome.is_ok() {
            let s = self.spaces.get(&space).ok_or(RemoteError::Nowhere)?;
            outcome = s.memory.write_raw(place, content).map_err(|_| RemoteError::Failed(Errno::EFAULT));
        }
        if outcome.is_err() && done > 0 {
            let _ = self.remote_call(tid, pid, space, libc::SYS_munmap, [place, done, 0, 0, 0, 0]);
        }
        outcome
    }

    /// A memory file named "rstap-rescue" of the target's, by its descriptor there. `None` where that is impossible or where
    /// a filter might kill for it: then memory without a name must do.
    fn memory_file(&mut self, tid: Tid, pid: i32, space: SpaceId, size: u64, content: &[u8]) -> Option<u64> {
        const MFD_EXEC: u64 = 0x10;
        let options = self.options();
        let is_free = sys::set_options(tid, options | sys::OPTION_SUSPEND_SECCOMP).is_ok();
        let _ = sys::set_options(tid, options);
        if !is_free && status::seccomp(tid) != Some(0) {
            return None;
        }
        let name = self.stub_address(space)? + code::stub_name();
        let close_on_exec = u64::from(libc::MFD_CLOEXEC);
        let mut create =
            |flags| self.remote_call(tid, pid, space, libc::SYS_memfd_create, [name, flags, 0, 0, 0, 0]);
        let descriptor = match create(close_on_exec | MFD_EXEC) {
            Err(RemoteError::Failed(Errno::EINVAL)) => create(close_on_exec),
            made => made,
        }
        .ok()?;
        let filled =
            File::options().write(true).open(format!("/proc/{tid}/fd/{descriptor}")).and_then(|file| {
                file.set_len(size)?;
                file.write_all_at(content, 0)
            });
        if filled.is_err() {
            let _ = self.remote_call(tid, pid, space, libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
            return None;
        }
        Some(descriptor)
    }

    /// Makes sure that a process outlives us with this many more breakpoints than it has. `tid` is a stopped thread of
    /// it. Says why if that is impossible.
    pub(super) fn protect(&mut self, tid: Tid, pid: i32, space: SpaceId, more: usize) {
        let Some(s) = self.spaces.get(&space) else { return };
        let outcome = match &s.rescue {
            Some(rescue) if rescue.table.has_room(more) => return,
            Some(_) => self.grow_table(tid, pid, space, more),
            None if s.unprotected => return,
            None => {
                self.open_cave(pid, space);
                let outcome = self.install(tid, pid, space, more);
                self.close_cave(space);
                outcome
            }
        };
        if let Err(error) = outcome
            && !matches!(error, RemoteError::Gone(_))
        {
            if let Some(s) = self.spaces.get_mut(&space) {
                s.unprotected = true;
            }
            self.report.warn(format_args!(
                "process {pid} cannot be protected, and does not survive a kill -9 of rstap: {error}"
            ));
        }
    }

    fn install(&mut self, tid: Tid, pid: i32, space: SpaceId, more: usize) -> Result<(), RemoteError> {
        let gone = |_| RemoteError::Failed(Errno::EFAULT);
        let table = Table::with_room(more * 2);
        let size = 2 * PAGE as u64 + table.size();
        let now = maps::read(pid).map_err(gone)?;
        let near = now.iter().find(|m| m.executable).map_or(0..1, |m| m.start..m.end);
        let base = maps::find_gap(&now, near, size).ok_or(RemoteError::Failed(Errno::ENOMEM))?;
        let own = std::process::id();
        let mut header = Header::new(size, u64::from(own), status::start_time(own as i32).unwrap_or(0));
        header.table = base + 2 * PAGE as u64;
        (header.areas[0], header.area_count) = (Piece { start: base, end: base + size }, 1);
        let mut content = code::all().to_vec();
        content.resize(PAGE, 0);
        content.extend(bytes(&header));
        content.resize(2 * PAGE, 0);
        content.extend(table.to_bytes());
        let (read, write, execute) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
        let pieces = [(PAGE as u64, read | execute), (size - PAGE as u64, read | write)];
        self.map_pieces(tid, pid, space, base, &pieces, &content)?;
        let checked = Instant::now();
        let header = Box::new(header);
        let rescue = Rescue { base, header, table, checked, delivered: false, replaced: false };
        if let Some(s) = self.spaces.get_mut(&space) {
            s.rescue = Some(Box::new(rescue));
        }
        let installed = self.current_action(tid, pid, space, base).and_then(|old| {
            if let Some(rescue) = self.spaces.get_mut(&space).and_then(|s| s.rescue.as_mut()) {
                rescue.header.first = old;
            }
            self.set_action(tid, pid, space, old)
        });
        if let Err(error) = installed {
            if let Some(s) = self.spaces.get_mut(&space) {
                s.rescue = None;
            }
            let _ = self.remote_call(tid, pid, space, libc::SYS_munmap, [base, size, 0, 0, 0, 0]);
            return Err(error);
        }
        self.report.say(2, format_args!("process {pid} is protected by a handler at {base:#x}"));
        let parked = |(tid, thread): (&Tid, &super::tracer::Thread)| {
            (thread.pid == pid && matches!(thread.state, State::Parked(_))).then_some(*tid)
        };
        let tids: Vec<Tid> = self.threads.iter().filter_map(parked).collect();
        self.guard(tid, pid, space, &maps::read(pid).map_err(gone)?);
        for tid in tids {
            self.unblock(tid, pid, space);
        }
        self.unblock_in_handlers(tid, pid, space, base);
        Ok(())
    }

    /// The action for SIGTRAP as the kernel has it; `base` is where our memory is.
    fn current_action(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        base: u64,
    ) -> Result<Action, RemoteError> {
        self.action_of(libc::SIGTRAP, tid, pid, space, base)
    }

    /// The same for any signal.
    fn action_of(
        &mut self,
        signal: i32,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        base: u64,
    ) -> Result<Action, RemoteError> {
        let into = base + (PAGE + offset_of!(Header, scratch)) as u64;
        let arguments = [signal as u64, 0, into, 8, 0, 0];
        // The fourth argument of a system call is in r10, which is the fourth here as well.
        self.remote_call(tid, pid, space, libc::SYS_rt_sigaction, arguments)?;
        let s = self.spaces.get(&space).ok_or(RemoteError::Nowhere)?;
        let mut now = [0; size_of::<Action>()];
        let all = s.memory.read_raw(into, &mut now) == now.len();
        from_bytes(&now).filter(|_| all).ok_or(RemoteError::Failed(Errno::EFAULT))
    }

    /// Sets the action for a signal.
    fn set_action_of(
        &mut self,
        signal: i32,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        base: u64,
        action: Action,
    ) -> Result<(), RemoteError> {
        let from = base + (PAGE + offset_of!(Header, scratch)) as u64;
        let s = self.spaces.get(&space).ok_or(RemoteError::Nowhere)?;
        s.memory.write_raw(from, bytes(&action)).map_err(|_| RemoteError::Failed(Errno::EFAULT))?;
        self.remote_call(tid, pid, space, libc::SYS_rt_sigaction, [signal as u64, from, 0, 8, 0, 0]).map(drop)
    }

    /// Has our handler called, with `old` behind it.
    fn set_action(&mut self, tid: Tid, pid: i32, space: SpaceId, old: Action) -> Result<(), RemoteError> {
        let s = self.spaces.get_mut(&space).ok_or(RemoteError::Nowhere)?;
        let Some(rescue) = &mut s.rescue else { return Ok(()) };
        rescue.header.old = old;
        rescue.header.ours = rescue.action(&old);
        rescue.put_header(&s.memory).map_err(|_| RemoteError::Failed(Errno::EFAULT))?;
        let from = rescue.base + (PAGE + offset_of!(Header, ours)) as u64;
        let arguments = [libc::SIGTRAP as u64, from, 0, 8, 0, 0];
        self.remote_call(tid, pid, space, libc::SYS_rt_sigaction, arguments).map(drop)
    }

    /// What the program wants done with SIGTRAP.
    fn old_action(&self, space: SpaceId, base: u64) -> Option<Action> {
        self.noted_action(space, base, offset_of!(Header, old))
    }

    /// The action at an offset of the header.
    fn noted_action(&self, space: SpaceId, base: u64, offset: usize) -> Option<Action> {
        let mut action = [0; size_of::<Action>()];
        let memory = &self.spaces.get(&space)?.memory;
        let all = memory.read_raw(base + (PAGE + offset) as u64, &mut action) == action.len();
        from_bytes(&action).filter(|_| all)
    }

    fn grow_table(&mut self, tid: Tid, pid: i32, space: SpaceId, more: usize) -> Result<(), RemoteError> {
        let Some(rescue) = self.spaces.get(&space).and_then(|s| s.rescue.as_ref()) else { return Ok(()) };
        let table = rescue.table.grown(more);
        let near = rescue.base..rescue.base + 1;
        let now = maps::read(pid).map_err(|_| RemoteError::Nowhere)?;
        let place = maps::find_gap(&now, near, table.size()).ok_or(RemoteError::Failed(Errno::ENOMEM))?;
        let pieces = [(table.size(), libc::PROT_READ | libc::PROT_WRITE)];
        self.map_pieces(tid, pid, space, place, &pieces, &table.to_bytes())?;
        let range = place..place + table.size();
        if !self.list_area(space, &range) {
            return Err(RemoteError::Failed(Errno::ENOSPC));
        }
        let s = self.spaces.get_mut(&space).ok_or(RemoteError::Nowhere)?;
        if let Some(rescue) = &mut s.rescue {
            rescue.table = table;
            rescue.header.table = place;
            let offset = offset_of!(Header, table);
            rescue.put(&s.memory, offset, &[place]).map_err(|_| RemoteError::Failed(Errno::EFAULT))?;
        }
        Ok(())
    }

    /// Lists memory of ours in the target itself; whether it has room for that.
    pub(super) fn list_area(&mut self, space: SpaceId, range: &Range<u64>) -> bool {
        let Some(s) = self.spaces.get_mut(&space) else { return false };
        let Some(rescue) = &mut s.rescue else { return true };
        let index = rescue.header.area_count as usize;
        if index >= MAX_AREAS {
            return false;
        }
        let piece = Piece { start: range.start, end: range.end };
        rescue.header.areas[index] = piece;
        rescue.header.area_count += 1;
        let at = offset_of!(Header, areas) + index * size_of::<Piece>();
        let count = offset_of!(Header, area_count);
        rescue.put(&s.memory, at, &[piece.start, piece.end]).is_ok()
            && rescue.put(&s.memory, count, &[rescue.header.area_count]).is_ok()
    }

    /// A thread of the program gets SIGTRAP unblocked, if that changes nothing else. For one that is in a signal
    /// handler there is nothing to undo later: its mask of before comes back when the handler returns.
    fn unblock(&mut self, tid: Tid, pid: i32, space: SpaceId) {
        let Ok(mask) = sys::signal_mask(tid) else { return };
        if mask & TRAP == 0 || sys::has_pending(tid, libc::SIGTRAP).unwrap_or(true) {
            return;
        }
        let Some(s) = self.spaces.get_mut(&space) else { return };
        if stack::is_in_handler(tid, pid, &s.memory) {
            let _ = sys::set_signal_mask(tid, mask & !TRAP);
            return;
        }
        s.note(Entry { key: tid as u64, slot: mask, kind: KIND_THREAD, ..Entry::default() });
        if sys::set_signal_mask(tid, mask & !TRAP).is_ok()
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            thread.blocked = mask;
        }
    }

    /// Blocks SIGTRAP again where we have unblocked it.
    fn block_again(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            block_again(tid, std::mem::take(&mut thread.blocked));
        }
    }

    /// A SIGTRAP of the program's own is about to be delivered to a thread. One that blocked it has it blocked again if
    /// there is no handler for it: the kernel then keeps the signal for whoever waits for it.
    pub(super) fn own_trap(&mut self, tid: Tid, space: SpaceId) {
        let Some(rescue) = self.spaces.get_mut(&space).and_then(|s| s.rescue.as_mut()) else { return };
        rescue.delivered = true;
        if !rescue.header.old.is_function() {
            self.block_again(tid);
        }
    }

    /// A thread has met a breakpoint, with this stack pointer: looks whether our handler is still there if that is in
    /// doubt. A thread that comes to the same place with the same stack again and again is not asked for its signals
    /// each time, which is a tenth of the cost of a hit.
    pub(super) fn check_action(&mut self, tid: Tid, pid: i32, space: SpaceId, place: (u64, u64)) {
        let Some(rescue) = self.spaces.get(&space).and_then(|s| s.rescue.as_ref()) else { return };
        let is_due = rescue.checked.elapsed() > CHECK;
        let before = self.threads.get_mut(&tid).and_then(|thread| thread.asked_at.replace(place));
        let in_doubt =
            || before != Some(place) && sys::signal_mask(tid).is_ok_and(|mask| mask & FULL_MASK == FULL_MASK);
        let was_reset = || in_doubt() && status::catches(tid, libc::SIGTRAP) == Some(false);
        if !is_due && !was_reset() {
            return;
        }
        let base = rescue.base;
        let outcome = self.current_action(tid, pid, space, base).and_then(|now| {
            let rescue = self.spaces.get_mut(&space).and_then(|s| s.rescue.as_mut());
            let rescue = rescue.ok_or(RemoteError::Nowhere)?;
            rescue.checked = Instant::now();
            if now.handler == rescue.header.ours.handler {
                return Ok(());
            }
            // The default is what the kernel sets, so it tells nothing about what the program wants.
            let old = if now.handler == Action::DEFAULT { rescue.header.old } else { now };
            rescue.replaced |= now.handler != Action::DEFAULT;
            self.report.say(1, format_args!("process {pid}: SIGTRAP was taken, and is taken back"));
            self.set_action(tid, pid, space, old)
        });
        if let Err(error) = outcome {
            self.report.say(1, format_args!("process {pid}: its action for SIGTRAP is not known: {error}"));
        }
    }

    /// Notes in the target how each of these breakpoints is undone and passed. To be done before they are written.
    pub(super) fn note_sites(&mut self, space: SpaceId, addresses: &[u64], mappings: &[Mapping]) {
        let Some(s) = self.spaces.get_mut(&space) else { return };
        let entries: Vec<Entry> = addresses
            .iter()
            .filter_map(|address| Some((*address, s.sites.get(address)?)))
            .filter(|(_, site)| site.original != crate::breakpoint::INT3)
            .map(|(key, site)| Entry {
                key,
                slot: site.slot().unwrap_or(0),
                kind: KIND_SITE,
                original: site.original,
                protection: protection_at(mappings, key),
                ..Entry::default()
            })
            .collect();
        s.note_all(&entries);
    }

    /// Tells the target's handler that an instruction is being stepped, or that none is.
    pub(super) fn note_step(&self, space: SpaceId, address: u64) {
        if let Some(s) = self.spaces.get(&space)
            && let Some(rescue) = &s.rescue
        {
            let _ = rescue.put(&s.memory, offset_of!(Header, stepping), &[address]);
        }
    }

    /// Undoes what protects a process whose breakpoints are out and whose threads are home: the action, the masks, the
    /// memory. `all_home`: no thread may still be in a slot.
    pub(super) fn unprotect(&mut self, pid: i32, space: SpaceId, tids: &[Tid], all_home: bool) {
        for &tid in tids {
            self.block_again(tid);
        }
        let parked = |tid: &&Tid| matches!(self.threads.get(tid).map(|t| t.state), Some(State::Parked(_)));
        let shared = self.processes.iter().any(|(other, p)| *other != pid && p.space == space);
        let (false, Some(&tid)) = (shared, tids.iter().find(parked)) else { return };
        let Some(s) = self.spaces.get_mut(&space) else { return };
        let areas = std::mem::take(&mut s.areas);
        let Some(rescue) = s.rescue.take() else {
            // Slots alone: the process could not be protected.
            for area in areas.iter().filter(|_| all_home) {
                let (start, len) = (area.range.start, area.range.end - area.range.start);
                let _ = self.remote_call(tid, pid, space, libc::SYS_munmap, [start, len, 0, 0, 0, 0]);
            }
            return;
        };
        self.open_cave(pid, space);
        self.block_in_handlers(tid, pid, space, rescue.base);
        let given_back = self.give_action_back(tid, pid, space, rescue.base);
        let old = self.old_action(space, rescue.base);
        let Some(s) = self.spaces.get(&space) else { return };
        if let Some(old) = old.filter(|_| rescue.delivered && all_home) {
            let is_ours = |address| s.retired.contains_key(&address);
            tids.iter().for_each(|tid| stack::detour(*tid, pid, &s.memory, rescue.base, &old, is_ours));
        }
        let frames = old.map(|old| stack::Frames { base: rescue.base, old });
        let leads = |tid: &Tid| stack::leads_into(*tid, pid, &s.memory, rescue.pieces(), frames.as_ref());
        let is_guarded = |tid: &Tid| s.guards.lead_back(*tid, pid, &s.memory);
        let is_left = (!rescue.delivered || !tids.iter().any(leads)) && !tids.iter().any(is_guarded);
        let is_free = all_home && given_back && !rescue.replaced && is_left;
        // Nothing is planted any more.
        let _ = s.memory.write_raw(rescue.base + OWNER, &[0; 16]);
        if is_free {
            // The one with the list of all others last.
            for piece in rescue.pieces().iter().rev() {
                let len = piece.end - piece.start;
                // A failure leaves unused memory behind, which hurts nobody.
                let _ = self.remote_call(tid, pid, space, libc::SYS_munmap, [piece.start, len, 0, 0, 0, 0]);
            }
        } else {
            self.report
                .say(1, format_args!("process {pid} keeps our memory, which some thread may still use"));
        }
        self.close_cave(space);
    }

    /// Restores what the program wants done with SIGTRAP. `false`: the program may still have our handler called, by
    /// an action that it took while ours was in force.
    fn give_action_back(&mut self, tid: Tid, pid: i32, space: SpaceId, base: u64) -> bool {
        let handler = base + code::handler();
        let was_in_force =
            || Some(self.noted_action(space, base, offset_of!(Header, ours))?.handler == handler);
        if was_in_force() == Some(false) {
            return true;
        }
        match self.current_action(tid, pid, space, base) {
            // The default is what the kernel resets it to.
            Ok(now) if now.handler == handler || now.handler == Action::DEFAULT => {}
            Ok(now) => return self.old_action(space, base).is_some_and(|old| old == now),
            Err(_) => return false,
        }
        // As the handler may have changed it (SA_RESETHAND), from where it is.
        let from = base + (PAGE + offset_of!(Header, old)) as u64;
        let arguments = [libc::SIGTRAP as u64, from, 0, 8, 0, 0];
        self.remote_call(tid, pid, space, libc::SYS_rt_sigaction, arguments).is_ok()
    }
}

impl Space {
    /// Notes in the target something to undo.
    pub(super) fn note(&mut self, entry: Entry) {
        let Some(rescue) = &mut self.rescue else { return };
        let at = rescue.header.table + rescue.table.set(entry);
        // Failing means that the process is gone.
        let _ = self.memory.write_raw(at, bytes(&entry));
    }

    /// A breakpoint is gone, together with the code it stood in.
    pub(super) fn note_lost(&mut self, address: u64) {
        let Some(rescue) = &mut self.rescue else { return };
        if let Some((at, entry)) = rescue.table.lose(address, KIND_SITE) {
            let _ = self.memory.write_raw(rescue.header.table + at, bytes(&entry));
        }
    }

    /// Notes many such things: at once where that is cheaper.
    fn note_all(&mut self, entries: &[Entry]) {
        const MANY: usize = 256;
        if entries.len() < MANY {
            return entries.iter().for_each(|entry| self.note(*entry));
        }
        let Some(rescue) = &mut self.rescue else { return };
        for entry in entries {
            rescue.table.set(*entry);
        }
        let _ = self.memory.write_raw(rescue.header.table, &rescue.table.to_bytes());
    }
}

/// Blocks SIGTRAP for a stopped thread that blocked these signals when we unblocked it, unless it has changed its mind
/// about others since: then it blocked them for a moment only, as `fork` and `pthread_create` do.
fn block_again(tid: Tid, blocked: u64) -> bool {
    let unchanged = |mask| mask == blocked & !TRAP;
    blocked != 0 && sys::signal_mask(tid).is_ok_and(unchanged) && sys::set_signal_mask(tid, blocked).is_ok()
}

fn protection_at(mappings: &[Mapping], address: u64) -> u8 {
    let writable = mappings.iter().any(|m| m.writable && (m.start..m.end).contains(&address));
    (libc::PROT_READ | libc::PROT_EXEC | if writable { libc::PROT_WRITE } else { 0 }) as u8
}

impl super::space::Planted {
    /// The slot by which threads pass it.
    pub fn slot(&self) -> Option<u64> {
        match self.passage {
            Passage::Slot(slot) => Some(slot),
            Passage::Emulate(_) | Passage::OwnTrap | Passage::Step => None,
        }
    }
}
