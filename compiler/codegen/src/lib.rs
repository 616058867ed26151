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
mod parallel;
mod place;
mod print;
mod quick;
mod regex;
mod shard;
mod stack;
mod statement;

use cranelift_frontend::FunctionBuilderContext;
use rstap_abi::limits::Limits;
use rstap_program::{Probe, ProbeId, Program};
use rstap_sema::ir::Script;
use thiserror::Error;

use crate::code::Aim;
use crate::emitter::Unit;
use crate::image::PlacedHandler;

pub use crate::describe::describe;

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
    let codes = parallel::compile(&mut unit)?;
    let (code, offsets) = code::place(&codes, code::target(Aim::Compile)?)?;

    let functions = script.functions.len();
    let quick_from = functions + script.handlers.len();
    let frames: Vec<u32> = codes.iter().map(|code| code.frame_bytes).collect();
    let stack = stack::needs(script, &frames[..functions], &frames[functions..quick_from]);
    let mut handlers: Vec<PlacedHandler> = offsets[functions..quick_from]
        .iter()
        .zip(stack)
        .zip(&unit.needs.handlers)
        .map(|((code, stack_bytes), needs)| PlacedHandler {
            code: *code,
            stack_bytes,
            needs: *needs,
            quick: None,
        })
        .collect();
    for ((handler, _), code) in unit.quick.iter().zip(&offsets[quick_from..]) {
        handlers[*handler].quick = Some(*code);
    }
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
    each_function(&mut unit, |_, clif| {
        text.push_str(&clif.display().to_string());
        text.push('\n');
    })?;
    Ok(text)
}

/// Emits each function, then each handler, then the quick forms, and hands on its number and its CLIF.
fn each_function(
    unit: &mut Unit<'_>,
    mut then: impl FnMut(usize, cranelift_codegen::ir::Function),
) -> Result<(), CodegenError> {
    let script = unit.script;
    let target = code::target(Aim::Compile)?.frontend_config();
    let mut memory = FunctionBuilderContext::new();
    for index in 0..script.functions.len() {
        then(index, handler::function(unit, &mut memory, index as u32, target));
    }
    for index in 0..script.handlers.len() {
        then(script.functions.len() + index, handler::handler(unit, &mut memory, index as u32, target));
    }
    let quick = std::mem::take(&mut unit.quick);
    for (index, form) in quick.iter().enumerate() {
        let number = script.functions.len() + script.handlers.len() + index;
        then(number, handler::quick(unit, &mut memory, form, number as u32, target));
    }
    unit.quick = quick;
    Ok(())
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
