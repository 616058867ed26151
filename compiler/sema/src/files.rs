//! What pass 2 may ask of the world: files, users, running processes. The driver answers from the system, tests from
//! memory.

use std::io;
use std::path::{Path, PathBuf};

use rstap_debuginfo::sources::{DebugFiles, Unfetched};

/// The enumerator that has the value of `@const("…")`.
pub const CONSTANT: &str = "rstap_constant";

/// The world as pass 2 sees it. `'d` is how long file contents stay valid: the whole run.
pub trait Files<'d>: DebugFiles<'d> {
    /// Names in a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Directories of `$PATH`.
    fn search_path(&self) -> Vec<PathBuf>;

    /// User id of a name.
    fn user_id(&self, name: &str) -> Option<u32>;

    /// The real user id that rstap runs for.
    fn own_user_id(&self) -> u32;

    /// The executable of a running process, as a path that can be read from here.
    fn process_executable(&self, pid: u32) -> io::Result<PathBuf>;

    /// Files that a running process has mapped executable.
    fn process_libraries(&self, pid: u32) -> io::Result<Vec<PathBuf>>;

    /// A file whose debug information has the types of header files, `<a.h><b.h>`. The error says why there is none.
    fn headers(&self, _names: &str) -> Result<PathBuf, String> {
        Err("types of header files cannot be had here".to_owned())
    }

    /// A file whose debug information has an enumerator [`CONSTANT`] of the value of a C expression, as the headers of the
    /// machine have its names. The error says why there is none.
    fn constant(&self, _expression: &str) -> Result<PathBuf, String> {
        Err("constants of header files cannot be had here".to_owned())
    }

    /// Where a file can be read that the -x process knows by this absolute path, if its root is another one than ours.
    fn in_container(&self, _path: &Path) -> Option<PathBuf> {
        None
    }

    /// Names in a directory that the -x process knows by this absolute path, if its root is another one than ours.
    fn list_in_container(&self, _directory: &Path) -> Vec<String> {
        Vec::new()
    }
}

/// A world without files, users and processes: for scripts that probe none.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

fn absent<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::NotFound))
}

impl<'d> DebugFiles<'d> for NoFiles {
    fn read(&self, _: &Path) -> io::Result<&'d [u8]> {
        absent()
    }

    fn keep(&self, bytes: Vec<u8>) -> &'d [u8] {
        bytes.leak()
    }

    fn canonicalize(&self, _: &Path) -> io::Result<PathBuf> {
        absent()
    }

    fn debug_roots(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn fetch(&self, _: &str) -> Option<Result<PathBuf, Unfetched>> {
        None
    }
}

impl<'d> Files<'d> for NoFiles {
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        absent()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn user_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn own_user_id(&self) -> u32 {
        u32::MAX
    }

    fn process_executable(&self, _: u32) -> io::Result<PathBuf> {
        absent()
    }

    fn process_libraries(&self, _: u32) -> io::Result<Vec<PathBuf>> {
        absent()
    }
}
