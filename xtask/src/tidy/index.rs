//! Checks that the index of the design pages lists every page.

use std::path::Path;

use super::Finding;

const DIRECTORY: &str = "docs/design";
pub(super) const INDEX: &str = "docs/design/README.md";

/// Checks the index, whose text is `index`, against the Markdown files of the repository.
pub(super) fn check<'a>(index: &str, pages: impl Iterator<Item = &'a Path>) -> Vec<Finding> {
    let design_pages = pages.filter(|page| page.parent() == Some(Path::new(DIRECTORY)));
    let missing = design_pages.filter(|page| *page != Path::new(INDEX)).filter(|page| {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        !index.contains(&format!("({name})"))
    });
    missing.map(|page| Finding::in_file(page, format!("not in the index; add a line to {INDEX}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_index(index: &str, pages: &[&str], expected: &[&str]) {
        let findings = check(index, pages.iter().map(Path::new));
        let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn pages_without_a_line_are_found() {
        check_index(
            "| [state.md](state.md) | keyed state |",
            &["docs/design/README.md", "docs/design/state.md", "docs/design/network.md"],
            &["docs/design/network.md: not in the index; add a line to docs/design/README.md"],
        );
    }

    #[test]
    fn other_pages_need_no_line() {
        check_index("", &["README.md", "docs/operations.md"], &[]);
    }
}
