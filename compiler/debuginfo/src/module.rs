//! [`Module`]: one ELF file with its debug information, and the questions it answers.

use std::sync::OnceLock;

use rstap_abi::address::{FileOffset, LinkAddr};

use crate::dwarf::{DebugData, DieRef, DwarfError};
use crate::elf::{AltLink, AttachError, DebugLink, Elf, ElfError, Kind, Symbol, Tls};
use crate::functions::{Function, FunctionIndex};
use crate::lines::{Line, Statements};
use crate::location::{LocationError, Place};
use crate::pattern::{Lines, Pattern};
use crate::scope::Variable;
use crate::types::{Member, Type, TypeId};

/// An executable or shared object, with its separate debug file if that was attached. Answers are computed when
/// asked for and kept; it can be shared between threads.
pub struct Module<'d> {
    elf: Elf<'d>,
    debug_elf: Option<Elf<'d>>,
    dwarf: DebugData<'d>,
    symbols: OnceLock<Vec<Symbol<'d>>>,
    functions: OnceLock<FunctionIndex<'d>>,
}

impl<'d> Module<'d> {
    /// Reads the ELF headers of `bytes`; 64-bit little-endian x86-64 executables and shared objects only.
    /// Compressed debug sections are left alone: pass the bytes through [`crate::inflate`] before.
    pub fn parse(bytes: &'d [u8]) -> Result<Self, ElfError> {
        let _ = bytes;
        todo!()
    }

    /// Adds the separate debug file of this module: its DWARF and its symbol table are used from now on. It must
    /// have this module's build-id or, where there is none, the checksum of [`Module::debug_link`].
    pub fn attach_debug(&mut self, bytes: &'d [u8]) -> Result<(), AttachError> {
        let _ = bytes;
        todo!()
    }

    /// Adds the supplementary file that [`Module::debug_alt_link`] names (dwz).
    pub fn attach_alt(&mut self, bytes: &'d [u8]) -> Result<(), AttachError> {
        let _ = bytes;
        todo!()
    }

    // ---- The file ----

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        todo!()
    }

    /// The build-id note.
    pub fn build_id(&self) -> Option<&'d [u8]> {
        todo!()
    }

    /// Name and CRC-32 of the separate debug file.
    pub fn debug_link(&self) -> Option<DebugLink<'d>> {
        todo!()
    }

    /// Path and build-id of the supplementary file; looks in the attached debug file first.
    pub fn debug_alt_link(&self) -> Option<AltLink<'d>> {
        todo!()
    }

    /// The program interpreter (dynamic linker); `None` for static programs and libraries.
    pub fn interpreter(&self) -> Option<&'d str> {
        todo!()
    }

    /// Sonames of the libraries it needs, in order.
    pub fn needed(&self) -> Vec<&'d str> {
        todo!()
    }

    /// Its own soname.
    pub fn soname(&self) -> Option<&'d str> {
        todo!()
    }

    /// The library search path (DT_RUNPATH, else DT_RPATH), as written.
    pub fn runpath(&self) -> Option<&'d str> {
        todo!()
    }

    /// Where the program starts.
    pub fn entry(&self) -> LinkAddr {
        todo!()
    }

    /// Its thread-local storage.
    pub fn tls(&self) -> Option<Tls> {
        todo!()
    }

    /// Whether there is DWARF, in the file or in the attached one.
    pub fn has_dwarf(&self) -> bool {
        todo!()
    }

    /// Where in the file the byte at `address` is; `None` outside the loaded segments and in zero-filled memory.
    pub fn file_offset(&self, address: LinkAddr) -> Option<FileOffset> {
        let _ = address;
        todo!()
    }

    /// The address that the byte at `offset` is loaded at; executable segments are preferred.
    pub fn link_addr(&self, offset: FileOffset) -> Option<LinkAddr> {
        let _ = offset;
        todo!()
    }

    /// Whether `address` is in an executable segment.
    pub fn is_executable(&self, address: LinkAddr) -> bool {
        let _ = address;
        todo!()
    }

    /// Up to `len` bytes at `address`, fewer at the end of the segment; `None` where the file has none.
    pub fn bytes_at(&self, address: LinkAddr, len: usize) -> Option<&'d [u8]> {
        let _ = (address, len);
        todo!()
    }

    /// Functions of .symtab and .dynsym, by rising address; versions are cut off, aliases are kept.
    pub fn symbols(&self) -> &[Symbol<'d>] {
        todo!()
    }

    /// The function symbol that `address` is in.
    pub fn symbol_at(&self, address: LinkAddr) -> Option<&Symbol<'d>> {
        let _ = address;
        todo!()
    }

    // ---- Functions ----

    /// Functions that match `pattern` (its lines are not looked at), by source place and address: from DWARF, and
    /// from the symbols those that DWARF does not have (none of these if the pattern names a file).
    pub fn functions(&self, pattern: &Pattern) -> Result<Vec<Function<'d>>, DwarfError> {
        let _ = pattern;
        todo!()
    }

    /// The function whose code contains `address` (not an inlined one).
    pub fn function_at(&self, address: LinkAddr) -> Result<Option<Function<'d>>, DwarfError> {
        let _ = address;
        todo!()
    }

    /// Where a probe on the function's entry is planted: after the prologue in code that was compiled without
    /// optimisation (the parameters are in place then), at the entry itself otherwise. `None` if the function
    /// exists inlined only.
    pub fn probe_address(&self, function: &Function<'d>) -> Option<LinkAddr> {
        let _ = function;
        todo!()
    }

    /// The type of what the function returns; void where DWARF says nothing.
    pub fn return_type(&self, function: &Function<'d>) -> TypeId {
        let _ = function;
        todo!()
    }

    // ---- Lines ----

    /// Statement addresses of the lines that `pattern` names, in the functions that it names: one for each line of
    /// each function or inlined instance (the first).
    pub fn statements(&self, pattern: &Pattern) -> Result<Statements<'d>, DwarfError> {
        let _ = pattern;
        todo!()
    }

    /// As [`Module::statements`], in one function that is already known.
    pub fn statements_of(
        &self,
        function: &Function<'d>,
        lines: &Lines,
    ) -> Result<Statements<'d>, DwarfError> {
        let _ = (function, lines);
        todo!()
    }

    /// The source line of `address`.
    pub fn line_at(&self, address: LinkAddr) -> Option<Line> {
        let _ = address;
        todo!()
    }

    // ---- Variables ----

    /// Variables visible at `pc` in a function or inlined instance (`Function::die`, `Inline::die`): locals of the
    /// innermost block first, parameters last. A name may occur more than once; the first one hides the others.
    pub fn scope(&self, die: DieRef, pc: LinkAddr) -> Result<Vec<Variable<'d>>, DwarfError> {
        let _ = (die, pc);
        todo!()
    }

    /// Variables of the whole compilation unit that `die` is in, static and external.
    pub fn unit_globals(&self, die: DieRef) -> Result<Vec<Variable<'d>>, DwarfError> {
        let _ = die;
        todo!()
    }

    /// Variables outside functions of this name, in any unit whose source file matches `file` by its trailing path
    /// components; those with a location first, external ones before static ones.
    pub fn globals(&self, name: &str, file: Option<&str>) -> Result<Vec<Variable<'d>>, DwarfError> {
        let _ = (name, file);
        todo!()
    }

    /// Where the variable is when `pc` is about to run.
    pub fn place(&self, variable: &Variable<'d>, pc: LinkAddr) -> Result<Place, LocationError> {
        let _ = (variable, pc);
        todo!()
    }

    /// Ranges of addresses at which the variable has a place; empty if nowhere, everything if it has one place.
    pub fn available(&self, variable: &Variable<'d>) -> Result<Vec<crate::functions::Range>, LocationError> {
        let _ = variable;
        todo!()
    }

    // ---- Types ----

    /// What the type is, one layer of it.
    pub fn type_of(&self, id: TypeId) -> Result<Type<'d>, DwarfError> {
        let _ = id;
        todo!()
    }

    /// The type without typedefs and qualifiers; a declaration is replaced by a definition of the same name if any
    /// unit has one.
    pub fn resolve_type(&self, id: TypeId) -> Result<TypeId, DwarfError> {
        let _ = id;
        todo!()
    }

    /// Its name as `-L` prints it: `long unsigned int`, `struct point*`, `char const*`.
    pub fn type_name(&self, id: TypeId) -> String {
        let _ = id;
        todo!()
    }

    /// Its size in bytes, if it has a fixed one.
    pub fn size_of(&self, id: TypeId) -> Option<u64> {
        let _ = id;
        todo!()
    }

    /// The member `name` of a struct, union or class, searched for through anonymous members and base classes:
    /// the members to go through, outermost first.
    pub fn find_member(&self, record: TypeId, name: &str) -> Result<Option<Vec<Member<'d>>>, DwarfError> {
        let _ = (record, name);
        todo!()
    }

    /// The type called `name` (`int`, `struct point`, `point`, `ns::Item`, `struct point*`), a definition if there is
    /// one; names without a keyword find typedefs and base types first, then structs, unions and enums.
    pub fn find_type(&self, name: &str) -> Result<Option<TypeId>, DwarfError> {
        let _ = name;
        todo!()
    }

    /// The value of the enumerator `name`, of any enumeration.
    pub fn find_enumerator(&self, name: &str) -> Result<Option<i64>, DwarfError> {
        let _ = name;
        todo!()
    }
}
