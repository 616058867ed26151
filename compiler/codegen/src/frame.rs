//! Stack memory of a function being compiled. A slot that is given back serves the next request of its size, so a
//! frame is as large as the largest statement needs, not as all of them together.

use std::collections::HashMap;

use cranelift_codegen::ir::{StackSlot, StackSlotData, StackSlotKind};
use cranelift_frontend::FunctionBuilder;

/// A piece of the frame that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) stack: StackSlot,
    size: u32,
}

/// The free pieces, by size.
#[derive(Default)]
pub(crate) struct Frame {
    free: HashMap<u32, Vec<Slot>>,
}

impl Frame {
    /// A piece of at least this size, aligned to 8.
    pub(crate) fn take(&mut self, builder: &mut FunctionBuilder, size: u32) -> Slot {
        let size = size.next_multiple_of(8);
        self.free.get_mut(&size).and_then(Vec::pop).unwrap_or_else(|| Slot {
            stack: builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3)),
            size,
        })
    }

    /// Gives a piece back.
    pub(crate) fn give_back(&mut self, slot: Slot) {
        self.free.entry(slot.size).or_default().push(slot);
    }
}
