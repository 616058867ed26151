//! Containers and variants as text, for pretty printing: a bounded number of elements, each read only if it is there.

use rstap_abi::builtins::Builtin;
use rstap_abi::format::conversion;
use rstap_debuginfo::{Member, Type, TypeId, Variant, Variants};

use super::{Contents, Next, Nodes, Place, next_node};
use crate::ir::{BinaryOp, CompareOp, Expr, SiteId};
use crate::target_var::build::{
    add, binary, bound, call, call_string, compare, load, multiply, number, select, text, with,
};
use crate::target_var::location::Spot;
use crate::target_var::pretty::{Printer, Text};
use crate::target_var::value::Value;

/// Elements shown of a container.
const MAX_ELEMENTS: u32 = 8;

impl Printer {
    /// What a container holds. Closed ones are only hinted at, but texts are always shown.
    pub(in crate::target_var) fn contents(
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
            Contents::Row { .. } | Contents::Blocks { .. } | Contents::Bits { .. } | Contents::Nodes(_)
                if !open =>
            {
                out.literal("[...]");
            }
            Contents::Row { start, count, element } => {
                out.convert(conversion::STRING, 0, self.row(whole, start, count, element, depth));
            }
            Contents::Blocks { blocks, each, first, count, element } => {
                let shown = self.blocks(whole, (blocks, each, first), count, element, depth);
                out.convert(conversion::STRING, 0, shown);
            }
            Contents::Bits { start, first, count } => {
                out.convert(conversion::STRING, 0, self.bits(start, first, count));
            }
            Contents::Nodes(nodes) => {
                out.convert(conversion::STRING, 0, self.nodes(whole, nodes, depth));
            }
            Contents::Fields(_) if !open => out.literal("(...)"),
            Contents::Fields(fields) => {
                out.literal("(");
                for (index, field) in fields.iter().enumerate() {
                    out.literal(if index == 0 { "" } else { ", " });
                    self.inner(field, depth + 1, self.deep, out);
                }
                out.literal(")");
            }
            Contents::OneOf { index, values } => {
                let (inner, which, _) = self.below(1);
                let mut shown = text("none");
                for (number_of, value) in (0..).zip(&values) {
                    let mut one = Text::default();
                    inner.inner(value, depth + 1, open, &mut one);
                    let is = compare(CompareOp::Eq, bound(which), number(number_of));
                    shown = select(is, one.finish(self.site), shown);
                }
                out.convert(conversion::STRING, 0, with(which, index, shown));
            }
            Contents::Perhaps { there, value } => {
                let mut inside = Text::default();
                self.inner(&value, depth + 1, open, &mut inside);
                let inside = self.unless_unreadable(&value, inside);
                out.convert(conversion::STRING, 0, select(there, inside, text("none")));
            }
            Contents::Dynamic { .. } if !open || self.in_dynamic => out.literal("{...}"),
            Contents::Dynamic { tag, types } => {
                out.convert(conversion::STRING, 0, self.dynamic(whole, tag, types, depth));
            }
            Contents::Owned(value) => {
                let mut inside = Text::default();
                self.inner(&value, depth + 1, open, &mut inside);
                out.convert(conversion::STRING, 0, self.unless_unreadable(&value, inside));
            }
        }
    }

    /// `Circle{.radius=2.5}`, `i32(5)`; as it is where the type is none of those known. Values like it inside are only hinted
    /// at: each type can be in each other one.
    fn dynamic(
        self,
        whole: &Value<'_>,
        tag: Expr,
        types: Vec<(Expr, String, Value<'_>)>,
        depth: u32,
    ) -> Expr {
        let (inner, which, _) = self.below(1);
        let inner = inner.in_dynamic();
        let mut unknown = Text::default();
        match whole.resolved() {
            Ok((id, _)) => inner.record(whole, id, depth, &mut unknown),
            Err(_) => unknown.literal("?"),
        }
        let unknown = unknown.finish(self.site);
        let shown = types.into_iter().rev().fold(unknown, |others, (tag, name, value)| {
            let record = record_of(&value);
            let (before, after) = if record.is_some() { ("", "") } else { ("(", ")") };
            let value = record.unwrap_or(value);
            let mut inside = Text::default();
            inner.inner(&value, depth + 1, true, &mut inside);
            let mut one = Text::default();
            one.literal(&format!("{name}{before}"));
            one.convert(conversion::STRING, 0, self.unless_unreadable(&value, inside));
            one.literal(after);
            select(compare(CompareOp::Eq, bound(which), tag), one.finish(self.site), others)
        });
        with(which, tag, select(bound(which), shown, text("none")))
    }

    /// `[1, 2, 3]`
    fn row(self, whole: &Value<'_>, start: Expr, count: Expr, element: TypeId, depth: u32) -> Expr {
        let Some(size) = bytes_of(whole, element) else { return text("?") };
        let (inner, first, total) = self.below(2);
        let site = self.site;
        let shown = self.listed(total, |index| {
            let address = add(bound(first), number(index * size), site);
            let mut one = Text::default();
            inner.inner(&whole.elsewhere(Spot::Memory(address), element), depth + 1, self.deep, &mut one);
            one.finish(site)
        });
        let bytes = multiply(shown_of(total), size, site);
        let readable = call(Builtin::user_readable, vec![bound(first), bytes], site);
        let shown = select(readable, shown, text("ERROR"));
        with(first, start, with(total, count, unless_empty(total, shown)))
    }

    /// The same of elements in blocks.
    fn blocks(
        self,
        whole: &Value<'_>,
        (blocks, each, first): (Expr, Expr, Expr),
        count: Expr,
        element: TypeId,
        depth: u32,
    ) -> Expr {
        let Some(size) = bytes_of(whole, element) else { return text("?") };
        let (inner, blocks_id, each_id) = self.below(5);
        let (first_id, total, slot) = (each_id + 1, each_id + 2, each_id + 3);
        let site = self.site;
        let readable =
            |address: Expr, size: i64| call(Builtin::user_readable, vec![address, number(size)], site);
        let shown = self.listed(total, |index| {
            let position = add(bound(first_id), number(index), site);
            let block = binary(BinaryOp::Div, position.clone(), bound(each_id), site);
            let within = binary(BinaryOp::Mod, position, bound(each_id), site);
            let block = add(bound(blocks_id), multiply(block, 8, site), site);
            let start = load(block.clone(), 8, false, site);
            let address = add(start, multiply(within, size, site), site);
            let mut one = Text::default();
            let value = whole.elsewhere(Spot::Memory(bound(slot)), element);
            inner.inner(&value, depth + 1, self.deep, &mut one);
            let one = select(readable(bound(slot), size), one.finish(site), text("ERROR"));
            select(readable(block, 8), with(slot, address, one), text("ERROR"))
        });
        // Memory that is no container yet may have blocks of no elements.
        let sound = compare(CompareOp::Gt, bound(each_id), number(0));
        let shown = select(sound, unless_empty(total, shown), text("ERROR"));
        with(blocks_id, blocks, with(each_id, each, with(first_id, first, with(total, count, shown))))
    }

    /// `[1, 0, 1]`
    fn bits(self, start: Expr, first: Expr, count: Expr) -> Expr {
        let (_, start_id, first_id) = self.below(3);
        let total = first_id + 1;
        let site = self.site;
        let shown = self.listed(total, |index| {
            let position = add(bound(first_id), number(index), site);
            let byte = binary(BinaryOp::ShiftRight, position.clone(), number(3), site);
            let byte = load(add(bound(start_id), byte, site), 1, false, site);
            let within = binary(BinaryOp::And, position, number(7), site);
            let bit = binary(BinaryOp::ShiftRight, byte, within, site);
            let mut one = Text::default();
            one.convert(conversion::UNSIGNED, 0, binary(BinaryOp::And, bit, number(1), site));
            one.finish(site)
        });
        let bits = add(add(bound(first_id), shown_of(total), site), number(7), site);
        let bytes = binary(BinaryOp::ShiftRight, bits, number(3), site);
        let readable = call(Builtin::user_readable, vec![bound(start_id), bytes], site);
        let shown = unless_empty(total, select(readable, shown, text("ERROR")));
        with(start_id, start, with(first_id, first, with(total, count, shown)))
    }

    /// The first elements, of which there are as many as `total` is bound to, in brackets.
    fn listed(self, total: u32, show: impl Fn(i64) -> Expr) -> Expr {
        let mut shown = Text::default();
        shown.literal("[");
        for index in 0..i64::from(MAX_ELEMENTS) {
            let mut one = Text::default();
            one.literal(if index == 0 { "" } else { ", " });
            one.convert(conversion::STRING, 0, show(index));
            let there = compare(CompareOp::Gt, bound(total), number(index));
            shown.convert(conversion::STRING, 0, select(there, one.finish(self.site), text("")));
        }
        let more = compare(CompareOp::Gt, bound(total), number(MAX_ELEMENTS.into()));
        shown.convert(conversion::STRING, 0, select(more, text(", ..."), text("")));
        shown.literal("]");
        shown.finish(self.site)
    }

    /// `[1, 2, 3]`, or `{[1]=2}` of pairs.
    fn nodes(self, whole: &Value<'_>, nodes: Nodes, depth: u32) -> Expr {
        let (inner, total, node) = self.below(3);
        let base = node + 1;
        let Nodes { first, count, next, place, size, element } = nodes;
        let (base_address, place) = match place {
            Place::Inside(offset) => (number(0), BoundPlace::Inside(offset)),
            Place::Before { base: address, size, offset } => {
                (address, BoundPlace::Before { base, size, offset })
            }
            Place::Rows { keys, values, base } => (number(0), BoundPlace::Rows { keys, values, base }),
        };
        let walk = Walk { whole, next, place, size, element };
        let pairs = walk.has_pairs();
        let mut shown = Text::default();
        shown.literal(if pairs { "{" } else { "[" });
        let rest = inner.nodes_from(&walk, 0, total, node, depth);
        let some = compare(CompareOp::Gt, bound(total), number(0));
        shown.convert(conversion::STRING, 0, select(some, with(node, first, rest), text("")));
        shown.literal(if pairs { "}" } else { "]" });
        with(total, count, with(base, base_address, shown.finish(self.site)))
    }

    /// The elements from the node `node` on.
    fn nodes_from(self, walk: &Walk<'_, '_>, index: u32, total: u32, node: u32, depth: u32) -> Expr {
        let more = compare(CompareOp::Gt, bound(total), number(index.into()));
        if index == MAX_ELEMENTS {
            return select(more, text(", ..."), text(""));
        }
        let (inner, next, _) = self.below(1);
        let site = self.site;
        let mut shown = Text::default();
        shown.literal(if index == 0 { "" } else { ", " });
        match walk.held(node, site) {
            Held::Pair(key, value) => {
                for (before, part) in [("[", key), ("]=", value)] {
                    shown.literal(before);
                    inner.inner(&part, depth + 1, self.deep, &mut shown);
                }
            }
            Held::One(element) => inner.inner(&element, depth + 1, self.deep, &mut shown),
        }
        let rest = inner.nodes_from(walk, index + 1, total, next, depth);
        let last = compare(CompareOp::Le, bound(total), number(i64::from(index) + 1));
        let following = with(next, next_node(bound(node), &walk.next, Some(index), site), rest);
        shown.convert(conversion::STRING, 0, select(last, text(""), following));
        let (start, size) = walk.read_first(node, site);
        let readable = call(Builtin::user_readable, vec![start, number(size.cast_signed())], site);
        select(more, select(readable, shown.finish(site), text("ERROR")), text(""))
    }

    /// The variant that a Rust enum has: `Some(1)`, `Circle{.radius=2.5}`, `None`.
    pub(in crate::target_var) fn variant(
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

/// Nodes that are walked over.
struct Walk<'v, 'd> {
    whole: &'v Value<'d>,
    next: Next,
    place: BoundPlace,
    size: u64,
    element: TypeId,
}

/// [`Place`], with the number that its address is bound to.
#[derive(Clone, Copy)]
enum BoundPlace {
    Inside(u64),
    Before { base: u32, size: u64, offset: u64 },
    Rows { keys: u64, values: Option<(u64, TypeId)>, base: i64 },
}

/// What is in a node.
enum Held<'d> {
    One(Value<'d>),
    Pair(Value<'d>, Value<'d>),
}

impl<'d> Walk<'_, 'd> {
    /// Whether what is in a node is a pair of key and value.
    fn has_pairs(&self) -> bool {
        match self.place {
            BoundPlace::Rows { values, .. } => values.is_some(),
            _ => self.pair().is_some(),
        }
    }

    fn held(&self, node: u32, site: SiteId) -> Held<'d> {
        let at = |address, ty| self.whole.elsewhere(Spot::Memory(address), ty);
        if let BoundPlace::Rows { keys, values, base } = self.place {
            let nth = |offset, ty| at(self.in_row(node, offset, ty, base, site), ty);
            let key = nth(keys, self.element);
            return match values {
                Some((offset, ty)) => Held::Pair(key, nth(offset, ty)),
                None => Held::One(key),
            };
        }
        let element = at(self.address(node, site), self.element);
        let part = |member: &Member<'_>| element.clone().part(member).ok();
        match self.pair().and_then(|(key, value)| Some((part(&key)?, part(&value)?))) {
            Some((key, value)) => Held::Pair(key, value),
            None => Held::One(element),
        }
    }

    /// The memory that has to be there for the element and the next node to be read: its address and how many bytes.
    fn read_first(&self, node: u32, site: SiteId) -> (Expr, u64) {
        match self.place {
            BoundPlace::Inside(_) => (bound(node), self.size),
            BoundPlace::Before { size, .. } => (self.address(node, site), size),
            BoundPlace::Rows { .. } => (node_of(node, site), self.size),
        }
    }

    /// The address of a node's element.
    fn address(&self, node: u32, site: SiteId) -> Expr {
        match self.place {
            BoundPlace::Inside(offset) => add(bound(node), number(offset.cast_signed()), site),
            BoundPlace::Before { base, size, offset } => {
                let index = binary(BinaryOp::Sub, bound(base), bound(node), site);
                let end = multiply(index, size.cast_signed(), site);
                let within = offset.cast_signed().wrapping_sub(size.cast_signed());
                add(bound(base), add(end, number(within), site), site)
            }
            BoundPlace::Rows { keys, base, .. } => self.in_row(node, keys, self.element, base, site),
        }
    }

    /// The address of a cursor's element in the row at `offset`.
    fn in_row(&self, node: u32, offset: u64, ty: TypeId, base: i64, site: SiteId) -> Expr {
        let size = bytes_of(self.whole, ty).unwrap_or(0);
        let index = binary(BinaryOp::UnsignedShiftRight, bound(node), number(CURSOR_INDEX), site);
        let index = binary(BinaryOp::And, index, number(0xff), site);
        let start = add(node_of(node, site), number(offset.cast_signed() - base * size), site);
        add(start, multiply(index, size, site), site)
    }

    /// The members of an element that is a pair of key and value.
    fn pair(&self) -> Option<(Member<'d>, Member<'d>)> {
        let module = self.whole.binary.module();
        let record = module.resolve_type(self.element).ok()?;
        let Ok(Type::Record { name: Some(name), .. }) = module.type_of(record) else { return None };
        let names = if name.starts_with("pair<") {
            ["first", "second"]
        } else if matches!(self.next, Next::Byte) && name.starts_with('(') {
            ["__0", "__1"]
        } else {
            return None;
        };
        let [first, second] = names.map(|name| module.find_member(record, name).ok()??.pop());
        Some((first?, second?))
    }
}

/// Where a cursor has its number ([`Builtin::btree_next`]).
const CURSOR_INDEX: i64 = 48;

/// The address of a cursor's node.
fn node_of(cursor: u32, site: SiteId) -> Expr {
    binary(BinaryOp::And, bound(cursor), number((1 << CURSOR_INDEX) - 1), site)
}

/// The record that a value is or points to, if it is shown in braces.
fn record_of<'d>(value: &Value<'d>) -> Option<Value<'d>> {
    let record = match value.resolved().ok()?.1 {
        Type::Pointer { .. } => value.clone().element(number(0)).ok()?,
        _ => value.clone(),
    };
    let in_braces = matches!(record.resolved(), Ok((_, Type::Record { variants: None, .. })));
    (in_braces && super::contents(&record).is_none()).then_some(record)
}

fn bytes_of(whole: &Value<'_>, ty: TypeId) -> Option<i64> {
    whole.binary.module().size_of(ty).and_then(|size| i64::try_from(size).ok())
}

/// How many elements of so many are shown.
fn shown_of(total: u32) -> Expr {
    let all = compare(CompareOp::Lt, bound(total), number(MAX_ELEMENTS.into()));
    select(all, bound(total), number(MAX_ELEMENTS.into()))
}

fn unless_empty(total: u32, shown: Expr) -> Expr {
    select(compare(CompareOp::Le, bound(total), number(0)), text("[]"), shown)
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
