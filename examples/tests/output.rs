//! The examples as a reader runs them, with what they print.

use std::process::Command;

/// Runs an example to its end. Returns the lines that it prints, sorted.
fn run(example: &str, args: &[&str]) -> Vec<String> {
    let checkpoints = tempfile::tempdir().expect("there is room for a directory");
    let output = Command::new(example)
        .arg("run")
        .arg(format!("-Dexecution.checkpointing.dir={}", checkpoints.path().display()))
        .arg("-Drest.port=0")
        .args(args)
        .output()
        .expect("the example has been built");
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
