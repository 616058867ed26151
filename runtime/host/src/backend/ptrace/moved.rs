//! Text that a program moves (mremap) takes its breakpoints along. They are taken out where they are found: when what is
//! mapped is looked at for another reason, or when a thread meets one that is unknown. Nothing tells of the move itself.
//!
//! Does not know jumps, which lead elsewhere once they are moved: see docs/INJECT.md.

use super::space::{Region, Retired, Space, SpaceId};
use super::sys::{self, Tid};
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::breakpoint::INT3;
use crate::process::maps::{self, Mapping};

impl<H: Handlers> Tracer<H> {
    /// A thread has met an `int3` that is not known: whether it is a breakpoint that has been moved there. If so, what
    /// is there is planted anew, and the thread is before it.
    pub(super) fn meets_moved(&mut self, tid: Tid, pid: i32, space: SpaceId, address: u64) -> bool {
        let Ok(mappings) = maps::read(pid) else { return false };
        self.take_out_moved(space, &mappings);
        let is_moved = self.spaces.get(&space).is_some_and(|s| s.retired.contains_key(&address));
        if is_moved {
            // The byte is back, so the thread can go on there whenever we die from here on.
            let _ = sys::set_instruction_pointer(tid, address);
            let _ = sys::wait(tid, false);
            if !self.quiet {
                self.arm(tid, pid);
            }
        }
        is_moved
    }

    /// Before all breakpoints of a process are taken out: those that are elsewhere now, and those whose text is gone, with
    /// perhaps something else in its place.
    pub(super) fn take_out_what_is_not_there(&mut self, pid: i32) {
        let Some(space) = self.processes.get(&pid).map(|process| process.space) else { return };
        let Ok(mappings) = maps::read(pid) else { return };
        self.take_out_moved(space, &mappings);
        self.forget_unmapped(pid, space, &mappings);
    }

    /// Takes out the breakpoints that have been moved with their text.
    pub(super) fn take_out_moved(&mut self, space: SpaceId, mappings: &[Mapping]) {
        let Some(s) = self.spaces.get_mut(&space) else { return };
        let is_gone = |region: &&Region| !mappings.iter().any(|m| is_still(region, m));
        let gone: Vec<Region> = s.regions.iter().filter(is_gone).cloned().collect();
        for old in gone {
            for new in mappings.iter().filter(|m| m.executable && m.inode == old.inode) {
                take_out(s, &old, new);
            }
        }
    }
}

/// Whether a mapping is what a region was made from.
fn is_still(region: &Region, mapping: &Mapping) -> bool {
    (mapping.start..mapping.end) == region.range
        && mapping.content_at(mapping.start) == region.content_at(mapping.start)
}

/// Takes out in a new mapping the breakpoints of an old one. One that is mapped afresh has none.
fn take_out(s: &mut Space, old: &Region, new: &Mapping) {
    let place = |at: u64| {
        let in_file = at - old.range.start + old.offset;
        let place = in_file.checked_sub(new.offset)?.checked_add(new.start)?;
        (place < new.end).then_some(place)
    };
    let is_in_old = |at: &u64| old.range.contains(at);
    let sites = s.sites.iter().filter(|(at, _)| is_in_old(at));
    let moved: Vec<(u64, u64, u8)> = sites
        .filter(|(_, site)| site.original != INT3 && !site.is_resting)
        .filter_map(|(at, site)| Some((*at, place(*at)?, site.original)))
        .collect();
    for (at, place, original) in moved {
        let mut now = [0];
        if place == at
            || s.sites.contains_key(&place)
            || s.memory.read_raw(place, &mut now) != 1
            || now != [INT3]
        {
            continue;
        }
        if s.restore(place, original).is_ok() {
            s.sites.remove(&at);
            s.note_lost(at);
            // Another thread may just have met it.
            s.retired.insert(place, Retired { original, slot: None });
        }
    }
}
