//! Checks that paths in the documentation exist.

use std::path::Path;

use super::Finding;

/// The beginnings of paths in the repository. Other texts with slashes are URLs, routes or paths in the
/// distribution.
const TOP: &[&str] = &[
    "crates/",
    "docs/",
    "dist/",
    "examples/",
    "benches/",
    "fuzz/",
    "templates/",
    "xtask/",
    ".ci/",
    ".cargo/",
];

/// Paths in the distribution that look like paths in the repository.
const OF_THE_DISTRIBUTION: &[&str] = &["examples/streaming"];

/// Checks one page; `exists` answers for a path from the root of the repository.
pub(super) fn check(page: &Path, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_block = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            continue; // commands and output, of whichever directory
        }
        let gone = quoted(line).filter_map(repository_path).filter(|path| !exists(path));
        findings.extend(
            gone.map(|path| Finding::at_line(page, number, format!("names `{path}`, which does not exist"))),
        );
    }
    findings
}

/// The texts in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The path that `text` is, if it is one of the repository: without an item (`a.rs::check`) or a line
/// (`a.rs:12`).
fn repository_path(text: &str) -> Option<&str> {
    let path = text.split(':').next()?.trim_end_matches('/');
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let is_ours = TOP.iter().any(|top| path.starts_with(top));
    let is_of_the_distribution = OF_THE_DISTRIBUTION.iter().any(|prefix| path.starts_with(prefix));
    (is_plain && is_ours && !is_of_the_distribution).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_page(text: &str, expected: &[&str]) {
        let exists = |path: &str| path == "crates/state" || path == "crates/state/src/lib.rs";
        let findings = check(Path::new("ARCHITECTURE.md"), text, exists);
        let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn paths_that_exist() {
        check_page(
            "Open `crates/state/src/lib.rs`, in `crates/state/`, at `crates/state/src/lib.rs:12`.",
            &[],
        );
    }

    #[test]
    fn paths_that_are_gone() {
        check_page(
            "Fine.\nOpen `crates/gone.rs` or `docs/gone.md`.",
            &[
                "ARCHITECTURE.md:2: names `crates/gone.rs`, which does not exist",
                "ARCHITECTURE.md:2: names `docs/gone.md`, which does not exist",
            ],
        );
    }

    #[test]
    fn what_is_no_path_of_the_repository() {
        check_page(
            "`/jobs/:id`, `bin/taskmanager.sh`, `examples/streaming/top`, `crates/*`, crates/gone.rs",
            &[],
        );
        check_page("```\nls `crates/gone`\n```\n", &[]);
    }
}
