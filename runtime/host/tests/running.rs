//! A session that a program owns: the process is given back whatever becomes of the owner.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use rstap_host::backend::ptrace::End;
use rstap_host::{Options, Running, Session, Target};
use rstap_program::{CodeKind, Point};
use support::image::{Op, image};
use support::{Maker, build};

/// A process that calls `called` for each byte of its input, and a session on it that has begun.
fn session_on_a_process() -> (Child, Running, BufReader<File>) {
    let target = build("calls.c", &[]);
    let child =
        Command::new(&target.path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut maker = Maker::default();
    maker.code(&target, "called", CodeKind::Hit);
    maker.probe(Point::Begin(0));
    maker.probe(Point::End(0));
    let ops = [vec![Op::Print("hit\n")], vec![Op::Print("begin\n")], vec![Op::Print("end\n")]];
    maker.program.image = image(&ops);
    maker.program.arena.size = 64;
    let options = Options { target: Target::Pid(child.id()), handle_signals: false, ..Options::default() };
    let mut session = Session::new(maker.program, options).expect("it can be set up");
    let (output, input) = nix::unistd::pipe().expect("a pipe");
    session.write_to(File::from(input));
    let session = session.start().expect("it starts");
    let mut output = BufReader::new(File::from(output));
    assert_eq!(line(&mut output), "begin\n");
    (child, session, output)
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it can be read");
    line
}

fn call(child: &mut Child) {
    child.stdin.as_mut().expect("piped").write_all(b"x").expect("it reads");
}

/// Lets the process make another call, and end; it has no breakpoint that would kill it.
fn is_unharmed(mut child: Child) {
    call(&mut child);
    drop(child.stdin.take());
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(text, "2 calls\n");
}

fn rest(mut output: BufReader<File>) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn dropping_it_gives_the_process_back() {
    let (mut child, session, mut output) = session_on_a_process();
    call(&mut child);
    assert_eq!(line(&mut output), "hit\n");
    drop(session);
    assert_eq!(rest(output), "end\n");
    is_unharmed(child);
}

#[test]
fn a_panic_of_the_owner_gives_the_process_back() {
    let (mut child, session, mut output) = session_on_a_process();
    call(&mut child);
    assert_eq!(line(&mut output), "hit\n");
    let owner = std::thread::spawn(move || {
        let _session = session;
        panic!("as the test wants it");
    });
    assert!(owner.join().is_err());
    assert_eq!(rest(output), "end\n");
    is_unharmed(child);
}

#[test]
fn the_descriptor_tells_of_the_end() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let (mut child, session, output) = session_on_a_process();
    let ready =
        |timeout| poll(&mut [PollFd::new(session.as_fd(), PollFlags::POLLIN)], timeout).expect("it polls");
    assert_eq!(ready(PollTimeout::ZERO), 0);
    drop(child.stdin.take());
    assert_eq!(ready(PollTimeout::NONE), 1);
    let outcome = session.finish().expect("it ran");
    assert_eq!((outcome.errors, outcome.status, outcome.target), (0, 0, Some(End::Exited(0))));
    assert_eq!(rest(output), "end\n");
    assert!(child.wait().is_err(), "the session has collected it");
}
