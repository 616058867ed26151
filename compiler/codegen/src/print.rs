//! Formats: `printf` and its like, to the output or to a string.

use cranelift_codegen::ir::Value;
use rstap_abi::builtins::Builtin;
use rstap_abi::format::{Argument, UNSET, conversion};
use rstap_sema::ir::{Directive, Format, SiteId};

use crate::emitter::{Emitter, Operand, Text};
use crate::frame::Slot;

/// Most directives of a format that is printed piece by piece instead of being interpreted.
const MAX_PIECES: usize = 4;

impl Emitter<'_, '_, '_> {
    pub(crate) fn print(&mut self, format: &Format, site: SiteId) {
        if format.directives.len() <= MAX_PIECES && format.directives.iter().all(is_plain) {
            return self.print_pieces(format);
        }
        let (args, slot, operands) = self.format_args(format);
        self.call(Builtin::printf, &args, Some(site));
        self.release(&[slot]);
        self.drop_all(&operands);
    }

    /// `sprintf` and its like.
    pub(crate) fn format(&mut self, format: &Format, site: SiteId) -> Text {
        let (args, slot, operands) = self.format_args(format);
        let text = self.call_str(Builtin::sprintf, &args, Some(site));
        self.release(&[slot]);
        self.drop_all(&operands);
        text
    }

    fn print_pieces(&mut self, format: &Format) {
        // All arguments first: one of them may print.
        let operands: Vec<Operand> = format.args.iter().map(|arg| self.value(arg)).collect();
        let mut next = operands.iter();
        for directive in &format.directives {
            let operand = match directive {
                Directive::Literal(text) => &Operand::Str(self.literal(text)),
                Directive::Conversion { .. } => next.next().expect("pass 2 counted the arguments"),
            };
            match operand {
                Operand::Long(value) => self.call(Builtin::print_long, &[*value], None),
                Operand::Str(text) => self.call(Builtin::print_string, &[text.addr, text.len], None),
            };
        }
        self.drop_all(&operands);
    }

    /// The arguments of `printf`, and what they occupy.
    fn format_args(&mut self, format: &Format) -> ([Value; 3], Slot, Vec<Operand>) {
        let slot = self.take((format.args.len().max(1) * size_of::<Argument>()) as u32);
        let mut operands = Vec::with_capacity(format.args.len());
        for (index, arg) in format.args.iter().enumerate() {
            let value = self.value(arg);
            self.store_operand(slot, index, &value);
            operands.push(value);
        }
        let directives = self.unit.constants.format(&format.directives);
        let directives = self.image_addr(directives);
        let count = self.long(format.directives.len() as i64);
        let args = self.slot_addr(slot.stack);
        ([directives, count, args], slot, operands)
    }
}

/// Whether a directive prints its argument as it is.
fn is_plain(directive: &Directive) -> bool {
    match directive {
        Directive::Literal(_) => true,
        Directive::Conversion { conversion, flags, width, precision } => {
            matches!(*conversion, conversion::SIGNED | conversion::STRING)
                && *flags == 0
                && *width == UNSET
                && *precision == UNSET
        }
    }
}
