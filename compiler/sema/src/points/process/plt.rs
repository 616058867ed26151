//! `.plt("GLOB")` and its `.return`: calls of functions of other files, at the stub that they go through (stap(1),
//! PLT PROBES), or at the call instructions themselves where the compiler was told to do without stubs.

use std::rc::Rc;

use rstap_abi::context::flags;
use rstap_debuginfo::sdt::{Argument, Number, Operand};
use rstap_debuginfo::{Glob, PltEntry, Stub, TypeId};
use rstap_program::{CodeKind, Point};
use rstap_syntax::diagnostic::Diagnostic;

use super::code::Search;
use super::spec::PltKind;
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::{Frame, INTEGER_ARGUMENTS, MarkScope};
use rstap_syntax::near;

impl<'d> Search<'_, 'd> {
    /// The points of stubs whose function matches.
    pub fn plt(&self, name: &str, kind: PltKind) -> Resolved<'d> {
        let entries = self.binary.module().plt();
        let glob = Glob::new(name);
        let matching = entries.iter().filter(|entry| glob.matches(entry.name));
        let points: Vec<_> = matching.filter_map(|entry| self.plt_entry(entry, kind)).collect();
        if points.is_empty() && entries.iter().any(|entry| glob.matches(entry.name)) {
            let message = "cannot probe .return here: the code calls the function without a stub (-fno-plt)";
            let note = "probe the function in its library: .library(\"NAME\").function(…).return";
            return Err(Box::new(Diagnostic::error(message).at(self.span, "").note(note)));
        }
        if points.is_empty() {
            return Err(self.no_plt_entry(&entries, name));
        }
        Ok(points)
    }

    fn plt_entry(&self, entry: &PltEntry<'d>, kind: PltKind) -> Option<DerivedPoint<'d>> {
        let PltEntry { name, address, stub } = *entry;
        let at = self.binary.module().file_offset(address)?;
        // The stub leaves registers and stack as the caller has set them, so it is the function's entry.
        let (suffix, frame, bits, kind) = match kind {
            PltKind::Call if stub == Stub::Call => {
                let frame = Frame::Inside { die: None, outer: None, entry: None, at: address };
                ("", frame, flags::HAS_REGISTERS, CodeKind::Hit)
            }
            PltKind::Return if stub == Stub::Call => return None,
            PltKind::Call => {
                let frame = Frame::Inside { die: None, outer: None, entry: Some(address), at: address };
                ("", frame, flags::HAS_REGISTERS, CodeKind::Hit)
            }
            PltKind::Return => {
                let frame = Frame::Return { die: None, entry: address, body: address, result: TypeId::Void };
                (".return", frame, flags::HAS_REGISTERS | flags::IS_RETURN, CodeKind::Return)
            }
        };
        let arguments = (stub == Stub::Call).then(arguments_of_call);
        let scope = MarkScope::new(self.code_scope(frame), vec![("name", name.to_owned())], arguments);
        let module = self.modules.number(&self.binary);
        Some(DerivedPoint {
            point: Point::Code { process: self.filter.clone(), module, at, kind },
            pp: format!("{}.statement({address:#x}){suffix}", self.pp),
            pn: format!("{}.plt(\"{name}\"){suffix}", self.pn),
            function: String::new(),
            flags: bits,
            scope: Some(Rc::new(scope)),
        })
    }

    fn no_plt_entry(&self, entries: &[PltEntry<'d>], name: &str) -> Box<Diagnostic> {
        let path = self.binary.path().display();
        if entries.is_empty() {
            let message = format!("no match ({path} has no procedure linkage table)");
            let note = "it calls no functions of other files by name; probe the function in its library: \
                        .library(\"NAME\").function(…)";
            return Box::new(Diagnostic::error(message).at(self.span, "").note(note));
        }
        let similar = near::nearest(name, entries.iter().map(|entry| entry.name));
        let message = match similar.as_slice() {
            [] => "no match".to_owned(),
            names => format!("no match (similar functions: {})", names.join(", ")),
        };
        let note = format!(
            "the procedure linkage table of {path} has no function like '{name}'; it has {}: rstap -l \
             'process(\"{path}\").plt(\"*\")'",
            entries.len()
        );
        Box::new(Diagnostic::error(message).at(self.span, "").note(note))
    }
}

/// Those in registers; where the others are is known once the function is entered.
fn arguments_of_call() -> Vec<Argument> {
    let operand = |&number: &usize| Ok(Operand::Register { number: number as u16, shift: 0 });
    let arguments = INTEGER_ARGUMENTS.iter().map(operand);
    arguments.map(|operand| Argument { size: 8, number: Number::Unsigned, operand }).collect()
}
