//! Keys of arrays and statistics: what builtins take by address.

use std::mem::offset_of;

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_abi::layout::{KeyHead, KeyPart, VALUE};
use rstap_sema::ir::{self, Expr, ExprKind, Foreach, GlobalKind, Kept, KeyId, Place, SiteId, StatRef, Type};

use crate::emitter::{Emitter, Operand, Text};
use crate::frame::Slot;

/// A key in the frame.
pub(crate) struct Key {
    /// The `KeyHead` and the `KeyPart`s; none for the slice that takes everything.
    slot: Option<Slot>,
    /// Bit `i` set: part `i` is `*`.
    pub(crate) mask: i64,
    /// What is given back after use: its strings and itself, unless it is kept.
    held: Vec<Slot>,
}

/// Memory of a key that is kept: it is not given back.
pub(crate) struct KeptKey {
    slot: Slot,
    /// By part: where a string is put that is made for the key.
    strings: Vec<Option<Slot>>,
}

const HEAD: usize = size_of::<KeyHead>();

impl Emitter<'_, '_, '_> {
    /// A key with all its parts.
    pub(crate) fn key(&mut self, key: &ir::Key) -> Key {
        self.shared_key(key, |part| Some(part))
    }

    /// A key whose absent parts are `*`.
    pub(crate) fn partial_key(&mut self, key: &ir::Key<Option<Expr>>) -> Key {
        self.shared_key(key, Option::as_ref)
    }

    fn shared_key<P>(&mut self, key: &ir::Key<P>, part: impl Fn(&P) -> Option<&Expr>) -> Key {
        let parts = key.iter().map(part);
        match key.kept {
            None => self.key_of(parts, false),
            Some(Kept { id, known: false }) => self.keep_key(id, parts),
            Some(Kept { id, known: true }) => {
                let kept = self.kept.get(&id).expect("pass 2 saw it evaluated on every way here");
                Key { slot: Some(kept.slot), mask: 0, held: Vec::new() }
            }
        }
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
        let slot = self.take_key(parts.len());
        let mut key = Key { slot: Some(slot), mask: 0, held: vec![slot] };
        for (index, part) in parts.enumerate() {
            let at = HEAD + index * size_of::<KeyPart>();
            let Some(part) = part else {
                key.mask |= 1 << index;
                let zero = self.long(0);
                self.store_pair(slot, at, zero, zero);
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
            self.store_operand(slot, at, &value);
            if let Operand::Str(text) = value {
                key.held.extend(text.slots);
            }
        }
        self.forget_hash(slot);
        key
    }

    /// Evaluates a key into memory in which it stays until it is evaluated again.
    fn keep_key<'e>(&mut self, id: KeyId, parts: impl ExactSizeIterator<Item = Option<&'e Expr>>) -> Key {
        let (slot, mut strings) = match self.kept.remove(&id) {
            Some(kept) => (kept.slot, kept.strings),
            None => (self.take_key(parts.len()), vec![None; parts.len()]),
        };
        for (index, part) in parts.enumerate() {
            let part = part.expect("pass 2 keeps only keys with all their parts");
            let value = match part.ty {
                Type::Str if !self.stays(part) => {
                    let string = *strings[index].get_or_insert_with(|| self.take_string());
                    let addr = self.slot_addr(string.stack);
                    let len = self.text_into(part, addr);
                    Operand::Str(Text { addr, len, bounded: true, slots: Vec::new() })
                }
                _ => self.value(part),
            };
            self.store_operand(slot, HEAD + index * size_of::<KeyPart>(), &value);
        }
        self.forget_hash(slot);
        self.kept.insert(id, KeptKey { slot, strings });
        Key { slot: Some(slot), mask: 0, held: Vec::new() }
    }

    /// Whether a string is used where it lies, and lies there until it is assigned.
    fn stays(&self, part: &Expr) -> bool {
        match &part.kind {
            ExprKind::Str(_) => true,
            ExprKind::Read(Place::Local(local), _) => !self.unstable.contains(local),
            _ => false,
        }
    }

    fn take_key(&mut self, parts: usize) -> Slot {
        self.take((HEAD + parts * size_of::<KeyPart>()) as u32)
    }

    fn forget_hash(&mut self, slot: Slot) {
        let (base, none) = (self.slot_addr(slot.stack), self.long(0));
        self.builder.ins().store(MemFlagsData::trusted(), none, base, offset_of!(KeyHead, hash) as i32);
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
    }

    /// Stores a value as a `KeyPart` (or format argument).
    pub(crate) fn store_operand(&mut self, slot: Slot, at: usize, value: &Operand) {
        match value {
            Operand::Long(value) => {
                let zero = self.long(0);
                self.store_pair(slot, at, *value, zero);
            }
            Operand::Str(text) => self.store_pair(slot, at, text.addr, text.len),
        }
    }

    fn store_pair(&mut self, slot: Slot, at: usize, a: Value, b: Value) {
        let at = at as i32;
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
