//! `.function(…).callee("GLOB")` and `.callees(DEPTH)`: functions where they are called by others (stap(1), PROBE
//! POINTS). The point is on the called function; its handler runs if the return address is one in the caller, which a
//! point on its return finds out at its entry.

use std::collections::HashSet;
use std::rc::Rc;

use rstap_abi::context::flags;
use rstap_debuginfo::{Function, LinkAddr, Pattern};
use rstap_program::{CodeKind, Point};
use rstap_syntax::diagnostic::Diagnostic;

use super::code::{Search, function_place, inside};
use super::no_match;
use super::spec::{CalleeKind, FunctionKind, Which};
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::{CalledScope, Frame};
use rstap_syntax::near;

impl<'d> Search<'_, 'd> {
    /// The functions that match `callee` where those of `which` call them, and those that these call, to `depth`.
    pub fn callees(&self, which: &Which, callee: &str, depth: u32, kind: CalleeKind) -> Resolved<'d> {
        let (mut callers, pattern) = self.functions_of(which)?;
        if callers.is_empty() {
            return Err(no_match::function(&self.binary, &pattern, &[], FunctionKind::Any, self.span));
        }
        let wanted = self.pattern(callee)?;
        let module = self.binary.module();
        let candidates = module.functions(&wanted).map_err(|error| self.broken(&error))?;
        let mut seen: HashSet<LinkAddr> = callers.iter().filter_map(|caller| caller.entry).collect();
        let mut points = Vec::new();
        let mut others = Vec::new();
        for level in 0..depth {
            let mut called = Vec::new();
            for caller in &callers {
                let calls = module.calls(caller);
                for function in &candidates {
                    let returns: Vec<LinkAddr> = calls
                        .iter()
                        .filter(|call| Some(call.to) == function.entry)
                        .map(|call| call.return_address)
                        .collect();
                    match kind {
                        CalleeKind::Any => {
                            points.extend(self.called(caller, function, returns));
                            points.extend(self.inlined_in(caller, function));
                        }
                        CalleeKind::Return => points.extend(self.returned(caller, function, returns)),
                    }
                }
                if level + 1 < depth || points.is_empty() {
                    called.extend(calls.into_iter().map(|call| call.to).filter(|&to| seen.insert(to)));
                }
            }
            callers = called.iter().filter_map(|&entry| module.function_at(entry).ok().flatten()).collect();
            if level == 0 {
                others.extend(callers.iter().map(|function| function.name.to_string()));
            }
        }
        if points.is_empty() { Err(self.no_callee(callee, &others)) } else { Ok(points) }
    }

    /// The point on a function that is called from where `returns` are behind the calls.
    fn called(
        &self,
        caller: &Function<'d>,
        function: &Function<'d>,
        returns: Vec<LinkAddr>,
    ) -> Option<DerivedPoint<'d>> {
        let at = self.binary.module().probe_address(function).filter(|_| !returns.is_empty())?;
        let scope = CalledScope::new(self.code_scope(inside(function, at)), returns)?;
        self.callee_point(caller, function, at, CodeKind::Hit, scope)
    }

    /// The point on the return of a function to one of `returns`.
    fn returned(
        &self,
        caller: &Function<'d>,
        function: &Function<'d>,
        returns: Vec<LinkAddr>,
    ) -> Option<DerivedPoint<'d>> {
        let entry = function.entry.filter(|_| !returns.is_empty() && !function.cold)?;
        let scope = CalledScope::new(self.code_scope(self.return_frame(function, entry)), returns)?;
        self.callee_point(caller, function, entry, CodeKind::Return, scope)
    }

    /// The points on instances of a function that the caller's code contains.
    fn inlined_in(&self, caller: &Function<'d>, function: &Function<'d>) -> Vec<DerivedPoint<'d>> {
        let instances = function.inlines.iter().filter(|inline| {
            function.entry != caller.entry && caller.ranges.iter().any(|range| range.contains(inline.entry))
        });
        let point = |inline: &rstap_debuginfo::Inline| {
            let frame = Frame::Inside { die: Some(inline.die), outer: None, entry: None, at: inline.entry };
            self.callee_point(caller, function, inline.entry, CodeKind::Hit, self.code_scope(frame))
        };
        instances.filter_map(point).collect()
    }

    fn callee_point(
        &self,
        caller: &Function<'d>,
        function: &Function<'d>,
        at: LinkAddr,
        kind: CodeKind,
        scope: impl crate::target_var::Scope + 'd,
    ) -> Option<DerivedPoint<'d>> {
        let (from, to) = (function_place(caller), function_place(function));
        let (call, suffix, is_return) = match kind {
            CodeKind::Return => (".return", ".return", flags::IS_RETURN),
            _ => (".call", "", 0),
        };
        Some(DerivedPoint {
            point: Point::Code {
                process: self.filter.clone(),
                module: self.modules.number(&self.binary),
                at: self.binary.module().file_offset(at)?,
                kind,
            },
            pp: format!("{}.function(\"{to}\"){call}", self.pp),
            pn: format!("{}.function(\"{from}\").callee(\"{to}\"){suffix}", self.pn),
            function: function.name.to_string(),
            flags: flags::HAS_REGISTERS | is_return,
            scope: Some(Rc::new(scope)),
        })
    }

    fn no_callee(&self, callee: &str, others: &[String]) -> Box<Diagnostic> {
        let name =
            Pattern::parse(callee).map_or_else(|_| callee.to_owned(), |pattern| pattern.function_text());
        let similar = near::nearest(&name, others.iter().map(String::as_str));
        let message = match similar.as_slice() {
            [] => "no match".to_owned(),
            names => format!("no match (similar callees: {})", names.join(", ")),
        };
        let mut names = others.to_vec();
        names.sort();
        names.dedup();
        let note = if names.is_empty() {
            "it calls no function of this file by its address".to_owned()
        } else {
            format!("of this file it calls {}", names.join(", "))
        };
        Box::new(Diagnostic::error(message).at(self.span, "").note(note))
    }
}
