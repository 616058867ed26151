//! The library of script files: `stdlib/`, embedded in the binary, and the directories of `-I`. It knows which file
//! declares a name without parsing any, so that a run parses only what its script uses.

mod describe;
mod scan;

use std::borrow::Cow;
use std::collections::HashMap;

use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::SourceMap;
use rstap_syntax::{MacroLibrary, ParseConfig};

pub use scan::Kind;

/// A file of `stdlib/`.
struct Embedded {
    name: &'static str,
    text: &'static str,
    declared: &'static [(Kind, &'static str)],
}

const STDLIB: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// A library file.
#[derive(Clone, Debug)]
pub struct LibraryFile {
    /// As messages name it.
    pub name: String,
    /// Its text.
    pub text: Cow<'static, str>,
}

/// The library files and the names they declare.
#[derive(Clone, Debug, Default)]
pub struct Tapset {
    files: Vec<LibraryFile>,
    macros: Vec<LibraryFile>,
    index: HashMap<(Kind, String), Vec<usize>>,
}

impl Tapset {
    /// The files of `stdlib/`.
    pub fn embedded() -> Tapset {
        let mut tapset = Tapset::default();
        for file in STDLIB {
            let declared = file.declared.iter().map(|&(kind, name)| (kind, name.to_owned()));
            tapset.insert(format!("tapset/{}", file.name), Cow::Borrowed(file.text), declared);
        }
        tapset
    }

    /// Adds a file of an `-I` directory: `.stpm` holds macros, all others declarations.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let text = text.into();
        let declared = scan::declarations(&text);
        self.insert(name.into(), Cow::Owned(text), declared.into_iter());
    }

    fn insert(
        &mut self,
        name: String,
        text: Cow<'static, str>,
        declared: impl Iterator<Item = (Kind, String)>,
    ) {
        let file = LibraryFile { name, text };
        if file.name.ends_with(".stpm") {
            self.macros.push(file);
            return;
        }
        for entry in declared {
            let files = self.index.entry(entry).or_default();
            if files.last() != Some(&self.files.len()) {
                files.push(self.files.len());
            }
        }
        self.files.push(file);
    }

    /// Reads the macro files, for pass 1.
    pub fn macros(&self, sources: &mut SourceMap, config: &ParseConfig) -> (MacroLibrary, Vec<Diagnostic>) {
        let mut library = MacroLibrary::default();
        let mut diagnostics = Vec::new();
        for file in &self.macros {
            let source = sources.add(file.name.clone(), file.text.clone());
            diagnostics.extend(library.add(sources, source, config));
        }
        (library, diagnostics)
    }

    /// All files but those of macros.
    pub fn files(&self) -> &[LibraryFile] {
        &self.files
    }

    /// The file with this index.
    pub fn file(&self, index: usize) -> &LibraryFile {
        &self.files[index]
    }

    /// The files that declare a name.
    pub fn declaring(&self, kind: Kind, name: &str) -> &[usize] {
        self.index.get(&(kind, name.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// All declared names of a kind, sorted.
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.index.keys().filter(|(k, _)| *k == kind).map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}
