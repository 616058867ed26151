//! The families `process…`, `user.process…` and `user("NAME").process…` (stap(1), PROBE POINTS, USER-SPACE).

use std::path::PathBuf;
use std::rc::Rc;

use rstap_program::Module;
use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;

use crate::files::Files;
use crate::points::Resolved;
use crate::target_var::Scope;

/// What a bare `process` stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Neither -c nor -x was given.
    #[default]
    None,
    /// The first word of -c's command.
    Command(PathBuf),
    /// -x
    Pid(u32),
}

/// The process families, with the ELF files that were read for them.
pub struct ProcessPoints<'d> {
    files: Rc<dyn Files<'d> + 'd>,
    target: Target,
}

impl<'d> ProcessPoints<'d> {
    /// The families over these files.
    pub fn new(files: Rc<dyn Files<'d> + 'd>, target: Target) -> Self {
        ProcessPoints { files, target }
    }

    /// Whether a point whose first component has this name belongs here.
    pub fn accepts(name: &str) -> bool {
        matches!(name, "process" | "user")
    }

    /// The derived points of a written one.
    pub fn resolve(&self, point: &ast::ProbePoint, _warnings: &mut Vec<Diagnostic>) -> Resolved<'d> {
        let _ = (&self.files, &self.target);
        Err(Box::new(Diagnostic::error("no match").at(point.span, "")))
    }

    /// The ELF files that derived points are in, indexed by `ModuleId`.
    pub fn modules(&self) -> Vec<Module> {
        Vec::new()
    }

    /// What `@var("x", "module")` and `@cast(p, "type", "module")` mean where there is no program of its own:
    /// begin, end and timer probes, and functions.
    pub fn global_scope(&self) -> Option<Rc<dyn Scope + 'd>> {
        None
    }
}
