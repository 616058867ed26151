//! Statements to CLIF.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_abi::context::Context;
use rstap_abi::fault::Fault;
use rstap_abi::layout::{ITERATOR_SIZE, VALUE};
use rstap_sema::ir::visit::{first_run, last_site, last_site_in};
use rstap_sema::ir::{Expr, Foreach, GlobalId, GlobalKind, LocalId, SiteId, StatRef, Stmt, Type};

use crate::emitter::{Emitter, Home, LoopExits, Operand, Role, Text, status};

impl Emitter<'_, '_, '_> {
    /// Statements one after the other, charged by runs.
    pub(crate) fn statements(&mut self, list: &[Stmt]) {
        let mut rest = list;
        while !rest.is_empty() && !self.dead {
            let run = first_run(rest);
            self.charge(run.cost);
            let (now, later) = rest.split_at(run.len);
            for statement in now {
                self.statement(statement);
            }
            rest = later;
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Expr(expr) => self.effect(statement, expr),
            Stmt::Aggregate(stat, value, site) => self.aggregate(stat, value, *site),
            Stmt::Print(format, site) => self.print(format, *site),
            Stmt::PrintHistogram(stat) => {
                let stat = self.stat(stat, None);
                self.call(Builtin::hist_print, &[stat], None);
            }
            Stmt::If(condition, then, otherwise) => self.choice(condition, then, otherwise),
            Stmt::Loop(condition, body, step) => {
                self.repeat(statement, condition.as_ref(), body, step.as_ref())
            }
            Stmt::Foreach(walk) => self.foreach(walk),
            Stmt::ForeachBucket(local, stat, body) => self.foreach_bucket(*local, stat, body),
            Stmt::Break => {
                let exits = *self.loops.last().expect("pass 2 put `break` into a loop");
                self.close_walks(exits.walks_left);
                self.jump(exits.leave);
            }
            Stmt::Continue => {
                let exits = *self.loops.last().expect("pass 2 put `continue` into a loop");
                self.close_walks(exits.walks_again);
                self.jump(exits.again);
            }
            Stmt::Return(value) => self.return_value(value.as_ref()),
            Stmt::Next => self.leave(status::NEXT, None),
            Stmt::Decline => self.leave(status::DECLINED, None),
            Stmt::Try(body, message, catch) => self.try_catch(body, *message, catch),
            Stmt::DeleteGlobal(global, site) => self.delete_global(*global, *site),
            Stmt::DeleteElement(global, key, site) => {
                let key = self.partial_key(key);
                let (map, mask) = (self.map(*global), self.long(key.mask));
                let addr = self.key_addr(&key);
                self.call(Builtin::map_delete, &[map, addr, mask], Some(*site));
                self.release_key(key);
            }
            Stmt::SaveEntry(at, value) => self.save_entry(*at, value),
        }
    }

    /// Takes actions from what is left, or ends the function.
    fn charge(&mut self, cost: u64) {
        if cost == 0 || !self.counted {
            return;
        }
        let left = self.load64(offset_of!(Context, actions));
        let cost = self.long(cost as i64);
        let left = self.builder.ins().isub(left, cost);
        self.store(left, offset_of!(Context, actions));
        let zero = self.long(0);
        let below = self.compare(IntCC::SignedLessThan, left, zero);
        let (site, exhausted) = (self.site(self.last_site), self.exhausted);
        self.leave_if(below, exhausted, Some(site));
    }

    /// Charges one round of a loop. When actions run out there, the last place run was the body's last, or that of the
    /// `head` of a loop without places in its body.
    fn charge_round(&mut self, body: &[Stmt], head: &[&Expr]) {
        let in_head = || head.iter().rev().find_map(|expr| last_site_in(expr));
        self.last_site = last_site(body).or_else(in_head).or(self.last_site);
        self.charge(1);
    }

    fn choice(&mut self, condition: &Expr, then: &[Stmt], otherwise: &[Stmt]) {
        let (then_block, else_block, join) = (self.block(), self.block(), self.block());
        self.branch(condition, then_block, else_block);
        let mut reached = false;
        for (block, list) in [(then_block, then), (else_block, otherwise)] {
            self.enter(block);
            self.statements(list);
            if !self.dead {
                self.jump(join);
                reached = true;
            }
        }
        if reached {
            self.enter(join);
        }
    }

    fn repeat(&mut self, whole: &Stmt, condition: Option<&Expr>, body: &[Stmt], step: Option<&Expr>) {
        let (head, turn, again, leave) = (self.block(), self.block(), self.block(), self.block());
        self.jump(head);
        self.enter(head);
        let of_loop: Vec<&Expr> = condition.into_iter().chain(step).collect();
        self.charge_round(body, &of_loop);
        match condition {
            Some(condition) => self.branch(condition, turn, leave),
            None => self.jump(turn),
        }
        self.enter(turn);
        let walks = self.walks.len();
        self.body(body, LoopExits { leave, again, walks_left: walks, walks_again: walks });
        self.enter(again);
        if let Some(step) = step {
            self.effect(whole, step);
        }
        self.jump(head);
        self.enter(leave);
    }

    /// The body of a loop; then goes to `again`.
    fn body(&mut self, body: &[Stmt], exits: LoopExits) {
        self.loops.push(exits);
        self.statements(body);
        self.loops.pop();
        if !self.dead {
            self.jump(exits.again);
        }
    }

    fn foreach(&mut self, walk: &Foreach) {
        let site = Some(walk.site);
        let slice = self.slice_key(walk);
        let limit = match &walk.limit {
            Some(limit) => {
                // Below 0 would be no limit at all.
                let (limit, zero) = (self.long_value(limit), self.long(0));
                self.builder.ins().smax(limit, zero)
            }
            None => self.long(-1),
        };
        let iter = self.take(ITERATOR_SIZE);
        let iter_addr = self.slot_addr(iter.stack);
        let (map, order, mask) = (self.map(walk.map), self.long(walk.order as i64), self.long(slice.mask));
        let slice_addr = self.key_addr(&slice);
        self.call(Builtin::iter_begin, &[iter_addr, map, order, limit, mask, slice_addr], site);

        let (head, turn, done, leave) = (self.block(), self.block(), self.block(), self.block());
        let outside = self.walks.len();
        self.walks.push(iter);
        self.jump(head);
        self.enter(head);
        self.charge_round(&walk.body, &[]);
        let iter_addr = self.slot_addr(iter.stack);
        let more = self.call_long(Builtin::iter_next, &[iter_addr], None);
        self.builder.ins().brif(more, turn, &[], done, &[]);
        self.enter(turn);
        self.bind_element(walk, iter_addr);
        self.body(
            &walk.body,
            LoopExits { leave, again: head, walks_left: outside, walks_again: outside + 1 },
        );
        self.enter(done);
        self.close_walks(outside);
        self.jump(leave);
        self.enter(leave);
        self.walks.pop();
        self.release(&[iter]);
        self.release_key(slice);
    }

    /// Stores an element's key parts and value in the locals of the walk.
    fn bind_element(&mut self, walk: &Foreach, iter: Value) {
        for (part, local) in walk.keys.iter().enumerate() {
            let Some(local) = local else { continue };
            let number = self.long(part as i64);
            match self.locals[local.0 as usize] {
                Home::Register(variable) => {
                    let key = self.call_long(Builtin::iter_key_long, &[iter, number], None);
                    self.builder.def_var(variable, key);
                }
                _ => self.fill_local(*local, Builtin::iter_key_string, &[iter, number]),
            }
        }
        let Some(local) = walk.value else { return };
        match self.locals[local.0 as usize] {
            Home::Register(variable) => {
                let getter = match self.unit.script.globals[walk.map.0 as usize].kind {
                    GlobalKind::Map(map) if map.value == rstap_abi::layout::ValueShape::Long => {
                        Builtin::iter_value_long
                    }
                    _ => Builtin::iter_value_stat,
                };
                let value = self.call_long(getter, &[iter], None);
                self.builder.def_var(variable, value);
            }
            _ => self.fill_local(local, Builtin::iter_value_string, &[iter]),
        }
    }

    /// Lets a builtin that cannot fail write its result into a string local.
    pub(crate) fn fill_local(&mut self, local: LocalId, builtin: Builtin, args: &[Value]) {
        let Home::Frame(slot, variable) = self.locals[local.0 as usize] else {
            panic!("pass 2 gave string locals to string values, and written ones live in the frame");
        };
        let to = self.slot_addr(slot);
        let len = self.call_into(builtin, args, to, None);
        self.builder.def_var(variable, len);
    }

    fn foreach_bucket(&mut self, local: LocalId, stat: &StatRef, body: &[Stmt]) {
        let stat = self.stat(stat, None);
        let count = self.call_long(Builtin::hist_size, &[stat], None);
        let Home::Register(variable) = self.locals[local.0 as usize] else {
            panic!("pass 2 made the bucket's local a long");
        };
        let index = self.builder.declare_var(I64);
        let zero = self.long(0);
        self.builder.def_var(index, zero);
        let (head, turn, again, leave) = (self.block(), self.block(), self.block(), self.block());
        self.jump(head);
        self.enter(head);
        self.charge_round(body, &[]);
        let now = self.builder.use_var(index);
        let more = self.compare(IntCC::SignedLessThan, now, count);
        self.builder.ins().brif(more, turn, &[], leave, &[]);
        self.enter(turn);
        self.builder.def_var(variable, now);
        let walks = self.walks.len();
        self.body(body, LoopExits { leave, again, walks_left: walks, walks_again: walks });
        self.enter(again);
        let (now, one) = (self.builder.use_var(index), self.long(1));
        let after = self.builder.ins().iadd(now, one);
        self.builder.def_var(index, after);
        self.jump(head);
        self.enter(leave);
    }

    fn return_value(&mut self, value: Option<&Expr>) {
        let value = value.map(|expr| match (self.role, expr.ty) {
            (Role::Function(Some(Type::Str), Some(result)), Type::Str) => self.text_into(expr, result),
            _ => match self.value(expr) {
                Operand::Long(value) => value,
                Operand::Str(text) => {
                    self.release(&text.slots);
                    self.long(0)
                }
            },
        });
        self.leave(status::DONE, value);
    }

    fn try_catch(&mut self, body: &[Stmt], message: Option<LocalId>, catch: &[Stmt]) {
        let scratch = self.load32(offset_of!(Context, scratch_len));
        let join = self.block();
        let landing = self.landing_pad();
        self.statements(body);
        let mut reached = !self.dead;
        if reached {
            self.jump(join);
        }
        self.landings.pop();
        self.store_site(landing);

        self.enter(landing.resume);
        let outer = self.landing().resume;
        let code = self.load32(offset_of!(Context, fault));
        for passed in [Fault::MaxAction, Fault::Abort, Fault::CorruptArena, Fault::Busy] {
            debug_assert!(!passed.can_be_caught());
            let number = self.builder.ins().iconst(I32, passed as i64);
            let same = self.compare(IntCC::Equal, code, number);
            self.leave_if(same, outer, None);
        }
        // Walks that the fault left open give their memory back.
        self.store(scratch, offset_of!(Context, scratch_len));
        if let Some(local) = message {
            self.fill_local(local, Builtin::fault_text, &[]);
        }
        let none = self.builder.ins().iconst(I32, 0);
        self.store(none, offset_of!(Context, fault));
        self.store(none, offset_of!(Context, caller_count));
        self.statements(catch);
        if !self.dead {
            self.jump(join);
            reached = true;
        }
        if reached {
            self.enter(join);
        }
    }

    fn aggregate(&mut self, stat: &StatRef, value: &Expr, site: SiteId) {
        let place = site;
        let site = Some(site);
        match stat {
            StatRef::Element(global, key) if self.part(*global).is_some() => {
                self.aggregate_in_shard(*global, key, value, place);
            }
            StatRef::Global(global) if self.part(*global).is_some() => {
                let part = self.part(*global).expect("it is sharded");
                let value = self.long_value(value);
                self.add_to_stat(*global, part, value, place);
            }
            StatRef::Element(global, key) => {
                let key = self.key(key);
                let value = self.long_value(value);
                let (map, addr) = (self.map(*global), self.key_addr(&key));
                self.call(Builtin::map_stat_add, &[map, addr, value], site);
                self.release_key(key);
            }
            StatRef::Global(_) | StatRef::Local(_) => {
                let value = self.long_value(value);
                let stat = self.stat(stat, site);
                self.call(Builtin::stat_add, &[stat, value], site);
            }
        }
    }

    fn delete_global(&mut self, global: GlobalId, site: SiteId) {
        match self.unit.script.globals[global.0 as usize].kind {
            GlobalKind::Scalar(Type::Long) => {
                let (base, at) = self.global_value(global);
                let zero = self.long(0);
                self.builder.ins().store(MemFlagsData::trusted(), zero, base, at);
            }
            GlobalKind::Scalar(Type::Str) => {
                let (global, empty, zero) = (self.global(global), self.image_addr(0), self.long(0));
                self.call(Builtin::string_set, &[global, empty, zero], None);
            }
            GlobalKind::Stat(_) => {
                let stat = self.global_at(global) + VALUE;
                let stat = self.long(stat as i64);
                self.call(Builtin::stat_clear, &[stat], None);
            }
            GlobalKind::Map(_) => {
                let map = self.map(global);
                self.call(Builtin::map_clear, &[map], Some(site));
            }
        }
    }

    fn save_entry(&mut self, at: u32, value: &Expr) {
        let value = self.value(value);
        let (save, next) = (self.block(), self.block());
        let area = self.load64(offset_of!(Context, entry_values));
        self.builder.ins().brif(area, save, &[], next, &[]);
        self.enter(save);
        match &value {
            Operand::Long(value) => {
                self.builder.ins().store(MemFlagsData::trusted(), *value, area, at as i32);
            }
            Operand::Str(Text { addr, len, .. }) => {
                let offset = self.long(i64::from(at) + 8);
                let to = self.builder.ins().iadd(area, offset);
                let len = self.call_into(Builtin::copy, &[*addr, *len], to, None);
                // The upper half of the word is the zero after the u32 length.
                self.builder.ins().store(MemFlagsData::trusted(), len, area, at as i32);
            }
        }
        self.jump(next);
        self.enter(next);
        self.drop_operand(&value);
    }
}
