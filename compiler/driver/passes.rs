//! The passes in their order. A pass with errors is the last one; `-p N` stops after pass N and shows its result.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rstap_program::Program;
use rstap_sema::analyze::{self, analyze};
use rstap_sema::files::Files;
use rstap_sema::ir::{self, Script};
use rstap_sema::points::process::Target;
use rstap_sema::tapset::Tapset;
use rstap_syntax::ast::File;
use rstap_syntax::diagnostic::{Diagnostic, Severity, render};
use rstap_syntax::source::{SourceId, SourceMap, decode_script};
use rstap_syntax::{ParseConfig, parse, print};

use crate::debuginfod::Client;
use crate::disk::{Disk, Store};
use crate::options::{Dump, Main, Options, Watch};
use crate::run;
use rstap_host::Ready;

/// Runs the passes, and `ready` when the probes are in; whether all went well.
pub fn run(options: &Options, ready: Option<Ready>) -> bool {
    let store = Store::default();
    let target = match options.watch {
        Watch::Pid(pid) => Some(pid),
        _ => None,
    };
    let debuginfod = Client::from_environment();
    let disk = Rc::new(Disk::new(&store, &options.debug_roots, debuginfod, target));
    let mut passes =
        Passes { options, sources: SourceMap::default(), tapset: Tapset::embedded(), failed: false };
    passes.run(disk, ready).is_some() && !passes.failed
}

/// What the passes share: the options, the texts, and whether something was said that fails the run.
struct Passes<'o> {
    options: &'o Options,
    sources: SourceMap,
    tapset: Tapset,
    failed: bool,
}

impl Passes<'_> {
    fn run(&mut self, disk: Rc<Disk<'_>>, ready: Option<Ready>) -> Option<()> {
        if let Main::Dump(what) = self.options.main {
            return show(&self.dump(what));
        }
        let (config, files) = self.in_pass(1, "parse failed", |passes| passes.parse())?;
        if self.options.last_pass == 1 {
            let dumps: Vec<String> = files.iter().map(|file| print::dump(&self.sources, file)).collect();
            return show(&dumps.join("\n"));
        }
        if let Main::List { variables, .. } = self.options.main {
            return self.list(disk, files, config, variables);
        }
        let script = self.in_pass(2, "analysis failed", |passes| passes.analyze(disk, files, config))?;
        if self.options.last_pass == 2 {
            return show(&rstap_sema::print::elaborated(&script));
        }
        if self.options.last_pass == 3 {
            return show(&ir::print::print(&script));
        }
        let program = self.in_pass(4, "compilation failed", |_| compile(&script))?;
        if self.options.last_pass == 4 {
            return self.show_code(&script, &program);
        }
        drop(script);
        let ran = run::run(program, self.options, ready);
        if !ran {
            eprintln!("Pass 5: run failed.");
        }
        ran.then_some(())
    }

    /// Runs a pass; says so when it failed and, with -v, how long it took.
    fn in_pass<T>(
        &mut self,
        number: u8,
        failure: &str,
        pass: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let start = Instant::now();
        let result = pass(self).filter(|_| !self.failed);
        match &result {
            None => eprintln!("Pass {number}: {failure}."),
            Some(_) => self.say_time(number, start.elapsed()),
        }
        result
    }

    fn say_time(&self, number: u8, took: Duration) {
        let work = match number {
            1 => format!("parsed {} texts", self.sources.iter().count()),
            2 => format!("analyzed script, {} texts in all", self.sources.iter().count()),
            _ => "compiled handlers to machine code".to_owned(),
        };
        if self.options.verbose[usize::from(number) - 1] > 0 {
            eprintln!("Pass {number}: {work} in {:.1} ms.", took.as_secs_f64() * 1e3);
        }
    }

    fn parse(&mut self) -> Option<(ParseConfig, Vec<File>)> {
        self.load_tapset_directories()?;
        let mut config = ParseConfig {
            args: self.options.arguments.clone(),
            guru: self.options.guru,
            kernel_release: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            ..ParseConfig::default()
        };
        config.privilege = self.options.privilege.clone().unwrap_or(config.privilege);
        config.compatible = self.options.compatible.clone().unwrap_or(config.compatible);
        let (macros, diagnostics) = self.tapset.macros(&mut self.sources, &config);
        self.report(&diagnostics);
        config.macros = std::sync::Arc::new(macros);

        let mut files = Vec::new();
        let mut used = vec![false; config.args.len()];
        for source in self.scripts()? {
            let parsed = parse(&self.sources, source, &config);
            self.report(&parsed.diagnostics);
            used.iter_mut().zip(parsed.used_args).for_each(|(used, here)| *used |= here);
            files.push(parsed.file);
        }
        self.report_unused_arguments(&used);
        (!self.failed).then_some((config, files))
    }

    fn report_unused_arguments(&mut self, used: &[bool]) {
        let texts = self.options.arguments.iter().zip(used).enumerate().filter(|(_, (_, used))| !**used);
        let warnings: Vec<Diagnostic> = texts
            .map(|(i, (text, _))| {
                let number = i + 1;
                Diagnostic::warning(format!("unused command line option ${number}/@{number}: {text}"))
            })
            .collect();
        let uses_globals = self.sources.iter().any(|(_, source)| source.text.contains("argv"));
        if !uses_globals {
            self.report(&warnings);
        }
    }

    /// The texts to run, the main one first.
    fn scripts(&mut self) -> Option<Vec<SourceId>> {
        let (name, bytes) = match &self.options.main {
            Main::Text(text) => ("<input>".to_owned(), text.clone().into_bytes()),
            Main::List { points, .. } => ("<input>".to_owned(), format!("probe {points} {{}}").into_bytes()),
            Main::Dump(_) => unreachable!("nothing is parsed for a dump"),
            Main::Stdin => ("<stdin>".to_owned(), self.read("standard input", read_stdin)?),
            Main::File(path) => {
                (path.display().to_string(), self.read(&format!("'{}'", path.display()), || fs::read(path))?)
            }
        };
        let mut sources = vec![self.add_script(&name, bytes)?];
        for text in &self.options.additional {
            sources.push(self.sources.add("<input>", text.clone()));
        }
        Some(sources)
    }

    fn read(&mut self, what: &str, read: impl FnOnce() -> io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        read().map_err(|error| self.fail(&format!("cannot read the script {what}: {}", reason(&error)))).ok()
    }

    fn add_script(&mut self, name: &str, bytes: Vec<u8>) -> Option<SourceId> {
        match decode_script(name, bytes) {
            Ok(text) => Some(self.sources.add(name, text)),
            Err(diagnostic) => {
                self.report(&[*diagnostic]);
                None
            }
        }
    }

    fn load_tapset_directories(&mut self) -> Option<()> {
        for directory in &self.options.include {
            let mut entries: Vec<_> =
                match fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                    Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
                    Err(error) => {
                        self.fail(&format!(
                            "cannot read the library directory '{}': {}",
                            directory.display(),
                            reason(&error)
                        ));
                        return None;
                    }
                };
            entries.sort();
            for path in entries.iter().filter(|path| is_library_file(path)) {
                let shown = path.display().to_string();
                let bytes = self.read(&format!("'{shown}'"), || fs::read(path))?;
                let text =
                    decode_script(&shown, bytes).map_err(|diagnostic| self.report(&[*diagnostic])).ok()?;
                self.tapset.add(shown, text);
            }
        }
        Some(())
    }

    fn analyze<'d>(&mut self, disk: Rc<Disk<'d>>, files: Vec<File>, config: ParseConfig) -> Option<Script> {
        let options = self.sema_options(config);
        let (script, diagnostics) = analyze(disk, &mut self.sources, files, &self.tapset, &options);
        self.report(&diagnostics);
        script
    }

    fn sema_options(&self, config: ParseConfig) -> analyze::Options {
        analyze::Options {
            config,
            guru: self.options.guru,
            unoptimized: self.options.unoptimized,
            skip_badvars: self.options.skip_badvars,
            limits: self.options.limits,
            globals: self.options.globals.clone(),
            target: match &self.options.watch {
                Watch::Command(command) => run::program_of(command).map_or(Target::None, Target::Command),
                Watch::Pid(pid) => Target::Pid(*pid),
                Watch::Matching => Target::None,
            },
        }
    }

    fn list<'d>(
        &mut self,
        disk: Rc<Disk<'d>>,
        mut files: Vec<File>,
        config: ParseConfig,
        variables: bool,
    ) -> Option<()> {
        let options = self.sema_options(config);
        let files_of: Rc<dyn Files<'d> + 'd> = disk;
        let (lines, diagnostics) = analyze::list(
            files_of,
            &mut self.sources,
            files.swap_remove(0),
            &self.tapset,
            &options,
            variables,
        );
        if lines.is_empty() {
            self.report(&diagnostics);
            return None;
        }
        show_with(|out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))
    }

    fn show_code(&mut self, script: &Script, program: &Program) -> Option<()> {
        show(&rstap_codegen::describe(program))?;
        if self.options.verbose[3] > 0 {
            show(&rstap_codegen::clif(script).map_err(|error| self.fail(&error.to_string())).ok()?)?;
        }
        Some(())
    }

    /// Prints findings. Errors fail the run, and with -W warnings do.
    fn report(&mut self, diagnostics: &[Diagnostic]) {
        let shown: Vec<Diagnostic> = diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error || !self.options.no_warnings)
            .cloned()
            .map(|mut d| {
                if self.options.strict_warnings {
                    d.severity = Severity::Error;
                }
                d
            })
            .collect();
        self.failed |= shown.iter().any(Diagnostic::is_error);
        eprint!("{}", render(&self.sources, &shown, self.options.color));
    }

    /// What `--dump-…` shows.
    fn dump(&mut self, what: Dump) -> String {
        match what {
            Dump::ProbeTypes => rstap_sema::points::forms().join("\n"),
            Dump::ProbeAliases => self.tapset.describe_aliases().join("\n"),
            Dump::Functions => self.tapset.describe_functions().join("\n"),
        }
    }

    fn fail(&mut self, message: &str) {
        eprintln!("error: {message}");
        self.failed = true;
    }
}

fn compile(script: &Script) -> Option<Program> {
    rstap_codegen::compile(script).map_err(|error| eprintln!("error: {error}")).ok()
}

fn is_library_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "stp" || extension == "stpm")
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error of the system in words, without the number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Writes a result to standard output.
fn show(text: &str) -> Option<()> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    show_with(|out| write!(out, "{text}{newline}"))
}

/// Writes to standard output; a reader that went away is no error.
fn show_with(write: impl FnOnce(&mut BufWriter<io::StdoutLock<'_>>) -> io::Result<()>) -> Option<()> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {}", reason(&error));
            None
        }
        _ => Some(()),
    }
}
