//! A fork in the middle of something else that changes memory: what the child has is what was there at that moment.

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::stat::Mode;
use rstap_host::backend::ptrace::control::Control;
use rstap_host::backend::ptrace::registry::Registry;
use rstap_host::backend::ptrace::{End, Tracer, sys};
use rstap_host::backend::{Handlers, Hit, Verdict};
use rstap_host::process::{Mapping, Modules, status};
use rstap_program::{CodeKind, ProbeId, ProcessFilter};
use support::{Maker, Print, RAN, build, output_file};

/// Counts hits; when a file is mapped, has the other thread fork before anything is planted in it.
struct Forking {
    file: PathBuf,
    pipe: PathBuf,
    forked: bool,
    hits: u64,
}

impl Handlers for Forking {
    fn run(&mut self, _hit: Hit<'_>) -> Verdict {
        self.hits += 1;
        RAN
    }

    fn mapped(&mut self, pid: u32, mappings: &[Mapping]) {
        let is_it = |m: &Mapping| m.executable && self.file.as_os_str() == m.path.as_str();
        if self.forked || !mappings.iter().any(is_it) {
            return;
        }
        self.forked = true;
        let mut pipe = std::fs::File::options().write(true).open(&self.pipe).expect("it is there");
        pipe.write_all(b"x").expect("it is read");
        // Its child is there and its fork is to be told of, but not before we are done.
        let is_stopped = |tid: &i32| *tid != pid as i32 && status::state(*tid) == Some('t');
        while !status::threads(pid as i32).iter().any(is_stopped) {
            std::thread::yield_now();
        }
    }

    fn skip(&mut self, _probe: ProbeId) {}
}

#[test]
fn a_child_that_is_forked_while_its_parent_is_armed_is_probed_as_well() {
    let file = build("leaf.c", &["-shared", "-fPIC", "-nostdlib"]);
    let target = build("forker.c", &[]);
    let mut maker = Maker::default();
    let filter = ProcessFilter { executable: Some(maker.module(&target.path)), ..ProcessFilter::default() };
    maker.code_in(&file, "leaf", CodeKind::Hit, filter);
    let (pipe, out) = (output_file(), output_file());
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("a name of our own");
    sys::prepare_wake_ups().expect("signals can be handled");
    let modules = Modules::of(&maker.program).expect("the files exist");
    let registry = Registry::new(&maker.program, modules);
    let handlers = Forking { file: file.path.clone(), pipe: pipe.clone(), forked: false, hits: 0 };
    let mut tracer = Tracer::new(handlers, registry, Arc::new(Control::default()), Box::new(Print));
    let command = [&target.path, &file.path].map(|path| path.display().to_string()).join(" ");
    let command = format!("{command} {} {} > {}", file.offset("leaf").0, pipe.display(), out.display());
    tracer.launch(&command).expect("the command starts");
    tracer.begin();
    tracer.run();
    tracer.detach_all();
    assert_eq!(tracer.target_end(), Some(End::Exited(0)));
    let Forking { forked, hits, .. } = tracer.into_handlers();
    assert_eq!((forked, hits), (true, 11));
    assert_eq!(std::fs::read_to_string(out).expect("output"), "3\n");
}
