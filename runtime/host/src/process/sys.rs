//! The raw calls of process tracking: the netlink socket of the proc connector, pidfds, queries of mappings.
//! Source: linux/connector.h, linux/cn_proc.h; pidfd_open(2); linux/fs.h, `struct procmap_query`.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use super::Mapping;

/// One process, whatever becomes of its number.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// Of the process that has this number now. `None` if there is none, or on kernels before 5.3.
    pub fn open(pid: i32) -> Option<Handle> {
        // SAFETY: pidfd_open takes integers only; what it returns is a descriptor of ours.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            i32::try_from(fd).ok().filter(|fd| *fd >= 0).map(|fd| Handle(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: poll is given one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 0 }
    }
}

/// `struct procmap_query`
#[repr(C)]
#[derive(Default)]
struct MappingQuery {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    mapping_flags: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    device: [u32; 2],
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

const _: () = assert!(size_of::<MappingQuery>() == 104);

/// All mappings of the process whose /proc/PID/maps this is. `None` on kernels that cannot be asked.
pub fn query_mappings(maps: &File) -> Option<Vec<Mapping>> {
    /// `_IOWR('f', 17, struct procmap_query)`
    const PROCMAP_QUERY: libc::c_ulong =
        3 << 30 | (size_of::<MappingQuery>() as u64) << 16 | (b'f' as u64) << 8 | 17;
    const READABLE: u64 = 1;
    const WRITABLE: u64 = 2;
    const EXECUTABLE: u64 = 4;
    const SHARED: u64 = 8;
    const THIS_OR_NEXT: u64 = 0x10;
    let mut mappings = Vec::new();
    let mut name = vec![0_u8; libc::PATH_MAX as usize];
    let mut address = 0;
    loop {
        let mut query = MappingQuery {
            size: size_of::<MappingQuery>() as u64,
            flags: THIS_OR_NEXT,
            address,
            name_size: name.len() as u32,
            name: name.as_mut_ptr() as u64,
            ..MappingQuery::default()
        };
        // SAFETY: the kernel reads and writes one such structure, and writes at most `name_size` bytes to `name`.
        if unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) } != 0 {
            // There is no other mapping, or the process has ended; on older kernels it is ENOTTY.
            let is_end = matches!(Errno::last(), Errno::ENOENT | Errno::ESRCH);
            return is_end.then_some(mappings);
        }
        let has = |flag| query.mapping_flags & flag != 0;
        let text = name.get(..(query.name_size as usize).saturating_sub(1)).unwrap_or_default();
        mappings.push(Mapping {
            start: query.start,
            end: query.end,
            offset: query.offset,
            readable: has(READABLE),
            executable: has(EXECUTABLE),
            writable: has(WRITABLE),
            shared: has(SHARED),
            inode: (query.device, query.inode),
            path: String::from_utf8_lossy(text).into_owned(),
        });
        address = query.end;
    }
}

/// A subscription to exec events.
#[derive(Debug)]
pub struct ExecEvents(OwnedFd);

const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;
const EVENT: usize = NETLINK_HEADER + CONNECTOR_HEADER;
const CN_IDX_PROC: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_CN_MCAST_LISTEN: u32 = 1;

impl ExecEvents {
    /// `None` without the right to it.
    pub fn subscribe() -> Option<ExecEvents> {
        // SAFETY: socket, bind and send are given values and structures of this frame with their right sizes.
        unsafe {
            let flags = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            let fd = libc::socket(libc::AF_NETLINK, flags, libc::NETLINK_CONNECTOR);
            if fd < 0 {
                return None;
            }
            let socket = OwnedFd::from_raw_fd(fd);
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as u16;
            address.nl_groups = CN_IDX_PROC;
            let size = size_of_val(&address) as u32;
            if libc::bind(fd, std::ptr::from_ref(&address).cast(), size) != 0 {
                return None;
            }
            let message = listen_message();
            let sent = libc::send(fd, message.as_ptr().cast(), message.len(), 0);
            let events = ExecEvents(socket);
            (sent == message.len() as isize && events.acknowledged()).then_some(events)
        }
    }

    /// Whether the kernel took the subscription. It answers within `send`, with an event of no kind, and is silent
    /// where it ignores the wish: in another pid or user namespace than the first (cn_proc_mcast_ctl).
    fn acknowledged(&self) -> bool {
        let mut answer = [0_u8; 4096];
        // SAFETY: recv writes at most the buffer's length to it.
        let len = unsafe { libc::recv(self.0.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
        len >= EVENT as isize
    }

    /// Processes that did an exec; waits at most this long for the first.
    pub fn wait(&mut self, at_most: Duration) -> Vec<i32> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: poll is given one pollfd.
        unsafe { libc::poll(&mut poll, 1, at_most.as_millis() as i32) };
        let mut pids = Vec::new();
        let mut buffer = [0_u8; 4096];
        loop {
            // SAFETY: recv writes at most the buffer's length to it.
            let len = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(len) = usize::try_from(len) else { break };
            pids.extend(exec_of(&buffer[..len]));
        }
        pids
    }
}

fn listen_message() -> Vec<u8> {
    let len = EVENT + 4;
    let mut message = Vec::with_capacity(len);
    // struct nlmsghdr: length, type NLMSG_DONE, flags, sequence, port.
    message.extend((len as u32).to_ne_bytes());
    message.extend((libc::NLMSG_DONE as u16).to_ne_bytes());
    message.extend([0; 10]);
    // struct cn_msg: idx, val, seq, ack, length, flags.
    message.extend(CN_IDX_PROC.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(4_u16.to_ne_bytes());
    message.extend([0; 2]);
    message.extend(PROC_CN_MCAST_LISTEN.to_ne_bytes());
    message
}

/// The process of an exec event. struct proc_event: what, cpu, timestamp (8), then tid and process id.
fn exec_of(message: &[u8]) -> Option<i32> {
    let word = |at: usize| Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?));
    (word(EVENT)? == PROC_EVENT_EXEC).then(|| word(EVENT + 20).map(|pid| pid as i32))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_of_one_process() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat runs");
        let handle = Handle::open(child.id() as i32).expect("it runs");
        assert!(handle.is_alive());
        drop(child.stdin.take());
        child.wait().expect("it ends");
        assert!(!handle.is_alive());
        assert!(Handle::open(child.id() as i32).is_none());
    }
}
