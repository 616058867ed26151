//! Lists the functions (or statements, if it names lines) of a program that match a pattern and says on standard error how long that took; with
//! WITH_VARIABLES in the environment also the variables at each and their places. With AS_LIST in the environment it does
//! what `-l` and `-L` do.
//! `cargo run --release -p rstap-debuginfo --example functions -- PROGRAM [PATTERN [DEBUG-FILE]]`

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use rstap_debuginfo::{Function, Instances, Lines, Module, Pattern, Place, Variable, inflate};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = arguments.first() else {
        eprintln!("usage: functions PROGRAM [PATTERN [DEBUG-FILE]]");
        return ExitCode::FAILURE;
    };
    let pattern = arguments.get(1).map_or("*", String::as_str);
    match list(path, pattern, arguments.get(2).map(String::as_str)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list(path: &str, pattern: &str, debug: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = read(path)?;
    let debug = debug.map(read).transpose()?;
    let start = Instant::now();
    let mut module = Module::parse(&bytes)?;
    if let Some(debug) = &debug {
        module.attach_debug(debug)?;
    }
    let parsed = start.elapsed();
    let pattern = Pattern::parse(pattern)?;
    if pattern.lines != Lines::None {
        return list_statements(&module, &pattern);
    }
    let with_variables = std::env::var_os("WITH_VARIABLES").is_some();
    if std::env::var_os("AS_LIST").is_some() {
        let all = Instances { code: true, external: true, inlined: true };
        let listed: Vec<_> = match with_variables {
            true => module.list_functions_with_variables(&pattern, all).collect(),
            false => module.list_functions(&pattern).collect(),
        };
        let variables: usize = listed.iter().map(|function| function.variables.len()).sum();
        eprintln!("{} functions, {variables} variables: {:.2?}", listed.len(), start.elapsed());
        return Ok(());
    }
    let functions = module.functions(&pattern)?;
    let listed = start.elapsed();
    let mut text = String::new();
    for function in &functions {
        let file = function.decl_file.as_deref().unwrap_or("?");
        text += &format!("{}@{file}:{}", function.name, function.decl_line);
        match function.entry {
            Some(entry) => text += &format!(" {:#x}", entry.0),
            None => text += " inlined",
        }
        if !function.inlines.is_empty() {
            text += &format!(" +{}", function.inlines.len());
        }
        if with_variables {
            text += &variables(&module, function)?;
        }
        text.push('\n');
    }
    let printed = start.elapsed();
    std::io::stdout().write_all(text.as_bytes())?;
    let inlines: usize = functions.iter().map(|f| f.inlines.len()).sum();
    let count = functions.len();
    eprintln!("{count} functions, {inlines} inlined: parse {parsed:?}, list {listed:?}, text {printed:?}");
    Ok(())
}

fn list_statements(module: &Module<'_>, pattern: &Pattern) -> Result<(), Box<dyn std::error::Error>> {
    let statements = module.statements(pattern)?;
    for s in &statements.found {
        println!("{}@{}:{} {:#x}", s.function, s.file, s.line, s.address.0);
    }
    for m in &statements.missing {
        println!("no line {}:{}, near {:?} and {:?}", m.file, m.line, m.before, m.after);
    }
    Ok(())
}

/// ` $name:type …` at the place of a probe.
fn variables<'d>(module: &Module<'d>, function: &Function<'d>) -> Result<String, Box<dyn std::error::Error>> {
    let instance = match (function.die, module.probe_address(function), function.inlines.first()) {
        (Some(die), Some(pc), _) => (die, pc),
        (_, None, Some(inline)) => (inline.die, inline.entry),
        _ => return Ok(String::new()),
    };
    let variables = module.scope(instance.0, instance.1)?;
    let text = |v: &Variable<'d>| {
        let place = match module.place(v, instance.1) {
            Ok(Place::OptimizedOut) => "?".into(),
            Ok(place) => format!("{place:?}"),
            Err(error) => error.to_string(),
        };
        format!(" ${}:{} [{place}]", v.name, module.type_name(v.ty))
    };
    Ok(variables.iter().map(text).collect())
}

fn read(path: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path)?;
    Ok(inflate(&bytes)?.unwrap_or(bytes))
}
