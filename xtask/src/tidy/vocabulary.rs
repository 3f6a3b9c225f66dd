//! Checks that names and phrases which were replaced by terms of the field do not come back. `docs/glossary.md` has the
//! terms.
//!
//! Names are checked in code only, because `moving` is an English word, but says nothing as a type. Phrases are checked
//! in comments.

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

/// Retired phrases in comments, in lower case, each with what to write instead.
const RETIRED_PHRASES: &[(&str, &str)] = &[
    ("came of", "the outcome of"),
    ("for ever", "without end"),
    ("gone mad", "what is wrong"),
    ("says whether", "returns whether"),
    ("whoever", "the name of the part that does it"),
];

/// Checks one Rust file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Finding> {
    if path.ends_with("xtask/src/tidy/vocabulary.rs") {
        return Vec::new();
    }
    let mut findings = check_names(path, text);
    findings.extend(check_phrases(path, text));
    findings
}

fn check_phrases(path: &Path, text: &str) -> Vec<Finding> {
    let comments = text.lines().zip(1..).filter(|(line, _)| line.trim_start().starts_with("//"));
    let found = comments.flat_map(|(line, number)| {
        let line = line.to_lowercase();
        let here = RETIRED_PHRASES.iter().filter(move |(phrase, _)| has_words(&line, phrase));
        here.map(move |(phrase, instead)| (number, phrase, instead))
    });
    found
        .map(|(number, phrase, instead)| {
            Finding::at_line(path, number, format!("the phrase `{phrase}` is retired; write {instead}"))
        })
        .collect()
}

/// Whether `words` occur in the line and are not parts of longer words.
fn has_words(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + words.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

fn check_names(path: &Path, text: &str) -> Vec<Finding> {
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

    #[test]
    fn retired_phrases_are_found_in_comments() {
        check(
            "/// Takes it; says whether it did.",
            &["a.rs:1: the phrase `says whether` is retired; write returns whether"],
        );
        check("// It waits for everything.\nlet text = \"says whether\";", &[]);
    }
}
