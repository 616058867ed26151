//! The builds of the matrix: which compiler, with which options.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compare::Difference;
use crate::support::root;

/// A program of the matrix built in one way.
pub struct Build {
    language: Language,
    compiler: &'static str,
    /// As the options of the compiler; part of the name too.
    options: Vec<&'static str>,
    after: After,
    /// About how many instructions are stopped at.
    stops: usize,
}

/// A language with its program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Language {
    C,
    Cpp,
    Rust,
    Go,
}

/// What is done to the built program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    /// `dwz`: debug information compressed within the file.
    Dwz,
}

const COMPILERS: [(Language, &str); 4] =
    [(Language::C, "gcc"), (Language::C, "clang"), (Language::Cpp, "g++"), (Language::Cpp, "clang++")];
const LEVELS: [&str; 5] = ["-O0", "-O1", "-O2", "-O3", "-Os"];
const RUST_LEVELS: [&str; 5] =
    ["-Copt-level=0", "-Copt-level=1", "-Copt-level=2", "-Copt-level=3", "-Copt-level=s"];

/// The builds of the short form, or all of them.
pub fn all(long: bool) -> Vec<Build> {
    let mut builds = Vec::new();
    let levels = if long { &LEVELS[..] } else { &["-O0", "-O2"] };
    let stops = if long { 400 } else { 120 };
    let mut add = |language, compiler, options: &[&'static str], after| {
        builds.push(Build { language, compiler, options: options.to_vec(), after, stops });
    };
    for &level in levels {
        for (language, compiler) in COMPILERS {
            add(language, compiler, &[level, "-g", "-gdwarf-5"], After::Nothing);
            if !long {
                continue;
            }
            add(language, compiler, &[level, "-g", "-gdwarf-4"], After::Nothing);
            add(language, compiler, &[level, "-g3", "-gdwarf-5"], After::Nothing);
            add(language, compiler, &[level, "-g", "-gdwarf-5", "-gsplit-dwarf"], After::Nothing);
            add(language, compiler, &[level, "-g", "-gdwarf-4", "-gsplit-dwarf"], After::Nothing);
            add(language, compiler, &[level, "-g", "-gdwarf-5", "-no-pie"], After::Nothing);
            add(language, compiler, &[level, "-g", "-fdebug-types-section"], After::Nothing);
            if compiler.starts_with('g') {
                add(language, compiler, &[level, "-g", "-gdwarf-5"], After::Dwz);
            }
        }
    }
    let levels = if long { &RUST_LEVELS[..] } else { &["-Copt-level=0", "-Copt-level=2"] };
    for &level in levels {
        add(Language::Rust, "rustc", &["-g", level], After::Nothing);
        if long {
            add(Language::Rust, "rustc", &["-g", level, "-Cdwarf-version=5"], After::Nothing);
        }
    }
    if long {
        add(Language::Go, "go", &[], After::Nothing);
        add(Language::Go, "go", &["-gcflags=all=-N -l"], After::Nothing);
    }
    builds
}

impl Build {
    /// `c-gcc-O2-g-gdwarf-5`
    pub fn name(&self) -> String {
        let dwz = if self.after == After::Dwz { "-dwz" } else { "" };
        let name = format!("{}-{}{}{dwz}", self.language.name(), self.compiler, self.options.concat());
        // It is a folder's name too, and `env` takes a word with `=` for a variable.
        name.replace('=', "-").replace(' ', "")
    }

    /// About how many instructions are stopped at.
    pub fn stops(&self) -> usize {
        self.stops
    }

    /// The reason of a difference that is not rstap's mistake, as docs/MATRIX.md has it.
    pub fn explain(&self, difference: Difference<'_>) -> Option<&'static str> {
        let both = difference.judged.is_some() && difference.given.is_some();
        match difference.path {
            // gdb 13 takes DW_OP_fbreg of a call site for an offset in the wrong frame, where functions are inlined.
            "$this" if both && self.compiler == "g++" => Some("parameter reference"),
            // gdb takes the first of several locations at a function's entry, rstap the one that is in force.
            "$total" if both && self.language == Language::C => Some("several locations at the entry"),
            // rustc without optimisation has a stacked `bool` in place only after the prologue; before, what gdb shows is
            // no `bool`.
            "$g" if both && self.language == Language::Rust && difference.judged > Some(1) => {
                Some("not stored yet")
            }
            // Whether a call finds the stack too small depends on what has used it before.
            "" if self.language == Language::Go => Some("stack growth"),
            _ => None,
        }
    }

    /// Programs that have to be installed.
    pub fn needs(&self) -> Vec<&'static str> {
        let mut needs = vec!["gdb", self.compiler];
        needs.extend((self.after == After::Dwz).then_some("dwz"));
        needs
    }

    /// File name of the program's source.
    pub fn source(&self) -> &'static str {
        match self.language {
            Language::C => "plain.c",
            Language::Cpp => "classes.cc",
            Language::Rust => "owned.rs",
            Language::Go => "main.go",
        }
    }

    /// Environment variables that the program is run with, for the same addresses in each run.
    pub fn environment(&self) -> &'static str {
        match self.language {
            // Stacks are where threads and interruptions have left room.
            Language::Go => "GOMAXPROCS=1 GOGC=off GODEBUG=asyncpreemptoff=1",
            _ => "",
        }
    }

    /// Builds it in `dir`.
    pub fn make(&self, dir: &Path) -> Result<PathBuf, String> {
        let program = dir.join("program");
        let source = root().join("tests/matrix").join(self.source());
        let mut compiler = Command::new(self.compiler);
        match self.language {
            Language::Go => {
                compiler.arg("build").args(&self.options).arg("-o").arg(&program).arg(source);
                compiler.env("GOCACHE", dir.join("cache"));
            }
            Language::Cpp => {
                compiler.arg("-std=c++17").args(&self.options).arg(source).arg("-o").arg(&program);
            }
            Language::C | Language::Rust => {
                compiler.args(&self.options).arg(source).arg("-o").arg(&program);
            }
        }
        run(compiler.current_dir(dir))?;
        if self.after == After::Dwz {
            run(Command::new("dwz").arg(&program))?;
        }
        Ok(program)
    }
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cpp => "cpp",
            Language::Rust => "rust",
            Language::Go => "go",
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
