//! The changes of an edit, and those of entries, which are lines of JSON.

use crate::json::{self, Mismatch};
use crate::shape::{EntryKey, EntryShape};
use reflow_graph::StateKind;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// A change of a savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Drops all state of an operator.
    DropOperator {
        /// Its uid.
        uid: String,
    },
    /// Drops a state.
    DropState {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
    },
    /// Gives an operator another uid.
    RenameOperator {
        /// Its uid.
        uid: String,
        /// The new one.
        to: String,
    },
    /// Gives a state another name.
    RenameState {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// The new one.
        to: String,
    },
    /// Changes entries of a state by key.
    Entries {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// Lines as an export has them. `{"key": …, "drop": true}` drops all entries of a key, and with `user_key` or
        /// `timer` one of them. Any other line puts an entry in the place of the former one, or of all former ones of the
        /// key if it is a list.
        lines: String,
    },
}

/// Why a line is not a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line is no JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// The line is no object with a key.
    #[error("it is not an object with a \"key\"")]
    NoKey,
    /// A field is missing.
    #[error("\"{0}\" is missing")]
    Missing(&'static str),
    /// A part does not fit the schema.
    #[error("{part}: {mismatch}")]
    Mismatch {
        /// `key`, `value`, …
        part: &'static str,
        /// The field and both types.
        mismatch: Mismatch,
    },
}

/// Changes to the entries of a state.
#[derive(Default)]
pub struct KeyChanges {
    /// The keys of the stream, encoded, whose former entries are all dropped.
    dropped: HashSet<Vec<u8>>,
    /// The keys of entries, encoded, that are dropped.
    dropped_entries: HashSet<Vec<u8>>,
    /// The entries that are put, by their encoded keys, with the encoded key of the stream.
    put: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    /// The number of elements that were put for a key of a list.
    lengths: BTreeMap<Vec<u8>, u64>,
}

impl KeyChanges {
    pub(super) fn add(&mut self, kind: StateKind, shape: &EntryShape, lines: &str) -> Result<(), LineError> {
        for (text, line) in lines.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty()) {
            self.add_line(kind, shape, text).map_err(|problem| LineError { line, problem })?;
        }
        Ok(())
    }

    fn add_line(&mut self, kind: StateKind, shape: &EntryShape, text: &str) -> Result<(), Problem> {
        let line: Value = serde_json::from_str(text).map_err(|error| Problem::NotJson(error.to_string()))?;
        let part = |name: &'static str| line.get(name);
        let encode = |name: &'static str, schema, value: &Value, out: &mut Vec<u8>| {
            json::encode(schema, value, out).map_err(|mismatch| Problem::Mismatch { part: name, mismatch })
        };
        let mut key = Vec::new();
        encode("key", shape.key(), part("key").ok_or(Problem::NoKey)?, &mut key)?;
        let drops = part("drop") == Some(&Value::Bool(true));
        let mut whole = key.clone();
        if let Some((name, schema)) = shape.scope() {
            match part(name) {
                // Elements get their positions by the order of their lines.
                _ if kind == StateKind::List && drops => {}
                _ if kind == StateKind::List => {
                    let length = self.lengths.entry(key.clone()).or_default();
                    encode(name, schema, &Value::from(*length), &mut whole)?;
                    *length += 1;
                    self.dropped.insert(key.clone());
                }
                Some(scope) => encode(name, schema, scope, &mut whole)?,
                None if drops => {}
                None => return Err(Problem::Missing(name)),
            }
        }
        if drops {
            if shape.scope().is_some() && whole != key {
                self.put.remove(&whole);
                self.dropped_entries.insert(whole);
            } else {
                self.put.retain(|_, (of, _)| *of != key);
                self.lengths.remove(&key);
                self.dropped.insert(key);
            }
            return Ok(());
        }
        let mut entry = whole.clone();
        if let Some(schema) = shape.stamp() {
            encode("stamp", schema, part("stamp").ok_or(Problem::Missing("stamp"))?, &mut entry)?;
        }
        if shape.has_value() {
            encode("value", shape.value(), part("value").ok_or(Problem::Missing("value"))?, &mut entry)?;
        }
        self.put.insert(whole, (key, entry));
        Ok(())
    }

    /// Whether an entry stays as it is.
    pub(super) fn keeps(&self, key: &EntryKey<'_>) -> bool {
        !self.dropped.contains(key.key)
            && !self.dropped_entries.contains(key.whole)
            && !self.put.contains_key(key.whole)
    }

    /// The entries that are put, each with the key of the stream.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
        self.put.values().map(|(key, entry)| (key.as_slice(), entry.clone()))
    }
}
