//! Brings the inject backend's handlers into a process and writes the jumps that lead to them. A process is given its
//! home when the first probe is to be injected; whatever fails leaves the probes at hand to breakpoints.

use std::collections::HashSet;

use rstap_abi::inject::{Config, POOL_WIPED, ProbeAt, Range, SLOT_STACK_POINTER};
use rstap_program::{CodeKind, ProbeId};

use super::foreign;
use super::jumps::Group;
use super::loader;
use super::planting::Wanted;
use super::remote::{self, Instruction, RemoteError};
use super::space::{Space, SpaceId};
use super::sys::{self, Tid};
use super::tracer::{Thread, Tracer};
use crate::backend::Handlers;
use crate::backend::inject::home::{Home, Jump, Plan};
use crate::backend::inject::leaf::Leaf;
use crate::backend::inject::ledger::{self, Ledger, Owner};
use crate::backend::inject::suitable::{self, Unsuitable, auxiliary};
use crate::backend::inject::{Injector, sys as inject_sys, trampoline};
use crate::breakpoint::Slot;
use crate::patch;
use crate::patch::flow::Memory;
use crate::process::maps::{self, Mapping};
use crate::process::{FileId, status};

/// Areas are mapped in pieces of at least this.
const AREA: u64 = 64 * 1024;
const MADV_NOHUGEPAGE: u64 = 15;
const MADV_WIPEONFORK: u64 = 18;
const AT_SYSINFO_EHDR: u64 = 33;

/// Why a process got no home, or a site no jump.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Unsuitable(#[from] Unsuitable),
    #[error("{what}: {error}")]
    Remote { what: &'static str, error: RemoteError },
    #[error("{what}: {error}")]
    System { what: &'static str, error: std::io::Error },
    #[error("its contexts would be too large")]
    TooLarge,
    #[error("no thread of it can make a system call")]
    NoSystemCall,
}

/// A thread that makes system calls for us.
#[derive(Clone, Copy)]
struct Caller {
    tid: Tid,
    instruction: Instruction,
    options: i32,
}

impl Caller {
    fn call(self, what: &'static str, number: i64, arguments: [u64; 6]) -> Result<u64, Failure> {
        remote::system_call(self.tid, self.instruction, self.options, number, arguments)
            .map(|done| done.value)
            .map_err(|error| Failure::Remote { what, error })
    }

    fn map(
        self,
        what: &'static str,
        address: u64,
        size: u64,
        flags: i32,
        protection: i32,
    ) -> Result<u64, Failure> {
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        self.call(what, libc::SYS_mmap, [address, size, protection as u64, flags as u64, u64::MAX, 0])
    }
}

/// A site about to be written.
struct Ready {
    jump: patch::Jump,
    sites: Vec<u32>,
    trampoline: u64,
    copy: Slot,
    bytes: [u8; patch::JUMP],
    /// All its handlers are leaves.
    is_quick: bool,
}

/// The target's memory without what we have changed.
pub(super) struct Clean<'a> {
    pub space: &'a Space,
    pub mappings: &'a [Mapping],
}

impl Clean<'_> {
    pub fn copy(&self, range: &std::ops::Range<u64>) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?];
        self.read(range.start, &mut bytes).then_some(bytes)
    }
}

impl Memory for Clean<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let all = self.space.read_clean(address, into) == into.len();
        if let Some(home) = &self.space.home {
            home.hide_jumps(address, into);
        }
        all
    }

    fn is_code(&self, address: u64) -> bool {
        self.mappings.iter().any(|m| m.executable && (m.start..m.end).contains(&address))
    }
}

impl<H: Handlers> Tracer<H> {
    /// Injects what can be injected of `wanted`, and takes it out of it. `tid` is a thread of the process that is
    /// stopped as [`remote`] needs it.
    pub(super) fn inject(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        wanted: &mut Wanted,
    ) {
        let Some(injector) = self.injector.clone() else { return };
        let Some(s) = self.spaces.get_mut(&space) else { return };
        if let Some(home) = &s.home {
            wanted.retain(|address, probes| !is_served(home, &injector, *address, probes));
        }
        let takes = |address: &u64, probes: &Vec<_>| {
            !s.sites.contains_key(address) && !s.uninjectable && injector.probes_at(probes).is_some()
        };
        let candidates: Vec<u64> = wanted
            .iter()
            .filter(|(address, probes)| takes(address, probes))
            .map(|(address, _)| *address)
            .collect();
        if candidates.is_empty() {
            return;
        }
        if let Err(failure) = self.prepare_home(tid, pid, space, mappings, &injector) {
            self.report.say(1, format_args!("process {pid} is probed by ptrace: {failure}"));
            if let Some(s) = self.spaces.get_mut(&space) {
                s.uninjectable = true;
            }
            return;
        }
        let groups = self.plan_jumps(pid, space, mappings, wanted, &candidates, &injector);
        let ready = self.make_jumps(tid, pid, space, mappings, groups, &injector);
        for address in self.write_jumps(tid, pid, space, ready) {
            wanted.remove(&address);
        }
    }

    fn caller(&mut self, tid: Tid, pid: i32, space: SpaceId) -> Result<Caller, Failure> {
        let instruction = self.remote_instruction(pid, space).ok_or(Failure::NoSystemCall)?;
        Ok(Caller { tid, instruction, options: self.options() })
    }

    /// Gives a process its home, if it has none.
    fn prepare_home(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        injector: &Injector,
    ) -> Result<(), Failure> {
        if self.spaces.get(&space).is_none_or(|s| s.home.is_some()) {
            return Ok(());
        }
        suitable::check(pid, mappings)?;
        let wrong = |error| Failure::System { what: "writing handlers", error };
        let plan = Plan::of(injector).ok_or(Failure::TooLarge)?;
        let caller = self.caller(tid, pid, space)?;
        let (rx, rw) = (libc::PROT_READ | libc::PROT_EXEC, libc::PROT_READ | libc::PROT_WRITE);
        let base = caller.map("memory for handlers", 0, plan.size, 0, rx)?;
        // From now on whoever finds it knows what it is.
        let mut empty = Home::found(base, plan, 0);
        let s = self.spaces.get(&space).ok_or(Failure::NoSystemCall)?;
        note(s, &empty).map_err(wrong)?;
        let pool = caller.map("memory for contexts", 0, plan.pool_size, libc::MAP_NORESERVE, rw)?;
        s.memory.write_raw(pool + POOL_WIPED + 8, &ledger::POOL_MAGIC.to_le_bytes()).map_err(wrong)?;
        empty.config.pool = pool;
        note(s, &empty).map_err(wrong)?;
        for (advice, bytes) in [(MADV_WIPEONFORK, POOL_WIPED), (MADV_NOHUGEPAGE, plan.pool_size)] {
            let done = caller.call("advice on contexts", libc::SYS_madvise, [pool, bytes, advice, 0, 0, 0]);
            if advice == MADV_WIPEONFORK {
                done?;
            }
        }
        let arena = share(caller, pid, s, pool, injector)?;
        let config = Config {
            enabled: 1,
            pool,
            arena,
            arena_size: injector.arena_size,
            clock: clock(pid, s),
            target: self.target.unwrap_or(0) as u64,
            owner: u64::from(std::process::id()),
            ranges: certain_ranges(pid, mappings),
            ..Config::EMPTY
        };
        let (home, bytes) = Home::new(base, plan, config, injector).ok_or(Failure::TooLarge)?;
        note(s, &home).map_err(wrong)?;
        let behind = ledger::PAGE as usize;
        s.memory.write_raw(base + ledger::PAGE, &bytes[behind..]).map_err(wrong)?;
        for (at, bytes) in home.tables() {
            s.memory.write_raw(at, &bytes).map_err(wrong)?;
        }
        self.report.say(
            2,
            format_args!("process {pid}: handlers at {base:#x}, contexts at {pool:#x}, arena at {arena:#x}"),
        );
        if let Some(s) = self.spaces.get_mut(&space) {
            s.home = Some(home);
        }
        Ok(())
    }

    /// Fills trampolines and tables; no thread can come to them yet.
    fn make_jumps(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        groups: Vec<Group>,
        injector: &Injector,
    ) -> Vec<(u64, Vec<Ready>)> {
        let mut ready = Vec::with_capacity(groups.len());
        let mut left: usize = groups.iter().map(|group| group.jumps.len()).sum();
        for Group { address, jumps } in groups {
            let count = jumps.len();
            let mut own = Vec::with_capacity(count);
            for (jump, probes) in jumps {
                let site = jump.site();
                // Its stacks are small, and functions that do not look how much is left are many.
                let mapping = mappings.iter().find(|m| (m.start..m.end).contains(&site));
                let is_go = mapping.is_none_or(|mapping| self.functions.is_go(pid, mapping));
                if self.spaces.get_mut(&space).and_then(|s| s.home.as_mut()?.area_near(site)).is_none() {
                    self.add_area(tid, pid, space, mappings, site, left);
                }
                let leaf_of = |probes: &[ProbeAt]| injector.leaf_of(probes).filter(|_| !is_go);
                own.extend(self.spaces.get_mut(&space).and_then(|s| make_jump(s, jump, &probes, leaf_of)));
            }
            left -= count;
            if own.len() == count {
                ready.push((address, own));
            } else {
                self.report.say(1, format_args!("{address:#x} is probed by ptrace: no room for its jumps"));
            }
        }
        let Some(s) = self.spaces.get(&space) else { return Vec::new() };
        let Some(home) = &s.home else { return Vec::new() };
        let written = home.tables().iter().all(|(at, bytes)| s.memory.write_raw(*at, bytes).is_ok());
        if written { ready } else { Vec::new() }
    }

    fn add_area(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        address: u64,
        sites: usize,
    ) {
        let size = ((sites * trampoline::USUAL_SIZE) as u64 + 4096).next_multiple_of(AREA);
        let near = mappings
            .iter()
            .find(|m| (m.start..m.end).contains(&address))
            .map_or(address..address + 1, |m| m.start..m.end);
        let (Ok(caller), Ok(now)) = (self.caller(tid, pid, space), maps::read(pid)) else { return };
        let Some(place) = maps::find_gap(&now, near, size) else { return };
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        match caller.map("memory for trampolines", place, size, libc::MAP_FIXED_NOREPLACE, protection) {
            Ok(mapped) if mapped == place => {
                let Some(s) = self.spaces.get_mut(&space) else { return };
                let Some((at, head)) = s.home.as_mut().map(|home| home.add_area(place..place + size)) else {
                    return;
                };
                if s.memory.write_raw(at, &head).is_err()
                    && let Some(home) = &mut s.home
                {
                    home.areas.pop();
                }
            }
            Ok(_) => {}
            Err(failure) => self.report.say(1, format_args!("process {pid}: {failure}")),
        }
    }

    /// Writes jumps, with all threads stopped: a thread between displaced instructions would find half a jump. Those
    /// that are there go on in the copy. The wanted addresses that are probed now.
    fn write_jumps(&mut self, tid: Tid, pid: i32, space: SpaceId, ready: Vec<(u64, Vec<Ready>)>) -> Vec<u64> {
        if ready.is_empty() {
            return Vec::new();
        }
        let others = self.stop_others(tid, space);
        let positions = self.positions(space);
        let mut written = Vec::new();
        if let (Some(s), Some(positions)) = (self.spaces.get_mut(&space), positions) {
            let strangers = foreign::is_there(s, pid, &positions);
            for (address, jumps) in ready {
                if strangers && jumps.iter().any(|ready| !ready.jump.inside().is_empty()) {
                    self.report.say(
                        1,
                        format_args!(
                            "{address:#x} is probed by ptrace: a thread is in another session's code"
                        ),
                    );
                    continue;
                }
                let ways = jumps.iter().map(|ready| ways_out(&ready.jump, &ready.copy, &positions));
                let Some(ways) = ways.collect::<Option<Vec<_>>>() else {
                    self.report.say(
                        1,
                        format_args!("{address:#x} is probed by ptrace: a thread is in the middle of it"),
                    );
                    continue;
                };
                let moved =
                    ways.iter().flatten().all(|(tid, to)| sys::set_instruction_pointer(*tid, *to).is_ok());
                if moved && write_group(s, address, &jumps) {
                    let first = jumps.first().map_or(0, |ready| ready.trampoline);
                    let how = if jumps.iter().all(|ready| ready.is_quick) {
                        ", which needs no preparation"
                    } else {
                        ""
                    };
                    self.report.say(2, format_args!("process {pid}: {address:#x} jumps to {first:#x}{how}"));
                    written.push(address);
                }
            }
        }
        self.resume_others(others);
        written
    }

    /// Where the threads of a space are, and what they may come back to. `None`: it is not known of all of them.
    pub(super) fn positions(&self, space: SpaceId) -> Option<Vec<Position>> {
        let in_space = |thread: &Thread| self.processes.get(&thread.pid).is_some_and(|p| p.space == space);
        let s = self.spaces.get(&space)?;
        let mut positions = Vec::new();
        for (tid, _) in self.threads.iter().filter(|(_, thread)| in_space(thread)) {
            match sys::registers(*tid) {
                Ok(registers) => positions.push(Position {
                    tid: Some(*tid),
                    rip: registers.rip,
                    rsp: registers.rsp,
                    stack: stack_words(s, registers.rsp),
                }),
                Err(_) => match status::user_position(*tid) {
                    Some((rip, rsp)) => {
                        positions.push(Position { tid: None, rip, rsp, stack: stack_words(s, rsp) })
                    }
                    None if status::state(*tid).is_none_or(|state| "ZX".contains(state)) => {}
                    None => return None,
                },
            }
        }
        Some(positions)
    }
}

/// A stopped thread.
pub(super) struct Position {
    /// `None` for one that waits in the kernel and cannot be moved.
    tid: Option<Tid>,
    pub rip: u64,
    pub rsp: u64,
    /// Words at the top of its stack: a signal's frame among them has the address where the signal came.
    pub stack: Vec<u64>,
}

/// Bytes of stack that are looked at for the frames of signals.
const FRAMES: usize = 64 * 1024;

fn stack_words(space: &Space, rsp: u64) -> Vec<u64> {
    let words = |rsp: u64| {
        let mut bytes = vec![0; FRAMES];
        let count = space.memory.read_raw(rsp & !7, &mut bytes);
        let (words, _) = bytes[..count].as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>()
    };
    let mut all = words(rsp);
    // In a handler: the program's own stack is where it was left.
    let context = space.home.as_ref().and_then(|home| home.context_at(rsp));
    if let Some(own) = context.and_then(|context| space.memory.word(context + SLOT_STACK_POINTER)) {
        all.extend(words(own));
    }
    all
}

/// Fills the trampoline of a jump.
fn make_jump(
    s: &mut Space,
    jump: patch::Jump,
    probes: &[Vec<ProbeAt>],
    leaf_of: impl Fn(&[ProbeAt]) -> Option<Leaf>,
) -> Option<Ready> {
    let home = s.home.as_mut()?;
    let (head, place, end) =
        home.area_near(jump.site()).map(|area| (area.range.start, area.free, area.range.end))?;
    let hits: Vec<(u64, u32)> = jump
        .hits()
        .iter()
        .zip(probes)
        .map(|(at, probes)| Some((*at, home.add_site(*at, probes, leaf_of(probes))?)))
        .collect::<Option<_>>()?;
    let is_quick = probes.iter().all(|probes| leaf_of(probes).is_some());
    let ways: Vec<u64> = probes
        .iter()
        .map(|probes| if leaf_of(probes).is_some() { head + trampoline::QUICK } else { head })
        .collect();
    let code_of_hit = |at: u64, here: u64| {
        let hit = hits.iter().position(|(hit, _)| *hit == at).unwrap_or(0);
        trampoline::prefix(here, hits[hit].1, ways[hit]).map_or_else(Vec::new, Vec::from)
    };
    let copy = jump.copy(place, &code_of_hit).ok()?;
    let bytes = jump.bytes(place).ok()?;
    let free = (place + copy.code.len() as u64).next_multiple_of(trampoline::ALIGN as u64);
    if free > end || s.memory.write_raw(place, &copy.code).is_err() {
        return None;
    }
    home.area_near(jump.site())?.free = free;
    let sites = hits.into_iter().map(|(_, site)| site).collect();
    Some(Ready { jump, sites, trampoline: place, copy, bytes, is_quick })
}

/// Writes the jumps of a wanted address; none of them, if one cannot be.
fn write_group(s: &mut Space, address: u64, group: &[Ready]) -> bool {
    let jumps = group.iter().map(|ready| {
        let jump = Jump {
            sites: ready.sites.clone(),
            of: address,
            original: ready.jump.original().to_vec(),
            patched: ready.bytes.to_vec(),
            end: ready.jump.end(),
            trampoline: ready.trampoline,
        };
        (ready.jump.site(), jump)
    });
    let jumps: Vec<_> = jumps.collect();
    if !list(s, &jumps) {
        return false;
    }
    for (index, (site, jump)) in jumps.iter().enumerate() {
        if s.memory.write_raw(*site, &jump.patched).is_err() {
            for (site, jump) in &jumps[..index] {
                let _ = s.memory.write_raw(*site, &jump.original);
            }
            return false;
        }
    }
    if let Some(home) = &mut s.home {
        home.jumps.extend(jumps);
    }
    true
}

/// Adds jumps to the list in the process, for whoever has to take them out.
fn list(s: &mut Space, jumps: &[(u64, Jump)]) -> bool {
    let Some(home) = &mut s.home else { return false };
    let (listed, count) = (home.listed, jumps.len() as u64);
    if listed + count > home.plan.jump_capacity {
        return false;
    }
    let bytes: Vec<u8> = jumps.iter().flat_map(|(site, jump)| ledger::entry_bytes(*site, jump)).collect();
    let at = home.base + home.plan.jumps + listed * ledger::ENTRY as u64;
    home.listed += count;
    s.memory.write_raw(at, &bytes).is_ok() && s.home.as_ref().is_some_and(|home| note(s, home).is_ok())
}

/// Writes what a process has been given to the front of it.
fn note(s: &Space, home: &Home) -> std::io::Result<()> {
    let pid = std::process::id();
    let owner = Owner { pid: u64::from(pid), start: status::start_time(pid as i32).unwrap_or(0) };
    s.memory.write_raw(home.base, &Ledger::of(home, Some(owner)).to_bytes())
}

/// Where threads have to go that are in what a jump overwrites. `None`: somebody is there, or will come back there, who
/// cannot be moved.
fn ways_out(jump: &patch::Jump, copy: &Slot, positions: &[Position]) -> Option<Vec<(Tid, u64)>> {
    let inside = jump.inside();
    if inside.is_empty() {
        return Some(Vec::new());
    }
    let mut ways = Vec::new();
    for position in positions {
        if position.stack.iter().any(|word| inside.contains(word)) {
            return None;
        }
        if inside.contains(&position.rip) {
            ways.push((position.tid?, copy.copy_of(position.rip)?));
        }
    }
    Some(ways)
}

/// Whether a place has a jump for these probes already.
fn is_served(home: &Home, injector: &Injector, address: u64, probes: &[(ProbeId, CodeKind)]) -> bool {
    let jump = home.jumps.get(&address);
    jump.filter(|jump| jump.of == address).is_some_and(|jump| {
        let there = jump.sites.first().map(|site| home.probes_at(*site)).unwrap_or_default();
        injector.probes_at(probes).is_some_and(|probes| probes == there)
    })
}

/// Takes out of a forked copy the jumps of probes that are not for it; where a jump serves other probes too, those
/// stay alone.
pub(super) fn remove_jumps_unless(space: &mut Space, takes: impl Fn(&u32) -> bool) {
    let Some(home) = &mut space.home else { return };
    let mut gone = HashSet::new();
    let mut changed = false;
    for (address, jump) in &home.jumps {
        let probes = home.probes_of(jump);
        let left = probes.iter().filter(|at| takes(&at.probe)).count();
        if left == 0 {
            gone.insert(*address);
        }
        changed |= (1..probes.len()).contains(&left);
    }
    if changed {
        home.keep_probes(takes);
        for (at, bytes) in home.tables() {
            // Failing means that it was killed.
            let _ = space.memory.write_raw(at, &bytes);
        }
    }
    remove_jumps(space, |address| gone.contains(&address));
}

/// Puts the original bytes back where jumps are. The memory stays: a signal may have interrupted a thread anywhere in
/// it, and it goes on there when the signal's handler returns.
pub(super) fn remove_jumps(space: &mut Space, of: impl Fn(u64) -> bool) {
    let Some(home) = &mut space.home else { return };
    let addresses: HashSet<u64> = home.jumps.keys().copied().filter(|address| of(*address)).collect();
    for address in addresses {
        let Some(jump) = home.jumps.remove(&address) else { continue };
        let mut now = vec![0; jump.patched.len()];
        // Somebody else may have patched over it: then it is theirs to put back what they found.
        if space.memory.read_raw(address, &mut now) == now.len() && now == jump.patched {
            // Failing means that the mapping is gone, and the jump with it.
            let _ = space.memory.write_raw(address, &jump.original);
        }
    }
}

/// Maps the arena in a process: the process makes a pair of sockets, we take one of them and send the descriptor.
/// Nothing of this depends on what the process sees of the file system. `at`: memory for the message.
fn share(caller: Caller, pid: i32, space: &Space, at: u64, injector: &Injector) -> Result<u64, Failure> {
    let what = "a socket for the arena";
    let system = |error| Failure::System { what, error };
    let kind = (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64;
    caller.call(what, libc::SYS_socketpair, [libc::AF_UNIX as u64, kind, 0, at, 0, 0])?;
    let pair = space.memory.word(at).ok_or(Failure::NoSystemCall)?;
    let (own, theirs) = (pair & 0xffff_ffff, pair >> 32);
    let received = (|| {
        let socket = inject_sys::take_descriptor(pid, own as i32).map_err(system)?;
        inject_sys::send_descriptor(&socket, &injector.arena).map_err(system)?;
        let (message, place) = inject_sys::receiver(at);
        space.memory.write_raw(at, &message).map_err(system)?;
        let flags = libc::MSG_CMSG_CLOEXEC as u64;
        caller.call(what, libc::SYS_recvmsg, [theirs, at, flags, 0, 0, 0])?;
        let descriptor = space.memory.word(at + place).ok_or(Failure::NoSystemCall)? & 0xffff_ffff;
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let arguments = [0, injector.arena_size, protection, libc::MAP_SHARED as u64, descriptor, 0];
        let arena = caller.call("mapping the arena", libc::SYS_mmap, arguments);
        let _ = caller.call(what, libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
        arena
    })();
    for descriptor in [own, theirs] {
        let _ = caller.call(what, libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
    }
    // The pool is to be all zero.
    space.memory.write_raw(at, &[0; 128]).map_err(system)?;
    received
}

/// Address of the vDSO's `clock_gettime`, 0 if there is none.
fn clock(pid: i32, space: &Space) -> u64 {
    let vector = std::fs::read(format!("/proc/{pid}/auxv")).unwrap_or_default();
    auxiliary(&vector, AT_SYSINFO_EHDR)
        .and_then(|base| loader::symbol(space, base, b"__vdso_clock_gettime\0"))
        .unwrap_or(0)
}

/// What stays mapped while a process runs its program: the program's file, and the stack it was started on.
fn certain_ranges(pid: i32, mappings: &[Mapping]) -> [Range; rstap_abi::inject::RANGES] {
    let program = FileId::of_executable(pid).ok();
    let stays =
        |m: &&Mapping| m.path == "[stack]" || m.readable && program.is_some() && m.file_id(pid) == program;
    let mut ranges = [Range::default(); rstap_abi::inject::RANGES];
    let mut last: Option<usize> = None;
    for mapping in mappings.iter().filter(stays) {
        match last {
            Some(index) if ranges[index].end == mapping.start => ranges[index].end = mapping.end,
            _ => {
                let index = last.map_or(0, |index| index + 1);
                let Some(range) = ranges.get_mut(index) else { break };
                *range = Range { start: mapping.start, end: mapping.end };
                last = Some(index);
            }
        }
    }
    ranges
}
