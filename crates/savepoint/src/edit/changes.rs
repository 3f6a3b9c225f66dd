//! The changes of an edit, and those of entries, which are lines of JSON.

use crate::json::{self, Mismatch};
use crate::shape::{EntryKey, EntryShape};
use reflow_graph::{DeclaredState, StateKind};
use reflow_types::data::{Data, Encoder, Schema};
use serde_json::{Map, Value};
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
        /// `timer` one of them. Any other line puts an entry in the place of the former one. The elements of a list are put
        /// in the order of their positions, or else of their lines, in the place of all former ones of the key.
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
    /// The entries of the state have no such field.
    #[error("entries of this state have no field \"{field}\"; they have: {}", .known.join(", "))]
    UnknownField {
        /// The field.
        field: String,
        /// The fields that a line may have.
        known: Vec<&'static str>,
    },
    /// The line is of another state.
    #[error("it is an entry of state {found}; leave it out, or export this state alone by --state")]
    OtherState {
        /// What the line names.
        found: Value,
    },
    /// `drop` is not `true` or `false`.
    #[error("\"drop\" must be true or false, found {0}")]
    Drop(Value),
    /// An element of a list is to be dropped.
    #[error(
        "an element of a list cannot be dropped alone: leave it out of the lines of its key, which replace the list"
    )]
    DroppedElement,
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
}

/// The elements that lines put into a list of a key: their positions, if lines have them, and their encoded values.
type Elements = BTreeMap<Vec<u8>, Vec<(u64, Vec<u8>)>>;

impl KeyChanges {
    pub(super) fn add(
        &mut self,
        state: &DeclaredState,
        shape: &EntryShape,
        lines: &str,
    ) -> Result<(), LineError> {
        let mut elements = Elements::new();
        for (text, line) in lines.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty()) {
            self.add_line(state, shape, text, &mut elements)
                .map_err(|problem| LineError { line, problem })?;
        }
        elements.into_iter().for_each(|(key, elements)| self.replace_list(&key, elements));
        Ok(())
    }

    fn add_line(
        &mut self,
        state: &DeclaredState,
        shape: &EntryShape,
        text: &str,
        elements: &mut Elements,
    ) -> Result<(), Problem> {
        let line: Value = serde_json::from_str(text).map_err(|error| Problem::NotJson(error.to_string()))?;
        let line = line.as_object().ok_or(Problem::NoKey)?;
        let part = |name: &'static str| line.get(name);
        let mut key = Vec::new();
        encode("key", shape.key(), part("key").ok_or(Problem::NoKey)?, &mut key)?;
        check_fields(state, shape, line)?;
        let drops = match part("drop") {
            None => false,
            Some(Value::Bool(drops)) => *drops,
            Some(other) => return Err(Problem::Drop(other.clone())),
        };
        let is_list = state.kind == StateKind::List;
        let mut whole = key.clone();
        if let Some((name, schema)) = shape.scope() {
            match part(name) {
                Some(_) if is_list && drops => return Err(Problem::DroppedElement),
                Some(scope) => encode(name, schema, scope, &mut whole)?,
                None if drops || is_list => {}
                None => return Err(Problem::Missing(name)),
            }
        }
        if drops {
            if whole == key {
                self.put.retain(|_, (of, _)| *of != key);
                elements.remove(&key);
                self.dropped.insert(key);
            } else {
                self.put.remove(&whole);
                self.dropped_entries.insert(whole);
            }
            return Ok(());
        }
        let mut value = Vec::new();
        if let Some(schema) = shape.stamp() {
            encode("stamp", schema, part("stamp").ok_or(Problem::Missing("stamp"))?, &mut value)?;
        }
        if shape.has_value() {
            encode("value", shape.value(), part("value").ok_or(Problem::Missing("value"))?, &mut value)?;
        }
        if is_list {
            // Lines without a position come last.
            let position = part("position").and_then(Value::as_u64).unwrap_or(u64::MAX);
            elements.entry(key).or_default().push((position, value));
        } else {
            let entry = [whole.as_slice(), &value].concat();
            self.put.insert(whole, (key, entry));
        }
        Ok(())
    }

    /// Puts these elements in the place of the list of a key. An export has the elements of a list in any order, so their
    /// positions decide, and elements of the same position or without one keep the order of their lines.
    fn replace_list(&mut self, key: &[u8], mut elements: Vec<(u64, Vec<u8>)>) {
        elements.sort_by_key(|(position, _)| *position);
        self.put.retain(|_, (of, _)| of != key);
        self.dropped.insert(key.to_vec());
        for ((_, value), position) in elements.into_iter().zip(0u64..) {
            let mut whole = key.to_vec();
            position.encode_into(&mut Encoder::new(&mut whole));
            let entry = [whole.as_slice(), &value].concat();
            self.put.insert(whole, (key.to_vec(), entry));
        }
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

fn encode(part: &'static str, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), Problem> {
    json::encode(schema, value, out).map_err(|mismatch| Problem::Mismatch { part, mismatch })
}

/// Refuses lines of other states and fields without an effect: they are mistakes that the result would not show.
fn check_fields(state: &DeclaredState, shape: &EntryShape, line: &Map<String, Value>) -> Result<(), Problem> {
    if let Some(found) = line.get("state").filter(|name| *name != state.name.as_str()) {
        return Err(Problem::OtherState { found: found.clone() });
    }
    let scope = shape.scope().map(|(name, _)| name);
    let stamp = shape.stamp().map(|_| "stamp");
    let value = shape.has_value().then_some("value");
    let optional = [scope, stamp, value].into_iter().flatten();
    let known: Vec<_> = ["state", "key"].into_iter().chain(optional).chain(["drop"]).collect();
    match line.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => Err(Problem::UnknownField { field: field.clone(), known }),
        None => Ok(()),
    }
}
