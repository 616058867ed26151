//! What a handler may ask about any thread or process: answers of /proc for `task_number` and `task_text`. Knows
//! nothing of probes. Source: proc(5).

use std::fs;
use std::os::unix::ffi::OsStrExt;

use rstap_core::env::{TaskNumber, TaskText};
use rstap_core::text::Text;

use super::status::{Status, cpu, start_time, state};

/// The kernel tells user space times in units of this many nanoseconds (USER_HZ is 100 on x86-64).
const TICK_NS: i64 = 10_000_000;

/// Lines of /proc/PID/limits in the order of getrlimit(2)'s numbers for x86-64.
const LIMITS: [&str; 16] = [
    "Max cpu time",
    "Max file size",
    "Max data size",
    "Max stack size",
    "Max core file size",
    "Max resident set",
    "Max processes",
    "Max open files",
    "Max locked memory",
    "Max address space",
    "Max file locks",
    "Max pending signals",
    "Max msgqueue size",
    "Max nice priority",
    "Max realtime priority",
    "Max realtime timeout",
];

/// The number, or 0 if there is no such thread or process.
pub fn number(task: i64, which: TaskNumber) -> i64 {
    let Ok(id) = i32::try_from(task) else { return 0 };
    let status = |get: fn(&Status) -> i64| Status::read(id).map_or(0, |status| get(&status));
    let memory = |column| memory(id, column).unwrap_or(0);
    match which {
        TaskNumber::Process => status(|s| i64::from(s.process)),
        TaskNumber::Parent => status(|s| i64::from(s.parent)),
        TaskNumber::Uid => status(|s| i64::from(s.user[0])),
        TaskNumber::Euid => status(|s| i64::from(s.user[1])),
        TaskNumber::Gid => status(|s| i64::from(s.group[0])),
        TaskNumber::Egid => status(|s| i64::from(s.group[1])),
        TaskNumber::State => state(id).map_or(0, state_number),
        // Field 18 counts from 0 for nice -20, the kernel from 100.
        TaskNumber::Priority => own_field(id, 18).map_or(0, |priority| priority + 100),
        TaskNumber::Nice => own_field(id, 19).unwrap_or(0),
        TaskNumber::Cpu => cpu(id).map_or(0, |cpu| cpu as i64),
        TaskNumber::UserTime => own_field(id, 14).unwrap_or(0) * TICK_NS,
        TaskNumber::SystemTime => own_field(id, 15).unwrap_or(0) * TICK_NS,
        TaskNumber::StartTime => start_time(id).map_or(0, |ticks| ticks as i64 * TICK_NS),
        TaskNumber::MemorySize => memory(0),
        TaskNumber::MemoryResident => memory(1),
        TaskNumber::MemoryShared => memory(2),
        TaskNumber::MemoryText => memory(3),
        TaskNumber::MemoryData => memory(5),
        TaskNumber::OpenFiles => {
            fs::read_dir(format!("/proc/{id}/fd")).map_or(0, |files| files.count() as i64)
        }
        TaskNumber::MaxFiles => status_line(id, "FDSize:").and_then(|size| size.parse().ok()).unwrap_or(0),
        TaskNumber::Rstap => i64::from(std::process::id()),
        TaskNumber::Limit(resource) => limit(id, resource).unwrap_or(-1),
    }
}

/// The text; nothing if there is no such thread or process.
pub fn text(task: i64, which: TaskText, out: &mut Text<'_>) {
    let link = |name: &str, out: &mut Text<'_>| {
        if let Ok(path) = fs::read_link(format!("/proc/{task}/{name}")) {
            out.put(path.as_os_str().as_bytes());
        }
    };
    match which {
        TaskText::Name => {
            let name = fs::read(format!("/proc/{task}/comm")).unwrap_or_default();
            out.put(name.strip_suffix(b"\n").unwrap_or(&name));
        }
        TaskText::Directory => link("cwd", out),
        TaskText::Program => link("exe", out),
        TaskText::File(descriptor) => link(&format!("fd/{descriptor}"), out),
    }
}

/// A numeric field of the thread's own stat file: that of its process sums up all its threads.
fn own_field(id: i32, field: usize) -> Option<i64> {
    let text = fs::read(format!("/proc/{id}/task/{id}/stat")).ok()?;
    super::status::field_of(&text, field)?.parse().ok()
}

/// A column of statm, in pages.
fn memory(id: i32, column: usize) -> Option<i64> {
    let text = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    text.split_ascii_whitespace().nth(column)?.parse().ok()
}

fn status_line(id: i32, key: &str) -> Option<String> {
    let text = fs::read(format!("/proc/{id}/status")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
}

/// The soft limit; `None` if there is none.
fn limit(id: i32, resource: usize) -> Option<i64> {
    let text = fs::read_to_string(format!("/proc/{id}/limits")).ok()?;
    let name = LIMITS.get(resource)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn state_number(letter: char) -> i64 {
    match letter {
        'S' => 1,
        'D' => 2,
        'T' => 4,
        't' => 8,
        'Z' => 16,
        'X' => 32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(task: i64, which: TaskText) -> String {
        let mut bytes = [0; 4096];
        let mut out = Text::new(&mut bytes);
        text(task, which, &mut out);
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    #[test]
    fn the_own_process_is_known() {
        let own = i64::from(std::process::id());
        assert_eq!(number(own, TaskNumber::Process), own);
        assert_eq!(number(own, TaskNumber::Priority), 120 + number(own, TaskNumber::Nice));
        assert!(number(own, TaskNumber::MemorySize) > number(own, TaskNumber::MemoryResident));
        assert!(number(own, TaskNumber::OpenFiles) > 2);
        let directory = std::env::current_dir().expect("there is one");
        assert_eq!(text_of(own, TaskText::Directory), directory.display().to_string());
        assert!(text_of(own, TaskText::Program).contains("rstap_host"));
    }

    #[test]
    fn limits_are_those_of_the_kernel() {
        let own = i64::from(std::process::id());
        let told =
            std::process::Command::new("sh").args(["-c", "ulimit -n"]).output().expect("there is a shell");
        let told = String::from_utf8_lossy(&told.stdout).trim().parse();
        assert_eq!(number(own, TaskNumber::Limit(7)), told.unwrap_or(-1));
        assert_eq!(number(own, TaskNumber::Limit(99)), -1);
    }

    #[test]
    fn what_does_not_exist_is_nothing() {
        assert_eq!((number(-5, TaskNumber::Uid), number(1 << 40, TaskNumber::Cpu)), (0, 0));
        assert_eq!(text_of(-5, TaskText::Name), "");
    }
}
