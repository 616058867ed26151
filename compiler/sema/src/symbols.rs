//! What is declared where: globals, functions, aliases and probes of the scripts and of the library files that were
//! needed so far. Looking a name up parses the library file that declares it. It knows no types and no bodies.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use rstap_syntax::ParseConfig;
use rstap_syntax::ast::{self, Item};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::{SourceMap, Span};

use crate::tapset::{Kind, Tapset};

/// Index into [`Symbols::files`].
pub type FileIndex = usize;

/// A declaration and the file it is in.
#[derive(Debug)]
pub struct Declared<T> {
    /// The file.
    pub file: FileIndex,
    /// As parsed.
    pub item: T,
}

/// What was declared so far.
pub struct Symbols<'t> {
    /// All texts.
    pub sources: &'t mut SourceMap,
    /// Findings so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Per file: whether it belongs to the library.
    pub files: Vec<bool>,
    /// Global variables.
    pub globals: Vec<Rc<Declared<ast::Global>>>,
    /// Functions.
    pub functions: Vec<Rc<Declared<ast::Function>>>,
    /// Aliases.
    pub aliases: Vec<Rc<Declared<ast::Alias>>>,
    /// Probes.
    pub probes: Vec<Rc<Declared<ast::Probe>>>,
    global_names: HashMap<String, Vec<usize>>,
    function_names: HashMap<String, Vec<usize>>,
    tapset: &'t Tapset,
    config: ParseConfig,
    loaded: HashSet<usize>,
    arguments: Option<Vec<String>>,
}

impl<'t> Symbols<'t> {
    /// The declarations of the scripts.
    pub fn new(
        sources: &'t mut SourceMap,
        tapset: &'t Tapset,
        config: &ParseConfig,
        scripts: Vec<ast::File>,
    ) -> Symbols<'t> {
        let mut symbols = Symbols {
            sources,
            diagnostics: Vec::new(),
            files: Vec::new(),
            globals: Vec::new(),
            functions: Vec::new(),
            aliases: Vec::new(),
            probes: Vec::new(),
            global_names: HashMap::new(),
            function_names: HashMap::new(),
            tapset,
            config: ParseConfig {
                library: true,
                args: Vec::new(),
                macros: Arc::clone(&config.macros),
                ..config.clone()
            },
            loaded: HashSet::new(),
            arguments: Some(config.args.clone()),
        };
        for script in scripts {
            symbols.declare(script, false);
        }
        symbols
    }

    fn declare(&mut self, script: ast::File, library: bool) {
        let file = self.files.len();
        self.files.push(library);
        for item in script.items {
            match item {
                Item::Probe(item) => self.probes.push(Rc::new(Declared { file, item })),
                Item::Alias(item) => self.aliases.push(Rc::new(Declared { file, item })),
                Item::Function(item) => {
                    self.function_names.entry(item.name.text.clone()).or_default().push(self.functions.len());
                    self.functions.push(Rc::new(Declared { file, item }));
                }
                Item::Global(item) => self.declare_global(file, item),
                Item::Embedded(item) => self.diagnostics.push(no_embedded_code(item.span)),
            }
        }
    }

    fn declare_global(&mut self, file: FileIndex, item: ast::Global) {
        let same_name = self.global_names.entry(item.name.text.clone()).or_default();
        let clash = same_name.iter().map(|&g| &self.globals[g]).find(|other| {
            other.file == file
                || (!other.item.private && !item.private && self.files[other.file] == self.files[file])
        });
        if let Some(other) = clash {
            self.diagnostics.push(
                Diagnostic::error("duplicate global name")
                    .at(item.name.span, "")
                    .see(other.item.name.span, "first declared here"),
            );
            return;
        }
        same_name.push(self.globals.len());
        self.globals.push(Rc::new(Declared { file, item }));
    }

    /// Whether a file belongs to the library.
    pub fn is_library(&self, file: FileIndex) -> bool {
        self.files[file]
    }

    /// The global that `name` means in a file.
    pub fn global(&mut self, name: &str, file: FileIndex) -> Option<usize> {
        self.find_global(name, file).or_else(|| {
            self.load(Kind::Global, name);
            self.find_global(name, file)
        })
    }

    fn find_global(&self, name: &str, file: FileIndex) -> Option<usize> {
        let named = self.global_names.get(name)?;
        let best = named
            .iter()
            .filter_map(|&g| Some((self.rank(&self.globals[g], self.globals[g].item.private, file)?, g)));
        best.min().map(|(_, g)| g)
    }

    /// How near a declaration is to a file that uses its name; `None` if it is not visible there.
    fn rank<T>(&self, declared: &Declared<T>, private: bool, file: FileIndex) -> Option<u32> {
        if declared.file == file {
            Some(0)
        } else if private {
            None
        } else if self.files[declared.file] == self.files[file] {
            Some(1)
        } else {
            // The library does not see the script's names.
            (!self.files[file]).then_some(2)
        }
    }

    /// The functions that `name` means in a file, in the order they are tried. Those of the nearest kind only: a
    /// script's function hides the library's.
    pub fn functions(&mut self, name: &str, file: FileIndex) -> Vec<usize> {
        let found = self.find_functions(name, file);
        if !found.is_empty() {
            return found;
        }
        self.load(Kind::Function, name);
        self.find_functions(name, file)
    }

    fn find_functions(&self, name: &str, file: FileIndex) -> Vec<usize> {
        let Some(named) = self.function_names.get(name) else { return Vec::new() };
        let mut found: Vec<(u32, i64, usize)> = named
            .iter()
            .filter_map(|&f| {
                let function = &self.functions[f];
                let rank = self.rank(function, function.item.private, file)?;
                let rank = if rank == 2 { 2 } else { 1 };
                Some((rank, function.item.priority.unwrap_or(i64::from(self.files[function.file])), f))
            })
            .collect();
        found.sort_unstable();
        let nearest = found.first().map(|&(rank, ..)| rank);
        found.into_iter().filter(|&(rank, ..)| Some(rank) == nearest).map(|(.., f)| f).collect()
    }

    /// Parses the library files that declare the aliases whose first component matches.
    pub fn load_aliases(&mut self, matches: impl Fn(&str) -> bool) {
        let tapset = self.tapset;
        for name in tapset.names(Kind::Alias) {
            if matches(name.split('.').next().unwrap_or(name)) {
                self.load(Kind::Alias, name);
            }
        }
    }

    /// Names of the functions visible to a script.
    pub fn function_names(&self) -> Vec<&str> {
        let tapset = self.tapset.names(Kind::Function);
        self.function_names
            .keys()
            .map(String::as_str)
            .chain(tapset)
            .filter(|n| !n.starts_with("__"))
            .collect()
    }

    /// Names of the aliases: their first components.
    pub fn alias_names(&self) -> Vec<&str> {
        let own = self.aliases.iter().map(|a| a.item.name.components[0].name.text.as_str());
        own.chain(self.tapset.names(Kind::Alias).into_iter().map(|n| n.split('.').next().unwrap_or(n)))
            .collect()
    }

    /// Names of the scripts' globals.
    pub fn global_names(&self) -> Vec<&str> {
        self.globals.iter().filter(|g| !self.files[g.file]).map(|g| g.item.name.text.as_str()).collect()
    }

    fn load(&mut self, kind: Kind, name: &str) {
        if kind == Kind::Global && (name == "argc" || name == "argv") {
            self.load_arguments();
        }
        let tapset = self.tapset;
        for &index in tapset.declaring(kind, name) {
            if self.loaded.insert(index) {
                let file = tapset.file(index);
                self.parse(file.name.clone(), file.text.clone().into_owned());
            }
        }
    }

    fn parse(&mut self, name: String, text: String) {
        let source = self.sources.add(name, text);
        let parsed = rstap_syntax::parse(self.sources, source, &self.config);
        self.diagnostics.extend(parsed.diagnostics);
        self.declare(parsed.file, true);
    }

    /// Declares `argc` and `argv` from the script's arguments.
    fn load_arguments(&mut self) {
        let Some(arguments) = self.arguments.take() else { return };
        let mut text = format!("global argc = {}, argv\nprobe init {{\n", arguments.len());
        for (i, argument) in arguments.iter().enumerate() {
            let quoted: String = argument.bytes().map(|b| format!("\\{b:03o}")).collect();
            text.push_str(&format!("  argv[{}] = \"{quoted}\"\n", i + 1));
        }
        text.push_str("}\n");
        self.parse("tapset/argv.stp".to_owned(), text);
    }
}

/// `identifier 'a'`, `operator '+'`, `number '4'`, `string 'x'`.
pub fn describe_token(text: &str) -> String {
    match text.bytes().next() {
        Some(b'"') => format!("string '{}'", text.trim_matches('"')),
        Some(b) if b.is_ascii_digit() => format!("number '{text}'"),
        Some(b) if b.is_ascii_alphabetic() || b == b'_' || b == b'$' => format!("identifier '{text}'"),
        Some(_) => format!("operator '{text}'"),
        None => "keyword".to_owned(),
    }
}

/// The error for `%{ … %}` outside of the library.
pub fn no_embedded_code(span: Span) -> Diagnostic {
    Diagnostic::error("embedded code cannot exist here: rstap runs no C compiler and no kernel module")
        .at(span, "")
        .note("use script functions; the library reads registers (register), memory (user_long, user_string) and context")
}
