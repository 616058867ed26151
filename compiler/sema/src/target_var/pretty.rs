//! Values as text: `$x$`, `$x$$` and the lists `$$vars`, `$$locals`, `$$parms`, `$$return`. What the text looks like
//! is observed from SystemTap; that arrays of characters end with the array is not.

use rstap_abi::builtins::Builtin;
use rstap_abi::format::{UNSET, conversion, flag};
use rstap_debuginfo::{Encoding, Enumerator, Member, RecordKind, Type, TypeId, VariableKind};
use rstap_syntax::ast::TargetBase;
use rstap_syntax::diagnostic::Diagnostic;

use super::build::{bound, call, call_string, choose, compare, number, select, string, text, with};
use super::container;
use super::location::Spot;
use super::scope::CodeScope;
use super::value::{Value, ValueError};
use super::{Request, messages};
use crate::ir::{CompareOp, Directive, Expr, ExprKind, Format, SiteId};

/// Bytes of a string that are looked at, if nothing says where it ends.
const STRING_BYTES: i64 = 4096;

/// Of larger enumerations the number is shown.
const MAX_ENUMERATORS: usize = 64;

/// Records nested deeper than this are shown as `{...}`.
const MAX_DEPTH: u32 = 8;

/// The text of a value, in the deep form for `$$`. What was reached through pointers may be at no good address.
pub fn value(value: &Value<'_>, deep: bool, through_pointers: bool) -> Expr {
    let mut out = Text::default();
    let printer = Printer::new(deep, value.site);
    printer.top(value, &mut out);
    if through_pointers { printer.unless_unreadable(value, out) } else { out.finish(value.site) }
}

/// The text of `$$vars` and its like; `None` if the expression is none of these.
pub fn list(scope: &CodeScope<'_>, request: &Request<'_>) -> Option<Result<Expr, Box<Diagnostic>>> {
    let TargetBase::Variable(name) = &request.target.base else { return None };
    let wanted: fn(VariableKind) -> bool = match name.as_str() {
        "$vars" => |_| true,
        "$locals" => |kind| kind != VariableKind::Parameter,
        "$parms" => |kind| kind == VariableKind::Parameter,
        "$return" => |_| false,
        _ => return None,
    };
    if !scope.has_function() {
        return Some(Err(messages::no_variable(scope, name, request.span)));
    }
    let site = request.site;
    let mut out = Text::default();
    if name == "$return" {
        if let Some(returned) = scope.returned(site, request.kept.as_ref()) {
            list_item("return", &returned, request, &mut out);
        }
        return Some(Ok(out.finish(site)));
    }
    let variables = scope.locals().iter().filter(|variable| wanted(variable.kind));
    for variable in variables {
        list_item(variable.name, &scope.value(variable, site), request, &mut out);
    }
    Some(Ok(out.finish(site)))
}

fn list_item(name: &str, value: &Value<'_>, request: &Request<'_>, out: &mut Text) {
    let blank = if out.is_empty() { "" } else { " " };
    out.literal(&format!("{blank}{name}="));
    match request.target.pretty {
        0 => plain(value, out),
        pretty => Printer::new(pretty > 1, value.site).top(value, out),
    }
}

/// A value in `$$vars`: as a number in hexadecimal.
fn plain(value: &Value<'_>, out: &mut Text) {
    match value.resolved().map(|(_, ty)| ty) {
        Ok(Type::Record { .. }) => out.literal("{...}"),
        Ok(Type::Array { .. }) => out.literal("[...]"),
        Ok(_) => match value.read() {
            Ok(read) => out.hex(read),
            Err(_) => out.literal("?"),
        },
        Err(_) => out.literal("?"),
    }
}

/// The name of the value, or the number where none has it; `id` is free for a `with`.
pub fn enumerator(value: Expr, id: u32, names: &[Enumerator<'_>], signed: bool, site: SiteId) -> Expr {
    let mut digits = Text::default();
    digits.convert(if signed { conversion::SIGNED } else { conversion::UNSIGNED }, 0, bound(id));
    let mut names = names.to_vec();
    // Of several names for a value the first counts.
    names.sort_by_key(|name| name.value);
    names.dedup_by_key(|name| name.value);
    let cases = names.iter().map(|name| (name.value, number(1))).collect();
    let is_named = choose(bound(id), cases, number(0));
    with(id, value, select(is_named, one_of(&names, &bound(id)), digits.finish(site)))
}

/// The name of a value that has one; the numbers of the names rise. By halves: an enumeration may have thousands of
/// names, and what walks over expressions is recursive.
fn one_of(names: &[Enumerator<'_>], value: &Expr) -> Expr {
    match names {
        [] => text(""),
        [name] => text(name.name),
        _ => {
            let (low, high) = names.split_at(names.len() / 2);
            let is_low = compare(CompareOp::Lt, value.clone(), number(high[0].value));
            select(is_low, one_of(low, value), one_of(high, value))
        }
    }
}

/// A format that is being put together.
#[derive(Default)]
pub(super) struct Text {
    directives: Vec<Directive>,
    args: Vec<Expr>,
}

impl Text {
    fn is_empty(&self) -> bool {
        self.directives.is_empty()
    }

    pub(super) fn literal(&mut self, text: &str) {
        match self.directives.last_mut() {
            Some(Directive::Literal(last)) => last.extend_from_slice(text.as_bytes()),
            _ => self.directives.push(Directive::Literal(text.as_bytes().to_vec())),
        }
    }

    pub(super) fn convert(&mut self, conversion: u8, flags: u8, value: Expr) {
        self.directives.push(Directive::Conversion { conversion, flags, width: UNSET, precision: UNSET });
        self.args.push(value);
    }

    fn hex(&mut self, value: Expr) {
        self.literal("0x");
        self.convert(conversion::HEX, 0, value);
    }

    pub(super) fn finish(self, site: SiteId) -> Expr {
        match self.directives.as_slice() {
            [] => text(""),
            _ => string(ExprKind::Format(Format { directives: self.directives, args: self.args }, site)),
        }
    }
}

/// Puts values into a format.
#[derive(Clone, Copy)]
pub(super) struct Printer {
    pub(super) deep: bool,
    pub(super) site: SiteId,
    /// Whether this is inside a value of a type that only the program knows.
    pub(super) in_dynamic: bool,
    /// The first number that no `with` round here has taken.
    free: u32,
}

impl Printer {
    fn new(deep: bool, site: SiteId) -> Printer {
        Printer { deep, site, in_dynamic: false, free: 0 }
    }

    /// For what is inside a `with` or two, and their numbers.
    pub(super) fn below(self, count: u32) -> (Printer, u32, u32) {
        (Printer { free: self.free + count, ..self }, self.free, self.free + 1)
    }

    /// For what is in a value of a type that only the program knows.
    pub(super) fn in_dynamic(self) -> Printer {
        Printer { in_dynamic: true, ..self }
    }

    /// The value that was asked for; pointers are followed.
    fn top(self, value: &Value<'_>, out: &mut Text) {
        let Ok((_, ty)) = value.resolved() else { return out.literal("?") };
        match ty {
            Type::Pointer { .. } if container::contents(value).is_some() => self.inner(value, 0, true, out),
            Type::Pointer { to, .. } => self.top_pointer(value, to, out),
            Type::Reference { .. } => match value.clone().referred() {
                Ok(referred) => self.inner(&referred, 0, true, out),
                Err(_) => out.literal("?"),
            },
            _ => self.inner(value, 0, true, out),
        }
    }

    fn top_pointer(self, value: &Value<'_>, to: TypeId, out: &mut Text) {
        let Ok(pointer) = value.read() else { return out.literal("?") };
        let module = value.binary.module();
        let pointee = module.resolve_type(to).and_then(|id| module.type_of(id));
        match pointee {
            Ok(Type::Base { .. }) if is_character(value, to) => self.quoted(pointer, STRING_BYTES, out),
            Ok(Type::Base { .. } | Type::Enum { .. }) => out.convert(conversion::UNSIGNED, 0, pointer),
            Ok(Type::Function { .. }) => {
                out.literal("<function>:");
                out.hex(pointer);
            }
            Ok(Type::Record { .. }) => match value.clone().element(number(0)) {
                Ok(record) => {
                    let mut inside = Text::default();
                    self.inner(&record, 0, true, &mut inside);
                    out.convert(conversion::STRING, 0, self.unless_unreadable(&record, inside));
                }
                Err(_) => out.hex(pointer),
            },
            _ => out.hex(pointer),
        }
    }

    /// The text, or `ERROR` where the value's memory cannot be read.
    pub(super) fn unless_unreadable(self, value: &Value<'_>, shown: Text) -> Expr {
        let shown = shown.finish(self.site);
        match (&value.spot, value.address()) {
            (Spot::Memory(_), Ok(address)) => {
                let size = value.binary.module().size_of(value.ty).unwrap_or(1);
                if size == 0 {
                    return shown;
                }
                let args = vec![address, number(i64::try_from(size).unwrap_or(i64::MAX))];
                select(call(Builtin::user_readable, args, self.site), shown, text("ERROR"))
            }
            _ => shown,
        }
    }

    /// A value that is not followed; `open` says whether records and arrays are shown inside.
    pub(super) fn inner(self, value: &Value<'_>, depth: u32, open: bool, out: &mut Text) {
        let Ok((id, ty)) = value.resolved() else { return out.literal("?") };
        if depth <= MAX_DEPTH
            && let Some(contents) = container::contents(value)
        {
            return self.contents(value, contents, depth, open, out);
        }
        match ty {
            Type::Record { variants: Some(variants), .. } if depth <= MAX_DEPTH => {
                self.variant(value, &variants, depth, open, out);
            }
            Type::Record { .. } if !open || depth > MAX_DEPTH => out.literal("{...}"),
            Type::Record { .. } => self.record(value, id, depth, out),
            Type::Array { .. } if !open || depth > MAX_DEPTH => out.literal("[...]"),
            Type::Array { element, counts, .. } => self.array(value, element, &counts, depth, out),
            Type::Base { encoding: Encoding::Float, .. } => self.float(value, out),
            Type::Base { encoding: Encoding::ComplexFloat, size, .. } => self.complex(value, size, out),
            Type::Enum { enumerators, signed, .. } if enumerators.len() <= MAX_ENUMERATORS => {
                self.enumerator(value, &enumerators, signed, out);
            }
            Type::Pointer { to, .. } if is_character(value, to) => match value.read() {
                Ok(pointer) => self.quoted(pointer, STRING_BYTES, out),
                Err(_) => out.literal("?"),
            },
            Type::Pointer { .. } | Type::MemberPointer { .. } => self.number(value, None, out),
            Type::Reference { .. } => match value.bits(value.from, 64, false) {
                Ok(address) => out.hex(address),
                Err(_) => out.literal("?"),
            },
            _ if is_character(value, value.ty) => match value.read() {
                Ok(read) => {
                    out.literal("'");
                    out.convert(conversion::CHAR, flag::ALTERNATE, read);
                    out.literal("'");
                }
                Err(_) => out.literal("?"),
            },
            Type::Base { size: 16, encoding: encoding @ (Encoding::Signed | Encoding::Unsigned), .. } => {
                self.wide(value, encoding == Encoding::Signed, out);
            }
            Type::Base { encoding: Encoding::Signed, .. } | Type::Enum { signed: true, .. } => {
                self.number(value, Some(conversion::SIGNED), out);
            }
            _ => self.number(value, Some(conversion::UNSIGNED), out),
        }
    }

    /// `{.x=1, .y=2}`
    pub(super) fn record(self, value: &Value<'_>, id: TypeId, depth: u32, out: &mut Text) {
        out.literal("{");
        let mut first = true;
        self.members(value, id, depth, &mut first, out);
        out.literal("}");
    }

    fn float(self, value: &Value<'_>, out: &mut Text) {
        match value.read() {
            Ok(bits) => {
                out.convert(conversion::STRING, 0, call_string(Builtin::fp_text, vec![bits], self.site))
            }
            Err(_) => out.literal("?"),
        }
    }

    /// An integer of 128 bits.
    fn wide(self, value: &Value<'_>, signed: bool, out: &mut Text) {
        let half = |at: u64| value.bits(value.from + at, 64, false);
        let (Ok(low), Ok(high)) = (half(0), half(64)) else { return out.literal("?") };
        let args = vec![low, high, number(signed.into())];
        out.convert(conversion::STRING, 0, call_string(Builtin::wide_text, args, self.site));
    }

    /// `1.5+2.0i`
    fn complex(self, value: &Value<'_>, size: u64, out: &mut Text) {
        let half = |at: u64| match size {
            16 => value.bits(value.from + at, 64, false),
            8 => {
                let float = value.bits(value.from + at / 2, 32, false)?;
                Ok(call(Builtin::fp32_to_fp64, vec![float], self.site))
            }
            _ => Err(ValueError::Unavailable(String::new())),
        };
        let (Ok(real), Ok(imaginary)) = (half(0), half(64)) else { return out.literal("?") };
        for (part, after) in [(real, "+"), (imaginary, "i")] {
            out.convert(conversion::STRING, 0, call_string(Builtin::fp_text, vec![part], self.site));
            out.literal(after);
        }
    }

    fn enumerator(self, value: &Value<'_>, names: &[Enumerator<'_>], signed: bool, out: &mut Text) {
        let Ok(read) = value.read() else { return out.literal("?") };
        let (_, id, _) = self.below(1);
        out.convert(conversion::STRING, 0, enumerator(read, id, names, signed, self.site));
    }

    fn number(self, value: &Value<'_>, form: Option<u8>, out: &mut Text) {
        match (value.read(), form) {
            (Ok(read), Some(form)) => out.convert(form, 0, read),
            (Ok(read), None) => out.hex(read),
            (Err(_), _) => out.literal("?"),
        }
    }

    /// `.name=value` of a record's own members, then of its base classes.
    fn members(self, record: &Value<'_>, id: TypeId, depth: u32, first: &mut bool, out: &mut Text) {
        let Ok(Type::Record { members, .. }) = record.binary.module().type_of(id) else { return };
        for member in members.iter().filter(|member| !member.base_class && !is_vtable(member)) {
            if !std::mem::take(first) {
                out.literal(", ");
            }
            self.member(record, member, depth, out);
        }
        for base in members.iter().filter(|member| member.base_class) {
            if let Ok(part) = record.clone().part(base)
                && let Ok((id, _)) = part.resolved()
                && depth <= MAX_DEPTH
            {
                self.members(&part, id, depth + 1, first, out);
            }
        }
    }

    fn member(self, record: &Value<'_>, member: &Member<'_>, depth: u32, out: &mut Text) {
        let part = record.clone().part(member);
        match (member.name, part.as_ref().map(Value::resolved)) {
            (Some(name), _) => out.literal(&format!(".{name}=")),
            (None, Ok(Ok((_, Type::Record { kind: RecordKind::Union, .. })))) => out.literal("<union>="),
            (None, _) => out.literal("<struct>="),
        }
        match part {
            Ok(part) => self.inner(&part, depth + 1, self.deep, out),
            Err(_) => out.literal("?"),
        }
    }

    /// A string, or the first element.
    fn array(self, array: &Value<'_>, element: TypeId, counts: &[Option<u64>], depth: u32, out: &mut Text) {
        if is_character(array, element) && counts.len() == 1 {
            let size = counts.first().copied().flatten().and_then(|count| i64::try_from(count).ok());
            return match array.address() {
                Ok(address) => self.quoted(address, size.unwrap_or(STRING_BYTES), out),
                Err(_) => out.literal("?"),
            };
        }
        if counts.contains(&Some(0)) && counts.len() > 1 {
            return out.literal("[]");
        }
        out.literal("[");
        match array.clone().element(number(0)) {
            Ok(first) if array.is_descriptor() => {
                let mut inside = Text::default();
                self.inner(&first, depth + 1, self.deep, &mut inside);
                out.convert(conversion::STRING, 0, self.unless_unreadable(&first, inside));
            }
            Ok(first) => self.inner(&first, depth + 1, self.deep, out),
            Err(_) => out.literal("?"),
        }
        out.literal(", ...]");
    }

    /// The string at an address, in quotes; the address if there is none.
    fn quoted(self, address: Expr, bytes: i64, out: &mut Text) {
        let args = vec![address, number(bytes)];
        out.convert(conversion::STRING, 0, call_string(Builtin::user_string_quoted, args, self.site));
    }
}

/// Whether a member is the pointer that C++ compilers add to classes with virtual functions.
fn is_vtable(member: &Member<'_>) -> bool {
    member.name.is_some_and(|name| name.starts_with("_vptr"))
}

/// Whether a type is a character of one byte, signed or not.
fn is_character(value: &Value<'_>, ty: TypeId) -> bool {
    let module = value.binary.module();
    let resolved = module.resolve_type(ty).and_then(|id| module.type_of(id));
    matches!(
        resolved,
        Ok(Type::Base {
            encoding: Encoding::SignedChar | Encoding::UnsignedChar | Encoding::Utf,
            size: 1,
            ..
        })
    )
}
