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
