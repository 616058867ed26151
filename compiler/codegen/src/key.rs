//! Keys of arrays and statistics: what builtins take by address.

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_abi::layout::{KeyPart, VALUE};
use rstap_sema::ir::{Expr, ExprKind, Foreach, GlobalKind, SiteId, StatRef};

use crate::emitter::{Emitter, Operand};
use crate::frame::Slot;

/// A key in the frame.
pub(crate) struct Key {
    /// The `KeyPart`s; none for the slice that takes everything.
    slot: Option<Slot>,
    /// Bit `i` set: part `i` is `*`.
    pub(crate) mask: i64,
    /// What its strings occupy.
    held: Vec<Slot>,
}

impl Emitter<'_, '_, '_> {
    /// A key with all its parts.
    pub(crate) fn key(&mut self, parts: &[Expr]) -> Key {
        self.key_of(parts.iter().map(Some), false)
    }

    /// A key whose absent parts are `*`.
    pub(crate) fn partial_key(&mut self, parts: &[Option<Expr>]) -> Key {
        self.key_of(parts.iter().map(Option::as_ref), false)
    }

    /// The slice of a walk. Its strings are copies, because the walk's body may change what they were read from.
    pub(crate) fn slice_key(&mut self, walk: &Foreach) -> Key {
        if walk.slice.is_empty() {
            let GlobalKind::Map(shape) = self.unit.script.globals[walk.map.0 as usize].kind else {
                panic!("pass 2 walks arrays only");
            };
            return Key { slot: None, mask: (1 << shape.key_count) - 1, held: Vec::new() };
        }
        self.key_of(walk.slice.iter().map(Option::as_ref), true)
    }

    fn key_of<'e>(&mut self, parts: impl ExactSizeIterator<Item = Option<&'e Expr>>, copied: bool) -> Key {
        let slot = self.take((parts.len() * size_of::<KeyPart>()) as u32);
        let mut key = Key { slot: Some(slot), mask: 0, held: Vec::new() };
        for (index, part) in parts.enumerate() {
            let Some(part) = part else {
                key.mask |= 1 << index;
                let zero = self.long(0);
                self.store_part(slot, index, zero, zero);
                continue;
            };
            let mut value = self.value(part);
            if copied
                && let Operand::Str(text) = &value
                && !matches!(part.kind, ExprKind::Str(_))
            {
                let copy = self.call_str(Builtin::copy, &[text.addr, text.len], None);
                self.release(&text.slots);
                value = Operand::Str(copy);
            }
            self.store_operand(slot, index, &value);
            if let Operand::Str(text) = value {
                key.held.extend(text.slots);
            }
        }
        key
    }

    /// Its address; 0 if it has no parts.
    pub(crate) fn key_addr(&mut self, key: &Key) -> Value {
        match key.slot {
            Some(slot) => self.slot_addr(slot.stack),
            None => self.long(0),
        }
    }

    pub(crate) fn release_key(&mut self, key: Key) {
        self.release(&key.held);
        if let Some(slot) = key.slot {
            self.release(&[slot]);
        }
    }

    /// Stores a value as element `index` of an array of `KeyPart`s (or format arguments).
    pub(crate) fn store_operand(&mut self, slot: Slot, index: usize, value: &Operand) {
        match value {
            Operand::Long(value) => {
                let zero = self.long(0);
                self.store_part(slot, index, *value, zero);
            }
            Operand::Str(text) => self.store_part(slot, index, text.addr, text.len),
        }
    }

    fn store_part(&mut self, slot: Slot, index: usize, a: Value, b: Value) {
        let at = (index * size_of::<KeyPart>()) as i32;
        let base = self.slot_addr(slot.stack);
        self.builder.ins().store(MemFlagsData::trusted(), a, base, at);
        self.builder.ins().store(MemFlagsData::trusted(), b, base, at + 8);
    }

    /// Arena offset of a statistic; 0 for an absent element.
    pub(crate) fn stat(&mut self, stat: &StatRef, site: Option<SiteId>) -> Value {
        match stat {
            StatRef::Global(global) => {
                let at = self.global_at(*global) + VALUE;
                self.long(at as i64)
            }
            StatRef::Element(global, key) => {
                let key = self.key(key);
                let (map, addr) = (self.map(*global), self.key_addr(&key));
                let stat = self.call_long(Builtin::map_stat_find, &[map, addr], site);
                self.release_key(key);
                stat
            }
            StatRef::Local(local) => self.long_local(*local),
        }
    }
}
