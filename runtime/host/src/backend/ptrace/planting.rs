//! Putting breakpoints where the registry wants them: file offsets into addresses by the mappings of a process,
//! instructions into plans, plans into slots.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use nix::errno::Errno;
use rstap_program::{CodeKind, ProbeId};

use super::loader;
use super::remote::RemoteError;
use super::space::{Passage, Planted, Region, Space, SpaceId};
use super::sys::{self, Tid};
use super::tracer::{Tracer, Ways};
use crate::backend::Handlers;
use crate::breakpoint::{Emulation, Immovable, MAX_INSTRUCTION, Plan, Refusal, SLOT_SIZE, Slot};
use crate::process::maps::{self, Mapping};

/// Slot memory is mapped in pieces of at least this.
const AREA: u64 = 64 * 1024;

/// Probes by address, in script order.
pub(super) type Wanted = BTreeMap<u64, Vec<(ProbeId, CodeKind)>>;

impl<H: Handlers> Tracer<H> {
    /// The options set on every thread.
    pub(super) fn options(&self) -> i32 {
        sys::OPTIONS | if self.registry.watches_exit() { sys::OPTION_EXIT } else { 0 }
    }

    /// Plants in a process what it should have, given what it has mapped now, and takes out what is gone. `tid` is a
    /// thread of it that is stopped as [`remote`] needs it.
    pub(super) fn arm(&mut self, tid: Tid, pid: i32) {
        let Some(process) = self.processes.get(&pid) else { return };
        let space = process.space;
        let Ok(mappings) = maps::read(pid) else { return };
        let is_first = self.spaces.get(&space).is_some_and(|s| !s.searched);
        self.clear_leftovers(tid, pid, space, &mappings);
        if is_first {
            // A breakpoint may have stood on a jump, so the jumps come second.
            self.clear_homes(pid, space, &mappings);
        }
        self.handlers.mapped(pid as u32, &mappings);
        let mut wanted = self.wanted(pid, &mappings);
        self.take_out_moved(space, &mappings);
        self.forget_unmapped(pid, space, &mappings);
        if self.injector.is_some() && self.spaces.get(&space).is_some_and(|s| s.rescue.is_none()) {
            self.open_cave(pid, space);
            self.inject(tid, pid, space, &mappings, &mut wanted);
            self.close_cave(space);
        } else {
            self.inject(tid, pid, space, &mappings, &mut wanted);
        }
        let (mut loader, mut mappers) = (None, Vec::new());
        if (self.needs_loader(pid, space) || !wanted.is_empty() && self.awaits_guard(pid, &mappings))
            && let Some(s) = self.spaces.get_mut(&space)
        {
            loader = loader::debug_state(pid, s);
            mappers = loader::mappers(s, &mappings);
        }
        let addresses: HashSet<u64> = wanted.keys().chain(&loader).chain(&mappers).copied().collect();
        let new = self.make_sites(tid, pid, space, &mappings, &addresses);
        let Some(s) = self.spaces.get_mut(&space) else { return };
        for (address, probes) in wanted {
            if let Some(site) = s.sites.get_mut(&address) {
                site.probes = probes.into();
            }
        }
        if let Some(site) = loader.and_then(|address| s.sites.get_mut(&address)) {
            site.is_loader = true;
        }
        for address in mappers {
            if let Some(site) = s.sites.get_mut(&address) {
                site.is_mapper = true;
            }
        }
        self.guard(tid, pid, space, &mappings);
        self.insert(pid, space, &new, &mappings);
        self.raise_semaphores(pid, &mappings);
        self.watch_data(tid, pid, space, &mappings);
    }

    /// The loader has mapped or unmapped something.
    pub(super) fn mappings_changed(&mut self, tid: Tid, pid: i32) {
        // The thread may have been stopped by the breakpoint's SIGTRAP, which nobody wants: good enough for `remote`.
        self.arm(tid, pid);
        let Some(process) = self.processes.get(&pid).filter(|process| process.is_loading) else { return };
        let space = process.space;
        let is_done = self.spaces.get(&space).is_none_or(|s| loader::is_consistent(pid, s));
        if (is_done || !self.awaits_file(pid, space))
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.is_loading = false;
        }
    }

    /// A program begins: its libraries are to be armed as soon as they are mapped.
    pub(super) fn watch_loading(&mut self, pid: i32) {
        let Some(space) = self.processes.get(&pid).map(|process| process.space) else { return };
        let has_loader = self.spaces.get(&space).is_some_and(|s| s.sites.values().any(|site| site.is_loader));
        let is_loading = has_loader && self.awaits_file(pid, space);
        if let Some(process) = self.processes.get_mut(&pid) {
            process.is_loading = is_loading;
        }
    }

    /// What is to be probed in a process, by address, probes in script order.
    fn wanted(&self, pid: i32, mappings: &[Mapping]) -> Wanted {
        let mut wanted = Wanted::new();
        let Some(process) = self.processes.get(&pid) else { return wanted };
        let takes = |probe: ProbeId| process.accepted.get(probe.0 as usize) == Some(&true);
        for mapping in mappings.iter().filter(|m| m.executable) {
            if let Some(file) = mapping.file_id(pid) {
                let sites = self.registry.in_file(file, mapping.offset, mapping.end - mapping.start);
                for site in sites.iter().filter(|site| takes(site.probe)) {
                    let address = mapping.start + (site.at.0 - mapping.offset);
                    wanted.entry(address).or_default().push((site.probe, site.kind));
                }
            }
            for (at, probe) in self.registry.addresses() {
                if (mapping.start..mapping.end).contains(&at.0) && takes(*probe) {
                    wanted.entry(at.0).or_default().push((*probe, CodeKind::Hit));
                }
            }
        }
        for probes in wanted.values_mut() {
            probes.sort_by_key(|(probe, _)| *probe);
        }
        wanted
    }

    /// Drops breakpoints in mappings that are gone, and remembers those that are there.
    pub(super) fn forget_unmapped(&mut self, pid: i32, space: SpaceId, mappings: &[Mapping]) {
        let region = |m: &Mapping| {
            let file = m.file_id(pid).filter(|file| self.registry.has_file(*file))?;
            Some(Region { range: m.start..m.end, offset: m.offset, file, inode: m.inode })
        };
        let now: Vec<Region> = mappings.iter().filter(|m| m.executable).filter_map(region).collect();
        let Some(s) = self.spaces.get_mut(&space) else { return };
        // The same bytes of the same file, whatever may be done with them just now. A return address may lie in any
        // other mapping.
        let stands = |at: &u64| {
            let mapping = mappings.iter().find(|m| (m.start..m.end).contains(at));
            let before = s.regions.iter().find(|old| old.range.contains(at)).map(|old| old.content_at(*at));
            mapping.is_some_and(|m| before.map_or(m.executable, |content| content == m.content_at(*at)))
        };
        if let Some(home) = &mut s.home {
            home.jumps.retain(|address, _| stands(address));
        }
        let lost: Vec<u64> = s.sites.keys().filter(|at| !stands(at)).copied().collect();
        for address in lost {
            s.sites.remove(&address);
            s.note_lost(address);
        }
        // What is not executable just now still has its breakpoints.
        let is_hidden = |at: &&u64| !now.iter().any(|new| new.range.contains(at));
        let hidden: Vec<u64> = s.sites.keys().filter(is_hidden).copied().collect();
        let keeps = |old: &&Region| hidden.iter().any(|at| old.range.contains(at));
        let kept: Vec<Region> = s.regions.iter().filter(keeps).cloned().collect();
        s.regions = now;
        s.regions.extend(kept);
    }

    /// Whether the loader is to tell of changes: some probe is in a file that is not there yet, or that can go and
    /// come back elsewhere.
    fn needs_loader(&self, pid: i32, space: SpaceId) -> bool {
        let Some(process) = self.processes.get(&pid) else { return false };
        let is_library = |file| Some(file) != process.subject.executable;
        self.awaits_file(pid, space) || self.registry.files_for(&process.accepted).any(is_library)
    }

    /// Whether some probe for a process is in a file that it has not mapped.
    fn awaits_file(&self, pid: i32, space: SpaceId) -> bool {
        let (Some(process), Some(s)) = (self.processes.get(&pid), self.spaces.get(&space)) else {
            return false;
        };
        self.registry.files_for(&process.accepted).any(|file| s.regions.iter().all(|r| r.file != file))
    }

    /// Plants a breakpoint at a return address; whether there is one.
    pub(super) fn plant_return(&mut self, tid: Tid, pid: i32, address: u64) -> bool {
        let Some(space) = self.processes.get(&pid).map(|p| p.space) else { return false };
        let Some(s) = self.spaces.get_mut(&space) else { return false };
        if let Some(site) = s.sites.get_mut(&address) {
            site.is_return = true;
            return true;
        }
        let Ok(mappings) = maps::read(pid) else { return false };
        if !mappings.iter().any(|m| m.executable && (m.start..m.end).contains(&address)) {
            return false;
        }
        let new = self.make_sites(tid, pid, space, &mappings, &HashSet::from([address]));
        if let Some(site) = self.spaces.get_mut(&space).and_then(|s| s.sites.get_mut(&address)) {
            site.is_return = true;
        }
        self.insert(pid, space, &new, &mappings);
        !new.is_empty()
    }

    /// Decides for addresses without a site how they are passed, fills slots, and notes the sites. Nothing is
    /// written to the program's text yet. The addresses that are new.
    fn make_sites(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        addresses: &HashSet<u64>,
    ) -> Vec<u64> {
        let Some(s) = self.spaces.get(&space) else { return Vec::new() };
        let mut new: Vec<u64> = addresses.iter().copied().filter(|at| !s.sites.contains_key(at)).collect();
        new.sort_unstable();
        let plans: Vec<(u64, u8, Plan)> = new
            .iter()
            .filter_map(|&address| match plan(s, address, mappings) {
                Ok((first, plan)) => Some((address, first, plan)),
                Err(refusal) => {
                    self.report.warn(format_args!("not probed in process {pid}: {refusal}"));
                    None
                }
            })
            .collect();
        if plans.is_empty() {
            return Vec::new();
        }
        self.protect(tid, pid, space, plans.len());
        let mut counts = [0_usize; 4];
        for (index, (address, original, plan)) in plans.iter().enumerate() {
            let rest = (plans.len() - index) as u64;
            let (len, passage, why) = match plan {
                Plan::OwnTrap(site) => (site.len(), Passage::OwnTrap, None),
                Plan::Slot(site) | Plan::Step(site, _) if self.ways == Ways::StepOnly => {
                    (site.len(), Passage::Step, None)
                }
                Plan::Slot(site) => match self.slot_for(tid, pid, space, mappings, site, rest) {
                    Ok(slot) => (site.len(), Passage::Slot(slot), None),
                    Err(why) => {
                        let passage = Emulation::of(site).map_or(Passage::Step, Passage::Emulate);
                        (site.len(), passage, Some(why))
                    }
                },
                Plan::Step(site, why) => (site.len(), Passage::Step, Some(*why)),
            };
            self.say_passage(pid, *address, passage, why);
            counts[match passage {
                Passage::Slot(_) => 0,
                Passage::Emulate(_) => 1,
                Passage::Step => 2,
                Passage::OwnTrap => 3,
            }] += 1;
            let planted = Planted {
                original: *original,
                len: len as u8,
                passage,
                probes: [].into(),
                is_return: false,
                is_loader: false,
                is_mapper: false,
                hits_in_vain: 0,
                is_resting: false,
            };
            if let Some(s) = self.spaces.get_mut(&space) {
                s.sites.insert(*address, planted);
                s.retired.remove(address);
            }
        }
        let [slots, emulated, stepped, own] = counts;
        self.report.say(
            if plans.len() > 1 { 1 } else { 2 },
            format_args!(
                "process {pid}: {} breakpoints: {slots} passed in slots, {emulated} emulated, {stepped} stepped, {own} \
                 the program's own",
                plans.len()
            ),
        );
        plans.iter().map(|(address, ..)| *address).collect()
    }

    /// Says at -v how threads pass a breakpoint, and why not in the best way.
    fn say_passage(&self, pid: i32, address: u64, passage: Passage, why: Option<Immovable>) {
        if self.report.is_heard(1) {
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            let place = self.handlers.word(pid as u32, address);
            self.report.say(1, format_args!("process {pid}: {place} at {address:#x} {passage}{why}"));
        }
    }

    /// A filled slot for an instruction.
    fn slot_for(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        site: &crate::breakpoint::Site,
        rest: u64,
    ) -> Result<u64, Immovable> {
        if self.ways != Ways::All {
            return Err(Immovable::TooFar);
        }
        let s = self.spaces.get(&space).ok_or(Immovable::TooFar)?;
        if let Some(slot) = s.known_slot(site) {
            return Ok(slot);
        }
        if s.free_slot(site.address).is_none() {
            self.map_area(tid, pid, space, mappings, site.address, rest);
        }
        let s = self.spaces.get_mut(&space).ok_or(Immovable::TooFar)?;
        let place = s.free_slot(site.address).ok_or(Immovable::TooFar)?;
        let slot = Slot::emit(site, place)?;
        s.fill_slot(site, slot).map_err(|_| Immovable::TooFar)?;
        Ok(place)
    }

    /// Maps slot memory in the target, near an address.
    fn map_area(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        address: u64,
        slots: u64,
    ) {
        let size = (slots * SLOT_SIZE as u64).next_multiple_of(4096).max(AREA);
        let near = mappings
            .iter()
            .find(|m| (m.start..m.end).contains(&address))
            .map_or(address..address + 1, |m| m.start..m.end);
        match self.map_code(tid, pid, space, near, size) {
            Ok(place) => {
                if let Some(s) = self.spaces.get_mut(&space) {
                    s.add_area(place..place + size);
                }
                self.report.say(2, format_args!("process {pid}: {size} bytes for slots at {place:#x}"));
            }
            Err(RemoteError::Gone(_)) => {}
            Err(error) => {
                self.report.say(1, format_args!("process {pid} gets no memory for slots: {error}"));
            }
        }
    }

    /// Maps memory for code in the target, near other code, and lists it there; its address.
    pub(super) fn map_code(
        &mut self,
        tid: Tid,
        pid: i32,
        space: SpaceId,
        near: Range<u64>,
        size: u64,
    ) -> Result<u64, RemoteError> {
        // What was mapped here before is not in any list that was read then.
        let now = maps::read(pid).map_err(|_| RemoteError::Failed(Errno::ESRCH))?;
        let place = maps::find_gap(&now, near, size).ok_or(RemoteError::Failed(Errno::ENOMEM))?;
        let pieces = [(size, libc::PROT_READ | libc::PROT_EXEC)];
        self.map_pieces(tid, pid, space, place, &pieces, &[])?;
        let is_listed = self.list_area(space, &(place..place + size));
        is_listed.then_some(place).ok_or(RemoteError::Failed(Errno::ENOSPC))
    }

    /// A `syscall` instruction in an address space: in the vdso, else in any text.
    pub(super) fn system_call_instruction(&mut self, pid: i32, space: SpaceId) -> Option<u64> {
        let s = self.spaces.get(&space)?;
        if s.system_call.is_none() {
            let found = find_system_call(pid, s);
            self.spaces.get_mut(&space)?.system_call = found;
            return found;
        }
        s.system_call
    }

    fn insert(&mut self, pid: i32, space: SpaceId, addresses: &[u64], mappings: &[Mapping]) {
        self.note_sites(space, addresses, mappings);
        let Some(s) = self.spaces.get_mut(&space) else { return };
        let mut failed = 0;
        for address in addresses {
            if s.sites.contains_key(address) && s.insert(*address).is_err() {
                s.sites.remove(address);
                failed += 1;
            }
        }
        if failed > 0 {
            self.report.warn(format_args!("{failed} probes could not be written to process {pid}"));
        }
    }
}

fn plan(space: &Space, address: u64, mappings: &[Mapping]) -> Result<(u8, Plan), Refusal> {
    if mappings.iter().any(|m| m.shared && (m.start..m.end).contains(&address)) {
        return Err(Refusal::SharedText { address });
    }
    let mut bytes = [0; MAX_INSTRUCTION];
    let count = space.read_clean(address, &mut bytes);
    Ok((bytes[0], Plan::new(address, &bytes[..count])?))
}

fn find_system_call(pid: i32, space: &Space) -> Option<u64> {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let mappings = maps::read(pid).ok()?;
    let (vdso, rest): (Vec<_>, Vec<_>) = mappings
        .into_iter()
        .filter(|m| m.executable && m.path != "[vsyscall]")
        .partition(|m| m.path == "[vdso]");
    vdso.into_iter().chain(rest).find_map(|mapping| {
        let mut bytes = vec![0; (mapping.end - mapping.start).min(4 << 20) as usize];
        let count = space.read_clean(mapping.start, &mut bytes);
        let at = bytes[..count].windows(2).position(|pair| pair == SYSCALL)?;
        let address = mapping.start + at as u64;
        // Not where a breakpoint stands.
        (0..2).all(|i| !space.sites.contains_key(&(address + i))).then_some(address)
    })
}
