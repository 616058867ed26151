//! What wakes the writer thread, and what threads that must not wait for a reader have to say on standard error: a
//! tracer that waited for a terminal would hold its targets. Their lines go the way of the handlers' output.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes of lines that nobody has read.
const MOST: usize = 1 << 20;

/// Says lines that the writer thread writes.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    asleep: AtomicBool,
    rung: Mutex<bool>,
    ring: Condvar,
    lines: Mutex<Vec<u8>>,
    lost: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Notes {
    /// Adds a line. Beyond what fits it is lost, and counted.
    pub fn say(&self, line: std::fmt::Arguments<'_>) {
        let line = format!("{line}\n");
        let mut lines = lock(&self.0.lines);
        if lines.len() + line.len() > MOST {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        lines.extend(line.into_bytes());
        drop(lines);
        self.wake();
    }

    /// The lines that have been said since it was last asked.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.0.lines))
    }

    /// Lines that found no room.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Wakes the writer if it sleeps.
    pub fn wake(&self) {
        if self.0.asleep.load(Ordering::SeqCst) && self.0.asleep.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Wakes the writer in any case.
    pub fn ring(&self) {
        *lock(&self.0.rung) = true;
        self.0.ring.notify_one();
    }

    /// The writer waits until it is rung, at most this long.
    pub fn wait(&self, most: Duration) {
        let rung = lock(&self.0.rung);
        let waited = self.0.ring.wait_timeout_while(rung, most, |rung| !*rung);
        *waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0 = false;
    }

    /// The writer goes to sleep: from now on it is to be woken. What was said before is for `look` to find, which says
    /// how long to sleep.
    pub fn sleep(&self, look: impl FnOnce() -> Duration) {
        self.0.asleep.store(true, Ordering::SeqCst);
        let most = look();
        self.wait(most);
        self.0.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_as_far_as_they_fit() {
        let notes = Notes::default();
        let line = "x".repeat(1023);
        for _ in 0..1025 {
            notes.say(format_args!("{line}"));
        }
        assert_eq!((notes.take().len(), notes.lost()), (1 << 20, 1));
        notes.say(format_args!("again"));
        assert_eq!(notes.take(), b"again\n");
    }

    #[test]
    fn a_line_wakes_a_writer_that_sleeps() {
        let notes = Notes::default();
        let writer = notes.clone();
        // It would sleep for longer than any test takes.
        let thread = std::thread::spawn(move || {
            while writer.take().is_empty() {
                let is_empty = || lock(&writer.0.lines).is_empty();
                writer.sleep(|| Duration::from_secs(if is_empty() { 3600 } else { 0 }));
            }
        });
        notes.say(format_args!("now"));
        thread.join().unwrap();
    }
}
