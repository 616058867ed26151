//! What a process has been given by the inject backend: the memory it runs handlers in, and the sites that lead there.
//! Pure bookkeeping and layout; `ptrace/injecting.rs` brings it into the process.

use std::collections::BTreeMap;
use std::ops::Range;

use rstap_abi::inject::{CONTEXTS, CONTEXTS_AT, Config, ContextMemory, FRAME_HEAD, ProbeAt, SiteEntry};

use super::Injector;
use super::blob::{self, Blob};
use super::leaf::Leaf;
use super::ledger;
use super::trampoline::{self, HEAD};

/// Largest pool, in bytes of address space.
const MAX_POOL: u64 = 4 << 30;
const PAGE: u64 = 4096;

/// A probed place whose jump is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Numbers of the [`SiteEntry`]s of its hits.
    pub sites: Vec<u32>,
    /// The wanted address that it is for: its own, or the function's whose return it is at.
    pub of: u64,
    /// What was there.
    pub original: Vec<u8>,
    /// What is there now.
    pub patched: Vec<u8>,
    /// The address behind the last instruction that it displaces.
    pub end: u64,
    /// Where it leads.
    pub trampoline: u64,
}

/// Memory for trampolines.
#[derive(Clone, Debug)]
pub struct Area {
    /// Where.
    pub range: Range<u64>,
    /// The first address that is not used.
    pub free: u64,
}

/// Parts of the home, as offsets from its start. The [`ledger`] comes first, the blob behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The list of jumps.
    pub jumps: u64,
    /// Its capacity.
    pub jump_capacity: u64,
    /// The [`SiteEntry`] table.
    pub sites: u64,
    /// Its capacity.
    pub site_capacity: u64,
    /// The [`ProbeAt`] table.
    pub probes: u64,
    /// Its capacity.
    pub probe_capacity: u64,
    /// The image.
    pub image: u64,
    /// Bytes of all.
    pub size: u64,
    /// Contexts in the pool.
    pub contexts: u64,
    /// Bytes of one.
    pub context_size: u64,
    /// Bytes of the pool.
    pub pool_size: u64,
}

impl Plan {
    /// For the probes of a session. A file may be mapped more than once, so there is room for twice as many; and a
    /// function can have many returns.
    pub fn of(injector: &Injector) -> Option<Plan> {
        const RETURNS: u64 = 16;
        let returns = injector.entries.iter().flatten().count() as u64;
        let capacity = 2 * (injector.probes.len() as u64 + RETURNS * returns) + 64;
        let sites = ledger::PAGE + blob::size() as u64;
        let probes = sites + capacity * size_of::<SiteEntry>() as u64;
        let jumps = probes + capacity * size_of::<ProbeAt>() as u64;
        let image = (jumps + capacity * ledger::ENTRY as u64).next_multiple_of(64);
        let context = injector.memory.size();
        let contexts = ((MAX_POOL - CONTEXTS_AT) / context.max(1)).min(CONTEXTS);
        (contexts >= 16).then(|| Plan {
            jumps,
            jump_capacity: capacity,
            sites,
            site_capacity: capacity,
            probes,
            probe_capacity: capacity,
            image,
            size: (image + injector.image.len() as u64).next_multiple_of(PAGE),
            contexts,
            context_size: context,
            pool_size: (CONTEXTS_AT + contexts * context).next_multiple_of(PAGE),
        })
    }
}

/// A process's home.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its first address.
    pub base: u64,
    /// Its parts.
    pub plan: Plan,
    /// The configuration as it is there.
    pub config: Config,
    /// Jumps that are written, by address.
    pub jumps: BTreeMap<u64, Jump>,
    /// Areas for trampolines.
    pub areas: Vec<Area>,
    /// Jumps that the ledger names.
    pub listed: u64,
    sites: Vec<SiteEntry>,
    probes: Vec<ProbeAt>,
    config_at: u64,
    enter: u64,
    quick: u64,
}

impl Home {
    /// The home at `base`, with its bytes.
    pub fn new(base: u64, plan: Plan, mut config: Config, injector: &Injector) -> Option<(Home, Vec<u8>)> {
        let Blob { bytes: blob, config: config_at, enter, quick } = blob::at(base + ledger::PAGE)?;
        let at = |offset: usize| base + ledger::PAGE + offset as u64;
        let mut bytes = vec![0; ledger::PAGE as usize];
        bytes.extend(blob);
        config.sites = base + plan.sites;
        config.probes = base + plan.probes;
        config.image = base + plan.image;
        config.image_size = injector.image.len() as u64;
        config.contexts = plan.contexts;
        config.memory = injector.memory;
        config.limits = injector.limits;
        bytes.resize(plan.image as usize, 0);
        bytes.extend(&injector.image);
        let home =
            Home { config, enter: at(enter), quick: at(quick), ..Home::found(base, plan, at(config_at)) };
        Some((home, bytes))
    }

    /// A home that somebody else has made, with the configuration at `config_at`.
    pub fn found(base: u64, plan: Plan, config_at: u64) -> Home {
        Home {
            base,
            plan,
            config: Config::EMPTY,
            jumps: BTreeMap::new(),
            areas: Vec::new(),
            listed: 0,
            sites: Vec::new(),
            probes: Vec::new(),
            config_at,
            enter: 0,
            quick: 0,
        }
    }

    /// Whether an instruction is the payload's or a handler's, not a copy of one of the program's.
    pub fn is_own_code(&self, address: u64) -> bool {
        (self.base..self.base + self.plan.size).contains(&address)
    }

    /// The context whose memory an address is in.
    pub fn context_at(&self, address: u64) -> Option<u64> {
        let first = self.config.pool.checked_add(CONTEXTS_AT)?;
        let number = address.checked_sub(first)?.checked_div(self.plan.context_size)?;
        (number < self.plan.contexts).then(|| first + number * self.plan.context_size)
    }

    /// Where the configuration is.
    pub fn config_at(&self) -> u64 {
        self.config_at
    }

    /// Adds a site with these probes; its number. `None` if the tables are full. `leaf` is the handler of its only probe,
    /// if it can be called at once.
    pub fn add_site(&mut self, address: u64, probes: &[ProbeAt], leaf: Option<Leaf>) -> Option<u32> {
        let fits = (self.sites.len() as u64) < self.plan.site_capacity
            && (self.probes.len() + probes.len()) as u64 <= self.plan.probe_capacity;
        if !fits {
            return None;
        }
        let first = self.probes.len() as u32;
        let quick = leaf.map_or(0, |leaf| self.config.image + u64::from(leaf.code));
        let looks = u64::from(leaf.is_some_and(|leaf| leaf.looks));
        self.sites.push(SiteEntry { address, first, count: probes.len() as u32, quick, looks });
        self.probes.extend(probes);
        (self.config.site_count, self.config.probe_count) =
            (self.sites.len() as u64, self.probes.len() as u64);
        Some(self.sites.len() as u32 - 1)
    }

    /// The probes of a wanted address.
    pub fn probes_of(&self, jump: &Jump) -> Vec<ProbeAt> {
        jump.sites.iter().flat_map(|site| self.probes_at(*site)).copied().collect()
    }

    /// The probes of a site.
    pub fn probes_at(&self, site: u32) -> &[ProbeAt] {
        self.sites
            .get(site as usize)
            .and_then(|site| self.probes.get(site.first as usize..(site.first + site.count) as usize))
            .unwrap_or_default()
    }

    /// Takes all probes out of the tables that are not to be kept. Numbers of sites stay.
    pub fn keep_probes(&mut self, keep: impl Fn(&u32) -> bool) {
        let mut probes = Vec::with_capacity(self.probes.len());
        for site in &mut self.sites {
            let (first, count) = (site.first as usize, site.count as usize);
            let own = self.probes.get(first..first + count).unwrap_or_default();
            site.first = probes.len() as u32;
            probes.extend(own.iter().filter(|at| keep(&at.probe)));
            site.count = probes.len() as u32 - site.first;
        }
        self.probes = probes;
        self.config.probe_count = self.probes.len() as u64;
    }

    /// What is to be written so that the process sees tables and configuration as they are now.
    pub fn tables(&self) -> [(u64, Vec<u8>); 3] {
        let mut sites = Vec::with_capacity(self.sites.len() * size_of::<SiteEntry>());
        for site in &self.sites {
            sites.extend(site.address.to_le_bytes());
            sites.extend([site.first, site.count].map(u32::to_le_bytes).as_flattened());
            sites.extend([site.quick, site.looks].map(u64::to_le_bytes).as_flattened());
        }
        let mut probes = Vec::with_capacity(self.probes.len() * size_of::<ProbeAt>());
        for probe in &self.probes {
            let words = [probe.probe, probe.kind, probe.saver, probe.value_bytes];
            probes.extend(words.map(u32::to_le_bytes).as_flattened());
        }
        let config = super::sys::bytes_of(&self.config).to_vec();
        [(self.config.sites, sites), (self.config.probes, probes), (self.config_at, config)]
    }

    /// What is to be written so that hits pass by.
    pub fn switched_off(&mut self) -> (u64, [u8; 8]) {
        self.config.enabled = 0;
        (self.config_at + std::mem::offset_of!(Config, enabled) as u64, [0; 8])
    }

    /// Takes a new area; what is to be written at its start.
    pub fn add_area(&mut self, range: Range<u64>) -> (u64, [u8; HEAD]) {
        let start = range.start;
        self.areas.push(Area { free: start + HEAD as u64, range });
        (start, trampoline::head(self.enter, self.quick))
    }

    /// The area within reach of an address that has room for a trampoline.
    pub fn area_near(&mut self, address: u64) -> Option<&mut Area> {
        /// Half of what a jump reaches, so that what the displaced instructions refer to is mostly in reach too.
        const REACH: u64 = 0x7ff0_0000;
        self.areas.iter_mut().find(|area| {
            let room = area.range.end.saturating_sub(area.free);
            let far = area.range.start.abs_diff(address).max(area.range.end.abs_diff(address));
            room >= 256 && far < REACH
        })
    }

    /// Whether some jump has displaced instructions in a range.
    pub fn jumps_in(&self, range: Range<u64>) -> bool {
        self.jumps.range(range.start.saturating_sub(32)..range.end).any(|(_, jump)| jump.end > range.start)
    }

    /// Puts the original bytes over jumps in something read at an address.
    pub fn hide_jumps(&self, address: u64, bytes: &mut [u8]) {
        let end = address.saturating_add(bytes.len() as u64);
        for (at, jump) in self.jumps.range(address.saturating_sub(16)..end) {
            for (original, place) in jump.original.iter().zip(*at..) {
                if let Some(byte) = place.checked_sub(address).and_then(|i| bytes.get_mut(i as usize)) {
                    *byte = *original;
                }
            }
        }
    }
}

/// How a context is divided for a program whose handlers need these; `entry_values` are the most bytes that a return
/// probe has saved at the entry, if there is one.
pub fn context_memory(
    string: u64,
    output: u64,
    scratch: u64,
    stack: u64,
    entry_values: Option<u64>,
) -> ContextMemory {
    /// Bytes for calls that have not returned, and the fewest calls that there must be room for.
    const FRAMES: u64 = 512 << 10;
    const FEWEST: u64 = 64;
    let frame = entry_values.map_or(0, |bytes| (FRAME_HEAD as u64) * 8 + bytes.next_multiple_of(8));
    /// What the payload keeps for itself; `payload/src/slot.rs` has the structure.
    const OWN: u64 = 4096;
    /// Stack for the payload and the core, and the frame of a signal that comes meanwhile.
    const RUNTIME_STACK: u64 = 32 << 10;
    /// A signal's handler may run on the context's stack.
    const SIGNAL_STACK: u64 = 224 << 10;
    let round = |bytes: u64| bytes.next_multiple_of(16);
    let stack_needed = round(stack) + RUNTIME_STACK;
    ContextMemory {
        own: OWN,
        message: round(string),
        output: round(output),
        scratch: round(scratch),
        tokens: round(string),
        matching: round(rstap_abi::regex::memory_bytes(string)),
        frames: round(if frame == 0 { 0 } else { FRAMES.max(FEWEST * frame) }),
        stack: (stack_needed + SIGNAL_STACK).next_multiple_of(PAGE),
        stack_needed,
        frame,
    }
}
