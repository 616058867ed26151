//! Names for addresses of a process. For now the address itself, with the module and the position in it where a form
//! asks for more; symbols come from `rstap_debuginfo`.

use rstap_core::env::SymbolForm;
use rstap_core::text::Text;

use crate::process::maps;

/// Words an address of a process.
pub fn put(pid: i32, address: u64, form: SymbolForm, out: &mut Text<'_>) {
    out.put_hex(address);
    if matches!(form, SymbolForm::Name) {
        return;
    }
    let mappings = maps::read(pid).unwrap_or_default();
    if let Some(mapping) = mappings.iter().find(|m| m.is_file() && (m.start..m.end).contains(&address)) {
        out.put(b" [");
        out.put(mapping.path.as_bytes());
        out.put(b"+");
        out.put_hex(address - mapping.start + mapping.offset);
        out.put(b"]");
    }
}
