//! The examples as a reader runs them, with what they print.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// The command that runs an example with checkpoints in a directory.
fn command(example: &str, checkpoints: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(example);
    command
        .arg("run")
        .arg(format!("-Dexecution.checkpointing.dir={}", checkpoints.display()))
        .arg("-Drest.port=0")
        .args(args);
    command
}

/// Runs an example to its end. Returns the lines that it prints, sorted.
fn run(example: &str, args: &[&str]) -> Vec<String> {
    let checkpoints = tempfile::tempdir().expect("there is room for a directory");
    let output = command(example, checkpoints.path(), args).output().expect("the example has been built");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example} ended with {}: {log}", output.status);
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn words_are_counted() {
    let lines = run(env!("CARGO_BIN_EXE_count_words"), &[]);
    assert_eq!(lines.len(), 13, "{lines:?}");
    assert!(
        ["2 to", "2 be", "2 the", "1 or"].iter().all(|line| lines.iter().any(|it| it == line)),
        "{lines:?}"
    );
}

#[test]
fn sessions_end_when_their_user_is_silent() {
    let lines = run(env!("CARGO_BIN_EXE_sessions"), &["--clicks", "100"]);
    assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("user ")), "{lines:?}");
}

#[test]
fn long_words_are_set_aside() {
    let lines = run(env!("CARGO_BIN_EXE_side_output"), &[]);
    let rejected: Vec<&String> = lines.iter().filter(|line| line.starts_with("rejected ")).collect();
    assert_eq!(rejected, ["rejected nobler", "rejected question", "rejected whether"]);
    assert!(lines.contains(&"2 to".to_owned()) && lines.len() == 13, "{lines:?}");
}

/// The lost events are those whose number divided by 97 leaves 96. Whatever follows at the same address is reported, until it
/// opens again.
#[test]
fn events_that_the_state_machine_does_not_allow_are_reported() {
    let mut expected = Vec::new();
    for address in 0..10 {
        let mut open = false;
        for round in (0..100).filter(|round| (round * 10 + address) % 97 != 96) {
            let (kind, allowed) = match round % 4 {
                0 => ("Open", !open),
                3 => ("Close", open),
                _ => ("Send", open),
            };
            if !allowed {
                let state = if open { "Open" } else { "Closed" };
                expected.push(format!("address {address}: {kind} while {state}"));
            }
            open = allowed && kind != "Close";
        }
    }
    expected.sort();
    assert!(!expected.is_empty());
    assert_eq!(run(env!("CARGO_BIN_EXE_state_machine"), &[]), expected);
}

/// Each grade with each salary of the same person in the same two seconds.
#[test]
fn grades_are_joined_with_salaries() {
    let names = ["tom", "jerry", "alice", "bob", "john", "grace"];
    let mut expected = Vec::new();
    for grade in 0..60 {
        for salary in (0..60).filter(|salary| salary / 10 == grade / 10) {
            let name = names[grade * grade % 6];
            if name == names[salary * 5 % 6] {
                let (grade, salary) = (grade % 5 + 1, salary * 997 % 10_000 + 1);
                expected.push(format!("{name}: grade {grade}, salary {salary}"));
            }
        }
    }
    expected.sort();
    assert!(expected.len() > 50);
    assert_eq!(run(env!("CARGO_BIN_EXE_window_join"), &["--records", "60"]), expected);
}

/// A job that does not outlive a test that fails.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
    }
}

/// The server sends the next text when the counts of the former one have been printed, over a connection of its own.
#[test]
fn words_from_a_socket_are_counted() {
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = server.local_addr().expect("it is bound").to_string();
    let checkpoints = tempfile::tempdir().expect("there is room for a directory");
    let args = ["--address", &address, "--window-ms", "20", "--reconnects", "1"];
    let example = env!("CARGO_BIN_EXE_socket_window_word_count");
    let mut command = command(example, checkpoints.path(), &args);
    let job = command.stdout(Stdio::piped()).spawn().expect("the example has been built");
    let mut job = KilledOnDrop(job);
    let mut lines = BufReader::new(job.0.stdout.take().expect("it is piped")).lines();
    for (text, expected) in [("to be or\nnot to", "to 2, be 1, or 1, not 1"), ("be\r\n\n be", "be 2")] {
        let (mut connection, _) = server.accept().expect("the job connects");
        connection.write_all(text.as_bytes()).expect("the job reads");
        connection.write_all(b"\n").expect("the job reads");
        let expected: BTreeMap<String, u64> = expected
            .split(", ")
            .map(|count| {
                let (word, count) = count.split_once(' ').expect("a word and a count");
                (word.to_owned(), count.parse().expect("a count"))
            })
            .collect();
        // The words may be in several windows.
        let mut counts = BTreeMap::new();
        while counts != expected {
            let line = lines.next().expect("the job goes on").expect("it prints text");
            let (count, word) = line.split_once(' ').expect("a count and a word");
            *counts.entry(word.to_owned()).or_insert(0) += count.parse::<u64>().expect("a count");
            assert!(counts.iter().all(|(word, count)| expected.get(word) >= Some(count)), "{counts:?}");
        }
    }
    // It connects once more, and receives nothing.
    drop(server.accept().expect("the job connects"));
    assert!(job.0.wait().expect("it is a child").success());
    assert!(lines.next().is_none());
}

#[test]
fn every_number_is_looked_up_once() {
    let mut expected: Vec<String> = (0..500).map(|number| format!("{number}: key {}", number % 10)).collect();
    expected.sort();
    for args in [&["--numbers", "500"][..], &["--numbers", "500", "--ordered", "--capacity", "20"]] {
        assert_eq!(run(env!("CARGO_BIN_EXE_async_calls"), args), expected);
    }
}
