//! Lists the functions of a program that match a pattern and says on standard error how long that took.
//! `cargo run --release -p rstap-debuginfo --example functions -- PROGRAM [PATTERN [DEBUG-FILE]]`

use std::process::ExitCode;
use std::time::Instant;

use rstap_debuginfo::{Module, Pattern, inflate};

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
    let functions = module.functions(&Pattern::parse(pattern)?)?;
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
        text.push('\n');
    }
    print!("{text}");
    let inlines: usize = functions.iter().map(|f| f.inlines.len()).sum();
    eprintln!(
        "{} functions, {inlines} inlined instances: parse {parsed:?}, list {listed:?}",
        functions.len()
    );
    if std::env::var_os("WITH_VARIABLES").is_some() {
        let start = Instant::now();
        let mut count = 0;
        for function in &functions {
            let (Some(die), Some(pc)) = (function.die, module.probe_address(function)) else { continue };
            count +=
                module.scope(die, pc)?.iter().map(|v| module.type_name(v.ty).len().min(1)).sum::<usize>();
        }
        eprintln!("{count} variables with types: {:?}", start.elapsed());
    }
    Ok(())
}

fn read(path: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path)?;
    Ok(inflate(&bytes)?.unwrap_or(bytes))
}
