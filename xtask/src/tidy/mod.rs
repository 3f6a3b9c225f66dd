//! `cargo xtask tidy`: checks the rules that no other tool checks. Each rule is a pure function from texts to
//! findings, in a file of its own. This file reads the repository and prints the findings.

mod claims;
mod edges;
mod examples;
mod index;
mod links;
mod paths;
mod sources;
mod vocabulary;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::process::root;

pub(crate) const HELP: &str = "\
cargo xtask tidy: the rules that no other tool checks

  - a crate uses only the crates that the table in xtask/src/tidy/edges.rs allows it
  - paths of the repository in ARCHITECTURE.md, README.md and docs/ exist
  - an example in the same file shows each item and method that `reflow` exports
  - links between pages lead to pages and headings that exist
  - docs/SUMMARY.md and docs/design/README.md list every page below their directories
  - a Rust file opens with a header comment and has at most 600 lines, a numbered example 99
  - lints are relaxed with #[expect], which must give a reason, never with #[allow]
  - no file names places outside the repository
  - what ARCHITECTURE.md calls absent is absent: unsafe code, async code that decides, unordered maps in
    decisions, sleeps
  - names and phrases that were replaced do not come back (xtask/src/tidy/vocabulary.rs)
";

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, from the root of the repository.
    path: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    line: usize,
    /// What is wrong and what to do.
    text: String,
}

impl Finding {
    fn in_file(path: &Path, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, text: text.into() }
    }

    fn at_line(path: &Path, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            0 => write!(f, "{path}: {}", self.text),
            line => write!(f, "{path}:{line}: {}", self.text),
        }
    }
}

/// A text file of the repository.
struct File {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

impl File {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }
}

/// Checks all rules and prints the breaches.
pub(crate) fn run() -> Result<(), Failure> {
    let files = text_files()?;
    let mut findings = Vec::new();
    let exports = examples::Exports::of(&files);
    for file in &files {
        if file.path.ends_with("Cargo.toml") {
            findings.extend(edges::check(&file.path, &file.text));
        }
        if file.has_extension("md") && is_checked_page(&file.path) {
            findings.extend(paths::check(&file.path, &file.text, |path| root().join(path).exists()));
        }
        if file.has_extension("rs") {
            findings.extend(sources::check_rust(&file.path, &file.text));
            findings.extend(claims::check(&file.path, &file.text));
            findings.extend(examples::check(&file.path, &file.text, &exports));
            findings.extend(vocabulary::check(&file.path, &file.text));
        }
        findings.extend(sources::check_words(&file.path, &file.text));
    }
    for index in index::INDEXES.map(Path::new) {
        let text = files.iter().find(|file| file.path == index).map_or("", |file| &file.text);
        let pages = files.iter().filter(|file| file.has_extension("md"));
        findings.extend(index::check(index, text, pages.map(|file| file.path.as_path())));
    }
    findings.extend(links::check(&files, |path| root().join(path).exists()));
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("1 breach of the rules; `cargo xtask tidy --help` lists them".to_owned()),
        count => Err(format!("{count} breaches of the rules; `cargo xtask tidy --help` lists them")),
    }
}

fn is_checked_page(path: &Path) -> bool {
    path.starts_with("docs")
        || ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"].iter().any(|page| path == Path::new(page))
}

/// Every text file of the repository, in the order of paths. What git ignores is left out.
fn text_files() -> Result<Vec<File>, Failure> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr).trim()));
    }
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut files: Vec<File> = names.split_terminator('\0').filter_map(text_file).collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The file, unless it is binary, or deleted but not yet committed.
fn text_file(path: &str) -> Option<File> {
    let text = String::from_utf8(fs::read(root().join(path)).ok()?).ok()?;
    Some(File { path: PathBuf::from(path), text })
}
