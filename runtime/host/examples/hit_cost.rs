//! What a hit costs: the tracer with a handler that only counts, against a bare ptrace loop that reads registers and
//! continues. Run with `cargo run --release -p rstap-host --example hit_cost`.

use std::ffi::CString;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rstap_abi::address::FileOffset;
use rstap_host::backend::ptrace::control::Control;
use rstap_host::backend::ptrace::registry::Registry;
use rstap_host::backend::ptrace::{Report, Tracer, sys};
use rstap_host::backend::{Handlers, Hit, Verdict};
use rstap_host::process::{Modules, status};
use rstap_program::{CodeKind, Module, ModuleId, Point, Probe, ProbeId, ProcessFilter, Program};

const HITS: u64 = 100_000;
const ROUNDS: usize = 5;

struct Count(u64);

impl Handlers for Count {
    fn run(&mut self, _hit: Hit<'_>) -> Verdict {
        self.0 += 1;
        Verdict { ran: true, ..Verdict::default() }
    }

    fn skip(&mut self, _probe: ProbeId) {}
}

struct Silent;

impl Report for Silent {
    fn say(&self, _level: u8, _text: std::fmt::Arguments<'_>) {}
    fn warn(&self, text: std::fmt::Arguments<'_>) {
        eprintln!("{text}");
    }
}

fn main() {
    let directory = std::env::temp_dir().join(format!("rstap-hit-cost-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("temporary files can be made");
    let path = directory.join("target");
    let source = directory.join("target.c");
    let text = format!(
        "__attribute__((noinline, noclone)) long f(long x) {{ asm volatile(\"\"); return x + 1; }}\n\
         int main(int c, char **v) {{ long x = 0; for (long i = 0; i < {HITS}; i++) {{ x = f(x); if (c > 1) \
         __asm__ volatile(\"int3\"); }} return x != {HITS}; }}\n"
    );
    std::fs::write(&source, text).expect("written");
    let built =
        Command::new("cc").args(["-O1", "-fno-omit-frame-pointer", "-o"]).args([&path, &source]).status();
    assert!(built.is_ok_and(|status| status.success()), "cc works");
    let symbols = Command::new("nm").arg(&path).output().expect("nm works").stdout;
    let symbols = String::from_utf8_lossy(&symbols).into_owned();
    let line = symbols.lines().find(|line| line.ends_with(" T f")).expect("f is there");
    let at = FileOffset(u64::from_str_radix(&line[..16], 16).expect("an address"));
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (bare, traced) = (bare(&path), traced(&path, at));
        println!("bare loop {bare} ns, tracer {traced} ns");
        ratios.push(traced as f64 / bare as f64);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ROUNDS / 2]);
    let _ = std::fs::remove_dir_all(directory);
}

fn bare(path: &std::path::Path) -> u128 {
    let words = [path.to_str().expect("a plain path"), "int3"].map(|w| CString::new(w).expect("no NUL"));
    let waiting = sys::spawn(&words).expect("it can be started");
    let pid = Pid::from_raw(waiting.pid);
    ptrace::seize(pid, ptrace::Options::empty()).expect("it can be traced");
    waiting.go();
    let (mut hits, mut begin) = (0_u64, Instant::now());
    while let Ok(WaitStatus::Stopped(_, _)) = waitpid(pid, None) {
        if hits == 1 {
            begin = Instant::now();
        }
        if hits.is_multiple_of(1024)
            && let Some(cpu) = status::cpu(pid.as_raw())
        {
            sys::run_on_cpu(cpu).expect("one of our cpus");
        }
        std::hint::black_box(ptrace::getregs(pid).expect("it is stopped"));
        ptrace::cont(pid, None).expect("it is stopped");
        hits += 1;
    }
    let time = begin.elapsed();
    time.as_nanos() / u128::from(hits.max(1))
}

fn traced(path: &std::path::Path, at: FileOffset) -> u128 {
    let process = ProcessFilter { executable: Some(ModuleId(0)), ..ProcessFilter::default() };
    let point = Point::Code { process, module: ModuleId(0), at, kind: CodeKind::Hit };
    let program = Program {
        modules: vec![Module { path: path.to_owned(), build_id: vec![] }],
        probes: vec![Probe { point, pp: "f".into(), entry: None, entry_bytes: 0 }],
        ..Program::default()
    };
    let modules = Modules::of(&program).expect("it exists");
    let registry = Registry::new(&program, modules);
    let mut tracer = Tracer::new(Count(0), registry, Arc::new(Control::default()), Box::new(Silent));
    tracer.launch(path.to_str().expect("a plain path")).expect("it starts");
    tracer.begin();
    let begin = Instant::now();
    tracer.run();
    let time = begin.elapsed();
    tracer.detach_all();
    let hits = tracer.into_handlers().0;
    assert_eq!(hits, HITS);
    time.as_nanos() / u128::from(hits)
}
