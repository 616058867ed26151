//! A sound ELF file round sections of any contents, so that a fuzzer's bytes reach the reader of a section at once
//! (System V gABI, chapters 4 and 5).

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;

/// A section: its name, its type (SHT_…) and its contents.
pub type Section<'a> = (&'a str, u32, &'a [u8]);

/// A shared object with the sections, all of it loaded at 0 and executable.
pub fn build(sections: &[Section<'_>]) -> Vec<u8> {
    let mut file = vec![0; HEADER + PROGRAM_HEADER];
    let mut names = vec![0];
    let mut headers = vec![[0u64; 8]];
    for (name, kind, contents) in sections {
        file.resize(file.len().next_multiple_of(8), 0);
        headers.push(section_header(names.len(), *kind, file.len(), contents.len()));
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        file.extend_from_slice(contents);
    }
    let own = names.len();
    names.extend_from_slice(b".shstrtab\0");
    headers.push(section_header(own, 3, file.len(), names.len()));
    file.extend_from_slice(&names);
    file.resize(file.len().next_multiple_of(8), 0);
    let table = file.len();
    file.extend(headers.iter().flatten().flat_map(|word| word.to_le_bytes()));
    write_headers(&mut file, table, headers.len());
    file
}

/// An Elf64_Shdr as words: name and type, flags, address, offset, size, link and info, alignment, entry size.
fn section_header(name: usize, kind: u32, offset: usize, size: usize) -> [u64; 8] {
    [name as u64 | u64::from(kind) << 32, 2, offset as u64, offset as u64, size as u64, 0, 1, 0]
}

fn write_headers(file: &mut [u8], table: usize, count: usize) {
    let size = file.len() as u64;
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    put(16, &ET_DYN.to_le_bytes());
    put(18, &EM_X86_64.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(32, &(HEADER as u64).to_le_bytes());
    put(40, &(table as u64).to_le_bytes());
    for (at, value) in
        [(52, HEADER), (54, PROGRAM_HEADER), (56, 1), (58, 64), (60, count), (62, count - 1)]
    {
        put(at, &(value as u16).to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    put(HEADER, &(1u64 | 5 << 32).to_le_bytes());
    put(HEADER + 32, &size.to_le_bytes());
    put(HEADER + 40, &size.to_le_bytes());
}

/// Cuts bytes into as many parts as there are names: each but the last begins with its length in two bytes.
pub fn cut<'a, const N: usize>(mut bytes: &'a [u8]) -> [&'a [u8]; N] {
    let mut parts = [&bytes[..0]; N];
    for part in parts.iter_mut().take(N - 1) {
        let Some((len, rest)) = bytes.split_first_chunk::<2>() else { break };
        let (this, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(*len).into()));
        (*part, bytes) = (this, rest);
    }
    parts[N - 1] = bytes;
    parts
}
