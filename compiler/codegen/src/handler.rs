//! Functions and handlers as a whole: parameters and locals, the way out, and who may end whose handler.

use std::collections::HashSet;
use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Function, InstBuilder, MemFlagsData, Signature, UserFuncName, Value};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use rstap_abi::builtins::Builtin;
use rstap_abi::context::{Context, MAX_CALLERS};
use rstap_abi::fault::Fault;
use rstap_sema::ir::visit::{assigned_local, each_expr, each_expr_in, each_statement, expressions};
use rstap_sema::ir::{self, ExprKind, Local, LocalId, Place, Script, Stmt, Type};

use crate::emitter::{
    Emitter, Home, Landing, Role, Unit, function_signature, handler_signature, quick_signature, status,
};

/// Compiles a script function to CLIF.
pub(crate) fn function(
    unit: &mut Unit,
    memory: &mut FunctionBuilderContext,
    index: u32,
    target: TargetFrontendConfig,
) -> Function {
    let function = &unit.script.functions[index as usize];
    let counted = unit.needs.functions_counted[index as usize];
    build(unit, memory, index, counted, function_signature(function), target, |params| {
        let result =
            (function.ret == Some(Type::Str)).then(|| *params.last().expect("the result buffer is last"));
        (Role::Function(function.ret, result), function.param_count, &function.locals, &function.body)
    })
}

/// Compiles a handler to CLIF.
pub(crate) fn handler(
    unit: &mut Unit,
    memory: &mut FunctionBuilderContext,
    index: u32,
    target: TargetFrontendConfig,
) -> Function {
    let handler = &unit.script.handlers[index as usize];
    let number = unit.script.functions.len() as u32 + index;
    let counted = unit.needs.handlers_counted[index as usize];
    build(unit, memory, number, counted, handler_signature(), target, |_| {
        (Role::Handler, 0, &handler.locals, &handler.body)
    })
}

/// Compiles the quick form of a handler to CLIF. `number`: its own.
pub(crate) fn quick(
    unit: &mut Unit,
    memory: &mut FunctionBuilderContext,
    (index, body): &(usize, Vec<Stmt>),
    number: u32,
    target: TargetFrontendConfig,
) -> Function {
    let locals = &unit.script.handlers[*index].locals;
    build(unit, memory, number, false, quick_signature(), target, |_| (Role::Quick, 0, locals, body))
}

fn build<'b>(
    unit: &mut Unit,
    memory: &mut FunctionBuilderContext,
    number: u32,
    counted: bool,
    signature: Signature,
    target: TargetFrontendConfig,
    parts: impl FnOnce(&[Value]) -> (Role, u32, &'b [Local], &'b [Stmt]),
) -> Function {
    let mut function = Function::with_name_signature(UserFuncName::user(0, number), signature);
    let mut builder = FunctionBuilder::new(&mut function, memory);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let (role, param_count, locals, body) = parts(&params);
    let mut emitter = Emitter::new(unit, builder, params[0], role);
    emitter.counted = counted;
    emitter.unstable = unstable_locals(body);
    let landing = emitter.landing_pad();
    emitter.declare_locals(locals, param_count as usize, &params[1..], body);
    emitter.statements(body);
    emitter.finish(landing);
    let mut builder = emitter.builder;
    builder.seal_all_blocks();
    builder.finalize(target);
    function
}

impl Emitter<'_, '_, '_> {
    /// A new innermost landing.
    pub(crate) fn landing_pad(&mut self) -> Landing {
        let fault = self.cold_block();
        self.builder.append_block_param(fault, I32);
        let called = self.cold_block();
        self.builder.append_block_param(called, I32);
        let landing = Landing { fault, resume: self.cold_block(), called };
        self.landings.push(landing);
        landing
    }

    /// Fills the `fault` and `called` blocks of a landing.
    pub(crate) fn store_site(&mut self, landing: Landing) {
        self.enter(landing.called);
        self.add_caller(landing);

        self.enter(landing.fault);
        let site = self.builder.block_params(landing.fault)[0];
        self.store(site, offset_of!(Context, fault_site));
        self.jump(landing.resume);
    }

    fn add_caller(&mut self, landing: Landing) {
        let site = self.builder.block_params(landing.called)[0];
        let count = self.load32(offset_of!(Context, caller_count));
        let room = self.cold_block();
        let most = self.builder.ins().iconst(I32, MAX_CALLERS as i64);
        let has_room = self.compare(IntCC::UnsignedLessThan, count, most);
        self.builder.ins().brif(has_room, room, &[], landing.resume, &[]);
        self.enter(room);
        let index = self.builder.ins().uextend(I64, count);
        let width = self.long(size_of::<u32>() as i64);
        let offset = self.builder.ins().imul(index, width);
        let place = self.builder.ins().iadd(self.ctx, offset);
        let at = offset_of!(Context, callers) as i32;
        self.builder.ins().store(MemFlagsData::trusted(), site, place, at);
        let one = self.builder.ins().iconst(I32, 1);
        let more = self.builder.ins().iadd(count, one);
        self.store(more, offset_of!(Context, caller_count));
        self.jump(landing.resume);
    }

    fn declare_locals(&mut self, locals: &[Local], param_count: usize, params: &[Value], body: &[Stmt]) {
        let written = written_locals(body);
        let mut params = params.iter().copied();
        for (index, local) in locals.iter().enumerate() {
            let is_param = index < param_count;
            let given =
                |params: &mut dyn Iterator<Item = Value>| params.next().expect("the signature has the local");
            let home = match local.ty {
                Type::Long => {
                    let first = if is_param { given(&mut params) } else { self.long(0) };
                    let variable = self.builder.declare_var(I64);
                    self.builder.def_var(variable, first);
                    Home::Register(variable)
                }
                Type::Str if is_param && !written.contains(&LocalId(index as u32)) => {
                    Home::Borrowed(given(&mut params), given(&mut params))
                }
                Type::Str => {
                    let slot = self.take_string().stack;
                    let len = if is_param {
                        let (addr, len, to) = (given(&mut params), given(&mut params), self.slot_addr(slot));
                        self.call_into(Builtin::copy, &[addr, len], to, None)
                    } else {
                        self.long(0)
                    };
                    let variable = self.builder.declare_var(I64);
                    self.builder.def_var(variable, len);
                    Home::Frame(slot, variable)
                }
            };
            self.locals.push(home);
        }
    }

    fn finish(&mut self, landing: Landing) {
        if !self.dead {
            self.leave(status::DONE, None);
        }
        let exhausted = self.exhausted;
        self.enter(exhausted);
        let code = self.builder.ins().iconst(I32, Fault::MaxAction as i64);
        self.store(code, offset_of!(Context, fault));
        let site = self.builder.block_params(exhausted)[0];
        self.jump_with(landing.fault, site);
        self.store_site(landing);
        self.enter(landing.resume);
        self.leave_now(status::FAULT, None);
    }

    /// Ends the function or handler; array walks that are open end with it.
    pub(crate) fn leave(&mut self, status: i64, value: Option<Value>) {
        self.close_walks(0);
        self.leave_now(status, value);
    }

    fn leave_now(&mut self, status: i64, value: Option<Value>) {
        match self.role {
            Role::Handler => {
                self.builder.ins().return_(&[]);
            }
            Role::Quick => {
                let declined = self.long(i64::from(matches!(status, status::DECLINED | status::FAULT)));
                self.builder.ins().return_(&[declined]);
            }
            Role::Function(..) => {
                let status = self.long(status);
                let value = value.unwrap_or_else(|| self.long(0));
                self.builder.ins().return_(&[status, value]);
            }
        }
        self.dead = true;
    }

    /// Ends the walks opened after the first `keep`.
    pub(crate) fn close_walks(&mut self, keep: usize) {
        for index in (keep..self.walks.len()).rev() {
            let iter = self.walks[index].stack;
            let iter = self.slot_addr(iter);
            self.call(Builtin::iter_end, &[iter], None);
        }
    }
}

/// Which functions can end the handler: by `next`, or by a call of one that can.
pub(crate) fn ending_functions(script: &Script) -> Vec<bool> {
    let mut ends = vec![false; script.functions.len()];
    loop {
        let before = ends.clone();
        for (index, function) in script.functions.iter().enumerate() {
            ends[index] =
                before[index] || has_next(&function.body) || callees(&function.body).any(|f| before[f]);
        }
        if ends == before {
            return ends;
        }
    }
}

/// Indices of the functions that the statements call.
pub(crate) fn callees(body: &[Stmt]) -> impl Iterator<Item = usize> {
    let mut called = HashSet::new();
    each_expr_in(body, &mut |expr| {
        if let ExprKind::Call(candidates, ..) = &expr.kind {
            called.extend(candidates.iter().map(|id| id.0 as usize));
        }
    });
    called.into_iter()
}

fn has_next(body: &[Stmt]) -> bool {
    let mut found = false;
    each_statement(body, &mut |statement| found |= matches!(statement, Stmt::Next));
    found
}

/// Locals that anything writes to.
fn written_locals(body: &[Stmt]) -> HashSet<LocalId> {
    let mut written = HashSet::new();
    each_expr_in(body, &mut |expr| written.extend(assigned_local(expr)));
    each_statement(body, &mut |statement| match statement {
        Stmt::Foreach(walk) => written.extend(walk.keys.iter().flatten().chain(&walk.value)),
        Stmt::ForeachBucket(local, ..) | Stmt::Try(_, Some(local), _) => {
            written.insert(*local);
        }
        _ => {}
    });
    written
}

/// Locals whose value may change while a value read from them is still to be used: those assigned in the middle of
/// an expression, and those assigned from something that may be their own value.
fn unstable_locals(body: &[Stmt]) -> HashSet<LocalId> {
    let mut unstable = HashSet::new();
    each_statement(body, &mut |statement| {
        for root in expressions(statement) {
            let is_statement = matches!(statement, Stmt::Expr(_));
            each_expr(root, &mut |expr| {
                let Some(local) = assigned_local(expr) else { return };
                if !is_statement || !std::ptr::eq(expr, root) || may_assign_itself(expr, local) {
                    unstable.insert(local);
                }
            });
        }
    });
    unstable
}

fn may_assign_itself(expr: &ir::Expr, local: LocalId) -> bool {
    match &expr.kind {
        ExprKind::Assign(_, value, _) => !is_fresh(value) && reads_local(value, local),
        _ => false,
    }
}

/// Whether a string expression makes its value in memory of its own.
pub(crate) fn is_fresh(expr: &ir::Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Builtin(..)
            | ExprKind::Binary(..)
            | ExprKind::Call(..)
            | ExprKind::Format(..)
            | ExprKind::HistogramText(_)
            | ExprKind::Read(Place::Global(_) | Place::Element(..), _)
    )
}

/// Whether a local is read anywhere in an expression.
pub(crate) fn reads_local(expr: &ir::Expr, local: LocalId) -> bool {
    let mut found = false;
    each_expr(expr, &mut |part| match &part.kind {
        ExprKind::Read(Place::Local(read), _) | ExprKind::Update { place: Place::Local(read), .. } => {
            found |= *read == local
        }
        _ => {}
    });
    found
}
