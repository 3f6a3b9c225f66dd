//! The content of an operator's states as lines of JSON, or row by row for other formats.

use crate::entries::StateReader;
use crate::error::SavepointError;
use crate::json;
use crate::open::Savepoint;
use crate::shape::{Entry, EntryShape};
use reflow_graph::{DeclaredList, DeclaredState, Operator};
use reflow_protocol::snapshot::Redistribution;
use reflow_types::data::{Dump, Schema};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{self, Write};

/// What is exported.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// The operator.
    pub uid: String,
    /// Only these states, if any are named.
    pub states: Vec<String>,
    /// Only entries of these keys, if any are named. Lists have no keys.
    pub keys: Vec<Value>,
}

/// An item of a list without a key, as a line.
#[derive(Serialize)]
struct Item<'a> {
    state: &'a str,
    item: Dump<'a>,
}

/// Takes the rows of one state after the other.
pub(crate) trait StateWriter {
    /// Begins a state, whose rows have this schema.
    fn begin(&mut self, state: &str, row: &dyn Fn() -> Schema) -> Result<(), SavepointError>;
    /// Writes an entry of a state by key.
    fn entry(&mut self, state: &str, shape: &EntryShape, entry: &Entry<'_>) -> Result<(), SavepointError>;
    /// Writes an item of a list.
    fn item(&mut self, state: &str, schema: &Schema, item: &[u8]) -> Result<(), SavepointError>;
    /// Ends the state.
    fn end(&mut self, state: &str) -> Result<(), SavepointError>;
}

/// Writes the states of an operator, each entry and each item of a list as one line. Calls `progress` with the number of
/// lines now and then. Returns the number of lines.
///
/// # Errors
/// If the operator or the state does not exist, or state cannot be read.
pub fn export(
    savepoint: &Savepoint<'_>,
    export: &Export,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, SavepointError> {
    write(savepoint, export, &mut Lines { out }, progress)
}

/// Gives the rows of an operator's states to a writer. Returns their number.
pub(crate) fn write(
    savepoint: &Savepoint<'_>,
    export: &Export,
    writer: &mut dyn StateWriter,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, SavepointError> {
    const ROWS: u64 = 100_000;
    let (vertex, operator) = savepoint.operator(&export.uid)?;
    check_names(operator, export)?;
    let wanted = |name: &str| export.states.is_empty() || export.states.iter().any(|state| state == name);
    let mut rows = 0u64;
    let mut count = || {
        rows += 1;
        if rows.is_multiple_of(ROWS) {
            progress(rows);
        }
    };
    for state in operator.states.iter().filter(|state| wanted(&state.name) && vertex.has_entries(state.table))
    {
        let reader = StateReader::new(savepoint, vertex, state)?;
        let shape = reader.shape();
        let keys = encode_keys(state, shape, &export.keys)?;
        writer.begin(&state.name, &|| shape.row())?;
        reader.for_each(&mut |entry| {
            if keys.is_empty() || keys.contains(entry.key.key) {
                writer.entry(&state.name, shape, entry)?;
                count();
            }
            Ok(())
        })?;
        writer.end(&state.name)?;
    }
    for list in operator.lists.iter().filter(|_| export.keys.is_empty()) {
        let name = DeclaredList::display_name(&list.name);
        let Some(schema) = list.schema.as_ref().filter(|_| wanted(name)) else { continue };
        let mut items = items(savepoint, operator, &list.name).peekable();
        if items.peek().is_none() {
            continue;
        }
        writer.begin(name, &|| Schema::of_struct("Item", &[("item", schema)]))?;
        for item in items {
            writer.item(name, schema, item)?;
            count();
        }
        writer.end(name)?;
    }
    Ok(rows)
}

/// Writes lines of JSON.
struct Lines<'o> {
    out: &'o mut dyn Write,
}

impl Lines<'_> {
    fn line(&mut self, line: &impl Serialize) -> Result<(), SavepointError> {
        serde_json::to_writer(&mut *self.out, line).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

impl StateWriter for Lines<'_> {
    fn begin(&mut self, _: &str, _: &dyn Fn() -> Schema) -> Result<(), SavepointError> {
        Ok(())
    }

    fn entry(&mut self, state: &str, shape: &EntryShape, entry: &Entry<'_>) -> Result<(), SavepointError> {
        self.line(&shape.line(state, entry))
    }

    fn item(&mut self, state: &str, schema: &Schema, item: &[u8]) -> Result<(), SavepointError> {
        self.line(&Item { state, item: Dump::new(schema, item) })
    }

    fn end(&mut self, _: &str) -> Result<(), SavepointError> {
        Ok(())
    }
}

/// The items of a list of all subtasks; of a list that is the same everywhere, those of one.
fn items<'s>(
    savepoint: &'s Savepoint<'_>,
    operator: &Operator,
    list: &str,
) -> impl Iterator<Item = &'s [u8]> {
    let states = savepoint.manifest.vertices.iter().flat_map(|vertex| &vertex.operator);
    let states: Vec<_> =
        states.filter(|state| state.operator == operator.uid && state.name == list).collect();
    let same = states.first().is_some_and(|state| state.redistribution == Redistribution::Broadcast);
    let most = if same { 1 } else { states.len() };
    states.into_iter().take(most).flat_map(|state| state.items.iter().map(|item| item.as_ref()))
}

fn check_names(operator: &Operator, export: &Export) -> Result<(), SavepointError> {
    let lists = operator.lists.iter().map(|list| DeclaredList::display_name(&list.name));
    let known: Vec<&str> = operator.states.iter().map(|state| state.name.as_str()).chain(lists).collect();
    match export.states.iter().find(|state| !known.contains(&state.as_str())) {
        None => Ok(()),
        Some(state) => Err(SavepointError::UnknownState {
            uid: operator.uid.clone(),
            state: state.clone(),
            known: known.into_iter().map(str::to_owned).collect(),
        }),
    }
}

/// The keys as entries have them. Refuses keys of another type, which no entry can have.
fn encode_keys(
    state: &DeclaredState,
    shape: &EntryShape,
    keys: &[Value],
) -> Result<HashSet<Vec<u8>>, SavepointError> {
    let encoded = keys.iter().map(|key| {
        let mut bytes = Vec::new();
        json::encode(shape.key(), key, &mut bytes)?;
        Ok(bytes)
    });
    encoded
        .collect::<Result<_, _>>()
        .map_err(|mismatch| SavepointError::Key { state: state.name.clone(), mismatch })
}
