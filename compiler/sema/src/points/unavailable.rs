//! Families of probe points that SystemTap has and that cannot exist in user space: what each would need, and what
//! comes nearest. Knows names only.

use rstap_syntax::ast::Component;
use rstap_syntax::diagnostic::Diagnostic;

/// Families of one kind.
struct Row {
    /// First components.
    names: &'static [&'static str],
    /// What a point of them does.
    label: &'static str,
    /// What comes nearest.
    instead: &'static str,
}

const KERNEL: &str = "this watches the kernel";

const ROWS: &[Row] = &[
    Row {
        names: &["kernel", "kprobe"],
        label: KERNEL,
        instead: "for functions of a program or of its libraries: process(\"PATH\").function(\"NAME\"), process(\"PATH\").library(\"PATH\").function(\"NAME\")",
    },
    Row {
        names: &["module"],
        label: KERNEL,
        instead: "for shared libraries: process(\"PATH\").library(\"PATH\").function(\"NAME\")",
    },
    Row {
        names: &["syscall", "nd_syscall", "tp_syscall", "dw_syscall"],
        label: KERNEL,
        instead: "for system calls of a process: process(\"PATH\").syscall, or the C library's function: process(\"PATH\").library(\"libc*\").function(\"NAME\")",
    },
    Row {
        names: &["perf"],
        label: "this counts what the kernel and the processor do",
        instead: "for samples of the target: timer.profile; for cycles: get_cycles()",
    },
    Row {
        names: &["procfs"],
        label: "this makes files in /proc",
        instead: "to write to a file: printf() with -o FILE; for values from outside: script arguments ($1, @1), -G NAME=VALUE",
    },
    Row {
        names: &["input"],
        label: "standard input is the target's",
        instead: "for values from outside: script arguments ($1, @1), -G NAME=VALUE",
    },
    Row {
        names: &["java"],
        label: "this needs an agent inside the Java machine",
        instead: "for functions of the Java machine itself: process(\"PATH\").library(\"libjvm.so\").function(\"NAME\")",
    },
    Row {
        names: &["hotspot"],
        label: "this needs the tapset that comes with a Java machine",
        instead: "for its markers: process(\"PATH\").library(\"libjvm.so\").mark(\"NAME\")",
    },
    Row {
        names: &["python", "python2", "python3"],
        label: "this needs a tapset made for one version of Python",
        instead: "for the interpreter's markers and functions: process(\"python3\").mark(\"function__entry\"), process(\"python3\").function(\"_PyEval_*\")",
    },
    Row {
        names: &["stap", "staprun", "stapio"],
        label: "this watches SystemTap",
        instead: "for markers of a program: process(\"PATH\").mark(\"NAME\")",
    },
    Row {
        names: &[
            "netdev",
            "netfilter",
            "tcp",
            "tcpmib",
            "ip",
            "ipmib",
            "linuxmib",
            "udp",
            "socket",
            "sunrpc",
        ],
        label: KERNEL,
        instead: "for a program's own traffic: process(\"PATH\").library(\"libc*\").function(\"send*\")",
    },
    Row {
        names: &["vfs", "generic", "ioblock", "ioblock_trace", "ioscheduler", "ioscheduler_trace", "scsi"],
        label: KERNEL,
        instead: "for a program's files: process(\"PATH\").library(\"libc*\").function(\"read\"), process(\"PATH\").syscall",
    },
    Row {
        names: &["nfs", "nfsd", "tty"],
        label: KERNEL,
        instead: "for a program's files: process(\"PATH\").library(\"libc*\").function(\"read\"), process(\"PATH\").syscall",
    },
    Row {
        names: &["vm", "memory", "swap"],
        label: KERNEL,
        instead: "for a program's allocations: process(\"PATH\").library(\"libc*\").function(\"malloc\")",
    },
    Row {
        names: &["scheduler", "workqueue"],
        label: KERNEL,
        instead: "for the threads of a process: process(\"PATH\").thread.begin, process(\"PATH\").thread.end",
    },
    Row {
        names: &["signal"],
        label: KERNEL,
        instead: "for signals a program sends: process(\"PATH\").library(\"libc*\").function(\"kill\")",
    },
    Row {
        names: &["kprocess"],
        label: KERNEL,
        instead: "for the life of processes: process.begin, process.end",
    },
    Row {
        names: &["irq_handler", "softirq", "power", "rcu"],
        label: KERNEL,
        instead: "for the time line of a program: timer.profile",
    },
];

/// The error for a point of such a family; `None` if it is none.
pub fn family(first: &Component) -> Option<Diagnostic> {
    let name = first.name.text.as_str();
    let row = ROWS.iter().find(|row| row.names.contains(&name))?;
    let mut error = Diagnostic::error(format!("probe point mismatch: '{name}' cannot exist in user space"))
        .at(first.span, row.label);
    if row.label == KERNEL {
        error = error.note("rstap watches programs from outside the kernel and has no kernel module");
    }
    Some(error.note(row.instead))
}

/// The error for a component of `process` that SystemTap has in some of its runtimes; `None` if it is none.
pub fn component(component: &Component) -> Option<Diagnostic> {
    let (name, why, instead) = match component.name.text.as_str() {
        "insn" => (
            "insn",
            "a stop at every instruction would make the program thousands of times slower",
            "for each line of a function: process(\"PATH\").statement(\"NAME@FILE:*\")",
        ),
        _ => return None,
    };
    Some(
        Diagnostic::error(format!("probe points with '.{name}' cannot exist here: {why}"))
            .at(component.span, "")
            .note(instead),
    )
}
