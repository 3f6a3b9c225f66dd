//! Checks single files: headers, lengths, lints, and words that must not occur.

use std::path::Path;

use super::Finding;

/// The most lines a Rust file may have.
const MAX_LINES: usize = 600;

/// The most lines an example may have that is numbered, and so is read from its beginning to its end.
const MAX_LINES_OF_EXAMPLES: usize = 99;

/// Words that must not occur: places outside the repository. Written in two parts, so that they do not
/// occur here.
const FORBIDDEN: &[&str] = &[concat!("../", "shared"), concat!("/wo", "rk/")];

/// Checks one Rust file.
pub(super) fn check_rust(path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        let rule = "does not open with a header comment: what it is, why, what it leaves to others";
        findings.push(Finding::in_file(path, rule));
    }
    let lines = text.lines().count();
    let most = if is_numbered_example(path) { MAX_LINES_OF_EXAMPLES } else { MAX_LINES };
    if lines > most {
        let rule = format!("has {lines} lines; split it (at most {most}), one concept a file");
        findings.push(Finding::in_file(path, rule));
    }
    for (line, number) in text.lines().zip(1..) {
        let code = line.trim_start();
        if code.starts_with("#[allow(") || code.starts_with("#![allow(") {
            findings.push(Finding::at_line(path, number, "write #[expect(lint, reason = \"...\")] instead"));
        }
    }
    findings
}

fn is_numbered_example(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.starts_with("examples") && name.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks any text file.
pub(super) fn check_words(path: &Path, text: &str) -> Vec<Finding> {
    let lines = text.lines().zip(1..);
    let hits = lines.flat_map(|(line, number)| {
        FORBIDDEN.iter().filter(move |word| line.contains(*word)).map(move |word| (word, number))
    });
    hits.map(|(word, number)| {
        Finding::at_line(path, number, format!("names `{word}`, a place outside the repository"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: Vec<Finding>, expected: &[&str]) {
        let texts: Vec<_> = found.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn headers() {
        check(check_rust(Path::new("a.rs"), "//! What it is.\n"), &[]);
        check(
            check_rust(Path::new("a.rs"), "use std::fmt;\n"),
            &["a.rs: does not open with a header comment: what it is, why, what it leaves to others"],
        );
    }

    #[test]
    fn lengths() {
        let of_lines = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        check(check_rust(Path::new("a.rs"), &of_lines(MAX_LINES)), &[]);
        check(
            check_rust(Path::new("a.rs"), &of_lines(MAX_LINES + 1)),
            &["a.rs: has 601 lines; split it (at most 600), one concept a file"],
        );
        check(
            check_rust(Path::new("examples/01_a.rs"), &of_lines(100)),
            &["examples/01_a.rs: has 100 lines; split it (at most 99), one concept a file"],
        );
    }

    #[test]
    fn lints() {
        check(
            check_rust(Path::new("a.rs"), "//! A.\n    #[allow(dead_code)]\nfn f() {}\n"),
            &["a.rs:2: write #[expect(lint, reason = \"...\")] instead"],
        );
    }

    #[test]
    fn words() {
        check(check_words(Path::new("a.md"), "networks work, and so does ../share\n"), &[]);
        let text = format!("fine\nsee {}\n", FORBIDDEN[1]);
        let expected = format!("a.md:2: names `{}`, a place outside the repository", FORBIDDEN[1]);
        check(check_words(Path::new("a.md"), &text), &[&expected]);
    }
}
