//! [`Module`]: one ELF file with its debug information, and the questions it answers.

use std::collections::HashMap;
use std::sync::OnceLock;

use rstap_abi::address::{FileOffset, LinkAddr};

use crate::calls::{self, Call};
use crate::cfi::{self, Cfa};
use crate::dwarf::{DebugData, DieRef, DwarfError, Parts, SplitUnit};
use crate::elf::{
    AltLink, AttachError, DebugLink, Elf, ElfError, Kind, Symbol, Tls, TlsSlot, crc32, read_data_symbols,
    read_symbols, symbol_containing,
};
use crate::functions::{self, Details, Function, Functions, InlinedCall, Instances, Listed, Range};
use crate::labels::{self, Label};
use crate::lines::{self, Line, Statements};
use crate::location::{self, BinaryOp, CallSites, Elements, EntryValue, Expr, LocationError, Place};
use crate::names::demangle;
use crate::pattern::{Lines, Pattern};
use crate::plt::{self, PltEntry, Stub};
use crate::scope::{self, Variable};
use crate::sdt::{self, Mark};
use crate::sources::Release;
use crate::types::{self, Dynamic, Member, NameIndex, Type, TypeId};
use crate::unwind::{self, Caller, FrameRegisters};

/// An executable or shared object, with its separate debug file if that was attached. Answers are computed when
/// asked for and kept; it can be shared between threads.
pub struct Module<'d> {
    elf: Elf<'d>,
    debug_elf: Option<Elf<'d>>,
    /// What .gnu_debugdata has.
    mini_elf: Option<Elf<'d>>,
    parts: Parts<'d>,
    dwarf: DebugData<'d>,
    symbols: OnceLock<Vec<Symbol<'d>>>,
    names: OnceLock<NameIndex<'d>>,
    stubs: OnceLock<HashMap<LinkAddr, LinkAddr>>,
    call_sites: OnceLock<CallSites>,
    release: Option<Release>,
}

impl<'d> Module<'d> {
    /// Reads the ELF headers of `bytes`; 64-bit little-endian x86-64 executables and shared objects only.
    /// Compressed debug sections are left alone: pass the bytes through [`crate::inflate`] before.
    pub fn parse(bytes: &'d [u8]) -> Result<Self, ElfError> {
        let elf = Elf::parse(bytes)?;
        let parts = Parts::default();
        let dwarf = DebugData::new(&elf, &parts);
        Ok(Module {
            elf,
            debug_elf: None,
            mini_elf: None,
            parts,
            dwarf,
            symbols: OnceLock::new(),
            names: OnceLock::new(),
            stubs: OnceLock::new(),
            call_sites: OnceLock::new(),
            release: None,
        })
    }

    /// Adds the separate debug file of this module: its DWARF and its symbol table are used from now on. It must
    /// have this module's build-id or, where there is none, the checksum of [`Module::debug_link`].
    pub fn attach_debug(&mut self, bytes: &'d [u8]) -> Result<(), AttachError> {
        let debug = Elf::parse_any(bytes)?;
        match (self.elf.build_id(), debug.build_id()) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(AttachError::BuildId { expected: hex(expected), found: hex(found) });
            }
            (Some(_), Some(_)) => {}
            _ => check_crc(self.elf.debug_link(), bytes)?,
        }
        if debug.section(".debug_info").is_none() && debug.section(".symtab").is_none() {
            return Err(AttachError::NoDebugInfo);
        }
        self.debug_elf = Some(debug);
        self.forget();
        Ok(())
    }

    /// Adds the supplementary file that [`Module::debug_alt_link`] names (dwz).
    pub fn attach_alt(&mut self, bytes: &'d [u8]) -> Result<(), AttachError> {
        let alt = Elf::parse_any(bytes)?;
        let expected = self.debug_alt_link().ok_or(AttachError::Unrelated)?.build_id;
        let found = alt.build_id().unwrap_or_default();
        if expected != found {
            return Err(AttachError::BuildId { expected: hex(expected), found: hex(found) });
        }
        self.parts.alt = Some(alt);
        self.forget();
        Ok(())
    }

    /// Adds the .dwo files of [`Module::split_units`]; those that are none are left out. An error if no unit is in any.
    pub fn attach_split(&mut self, files: &[&'d [u8]]) -> Result<(), AttachError> {
        self.parts.split = files.iter().filter_map(|bytes| Elf::parse_any(bytes).ok()).collect();
        self.take_split(|parts| parts.split.clear())
    }

    /// Adds the .dwp package with the units of [`Module::split_units`].
    pub fn attach_package(&mut self, bytes: &'d [u8]) -> Result<(), AttachError> {
        self.parts.package = Some(Elf::parse_any(bytes)?);
        self.take_split(|parts| parts.package = None)
    }

    /// Reads units from files that have been added, or gives the files up if none of the units is in them.
    fn take_split(&mut self, give_up: impl FnOnce(&mut Parts<'d>)) -> Result<(), AttachError> {
        let before = self.split_units().len();
        self.forget();
        if self.split_units().len() < before {
            return Ok(());
        }
        give_up(&mut self.parts);
        self.forget();
        Err(AttachError::OtherUnits)
    }

    /// Adds what [`crate::unpack_symbols`] made of [`Module::packed_symbols`].
    pub fn attach_symbols(&mut self, bytes: &'d [u8]) -> Result<(), AttachError> {
        self.mini_elf = Some(Elf::parse_any(bytes)?);
        self.symbols = OnceLock::new();
        Ok(())
    }

    /// Calls this now and then while all of the debug information is read.
    pub fn release_with(&mut self, release: Release) {
        self.release = Some(release);
    }

    // ---- The file ----

    /// Gives back the memory that the files are mapped to; what is needed again is read again.
    pub fn release(&self) {
        if let Some(release) = &self.release {
            release();
        }
    }

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        self.elf.kind()
    }

    /// The build-id note.
    pub fn build_id(&self) -> Option<&'d [u8]> {
        self.elf.build_id()
    }

    /// Name and CRC-32 of the separate debug file.
    pub fn debug_link(&self) -> Option<DebugLink<'d>> {
        self.elf.debug_link()
    }

    /// Path and build-id of the supplementary file; looks in the attached debug file first.
    pub fn debug_alt_link(&self) -> Option<AltLink<'d>> {
        self.dwarf_elf().debug_alt_link()
    }

    /// Units of which the file has skeletons only, and whose entries are not in a file that was attached.
    pub fn split_units(&self) -> Vec<SplitUnit<'d>> {
        self.dwarf.skeletons()
    }

    /// .gnu_debugdata: symbols of a stripped file, compressed with xz.
    pub fn packed_symbols(&self) -> Option<&'d [u8]> {
        self.elf.section(".gnu_debugdata")
    }

    /// Whether there is a full symbol table, in the file or in the attached one.
    pub fn has_symbol_table(&self) -> bool {
        self.elf.section(".symtab").is_some()
            || self.debug_elf.as_ref().is_some_and(|debug| debug.section(".symtab").is_some())
    }

    /// What was wrong with the units of the DWARF that have been read so far: one error for each, by their offset.
    pub fn problems(&self) -> Vec<DwarfError> {
        self.dwarf.problems()
    }

    /// The program interpreter (dynamic linker); `None` for static programs and libraries.
    pub fn interpreter(&self) -> Option<&'d str> {
        self.elf.interpreter()
    }

    /// Sonames of the libraries it needs, in order.
    pub fn needed(&self) -> Vec<&'d str> {
        self.elf.needed()
    }

    /// Its own soname.
    pub fn soname(&self) -> Option<&'d str> {
        self.elf.soname()
    }

    /// The library search path (DT_RUNPATH, else DT_RPATH), as written.
    pub fn runpath(&self) -> Option<&'d str> {
        self.elf.runpath()
    }

    /// Where the program starts.
    pub fn entry(&self) -> LinkAddr {
        self.elf.entry()
    }

    /// Its thread-local storage.
    pub fn tls(&self) -> Option<Tls> {
        self.elf.tls()
    }

    /// Where it finds its thread-local storage, if it is a library.
    pub fn tls_slot(&self) -> Option<TlsSlot> {
        self.elf.tls_slot()
    }

    /// Whether there is DWARF, in the file or in the attached one.
    pub fn has_dwarf(&self) -> bool {
        !self.dwarf.is_empty()
    }

    /// Where in the file the byte at `address` is; `None` outside the loaded segments and in zero-filled memory.
    pub fn file_offset(&self, address: LinkAddr) -> Option<FileOffset> {
        self.elf.file_offset(address)
    }

    /// The address that the byte at `offset` is loaded at; executable segments are preferred.
    pub fn link_addr(&self, offset: FileOffset) -> Option<LinkAddr> {
        self.elf.link_addr(offset)
    }

    /// Whether `address` is in an executable segment.
    pub fn is_executable(&self, address: LinkAddr) -> bool {
        self.elf.is_executable(address)
    }

    /// Whether Go's linker made it: the tables of its runtime are there in stripped programs too.
    pub fn is_go(&self) -> bool {
        [".gopclntab", ".go.buildinfo"].iter().any(|name| self.elf.section(name).is_some())
    }

    /// Up to `len` bytes at `address`, fewer at the end of the segment; `None` where the file has none.
    pub fn bytes_at(&self, address: LinkAddr, len: usize) -> Option<&'d [u8]> {
        self.elf.bytes_at(address, len)
    }

    /// Functions of .symtab and .dynsym, by rising address; versions are cut off, aliases are kept.
    pub fn symbols(&self) -> &[Symbol<'d>] {
        self.symbols
            .get_or_init(|| read_symbols(&self.elf, &[self.debug_elf.as_ref(), self.mini_elf.as_ref()]))
    }

    /// Variables of .symtab and .dynsym, in no order. They are read anew each time.
    pub fn data_symbols(&self) -> Vec<Symbol<'d>> {
        read_data_symbols(&self.elf, &[self.debug_elf.as_ref(), self.mini_elf.as_ref()])
    }

    /// The first byte of the code.
    pub fn code_start(&self) -> Option<(FileOffset, LinkAddr)> {
        self.elf.code_start()
    }

    /// The function symbol that `address` is in.
    pub fn symbol_at(&self, address: LinkAddr) -> Option<&Symbol<'d>> {
        symbol_containing(self.symbols(), address)
    }

    /// The code that `address` belongs to, from its first instruction to behind its last: by the call frame information,
    /// which stripped files have too, else by the symbols. Parts of a function that lie apart are apart here.
    pub fn extent_at(&self, address: LinkAddr) -> Option<Range> {
        let range = |start, end| Range { start: LinkAddr(start), end: LinkAddr(end) };
        let of_symbol = || {
            let symbol = self.symbol_at(address).filter(|symbol| symbol.size > 0)?;
            Some((symbol.address.0, symbol.address.0.checked_add(symbol.size)?))
        };
        let found = cfi::extent_at(&self.elf, self.debug_elf.as_ref(), address).or_else(of_symbol);
        found.map(|(start, end)| range(start, end)).filter(|range| range.contains(address))
    }

    /// The markers of <sys/sdt.h>, in the order of their notes.
    pub fn marks(&self) -> Vec<Mark<'d>> {
        sdt::read_marks(&self.elf, self.debug_elf.as_ref())
    }

    /// The stubs of the procedure linkage table, by rising address, and calls of functions that need no stub.
    pub fn plt(&self) -> Vec<PltEntry<'d>> {
        plt::read_plt(&self.elf, self.symbols())
    }

    /// The calls that a function's code makes of functions of this module, by rising address. One through a stub of
    /// the PLT is a call of what has the stub's name here.
    pub fn calls(&self, function: &Function<'d>) -> Vec<Call> {
        let stubs = self.stubs.get_or_init(|| self.own_stubs());
        let mut calls = calls::calls_in(&self.elf, &function.ranges);
        for call in &mut calls {
            call.to = stubs.get(&call.to).copied().unwrap_or(call.to);
        }
        calls
    }

    /// Functions of this module that it calls through stubs, by the stub.
    fn own_stubs(&self) -> HashMap<LinkAddr, LinkAddr> {
        let exported = self.symbols().iter().filter(|symbol| symbol.exported);
        let by_name: HashMap<&str, LinkAddr> = exported.map(|symbol| (symbol.name, symbol.address)).collect();
        let stubs = self.plt().into_iter().filter(|entry| entry.stub == Stub::Entered);
        stubs.filter_map(|entry| Some((entry.address, *by_name.get(entry.name)?))).collect()
    }

    // ---- Functions ----

    /// Functions that match `pattern` (its lines are not looked at), in the order of the DWARF; after them those that
    /// only the symbol table has (none of these if the pattern names a file). What a broken unit hides is left out.
    pub fn functions(&self, pattern: &Pattern) -> Result<Vec<Function<'d>>, DwarfError> {
        Ok(self.functions_view().matching(pattern))
    }

    /// The functions that [`Module::functions`] has, without their places: each name and declaration once, in no
    /// order. Quicker, and nothing of the units is kept.
    pub fn list_functions(&self, pattern: &Pattern) -> impl Iterator<Item = Listed<'d>> + use<'d> {
        self.functions_view().listing(pattern, None)
    }

    /// The same with the variables that have a place at the start of all instances of the kinds that are wanted.
    pub fn list_functions_with_variables(
        &self,
        pattern: &Pattern,
        wanted: Instances,
    ) -> impl Iterator<Item = Listed<'d>> + use<'d> {
        let place = |variable: &Variable<'d>, pc| self.place(variable, pc);
        self.functions_view().listing(pattern, Some(&Details { wanted, place: &place }))
    }

    /// The function whose code contains `address` (not an inlined one).
    pub fn function_at(&self, address: LinkAddr) -> Result<Option<Function<'d>>, DwarfError> {
        let view = self.functions_view();
        if let Some(function) = view.function_at(address) {
            return Ok(Some(function));
        }
        let of_symbol = |symbol: &Symbol<'d>| view.function_of_symbol(symbol, demangle(symbol.name));
        Ok(self.symbol_at(address).map(of_symbol))
    }

    /// Where a probe on the function's entry is planted: after the prologue in code that was compiled without
    /// optimisation (the parameters are in place then), at the entry itself otherwise, but behind what begins a function of
    /// Go anew. `None` if the function exists inlined only.
    pub fn probe_address(&self, function: &Function<'d>) -> Option<LinkAddr> {
        const CHECK: usize = 64;
        let at = self.body_address(function)?;
        let code = || self.bytes_at(at, CHECK).filter(|_| function.entry == Some(at) && self.is_go());
        Some(code().and_then(|code| functions::after_stack_check(at, code)).unwrap_or(at))
    }

    /// Where the parameters are in place: after the prologue in code that was compiled without optimisation, at the entry
    /// otherwise.
    pub fn body_address(&self, function: &Function<'d>) -> Option<LinkAddr> {
        functions::probe_address(&self.dwarf, function)
    }

    /// The type of what the function returns; void where DWARF says nothing.
    pub fn return_type(&self, function: &Function<'d>) -> TypeId {
        let found = function.die.and_then(|die| self.dwarf.die(die).ok()?.inherited_type().ok()?);
        found.map_or(TypeId::Void, TypeId::Die)
    }

    /// The code of a function or inlined instance, as DWARF has it.
    pub fn ranges(&self, die: DieRef) -> Result<Vec<Range>, DwarfError> {
        let range = |(start, end)| Range { start: LinkAddr(start), end: LinkAddr(end) };
        Ok(self.dwarf.die(die)?.ranges().into_iter().map(range).collect())
    }

    /// The offset of an entry in its section, for messages.
    pub fn die_offset(&self, die: DieRef) -> usize {
        self.dwarf.slot(die.unit).map_or(0, |slot| slot.section_offset()) + die.offset
    }

    /// The labels of a function or inlined instance that have a place in its code.
    pub fn labels(&self, die: DieRef) -> Result<Vec<Label<'d>>, DwarfError> {
        labels::labels_of(&self.dwarf, die)
    }

    // ---- Lines ----

    /// Statement addresses of the lines that `pattern` names, in the functions that it names: one for each line of
    /// each function or inlined instance (the first).
    pub fn statements(&self, pattern: &Pattern) -> Result<Statements<'d>, DwarfError> {
        let functions = self.functions(&Pattern { lines: Lines::None, ..pattern.clone() })?;
        lines::statements(&self.functions_view(), &functions, pattern.file.as_ref(), &pattern.lines)
    }

    /// As [`Module::statements`], in one function that is already known.
    pub fn statements_of(
        &self,
        function: &Function<'d>,
        lines: &Lines,
    ) -> Result<Statements<'d>, DwarfError> {
        lines::statements(&self.functions_view(), std::slice::from_ref(function), None, lines)
    }

    /// The source line of `address`.
    pub fn line_at(&self, address: LinkAddr) -> Option<Line> {
        let mut units = self.dwarf.units_at(address.0).into_iter();
        units.find_map(|unit| lines::line_in_unit(&self.dwarf, unit, address))
    }

    /// The calls at `address` that were inlined, the innermost first. The line of `address` is one of the first one's
    /// function; where that was called is a line of the next one's.
    pub fn inlined_calls(&self, address: LinkAddr) -> Vec<InlinedCall<'d>> {
        self.functions_view().inlined_calls(address)
    }

    // ---- Frames ----

    /// The caller of a frame of this module, by its call frame information; `None` if that says nothing about the
    /// address. `at` is what the rules are looked up for: the frame's pc, or the byte before it where the pc is a
    /// return address, which may be behind the end of the calling function. `bias` is the address that the file's
    /// address 0 was loaded at; `read` reads a word of the process.
    pub fn caller(
        &self,
        at: LinkAddr,
        registers: &FrameRegisters,
        bias: u64,
        read: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Caller> {
        unwind::caller(&self.elf, self.debug_elf.as_ref(), at, &unwind::Frame { registers, bias, read })
    }

    /// The return address of the frame when `pc` is about to run; `None` if the call frame information does not give
    /// it as a place near a register.
    pub fn return_address(&self, pc: LinkAddr) -> Option<Expr> {
        match cfi::cfa_at(&self.elf, self.debug_elf.as_ref(), pc)? {
            Cfa::Register { register, offset } => {
                let slot = Expr::Constant(offset.checked_sub(8)?);
                let address = Expr::Binary(BinaryOp::Add, Box::new(Expr::Register(register)), Box::new(slot));
                Some(Expr::Load { address: Box::new(address), size: 8 })
            }
            Cfa::Expression(..) => None,
        }
    }

    // ---- Variables ----

    /// Variables visible at `pc` in a function or inlined instance (`Function::die`, `Inline::die`): those of the
    /// innermost block first, within a block in the order of declaration, so parameters come before the locals of
    /// the outermost block. A name may occur more than once; the first one hides the others. Those that the compiler
    /// has left out of the instance are there too, without a place.
    pub fn scope(&self, die: DieRef, pc: LinkAddr) -> Result<Vec<Variable<'d>>, DwarfError> {
        scope::variables_at(&self.functions_view(), die, pc.0)
    }

    /// [`Module::scope`] as lists show it: those of inner blocks first, in a block as the debug information has them, of
    /// variables of one name only the innermost.
    pub fn scope_in_order(&self, die: DieRef, pc: LinkAddr) -> Result<Vec<Variable<'d>>, DwarfError> {
        self.scope(die, pc).map(scope::in_order_of_lists)
    }

    /// The function or inlined instance `die` and what is inlined in it at `pc`, innermost first: `die` is the last.
    pub fn instances_at(&self, die: DieRef, pc: LinkAddr) -> Result<Vec<DieRef>, DwarfError> {
        scope::instances_at(&self.dwarf, die, pc.0)
    }

    /// Variables of the whole compilation unit that `die` is in, static and external.
    pub fn unit_globals(&self, die: DieRef) -> Result<Vec<Variable<'d>>, DwarfError> {
        scope::globals_of_unit(&self.dwarf, die.unit)
    }

    /// Variables outside functions of this name, in any unit whose source file matches `file` by its trailing path
    /// components; those with a location first, external ones before static ones.
    pub fn globals(&self, name: &str, file: Option<&str>) -> Result<Vec<Variable<'d>>, DwarfError> {
        scope::globals_named(&self.dwarf, name, file, self.names())
    }

    /// Where the variable is when `pc` is about to run.
    pub fn place(&self, variable: &Variable<'d>, pc: LinkAddr) -> Result<Place, LocationError> {
        self.spot(variable, pc).place_of(variable.die)
    }

    /// How many elements each dimension of an array has that is the variable's type or of a type in it, at `pc`: also
    /// of those that the program decides on. `None` where that is not known.
    pub fn counts(&self, variable: &Variable<'d>, array: TypeId, pc: LinkAddr) -> Vec<Option<Expr>> {
        match array {
            TypeId::Die(die) => self.spot(variable, pc).counts_of(die).unwrap_or_default(),
            TypeId::Void => Vec::new(),
        }
    }

    /// Where the elements of an array type are, if its values are only descriptors of them.
    pub fn elements(&self, array: TypeId) -> Option<Elements> {
        let TypeId::Die(die) = array else { return None };
        let debug = self.debug_elf.as_ref();
        let anywhere =
            location::Spot { data: &self.dwarf, elf: &self.elf, debug, frame: None, pc: LinkAddr(0) };
        anywhere.elements_of(die)
    }

    /// The value that `asked`, the operand of an [`Expr::EntryValue`] or an [`Expr::Parameter`] in a place of the
    /// variable at `pc`, had when the function was entered. The module's call sites are read the first time.
    pub fn entry_value(
        &self,
        variable: &Variable<'d>,
        pc: LinkAddr,
        asked: &Expr,
    ) -> Result<EntryValue, LocationError> {
        let sites = self.call_sites.get_or_init(|| CallSites::read(&self.dwarf, &self.elf));
        location::entry_value(&self.spot(variable, pc), sites, asked)
    }

    /// Ranges of addresses at which the variable has a place; empty if nowhere, everything if it has one place.
    pub fn available(&self, variable: &Variable<'d>) -> Result<Vec<Range>, LocationError> {
        location::available(&self.dwarf, variable.die)
    }

    // ---- Types ----

    /// What the type is, one layer of it.
    pub fn type_of(&self, id: TypeId) -> Result<Type<'d>, DwarfError> {
        types::read_type(&self.dwarf, id)
    }

    /// The types that a template's instance was made with, in order (DW_TAG_template_type_parameter).
    pub fn template_types(&self, id: TypeId) -> Vec<TypeId> {
        types::template_types(&self.dwarf, id).unwrap_or_default()
    }

    /// The type without typedefs and qualifiers; a declaration is replaced by a definition of the same name if any
    /// unit has one.
    pub fn resolve_type(&self, id: TypeId) -> Result<TypeId, DwarfError> {
        types::resolve(&self.dwarf, id, || self.names())
    }

    /// Its name as `-L` prints it: `long unsigned int`, `struct point*`, `char const*`.
    pub fn type_name(&self, id: TypeId) -> String {
        types::type_name(&self.dwarf, id)
    }

    /// Its size in bytes, if it has a fixed one.
    pub fn size_of(&self, id: TypeId) -> Option<u64> {
        let resolved = self.resolve_type(id).ok()?;
        types::size_of(&self.dwarf, resolved)
    }

    /// The member `name` of a struct, union or class, searched for through anonymous members and base classes:
    /// the members to go through, outermost first.
    pub fn find_member(&self, record: TypeId, name: &str) -> Result<Option<Vec<Member<'d>>>, DwarfError> {
        types::find_member(record, name, &|id| self.type_of(self.resolve_type(id)?))
    }

    /// The type called `name` (`int`, `struct point`, `point`, `ns::Item`), a definition if there is one; names without
    /// a keyword find typedefs and base types first, then structs, unions and enums. Of a qualified name only the
    /// last component is looked at.
    pub fn find_type(&self, name: &str) -> Result<Option<TypeId>, DwarfError> {
        Ok(self.names().find(name).map(TypeId::Die))
    }

    /// Definitions of types whose name begins so, in the order of the units.
    pub fn types_beginning_with(&self, prefix: &str) -> Vec<TypeId> {
        self.names().beginning_with(prefix).into_iter().map(TypeId::Die).collect()
    }

    /// The types that a `dyn Trait` of Rust can be, by the tables of the trait's methods that there are.
    pub fn implementors(&self, of_trait: &str) -> Vec<Dynamic<'d>> {
        types::implementors(&self.dwarf, self.names(), of_trait)
    }

    /// The types that are made into this interface of Go, which has methods: a name that begins with `*` is that of a
    /// pointer to the type.
    pub fn go_tables(&self, interface: &str) -> Vec<Dynamic<'d>> {
        types::go_tables(self.dwarf_elf(), self.names(), interface)
    }

    /// The types of a Go program with a wanted name that it has a description of.
    pub fn go_types(&self, wanted: impl Fn(&str) -> bool) -> Vec<Dynamic<'d>> {
        types::go_types(&self.dwarf, self.dwarf_elf(), self.names(), wanted)
    }

    /// The alignment of a type; that of its size where the debug information does not say it.
    pub fn align_of(&self, id: TypeId) -> Option<u64> {
        types::align_of(&self.dwarf, id)
    }

    /// The value of the enumerator `name`, of any enumeration.
    pub fn find_enumerator(&self, name: &str) -> Result<Option<i64>, DwarfError> {
        Ok(self.names().enumerator(&self.dwarf, name))
    }

    // ---- Inside ----

    fn spot(&self, variable: &Variable<'d>, pc: LinkAddr) -> location::Spot<'_, 'd> {
        let debug = self.debug_elf.as_ref();
        location::Spot { data: &self.dwarf, elf: &self.elf, debug, frame: variable.frame, pc }
    }

    fn dwarf_elf(&self) -> &Elf<'d> {
        self.debug_elf.as_ref().unwrap_or(&self.elf)
    }

    /// Forgets what was read before a file was attached.
    fn forget(&mut self) {
        let debug = self.debug_elf.as_ref().filter(|debug| debug.section(".debug_info").is_some());
        self.dwarf = DebugData::new(debug.unwrap_or(&self.elf), &self.parts);
        self.symbols = OnceLock::new();
        self.names = OnceLock::new();
        self.call_sites = OnceLock::new();
    }

    fn functions_view(&self) -> Functions<'_, 'd> {
        let release = self.release.as_deref();
        Functions { data: &self.dwarf, elf: &self.elf, symbols: self.symbols(), release }
    }

    fn names(&self) -> &NameIndex<'d> {
        self.names.get_or_init(|| NameIndex::read(&self.dwarf))
    }
}

fn check_crc(link: Option<DebugLink<'_>>, bytes: &[u8]) -> Result<(), AttachError> {
    let expected = link.ok_or(AttachError::Unrelated)?.crc;
    let found = crc32(bytes);
    if expected == found { Ok(()) } else { Err(AttachError::Checksum { expected, found }) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
