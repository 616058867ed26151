//! Raw calls that belong to no backend: the time-stamp counter, the local time, recovery from a crash in handler
//! code.

use std::ffi::{CStr, CString};

/// The processor's time-stamp counter.
pub fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has rdtsc.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Offset of local time from UTC in seconds, and the zone's name, now.
pub fn time_zone() -> (i64, String) {
    // SAFETY: `now` and `local` are of this frame; localtime_r fills `local`; `tm_zone` is null or a C string that
    // lives as long as the process.
    unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now, &mut local).is_null() || local.tm_zone.is_null() {
            return (0, "UTC".to_owned());
        }
        (local.tm_gmtoff, CStr::from_ptr(local.tm_zone).to_string_lossy().into_owned())
    }
}

/// The local time in a format of strftime(3). `None`: the format has a NUL byte, or gives nothing or too much.
pub fn format_time(format: &[u8]) -> Option<Vec<u8>> {
    let format = CString::new(format).ok()?;
    let mut text = vec![0_u8; 4096];
    // SAFETY: `now`, `local` and `text` are of this frame; strftime writes no more than the length given.
    let written = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now, &mut local).is_null() {
            return None;
        }
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &local)
    };
    text.truncate(written);
    (written > 0).then_some(text)
}

/// Sends a signal to one thread; whether there was such a thread, to which we may.
pub fn signal_thread(process: i32, thread: i32, signal: i32) -> bool {
    // SAFETY: the call takes three numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) == 0 }
}

/// What a signal is called, in the words of the C library.
pub fn signal_name(signal: i32) -> String {
    // SAFETY: strsignal returns null or a C string that lives until the next call on this thread.
    unsafe {
        let name = libc::strsignal(signal);
        if name.is_null() {
            "Unknown signal".to_owned()
        } else {
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }
}
