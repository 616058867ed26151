//! The ELF container: headers, segments, sections, notes and the dynamic section (System V gABI, chapters 4 and 5).
//! Symbols are in `symbols`, compressed sections in `inflate`. Knows nothing of DWARF.

mod inflate;
mod relocations;
mod symbols;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::dynamic::{self, Dynamic};
use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{self, ProgramHeader};
use goblin::elf::section_header::{self, SectionHeader};
use rstap_abi::address::{FileOffset, LinkAddr};

pub use inflate::{inflate, unpack_symbols};
pub use symbols::Symbol;
pub(crate) use symbols::{read_data_symbols, read_symbols, symbol_containing};

const CTX: Ctx = Ctx { container: Container::Big, le: Endian::Little };
const NT_GNU_BUILD_ID: u32 = 3;

/// Why a file is not one that can be probed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// It does not begin as ELF files do.
    #[error("not an ELF file")]
    NotElf,
    /// It ends before its headers do.
    #[error("the ELF file is cut off: {0}")]
    Truncated(String),
    /// Not for 64-bit machines.
    #[error("a {0} program; only 64-bit little-endian x86-64 is supported")]
    WrongClass(&'static str),
    /// For another machine.
    #[error("a program for {0}; only x86-64 is supported")]
    WrongMachine(String),
    /// An object file, a core dump …
    #[error("neither a program nor a shared library but {0}")]
    NotLoadable(&'static str),
    /// A header contradicts itself.
    #[error("broken ELF file: {0}")]
    Malformed(String),
}

/// Why a debug file was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// It can not be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Its build-id is another one.
    #[error("the build-id of the debug file is {found}, that of the program {expected}")]
    BuildId {
        /// The program's, in hexadecimal.
        expected: String,
        /// The debug file's, in hexadecimal.
        found: String,
    },
    /// Its checksum is not that in .gnu_debuglink.
    #[error("the checksum of the debug file is {found:08x}, .gnu_debuglink expects {expected:08x}")]
    Checksum {
        /// In .gnu_debuglink.
        expected: u32,
        /// Of the file.
        found: u32,
    },
    /// Nothing tells whether it belongs to the module.
    #[error("neither a build-id nor a .gnu_debuglink checksum ties the debug file to the program")]
    Unrelated,
    /// It has no DWARF.
    #[error("the debug file has no debug information")]
    NoDebugInfo,
    /// It has no unit that the module has a skeleton of.
    #[error("it has none of the program's units; it is of another build")]
    OtherUnits,
}

/// What kind of file a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A program at fixed addresses (ET_EXEC).
    Executable,
    /// A position-independent program.
    PieExecutable,
    /// A shared library.
    SharedObject,
}

/// The contents of .gnu_debuglink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugLink<'d> {
    /// File name of the debug file.
    pub name: &'d str,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// The contents of .gnu_debugaltlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AltLink<'d> {
    /// Path of the supplementary file.
    pub path: &'d str,
    /// Its build-id.
    pub build_id: &'d [u8],
}

/// Thread-local storage of a module (PT_TLS). In an executable on x86-64 the block ends at the thread pointer: offset
/// `o` is at `fs_base - round_up(size, align) + o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Bytes of the block.
    pub size: u64,
    /// Its alignment, at least 1.
    pub align: u64,
}

/// Where a library finds its thread-local storage (ELF Handling For Thread-Local Storage): in a slot that the dynamic
/// linker fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSlot {
    /// With the number of the module, by which each thread has its block in a table.
    Module(LinkAddr),
    /// With the place of something in the block, relative to the thread pointer.
    Offset {
        /// The slot.
        slot: LinkAddr,
        /// Where that is in the block.
        of: u64,
    },
}

/// An ELF file.
pub(crate) struct Elf<'d> {
    bytes: &'d [u8],
    header: Header,
    segments: Vec<ProgramHeader>,
    sections: Vec<SectionHeader>,
    section_names: &'d [u8],
    dynamic: Vec<(u64, u64)>,
}

impl<'d> Elf<'d> {
    /// Reads the headers of a program or library.
    pub fn parse(bytes: &'d [u8]) -> Result<Self, ElfError> {
        let elf = Self::parse_any(bytes)?;
        check_type(elf.header.e_type)?;
        Ok(elf)
    }

    /// Reads the headers of a file that only has sections to offer: .dwo files are object files.
    pub fn parse_any(bytes: &'d [u8]) -> Result<Self, ElfError> {
        check_ident(bytes)?;
        let header = goblin::elf::Elf::parse_header(bytes).map_err(|e| ElfError::Truncated(e.to_string()))?;
        check_machine(&header)?;
        let segments = ProgramHeader::parse(bytes, to_usize(header.e_phoff), header.e_phnum.into(), CTX)
            .map_err(|e| ElfError::Truncated(format!("program headers: {e}")))?;
        // A file works without section headers, so one whose section headers are unreadable is not refused.
        let sections = match header.e_shoff {
            0 => Vec::new(),
            offset => {
                SectionHeader::parse(bytes, to_usize(offset), header.e_shnum.into(), CTX).unwrap_or_default()
            }
        };
        let section_names = sections
            .get(usize::from(header.e_shstrndx))
            .and_then(|s| slice(bytes, s.sh_offset, s.sh_size))
            .unwrap_or_default();
        // The segments of a separate debug file describe contents that are not in it.
        let dynamic = match Dynamic::parse(bytes, &segments, CTX) {
            Ok(Some(dynamic)) => dynamic.dyns.iter().map(|d| (d.d_tag, d.d_val)).collect(),
            _ => Vec::new(),
        };
        Ok(Elf { bytes, header, segments, sections, section_names, dynamic })
    }

    /// ET_EXEC, or ET_DYN with or without an interpreter.
    pub fn kind(&self) -> Kind {
        const DF_1_PIE: u64 = 0x0800_0000;
        let pie = self.interpreter().is_some()
            || self.dynamic_value(dynamic::DT_FLAGS_1).is_some_and(|f| f & DF_1_PIE != 0);
        match (self.header.e_type, pie) {
            (header::ET_EXEC, _) => Kind::Executable,
            (_, true) => Kind::PieExecutable,
            _ => Kind::SharedObject,
        }
    }

    /// Where the program starts.
    pub fn entry(&self) -> LinkAddr {
        LinkAddr(self.header.e_entry)
    }

    /// The contents of a section; `None` if it is absent, without contents in this file, or compressed.
    pub fn section(&self, name: &str) -> Option<&'d [u8]> {
        self.section_header(name).and_then(|s| self.section_bytes(s))
    }

    /// The contents of all sections of this name: object files have one for each group.
    pub fn sections_named(&self, name: &str) -> impl Iterator<Item = &'d [u8]> {
        let named = self.sections.iter().filter(move |s| self.section_name(s) == Some(name));
        named.filter_map(|s| self.section_bytes(s))
    }

    /// The address of a section.
    pub fn section_address(&self, name: &str) -> Option<u64> {
        self.section_header(name).map(|s| s.sh_addr).filter(|&a| a != 0)
    }

    fn section_header(&self, name: &str) -> Option<&SectionHeader> {
        self.sections.iter().find(|s| self.section_name(s) == Some(name))
    }

    fn section_name(&self, section: &SectionHeader) -> Option<&'d str> {
        c_string(self.section_names, section.sh_name as u64)
    }

    fn section_of_type(&self, sh_type: u32) -> Option<&SectionHeader> {
        self.sections.iter().find(|s| s.sh_type == sh_type)
    }

    fn section_bytes(&self, section: &SectionHeader) -> Option<&'d [u8]> {
        let compressed = section.sh_flags & u64::from(section_header::SHF_COMPRESSED) != 0;
        if section.sh_type == section_header::SHT_NOBITS || compressed {
            return None;
        }
        slice(self.bytes, section.sh_offset, section.sh_size)
    }

    /// The build-id note.
    pub fn build_id(&self) -> Option<&'d [u8]> {
        // Sections first: the note segment of a debug file may point elsewhere.
        let in_sections = self.sections.iter().filter(|s| s.sh_type == section_header::SHT_NOTE);
        let in_segments = self.segments.iter().filter(|s| s.p_type == program_header::PT_NOTE);
        in_sections
            .filter_map(|s| self.section_bytes(s))
            .chain(in_segments.filter_map(|s| slice(self.bytes, s.p_offset, s.p_filesz)))
            .find_map(|notes| find_note(notes, b"GNU\0", NT_GNU_BUILD_ID))
            .filter(|id| !id.is_empty())
    }

    /// .gnu_debuglink: a name, padding to 4 bytes, the CRC.
    pub fn debug_link(&self) -> Option<DebugLink<'d>> {
        let bytes = self.section(".gnu_debuglink")?;
        let name = c_string(bytes, 0)?;
        let crc_at = (name.len() + 1).next_multiple_of(4);
        let crc = bytes.get(crc_at..crc_at + 4)?.try_into().ok().map(u32::from_le_bytes)?;
        Some(DebugLink { name, crc })
    }

    /// .gnu_debugaltlink: a path, then the build-id.
    pub fn debug_alt_link(&self) -> Option<AltLink<'d>> {
        let bytes = self.section(".gnu_debugaltlink")?;
        let path = c_string(bytes, 0)?;
        Some(AltLink { path, build_id: bytes.get(path.len() + 1..)? })
    }

    /// PT_INTERP.
    pub fn interpreter(&self) -> Option<&'d str> {
        let segment = self.segments.iter().find(|s| s.p_type == program_header::PT_INTERP)?;
        c_string(slice(self.bytes, segment.p_offset, segment.p_filesz)?, 0)
    }

    /// PT_TLS.
    pub fn tls(&self) -> Option<Tls> {
        let segment = self.segments.iter().find(|s| s.p_type == program_header::PT_TLS)?;
        Some(Tls { size: segment.p_memsz, align: segment.p_align.max(1) })
    }

    /// DT_NEEDED, in order.
    pub fn needed(&self) -> Vec<&'d str> {
        let values = self.dynamic.iter().filter(|d| d.0 == dynamic::DT_NEEDED);
        values.filter_map(|d| self.dynamic_string(d.1)).collect()
    }

    /// DT_SONAME.
    pub fn soname(&self) -> Option<&'d str> {
        self.dynamic_value(dynamic::DT_SONAME).and_then(|v| self.dynamic_string(v))
    }

    /// DT_RUNPATH, else DT_RPATH.
    pub fn runpath(&self) -> Option<&'d str> {
        let value = self.dynamic_value(dynamic::DT_RUNPATH).or(self.dynamic_value(dynamic::DT_RPATH))?;
        self.dynamic_string(value)
    }

    fn dynamic_value(&self, tag: u64) -> Option<u64> {
        self.dynamic.iter().find(|d| d.0 == tag).map(|d| d.1)
    }

    fn dynamic_string(&self, offset: u64) -> Option<&'d str> {
        let table = self.file_offset(LinkAddr(self.dynamic_value(dynamic::DT_STRTAB)?))?;
        let size = self.dynamic_value(dynamic::DT_STRSZ)?;
        c_string(slice(self.bytes, table.0, size)?, offset)
    }

    /// The notes of a section or segment, up to one that is cut off. Notes here are padded to 4 bytes; 8-byte ones hold
    /// other properties.
    pub fn notes(mut bytes: &'d [u8]) -> impl Iterator<Item = Note<'d>> {
        std::iter::from_fn(move || {
            let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
            let (name_len, description_len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
            let start = 12usize.checked_add(name_len)?.checked_next_multiple_of(4)?;
            let end = start.checked_add(description_len)?;
            let note = Note {
                owner: bytes.get(12..12usize.checked_add(name_len)?)?,
                kind,
                description: bytes.get(start..end)?,
            };
            // The last one need not be padded.
            bytes = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
            Some(note)
        })
    }

    fn loaded(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments.iter().filter(|s| s.p_type == program_header::PT_LOAD)
    }

    /// The first byte that is loaded to be executed.
    pub fn code_start(&self) -> Option<(FileOffset, LinkAddr)> {
        let code = self.loaded().filter(|s| s.is_executable() && s.p_filesz > 0).min_by_key(|s| s.p_vaddr)?;
        Some((FileOffset(code.p_offset), LinkAddr(code.p_vaddr)))
    }

    /// Where in the file the byte at `address` is.
    pub fn file_offset(&self, address: LinkAddr) -> Option<FileOffset> {
        let in_segment = |s: &ProgramHeader| {
            let distance = address.0.checked_sub(s.p_vaddr)?;
            let offset = s.p_offset.checked_add(distance)?;
            (distance < s.p_filesz).then_some(FileOffset(offset))
        };
        self.loaded().find_map(in_segment)
    }

    /// The address the byte at `offset` is loaded at. A byte may be loaded twice, when segments share a page; the
    /// executable one is preferred.
    pub fn link_addr(&self, offset: FileOffset) -> Option<LinkAddr> {
        let in_segment = |s: &ProgramHeader| {
            let distance = offset.0.checked_sub(s.p_offset)?;
            let address = s.p_vaddr.checked_add(distance)?;
            (distance < s.p_filesz).then_some(LinkAddr(address))
        };
        let executable = self.loaded().filter(|s| s.is_executable()).find_map(in_segment);
        executable.or_else(|| self.loaded().find_map(in_segment))
    }

    /// Whether `address` is in an executable segment.
    pub fn is_executable(&self, address: LinkAddr) -> bool {
        let mut segments = self.loaded().filter(|s| s.is_executable());
        segments.any(|s| address.0.checked_sub(s.p_vaddr).is_some_and(|d| d < s.p_memsz))
    }

    /// Up to `len` bytes at `address`.
    pub fn bytes_at(&self, address: LinkAddr, len: usize) -> Option<&'d [u8]> {
        let segment = self
            .loaded()
            .find(|s| address.0.checked_sub(s.p_vaddr).is_some_and(|distance| distance < s.p_filesz))?;
        let distance = address.0 - segment.p_vaddr;
        let start = to_usize(segment.p_offset.checked_add(distance)?);
        let end = start.checked_add(len.min(to_usize(segment.p_filesz - distance)))?;
        self.bytes.get(start..end.min(self.bytes.len())).filter(|b| !b.is_empty())
    }
}

/// A note.
pub(crate) struct Note<'d> {
    /// Who defines the type, with its NUL.
    pub owner: &'d [u8],
    /// The type.
    pub kind: u32,
    /// The contents.
    pub description: &'d [u8],
}

fn check_ident(bytes: &[u8]) -> Result<(), ElfError> {
    if !bytes.starts_with(header::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    if bytes.len() < header::header64::SIZEOF_EHDR {
        return Err(ElfError::Truncated("ELF header".into()));
    }
    match (bytes[header::EI_CLASS], bytes[header::EI_DATA]) {
        (header::ELFCLASS64, header::ELFDATA2LSB) => Ok(()),
        (header::ELFCLASS32, _) => Err(ElfError::WrongClass("32-bit")),
        (_, header::ELFDATA2MSB) => Err(ElfError::WrongClass("big-endian")),
        _ => Err(ElfError::Malformed("neither 32-bit nor 64-bit".into())),
    }
}

fn check_machine(header: &Header) -> Result<(), ElfError> {
    if header.e_machine != header::EM_X86_64 {
        let name = match header.e_machine {
            header::EM_AARCH64 => "aarch64".into(),
            header::EM_RISCV => "RISC-V".into(),
            header::EM_386 => "i386".into(),
            header::EM_BPF => "BPF".into(),
            number => format!("machine number {number}"),
        };
        return Err(ElfError::WrongMachine(name));
    }
    Ok(())
}

fn check_type(e_type: u16) -> Result<(), ElfError> {
    match e_type {
        header::ET_EXEC | header::ET_DYN => Ok(()),
        header::ET_REL => Err(ElfError::NotLoadable("an object file")),
        header::ET_CORE => Err(ElfError::NotLoadable("a core dump")),
        _ => Err(ElfError::NotLoadable("of an unknown type")),
    }
}

/// The description of the first note with this owner and type.
fn find_note<'d>(notes: &'d [u8], owner: &[u8], note_type: u32) -> Option<&'d [u8]> {
    let mut notes = Elf::notes(notes);
    notes.find(|note| note.kind == note_type && note.owner == owner).map(|note| note.description)
}

/// CRC-32 as .gnu_debuglink uses it (the one of zlib).
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// The string that starts at `offset` and ends with a NUL.
fn c_string(bytes: &[u8], offset: u64) -> Option<&str> {
    let rest = bytes.get(to_usize(offset)..)?;
    let end = rest.iter().position(|&b| b == 0)?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = to_usize(offset);
    bytes.get(start..start.checked_add(to_usize(size))?)
}

/// rstap is a 64-bit program, so this only saturates where `usize` is smaller.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn notes_are_searched_by_owner_and_type() {
        let mut notes = vec![4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
        notes.extend_from_slice(b"GNU\0ab\0\0");
        notes.extend_from_slice(&[4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend_from_slice(b"GNU\0xyz\0");
        assert_eq!(find_note(&notes, b"GNU\0", NT_GNU_BUILD_ID), Some(&b"xyz"[..]));
        assert_eq!(find_note(&notes[..notes.len() - 3], b"GNU\0", NT_GNU_BUILD_ID), None);
        assert_eq!(find_note(&[0xff; 64], b"GNU\0", 1), None);
    }

    #[test]
    fn what_is_not_for_this_machine_is_named() {
        let error = |change: fn(&mut [u8])| {
            let mut bytes = [0; 64];
            bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
            bytes[16] = 2;
            bytes[18] = 62;
            change(&mut bytes);
            Elf::parse(&bytes).err()
        };
        assert_eq!(error(|_| ()), None);
        assert_eq!(error(|b| b[0] = b'#'), Some(ElfError::NotElf));
        assert_eq!(error(|b| b[4] = 1), Some(ElfError::WrongClass("32-bit")));
        assert_eq!(error(|b| b[18] = 183), Some(ElfError::WrongMachine("aarch64".into())));
        assert_eq!(error(|b| b[16] = 1), Some(ElfError::NotLoadable("an object file")));
        assert!(matches!(Elf::parse(b"\x7fELF\x02\x01"), Err(ElfError::Truncated(_))));
    }
}
