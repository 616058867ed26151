//! The globals of random scripts: one of each kind, with little room.

use rstap_abi::layout::{Histogram, MapShape, StatShape, ValueShape};
use rstap_program::Initial;
use rstap_sema::ir::*;

use super::build::scalar;

// Globals, by number.
pub const LONGS: [u32; 2] = [0, 1];
pub const STRINGS: [u32; 2] = [2, 3];
pub const STAT_LOG: u32 = 4;
pub const STAT_LINEAR: u32 = 5;
/// `[long] long`, five entries.
pub const MAP_LONG: u32 = 6;
/// `[string, long] string`, wraps.
pub const MAP_STRING: u32 = 7;
/// `[long] stat`
pub const MAP_STAT: u32 = 8;

/// A long that is only added to.
pub const SUM: u32 = 9;
/// A statistic that is only added to.
pub const TALLY: u32 = 10;
/// `[long] long`, four entries, only added to.
pub const SUMS: u32 = 11;
/// `[long] stat`, three entries, only added to.
pub const TALLIES: u32 = 12;

/// All of them, by number.
pub fn globals() -> Vec<Global> {
    let log = StatShape { histogram: Histogram::Log, variance_shift: 0, variance: true, sketch: true };
    let linear = StatShape {
        histogram: Histogram::Linear { start: -20, stop: 60, interval: 8 },
        variance_shift: 3,
        variance: true,
        sketch: true,
    };
    let map = |key_count, string_keys, value, capacity, wrap| {
        GlobalKind::Map(MapShape { key_count, string_keys, value, capacity, sized: true, wrap })
    };
    let of =
        |name: &str, kind| Global { name: name.to_owned(), kind, initial: Initial::Zero, sharded: false };
    vec![
        Global { initial: Initial::Long(7), ..scalar("g0", Type::Long) },
        scalar("g1", Type::Long),
        Global { initial: Initial::String(b"begin".to_vec()), ..scalar("s0", Type::Str) },
        scalar("s1", Type::Str),
        of("log", GlobalKind::Stat(log)),
        of("linear", GlobalKind::Stat(linear)),
        of("ml", map(1, 0, ValueShape::Long, 5, false)),
        of("ms", map(2, 1, ValueShape::String, 4, true)),
        of("mst", map(1, 0, ValueShape::Stat(linear), 3, false)),
        scalar("sum", Type::Long),
        of("tally", GlobalKind::Stat(log)),
        of("sums", map(1, 0, ValueShape::Long, 4, false)),
        of("tallies", map(1, 0, ValueShape::Stat(linear), 3, false)),
    ]
}
