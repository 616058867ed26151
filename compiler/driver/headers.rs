//! Types that a script takes from header files, `@cast(p, "stat", "<sys/stat.h>")`: the machine's C compiler makes a
//! library of nothing but their debug information. So it does of the numbers, `@const("EINVAL")`. The only things that need
//! a compiler, and only in such scripts.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rstap_sema::files::CONSTANT;

/// Libraries that were made, in a folder that goes with this.
#[derive(Debug, Default)]
pub struct Headers {
    folder: Option<PathBuf>,
    made: HashMap<String, Result<PathBuf, String>>,
}

impl Headers {
    /// The library with the types of `names`: `<stdio.h>`, or several, `<stdio.h><time.h>`. The error says why there is
    /// none.
    pub fn library(&mut self, names: &str) -> Result<PathBuf, String> {
        if let Some(made) = self.made.get(names) {
            return made.clone();
        }
        let made = self.make(names);
        self.made.insert(names.to_owned(), made.clone());
        made
    }

    /// The library whose enumerator [`CONSTANT`] has the value of a C expression.
    pub fn constant(&mut self, expression: &str) -> Result<PathBuf, String> {
        if let Some(made) = self.made.get(expression) {
            return made.clone();
        }
        // Of a library with the types of this name there is no other: those are headers.
        let library = format!("const{}", self.made.len());
        let ours = format!("enumerator value for '{CONSTANT}'");
        let made = self
            .compile(&constant_source(expression), &library)
            .map_err(|error| error.replace(&ours, "the expression"));
        self.made.insert(expression.to_owned(), made.clone());
        made
    }

    fn make(&mut self, names: &str) -> Result<PathBuf, String> {
        let source =
            source(names).ok_or_else(|| "expected header files, as in \"<sys/stat.h>\"".to_owned())?;
        // Messages show the name.
        self.compile(&source, &names.replace('/', ":"))
    }

    fn compile(&mut self, source: &str, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder().map_err(|error| format!("no folder for what is compiled: {error}"))?;
        let library = folder.join(format!("{name}.so"));
        match compile(source, &library) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err("what header files say needs a C compiler, and there is no `cc`; name a program or library that \
                     uses the type, or write the number itself"
                    .to_owned())
            }
            Err(error) => Err(format!("cc cannot be run: {error}")),
            Ok(output) if output.status.success() => Ok(library),
            Ok(output) => Err(first_error(&String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn folder(&mut self) -> io::Result<PathBuf> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let folder = new_folder(&std::env::temp_dir())?;
        Ok(self.folder.insert(folder).clone())
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// A folder that nobody else writes to.
fn new_folder(parent: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let mut number = 0;
    loop {
        let folder = parent.join(format!("rstap-headers-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            done => return done.map(|()| folder),
        }
    }
}

/// A C text that includes these headers.
fn source(names: &str) -> Option<String> {
    let mut text = String::new();
    for name in names.strip_suffix('>')?.split('>') {
        let name =
            name.strip_prefix('<').filter(|name| !name.is_empty() && !name.contains(['<', '"', '\n']))?;
        text.push_str(&format!("#include <{name}>\n"));
    }
    Some(text)
}

/// Where the constants of @const are looked for: the headers of POSIX and Linux that define those of system calls. One
/// that a machine has not is left out.
const CONSTANT_HEADERS: &[&str] = &[
    "dirent.h",
    "elf.h",
    "errno.h",
    "fcntl.h",
    "limits.h",
    "linux/futex.h",
    "netdb.h",
    "netinet/in.h",
    "netinet/tcp.h",
    "poll.h",
    "pthread.h",
    "sched.h",
    "signal.h",
    "stddef.h",
    "stdint.h",
    "stdio.h",
    "stdlib.h",
    "sys/epoll.h",
    "sys/file.h",
    "sys/ioctl.h",
    "sys/mman.h",
    "sys/prctl.h",
    "sys/ptrace.h",
    "sys/resource.h",
    "sys/socket.h",
    "sys/stat.h",
    "sys/syscall.h",
    "sys/time.h",
    "sys/un.h",
    "sys/wait.h",
    "termios.h",
    "time.h",
    "unistd.h",
];

fn constant_source(expression: &str) -> String {
    let mut text = "#define _GNU_SOURCE\n".to_owned();
    for name in CONSTANT_HEADERS {
        text.push_str(&format!("#if __has_include(<{name}>)\n#include <{name}>\n#endif\n"));
    }
    text.push_str(&format!("enum {{ {CONSTANT} = ({expression}) }};\n"));
    text
}

fn compile(source: &str, library: &Path) -> io::Result<Output> {
    let mut cc = Command::new("cc");
    // Types that nothing uses are what is wanted.
    cc.args([
        "-g",
        "-gno-split-dwarf",
        "-fno-eliminate-unused-debug-types",
        "-shared",
        "-fPIC",
        "-nostdlib",
        "-x",
        "c",
        "-",
    ]);
    cc.arg("-o").arg(library).env("LC_ALL", "C");
    let mut child = cc.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A compiler that does not read says why itself.
        let _ = stdin.write_all(source.as_bytes());
    }
    child.wait_with_output()
}

/// What the compiler says first that is an error: `<stdin>:1:10: fatal error: x.h: No such file or directory`.
fn first_error(output: &str) -> String {
    let errors = output.lines().filter_map(|line| line.split_once("error: "));
    let said = errors.map(|(_, error)| error).next().or(output.lines().next());
    format!("cc says: {}", said.unwrap_or("nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_named_in_angle_brackets() {
        assert_eq!(source("<a.h>").as_deref(), Some("#include <a.h>\n"));
        assert_eq!(source("<sys/a.h><b.h>").as_deref(), Some("#include <sys/a.h>\n#include <b.h>\n"));
        for wrong in ["", "<", ">", "<>", "a.h", "<a.h", "<a.h>b", "<a.h> <b.h>", "<a\n.h>", "kernel<a.h>"] {
            assert_eq!(source(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_folder_goes_with_the_headers() {
        let mut headers = Headers::default();
        let folder = headers.folder().expect("a folder");
        assert!(folder.is_dir() && headers.folder().expect("the same") == folder);
        drop(headers);
        assert!(!folder.exists());
    }

    #[test]
    fn the_first_error_counts() {
        assert_eq!(
            first_error("In file x:\n<stdin>:1:1: fatal error: no.h: No such file\nmore error: y\n"),
            "cc says: no.h: No such file"
        );
        assert_eq!(first_error("cc: what?\n"), "cc says: cc: what?");
    }
}
