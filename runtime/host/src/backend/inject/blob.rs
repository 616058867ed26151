//! The payload as bytes for a place in a target: the segments of the blob as a loader would map them, with its
//! relative relocations applied. Source: System V ABI, "Program Header", "Dynamic Section", "Relocation".

use rstap_abi::inject::{CONFIG_SYMBOL, ENTER_SYMBOL, QUICK_SYMBOL};

static BLOB: &[u8] = include_bytes!(env!("RSTAP_BLOB"));

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const SYMBOL_SIZE: usize = 24;
const RELOCATION_SIZE: usize = 24;

/// The blob for an address.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its memory.
    pub bytes: Vec<u8>,
    /// Where in it the configuration goes.
    pub config: usize,
    /// Where in it trampolines enter.
    pub enter: usize,
    /// Where those enter whose handler is a leaf.
    pub quick: usize,
}

/// Bytes that it takes.
pub fn size() -> usize {
    segments().map(|(address, _, _, size)| address + size).max().unwrap_or(0).next_multiple_of(16)
}

/// The blob for this address. `None` only if the build linked something that is no blob.
pub fn at(base: u64) -> Option<Blob> {
    let mut bytes = vec![0; size()];
    for (address, offset, len, _) in segments() {
        bytes.get_mut(address..address + len)?.copy_from_slice(BLOB.get(offset..offset + len)?);
    }
    let dynamic = headers().find(|header| word32(header, 0) == Some(PT_DYNAMIC))?;
    let dynamic = word(dynamic, 16)? as usize;
    let entry = |tag: u64| {
        let entries = bytes.get(dynamic..)?.chunks_exact(16);
        let mut entries = entries.take_while(|entry| word(entry, 0) != Some(0));
        entries.find(|entry| word(entry, 0) == Some(tag)).and_then(|entry| Some(word(entry, 8)? as usize))
    };
    let symbol = |name: &str| {
        let (symbols, strings) = (entry(DT_SYMTAB)?, entry(DT_STRTAB)?);
        let count = word32(&bytes, entry(DT_HASH)? + 4)? as usize;
        let table = bytes.get(symbols..symbols + count * SYMBOL_SIZE)?;
        table.chunks_exact(SYMBOL_SIZE).find_map(|symbol| {
            let own = bytes.get(strings + word32(symbol, 0)? as usize..)?;
            let found = own.starts_with(name.as_bytes()) && own.get(name.len()) == Some(&0);
            found.then(|| word(symbol, 8)).flatten().map(|value| value as usize)
        })
    };
    let (config, enter) = (symbol(CONFIG_SYMBOL)?, symbol(ENTER_SYMBOL)?);
    let quick = symbol(QUICK_SYMBOL)?;
    let relocations = entry(DT_RELA)?..entry(DT_RELA)? + entry(DT_RELASZ)?;
    for at in relocations.step_by(RELOCATION_SIZE) {
        // R_X86_64_RELATIVE, the only kind there is (payload/tests/blob.rs).
        let (place, addend) = (word(&bytes, at)? as usize, word(&bytes, at + 16)?);
        bytes.get_mut(place..place + 8)?.copy_from_slice(&base.wrapping_add(addend).to_le_bytes());
    }
    Some(Blob { bytes, config, enter, quick })
}

fn headers() -> impl Iterator<Item = &'static [u8]> {
    let start = word(BLOB, 32).unwrap_or(0) as usize;
    let count = BLOB.get(56..58).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    BLOB.get(start..).unwrap_or_default().chunks_exact(56).take(usize::from(count))
}

/// Address, offset in the file, bytes in the file, bytes in memory.
fn segments() -> impl Iterator<Item = (usize, usize, usize, usize)> {
    headers().filter(|header| word32(header, 0) == Some(PT_LOAD)).filter_map(|header| {
        let field = |at| word(header, at).map(|value| value as usize);
        Some((field(16)?, field(8)?, field(32)?, field(40)?))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blob_can_be_placed_anywhere() {
        let [low, high] =
            [0x10_0000, 0x7fff_0000_0000].map(|base| at(base).expect("the build linked a blob"));
        assert_eq!((low.config, low.enter), (high.config, high.enter));
        // `push rax; push rcx; push rdx; pushf`
        for entry in [low.enter, low.quick] {
            assert_eq!(low.bytes[entry..entry + 4], [0x50, 0x51, 0x52, 0x9c]);
        }
        let len = size_of::<rstap_abi::inject::Config>();
        assert!(low.bytes[low.config..low.config + len].iter().all(|byte| *byte == 0));
        assert_ne!(low.bytes, high.bytes, "relocations were applied");
    }
}
