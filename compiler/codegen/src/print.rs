//! Formats: `printf` and its like, to the output or to a string.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_abi::context::Context;
use rstap_abi::format::{Argument, conversion};
use rstap_abi::record::{HEADER_WORDS, RecordKind, ring_word};
use rstap_abi::session::RingHead;
use rstap_sema::ir::{Directive, Format, SiteId};

use crate::emitter::{Emitter, Operand, Role, Text, status};
use crate::frame::Slot;

/// Most arguments of a `printf` that generated code hands to rstap. Its record is smaller than any ring.
pub(crate) const MOST_ARGUMENTS: usize = 4;

impl Emitter<'_, '_, '_> {
    pub(crate) fn print(&mut self, format: &Format, site: SiteId) {
        if matches!(self.role, Role::Quick) {
            return self.put_in_the_ring(format);
        }
        if let [Directive::Literal(text)] = &*format.directives {
            let text = self.literal(text);
            self.call(Builtin::print_string, &[text.addr, text.len], None);
            return;
        }
        let (args, slot, operands) = self.format_args(format);
        self.call(Builtin::printf, &args, Some(site));
        self.release(&[slot]);
        self.drop_all(&operands);
    }

    /// A record of the arguments of a `printf`, all longs, as `rstap_core::packed` and `rstap_core::ring` make it. Declines the
    /// hit if there is no room for it in one piece, or if another producer is faster.
    fn put_in_the_ring(&mut self, format: &Format) {
        let args: Vec<Value> = format.args.iter().map(|arg| self.long_value(arg)).collect();
        let payload = 1 + args.len() as u64;
        let words = HEADER_WORDS + payload;
        let trusted = MemFlagsData::trusted();
        let (slow, done) = (self.cold_block(), self.block());
        let ring = self.load_fixed(offset_of!(Context, ring));
        let zero = self.long(0);
        let has_none = self.compare(IntCC::Equal, ring, zero);
        self.leave_if(has_none, slow, None);
        let shift = self.load_fixed(offset_of!(Context, ring_shift));
        let one = self.long(1);
        let capacity = self.builder.ins().ishl(one, shift);
        // There are more words in a ring than these.
        let most_before = self.builder.ins().iadd_imm_s(capacity, -(words as i64));
        let tail_at = self.builder.ins().iadd_imm_s(ring, offset_of!(RingHead, tail) as i64);
        let tail = self.builder.ins().atomic_load(I64, trusted, tail_at);
        let head = self.builder.ins().atomic_load(I64, trusted, ring);
        let used = self.builder.ins().isub(tail, head);
        let is_full = self.compare(IntCC::UnsignedGreaterThan, used, most_before);
        self.leave_if(is_full, slow, None);
        let mask = self.builder.ins().iadd_imm_s(capacity, -1);
        let index = self.builder.ins().band(tail, mask);
        let wraps = self.compare(IntCC::UnsignedGreaterThan, index, most_before);
        self.leave_if(wraps, slow, None);

        let lap = self.builder.ins().ushr(tail, shift);
        let lap = self.builder.ins().band_imm_u(lap, (1 << ring_word::LAP_BITS) - 1);
        let owner = self.unsigned_field(offset_of!(Context, tid));
        let owner = self.builder.ins().band_imm_u(owner, (1 << ring_word::OWNER_BITS) - 1);
        let owner_at = ring_word::LAP_BITS + ring_word::WORDS_BITS;
        let owner = self.builder.ins().ishl_imm_u(owner, i64::from(owner_at));
        let own = self.builder.ins().bor(lap, owner);
        let header = |emitter: &mut Self, state: u64| {
            let rest = (words << ring_word::LAP_BITS) + (state << (owner_at + ring_word::OWNER_BITS));
            let rest = emitter.long(rest as i64);
            emitter.builder.ins().bor(own, rest)
        };
        let reserved = header(self, ring_word::RESERVED);
        let committed = header(self, ring_word::COMMITTED);
        let offset = self.builder.ins().ishl_imm_u(index, 3);
        let record = self.builder.ins().iadd(ring, offset);
        let record = self.builder.ins().iadd_imm_s(record, size_of::<RingHead>() as i64);
        let found = self.builder.ins().atomic_cas(trusted, record, lap, reserved);
        let is_taken = self.compare(IntCC::NotEqual, found, lap);
        self.leave_if(is_taken, slow, None);
        // From here on the hit is done here. If somebody else has moved it already, that is as good.
        let behind = self.builder.ins().iadd_imm_s(tail, words as i64);
        self.builder.ins().atomic_cas(trusted, tail_at, tail, behind);
        let kind = self.long((payload * 8 + ((RecordKind::Formatted as u64) << 32)) as i64);
        let directives = u64::from(self.unit.constants.format(&format.directives));
        let directives = self.long((directives + ((format.directives.len() as u64) << 32)) as i64);
        for (index, word) in [kind, directives].into_iter().chain(args).enumerate() {
            self.builder.ins().store(trusted, word, record, 8 * (index as i32 + 1));
        }
        // Last: stores of one x86-64 processor are seen in their order.
        self.builder.ins().store(trusted, committed, record, 0);
        self.jump(done);

        self.enter(slow);
        self.leave(status::DECLINED, None);
        self.enter(done);
    }

    /// `sprintf` and its like, into the memory given or a new slot.
    pub(crate) fn format(&mut self, format: &Format, site: SiteId, to: Option<Value>) -> Text {
        let (args, slot, operands) = self.format_args(format);
        let text = self.call_text(Builtin::sprintf, &args, Some(site), to);
        self.release(&[slot]);
        self.drop_all(&operands);
        text
    }

    /// The arguments of `printf`, and what they occupy.
    fn format_args(&mut self, format: &Format) -> ([Value; 3], Slot, Vec<Operand>) {
        let slot = self.take((format.args.len().max(1) * size_of::<Argument>()) as u32);
        let mut operands = Vec::with_capacity(format.args.len());
        for (index, arg) in format.args.iter().enumerate() {
            let value = self.value(arg);
            self.store_operand(slot, index * size_of::<Argument>(), &value);
            operands.push(value);
        }
        let directives = self.unit.constants.format(&format.directives);
        let directives = self.image_addr(directives);
        let count = self.long(format.directives.len() as i64);
        let args = self.slot_addr(slot.stack);
        ([directives, count, args], slot, operands)
    }
}

/// Whether it prints memory of the target.
pub(crate) fn reads_memory(format: &Format) -> bool {
    format.directives.iter().any(|directive| {
        matches!(
            directive,
            Directive::Conversion { conversion: conversion::MEMORY | conversion::MEMORY_HEX, .. }
        )
    })
}
