//! examples/embed.rs, which cargo builds with the tests: rstap as a library in a program with an event loop.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{root, scratch, targets};

fn example() -> PathBuf {
    let own = std::env::current_exe().expect("this program is a file");
    let profile = own.parent().and_then(Path::parent).expect("it lies in deps");
    let example = profile.join("examples/embed");
    assert!(example.exists(), "built by `cargo test` without --test, or `cargo build --example embed`");
    example
}

fn piped(program: &Path, args: &[&str]) -> Child {
    Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn rest(child: &mut Child) -> (String, String) {
    let (mut out, mut errors) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    child.wait().expect("it ends");
    (out, errors)
}

/// A program that waits for a byte and then calls a function 10 times. Its first line is read.
fn target(name: &str) -> (Child, PathBuf) {
    let built = targets::build_folder(&root().join("tests/targets")).expect("the targets can be built");
    let own = scratch().join(format!("embedded-{name}-{}", std::process::id()));
    targets::copy(&built.join("crowd"), &own);
    let mut target = piped(&own, &["1", "10"]);
    let mut line = Vec::new();
    // One byte at a time, so that the rest stays in the pipe.
    let output = target.stdout.as_mut().expect("piped");
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        output.read_exact(&mut byte).expect("it says ready");
        line.push(byte[0]);
    }
    assert_eq!(line, b"ready\n");
    (target, own)
}

#[test]
fn an_event_loop_gets_the_lines_and_the_end() {
    let (mut target, path) = target("counts");
    let script = format!("probe process(\"{}\").function(\"called\") {{ println(pp()) }}", path.display());
    let script = script + " probe begin { system(\"echo begun >&2\") } probe end { println(\"end\") }";
    let mut embed = piped(&example(), &[&target.id().to_string(), &script]);
    let mut errors = BufReader::new(embed.stderr.take().expect("piped"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("text");
    assert_eq!(line, "begun\n");
    target.stdin.take().expect("piped").write_all(b"x").expect("it waits");
    let (mut out, mut rest) = (String::new(), String::new());
    embed.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
    errors.read_to_string(&mut rest).expect("text");
    assert!(embed.wait().expect("it ends").success());
    assert_eq!((out.as_str(), rest.as_str()), ("11 lines, 0 errors, 0 skipped\n", ""));
    assert!(target.wait().expect("it ends").success());
}

#[test]
fn the_end_of_input_ends_the_session_and_the_process_goes_on() {
    let (mut running, path) = target("goes-on");
    let script = format!("probe process(\"{}\").function(\"called\") {{ println(pp()) }}", path.display());
    let mut embed = piped(&example(), &[&running.id().to_string(), &script]);
    drop(embed.stdin.take());
    assert_eq!(rest(&mut embed), ("0 lines, 0 errors, 0 skipped\n".to_owned(), String::new()));
    running.stdin.take().expect("piped").write_all(b"x").expect("it waits");
    assert_eq!(rest(&mut running).0, "10\n");
    assert!(running.wait().expect("it ends").success());
}

/// A crash, or the kernel's memory killer: nothing of the owner runs any more, so its breakpoints stay where they are.
#[test]
fn the_process_goes_on_when_the_owner_of_the_session_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGABRT] {
        let (mut running, path) = target(&format!("crash-{signal}"));
        let script =
            format!("probe process(\"{}\").function(\"called\") {{ println(pp()) }}", path.display());
        let script = script + " probe begin { system(\"echo begun >&2\") }";
        let mut embed = piped(&example(), &[&running.id().to_string(), &script]);
        let mut line = String::new();
        let mut errors = BufReader::new(embed.stderr.take().expect("piped"));
        errors.read_line(&mut line).expect("text");
        assert_eq!(line, "begun\n");
        kill(Pid::from_raw(embed.id() as i32), signal).expect("it runs");
        assert_eq!(embed.wait().expect("it ends").signal(), Some(signal as i32));
        running.stdin.take().expect("piped").write_all(b"x").expect("it waits");
        assert_eq!(rest(&mut running).0, "10\n");
        assert!(running.wait().expect("it ends").success());
    }
}

#[test]
fn what_cannot_be_traced_is_an_error_of_the_program() {
    let script = "probe begin { println(1) }";
    let mut embed = piped(&example(), &["2147483647", script]);
    let (out, errors) = rest(&mut embed);
    assert_eq!(
        (out.as_str(), errors.as_str()),
        ("", "embed: cannot attach: there is no process 2147483647\n")
    );
}
