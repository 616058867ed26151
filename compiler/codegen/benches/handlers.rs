//! What one run of a handler costs, without whatever brings a thread to it: `cargo bench -p rstap-codegen`. Scripts
//! are compiled from text against a small C program, and their image is called in this process as a backend calls it,
//! by one thread and by two at once, ns per run. Of many short batches the figure is that which a tenth of them stay
//! below, so that other load on the machine matters little; the ring is emptied between batches.
//! Names on the command line choose among the handlers.

#[path = "../tests/support/mapped.rs"]
#[allow(dead_code, reason = "handlers are called through the core here")]
mod mapped;
#[path = "../tests/support/thread.rs"]
mod thread;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;
use std::{fs, io};

use mapped::Mapped;
use rstap_abi::context::{REGISTER_COUNT, Registers, register};
use rstap_core::arena::{Arena, Line};
use rstap_core::handler::{Hit, Outcome, Runner};
use rstap_core::image::Image;
use rstap_core::output::Consumer;
use rstap_core::session::SessionView;
use rstap_core::setup;
use rstap_debuginfo::sources::{DebugFiles, Unfetched};
use rstap_program::Program;
use rstap_sema::files::Files;
use rstap_sema::{Options, Tapset, analyze};
use rstap_syntax::diagnostic::render;
use rstap_syntax::source::SourceMap;
use thread::{Buffers, Thread};

/// The probed program: handlers are for entry and return of `f`, whose argument counts up.
const TARGET: &str = "long f(long x) { return x; } int main(void) { return (int)f(0); }";

/// Name, and handlers; `A` stands for the entry of `f`, `R` for its return. All of them run in one round.
const HANDLERS: &[(&str, &str)] = &[
    ("no effect", "global n probe A { if ($x == -1) n++ }"),
    ("n++", "global n probe A { n++ } probe end { println(n) }"),
    ("a[$x % 64]++", "global a probe A { a[$x % 64]++ } probe end { foreach (k in a) println(k, a[k]) }"),
    ("a[$x % 64]++ with a lock", "global a probe A { a[$x % 64]++ } probe timer.s(1) { delete a }"),
    (
        "a[k, \"x\"]++",
        "global a probe A { a[$x % 64, \"x\"]++ } probe end { foreach ([k, t] in a) println(k) }",
    ),
    ("if (k in a) a[k]++", "global a probe A { k = $x % 64 if (k in a) a[k]++ else a[k] = 1 }"),
    (
        "a[s]++; b[s] = a[s]",
        "global a, b probe A { s = \"/usr/share/some/path/of/a/file\" a[s]++; b[s] = a[s] }",
    ),
    ("s .= \"x\", 100 times", "global n probe A { for (i = 0; i < 100; i++) s .= \"x\"; n += strlen(s) }"),
    (
        "s = sprintf(f(x))",
        "global n function f(x) { return sprintf(\"%d\", x) } probe A { s = f($x); n += strlen(s) }",
    ),
    ("s <<< v", "global s probe A { s <<< $x } probe end { println(@sum(s)) }"),
    ("s <<< v, @hist_log", "global s probe A { s <<< $x } probe end { print(@hist_log(s)) }"),
    (
        "h[k] <<< v",
        "global h probe A { h[$x % 64] <<< $x } probe end { foreach (k in h) print(@hist_log(h[k])) }",
    ),
    (
        "latency, entry + return",
        "global t, s probe A { t[tid()] = get_cycles() }
         probe R { if (tid() in t) { s <<< get_cycles() - t[tid()] delete t[tid()] } }
         probe end { print(@hist_log(s)) }",
    ),
    (
        "latency by @entry",
        "global s probe R { s <<< get_cycles() - @entry(get_cycles()) } probe end { print(@hist_log(s)) }",
    ),
    ("printf of two integers", "probe A { printf(\"%d %d\\n\", $x, $x + 1) }"),
];

const BATCH: u64 = 4_000;
const BATCHES: usize = 301;

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handlers");
    fs::create_dir_all(&folder).expect("a folder for the target");
    fs::write(folder.join("target.c"), TARGET).expect("the target's source");
    let built =
        Command::new("cc").args(["-O1", "-g", "target.c", "-o", "target"]).current_dir(&folder).status();
    assert!(built.is_ok_and(|status| status.success()), "a C compiler is needed");
    let chosen: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    println!("{:28} {:>10} {:>10}", "ns per run", "1 thread", "2 threads");
    for (name, script) in HANDLERS {
        if !chosen.is_empty() && !chosen.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let program = compile(&folder, script);
        println!("{name:28} {:10.1} {:10.1}", measure(&program, 1), measure(&program, 2));
    }
}

fn compile(folder: &Path, script: &str) -> Program {
    let point = format!("process(\"{}\").function(\"f\")", folder.join("target").display());
    let text = script
        .replace("probe A", &format!("probe {point}"))
        .replace("probe R", &format!("probe {point}.return"));
    let (mut sources, tapset, mut options) = (SourceMap::default(), Tapset::embedded(), Options::default());
    options.config.macros = Arc::new(tapset.macros(&mut sources, &options.config).0);
    let source = sources.add("bench".to_owned(), text);
    let parsed = rstap_syntax::parse(&sources, source, &options.config);
    let (script, diagnostics) = analyze(Rc::new(Disk), &mut sources, vec![parsed.file], &tapset, &options);
    let script = script.unwrap_or_else(|| panic!("{}", render(&sources, &diagnostics, false)));
    rstap_codegen::compile(&script).expect("the script compiles")
}

/// ns per run of all handlers that are not of begin, end or timer probes.
fn measure(program: &Program, threads: u32) -> f64 {
    let mapped = Mapped::new(&program.image);
    // SAFETY: the mapping lives as long as the image is used, and `compile` made it.
    let image = unsafe { Image::new(mapped.address() as *const u8, program.image.len()) };
    let image = image.expect("an image of this ABI");
    let plan = setup::plan(program.arena.size, 4 << 20).expect("the arena is small");
    let mut memory = vec![Line([0; 8]); plan.size.div_ceil(64) as usize];
    let arena = Arena::in_memory(&mut memory);
    setup::session(&arena, &plan, &program.limits).expect("the arena has its planned size");
    for global in &program.arena.globals {
        setup::global(&arena, global.at, &global.shape, &program.limits).expect("the global is in the arena");
    }
    SessionView::new(arena).expect("a session").set_state(rstap_abi::session::state::RUNNING);
    let consumer = Mutex::new(Consumer::new(&arena, &plan).expect("a new arena"));
    let barrier = Barrier::new(threads as usize);
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let run = |thread| {
            scope.spawn({
                let (barrier, consumer) = (&barrier, &consumer);
                move || batches(program, image, arena, thread, barrier, consumer)
            })
        };
        let threads: Vec<_> = (0..threads).map(run).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that measures")).collect()
    });
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

/// The times of one thread.
fn batches(
    program: &Program,
    image: Image<'_>,
    arena: Arena<'_>,
    thread: u32,
    barrier: &Barrier,
    consumer: &Mutex<Consumer<'_>>,
) -> Vec<f64> {
    let mut buffers = Buffers::new(&program.limits);
    let mut runner = Runner::new(image, arena, &program.limits, buffers.memory()).expect("enough memory");
    runner.claim_shard();
    let env = Thread(thread + 1);
    // Values saved at entry come before the return that uses them.
    let mut probes: Vec<(u32, bool)> = Vec::new();
    for (number, probe) in program.probes.iter().enumerate() {
        if matches!(probe.point, rstap_program::Point::Code { .. }) {
            probes.extend(probe.entry.map(|entry| (entry.0, true)));
            probes.push((number as u32, probe.entry.is_some()));
        }
    }
    let mut registers: Registers = [0; REGISTER_COUNT];
    let mut entry_values = [0; 16];
    let mut buffer = vec![0; 4 << 20];
    (0..BATCHES)
        .map(|_| {
            barrier.wait();
            let begin = Instant::now();
            for _ in 0..BATCH {
                registers[register::RDI] = registers[register::RDI].wrapping_add(1);
                for &(probe, saves) in &probes {
                    let mut hit = Hit::default();
                    (hit.pid, hit.tid, hit.registers) = (1, env.0, Some(&registers));
                    if saves {
                        // SAFETY: these handlers save one long.
                        unsafe { hit.set_entry_values(&mut entry_values) };
                    }
                    let outcome = runner.run(&env, probe, hit);
                    assert_eq!(outcome, Outcome::Ran, "handlers of a bench do not fail");
                }
            }
            let took = begin.elapsed();
            barrier.wait();
            if thread == 0 {
                let consumer = &mut *consumer.lock().expect("nobody panicked");
                let drained = consumer.drain(&mut buffer, |_| true, |_| true);
                assert_eq!((drained.lost, drained.corrupt), (0, false));
            }
            took.as_nanos() as f64 / BATCH as f64
        })
        .collect()
}

/// The file system, as far as the target needs it.
struct Disk;

impl DebugFiles<'static> for Disk {
    fn read(&self, path: &Path) -> io::Result<&'static [u8]> {
        fs::read(path).map(|bytes| &*bytes.leak())
    }

    fn keep(&self, bytes: Vec<u8>) -> &'static [u8] {
        bytes.leak()
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn debug_roots(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn fetch(&self, _build_id: &str) -> Option<Result<PathBuf, Unfetched>> {
        None
    }
}

impl Files<'static> for Disk {
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn user_id(&self, _name: &str) -> Option<u32> {
        None
    }

    fn own_user_id(&self) -> u32 {
        u32::MAX
    }

    fn process_executable(&self, _pid: u32) -> io::Result<PathBuf> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn process_libraries(&self, _pid: u32) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}
