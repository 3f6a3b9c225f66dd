//! Reads `config.yaml` as a flat list of keys, texts and line numbers. Nested mappings and dotted keys are
//! equivalent and may be mixed, as in Flink.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::error::ConfigError;

/// One key with its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: String,
    /// The text; empty for `key:` without a value. A sequence is joined by `;`.
    pub(crate) text: String,
    pub(crate) number: u64,
}

/// Reads the YAML in `text`; `path` is for error texts.
pub(crate) fn read(path: &Path, text: &str) -> Result<Vec<Line>, ConfigError> {
    let malformed = |line, message| ConfigError::Malformed { path: path.to_owned(), line, message };
    // Strict: `restart-strategy: off` is a name, not `false`.
    let options = serde_saphyr::options! { strict_booleans: true };
    let root: Node = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        malformed(line, message(&error))
    })?;
    let mut lines = Vec::new();
    match root {
        Node::Mapping(entries) => flatten("", entries, &mut lines),
        Node::Text(text) if text.is_empty() => {}
        Node::Text(_) => return Err(malformed(1, "expected lines of `key: value`".to_owned())),
    }
    Ok(lines)
}

/// The error without its place, which the caller adds.
fn message(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` stands here for the second time; keep one")
        }
        error => error.to_string(),
    }
}

/// A part of the document. Sequences are joined, because options only have sequences of texts.
enum Node {
    Text(String),
    Mapping(Vec<(Spanned<String>, Node)>),
}

fn flatten(prefix: &str, entries: Vec<(Spanned<String>, Node)>, lines: &mut Vec<Line>) {
    for (key, node) in entries {
        let number = key.referenced.line();
        let key = format!("{prefix}{}", key.value);
        match node {
            Node::Text(text) => lines.push(Line { key, text, number }),
            Node::Mapping(entries) => flatten(&format!("{key}."), entries, lines),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a sequence of values, or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Text(String::new()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(node) = sequence.next_element()? {
            match node {
                Node::Text(text) => items.push(text),
                Node::Mapping(_) => {
                    return Err(serde::de::Error::custom("a mapping cannot be an item of a list"));
                }
            }
        }
        Ok(Node::Text(items.join(";")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, u64)]) {
        let lines = read(Path::new("config.yaml"), text).unwrap();
        let lines: Vec<_> =
            lines.iter().map(|line| (line.key.as_str(), line.text.as_str(), line.number)).collect();
        assert_eq!(lines, expected);
    }

    #[track_caller]
    fn check_error(text: &str, expected_start: &str) {
        let error = read(Path::new("config.yaml"), text).unwrap_err().to_string();
        assert!(error.starts_with(expected_start), "{error}");
    }

    #[test]
    fn nested_and_flat() {
        check(
            "# a comment\nrest:\n  port: 8081\n  bind-address: localhost\nrest.address: here\n",
            &[("rest.port", "8081", 3), ("rest.bind-address", "localhost", 4), ("rest.address", "here", 5)],
        );
        check(
            "restart-strategy:\n  fixed-delay.attempts: 3\n",
            &[("restart-strategy.fixed-delay.attempts", "3", 2)],
        );
    }

    #[test]
    fn values_keep_their_text() {
        check(
            "a: 1 s\nb: true\nc: 1.5\nd: -1\ne: '8081'\nf:\n",
            &[
                ("a", "1 s", 1),
                ("b", "true", 2),
                ("c", "1.5", 3),
                ("d", "-1", 4),
                ("e", "8081", 5),
                ("f", "", 6),
            ],
        );
        check("io.tmp.dirs: [/a, /b]\n", &[("io.tmp.dirs", "/a;/b", 1)]);
        check("io.tmp.dirs:\n  - /a\n  - /b\n", &[("io.tmp.dirs", "/a;/b", 1)]);
    }

    #[test]
    fn nothing() {
        check("", &[]);
        check("# only a comment\n", &[]);
    }

    #[test]
    fn malformed() {
        check_error("just a text\n", "config.yaml:1: expected lines of `key: value`");
        check_error("a: 1\nb: [1\n", "config.yaml:");
        check_error("a: 1\na: 2\n", "config.yaml:2: `a` stands here for the second time; keep one");
        check_error("a: [{b: 1}]", "config.yaml:1: a mapping cannot be an item of a list");
    }
}
