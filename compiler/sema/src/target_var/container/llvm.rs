//! Containers of LLVM's C++ library (libc++). Pairs of which one part is often empty are "compressed": both parts are
//! base classes with a `__value_`.

use rstap_debuginfo::TypeId;

use super::{Contents, Inside, MAX_FIELDS, Next, Nodes, Place};
use crate::ir::{BinaryOp, Expr};
use crate::target_var::build::{number, select};

impl<'d> Inside<'_, 'd> {
    /// A short text is in the object itself, in the place of the other one's address and size.
    pub(super) fn llvm_string(&self) -> Option<Contents<'d>> {
        let whole = self.any(&[&["__r_", "__value_"], &["__rep_"]])?;
        let part = |form: &str, name: &str| whole.clone().member(form).ok()?.member(name).ok();
        let short = part("__s", "__size_")?.read().ok()?;
        // Before LLVM 15, the mark is a bit of the size.
        let (is_long, short) = match part("__s", "__is_long_") {
            Some(mark) => (mark.read().ok()?, short),
            None => (
                self.binary(BinaryOp::And, short.clone(), number(1)),
                self.binary(BinaryOp::ShiftRight, short, number(1)),
            ),
        };
        let start = select(
            is_long.clone(),
            part("__l", "__data_")?.read().ok()?,
            part("__s", "__data_")?.address().ok()?,
        );
        Some(Contents::Text { start, len: select(is_long, part("__l", "__size_")?.read().ok()?, short) })
    }

    pub(super) fn llvm_vector(&self) -> Option<Contents<'d>> {
        self.row_between(&["__begin_"], &["__end_"]).or_else(|| {
            // vector<bool>
            let (start, count) = (self.number(&["__begin_"])?, self.number(&["__size_"])?);
            Some(Contents::Bits { start, first: number(0), count })
        })
    }

    /// Blocks of 4096 bytes, or of 16 large elements.
    pub(super) fn llvm_deque(&self) -> Option<Contents<'d>> {
        let element = *self.module().template_types(self.id).first()?;
        let size = self.size(element)?;
        let each = if size < 256 { 4096 / size } else { 16 };
        Some(Contents::Blocks {
            blocks: self.number(&["__map_", "__begin_"])?,
            each: number(each),
            first: self.number(&["__start_"])?,
            count: self.any_number(&[&["__size_", "__value_"], &["__size_"]])?,
            element,
        })
    }

    pub(super) fn llvm_tuple(&self) -> Option<Contents<'d>> {
        let leaves = self.bases(&self.at(&["__base_"])?);
        let field = |leaf: super::Value<'d>| leaf.clone().member("__value_").unwrap_or(leaf);
        Some(Contents::Fields(leaves.into_iter().take(MAX_FIELDS).map(field).collect()))
    }

    /// An index, and a union of the first type and a union of the others.
    pub(super) fn llvm_variant(&self) -> Option<Contents<'d>> {
        let whole = self.any(&[&["__impl"], &["__impl_"]])?;
        let index = whole.clone().member("__index").ok()?.read().ok()?;
        let mut union = whole.member("__data").ok()?;
        let mut values = Vec::new();
        while values.len() < MAX_FIELDS
            && let Ok(head) = union.clone().member("__head")
        {
            values.push(head.member("__value").ok()?);
            match union.member("__tail") {
                Ok(tail) => union = tail,
                Err(_) => break,
            }
        }
        Some(Contents::OneOf { index, values })
    }

    pub(super) fn llvm_tree(&self) -> Option<Contents<'d>> {
        let tree = self.at(&["__tree_"])?.resolved().ok()?.0;
        let (node, place, element) = self.llvm_node("__tree_node<", tree)?;
        let next = Next::Tree {
            parent: self.offset(node, "__parent_")?,
            left: self.offset(node, "__left_")?,
            right: self.offset(node, "__right_")?,
        };
        let first = self.number(&["__tree_", "__begin_node_"])?;
        let count = self.any_number(&[&["__tree_", "__pair3_", "__value_"], &["__tree_", "__size_"]])?;
        self.llvm_nodes(first, count, next, (node, place, element))
    }

    pub(super) fn llvm_hash(&self) -> Option<Contents<'d>> {
        let table = self.at(&["__table_"])?.resolved().ok()?.0;
        let node = self.llvm_node("__hash_node<", table)?;
        let next = Next::Link(self.offset(node.0, "__next_")?);
        let first = self.any_number(&[
            &["__table_", "__p1_", "__value_", "__next_"],
            &["__table_", "__first_node_", "__next_"],
        ])?;
        let count = self.any_number(&[&["__table_", "__p2_", "__value_"], &["__table_", "__size_"]])?;
        self.llvm_nodes(first, count, next, node)
    }

    pub(super) fn llvm_list(&self) -> Option<Contents<'d>> {
        let node = self.llvm_node("__list_node<", self.id)?;
        let next = Next::Link(self.offset(node.0, "__next_")?);
        let first = self.number(&["__end_", "__next_"])?;
        let count = self.any_number(&[&["__size_alloc_", "__value_"], &["__size_"]])?;
        self.llvm_nodes(first, count, next, node)
    }

    fn llvm_nodes(
        &self,
        first: Expr,
        count: Expr,
        next: Next,
        (node, place, element): (TypeId, u64, TypeId),
    ) -> Option<Contents<'d>> {
        let size = self.module().size_of(node)?;
        Some(Contents::Nodes(Nodes { first, count, next, place: Place::Inside(place), size, element }))
    }

    /// The type of a container's nodes, where the element is in it, and its type. The container names the elements only.
    fn llvm_node(&self, prefix: &str, container: TypeId) -> Option<(TypeId, u64, TypeId)> {
        let module = self.module();
        let element = module.resolve_type(*module.template_types(container).first()?).ok()?;
        let mut nodes = module.types_beginning_with(prefix).into_iter();
        let (node, offset) = nodes.find_map(|node| {
            let path = module.find_member(node, "__value_").ok()??;
            let same = module.resolve_type(path.last()?.ty).ok()? == element;
            same.then(|| (node, path.iter().map(|member| member.offset).sum::<u64>()))
        })?;
        // Maps have their pairs in something that lets the key be changed.
        let pair = ["__cc", "__cc_"].into_iter().find_map(|name| module.find_member(element, name).ok()?);
        match pair.and_then(|mut path| path.pop()) {
            Some(pair) => Some((node, offset + pair.offset, pair.ty)),
            None => Some((node, offset, element)),
        }
    }
}
