//! What SystemTap's command line has and rstap's has not: each option with the reason, or with what works instead. It
//! is asked only about options that [`crate::options`] does not know (stap(1), OPTIONS).

/// Options by their spelling without a value, and what to do without them.
const REFUSED: &[(&str, &str)] = &[
    (
        "--monitor",
        "there is no screen of its own; `probe timer.s(1) { ansi_clear_screen() … }` shows a table that lives",
    ),
    ("--interactive", "run scripts one by one, with -e SCRIPT"),
    ("-i", "run scripts one by one, with -e SCRIPT"),
    ("--language-server", "rstap has no language server yet; `rstap -p2 FILE` checks a script"),
    ("--bpf", "handlers are compiled for the user-space runtime, which is the only one"),
    ("--remote", "run rstap on the other machine: ssh HOST rstap -e SCRIPT"),
    ("--remote-prefix", "run rstap on the other machine: ssh HOST rstap -e SCRIPT"),
    ("--use-server", "handlers are compiled within milliseconds by rstap itself"),
    ("--use-server-on-error", "handlers are compiled within milliseconds by rstap itself"),
    ("--list-servers", "handlers are compiled within milliseconds by rstap itself"),
    ("--trust-servers", "handlers are compiled within milliseconds by rstap itself"),
    ("--sysroot", "the programs to watch run here; for one in a container give its process: -x PID"),
    ("--sysenv", "set the variable for rstap itself: env NAME=VALUE rstap …"),
    ("--target-namespace", "give the process as this machine numbers it: -x PID"),
    ("--target-namespaces", "give the process as this machine numbers it: -x PID"),
    ("--save-uprobes", "there is no kernel module"),
    ("--benchmark-sdt", "rstap needs no semaphores to be timed; `-t` reports what each probe costs"),
    ("--modinfo", "there is no kernel module"),
    ("-B", "there is no kernel module, so nothing is passed to its build"),
    ("-r", "scripts run on the machine they are compiled on"),
    ("-q", "there is no report on how much of the library a script covers; -p2 shows what is used of it"),
    ("--rlimit-as", "set limits in the shell: ulimit -v"),
    ("--rlimit-cpu", "set limits in the shell: ulimit -t"),
    ("--rlimit-nproc", "set limits in the shell: ulimit -u"),
    ("--rlimit-stack", "set limits in the shell: ulimit -s"),
    ("--rlimit-fsize", "set limits in the shell: ulimit -f"),
    ("--build-as", "scripts run on the machine they are compiled on"),
    ("--example", "the scripts in examples/ are files: rstap examples/NAME.stp"),
];

/// Why there is no such option and what works instead, if SystemTap has it.
pub fn instead(option: &str) -> Option<&'static str> {
    let name = option.split('=').next().unwrap_or(option);
    REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_does_not_hide_the_option() {
        assert_eq!(instead("--monitor=5"), instead("--monitor"));
        assert!(instead("--monitor").is_some());
        assert_eq!(instead("--no-such-thing"), None);
    }
}
