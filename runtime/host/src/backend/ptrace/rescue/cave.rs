//! A place in the target's text that nobody uses, for the stub as long as there is no memory of our own: the bytes
//! between the end of a program's, library's or the vdso's text and the end of its last page.
//! Source: System V ABI, "Program Header".

use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::area::PAGE;
use super::code;
use crate::backend::ptrace::memory::Memory;
use crate::process::maps::{self, Mapping};

/// The place.
#[derive(Debug)]
pub struct Cave {
    /// Its address.
    pub at: u64,
    /// What is there otherwise.
    pub original: Vec<u8>,
}

/// Finds room for a stub in a process. A tracer that died may have left its own stub, perhaps with a thread in it: then
/// another place is found.
pub fn find(pid: i32, memory: &Memory, stub: &[u8]) -> Option<Cave> {
    let mappings = maps::read(pid).ok()?;
    places(memory, &mappings, stub).find_map(|(_, at)| {
        let mut original = vec![0; stub.len()];
        let all = memory.read_raw(at, &mut original) == original.len();
        (all && !is_stub(&original)).then_some(Cave { at, original })
    })
}

/// Puts the program's bytes back where a tracer that died has left its stub, unless a thread may still be in it.
pub fn restore(pid: i32, memory: &Memory, stub: &[u8], is_used: impl Fn(Range<u64>) -> bool) {
    let Ok(mappings) = maps::read(pid) else { return };
    for (text, at) in places(memory, &mappings, stub) {
        let mut now = vec![0; stub.len()];
        memory.read_raw(at, &mut now);
        if is_stub(&now) && !is_used(at..at + stub.len() as u64) {
            // Failing means that the process is gone.
            let _ = memory.write_raw(at, &bytes_of_file(pid, text, at, stub.len()));
        }
    }
}

fn is_stub(bytes: &[u8]) -> bool {
    bytes.starts_with(&code::stub_alone()[..code::stub_data() as usize])
}

/// All places for a stub, in the order of their preference.
fn places<'a>(
    memory: &'a Memory,
    mappings: &'a [Mapping],
    stub: &'a [u8],
) -> impl Iterator<Item = (&'a Mapping, u64)> {
    let text = || mappings.iter().filter(|m| m.executable && !m.writable);
    // Every process has the vdso, also one whose own text ends at the end of a page.
    let in_order = text().filter(|m| m.is_file()).chain(text().filter(|m| m.path == "[vdso]"));
    let with_end = in_order.filter_map(|text| Some((text, end_of_text(memory, mappings, text)?)));
    with_end.flat_map(|(text, end)| {
        let len = stub.len() as u64;
        let page_end = end.next_multiple_of(PAGE as u64).min(text.end);
        let all = (end.next_multiple_of(64)..page_end).step_by(stub.len().next_multiple_of(64));
        all.take_while(move |at| at + len <= page_end).map(move |at| (text, at))
    })
}

/// What the file has there that is mapped; zeros behind its end.
fn bytes_of_file(pid: i32, text: &Mapping, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let path = format!("/proc/{pid}/map_files/{:x}-{:x}", text.start, text.end);
    if let Ok(file) = std::fs::File::open(path) {
        // As far as there are any.
        let _ = file.read_at(&mut bytes, at - text.start + text.offset);
    }
    bytes
}

/// The address behind the text that a mapping is of.
fn end_of_text(memory: &Memory, mappings: &[Mapping], text: &Mapping) -> Option<u64> {
    const LOAD: u32 = 1;
    const EXECUTABLE: u32 = 1;
    let first = mappings.iter().find(|m| m.path == text.path && m.offset == 0)?;
    let mut head = [0; 64];
    if memory.read_raw(first.start, &mut head) != 64 || &head[..5] != b"\x7fELF\x02" {
        return None;
    }
    let at = first.start.checked_add(u64::from_le_bytes(head[32..40].try_into().ok()?))?;
    let count = u64::from(u16::from_le_bytes(head[56..58].try_into().ok()?));
    (0..count).find_map(|i| {
        let mut entry = [0; 56];
        let all = memory.read_raw(at.checked_add(i * 56)?, &mut entry) == 56;
        let word = |at: usize| entry[at..at + 8].try_into().ok().map(u64::from_le_bytes);
        let half = |at: usize| entry[at..at + 4].try_into().ok().map(u32::from_le_bytes);
        let (offset, address, size) = (word(8)?, word(16)?, word(40)?);
        let is_it =
            half(0)? == LOAD && half(4)? & EXECUTABLE != 0 && offset & !(PAGE as u64 - 1) == text.offset;
        let end = text.start.checked_add(address % PAGE as u64)?.checked_add(size)?;
        (all && is_it).then_some(end)
    })
}
