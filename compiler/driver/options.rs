//! The command line, in two steps: [`Given`] is what the user typed, [`Options`] what the run needs. Options follow
//! stap(1); those that only make sense for a kernel module are accepted and have no effect.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use rstap_abi::limits::Limits;
use rstap_host::{Backend, Rotation};

use crate::foreign;

/// Watches user-space programs with the SystemTap language: no kernel module, no root, no restart of the target.
#[derive(Parser, Debug)]
#[command(
    name = "rstap",
    version,
    disable_version_flag = true,
    override_usage = "rstap [OPTIONS] FILE [ARGUMENTS]\n       rstap [OPTIONS] -e SCRIPT [ARGUMENTS]\n       \
                      rstap [OPTIONS] -l PROBE | -L PROBE\n       rstap --cleanup -x PID",
    after_help = "Script arguments that begin with a dash go after `--`."
)]
struct Given {
    /// Script file (`-` for standard input) and the script's arguments; with -e, only arguments
    #[arg(value_name = "FILE ARGUMENTS")]
    words: Vec<String>,

    /// Run this script
    #[arg(short = 'e', value_name = "SCRIPT")]
    script: Option<String>,
    /// Run this script in addition to the main one
    #[arg(short = 'E', value_name = "SCRIPT")]
    additional: Vec<String>,
    /// List probe points that match
    #[arg(short = 'l', value_name = "PROBE", conflicts_with_all = ["script", "list_vars"])]
    list: Option<String>,
    /// List probe points that match, with the variables there
    #[arg(short = 'L', value_name = "PROBE", conflicts_with = "script")]
    list_vars: Option<String>,

    /// Run CMD with the probes in, end when it ends; target() is its pid
    #[arg(short = 'c', value_name = "CMD", conflicts_with = "pid")]
    command: Option<String>,
    /// Watch the running process PID
    #[arg(short = 'x', value_name = "PID")]
    pid: Option<u32>,
    /// Remove what a killed rstap left in the process of -x (any session on it does so too)
    #[arg(long, requires = "pid", conflicts_with_all = ["script", "list", "list_vars", "words"])]
    cleanup: bool,
    /// Stop after pass N and show its result: 1 parse, 2 elaborate, 3 IR, 4 machine code
    #[arg(short = 'p', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5),
          hide_default_value = true)]
    last_pass: u8,
    /// Write output to FILE (% of strftime(3) are replaced)
    #[arg(short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// With -o: go on in another file after MEGABYTES (FILE.0, FILE.1, …); N,COUNT keeps the last COUNT of them
    #[arg(short = 'S', value_name = "MEGABYTES", requires = "output", value_parser = rotation)]
    rotation: Option<Rotation>,
    /// With -o: go on in the background once the probes are in, and print the process id; messages go to FILE.err
    #[arg(short = 'F', requires = "output", conflicts_with = "command")]
    background: bool,
    /// End after SECONDS
    #[arg(short = 'T', value_name = "SECONDS")]
    timeout: Option<u64>,

    /// Set a limit: MAXACTION, MAXSTRINGLEN, MAXMAPENTRIES, MAXTRYLOCK, MAXSKIPPED, …
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    defines: Vec<String>,
    /// Set a global variable's first value
    #[arg(short = 'G', value_name = "NAME=VALUE")]
    globals: Vec<String>,
    /// Look for library scripts in DIR too
    #[arg(short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Look for separate debug files in DIR too, before /usr/lib/debug
    #[arg(long = "debug-root", value_name = "DIR")]
    debug_roots: Vec<PathBuf>,
    /// Guru mode: the script may write to the target's memory
    #[arg(short = 'g')]
    guru: bool,
    /// No optimisation: keep what is not used
    #[arg(short = 'u')]
    unoptimized: bool,
    /// No warnings
    #[arg(short = 'w')]
    no_warnings: bool,
    /// Warnings are errors
    #[arg(short = 'W')]
    strict_warnings: bool,
    /// Say more; may be repeated
    #[arg(short = 'v', long = "verbose", action = ArgAction::Count)]
    verbose: u8,
    /// Run-time errors end the handler, not the session
    #[arg(long)]
    suppress_handler_errors: bool,
    /// No limit on actions and on the time of handlers (with -g)
    #[arg(long)]
    suppress_time_limits: bool,
    /// Handlers wait for whoever reads their output, 5 s each at most (-D MAXOUTPUTWAIT=MS), before any of it is lost
    #[arg(long)]
    lossless: bool,
    /// Target variables that cannot be resolved read as 0
    #[arg(long)]
    skip_badvars: bool,
    /// How to reach the target: auto, ptrace or inject
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = ["auto", "ptrace", "inject"])]
    backend: String,
    /// Colour messages: auto, always or never
    #[arg(long, alias = "colour", value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_value = "auto", default_missing_value = "always", value_parser = ["auto", "always", "never"])]
    color: String,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,

    /// What `systemtap_v` is in scripts
    #[arg(long, value_name = "VERSION")]
    compatible: Option<String>,
    /// Say more in single passes: a digit for each
    #[arg(long, value_name = "DIGITS", value_parser = digits)]
    vp: Option<String>,
    /// Size of the output buffer in megabytes
    #[arg(short = 's', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4095))]
    buffer_size: Option<u64>,
    /// Report, at the end, how often each probe was hit and how long it took
    #[arg(short = 't')]
    timing: bool,
    /// List the forms of probe points
    #[arg(long, conflicts_with_all = ["list", "list_vars", "script"])]
    dump_probe_types: bool,
    /// List the aliases of the library
    #[arg(long, conflicts_with_all = ["list", "list_vars", "script"])]
    dump_probe_aliases: bool,
    /// List the functions of the library
    #[arg(long, conflicts_with_all = ["list", "list_vars", "script"])]
    dump_functions: bool,
    /// What `systemtap_privilege` is in scripts: stapusr, stapsys or stapdev
    #[arg(long, value_name = "LEVEL", value_parser = ["stapusr", "stapsys", "stapdev"])]
    privilege: Option<String>,
    #[arg(short = 'm', value_name = "NAME", hide = true)]
    module_name: Option<String>,
    #[arg(short = 'R', value_name = "DIR", hide = true)]
    runtime_dir: Option<String>,
    #[arg(short = 'a', value_name = "ARCH", hide = true, value_parser = [std::env::consts::ARCH])]
    arch: Option<String>,
    #[arg(short = 'd', value_name = "OBJECT", hide = true)]
    objects: Vec<String>,
    #[arg(short = 'P', hide = true)]
    prologue: bool,
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, hide = true)]
    prologue_searching: Option<Option<String>>,
    #[arg(short = 'b', hide = true)]
    bulk: bool,
    #[arg(short = 'k', hide = true)]
    keep: bool,
    #[arg(long, hide = true)]
    ldd: bool,
    #[arg(long, hide = true)]
    all_modules: bool,
    #[arg(long, hide = true)]
    dyninst: bool,
    #[arg(long, hide = true, value_parser = ["dyninst"])]
    runtime: Option<String>,
    #[arg(long, hide = true)]
    unprivileged: bool,
    #[arg(long, hide = true)]
    check_version: bool,
    #[arg(long, hide = true)]
    semantic_keep_going: bool,
    #[arg(long, hide = true)]
    disable_cache: bool,
    #[arg(long, hide = true)]
    poison_cache: bool,
    #[arg(long, hide = true)]
    clean_cache: bool,
    #[arg(long, value_name = "DIR", hide = true)]
    tmpdir: Option<String>,
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, hide = true)]
    download_debuginfo: Option<Option<String>>,
}

/// Where the main script comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Main {
    /// `-e`
    Text(String),
    /// A file.
    File(PathBuf),
    /// `-`
    Stdin,
    /// `-l`, `-L`: the probe points.
    List {
        /// As given.
        points: String,
        /// `-L`
        variables: bool,
    },
    /// `--dump-…`
    Dump(Dump),
}

/// What is to be listed instead of running a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// `--dump-probe-types`
    ProbeTypes,
    /// `--dump-probe-aliases`
    ProbeAliases,
    /// `--dump-functions`
    Functions,
}

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// `-c`
    Command(String),
    /// `-x`
    Pid(u32),
    /// Every process that a probe point takes.
    Matching,
}

/// What rstap is to do.
#[derive(Debug)]
pub enum Task {
    /// Run a script, or some passes of it.
    Script(Box<Options>),
    /// `--cleanup`
    Cleanup {
        /// `-x`
        pid: u32,
        /// Number of `-v`.
        verbose: u8,
    },
}

/// What the run needs to know.
#[derive(Debug)]
#[allow(missing_docs, reason = "named as the options are")]
pub struct Options {
    pub backend: Backend,
    pub main: Main,
    pub additional: Vec<String>,
    pub arguments: Vec<String>,
    pub watch: Watch,
    pub last_pass: u8,
    pub output: Option<PathBuf>,
    pub rotation: Option<Rotation>,
    /// -F
    pub background: bool,
    pub timeout: Option<Duration>,
    pub limits: Limits,
    pub globals: Vec<(String, String)>,
    pub include: Vec<PathBuf>,
    pub debug_roots: Vec<PathBuf>,
    pub guru: bool,
    pub unoptimized: bool,
    pub no_warnings: bool,
    pub strict_warnings: bool,
    /// By pass, from 1.
    pub verbose: [u8; 5],
    pub timing: bool,
    pub buffer_bytes: Option<u64>,
    pub privilege: Option<String>,
    pub compatible: Option<String>,
    pub suppress_handler_errors: bool,
    pub skip_badvars: bool,
    pub color: bool,
}

/// Reads the command line; prints usage and ends with status 1 when it cannot be understood (as stap does), with 0
/// after `--help` and `--version`.
pub fn from_command_line() -> Task {
    let arguments = std::env::args_os().map(|a| a.to_string_lossy().into_owned());
    let given = Given::try_parse_from(arguments).unwrap_or_else(|error| {
        let status = i32::from(error.use_stderr());
        match unknown_option(&error) {
            Some((option, instead)) => eprintln!("error: rstap has no option '{option}': {instead}"),
            None => drop(error.print()),
        }
        std::process::exit(status);
    });
    if let (true, Some(pid)) = (given.cleanup, given.pid) {
        return Task::Cleanup { pid, verbose: given.verbose };
    }
    let options = options(given).unwrap_or_else(|message| {
        eprintln!("error: {message}\n\nUsage: rstap [OPTIONS] FILE [ARGUMENTS], or rstap --help");
        std::process::exit(1);
    });
    Task::Script(Box::new(options))
}

/// An option that SystemTap has, with what works instead.
fn unknown_option(error: &clap::Error) -> Option<(String, &'static str)> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => Some((option.clone(), foreign::instead(option)?)),
        _ => None,
    }
}

/// The value of `--vp`.
fn digits(text: &str) -> Result<String, String> {
    match text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 5 {
        true => Ok(text.to_owned()),
        false => Err("expected a digit for each of the passes 1 to 5, as in 00010".to_owned()),
    }
}

/// The value of `-S`.
fn rotation(text: &str) -> Result<Rotation, String> {
    let (megabytes, files) = text.split_once(',').map_or((text, None), |(size, files)| (size, Some(files)));
    let positive = |text: &str| text.parse::<NonZeroU64>();
    let bytes = positive(megabytes).ok().and_then(|size| size.checked_mul(NonZeroU64::new(1 << 20)?));
    match (bytes, files.map(positive).transpose()) {
        (Some(size), Ok(files)) => Ok(Rotation { size, files }),
        _ => Err("expected megabytes and, after a comma, how many files to keep, as in 10,3".to_owned()),
    }
}

/// Verbosity of the passes: -v for all, and --vp.
fn verbosity(given: &Given) -> [u8; 5] {
    let mut verbose = [given.verbose; 5];
    for (pass, digit) in verbose.iter_mut().zip(given.vp.iter().flat_map(|digits| digits.bytes())) {
        *pass = pass.saturating_add(digit - b'0');
    }
    verbose
}

fn options(given: Given) -> Result<Options, String> {
    let (limits, verbose) = (limits(&given)?, verbosity(&given));
    let mut words = given.words.into_iter();
    let dump = match (given.dump_probe_types, given.dump_probe_aliases, given.dump_functions) {
        (true, ..) => Some(Dump::ProbeTypes),
        (_, true, _) => Some(Dump::ProbeAliases),
        (_, _, true) => Some(Dump::Functions),
        _ => None,
    };
    let main = match (given.script, given.list, given.list_vars) {
        _ if dump.is_some() => Main::Dump(dump.unwrap_or(Dump::Functions)),
        (Some(text), None, None) => Main::Text(text),
        (None, Some(points), None) => Main::List { points, variables: false },
        (None, None, Some(points)) => Main::List { points, variables: true },
        _ => match words.next() {
            Some(word) if word == "-" => Main::Stdin,
            Some(word) => Main::File(word.into()),
            None => {
                return Err("a script must be specified: a file, `-` for standard input, or -e SCRIPT".into());
            }
        },
    };
    let watch = match (given.command, given.pid) {
        (Some(command), _) => Watch::Command(command),
        (None, Some(pid)) => Watch::Pid(pid),
        (None, None) => Watch::Matching,
    };
    Ok(Options {
        main,
        additional: given.additional,
        arguments: words.collect(),
        watch,
        last_pass: given.last_pass,
        output: given.output,
        rotation: given.rotation,
        background: given.background && given.last_pass == 5,
        timeout: given.timeout.map(Duration::from_secs),
        limits,
        globals: given.globals.iter().map(|g| pair("-G", g)).collect::<Result<_, _>>()?,
        include: given.include,
        debug_roots: given.debug_roots,
        guru: given.guru,
        unoptimized: given.unoptimized,
        no_warnings: given.no_warnings,
        strict_warnings: given.strict_warnings,
        verbose,
        timing: given.timing,
        buffer_bytes: given.buffer_size.map(|megabytes| megabytes << 20),
        privilege: given.privilege.or(given.unprivileged.then(|| "stapusr".to_owned())),
        compatible: given.compatible,
        suppress_handler_errors: given.suppress_handler_errors,
        backend: match given.backend.as_str() {
            "ptrace" => Backend::Ptrace,
            "inject" => Backend::Inject,
            _ => Backend::Auto,
        },
        skip_badvars: given.skip_badvars,
        color: wants_color(&given.color),
    })
}

fn pair(option: &str, text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{option} {text}: expected NAME=VALUE")),
    }
}

/// How long --lossless waits.
const LOSSLESS_WAIT_MS: u64 = 5000;

/// Macros of SystemTap's own runtime that say nothing to this one.
const ACCEPTED: &[&str] = &["STP_", "MINSTACKSPACE", "INTERRUPTIBLE", "MAXUPROBES", "DEBUG_", "TEST_"];

fn limits(given: &Given) -> Result<Limits, String> {
    let mut limits = Limits::DEFAULT;
    let mut interruptible_set = false;
    for define in &given.defines {
        let (name, value) = define.split_once('=').unwrap_or((define, "1"));
        if name == "STP_NO_OVERLOAD" {
            limits.overload_threshold = u64::MAX;
            continue;
        }
        let Some(limit) = limits.by_name(name) else {
            if ACCEPTED.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            return Err(format!("-D {define}: no such limit; there are {}", Limits::NAMES.join(", ")));
        };
        // As a C macro may be written: 500000000LL.
        *limit = value
            .trim()
            .trim_end_matches(['u', 'U', 'l', 'L'])
            .parse()
            .map_err(|_| format!("-D {define}: the value must be a whole number, not negative"))?;
        interruptible_set |= name == "MAXACTION_INTERRUPTIBLE";
        if name == "MAXACTION" && !interruptible_set {
            limits.max_action_interruptible = limits.max_action.saturating_mul(10);
        }
    }
    if given.suppress_handler_errors {
        limits.max_errors = i64::MAX as u64;
    }
    if given.suppress_time_limits && given.guru {
        limits.max_action = i64::MAX as u64;
        limits.max_action_interruptible = i64::MAX as u64;
        limits.overload_threshold = u64::MAX;
    }
    if given.lossless && limits.max_output_wait_ms == 0 {
        limits.max_output_wait_ms = LOSSLESS_WAIT_MS;
    }
    if limits.max_output_wait_ms > 0 {
        // Time in which handlers wait is not time that they take.
        limits.overload_threshold = u64::MAX;
    }
    check_ranges(&limits)?;
    Ok(limits)
}

/// Values beyond which the arena or the stack of handlers could not be had.
fn check_ranges(limits: &Limits) -> Result<(), String> {
    let ranges = [
        ("MAXSTRINGLEN", limits.max_string_len, 8, 65_536),
        ("MAXMAPENTRIES", limits.max_map_entries, 1, 16_777_216),
        ("MAXNESTING", limits.max_nesting, 1, 1000),
        ("MAXACTION", limits.max_action, 1, i64::MAX as u64),
        ("MAXACTION_INTERRUPTIBLE", limits.max_action_interruptible, 1, i64::MAX as u64),
        ("MAXOUTPUTWAIT", limits.max_output_wait_ms, 0, 60_000),
    ];
    for (name, value, low, high) in ranges {
        if !(low..=high).contains(&value) {
            return Err(format!("-D {name}={value}: must be from {low} to {high}"));
        }
    }
    Ok(())
}

fn wants_color(when: &str) -> bool {
    use std::io::IsTerminal;
    match when {
        "always" => true,
        "never" => false,
        _ => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        let words = std::iter::once("rstap").chain(words.iter().copied());
        options(Given::try_parse_from(words).map_err(|e| e.to_string())?)
    }

    #[test]
    fn options_may_stand_after_the_script() {
        let options = parse(&["a.stp", "x", "-x", "12", "-v", "--", "-5"]).unwrap();
        assert_eq!(options.main, Main::File("a.stp".into()));
        assert_eq!(options.watch, Watch::Pid(12));
        assert_eq!(options.arguments, ["x", "-5"]);
        assert_eq!(options.verbose, [1; 5]);
    }

    #[test]
    fn with_a_script_text_all_words_are_arguments() {
        let options = parse(&["-e", "probe begin {}", "a", "-p2"]).unwrap();
        assert_eq!(options.main, Main::Text("probe begin {}".into()));
        assert_eq!(options.arguments, ["a"]);
        assert_eq!(options.last_pass, 2);
    }

    #[test]
    fn limits_are_set_by_name() {
        let options =
            parse(&["-DMAXACTION=7", "-D", "MAXSTRINGLEN=64", "-DSTP_NO_OVERLOAD", "-e", ""]).unwrap();
        assert_eq!(options.limits.max_action, 7);
        assert_eq!(options.limits.max_action_interruptible, 70);
        assert_eq!(options.limits.max_string_len, 64);
        assert_eq!(options.limits.overload_threshold, u64::MAX);
        let options = parse(&["-DSTP_OVERLOAD_THRESHOLD=7LL", "-e", ""]).unwrap();
        assert_eq!(options.limits.overload_threshold, 7);
    }

    #[test]
    fn rotation_has_a_size_and_perhaps_a_number_of_files() {
        let rotation =
            |text| parse(&["-o", "out", "-S", text, "-e", ""]).map(|options| options.rotation.unwrap());
        let of =
            |size, files| Rotation { size: NonZeroU64::new(size).unwrap(), files: NonZeroU64::new(files) };
        assert_eq!(rotation("2").unwrap(), of(2 << 20, 0));
        assert_eq!(rotation("1,3").unwrap(), of(1 << 20, 3));
        for wrong in ["", "0", "1,0", "1,", "x", "99999999999999999999"] {
            assert!(rotation(wrong).unwrap_err().contains("as in 10,3"), "{wrong}");
        }
        assert!(parse(&["-S", "2", "-e", ""]).unwrap_err().contains("-o"));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        assert!(parse(&["-DMAXBOGUS=1", "-e", ""]).unwrap_err().contains("no such limit"));
        assert!(parse(&["-DMAXACTION=x", "-e", ""]).unwrap_err().contains("whole number"));
        assert!(parse(&["-DMAXSTRINGLEN=1", "-e", ""]).unwrap_err().contains("from 8"));
        assert!(parse(&["-G", "x", "-e", ""]).unwrap_err().contains("NAME=VALUE"));
        assert!(parse(&[]).unwrap_err().contains("script must be specified"));
        assert!(parse(&["-c", "ls", "-x", "1", "-e", ""]).is_err());
    }
}
