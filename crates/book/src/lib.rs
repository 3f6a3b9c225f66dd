//! Compiles every block of Rust in README.md and docs/ as a documentation test, so that a page cannot show what no
//! longer works. Blocks that are marked `ignore` are those of two pages that tests compile: `compiler_messages`, whose page
//! shows what does not compile, and `getting_started`, whose page shows a test.

/// Makes a module of each page: rustdoc takes blocks of code from the documentation of items.
macro_rules! pages {
    ($($module:ident: $path:literal)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../", $path))]
            mod $module {}
        )*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    readme: "README.md"
    flink: "docs/flink.md"
    migration: "docs/migration.md"
    jobs: "docs/jobs/README.md"
    async_calls: "docs/jobs/async.md"
    failures: "docs/jobs/failures.md"
    joins: "docs/jobs/joins.md"
    kafka: "docs/jobs/kafka.md"
    keyed: "docs/jobs/keyed.md"
    operators: "docs/jobs/operators.md"
    own_connectors: "docs/jobs/own-connectors.md"
    sinks: "docs/jobs/sinks.md"
    states: "docs/jobs/states.md"
    testing: "docs/jobs/testing.md"
    time: "docs/jobs/time.md"
    two_inputs: "docs/jobs/two-inputs.md"
    types: "docs/jobs/types.md"
    windows: "docs/jobs/windows.md"
}

#[cfg(test)]
mod compiler_messages;
#[cfg(test)]
mod getting_started;
#[cfg(test)]
mod rustc;

#[cfg(test)]
mod tests {
    use super::PAGES;
    use std::fs::{read_dir, read_to_string};
    use std::path::{Path, PathBuf};

    fn markdown(directory: &Path, into: &mut Vec<PathBuf>) {
        for entry in read_dir(directory).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                markdown(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                into.push(path);
            }
        }
    }

    #[test]
    fn every_page_with_rust_is_compiled() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut pages = vec![root.join("README.md")];
        markdown(&root.join("docs"), &mut pages);
        for page in pages {
            let text = read_to_string(&page).expect("a page");
            let path = page.strip_prefix(&root).expect("a page of the repository");
            let listed = PAGES.iter().any(|listed| Path::new(listed) == path);
            assert_eq!(
                text.lines().any(|line| line.starts_with("```rust") && line != "```rust,ignore"),
                listed,
                "{}: pages with blocks of Rust, and no others, are listed in crates/book/src/lib.rs",
                path.display()
            );
        }
    }
}
