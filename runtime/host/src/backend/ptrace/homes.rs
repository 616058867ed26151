//! What an rstap that was killed has left of the inject backend in a process, found by its ledger and undone: jumps, then
//! the memory that handlers used. The code they led to stays, switched off, as at the end of any session.

use std::time::Duration;

use rstap_abi::inject::POOL_WIPED;

use super::injecting::remove_jumps;
use super::space::{Space, SpaceId};
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::backend::inject::home::{Home, Jump};
use crate::backend::inject::ledger::{ENTRY, LEDGER_BYTES, Ledger, Owner, PAGE, POOL_MAGIC};
use crate::process::maps::Mapping;
use crate::process::status;

/// Most bytes of a list of jumps that is believed.
const MAX_LIST: u64 = 64 << 20;

impl<H: Handlers> Tracer<H> {
    /// Undoes what dead sessions have injected into a process whose threads are parked. One that cannot be stopped runs
    /// no code, so text can be changed under it.
    pub(super) fn clear_homes(&mut self, pid: i32, space: SpaceId, mappings: &[Mapping]) {
        let Some(s) = self.spaces.get(&space).filter(|s| s.home.is_none()) else { return };
        // Looking at each page takes its time where much code was made at run time.
        if !self.thorough && !mappings.iter().any(is_arena) {
            return;
        }
        for home in find(s, mappings) {
            let Some(s) = self.spaces.get_mut(&space) else { return };
            let standing = home.jumps.iter().filter(|(address, jump)| stands(s, **address, jump)).count();
            let (listed, bytes) = (home.jumps.len(), home.plan.pool_size + home.config.arena_size);
            s.home = Some(home);
            remove_jumps(s, |_| true);
            self.open_cave(pid, space);
            self.retire_home(pid, space, Duration::ZERO);
            self.close_cave(space);
            let Some(s) = self.spaces.get_mut(&space) else { return };
            let of_memory = match s.home.take() {
                Some(_) => &mut s.cleaned.kept,
                None => &mut s.cleaned.unmapped,
            };
            *of_memory += bytes;
            s.cleaned.sessions += 1;
            s.cleaned.jumps += standing as u32;
            self.report.say(
                1,
                format_args!("process {pid}: removed what a dead rstap left: {standing} of {listed} jumps"),
            );
        }
    }
}

fn stands(s: &Space, address: u64, jump: &Jump) -> bool {
    let mut now = vec![0; jump.patched.len()];
    s.memory.read_raw(address, &mut now) == now.len() && now == jump.patched
}

/// The homes of dead sessions.
fn find(s: &Space, mappings: &[Mapping]) -> Vec<Home> {
    let nameless = mappings.iter().filter(|m| m.executable && !m.writable && m.path.is_empty());
    let pages = nameless.flat_map(|m| (m.start..m.end).step_by(PAGE as usize));
    pages.filter_map(|base| at(s, base, mappings)).collect()
}

/// The home at an address, if it is one and its owner is dead.
fn at(s: &Space, base: u64, mappings: &[Mapping]) -> Option<Home> {
    let mut bytes = [0; LEDGER_BYTES];
    let ledger = (s.memory.read_raw(base, &mut bytes) == bytes.len()).then_some(bytes)?;
    let mut ledger = Ledger::from_bytes(&ledger)?;
    let owner = ledger.owner.filter(|owner| !is_alive(*owner))?;
    let end = base.checked_add(ledger.size)?;
    let is_inside = |at: u64, len: u64| at >= base && at.checked_add(len).is_some_and(|last| last <= end);
    let len = ledger.count.checked_mul(ENTRY as u64).filter(|len| *len <= MAX_LIST)?;
    if !is_inside(ledger.jumps, len) || ledger.config != 0 && !is_inside(ledger.config, 8) {
        return None;
    }
    let mut jumps = vec![0; len as usize];
    if s.memory.read_raw(ledger.jumps, &mut jumps) != jumps.len() {
        return None;
    }
    // Only what is still what it was: somebody may have unmapped it, and mapped something else.
    let (contexts, each) = ledger.contexts;
    let magic = ledger.pool.0.checked_add(POOL_WIPED + 8).and_then(|at| s.memory.word(at));
    let is_small = contexts.checked_mul(each).is_some_and(|bytes| bytes <= ledger.pool.1);
    if magic != Some(POOL_MAGIC) || !is_small || ledger.pool.0.checked_add(ledger.pool.1).is_none() {
        (ledger.pool, ledger.contexts) = ((0, 0), (0, 0));
    }
    // It was mapped before that was noted.
    let name = format!("/memfd:rstap-arena-{}-", owner.pid);
    let arena = mappings.iter().find(|m| m.path.starts_with(&name));
    ledger.arena = arena.map_or((0, 0), |m| (m.start, m.end - m.start));
    Some(ledger.home(base, &jumps))
}

/// Whether a session goes on. Its process may be dead and not yet collected.
fn is_alive(owner: Owner) -> bool {
    let Ok(pid) = i32::try_from(owner.pid) else { return false };
    status::start_time(pid) == Some(owner.start) && !matches!(status::state(pid), None | Some('Z' | 'X'))
}

fn is_arena(mapping: &Mapping) -> bool {
    mapping.path.starts_with("/memfd:rstap-arena-")
}
