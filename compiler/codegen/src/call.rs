//! Calls of script functions. Arguments are passed by value: a string as address and length, which the callee copies
//! only if it assigns the parameter.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use rstap_abi::context::Context;
use rstap_abi::fault::Fault;
use rstap_sema::ir::{Expr, FuncId, SiteId, Type};

use crate::emitter::{Emitter, Operand, Text, status};

impl Emitter<'_, '_, '_> {
    /// Calls the candidates in order until one does not decline. A string is returned in the memory given, which no
    /// argument is in, or in a new slot.
    pub(crate) fn call_function(
        &mut self,
        candidates: &[FuncId],
        args: &[Expr],
        ty: Type,
        site: SiteId,
        to: Option<Value>,
    ) -> Operand {
        let operands: Vec<Operand> = args.iter().map(|arg| self.value(arg)).collect();
        let mut words = vec![self.ctx];
        for operand in &operands {
            match operand {
                Operand::Long(value) => words.push(*value),
                Operand::Str(text) => {
                    let len = self.bounded_len(text);
                    words.extend([text.addr, len]);
                }
            }
        }
        let result = (ty == Type::Str).then(|| self.room(to));
        words.extend(result.iter().map(|(addr, _)| *addr));
        let nesting = self.nest(site);
        let join = self.block();
        let value = self.builder.append_block_param(join, I64);
        for (index, candidate) in candidates.iter().enumerate() {
            let declined = self.cold_block();
            let value = self.call_candidate(*candidate, &words, nesting, declined, site);
            self.jump_with(join, value);
            self.enter(declined);
            if index + 1 == candidates.len() {
                self.raise(Fault::OverloadsExhausted, Some(site));
            } else {
                self.store(nesting.1, offset_of!(Context, nesting));
            }
        }
        self.enter(join);
        self.last_site = Some(site);
        self.drop_all(&operands);
        match result {
            None => Operand::Long(value),
            Some((addr, slots)) => Operand::Str(Text { addr, len: value, bounded: true, slots }),
        }
    }

    /// Takes one level of MAXNESTING: the number of levels left outside the call, and within.
    fn nest(&mut self, site: SiteId) -> (Value, Value) {
        let outside = self.load32(offset_of!(Context, nesting));
        let zero = self.builder.ins().iconst(I32, 0);
        let none_left = self.compare(IntCC::Equal, outside, zero);
        self.fault_if(none_left, Fault::MaxNesting, Some(site));
        let one = self.builder.ins().iconst(I32, 1);
        let within = self.builder.ins().isub(outside, one);
        self.store(within, offset_of!(Context, nesting));
        (outside, within)
    }

    /// Calls one function; its value. If it declines, control goes to `declined`.
    fn call_candidate(
        &mut self,
        id: FuncId,
        words: &[Value],
        nesting: (Value, Value),
        declined: Block,
        site: SiteId,
    ) -> Value {
        let callee = self.function(id);
        let call = self.builder.ins().call(callee, words);
        let (ended, value) = match *self.builder.inst_results(call) {
            [ended, value] => (ended, value),
            _ => panic!("script functions have two results"),
        };
        self.store(nesting.0, offset_of!(Context, nesting));
        let function = &self.unit.script.functions[id.0 as usize];
        let (can_decline, can_end) = (function.can_decline, self.unit.ending[id.0 as usize]);
        let faulted = self.landing().called;
        let site = self.site(Some(site));
        if !can_decline && !can_end {
            self.leave_if(ended, faulted, Some(site));
            return value;
        }
        let (other, done) = (self.cold_block(), self.block());
        self.builder.ins().brif(ended, other, &[], done, &[]);
        self.enter(other);
        let code = self.long(status::DECLINED);
        let is_declined = self.compare(IntCC::Equal, ended, code);
        self.leave_if(is_declined, declined, None);
        let code = self.long(status::FAULT);
        let is_fault = self.compare(IntCC::Equal, ended, code);
        self.leave_if(is_fault, faulted, Some(site));
        self.leave(status::NEXT, None);
        self.enter(done);
        value
    }
}
