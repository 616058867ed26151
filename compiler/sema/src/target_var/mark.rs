//! What a marker or a stub of the PLT knows of its place: its name, the arguments of a marker by their operands, and
//! else what the code round it knows.

use rstap_abi::address::LinkAddr;
use rstap_abi::builtins::Builtin;
use rstap_abi::format::{UNSET, conversion};
use rstap_debuginfo::sdt::{Argument, Number, Offset, Operand};
use rstap_syntax::ast::{Target, TargetBase};
use rstap_syntax::diagnostic::Diagnostic;

use super::build::{add, call, call_string, extend, load, multiply, number, shift, string, text};
use super::location::{bias_at, register_half};
use super::{CodeScope, Request, Scope, Use};
use crate::ir::{BinaryOp, Directive, Expr, ExprKind, Format, SiteId};

/// [`Scope`] of a place that has a name of its own.
pub struct MarkScope<'d> {
    code: CodeScope<'d>,
    names: Vec<(&'static str, String)>,
    arguments: Option<Vec<Argument>>,
}

impl<'d> MarkScope<'d> {
    /// `names` are those of `$$name` and its like. Without arguments, `$arg1` is what the code makes of it.
    pub fn new(
        code: CodeScope<'d>,
        names: Vec<(&'static str, String)>,
        arguments: Option<Vec<Argument>>,
    ) -> Self {
        MarkScope { code, names, arguments }
    }

    /// What only the marker knows; `None` for all else.
    fn own(&self, request: &Request<'_>) -> Option<Result<Expr, Box<Diagnostic>>> {
        let TargetBase::Variable(name) = &request.target.base else { return None };
        if let Some(own) = name.strip_prefix('$') {
            if let Some((_, value)) = self.names.iter().find(|(known, _)| *known == own) {
                return Some(Ok(text(value)));
            }
            let is_list = matches!(own, "parms" | "vars") && self.arguments.is_some();
            return is_list.then(|| Ok(self.list(request)));
        }
        let arguments = self.arguments.as_ref()?;
        let index: usize = name.strip_prefix("arg")?.parse().ok()?;
        match arguments.get(index.wrapping_sub(1)) {
            Some(argument) => Some(self.used(argument, request)),
            None if self.code.find(name).is_some() => None,
            None => Some(Err(no_argument(name, arguments.len(), request))),
        }
    }

    fn used(&self, argument: &Argument, request: &Request<'_>) -> Result<Expr, Box<Diagnostic>> {
        let fail = |message: String| Err(Box::new(Diagnostic::error(message).at(request.span, "")));
        if !request.target.access.is_empty() {
            let message =
                "the type of a marker's argument is not known; write @cast($argN, \"type\")->member";
            return fail(message.to_owned());
        }
        let result = match request.usage {
            Use::Read => self.value(argument, request.site),
            Use::Address => self.place(argument, request.site),
            Use::Write(_) => {
                Err("it cannot be changed: where the compiler keeps a copy is not known".to_owned())
            }
        };
        match result {
            Ok(value) if request.target.pretty > 0 => {
                let mut shown = Shown::default();
                shown.pretty(argument, value, request.site);
                Ok(shown.finish(request.site))
            }
            Ok(value) => Ok(value),
            Err(reason) => fail(format!("the marker's argument cannot be used: {reason}")),
        }
    }

    /// `$arg1=0x1 $arg2=0x2`, in decimal if asked to be pretty.
    fn list(&self, request: &Request<'_>) -> Expr {
        let mut shown = Shown::default();
        for (index, argument) in self.arguments.iter().flatten().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            shown.literal(&format!("{blank}$arg{}=", index + 1));
            match self.value(argument, request.site) {
                Ok(value) if request.target.pretty > 0 => shown.pretty(argument, value, request.site),
                Ok(value) => {
                    shown.literal("0x");
                    shown.number(conversion::HEX, value);
                }
                Err(_) => shown.literal("?"),
            }
        }
        shown.finish(request.site)
    }

    fn value(&self, argument: &Argument, site: SiteId) -> Result<Expr, String> {
        let size = u64::from(argument.size);
        if size > 8 {
            return Err(format!("it has {size} bytes"));
        }
        let signed = argument.number == Number::Signed;
        let bits = match understood(argument)? {
            Operand::Register { number, shift: from } => {
                let whole = register_half(*number, 0, site)?;
                let part = shift(BinaryOp::UnsignedShiftRight, whole, (*from).into(), site);
                extend(part, size * 8, signed, site)
            }
            Operand::Immediate(value) => extend(self.offset(value, site), size * 8, signed, site),
            Operand::Memory { .. } => load(self.place(argument, site)?, size, signed, site),
        };
        Ok(match argument.number {
            Number::Float if size == 4 => call(Builtin::fp32_to_fp64, vec![bits], site),
            _ => bits,
        })
    }

    /// The address of an operand in memory.
    fn place(&self, argument: &Argument, site: SiteId) -> Result<Expr, String> {
        let Operand::Memory { offset, base, index } = understood(argument)? else {
            return Err("it is not in memory, so it has no address".to_owned());
        };
        let mut address = match base {
            Some(base) => register_half(*base, 0, site)?,
            None => number(0),
        };
        if let Some((index, scale)) = index {
            address = add(address, multiply(register_half(*index, 0, site)?, (*scale).into(), site), site);
        }
        Ok(add(address, self.offset(offset, site), site))
    }

    fn offset(&self, offset: &Offset, site: SiteId) -> Expr {
        let Some(LinkAddr(symbol)) = offset.symbol else { return number(offset.number) };
        let bias = bias_at(self.code.binary().module(), self.code.pc(), site);
        add(bias, number(symbol.cast_signed().wrapping_add(offset.number)), site)
    }
}

impl Scope for MarkScope<'_> {
    fn resolve(&self, request: Request<'_>) -> Result<Expr, Box<Diagnostic>> {
        self.own(&request).unwrap_or_else(|| self.code.resolve(request))
    }

    fn at_entry(&self, target: &Target) -> bool {
        let TargetBase::Variable(name) = &target.base else { return self.code.at_entry(target) };
        let is_own =
            name.strip_prefix('$').is_some_and(|own| self.names.iter().any(|(known, _)| *known == own));
        !is_own && self.code.at_entry(target)
    }

    fn kept(&self, target: &Target) -> Option<Expr> {
        self.code.kept(target)
    }

    fn is_defined(&self, target: &Target) -> bool {
        let request = Request {
            target,
            base: Some(number(0)),
            origin: None,
            indexes: Vec::new(),
            usage: Use::Read,
            kept: Some(number(0)),
            site: SiteId(0),
            span: rstap_syntax::source::Span::default(),
        };
        self.own(&request).map_or_else(|| self.code.is_defined(target), |own| own.is_ok())
    }

    fn variables(&self) -> Vec<(String, String)> {
        let count = self.arguments.as_ref().map_or(0, Vec::len);
        (1..=count).map(|index| (format!("arg{index}"), "long".to_owned())).collect()
    }
}

fn understood(argument: &Argument) -> Result<&Operand, String> {
    argument.operand.as_ref().map_err(|text| match text.starts_with(".L") {
        true => format!("it is a constant at '{text}', a label that compilers keep in no file"),
        false => format!("the operand '{text}' is not understood"),
    })
}

fn no_argument(name: &str, count: usize, request: &Request<'_>) -> Box<Diagnostic> {
    let note = match count {
        0 => "the marker has no arguments".to_owned(),
        1 => "the marker has one argument, $arg1".to_owned(),
        _ => format!("the marker has the arguments $arg1 to $arg{count}"),
    };
    Box::new(Diagnostic::error(format!("unable to find '${name}'")).at(request.span, "").note(note))
}

/// A text that is put together.
#[derive(Default)]
struct Shown {
    directives: Vec<Directive>,
    args: Vec<Expr>,
}

impl Shown {
    fn literal(&mut self, text: &str) {
        self.directives.push(Directive::Literal(text.as_bytes().to_vec()));
    }

    /// In decimal.
    fn pretty(&mut self, argument: &Argument, value: Expr, site: SiteId) {
        match argument.number {
            Number::Float => {
                self.number(conversion::STRING, call_string(Builtin::fp_text, vec![value], site));
            }
            Number::Signed | Number::Unsigned => self.number(conversion::SIGNED, value),
        }
    }

    fn number(&mut self, conversion: u8, value: Expr) {
        self.directives.push(Directive::Conversion { conversion, flags: 0, width: UNSET, precision: UNSET });
        self.args.push(value);
    }

    fn finish(self, site: SiteId) -> Expr {
        if self.directives.is_empty() {
            return text("");
        }
        string(ExprKind::Format(Format { directives: self.directives, args: self.args }, site))
    }
}
