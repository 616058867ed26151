//! Makes an arena ready before the first handler runs: its plan, its head, its globals. The host does this once.

use core::sync::atomic::Ordering::{Relaxed, Release};

use rstap_abi::layout::{GLOBAL_ALIGN, GlobalShape, Off, VALUE};
use rstap_abi::limits::Limits;
use rstap_abi::session::{MAGIC, RingHead, Session, state};

use crate::arena::{Arena, Checked, Corrupt};
use crate::map;
use crate::ring::MAX_WORDS;
use crate::session::{HeadCells, SessionCells};
use crate::stat;

/// Where the runtime's own parts of the arena are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// End of the globals: `ArenaPlan::size`.
    pub globals_end: u64,
    /// Offset of the session.
    pub session: u64,
    /// Offset of the ring.
    pub ring: u64,
    /// Words of the ring.
    pub ring_words: u64,
    /// Bytes of the whole arena.
    pub size: u64,
}

/// Plans an arena: `globals_size` is `ArenaPlan::size`, `ring_bytes` is rounded up to a power of two. `None` if it
/// would be larger than an address space.
pub fn plan(globals_size: u64, ring_bytes: u64) -> Option<Plan> {
    let globals_end = globals_size.max(GLOBAL_ALIGN);
    let session = globals_end.checked_next_multiple_of(GLOBAL_ALIGN)?;
    let ring = session.checked_add(size_of::<Session>() as u64)?;
    let ring_words = (ring_bytes / 8).clamp(64, MAX_WORDS).next_power_of_two();
    let size = ring.checked_add(size_of::<RingHead>() as u64)?.checked_add(ring_words.checked_mul(8)?)?;
    (size < 1 << 47).then_some(Plan { globals_end, session, ring, ring_words, size })
}

/// Writes the head and the session of a zeroed arena. [`Corrupt`] if the arena is smaller than its plan.
pub fn session(arena: &Arena<'_>, plan: &Plan, limits: &Limits) -> Checked<()> {
    if arena.size() < plan.size {
        return Err(Corrupt);
    }
    let session: &SessionCells = arena.get(plan.session)?;
    for (cell, value) in session.limits.iter().zip(limits.values()) {
        cell.store(value, Relaxed);
    }
    session.state.store(state::STARTING, Relaxed);
    let head: &HeadCells = arena.get(0)?;
    head.abi_version.store(u64::from(rstap_abi::ABI_VERSION), Relaxed);
    head.size.store(plan.size, Relaxed);
    head.globals_end.store(plan.globals_end, Relaxed);
    head.session.store(plan.session, Relaxed);
    head.ring.store(plan.ring, Relaxed);
    head.ring_words.store(plan.ring_words, Relaxed);
    head.magic.store(MAGIC, Release);
    Ok(())
}

/// Writes what a global of this shape needs before its first use.
pub fn global(arena: &Arena<'_>, at: Off<u8>, shape: &GlobalShape, limits: &Limits) -> Checked<()> {
    let _: &[core::sync::atomic::AtomicU64] = arena.slice(at.bytes, shape.size(limits) / 8)?;
    match shape {
        GlobalShape::Long | GlobalShape::String => Ok(()),
        GlobalShape::Stat(shape) => {
            stat::Stat::at(arena, at.bytes.wrapping_add(VALUE)).initialise(&shape.into())
        }
        GlobalShape::Map(shape) => map::initialise(arena, at.bytes, shape),
    }
}

/// Sets the first value of a `GlobalShape::Long`.
pub fn set_long(arena: &Arena<'_>, at: Off<u8>, value: i64) -> Checked<()> {
    arena.word(at.bytes.wrapping_add(VALUE))?.store(value as u64, Relaxed);
    Ok(())
}

/// Sets the first value of a `GlobalShape::String`, cut to MAXSTRINGLEN - 1 bytes.
pub fn set_string(arena: &Arena<'_>, at: Off<u8>, value: &[u8], limits: &Limits) -> Checked<()> {
    let most = limits.max_string_len.saturating_sub(1) as usize;
    arena.set_string(at.bytes.wrapping_add(VALUE), value.get(..most).unwrap_or(value))
}

/// The value of a `GlobalShape::Long`, for reports and tests.
pub fn long(arena: &Arena<'_>, at: Off<u8>) -> Checked<i64> {
    Ok(arena.word(at.bytes.wrapping_add(VALUE))?.load(Relaxed) as i64)
}
