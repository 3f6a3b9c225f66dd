//! Child processes, real ones and threads in their place.

use crate::probe::Probe;
use bytes::Bytes;
use reflow_env::real::{ChildMode, Options};
use reflow_env::{ChildCommand, ChildId, Input, Output, Process, Signal};
use reflow_types::Instant;
use std::path::Path;
use std::sync::Arc;

fn start(probe: &Probe, id: u64, program: &str, args: &[&str], stdin: &'static str) {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    let command = ChildCommand { program: program.into(), args, stdin: Bytes::from_static(stdin.as_bytes()) };
    probe.ask(Output::StartChild { child: ChildId(id), command });
}

fn exited(probe: &Probe, id: u64) -> String {
    probe.wait_for(|input| match input {
        Input::ChildExited { child, status } if child.0 == id => Some(status.clone()),
        _ => None,
    })
}

/// A pipe with a name: reading it waits for the writer.
fn named_pipe(dir: &Path) -> String {
    let path = dir.join("pipe").to_str().unwrap().to_owned();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn the_status_says_how_a_child_ended() {
    let probe = Probe::start(Options::default());
    start(&probe, 1, "sh", &["-c", "exit 3"], "");
    start(&probe, 2, "sh", &["-c", "kill -9 $$"], "");
    start(&probe, 3, "/no/such/program", &[], "");
    assert_eq!(exited(&probe, 1), "exit code 3");
    assert_eq!(exited(&probe, 2), "killed by signal 9");
    assert_eq!(exited(&probe, 3), "cannot start /no/such/program: No such file or directory (os error 2)");
}

#[test]
fn a_child_gets_its_first_input_and_a_pipe_that_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = named_pipe(dir.path());
    let probe = Probe::start(Options::default());
    start(&probe, 1, "sh", &["-c", &format!("head -c 6 >{pipe}; cat; echo ended >{pipe}")], "secret");
    assert_eq!(std::fs::read(&pipe).unwrap(), b"secret");
    probe.ask(Output::KillChild { child: ChildId(1) });
    assert_eq!(exited(&probe, 1), "killed by signal 9", "the pipe had not closed before");
}

#[test]
fn kill_ends_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = named_pipe(dir.path());
    let probe = Probe::start(Options::default());
    // The grandchild holds the pipe open for writing: the read below ends when it is gone.
    start(&probe, 1, "sh", &["-c", &format!("exec 3>{pipe}; echo up >&3; cat | cat")], "");
    let mut reader = std::io::BufReader::new(std::fs::File::open(&pipe).unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert_eq!(line, "up\n");
    probe.ask(Output::KillChild { child: ChildId(1) });
    assert_eq!(exited(&probe, 1), "killed by signal 9");
    assert_eq!(std::io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap(), 0);
}

#[test]
fn children_die_with_their_parent() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = named_pipe(dir.path());
    let probe = Probe::start(Options::default());
    start(&probe, 1, "sh", &["-c", &format!("exec 3>{pipe}; cat")], "");
    let mut reader = std::fs::File::open(&pipe).unwrap();
    probe.handle.kill();
    assert_eq!(probe.handle.join().code, 137);
    assert_eq!(std::io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap(), 0);
}

/// Ends, panics or waits, as its command says.
struct Stub(ChildCommand);

impl Process for Stub {
    fn handle(&mut self, _now: Instant, _input: Input, out: &mut Vec<Output>) {
        match self.0.args[0].as_str() {
            "exit" => out.push(Output::Exit { code: 3, reason: "no slot left".into() }),
            "panic" => panic!("a bug"),
            _ => {}
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_thread_can_take_the_place_of_a_child() {
    let factory = |command| (Box::new(Stub(command)) as Box<dyn Process>, Signal::default());
    let child = ChildMode::InProcess(Arc::new(factory));
    let probe = Probe::start(Options { child, ..Options::default() });
    start(&probe, 1, "stub", &["exit"], "");
    start(&probe, 2, "stub", &["panic"], "");
    start(&probe, 3, "stub", &["wait"], "");
    assert_eq!(exited(&probe, 1), "exit code 3: no slot left");
    assert_eq!(exited(&probe, 2), "exit code 101: panicked: a bug");
    probe.ask(Output::KillChild { child: ChildId(3) });
    assert_eq!(exited(&probe, 3), "killed by signal 9");
}
