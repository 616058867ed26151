//! Functions of SystemTap's library that cannot exist in user space: what each is about and what comes nearest. Knows
//! names only; the functions that do exist are in `stdlib/`.

/// What functions with names of this kind need, and what to use instead.
struct Row {
    /// Names; one that ends in `*` stands for all that begin so.
    names: &'static [&'static str],
    /// What they are about.
    about: &'static str,
    /// What comes nearest.
    instead: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        names: &[
            "backtrace",
            "print_backtrace*",
            "sprint_backtrace",
            "print_stack",
            "sprint_stack",
            "dump_stack",
            "task_backtrace",
        ],
        about: "the kernel's stack",
        instead: "for the program's stack: ubacktrace(), print_ubacktrace(), sprint_ubacktrace()",
    },
    Row { names: &["stack"], about: "the kernel's stack", instead: "for the program's stack: ustack(n)" },
    Row {
        names: &["stack_size", "stack_used", "stack_unused"],
        about: "the kernel's stack",
        instead: "for the room that a program's stack has: task_rlimit_stack(tid())",
    },
    Row {
        names: &["caller", "callers", "caller_addr"],
        about: "the kernel's stack",
        instead: "for the function that called: usymname(ustack(1)); for all callers: ucallers(-1)",
    },
    Row {
        names: &["print_syms", "sprint_syms"],
        about: "the kernel's symbols",
        instead: "for the program's: print_usyms(), sprint_usyms()",
    },
    Row {
        names: &["modname", "probemod", "module_size"],
        about: "kernel modules",
        instead: "for the program or library that an address is in: umodname(uaddr())",
    },
    Row {
        names: &["kernel_string_quoted*"],
        about: "the kernel's memory",
        instead: "for the program's: user_string_quoted()",
    },
    Row {
        names: &["kernel_string*"],
        about: "the kernel's memory",
        instead: "for the program's: user_string(), user_string_n()",
    },
    Row {
        names: &["kernel_buffer*"],
        about: "the kernel's memory",
        instead: "for the program's: user_buffer_quoted()",
    },
    Row {
        names: &["kernel_*", "kderef", "atomic_read", "atomic_long_read"],
        about: "the kernel's memory",
        instead: "for the program's: user_int8() to user_uint64(), user_long(), user_char()",
    },
    Row {
        names: &["set_kernel_*"],
        about: "the kernel's memory",
        instead: "for the program's: set_user_int(), set_user_long(), set_user_string() (with -g)",
    },
    Row {
        names: &["task_cwd_path", "task_dentry_path"],
        about: "structures of the kernel",
        instead: "for the working directory as text: task_cwd(TASK)",
    },
    Row {
        names: &["task_exe_file", "current_exe_file"],
        about: "structures of the kernel",
        instead: "for the program's path as text: task_exe(TASK)",
    },
    Row {
        names: &[
            "task_fd_lookup",
            "fullpath_struct_*",
            "d_path",
            "d_name",
            "reverse_path_walk",
            "real_mount",
            "inode_*",
        ],
        about: "structures of the kernel",
        instead: "for the path of an open file as text: task_fd_path(TASK, FD), fd_path(FD)",
    },
    Row {
        names: &["task_ancestry"],
        about: "structures of the kernel",
        instead: "for a process and those that started it: pstrace(TASK)",
    },
    Row {
        names: &["is_sig_blocked", "get_sigaction_mask", "get_sigset", "get_sa_flags", "get_sa_handler"],
        about: "structures of the kernel",
        instead: "to word sets and flags that a program passes: sigset_mask_str(), sa_flags_str(), sa_handler_str()",
    },
    Row {
        names: &["printk", "ftrace", "trace_printk"],
        about: "the kernel's log",
        instead: "to print: printf(); to write to another file: -o FILE",
    },
    Row {
        names: &["panic"],
        about: "the kernel",
        instead: "to end the session: error(), abort(); to end the program (with -g): raise(9)",
    },
    Row {
        names: &["print_java_backtrace", "sprint_java_backtrace"],
        about: "an agent inside the Java machine",
        instead: "for the machine's own frames: print_ubacktrace()",
    },
    Row {
        names: &[
            "python_print_backtrace",
            "python_sprint_backtrace",
            "python2_*",
            "python3_*",
            "Py2Object_*",
            "Py3Object_*",
        ],
        about: "the layout of one version of Python",
        instead: "for the interpreter's own frames: print_ubacktrace(); python3's markers: process(\"python3\").mark(\"*\")",
    },
    Row {
        names: &[
            "nfs*",
            "NFS_*",
            "tcp*",
            "sk*",
            "bio_*",
            "bdevname",
            "disk_name",
            "devname",
            "scsi_*",
            "irq_*",
            "vm_fault*",
            "addr_to_node",
            "rlock_*",
            "gfp_*",
            "ipmib_*",
            "tcpmib_*",
            "linuxmib_*",
            "inet_get_*",
            "netdev_*",
            "get_loadavg_index",
            "sprint_loadavg",
            "rcu_*",
            "timer_pending",
        ],
        about: "structures of the kernel",
        instead: "rstap watches programs: process(\"PATH\").function(\"NAME\"), process(\"PATH\").library(\"libc*\").function(\"NAME\")",
    },
];

/// Why a function cannot exist, and what comes nearest; `None` if that is not known of the name.
pub fn explain(name: &str) -> Option<[String; 2]> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    let row = ROWS.iter().find(|row| row.names.iter().any(|pattern| matches(pattern)))?;
    let why = format!("{name} is about {}, which rstap, a program among others, does not see", row.about);
    Some([why, row.instead.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tapset::{Kind, Tapset};

    #[test]
    fn no_function_that_exists_is_called_impossible() {
        for name in Tapset::embedded().names(Kind::Function) {
            let row = ROWS.iter().find(|row| row.names.contains(&name));
            assert!(row.is_none(), "{name} exists");
        }
    }

    #[test]
    fn what_is_named_instead_exists() {
        let tapset = Tapset::embedded();
        let known = tapset.names(Kind::Function);
        for row in ROWS {
            for (before, _) in row.instead.match_indices('(').map(|(at, _)| row.instead.split_at(at)) {
                let name =
                    before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let point = ["printf", "process", "function", "library", "mark", ""].contains(&name);
                assert!(point || known.contains(&name), "{name}, named for {:?}, does not exist", row.names);
            }
        }
    }
}
