//! What the containers of the standard libraries of C++ (libstdc++, libc++), Rust and Go hold: recognised by the names of
//! their types and reached through members by name, as the debug information has them. Nothing is known of offsets; a
//! type that has not the members expected is shown as any other record.

mod gnu;
mod go;
mod llvm;
mod print;
mod rust;

use rstap_abi::builtins::Builtin;
use rstap_debuginfo::{Dynamic, Encoding, Kind, Module, Type, TypeId};

use super::build::{add, binary, call, load, number};
use super::location::{Spot, load_bias};
use super::value::Value;
use crate::ir::{BinaryOp, Expr, SiteId};

/// What a container holds.
pub enum Contents<'d> {
    /// So many bytes of text.
    Text {
        /// Address of the first.
        start: Expr,
        /// How many.
        len: Expr,
    },
    /// Elements one behind the other.
    Row {
        /// Address of the first.
        start: Expr,
        /// How many.
        count: Expr,
        /// Their type.
        element: TypeId,
    },
    /// Elements in blocks of equal length.
    Blocks {
        /// Address of the first of the blocks' addresses.
        blocks: Expr,
        /// Elements in a block.
        each: Expr,
        /// Which one of the first block is the first element.
        first: Expr,
        /// How many.
        count: Expr,
        /// Their type.
        element: TypeId,
    },
    /// Single bits.
    Bits {
        /// Address of the first word.
        start: Expr,
        /// Which bit of it is the first element.
        first: Expr,
        /// How many.
        count: Expr,
    },
    /// Elements in nodes.
    Nodes(Nodes),
    /// Values of different types, all of which are there.
    Fields(Vec<Value<'d>>),
    /// One of several values.
    OneOf {
        /// Which one; none with another index than those of the values.
        index: Expr,
        /// What it can be.
        values: Vec<Value<'d>>,
    },
    /// One value, or none.
    Perhaps {
        /// Not 0: there is one.
        there: Expr,
        /// The value.
        value: Value<'d>,
    },
    /// What a pointer points to that the container owns.
    Owned(Value<'d>),
    /// A value whose type only the program knows.
    Dynamic {
        /// What tells the types apart; 0 where there is no value.
        tag: Expr,
        /// The types that it can have: the tag, the type's name, the value.
        types: Vec<(Expr, String, Value<'d>)>,
    },
}

/// A container of nodes.
pub struct Nodes {
    /// Address of the first node.
    pub first: Expr,
    /// How many.
    pub count: Expr,
    /// How the next one is found.
    pub next: Next,
    /// Where the element of a node is.
    pub place: Place,
    /// Bytes of a node.
    pub size: u64,
    /// The elements' type.
    pub element: TypeId,
}

/// Where a node's element is.
pub enum Place {
    /// At this offset in the node.
    Inside(u64),
    /// Elsewhere: the n-th node after `base` stands for what ends n times `size` bytes before it.
    Before {
        /// Address of the node with number 0.
        base: Expr,
        /// Bytes from one element to the next one.
        size: u64,
        /// Where in these the element is.
        offset: u64,
    },
    /// A node is a cursor, as [`Builtin::btree_next`] has them: rows of keys and of values are at these offsets, and this
    /// is what the cursor's number counts from.
    Rows {
        /// The row of the elements, or of their keys.
        keys: u64,
        /// The row of their values, and the values' type.
        values: Option<(u64, TypeId)>,
        /// The number of the first one.
        base: i64,
    },
}

/// From a node to the next one.
#[derive(Clone)]
pub enum Next {
    /// Its address is at this offset.
    Link(u64),
    /// The next one in the order of a binary tree.
    Tree {
        /// Offsets of the addresses of its parent and its children.
        parent: u64,
        /// To smaller ones.
        left: u64,
        /// To larger ones.
        right: u64,
    },
    /// The next byte whose highest bit is clear.
    Byte,
    /// The next entry of a B-tree: what the builtin wants to know.
    BTree([i64; 4]),
    /// The n-th slot in use: what the builtin wants to know.
    Slot(Vec<Expr>),
}

/// What the value holds, if it is a container that is known.
pub fn contents<'d>(value: &Value<'d>) -> Option<Contents<'d>> {
    let (id, name) = match value.resolved().ok()? {
        (id, Type::Record { name: Some(name), .. }) => (id, name),
        (_, Type::Pointer { to, .. }) if value.binary.module().is_go() => return go::map_pointer(value, to),
        _ => return None,
    };
    let inside = Inside { value, id };
    match name.split('<').next()? {
        "basic_string" => inside.gnu_string().or_else(|| inside.llvm_string()),
        "basic_string_view" => {
            let names = [["_M_str", "_M_len"], ["__data_", "__size_"], ["__data", "__size"]];
            names.iter().find_map(|[start, len]| inside.text(&[start], &[len]))
        }
        "vector" => inside.gnu_vector().or_else(|| inside.llvm_vector()),
        "array" => inside.cpp_array(),
        "deque" => inside.gnu_deque().or_else(|| inside.llvm_deque()),
        "map" | "set" | "multimap" | "multiset" => inside.gnu_tree().or_else(|| inside.llvm_tree()),
        "unordered_map" | "unordered_set" | "unordered_multimap" | "unordered_multiset" => {
            inside.gnu_hash().or_else(|| inside.llvm_hash())
        }
        "list" => inside.gnu_list().or_else(|| inside.llvm_list()),
        "optional" => inside.cpp_optional(),
        "tuple" => inside.gnu_tuple().or_else(|| inside.llvm_tuple()),
        "variant" => inside.gnu_variant().or_else(|| inside.llvm_variant()),
        "unique_ptr" => {
            inside.owned(&[&["_M_t", "_M_t", "_M_head_impl"], &["__ptr_", "__value_"], &["__ptr_"]])
        }
        "shared_ptr" => inside.owned(&[&["_M_ptr"], &["__ptr_"]]),
        "BTreeMap" | "BTreeSet" => inside.rust_btree(),
        "hash" => inside.go_map(),
        "runtime.iface" | "runtime.eface" => inside.go_interface(),
        "String" => inside.rust_string(),
        "Vec" => inside.rust_vec(),
        "HashMap" | "HashSet" => inside.rust_hash(),
        "Rc" | "Arc" => inside.owned(&[&["ptr", "pointer"]]).or_else(|| inside.rust_counted_dyn()),
        "string" => inside.text(&["str"], &["len"]),
        _ if name.starts_with("[]") => inside.row_of(&["array"], &["len"]),
        _ => inside.rust_slice(name).or_else(|| inside.rust_dyn()),
    }
}

/// More types than a tuple or variant has.
const MAX_FIELDS: usize = 64;

/// Where a value can have more types than these, what tells its type is shown as it is.
const MAX_TYPES: usize = 64;

struct Inside<'v, 'd> {
    value: &'v Value<'d>,
    id: TypeId,
}

impl<'d> Inside<'_, 'd> {
    fn module(&self) -> &Module<'d> {
        self.value.binary.module()
    }

    /// The member at the end of a path of names.
    fn at(&self, path: &[&str]) -> Option<Value<'d>> {
        path.iter().try_fold(self.value.clone(), |value, name| value.member(name).ok())
    }

    /// The member at the end of the first of the paths that there is.
    fn any(&self, paths: &[&[&str]]) -> Option<Value<'d>> {
        paths.iter().find_map(|path| self.at(path))
    }

    fn number(&self, path: &[&str]) -> Option<Expr> {
        self.at(path)?.read().ok()
    }

    fn any_number(&self, paths: &[&[&str]]) -> Option<Expr> {
        paths.iter().find_map(|path| self.number(path))
    }

    fn binary(&self, op: BinaryOp, a: Expr, b: Expr) -> Expr {
        binary(op, a, b, self.value.site)
    }

    /// How many pieces of `size` bytes are between two addresses.
    fn distance(&self, start: Expr, end: Expr, size: i64) -> Expr {
        self.binary(BinaryOp::Div, self.binary(BinaryOp::Sub, end, start), number(size))
    }

    /// Bytes of a type; at least one.
    fn size(&self, ty: TypeId) -> Option<i64> {
        i64::try_from(self.module().size_of(ty)?).ok().filter(|size| *size > 0)
    }

    /// What the pointer at the end of a path points to.
    fn pointee(&self, path: &[&str]) -> Option<TypeId> {
        match self.at(path)?.resolved().ok()?.1 {
            Type::Pointer { to, .. } => Some(to),
            _ => None,
        }
    }

    /// What a pointer points to, as if it were at address 0: places in it are offsets.
    fn laid_out(&self, pointer: &Value<'d>) -> Option<Value<'d>> {
        let Type::Pointer { to, .. } = pointer.resolved().ok()?.1 else { return None };
        let ty = self.module().resolve_type(to).ok()?;
        Some(self.value.elsewhere(Spot::Memory(number(0)), ty))
    }

    /// The type that the tag tells: one of those that there are, if they are not too many.
    fn one_of(
        &self,
        tag: Expr,
        types: Vec<Dynamic<'d>>,
        value: impl Fn(TypeId) -> Option<Value<'d>>,
    ) -> Option<Contents<'d>> {
        if types.len() > MAX_TYPES {
            return None;
        }
        let bias = match self.module().kind() {
            Kind::Executable => number(0),
            _ => load_bias(&self.value.binary, self.value.site),
        };
        let known = |dynamic: Dynamic<'d>| {
            let tag = add(bias.clone(), number(dynamic.tag.0.cast_signed()), self.value.site);
            Some((tag, dynamic.name.to_owned(), value(dynamic.ty)?))
        };
        Some(Contents::Dynamic { tag, types: types.into_iter().filter_map(known).collect() })
    }

    fn text(&self, start: &[&str], len: &[&str]) -> Option<Contents<'d>> {
        let element = self.module().resolve_type(self.pointee(start)?).ok()?;
        let bytes = match self.module().type_of(element).ok()? {
            Type::Base { size: 1, encoding, .. } => encoding != Encoding::Boolean,
            _ => false,
        };
        bytes.then_some(Contents::Text { start: self.number(start)?, len: self.number(len)? })
    }

    /// A start and a count; the elements are what the start points to.
    fn row_of(&self, start: &[&str], count: &[&str]) -> Option<Contents<'d>> {
        let element = self.pointee(start)?;
        Some(Contents::Row { start: self.number(start)?, count: self.number(count)?, element })
    }

    /// A start and an end.
    fn row_between(&self, start: &[&str], end: &[&str]) -> Option<Contents<'d>> {
        let element = self.pointee(start)?;
        let size = self.size(element)?;
        let (start, end) = (self.number(start)?, self.number(end)?);
        Some(Contents::Row { count: self.distance(start.clone(), end, size), start, element })
    }

    /// The pointer at the first of the paths that there is.
    fn owned(&self, paths: &[&[&str]]) -> Option<Contents<'d>> {
        let pointers = paths.iter().filter_map(|path| self.at(path));
        let is_pointer = |value: &Value<'_>| matches!(value.resolved(), Ok((_, Type::Pointer { .. })));
        let pointer = pointers.into_iter().find(is_pointer)?;
        // Rust counts references beside the value.
        let inside = |name: &str| pointer.clone().member(name).ok();
        let counted = inside("strong").and_then(|_| inside("value").or_else(|| inside("data")));
        match counted {
            Some(value) => Some(Contents::Owned(value)),
            None => {
                let there = pointer.read().ok()?;
                Some(Contents::Perhaps { there, value: pointer.element(number(0)).ok()? })
            }
        }
    }

    fn cpp_array(&self) -> Option<Contents<'d>> {
        let elements = self.at(&["_M_elems"]).or_else(|| self.at(&["__elems_"]))?;
        let Type::Array { element, counts, .. } = elements.resolved().ok()?.1 else { return None };
        let count = i64::try_from(counts.first().copied().flatten()?).ok()?;
        Some(Contents::Row { start: elements.address().ok()?, count: number(count), element })
    }

    /// The base classes of a value.
    fn bases(&self, value: &Value<'d>) -> Vec<Value<'d>> {
        let Ok((_, Type::Record { members, .. })) = value.resolved() else { return Vec::new() };
        let bases = members.iter().filter(|member| member.base_class);
        bases.filter_map(|base| value.clone().part(base).ok()).collect()
    }

    /// The base class whose name begins so.
    fn base_named(&self, value: &Value<'d>, prefix: &str) -> Option<Value<'d>> {
        let named = |base: &Value<'d>| matches!(base.resolved(), Ok((_, Type::Record { name: Some(name), .. })) if name.starts_with(prefix));
        self.bases(value).into_iter().find(named)
    }

    fn offset(&self, record: TypeId, name: &str) -> Option<u64> {
        let path = self.module().find_member(record, name).ok()??;
        Some(path.iter().map(|member| member.offset).sum())
    }

    fn cpp_optional(&self) -> Option<Contents<'d>> {
        let gnu = || {
            Some((
                self.number(&["_M_payload", "_M_engaged"])?,
                self.at(&["_M_payload", "_M_payload", "_M_value"])?,
            ))
        };
        let llvm = || Some((self.number(&["__engaged_"])?, self.at(&["__val_"])?));
        let (there, value) = gnu().or_else(llvm)?;
        Some(Contents::Perhaps { there, value })
    }
}

/// The node after the one with the number `after`, or the first one.
fn next_node(node: Expr, next: &Next, after: Option<u32>, site: SiteId) -> Expr {
    let offset = |offset: u64| number(offset.cast_signed());
    match next {
        Next::Link(at) => load(add(node, offset(*at), site), 8, false, site),
        Next::Tree { parent, left, right } => {
            let args = vec![node, offset(*parent), offset(*left), offset(*right)];
            call(Builtin::tree_next, args, site)
        }
        Next::Byte => call(Builtin::full_next, vec![add(node, number(1), site)], site),
        Next::BTree(layout) => {
            let layout = layout.iter().map(|&at| number(at));
            call(Builtin::btree_next, [node].into_iter().chain(layout).collect(), site)
        }
        Next::Slot(map) => {
            let n = number(after.map_or(0, |after| i64::from(after) + 1));
            call(Builtin::go_map_slot, [n].into_iter().chain(map.iter().cloned()).collect(), site)
        }
    }
}
