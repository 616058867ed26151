//! What is compressed in ELF files: debug sections (SHF_COMPRESSED, System V gABI, "Section Compression") and the
//! symbols of .gnu_debugdata (GDB manual, "MiniDebugInfo").

use std::io::Read;

use goblin::elf::section_header::SHF_COMPRESSED;
use rayon::prelude::*;

use super::{Elf, ElfError, slice, to_usize};

const ELFCOMPRESS_ZLIB: u32 = 1;
const ELFCOMPRESS_ZSTD: u32 = 2;
/// Deflate can not do better than about 1032:1; a section that claims more is lying about its size.
const MAX_RATIO: u64 = 1100;

/// More than any symbol table needs; what unpacks to more is not taken.
const MAX_SYMBOLS_BYTES: u64 = 256 << 20;
/// What the decoder may use itself: the strongest setting of xz needs 65 MB.
const MAX_DECODER_BYTES: u64 = 128 << 20;

/// The ELF file in .gnu_debugdata, which has nothing but symbols of functions.
pub fn unpack_symbols(packed: &[u8]) -> Result<Vec<u8>, ElfError> {
    let bad = |error: &dyn std::fmt::Display| ElfError::Malformed(format!(".gnu_debugdata: {error}"));
    let decoder = liblzma::stream::Stream::new_stream_decoder(MAX_DECODER_BYTES, 0);
    let decoder = decoder.map_err(|error| bad(&error))?;
    let mut content = Vec::new();
    let read = liblzma::read::XzDecoder::new_stream(packed, decoder)
        .take(MAX_SYMBOLS_BYTES + 1)
        .read_to_end(&mut content);
    read.map_err(|error| bad(&error))?;
    if content.len() as u64 > MAX_SYMBOLS_BYTES {
        return Err(bad(&"larger than any symbol table"));
    }
    Ok(content)
}

/// A copy of the file with its compressed sections inflated; `None` if it has none. The inflated contents follow the
/// original bytes and the section headers point to them.
pub fn inflate(bytes: &[u8]) -> Result<Option<Vec<u8>>, ElfError> {
    let elf = Elf::parse_any(bytes)?;
    let flag = u64::from(SHF_COMPRESSED);
    let compressed: Vec<usize> =
        (0..elf.sections.len()).filter(|&i| elf.sections[i].sh_flags & flag != 0).collect();
    if compressed.is_empty() {
        return Ok(None);
    }
    let contents: Vec<(usize, Vec<u8>)> = compressed
        .into_par_iter()
        .map(|index| {
            let section = &elf.sections[index];
            let packed = slice(bytes, section.sh_offset, section.sh_size)
                .ok_or_else(|| ElfError::Truncated("compressed section".into()))?;
            Ok((index, inflate_section(packed)?))
        })
        .collect::<Result<_, ElfError>>()?;
    let mut copy = Vec::with_capacity(bytes.len() + contents.iter().map(|c| c.1.len()).sum::<usize>());
    copy.extend_from_slice(bytes);
    for (index, content) in contents {
        let offset = copy.len() as u64;
        copy.extend_from_slice(&content);
        let header = to_usize(elf.header.e_shoff) + index * usize::from(elf.header.e_shentsize);
        let flags = elf.sections[index].sh_flags & !flag;
        // sh_flags, sh_offset and sh_size of an Elf64_Shdr.
        for (at, value) in [(8, flags), (24, offset), (32, content.len() as u64)] {
            let field = copy
                .get_mut(header + at..header + at + 8)
                .ok_or_else(|| ElfError::Truncated("section headers".into()))?;
            field.copy_from_slice(&value.to_le_bytes());
        }
    }
    Ok(Some(copy))
}

/// Inflates what follows an Elf64_Chdr: type, reserved, size, alignment.
fn inflate_section(packed: &[u8]) -> Result<Vec<u8>, ElfError> {
    let bad = |why: &str| ElfError::Malformed(format!("compressed section: {why}"));
    let (Some(kind), Some(size), Some(data)) = (packed.get(..4), packed.get(8..16), packed.get(24..)) else {
        return Err(bad("too short"));
    };
    let kind = u32::from_le_bytes(kind.try_into().expect("4 bytes"));
    let size = u64::from_le_bytes(size.try_into().expect("8 bytes"));
    if kind == ELFCOMPRESS_ZLIB && size / MAX_RATIO > data.len() as u64 {
        return Err(bad("impossible size"));
    }
    let mut content = Vec::new();
    let read = match kind {
        ELFCOMPRESS_ZLIB => {
            content.reserve_exact(to_usize(size));
            flate2::read::ZlibDecoder::new(data).take(size).read_to_end(&mut content).is_ok()
        }
        ELFCOMPRESS_ZSTD => ruzstd::decoding::StreamingDecoder::new(data)
            .is_ok_and(|decoder| decoder.take(size).read_to_end(&mut content).is_ok()),
        _ => return Err(bad("unknown method")),
    };
    if !read || content.len() as u64 != size {
        return Err(bad("broken contents"));
    }
    Ok(content)
}
