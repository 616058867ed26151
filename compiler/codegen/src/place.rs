//! Locals, scalar globals and array elements: reading, assigning, updating.

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_sema::ir::{BinaryOp, Expr, GlobalId, LocalId, Place, SiteId, Type};

use crate::emitter::{Emitter, Home, Operand, Text};
use crate::handler::{is_fresh, reads_local};
use crate::key::Key;

/// A place whose index has been evaluated.
enum Located {
    Local(LocalId),
    Global(GlobalId),
    Element(GlobalId, Key),
}

impl Emitter<'_, '_, '_> {
    pub(crate) fn long_local(&mut self, local: LocalId) -> Value {
        match self.locals[local.0 as usize] {
            Home::Register(variable) => self.builder.use_var(variable),
            _ => panic!("pass 2 typed the local as a long"),
        }
    }

    pub(crate) fn read(&mut self, place: &Place, ty: Type, site: SiteId) -> Operand {
        let located = self.locate(place);
        let value = match ty {
            Type::Long => Operand::Long(self.get_long(&located, site)),
            Type::Str => Operand::Str(self.get_text(&located, site)),
        };
        self.forget(located);
        value
    }

    pub(crate) fn assign(&mut self, place: &Place, value: &Expr, site: SiteId) -> Operand {
        if let Place::Local(local) = place
            && value.ty == Type::Str
            && can_build_in_place(value, *local)
        {
            return Operand::Str(self.build_in_place(*local, value));
        }
        let located = self.locate(place);
        let operand = self.value(value);
        let operand = match operand {
            Operand::Long(value) => {
                self.set_long(&located, value, site);
                Operand::Long(value)
            }
            Operand::Str(mut text) => {
                self.set_text(&located, &text, site);
                text.len = self.bounded_len(&text);
                text.bounded = true;
                Operand::Str(text)
            }
        };
        self.forget(located);
        operand
    }

    pub(crate) fn update(
        &mut self,
        place: &Place,
        op: BinaryOp,
        operand: &Expr,
        yields_old: bool,
        site: SiteId,
    ) -> Operand {
        let located = self.locate(place);
        let result = match self.value(operand) {
            Operand::Long(value) => Operand::Long(self.update_long(&located, op, value, yields_old, site)),
            Operand::Str(text) => Operand::Str(self.append(&located, text, yields_old, site)),
        };
        self.forget(located);
        result
    }

    fn update_long(
        &mut self,
        located: &Located,
        op: BinaryOp,
        value: Value,
        yields_old: bool,
        site: SiteId,
    ) -> Value {
        if let (Located::Element(map, key), BinaryOp::Add | BinaryOp::Sub) = (located, op) {
            let change = if op == BinaryOp::Sub { self.builder.ins().ineg(value) } else { value };
            let (map, addr) = (self.map(*map), self.key_addr(key));
            let new = self.call_long(Builtin::map_add_long, &[map, addr, change], Some(site));
            return if yields_old { self.builder.ins().isub(new, change) } else { new };
        }
        let old = self.get_long(located, site);
        let new = self.binary(op, old, value, None, site);
        self.set_long(located, new, site);
        if yields_old { old } else { new }
    }

    /// `p .= text`
    fn append(&mut self, located: &Located, text: Text, yields_old: bool, site: SiteId) -> Text {
        let mut old = self.get_text(located, site);
        if yields_old && old.slots.is_empty() {
            // The local is about to change.
            old = self.call_str(Builtin::copy, &[old.addr, old.len], None);
        }
        let new = self.call_str(Builtin::concat, &[old.addr, old.len, text.addr, text.len], None);
        self.release(&text.slots);
        self.set_text(located, &new, site);
        let (kept, dropped) = if yields_old { (old, new) } else { (new, old) };
        self.release(&dropped.slots);
        kept
    }

    fn locate(&mut self, place: &Place) -> Located {
        match place {
            Place::Local(local) => Located::Local(*local),
            Place::Global(global) => Located::Global(*global),
            Place::Element(global, key) => Located::Element(*global, self.key(key)),
        }
    }

    fn forget(&mut self, located: Located) {
        if let Located::Element(_, key) = located {
            self.release_key(key);
        }
    }

    fn get_long(&mut self, located: &Located, site: SiteId) -> Value {
        match located {
            Located::Local(local) => self.long_local(*local),
            Located::Global(global) => {
                let (base, at) = self.global_value(*global);
                self.builder.ins().load(cranelift_codegen::ir::types::I64, MemFlagsData::trusted(), base, at)
            }
            Located::Element(global, key) => {
                let (map, addr) = (self.map(*global), self.key_addr(key));
                self.call_long(Builtin::map_get_long, &[map, addr], Some(site))
            }
        }
    }

    fn set_long(&mut self, located: &Located, value: Value, site: SiteId) {
        self.last_site = Some(site);
        match located {
            Located::Local(local) => match self.locals[local.0 as usize] {
                Home::Register(variable) => self.builder.def_var(variable, value),
                _ => panic!("pass 2 typed the local as a long"),
            },
            Located::Global(global) => {
                let (base, at) = self.global_value(*global);
                self.builder.ins().store(MemFlagsData::trusted(), value, base, at);
            }
            Located::Element(global, key) => {
                let (map, addr) = (self.map(*global), self.key_addr(key));
                self.call(Builtin::map_set_long, &[map, addr, value], Some(site));
            }
        }
    }

    fn get_text(&mut self, located: &Located, site: SiteId) -> Text {
        match located {
            Located::Local(local) => self.text_local(*local),
            Located::Global(global) => {
                let global = self.global(*global);
                self.call_str(Builtin::string_get, &[global], None)
            }
            Located::Element(global, key) => {
                let (map, addr) = (self.map(*global), self.key_addr(key));
                self.call_str(Builtin::map_get_string, &[map, addr], Some(site))
            }
        }
    }

    fn text_local(&mut self, local: LocalId) -> Text {
        let (addr, len) = match self.locals[local.0 as usize] {
            Home::Frame(slot, variable) => (self.slot_addr(slot), self.builder.use_var(variable)),
            Home::Borrowed(addr, len) => (addr, len),
            Home::Register(_) => panic!("pass 2 typed the local as a string"),
        };
        if self.unstable.contains(&local) {
            return self.call_str(Builtin::copy, &[addr, len], None);
        }
        Text { addr, len, bounded: true, slots: Vec::new() }
    }

    fn set_text(&mut self, located: &Located, text: &Text, site: SiteId) {
        self.last_site = Some(site);
        match located {
            Located::Local(local) => self.fill_local(*local, Builtin::copy, &[text.addr, text.len]),
            Located::Global(global) => {
                let global = self.global(*global);
                self.call(Builtin::string_set, &[global, text.addr, text.len], None);
            }
            Located::Element(global, key) => {
                let (map, addr) = (self.map(*global), self.key_addr(key));
                self.call(Builtin::map_set_string, &[map, addr, text.addr, text.len], Some(site));
            }
        }
    }

    /// Evaluates a string straight into a local.
    fn build_in_place(&mut self, local: LocalId, value: &Expr) -> Text {
        let Home::Frame(slot, variable) = self.locals[local.0 as usize] else {
            panic!("a written string local lives in the frame");
        };
        let addr = self.slot_addr(slot);
        let len = self.text_into(value, addr);
        self.builder.def_var(variable, len);
        if self.unstable.contains(&local) {
            return self.call_str(Builtin::copy, &[addr, len], None);
        }
        Text { addr, len, bounded: true, slots: Vec::new() }
    }
}

/// Whether an expression may be written into the local while it is evaluated: it does not read the local, and the
/// step that writes cannot fail halfway, which a `catch` would see.
fn can_build_in_place(value: &Expr, local: LocalId) -> bool {
    use rstap_sema::ir::ExprKind;
    let whole = match &value.kind {
        ExprKind::Builtin(builtin, ..) => !builtin.signature().fallible,
        ExprKind::Binary(BinaryOp::Concat, ..) | ExprKind::Read(Place::Global(_), _) => true,
        _ => false,
    };
    whole && is_fresh(value) && !reads_local(value, local)
}
