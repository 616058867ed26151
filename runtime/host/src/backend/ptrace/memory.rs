//! Memory of a traced process: process_vm_readv for reading, /proc/PID/mem for writing text and for what that cannot
//! reach. Pages read are kept until the thread goes on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

const PAGE: u64 = 4096;
/// Bytes that are kept together: strings and structures are read piece by piece, but seldom span a page.
const LINE: u64 = 256;

/// Memory of one address space.
pub struct Memory {
    pid: i32,
    file: File,
    lines: RefCell<Vec<(u64, Box<[u8; LINE as usize]>)>>,
}

impl Memory {
    /// Of a process that is traced by this thread.
    pub fn open(pid: i32) -> io::Result<Memory> {
        let file = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        Ok(Memory { pid, file, lines: RefCell::default() })
    }

    /// Copies bytes as they are, breakpoints and all, whatever the target may do with them; how many could be read.
    pub fn read_raw(&self, address: u64, into: &mut [u8]) -> usize {
        if self.read_permitted(address, into) { into.len() } else { self.read_by_file(address, into) }
    }

    /// Copies bytes that the target itself could read: a page without permission faults for handlers as for it.
    fn read_permitted(&self, address: u64, into: &mut [u8]) -> bool {
        let len = into.len();
        let remote = RemoteIoVec { base: address as usize, len };
        let read = process_vm_readv(Pid::from_raw(self.pid), &mut [IoSliceMut::new(into)], &[remote]);
        read.is_ok_and(|count| count == len)
    }

    fn read_by_file(&self, address: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        while done < into.len() {
            let at = address.wrapping_add(done as u64);
            let page_end = (at | (PAGE - 1)).wrapping_add(1);
            let len = (into.len() - done).min(page_end.wrapping_sub(at) as usize);
            match self.file.read_at(&mut into[done..done + len], at) {
                Ok(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }

    /// Whether there is memory at an address, in the address space that was opened: not in that of a program executed
    /// since.
    pub fn is_there(&self, address: u64) -> bool {
        self.file.read_at(&mut [0], address).is_ok_and(|count| count == 1)
    }

    /// A 64-bit word.
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.read_raw(address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
    }

    /// Writes, also to text and read-only pages.
    pub fn write_raw(&self, address: u64, from: &[u8]) -> io::Result<()> {
        self.lines.borrow_mut().clear();
        self.file.write_all_at(from, address)
    }

    /// Forgets what was read: the target runs.
    pub fn forget(&mut self) {
        self.lines.get_mut().clear();
    }

    /// Copies bytes that the target could read, keeping what was read for the next call; `false` when not all can be.
    pub fn read_kept(&self, address: u64, into: &mut [u8]) -> bool {
        let mut done = 0;
        while done < into.len() {
            let at = address.wrapping_add(done as u64);
            let start = at & !(LINE - 1);
            let offset = (at - start) as usize;
            let len = (into.len() - done).min(LINE as usize - offset);
            let part = &mut into[done..done + len];
            if !self.copy_line(start, offset, part) && !self.read_permitted(at, part) {
                return false;
            }
            done += len;
        }
        true
    }

    fn copy_line(&self, start: u64, offset: usize, into: &mut [u8]) -> bool {
        let mut lines = self.lines.borrow_mut();
        if let Some((_, line)) = lines.iter().find(|(at, _)| *at == start) {
            into.copy_from_slice(&line[offset..offset + into.len()]);
            return true;
        }
        let mut line = Box::new([0; LINE as usize]);
        if !self.read_permitted(start, &mut line[..]) {
            return false;
        }
        into.copy_from_slice(&line[offset..offset + into.len()]);
        if lines.len() == 32 {
            lines.clear();
        }
        lines.push((start, line));
        true
    }
}

/// Puts the original bytes over breakpoints in something read at an address.
pub fn hide_breakpoints<T>(
    sites: &HashMap<u64, T>,
    original: impl Fn(&T) -> u8,
    address: u64,
    bytes: &mut [u8],
) {
    // A breakpoint is an int3: nothing else needs a look-up.
    for (offset, byte) in bytes.iter_mut().enumerate() {
        if *byte == crate::breakpoint::INT3
            && let Some(site) = sites.get(&address.wrapping_add(offset as u64))
        {
            *byte = original(site);
        }
    }
}
