//! Autocast: the type that a value keeps when a target variable is assigned to a local. It follows locals, `?:`,
//! `@entry` and what functions of one `return` give back, but not globals and arrays, as in SystemTap.

use std::rc::Rc;

use rstap_syntax::ast::{self, Access, AccessKind, FunctionBody, StmtKind, TargetBase};

use super::Resolver;
use crate::hir::{Expr, ExprKind, Place, Var};
use crate::target_var::Origin;

impl Resolver<'_, '_, '_> {
    /// What gives a value its type.
    pub(super) fn origin(&self, value: &Expr) -> Option<Rc<Origin>> {
        let made = |target: &crate::hir::Target, address| {
            Rc::new(Origin { target: Rc::clone(&target.ast), of: target.origin.clone(), address })
        };
        match &value.kind {
            ExprKind::Read(Place::Target(target)) if !target.is_string() => Some(made(target, false)),
            ExprKind::AddressOf(target) => Some(made(target, true)),
            ExprKind::Read(Place::Var(Var::Local(local))) => self.unit.locals.get(*local)?.origin.clone(),
            ExprKind::Ternary(_, a, b) => self.origin(a).or_else(|| self.origin(b)),
            ExprKind::Entry(value) | ExprKind::Assign(None, _, value, _) => self.origin(value),
            ExprKind::Call(candidates, _) => candidates.iter().find_map(|f| self.returned_origin(*f)),
            _ => None,
        }
    }

    /// Notes what a local's type is, when it is assigned first.
    pub(super) fn note_origin(&mut self, place: &Place, value: &Expr) {
        if let Place::Var(Var::Local(local)) = place
            // After an error the place may be any.
            && self.unit.locals.get(*local).is_some_and(|local| local.origin.is_none())
        {
            self.unit.locals[*local].origin = self.origin(value);
        }
    }

    /// What a function returns, if it returns a target variable expression as such. Its body may not be resolved yet.
    fn returned_origin(&self, function: usize) -> Option<Rc<Origin>> {
        let declared =
            self.functions.iter().find(|(_, index)| **index == function).map(|(declared, _)| *declared)?;
        let FunctionBody::Script(block) = &self.symbols.functions[declared].item.body else { return None };
        block.statements.iter().find_map(|statement| {
            let StmtKind::Return(Some(value)) = &statement.kind else { return None };
            let (value, address) = match &value.kind {
                ast::ExprKind::AddressOf(operand) => (&operand.kind, true),
                kind => (kind, false),
            };
            match value {
                ast::ExprKind::Target(target) if !matches!(target.base, TargetBase::Value(_)) => {
                    Some(Rc::new(Origin { target: Rc::new(target.clone()), of: None, address }))
                }
                _ => None,
            }
        })
    }

    /// `p[i]` of a local that has a type is an element of what it points to.
    pub(super) fn typed_element(&self, base: &ast::Expr, parts: &[Option<ast::Expr>]) -> Option<ast::Target> {
        let (ast::ExprKind::Symbol(name), [Some(index)]) = (&base.kind, parts) else { return None };
        let local = *self.unit.names.get(name.as_str())?;
        self.unit.locals[local].origin.as_ref()?;
        Some(ast::Target {
            base: TargetBase::Value(Box::new(base.clone())),
            access: vec![Access { kind: AccessKind::Index(index.clone()), span: index.span }],
            pretty: 0,
        })
    }
}
