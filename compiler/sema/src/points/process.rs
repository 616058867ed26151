//! The families `process…`, `user.process…` and `user("NAME").process…` (stap(1), PROBE POINTS, USER-SPACE). This
//! module finds out which processes and which file a point is about; `code`, `mark`, `plt`, `label` and `callee` find
//! the places in the file.

mod callee;
mod code;
mod data;
mod debian;
mod label;
pub(crate) mod library;
mod mark;
pub(crate) mod missing_debug;
mod no_match;
mod plt;
pub(crate) mod program;
pub mod spec;

use std::path::PathBuf;
use std::rc::Rc;

use rstap_abi::context::flags;
use rstap_program::{Module, Point, ProcessEvent, ProcessFilter};
use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;

use crate::files::Files;
use crate::modules::{Binary, Modules};
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::{GlobalScope, Scope, SystemCallScope};
use code::Search;
use spec::{Place, Process, Spec, StatementKind, User, Which};

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

/// What the derived points are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To be planted.
    #[default]
    Run,
    /// `-l`: only the texts are used, so one point stands for all with the same text.
    List,
    /// `-L`: the texts and the variables.
    ListVariables,
}

/// The process families, with the ELF files that were read for them.
pub struct ProcessPoints<'d> {
    modules: Rc<Modules<'d>>,
    target: Target,
    purpose: Purpose,
}

impl<'d> ProcessPoints<'d> {
    /// The families over these files.
    pub fn new(files: Rc<dyn Files<'d> + 'd>, target: Target) -> Self {
        ProcessPoints { modules: Rc::new(Modules::new(files)), target, purpose: Purpose::Run }
    }

    /// The same for another purpose.
    #[must_use]
    pub fn with_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// Whether a point whose first component has this name belongs here.
    pub fn accepts(name: &str) -> bool {
        matches!(name, "process" | "user")
    }

    /// The derived points of a written one.
    pub fn resolve(&self, point: &ast::ProbePoint, warnings: &mut Vec<Diagnostic>) -> Resolved<'d> {
        let mut points = Vec::new();
        let mut first_error = None;
        for spec in spec::specs(point)? {
            match self.derive(&spec, warnings) {
                Ok(derived) => join(&mut points, derived),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if points.is_empty() => Err(error),
            _ => Ok(points),
        }
    }

    /// The ELF files that derived points are in, indexed by `ModuleId`.
    pub fn modules(&self) -> Vec<Module> {
        self.modules.numbered()
    }

    /// Warnings about files whose debug information was had in part only.
    pub fn incomplete(&self) -> Vec<Diagnostic> {
        let binaries = self.modules.with_debug();
        binaries.iter().flat_map(|binary| missing_debug::incomplete(binary)).collect()
    }

    /// What `@var("x", "module")` and `@cast(p, "type", "module")` mean where there is no program of its own:
    /// begin, end and timer probes, and functions.
    pub fn global_scope(&self) -> Option<Rc<dyn Scope + 'd>> {
        Some(Rc::new(GlobalScope::new(Rc::clone(&self.modules))))
    }

    fn derive(&self, spec: &Spec, warnings: &mut Vec<Diagnostic>) -> Resolved<'d> {
        let filter = self.filter(spec)?;
        match &spec.place {
            Place::Event(event, text) => self.events(spec, &filter, *event, text),
            Place::Statement(Which::Address(address), kind)
                if *kind == StatementKind::Absolute || matches!(spec.process, Process::Pid(_)) =>
            {
                let suffix = if *kind == StatementKind::Absolute { ".absolute" } else { "" };
                let prefix = user_text(spec) + &process_text(spec);
                Ok(vec![code::absolute(filter, &prefix, suffix, *address)])
            }
            Place::Data(Which::Address(address), length, kind) if matches!(spec.process, Process::Pid(_)) => {
                let prefix = user_text(spec) + &process_text(spec);
                data::absolute(filter, &prefix, *address, *length, *kind, spec.place_span)
                    .map(|point| vec![point])
            }
            _ => self.code(spec, &filter, warnings),
        }
    }

    /// The conditions on processes but that on the executable.
    fn filter(&self, spec: &Spec) -> Result<ProcessFilter, Box<Diagnostic>> {
        let uid = spec.user.as_ref().map(|user| self.user_id(user)).transpose()?;
        let pid = match spec.process {
            Process::Pid(pid) => Some(self.pid(pid, spec)?),
            _ => None,
        };
        let target_only = spec.process == Process::Target && self.target != Target::None;
        Ok(ProcessFilter { executable: None, pid, uid, target_only })
    }

    fn user_id(&self, user: &User) -> Result<u32, Box<Diagnostic>> {
        let files = self.modules.files();
        match user {
            User::Own => Ok(files.own_user_id()),
            User::Id(id, span) => u32::try_from(*id).map_err(|_| {
                Box::new(
                    Diagnostic::error(format!("{id} is not a user id")).at(*span, "from 0 to 4294967295"),
                )
            }),
            User::Name(name, span) => {
                let number = || name.parse().ok();
                files.user_id(name).or_else(number).ok_or_else(|| {
                    Box::new(Diagnostic::error(format!("there is no user '{name}'")).at(*span, "").note(
                        "a user is given by name, as in /etc/passwd, or by number: user(1000); `user` alone is the \
                         user who runs rstap",
                    ))
                })
            }
        }
    }

    fn pid(&self, pid: i64, spec: &Spec) -> Result<u32, Box<Diagnostic>> {
        u32::try_from(pid).ok().filter(|&pid| pid > 0).ok_or_else(|| {
            Box::new(Diagnostic::error(format!("{pid} is not a process id")).at(spec.process_span, ""))
        })
    }

    fn events(&self, spec: &Spec, filter: &ProcessFilter, event: ProcessEvent, text: &str) -> Resolved<'d> {
        let user = user_text(spec);
        let is_return = event == ProcessEvent::SyscallReturn;
        let scope: Option<Rc<dyn Scope + 'd>> = match event {
            ProcessEvent::Syscall | ProcessEvent::SyscallReturn => {
                let rest = GlobalScope::new(Rc::clone(&self.modules));
                Some(Rc::new(SystemCallScope::new(is_return, rest)))
            }
            _ => None,
        };
        let derived = |process: ProcessFilter, prefix: &str| DerivedPoint {
            point: Point::Process { process, event },
            pp: format!("{user}{prefix}{text}"),
            pn: format!("{user}{prefix}{text}"),
            function: String::new(),
            // At a thread's end it may have none any more.
            flags: if scope.is_some() { flags::HAS_REGISTERS } else { 0 }
                | if is_return { flags::IS_RETURN } else { 0 },
            scope: scope.clone(),
        };
        if !matches!(spec.process, Process::Path(_)) {
            return Ok(vec![derived(filter.clone(), &process_text(spec))]);
        }
        let programs = self.programs(spec)?;
        Ok(programs
            .iter()
            .map(|program| {
                let executable = Some(self.modules.number(program));
                let prefix = format!("process(\"{}\")", program.path().display());
                derived(ProcessFilter { executable, ..filter.clone() }, &prefix)
            })
            .collect())
    }

    fn code(&self, spec: &Spec, filter: &ProcessFilter, warnings: &mut Vec<Diagnostic>) -> Resolved<'d> {
        let mut points = Vec::new();
        let mut first_error = None;
        for program in self.programs(spec)? {
            match self.code_of(&program, spec, filter, warnings) {
                Ok(found) => join(&mut points, found),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if points.is_empty() => Err(error),
            _ => Ok(points),
        }
    }

    /// Points in one program, or in its libraries.
    fn code_of(
        &self,
        program: &Rc<Binary<'d>>,
        spec: &Spec,
        filter: &ProcessFilter,
        warnings: &mut Vec<Diagnostic>,
    ) -> Resolved<'d> {
        let Some((library, span)) = &spec.library else {
            return self.code_in(program, program, spec, filter, warnings);
        };
        let running = filter.pid.or(match self.target {
            Target::Pid(pid) if spec.process == Process::Target => Some(pid),
            _ => None,
        });
        let mut points = Vec::new();
        let mut first_error = None;
        for binary in library::find(&self.modules, program, running, library, *span)? {
            match self.code_in(&binary, program, spec, filter, warnings) {
                Ok(found) => join(&mut points, found),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if points.is_empty() => Err(error),
            _ => Ok(points),
        }
    }

    fn code_in(
        &self,
        binary: &Rc<Binary<'d>>,
        program: &Rc<Binary<'d>>,
        spec: &Spec,
        filter: &ProcessFilter,
        warnings: &mut Vec<Diagnostic>,
    ) -> Resolved<'d> {
        let search = Search {
            modules: &self.modules,
            binary: Rc::clone(binary),
            program: Rc::clone(program),
            filter: ProcessFilter { executable: self.executable(program, spec), ..filter.clone() },
            pp: user_text(spec) + &shown_process(spec, binary),
            pn: self.pn_prefix(binary, program, spec),
            span: spec.place_span,
            purpose: self.purpose,
        };
        match &spec.place {
            Place::Function(which, kind) => search.functions(which, *kind, warnings),
            Place::Statement(which, kind) => search.statements(which, *kind),
            Place::Mark(provider, name) => search.marks(provider.as_deref(), name),
            Place::Plt(name, kind) => search.plt(name, *kind),
            Place::Label(which, label) => search.labels(which, label),
            Place::Data(which, length, kind) => search.data(which, *length, *kind),
            Place::Callee(which, callee, depth, kind) => search.callees(which, callee, *depth, *kind),
            Place::Event(..) => Ok(Vec::new()),
        }
    }

    /// The executable to watch: none where the path names a library, which any program may load.
    fn executable(&self, program: &Binary<'d>, spec: &Spec) -> Option<rstap_program::ModuleId> {
        let is_program =
            program.elf().kind() != rstap_debuginfo::Kind::SharedObject && program.elf().soname().is_none();
        (matches!(spec.process, Process::Path(_)) && is_program).then(|| self.modules.number(program))
    }

    fn pn_prefix(&self, binary: &Binary<'d>, program: &Binary<'d>, spec: &Spec) -> String {
        let process = user_text(spec) + &shown_process(spec, program);
        match &spec.library {
            None => process,
            Some(_) if self.purpose != Purpose::Run => {
                format!("{process}.library(\"{}\")", binary.path().display())
            }
            Some((written, _)) => format!("{process}.library(\"{written}\")"),
        }
    }

    /// The programs that `process…` names.
    fn programs(&self, spec: &Spec) -> Result<Vec<Rc<Binary<'d>>>, Box<Diagnostic>> {
        let span = spec.process_span;
        let pid = match (&spec.process, &self.target) {
            (Process::Path(path), _) => return self.programs_at(path, spec),
            (Process::Target, Target::Command(path)) => {
                return self.programs_at(&path.to_string_lossy(), spec);
            }
            (Process::Target, Target::None) => {
                let message = "process without a path means the target, and there is none";
                let note =
                    "name the program, process(\"PATH\"), or give the target with -c COMMAND or -x PID";
                return Err(Box::new(Diagnostic::error(message).at(span, "").note(note)));
            }
            (Process::Pid(pid), _) => self.pid(*pid, spec)?,
            (Process::Target, Target::Pid(pid)) => *pid,
        };
        let path =
            self.modules.files().process_executable(pid).map_err(|error| no_process(pid, &error, span))?;
        let binary = self.modules.open(&path).map_err(|error| program::cannot_open(&error, span))?;
        Ok(vec![binary])
    }

    fn programs_at(&self, text: &str, spec: &Spec) -> Result<Vec<Rc<Binary<'d>>>, Box<Diagnostic>> {
        let paths = program::find(&**self.modules.files(), text, spec.process_span)?;
        let single = paths.len() == 1;
        let mut programs = Vec::new();
        for path in &paths {
            match self.modules.open(path) {
                Ok(binary) => programs.push(binary),
                Err(error) if single => return Err(program::cannot_open(&error, spec.process_span)),
                // Wildcards match scripts and data files too.
                Err(_) => {}
            }
        }
        if programs.is_empty() {
            let message =
                format!("no match (none of the {} files named like '{text}' is a program)", paths.len());
            return Err(Box::new(Diagnostic::error(message).at(spec.process_span, "")));
        }
        Ok(programs)
    }
}

fn no_process(pid: u32, error: &std::io::Error, span: rstap_syntax::source::Span) -> Box<Diagnostic> {
    let diagnostic = match error.kind() {
        std::io::ErrorKind::NotFound => Diagnostic::error(format!("there is no process {pid}")).at(span, ""),
        std::io::ErrorKind::PermissionDenied => {
            Diagnostic::error(format!("no permission to look at process {pid}")).at(span, "").note(
                "it belongs to another user, or has more rights than you; run rstap as its user or as root",
            )
        }
        _ => Diagnostic::error(format!("cannot look at process {pid}: {error}")).at(span, ""),
    };
    Box::new(diagnostic)
}

fn user_text(spec: &Spec) -> String {
    match &spec.user {
        None => String::new(),
        Some(User::Own) => "user.".to_owned(),
        Some(User::Id(id, _)) => format!("user({id})."),
        Some(User::Name(name, _)) => format!("user(\"{name}\")."),
    }
}

/// `process` with its argument as written.
fn process_text(spec: &Spec) -> String {
    match &spec.process {
        Process::Target => "process".to_owned(),
        Process::Path(path) => format!("process(\"{path}\")"),
        Process::Pid(pid) => format!("process({pid})"),
    }
}

/// `process` as `pp()` shows it: with the file's resolved path.
fn shown_process(spec: &Spec, binary: &Binary<'_>) -> String {
    match (&spec.process, &spec.library) {
        (Process::Pid(pid), None) => format!("process({pid})"),
        _ => format!("process(\"{}\")", binary.path().display()),
    }
}

/// Adds `found` to `points`; of a large program's functions there is only one list in memory.
fn join<'d>(points: &mut Vec<DerivedPoint<'d>>, found: Vec<DerivedPoint<'d>>) {
    match points.is_empty() {
        true => *points = found,
        false => points.extend(found),
    }
}
