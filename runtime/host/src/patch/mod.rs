//! Jumps into injected code: whether the first bytes of a probed instruction can become a `jmp rel32`, which
//! instructions that displaces, and where a thread found among them belongs. Pure functions over bytes, usable
//! without the rest of this crate: nothing here touches a process.
//!
//! ```text
//! before    site: a; b; c; next: …                     b may begin inside the five bytes
//! after     site: jmp trampoline; (rest of c) next: …
//!           trampoline: …; a'; b'; c'; jmp next        a' is a relocated copy: breakpoint::Slot
//! ```
//!
//! A hit is what stands for `…`. It may be before any of the displaced instructions: a return instruction is most
//! often too short, so the jump is where the instructions before it are. What nobody runs, the padding behind a
//! return, may be overwritten as well.
//!
//! A jump is sound if nobody can come to an address inside the five bytes but from the instruction before it:
//!
//! - no branch of the function goes there ([`flow`]); jump tables are read; where they cannot be, only one displaced
//!   instruction is accepted;
//! - none but the last displaced instruction is a call (its return address would be inside), none but the last leaves
//!   for good (what follows it is entered from elsewhere: a landing pad, another block);
//! - threads that are inside when the jump is written are moved by the caller, with [`Slot::copy_of`]; addresses in
//!   signal frames are the caller's to look for, in [`Jump::inside`].
//!
//! - it lies in one page, so that a writer who is killed has not written half of it.
//!
//! Bytes behind the fifth stay as they are, so a place from there on can still be jumped to.

pub mod flow;

use std::ops::Range;

use iced_x86::{FlowControl, Mnemonic};

use crate::breakpoint::{Immovable, Plan, Refusal, Site, Slot, falls_through};

/// Bytes of a `jmp rel32`.
pub const JUMP: usize = 5;

/// Why there can be no jump here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The function is shorter than a jump from the site on.
    #[error("the function ends {bytes} bytes after it")]
    TooShort {
        /// Bytes there are.
        bytes: u64,
    },
    /// What is there is no instruction, or not the beginning of one.
    #[error(transparent)]
    Undecodable(#[from] Refusal),
    /// The site is inside an instruction as the function is read from its beginning.
    #[error("it is not at the beginning of an instruction")]
    NotABoundary,
    /// Code of the function goes to the middle of the jump.
    #[error("the code at {from:#x} goes to {to:#x}, inside it")]
    Target {
        /// Where the branch or the jump table's jump is.
        from: u64,
        /// Where to.
        to: u64,
    },
    /// Where a computed jump of the function goes is not known.
    #[error("where the jump at {from:#x} goes is not known")]
    Unknown {
        /// Where it is.
        from: u64,
    },
    /// A call or a jump has an instruction behind it that would be displaced too.
    #[error("what follows the instruction at {at:#x} is entered from elsewhere")]
    Leaves {
        /// Where the call or jump is.
        at: u64,
    },
    /// An instruction to be displaced cannot be moved.
    #[error("the instruction at {at:#x} cannot be moved: {why}")]
    Immovable {
        /// Where it is.
        at: u64,
        /// Why not.
        why: Immovable,
    },
    /// A return probe is wanted for code that is not left by returns alone.
    #[error("it is left at {at:#x} by other ways than a return")]
    OtherExit {
        /// Where.
        at: u64,
    },
    /// A return probe is wanted for code that is no whole function.
    #[error("it is not at the beginning of a function")]
    NotAnEntry,
    /// A return probe is wanted for a function that may return on another stack, or another thread.
    #[error("calls of Go programs move between stacks and threads")]
    MovingStacks,
    /// The jump would be in two pages, which are not written at once.
    #[error("it is at the end of a page")]
    TwoPages,
    /// The trampoline is more than 2 GB away.
    #[error("no memory within 2 GB of it")]
    TooFar,
}

/// A jump that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    displaced: Vec<Site>,
    /// Those before which there is a hit.
    hits: Vec<u64>,
    /// What is overwritten behind the last one.
    dead: Vec<u8>,
}

/// Somebody killed while he writes has written all of what is inside one of these, or nothing.
const PAGE: u64 = 4096;
/// Longest run of instructions that is displaced for a return, in bytes.
const MAX_RUN: u64 = 48;

impl Jump {
    /// A jump at the instruction at `site` of a function. `flow` is the function's.
    pub fn new(flow: &flow::Flow, site: u64) -> Result<Jump, Refused> {
        Jump::over(flow, site, site, &[site])
    }

    /// A jump that takes threads to a hit before the return instruction at `at`; the shortest there is.
    pub fn at_return(flow: &flow::Flow, at: u64) -> Result<Jump, Refused> {
        let mut site = at;
        loop {
            let refused = match Jump::over(flow, site, at, &[at]) {
                Ok(jump) => return Ok(jump),
                Err(refused) => refused,
            };
            let is_too_short = match refused {
                Refused::TooShort { .. } => true,
                Refused::Leaves { at: from } => from == at,
                _ => false,
            };
            // Padding is not run through: what comes behind it may be entered by somebody unknown, an unwinder perhaps.
            site = match flow.boundary_before(site).filter(|before| flow.dead_bytes(*before, 1).is_empty()) {
                Some(before) if is_too_short && at - before < MAX_RUN => before,
                _ => return Err(refused),
            };
        }
    }

    /// A jump at `site` with hits there and at the return instruction at `at`, for functions that are too short for
    /// two jumps.
    pub fn through(flow: &flow::Flow, site: u64, at: u64) -> Result<Jump, Refused> {
        if at.checked_sub(site).is_none_or(|len| len > MAX_RUN) {
            return Err(Refused::NotABoundary);
        }
        Jump::over(flow, site, at, &[site, at])
    }

    /// Displaces what is from `site` to the instruction at `last`, and as much behind it as a jump needs.
    fn over(flow: &flow::Flow, site: u64, last: u64, hits: &[u64]) -> Result<Jump, Refused> {
        let room = flow.end().checked_sub(site).ok_or(Refused::NotABoundary)?;
        if !flow.is_boundary(site) {
            return Err(Refused::NotABoundary);
        }
        let enough = site + JUMP as u64;
        let mut displaced: Vec<Site> = Vec::new();
        let mut at = site;
        while (at <= last || at < enough) && at < flow.end() && !displaced.last().is_some_and(ends_a_run) {
            let instruction = movable(at, flow.bytes_from(at))?;
            at = instruction.next();
            displaced.push(instruction);
        }
        let before = displaced.last().ok_or(Refused::NotABoundary)?;
        let missing = enough.saturating_sub(at) as usize;
        let dead = if leaves_for_good(before) { flow.dead_bytes(at, missing) } else { &[] };
        if at <= last || dead.len() < missing {
            return Err(match room {
                room if room < JUMP as u64 => Refused::TooShort { bytes: room },
                _ => Refused::Leaves { at: before.address },
            });
        }
        if site / PAGE != (enough - 1) / PAGE {
            return Err(Refused::TwoPages);
        }
        let jump = Jump { displaced, hits: hits.to_vec(), dead: dead.to_vec() };
        jump.check_targets(flow)?;
        Ok(jump)
    }

    fn check_targets(&self, flow: &flow::Flow) -> Result<(), Refused> {
        let inside = self.inside();
        if inside.is_empty() {
            return Ok(());
        }
        match flow.branch_into(inside) {
            Some(branch) => Err(Refused::Target { from: branch.from, to: branch.to }),
            None => flow.unknown().map_or(Ok(()), |from| Err(Refused::Unknown { from })),
        }
    }

    /// Where it is.
    pub fn site(&self) -> u64 {
        self.displaced.first().map_or(0, |first| first.address)
    }

    /// Where the hits are.
    pub fn hits(&self) -> &[u64] {
        &self.hits
    }

    /// The address behind all that it overwrites or displaces.
    pub fn end(&self) -> u64 {
        self.displaced.last().map_or(0, Site::next) + self.dead.len() as u64
    }

    /// The boundaries of displaced instructions that the jump overwrites: a thread or a signal frame with its
    /// instruction pointer there has to be moved to its copy.
    pub fn inside(&self) -> Range<u64> {
        let last = self.displaced.last().map_or(0, |last| last.address);
        let end = if self.dead.is_empty() { last.max(self.site()) + 1 } else { self.end() };
        self.site() + 1..end
    }

    /// The displaced instructions.
    pub fn displaced(&self) -> &[Site] {
        &self.displaced
    }

    /// Their relocated copy and the jump back, with the code of the hits.
    pub fn copy(&self, address: u64, code_of_hit: &dyn Fn(u64, u64) -> Vec<u8>) -> Result<Slot, Refused> {
        let before = |site: &Site, here: u64| match self.hits.contains(&site.address) {
            true => code_of_hit(site.address, here),
            false => Vec::new(),
        };
        Slot::emit_all(&self.displaced, address, &before).map_err(|why| match why {
            Immovable::TooFar => Refused::TooFar,
            Immovable::Peculiar => Refused::Immovable { at: self.site(), why },
        })
    }

    /// The jump to a trampoline.
    pub fn bytes(&self, trampoline: u64) -> Result<[u8; JUMP], Refused> {
        let from = self.site().wrapping_add(JUMP as u64);
        let distance =
            i32::try_from(trampoline.wrapping_sub(from) as i64).map_err(|_| Refused::TooFar)?.to_le_bytes();
        Ok([0xe9, distance[0], distance[1], distance[2], distance[3]])
    }

    /// What was there before.
    pub fn original(&self) -> [u8; JUMP] {
        let mut original = [0; JUMP];
        for (to, from) in
            original.iter_mut().zip(self.displaced.iter().flat_map(Site::bytes).chain(&self.dead))
        {
            *to = *from;
        }
        original
    }
}

fn movable(at: u64, bytes: &[u8]) -> Result<Site, Refused> {
    match Plan::new(at, bytes)? {
        Plan::Step(_, why) => Err(Refused::Immovable { at, why }),
        // An int3 of the program's own: its SIGTRAP must name its own address.
        Plan::OwnTrap(_) => Err(Refused::Immovable { at, why: Immovable::Peculiar }),
        Plan::Slot(site) => Ok(site),
    }
}

/// Whether nothing comes back to the address behind it.
fn leaves_for_good(site: &Site) -> bool {
    matches!(
        site.instruction().flow_control(),
        FlowControl::UnconditionalBranch | FlowControl::IndirectBranch | FlowControl::Return
    )
}

/// Whether what follows is not reached from this instruction alone, or not at all.
fn ends_a_run(site: &Site) -> bool {
    let instruction = site.instruction();
    let traps = matches!(
        instruction.flow_control(),
        FlowControl::Exception | FlowControl::Interrupt | FlowControl::XbeginXabortXend
    );
    // The kernel keeps the address behind a `syscall` for a child, a restart or a signal frame.
    traps || !falls_through(instruction) || instruction.mnemonic() == Mnemonic::Syscall
}

#[cfg(test)]
mod tests;
