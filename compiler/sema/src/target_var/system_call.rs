//! What a probe on system calls knows: the number, the arguments, and in `.return` the result (stap(1), PROBE POINTS,
//! "process.syscall"). Registers as in syscall(2), x86-64; the backend keeps the number in ORIG_RAX.

use rstap_abi::context::{ORIG_RAX, register as dwarf};
use rstap_abi::format::{UNSET, conversion};
use rstap_syntax::ast::{Target, TargetBase};
use rstap_syntax::diagnostic::Diagnostic;

use super::build::{register, string};
use super::{GlobalScope, Request, Scope, Use};
use crate::ir::{Directive, Expr, ExprKind, Format, SiteId};

/// [`Scope`] of `process.syscall` and `process.syscall.return`.
pub struct SystemCallScope<'d> {
    is_return: bool,
    rest: GlobalScope<'d>,
}

const ARGUMENTS: [(&str, usize); 6] = [
    ("arg1", dwarf::RDI),
    ("arg2", dwarf::RSI),
    ("arg3", dwarf::RDX),
    ("arg4", dwarf::R10),
    ("arg5", dwarf::R8),
    ("arg6", dwarf::R9),
];

impl<'d> SystemCallScope<'d> {
    /// `@cast` and `@var` mean what they do in `rest`.
    pub fn new(is_return: bool, rest: GlobalScope<'d>) -> Self {
        SystemCallScope { is_return, rest }
    }

    fn known(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let result = self.is_return.then_some(("return", dwarf::RAX));
        [("syscall", ORIG_RAX)].into_iter().chain(result).chain(ARGUMENTS)
    }

    fn value(&self, target: &Target, site: SiteId) -> Option<Expr> {
        let TargetBase::Variable(name) = &target.base else { return None };
        let plain = target.access.is_empty() && target.pretty == 0;
        match name.as_str() {
            "$parms" | "$vars" if target.access.is_empty() => Some(self.list(site)),
            name if plain => self.known().find(|(known, _)| *known == name).map(|(_, at)| register(at)),
            _ => None,
        }
    }

    /// `$syscall=0x1 $arg1=0x2 …`
    fn list(&self, site: SiteId) -> Expr {
        let mut format = Format { directives: Vec::new(), args: Vec::new() };
        for (index, (name, at)) in self.known().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            format.directives.push(Directive::Literal(format!("{blank}${name}=0x").into_bytes()));
            format.directives.push(Directive::Conversion {
                conversion: conversion::HEX,
                flags: 0,
                width: UNSET,
                precision: UNSET,
            });
            format.args.push(register(at));
        }
        string(ExprKind::Format(format, site))
    }
}

impl Scope for SystemCallScope<'_> {
    fn resolve(&self, request: Request<'_>) -> Result<Expr, Box<Diagnostic>> {
        if !matches!(request.target.base, TargetBase::Variable(_)) {
            return self.rest.resolve(request);
        }
        let error = |message: &str| Box::new(Diagnostic::error(message).at(request.span, ""));
        match (self.value(request.target, request.site), &request.usage) {
            (Some(value), Use::Read) => Ok(value),
            (Some(_), Use::Address) => Err(error("it is in a register, so it has no address")),
            (Some(_), Use::Write(_)) => Err(error("what a system call is given cannot be changed")),
            (None, _) => {
                let names: Vec<String> = self.known().map(|(name, _)| format!("${name}")).collect();
                let note = format!(
                    "a system call has {}; $$vars shows all. Its arguments have no type: \
                     @cast($arg1, \"TYPE\", \"PROGRAM\")->member",
                    names.join(", ")
                );
                Err(Box::new(
                    Diagnostic::error("unable to find this target variable").at(request.span, "").note(note),
                ))
            }
        }
    }

    fn at_entry(&self, _: &Target) -> bool {
        false
    }

    fn is_defined(&self, target: &Target) -> bool {
        self.value(target, SiteId(0)).is_some() || self.rest.is_defined(target)
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.known().map(|(name, _)| (name.to_owned(), "long".to_owned())).collect()
    }
}
