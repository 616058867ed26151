//! Processes that appear while the session runs: exec events of the kernel's proc connector where we have the right
//! to them (root in the first network, pid and user namespaces), else looking at /proc at short intervals.

use std::collections::HashMap;
use std::time::Duration;

use super::status;
use super::sys::ExecEvents;

/// How newcomers are noticed.
#[derive(Debug)]
pub enum Newcomers {
    /// By events.
    Connector(ExecEvents),
    /// By looking.
    Polling(Known),
}

/// Processes seen so far, with what tells two runs of one number, and two programs run by one process, apart.
#[derive(Debug, Default)]
pub struct Known(HashMap<i32, (u64, Option<super::FileId>)>);

/// Time between two looks at /proc.
pub const INTERVAL: Duration = Duration::from_millis(20);

impl Newcomers {
    /// Takes the best way there is. To be called before the first scan of all processes, so that none is missed.
    pub fn watch() -> Newcomers {
        match ExecEvents::subscribe() {
            Some(events) => Newcomers::Connector(events),
            None => {
                let mut known = Known::default();
                known.look();
                Newcomers::Polling(known)
            }
        }
    }

    /// What -v says.
    pub fn describe(&self) -> &'static str {
        match self {
            Newcomers::Connector(_) => {
                "new processes are noticed by the kernel's exec events (proc connector)"
            }
            Newcomers::Polling(_) => {
                "new processes are looked for in /proc every 20 ms (exec events need root outside of containers)"
            }
        }
    }

    /// Processes that started or changed their program since the last call; waits at most [`INTERVAL`].
    pub fn wait(&mut self) -> Vec<i32> {
        match self {
            Newcomers::Connector(events) => events.wait(INTERVAL),
            Newcomers::Polling(known) => {
                std::thread::sleep(INTERVAL);
                known.look()
            }
        }
    }
}

impl Known {
    fn look(&mut self) -> Vec<i32> {
        let mut new = Vec::new();
        let mut now = HashMap::new();
        for pid in status::processes() {
            let Some(start) = status::start_time(pid) else { continue };
            let identity = (start, super::FileId::of_executable(pid).ok());
            if self.0.get(&pid) != Some(&identity) {
                new.push(pid);
            }
            now.insert(pid, identity);
        }
        self.0 = now;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(mut newcomers: Newcomers) {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().expect("sleep runs");
        let pid = child.id() as i32;
        let found = (0..200).any(|_| newcomers.wait().contains(&pid));
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        assert!(found, "{}", newcomers.describe());
    }

    #[test]
    fn the_best_way_notices_a_process() {
        notices(Newcomers::watch());
    }

    #[test]
    fn looking_notices_a_process() {
        let mut known = Known::default();
        known.look();
        notices(Newcomers::Polling(known));
    }
}
