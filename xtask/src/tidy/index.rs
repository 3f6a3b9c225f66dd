//! Checks that the table of contents of the book, and the index of the design pages, list every page.

use std::path::Path;

use super::Finding;

/// Pages that list all pages in their directory and its subdirectories.
pub(super) const INDEXES: [&str; 2] = ["docs/SUMMARY.md", "docs/design/README.md"];

/// Checks one of the indexes against the Markdown files of the repository.
pub(super) fn check<'a>(index: &Path, text: &str, pages: impl Iterator<Item = &'a Path>) -> Vec<Finding> {
    let directory = index.parent().unwrap_or(Path::new(""));
    let missing = pages.filter(|page| *page != index).filter(|page| {
        page.strip_prefix(directory).is_ok_and(|name| !text.contains(&format!("({})", name.display())))
    });
    let advice = format!("not in the index; add a line to {}", index.display());
    missing.map(|page| Finding::in_file(page, &advice)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_index(index: &str, text: &str, pages: &[&str], expected: &[&str]) {
        let findings = check(Path::new(index), text, pages.iter().map(Path::new));
        let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn pages_without_a_line_are_found() {
        check_index(
            "docs/design/README.md",
            "| [state.md](state.md) | keyed state |",
            &["docs/design/README.md", "docs/design/state.md", "docs/design/network.md"],
            &["docs/design/network.md: not in the index; add a line to docs/design/README.md"],
        );
    }

    #[test]
    fn pages_of_subdirectories_need_a_line() {
        check_index(
            "docs/SUMMARY.md",
            "- [State](design/state.md)",
            &["docs/SUMMARY.md", "docs/design/state.md", "docs/web.md"],
            &["docs/web.md: not in the index; add a line to docs/SUMMARY.md"],
        );
    }

    #[test]
    fn other_pages_need_no_line() {
        check_index("docs/design/README.md", "", &["README.md", "docs/operations.md"], &[]);
    }
}
