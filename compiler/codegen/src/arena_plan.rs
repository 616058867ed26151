//! Divides the arena among the globals of a script. What lies inside a global is `rstap_abi::layout`'s business, and
//! the header and the ring around them the runtime's.

use rstap_abi::image::SHARD_HEADER;
use rstap_abi::layout::{GLOBAL_ALIGN, GlobalShape, Off};
use rstap_abi::limits::{Limits, MAX_SHARDS};
use rstap_program::{ArenaPlan, Global, ShardPlan};
use rstap_sema::ir::{self, GlobalKind, Type};

use crate::CodegenError;

/// Largest arena that is planned: more is a mistake in a size or a limit.
const MAX_ARENA_BYTES: u64 = 1 << 40;

/// Places the globals one after the other, in their order, so that `plan.globals[id]` is the global `id`.
pub(crate) fn plan(globals: &[ir::Global], limits: &Limits) -> Result<ArenaPlan, CodegenError> {
    let mut at = GLOBAL_ALIGN;
    let mut planned = Vec::with_capacity(globals.len());
    for global in globals {
        let shape = shape(global.kind);
        planned.push(Global {
            name: global.name.clone(),
            at: Off::new(at),
            shape,
            initial: global.initial.clone(),
            part: None,
        });
        at = at
            .checked_add(shape.size(limits))
            .and_then(|end| end.checked_next_multiple_of(GLOBAL_ALIGN))
            .filter(|end| *end <= MAX_ARENA_BYTES)
            .ok_or_else(|| CodegenError::ArenaTooLarge { global: global.name.clone() })?;
    }
    let shards = plan_shards(globals, &mut planned, limits, at);
    let size = at + shards.stride * u64::from(shards.count);
    Ok(ArenaPlan { size, globals: planned, shards })
}

/// Most bytes of all shards together, while there are more than [`FEWEST_SHARDS`].
const MAX_SHARDS_BYTES: u64 = 32 << 20;
/// Even a target with few threads has so many.
const FEWEST_SHARDS: u32 = 4;

/// Gives each sharded global its part, and places the shards at `at`.
fn plan_shards(globals: &[ir::Global], planned: &mut [Global], limits: &Limits, at: u64) -> ShardPlan {
    let mut stride = SHARD_HEADER;
    for (_, planned) in globals.iter().zip(planned).filter(|(global, _)| global.sharded) {
        planned.part = Some(stride);
        stride += match &planned.shape {
            GlobalShape::Map(map) => map.value.size(limits) * u64::from(map.capacity),
            GlobalShape::Stat(stat) => stat.size(),
            GlobalShape::Long | GlobalShape::String => 8,
        };
    }
    if stride == SHARD_HEADER {
        return ShardPlan::default();
    }
    let stride = stride.next_multiple_of(GLOBAL_ALIGN);
    let mut count = MAX_SHARDS;
    while count > FEWEST_SHARDS && stride * u64::from(count) > MAX_SHARDS_BYTES {
        count /= 2;
    }
    ShardPlan { at, stride, count }
}

fn shape(kind: GlobalKind) -> GlobalShape {
    match kind {
        GlobalKind::Scalar(Type::Long) => GlobalShape::Long,
        GlobalKind::Scalar(Type::Str) => GlobalShape::String,
        GlobalKind::Stat(shape) => GlobalShape::Stat(shape),
        GlobalKind::Map(shape) => GlobalShape::Map(shape),
    }
}
