//! What the containers of the standard libraries of C++ (libstdc++, libc++), Rust and Go hold: recognised by the names of
//! their types and reached through members by name, as the debug information has them. Nothing is known of offsets; a
//! type that has not the members expected is shown as any other record.

use rstap_debuginfo::{Encoding, Module, Type, TypeId};

use super::build::{add, binary, number};
use super::value::Value;
use crate::ir::{BinaryOp, Expr};

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
    /// Elements in nodes.
    Nodes {
        /// Address of the first node.
        first: Expr,
        /// How many.
        count: Expr,
        /// How the next one is found.
        next: Next,
        /// Where in the node the element is.
        offset: u64,
        /// Bytes of a node.
        size: u64,
        /// The elements' type.
        element: TypeId,
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
}

/// From a node to the next one.
#[derive(Clone, Copy)]
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
}

/// What the value holds, if it is a container that is known.
pub fn contents<'d>(value: &Value<'d>) -> Option<Contents<'d>> {
    let (id, Type::Record { name: Some(name), .. }) = value.resolved().ok()? else { return None };
    let inside = Inside { value, id };
    match name.split('<').next()? {
        "basic_string" => inside.cpp_string(),
        "basic_string_view" => {
            inside.text(&["_M_str"], &["_M_len"]).or_else(|| inside.text(&["__data_"], &["__size_"]))
        }
        "vector" => inside.cpp_vector(),
        "array" => inside.cpp_array(),
        "map" | "set" | "multimap" | "multiset" => inside.cpp_tree(),
        "unordered_map" | "unordered_set" | "unordered_multimap" | "unordered_multiset" => inside.cpp_hash(),
        "list" => inside.cpp_list(),
        "optional" => inside.cpp_optional(),
        "unique_ptr" => {
            inside.owned(&[&["_M_t", "_M_t", "_M_head_impl"], &["__ptr_", "__value_"], &["__ptr_"]])
        }
        "shared_ptr" => inside.owned(&[&["_M_ptr"], &["__ptr_"]]),
        "String" => inside.rust_string(),
        "Vec" => inside.rust_vec(),
        "Rc" | "Arc" => inside.owned(&[&["ptr", "pointer"]]),
        "string" => inside.text(&["str"], &["len"]),
        _ if name.starts_with("[]") => inside.row_of(&["array"], &["len"]),
        _ => inside.rust_slice(name),
    }
}

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

    fn number(&self, path: &[&str]) -> Option<Expr> {
        self.at(path)?.read().ok()
    }

    /// What the pointer at the end of a path points to.
    fn pointee(&self, path: &[&str]) -> Option<TypeId> {
        match self.at(path)?.resolved().ok()?.1 {
            Type::Pointer { to, .. } => Some(to),
            _ => None,
        }
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
        let size = i64::try_from(self.module().size_of(element)?).ok().filter(|size| *size > 0)?;
        let (start, end, site) = (self.number(start)?, self.number(end)?, self.value.site);
        let bytes = binary(BinaryOp::Sub, end, start.clone(), site);
        Some(Contents::Row { start, count: binary(BinaryOp::Div, bytes, number(size), site), element })
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

    fn cpp_string(&self) -> Option<Contents<'d>> {
        self.text(&["_M_dataplus", "_M_p"], &["_M_string_length"])
    }

    fn cpp_vector(&self) -> Option<Contents<'d>> {
        self.row_between(&["_M_impl", "_M_start"], &["_M_impl", "_M_finish"])
            .or_else(|| self.row_between(&["__begin_"], &["__end_"]))
    }

    fn cpp_array(&self) -> Option<Contents<'d>> {
        let elements = self.at(&["_M_elems"]).or_else(|| self.at(&["__elems_"]))?;
        let Type::Array { element, counts, .. } = elements.resolved().ok()?.1 else { return None };
        let count = i64::try_from(counts.first().copied().flatten()?).ok()?;
        Some(Contents::Row { start: elements.address().ok()?, count: number(count), element })
    }

    fn offset(&self, record: TypeId, name: &str) -> Option<u64> {
        let path = self.module().find_member(record, name).ok()??;
        Some(path.iter().map(|member| member.offset).sum())
    }

    /// Nodes that begin with what `head` is and go on with an element. The nodes' own type is not looked up: compilers
    /// name it in more than one way.
    fn nodes(
        &self,
        (first, count): (&[&str], &[&str]),
        head: TypeId,
        element: TypeId,
        next: Next,
    ) -> Option<Contents<'d>> {
        let module = self.module();
        let offset = module.size_of(head)?;
        if is_wide(module, element, MAX_DEPTH) && !offset.is_multiple_of(16) {
            return None;
        }
        let size = offset.checked_add(module.size_of(element)?)?;
        Some(Contents::Nodes {
            first: self.number(first)?,
            count: self.number(count)?,
            next,
            offset,
            size,
            element,
        })
    }

    fn cpp_tree(&self) -> Option<Contents<'d>> {
        let tree = self.at(&["_M_t"])?.resolved().ok()?.0;
        let element = *self.module().template_types(tree).get(1)?;
        let head = self.at(&["_M_t", "_M_impl", "_M_header"])?.resolved().ok()?.0;
        let next = Next::Tree {
            parent: self.offset(head, "_M_parent")?,
            left: self.offset(head, "_M_left")?,
            right: self.offset(head, "_M_right")?,
        };
        let first = ["_M_t", "_M_impl", "_M_header", "_M_left"];
        self.nodes((&first, &["_M_t", "_M_impl", "_M_node_count"]), head, element, next)
    }

    fn cpp_hash(&self) -> Option<Contents<'d>> {
        let table = self.at(&["_M_h"])?.resolved().ok()?.0;
        let element = *self.module().template_types(table).get(1)?;
        let first = ["_M_h", "_M_before_begin", "_M_nxt"];
        let head = self.module().resolve_type(self.pointee(&first)?).ok()?;
        let next = Next::Link(self.offset(head, "_M_nxt")?);
        self.nodes((&first, &["_M_h", "_M_element_count"]), head, element, next)
    }

    fn cpp_list(&self) -> Option<Contents<'d>> {
        let element = *self.module().template_types(self.id).first()?;
        let first = ["_M_impl", "_M_node", "_M_next"];
        let head = self.module().resolve_type(self.pointee(&first)?).ok()?;
        let next = Next::Link(self.offset(head, "_M_next")?);
        self.nodes((&first, &["_M_impl", "_M_node", "_M_size"]), head, element, next)
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

    fn rust_string(&self) -> Option<Contents<'d>> {
        let (start, count) = self.vec_start(&["vec"])?;
        Some(Contents::Text { start, len: count })
    }

    fn rust_vec(&self) -> Option<Contents<'d>> {
        let (start, count) = self.vec_start(&[])?;
        let element = *self.module().template_types(self.id).first()?;
        Some(Contents::Row { start, count, element })
    }

    fn vec_start(&self, vec: &[&str]) -> Option<(Expr, Expr)> {
        let path = |rest: &[&'static str]| -> Option<Expr> {
            let path: Vec<&str> = vec.iter().copied().chain(rest.iter().copied()).collect();
            self.number(&path)
        };
        let start = path(&["buf", "inner", "ptr", "pointer", "pointer"])
            .or_else(|| path(&["buf", "ptr", "pointer", "pointer"]));
        Some((start?, path(&["len"])?))
    }

    /// `&[T]`, `&str`, `Box<[T]>` …: a pointer with a length.
    fn rust_slice(&self, name: &str) -> Option<Contents<'d>> {
        let (start, len) = (&["data_ptr"][..], &["length"][..]);
        if name.ends_with("str") || name.contains("<str") {
            return self.text(start, len);
        }
        if name.contains('[') { self.row_of(start, len) } else { None }
    }
}

/// Records nested deeper than this are taken for broken debug information.
const MAX_DEPTH: u32 = 16;

/// Whether there is something in a type that may have to be at a multiple of 16.
fn is_wide(module: &Module<'_>, ty: TypeId, depth: u32) -> bool {
    let resolved = module.resolve_type(ty).and_then(|id| module.type_of(id));
    match resolved {
        _ if depth == 0 => true,
        Ok(Type::Base { size, .. }) => size > 8,
        Ok(Type::Record { members, .. }) => {
            members.iter().any(|member| is_wide(module, member.ty, depth - 1))
        }
        Ok(Type::Array { element, .. }) => is_wide(module, element, depth - 1),
        Ok(_) => false,
        Err(_) => true,
    }
}

/// Address of the next node.
pub fn next_node(node: Expr, next: Next, value: &Value<'_>) -> Expr {
    let site = value.site;
    let offset = |offset: u64| number(offset.cast_signed());
    match next {
        Next::Link(at) => super::build::load(add(node, offset(at), site), 8, false, site),
        Next::Tree { parent, left, right } => {
            let args = vec![node, offset(parent), offset(left), offset(right)];
            super::build::call(rstap_abi::builtins::Builtin::tree_next, args, site)
        }
    }
}
