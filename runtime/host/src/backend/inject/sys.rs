//! The raw calls of the inject backend: handing a file descriptor to a target, and structures as bytes.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rstap_abi::inject::Config;

/// A configuration as bytes.
pub fn bytes_of(config: &Config) -> &[u8] {
    // SAFETY: `Config` is made of integers without padding (asserted beside it).
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(config).cast(), size_of::<Config>()) }
}

/// Takes a descriptor of another process (pidfd_getfd(2)); needs the right to trace it.
pub fn take_descriptor(pid: i32, descriptor: i32) -> io::Result<OwnedFd> {
    // SAFETY: both calls take integers; the results are new descriptors or negative.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if process < 0 {
            return Err(io::Error::last_os_error());
        }
        let process = OwnedFd::from_raw_fd(process as i32);
        let taken = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0);
        if taken < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(taken as i32)) }
    }
}

/// Bytes of the control part of a message with one descriptor.
const CONTROL: usize = 24;

/// Sends a descriptor over a socket (unix(7), SCM_RIGHTS), with one byte.
pub fn send_descriptor(socket: &OwnedFd, file: &File) -> io::Result<()> {
    let mut byte = 0_u8;
    let mut part = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    let mut control = [0_u64; CONTROL / 8];
    // SAFETY: an all-zero msghdr is valid; the pointers are to locals that outlive the call, and the control part has
    // room for one header with one descriptor (CMSG_SPACE(4) is 24).
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(file.as_raw_fd());
        let sent = libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL);
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A message header to receive a descriptor with, for a process that will have it at `at`; and where, from there, the
/// descriptor will stand.
pub fn receiver(at: u64) -> ([u8; 128], u64) {
    /// Where the parts are, behind the header.
    const PART: u64 = 64;
    const BYTE: u64 = 80;
    const CONTROL_AT: u64 = 96;
    let mut bytes = [0; 128];
    // `struct msghdr`: name, its length, parts, their number, control, its length, flags; `struct iovec`.
    let words = [
        (16, at + PART),
        (24, 1),
        (32, at + CONTROL_AT),
        (40, CONTROL as u64),
        (PART as usize, at + BYTE),
        (PART as usize + 8, 1),
    ];
    for (place, word) in words {
        bytes[place..place + 8].copy_from_slice(&word.to_le_bytes());
    }
    // `struct cmsghdr` is length (8), level (4), type (4).
    (bytes, CONTROL_AT + 16)
}
