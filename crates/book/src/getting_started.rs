//! Compiles the program of docs/getting-started.md, and runs its test.

use crate::rustc::compile;
use std::fs::{read_to_string, write};
use std::path::Path;
use std::process::Command;

/// The blocks of Rust of the page, one after the other: `src/main.rs` as its reader has it at the end.
fn main_rs(page: &str) -> String {
    let mut lines = page.lines();
    let mut program = String::new();
    while lines.by_ref().any(|line| line.starts_with("```rust")) {
        lines.by_ref().take_while(|line| *line != "```").for_each(|line| {
            program.push_str(line);
            program.push('\n');
        });
    }
    program
}

#[test]
fn the_first_job_passes_its_test() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/getting-started.md");
    let directory = tempfile::tempdir().expect("a directory for the program");
    let (source, test) = (directory.path().join("main.rs"), directory.path().join("visits"));
    write(&source, main_rs(&read_to_string(page).expect("the page"))).expect("the directory is writable");
    let compiled =
        compile(&source, &["--test", "-D", "warnings", "-o", test.to_str().expect("a plain name")]);
    compiled.unwrap_or_else(|output| panic!("the program does not compile:\n{output}"));
    let run = Command::new(test).output().expect("the test can be run");
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && output.contains("1 passed"), "{output}");
}
