//! Formats: `printf` and its like, to the output or to a string.

use cranelift_codegen::ir::Value;
use rstap_abi::builtins::Builtin;
use rstap_abi::format::{Argument, conversion};
use rstap_sema::ir::{Directive, Format, SiteId};

use crate::emitter::{Emitter, Operand, Text};
use crate::frame::Slot;

impl Emitter<'_, '_, '_> {
    pub(crate) fn print(&mut self, format: &Format, site: SiteId) {
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
