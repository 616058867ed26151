//! From AST to the resolved tree: each name becomes a variable or function, assignments get places, formats are
//! checked, `@defined` is answered, conditions that are constant choose their branch. It knows no types: which of two
//! uses of a variable clash is found in [`crate::types`].

mod expr;
mod fold;
mod format;
mod json;
mod origin;
mod print;
mod stat;
mod stmt;
mod unused;

use std::collections::HashMap;
use std::rc::Rc;

use rstap_abi::builtins::Builtin;
use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::expand::Part;
use crate::hir::{Body, Code, Expr, ExprKind, Function, Global, Local, Place, Stmt, Tree, Var};
use crate::hir_walk::each_expr;
use crate::symbols::{FileIndex, Symbols, no_embedded_code};
use crate::target_var::Scope;

pub use expr::{all_defined, is_defined};
pub use format::arguments as argument_types;

/// Resolves handlers and the functions they call.
pub struct Resolver<'a, 't, 'd> {
    /// What is declared.
    pub symbols: &'a mut Symbols<'t>,
    /// The result.
    pub tree: Tree,
    /// `-u`: constant conditions keep both branches.
    pub unoptimized: bool,
    /// `-g`
    pub guru: bool,
    /// What target variables mean in functions.
    pub global_scope: Option<Rc<dyn Scope + 'd>>,
    globals: HashMap<usize, usize>,
    functions: HashMap<usize, usize>,
    queue: Vec<(usize, usize)>,
    unit: Unit<'d>,
}

/// The function or handler at work.
#[derive(Default)]
struct Unit<'d> {
    file: FileIndex,
    locals: Vec<Local>,
    names: HashMap<String, usize>,
    param_count: usize,
    is_function: bool,
    loop_depth: u32,
    /// Arrays being walked.
    walking: Vec<usize>,
    scope: Option<Rc<dyn Scope + 'd>>,
    per_point: bool,
}

impl<'a, 't, 'd> Resolver<'a, 't, 'd> {
    /// A resolver with an empty tree.
    pub fn new(symbols: &'a mut Symbols<'t>, unoptimized: bool, guru: bool) -> Self {
        Resolver {
            symbols,
            tree: Tree::default(),
            unoptimized,
            guru,
            global_scope: None,
            globals: HashMap::new(),
            functions: HashMap::new(),
            queue: Vec::new(),
            unit: Unit::default(),
        }
    }

    /// Resolves a handler: guards first, then the parts, which share their locals. Its index in the tree.
    pub fn body(
        &mut self,
        name: String,
        guards: &[(ast::Expr, FileIndex)],
        parts: &[Part],
        scope: Option<Rc<dyn Scope + 'd>>,
    ) -> usize {
        self.unit = Unit { scope, ..Unit::default() };
        let mut code: Vec<Stmt> = guards.iter().map(|(guard, file)| self.guard(guard, *file)).collect();
        let mut span = Span::default();
        let mut own = None;
        for &part in parts {
            let (file, block, place) = part_block(self.symbols, part);
            self.unit.file = file;
            if let Part::Probe(_) = part {
                span = place;
                own = (!self.symbols.is_library(file)).then(|| block.block().span);
            }
            code.extend(self.block(block.block()));
        }
        let unit = std::mem::take(&mut self.unit);
        self.tree.bodies.push(Body { name, span, own, locals: unit.locals, code, per_point: unit.per_point });
        self.tree.bodies.len() - 1
    }

    /// A body that evaluates the guards into a hidden global, and that global, if nothing but globals decides about
    /// them.
    pub fn condition(&mut self, guards: &[(ast::Expr, FileIndex)]) -> Option<(usize, usize)> {
        self.unit = Unit::default();
        let mut all: Option<Expr> = None;
        for (guard, file) in guards {
            self.unit.file = *file;
            let guard = self.expr(guard);
            let token = guard.token;
            all = Some(match all {
                None => guard,
                Some(all) => {
                    let both = ExprKind::Binary(ast::BinaryOp::And, Box::new(all), Box::new(guard));
                    Expr { kind: both, token }
                }
            });
        }
        let unit = std::mem::take(&mut self.unit);
        let all = all.filter(|all| unit.locals.is_empty() && depends_on_globals_alone(all))?;
        let token = all.token;
        let not = |expr| Expr { kind: ExprKind::Unary(ast::UnaryOp::Not, Box::new(expr)), token };
        let global = self.tree.globals.len();
        self.tree.globals.push(Global {
            name: "if".to_owned(),
            span: token,
            library: true,
            wrap: false,
            size: None,
            init: Some(ast::Literal::Number(0)),
            arity: Some((0, token)),
            stat: Default::default(),
        });
        let outcome = Place::Var(Var::Global(global));
        let assign = ExprKind::Assign(None, outcome, Box::new(not(not(all))), token);
        self.tree.bodies.push(Body {
            name: "if".to_owned(),
            span: token,
            own: None,
            locals: Vec::new(),
            code: vec![Stmt::Expr(Expr { kind: assign, token })],
            per_point: false,
        });
        Some((self.tree.bodies.len() - 1, global))
    }

    /// Resolves the functions that were called so far, and those they call.
    pub fn called_functions(&mut self) {
        while let Some((declared, index)) = self.queue.pop() {
            self.function_body(declared, index);
        }
    }

    /// The tree's index of a declared function.
    fn function(&mut self, declared: usize) -> usize {
        if let Some(&index) = self.functions.get(&declared) {
            return index;
        }
        let index = self.tree.functions.len();
        self.functions.insert(declared, index);
        let declaration = self.symbols.functions[declared].clone();
        let ast = &declaration.item;
        let library = self.symbols.is_library(declaration.file);
        let mut code = Code::Script(Vec::new());
        if let ast::FunctionBody::Embedded(embedded) = &ast.body {
            match Builtin::by_name(embedded.text.trim()).filter(|_| library) {
                Some(builtin) => code = Code::Builtin(builtin),
                None if library => self.error("no such builtin", embedded.span),
                None => self.symbols.diagnostics.push(no_embedded_code(embedded.span)),
            }
        } else {
            self.queue.push((declared, index));
        }
        let params = ast.params.iter();
        self.tree.functions.push(Function {
            name: ast.name.text.clone(),
            span: ast.name.span,
            library,
            param_count: ast.params.len(),
            locals: params.clone().map(|p| local(&p.name.text, p.name.span)).collect(),
            param_types: params.map(|p| p.ty).collect(),
            return_type: ast.return_type,
            code,
        });
        index
    }

    fn function_body(&mut self, declared: usize, index: usize) {
        let declaration = self.symbols.functions[declared].clone();
        let ast::FunctionBody::Script(block) = &declaration.item.body else { return };
        self.unit = Unit {
            file: declaration.file,
            is_function: true,
            param_count: declaration.item.params.len(),
            scope: self.global_scope.clone(),
            ..Unit::default()
        };
        for param in &declaration.item.params {
            let name = param.name.text.clone();
            if self.unit.names.insert(name.clone(), self.unit.locals.len()).is_some() {
                self.error("duplicate parameter names", param.name.span);
            }
            self.unit.locals.push(local(&name, param.name.span));
        }
        let code = self.block(block);
        let unit = std::mem::take(&mut self.unit);
        self.tree.functions[index].locals = unit.locals;
        self.tree.functions[index].code = Code::Script(code);
    }

    /// The tree's index of a declared global.
    fn global_index(&mut self, declared: usize) -> usize {
        if let Some(&index) = self.globals.get(&declared) {
            return index;
        }
        let declaration = self.symbols.globals[declared].clone();
        let ast = &declaration.item;
        let library = self.symbols.is_library(declaration.file);
        let scalar = ast.init.is_some().then_some((0, ast.name.span));
        self.tree.globals.push(Global {
            name: ast.name.text.clone(),
            span: ast.name.span,
            library,
            wrap: ast.wrap,
            size: ast.size,
            init: ast.init.clone(),
            arity: scalar,
            stat: Default::default(),
        });
        self.globals.insert(declared, self.tree.globals.len() - 1);
        self.tree.globals.len() - 1
    }

    /// The global that a name means here, if it means one.
    fn global(&mut self, name: &str) -> Option<usize> {
        if self.unit.names.get(name).is_some_and(|&local| local < self.unit.param_count) {
            return None;
        }
        let declared = self.symbols.global(name, self.unit.file)?;
        Some(self.global_index(declared))
    }

    /// The variable that a name means here; a new name is a new local.
    fn var(&mut self, name: &str, span: Span) -> Var {
        match self.global(name) {
            Some(global) => Var::Global(global),
            None => Var::Local(self.local(name, span)),
        }
    }

    fn local(&mut self, name: &str, span: Span) -> usize {
        if let Some(&index) = self.unit.names.get(name) {
            return index;
        }
        self.unit.names.insert(name.to_owned(), self.unit.locals.len());
        self.unit.locals.push(local(name, span));
        self.unit.locals.len() - 1
    }

    /// A local without a name of the script's.
    fn hidden_local(&mut self, name: &str, span: Span) -> usize {
        self.unit.locals.push(Local { hidden: true, ..local(name, span) });
        self.unit.locals.len() - 1
    }

    /// Notes that a global is used with this many key parts; says so if that is not as elsewhere.
    fn note_arity(&mut self, global: usize, arity: usize, span: Span) {
        let global = &mut self.tree.globals[global];
        match global.arity {
            None => global.arity = Some((arity, span)),
            Some((known, _)) if known == arity => {}
            Some((known, first)) => {
                let what = |arity: usize| match arity {
                    0 => "used as a scalar".to_owned(),
                    1 => "used with 1 key".to_owned(),
                    _ => format!("used with {arity} keys"),
                };
                let error = Diagnostic::error(format!("inconsistent arity ({known} vs {arity})"))
                    .at(span, what(arity))
                    .see(first, format!("arity {known} first inferred here: {}", what(known)));
                self.symbols.diagnostics.push(error);
            }
        }
        if arity > rstap_abi::limits::MAX_KEYS {
            self.error(
                &format!("too many key parts: an array has at most {}", rstap_abi::limits::MAX_KEYS),
                span,
            );
        }
    }

    fn error(&mut self, message: &str, span: Span) {
        self.symbols.diagnostics.push(Diagnostic::error(message).at(span, ""));
    }
}

/// Whether the value can change only when a global does.
fn depends_on_globals_alone(expr: &Expr) -> bool {
    let mut alone = true;
    each_expr(expr, &mut |part| {
        alone &= matches!(
            &part.kind,
            ExprKind::Long(_)
                | ExprKind::Str(_)
                | ExprKind::Read(Place::Var(Var::Global(_)) | Place::Element(..))
                | ExprKind::Unary(..)
                | ExprKind::Binary(..)
                | ExprKind::Ternary(..)
                | ExprKind::Contains(..)
                | ExprKind::Stat(..)
        );
    });
    alone
}

fn local(name: &str, span: Span) -> Local {
    Local { name: name.to_owned(), span, walks: None, hidden: false, origin: None }
}

/// The block of a part, kept alive apart from the symbols.
pub enum PartBlock {
    /// Of a probe.
    Probe(Rc<crate::symbols::Declared<ast::Probe>>),
    /// Of an alias.
    Alias(Rc<crate::symbols::Declared<ast::Alias>>),
}

impl PartBlock {
    /// The statements.
    pub fn block(&self) -> &ast::Block {
        match self {
            PartBlock::Probe(probe) => &probe.item.body,
            PartBlock::Alias(alias) => &alias.item.body,
        }
    }
}

/// File, block and place of a part.
pub fn part_block(symbols: &Symbols<'_>, part: Part) -> (FileIndex, PartBlock, Span) {
    match part {
        Part::Probe(index) => {
            let probe = &symbols.probes[index];
            (probe.file, PartBlock::Probe(probe.clone()), probe.item.span)
        }
        Part::Alias(index) => {
            let alias = &symbols.aliases[index];
            (alias.file, PartBlock::Alias(alias.clone()), alias.item.span)
        }
    }
}
