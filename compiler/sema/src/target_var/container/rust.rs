//! Containers of Rust's standard library.

use super::{Contents, Inside, Next, Nodes, Place};
use crate::ir::Expr;
use crate::target_var::build::call;
use rstap_abi::builtins::Builtin;

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

    /// `&[T]`, `&str`, `Box<[T]>` …: a pointer with a length.
    pub(super) fn rust_slice(&self, name: &str) -> Option<Contents<'d>> {
        let (start, len) = (&["data_ptr"][..], &["length"][..]);
        if name.ends_with("str") || name.contains("<str") {
            return self.text(start, len);
        }
        if name.contains('[') { self.row_of(start, len) } else { None }
    }
}
