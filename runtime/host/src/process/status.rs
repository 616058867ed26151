//! /proc/PID/status and /proc/PID/stat as far as tracing needs them. Source: proc(5).

use std::fs;
use std::os::unix::fs::FileExt;

/// What /proc/PID/status says of a process or thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `X`, `I`
    pub state: char,
    /// Process (thread group) id.
    pub process: i32,
    /// Parent.
    pub parent: i32,
    /// Its tracer, 0 for none.
    pub tracer: i32,
    /// Real, effective, saved, file system user id.
    pub user: [u32; 4],
    /// The same of the group.
    pub group: [u32; 4],
    /// Permitted capabilities, one bit each.
    pub permitted: u64,
    /// Effective capabilities.
    pub effective: u64,
    /// Whether it has an address space; kernel threads have none.
    pub has_memory: bool,
}

impl Status {
    /// Of a process or thread; `None` if it does not exist.
    pub fn read(pid: i32) -> Option<Status> {
        fs::read(format!("/proc/{pid}/status")).ok().map(|text| Status::parse(&text))
    }

    fn parse(text: &[u8]) -> Status {
        let mut status = Status { state: '?', ..Status::default() };
        for line in String::from_utf8_lossy(text).lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            let number = || value.parse().unwrap_or(0);
            let bits = || u64::from_str_radix(value, 16).unwrap_or(0);
            match key {
                "Name" => status.name = value.to_owned(),
                "State" => status.state = value.chars().next().unwrap_or('?'),
                "Tgid" => status.process = number(),
                "PPid" => status.parent = number(),
                "TracerPid" => status.tracer = number(),
                "Uid" => status.user = ids(value),
                "Gid" => status.group = ids(value),
                "CapPrm" => status.permitted = bits(),
                "CapEff" => status.effective = bits(),
                "VmSize" => status.has_memory = true,
                _ => {}
            }
        }
        status
    }
}

fn ids(value: &str) -> [u32; 4] {
    let mut ids = [u32::MAX; 4];
    for (id, word) in ids.iter_mut().zip(value.split_whitespace()) {
        *id = word.parse().unwrap_or(u32::MAX);
    }
    ids
}

/// A field of /proc/PID/stat by its number in proc(5), from 3 on.
pub fn stat_field(tid: i32, field: usize) -> Option<String> {
    field_of(&fs::read(format!("/proc/{tid}/stat")).ok()?, field)
}

/// The same of such a file's text.
pub fn field_of(text: &[u8], field: usize) -> Option<String> {
    // The name in field 2 may contain anything, also blanks and brackets; the last bracket ends it.
    let behind = text.iter().rposition(|&b| b == b')')? + 1;
    let rest = std::str::from_utf8(&text[behind..]).ok()?;
    rest.split_ascii_whitespace().nth(field.checked_sub(3)?).map(str::to_owned)
}

/// How a thread's system calls are filtered: 0 not at all, 1 and 2 by seccomp.
pub fn seccomp(tid: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Seccomp:"))?.trim().parse().ok()
}

/// Whether a process has a handler for a signal.
pub fn catches(tid: i32, signal: i32) -> Option<bool> {
    Some(caught(tid)? >> (signal - 1) & 1 != 0)
}

/// The signals that a process has handlers for, as bits.
pub fn caught(tid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
    u64::from_str_radix(mask, 16).ok()
}

/// State letter of a thread; `None` if it does not exist.
pub fn state(tid: i32) -> Option<char> {
    stat_field(tid, 3)?.chars().next()
}

/// Instruction and stack pointer of a thread that waits in the kernel (/proc/PID/syscall).
pub fn user_position(tid: i32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
    let mut words = text
        .split_ascii_whitespace()
        .rev()
        .map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let (rip, rsp) = (words.next()??, words.next()??);
    Some((rip, rsp))
}

/// Whether a thread waits for its vfork child to execute a program or to end, which may take for ever.
pub fn waits_for_child(tid: i32) -> bool {
    let in_call = || {
        let text = fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
        let mut words = text.split_ascii_whitespace();
        let number: i64 = words.next()?.parse().ok()?;
        let first = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        let flags = match number {
            libc::SYS_vfork => return Some(true),
            libc::SYS_clone => first,
            // The first member of `struct clone_args`.
            libc::SYS_clone3 => {
                let mut flags = [0; 8];
                fs::File::open(format!("/proc/{tid}/mem")).ok()?.read_exact_at(&mut flags, first).ok()?;
                u64::from_le_bytes(flags)
            }
            _ => return Some(false),
        };
        Some(flags & libc::CLONE_VFORK as u64 != 0)
    };
    in_call().unwrap_or(false)
}

/// The cpu a thread last ran on.
pub fn cpu(tid: i32) -> Option<usize> {
    stat_field(tid, 39)?.parse().ok()
}

/// When a process started, in clock ticks since boot: with the pid, this names it for good.
pub fn start_time(pid: i32) -> Option<u64> {
    stat_field(pid, 22)?.parse().ok()
}

/// Threads of a process; empty if it does not exist.
pub fn threads(pid: i32) -> Vec<i32> {
    numbers(&format!("/proc/{pid}/task"))
}

/// All processes.
pub fn processes() -> Vec<i32> {
    numbers("/proc")
}

fn numbers(directory: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_described() {
        let pid = std::process::id() as i32;
        let status = Status::read(pid).expect("exists");
        assert_eq!(status.process, pid);
        assert!(status.has_memory);
        assert_eq!(stat_field(pid, 4), Some(status.parent.to_string()));
        assert!(threads(pid).contains(&pid) && processes().contains(&pid));
        assert!(start_time(pid).is_some() && cpu(pid).is_some());
    }

    #[test]
    fn what_does_not_exist_is_none() {
        assert_eq!((Status::read(-5), state(-5), threads(-5)), (None, None, vec![]));
    }
}
