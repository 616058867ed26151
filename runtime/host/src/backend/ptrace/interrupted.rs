//! Hits whose handlers have run but whose instruction has not: a signal came between, and the thread will meet the
//! breakpoint once more, for the same hit. Pure bookkeeping; knows nothing of ptrace.
//!
//! A signal handler may meet breakpoints of its own before it returns, at other addresses or, one call deeper, at the same
//! one; it may be interrupted itself; and it may never return (siglongjmp). So each such hit is a mark, and a mark counts
//! only once the thread is on its way back to it: when no handler runs for the signal, or `rt_sigreturn` restores the very
//! instruction and stack pointer. As long as there are marks, the thread's system calls are watched for that.

/// Where a thread is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The breakpoint.
    pub address: u64,
    /// The stack pointer.
    pub rsp: u64,
}

/// One interrupted hit.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: Place,
    /// Nothing but the thread's next instructions is between it and the breakpoint.
    is_next: bool,
}

/// The interrupted hits of a thread, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Interrupted {
    marks: Vec<Mark>,
    system_calls: u32,
}

/// Most marks; the oldest goes. Deeper nesting of signals is a program's mistake.
const MOST: usize = 16;
/// System calls after which a handler is taken to have left by siglongjmp: watching them costs two stops each.
const MOST_SYSTEM_CALLS: u32 = 1000;

impl Interrupted {
    /// A thread will meet this breakpoint again before it does anything else.
    pub fn note(&mut self, place: Place) {
        self.marks.retain(|mark| mark.place != place);
        if self.marks.len() == MOST {
            self.marks.remove(0);
        }
        self.marks.push(Mark { place, is_next: true });
        self.system_calls = 0;
    }

    /// A handler of the program is about to run for a thread that is here.
    pub fn enter_handler(&mut self, place: Place) {
        if self.resume(place) {
            self.marks.push(Mark { place, is_next: false });
        }
    }

    /// `rt_sigreturn` goes here.
    pub fn leave_handler(&mut self, to: Place) {
        if let Some(mark) = self.marks.iter_mut().find(|mark| mark.place == to) {
            mark.is_next = true;
        }
    }

    /// A thread is here; whether that is the rest of a hit that was interrupted. If it came here otherwise, it never went
    /// back to that.
    pub fn resume(&mut self, place: Place) -> bool {
        let found = self.marks.iter().position(|mark| mark.place == place);
        found.is_some_and(|index| self.marks.remove(index).is_next)
    }

    /// Whether system calls are to be watched.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// A system call was watched to its end.
    pub fn count_system_call(&mut self) {
        self.system_calls += 1;
        if self.system_calls > MOST_SYSTEM_CALLS {
            self.marks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Place = Place { address: 0x1000, rsp: 0x8000 };
    const B: Place = Place { address: 0x2000, rsp: 0x7000 };

    #[test]
    fn a_signal_without_a_handler_leads_straight_back() {
        let mut hits = Interrupted::default();
        hits.note(A);
        assert!(!hits.resume(B));
        assert!(hits.resume(A) && hits.is_empty());
        assert!(!hits.resume(A));
    }

    #[test]
    fn handlers_nest_and_may_meet_what_they_interrupted() {
        let mut hits = Interrupted::default();
        hits.note(A);
        hits.enter_handler(A);
        let deeper = Place { rsp: 0x6000, ..A };
        assert!(!hits.resume(deeper));
        hits.note(deeper);
        hits.enter_handler(deeper);
        hits.leave_handler(deeper);
        assert!(hits.resume(deeper));
        hits.leave_handler(A);
        // The next signal is there before the thread is.
        hits.enter_handler(A);
        hits.leave_handler(A);
        assert!(hits.resume(A) && hits.is_empty());
    }

    #[test]
    fn what_a_handler_does_not_return_to_is_forgotten() {
        let mut hits = Interrupted::default();
        let jumped = |hits: &mut Interrupted| {
            hits.note(A);
            hits.enter_handler(A);
        };
        jumped(&mut hits);
        assert!(!hits.resume(A) && hits.is_empty(), "the function is called anew");
        jumped(&mut hits);
        // The next signal comes before the next hit.
        hits.enter_handler(A);
        hits.leave_handler(A);
        assert!(!hits.resume(A) && hits.is_empty());
        jumped(&mut hits);
        for _ in 0..=MOST_SYSTEM_CALLS {
            assert!(!hits.is_empty());
            hits.count_system_call();
        }
        assert!(hits.is_empty());
        (0..100).for_each(|n| hits.note(Place { rsp: n, ..A }));
        assert_eq!(hits.marks.len(), MOST);
    }
}
