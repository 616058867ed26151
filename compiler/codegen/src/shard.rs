//! Additions to sharded globals: to this context's part of them, without a lock. Longs and statistics are added to
//! where they are, and so are the elements of arrays whose key is one long; the runtime looks for others.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Value};
use rstap_abi::builtins::Builtin;
use rstap_abi::context::Context;
use rstap_abi::layout::{
    ENTRY_HEADER, GlobalShape, Histogram, LOG_BUCKETS, MAP_HEADER, StatShape, VALUE, ValueShape, hash,
};
use rstap_sema::ir::visit::statement_addition;
use rstap_sema::ir::{self, BinaryOp, Expr, ExprKind, GlobalId, Place, SiteId, Stmt};

use crate::emitter::Emitter;

/// Words of a statistic, as `rstap_core::stat` lays them down. In a shard the first is the number of the addition begun
/// last.
mod word {
    pub(super) const BEGUN: i32 = 0;
    pub(super) const COUNT: i32 = 8;
    pub(super) const SUM: i32 = 16;
    pub(super) const MIN: i32 = 24;
    pub(super) const MAX: i32 = 32;
    pub(super) const BUCKETS: i32 = 40;
}

impl Emitter<'_, '_, '_> {
    /// Emits an expression whose value nobody uses.
    pub(crate) fn effect(&mut self, statement: &Stmt, expr: &Expr) {
        let addition = statement_addition(statement).filter(|addition| std::ptr::eq(*addition, expr));
        if let Some(ExprKind::Update { place, op, operand, site, .. }) = addition.map(|expr| &expr.kind)
            && let Place::Global(global) | Place::Element(global, _) = place
            && let Some(part) = self.part(*global)
        {
            return self.add(place, part, *op, operand, *site);
        }
        if let ExprKind::Update { place, op: BinaryOp::Concat, operand, site, .. } = &expr.kind
            && self.append_there(place, operand, *site)
        {
            return;
        }
        let value = self.value(expr);
        self.drop_operand(&value);
    }

    /// Where in a shard a global's part is, if it is sharded.
    pub(crate) fn part(&self, global: GlobalId) -> Option<u64> {
        self.unit.arena.globals[global.0 as usize].part
    }

    fn add(&mut self, place: &Place, part: u64, op: BinaryOp, operand: &Expr, site: SiteId) {
        let change = |emitter: &mut Self| {
            let value = emitter.long_value(operand);
            if op == BinaryOp::Sub { emitter.builder.ins().ineg(value) } else { value }
        };
        match place {
            Place::Element(global, key) => {
                self.add_to_element(
                    [Builtin::shard_add_long_1, Builtin::shard_add_long],
                    *global,
                    key,
                    change,
                    site,
                );
            }
            _ => {
                let value = change(self);
                self.add_to_long(part, value);
            }
        }
        self.last_site = Some(site);
    }

    /// `a[k] <<< v`
    pub(crate) fn aggregate_in_shard(&mut self, global: GlobalId, key: &ir::Key, value: &Expr, site: SiteId) {
        let builtins = [Builtin::shard_add_stat_1, Builtin::shard_add_stat];
        self.add_to_element(builtins, global, key, |emitter| emitter.long_value(value), site);
    }

    /// `builtins`: for a key that is one long, and for others.
    fn add_to_element(
        &mut self,
        builtins: [Builtin; 2],
        global: GlobalId,
        key: &ir::Key,
        value: impl FnOnce(&mut Self) -> Value,
        site: SiteId,
    ) {
        let part = self.part(global).expect("it is sharded");
        if let [key] = &**key
            && key.ty == rstap_sema::ir::Type::Long
        {
            let key = self.long_value(key);
            let value = value(self);
            return self.add_by_long(builtins[0], global, part, key, value, site);
        }
        let key = self.key(key);
        let value = value(self);
        let (map, addr, part) = (self.map(global), self.key_addr(&key), self.long(part as i64));
        self.call(builtins[1], &[map, addr, part, value], Some(site));
        self.release_key(key);
    }

    /// Adds to the element of a key that is one long. Looks at the first entry of the key's chain only, which is nearly
    /// always the one; `builtin` does the rest.
    fn add_by_long(
        &mut self,
        builtin: Builtin,
        global: GlobalId,
        part: u64,
        key: Value,
        value: Value,
        site: SiteId,
    ) {
        let planned = &self.unit.arena.globals[global.0 as usize];
        let GlobalShape::Map(shape) = planned.shape else { panic!("pass 2 uses only arrays as arrays") };
        let (limits, at) = (&self.unit.script.limits, planned.at.bytes);
        let (stride, size) = (shape.stride(limits), shape.value.size(limits));
        let added_here = !matches!(shape.value, ValueShape::Stat(stat) if !is_added_to_here(&stat));
        let places = [at + VALUE + MAP_HEADER, at + shape.entries_at() + ENTRY_HEADER].map(i32::try_from);
        let ([Ok(heads), Ok(keys)], true) = (places, added_here) else {
            let (map, part) = (self.map(global), self.long(part as i64));
            self.call(builtin, &[map, key, part, value], Some(site));
            return;
        };

        let (slow, join) = (self.cold_block(), self.block());
        let hash = self.hash_of(key);
        let mask = self.long(shape.bucket_count() as i64 - 1);
        let bucket = self.builder.ins().band(hash, mask);
        let arena = self.load_fixed(offset_of!(Context, arena));
        let bucket = self.builder.ins().ishl_imm_u(bucket, 2);
        let head = self.builder.ins().iadd(arena, bucket);
        let entry = self.builder.ins().uload32(MemFlagsData::trusted(), head, heads);
        // Entries are numbered from 1. The arena may say anything: nothing outside it is touched.
        let index = self.builder.ins().iadd_imm_s(entry, -1);
        let capacity = self.long(i64::from(shape.capacity));
        let unsound = self.compare(IntCC::UnsignedGreaterThanOrEqual, index, capacity);
        self.leave_if(unsound, slow, None);
        let stride = self.long(stride as i64);
        let offset = self.builder.ins().imul(index, stride);
        let address = self.builder.ins().iadd(arena, offset);
        let found = self.word(address, keys);
        let other = self.compare(IntCC::NotEqual, found, key);
        self.leave_if(other, slow, None);
        let shared = self.load32(offset_of!(Context, shard_shared));
        self.leave_if(shared, slow, None);
        let (base, at) = self.in_shard(part);
        let size = self.long(size as i64);
        let offset = self.builder.ins().imul(index, size);
        let base = self.builder.ins().iadd(base, offset);
        match shape.value {
            ValueShape::Stat(stat) => self.add_to_own_stat(&stat, base, at, value),
            _ => self.add_to_own_long(base, at, value),
        }
        self.jump(join);

        self.enter(slow);
        let (map, part) = (self.map(global), self.long(part as i64));
        self.call(builtin, &[map, key, part, value], Some(site));
        self.jump(join);
        self.enter(join);
    }

    /// As `rstap_core::key` does.
    fn hash_of(&mut self, key: Value) -> Value {
        let (seed, multiplier) = (self.long(hash::SEED as i64), self.long(hash::MULTIPLIER as i64));
        let mixed = self.builder.ins().bxor(seed, key);
        let low = self.builder.ins().imul(mixed, multiplier);
        let high = self.builder.ins().umulhi(mixed, multiplier);
        self.builder.ins().bxor(low, high)
    }

    fn add_to_own_long(&mut self, base: Value, at: i32, value: Value) {
        let before = self.word(base, at);
        let after = self.builder.ins().iadd(before, value);
        self.set_word(after, base, at);
    }

    fn shard(&mut self) -> Value {
        self.load_fixed(offset_of!(Context, shard))
    }

    /// Goes on in a new block if this context has a shard of its own; control is then in the cold block for when it
    /// has none.
    fn own_shard_or(&mut self, shared: impl FnOnce(&mut Self), own: impl FnOnce(&mut Self)) {
        let (cold, hot, join) = (self.cold_block(), self.block(), self.block());
        let flag = self.load32(offset_of!(Context, shard_shared));
        self.builder.ins().brif(flag, cold, &[], hot, &[]);
        self.enter(cold);
        shared(self);
        self.jump(join);
        self.enter(hot);
        own(self);
        self.jump(join);
        self.enter(join);
    }

    fn add_to_long(&mut self, part: u64, value: Value) {
        let (base, at) = self.in_shard(part);
        self.own_shard_or(
            |emitter| {
                let at = emitter.long(i64::from(at));
                let address = emitter.builder.ins().iadd(base, at);
                emitter.builder.ins().atomic_rmw(
                    I64,
                    MemFlagsData::trusted(),
                    AtomicRmwOp::Add,
                    address,
                    value,
                );
            },
            |emitter| emitter.add_to_own_long(base, at, value),
        );
    }

    /// Address of a part, as base and displacement.
    fn in_shard(&mut self, part: u64) -> (Value, i32) {
        let shard = self.shard();
        // Room for the words of a statistic behind it.
        match i32::try_from(part).ok().filter(|at| *at < 1 << 30) {
            Some(at) => (shard, at),
            None => {
                let part = self.long(part as i64);
                (self.builder.ins().iadd(shard, part), 0)
            }
        }
    }

    fn word(&mut self, base: Value, at: i32) -> Value {
        self.builder.ins().load(I64, MemFlagsData::trusted(), base, at)
    }

    fn set_word(&mut self, value: Value, base: Value, at: i32) {
        self.builder.ins().store(MemFlagsData::trusted(), value, base, at);
    }

    /// `s <<< v`
    pub(crate) fn add_to_stat(&mut self, global: GlobalId, part: u64, value: Value, site: SiteId) {
        let GlobalShape::Stat(shape) = self.unit.arena.globals[global.0 as usize].shape else {
            panic!("pass 2 aggregates in statistics only");
        };
        let by_runtime = |emitter: &mut Self| {
            let stat = emitter.global_at(global) + VALUE;
            let (stat, part) = (emitter.long(stat as i64), emitter.long(part as i64));
            emitter.call(Builtin::shard_stat_add, &[stat, part, value], Some(site));
        };
        if !is_added_to_here(&shape) {
            return by_runtime(self);
        }
        let (base, at) = self.in_shard(part);
        self.own_shard_or(by_runtime, |emitter| emitter.add_to_own_stat(&shape, base, at, value));
    }

    /// As `rstap_core::shard::add_to_stat` does.
    fn add_to_own_stat(&mut self, shape: &StatShape, base: Value, at: i32, value: Value) {
        let before = self.word(base, at + word::COUNT);
        let after = self.builder.ins().iadd_imm_s(before, 1);
        self.set_word(after, base, at + word::BEGUN);
        let sum = self.word(base, at + word::SUM);
        let sum = self.builder.ins().iadd(sum, value);
        self.set_word(sum, base, at + word::SUM);
        for (place, keep) in [(word::MIN, IntCC::SignedLessThan), (word::MAX, IntCC::SignedGreaterThan)] {
            let known = self.word(base, at + place);
            let better = self.compare(keep, known, value);
            let best = self.builder.ins().select(better, known, value);
            let best = self.builder.ins().select(before, best, value);
            self.set_word(best, base, at + place);
        }
        if let Some((bucket, first)) = self.bucket_of(shape, value) {
            let offset = self.builder.ins().ishl_imm_u(bucket, 3);
            let address = self.builder.ins().iadd(base, offset);
            let count = self.word(address, at + first);
            let count = self.builder.ins().iadd_imm_s(count, 1);
            self.set_word(count, address, at + first);
        }
        self.set_word(after, base, at + word::COUNT);
    }

    /// Number of the bucket of a value, and where the first one is.
    fn bucket_of(&mut self, shape: &StatShape, value: Value) -> Option<(Value, i32)> {
        match shape.histogram {
            Histogram::None => None,
            Histogram::Log => {
                // `LOG_BUCKETS` - leading zeros of what is not negative, else leading zeros of the magnitude.
                let zero = self.long(0);
                let negative = self.compare(IntCC::SignedLessThan, value, zero);
                let magnitude = self.builder.ins().iabs(value);
                let zeros = self.builder.ins().clz(magnitude);
                let buckets = self.long(LOG_BUCKETS as i64);
                let rising = self.builder.ins().isub(buckets, zeros);
                // i64::MIN, whose magnitude has no leading zeros, is where SystemTap has it.
                let none = self.long(63);
                let falling = self.builder.ins().select(zeros, zeros, none);
                Some((self.builder.ins().select(negative, falling, rising), word::BUCKETS))
            }
            Histogram::Linear { start, interval, .. } => {
                let last = shape.histogram.bucket_count().saturating_sub(1);
                let (first, width, last) =
                    (self.long(start), self.long(interval.max(1)), self.long(last as i64));
                let below = self.compare(IntCC::SignedLessThan, value, first);
                let distance = self.builder.ins().isub(value, first);
                let step = self.builder.ins().udiv(distance, width);
                // Before one is added: the distance may be all there is.
                let step = self.builder.ins().umin(step, last);
                let step = self.builder.ins().iadd_imm_s(step, 1);
                let step = self.builder.ins().umin(step, last);
                let zero = self.long(0);
                Some((self.builder.ins().select(below, zero, step), word::BUCKETS + 16))
            }
        }
    }
}

/// Whether generated code adds to a statistic itself; a variance and a sketch are the runtime's to keep.
pub(crate) fn is_added_to_here(shape: &StatShape) -> bool {
    !shape.variance && !shape.sketch
}
