//! Passes 3 and 4 of rstap: the IR of a script becomes one position-independent image and the plan of its arena.
//!
//! A handler takes one argument, the context, and calls out only through the builtin table in it; calls between
//! functions are relative; constants are addressed from `Context::image`. So no relocation is left in the image, and
//! it is the same under every backend. Nothing here runs the code or looks at a process.

#![deny(unsafe_code)]

mod arena_plan;
mod asks;
mod bytes;
mod call;
mod code;
mod constants;
mod describe;
mod emitter;
mod expr;
mod frame;
mod handler;
mod image;
mod key;
mod memory;
mod needs;
mod place;
mod print;
mod regex;
mod shard;
mod stack;
mod statement;

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use rstap_abi::limits::Limits;
use rstap_program::{Probe, ProbeId, Program};
use rstap_sema::ir::visit::each_statement;
use rstap_sema::ir::{Script, Stmt};
use thiserror::Error;

use crate::code::Code;
use crate::emitter::Unit;
use crate::image::PlacedHandler;

pub use crate::describe::describe;

/// Bodies with more statements are compiled without optimisation, whose time grows faster than the body.
const MAX_OPTIMIZED_STATEMENTS: usize = 500;

/// Largest string limit: string temporaries live in stack frames.
const MAX_STRING_LIMIT: u64 = 1 << 16;

/// Why a script could not be compiled. Mistakes in scripts are found before; these are limits.
#[derive(Debug, Error)]
pub enum CodegenError {
    /// The globals up to this one do not fit into an arena.
    #[error("global '{global}' does not fit: the arrays of the script are too large together")]
    ArenaTooLarge {
        /// The global.
        global: String,
    },
    /// The image would not fit its 32-bit offsets.
    #[error("the compiled script is too large ({size} bytes)")]
    ImageTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// MAXSTRINGLEN is larger than stack frames allow.
    #[error("MAXSTRINGLEN={value} is too large (at most {MAX_STRING_LIMIT})")]
    StringLimit {
        /// The value given.
        value: u64,
    },
    /// Cranelift refused the code.
    #[error("the code generator failed: {0}")]
    Compiler(String),
}

impl CodegenError {
    fn compiler(error: impl std::fmt::Display) -> CodegenError {
        CodegenError::Compiler(error.to_string())
    }
}

/// Compiles a script.
pub fn compile(script: &Script) -> Result<Program, CodegenError> {
    check_limits(&script.limits)?;
    let arena = arena_plan::plan(&script.globals, &script.limits)?;
    let mut unit = Unit::new(script, &arena);
    let mut compiler = Compiler::new();
    let mut codes = Vec::with_capacity(script.functions.len() + script.handlers.len());
    each_function(&mut unit, |number, body, clif| {
        codes.push(compiler.compile(number, body, clif)?);
        Ok(())
    })?;
    let (code, offsets) = code::place(&codes, code::target(false)?)?;

    let functions = script.functions.len();
    let frames: Vec<u32> = codes.iter().map(|code| code.frame_bytes).collect();
    let stack = stack::needs(script, &frames[..functions], &frames[functions..]);
    let handlers: Vec<PlacedHandler> = offsets[functions..]
        .iter()
        .zip(stack)
        .zip(&unit.needs.handlers)
        .map(|((code, stack_bytes), needs)| PlacedHandler { code: *code, stack_bytes, needs: *needs })
        .collect();
    Ok(Program {
        image: image::assemble(script, &arena, unit.constants, &handlers, &code)?,
        probes: probes(script),
        host_only: asks::host_only(script),
        origins: script.probes.iter().map(|probe| script.origin(probe)).collect(),
        modules: script.modules.clone(),
        sites: script.sites.clone(),
        limits: script.limits,
        arena,
    })
}

/// The CLIF of all functions and handlers, before optimisation: what `-p4` shows on request.
pub fn clif(script: &Script) -> Result<String, CodegenError> {
    check_limits(&script.limits)?;
    let arena = arena_plan::plan(&script.globals, &script.limits)?;
    let mut unit = Unit::new(script, &arena);
    let mut text = String::new();
    each_function(&mut unit, |_, _, clif| {
        text.push_str(&clif.display().to_string());
        text.push('\n');
        Ok(())
    })?;
    Ok(text)
}

/// Emits each function, then each handler, and hands on its number, its body and its CLIF.
fn each_function<'s>(
    unit: &mut Unit<'s>,
    mut then: impl FnMut(usize, &'s [Stmt], cranelift_codegen::ir::Function) -> Result<(), CodegenError>,
) -> Result<(), CodegenError> {
    let script = unit.script;
    let target = code::target(false)?.frontend_config();
    let mut memory = FunctionBuilderContext::new();
    for (index, function) in script.functions.iter().enumerate() {
        let clif = handler::function(unit, &mut memory, index as u32, target);
        then(index, &function.body, clif)?;
    }
    for (index, handler) in script.handlers.iter().enumerate() {
        let clif = handler::handler(unit, &mut memory, index as u32, target);
        then(script.functions.len() + index, &handler.body, clif)?;
    }
    Ok(())
}

/// Compiles function by function, with the optimisation that suits each.
struct Compiler {
    context: cranelift_codegen::Context,
    optimizing: Option<OwnedTargetIsa>,
    plain: Option<OwnedTargetIsa>,
}

impl Compiler {
    fn new() -> Compiler {
        Compiler { context: cranelift_codegen::Context::new(), optimizing: None, plain: None }
    }

    fn compile(
        &mut self,
        number: usize,
        body: &[Stmt],
        clif: cranelift_codegen::ir::Function,
    ) -> Result<Code, CodegenError> {
        let mut statements = 0;
        each_statement(body, &mut |_| statements += 1);
        let optimize = statements <= MAX_OPTIMIZED_STATEMENTS;
        let isa = if optimize { &mut self.optimizing } else { &mut self.plain };
        if isa.is_none() {
            *isa = Some(code::target(optimize)?);
        }
        let isa = isa.as_ref().expect("it was just made");
        code::compile(&mut self.context, clif, number, &**isa)
    }
}

fn probes(script: &Script) -> Vec<Probe> {
    script
        .probes
        .iter()
        .map(|probe| Probe {
            point: probe.point.clone(),
            pp: probe.pp.clone(),
            entry: probe.entry.map(ProbeId),
            entry_bytes: probe.entry_bytes,
        })
        .collect()
}

fn check_limits(limits: &Limits) -> Result<(), CodegenError> {
    if limits.max_string_len > MAX_STRING_LIMIT {
        return Err(CodegenError::StringLimit { value: limits.max_string_len });
    }
    Ok(())
}
