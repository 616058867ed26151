//! rstap: reads options, runs passes 1 to 5 in order, prints what they say, sets the exit status.
//!
//! Standard output belongs to the script, standard error to rstap. The status is 0, or 1 when a pass failed, a
//! run-time error ended the session, or the command of `-c` failed (stap(1), EXIT STATUS).

mod background;
mod debuginfod;
mod disk;
mod foreign;
mod headers;
mod options;
mod passes;
mod run;

use std::process::ExitCode;

use options::Task;

fn main() -> ExitCode {
    report_bugs_in_a_line();
    let done = match options::from_command_line() {
        Task::Script(options) => match options.output.as_ref().filter(|_| options.background) {
            Some(output) => {
                return background::run(output, |ready| passes::run(&options, Some(ready)));
            }
            None => passes::run(&options, None),
        },
        Task::Cleanup { pid, verbose } => run::clean_up(pid, verbose),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A panic is a bug of rstap; a user gets one line that can be reported, not a backtrace. Threads that hold a target
/// catch it and restore the target first.
fn report_bugs_in_a_line() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("unknown");
        eprintln!(
            "rstap: bug{place}: {what}\nrstap: please report this with the script and the program watched"
        );
    }));
}
