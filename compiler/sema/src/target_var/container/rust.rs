//! Containers of Rust's standard library.

use rstap_abi::builtins::Builtin;
use rstap_debuginfo::TypeId;

use super::{Contents, Inside, Next, Nodes, Place, next_node};
use crate::ir::{BinaryOp, Expr};
use crate::target_var::build::{add, call, constant, number, shift};
use crate::target_var::location::Spot;
use crate::target_var::value::Value;

impl<'d> Inside<'_, 'd> {
    pub(super) fn rust_string(&self) -> Option<Contents<'d>> {
        let (start, count) = self.vec_start(&["vec"])?;
        Some(Contents::Text { start, len: count })
    }

    pub(super) fn rust_vec(&self) -> Option<Contents<'d>> {
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

    /// hashbrown's table: a row of bytes, one for each slot, and before it the slots in reverse order. The byte of a slot
    /// that is in use has its highest bit clear.
    pub(super) fn rust_hash(&self) -> Option<Contents<'d>> {
        let is_set = self.any(&[&["base", "map"], &["map"]]);
        let table = is_set
            .clone()
            .map_or_else(|| self.any(&[&["base", "table"], &["table"]]), |map| map.member("table").ok())?;
        let module = self.module();
        let slot = *module.template_types(table.resolved().ok()?.0).first()?;
        let inner = table.member("table").ok()?;
        let base = inner.clone().member("ctrl").ok()?.member("pointer").ok()?.read().ok()?;
        let count = inner.member("items").ok()?.read().ok()?;
        let size = module.size_of(slot)?;
        let (element, offset) = match is_set {
            Some(_) => {
                let key = module.find_member(slot, "__0").ok()??.pop()?;
                (key.ty, key.offset)
            }
            None => (slot, 0),
        };
        let first = call(Builtin::full_next, vec![base.clone()], self.value.site);
        let place = Place::Before { base, size, offset };
        Some(Contents::Nodes(Nodes { first, count, next: Next::Byte, place, size: 1, element }))
    }

    /// A B-tree's leaf has rows of keys and values; an inner node begins with one and has a row of nodes besides.
    pub(super) fn rust_btree(&self) -> Option<Contents<'d>> {
        let map = self.at(&["map"]).unwrap_or_else(|| self.value.clone());
        let path = |of: &Value<'d>, path: &[&str]| {
            path.iter().try_fold(of.clone(), |value, name| value.member(name).ok())
        };
        let root = path(&map, &["root", "Some", "__0"])?;
        let pointer = path(&root, &["node", "pointer"])?;
        let leaf = self.laid_out(&pointer)?;
        let above = path(&leaf, &["parent", "Some", "__0", "pointer"])?;
        let inner = self.laid_out(&above)?;
        let at = |value: Option<Value<'d>>| constant(&value?.address().ok()?);
        let layout = [
            at(Some(above))?,
            at(path(&leaf, &["parent_idx"]))?,
            at(path(&leaf, &["len"]))?,
            at(path(&inner, &["edges"]))?,
        ];
        let module = self.module();
        let [element, value] = module.template_types(leaf.ty)[..] else { return None };
        let row = |name| at(path(&leaf, &[name])).map(i64::cast_unsigned);
        let values = match module.size_of(value)? {
            0 if self.at(&["map"]).is_some() => None,
            _ => Some((row("vals")?, value)),
        };
        let site = self.value.site;
        let height = path(&root, &["height"])?.read().ok()?;
        let top = shift(BinaryOp::ShiftLeft, height, 56, site);
        let start = self.binary(BinaryOp::Or, pointer.read().ok()?, top);
        Some(Contents::Nodes(Nodes {
            first: next_node(start, &Next::BTree(layout), None, site),
            count: map.member("length").ok()?.read().ok()?,
            next: Next::BTree(layout),
            place: Place::Rows { keys: row("keys")?, values, base: 1 },
            size: module.size_of(leaf.ty)?,
            element,
        }))
    }

    /// `&dyn Trait`, `Box<dyn Trait>` …: a pointer, and a table of methods that tells what it points to.
    pub(super) fn rust_dyn(&self) -> Option<Contents<'d>> {
        let of = self.pointee(&["pointer"])?;
        self.dynamic(self.value, of, 0)
    }

    /// `Rc<dyn Trait>`: the value is behind the counts, as far as its alignment wants.
    pub(super) fn rust_counted_dyn(&self) -> Option<Contents<'d>> {
        let pointer = self.at(&["ptr", "pointer"])?;
        let counted = self.laid_out(&pointer.clone().member("pointer").ok()?)?;
        let value = counted.clone().member("value").or_else(|_| counted.member("data")).ok()?;
        self.dynamic(&pointer, value.ty, constant(&value.address().ok()?)?)
    }

    /// The types with a table of the methods of the trait that `of` stands for; the value is `offset` bytes behind what
    /// the pointer points to, or more because of its alignment.
    fn dynamic(&self, pointer: &Value<'d>, of: TypeId, offset: i64) -> Option<Contents<'d>> {
        let address = pointer.clone().member("pointer").ok()?.read().ok()?;
        let tag = pointer.clone().member("vtable").ok()?.read().ok()?;
        let name = self.module().type_name(of);
        // `struct dyn path::Trait<A, Output=B> + Send`: tables are named after the trait alone.
        let of_trait = name.split_once("dyn ")?.1.split(['<', ' ']).next()?;
        let value = |ty: TypeId| {
            let align = i64::try_from(self.module().align_of(ty)?).ok()?;
            let offset = offset.checked_add(align - 1)? / align * align;
            let address = add(address.clone(), number(offset), self.value.site);
            Some(self.value.elsewhere(Spot::Memory(address), ty))
        };
        self.one_of(tag, self.module().implementors(of_trait), value)
    }

    /// `&[T]`, `&str`, `Box<[T]>` …: a pointer with a length.
    pub(super) fn rust_slice(&self, name: &str) -> Option<Contents<'d>> {
        let (start, len) = (&["data_ptr"][..], &["length"][..]);
        if name.ends_with("str") || name.contains("<str") {
            return self.text(start, len);
        }
        if name.contains('[') { self.row_of(start, len) } else { None }
    }
}
