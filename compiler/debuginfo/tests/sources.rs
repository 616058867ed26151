//! Debug information in every place and form that compilers and distributions put it: the same questions about the same
//! program have the same answers.

mod support;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rstap_debuginfo::sources::{DebugFiles, DebugSearch, Extent, PartKind, Unfetched, load};
use rstap_debuginfo::{Module, Pattern};
use support::Scratch;

/// The real file system with debug roots of its own.
#[derive(Default)]
struct Disk {
    roots: Vec<PathBuf>,
    fetched: Option<PathBuf>,
    asked: RefCell<Vec<String>>,
}

impl DebugFiles<'static> for Disk {
    fn read(&self, path: &Path) -> io::Result<&'static [u8]> {
        std::fs::read(path).map(|bytes| self.keep(bytes))
    }

    fn keep(&self, bytes: Vec<u8>) -> &'static [u8] {
        bytes.leak()
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn debug_roots(&self) -> Vec<PathBuf> {
        self.roots.clone()
    }

    fn fetch(&self, build_id: &str) -> Option<Result<PathBuf, Unfetched>> {
        self.asked.borrow_mut().push(build_id.to_owned());
        self.fetched.clone().map(Ok)
    }
}

fn open_with(disk: &Disk, path: &Path) -> (Module<'static>, DebugSearch) {
    let bytes = disk.read(path).expect("the program was built");
    load(disk, path, bytes, Extent::Full).expect("it is an ELF file")
}

fn open(path: &Path) -> (Module<'static>, DebugSearch) {
    open_with(&Disk::default(), path)
}

/// What is known of `add` of basic.c: line, parameters with their types, and the lines of its body.
fn knowledge(module: &Module<'_>) -> String {
    let found = module.functions(&Pattern::parse("add@basic.c").unwrap()).unwrap();
    let [add] = found.as_slice() else { return format!("{} functions", found.len()) };
    let pc = module.probe_address(add).unwrap();
    let line = module.line_at(pc).map_or(0, |line| line.line);
    let variables = module.scope(add.die.unwrap(), pc).unwrap();
    let variables = variables.iter().map(|v| {
        let placed = module.place(v, pc).is_ok();
        format!("{} {}{}", module.type_name(v.ty), v.name, if placed { "" } else { "?" })
    });
    let inside = module.function_at(pc).unwrap().map(|function| function.name.into_owned());
    let variables: Vec<_> = variables.collect();
    format!("{}:{line} {variables:?} {} {inside:?}", add.decl_line, module.type_name(module.return_type(add)))
}

/// What any build of basic.c must yield.
fn expected(scratch: &Scratch) -> String {
    let plain = knowledge(&open(&scratch.compile_to("basic.c", &["-g", "-O0"])).0);
    assert!(plain.starts_with("38:41 [\"int "), "{plain}");
    plain
}

#[test]
fn every_version_and_size_of_dwarf_is_read() {
    let scratch = Scratch::new();
    let expected = expected(&scratch);
    for compiler in ["gcc", "clang"] {
        for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            let mut forms: Vec<&[&str]> = vec![&[], &["-gz"], &["-fdebug-types-section"]];
            match compiler {
                "gcc" => forms.push(&["-gdwarf64"]),
                // Before version 3 there are no 64-bit units.
                _ if version == "-gdwarf-2" => {}
                _ => forms.push(&["-Xclang", "-mllvm", "-Xclang", "-generate-arange-section"]),
            }
            for form in forms {
                let options = [&[version, "-O0"], form].concat();
                let program = scratch.compile_with(compiler, "basic.c", &options);
                let (module, search) = open(&program);
                assert_eq!(knowledge(&module), expected, "{compiler} {options:?}");
                assert_eq!((search.missing, module.problems()), (None, vec![]), "{compiler} {options:?}");
            }
        }
    }
}

#[test]
fn packed_sections_are_read() {
    let scratch = Scratch::new();
    let expected = expected(&scratch);
    let plain = scratch.compile_to("basic.c", &["-g", "-O0"]);
    for tool in ["objcopy", "llvm-objcopy"] {
        let packed = scratch.path(tool);
        scratch.tool(tool, &["--compress-debug-sections=zlib".as_ref(), plain.as_ref(), packed.as_ref()]);
        assert!(std::fs::metadata(&packed).unwrap().len() < std::fs::metadata(&plain).unwrap().len());
        assert_eq!(knowledge(&open(&packed).0), expected, "{tool}");
    }
}

/// As `gcc -gz=zstd` has it with newer binutils than Debian 12's.
#[test]
fn sections_packed_with_zstd_are_read() {
    let scratch = Scratch::new();
    let expected = expected(&scratch);
    let plain = scratch.compile_to("basic.c", &["-g", "-O0"]);
    let packed = scratch.path("zstd");
    std::fs::write(&packed, pack_with_zstd(std::fs::read(&plain).unwrap())).unwrap();
    assert_eq!(knowledge(&open(&packed).0), expected);
}

/// Packs the sections of debug information: what is in them is overwritten, the packed contents follow the file.
fn pack_with_zstd(mut bytes: Vec<u8>) -> Vec<u8> {
    const ELFCOMPRESS_ZSTD: u32 = 2;
    let elf = goblin::elf::Elf::parse(&bytes).unwrap();
    let header = elf.header;
    let is_debug = |name| elf.shdr_strtab.get_at(name).is_some_and(|name| name.starts_with(".debug_"));
    let sections: Vec<_> = elf.section_headers.iter().cloned().enumerate().collect();
    let sections: Vec<_> = sections.into_iter().filter(|(_, section)| is_debug(section.sh_name)).collect();
    assert!(sections.len() > 3);
    for (index, section) in sections {
        let range = section.file_range().unwrap();
        let content = &mut bytes[range];
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let frame = ruzstd::encoding::compress_to_vec(&*content, level);
        content.fill(0xa5);
        let (offset, chdr) = (bytes.len() as u64, 24);
        bytes.extend_from_slice(&ELFCOMPRESS_ZSTD.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&section.sh_size.to_le_bytes());
        bytes.extend_from_slice(&section.sh_addralign.to_le_bytes());
        bytes.extend_from_slice(&frame);
        let flags = section.sh_flags | u64::from(goblin::elf::section_header::SHF_COMPRESSED);
        let at = header.e_shoff as usize + index * usize::from(header.e_shentsize);
        // sh_flags, sh_offset and sh_size of an Elf64_Shdr.
        for (field, value) in [(8, flags), (24, offset), (32, frame.len() as u64 + chdr)] {
            bytes[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

#[test]
fn split_units_are_read_from_their_files() {
    let scratch = Scratch::new();
    let expected = expected(&scratch);
    for compiler in ["gcc", "clang"] {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            for more in [&[][..], &["-gz"], &["-fdebug-types-section"]] {
                let options = [&[version, "-O0", "-gsplit-dwarf"], more].concat();
                let program = scratch.compile_split(compiler, "basic.c", &options);
                let (module, search) = open(&program);
                assert_eq!(search.missing, None, "{compiler} {options:?}");
                assert_eq!(knowledge(&module), expected, "{compiler} {options:?}");

                std::fs::remove_file(scratch.path("basic.dwo")).unwrap();
                let (module, search) = open(&program);
                let missing = search.missing.expect("the file is gone");
                assert_eq!((missing.kind, missing.name.as_str()), (PartKind::Units(1), "basic.dwo"));
                assert!(missing.tried.iter().any(|tried| tried.0.ends_with("/basic.dwo")), "{missing:?}");
                assert_eq!(knowledge(&module), "0 functions");
                assert!(module.symbols().iter().any(|symbol| symbol.name == "add"));
            }
        }
    }
}

#[test]
fn units_of_another_build_are_not_taken() {
    let scratch = Scratch::new();
    let program = scratch.compile_split("gcc", "basic.c", &["-gdwarf-5", "-O0", "-gsplit-dwarf"]);
    let other = Scratch::new();
    other.compile_split("gcc", "basic.c", &["-gdwarf-5", "-O2", "-gsplit-dwarf"]);
    std::fs::copy(other.path("basic.dwo"), scratch.path("basic.dwo")).unwrap();
    let missing = open(&program).1.missing.expect("its id is another");
    let (_, problem) = missing.tried.last().unwrap();
    assert!(problem.as_ref().unwrap().contains("another build"), "{missing:?}");
}

#[test]
fn packages_of_split_units_are_read() {
    let scratch = Scratch::new();
    let expected = expected(&scratch);
    // What these versions of the tools can do: others crash or do not end.
    for (tool, compiler, options) in [
        ("dwp", "gcc", &["-gdwarf-4"][..]),
        ("dwp", "clang", &["-gdwarf-4", "-fdebug-types-section"]),
        ("llvm-dwp", "gcc", &["-gdwarf-4", "-fdebug-types-section"]),
        ("llvm-dwp", "clang", &["-gdwarf-5"]),
        ("llvm-dwp", "clang", &["-gdwarf-5", "-fdebug-types-section"]),
    ] {
        let options = [options, &["-O0", "-gsplit-dwarf"]].concat();
        let program = scratch.compile_split(compiler, "basic.c", &options);
        let package = PathBuf::from(format!("{}.dwp", program.display()));
        scratch.tool(tool, &["-e".as_ref(), program.as_ref(), "-o".as_ref(), package.as_ref()]);
        std::fs::remove_file(scratch.path("basic.dwo")).unwrap();
        let (module, search) = open(&program);
        assert_eq!(search.missing, None, "{tool} {compiler} {options:?}");
        assert_eq!(knowledge(&module), expected, "{tool} {compiler} {options:?}");
    }
}

#[test]
fn what_dwz_moved_elsewhere_is_found() {
    let scratch = Scratch::new();
    let programs = ["one", "two"].map(|name| {
        let path = scratch.path(name);
        std::fs::copy(scratch.compile_to("basic.c", &["-g", "-O0", "-Wl,--build-id"]), &path).unwrap();
        path
    });
    let expected = knowledge(&open(&programs[0]).0);
    let common = scratch.path("common.debug");
    let size = std::fs::metadata(&programs[0]).unwrap().len();
    let arguments: [&OsStr; 6] = [
        "-m".as_ref(),
        common.as_ref(),
        "-M".as_ref(),
        common.as_ref(),
        programs[0].as_ref(),
        programs[1].as_ref(),
    ];
    scratch.tool("dwz", &arguments);
    assert!(std::fs::metadata(&programs[0]).unwrap().len() < size, "dwz moved something");
    let (module, search) = open(&programs[0]);
    assert_eq!(search.missing, None);
    assert_eq!(knowledge(&module), expected);

    // By build-id, when it is not where the link says.
    let id = module.debug_alt_link().unwrap().build_id;
    let root = scratch.path("root");
    install(&root, id, &common);
    std::fs::remove_file(&common).unwrap();
    let disk = Disk { roots: vec![root.clone()], ..Disk::default() };
    assert_eq!(knowledge(&open_with(&disk, &programs[0]).0), expected);

    let (_, search) = open(&programs[0]);
    let missing = search.missing.expect("it is in no root");
    assert_eq!((missing.kind, missing.name.as_str()), (PartKind::Common, common.to_str().unwrap()));
}

/// Puts a debug file where its build-id says.
fn install(root: &Path, id: &[u8], file: &Path) {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let directory = root.join(".build-id").join(&id[..2]);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(file, directory.join(format!("{}.debug", &id[2..]))).unwrap();
}

#[test]
fn debug_files_are_found_in_every_place() {
    let scratch = Scratch::new();
    let expected = expected(&scratch);
    let (debug, bare) = scratch.strip(&scratch.compile_to("basic.c", &["-g", "-O0", "-Wl,--build-id"]));
    let found = |disk: &Disk, place: &Path| {
        let (module, search) = open_with(disk, &bare);
        assert_eq!(search.found.as_deref(), Some(place));
        assert_eq!(knowledge(&module), expected);
    };
    let nowhere = Disk::default();
    found(&nowhere, &debug);

    let hidden = scratch.path(".debug/basic.debug");
    std::fs::create_dir(scratch.path(".debug")).unwrap();
    std::fs::rename(&debug, &hidden).unwrap();
    found(&nowhere, &hidden);

    let root = scratch.path("root");
    let by_path = root.join(bare.strip_prefix("/").unwrap()).with_file_name("basic.debug");
    std::fs::create_dir_all(by_path.parent().unwrap()).unwrap();
    std::fs::rename(&hidden, &by_path).unwrap();
    let disk = Disk { roots: vec!["/nowhere".into(), root.clone()], ..Disk::default() };
    found(&disk, &by_path);

    let elsewhere = scratch.path("elsewhere");
    std::fs::rename(&by_path, &elsewhere).unwrap();
    let disk = Disk { fetched: Some(elsewhere.clone()), ..Disk::default() };
    found(&disk, &elsewhere);
    assert_eq!(disk.asked.borrow().len(), 1);

    let (module, search) = open(&bare);
    assert_eq!(search.found, None);
    assert_eq!(search.tried.len(), 2, "{search:?}");
    assert_eq!(knowledge(&module), "0 functions");
    install(&root, module.build_id().unwrap(), &elsewhere);
    let disk = Disk { roots: vec![root], ..Disk::default() };
    assert_eq!(knowledge(&open_with(&disk, &bare).0), expected);
}

#[test]
fn a_debug_file_of_another_build_is_named_with_what_is_wrong() {
    let scratch = Scratch::new();
    let (debug, bare) = scratch.strip(&scratch.compile_to("basic.c", &["-g", "-O0", "-Wl,--build-id=none"]));
    assert_eq!(open(&bare).1.found.as_ref(), Some(&debug));
    let mut bytes = std::fs::read(&debug).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&debug, bytes).unwrap();
    let (_, search) = open(&bare);
    let problem = search.tried.iter().find_map(|(_, problem)| problem.as_ref()).expect("it is there");
    assert!(problem.contains("checksum"), "{problem}");
}

#[test]
fn symbols_of_a_stripped_program_are_unpacked() {
    let scratch = Scratch::new();
    let full = scratch.compile_to("basic.c", &["-O0"]);
    let (symbols, bare) = (scratch.path("symbols"), scratch.path("bare"));
    scratch.tool("objcopy", &["--only-keep-debug".as_ref(), full.as_ref(), symbols.as_ref()]);
    scratch.tool("xz", &[symbols.as_ref()]);
    let section = format!("--add-section=.gnu_debugdata={}.xz", symbols.display());
    scratch.tool("objcopy", &["--strip-all".as_ref(), section.as_ref(), full.as_ref(), bare.as_ref()]);
    let names = |module: &Module<'_>| {
        let mut names: Vec<_> = module.symbols().iter().map(|symbol| symbol.name.to_owned()).collect();
        names.sort();
        names
    };
    let (module, _) = open(&bare);
    assert!(!module.has_symbol_table());
    assert_eq!(names(&module), names(&open(&full).0));
    assert!(module.functions(&Pattern::parse("add").unwrap()).unwrap()[0].entry.is_some());
}

#[test]
fn a_broken_unit_is_counted_and_the_others_are_read() {
    let scratch = Scratch::new();
    let both = ["-g", "-O0", "inline.c", "-Wl,--allow-multiple-definition"];
    let program = scratch.compile_to("basic.c", &both);
    let (module, _) = open(&program);
    let whole = knowledge(&module);
    assert_eq!(module.problems(), []);
    // The abbreviations of inline.c's unit are said to be outside their section.
    let mut bytes = std::fs::read(&program).unwrap();
    let section = scratch.section(&program, ".debug_info");
    bytes[section + 8..section + 12].fill(0x7f);
    std::fs::write(&program, bytes).unwrap();
    let (module, _) = open(&program);
    assert_eq!(knowledge(&module), whole);
    module.functions(&Pattern::parse("*").unwrap()).unwrap();
    let problems = module.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].unit(), 0);
}
