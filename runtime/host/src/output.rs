//! The consumer of the output ring: handlers' output to standard output or the -o file, warnings and faults to
//! standard error in SystemTap's words.
//!
//! Two steps, so that nobody waits for a slow reader: records are taken out of the ring into memory (by the writer
//! thread, or by a handler's thread that finds the ring full), and the writer thread writes them. It looks at most
//! every [`PERIOD`] while there is something, and sleeps otherwise; a handler that finds it asleep wakes it.
//!
//! A reader that stops reading (^S, a full pipe) costs memory first: [`MOST_PENDING`] bytes. Then each handler that
//! has something to say waits at most [`LONGEST_WAIT`] once, or as long as MAXOUTPUTWAIT says; after that output is
//! dropped and counted until the reader goes on.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rstap_abi::record::{NO_SITE, RecordKind};
use rstap_core::image::Image;
use rstap_core::output::{self, Consumer, Record};
use rstap_program::Program;

use crate::notes::Notes;
use crate::sink::Sink;

/// Time between two looks at the ring.
pub const PERIOD: Duration = Duration::from_millis(5);
/// Output that is kept in memory while the reader does not read.
pub const MOST_PENDING: usize = 64 << 20;
/// Output of speculations that are neither committed nor discarded yet.
pub const MOST_SPECULATED: usize = 16 << 20;
/// How long a handler waits for such a reader.
pub const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {to}: {error}")]
pub struct OutputError {
    /// The file, or `standard output`.
    pub to: String,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// Something to be written, in order.
enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
    System(Vec<u8>),
    NextFile,
}

/// What was taken out of the ring and not written yet.
struct Taken<'a> {
    consumer: Consumer<'a>,
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    bytes: usize,
    warned: HashSet<Vec<u8>>,
    speculations: HashMap<u64, Vec<u8>>,
}

/// The consumer.
pub struct Output<'a> {
    program: &'a Program,
    image: Image<'a>,
    taken: Mutex<Taken<'a>>,
    written: Condvar,
    notes: Notes,
    finished: AtomicBool,
    stalled: AtomicBool,
    hurried: AtomicBool,
    lost: AtomicU64,
    waited_us: AtomicU64,
    failure: Mutex<Option<OutputError>>,
    failed: AtomicBool,
    /// Run-time errors are counted and not told (--suppress-handler-errors).
    pub silent_errors: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<'a> Output<'a> {
    /// Of a ring of this many words, which handlers of `image` write.
    pub fn new(
        program: &'a Program,
        image: Image<'a>,
        consumer: Consumer<'a>,
        ring_words: u64,
    ) -> Output<'a> {
        let taken = Taken {
            consumer,
            buffer: vec![0; ring_words as usize * 8],
            pieces: Vec::new(),
            bytes: 0,
            warned: HashSet::new(),
            speculations: HashMap::new(),
        };
        Output {
            program,
            image,
            taken: Mutex::new(taken),
            written: Condvar::new(),
            notes: Notes::default(),
            finished: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
            silent_errors: false,
        }
    }

    /// A record is in the ring: wakes the writer if it sleeps.
    pub fn nudge(&self) {
        self.notes.wake();
    }

    /// What says lines on standard error, for threads that must not wait for a reader.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// A handler found the ring full. `true`: there is room now.
    pub fn make_room(&self, is_alive: impl Fn(u32) -> bool) -> bool {
        let mut taken = lock(&self.taken);
        if taken.bytes > MOST_PENDING && !self.failed.load(Ordering::Relaxed) {
            if self.stalled.load(Ordering::Relaxed) {
                return false;
            }
            let begin = Instant::now();
            let most = LONGEST_WAIT.max(Duration::from_millis(self.program.limits.max_output_wait_ms));
            let is_full = |taken: &mut Taken<'_>| taken.bytes > MOST_PENDING;
            let is_worth_it = |begin: Instant| {
                begin.elapsed() < if self.hurried.load(Ordering::Relaxed) { LONGEST_WAIT } else { most }
            };
            while is_full(&mut taken) && is_worth_it(begin) {
                let left = LONGEST_WAIT.min(most.saturating_sub(begin.elapsed()));
                let waited = self.written.wait_timeout_while(taken, left, is_full);
                taken = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            }
            self.waited_us.fetch_add(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
            if taken.bytes > MOST_PENDING {
                self.stalled.store(true, Ordering::Relaxed);
                return false;
            }
        }
        self.take(&mut taken, is_alive);
        drop(taken);
        self.nudge();
        true
    }

    /// Moves records from the ring to memory, as many as may be kept there; whether there were any.
    fn take(&self, taken: &mut Taken<'_>, is_alive: impl Fn(u32) -> bool) -> bool {
        let Taken { consumer, buffer, pieces, bytes, warned, speculations } = taken;
        let lines = self.notes.take();
        if !lines.is_empty() {
            *bytes += lines.len();
            pieces.push(Piece::Err(lines));
        }
        let silent_errors = self.silent_errors;
        let mut sorter = Sorter { program: self.program, silent_errors, pieces, bytes, warned, speculations };
        let drained = consumer.drain(buffer, is_alive, |record| {
            match record.kind {
                RecordKind::Formatted => sorter.formatted(&self.image, record.payload),
                _ => sorter.take(record),
            }
            *sorter.bytes <= MOST_PENDING
        });
        self.lost.fetch_add(drained.lost, Ordering::Relaxed);
        drained.records > 0
    }

    /// The writer thread: writes until [`Output::finish`]. `failed` is called once if output cannot be written.
    pub fn run(&self, mut sink: Sink, is_alive: impl Fn(u32) -> bool, failed: impl Fn()) {
        let mut children = Vec::new();
        loop {
            let finished = self.finished.load(Ordering::Acquire);
            let (pieces, bytes) = {
                let mut taken = lock(&self.taken);
                self.take(&mut taken, &is_alive);
                (std::mem::take(&mut taken.pieces), taken.bytes)
            };
            let idle = pieces.is_empty();
            if let Err(error) = self.write(&mut sink, pieces, &mut children)
                && !self.failed.swap(true, Ordering::Relaxed)
            {
                *lock(&self.failure) = Some(OutputError { to: sink.name(), error });
                failed();
            }
            lock(&self.taken).bytes -= bytes;
            self.stalled.store(false, Ordering::Relaxed);
            self.written.notify_all();
            if finished && idle {
                break;
            }
            self.pause(idle, &is_alive);
        }
        for mut child in children {
            let _ = child.wait();
        }
    }

    /// Waits: for the period, or if there was nothing for a nudge.
    fn pause(&self, idle: bool, is_alive: &impl Fn(u32) -> bool) {
        if !idle || self.finished.load(Ordering::Acquire) {
            return self.notes.wait(PERIOD);
        }
        self.notes.sleep(|| {
            // What was pushed before the flag was set is found by this look; what comes later nudges.
            let mut taken = lock(&self.taken);
            let is_empty = !self.take(&mut taken, is_alive) && taken.pieces.is_empty();
            // Once a second in any case: a producer that died is only noticed by looking.
            if is_empty { Duration::from_secs(1) } else { PERIOD }
        });
    }

    fn write(&self, sink: &mut Sink, pieces: Vec<Piece>, children: &mut Vec<Child>) -> io::Result<()> {
        let mut result = Ok(());
        for piece in pieces {
            match piece {
                Piece::Out(bytes) => {
                    if result.is_ok() && !self.failed.load(Ordering::Relaxed) {
                        result = sink.write(&bytes);
                    }
                }
                // Nobody is left to be told about a closed standard error.
                Piece::Err(bytes) => drop(io::stderr().write_all(&bytes)),
                Piece::NextFile => {
                    if result.is_ok() {
                        result = sink.switch_file();
                    }
                }
                Piece::System(command) => {
                    children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
                    children.extend(shell(&command));
                }
            }
        }
        result
    }

    /// Adds output of rstap's own behind all that handlers have printed so far.
    pub fn say(&self, bytes: Vec<u8>, is_alive: impl Fn(u32) -> bool) {
        let mut taken = lock(&self.taken);
        self.take(&mut taken, is_alive);
        taken.pieces.push(Piece::Out(bytes));
    }

    /// Whether handlers are to wait no longer than a moment, because threads of targets wait for them.
    pub fn hurry(&self, hurried: bool) {
        self.hurried.store(hurried, Ordering::Relaxed);
    }

    /// Microseconds that handlers have waited for the reader.
    pub fn waited_us(&self) -> u64 {
        self.waited_us.load(Ordering::Relaxed)
    }

    /// Ends the writer thread after all that is in the ring is written.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.notes.ring();
    }

    /// Records lost because their producer died, and lines because nobody read them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.notes.lost()
    }

    /// What went wrong with writing, if anything did.
    pub fn failure(&self) -> Option<OutputError> {
        lock(&self.failure).take()
    }
}

fn shell(command: &[u8]) -> Option<Child> {
    use std::os::unix::ffi::OsStrExt;
    let command = std::ffi::OsStr::from_bytes(command);
    match Command::new("/bin/sh").arg("-c").arg(command).stdin(Stdio::null()).spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            eprintln!("WARNING: system(\"{}\"): {error}", command.to_string_lossy());
            None
        }
    }
}

/// Puts records where they belong.
struct Sorter<'t> {
    program: &'t Program,
    silent_errors: bool,
    pieces: &'t mut Vec<Piece>,
    bytes: &'t mut usize,
    warned: &'t mut HashSet<Vec<u8>>,
    speculations: &'t mut HashMap<u64, Vec<u8>>,
}

impl Sorter<'_> {
    fn take(&mut self, record: Record<'_>) {
        let payload = record.payload;
        match record.kind {
            RecordKind::Output => self.out(payload),
            RecordKind::Log => {
                self.out(payload);
                if !payload.ends_with(b"\n") {
                    self.out(b"\n");
                }
            }
            RecordKind::Warning => self.warn(payload),
            RecordKind::Fault if self.silent_errors => {}
            RecordKind::Fault => {
                if let Some(line) = fault_line(self.program, payload) {
                    self.err(line);
                }
            }
            RecordKind::SwitchFile => self.pieces.push(Piece::NextFile),
            RecordKind::System => self.pieces.push(Piece::System(payload.to_vec())),
            RecordKind::Speculated => {
                if let Some((number, bytes)) = output::parse_speculation(payload) {
                    self.speculate(number, bytes);
                }
            }
            RecordKind::Commit => {
                let number = output::parse_speculation(payload).map(|(number, _)| number);
                if let Some(bytes) = number.and_then(|number| self.speculations.remove(&number)) {
                    self.out(&bytes);
                }
            }
            RecordKind::Discard => {
                if let Some((number, _)) = output::parse_speculation(payload) {
                    self.speculations.remove(&number);
                }
            }
            // Formatted ones need the image (`Sorter::formatted`).
            RecordKind::Padding | RecordKind::Formatted => {}
        }
    }

    fn out(&mut self, bytes: &[u8]) {
        *self.bytes += bytes.len();
        self.text().extend_from_slice(bytes);
    }

    /// Text for standard output or the file, behind what there is.
    fn text(&mut self) -> &mut Vec<u8> {
        if !matches!(self.pieces.last(), Some(Piece::Out(_))) {
            self.pieces.push(Piece::Out(Vec::new()));
        }
        match self.pieces.last_mut() {
            Some(Piece::Out(text)) => text,
            _ => unreachable!("it was just made"),
        }
    }

    fn formatted(&mut self, image: &Image<'_>, payload: &[u8]) {
        let text = self.text();
        let before = text.len();
        output::put_formatted(image, payload, |bytes| text.extend_from_slice(bytes));
        let more = text.len() - before;
        *self.bytes += more;
    }

    fn err(&mut self, line: Vec<u8>) {
        *self.bytes += line.len();
        self.pieces.push(Piece::Err(line));
    }

    /// Keeps a speculation's bytes, of all speculations together as many as fit; what does not fit is dropped whole, so
    /// that a script which never commits nor discards uses up its own output and not the machine's memory.
    fn speculate(&mut self, number: u64, bytes: &[u8]) {
        let kept: usize = self.speculations.values().map(Vec::len).sum();
        if kept + bytes.len() > MOST_SPECULATED {
            return self.warn(b"speculations are full: commit or discard them; output was dropped");
        }
        self.speculations.entry(number).or_default().extend_from_slice(bytes);
    }

    /// A warning is told once.
    fn warn(&mut self, text: &[u8]) {
        const MOST_REMEMBERED: usize = 4096;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if self.warned.contains(text) {
            return;
        }
        if self.warned.len() < MOST_REMEMBERED {
            self.warned.insert(text.to_vec());
        }
        self.err([b"WARNING: ", text, b"\n"].concat());
    }
}

/// `ERROR: TEXT near TOKEN at PLACE (called from TOKEN at PLACE) in probe PP`; without a place only the text.
fn fault_line(program: &Program, payload: &[u8]) -> Option<Vec<u8>> {
    let (record, callers, text) = output::parse_fault(payload)?;
    let mut line = [b"ERROR: ", text].concat();
    let site = |number: u32| (number != NO_SITE).then(|| program.sites.get(number as usize)).flatten();
    if let Some(site) = site(record.site) {
        line.extend(format!(" near {} at {}", site.token, site.place).bytes());
    }
    let mut last = None;
    for caller in callers.filter_map(site) {
        // A recursion is told once.
        if last.replace(caller) == Some(caller) {
            continue;
        }
        line.extend(format!(" (called from {} at {})", caller.token, caller.place).bytes());
    }
    if site(record.site).is_some()
        && let Some(probe) = program.probes.get(record.probe as usize)
    {
        line.extend(format!(" in probe {}", probe.pp).bytes());
    }
    line.push(b'\n');
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstap_program::{Point, Probe, Site};

    fn fault(site: u32, callers: &[u32]) -> Vec<u8> {
        let head = [rstap_abi::fault::Fault::Raised as u32, site, 0, callers.len() as u32];
        let words = [&head, callers].concat();
        let mut payload: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        payload.extend(b"boom");
        payload
    }

    #[test]
    fn faults_are_worded_with_their_place() {
        let program = Program {
            probes: vec![Probe { point: Point::Never, pp: "begin".into(), entry: None, entry_bytes: 0 }],
            sites: vec![Site { token: "identifier 'error'".into(), place: "a.stp:2:30".into() }],
            ..Program::default()
        };
        let line = |site, callers: &[u32]| {
            String::from_utf8(fault_line(&program, &fault(site, callers)).expect("a fault")).expect("text")
        };
        assert_eq!(line(0, &[]), "ERROR: boom near identifier 'error' at a.stp:2:30 in probe begin\n");
        assert_eq!(
            line(0, &[7, 0, 0]),
            "ERROR: boom near identifier 'error' at a.stp:2:30 \
             (called from identifier 'error' at a.stp:2:30) in probe begin\n"
        );
        assert_eq!(line(NO_SITE, &[]), "ERROR: boom\n");
        assert_eq!(line(7, &[]), "ERROR: boom\n");
        assert_eq!(fault_line(&program, b"short"), None);
    }

    #[test]
    fn records_go_where_they_belong() {
        let program = Program::default();
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        let (mut warned, mut speculations) = (HashSet::new(), HashMap::new());
        let mut sorter = Sorter {
            program: &program,
            silent_errors: false,
            pieces: &mut pieces,
            bytes: &mut bytes,
            warned: &mut warned,
            speculations: &mut speculations,
        };
        let numbered = |n: u64, text: &[u8]| [&n.to_le_bytes()[..], text].concat();
        let records = [
            (RecordKind::Output, b"a".to_vec()),
            (RecordKind::Speculated, numbered(1, b"kept ")),
            (RecordKind::Speculated, numbered(2, b"dropped")),
            (RecordKind::Log, b"b".to_vec()),
            (RecordKind::Discard, numbered(2, b"")),
            (RecordKind::Commit, numbered(1, b"")),
            (RecordKind::Warning, b"careful\n".to_vec()),
            (RecordKind::Warning, b"careful".to_vec()),
        ];
        for (kind, payload) in &records {
            sorter.take(Record { kind: *kind, seq: 0, payload });
        }
        let text = |piece: &Piece| match piece {
            Piece::Out(b) => format!("out {}", String::from_utf8_lossy(b)),
            Piece::Err(b) => format!("err {}", String::from_utf8_lossy(b)),
            Piece::System(b) => format!("system {}", String::from_utf8_lossy(b)),
            Piece::NextFile => "next file".to_owned(),
        };
        let all: Vec<String> = pieces.iter().map(text).collect();
        assert_eq!(all, ["out ab\nkept ", "err WARNING: careful\n"]);
    }
}
