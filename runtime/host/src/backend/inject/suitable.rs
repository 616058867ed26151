//! Whether handlers can run inside a process. What is not certain to be sound is refused, with the reason; its probes
//! are the ptrace backend's then.

use std::fs;

use crate::process::Mapping;

/// Why a process gets no handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// What /proc says of it cannot be read.
    #[error("it cannot be looked at")]
    Unreadable,
    /// The kernel or processor lacks the instruction that tells threads apart.
    #[error("rdfsbase is not to be had (Linux 5.9, any x86-64 processor since 2012)")]
    NoFsBase,
    /// System calls of the payload could end it.
    #[error("a seccomp filter watches its system calls")]
    Seccomp,
    /// Thread ids would mean two things in one arena.
    #[error("it is in another pid namespace")]
    OtherNamespace,
    /// A collector that looks at stack pointers in signal handlers.
    #[error("its garbage collector ({0}) stops threads by signals and scans their stacks")]
    Collector(&'static str),
}

/// AT_HWCAP2 and the bit in it that says rdfsbase is enabled (asm/hwcap2.h).
const AT_HWCAP2: u64 = 26;
const HWCAP2_FSGSBASE: u64 = 1 << 1;
/// Libraries whose collectors take the stack pointer of a thread they stop as the end of its stack.
const COLLECTORS: [&str; 2] = ["libgc.so", "libmonosgen"];

/// Whether handlers can run in a process with these mappings.
pub fn check(pid: i32, mappings: &[Mapping]) -> Result<(), Unsuitable> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| Unsuitable::Unreadable)?;
    if field(&status, "Seccomp").is_some_and(|mode| mode != "0") {
        return Err(Unsuitable::Seccomp);
    }
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    if namespace(&pid.to_string()) != namespace("self") {
        return Err(Unsuitable::OtherNamespace);
    }
    let vector = fs::read(format!("/proc/{pid}/auxv")).map_err(|_| Unsuitable::Unreadable)?;
    if auxiliary(&vector, AT_HWCAP2).is_none_or(|bits| bits & HWCAP2_FSGSBASE == 0) {
        return Err(Unsuitable::NoFsBase);
    }
    let mapped = |name: &&str| mappings.iter().any(|mapping| mapping.path.contains(*name));
    COLLECTORS.into_iter().find(mapped).map_or(Ok(()), |name| Err(Unsuitable::Collector(name)))
}

fn field<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

/// An entry of an auxiliary vector (getauxval(3)).
pub fn auxiliary(vector: &[u8], tag: u64) -> Option<u64> {
    let (entries, _) = vector.as_chunks::<16>();
    entries.iter().find_map(|entry| {
        let (own, value) = (entry[..8].try_into().ok()?, entry[8..].try_into().ok()?);
        (u64::from_le_bytes(own) == tag).then(|| u64::from_le_bytes(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_would_do() {
        let pid = std::process::id() as i32;
        let maps = crate::process::maps::read(pid).expect("own maps");
        // Where the tests run under a filter, that is the answer; nothing else may be.
        let answer = check(pid, &maps);
        assert!(matches!(answer, Ok(()) | Err(Unsuitable::Seccomp | Unsuitable::NoFsBase)), "{answer:?}");
    }

    #[test]
    fn fields_and_entries_are_found() {
        assert_eq!(field("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n", "Seccomp"), Some("2"));
        let vector: Vec<u8> = [6, 4096, AT_HWCAP2, 2, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
        assert_eq!(auxiliary(&vector, AT_HWCAP2), Some(2));
        assert_eq!(auxiliary(&vector, 7), None);
    }
}
