//! Runs a golden case, as it is or changed, and renders what users see of it as `expected` has it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::case::Case;
use super::normalize::{Names, normalize};
use super::process::{self, Outcome, Plan, Server, Status};
use super::{RSTAP, scratch};

/// What is to be run: a case, or something made of it.
pub struct Run<'a> {
    pub case: &'a Case,
    /// The script's name, which messages show. Two runs at a time may have the same name only if their texts are equal.
    pub file: &'a str,
    /// Options before those of the case.
    pub options: &'a [&'a str],
    /// Instead of the options of the case.
    pub own_options: &'a [String],
    pub timeout: Duration,
}

impl<'a> Run<'a> {
    /// The case as it is.
    pub fn of(case: &'a Case, file: &'a str, options: &'a [&'a str]) -> Run<'a> {
        let directives = &case.directives;
        Run { case, file, options, own_options: &directives.options, timeout: directives.timeout }
    }

    /// Runs it in `dir`, where its programs are; what `expected` should be.
    pub fn outcome(&self, dir: &Path) -> Result<String, String> {
        // The script lies beside the programs and is named without a folder: a run-time error line is cut at a length,
        // which must not depend on where the checkout is.
        let script = dir.join(self.file);
        // In one step: the case may be running with another backend.
        let written = dir.join(format!("{}.{}", self.file, self.options.last().unwrap_or(&"")));
        fs::write(&written, &self.case.script)
            .and_then(|()| fs::rename(&written, &script))
            .map_err(|error| format!("{}: {error}", script.display()))?;
        let mut command = Command::new(RSTAP);
        command.current_dir(dir).args(self.options).args(self.own_options);
        command.env("TZ", "UTC").env("LC_ALL", "C").env("TMPDIR", scratch()).env_remove("RUST_BACKTRACE");

        let directives = &self.case.directives;
        let server = match &directives.attach {
            Some(words) => Some(start_server(words, dir)?),
            None => None,
        };
        if let Some(server) = &server {
            command.args(["-x", &server.pid().to_string()]);
        }
        if self.case.has_script() {
            command.args(["--", self.file]).args(&directives.script_args);
        }
        let plan = Plan {
            timeout: self.timeout,
            stdin: directives.stdin.clone().unwrap_or_default().into_bytes(),
            signal_at_first_line: directives.signal,
        };
        let outcome = process::run(&mut command, &plan).map_err(|error| format!("{RSTAP}: {error}"))?;
        let target = server.map(|server| server.finish(self.timeout));
        Ok(render(&outcome, target.as_ref(), &Names { dir: &dir.to_string_lossy(), file: self.file }))
    }
}

fn start_server(words: &[String], dir: &Path) -> Result<Server, String> {
    let (program, args) = words.split_first().ok_or("nothing to attach to")?;
    Server::start(Command::new(dir.join(program)).args(args).current_dir(dir))
        .map_err(|error| format!("{program}: {error}"))
}

/// Sections in a fixed order; those that hold nothing unusual are left out.
fn render(outcome: &Outcome, target: Option<&(Vec<u8>, Status)>, names: &Names) -> String {
    let mut text = normalize(&outcome.stdout, names);
    if !outcome.stderr.is_empty() {
        text += "--- stderr\n";
        text += &normalize(&outcome.stderr, names);
    }
    if !outcome.status.is_success() {
        text += &format!("--- status\n{}\n", outcome.status);
    }
    if let Some((stdout, status)) = target {
        text += "--- target\n";
        text += &normalize(stdout, names);
        text += &format!("status {status}\n");
    }
    text
}
