//! Which file a path, a process or a mapping stands for: (device, inode), never the name alone.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Identity of a file as stat(2) gives it. The device in /proc/PID/maps is another one on overlayfs and btrfs: do not
/// compare with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of the file at a path, symbolic links followed.
    pub fn of_path(path: &Path) -> io::Result<FileId> {
        let data = std::fs::metadata(path)?;
        Ok(FileId { device: data.dev(), inode: data.ino() })
    }

    /// Of the file a process runs. The link in /proc leads to the file itself, whatever its name is by now and in
    /// whatever mount namespace it is.
    pub fn of_executable(pid: i32) -> io::Result<FileId> {
        FileId::of_path(Path::new(&format!("/proc/{pid}/exe")))
    }
}
