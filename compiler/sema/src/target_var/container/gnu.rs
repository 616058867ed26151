//! Containers of GNU's C++ library (libstdc++).

use rstap_debuginfo::{Module, Type, TypeId};

use super::{Contents, Inside, MAX_FIELDS, Next, Nodes, Place};
use crate::ir::BinaryOp;
use crate::target_var::build::multiply;
use crate::target_var::value::Value;

impl<'d> Inside<'_, 'd> {
    pub(super) fn gnu_string(&self) -> Option<Contents<'d>> {
        self.text(&["_M_dataplus", "_M_p"], &["_M_string_length"])
    }

    pub(super) fn gnu_vector(&self) -> Option<Contents<'d>> {
        let (start, finish) = (["_M_impl", "_M_start"], ["_M_impl", "_M_finish"]);
        self.row_between(&start, &finish).or_else(|| {
            // vector<bool>: a word and the number of a bit in it.
            let part = |of: [&'static str; 2], name| self.number(&[of[0], of[1], name]);
            let (word, bit) = (part(start, "_M_p")?, part(start, "_M_offset")?);
            let words = self.distance(word.clone(), part(finish, "_M_p")?, 8);
            let bits =
                self.binary(BinaryOp::Add, multiply(words, 64, self.value.site), part(finish, "_M_offset")?);
            let count = self.binary(BinaryOp::Sub, bits, bit.clone());
            Some(Contents::Bits { start: word, first: bit, count })
        })
    }

    /// Between two positions, each with the block that it is in and the block's bounds.
    pub(super) fn gnu_deque(&self) -> Option<Contents<'d>> {
        let element = self.pointee(&["_M_impl", "_M_start", "_M_cur"])?;
        let size = self.size(element)?;
        let start = |name| self.number(&["_M_impl", "_M_start", name]);
        let finish = |name| self.number(&["_M_impl", "_M_finish", name]);
        let each = self.distance(start("_M_first")?, start("_M_last")?, size);
        let first = self.distance(start("_M_first")?, start("_M_cur")?, size);
        let blocks = self.distance(start("_M_node")?, finish("_M_node")?, 8);
        let before_last = self.binary(BinaryOp::Mul, blocks, each.clone());
        let in_last = self.distance(finish("_M_first")?, finish("_M_cur")?, size);
        let up_to_end = self.binary(BinaryOp::Add, before_last, in_last);
        let count = self.binary(BinaryOp::Sub, up_to_end, first.clone());
        Some(Contents::Blocks { blocks: start("_M_node")?, each, first, count, element })
    }

    /// `_Tuple_impl<0, A, B>`, which is a head and `_Tuple_impl<1, B>`.
    pub(super) fn gnu_tuple(&self) -> Option<Contents<'d>> {
        let mut level = self.base_named(self.value, "_Tuple_impl<")?;
        let mut fields = Vec::new();
        while fields.len() < MAX_FIELDS {
            fields.push(self.base_named(&level, "_Head_base<")?.member("_M_head_impl").ok()?);
            match self.base_named(&level, "_Tuple_impl<") {
                Some(rest) => level = rest,
                None => break,
            }
        }
        Some(Contents::Fields(fields))
    }

    /// An index, and a union of the first type and a union of the others.
    pub(super) fn gnu_variant(&self) -> Option<Contents<'d>> {
        let index = self.number(&["_M_index"])?;
        let mut union = self.at(&["_M_u"])?;
        let mut values = Vec::new();
        while values.len() < MAX_FIELDS
            && let Ok(first) = union.clone().member("_M_first")
        {
            values.push(self.stored(first.member("_M_storage").ok()?)?);
            match union.member("_M_rest") {
                Ok(rest) => union = rest,
                Err(_) => break,
            }
        }
        Some(Contents::OneOf { index, values })
    }

    /// What is in a buffer that is made for one type.
    fn stored(&self, storage: Value<'d>) -> Option<Value<'d>> {
        let (id, ty) = storage.resolved().ok()?;
        let is_buffer = matches!(ty, Type::Record { name: Some(name), .. } if name.starts_with("__aligned_"));
        if !is_buffer {
            return Some(storage);
        }
        let ty = *self.module().template_types(id).first()?;
        Some(Value { ty, ..storage })
    }

    /// Nodes that begin with what `head` is and go on with an element. The nodes' own type is not looked up: compilers
    /// name it in more than one way.
    fn gnu_nodes(
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
        let (first, count, place) = (self.number(first)?, self.number(count)?, Place::Inside(offset));
        Some(Contents::Nodes(Nodes { first, count, next, place, size, element }))
    }

    pub(super) fn gnu_tree(&self) -> Option<Contents<'d>> {
        let tree = self.at(&["_M_t"])?.resolved().ok()?.0;
        let element = *self.module().template_types(tree).get(1)?;
        let head = self.at(&["_M_t", "_M_impl", "_M_header"])?.resolved().ok()?.0;
        let next = Next::Tree {
            parent: self.offset(head, "_M_parent")?,
            left: self.offset(head, "_M_left")?,
            right: self.offset(head, "_M_right")?,
        };
        let first = ["_M_t", "_M_impl", "_M_header", "_M_left"];
        self.gnu_nodes((&first, &["_M_t", "_M_impl", "_M_node_count"]), head, element, next)
    }

    pub(super) fn gnu_hash(&self) -> Option<Contents<'d>> {
        let table = self.at(&["_M_h"])?.resolved().ok()?.0;
        let element = *self.module().template_types(table).get(1)?;
        let first = ["_M_h", "_M_before_begin", "_M_nxt"];
        let head = self.module().resolve_type(self.pointee(&first)?).ok()?;
        let next = Next::Link(self.offset(head, "_M_nxt")?);
        self.gnu_nodes((&first, &["_M_h", "_M_element_count"]), head, element, next)
    }

    pub(super) fn gnu_list(&self) -> Option<Contents<'d>> {
        let element = *self.module().template_types(self.id).first()?;
        let first = ["_M_impl", "_M_node", "_M_next"];
        let head = self.module().resolve_type(self.pointee(&first)?).ok()?;
        let next = Next::Link(self.offset(head, "_M_next")?);
        self.gnu_nodes((&first, &["_M_impl", "_M_node", "_M_size"]), head, element, next)
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
