//! Divides the arena among the globals of a script. What lies inside a global is `rstap_abi::layout`'s business, and
//! the header and the ring around them the runtime's.

use rstap_abi::layout::{GLOBAL_ALIGN, GlobalShape, Off};
use rstap_abi::limits::Limits;
use rstap_program::{ArenaPlan, Global};
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
        });
        at = at
            .checked_add(shape.size(limits))
            .and_then(|end| end.checked_next_multiple_of(GLOBAL_ALIGN))
            .filter(|end| *end <= MAX_ARENA_BYTES)
            .ok_or_else(|| CodegenError::ArenaTooLarge { global: global.name.clone() })?;
    }
    Ok(ArenaPlan { size: at, globals: planned })
}

fn shape(kind: GlobalKind) -> GlobalShape {
    match kind {
        GlobalKind::Scalar(Type::Long) => GlobalShape::Long,
        GlobalKind::Scalar(Type::Str) => GlobalShape::String,
        GlobalKind::Stat(shape) => GlobalShape::Stat(shape),
        GlobalKind::Map(shape) => GlobalShape::Map(shape),
    }
}
