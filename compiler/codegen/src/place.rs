//! Locals, scalar globals and array elements: reading, assigning, updating.

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_sema::ir::{BinaryOp, Expr, ExprKind, GlobalId, LocalId, Place, SiteId, Type};

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
        if ty == Type::Str {
            return Operand::Str(self.read_text(place, site, None));
        }
        let located = self.locate(place);
        let value = self.get_long(&located, site);
        self.forget(located);
        Operand::Long(value)
    }

    /// Reads a string: a local where it is, another one into the memory given or a new slot.
    pub(crate) fn read_text(&mut self, place: &Place, site: SiteId, to: Option<Value>) -> Text {
        let located = self.locate(place);
        let text = self.get_text(&located, site, to);
        self.forget(located);
        text
    }

    pub(crate) fn assign(&mut self, place: &Place, value: &Expr, site: SiteId) -> Operand {
        if let Place::Local(local) = place
            && value.ty == Type::Str
        {
            if let Some(more) = added_behind(value, *local)
                && let Some(text) = self.append_in_place(*local, more)
            {
                return Operand::Str(text);
            }
            if self.can_build_in_place(value, *local) {
                return Operand::Str(self.build_in_place(*local, value));
            }
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
        if let (Place::Local(local), BinaryOp::Concat, false) = (place, op, yields_old)
            && let Some(text) = self.append_in_place(*local, operand)
        {
            return Operand::Str(text);
        }
        let located = self.locate(place);
        let result = match self.value(operand) {
            Operand::Long(value) => Operand::Long(self.update_long(&located, op, value, yields_old, site)),
            Operand::Str(text) => Operand::Str(self.append(&located, text, yields_old, site)),
        };
        self.forget(located);
        result
    }

    /// `place .= more` where nobody uses the result: appended where the string is. `false` if that cannot be.
    pub(crate) fn append_there(&mut self, place: &Place, more: &Expr, site: SiteId) -> bool {
        if matches!(place, Place::Local(_)) {
            return false;
        }
        let located = self.locate(place);
        let Operand::Str(more) = self.value(more) else { panic!("pass 2 typed the operand as a string") };
        self.last_site = Some(site);
        match &located {
            Located::Local(_) => {}
            Located::Global(global) => {
                let global = self.global(*global);
                self.call(Builtin::string_append, &[global, more.addr, more.len], None);
            }
            Located::Element(global, key) => {
                let (map, addr) = (self.map(*global), self.key_addr(key));
                self.call(Builtin::map_append_string, &[map, addr, more.addr, more.len], Some(site));
            }
        }
        self.release(&more.slots);
        self.forget(located);
        true
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
        let mut old = self.get_text(located, site, None);
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

    fn get_text(&mut self, located: &Located, site: SiteId, to: Option<Value>) -> Text {
        match located {
            Located::Local(local) => self.text_local(*local),
            Located::Global(global) => {
                let global = self.global(*global);
                self.call_text(Builtin::string_get, &[global], None, to)
            }
            Located::Element(global, key) => {
                let (map, addr) = (self.map(*global), self.key_addr(key));
                self.call_text(Builtin::map_get_string, &[map, addr], Some(site), to)
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

    /// `local .= more`, where the local is. `None` if `more` is in the local itself, or the value is a copy.
    fn append_in_place(&mut self, local: LocalId, more: &Expr) -> Option<Text> {
        let Home::Frame(slot, variable) = self.locals[local.0 as usize] else { return None };
        if self.unstable.contains(&local) || !is_fresh(more) && reads_local(more, local) {
            return None;
        }
        let more = self.text_value(more);
        let (addr, len) = (self.slot_addr(slot), self.builder.use_var(variable));
        let len = self.call_into(Builtin::extend, &[len, more.addr, more.len], addr, None);
        self.release(&more.slots);
        self.builder.def_var(variable, len);
        Some(Text { addr, len, bounded: true, slots: Vec::new() })
    }

    /// Whether an expression may be written into the local while it is evaluated: it does not read the local, and no
    /// `catch` sees what it leaves there when it fails halfway.
    fn can_build_in_place(&self, value: &Expr, local: LocalId) -> bool {
        let in_one_step = match &value.kind {
            ExprKind::Builtin(builtin, ..) => !builtin.signature().fallible,
            ExprKind::Binary(BinaryOp::Concat, first, ..) => !is_concat(first),
            ExprKind::Read(Place::Global(_), _) => true,
            _ => false,
        };
        let in_try = self.landings.len() > 1;
        (in_one_step || !in_try) && is_fresh(value) && !reads_local(value, local)
    }
}

/// What is appended by `local . more`.
fn added_behind(value: &Expr, local: LocalId) -> Option<&Expr> {
    match &value.kind {
        ExprKind::Binary(BinaryOp::Concat, first, more, _) if matches!(first.kind, ExprKind::Read(Place::Local(read), _) if read == local) => {
            Some(more)
        }
        _ => None,
    }
}

fn is_concat(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Binary(BinaryOp::Concat, ..))
}
