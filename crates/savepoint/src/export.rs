//! The content of an operator's states as lines of JSON.

use crate::entries::StateReader;
use crate::error::SavepointError;
use crate::json;
use crate::open::Savepoint;
use crate::shape::EntryShape;
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
    const LINES: u64 = 100_000;
    let (vertex, operator) = savepoint.operator(&export.uid)?;
    check_names(operator, export)?;
    let wanted = |name: &str| export.states.is_empty() || export.states.iter().any(|state| state == name);
    let mut lines = 0u64;
    let mut line = |write: &mut dyn FnMut(&mut dyn Write) -> Result<(), SavepointError>,
                    out: &mut dyn Write| {
        write(out)?;
        out.write_all(b"\n")?;
        lines += 1;
        if lines.is_multiple_of(LINES) {
            progress(lines);
        }
        Ok::<(), SavepointError>(())
    };
    for state in operator.states.iter().filter(|state| wanted(&state.name) && vertex.has_entries(state.table))
    {
        let reader = StateReader::new(savepoint, vertex, state)?;
        let keys = encode_keys(state, reader.shape(), &export.keys)?;
        reader.for_each(&mut |entry| {
            let shape = reader.shape();
            if !keys.is_empty() && !keys.contains(entry.key.key) {
                return Ok(());
            }
            line(
                &mut |out| {
                    Ok(serde_json::to_writer(out, &shape.line(&state.name, entry))
                        .map_err(io::Error::from)?)
                },
                out,
            )
        })?;
    }
    for list in operator.lists.iter().filter(|_| export.keys.is_empty()) {
        let name = DeclaredList::display_name(&list.name);
        let Some(schema) = list.schema.as_ref().filter(|_| wanted(name)) else { continue };
        for item in items(savepoint, operator, &list.name) {
            line(&mut |out| write_item(out, name, schema, item), out)?;
        }
    }
    Ok(lines)
}

fn write_item(out: &mut dyn Write, state: &str, schema: &Schema, item: &[u8]) -> Result<(), SavepointError> {
    let item = Item { state, item: Dump::new(schema, item) };
    Ok(serde_json::to_writer(out, &item).map_err(io::Error::from)?)
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
