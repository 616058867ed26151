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
    /// It belongs to a user of a surrounding container.
    #[error(
        "process {pid} ({name}) is outside of this container (user namespace), where rights end; run rstap outside"
    )]
    Outside {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// It has other user or group ids than who started it.
    #[error(
        "process {pid} ({name}) runs a set-user-ID or set-group-ID program; run rstap as root (CAP_SYS_PTRACE)"
    )]
    SetId {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// It asked not to be looked at, or was made so.
    #[error(
        "process {pid} ({name}) is not dumpable: it has changed its user, or its program cannot be read, or it protects itself with prctl(PR_SET_DUMPABLE); run rstap as root (CAP_SYS_PTRACE)"
    )]
    NotDumpable {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// It may do more than we.
    #[error("process {pid} ({name}) has capabilities that you have not; run rstap as root (CAP_SYS_PTRACE)")]
    MoreCapable {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// We are root, but not a root who may trace.
    #[error(
        "process {pid} ({name}) is of another user, protected or more capable, and root may trace it with CAP_SYS_PTRACE only, which this rstap has not; give its container that capability (--cap-add=SYS_PTRACE), or run it outside"
    )]
    NoCapability {
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
        "process {pid} ({name}) cannot be traced: {errno}. A security module or a seccomp filter, of a container perhaps, may forbid it"
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
    if errno != Errno::EPERM && errno != Errno::EACCES {
        return AccessError::Other { pid, name: status.name, errno };
    }
    // The kernel gives the /proc entries of a process that is not dumpable to root.
    let owner = fs::metadata(format!("/proc/{pid}/mem")).map(|data| data.uid()).ok();
    let own = Status::read(std::process::id() as i32).unwrap_or_default();
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    let scope = scope.and_then(|text| text.trim().parse().ok());
    refusal(pid, &status, &own, owner, scope, is_initial_namespace()).unwrap_or(AccessError::Other {
        pid,
        name: status.name,
        errno,
    })
}

/// The first reason, in the kernel's order, for which `own` may not trace the process `status` is of: `owner` is the user
/// its /proc entries belong to, `scope` Yama's setting.
fn refusal(
    pid: i32,
    status: &Status,
    own: &Status,
    owner: Option<u32>,
    scope: Option<u32>,
    is_initial_namespace: bool,
) -> Option<AccessError> {
    const SYS_PTRACE: u64 = 1 << 19;
    let name = status.name.clone();
    // The right to trace everything in our container.
    let is_privileged = own.effective & SYS_PTRACE != 0;
    if is_privileged && !is_initial_namespace {
        return Some(AccessError::Outside { pid, name });
    }
    if !is_privileged {
        let why = protection(pid, status, own, owner, scope);
        if why.is_some() {
            let is_root = own.user[1] == 0;
            return if is_root { Some(AccessError::NoCapability { pid, name }) } else { why };
        }
    }
    yama(scope?, is_privileged)
}

/// Why only a tracer with CAP_SYS_PTRACE may trace a process, if that is so.
fn protection(
    pid: i32,
    status: &Status,
    own: &Status,
    owner: Option<u32>,
    scope: Option<u32>,
) -> Option<AccessError> {
    let name = status.name.clone();
    let are = |ids: [u32; 4], wanted: u32| ids[..3].iter().all(|id| *id == wanted);
    if !are(status.user, status.user[0]) || !are(status.group, status.group[0]) {
        return Some(AccessError::SetId { pid, name });
    }
    // Its real, effective and saved ids must be our real one.
    if !are(status.user, own.user[0]) || !are(status.group, own.group[0]) {
        return Some(AccessError::OtherUser { pid, name, owner: status.user[0], user: own.user[0] });
    }
    // Nothing shows it of root's processes, so there it is what remains.
    let is_roots = status.user[1] == 0 && scope.is_none_or(|scope| scope == 0);
    if status.permitted & !own.permitted != 0 {
        return Some(AccessError::MoreCapable { pid, name });
    }
    let is_hidden = owner == Some(0) && (status.user[1] != 0 || is_roots);
    is_hidden.then_some(AccessError::NotDumpable { pid, name })
}

/// Whether there is no container around us as far as users are concerned.
fn is_initial_namespace() -> bool {
    let whole = |text: String| text.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    fs::read_to_string("/proc/self/uid_map").map_or(true, whole)
}

fn traced(pid: i32, name: String, tracer: i32) -> AccessError {
    // The kernel names a thread.
    let process = Status::read(tracer).map_or(tracer, |thread| thread.process);
    let tracer_name = Status::read(process).map_or_else(|| "in another container".to_owned(), |s| s.name);
    AccessError::AlreadyTraced { pid, name, tracer: process, tracer_name }
}

fn yama(scope: u32, is_privileged: bool) -> Option<AccessError> {
    let (meaning, advice) = match scope {
        3 => (
            "forbids tracing altogether until the next boot",
            "set it to something lower in /etc/sysctl.d and reboot",
        ),
        2 if !is_privileged => (
            "lets only processes with CAP_SYS_PTRACE trace",
            "run rstap as root, or run `sysctl kernel.yama.ptrace_scope=0` as root",
        ),
        1 if !is_privileged => (
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
    fn reasons_come_in_the_kernels_order() {
        let process = |user, permitted| Status {
            name: "it".into(),
            process: 7,
            user: [user; 4],
            group: [user; 4],
            permitted,
            effective: permitted,
            ..Status::default()
        };
        let (user, root, bounded) = (process(1000, 0), process(0, u64::MAX), process(0, 0));
        let why = |status: &Status, own: &Status, owner, scope, initial| {
            let text = refusal(7, status, own, Some(owner), scope, initial).map(|why| why.to_string());
            text.unwrap_or_default()
        };
        let has = |text: String, part: &str| assert!(text.contains(part), "{text}");
        has(why(&root, &user, 0, Some(1), true), "belongs to user 0, and you are user 1000");
        has(why(&root, &bounded, 0, None, true), "root may trace it with CAP_SYS_PTRACE only");
        has(why(&bounded, &bounded, 0, None, true), "root may trace it with CAP_SYS_PTRACE only");
        has(why(&process(1000, 1), &user, 1000, None, true), "has capabilities that you have not");
        has(why(&user, &user, 0, Some(1), true), "is not dumpable");
        has(why(&user, &user, 1000, Some(1), true), "ptrace_scope is 1");
        has(why(&user, &user, 1000, Some(2), true), "ptrace_scope is 2");
        has(why(&user, &root, 1000, Some(3), true), "ptrace_scope is 3");
        has(why(&user, &root, 1000, Some(0), false), "outside of this container");
        assert_eq!(why(&user, &root, 1000, Some(2), true), "");
        assert_eq!(why(&user, &user, 1000, Some(0), true), "");
        let setuid = Status { user: [1000, 0, 0, 0], ..process(1000, u64::MAX) };
        has(why(&setuid, &user, 0, Some(1), true), "set-user-ID");
        let setgid = Status { group: [1000, 5, 5, 5], ..user.clone() };
        has(why(&setgid, &user, 0, Some(0), true), "set-group-ID");
    }
}
