//! Checks that what a job uses is shown by an example. Each type, trait, function, macro and method that `reflow`
//! exports has one, or another one of the same file shows it: names it, or calls or implements the method. So one
//! example may show a whole builder. Methods of traits that have a default need none, and lines that rustdoc hides do not count.

use std::collections::BTreeSet;
use std::path::Path;

use super::{File, Finding};

/// The crates of which `reflow` exports everything.
const WHOLE: &[&str] = &["reflow", "connectors"];
/// The crates of which `reflow` exports some items and modules.
const IN_PART: &[&str] = &["api", "env", "protocol", "sim", "stream", "testkit", "types"];
/// Crates whose items another one exports, from which `reflow` takes them: the crate, and the other one.
const PASSED_ON: &[(&str, &str)] = &[("data", "types"), ("network", "stream")];
/// The files of `reflow` that export items of other crates.
const EXPORTING: &[&str] = &["crates/reflow/src/lib.rs", "crates/reflow/src/testing.rs"];

/// What `reflow` exports of other crates.
#[derive(Default)]
pub(super) struct Exports<'a> {
    /// Each item or module: the crate that it is taken from, and its name.
    names: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Exports<'a> {
    /// Reads them from the repository's files.
    pub(super) fn of(files: &'a [File]) -> Self {
        let mut exports = Self::default();
        for file in files.iter().filter(|file| EXPORTING.iter().any(|path| file.path == Path::new(path))) {
            exports.add(&file.text);
        }
        exports
    }

    fn add(&mut self, text: &'a str) {
        for statement in text.split("pub use reflow_").skip(1) {
            let statement = statement.split(';').next().unwrap_or_default();
            let name_end = statement.find(|c: char| !is_word(c)).unwrap_or(statement.len());
            let (crate_name, rest) = statement.split_at(name_end);
            if rest.starts_with(" as ") {
                continue; // the whole crate
            }
            let words = rest.split(|c: char| !is_word(c) && c != ':').filter(|word| !word.is_empty());
            let leaves = words.filter_map(|path| path.rsplit("::").next()).filter(|leaf| !leaf.is_empty());
            self.names.extend(leaves.map(|leaf| (crate_name, leaf)));
        }
    }

    /// Whether the item is one of these, if it is public.
    fn has(&self, path: &Path, item: &str) -> bool {
        let mut parts = path.iter().filter_map(|part| part.to_str()).skip(1);
        let (Some(crate_name), Some(_), Some(module)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let passed_on = PASSED_ON.iter().find(|(defines, _)| *defines == crate_name);
        let crate_name = passed_on.map_or(crate_name, |(_, exports)| *exports);
        WHOLE.contains(&crate_name)
            || self.names.contains(&(crate_name, item))
            || self.names.contains(&(crate_name, module.trim_end_matches(".rs")))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Checks one Rust file.
pub(super) fn check(path: &Path, text: &str, exports: &Exports<'_>) -> Vec<Finding> {
    let is_test = path.to_str().is_some_and(|path| path.contains("tests"));
    let crates = WHOLE.iter().chain(IN_PART).chain(PASSED_ON.iter().map(|(defines, _)| defines));
    let is_checked =
        crates.map(|name| Path::new("crates").join(name).join("src")).any(|src| path.starts_with(src));
    if is_test || !is_checked {
        return Vec::new();
    }
    let items = items(text);
    let example = items.iter().map(|item| item.example.as_str()).collect::<String>() + &module_example(text);
    let mut findings: Vec<Finding> = Vec::new();
    let unshown = items.iter().filter(|item| item.is_public && item.example.is_empty());
    for item in unshown.filter(|item| exports.has(path, item.owner.unwrap_or(item.name))) {
        let is_shown = match &item.owner {
            Some(_) => ["fn ", ".", "::"].iter().any(|before| has(&example, before, item.name)),
            None => has(&example, "", item.name),
        };
        if !is_shown {
            let owner = item.owner.map_or_else(String::new, |owner| format!("{owner}::"));
            let text = format!("no example in this file shows `{owner}{}`", item.name);
            findings.push(Finding::at_line(path, item.line, text));
        }
    }
    findings
}

/// A documented item, or one that could be.
struct Item<'a> {
    name: &'a str,
    /// The type or trait of a method.
    owner: Option<&'a str>,
    line: usize,
    is_public: bool,
    /// The code of its examples, without hidden lines.
    example: String,
}

/// What methods at this place of the file belong to.
#[derive(Clone, Copy)]
enum Block<'a> {
    Impl(&'a str),
    Trait(&'a str),
    /// Methods here implement a trait, or are hidden.
    Other,
}

/// The items of a file that rustfmt has formatted: those of the file begin a line, and methods are indented by four.
fn items(text: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let (mut docs, mut is_hidden, mut is_exported) = (Vec::new(), false, false);
    let mut block = Block::Other;
    let mut attribute = 0;
    for (line, number) in text.lines().zip(1..) {
        let code = line.trim_start();
        if attribute > 0 || code.starts_with("#[") {
            let brackets =
                code.bytes().fold(0, |n, byte| n + i32::from(byte == b'[') - i32::from(byte == b']'));
            attribute += brackets;
            is_hidden |= code.contains("doc(hidden)") || code.contains("cfg(test)");
            is_exported |= code.contains("macro_export");
            continue;
        }
        if let Some(doc) = code.strip_prefix("///") {
            docs.push(doc.strip_prefix(' ').unwrap_or(doc));
            continue;
        }
        let indent = line.len() - code.len();
        let public = code.strip_prefix("pub ");
        let item = item(public.unwrap_or(code));
        if indent == 0 && code.starts_with("impl") {
            block = if is_hidden { Block::Other } else { impl_block(code) };
        } else if let Some((kind, name)) = item {
            let (owner, is_public) = match (indent, kind, block) {
                (0, ..) => (
                    None,
                    (public.is_some() || is_exported) && !["mod", "const", "static", "type"].contains(&kind),
                ),
                (4, "fn", Block::Impl(owner)) => (Some(owner), public.is_some()),
                (4, "fn", Block::Trait(owner)) => (Some(owner), is_required(text, number)),
                _ => (None, false),
            };
            if indent == 0 {
                block = match kind {
                    "trait" if is_public && !is_hidden => Block::Trait(name),
                    _ => Block::Other,
                };
            }
            let example = shown(docs.iter().copied());
            items.push(Item { name, owner, line: number, is_public: is_public && !is_hidden, example });
        }
        (docs, is_hidden, is_exported) = (Vec::new(), false, false);
    }
    items
}

/// Whether the method of a trait that begins in this line has no default: a semicolon ends it, and no block follows.
fn is_required(text: &str, line: usize) -> bool {
    let ends = text.lines().skip(line - 1).find(|line| line.ends_with(';') || line.ends_with(['{', '}']));
    ends.is_some_and(|line| line.ends_with(';'))
}

/// The kind and name of the item that a line of code begins.
fn item(code: &str) -> Option<(&str, &str)> {
    let mut words = code.split_whitespace().skip_while(|word| ["async", "unsafe"].contains(word));
    let mut kind = words.next()?;
    let mut name = words.next()?;
    if kind == "const" && name == "fn" {
        (kind, name) = (name, words.next()?);
    }
    let kinds = ["struct", "enum", "trait", "fn", "macro_rules!", "mod", "const", "static", "type"];
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    kinds.contains(&kind).then(|| (kind, &name[..end]))
}

/// The type whose inherent methods a block has.
fn impl_block(code: &str) -> Block<'_> {
    let mut rest = code.trim_start_matches("impl");
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.char_indices().find(|(at, c)| {
            match c {
                '<' => depth += 1,
                '>' if !rest[..*at].ends_with('-') => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        rest = end.map_or("", |(at, _)| &rest[at + 1..]);
    }
    if rest.contains(" for ") || rest.is_empty() {
        return Block::Other;
    }
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
    Block::Impl(rest[..end].rsplit("::").next().unwrap_or_default())
}

fn module_example(text: &str) -> String {
    shown(
        text.lines()
            .filter_map(|line| line.strip_prefix("//!"))
            .map(|doc| doc.strip_prefix(' ').unwrap_or(doc)),
    )
}

/// The code of the examples in documentation that must compile, without lines that rustdoc hides.
fn shown<'a>(docs: impl Iterator<Item = &'a str>) -> String {
    let mut code = String::new();
    let mut in_block = None;
    for line in docs {
        match (line.strip_prefix("```"), in_block) {
            (Some(language), None) => {
                in_block =
                    Some(["", "rust", "no_run", "should_panic", "standalone_crate"].contains(&language))
            }
            (Some(_), Some(_)) => in_block = None,
            (None, Some(true)) if line != "#" && !line.starts_with("# ") => {
                code.push_str(line);
                code.push('\n');
            }
            _ => {}
        }
    }
    code
}

/// Whether `name` occurs as a word behind `before`.
fn has(code: &str, before: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let starts = code[..at].ends_with(before) && !code[..at].ends_with(is_word);
        starts && !code[at + name.len()..].starts_with(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_file(text: &str, expected: &[&str]) {
        let mut exports = Exports::default();
        exports.add("pub use reflow_api::{a, b::C};\npub use reflow_stream::Stream;\n");
        let found = check(Path::new("crates/api/src/a.rs"), text, &exports);
        let texts: Vec<_> = found.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn one_example_shows_several_items() {
        check_file(
            "/// A.\n/// ```\n/// let a = Rate::new(3).limit(2);\n/// ```\npub struct Rate;\n\
             impl<T: Fn() -> u8> Rate<T> {\n    pub fn new() {}\n    pub fn limit() {}\n    fn private() {}\n}\n",
            &[],
        );
    }

    #[test]
    fn what_no_example_shows() {
        check_file(
            "/// ```\n/// # Rate::new(3).hidden();\n/// let a: Rate;\n/// ```\npub struct Rate;\n\
             impl Rate {\n    pub fn hidden() {}\n}\npub trait Limit {\n    fn limited(&self);\n}\n",
            &[
                "crates/api/src/a.rs:7: no example in this file shows `Rate::hidden`",
                "crates/api/src/a.rs:9: no example in this file shows `Limit`",
                "crates/api/src/a.rs:10: no example in this file shows `Limit::limited`",
            ],
        );
    }

    #[test]
    fn what_is_not_for_jobs() {
        check_file("#[doc(hidden)]\npub struct Seam;\nimpl Clone for Seam {\n    fn clone() {}\n}\n", &[]);
        check_file("pub(crate) struct Seam;\n#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}\n", &[]);
    }

    #[test]
    fn what_is_not_exported_needs_no_example() {
        let mut exports = Exports::default();
        exports.add("pub use clap;\npub use reflow_api::{\n    a,\n    b::{self, C},\n};");
        exports.add("pub use reflow_env as env;\npub use reflow_types::d;");
        for (path, item, expected) in [
            ("crates/api/src/a.rs", "X", true),
            ("crates/api/src/a/d.rs", "X", true),
            ("crates/stream/src/a.rs", "X", false),
            ("crates/api/src/c.rs", "X", false),
            ("crates/api/src/c.rs", "C", true),
            ("crates/stream/src/c.rs", "C", false),
            ("crates/env/src/b.rs", "X", false),
            ("crates/connectors/src/b.rs", "X", true),
            ("crates/data/src/d.rs", "X", true),
            ("crates/data/src/e.rs", "X", false),
        ] {
            assert_eq!(exports.has(Path::new(path), item), expected, "{path} {item}");
        }
    }
}
