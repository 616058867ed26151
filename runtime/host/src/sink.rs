//! Where output goes: standard output, or a file that others follow when a script asks for the next one
//! (`switch_file()`) or, with -S, when it is full.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys;

/// When to go on in another file, and how many to keep (-S).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of a file. Lines are not divided: a longer one has a file of its own.
    pub size: NonZeroU64,
    /// How many files are kept, the last ones; all if `None`.
    pub files: Option<NonZeroU64>,
}

/// Where output goes.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file.
    File(OutputFile),
}

/// A file for output, and those that follow it.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    /// As given: with `%…` of strftime(3), which are replaced when a file is made.
    name: PathBuf,
    /// The files that are kept, this one last.
    kept: VecDeque<PathBuf>,
    /// How many files there were before this one.
    number: u64,
    /// Bytes in this one.
    written: u64,
    rotation: Option<Rotation>,
}

impl Sink {
    /// A file that is open already.
    pub fn opened(file: File) -> Sink {
        let name = PathBuf::from("the given output");
        let kept = VecDeque::from([name.clone()]);
        Sink::File(OutputFile { file, name, kept, number: 0, written: 0, rotation: None })
    }

    /// Makes the file `path` (-o), or `path.0` if more will follow it.
    pub fn create(path: &Path, rotation: Option<Rotation>) -> io::Result<Sink> {
        let first = path_of(path, 0, rotation);
        let file = File::create(&first)?;
        let (name, kept) = (path.to_owned(), VecDeque::from([first]));
        Ok(Sink::File(OutputFile { file, name, kept, number: 0, written: 0, rotation }))
    }

    /// Writes all bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Sink::File(file) => file.write(bytes),
        }
    }

    /// Goes on in the next file: `NAME.1`, `NAME.2` and so on. Standard output has none.
    pub fn switch_file(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout => Ok(()),
            Sink::File(file) => file.switch(),
        }
    }

    /// For messages.
    pub fn name(&self) -> String {
        match self {
            Sink::Stdout => "standard output".to_owned(),
            Sink::File(file) => file.kept.back().unwrap_or(&file.name).display().to_string(),
        }
    }
}

impl OutputFile {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(size) = self.rotation.map(|rotation| rotation.size.get())
            && self.written + bytes.len() as u64 > size
        {
            let (now, later) = bytes.split_at(whole_lines(bytes, size.saturating_sub(self.written)));
            // What is left of the file is too short for the line; an empty file takes any.
            let (now, later) = match now.is_empty() && self.written == 0 {
                true => bytes.split_at(first_line(bytes)),
                false => (now, later),
            };
            self.append(now)?;
            bytes = later;
            if bytes.is_empty() {
                return Ok(());
            }
            self.switch()?;
        }
        self.append(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn switch(&mut self) -> io::Result<()> {
        self.number += 1;
        self.written = 0;
        let path = path_of(&self.name, self.number, self.rotation);
        self.file = File::create(&path)?;
        self.kept.push_back(path);
        let limit = self.rotation.and_then(|rotation| rotation.files).map_or(u64::MAX, NonZeroU64::get);
        while self.kept.len() as u64 > limit {
            // Somebody may have taken it away already.
            let _ = self.kept.pop_front().map(std::fs::remove_file);
        }
        // Only the last one is named in messages.
        if limit == u64::MAX {
            self.kept.drain(..self.kept.len() - 1);
        }
        Ok(())
    }
}

/// The first file has the name alone where no other need follow.
fn path_of(name: &Path, number: u64, rotation: Option<Rotation>) -> PathBuf {
    let mut path = dated(name).into_os_string();
    if number > 0 || rotation.is_some() {
        path.push(format!(".{number}"));
    }
    path.into()
}

/// A file's name with what `%` and a letter of strftime(3) stand for now.
pub fn dated(name: &Path) -> PathBuf {
    let bytes = name.as_os_str().as_bytes();
    match bytes.contains(&b'%').then(|| sys::format_time(bytes)).flatten() {
        Some(dated) => PathBuf::from(OsStr::from_bytes(&dated)),
        None => name.to_owned(),
    }
}

/// Length of the lines at the start of `bytes` that fit in `room`.
fn whole_lines(bytes: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
    bytes[..room].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

fn first_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in `out.0`, `out.1` and so on after these writes; `-` for a file that is not there.
    fn files(size: u64, kept: Option<u64>, writes: &[&str]) -> Vec<String> {
        let folder = std::env::temp_dir().join(format!("rstap-sink-{}-{writes:p}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        let (size, files) = (NonZeroU64::new(size).expect("a size"), kept.and_then(NonZeroU64::new));
        let mut sink = Sink::create(&folder.join("out"), Some(Rotation { size, files })).expect("a file");
        writes.iter().for_each(|text| sink.write(text.as_bytes()).expect("it is written"));
        let Sink::File(OutputFile { number, .. }) = sink else { unreachable!("it is one") };
        let read =
            |n| std::fs::read_to_string(folder.join(format!("out.{n}"))).unwrap_or_else(|_| "-".to_owned());
        let found = (0..=number).map(read).collect();
        std::fs::remove_dir_all(&folder).expect("it is removed");
        found
    }

    #[test]
    fn a_name_may_have_a_date() {
        let year = String::from_utf8(sys::format_time(b"%Y").expect("a year")).expect("digits");
        assert_eq!(dated(Path::new("/tmp/out-%Y%%.txt")), PathBuf::from(format!("/tmp/out-{year}%.txt")));
        assert_eq!(dated(Path::new("out")), PathBuf::from("out"));
        assert_eq!(path_of(Path::new("%Y"), 3, None), PathBuf::from(format!("{year}.3")));
    }

    #[test]
    fn files_follow_each_other_at_the_ends_of_lines() {
        assert_eq!(files(8, None, &["abc\n", "def\n"]), ["abc\ndef\n"]);
        assert_eq!(files(8, None, &["abc\n", "def\n", "g\n"]), ["abc\ndef\n", "g\n"]);
        assert_eq!(files(8, None, &["abc\ndef\nghi\njkl\nm\n"]), ["abc\ndef\n", "ghi\njkl\n", "m\n"]);
        let longer = files(8, None, &["abc\nlonger than a file\nx\n"]);
        assert_eq!(longer, ["abc\n", "longer than a file\n", "x\n"]);
        assert_eq!(files(8, None, &["no end of a line"]), ["no end of a line"]);
        assert_eq!(files(4, Some(2), &["abc\n", "def\n", "ghi\n", "jkl\n"]), ["-", "-", "ghi\n", "jkl\n"]);
    }
}
