//! What a dead rstap left in a target, found and undone: by the next one that attaches, or by `--cleanup`.

use std::collections::HashMap;

use super::area::{
    Entry, Header, KIND_GUARD, KIND_SEMAPHORE, KIND_SITE, KIND_THREAD, MAGIC, PAGE, Piece, VERSION,
    from_bytes,
};
use super::stack::Frames;
use super::table;
use super::{OWNER, cave, code, guard, stack};
use crate::backend::Handlers;
use crate::backend::ptrace::remote;
use crate::backend::ptrace::semaphores;
use crate::backend::ptrace::space::{Retired, Space, SpaceId};
use crate::backend::ptrace::sys::Tid;
use crate::backend::ptrace::tracer::{State, Tracer};
use crate::breakpoint::INT3;
use crate::process::access::AccessError;
use crate::process::maps::Mapping;

/// What was found in a process and undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Dead sessions.
    pub sessions: u32,
    /// Breakpoints taken out.
    pub breakpoints: u32,
    /// Jumps taken out.
    pub jumps: u32,
    /// Counters of markers lowered.
    pub semaphores: u32,
    /// Threads that have SIGTRAP blocked again.
    pub masks: u32,
    /// Bytes of memory unmapped.
    pub unmapped: u64,
    /// Bytes of memory kept because a thread may still use them. They do nothing.
    pub kept: u64,
    /// Descriptors closed.
    pub descriptors: u32,
}

/// What our memory is called in /proc/PID/maps and /proc/PID/fd.
const MEMORY_FILE: &str = "/memfd:rstap-rescue";

/// Memory of ours in a target.
struct Found {
    base: u64,
    header: Box<Header>,
}

impl<H: Handlers> Tracer<H> {
    /// Attaches to a process, undoes what dead sessions left in it, and lets it go.
    pub fn clean(&mut self, pid: i32) -> Result<Cleaned, AccessError> {
        self.thorough = true;
        self.attach(pid, false)?;
        let cleaned = self.processes.get(&pid).and_then(|p| self.spaces.get(&p.space)).map(|s| s.cleaned);
        self.detach_all();
        Ok(cleaned.unwrap_or_default())
    }

    /// Undoes what dead sessions left in a process. All threads of it that can be stopped are; `tid` is one of them.
    pub(in crate::backend::ptrace) fn clear_leftovers(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
    ) {
        let Some(s) = self.spaces.get_mut(&space) else { return };
        if std::mem::replace(&mut s.searched, true) {
            return;
        }
        let (found, strays) = find(s, mappings);
        let is_parked = |tid: &Tid| matches!(self.threads.get(tid).map(|t| t.state), Some(State::Parked(_)));
        let all: Vec<Tid> = self.threads.iter().filter(|(_, t)| t.pid == pid).map(|(tid, _)| *tid).collect();
        let (parked, others): (Vec<Tid>, Vec<Tid>) = all.into_iter().partition(is_parked);
        if let Some(s) = self.spaces.get(&space) {
            parked.iter().for_each(|tid| remote::take_out_of_stub(*tid, &s.memory));
        }
        let mut cleaned = Cleaned::default();
        for old in found {
            if old.header.version != VERSION {
                self.report.warn(format_args!(
                    "process {pid} has leftovers of another version of rstap ({}), which that one must remove",
                    old.header.version
                ));
                continue;
            }
            // Without an owner it is memory that a thread was in when all else was undone.
            let is_dead = old.header.owner != 0;
            cleaned.sessions += u32::from(is_dead);
            let unblocked = match self.spaces.get_mut(&space).filter(|_| is_dead) {
                Some(s) => undo(pid, s, &old, mappings, &mut cleaned),
                None => Vec::new(),
            };
            for &tid in &parked {
                self.swallow_trap(tid, space);
            }
            // Not before: a SIGTRAP that waits for a thread which blocks it again would not be told, and the thread would go
            // on in the middle of an instruction.
            let known = unblocked.into_iter().filter(|(tid, _)| parked.contains(tid));
            cleaned.masks += known.filter(|(tid, mask)| super::block_again(*tid, *mask)).count() as u32;
            self.open_cave(pid, space);
            let given_back = self.give_action_back(tid, pid, space, old.base);
            let action = self.old_action(space, old.base);
            let Some(s) = self.spaces.get(&space) else { return };
            if let Some(action) = action.filter(|_| others.is_empty()) {
                let is_ours = |address| s.retired.contains_key(&address);
                parked.iter().for_each(|tid| stack::detour(*tid, pid, &s.memory, old.base, &action, is_ours));
            }
            // Nothing is planted any more.
            let _ = s.memory.write_raw(old.base + OWNER, &[0; 16]);
            let pieces = &old.header.areas[..old.header.area_count as usize];
            let bytes = pieces.iter().map(|piece| piece.end - piece.start).sum::<u64>();
            let frames = action.map(|old_action| Frames { base: old.base, old: old_action });
            let inside = |tid: &Tid| stack::leads_into(*tid, pid, &s.memory, pieces, frames.as_ref());
            if given_back && others.is_empty() && !parked.iter().any(inside) {
                cleaned.unmapped += bytes;
                // The one with the list of all others last.
                for piece in pieces.iter().rev() {
                    let arguments = [piece.start, piece.end - piece.start, 0, 0, 0, 0];
                    let _ = self.remote_call(tid, pid, space, libc::SYS_munmap, arguments);
                }
            } else {
                cleaned.kept += bytes;
            }
            self.close_cave(space);
            if let Some(s) = self.spaces.get_mut(&space) {
                // Who has met a breakpoint and is not here yet meets no breakpoint at its address any more.
                s.retired.values_mut().for_each(|retired| retired.slot = None);
            }
        }
        let leads_into = |tid: &Tid, piece: &Piece| {
            let s = self.spaces.get(&space);
            s.is_none_or(|s| stack::leads_into(*tid, pid, &s.memory, std::slice::from_ref(piece), None))
        };
        let unused = |piece: &&Piece| others.is_empty() && !parked.iter().any(|tid| leads_into(tid, piece));
        let unused: Vec<Piece> = strays.iter().filter(unused).copied().collect();
        if !unused.is_empty() {
            self.open_cave(pid, space);
            for piece in unused {
                let arguments = [piece.start, piece.end - piece.start, 0, 0, 0, 0];
                let done = self.remote_call(tid, pid, space, libc::SYS_munmap, arguments);
                cleaned.unmapped += if done.is_ok() { piece.end - piece.start } else { 0 };
            }
            self.close_cave(space);
        }
        if let Some(s) = self.spaces.get(&space)
            && others.is_empty()
        {
            cave::restore(pid, &s.memory, code::stub_alone(), |place| {
                let piece = [Piece { start: place.start, end: place.end }];
                parked.iter().any(|tid| stack::leads_into(*tid, pid, &s.memory, &piece, None))
            });
        }
        // A tracer that died while it made memory may have left a descriptor and nothing else.
        let descriptors = if self.thorough || cleaned.sessions > 0 { descriptors(pid) } else { Vec::new() };
        for descriptor in descriptors {
            let done = self.remote_call(tid, pid, space, libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
            cleaned.descriptors += u32::from(done.is_ok());
        }
        if cleaned.sessions > 0 {
            let (count, bytes) = (cleaned.breakpoints, cleaned.unmapped);
            self.report.say(
                1,
                format_args!(
                    "process {pid}: removed what a dead rstap left: {count} breakpoints, {bytes} bytes of memory"
                ),
            );
        }
        if let Some(s) = self.spaces.get_mut(&space) {
            // What was injected is counted already.
            s.cleaned = Cleaned {
                sessions: s.cleaned.sessions + cleaned.sessions,
                unmapped: s.cleaned.unmapped + cleaned.unmapped,
                kept: s.cleaned.kept + cleaned.kept,
                jumps: s.cleaned.jumps,
                ..cleaned
            };
        }
    }
}

/// Our memory in a process: a writable mapping right behind an executable one, beginning with a header. And what else has
/// our name and no header that lists it, because a tracer died between mapping it and listing it, or while it unmapped
/// the rest; nothing of that if there is a header that is not to be believed.
fn find(space: &Space, mappings: &[Mapping]) -> (Vec<Found>, Vec<Piece>) {
    let pairs = mappings.windows(2).filter(|pair| {
        pair[0].executable
            && pair[1].writable
            && pair[0].end == pair[1].start
            && is_ours_or_nameless(&pair[1])
    });
    let mut found = Vec::new();
    let mut all_sound = true;
    for pair in pairs {
        let mut bytes = vec![0; size_of::<Header>()];
        let read = space.memory.read_raw(pair[1].start, &mut bytes);
        if read < bytes.len() || !bytes.starts_with(&MAGIC) {
            continue;
        }
        let Some(header) = from_bytes::<Header>(&bytes).map(Box::new) else { continue };
        let base = pair[1].start - PAGE as u64;
        if is_sound(base, &header, mappings) {
            found.push(Found { base, header });
        } else {
            all_sound &= header.owner == 0;
        }
    }
    let strays = if all_sound { strays(&found, mappings) } else { Vec::new() };
    (found, strays)
}

/// Memory with our name that none of these headers lists.
fn strays(found: &[Found], mappings: &[Mapping]) -> Vec<Piece> {
    let listed: Vec<&Piece> = found.iter().flat_map(|old| old.header.areas.iter()).collect();
    mappings
        .iter()
        .filter(|m| m.path.starts_with(MEMORY_FILE))
        .map(|m| Piece { start: m.start, end: m.end })
        .filter(|piece| listed.iter().all(|other| piece.end <= other.start || other.end <= piece.start))
        .collect()
}

fn is_ours_or_nameless(mapping: &Mapping) -> bool {
    mapping.path.is_empty() || mapping.path.starts_with(MEMORY_FILE)
}

/// Whether what a header says can be: each piece of memory is one that is mapped, and is nobody else's.
fn is_sound(base: u64, header: &Header, mappings: &[Mapping]) -> bool {
    let count = header.area_count as usize;
    let is_whole = |piece: &Piece| {
        let inside = |m: &&Mapping| m.start < piece.end && m.end > piece.start;
        let covered: u64 = mappings
            .iter()
            .filter(inside)
            .filter(|m| is_ours_or_nameless(m))
            .map(|m| m.end.min(piece.end) - m.start.max(piece.start))
            .sum();
        piece.start < piece.end
            && piece.start.is_multiple_of(PAGE as u64)
            && covered == piece.end - piece.start
    };
    header.version != VERSION
        || (header.areas.get(..count).is_some_and(|pieces| pieces.iter().all(is_whole))
            && header.areas[0].start == base)
}

/// Undoes in memory what the table of a dead session says. The threads that it has unblocked SIGTRAP for, with the signals
/// that they blocked.
fn undo(
    pid: i32,
    s: &mut Space,
    old: &Found,
    mappings: &[Mapping],
    cleaned: &mut Cleaned,
) -> Vec<(Tid, u64)> {
    let mut unblocked = Vec::new();
    let mut mask = [0; 8];
    if s.memory.read_raw(old.header.table, &mut mask) != mask.len() {
        return unblocked;
    }
    let Some(size) = table::size_by_mask(u64::from_le_bytes(mask)) else { return unblocked };
    let mut bytes = vec![0; size];
    let read = s.memory.read_raw(old.header.table, &mut bytes);
    let guards: HashMap<u64, Entry> = table::entries(&bytes[..read])
        .filter(|entry| entry.kind == KIND_GUARD)
        .map(|entry| (entry.key, entry))
        .collect();
    for entry in table::entries(&bytes[..read]) {
        match entry.kind {
            KIND_SITE => {
                let slot = (entry.slot != 0).then_some(entry.slot);
                s.retired.insert(entry.key, Retired { original: entry.original, slot });
                let mut now = [0];
                let there = s.memory.read_raw(entry.key, &mut now) == 1 && now == [INT3];
                let is_known = is_program_byte(pid, mappings, entry.key, entry.original)
                    || guards.contains_key(&entry.key)
                    || is_injected_jump(s, mappings, entry.key, entry.original);
                if there && is_known {
                    let restored = s.memory.write_raw(entry.key, &[entry.original]).is_ok();
                    cleaned.breakpoints += u32::from(restored);
                }
            }
            KIND_SEMAPHORE => {
                let count = semaphores::lower(s, entry.key, entry.count);
                cleaned.semaphores += u32::from(count);
            }
            KIND_THREAD => unblocked.push((entry.key as Tid, entry.slot)),
            _ => {}
        }
    }
    // A breakpoint may have stood on one.
    guards.values().for_each(|entry| guard::undo(&s.memory, entry));
    unblocked
}

/// Whether the file that is mapped at an address has this byte there; what is no file's is believed.
fn is_program_byte(pid: i32, mappings: &[Mapping], address: u64, byte: u8) -> bool {
    use std::os::unix::fs::FileExt;
    let Some(mapping) = mappings.iter().find(|m| (m.start..m.end).contains(&address)) else { return false };
    let path = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    let Ok(file) = std::fs::File::open(path) else { return true };
    let mut now = [0];
    file.read_exact_at(&mut now, address - mapping.start + mapping.offset).is_err() || now == [byte]
}

/// Whether a breakpoint stands on the jump of a session that injects: this is the first byte of a jump to nameless code.
fn is_injected_jump(s: &Space, mappings: &[Mapping], address: u64, first: u8) -> bool {
    const JUMP: u8 = 0xe9;
    let mut distance = [0; 4];
    let read = s.memory.read_raw(address.wrapping_add(1), &mut distance) == distance.len();
    let to = address.wrapping_add(5).wrapping_add(i64::from(i32::from_le_bytes(distance)) as u64);
    let is_nameless = |m: &Mapping| m.executable && m.path.is_empty() && (m.start..m.end).contains(&to);
    first == JUMP && read && mappings.iter().any(is_nameless)
}

/// Memory files of ours that a process still has open.
fn descriptors(pid: i32) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with(MEMORY_FILE))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
