//! What a probe on code knows of its place: the variables of the function it is in. Debug information is read when
//! a variable is asked for, not before.

use std::cell::OnceCell;
use std::path::Path;
use std::rc::Rc;

use rstap_abi::address::LinkAddr;
use rstap_abi::context::register as dwarf;
use rstap_debuginfo::{DieRef, Place, Type, TypeId, Variable, VariableKind};
use rstap_syntax::ast::{Access, AccessKind, Target, TargetBase};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::build::{add, binary, load, multiply, number, register};
use super::location::{Spot, Surroundings, bias_at, load_bias};
use super::value::Value;
use super::{Origin, Request, Scope, Use, enumeration, messages, named, pretty, psabi};
use crate::ir::{BinaryOp, Expr, SiteId};
use crate::modules::{Binary, Modules};

/// The state that a probe finds its function in.
#[derive(Clone, Copy, Debug)]
pub enum Frame {
    /// The instruction `at` is about to run.
    Inside {
        /// The function or inlined instance, if there is debug information.
        die: Option<DieRef>,
        /// If it is an inlined instance and the probe is not on that: the function whose variables are seen as well.
        outer: Option<DieRef>,
        /// The function's first instruction, if it is not an inlined one.
        entry: Option<LinkAddr>,
        /// The probed instruction.
        at: LinkAddr,
    },
    /// No instruction of the file is about to run.
    Nowhere,
    /// The function has returned; saved values are from its first instruction.
    Return {
        /// The function, if there is debug information.
        die: Option<DieRef>,
        /// Its first instruction.
        entry: LinkAddr,
        /// Where its parameters are in their places: `entry` in optimised code.
        body: LinkAddr,
        /// The type of what it returns.
        result: TypeId,
    },
}

impl Frame {
    fn die(&self) -> Option<DieRef> {
        match self {
            Frame::Inside { die, .. } | Frame::Return { die, .. } => *die,
            Frame::Nowhere => None,
        }
    }

    /// The instruction at which variables are read.
    fn pc(&self) -> LinkAddr {
        match self {
            Frame::Inside { at, .. } => *at,
            Frame::Return { entry, .. } => *entry,
            Frame::Nowhere => LinkAddr(0),
        }
    }

    fn is_return(&self) -> bool {
        matches!(self, Frame::Return { .. })
    }

    /// Whether variables are read at the function's first instruction.
    fn at_entry(&self) -> bool {
        match self {
            Frame::Inside { entry, at, .. } => *entry == Some(*at),
            Frame::Return { .. } => true,
            Frame::Nowhere => false,
        }
    }
}

/// [`Scope`] of a probe on code.
pub struct CodeScope<'d> {
    modules: Rc<Modules<'d>>,
    binary: Rc<Binary<'d>>,
    program: Rc<Binary<'d>>,
    frame: Frame,
    variables: OnceCell<Vec<Variable<'d>>>,
}

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

impl<'d> CodeScope<'d> {
    /// The scope of a place in `binary`, which is `program` or one of its libraries.
    pub fn new(
        modules: Rc<Modules<'d>>,
        binary: Rc<Binary<'d>>,
        program: Rc<Binary<'d>>,
        frame: Frame,
    ) -> Self {
        CodeScope { modules, binary, program, frame, variables: OnceCell::new() }
    }

    /// The file it is in.
    pub fn binary(&self) -> &Binary<'d> {
        &self.binary
    }

    /// The instruction at which variables are read.
    pub fn pc(&self) -> LinkAddr {
        self.frame.pc()
    }

    /// Whether the probe is not on code of the file.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.frame, Frame::Nowhere)
    }

    /// Whether there is debug information of the function.
    pub fn has_function(&self) -> bool {
        self.frame.die().is_some()
    }

    /// Parameters and locals as `$$vars` and -L order them: those of inner blocks first, in a block as the debug
    /// information has them. Of variables of one name the innermost counts.
    pub fn locals(&self) -> &[Variable<'d>] {
        self.variables.get_or_init(|| {
            let Some(die) = self.frame.die() else { return Vec::new() };
            // In a return probe at -O0 the blocks of the body are not entered yet, those of the function are.
            self.binary.module().scope_in_order(die, self.visible_at()).unwrap_or_default()
        })
    }

    fn visible_at(&self) -> LinkAddr {
        match self.frame {
            Frame::Inside { at, .. } => at,
            Frame::Return { body, .. } => body,
            Frame::Nowhere => LinkAddr(0),
        }
    }

    /// The variable that `$name` means.
    pub fn find(&self, name: &str) -> Option<Variable<'d>> {
        let local = self.locals().iter().find(|variable| variable.name == name).cloned();
        local.or_else(|| self.find_outside(name)).or_else(|| {
            let globals = self.binary.module().unit_globals(self.frame.die()?).ok()?;
            globals.into_iter().find(|variable| variable.name == name)
        })
    }

    /// The variable of what the instance is inlined in.
    fn find_outside(&self, name: &str) -> Option<Variable<'d>> {
        let Frame::Inside { die: Some(die), outer: Some(outer), at, .. } = self.frame else { return None };
        let module = self.binary.module();
        let instances = module.instances_at(outer, at).ok()?;
        let outside = instances.iter().skip_while(|instance| **instance != die).skip(1);
        let mut variables = outside.filter_map(|instance| module.scope(*instance, at).ok()).flatten();
        variables.find(|variable| variable.name == name)
    }

    /// Whether the variable has a place here.
    pub fn is_available(&self, variable: &Variable<'d>) -> bool {
        let place = self.binary.module().place(variable, self.pc());
        place.is_ok_and(|place| place != Place::OptimizedOut)
    }

    /// A variable as a value.
    pub fn value(&self, variable: &Variable<'d>, site: SiteId) -> Value<'d> {
        let spot = self.spot(variable, site);
        let mut value = self.typed(spot, variable.ty, site);
        if let Ok((array, Type::Array { counts, .. })) = value.resolved()
            && counts.contains(&None)
        {
            let counts = self.binary.module().counts(variable, array, self.pc());
            let object = value.own_address().ok();
            let around = Surroundings { object, ..self.around(Some(variable), site) };
            value.counts = counts.iter().map(|count| around.number(count.as_ref()?)).collect();
        }
        value
    }

    /// What location expressions refer to, those of a variable or others.
    fn around<'v>(&'v self, variable: Option<&'v Variable<'d>>, site: SiteId) -> Surroundings<'v, 'd> {
        let (at, at_entry) = (self.pc(), self.frame.at_entry());
        let (module, bias) = (self.binary.module(), Some(self.bias(site)));
        Surroundings { module, bias, variable, object: None, at, at_entry, site }
    }

    fn typed(&self, spot: Spot, ty: TypeId, site: SiteId) -> Value<'d> {
        let binary = Rc::clone(&self.binary);
        Value { binary, spot, from: 0, field: None, ty, counts: Vec::new(), site }
    }

    fn spot(&self, variable: &Variable<'d>, site: SiteId) -> Spot {
        let module = self.binary.module();
        if let Frame::Return { entry, body, result, .. } = self.frame
            && variable.kind == VariableKind::Parameter
            && entry != body
            && variable.is_in_frame()
        {
            // Not yet stored where the debug information says.
            let mut parameters = self.locals().iter().filter(|other| other.kind == VariableKind::Parameter);
            if let Some(index) = parameters.clone().position(|other| other.die == variable.die) {
                let types: Vec<TypeId> = parameters.by_ref().map(|other| other.ty).collect();
                return psabi::parameter(module, result, &types, index, site);
            }
        }
        match module.place(variable, self.pc()) {
            Ok(place) => self.around(Some(variable), site).spot(&place),
            Err(error) => Spot::Gone(error.to_string()),
        }
    }

    /// A place of the debug information as IR, where the probe is.
    pub fn spot_of(&self, place: &Place, site: SiteId) -> Spot {
        self.around(None, site).spot(place)
    }

    /// The difference between run-time and file addresses, where the instruction at [`CodeScope::pc`] is about to run.
    pub fn bias(&self, site: SiteId) -> Expr {
        bias_at(self.binary.module(), self.pc(), site)
    }

    /// `$return`, if the function returns anything. `kept` is the address for a large result.
    pub fn returned(&self, site: SiteId, kept: Option<&Expr>) -> Option<Value<'d>> {
        let Frame::Return { die: Some(_), result, .. } = self.frame else { return None };
        let spot = match (psabi::returned(self.binary.module(), result)?, kept) {
            (Spot::Memory(_), Some(kept)) => Spot::Memory(kept.clone()),
            (spot, _) => spot,
        };
        Some(self.typed(spot, result, site))
    }

    fn base(&self, request: &Request<'_>) -> Result<Value<'d>> {
        match &request.target.base {
            TargetBase::Variable(name) => self.variable(name, request),
            TargetBase::Cast(_, type_name, module) => self.cast(type_name, module.as_deref(), request),
            TargetBase::Var(name, module) => self.global(name, module.as_deref(), request),
            TargetBase::Value(_) => self.autocast(request),
            TargetBase::Enum(..) | TargetBase::EnumName(..) => {
                let message = format!("{} has no type of its own", messages::describe(request.target));
                Err(Box::new(Diagnostic::error(message).at(request.span, "")))
            }
        }
    }

    /// A value of the script, typed as what it was made of.
    fn autocast(&self, request: &Request<'_>) -> Result<Value<'d>> {
        let unknown =
            || Box::new(Diagnostic::error("the type of this value is not known").at(request.span, ""));
        let origin = request.origin.ok_or_else(unknown)?;
        let made_of = self.made_of(origin, request)?.referred().map_err(|_| unknown())?;
        let value = request.base.clone().unwrap_or_else(|| number(0));
        let is_address = origin.address || matches!(made_of.resolved(), Ok((_, Type::Array { .. })));
        let spot = if is_address { Spot::Memory(value) } else { Spot::Value(value) };
        Ok(Value { spot, from: 0, field: None, ..made_of })
    }

    /// The target variable that a value of the script was made of. Only its type matters.
    fn made_of(&self, origin: &Origin, request: &Request<'_>) -> Result<Value<'d>> {
        let request = Request {
            origin: origin.of.as_deref(),
            site: request.site,
            span: request.span,
            ..Request::of_any(&origin.target, Use::Read)
        };
        self.follow(self.base(&request)?, &request)
    }

    fn variable(&self, name: &str, request: &Request<'_>) -> Result<Value<'d>> {
        if name == "return" && self.frame.is_return() && self.has_function() {
            let returned = self.returned(request.site, request.kept.as_ref());
            return returned.ok_or_else(|| messages::returns_nothing(request.span));
        }
        match self.find(name) {
            Some(variable) => Ok(self.value(&variable, request.site)),
            None => Err(messages::no_variable(self, name, request.span)),
        }
    }

    fn cast(&self, type_name: &[u8], module: Option<&[u8]>, request: &Request<'_>) -> Result<Value<'d>> {
        let type_name = String::from_utf8_lossy(type_name);
        let binaries = self.named_modules(module, request.span)?;
        for binary in &binaries {
            if let Ok(Some(ty)) = binary.module().find_type(&type_name) {
                let address = request.base.clone().unwrap_or_else(|| number(0));
                let spot = Spot::Memory(address);
                let (binary, site) = (Rc::clone(binary), request.site);
                return Ok(Value { binary, spot, from: 0, field: None, ty, counts: Vec::new(), site });
            }
        }
        Err(messages::no_type(&type_name, &binaries, request.span))
    }

    fn global(&self, written: &[u8], module: Option<&[u8]>, request: &Request<'_>) -> Result<Value<'d>> {
        let written = String::from_utf8_lossy(written);
        let (name, file) = match written.split_once('@') {
            Some((name, file)) => (name, Some(file)),
            None => (&*written, None),
        };
        let binaries = self.named_modules(module, request.span)?;
        for binary in &binaries {
            if let Some(variable) = self.find_global(binary, name, file) {
                return self.global_value(binary, &variable, request);
            }
        }
        Err(messages::no_global(&written, &binaries, request.span))
    }

    /// The global of this name: one of the probed unit rather than one of another file.
    fn find_global(&self, binary: &Rc<Binary<'d>>, name: &str, file: Option<&str>) -> Option<Variable<'d>> {
        let own_file = Rc::ptr_eq(binary, &self.binary) && file.is_none();
        let own = || binary.module().unit_globals(self.frame.die().filter(|_| own_file)?).ok();
        let own = own().and_then(|all| all.into_iter().find(|variable| variable.name == name));
        own.or_else(|| binary.module().globals(name, file).ok()?.into_iter().next())
    }

    fn global_value(
        &self,
        binary: &Rc<Binary<'d>>,
        variable: &Variable<'d>,
        request: &Request<'_>,
    ) -> Result<Value<'d>> {
        let module = binary.module();
        let site = request.site;
        let fixed = module.kind() == rstap_debuginfo::Kind::Executable;
        let bias = match self.frame {
            _ if fixed => Some(number(0)),
            Frame::Inside { at, .. } if Rc::ptr_eq(binary, &self.binary) => Some(bias_at(module, at, site)),
            Frame::Return { .. } if Rc::ptr_eq(binary, &self.binary) => request.kept.clone(),
            _ => Some(load_bias(binary, site)),
        };
        let place = module.place(variable, self.pc());
        let at_entry = self.frame.at_entry();
        let surroundings =
            Surroundings { module, bias, variable: None, object: None, at: self.pc(), at_entry, site };
        let spot = match place {
            Ok(place) => surroundings.spot(&place),
            Err(error) => Spot::Gone(error.to_string()),
        };
        let binary = Rc::clone(binary);
        Ok(Value { binary, spot, from: 0, field: None, ty: variable.ty, counts: Vec::new(), site })
    }

    /// The files that a module argument names, `:` between several; without one the probed file.
    pub fn named_modules(&self, module: Option<&[u8]>, span: Span) -> Result<Vec<Rc<Binary<'d>>>> {
        let Some(text) = module else { return Ok(vec![Rc::clone(&self.binary)]) };
        let text = String::from_utf8_lossy(text);
        let mut found = Vec::new();
        let mut first_error = None;
        for name in text.split(':').filter(|name| !name.is_empty()) {
            match self.named_module(name, span) {
                Ok(binaries) => found.extend(binaries),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    fn named_module(&self, name: &str, span: Span) -> Result<Vec<Rc<Binary<'d>>>> {
        use crate::points::process::{library, program};
        let as_program = named::find(&**self.modules.files(), name, span);
        let opened = as_program.and_then(|paths| {
            let open = |path: &std::path::PathBuf| self.modules.open(Path::new(path));
            paths.iter().map(|path| open(path).map_err(|error| program::cannot_open(&error, span))).collect()
        });
        opened.or_else(|error| {
            let libraries = library::find(&self.modules, &self.program, None, name, span);
            libraries.map_err(|_| error)
        })
    }

    /// Follows `->member` and `[index]`.
    fn follow(&self, base: Value<'d>, request: &Request<'_>) -> Result<Value<'d>> {
        let mut value = base;
        let mut indexes = request.indexes.iter();
        let mut steps = request.target.access.as_slice();
        let first_step = steps.as_ptr();
        let is_cast = matches!(request.target.base, TargetBase::Cast(..));
        while let Some((step, rest)) = steps.split_first() {
            let failed =
                |error| messages::cannot_access(self, request.target, error, step.span, request.span);
            steps = rest;
            value = match &step.kind {
                AccessKind::Member(name) => value.member(name).map_err(failed)?,
                AccessKind::Index(_) => {
                    let first = indexes.next().cloned().unwrap_or_else(|| number(0));
                    if let Some(dimensions) = value.dimensions_by_stride() {
                        let is_index = |step: &&Access| matches!(step.kind, AccessKind::Index(_));
                        let more = rest.iter().take_while(is_index).count().min(dimensions.saturating_sub(1));
                        steps = rest.get(more..).unwrap_or_default();
                        let all: Vec<Expr> =
                            [first].into_iter().chain(indexes.by_ref().take(more).cloned()).collect();
                        value = value.strided(&all).map_err(failed)?;
                        continue;
                    }
                    let more = dimensions_after_first(&value, rest);
                    let mut flat = first;
                    for count in &more {
                        let next = indexes.next().cloned().unwrap_or_else(|| number(0));
                        flat = add(times(flat, count, request.site), next, request.site);
                    }
                    steps = rest.get(more.len()..).unwrap_or_default();
                    let is_row = is_cast && std::ptr::eq(step, first_step) && !value.is_indexable();
                    let element = if is_row { value.in_row(flat) } else { value.element(flat) };
                    element.map_err(failed)?
                }
            };
        }
        Ok(value)
    }

    /// `$arg1` … and `$return` of a function without debug information, by the calling convention.
    fn by_convention(&self, request: &Request<'_>) -> Option<Expr> {
        let TargetBase::Variable(name) = &request.target.base else { return None };
        let plain =
            request.target.access.is_empty() && request.target.pretty == 0 && request.usage == Use::Read;
        if self.has_function() || !plain {
            return None;
        }
        if name == "return" {
            return self.frame.is_return().then(|| register(dwarf::RAX));
        }
        let index: usize = name.strip_prefix("arg")?.parse().ok()?;
        if !self.frame.at_entry() || !(1..=64).contains(&index) {
            return None;
        }
        Some(match psabi::ARGUMENTS.get(index - 1) {
            Some(argument) => register(*argument),
            None => {
                let offset = 8 * (index - psabi::ARGUMENTS.len());
                let offset = number(i64::try_from(offset).unwrap_or_default());
                load(add(register(dwarf::RSP), offset, request.site), 8, false, request.site)
            }
        })
    }
}

/// Of an array with several dimensions that is indexed in all of them: the counts of all but the first.
fn dimensions_after_first(value: &Value<'_>, following: &[Access]) -> Vec<Expr> {
    let Ok((_, Type::Array { counts, .. })) = value.resolved() else { return Vec::new() };
    let indexed = following.iter().take_while(|step| matches!(step.kind, AccessKind::Index(_))).count();
    let decided = |dimension: usize| value.counts.get(dimension).cloned().flatten();
    let known = |count: u64| i64::try_from(count).ok().map(number);
    let inner = counts.iter().enumerate().skip(1);
    let inner: Option<Vec<Expr>> =
        inner.map(|(dimension, count)| count.map_or_else(|| decided(dimension), known)).collect();
    inner.filter(|inner| indexed >= inner.len()).unwrap_or_default()
}

fn times(index: Expr, count: &Expr, site: SiteId) -> Expr {
    match super::build::constant(count) {
        Some(count) => multiply(index, count, site),
        None => binary(BinaryOp::Mul, index, count.clone(), site),
    }
}

impl Scope for CodeScope<'_> {
    fn resolve(&self, request: Request<'_>) -> Result<Expr> {
        if let Some(value) = self.by_convention(&request) {
            return Ok(value);
        }
        if let Some(list) = pretty::list(self, &request) {
            return list;
        }
        if let Some(value) = enumeration::value(self, &request) {
            return value;
        }
        let base = self.base(&request)?;
        let value = self.follow(base, &request)?;
        let failed = |error| messages::cannot_use(self, request.target, error, request.span);
        if request.target.pretty > 0 {
            let plain = matches!(request.target.base, TargetBase::Variable(_) | TargetBase::Var(..));
            let through_pointers = !plain || !request.target.access.is_empty();
            return Ok(pretty::value(&value, request.target.pretty > 1, through_pointers));
        }
        match request.usage {
            Use::Read => value.read(),
            Use::Address => value.address(),
            Use::Write(ref new) => value.write(new.clone()),
        }
        .map_err(failed)
    }

    fn at_entry(&self, target: &Target) -> bool {
        match &target.base {
            TargetBase::Variable(name) => {
                self.frame.is_return() && !matches!(name.as_str(), "return" | "$return")
            }
            _ => false,
        }
    }

    fn kept(&self, target: &Target) -> Option<Expr> {
        let module = self.binary.module();
        if let (TargetBase::Variable(name), Frame::Return { result, .. }) = (&target.base, self.frame)
            && matches!(name.as_str(), "return" | "$return")
        {
            // LLVM leaves it out of rax where it knows all callers.
            let in_memory = matches!(psabi::returned(module, result), Some(Spot::Memory(_)));
            return in_memory.then(|| register(dwarf::RDI));
        }
        let moves = module.kind() != rstap_debuginfo::Kind::Executable;
        let wanted = self.frame.is_return() && moves && matches!(target.base, TargetBase::Var(..));
        wanted.then(|| bias_at(module, self.pc(), SiteId(0)))
    }

    fn is_defined(&self, target: &Target) -> bool {
        // The message that `resolve` would make of this costs more than the answer.
        if let TargetBase::Variable(name) = &target.base
            && self.has_function()
            && !name.starts_with('$')
            && !(name == "return" && self.frame.is_return())
            && self.find(name).is_none()
        {
            return false;
        }
        self.resolve(Request::of_any(target, Use::Read)).is_ok()
    }

    fn variables(&self) -> Vec<(String, String)> {
        let module = self.binary.module();
        let name = |ty| module.type_name(ty);
        let returned = self.returned(SiteId(0), None).map(|value| ("return".to_owned(), value.type_name()));
        let shown = self.locals().iter().filter(|variable| self.is_available(variable));
        returned.into_iter().chain(shown.map(|v| (v.name.to_owned(), name(v.ty)))).collect()
    }
}
