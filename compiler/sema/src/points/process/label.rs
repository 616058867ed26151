//! `.function(…).label("GLOB")`: labels of the source, at the first instruction behind them.

use std::rc::Rc;

use rstap_abi::context::flags;
use rstap_debuginfo::{DieRef, Function, Glob, LinkAddr, Pattern};
use rstap_program::{CodeKind, Point};
use rstap_syntax::diagnostic::Diagnostic;

use super::code::Search;
use super::spec::{FunctionKind, Which};
use super::{missing_debug, no_match};
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::Frame;
use rstap_syntax::near;

impl<'d> Search<'_, 'd> {
    /// The points of matching labels in matching functions and their inlined instances.
    pub fn labels(&self, which: &Which, label: &str) -> Resolved<'d> {
        let (functions, pattern) = self.functions_of(which)?;
        let glob = Glob::new(label);
        let mut points = Vec::new();
        let mut others = Vec::new();
        for function in &functions {
            let instances = function.die.into_iter().chain(function.inlines.iter().map(|inline| inline.die));
            for die in instances {
                for found in self.binary.module().labels(die).map_err(|error| self.broken(&error))? {
                    if glob.matches(found.name) {
                        points.extend(self.label(function, die, &found));
                    } else {
                        others.push(found.name);
                    }
                }
            }
        }
        match functions.is_empty() {
            _ if !points.is_empty() => Ok(points),
            true => Err(no_match::function(&self.binary, &pattern, &[], FunctionKind::Any, self.span)),
            false => Err(self.no_label(&functions, &others, label)),
        }
    }

    /// The functions that a pattern names, or the one at an address.
    pub(super) fn functions_of(
        &self,
        which: &Which,
    ) -> Result<(Vec<Function<'d>>, Pattern), Box<Diagnostic>> {
        match which {
            Which::Address(address) => {
                let function = self.function_at(LinkAddr(*address))?;
                let pattern = Pattern::function(&function.name);
                Ok((vec![function], pattern))
            }
            Which::Pattern(text) => {
                let pattern = self.pattern(text)?;
                let functions =
                    self.binary.module().functions(&pattern).map_err(|error| self.broken(&error))?;
                Ok((functions, pattern))
            }
        }
    }

    fn label(
        &self,
        function: &Function<'d>,
        die: DieRef,
        label: &rstap_debuginfo::labels::Label<'d>,
    ) -> Option<DerivedPoint<'d>> {
        let binary = self.binary.module();
        let at = binary.file_offset(label.address).filter(|_| binary.is_executable(label.address))?;
        let place = match &label.decl_file {
            Some(file) => format!(".function(\"{}@{file}:{}\")", function.name, label.decl_line),
            None => format!(".function(\"{}\")", function.name),
        };
        let scope =
            self.code_scope(Frame::Inside { die: Some(die), outer: None, entry: None, at: label.address });
        let module = self.modules.number(&self.binary);
        Some(DerivedPoint {
            point: Point::Code { process: self.filter.clone(), module, at, kind: CodeKind::Hit },
            pp: format!("{}{place}", self.pp),
            pn: format!("{}{place}.label(\"{}\")", self.pn, label.name),
            function: function.name.to_string(),
            flags: flags::HAS_REGISTERS,
            scope: Some(Rc::new(scope)),
        })
    }

    fn no_label(&self, functions: &[Function<'d>], others: &[&str], label: &str) -> Box<Diagnostic> {
        if functions.iter().all(|function| function.die.is_none()) {
            let diagnostic = Diagnostic::error("no match (labels are not known)").at(self.span, "");
            return Box::new(missing_debug::explain(diagnostic, &self.binary));
        }
        let similar = near::nearest(label, others.iter().copied());
        let message = match similar.as_slice() {
            [] => format!("no match (no label '{label}')"),
            names => format!("no match (similar labels: {})", names.join(", ")),
        };
        let diagnostic = Diagnostic::error(message).at(self.span, "");
        Box::new(match functions {
            [one] if others.is_empty() => diagnostic.note(format!("'{}' has no labels with code", one.name)),
            _ => diagnostic,
        })
    }
}
