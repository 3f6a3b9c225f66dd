//! Evolution: whether the state of a checkpoint fits a build whose states have other types, and what is translated.
//!
//! A manifest has the schema of each state, and so has the job graph of each build. So both are compared before any state
//! is read. A state whose schema is the same is restored as it is. If the values of one can be migrated, tasks translate
//! the entries of tables while they load them, and the JobManager translates the items of lists, which it has anyway. Any
//! other difference is refused, with the state, the field and both types.

use super::RestoreError;
use crate::manifest::{Manifest, VertexState};
use bytes::Bytes;
use reflow_graph::{DeclaredList, DeclaredState, JobGraph, Operator, Vertex};
use reflow_protocol::snapshot::{FirstCheckpoint, OperatorState, StateFormat, WriterSchema};
use reflow_types::VertexId;
use reflow_types::data::{Migration, Schema};
use std::collections::BTreeMap;

/// The states of a checkpoint that a build has with other types, and how they are translated.
#[derive(Debug, Default)]
pub(super) struct Evolution {
    /// By vertex, the schemas of the tables whose entries are translated.
    tables: BTreeMap<VertexId, Vec<WriterSchema>>,
    /// The translation of the items of lists, by uid and name.
    lists: BTreeMap<(String, String), Migration>,
}

impl Evolution {
    /// Compares the states of a checkpoint with those of a job.
    pub(super) fn of(job: &JobGraph, manifest: &Manifest) -> Result<Self, RestoreError> {
        let mut evolution = Self::default();
        for former in &manifest.vertices {
            if let Some((_, vertex)) = job.find(former.vertex) {
                let tables = tables(former, vertex)?;
                if !tables.is_empty() {
                    evolution.tables.insert(former.vertex, tables);
                }
            }
            for was in &former.operators {
                if let Some(is) = operator(job, &was.uid) {
                    evolution.add_lists(was, is)?;
                }
            }
        }
        Ok(evolution)
    }

    fn add_lists(&mut self, was: &Operator, is: &Operator) -> Result<(), RestoreError> {
        for list in &was.lists {
            let Some((before, now)) = schemas(list, is) else { continue };
            let refused = |reason: String| incompatible(is, DeclaredList::display_name(&list.name), reason);
            let migration = Migration::new(before, now).map_err(|error| refused(error.to_string()))?;
            if migration.is_identity() {
                continue;
            }
            if list.name == DeclaredList::SPLITS {
                // The enumerator has splits as well, and only it knows where.
                return Err(refused(format!(
                    "it was written as {before} and is {now} now, and splits are not translated"
                )));
            }
            self.lists.insert((was.uid.clone(), list.name.clone()), migration);
        }
        Ok(())
    }

    /// The schemas of a vertex's tables whose entries are translated.
    pub(super) fn schemas(&self, vertex: VertexId) -> &[WriterSchema] {
        self.tables.get(&vertex).map_or(&[], Vec::as_slice)
    }

    /// The items of a list as this build has them.
    pub(super) fn items(&self, state: &OperatorState) -> Result<Vec<Bytes>, RestoreError> {
        let Some(migration) = self.lists.get(&(state.operator.clone(), state.name.clone())) else {
            return Ok(state.items.clone());
        };
        let translate = |item: &Bytes| {
            let mut now = Vec::new();
            let translated = migration.translate(&mut item.as_ref(), &mut now);
            translated.map(|()| Bytes::from(now)).map_err(|error| RestoreError::Incompatible {
                state: DeclaredList::display_name(&state.name).to_owned(),
                operator: state.operator.clone(),
                reason: error.to_string(),
            })
        };
        state.items.iter().map(translate).collect()
    }

    pub(super) fn first_checkpoint(&self, format: StateFormat) -> FirstCheckpoint {
        match format {
            StateFormat::Checkpoint if self.tables.is_empty() => FirstCheckpoint::Changes,
            StateFormat::Checkpoint | StateFormat::Savepoint => FirstCheckpoint::Everything,
        }
    }
}

/// The schemas of a list before and now, if both are known and differ.
fn schemas<'a>(list: &'a DeclaredList, is: &'a Operator) -> Option<(&'a Schema, &'a Schema)> {
    let declared = is.lists.iter().find(|declared| declared.name == list.name)?;
    let (before, now) = (list.schema.as_ref()?, declared.schema.as_ref()?);
    (before.fingerprint() != now.fingerprint()).then_some((before, now))
}

/// The tables of a vertex whose entries are translated.
fn tables(former: &VertexState, vertex: &Vertex) -> Result<Vec<WriterSchema>, RestoreError> {
    let Some(head) = vertex.operators.first() else { return Ok(Vec::new()) };
    let mut tables = Vec::new();
    for was in former.states().iter().filter(|state| former.has_entries(state.table)) {
        let Some(is) = head.states.iter().find(|state| state.is_named_as(was)) else { continue };
        let (DeclaredState { schema: Some(before), .. }, DeclaredState { schema: Some(now), .. }) = (was, is)
        else {
            continue;
        };
        let refused = |reason: String| incompatible(head, &was.name, reason);
        if was.kind != is.kind {
            return Err(refused(format!(
                "it was of the kind {} and is of the kind {} now",
                was.kind, is.kind
            )));
        }
        if before.fingerprint() != now.fingerprint() {
            Migration::of_entries(before, now).map_err(|error| refused(error.to_string()))?;
            let schema = postcard::to_stdvec(before).expect("a schema is plain data").into();
            tables.push(WriterSchema { table: was.table, schema });
        }
    }
    Ok(tables)
}

fn incompatible(operator: &Operator, state: &str, reason: String) -> RestoreError {
    RestoreError::Incompatible { state: state.to_owned(), operator: operator.uid.clone(), reason }
}

/// The job's operator with this uid.
pub(super) fn operator<'j>(job: &'j JobGraph, uid: &str) -> Option<&'j Operator> {
    job.vertices.iter().flat_map(|vertex| &vertex.operators).find(|operator| operator.uid == uid)
}

/// The operators without a uid of the user's whose state was perhaps that of another operator: those with state in the
/// checkpoint, if the operators of the job are not those that wrote it.
pub(super) fn displaced(job: &JobGraph, manifest: &Manifest) -> Vec<String> {
    let shape = |operators: &[Operator]| -> Vec<(String, String)> {
        operators.iter().map(|operator| (operator.uid.clone(), operator.name.clone())).collect()
    };
    let was = manifest.vertices.iter().map(|vertex| shape(&vertex.operators));
    if !manifest.has_schemas() || was.eq(job.vertices.iter().map(|vertex| shape(&vertex.operators))) {
        return Vec::new();
    }
    let mut displaced = Vec::new();
    for operator in job.vertices.iter().flat_map(|vertex| &vertex.operators) {
        if operator.has_derived_uid && manifest.has_state_of(&operator.uid) {
            displaced.push(format!("'{}' (uid {})", operator.name, operator.uid));
        }
    }
    displaced
}
