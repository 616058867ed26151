//! One address space with what was planted in it: breakpoints, slots, and the returns that are waited for. Processes
//! that share their memory (vfork, CLONE_VM) share it; fork copies it together with the memory it describes.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use rstap_program::{CodeKind, ProbeId};

use super::injecting::remove_jumps;
use super::memory::{Memory, hide_breakpoints};
use super::rescue::guard::Guards;
use super::rescue::{Cave, Cleaned, Rescue};
use super::semaphores::lower_semaphores;
use super::watch::Watched;
use crate::backend::TargetMemory;
use crate::backend::inject::home::Home;
use crate::breakpoint::{Emulation, INT3, MAX_INSTRUCTION, SLOT_SIZE, Slot, Where};
use crate::process::FileId;
use crate::process::maps::Content;

/// A number for an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId(pub u32);

/// How threads pass a breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// In the slot at this address.
    Slot(u64),
    /// In the tracer.
    Emulate(Emulation),
    /// The program's own `int3`: it gets its SIGTRAP.
    OwnTrap,
    /// All threads stopped, restored, stepped.
    Step,
}

impl fmt::Display for Passage {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Passage::Slot(slot) => write!(to, "runs as a copy at {slot:#x}"),
            Passage::Emulate(_) => to.write_str("is emulated"),
            Passage::OwnTrap => to.write_str("is a breakpoint of the program's own"),
            Passage::Step => to.write_str("is stepped with all threads stopped, which is slow"),
        }
    }
}

/// A breakpoint.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The byte that it replaced.
    pub original: u8,
    /// Length of the instruction.
    pub len: u8,
    /// How threads pass it.
    pub passage: Passage,
    /// Probes here, in script order.
    pub probes: Arc<[(ProbeId, CodeKind)]>,
    /// Some probed function returns to here.
    pub is_return: bool,
    /// The dynamic loader comes here when it has mapped or unmapped something.
    pub is_loader: bool,
    /// It is the C library's `mmap`: the program may map a file by itself.
    pub is_mapper: bool,
    /// Hits in a row at which no probe was enabled.
    pub hits_in_vain: u32,
    /// Taken out until a probe is enabled.
    pub is_resting: bool,
}

/// A breakpoint that was taken out.
#[derive(Clone, Copy, Debug)]
pub struct Retired {
    /// The byte that it replaced.
    pub original: u8,
    /// The slot by which threads passed it.
    pub slot: Option<u64>,
}

/// An executable mapping of a file that has probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Addresses.
    pub range: Range<u64>,
    /// Position of the first in the file.
    pub offset: u64,
    /// The file.
    pub file: FileId,
    /// As of a mapping.
    pub inode: ([u32; 2], u64),
}

impl Region {
    /// What was at an address of it.
    pub fn content_at(&self, address: u64) -> Content {
        (self.inode, self.offset.wrapping_add(address.wrapping_sub(self.range.start)))
    }
}

/// A probed function that has not returned yet.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The probe.
    pub probe: ProbeId,
    /// Where it returns to.
    pub to: u64,
    /// The thread that entered it.
    pub tid: i32,
    /// Values its entry handler saved.
    pub values: Vec<u8>,
    /// Whether that handler was skipped.
    pub spoiled: bool,
}

/// A place on a stack by which an entry and its return know each other, also if the stack has been moved in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackPlace {
    /// The goroutine whose stack it is. 0: a stack that stays where it is.
    pub goroutine: u64,
    /// How far below the end of the goroutine's stack, else the address.
    pub at: u64,
}

/// Slot memory.
#[derive(Clone, Debug)]
pub struct Area {
    /// Where.
    pub range: Range<u64>,
    slots: Vec<Slot>,
}

/// Most returns waited for in one address space; more are skipped. A program that leaves functions by longjmp only
/// would have no bound otherwise.
const MAX_FRAMES: usize = 1 << 18;

/// An address space.
pub struct Space {
    /// Its memory.
    pub memory: Memory,
    /// Breakpoints.
    pub sites: HashMap<u64, Planted>,
    /// Breakpoints that were here: a thread may just have met one.
    pub retired: HashMap<u64, Retired>,
    /// What has been looked at.
    pub regions: Vec<Region>,
    /// Slot memory.
    pub areas: Vec<Area>,
    /// Counters of markers that were raised, by address.
    pub semaphores: Vec<(u64, ProbeId)>,
    /// Data that the processor watches.
    pub watched: Watched,
    /// What the inject backend has given it.
    pub home: Option<Home>,
    /// Handlers cannot run inside it.
    pub uninjectable: bool,
    /// A `syscall` instruction.
    pub system_call: Option<u64>,
    /// What keeps it alive without a tracer.
    pub rescue: Option<Box<Rescue>>,
    /// What keeps SIGTRAP unblocked in it.
    pub guards: Guards,
    /// Where the stub is for the moment.
    pub cave: Option<Cave>,
    /// It cannot be protected.
    pub unprotected: bool,
    /// Leftovers of dead sessions were looked for.
    pub searched: bool,
    /// And these were found.
    pub cleaned: Cleaned,
    /// It was copied before all that its parent was given was there.
    pub lacks_probes: bool,
    /// Where `mmap` is in the C library at an address, if it is one.
    pub mappers: HashMap<u64, Option<u64>>,
    pub(super) slot_of: HashMap<u64, (u64, [u8; MAX_INSTRUCTION])>,
    /// It is a program of Go, once that was asked.
    pub is_go: Option<bool>,
    /// By the place of the return address. No two threads use the same stack at once, so this needs no thread, and a
    /// coroutine may return on another thread than it was called on.
    pub(super) frames: HashMap<StackPlace, Vec<Frame>>,
    pub(super) frame_count: usize,
}

impl Space {
    /// Of a process, with nothing planted.
    pub fn open(pid: i32) -> io::Result<Space> {
        Ok(Space {
            memory: Memory::open(pid)?,
            sites: HashMap::new(),
            retired: HashMap::new(),
            regions: Vec::new(),
            areas: Vec::new(),
            semaphores: Vec::new(),
            watched: Watched::default(),
            home: None,
            uninjectable: false,
            system_call: None,
            rescue: None,
            guards: Guards::default(),
            cave: None,
            unprotected: false,
            searched: false,
            cleaned: Cleaned::default(),
            lacks_probes: false,
            mappers: HashMap::new(),
            slot_of: HashMap::new(),
            is_go: None,
            frames: HashMap::new(),
            frame_count: 0,
        })
    }

    /// The program's own bytes at an address; how many could be read.
    pub fn read_clean(&self, address: u64, into: &mut [u8]) -> usize {
        let count = self.memory.read_raw(address, into);
        hide_breakpoints(&self.sites, |s| s.original, address, &mut into[..count]);
        count
    }

    /// Writes a breakpoint's byte.
    pub fn insert(&self, address: u64) -> io::Result<()> {
        self.memory.write_raw(address, &[INT3])
    }

    /// Writes the original byte back if the breakpoint is (still) there.
    pub fn restore(&self, address: u64, original: u8) -> io::Result<()> {
        let mut now = [0];
        if original != INT3 && self.memory.read_raw(address, &mut now) == 1 && now == [INT3] {
            self.memory.write_raw(address, &[original])?;
        }
        Ok(())
    }

    /// Takes a breakpoint out.
    pub fn remove(&mut self, address: u64) {
        if let Some(site) = self.sites.remove(&address) {
            // Failing means that the mapping is gone, and the breakpoint with it.
            let _ = self.restore(address, site.original);
            self.retired.insert(address, Retired { original: site.original, slot: site.slot() });
        }
    }

    /// Takes all breakpoints and jumps out, and lowers the counters of markers.
    pub fn remove_all(&mut self) {
        for address in self.sites.keys().copied().collect::<Vec<_>>() {
            self.remove(address);
        }
        remove_jumps(self, |_| true);
        // Both kinds of breakpoints may have stood on one of these.
        self.guards.take_out(&self.memory);
        lower_semaphores(self, |_| true);
    }

    /// Forgets what was in a range: something else is mapped there now.
    pub fn forget(&mut self, range: &Range<u64>) {
        self.regions.retain(|region| region.range.end <= range.start || range.end <= region.range.start);
        for address in self.sites.keys().filter(|at| range.contains(at)).copied().collect::<Vec<_>>() {
            self.sites.remove(&address);
            self.note_lost(address);
        }
    }

    /// The slot an instruction pointer is in.
    pub fn slot_at(&self, rip: u64) -> Option<&Slot> {
        let area = self.areas.iter().find(|area| area.range.contains(&rip))?;
        area.slots.get((rip - area.range.start) as usize / SLOT_SIZE)
    }

    /// Where a thread with this instruction pointer would be without slots; `None` outside of them.
    pub fn locate(&self, rip: u64) -> Option<Where> {
        self.slot_at(rip)?.locate(rip)
    }

    /// A slot made before for this instruction, still with the same bytes.
    pub fn known_slot(&self, site: &crate::breakpoint::Site) -> Option<u64> {
        let (slot, bytes) = self.slot_of.get(&site.address)?;
        bytes.starts_with(site.bytes()).then_some(*slot)
    }

    /// A place for a new slot within reach of an address, if there is one.
    pub fn free_slot(&self, near: u64) -> Option<u64> {
        let area = self.areas.iter().find(|area| {
            let free = area.slots.len() * SLOT_SIZE < (area.range.end - area.range.start) as usize;
            free && area.range.start.abs_diff(near).max(area.range.end.abs_diff(near)) < 0x7fff_0000
        })?;
        Some(area.range.start + (area.slots.len() * SLOT_SIZE) as u64)
    }

    /// Fills the slot that [`Space::free_slot`] gave.
    pub fn fill_slot(&mut self, site: &crate::breakpoint::Site, slot: Slot) -> io::Result<()> {
        self.memory.write_raw(slot.address, &slot.code)?;
        let mut bytes = [0; MAX_INSTRUCTION];
        bytes[..site.len()].copy_from_slice(site.bytes());
        self.slot_of.insert(site.address, (slot.address, bytes));
        if let Some(area) = self.areas.iter_mut().find(|area| area.range.contains(&slot.address)) {
            area.slots.push(slot);
        }
        Ok(())
    }

    /// Adds slot memory.
    pub fn add_area(&mut self, range: Range<u64>) {
        self.areas.push(Area { range, slots: Vec::new() });
    }

    /// Notes that a probed function was entered. `false`: too many have not returned.
    ///
    /// What stands here already for the same stack slot is stale (its function was left by longjmp or an exception)
    /// unless it returns to the same place and is another probe: then that function has tail-called this one, or
    /// both are probes of one function.
    pub fn enter(&mut self, place: StackPlace, frame: Frame) -> bool {
        let at = self.frames.entry(place).or_default();
        self.frame_count -= at.len();
        at.retain(|old| old.to == frame.to && old.probe != frame.probe);
        let fits = self.frame_count < MAX_FRAMES;
        if fits {
            at.push(frame);
        }
        self.frame_count += at.len();
        fits
    }

    /// The functions that return when a thread is at `address`, innermost first. `rsp` is where the address that they
    /// return by has been, and `place` is the same.
    pub fn leave(&mut self, address: u64, rsp: u64, place: StackPlace) -> Vec<Frame> {
        // The frame of a function that longjmp has left stays, and its caller may come to the same place by a branch. But a
        // return leaves the address that it took on the stack, and calls before a branch put others there.
        let returns = |frames: &Vec<Frame>| {
            frames.iter().any(|f| f.to == address) && self.memory.word(rsp) == Some(address)
        };
        if !self.frames.get(&place).is_some_and(returns) {
            return Vec::new();
        }
        let mut left = self.frames.remove(&place).unwrap_or_default();
        self.frame_count -= left.len();
        left.retain(|frame| frame.to == address);
        left
    }

    /// Forgets what a thread that ended had entered. A goroutine goes on on another one.
    pub fn forget_thread(&mut self, tid: i32) {
        self.frames.retain(|place, frames| {
            frames.retain(|frame| place.goroutine != 0 || frame.tid != tid);
            !frames.is_empty()
        });
        self.frame_count = self.frames.values().map(Vec::len).sum();
    }
}

impl TargetMemory for Space {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let all = self.memory.read_kept(address, into);
        hide_breakpoints(&self.sites, |s| s.original, address, into);
        if let Some(home) = &self.home {
            home.hide_jumps(address, into);
        }
        all
    }

    fn write(&self, address: u64, from: &[u8]) -> bool {
        self.memory.write_raw(address, from).is_ok()
    }
}
