//! What a parse depends on besides the text: arguments, macros, and the facts `%( … %)` asks about.

use std::sync::Arc;

use crate::preprocess::MacroLibrary;

/// The surroundings of a parse.
#[derive(Clone, Debug)]
pub struct ParseConfig {
    /// Script arguments, `$1` and `@1` first.
    pub args: Vec<String>,
    /// Macros of the `.stpm` files.
    pub macros: Arc<MacroLibrary>,
    /// The text belongs to the library: embedded code is taken as the name of a builtin.
    pub library: bool,
    /// `guru_mode`: `-g` was given. Embedded code then passes here and is left to pass 2.
    pub guru: bool,
    /// `systemtap_privilege`: `stapusr`, `stapsys` or `stapdev`.
    pub privilege: String,
    /// `systemtap_v`: the language version scripts see (`--compatible`).
    pub compatible: String,
    /// `arch`, as SystemTap names it.
    pub arch: String,
    /// `kernel_vr`: the release, `6.1.0-18-amd64`; `kernel_v` is what stands before its first `-`.
    pub kernel_release: String,
    /// `runtime`. Ours is nearest to SystemTap's user-space one, so scripts that choose by it get that part.
    pub runtime: String,
}

impl Default for ParseConfig {
    fn default() -> ParseConfig {
        ParseConfig {
            args: Vec::new(),
            macros: Arc::default(),
            library: false,
            guru: false,
            privilege: "stapusr".to_owned(),
            compatible: "5.6".to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            kernel_release: "0".to_owned(),
            runtime: "dyninst".to_owned(),
        }
    }
}

impl ParseConfig {
    /// `kernel_v`: the release without what follows its first `-`.
    pub fn kernel_version(&self) -> &str {
        self.kernel_release.split('-').next().unwrap_or("")
    }
}
