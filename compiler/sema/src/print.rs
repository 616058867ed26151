//! Shows what pass 2 found (`-p2`): globals, functions and probes with their types, in SystemTap's form.

use std::fmt::Write as _;

use rstap_abi::layout::{MapShape, ValueShape};
use rstap_program::Point;

use crate::ir::{Function, Global, GlobalKind, Local, Script, Type};

/// The text of `-p2`.
pub fn elaborated(script: &Script) -> String {
    let mut text = String::new();
    if script.globals.len() > script.conditions.len() {
        text.push_str("# globals\n");
    }
    let hidden = |id: usize| script.conditions.iter().any(|c| c.outcome.0 as usize == id);
    for (_, global) in script.globals.iter().enumerate().filter(|(id, _)| !hidden(*id)) {
        let _ = writeln!(text, "{}", describe_global(global));
    }
    let mut functions: Vec<&Function> = script.functions.iter().collect();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    if !functions.is_empty() {
        text.push_str("# functions\n");
    }
    for function in functions {
        let (params, locals) = function.locals.split_at(function.param_count as usize);
        let params: Vec<String> = params.iter().map(describe_local).collect();
        let _ = writeln!(
            text,
            "{}:{} ({})",
            function.name,
            function.ret.map_or("unknown", type_name),
            params.join(", ")
        );
        push_locals(&mut text, locals);
    }
    if !script.probes.is_empty() {
        text.push_str("# probes\n");
    }
    let saves: Vec<u32> = script.probes.iter().filter_map(|p| p.entry).collect();
    for (index, probe) in script.probes.iter().enumerate() {
        if saves.contains(&(index as u32)) {
            continue;
        }
        let handler = &script.handlers[probe.handler.0 as usize];
        let _ = write!(text, "{}", probe.pp);
        if let Some(condition) = probe.condition {
            let _ = write!(text, " if ({})", script.conditions[condition].text);
        }
        if let Point::Code { at, .. } | Point::Mark { at, .. } = &probe.point {
            let _ = write!(text, " /* file offset 0x{:x} */", at.0);
        }
        for name in script.origin(probe).from {
            let _ = write!(text, " /*  <- {name} */");
        }
        text.push('\n');
        push_locals(&mut text, &handler.locals);
    }
    text
}

fn push_locals(text: &mut String, locals: &[Local]) {
    if !locals.is_empty() {
        text.push_str("  # locals\n");
    }
    for local in locals {
        let _ = writeln!(text, "  {}", describe_local(local));
    }
}

fn describe_local(local: &Local) -> String {
    format!("{}:{}", local.name, type_name(local.ty))
}

fn describe_global(global: &Global) -> String {
    match &global.kind {
        GlobalKind::Scalar(ty) => format!("{}:{}", global.name, type_name(*ty)),
        GlobalKind::Stat(_) => format!("{}:stats", global.name),
        GlobalKind::Map(shape) => format!("{}:{} [{}]", global.name, value_name(shape), keys(shape)),
    }
}

fn value_name(shape: &MapShape) -> &'static str {
    match shape.value {
        ValueShape::Long => "long",
        ValueShape::String => "string",
        ValueShape::Stat(_) => "stats",
    }
}

fn keys(shape: &MapShape) -> String {
    let name = |part| if shape.string_keys >> part & 1 == 1 { "string" } else { "long" };
    (0..shape.key_count).map(name).collect::<Vec<_>>().join(", ")
}

fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Long => "long",
        Type::Str => "string",
    }
}
