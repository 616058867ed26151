//! `.mark("GLOB")` and `.provider("GLOB").mark("GLOB")`: markers of <sys/sdt.h> (stap(1), STATIC USERSPACE PROBING).

use std::rc::Rc;

use rstap_abi::context::flags;
use rstap_debuginfo::{Glob, LinkAddr, Mark};
use rstap_program::Point;
use rstap_syntax::diagnostic::Diagnostic;

use super::code::Search;
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::{CodeScope, Frame, MarkScope};
use rstap_syntax::near;

impl<'d> Search<'_, 'd> {
    /// The points of markers whose provider and name match.
    pub fn marks(&self, provider: Option<&str>, name: &str) -> Resolved<'d> {
        let marks = self.binary.module().marks();
        // DTrace's spelling of a double underscore. A set like `[a-z]` is no such name.
        let names = [Glob::new(name), Glob::new(name.replace('-', "__"))];
        let is_named = |mark: &Mark<'_>| names.iter().any(|name| name.matches(mark.name));
        let providers = Glob::new(provider.unwrap_or("*"));
        let matching = marks.iter().filter(|mark| is_named(mark) && providers.matches(mark.provider));
        let points: Vec<_> = matching.filter_map(|mark| self.mark(mark, provider.is_some())).collect();
        if points.is_empty() {
            return Err(self.no_mark(&marks, provider, name));
        }
        Ok(points)
    }

    fn mark(&self, mark: &Mark<'d>, with_provider: bool) -> Option<DerivedPoint<'d>> {
        let module = self.binary.module();
        let at = module.file_offset(mark.address).filter(|_| module.is_executable(mark.address))?;
        let semaphore = mark.semaphore.and_then(|semaphore| module.file_offset(semaphore));
        let provider =
            if with_provider { format!(".provider(\"{}\")", mark.provider) } else { String::new() };
        let names = vec![("name", mark.name.to_owned()), ("provider", mark.provider.to_owned())];
        let scope = MarkScope::new(self.scope_at(mark.address), names, Some(mark.arguments.clone()));
        Some(DerivedPoint {
            point: Point::Mark {
                process: self.filter.clone(),
                module: self.modules.number(&self.binary),
                at,
                semaphore,
            },
            pp: format!("{}.statement({:#x})", self.pp, mark.address),
            pn: format!("{}{provider}.mark(\"{}\")", self.pn, mark.name),
            function: String::new(),
            flags: flags::HAS_REGISTERS,
            scope: Some(Rc::new(scope)),
        })
    }

    /// What the code at an address knows.
    fn scope_at(&self, at: LinkAddr) -> CodeScope<'d> {
        let function = self.binary.module().function_at(at).ok().flatten();
        let die = function.as_ref().and_then(|function| function.die);
        let entry = function.as_ref().and_then(|function| function.entry);
        self.code_scope(Frame::Inside { die, outer: None, entry, at })
    }

    /// The scope of a frame in this file.
    pub(super) fn code_scope(&self, frame: Frame) -> CodeScope<'d> {
        let (binary, program) = (Rc::clone(&self.binary), Rc::clone(&self.program));
        CodeScope::new(Rc::clone(self.modules), binary, program, frame)
    }

    fn no_mark(&self, marks: &[Mark<'d>], provider: Option<&str>, name: &str) -> Box<Diagnostic> {
        let path = self.binary.path().display();
        if marks.is_empty() {
            let note = "markers are what DTRACE_PROBE and its like of <sys/sdt.h> leave in a program";
            let message = format!("no match ({path} has no markers)");
            return Box::new(Diagnostic::error(message).at(self.span, "").note(note));
        }
        let similar = near::nearest(name, marks.iter().map(|mark| mark.name));
        let message = match similar.as_slice() {
            [] => "no match".to_owned(),
            names => format!("no match (similar marks: {})", names.join(", ")),
        };
        let provider =
            provider.map_or_else(String::new, |provider| format!(" of a provider like '{provider}'"));
        let note = format!(
            "no marker of {path} is named like '{name}'{provider}; it has {}: rstap -l \
             'process(\"{path}\").provider(\"*\").mark(\"*\")'",
            marks.len()
        );
        Box::new(Diagnostic::error(message).at(self.span, "").note(note))
    }
}
