//! From the resolved tree and its types to the IR. Target variables are asked of the derived point's scope; what a
//! return probe needs from the entry of its function becomes a handler of its own that saves it.

mod expr;
mod json;
mod stmt;

pub use stmt::add_text;

use std::collections::HashMap;
use std::rc::Rc;

use rstap_abi::layout::{MapShape, ValueShape};
use rstap_abi::limits::Limits;
use rstap_program::{Initial, Site};
use rstap_syntax::ast::Literal;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::{SourceMap, Span};

use crate::hir::{self, Code, Stmt, Tree, Var};
use crate::hir_walk::each_statement;
use crate::ir;
use crate::symbols::describe_token;
use crate::target_var::Scope;
use crate::types::{Ty, Types};
use crate::usage::Usage;

/// A lowered handler, with what it needs saved at entry.
pub struct Lowered {
    /// The handler; its lock set is still empty.
    pub handler: ir::Handler,
    /// Statements that save values at entry, and their locals; empty if nothing is saved.
    pub saves: Vec<ir::Stmt>,
    /// Bytes they save.
    pub entry_bytes: u32,
    /// Warnings about this handler.
    pub warnings: Vec<Diagnostic>,
}

/// Lowers functions and handlers of a tree.
pub struct Lowerer<'a, 'd> {
    tree: &'a Tree,
    types: &'a Types,
    sources: &'a SourceMap,
    limits: Limits,
    /// What target variables mean in functions.
    global_scope: Option<Rc<dyn Scope + 'd>>,
    /// Places that can fault.
    pub sites: Vec<Site>,
    site_ids: HashMap<Span, ir::SiteId>,
    global_ids: HashMap<usize, ir::GlobalId>,
    function_ids: HashMap<usize, ir::FuncId>,
    probe_writes: Vec<bool>,
    /// Target variables that cannot be had read as 0.
    pub skip_badvars: bool,
    unit: Unit<'d>,
}

/// The function or handler at work.
#[derive(Default)]
struct Unit<'d> {
    locals: Vec<ir::Local>,
    /// Of the tree's locals, those that are read or assigned.
    local_ids: Vec<Option<ir::LocalId>>,
    usage: Usage,
    is_function: bool,
    is_return: bool,
    scope: Option<Rc<dyn Scope + 'd>>,
    /// Whether it runs at entry, to save values.
    at_entry: bool,
    saves: Vec<ir::Stmt>,
    saved: Vec<(ir::Expr, u32)>,
    entry_bytes: u32,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// Globals and functions that are used, in the order they get ids.
pub struct Used {
    /// Indices into [`Tree::globals`].
    pub globals: Vec<usize>,
    /// Indices into [`Tree::functions`]; builtins among them get no id.
    pub functions: Vec<usize>,
    /// Per global of the tree: whether a handler writes it.
    pub probe_writes: Vec<bool>,
}

impl<'a, 'd> Lowerer<'a, 'd> {
    /// A lowerer for what is used of a tree.
    pub fn new(
        tree: &'a Tree,
        types: &'a Types,
        sources: &'a SourceMap,
        limits: Limits,
        used: Used,
        global_scope: Option<Rc<dyn Scope + 'd>>,
    ) -> Self {
        let ids = used.globals.iter().enumerate().map(|(id, &g)| (g, ir::GlobalId(id as u32))).collect();
        let scripts = used.functions.iter().filter(|&&f| matches!(tree.functions[f].code, Code::Script(_)));
        let function_ids = scripts.enumerate().map(|(id, &f)| (f, ir::FuncId(id as u32))).collect();
        Lowerer {
            tree,
            types,
            sources,
            limits,
            global_scope,
            sites: Vec::new(),
            site_ids: HashMap::new(),
            global_ids: ids,
            function_ids,
            probe_writes: used.probe_writes,
            skip_badvars: false,
            unit: Unit::default(),
        }
    }

    /// The id of a local that is used.
    fn local_id(&self, local: usize) -> ir::LocalId {
        self.unit.local_ids[local].expect("every local that code refers to is used")
    }

    /// The id of a global, if it is used.
    pub fn global_id(&self, global: usize) -> Option<ir::GlobalId> {
        self.global_ids.get(&global).copied()
    }

    /// The global as the IR has it.
    pub fn global(&self, index: usize) -> ir::Global {
        let global = &self.tree.globals[index];
        let types = &self.types.globals[index];
        let kind = match global.arity {
            Some((arity, _)) if arity > 0 => ir::GlobalKind::Map(self.map_shape(global, types)),
            _ => match types.value {
                Ty::Long => ir::GlobalKind::Scalar(ir::Type::Long),
                Ty::Str => ir::GlobalKind::Scalar(ir::Type::Str),
                Ty::Stat => ir::GlobalKind::Stat(global.stat),
            },
        };
        let declared = match &global.init {
            None | Some(Literal::Number(0)) => Initial::Zero,
            Some(Literal::Number(n)) => Initial::Long(*n),
            Some(Literal::String(s)) if s.is_empty() => Initial::Zero,
            Some(Literal::String(s)) => Initial::String(s.clone()),
        };
        ir::Global { name: global.name.clone(), kind, initial: declared, sharded: false }
    }

    fn map_shape(&self, global: &hir::Global, types: &crate::types::GlobalType) -> MapShape {
        let string_keys = types
            .keys
            .iter()
            .enumerate()
            .filter(|(_, ty)| **ty == Ty::Str)
            .fold(0, |bits, (i, _)| bits | 1 << i);
        let value = match types.value {
            Ty::Long => ValueShape::Long,
            Ty::Str => ValueShape::String,
            Ty::Stat => ValueShape::Stat(global.stat),
        };
        let capacity = global.size.map_or(self.limits.max_map_entries, |size| size.max(1) as u64);
        MapShape {
            key_count: types.keys.len() as u8,
            string_keys,
            value,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            sized: global.size.is_some(),
            wrap: global.wrap,
        }
    }

    /// All functions that have an id, in its order.
    pub fn functions(&mut self, diagnostics: &mut Vec<Diagnostic>) -> Vec<ir::Function> {
        let mut order: Vec<(ir::FuncId, usize)> = self.function_ids.iter().map(|(&f, &id)| (id, f)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, f)| self.function(f, diagnostics)).collect()
    }

    fn function(&mut self, index: usize, diagnostics: &mut Vec<Diagnostic>) -> ir::Function {
        let tree = self.tree;
        let function = &tree.functions[index];
        let types = &self.types.functions[index];
        let Code::Script(code) = &function.code else { unreachable!("builtins get no id") };
        self.unit = Unit::new(code, &function.locals, &types.locals, function.param_count);
        self.unit.is_function = true;
        self.unit.scope = self.global_scope.clone();
        let body = self.statements(code);
        let mut unit = std::mem::take(&mut self.unit);
        diagnostics.append(&mut unit.errors);
        ir::Function {
            name: function.name.clone(),
            param_count: function.param_count as u32,
            locals: unit.locals,
            ret: types.ret.map(Ty::value),
            can_decline: can_decline(code),
            body,
        }
    }

    /// A handler at a place with this scope; all errors if something cannot be had there.
    pub fn handler(
        &mut self,
        body: usize,
        scope: Option<Rc<dyn Scope + 'd>>,
        is_return: bool,
    ) -> Result<Lowered, Vec<Diagnostic>> {
        let tree = self.tree;
        let source = &tree.bodies[body];
        self.unit = Unit::new(&source.code, &source.locals, &self.types.bodies[body], 0);
        self.unit.is_return = is_return;
        self.unit.scope = scope;
        let mut code = self.statements(&source.code);
        if let Some(scope) = self.unit.scope.clone() {
            let site = self.site(source.span);
            if let Some(guard) = scope.guard(site) {
                // It is about registers and memory, which are others at the return.
                let guard = if is_return { self.save(guard) } else { guard };
                code = vec![ir::Stmt::If(guard, code, Vec::new())];
            }
        }
        let unit = std::mem::take(&mut self.unit);
        if !unit.errors.is_empty() {
            return Err(unit.errors);
        }
        let handler = ir::Handler {
            name: source.name.clone(),
            locals: unit.locals,
            body: code,
            locks: Vec::new(),
            conditions: Vec::new(),
        };
        Ok(Lowered { handler, saves: unit.saves, entry_bytes: unit.entry_bytes, warnings: unit.warnings })
    }

    /// The site of what the compiler made itself.
    pub fn no_site(&mut self) -> ir::SiteId {
        let id = ir::SiteId(self.sites.len() as u32);
        self.sites.push(Site { token: "keyword".to_owned(), place: "end".to_owned() });
        id
    }

    /// The site of a token.
    fn site(&mut self, span: Span) -> ir::SiteId {
        if let Some(&id) = self.site_ids.get(&span) {
            return id;
        }
        let id = ir::SiteId(self.sites.len() as u32);
        let (token, place) = (describe_token(self.sources.text(span)), self.sources.place(span));
        self.sites.push(Site { token, place });
        self.site_ids.insert(span, id);
        id
    }

    fn error(&mut self, error: Diagnostic) {
        self.unit.errors.push(error);
    }
}

impl Unit<'_> {
    /// Parameters are kept, and of the other locals those that are read or assigned.
    fn new(code: &[Stmt], locals: &[hir::Local], types: &[Ty], param_count: usize) -> Self {
        let usage = Usage::of(code);
        let mut unit = Unit::default();
        for (index, (local, ty)) in locals.iter().zip(types).enumerate() {
            let var = Var::Local(index);
            let used = index < param_count || usage.read.contains(&var) || usage.written.contains(&var);
            unit.local_ids.push(used.then_some(ir::LocalId(unit.locals.len() as u32)));
            if used {
                unit.locals.push(ir::Local { name: local.name.clone(), ty: ty.value() });
            }
        }
        unit.usage = usage;
        unit
    }

    /// The local that takes a value of a walk, if anybody reads it.
    fn bound(&self, local: usize) -> Option<ir::LocalId> {
        self.usage.read.contains(&Var::Local(local)).then(|| self.local_ids[local]).flatten()
    }
}

fn can_decline(code: &[Stmt]) -> bool {
    let mut found = false;
    each_statement(code, &mut |statement| found |= matches!(statement, Stmt::Next));
    found
}
