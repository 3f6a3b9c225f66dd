//! Names that were replaced by terms of the field, and must not come back. `docs/glossary.md` has the terms.
//!
//! Only code is checked, not comments: `moving` is an English word, but as a type it says nothing.

use std::path::Path;

use super::Finding;

/// Retired identifiers, each with the term that replaced it.
const RETIRED: &[(&str, &str)] = &[
    ("Arriving", "StatePrefetch"),
    ("Coming", "IncomingHandover"),
    ("Gain", "Incoming"),
    ("Give", "Outgoing"),
    ("Giving", "HandoverWriter"),
    ("Moving", "KeyGroupMigration"),
    ("Told", "Reported"),
    ("born", "added"),
    ("canary", "injected_fault"),
    ("complain", "print_error"),
    ("doom", "schedule_deletion"),
    ("foreboding", "loss_expected"),
    ("heir", "new_owner"),
    ("let_go", "release"),
    ("owed", "pending_trigger"),
    ("rouse", "signal"),
    ("say", "send, signal or log"),
    ("sings", "is_active"),
    ("told", "notified, completed or received"),
];

/// Checks one Rust file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Finding> {
    if path.ends_with("xtask/src/tidy/vocabulary.rs") {
        return Vec::new();
    }
    let code = text.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with("//"));
    let found = code.flat_map(|(line, number)| {
        let line = line.split_once(" // ").map_or(line, |(code, _)| code);
        identifiers(line).filter_map(move |word| retired(word).map(|term| (number, word, term)))
    });
    found
        .map(|(number, word, term)| {
            Finding::at_line(
                path,
                number,
                format!("`{word}` is retired; the term is {term} (docs/glossary.md)"),
            )
        })
        .collect()
}

fn retired(word: &str) -> Option<&'static str> {
    RETIRED.iter().find(|(retired, _)| *retired == word).map(|(_, term)| *term)
}

/// The identifiers of a line of code. Words within string literals are English, so they are left out.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    let outside_literals = line.split('"').step_by(2);
    outside_literals.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = super::check(Path::new("a.rs"), text);
        let texts: Vec<_> = found.iter().map(Finding::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn retired_names_are_found_in_code() {
        check(
            "struct Moving;",
            &["a.rs:1: `Moving` is retired; the term is KeyGroupMigration (docs/glossary.md)"],
        );
        check("\nlet x = born;", &["a.rs:2: `born` is retired; the term is added (docs/glossary.md)"]);
    }

    #[test]
    fn comments_texts_and_longer_names_are_free() {
        check("// Moving on.\nlet reborn = 1; // not born\nlet Removing = \"Kept for later\";", &[]);
    }
}
