//! What the tests of the ptrace backend share: C targets, programs made by hand, handlers that are closures.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod image;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rstap_abi::address::FileOffset;
use rstap_host::backend::ptrace::control::Control;
use rstap_host::backend::ptrace::registry::Registry;
use rstap_host::backend::ptrace::{Report, Tracer};
use rstap_host::backend::{Handlers, Hit, Verdict};
use rstap_host::process::Modules;
use rstap_program::{
    CodeKind, Module, ModuleId, Point, Probe, ProbeId, ProcessEvent, ProcessFilter, Program,
};

/// A compiled target.
#[derive(Clone, Debug)]
pub struct Target {
    pub path: PathBuf,
    symbols: HashMap<String, u64>,
}

static BUILDS: AtomicU64 = AtomicU64::new(0);

/// Compiles `tests/targets/SOURCE` with these flags; each call gives a file of its own.
pub fn build(source: &str, flags: &[&str]) -> Target {
    let stem = Path::new(source).file_stem().and_then(|s| s.to_str()).expect("a file name");
    let number = BUILDS.fetch_add(1, Ordering::Relaxed);
    let path = directory().join(format!("{stem}-{}-{number}", std::process::id()));
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(source);
    let status = Command::new("cc")
        .args(["-O2", "-g", "-pthread", "-o"])
        .arg(&path)
        .arg(input)
        .args(flags)
        .status()
        .expect("cc is installed");
    assert!(status.success(), "cc failed on {source}");
    Target { symbols: symbols(&path), path }
}

/// A target compiled before, perhaps by another process.
pub fn existing(path: &str) -> Target {
    let path = PathBuf::from(path);
    Target { symbols: symbols(&path), path }
}

/// Where tests put files.
pub fn directory() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&path).expect("the target directory is writable");
    path
}

/// Code symbols as file offsets: in what GNU ld links, text lies in the file as it lies in memory from the first
/// segment on.
fn symbols(path: &Path) -> HashMap<String, u64> {
    let output = Command::new("nm").arg(path).output().expect("nm is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let all: HashMap<String, u64> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let name = words.nth(1)?;
            Some((name.to_owned(), address))
        })
        .collect();
    let base = all.get("__executable_start").copied().unwrap_or(0);
    let base =
        if base == 0 && all.get("main").is_some_and(|main| *main >= 0x40_0000) { 0x40_0000 } else { base };
    all.into_iter().map(|(name, address)| (name, address.wrapping_sub(base))).collect()
}

impl Target {
    /// File offset of a function or label.
    pub fn offset(&self, symbol: &str) -> FileOffset {
        FileOffset(*self.symbols.get(symbol).unwrap_or_else(|| panic!("no symbol {symbol}")))
    }

    /// Symbols that begin like this, sorted.
    pub fn symbols_with(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = self.symbols.keys().filter(|n| n.starts_with(prefix)).cloned().collect();
        names.sort();
        names
    }

    /// Runs it alone; its standard output.
    pub fn run(&self, args: &str) -> String {
        let output = Command::new(&self.path).args(args.split_whitespace()).output().expect("it runs");
        assert!(output.status.success(), "{:?}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Makes a program probe by probe.
#[derive(Default)]
pub struct Maker {
    pub program: Program,
}

impl Maker {
    pub fn module(&mut self, path: &Path) -> ModuleId {
        if let Some(at) = self.program.modules.iter().position(|m| m.path == path) {
            return ModuleId(at as u32);
        }
        self.program.modules.push(Module { path: path.to_owned(), build_id: vec![] });
        ModuleId(self.program.modules.len() as u32 - 1)
    }

    pub fn probe(&mut self, point: Point) -> ProbeId {
        self.program.probes.push(Probe { point, pp: "test".into(), entry: None, entry_bytes: 0 });
        ProbeId(self.program.probes.len() as u32 - 1)
    }

    /// A probe in a target, for processes that run it.
    pub fn code(&mut self, target: &Target, symbol: &str, kind: CodeKind) -> ProbeId {
        let filter =
            ProcessFilter { executable: Some(self.module(&target.path)), ..ProcessFilter::default() };
        self.code_in(target, symbol, kind, filter)
    }

    /// A probe in a file, for processes that a filter takes.
    pub fn code_in(
        &mut self,
        target: &Target,
        symbol: &str,
        kind: CodeKind,
        process: ProcessFilter,
    ) -> ProbeId {
        let module = self.module(&target.path);
        self.probe(Point::Code { process, module, at: target.offset(symbol), kind })
    }

    pub fn event(&mut self, target: &Target, event: ProcessEvent) -> ProbeId {
        let process =
            ProcessFilter { executable: Some(self.module(&target.path)), ..ProcessFilter::default() };
        self.probe(Point::Process { process, event })
    }
}

/// A closure as handlers, and counts of hits and skips by probe.
pub struct Counting<F> {
    pub hits: Vec<u64>,
    pub skips: Vec<u64>,
    pub f: F,
}

impl<F: FnMut(&mut Hit<'_>) -> Verdict> Handlers for Counting<F> {
    fn run(&mut self, mut hit: Hit<'_>) -> Verdict {
        self.hits[hit.probe.0 as usize] += 1;
        (self.f)(&mut hit)
    }

    fn skip(&mut self, probe: ProbeId) {
        self.skips[probe.0 as usize] += 1;
    }
}

/// A verdict that changes nothing.
pub const RAN: Verdict = Verdict { ran: true, wrote_registers: false, end: false };

/// Prints what the tracer says, which cargo shows for failed tests.
pub struct Print;

impl Report for Print {
    fn say(&self, level: u8, text: std::fmt::Arguments<'_>) {
        if level <= 2 {
            println!("{text}");
        }
    }

    fn warn(&self, text: std::fmt::Arguments<'_>) {
        println!("WARNING: {text}");
    }
}

/// A tracer for a program, with a closure as handlers.
pub fn tracer<'f, F>(program: &Program, f: F) -> (Tracer<Shared<'f>>, Arc<Control>)
where
    F: FnMut(&mut Hit<'_>) -> Verdict + 'f,
{
    let control = Arc::new(Control::default());
    rstap_host::backend::ptrace::sys::prepare_wake_ups().expect("signals can be handled");
    let modules = Modules::of(program).expect("the files exist");
    let registry = Registry::new(program, modules);
    let counting = Counting {
        hits: vec![0; program.probes.len()],
        skips: vec![0; program.probes.len()],
        f: Box::new(f) as Box<dyn FnMut(&mut Hit<'_>) -> Verdict + 'f>,
    };
    (Tracer::new(counting, registry, control.clone(), Box::new(Print)), control)
}

/// Handlers of [`tracer`].
pub type Shared<'f> = Counting<Box<dyn FnMut(&mut Hit<'_>) -> Verdict + 'f>>;

/// Runs a command with the probes of a program to its end; hits by probe, skips by probe.
pub fn trace_command<'f>(
    program: &Program,
    command: &str,
    f: impl FnMut(&mut Hit<'_>) -> Verdict + 'f,
) -> (Vec<u64>, Vec<u64>) {
    trace_command_with(program, command, f, |_| {})
}

/// The same, with settings of the tracer.
pub fn trace_command_with<'f>(
    program: &Program,
    command: &str,
    f: impl FnMut(&mut Hit<'_>) -> Verdict + 'f,
    set: impl FnOnce(&mut Tracer<Shared<'f>>),
) -> (Vec<u64>, Vec<u64>) {
    let (mut tracer, _control) = tracer(program, f);
    set(&mut tracer);
    tracer.launch(command).expect("the command starts");
    tracer.begin();
    tracer.run();
    tracer.detach_all();
    let handlers = tracer.into_handlers();
    (handlers.hits, handlers.skips)
}

/// A file name for a target's output.
pub fn output_file() -> PathBuf {
    directory().join(format!("out-{}-{}", std::process::id(), BUILDS.fetch_add(1, Ordering::Relaxed)))
}
