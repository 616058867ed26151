//! What a process has mapped: in binary by PROCMAP_QUERY where the kernel has it (6.11), else as text.
//! Source: proc(5), /proc/PID/maps, map_files, root.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use super::FileId;
use super::sys::query_mappings;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Position of the first byte in the file.
    pub offset: u64,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// Whether it can be written to.
    pub writable: bool,
    /// Whether writes to it go to the file itself.
    pub shared: bool,
    /// Device and inode of its file as the kernel words them, whatever has become of its name; zeros for no file. To be
    /// compared with those of other mappings only.
    pub inode: ([u32; 2], u64),
    /// Path as the process sees it, `[vdso]` and the like, or empty.
    pub path: String,
}

impl Mapping {
    /// Whether it is of a file.
    pub fn is_file(&self) -> bool {
        self.path.starts_with('/')
    }

    /// What is at an address of it: its file and the position there.
    pub fn content_at(&self, address: u64) -> Content {
        (self.inode, self.offset.wrapping_add(address.wrapping_sub(self.start)))
    }

    /// The file's identity, in whatever mount namespace it is and also when it is deleted.
    pub fn file_id(&self, pid: i32) -> Option<FileId> {
        if !self.is_file() {
            return None;
        }
        let exact = format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end);
        FileId::of_path(Path::new(&exact))
            .or_else(|_| FileId::of_path(Path::new(&format!("/proc/{pid}/root{}", self.path))))
            .ok()
    }
}

/// A file, as [`Mapping::inode`] has it, and a position in it.
pub type Content = (([u32; 2], u64), u64);

/// Mappings of a process by rising address.
pub fn read(pid: i32) -> io::Result<Vec<Mapping>> {
    let mut file = File::open(format!("/proc/{pid}/maps"))?;
    if let Some(mappings) = query_mappings(&file) {
        return Ok(mappings);
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(parse_all(&text))
}

/// Mappings in the words of the kernel.
pub fn parse_all(text: &[u8]) -> Vec<Mapping> {
    String::from_utf8_lossy(text).lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = behind;
        word
    };
    let (start, end) = word().split_once('-')?;
    let permissions = word();
    let offset = word();
    let (major, minor) = word().split_once(':')?;
    let number = |word| u32::from_str_radix(word, 16).ok();
    let inode = ([number(major)?, number(minor)?], word().parse().ok()?);
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        readable: permissions.as_bytes().first() == Some(&b'r'),
        writable: permissions.as_bytes().get(1) == Some(&b'w'),
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        shared: permissions.as_bytes().get(3) == Some(&b's'),
        inode,
        path: unescape(rest.trim_start()),
    })
}

/// The kernel writes a newline in a path as `\012`.
fn unescape(path: &str) -> String {
    path.replace("\\012", "\n")
}

/// A free range of `size` bytes from which everything in `near` is within reach of a 32-bit displacement.
pub fn find_gap(mappings: &[Mapping], near: std::ops::Range<u64>, size: u64) -> Option<u64> {
    const REACH: u64 = 0x7fff_0000;
    const LOWEST: u64 = 0x1_0000;
    const HIGHEST: u64 = 0x7fff_ffff_f000;
    let lowest = near.end.saturating_sub(REACH).max(LOWEST);
    let highest = near.start.saturating_add(REACH).min(HIGHEST);
    let mut gaps = Vec::new();
    let mut from = LOWEST;
    for (start, end) in mappings.iter().map(|m| (m.start, m.end)).chain([(HIGHEST, HIGHEST)]) {
        let (low, high) = (from.max(lowest), start.min(highest));
        if high.checked_sub(low).is_some_and(|room| room >= size) {
            // The end of the gap that is nearer; away from the heap, which grows up behind the program.
            let place = if high <= near.start { high - size } else { low + (high - low - size) / 2 };
            gaps.push(place & !0xfff);
        }
        from = from.max(end);
    }
    gaps.retain(|place| *place >= lowest);
    gaps.into_iter().min_by_key(|place| place.abs_diff(near.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let line = "7f00-8f00 r-xp 0001000 fe:00 42                        /lib/a file.so (deleted)";
        let mapping = parse(line).expect("well formed");
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f00, 0x8f00, 0x1000));
        assert!(mapping.executable && !mapping.writable && mapping.is_file());
        assert_eq!(mapping.content_at(0x7f01), (([0xfe, 0], 42), 0x1001));
        assert_eq!(mapping.path, "/lib/a file.so (deleted)");
        assert_eq!(parse("0-1 rw-p 0 00:00 0").map(|m| (m.writable, m.path)), Some((true, String::new())));
        assert_eq!(parse("rubbish"), None);
    }

    #[test]
    fn a_gap_is_free_and_in_reach() {
        let maps = read(std::process::id() as i32).expect("own maps");
        for text in maps.iter().filter(|m| m.executable && m.path != "[vsyscall]") {
            let gap = find_gap(&maps, text.start..text.end, 0x1_0000).expect("there is room");
            assert!(maps.iter().all(|m| gap + 0x1_0000 <= m.start || m.end <= gap));
            assert!(gap.abs_diff(text.start) < 0x8000_0000 && gap.abs_diff(text.end) < 0x8000_0000);
        }
    }

    #[test]
    fn both_ways_of_the_kernel_say_the_same() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat runs");
        let path = format!("/proc/{}/maps", child.id());
        // It waits for its input once it has mapped everything.
        let is_waiting = || {
            std::fs::read_to_string(format!("/proc/{}/syscall", child.id()))
                .is_ok_and(|s| s.starts_with("0 "))
        };
        while !is_waiting() && std::fs::exists(&path).unwrap_or(false) {
            std::thread::yield_now();
        }
        // That of the kernel is no mapping of the process.
        let mut text = parse_all(&std::fs::read(&path).expect("it lives"));
        text.retain(|mapping| mapping.path != "[vsyscall]");
        let binary = query_mappings(&File::open(&path).expect("it lives"));
        assert!(text.len() > 5 && binary.is_none_or(|binary| binary == text));
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }

    #[test]
    fn mappings_are_known_by_file() {
        let pid = std::process::id() as i32;
        let own = FileId::of_executable(pid).expect("own executable");
        let maps = read(pid).expect("own maps");
        assert!(maps.iter().any(|m| m.executable && m.file_id(pid) == Some(own)));
    }
}
