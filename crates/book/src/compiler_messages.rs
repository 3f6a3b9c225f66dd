//! Compiles each block of docs/jobs/compiler.md, and compares what the compiler says with what the page says.
//!
//! A block of Rust that a block of text follows must not compile, and the compiler's output must contain each line of
//! the text; the first line is that of its first error. All other blocks must compile. A block is a piece of a job
//! function, unless it has items of its own.

use crate::rustc::compile;
use std::fs::{read_to_string, write};
use std::path::Path;

/// A block of Rust, and what the compiler must say about it.
struct Block {
    line: usize,
    code: String,
    says: Option<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let text = text.join("\n");
        match language {
            "text" => blocks.last_mut().expect("a block of code before its message").says = Some(text),
            _ => blocks.push(Block { line: number + 1, code: text, says: None }),
        }
    }
    blocks
}

/// The block as a crate. The first block of the page defines the records.
fn program(record: &str, block: &Block) -> String {
    let items = ["fn ", "struct ", "#[", "use ", "reflow::main!"];
    let body = if items.iter().any(|item| block.code.starts_with(item)) {
        block.code.clone()
    } else {
        format!(
            "fn job(env: &mut StreamEnv, large_only: bool) -> JobResult {{
                let orders = env.source(\"orders\", Collection::of(Vec::<Order>::new()));
                {}
                Ok(())
            }}",
            block.code
        )
    };
    let main = if body.contains("reflow::main!") { "" } else { "fn main() {}" };
    format!("#![allow(warnings)]\nuse reflow::prelude::*;\n{record}\n{body}\n{main}\n")
}

/// Compiles a program without generating code.
fn check(program: &str, directory: &Path) -> Result<(), String> {
    let source = directory.join("job.rs");
    write(&source, program).expect("the directory is writable");
    let out_dir = directory.to_str().expect("a directory with a plain name");
    compile(&source, &["--emit", "metadata", "--out-dir", out_dir])
}

fn contains(output: &str, line: &str) -> bool {
    output.lines().any(|printed| printed.contains(line))
}

#[test]
fn the_compiler_says_what_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/jobs/compiler.md");
    let blocks = blocks(&read_to_string(page).expect("the page"));
    let (record, blocks) = blocks.split_first().expect("a block with the records");
    let directory = tempfile::tempdir().expect("a directory for the programs");
    let mut wrong = Vec::new();
    for block in blocks {
        let place = format!("docs/jobs/compiler.md:{}", block.line);
        match (check(&program(&record.code, block), directory.path()), &block.says) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{place}: compiles, but should not")),
            (Err(output), None) => wrong.push(format!("{place}: does not compile:\n{output}")),
            (Err(output), Some(says)) => {
                let first = output.lines().find(|line| line.starts_with("error"));
                if first != says.lines().next() {
                    wrong.push(format!("{place}: the first error is another one:\n{output}"));
                } else if let Some(missing) = says.lines().find(|line| !contains(&output, line)) {
                    wrong.push(format!("{place}: the compiler does not say `{missing}`:\n{output}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
