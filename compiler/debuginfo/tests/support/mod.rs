//! Compiles the sources of `tests/sources` with the system's compiler. A missing compiler is a failure that says so.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory for compiled programs, removed with its contents.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rstap-debuginfo-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary directory can be written");
        Scratch(path)
    }

    /// The bytes of `source` compiled with the options.
    pub fn compile(&self, source: &str, options: &[&str]) -> Vec<u8> {
        std::fs::read(self.compile_to(source, options)).expect("the compiler wrote its output")
    }

    /// As [`Scratch::compile`], but where the output is.
    pub fn compile_to(&self, source: &str, options: &[&str]) -> PathBuf {
        let compiler = if source.ends_with(".cc") { "c++" } else { "cc" };
        self.compile_with(compiler, source, options)
    }

    /// With a particular compiler.
    pub fn compile_with(&self, compiler: &str, source: &str, options: &[&str]) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let output = self.0.join(format!("out{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources");
        let mut command = Command::new(compiler);
        command.current_dir(sources).args(options).arg(source).arg("-o").arg(&output);
        run(command);
        output
    }

    /// Compiled with -gsplit-dwarf, so that `basic.dwo` is beside the program: the compiler runs there.
    pub fn compile_split(&self, compiler: &str, source: &str, options: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources").join(source);
        let stem = source.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let object = self.path(&format!("{stem}.o"));
        let step = |arguments: &[&std::ffi::OsStr]| {
            let mut command = Command::new(compiler);
            command.current_dir(&self.0).args(options).args(arguments);
            run(command);
        };
        step(&["-c".as_ref(), source.as_ref(), "-o".as_ref(), format!("{stem}.o").as_ref()]);
        step(&[object.as_ref(), "-o".as_ref(), stem.as_ref()]);
        self.path(&stem)
    }

    /// The debug file `basic.debug` and the stripped program `bare` with a link to it.
    pub fn strip(&self, full: &Path) -> (PathBuf, PathBuf) {
        let (debug, bare) = (self.path("basic.debug"), self.path("bare"));
        self.tool("objcopy", &["--only-keep-debug".as_ref(), full.as_ref(), debug.as_ref()]);
        let link = format!("--add-gnu-debuglink={}", debug.display());
        self.tool("objcopy", &["--strip-all".as_ref(), link.as_ref(), full.as_ref(), bare.as_ref()]);
        (debug, bare)
    }

    /// Where in the file the contents of a section are.
    pub fn section(&self, file: &Path, name: &str) -> usize {
        let output = Command::new("readelf").arg("-SW").arg(file).output().expect("readelf runs");
        let text = String::from_utf8(output.stdout).expect("it prints names");
        let line = text.lines().find(|line| line.contains(&format!(" {name} "))).expect("it has the section");
        let words: Vec<&str> =
            line.split(name).nth(1).expect("the name is there").split_whitespace().collect();
        usize::from_str_radix(words[2], 16).expect("type, address, offset")
    }

    /// Runs a tool of binutils.
    pub fn tool(&self, name: &str, arguments: &[&std::ffi::OsStr]) {
        let mut command = Command::new(name);
        command.current_dir(&self.0).args(arguments);
        run(command);
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(mut command: Command) {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("this test needs the program '{name}', which can not be started: {error}")
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {text}");
}
