//! Expressions to CLIF.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_abi::context::Context;
use rstap_abi::fault::Fault;
use rstap_sema::ir::{BinaryOp, CompareOp, Expr, ExprKind, Place, SiteId, StatIndex, StatRef, Type, UnaryOp};

use rstap_sema::regex::Pattern;

use crate::emitter::{Emitter, Operand, Text};

impl Emitter<'_, '_, '_> {
    /// Evaluates an expression.
    pub(crate) fn value(&mut self, expr: &Expr) -> Operand {
        match (&expr.kind, expr.ty) {
            (ExprKind::Read(place, site), ty) => self.read(place, ty, *site),
            (ExprKind::Assign(place, value, site), _) => self.assign(place, value, *site),
            (ExprKind::Update { place, op, operand, yields_old, site }, _) => {
                self.update(place, *op, operand, *yields_old, *site)
            }
            (ExprKind::Call(candidates, args, site), ty) => {
                self.call_function(candidates, args, ty, *site, None)
            }
            (ExprKind::Sequence(first, second), _) => {
                let dropped = self.value(first);
                self.drop_operand(&dropped);
                self.value(second)
            }
            (ExprKind::With(number, value, body), _) => {
                let value = self.long_value(value);
                self.bound.insert(*number, value);
                self.value(body)
            }
            (_, Type::Long) => Operand::Long(self.plain_long(expr)),
            (_, Type::Str) => Operand::Str(self.plain_text(expr)),
        }
    }

    /// Evaluates a long.
    pub(crate) fn long_value(&mut self, expr: &Expr) -> Value {
        match self.value(expr) {
            Operand::Long(value) => value,
            Operand::Str(_) => panic!("pass 2 typed the expression as a long"),
        }
    }

    /// Evaluates a string.
    pub(crate) fn text_value(&mut self, expr: &Expr) -> Text {
        match self.value(expr) {
            Operand::Str(text) => text,
            Operand::Long(_) => panic!("pass 2 typed the expression as a string"),
        }
    }

    /// Evaluates a string into a buffer of MAXSTRINGLEN bytes that nothing in the expression reads; its length. When
    /// the expression faults, the buffer may hold a part of it.
    pub(crate) fn text_into(&mut self, expr: &Expr, to: Value) -> Value {
        if let Some(text) = self.make_text(expr, Some(to)) {
            return text.len;
        }
        let text = self.text_value(expr);
        let len = self.call_into(Builtin::copy, &[text.addr, text.len], to, None);
        self.release(&text.slots);
        len
    }

    /// Evaluates a string expression that makes its value, in the memory given or a new slot.
    fn make_text(&mut self, expr: &Expr, to: Option<Value>) -> Option<Text> {
        Some(match &expr.kind {
            ExprKind::Binary(BinaryOp::Concat, a, b, _) => self.concat(a, b, to),
            ExprKind::Builtin(builtin, args, site) => {
                // The slot is taken after those of the operands, which are given back: nested calls need two.
                let (words, operands) = self.words(args);
                let text = self.call_text(*builtin, &words, Some(*site), to);
                self.drop_all(&operands);
                text
            }
            ExprKind::Format(format, site) => self.format(format, *site, to),
            ExprKind::HistogramText(stat) => {
                let stat = self.stat(stat, None);
                self.call_text(Builtin::hist_sprint, &[stat], None, to)
            }
            ExprKind::Read(place @ (Place::Global(_) | Place::Element(..)), site) => {
                self.read_text(place, *site, to)
            }
            ExprKind::Call(candidates, args, site) => {
                match self.call_function(candidates, args, expr.ty, *site, to) {
                    Operand::Str(text) => text,
                    Operand::Long(_) => panic!("pass 2 typed the expression as a string"),
                }
            }
            _ => return None,
        })
    }

    /// `a . b`; where `a` is such a string itself, `b` is put behind it where it is.
    fn concat(&mut self, a: &Expr, b: &Expr, to: Option<Value>) -> Text {
        if let ExprKind::Binary(BinaryOp::Concat, first, second, _) = &a.kind {
            let text = self.concat(first, second, to);
            let len = self.extend(text.addr, text.len, b);
            return Text { len, ..text };
        }
        let (words, operands) = self.words([a, b]);
        let text = self.call_text(Builtin::concat, &words, None, to);
        self.drop_all(&operands);
        text
    }

    /// Evaluates a string that does not read the one at `addr`, and puts it behind that; the length of both.
    pub(crate) fn extend(&mut self, addr: Value, len: Value, more: &Expr) -> Value {
        let more = self.text_value(more);
        let len = self.call_into(Builtin::extend, &[len, more.addr, more.len], addr, None);
        self.release(&more.slots);
        len
    }

    fn plain_long(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Long(number) => self.long(*number),
            ExprKind::Unary(op, operand) => self.unary(*op, operand),
            ExprKind::Binary(op, a, b, site) => {
                let (x, y) = (self.long_value(a), self.long_value(b));
                let constant = if let ExprKind::Long(number) = b.kind { Some(number) } else { None };
                self.binary(*op, x, y, constant, *site)
            }
            ExprKind::Compare(op, a, b) => {
                let flag = self.comparison(*op, a, b);
                self.truth(flag)
            }
            ExprKind::And(..) | ExprKind::Or(..) => self.truth_of(expr),
            ExprKind::Ternary(condition, a, b) => match self.ternary(condition, a, b) {
                Operand::Long(value) => value,
                Operand::Str(_) => panic!("pass 2 typed the expression as a long"),
            },
            ExprKind::Bound(number) => {
                *self.bound.get(number).expect("it is used within its expression only")
            }
            ExprKind::Choose(subject, cases, otherwise) => self.choose(subject, cases, otherwise),
            ExprKind::Contains(global, key, site) => {
                let key = self.partial_key(key);
                let (map, addr, mask) = (self.map(*global), self.key_addr(&key), self.long(key.mask));
                let found = self.call_long(Builtin::map_contains, &[map, addr, mask], Some(*site));
                self.release_key(key);
                found
            }
            ExprKind::Regex(subject, pattern, captures) => self.regex(subject, pattern, *captures),
            ExprKind::Builtin(Builtin::pid, ..) => self.unsigned_field(offset_of!(Context, pid)),
            ExprKind::Builtin(Builtin::tid, ..) => self.unsigned_field(offset_of!(Context, tid)),
            ExprKind::Builtin(builtin, args, site) => {
                let (words, operands) = self.words(args);
                let result = self.call(*builtin, &words, Some(*site));
                self.drop_all(&operands);
                result.unwrap_or_else(|| self.long(0))
            }
            ExprKind::Stat(stat, op, site) => {
                let stat = self.stat(stat, Some(*site));
                let op = self.long(*op as i64);
                self.call_long(Builtin::stat_get, &[stat, op], Some(*site))
            }
            ExprKind::StatAt(stat, which, index, site) => self.stat_at(stat, *which, index, *site),
            ExprKind::Register(number) => {
                let at = offset_of!(Context, registers) + usize::from(*number) * 8;
                self.load64(at)
            }
            ExprKind::Memory(address, size, signed, site) => self.memory(address, *size, *signed, *site),
            ExprKind::EntryValue(at) => self.entry_value(*at, Type::Long).0,
            other => panic!("pass 2 typed {other:?} as a long"),
        }
    }

    pub(crate) fn unsigned_field(&mut self, at: usize) -> Value {
        let field = self.load32(at);
        self.builder.ins().uextend(I64, field)
    }

    fn regex(&mut self, subject: &Expr, pattern: &Pattern, captures: bool) -> Value {
        let subject = self.text_value(subject);
        let program = self.literal(&crate::regex::program(pattern, captures));
        let words = [subject.addr, subject.len, program.addr, program.len];
        let found = self.call_long(Builtin::regex_match, &words, None);
        self.release(&subject.slots);
        found
    }

    fn plain_text(&mut self, expr: &Expr) -> Text {
        match &expr.kind {
            ExprKind::Str(text) => self.literal(text),
            ExprKind::Ternary(condition, a, b) => match self.ternary(condition, a, b) {
                Operand::Str(text) => text,
                Operand::Long(_) => panic!("pass 2 typed the expression as a string"),
            },
            ExprKind::EntryValue(at) => {
                let (addr, len) = self.entry_value(*at, Type::Str);
                Text { addr, len, bounded: true, slots: Vec::new() }
            }
            other => match self.make_text(expr, None) {
                Some(text) => text,
                None => panic!("pass 2 typed {other:?} as a string"),
            },
        }
    }

    pub(crate) fn literal(&mut self, text: &[u8]) -> Text {
        let placed = self.unit.constants.text(text);
        let (addr, len) = (self.image_addr(placed.at), self.long(i64::from(placed.len)));
        Text { addr, len, bounded: i64::from(placed.len) <= self.max_string(), slots: Vec::new() }
    }

    /// Evaluates arguments of a builtin, in order, into the words that it takes.
    fn words<'e>(&mut self, args: impl IntoIterator<Item = &'e Expr>) -> (Vec<Value>, Vec<Operand>) {
        let operands: Vec<Operand> = args.into_iter().map(|arg| self.value(arg)).collect();
        let mut words = Vec::with_capacity(operands.len() * 2);
        for operand in &operands {
            match operand {
                Operand::Long(value) => words.push(*value),
                Operand::Str(text) => words.extend([text.addr, text.len]),
            }
        }
        (words, operands)
    }

    pub(crate) fn drop_all(&mut self, operands: &[Operand]) {
        for operand in operands {
            self.drop_operand(operand);
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr) -> Value {
        let value = self.long_value(operand);
        match op {
            UnaryOp::Negate => self.builder.ins().ineg(value),
            UnaryOp::Complement => self.builder.ins().bnot(value),
            UnaryOp::Not => {
                let zero = self.long(0);
                let flag = self.compare(IntCC::Equal, value, zero);
                self.truth(flag)
            }
        }
    }

    /// An operator on two longs; `constant` is the right one if it is known.
    pub(crate) fn binary(
        &mut self,
        op: BinaryOp,
        x: Value,
        y: Value,
        constant: Option<i64>,
        site: SiteId,
    ) -> Value {
        match op {
            BinaryOp::Add => self.builder.ins().iadd(x, y),
            BinaryOp::Sub => self.builder.ins().isub(x, y),
            BinaryOp::Mul => self.builder.ins().imul(x, y),
            BinaryOp::Div | BinaryOp::Mod => self.divide(op, x, y, constant, site),
            BinaryOp::And => self.builder.ins().band(x, y),
            BinaryOp::Or => self.builder.ins().bor(x, y),
            BinaryOp::Xor => self.builder.ins().bxor(x, y),
            // CLIF takes shift counts modulo the width, as the language does.
            BinaryOp::ShiftLeft => self.builder.ins().ishl(x, y),
            BinaryOp::ShiftRight => self.builder.ins().sshr(x, y),
            BinaryOp::UnsignedShiftRight => self.builder.ins().ushr(x, y),
            BinaryOp::Concat => panic!("pass 2 typed `.` as an operator on strings"),
        }
    }

    /// The instruction traps where the divisor is 0 or the quotient overflows, so neither reaches it.
    fn divide(&mut self, op: BinaryOp, x: Value, y: Value, constant: Option<i64>, site: SiteId) -> Value {
        self.last_site = Some(site);
        if constant.is_none_or(|number| number == 0) {
            let zero = self.long(0);
            let is_zero = self.compare(IntCC::Equal, y, zero);
            self.fault_if(is_zero, Fault::DivisionByZero, Some(site));
        }
        if constant.is_some_and(|number| number != 0 && number != -1) {
            return match op {
                BinaryOp::Div => self.builder.ins().sdiv(x, y),
                _ => self.builder.ins().srem(x, y),
            };
        }
        let (one, minus_one) = (self.long(1), self.long(-1));
        let negates = self.compare(IntCC::Equal, y, minus_one);
        let divisor = self.builder.ins().select(negates, one, y);
        match op {
            BinaryOp::Div => {
                let quotient = self.builder.ins().sdiv(x, divisor);
                let negated = self.builder.ins().ineg(x);
                self.builder.ins().select(negates, negated, quotient)
            }
            // The remainder by 1 is that by -1.
            _ => self.builder.ins().srem(x, divisor),
        }
    }

    fn comparison(&mut self, op: CompareOp, a: &Expr, b: &Expr) -> Value {
        let (left, right) = (self.value(a), self.value(b));
        let (x, y) = match (&left, &right) {
            (Operand::Long(x), Operand::Long(y)) => (*x, *y),
            (Operand::Str(a), Operand::Str(b)) => {
                let order = self.call_long(Builtin::compare, &[a.addr, a.len, b.addr, b.len], None);
                (order, self.long(0))
            }
            _ => panic!("pass 2 gave both sides of a comparison one type"),
        };
        self.drop_operand(&left);
        self.drop_operand(&right);
        let code = match op {
            CompareOp::Eq => IntCC::Equal,
            CompareOp::Ne => IntCC::NotEqual,
            CompareOp::Lt => IntCC::SignedLessThan,
            CompareOp::Le => IntCC::SignedLessThanOrEqual,
            CompareOp::Gt => IntCC::SignedGreaterThan,
            CompareOp::Ge => IntCC::SignedGreaterThanOrEqual,
        };
        self.compare(code, x, y)
    }

    /// Goes to one of two blocks.
    pub(crate) fn branch(&mut self, condition: &Expr, yes: Block, no: Block) {
        match &condition.kind {
            ExprKind::Unary(UnaryOp::Not, operand) => self.branch(operand, no, yes),
            ExprKind::And(a, b) => {
                let second = self.block();
                self.branch(a, second, no);
                self.enter(second);
                self.branch(b, yes, no);
            }
            ExprKind::Or(a, b) => {
                let second = self.block();
                self.branch(a, yes, second);
                self.enter(second);
                self.branch(b, yes, no);
            }
            kind => {
                let flag = match kind {
                    ExprKind::Compare(op, a, b) => self.comparison(*op, a, b),
                    _ => self.long_value(condition),
                };
                self.builder.ins().brif(flag, yes, &[], no, &[]);
                self.dead = true;
            }
        }
    }

    fn truth_of(&mut self, condition: &Expr) -> Value {
        let (yes, no, join) = (self.block(), self.block(), self.block());
        let result = self.builder.append_block_param(join, I64);
        self.branch(condition, yes, no);
        for (block, value) in [(yes, 1), (no, 0)] {
            self.enter(block);
            let value = self.long(value);
            self.jump_with(join, value);
        }
        self.enter(join);
        result
    }

    fn ternary(&mut self, condition: &Expr, a: &Expr, b: &Expr) -> Operand {
        let (yes, no, join) = (self.block(), self.block(), self.block());
        let first = self.builder.append_block_param(join, I64);
        self.branch(condition, yes, no);
        let mut merged = match a.ty {
            Type::Long => None,
            Type::Str => Some(Text {
                addr: first,
                len: self.builder.append_block_param(join, I64),
                bounded: true,
                slots: Vec::new(),
            }),
        };
        for (block, branch) in [(yes, a), (no, b)] {
            self.enter(block);
            match (self.value(branch), &mut merged) {
                (Operand::Long(value), None) => self.jump_with(join, value),
                (Operand::Str(text), Some(merged)) => {
                    self.builder.ins().jump(join, &[text.addr.into(), text.len.into()]);
                    merged.bounded &= text.bounded;
                    merged.slots.extend(text.slots);
                }
                _ => panic!("pass 2 gave both branches one type"),
            }
        }
        self.enter(join);
        merged.map_or(Operand::Long(first), Operand::Str)
    }

    fn choose(&mut self, subject: &Expr, cases: &[(i64, Expr)], otherwise: &Expr) -> Value {
        let subject = self.long_value(subject);
        let join = self.block();
        let result = self.builder.append_block_param(join, I64);
        for (case, value) in cases {
            let (yes, no) = (self.block(), self.block());
            let case = self.long(*case);
            let is_it = self.compare(IntCC::Equal, subject, case);
            self.builder.ins().brif(is_it, yes, &[], no, &[]);
            self.enter(yes);
            let value = self.long_value(value);
            self.jump_with(join, value);
            self.enter(no);
        }
        let value = self.long_value(otherwise);
        self.jump_with(join, value);
        self.enter(join);
        result
    }

    fn stat_at(&mut self, stat: &StatRef, which: StatIndex, index: &Expr, site: SiteId) -> Value {
        let (stat, index) = match stat {
            StatRef::Element(global, key) => {
                // Found only after the index is evaluated, which may delete or make elements.
                let key = self.key(key);
                let index = self.long_value(index);
                let (map, addr) = (self.map(*global), self.key_addr(&key));
                let stat = self.call_long(Builtin::map_stat_find, &[map, addr], Some(site));
                self.release_key(key);
                (stat, index)
            }
            StatRef::Global(_) | StatRef::Local(_) => {
                let index = self.long_value(index);
                (self.stat(stat, Some(site)), index)
            }
        };
        match which {
            StatIndex::Bucket => self.call_long(Builtin::hist_bucket, &[stat, index], Some(site)),
            StatIndex::Quantile { of } => {
                let of = self.long(of);
                self.call_long(Builtin::stat_quantile, &[stat, index, of], Some(site))
            }
        }
    }

    fn memory(&mut self, address: &Expr, size: u8, signed: bool, site: SiteId) -> Value {
        let address = self.long_value(address);
        let bytes = self.long(i64::from(size));
        let value = self.call_long(Builtin::read_memory, &[address, bytes], Some(site));
        let narrow = match size {
            1 => I8,
            2 => I16,
            4 => I32,
            _ => return value,
        };
        if !signed {
            return value;
        }
        let value = self.builder.ins().ireduce(narrow, value);
        self.builder.ins().sextend(I64, value)
    }

    /// A saved value: a long, or address and length of a string. 0 and "" if nothing was saved.
    fn entry_value(&mut self, at: u32, ty: Type) -> (Value, Value) {
        let (load, join) = (self.block(), self.block());
        let (a, b) = (self.builder.append_block_param(join, I64), self.builder.append_block_param(join, I64));
        let area = self.load64(offset_of!(Context, entry_values));
        let zero = self.long(0);
        let none = self.image_addr(0);
        self.builder.ins().brif(
            area,
            load,
            &[],
            join,
            &[if ty == Type::Str { none } else { zero }.into(), zero.into()],
        );
        self.enter(load);
        let (x, y) = match ty {
            Type::Long => (self.builder.ins().load(I64, MemFlagsData::trusted(), area, at as i32), zero),
            Type::Str => {
                let len = self.builder.ins().load(I32, MemFlagsData::trusted(), area, at as i32);
                let len = self.builder.ins().uextend(I64, len);
                let most = self.max_string();
                let most = self.long(most);
                let text = self.long(i64::from(at) + 8);
                (self.builder.ins().iadd(area, text), self.builder.ins().umin(len, most))
            }
        };
        self.builder.ins().jump(join, &[x.into(), y.into()]);
        self.enter(join);
        (a, b)
    }
}
