//! Checks the links between pages: the file that a link names exists, and so does the heading that it names in it.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{File, Finding};

/// Checks all pages; `exists` answers for a path from the root of the repository.
pub(super) fn check(files: &[File], exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let pages = || files.iter().filter(|file| file.has_extension("md"));
    let mut findings = Vec::new();
    for page in pages() {
        for (target, line) in links(&page.text) {
            let (path, heading) =
                target.split_once('#').map_or((target, None), |(path, id)| (path, Some(id)));
            let path = if path.is_empty() { page.path.clone() } else { resolve(&page.path, path) };
            if !exists(&path) {
                let text = format!("links to `{target}`, which does not exist");
                findings.push(Finding::at_line(&page.path, line, text));
                continue;
            }
            let Some(heading) = heading else { continue };
            let known = pages().find(|other| other.path == path).map(|other| anchors(&other.text));
            if !known.is_some_and(|anchors| anchors.contains(heading)) {
                let text = format!("links to `{target}`, but {} has no such heading", path.display());
                findings.push(Finding::at_line(&page.path, line, text));
            }
        }
    }
    findings
}

/// The lines outside of blocks of code, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut in_block = false;
    text.lines().zip(1..).filter(move |(line, _)| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

/// The targets of the links to other pages, `[text](target)`, with their lines. Those to other sites are left out.
fn links(text: &str) -> impl Iterator<Item = (&str, usize)> {
    prose(text).flat_map(|(line, number)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        targets
            .filter(|target| !target.contains("://") && !target.is_empty())
            .map(move |target| (target, number))
    })
}

/// The path of a link, from the root of the repository.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().map_or_else(PathBuf::new, Path::to_owned);
    for component in Path::new(link).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

/// The identifiers of the page's headings, as GitHub and mdbook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(line, _)| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_page(text: &str, expected: &[&str]) {
        let page = |path: &str, text: &str| File { path: path.into(), text: text.to_owned() };
        let files = [page("docs/jobs/time.md", text), page("docs/web.md", "# The web\n## `a` and b-c: d\n")];
        let findings = check(&files, |path| files.iter().any(|file| file.path == path));
        let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn links_that_lead_somewhere() {
        check_page("# Time\n[a](../web.md), [b](../web.md#a-and-b-c-d), [c](#time), [d](https://a.b/c)", &[]);
        check_page("```\n[a](gone.md)\n# no heading\n```\n", &[]);
    }

    #[test]
    fn links_that_lead_nowhere() {
        check_page("\n[a](web.md)", &["docs/jobs/time.md:2: links to `web.md`, which does not exist"]);
        check_page(
            "[a](../web.md#b), and `b`",
            &["docs/jobs/time.md:1: links to `../web.md#b`, but docs/web.md has no such heading"],
        );
    }
}
