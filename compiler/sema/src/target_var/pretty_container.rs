//! Containers and variants as text, for pretty printing: a bounded number of elements, each read only if it is there.

use rstap_abi::builtins::Builtin;
use rstap_abi::format::conversion;
use rstap_debuginfo::{Member, Type, TypeId, Variant, Variants};

use super::build::{add, bound, call, call_string, compare, multiply, number, select, text, with};
use super::container::{Contents, Next, next_node};
use super::location::Spot;
use super::pretty::{Printer, Text};
use super::value::Value;
use crate::ir::{CompareOp, Expr};

/// Elements shown of a container.
const MAX_ELEMENTS: u32 = 8;

/// Nodes of a container that are walked over.
struct Nodes<'v, 'd> {
    whole: &'v Value<'d>,
    next: Next,
    offset: u64,
    size: u64,
    element: TypeId,
}

impl Printer {
    /// What a container holds. Closed ones are only hinted at, but texts are always shown.
    pub(super) fn contents(
        self,
        whole: &Value<'_>,
        contents: Contents<'_>,
        depth: u32,
        open: bool,
        out: &mut Text,
    ) {
        match contents {
            Contents::Text { start, len } => {
                out.convert(
                    conversion::STRING,
                    0,
                    call_string(Builtin::user_text_quoted, vec![start, len], self.site),
                );
            }
            Contents::Row { .. } | Contents::Nodes { .. } if !open => out.literal("[...]"),
            Contents::Row { start, count, element } => {
                let shown = self.row(whole, start, count, element, depth);
                out.convert(conversion::STRING, 0, shown);
            }
            Contents::Nodes { first, count, next, offset, size, element } => {
                let nodes = Nodes { whole, next, offset, size, element };
                let shown = self.nodes(&nodes, first, count, depth);
                out.convert(conversion::STRING, 0, shown);
            }
            Contents::Perhaps { there, value } => {
                let mut inside = Text::default();
                self.inner(&value, depth + 1, open, &mut inside);
                let inside = self.unless_unreadable(&value, inside);
                out.convert(conversion::STRING, 0, select(there, inside, text("none")));
            }
            Contents::Owned(value) => {
                let mut inside = Text::default();
                self.inner(&value, depth + 1, open, &mut inside);
                out.convert(conversion::STRING, 0, self.unless_unreadable(&value, inside));
            }
        }
    }

    /// `[1, 2, 3]`
    fn row(self, whole: &Value<'_>, start: Expr, count: Expr, element: TypeId, depth: u32) -> Expr {
        let Some(size) = whole.binary.module().size_of(element).and_then(|size| i64::try_from(size).ok())
        else {
            return text("?");
        };
        let (inner, first, total) = self.below(2);
        let site = self.site;
        let mut shown = Text::default();
        shown.literal("[");
        for index in 0..MAX_ELEMENTS {
            let index = i64::from(index);
            let address = add(bound(first), multiply(number(index), size, site), site);
            let element = whole.elsewhere(Spot::Memory(address), element);
            let mut one = Text::default();
            one.literal(if index == 0 { "" } else { ", " });
            inner.inner(&element, depth + 1, self.deep, &mut one);
            let there = compare(CompareOp::Gt, bound(total), number(index));
            shown.convert(conversion::STRING, 0, select(there, one.finish(site), text("")));
        }
        let more = compare(CompareOp::Gt, bound(total), number(MAX_ELEMENTS.into()));
        shown.convert(conversion::STRING, 0, select(more, text(", ..."), text("")));
        shown.literal("]");
        let none = compare(CompareOp::Le, bound(total), number(0));
        let seen = compare(CompareOp::Lt, bound(total), number(MAX_ELEMENTS.into()));
        let bytes = multiply(select(seen, bound(total), number(MAX_ELEMENTS.into())), size, site);
        let readable = call(Builtin::user_readable, vec![bound(first), bytes], site);
        let shown = select(readable, shown.finish(site), text("ERROR"));
        with(first, start, with(total, count, select(none, text("[]"), shown)))
    }

    /// `[1, 2, 3]`, or `{[1]=2}` of pairs.
    fn nodes(self, nodes: &Nodes<'_, '_>, first: Expr, count: Expr, depth: u32) -> Expr {
        let (inner, total, node) = self.below(2);
        let pairs = self.pair(nodes).is_some();
        let mut shown = Text::default();
        shown.literal(if pairs { "{" } else { "[" });
        let rest = inner.nodes_from(nodes, 0, total, node, depth);
        shown.convert(conversion::STRING, 0, with(node, first, rest));
        shown.literal(if pairs { "}" } else { "]" });
        with(total, count, shown.finish(self.site))
    }

    /// The elements from the node `node` on.
    fn nodes_from(self, nodes: &Nodes<'_, '_>, index: u32, total: u32, node: u32, depth: u32) -> Expr {
        let more = compare(CompareOp::Gt, bound(total), number(index.into()));
        if index == MAX_ELEMENTS {
            return select(more, text(", ..."), text(""));
        }
        let (inner, next, _) = self.below(1);
        let site = self.site;
        let address = add(bound(node), number(nodes.offset.cast_signed()), site);
        let element = nodes.whole.elsewhere(Spot::Memory(address), nodes.element);
        let mut shown = Text::default();
        shown.literal(if index == 0 { "" } else { ", " });
        match self.pair(nodes) {
            Some((key, value)) => {
                for (before, part) in [("[", key), ("]=", value)] {
                    shown.literal(before);
                    match element.clone().part(&part) {
                        Ok(part) => inner.inner(&part, depth + 1, self.deep, &mut shown),
                        Err(_) => shown.literal("?"),
                    }
                }
            }
            None => inner.inner(&element, depth + 1, self.deep, &mut shown),
        }
        let rest = inner.nodes_from(nodes, index + 1, total, next, depth);
        let last = compare(CompareOp::Le, bound(total), number(i64::from(index) + 1));
        let following = with(next, next_node(bound(node), nodes.next, nodes.whole), rest);
        shown.convert(conversion::STRING, 0, select(last, text(""), following));
        let args = vec![bound(node), number(nodes.size.cast_signed())];
        let readable = call(Builtin::user_readable, args, site);
        select(more, select(readable, shown.finish(site), text("ERROR")), text(""))
    }

    /// The members of an element that is a pair of key and value.
    fn pair<'d>(self, nodes: &Nodes<'_, 'd>) -> Option<(Member<'d>, Member<'d>)> {
        let module = nodes.whole.binary.module();
        let record = module.resolve_type(nodes.element).ok()?;
        let Ok(Type::Record { name: Some(name), .. }) = module.type_of(record) else { return None };
        let member = |name| module.find_member(record, name).ok()??.pop();
        name.starts_with("pair<").then(|| Some((member("first")?, member("second")?)))?
    }

    /// The variant that a Rust enum has: `Some(1)`, `Circle{.radius=2.5}`, `None`.
    pub(super) fn variant(
        self,
        whole: &Value<'_>,
        variants: &Variants<'_>,
        depth: u32,
        open: bool,
        out: &mut Text,
    ) {
        let Some(member) = &variants.discriminant else {
            return match variants.variants.first() {
                Some(only) => self.one_variant(whole, only, depth, open, out),
                None => out.literal("{}"),
            };
        };
        let discriminant = whole.clone().part(member);
        let size = whole.binary.module().size_of(member.ty).unwrap_or(8).min(8);
        let Ok(discriminant) = discriminant.and_then(|part| part.bits(part.from, size * 8, false)) else {
            return out.literal("?");
        };
        let (inner, which, _) = self.below(1);
        let mut shown = text("?");
        let is_default = |variant: &&Variant<'_>| variant.values.is_empty();
        let (default, others): (Vec<_>, Vec<_>) = variants.variants.iter().partition(is_default);
        for variant in default.into_iter().chain(others) {
            let mut one = Text::default();
            inner.one_variant(whole, variant, depth, open, &mut one);
            let one = one.finish(self.site);
            shown = match variant.values.is_empty() {
                true => one,
                false => select(is_among(which, &variant.values, size), one, shown),
            };
        }
        out.convert(conversion::STRING, 0, with(which, discriminant, shown));
    }

    fn one_variant(self, whole: &Value<'_>, variant: &Variant<'_>, depth: u32, open: bool, out: &mut Text) {
        let Some(member) = variant.members.first() else { return out.literal("{}") };
        out.literal(member.name.unwrap_or("?"));
        let Ok(part) = whole.clone().part(member) else { return };
        let Ok((_, Type::Record { members, .. })) = part.resolved() else { return };
        let in_order = members.iter().any(|field| field.name.is_some_and(|name| name.starts_with("__")));
        let (before, after) = if in_order { ("(", ")") } else { ("{", "}") };
        if members.is_empty() {
            return;
        }
        out.literal(before);
        if open {
            for (index, field) in members.iter().enumerate() {
                out.literal(if index == 0 { "" } else { ", " });
                if let Some(name) = field.name.filter(|_| !in_order) {
                    out.literal(&format!(".{name}="));
                }
                match part.clone().part(field) {
                    Ok(value) => self.inner(&value, depth + 1, self.deep, out),
                    Err(_) => out.literal("?"),
                }
            }
        } else {
            out.literal("...");
        }
        out.literal(after);
    }
}

/// Whether a discriminant of so many bytes is among the values.
fn is_among(which: u32, values: &[(i64, i64)], size: u64) -> Expr {
    let cut = |value: i64| match size {
        8 => value,
        size => value & ((1i64 << (size * 8)) - 1),
    };
    let is = values.iter().map(|&(low, high)| {
        let (low, high) = (cut(low), cut(high));
        match low == high {
            true => compare(CompareOp::Eq, bound(which), number(low)),
            false => {
                let above = compare(CompareOp::Ge, bound(which), number(low));
                select(above, compare(CompareOp::Le, bound(which), number(high)), number(0))
            }
        }
    });
    is.reduce(|a, b| select(a, number(1), b)).unwrap_or_else(|| number(0))
}
