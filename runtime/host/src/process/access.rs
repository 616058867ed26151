//! Why a process cannot be traced, found out before or after the kernel says just EPERM.
//! Source: ptrace(2), "Ptrace access mode checking" and "/proc/sys/kernel/yama/ptrace_scope".

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

use super::Status;

/// A process cannot be traced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is none with this number.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// Its pid.
        pid: i32,
    },
    /// The number is that of a thread.
    #[error("{tid} is a thread of process {pid}; give {pid} to trace all of it")]
    IsThread {
        /// As given.
        tid: i32,
        /// Its process.
        pid: i32,
    },
    /// It has ended, and its parent has not asked for its exit status yet.
    #[error(
        "process {pid} ({name}) has ended already: it is a zombie, kept only until its parent {parent} collects it"
    )]
    Zombie {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
        /// Its parent's pid.
        parent: i32,
    },
    /// It is part of the kernel.
    #[error("process {pid} ({name}) is a kernel thread; only user-space programs can be traced")]
    KernelThread {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// It is rstap itself.
    #[error("process {pid} is this rstap itself, which cannot trace itself")]
    IsSelf {
        /// Its pid.
        pid: i32,
    },
    /// Another tracer has it.
    #[error(
        "process {pid} ({name}) is already traced by process {tracer} ({tracer_name}); a process has one tracer at a time: end that one first"
    )]
    AlreadyTraced {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
        /// Pid of its tracer.
        tracer: i32,
        /// The tracer's name.
        tracer_name: String,
    },
    /// It is a 32-bit program.
    #[error("process {pid} ({name}) is a 32-bit program; only 64-bit x86 programs can be probed")]
    ThirtyTwoBit {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// It belongs to somebody else.
    #[error(
        "process {pid} ({name}) belongs to user {owner}, and you are user {user}; run rstap as that user or as root"
    )]
    OtherUser {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
        /// Its real user id.
        owner: u32,
        /// Ours.
        user: u32,
    },
    /// It changed its identity or asked not to be looked at.
    #[error(
        "process {pid} ({name}) is not dumpable: it is setuid, or unreadable for you, or protects itself with prctl(PR_SET_DUMPABLE); run rstap as root (CAP_SYS_PTRACE)"
    )]
    NotDumpable {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// Yama forbids it.
    #[error("the kernel's setting kernel.yama.ptrace_scope is {scope}, which {meaning}; {advice}")]
    Yama {
        /// The setting.
        scope: u32,
        /// What it means.
        meaning: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The kernel gives no reason that we know.
    #[error(
        "process {pid} ({name}) cannot be traced: {errno}. A security module, seccomp or a container without CAP_SYS_PTRACE may forbid it"
    )]
    Other {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
        /// What the kernel said.
        errno: Errno,
    },
}

/// Finds out beforehand what would make tracing a process impossible or useless, whatever our rights are.
pub fn check(pid: i32) -> Result<(), AccessError> {
    let status = Status::read(pid).ok_or(AccessError::NoSuchProcess { pid })?;
    let name = status.name.clone();
    if pid == std::process::id() as i32 {
        return Err(AccessError::IsSelf { pid });
    }
    if status.process != pid {
        return Err(AccessError::IsThread { tid: pid, pid: status.process });
    }
    if matches!(status.state, 'Z' | 'X') {
        return Err(AccessError::Zombie { pid, name, parent: status.parent });
    }
    if !status.has_memory {
        return Err(AccessError::KernelThread { pid, name });
    }
    if status.tracer != 0 {
        return Err(traced(pid, name, status.tracer));
    }
    if class(pid) == Some(Class::ThirtyTwo) {
        return Err(AccessError::ThirtyTwoBit { pid, name });
    }
    Ok(())
}

/// Explains why the kernel refused to let us trace a process.
pub fn explain(pid: i32, errno: Errno) -> AccessError {
    let Some(status) = Status::read(pid) else { return AccessError::NoSuchProcess { pid } };
    if let Err(error) = check(pid) {
        return error;
    }
    let name = status.name;
    let user = nix::unistd::geteuid().as_raw();
    if errno != Errno::EPERM && errno != Errno::EACCES {
        return AccessError::Other { pid, name, errno };
    }
    if let Some(error) = yama(fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok(), user) {
        return error;
    }
    if user != 0 && status.user.iter().any(|id| *id != status.user[0]) {
        return AccessError::NotDumpable { pid, name };
    }
    if user != 0 && status.user[0] != user {
        return AccessError::OtherUser { pid, name, owner: status.user[0], user };
    }
    // The kernel gives the /proc entries of a process that is not dumpable to root.
    let owner = fs::metadata(format!("/proc/{pid}/mem")).map(|data| data.uid());
    if user != 0 && owner.is_ok_and(|owner| owner == 0) {
        return AccessError::NotDumpable { pid, name };
    }
    AccessError::Other { pid, name, errno }
}

fn traced(pid: i32, name: String, tracer: i32) -> AccessError {
    // The kernel names a thread.
    let process = Status::read(tracer).map_or(tracer, |thread| thread.process);
    let tracer_name = Status::read(process).map_or_else(|| "in another container".to_owned(), |s| s.name);
    AccessError::AlreadyTraced { pid, name, tracer: process, tracer_name }
}

fn yama(setting: Option<String>, user: u32) -> Option<AccessError> {
    let scope = setting?.trim().parse().ok()?;
    let (meaning, advice) = match scope {
        3 => (
            "forbids tracing altogether until the next boot",
            "set it to something lower in /etc/sysctl.d and reboot",
        ),
        2 if user != 0 => (
            "lets only processes with CAP_SYS_PTRACE trace",
            "run rstap as root, or run `sysctl kernel.yama.ptrace_scope=0` as root",
        ),
        1 if user != 0 => (
            "lets a process trace only what it has started",
            "start the program with -c, run rstap as root, or run `sysctl kernel.yama.ptrace_scope=0` as root",
        ),
        _ => return None,
    };
    Some(AccessError::Yama { scope, meaning, advice })
}

/// Width of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// i386
    ThirtyTwo,
    /// x86-64
    SixtyFour,
}

/// Width of the program a process runs, by the class byte of its executable (ELF, `e_ident`, `EI_CLASS`); `None` if that
/// cannot be read.
pub fn class(pid: i32) -> Option<Class> {
    use std::io::Read;
    let mut head = [0; 5];
    fs::File::open(format!("/proc/{pid}/exe")).ok()?.read_exact(&mut head).ok()?;
    match &head {
        b"\x7fELF\x01" => Some(Class::ThirtyTwo),
        b"\x7fELF\x02" => Some(Class::SixtyFour),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_reasons_are_found() {
        assert_eq!(check(i32::MAX), Err(AccessError::NoSuchProcess { pid: i32::MAX }));
        let own = std::process::id() as i32;
        assert_eq!(check(own), Err(AccessError::IsSelf { pid: own }));
        if Status::read(2).is_some_and(|s| s.name == "kthreadd") {
            assert!(matches!(check(2), Err(AccessError::KernelThread { pid: 2, .. })));
        }
    }

    #[test]
    fn a_thread_is_not_a_process() {
        std::thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::channel();
            let (done, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                send.send(nix::unistd::gettid().as_raw()).expect("the test listens");
                let _ = wait.recv();
            });
            let tid = receive.recv().expect("the thread says its id");
            assert!(matches!(check(tid), Err(AccessError::IsThread { .. })));
            drop(done);
        });
    }

    #[test]
    fn a_zombie_is_named() {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        let pid = child.id() as i32;
        while super::super::status::state(pid) != Some('Z') {
            std::thread::yield_now();
        }
        assert!(matches!(check(pid), Err(AccessError::Zombie { .. })));
        child.wait().expect("it ended");
    }

    #[test]
    fn yama_depends_on_the_user() {
        let scope = |text: &str, user| match yama(Some(text.to_owned()), user) {
            Some(AccessError::Yama { scope, .. }) => Some(scope),
            _ => None,
        };
        assert_eq!(scope("1\n", 1000), Some(1));
        assert_eq!(scope("1\n", 0), None);
        assert_eq!(scope("0\n", 1000), None);
        assert_eq!(scope("3\n", 0), Some(3));
    }
}
