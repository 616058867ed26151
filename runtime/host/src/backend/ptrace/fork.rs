//! What a forked process has of what its parent was given. Its memory is a copy as of some moment, perhaps in the middle
//! of arming: a fork is told of when its thread is looked at next, and the parent may have been given more since. So each
//! thing is looked for in the copy. What is not there would else be taken out, or unmapped, in the end where the child has
//! something of its own by then.

use std::collections::HashMap;
use std::io;

use super::memory::Memory;
use super::rescue::Cleaned;
use super::space::{Planted, Space};
use crate::backend::inject::home::Home;
use crate::backend::inject::ledger::{LEDGER_BYTES, Ledger, Owner};
use crate::backend::inject::trampoline;
use crate::breakpoint::INT3;
use crate::process::maps;
use crate::process::status;

impl Space {
    /// The copy that a forked process got.
    pub fn fork(&self, pid: i32) -> io::Result<Space> {
        let mut memory = Memory::open(pid)?;
        let mappings = maps::read(pid)?;
        let mut sites = self.sites.clone();
        let mut addresses: Vec<u64> = sites.keys().copied().collect();
        // Neighbours are read together.
        addresses.sort_unstable();
        for address in addresses {
            if sites.get(&address).is_some_and(|site| !stands(&memory, address, site)) {
                sites.remove(&address);
            }
        }
        let mut areas = self.areas.clone();
        areas.retain(|area| {
            mappings.iter().any(|m| m.executable && m.start <= area.range.start && area.range.end <= m.end)
        });
        let semaphores = self.raised_in(&memory);
        let rescue = self.rescue.as_ref().and_then(|rescue| rescue.of_copy(pid, &memory)).map(Box::new);
        let home = self.home.as_ref().and_then(|home| of_copy(home, &memory));
        let count = |home: &Option<Home>| home.as_ref().map(|home| (home.jumps.len(), home.areas.len()));
        let is_whole = self.searched
            && sites.len() == self.sites.len()
            && areas.len() == self.areas.len()
            && semaphores.len() == self.semaphores.len()
            && rescue.is_some() == self.rescue.is_some()
            && count(&home) == count(&self.home);
        let mut slot_of = self.slot_of.clone();
        if !is_whole {
            slot_of.retain(|address, _| sites.contains_key(address));
        }
        memory.forget();
        Ok(Space {
            memory,
            sites,
            retired: self.retired.clone(),
            regions: self.regions.clone(),
            areas,
            semaphores,
            watched: self.watched.clone(),
            home,
            uninjectable: self.uninjectable,
            system_call: self.system_call,
            rescue,
            guards: self.guards.clone(),
            cave: None,
            unprotected: self.unprotected,
            searched: self.searched,
            cleaned: Cleaned::default(),
            lacks_probes: !is_whole,
            mappers: self.mappers.clone(),
            slot_of,
            is_go: self.is_go,
            frames: self.frames.clone(),
            frame_count: self.frame_count,
        })
    }

    /// The counters of markers that were raised before the copy was made: those raised since are lower in it.
    fn raised_in(&self, copy: &Memory) -> Vec<(u64, rstap_program::ProbeId)> {
        let value = |memory: &Memory, at| {
            let mut bytes = [0; 2];
            (memory.read_raw(at, &mut bytes) == bytes.len()).then(|| u16::from_le_bytes(bytes))
        };
        let mut since: HashMap<u64, u16> = HashMap::new();
        for &(address, _) in &self.semaphores {
            let lower = value(&self.memory, address).zip(value(copy, address));
            since.insert(address, lower.map_or(u16::MAX, |(ours, theirs)| ours.saturating_sub(theirs)));
        }
        let mut raised = self.semaphores.clone();
        raised.reverse();
        raised.retain(|(address, _)| match since.get_mut(address) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        });
        raised.reverse();
        raised
    }
}

/// Whether there is anything but the program's own byte.
fn stands(memory: &Memory, address: u64, site: &Planted) -> bool {
    let mut now = [0];
    let is_read = memory.read_kept(address, &mut now) || memory.read_raw(address, &mut now) == 1;
    site.is_resting || site.original == INT3 || is_read && now != [site.original]
}

/// The home that a process with this memory has, which is a copy. `None`: it was made before the home was in use.
fn of_copy(home: &Home, memory: &Memory) -> Option<Home> {
    let mut bytes = [0; LEDGER_BYTES];
    let all = memory.read_raw(home.base, &mut bytes) == bytes.len();
    let ledger = Ledger::from_bytes(&bytes).filter(|_| all)?;
    let pid = std::process::id();
    let owner = Owner { pid: u64::from(pid), start: status::start_time(pid as i32).unwrap_or(0) };
    let now = Ledger::of(home, Some(owner));
    // The configuration is written last.
    let is_in_use = memory.word(home.config_at()).is_some_and(|enabled| enabled == home.config.enabled);
    if (Ledger { count: now.count, ..ledger }) != now || !is_in_use {
        return None;
    }
    let mut copy = home.clone();
    copy.listed = ledger.count;
    let reads = |at, bytes: &[u8]| {
        let mut now = vec![0; bytes.len()];
        memory.read_raw(at, &mut now) == now.len() && now == bytes
    };
    // Another session may have patched over one.
    copy.jumps.retain(|address, jump| !reads(*address, &jump.original));
    copy.areas.retain(|area| {
        let mut head = [0; trampoline::HEAD];
        memory.read_raw(area.range.start, &mut head) == head.len() && trampoline::is_head(&head)
    });
    Some(copy)
}
