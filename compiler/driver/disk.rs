//! The world as pass 2 sees it, answered from the system: files are mapped, users looked up, `/proc` read.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, UncheckedAdvice};
use rstap_debuginfo::sources::{DEBUG_ROOT, DebugFiles, Release, Unfetched};
use rstap_sema::files::Files;

use crate::debuginfod::Client;
use crate::headers::Headers;

/// Keeps everything that was read alive as long as itself: an append-only list, so that a reference into an early
/// element stays valid while later ones are added.
#[derive(Default)]
pub struct Store {
    first: OnceCell<Box<Node>>,
}

struct Node {
    contents: Contents,
    next: OnceCell<Box<Node>>,
}

enum Contents {
    Mapped(Arc<Mmap>),
    Read(Vec<u8>),
}

impl Store {
    fn add(&self, contents: Contents) -> &[u8] {
        let mut slot = &self.first;
        while let Some(node) = slot.get() {
            slot = &node.next;
        }
        match &slot.get_or_init(|| Box::new(Node { contents, next: OnceCell::new() })).contents {
            Contents::Mapped(map) => map,
            Contents::Read(bytes) => bytes,
        }
    }

    /// Everything that is mapped so far.
    fn mapped(&self) -> Vec<Arc<Mmap>> {
        let nodes = std::iter::successors(self.first.get(), |node| node.next.get()).map(|node| &**node);
        let map = |node: &Node| match &node.contents {
            Contents::Mapped(map) => Some(Arc::clone(map)),
            Contents::Read(_) => None,
        };
        nodes.filter_map(map).collect()
    }
}

/// Files smaller than this are read, not mapped: cheaper, and safe when somebody truncates them meanwhile.
const MAP_FROM_BYTES: u64 = 64 * 1024;

/// [`Files`] on this machine.
pub struct Disk<'d> {
    store: &'d Store,
    seen: RefCell<HashMap<PathBuf, &'d [u8]>>,
    debug_roots: Vec<PathBuf>,
    debuginfod: Client,
    /// The root of the -x process, if it is another one than ours.
    container: Option<PathBuf>,
    headers: RefCell<Headers>,
}

impl<'d> Disk<'d> {
    /// What is read lives in `store`. Debug files are looked for in `debug_roots` too, before the usual place, and asked
    /// of `debuginfod` last. Paths are those of `target` first.
    pub fn new(
        store: &'d Store,
        debug_roots: &[PathBuf],
        debuginfod: Client,
        target: Option<u32>,
    ) -> Disk<'d> {
        let debug_roots = [debug_roots, &[DEBUG_ROOT.into()]].concat();
        let root = target.map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        let container = root.filter(|root| id(root).is_some_and(|theirs| Some(theirs) != id(Path::new("/"))));
        Disk {
            store,
            seen: RefCell::default(),
            debug_roots,
            debuginfod,
            container,
            headers: RefCell::default(),
        }
    }

    fn load(&self, path: &Path) -> io::Result<&'d [u8]> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if !metadata.is_file() || metadata.len() < MAP_FROM_BYTES {
            return Ok(self.store.add(Contents::Read(fs::read(path)?)));
        }
        // SAFETY: the mapping is private and read-only. The bytes are foreign and treated as such: no reader assumes
        // that they are valid ELF or that two reads agree. A file that shrinks meanwhile ends this run by SIGBUS,
        // before any probe is in.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(self.store.add(Contents::Mapped(Arc::new(map))))
    }
}

impl<'d> DebugFiles<'d> for Disk<'d> {
    fn read(&self, path: &Path) -> io::Result<&'d [u8]> {
        if let Some(bytes) = self.seen.borrow().get(path) {
            return Ok(bytes);
        }
        let bytes = self.load(path)?;
        self.seen.borrow_mut().insert(path.to_owned(), bytes);
        Ok(bytes)
    }

    fn keep(&self, bytes: Vec<u8>) -> &'d [u8] {
        self.store.add(Contents::Read(bytes))
    }

    fn release(&self) -> Option<Release> {
        let mapped = self.store.mapped();
        Some(Arc::new(move || {
            for map in &mapped {
                // SAFETY: the mapping is of a file, and nothing is ever written to it: what is given back is read from
                // the file again. Where this fails nothing is given back.
                let _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
            }
        }))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn debug_roots(&self) -> Vec<PathBuf> {
        self.debug_roots.clone()
    }

    fn fetch(&self, build_id: &str) -> Option<Result<PathBuf, Unfetched>> {
        self.debuginfod.find(build_id)
    }
}

impl<'d> Files<'d> for Disk<'d> {
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
    }

    fn own_user_id(&self) -> u32 {
        nix::unistd::getuid().as_raw()
    }

    fn process_executable(&self, pid: u32) -> io::Result<PathBuf> {
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let target = fs::read_link(&link)?;
        fs::metadata(&link)?;
        Ok(where_it_is(pid, &target, link))
    }

    fn process_libraries(&self, pid: u32) -> io::Result<Vec<PathBuf>> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let executable = maps.lines().filter_map(executable_path);
        let mut paths: Vec<PathBuf> = executable
            .map(|(range, path)| where_it_is(pid, &path, format!("/proc/{pid}/map_files/{range}").into()))
            .collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    fn headers(&self, names: &str) -> Result<PathBuf, String> {
        self.headers.borrow_mut().library(names)
    }

    fn constant(&self, expression: &str) -> Result<PathBuf, String> {
        self.headers.borrow_mut().constant(expression)
    }

    fn in_container(&self, path: &Path) -> Option<PathBuf> {
        let found = resolve_under(self.container.as_ref()?, path)?;
        found.is_file().then_some(found)
    }

    fn list_in_container(&self, directory: &Path) -> Vec<String> {
        let found = self.container.as_ref().and_then(|root| resolve_under(root, directory));
        found.and_then(|directory| self.list(&directory).ok()).unwrap_or_default()
    }
}

/// Device and inode.
fn id(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Where an absolute path leads for somebody whose root is `root`: symbolic links stay under it.
fn resolve_under(root: &Path, path: &Path) -> Option<PathBuf> {
    /// As in the kernel.
    const MOST_LINKS: usize = 40;
    let names =
        |path: &Path| path.components().rev().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut rest = names(path);
    let (mut inside, mut links) = (PathBuf::new(), 0);
    while let Some(name) = rest.pop() {
        if name == "/" {
            inside.clear();
        } else if name == ".." {
            inside.pop();
        } else if name != "." {
            inside.push(name);
            if let Ok(link) = fs::read_link(root.join(&inside)) {
                inside.pop();
                rest.extend(names(&link));
                links += 1;
            }
        }
        if links > MOST_LINKS {
            return None;
        }
    }
    (path.is_absolute()).then(|| root.join(inside))
}

/// Where a file can be read that a process knows as `path` and that `link` of its /proc entry leads to. In another mount
/// namespace the path is that of another file, and so it is when the file was replaced; when it was deleted, of none.
fn where_it_is(pid: u32, path: &Path, link: PathBuf) -> PathBuf {
    let inside = Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path));
    match id(&link) {
        Some(own) if id(path) == Some(own) => path.to_owned(),
        Some(own) if id(&inside) == Some(own) => inside,
        Some(_) => link,
        // Not everybody may follow the links of mappings.
        None if id(path) == id(&inside) => path.to_owned(),
        None => inside,
    }
}

/// Range and file of an executable mapping: `START-END r-xp OFFSET DEV INODE   PATH` (proc_pid_maps(5)).
fn executable_path(line: &str) -> Option<(&str, PathBuf)> {
    let mut fields = line.splitn(6, ' ');
    let (range, permissions) = (fields.next()?, fields.next()?);
    let path = fields.nth(3)?.trim_start();
    (permissions.contains('x') && path.starts_with('/')).then(|| (range, path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_container_lead_inside_it() {
        let root = std::env::temp_dir().join(format!("rstap-root-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/program-1"), "").unwrap();
        for (link, to) in
            [("bin", "/usr/bin"), ("usr/bin/program", "../../../../bin/program-1"), ("usr/loop", "loop")]
        {
            std::os::unix::fs::symlink(to, root.join(link)).unwrap();
        }
        let found = |path: &str| resolve_under(&root, Path::new(path));
        assert_eq!(found("/bin/./program"), Some(root.join("usr/bin/program-1")));
        assert_eq!((found("/usr/loop"), found("bin/program")), (None, None));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn contents_stay_valid_while_more_is_read() {
        let store = Store::default();
        let disk = Disk::new(&store, &[], Client::default(), None);
        let first = disk.read(Path::new("/proc/self/status")).unwrap();
        let copy = first.to_vec();
        for _ in 0..10 {
            disk.load(Path::new("/proc/self/maps")).unwrap();
        }
        assert_eq!(first, copy);
    }

    #[test]
    fn only_executable_mappings_of_files_are_libraries() {
        let line = "7f0000-7f1000 r-xp 00000000 fe:00 12 /usr/lib/a b.so";
        assert_eq!(executable_path(line), Some(("7f0000-7f1000", "/usr/lib/a b.so".into())));
        assert_eq!(executable_path("7f0000-7f1000 r--p 00000000 fe:00 12 /usr/lib/x.so"), None);
        assert_eq!(executable_path("7f0000-7f1000 r-xp 00000000 00:00 0 [vdso]"), None);
    }

    #[test]
    fn a_directory_is_not_read() {
        let store = Store::default();
        assert_eq!(
            Disk::new(&store, &[], Client::default(), None).read(Path::new("/")).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
    }
}
