//! Statements.

use rstap_syntax::ast::{self, StatOp, StmtKind};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::Resolver;
use crate::hir::{Expr, ExprKind, Foreach, Place, Stmt, Var};
use crate::symbols::FileIndex;

impl Resolver<'_, '_, '_> {
    /// `if (condition)` of a probe point: a handler that does not meet it ends at once.
    pub(super) fn guard(&mut self, condition: &ast::Expr, file: FileIndex) -> Stmt {
        self.unit.file = file;
        let known = self.unit.locals.len();
        let condition = self.expr(condition);
        for local in self.unit.locals.drain(known..) {
            self.unit.names.remove(&local.name);
            self.symbols.diagnostics.push(
                Diagnostic::error("probe condition must not reference undeclared global").at(local.span, ""),
            );
        }
        let token = condition.token;
        let unmet = Expr { kind: ExprKind::Unary(ast::UnaryOp::Not, Box::new(condition)), token };
        Stmt::If(unmet, vec![Stmt::Next], Vec::new())
    }

    pub(super) fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        let mut statements = Vec::new();
        let mut ended = false;
        for statement in &block.statements {
            if ended && !matches!(statement.kind, StmtKind::Empty) {
                if !self.symbols.is_library(self.unit.file) {
                    self.symbols
                        .diagnostics
                        .push(Diagnostic::warning("unreachable statement").at(statement.span, ""));
                }
                // It is still looked at for errors.
                self.statement(statement);
                break;
            }
            statements.extend(self.statement(statement));
            ended = statements.last().is_some_and(ends);
        }
        statements
    }

    fn statement(&mut self, statement: &ast::Stmt) -> Vec<Stmt> {
        let one = |statement| vec![statement];
        match &statement.kind {
            StmtKind::Empty => Vec::new(),
            StmtKind::Block(block) => self.block(block),
            StmtKind::Expr(ast::Expr { kind: ast::ExprKind::Embedded(embedded), .. })
                if embedded.text.trim() == "guru" && self.symbols.is_library(self.unit.file) =>
            {
                Vec::new()
            }
            StmtKind::Expr(expr) => one(Stmt::Expr(self.expr(expr))),
            StmtKind::If(condition, then, otherwise) => self.branch(condition, then, otherwise.as_deref()),
            StmtKind::While(condition, body) => self.repeat(None, Some(condition), None, body),
            StmtKind::For(init, condition, step, body) => {
                self.repeat(init.as_ref(), condition.as_ref(), step.as_ref(), body)
            }
            StmtKind::Foreach(walk) => self.foreach(walk, statement.span),
            StmtKind::Delete(operand) => self.delete(operand).into_iter().collect(),
            StmtKind::Try(body, name, catch) => {
                let body = self.block(body);
                let (message, mut prologue) = match name {
                    Some(name) => {
                        let (local, copy) = self.bound(name);
                        (Some(local), copy)
                    }
                    None => (None, Vec::new()),
                };
                prologue.extend(self.block(catch));
                one(Stmt::Try(body, message, prologue))
            }
            StmtKind::Return(value) => {
                if !self.unit.is_function {
                    self.error("found 'return' not in function context", statement.span);
                }
                let value = value.as_ref().map(|e| self.expr(e));
                one(Stmt::Return(value))
            }
            StmtKind::Next => one(Stmt::Next),
            StmtKind::Break => self.in_loop("break", Stmt::Break, statement.span),
            StmtKind::Continue => self.in_loop("continue", Stmt::Continue, statement.span),
        }
    }

    fn in_loop(&mut self, word: &str, statement: Stmt, span: Span) -> Vec<Stmt> {
        if self.unit.loop_depth == 0 {
            self.error(&format!("cannot '{word}' outside loop"), span);
        }
        vec![statement]
    }

    fn branch(
        &mut self,
        condition: &ast::Expr,
        then: &ast::Stmt,
        otherwise: Option<&ast::Stmt>,
    ) -> Vec<Stmt> {
        let condition = self.expr(condition);
        match condition.kind {
            ExprKind::Long(0) if !self.unoptimized => otherwise.map_or_else(Vec::new, |s| self.statement(s)),
            ExprKind::Long(_) if !self.unoptimized => self.statement(then),
            // What @defined rules out must not be looked at, optimised or not.
            ExprKind::Long(0) => {
                let otherwise = otherwise.map_or_else(Vec::new, |s| self.statement(s));
                vec![Stmt::If(condition, Vec::new(), otherwise)]
            }
            _ => {
                let then = self.statement(then);
                let otherwise = otherwise.map_or_else(Vec::new, |s| self.statement(s));
                vec![Stmt::If(condition, then, otherwise)]
            }
        }
    }

    fn repeat(
        &mut self,
        init: Option<&ast::Expr>,
        condition: Option<&ast::Expr>,
        step: Option<&ast::Expr>,
        body: &ast::Stmt,
    ) -> Vec<Stmt> {
        let mut statements: Vec<Stmt> = init.map(|e| Stmt::Expr(self.expr(e))).into_iter().collect();
        let condition = condition.map(|e| self.expr(e));
        if !self.unoptimized && matches!(condition, Some(Expr { kind: ExprKind::Long(0), .. })) {
            return statements;
        }
        let condition = condition.filter(|c| !matches!(c.kind, ExprKind::Long(n) if n != 0));
        let body = self.loop_body(body);
        let step = step.map(|e| self.expr(e));
        statements.push(Stmt::Loop { condition, body, step });
        statements
    }

    fn loop_body(&mut self, body: &ast::Stmt) -> Vec<Stmt> {
        self.unit.loop_depth += 1;
        let body = self.statement(body);
        self.unit.loop_depth -= 1;
        body
    }

    fn foreach(&mut self, walk: &ast::Foreach, span: Span) -> Vec<Stmt> {
        if let ast::ExprKind::Stat(op, base, args) = &walk.array.kind {
            return self.foreach_bucket(walk, *op, base, args);
        }
        let arity = walk.slice.as_ref().map_or(walk.keys.len(), Vec::len);
        if walk.slice.is_some() && arity != walk.keys.len() {
            self.error(
                &format!("the slice has {arity} part(s), but there are {} key variable(s)", walk.keys.len()),
                span,
            );
        }
        let Some(map) = self.array(&walk.array, arity) else { return Vec::new() };
        let slice = walk.slice.as_ref().map_or_else(Vec::new, |parts| self.parts(parts));
        let limit = walk.limit.as_ref().map(|e| self.expr(e));
        let mut keys = Vec::new();
        let mut body = Vec::new();
        for name in &walk.keys {
            let (local, copy) = self.bound(name);
            keys.push(local);
            body.extend(copy);
        }
        let value = walk.value.as_ref().map(|name| {
            let (local, copy) = self.bound(name);
            self.unit.locals[local].walks = Some(map);
            body.extend(copy);
            local
        });
        self.unit.walking.push(map);
        body.extend(self.loop_body(&walk.body));
        self.unit.walking.pop();
        let token = walk.array.token;
        vec![Stmt::Foreach(Box::new(Foreach {
            map,
            token,
            keys,
            value,
            slice,
            sort: walk.sort,
            limit,
            body,
        }))]
    }

    fn foreach_bucket(
        &mut self,
        walk: &ast::Foreach,
        op: StatOp,
        base: &ast::Expr,
        args: &[ast::Expr],
    ) -> Vec<Stmt> {
        if !matches!(op, StatOp::HistLinear | StatOp::HistLog) {
            self.error("foreach walks an array or a histogram", walk.array.token);
            return Vec::new();
        }
        let Some(stat) = self.histogram(op, base, args, walk.array.token) else { return Vec::new() };
        let plain =
            walk.value.is_none() && walk.slice.is_none() && walk.sort.is_none() && walk.limit.is_none();
        let ([name], true) = (&walk.keys[..], plain) else {
            self.error(
                "a walk over a histogram binds one name, the bucket's number, and has no order or limit",
                walk.array.token,
            );
            return Vec::new();
        };
        let (local, mut body) = self.bound(name);
        body.extend(self.loop_body(&walk.body));
        vec![Stmt::ForeachBucket(local, stat, body)]
    }

    /// The local that a statement binds a name with. For the name of a global that is a hidden one, copied to the
    /// global by the statement that comes with it.
    fn bound(&mut self, name: &ast::Name) -> (usize, Vec<Stmt>) {
        match self.var(&name.text, name.span) {
            Var::Local(local) => (local, Vec::new()),
            Var::Global(global) => {
                self.note_arity(global, 0, name.span);
                let local = self.hidden_local(&name.text, name.span);
                let read = Expr { kind: ExprKind::Read(Place::Var(Var::Local(local))), token: name.span };
                let place = Place::Var(Var::Global(global));
                let assign = ExprKind::Assign(None, place, Box::new(read), name.span);
                (local, vec![Stmt::Expr(Expr { kind: assign, token: name.span })])
            }
        }
    }

    fn delete(&mut self, operand: &ast::Expr) -> Option<Stmt> {
        match &operand.kind {
            ast::ExprKind::Symbol(name) => {
                let var = self.var(name, operand.token);
                if let Var::Global(global) = var {
                    self.note_array_write(global, operand.token);
                }
                Some(Stmt::Delete(var, operand.token))
            }
            ast::ExprKind::Index(base, parts) if matches!(base.kind, ast::ExprKind::Symbol(_)) => {
                let global = self.array(base, parts.len())?;
                self.note_array_write(global, operand.token);
                let key = self.parts(parts);
                Some(Stmt::DeleteElement(global, key, operand.token))
            }
            _ => {
                self.symbols.diagnostics.push(
                    Diagnostic::error("invalid operand of delete expression")
                        .at(operand.token, "")
                        .note("what can be deleted: an element (delete a[KEY]), a whole array or statistic (delete a), a variable"),
                );
                None
            }
        }
    }
}

/// Whether nothing that follows the statement in its block is reached.
fn ends(statement: &Stmt) -> bool {
    match statement {
        Stmt::Return(..) | Stmt::Next | Stmt::Break | Stmt::Continue => true,
        Stmt::If(_, then, otherwise) => then.last().is_some_and(ends) && otherwise.last().is_some_and(ends),
        _ => false,
    }
}
