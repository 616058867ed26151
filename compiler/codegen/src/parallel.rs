//! Compiles the functions of a script, each with the aim that suits it, on all processors: while one function is
//! compiled, the next ones are emitted.

use std::sync::mpsc;

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use rstap_sema::ir::Stmt;
use rstap_sema::ir::visit::each_statement;

use crate::code::{self, Aim, Code};
use crate::emitter::Unit;
use crate::needs::reachable;
use crate::{CodegenError, each_function};

/// The time for fast code grows faster than the body: those with more statements do without.
const MAX_OPTIMIZED_STATEMENTS: usize = 500;

/// To wake other threads is not worth it for fewer functions.
const FEWEST: usize = 8;

/// The code of all functions, then that of all handlers.
pub(crate) fn compile(unit: &mut Unit<'_>) -> Result<Vec<Code>, CodegenError> {
    let aims = aims(unit);
    let fast = aims.contains(&Aim::Run).then(|| code::target(Aim::Run)).transpose()?;
    let plain = code::target(Aim::Compile)?;
    let isa = |number: usize| -> &OwnedTargetIsa {
        match &fast {
            Some(fast) if aims[number] == Aim::Run => fast,
            _ => &plain,
        }
    };
    let compile = |context: &mut Context, number: usize, function: Function| {
        code::compile(context, function, number, &**isa(number))
    };
    if aims.len() < FEWEST {
        let (mut context, mut codes) = (Context::new(), Vec::with_capacity(aims.len()));
        each_function(unit, |number, function| codes.push(compile(&mut context, number, function)))?;
        return codes.into_iter().collect();
    }
    let (done, results) = mpsc::channel();
    rayon::in_place_scope(|scope| {
        each_function(unit, |number, function| {
            let (done, compile) = (done.clone(), &compile);
            scope.spawn(move |_| {
                let code = compile(&mut Context::new(), number, function);
                // The receiver lives longer than the scope.
                let _ = done.send((number, code));
            });
        })
    })?;
    drop(done);
    let mut codes: Vec<(usize, Result<Code, CodegenError>)> = results.into_iter().collect();
    codes.sort_unstable_by_key(|(number, _)| *number);
    codes.into_iter().map(|(_, code)| code).collect()
}

/// Fast code for what probes in programs run. The others are run at most some times a second, and the runtime does most
/// of their work.
fn aims(unit: &Unit<'_>) -> Vec<Aim> {
    let script = unit.script;
    let mut handlers = script.hot_handlers();
    script.conditions.iter().for_each(|condition| handlers[condition.handler.0 as usize] = true);
    let mut functions = vec![false; script.functions.len()];
    for (handler, _) in script.handlers.iter().zip(&handlers).filter(|(_, hot)| **hot) {
        reachable(script, &handler.body).into_iter().for_each(|function| functions[function] = true);
    }
    let hot = functions.into_iter().chain(handlers);
    let bodies = script.functions.iter().map(|function| &function.body);
    let bodies = bodies.chain(script.handlers.iter().map(|handler| &handler.body));
    let aim = |(body, hot): (&Vec<Stmt>, bool)| if hot && is_short(body) { Aim::Run } else { Aim::Compile };
    bodies.zip(hot).map(aim).chain(unit.quick.iter().map(|_| Aim::Run)).collect()
}

fn is_short(body: &[Stmt]) -> bool {
    let mut statements = 0;
    each_statement(body, &mut |_| statements += 1);
    statements <= MAX_OPTIMIZED_STATEMENTS
}
