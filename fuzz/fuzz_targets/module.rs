//! Any bytes given as an ELF file: every question about it has an answer or an error, in bounded time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rstap_debuginfo::{LinkAddr, Module, Pattern};

/// Answers asked for per file, so that one run stays short.
const MOST: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let inflated = rstap_debuginfo::inflate(bytes).ok().flatten();
    let bytes = inflated.as_deref().unwrap_or(bytes);
    let Ok(module) = Module::parse(bytes) else { return };
    let _ =
        (module.build_id(), module.debug_link(), module.debug_alt_link(), module.interpreter(), module.tls());
    let _ = (module.needed(), module.soname(), module.runpath(), module.line_at(module.entry()));
    let _ = (module.find_type("struct point"), module.find_type("int"), module.find_enumerator("RED"));

    let everything = Pattern::parse("*@*:*").expect("a pattern of the language");
    let _ = module.statements(&everything);
    let every_function = Pattern::parse("*").expect("a pattern of the language");
    for function in module.functions(&every_function).unwrap_or_default().iter().take(MOST) {
        let Some(address) = module.probe_address(function) else { continue };
        let _ = (module.function_at(address), module.file_offset(address), module.line_at(address));
        if let Some(die) = function.die {
            look_at_variables(&module, die, address);
        }
    }
});

fn look_at_variables(module: &Module<'_>, die: rstap_debuginfo::DieRef, address: LinkAddr) {
    let mut variables = module.scope(die, address).unwrap_or_default();
    variables.extend(module.unit_globals(die).unwrap_or_default());
    for variable in variables.iter().take(MOST) {
        let _ = (module.place(variable, address), module.available(variable));
        let _ = (module.type_name(variable.ty), module.size_of(variable.ty));
        if let Ok(id) = module.resolve_type(variable.ty) {
            let _ = (module.type_of(id), module.find_member(id, "next"));
        }
    }
}
