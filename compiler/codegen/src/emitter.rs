//! The state of one function or handler being compiled to CLIF, and what every statement and expression needs:
//! fields of the context, builtin calls, fault tests, stack slots, locals.
//!
//! A function's CLIF signature is `(ctx, parameters…[, result buffer]) -> (status, value)`, a handler's is `(ctx)`.
//! A string travels as address and length.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, SigRef,
    Signature, StackSlot, UserExternalName, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use rstap_abi::builtins::{Arg, Builtin, Ret};
use rstap_abi::context::Context;
use rstap_abi::layout::{GlobalShape, SHARDED, VALUE};
use rstap_abi::record::NO_SITE;
use rstap_program::ArenaPlan;
use rstap_sema::ir::{FuncId, GlobalId, KeyId, LocalId, Script, SiteId, Stmt, Type};
use std::mem::offset_of;

use crate::constants::Constants;
use crate::frame::{Frame, Slot};
use crate::handler::ending_functions;
use crate::key::KeptKey;
use crate::needs::Needs;
use crate::quick;

/// How a script function ended, its first result.
pub(crate) mod status {
    /// With its value.
    pub(crate) const DONE: i64 = 0;
    /// With a fault in the context.
    pub(crate) const FAULT: i64 = 1;
    /// By `next` in an overloaded function: another candidate may take the call.
    pub(crate) const DECLINED: i64 = 2;
    /// By `next`, which ends the handler.
    pub(crate) const NEXT: i64 = 3;
}

/// What all functions of a script share.
pub(crate) struct Unit<'a> {
    pub(crate) script: &'a Script,
    pub(crate) arena: &'a ArenaPlan,
    pub(crate) constants: Constants,
    /// By `FuncId`: whether the function can end the handler that called it.
    pub(crate) ending: Vec<bool>,
    pub(crate) needs: Needs,
    /// Handlers that have a quick form, and what is left of their bodies there.
    pub(crate) quick: Vec<(usize, Vec<Stmt>)>,
}

impl<'a> Unit<'a> {
    pub(crate) fn new(script: &'a Script, arena: &'a ArenaPlan) -> Unit<'a> {
        let needs = Needs::of(script);
        let quick = quick::forms(script, arena, &needs);
        let (constants, ending) = (Constants::default(), ending_functions(script));
        Unit { script, arena, constants, ending, needs, quick }
    }
}

/// A string value: address, length and the slots that hold it until its consumer is done.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) addr: Value,
    pub(crate) len: Value,
    /// Whether it has at most MAXSTRINGLEN - 1 bytes; a literal may have more.
    pub(crate) bounded: bool,
    pub(crate) slots: Vec<Slot>,
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Long(Value),
    Str(Text),
}

/// Where a local lives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Home {
    /// A long.
    Register(Variable),
    /// A string in the frame, and its length.
    Frame(StackSlot, Variable),
    /// A string that the caller keeps: a parameter that is never assigned.
    Borrowed(Value, Value),
}

/// Where control goes when something faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landing {
    /// Takes the site, stores it, goes on to `resume`.
    pub(crate) fault: Block,
    /// The site is stored already.
    pub(crate) resume: Block,
    /// A function that was called faulted: takes the site of the call, adds it to the callers, goes on to `resume`.
    pub(crate) called: Block,
}

/// Where `break` and `continue` go, and how many array walks are open there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopExits {
    pub(crate) leave: Block,
    pub(crate) again: Block,
    /// Walks that stay open after `break`.
    pub(crate) walks_left: usize,
    /// Walks that stay open after `continue`.
    pub(crate) walks_again: usize,
}

/// What is being compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Handler,
    /// The quick form of a handler: what would call something declines instead.
    Quick,
    /// Its result type and, for a string, the buffer for it.
    Function(Option<Type>, Option<Value>),
}

/// One function being compiled.
pub(crate) struct Emitter<'u, 's, 'b> {
    pub(crate) unit: &'u mut Unit<'s>,
    pub(crate) builder: FunctionBuilder<'b>,
    pub(crate) frame: Frame,
    pub(crate) ctx: Value,
    pub(crate) role: Role,
    pub(crate) locals: Vec<Home>,
    /// String locals assigned within expressions: a value read from one is copied.
    pub(crate) unstable: HashSet<LocalId>,
    pub(crate) landings: Vec<Landing>,
    pub(crate) loops: Vec<LoopExits>,
    pub(crate) walks: Vec<Slot>,
    /// Whether statements are counted (MAXACTION).
    pub(crate) counted: bool,
    /// Whether the point of emission cannot be reached.
    pub(crate) dead: bool,
    /// The last place named, for the message when actions run out.
    pub(crate) last_site: Option<SiteId>,
    /// Ends the function for want of actions; takes the site.
    pub(crate) exhausted: Block,
    /// Values of `ExprKind::Bound`.
    pub(crate) bound: HashMap<u32, Value>,
    /// Keys that several accesses share.
    pub(crate) kept: HashMap<KeyId, KeptKey>,
    signatures: HashMap<Builtin, SigRef>,
    functions: HashMap<FuncId, FuncRef>,
}

impl<'u, 's, 'b> Emitter<'u, 's, 'b> {
    pub(crate) fn new(
        unit: &'u mut Unit<'s>,
        mut builder: FunctionBuilder<'b>,
        ctx: Value,
        role: Role,
    ) -> Self {
        let exhausted = builder.create_block();
        builder.append_block_param(exhausted, I32);
        builder.set_cold_block(exhausted);
        Emitter {
            unit,
            builder,
            frame: Frame::default(),
            ctx,
            role,
            locals: Vec::new(),
            unstable: HashSet::new(),
            landings: Vec::new(),
            loops: Vec::new(),
            walks: Vec::new(),
            counted: true,
            dead: false,
            last_site: None,
            exhausted,
            bound: HashMap::new(),
            kept: HashMap::new(),
            signatures: HashMap::new(),
            functions: HashMap::new(),
        }
    }

    // Small things.

    pub(crate) fn long(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(I64, value)
    }

    pub(crate) fn load32(&mut self, offset: usize) -> Value {
        let ctx = self.ctx;
        self.builder.ins().load(I32, MemFlagsData::trusted(), ctx, offset as i32)
    }

    pub(crate) fn load64(&mut self, offset: usize) -> Value {
        let ctx = self.ctx;
        self.builder.ins().load(I64, MemFlagsData::trusted(), ctx, offset as i32)
    }

    /// A field that no handler changes.
    pub(crate) fn load_fixed(&mut self, offset: usize) -> Value {
        let ctx = self.ctx;
        self.builder.ins().load(
            I64,
            MemFlagsData::trusted().with_readonly().with_can_move(),
            ctx,
            offset as i32,
        )
    }

    pub(crate) fn store(&mut self, value: Value, offset: usize) {
        let ctx = self.ctx;
        self.builder.ins().store(MemFlagsData::trusted(), value, ctx, offset as i32);
    }

    pub(crate) fn slot_addr(&mut self, slot: StackSlot) -> Value {
        self.builder.ins().stack_addr(I64, slot, 0)
    }

    /// Address of something in the image.
    pub(crate) fn image_addr(&mut self, at: u32) -> Value {
        let image = self.load_fixed(offset_of!(Context, image));
        let at = self.long(i64::from(at));
        self.builder.ins().iadd(image, at)
    }

    /// Arena offset of a global.
    pub(crate) fn global_at(&self, global: GlobalId) -> u64 {
        self.unit.arena.globals[global.0 as usize].at.bytes
    }

    /// Arena offset of a global, as a builtin takes it.
    pub(crate) fn global(&mut self, global: GlobalId) -> Value {
        let at = self.global_at(global);
        self.long(at as i64)
    }

    /// An array, as a builtin takes it.
    pub(crate) fn map(&mut self, global: GlobalId) -> Value {
        let planned = &self.unit.arena.globals[global.0 as usize];
        let GlobalShape::Map(shape) = planned.shape else {
            panic!("pass 2 uses only arrays as arrays");
        };
        let sharded = if planned.part.is_some() { SHARDED } else { 0 };
        let handle = shape.handle(planned.at) | sharded;
        self.long(handle as i64)
    }

    /// Address of a global's value, as base and displacement.
    pub(crate) fn global_value(&mut self, global: GlobalId) -> (Value, i32) {
        let arena = self.load_fixed(offset_of!(Context, arena));
        let at = self.global_at(global) + VALUE;
        match i32::try_from(at) {
            Ok(at) => (arena, at),
            Err(_) => {
                let at = self.long(at as i64);
                (self.builder.ins().iadd(arena, at), 0)
            }
        }
    }

    pub(crate) fn max_string(&self) -> i64 {
        (self.unit.script.limits.max_string_len.max(1) - 1) as i64
    }

    // Blocks.

    pub(crate) fn block(&mut self) -> Block {
        self.builder.create_block()
    }

    pub(crate) fn cold_block(&mut self) -> Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }

    pub(crate) fn enter(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.dead = false;
    }

    pub(crate) fn jump(&mut self, block: Block) {
        self.builder.ins().jump(block, &[]);
        self.dead = true;
    }

    pub(crate) fn jump_with(&mut self, block: Block, value: Value) {
        self.builder.ins().jump(block, &[value.into()]);
        self.dead = true;
    }

    /// Goes on if the value is 0, else to `target` with `arg`.
    pub(crate) fn leave_if(&mut self, condition: Value, target: Block, arg: Option<Value>) {
        let next = self.block();
        let args: Vec<_> = arg.into_iter().map(Into::into).collect();
        self.builder.ins().brif(condition, target, &args, next, &[]);
        self.enter(next);
    }

    // Strings in the frame.

    pub(crate) fn take_string(&mut self) -> Slot {
        let size = self.unit.script.limits.max_string_len.max(1);
        self.take(size as u32)
    }

    pub(crate) fn take(&mut self, size: u32) -> Slot {
        self.frame.take(&mut self.builder, size)
    }

    pub(crate) fn release(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.frame.give_back(*slot);
        }
    }

    /// Gives back what a value occupies.
    pub(crate) fn drop_operand(&mut self, operand: &Operand) {
        if let Operand::Str(text) = operand {
            self.release(&text.slots);
        }
    }

    /// The length of a string, at most MAXSTRINGLEN - 1.
    pub(crate) fn bounded_len(&mut self, text: &Text) -> Value {
        if text.bounded {
            return text.len;
        }
        let most = self.max_string();
        let most = self.long(most);
        self.builder.ins().umin(text.len, most)
    }

    // Faults.

    pub(crate) fn site(&mut self, site: Option<SiteId>) -> Value {
        let number = site.map_or(NO_SITE, |site| site.0);
        self.builder.ins().iconst(I32, i64::from(number))
    }

    pub(crate) fn landing(&self) -> Landing {
        *self.landings.last().expect("a function has a landing of its own")
    }

    /// Tests `ctx.fault` after a call that may set it.
    pub(crate) fn test_fault(&mut self, site: Option<SiteId>) {
        let fault = self.load32(offset_of!(Context, fault));
        let site = self.site(site);
        let target = self.landing().fault;
        self.leave_if(fault, target, Some(site));
    }

    /// Faults if the condition holds.
    pub(crate) fn fault_if(
        &mut self,
        condition: Value,
        fault: rstap_abi::fault::Fault,
        site: Option<SiteId>,
    ) {
        let cold = self.cold_block();
        self.leave_if(condition, cold, None);
        let next = self.builder.current_block().expect("a block was entered");
        self.enter(cold);
        self.raise(fault, site);
        self.enter(next);
    }

    /// Faults.
    pub(crate) fn raise(&mut self, fault: rstap_abi::fault::Fault, site: Option<SiteId>) {
        if matches!(self.role, Role::Quick) {
            return self.leave(status::DECLINED, None);
        }
        let code = self.builder.ins().iconst(I32, fault as i64);
        self.store(code, offset_of!(Context, fault));
        let site = self.site(site);
        let target = self.landing().fault;
        self.jump_with(target, site);
    }

    // Builtins.

    /// Calls a builtin with all its arguments but the context.
    pub(crate) fn call(&mut self, builtin: Builtin, args: &[Value], site: Option<SiteId>) -> Option<Value> {
        if matches!(self.role, Role::Quick) {
            self.leave(status::DECLINED, None);
            // Nobody comes to what follows.
            let block = self.block();
            self.enter(block);
            return Some(self.long(0));
        }
        let signature = self.signature(builtin);
        let table = self.load_fixed(offset_of!(Context, builtins));
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let address = self.builder.ins().load(I64, flags, table, builtin as i32 * 8);
        let mut all = vec![self.ctx];
        all.extend_from_slice(args);
        let call = self.builder.ins().call_indirect(signature, address, &all);
        let result = self.builder.inst_results(call).first().copied();
        if builtin.signature().fallible {
            self.last_site = site.or(self.last_site);
            self.test_fault(site);
        }
        result
    }

    /// Calls a builtin that returns a long.
    pub(crate) fn call_long(&mut self, builtin: Builtin, args: &[Value], site: Option<SiteId>) -> Value {
        self.call(builtin, args, site).expect("the builtin has a result")
    }

    /// Calls a builtin that returns a string, into a new slot.
    pub(crate) fn call_str(&mut self, builtin: Builtin, args: &[Value], site: Option<SiteId>) -> Text {
        self.call_text(builtin, args, site, None)
    }

    /// Calls a builtin that returns a string, into the memory given or a new slot.
    pub(crate) fn call_text(
        &mut self,
        builtin: Builtin,
        args: &[Value],
        site: Option<SiteId>,
        to: Option<Value>,
    ) -> Text {
        let (addr, slots) = self.room(to);
        let len = self.call_into(builtin, args, addr, site);
        Text { addr, len, bounded: true, slots }
    }

    /// The memory given, or that of a new slot.
    pub(crate) fn room(&mut self, to: Option<Value>) -> (Value, Vec<Slot>) {
        match to {
            Some(addr) => (addr, Vec::new()),
            None => {
                let slot = self.take_string();
                (self.slot_addr(slot.stack), vec![slot])
            }
        }
    }

    /// Calls a builtin that returns a string, into a buffer; its length.
    pub(crate) fn call_into(
        &mut self,
        builtin: Builtin,
        args: &[Value],
        to: Value,
        site: Option<SiteId>,
    ) -> Value {
        let mut all = args.to_vec();
        all.push(to);
        self.call_long(builtin, &all, site)
    }

    fn signature(&mut self, builtin: Builtin) -> SigRef {
        if let Some(known) = self.signatures.get(&builtin) {
            return *known;
        }
        let row = builtin.signature();
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.push(AbiParam::new(I64));
        for arg in row.args {
            let words = if *arg == Arg::Str { 2 } else { 1 };
            signature.params.extend([AbiParam::new(I64); 2].iter().take(words));
        }
        if row.ret == Ret::Str {
            signature.params.push(AbiParam::new(I64));
        }
        if row.ret != Ret::Void {
            signature.returns.push(AbiParam::new(I64));
        }
        let reference = self.builder.import_signature(signature);
        self.signatures.insert(builtin, reference);
        reference
    }

    /// A script function, to be called.
    pub(crate) fn function(&mut self, id: FuncId) -> FuncRef {
        if let Some(known) = self.functions.get(&id) {
            return *known;
        }
        let signature = function_signature(&self.unit.script.functions[id.0 as usize]);
        let signature = self.builder.import_signature(signature);
        let name = import_name(self.builder.func, id.0);
        // Colocated: the call is a rel32 within the image.
        let data = ExtFuncData { name, signature, colocated: true, patchable: false };
        let reference = self.builder.import_function(data);
        self.functions.insert(id, reference);
        reference
    }

    /// 0 or 1 of a comparison.
    pub(crate) fn truth(&mut self, flag: Value) -> Value {
        debug_assert_eq!(self.builder.func.dfg.value_type(flag), I8);
        self.builder.ins().uextend(I64, flag)
    }

    pub(crate) fn compare(&mut self, code: IntCC, a: Value, b: Value) -> Value {
        self.builder.ins().icmp(code, a, b)
    }
}

fn import_name(function: &mut Function, index: u32) -> ExternalName {
    ExternalName::user(function.declare_imported_user_function(UserExternalName { namespace: 0, index }))
}

/// `(ctx, parameters…[, result buffer]) -> (status, value)`
pub(crate) fn function_signature(function: &rstap_sema::ir::Function) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    let word = AbiParam::new(I64);
    signature.params.push(word);
    for local in &function.locals[..function.param_count as usize] {
        signature.params.push(word);
        if local.ty == Type::Str {
            signature.params.push(word);
        }
    }
    if function.ret == Some(Type::Str) {
        signature.params.push(word);
    }
    signature.returns.extend([word, word]);
    signature
}

/// `(ctx)`
pub(crate) fn handler_signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(I64));
    signature
}

/// A handler's quick form takes the context, and says whether it has declined.
pub(crate) fn quick_signature() -> Signature {
    let mut signature = handler_signature();
    signature.returns.push(AbiParam::new(I64));
    signature
}
