//! A small file system for tests: a folder stands for `/`, with programs compiled in its `/src`, users `fche` and
//! `root`, and one running process.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstap_debuginfo::sources::{DEBUG_ROOT, DebugFiles, Unfetched};
use rstap_sema::files::Files;

/// The file system; relative paths are in `/src`.
#[derive(Clone)]
pub struct World {
    root: PathBuf,
}

impl World {
    /// Compiles each target: its first line says how, in the words `// cc ARGUMENTS`. `name` is that of the folder,
    /// which is made anew.
    pub fn build(name: &str, targets: &Path) -> World {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&root);
        let world = World { root: root.clone() };
        for directory in ["src", "bin", "etc", "usr/lib/debug/src", "opt/lib", "var/lib/dpkg/info"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let mut sources: Vec<PathBuf> =
            std::fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path()).collect();
        // Libraries come first: `a_lib.c`.
        sources.sort();
        for source in sources {
            let text = std::fs::read_to_string(&source).unwrap();
            let words: Vec<&str> =
                text.lines().next().unwrap().strip_prefix("// cc ").unwrap().split(' ').collect();
            std::fs::copy(&source, root.join("src").join(source.file_name().unwrap())).unwrap();
            world.cc(&words);
        }
        world.strip();
        std::os::unix::fs::symlink("../src/shop", root.join("bin/vi")).unwrap();
        std::fs::write(root.join("bin/tool"), "#!/usr/bin/env python3\nprint()\n").unwrap();
        std::fs::write(root.join("src/empty"), "").unwrap();
        std::fs::write(root.join("etc/ld.so.conf"), "# libraries\n/opt/lib\n").unwrap();
        std::fs::write(root.join("var/lib/dpkg/info/plainutils.list"), "/.\n/src/plain\n").unwrap();
        std::fs::copy(root.join("src/liblater.so"), root.join("opt/lib/liblater.so")).unwrap();
        world
    }

    /// Compiles one more program in `/src`.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn compile(&self, name: &str, source: &str, flags: &[&str]) {
        std::fs::write(self.root.join(format!("src/{name}.c")), source).unwrap();
        let file = format!("{name}.c");
        self.cc(&[flags, &[&file, "-o", name]].concat());
    }

    /// `detached` with its debug information in /usr/lib/debug, and `stale` with that of another program.
    fn strip(&self) {
        let debug = "../usr/lib/debug/src";
        self.command("objcopy", &["--only-keep-debug", "detached", &format!("{debug}/detached.debug")]);
        self.command(
            "objcopy",
            &["--strip-all", &format!("--add-gnu-debuglink={debug}/detached.debug"), "detached"],
        );
        std::fs::copy(self.root.join("src/detached"), self.root.join("src/stale")).unwrap();
        self.command("objcopy", &["--remove-section=.gnu_debuglink", "stale"]);
        std::fs::write(self.root.join("src/stale.debug"), "not what the link was made for").unwrap();
        self.command("objcopy", &["--add-gnu-debuglink=stale.debug", "stale"]);
        std::fs::copy(self.root.join("src/shop"), self.root.join("src/stale.debug")).unwrap();
    }

    fn cc(&self, arguments: &[&str]) {
        let map = format!("-ffile-prefix-map={}=", self.root.display());
        let mut all = vec![map.as_str()];
        all.extend(arguments);
        self.command("cc", &all);
    }

    fn command(&self, program: &str, arguments: &[&str]) {
        let status =
            Command::new(program).args(arguments).current_dir(self.root.join("src")).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    /// Where a path of this file system really is.
    fn real(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(below_root) => self.root.join(below_root),
            Err(_) => self.root.join("src").join(path),
        }
    }
}

/// Replaces what differs from compiler to compiler: build-ids, checksums and the number of functions.
pub fn hide_toolchain(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, replacement) in
        [(".build-id/", "<ID>"), ("; it has ", "<N>"), ("the debug file is ", "<CRC>"), ("expects ", "<CRC>")]
    {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(before) {
            let (head, tail) = rest.split_at(at + before.len());
            out += head;
            out += replacement;
            rest = tail.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '/');
        }
        text = out + rest;
    }
    text
}

/// Replaces numbers that depend on where the linker puts things.
pub fn hide_addresses(text: &str) -> String {
    let mut out = String::new();
    let mut number = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit()
            || (number == "0" && c == 'x')
            || (number.starts_with("0x") && c.is_ascii_hexdigit())
        {
            number.push(c);
            continue;
        }
        let value = match number.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).unwrap_or(0),
            None => number.parse().unwrap_or(0),
        };
        let looks_linked = (0x1000..0x10000).contains(&value) && value != 0x1000;
        out += if looks_linked { "<ADDR>" } else { &number };
        number.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

impl DebugFiles<'static> for World {
    fn read(&self, path: &Path) -> io::Result<&'static [u8]> {
        std::fs::read(self.real(path)).map(|bytes| self.keep(bytes))
    }

    fn keep(&self, bytes: Vec<u8>) -> &'static [u8] {
        Box::leak(bytes.into_boxed_slice())
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let real = self.real(path).canonicalize()?;
        let root = self.root.canonicalize()?;
        Ok(Path::new("/").join(real.strip_prefix(root).map_err(io::Error::other)?))
    }

    fn debug_roots(&self) -> Vec<PathBuf> {
        vec![DEBUG_ROOT.into()]
    }

    fn fetch(&self, _: &str) -> Option<Result<PathBuf, Unfetched>> {
        None
    }
}

impl Files<'static> for World {
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.real(directory))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        vec!["/usr/bin".into(), "/bin".into()]
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "fche" => Some(1001),
            _ => None,
        }
    }

    fn own_user_id(&self) -> u32 {
        1000
    }

    fn process_executable(&self, pid: u32) -> io::Result<PathBuf> {
        match pid {
            42 => Ok("/src/uselib".into()),
            1 => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn process_libraries(&self, pid: u32) -> io::Result<Vec<PathBuf>> {
        self.process_executable(pid).map(|program| vec![program, "/src/liblater.so".into()])
    }
}
