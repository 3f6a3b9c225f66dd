//! A changed copy of a savepoint.
//!
//! A savepoint is never changed in place. The copy has objects of its own, and each of its objects, the manifest last, is
//! only ever created. So a copy that fails leaves no savepoint, and two copies to one directory cannot mix.

mod changes;
mod writer;

use crate::entries::StateReader;
use crate::error::SavepointError;
use crate::keys;
use crate::open::Savepoint;
use crate::shape::EntryShape;
pub use changes::{Change, KeyChanges, LineError};
use reflow_coordination::manifest::{self, Decision, Manifest, SegmentRuns, VertexState, wire};
use reflow_env::{Location, PutMode, StoreOp};
use reflow_graph::{DeclaredList, DeclaredState, StateKind};
use reflow_protocol::snapshot::StateFormat;
use reflow_state::{SegmentLayout, TableId};
use reflow_types::VertexId;
use std::collections::BTreeMap;
use writer::{ObjectWriter, RunBuilder};

/// Writes a copy of a savepoint with these changes, which are made one after the other, to the directory `to`.
///
/// # Errors
/// If a change names what is not there or does not fit its schema; then nothing is written. If `to` is a savepoint
/// already.
pub fn edit(savepoint: &Savepoint<'_>, changes: &[Change], to: &str) -> Result<(), SavepointError> {
    if savepoint.manifest.format != StateFormat::Savepoint {
        return Err(SavepointError::NotASavepoint { at: savepoint.at.clone() });
    }
    if !savepoint.manifest.has_schemas() {
        return Err(SavepointError::NoSchemas { at: savepoint.at.clone() });
    }
    let to = to.trim_end_matches('/');
    let mut draft =
        Draft { manifest: savepoint.manifest.clone(), renamed: BTreeMap::new(), keys: BTreeMap::new() };
    for change in changes {
        draft.make(change)?;
    }
    draft.write(savepoint, to)
}

/// A manifest that is being changed, and what must be done to runs while they are copied.
struct Draft {
    manifest: Manifest,
    /// The tables of states that were renamed, by vertex: the new number by the one that runs have.
    renamed: BTreeMap<(VertexId, u16), u16>,
    /// Changes to entries, by vertex and the number of the table in the draft.
    keys: BTreeMap<(VertexId, u16), KeyChanges>,
}

impl Draft {
    fn make(&mut self, change: &Change) -> Result<(), SavepointError> {
        match change {
            Change::DropOperator { uid } => self.drop_operator(uid),
            Change::DropState { uid, state } => self.drop_state(uid, state),
            Change::RenameOperator { uid, to } => self.rename_operator(uid, to),
            Change::RenameState { uid, state, to } => self.rename_state(uid, state, to),
            Change::Entries { uid, state, lines } => self.change_entries(uid, state, lines),
        }
    }

    /// The positions of the vertex and of the operator in it.
    fn find(&self, uid: &str) -> Result<(usize, usize), SavepointError> {
        let vertices = self.manifest.vertices.iter().enumerate();
        let operators = vertices.flat_map(|(v, vertex)| {
            vertex.operators.iter().enumerate().map(move |(o, operator)| ((v, o), operator))
        });
        let found = operators.clone().find(|(_, operator)| operator.uid == uid).map(|(at, _)| at);
        found.ok_or_else(|| SavepointError::UnknownOperator {
            uid: uid.to_owned(),
            known: operators.map(|(_, operator)| operator.uid.clone()).collect(),
        })
    }

    fn drop_operator(&mut self, uid: &str) -> Result<(), SavepointError> {
        let (v, o) = self.find(uid)?;
        let vertex = &mut self.manifest.vertices[v];
        if o == 0 {
            vertex.keyed.iter_mut().for_each(|part| part.segments.clear());
            let id = vertex.vertex;
            self.keys.retain(|(at, _), _| *at != id);
            self.renamed.retain(|(at, _), _| *at != id);
        }
        vertex.operators[o].states.clear();
        vertex.operators[o].lists.clear();
        for vertex in &mut self.manifest.vertices {
            vertex.operator.retain(|state| state.operator != uid);
        }
        self.manifest.enumerators.retain(|(of, _)| of != uid);
        Ok(())
    }

    fn drop_state(&mut self, uid: &str, name: &str) -> Result<(), SavepointError> {
        let (v, o) = self.find(uid)?;
        self.check_state(v, o, name)?;
        let vertex = &mut self.manifest.vertices[v];
        let tables: Vec<u16> = vertex.operators[o]
            .states
            .iter()
            .filter(|state| state.name == name)
            .map(|state| state.table)
            .collect();
        for part in &mut vertex.keyed {
            part.segments.retain(|segment| !tables.contains(&segment.table));
        }
        // Another state can get the name, and with it the table.
        let id = vertex.vertex;
        self.keys.retain(|(at, table), _| *at != id || !tables.contains(table));
        self.renamed.retain(|(at, _), now| *at != id || !tables.contains(now));
        vertex.operators[o].states.retain(|state| state.name != name);
        vertex.operators[o].lists.retain(|list| DeclaredList::display_name(&list.name) != name);
        for vertex in &mut self.manifest.vertices {
            let is_it = |state: &str| DeclaredList::display_name(state) == name;
            vertex.operator.retain(|state| state.operator != uid || !is_it(&state.name));
        }
        Ok(())
    }

    fn rename_operator(&mut self, uid: &str, to: &str) -> Result<(), SavepointError> {
        let (v, o) = self.find(uid)?;
        if to.is_empty() || self.find(to).is_ok() {
            return Err(SavepointError::Taken { name: to.to_owned() });
        }
        let vertex = &mut self.manifest.vertices[v];
        vertex.operators[o].set_uid(to);
        if o == 0 {
            let (was, is) = (vertex.vertex, VertexId::of_uid(to));
            vertex.vertex = is;
            let moved = |(at, table): (VertexId, u16)| (if at == was { is } else { at }, table);
            self.renamed =
                std::mem::take(&mut self.renamed).into_iter().map(|(at, to)| (moved(at), to)).collect();
            self.keys = std::mem::take(&mut self.keys).into_iter().map(|(at, of)| (moved(at), of)).collect();
        }
        for state in self.manifest.vertices.iter_mut().flat_map(|vertex| &mut vertex.operator) {
            if state.operator == uid {
                to.clone_into(&mut state.operator);
            }
        }
        for (of, _) in &mut self.manifest.enumerators {
            if of == uid {
                to.clone_into(of);
            }
        }
        Ok(())
    }

    fn rename_state(&mut self, uid: &str, name: &str, to: &str) -> Result<(), SavepointError> {
        let (v, o) = self.find(uid)?;
        self.check_state(v, o, name)?;
        if to.is_empty() || self.check_state(v, o, to).is_ok() {
            return Err(SavepointError::Taken { name: to.to_owned() });
        }
        let of_function = DeclaredList::of_function(name);
        let vertex = &mut self.manifest.vertices[v];
        let operator = &mut vertex.operators[o];
        if let Some(list) = operator.lists.iter_mut().find(|list| list.name == of_function) {
            list.name = DeclaredList::of_function(to);
            for state in self.manifest.vertices.iter_mut().flat_map(|vertex| &mut vertex.operator) {
                if state.operator == uid && state.name == of_function {
                    state.name = DeclaredList::of_function(to);
                }
            }
            return Ok(());
        }
        let taken: Vec<u16> = operator.states.iter().map(|state| state.table).collect();
        let state = operator.states.iter_mut().find(|state| state.name == name);
        let table = TableId::of_name(to).0;
        match state {
            // Only names that a function chose say where the state is.
            Some(state) if state.table == TableId::of_name(name).0 && !taken.contains(&table) => {
                let was = std::mem::replace(&mut state.table, table);
                to.clone_into(&mut state.name);
                for part in &mut vertex.keyed {
                    part.segments
                        .iter_mut()
                        .filter(|segment| segment.table == was)
                        .for_each(|s| s.table = table);
                }
                let id = vertex.vertex;
                if let Some(changes) = self.keys.remove(&(id, was)) {
                    self.keys.insert((id, table), changes);
                }
                let original = self.renamed.iter().find(|((at, _), now)| *at == id && **now == was);
                let original = original.map_or(was, |((_, original), _)| *original);
                self.renamed.insert((id, original), table);
                Ok(())
            }
            _ => Err(SavepointError::NotRenamed { uid: uid.to_owned(), state: name.to_owned() }),
        }
    }

    fn change_entries(&mut self, uid: &str, name: &str, lines: &str) -> Result<(), SavepointError> {
        let (v, o) = self.find(uid)?;
        self.check_state(v, o, name)?;
        let vertex = &self.manifest.vertices[v];
        let state = vertex.operators[o].states.iter().find(|state| state.name == name);
        let (uid, state_name) = (uid.to_owned(), name.to_owned());
        let refused = || SavepointError::NotEditable { uid: uid.clone(), state: state_name.clone() };
        let state = state.filter(|state| state.kind != StateKind::Windows).ok_or_else(refused)?;
        let schema = state.schema.as_ref().ok_or_else(refused)?;
        let shape = EntryShape::of(state, schema).ok_or_else(refused)?;
        let changes = self.keys.entry((vertex.vertex, state.table)).or_default();
        changes
            .add(state, &shape, lines)
            .map_err(|error| SavepointError::Line { state: state_name.clone(), error })
    }

    fn check_state(&self, v: usize, o: usize, name: &str) -> Result<(), SavepointError> {
        let operator = &self.manifest.vertices[v].operators[o];
        let lists = operator.lists.iter().map(|list| DeclaredList::display_name(&list.name));
        let known: Vec<&str> = operator.states.iter().map(|state| state.name.as_str()).chain(lists).collect();
        if known.contains(&name) {
            return Ok(());
        }
        let known = known.into_iter().map(str::to_owned).collect();
        Err(SavepointError::UnknownState { uid: operator.uid.clone(), state: name.to_owned(), known })
    }

    /// Copies the runs, and then writes the manifest.
    fn write(mut self, savepoint: &Savepoint<'_>, to: &str) -> Result<(), SavepointError> {
        let directory = Location(to.to_owned());
        let there = savepoint.request(StoreOp::Get { at: directory.join("_metadata"), range: Some(0..1) });
        if there.is_ok() {
            return Err(SavepointError::AlreadyThere { at: to.to_owned() });
        }
        let mut objects = ObjectWriter::new(savepoint, directory.clone());
        let mut vertices = std::mem::take(&mut self.manifest.vertices);
        for vertex in &mut vertices {
            self.copy(savepoint, vertex, &mut objects)?;
        }
        objects.finish()?;
        self.manifest.vertices = vertices;
        self.manifest.version = wire::FORMAT;
        self.manifest.ending = None;
        let body = manifest::encode(&Decision::Complete(Box::new(self.manifest)));
        savepoint.request(StoreOp::Put { at: directory.join("_metadata"), body, mode: PutMode::Create })?;
        Ok(())
    }

    /// Copies the runs of a vertex, with what is changed in them.
    fn copy(
        &self,
        savepoint: &Savepoint<'_>,
        vertex: &mut VertexState,
        objects: &mut ObjectWriter<'_>,
    ) -> Result<(), SavepointError> {
        let id = vertex.vertex;
        let original = |table: u16| {
            let mut renamed = self.renamed.iter().filter(|((at, _), _)| *at == id);
            renamed.find(|(_, now)| **now == table).map_or(table, |((_, original), _)| *original)
        };
        let former = vertex.clone();
        for (part, now) in former.keyed.iter().zip(&mut vertex.keyed) {
            now.segments.clear();
            for segment in &part.segments {
                if self.keys.contains_key(&(id, segment.table)) {
                    continue;
                }
                let mut copied = SegmentRuns { runs: Vec::new(), ..segment.clone() };
                for run in &segment.runs {
                    let bytes = savepoint.read(&run.object, run.offset..run.offset + u64::from(run.len))?;
                    let bytes = match original(segment.table) == segment.table {
                        true => bytes,
                        false => writer::with_table(&run.object, &bytes, TableId(segment.table))?,
                    };
                    copied.runs.push(objects.add(&bytes, segment.table, segment.segment)?);
                }
                now.segments.push(copied);
            }
        }
        for ((_, table), changes) in self.keys.iter().filter(|((at, _), _)| *at == id) {
            self.change(savepoint, &former, vertex, (original(*table), *table), changes, objects)?;
        }
        vertex.keyed.iter_mut().for_each(|part| part.segments.sort_by_key(|s| (s.segment, s.table)));
        Ok(())
    }

    /// Writes a state whose entries are changed.
    fn change(
        &self,
        savepoint: &Savepoint<'_>,
        former: &VertexState,
        vertex: &mut VertexState,
        (original, table): (u16, u16),
        changes: &KeyChanges,
        objects: &mut ObjectWriter<'_>,
    ) -> Result<(), SavepointError> {
        let Some(state) = former.states().iter().find(|state| state.table == table) else { return Ok(()) };
        let state = DeclaredState { table: original, ..state.clone() };
        let unknown = || SavepointError::UnknownKeyGroups { state: state.name.clone() };
        let layout = SegmentLayout::new(former.max_parallelism);
        for (part, now) in former.keyed.iter().zip(&mut vertex.keyed) {
            let mut runs = part.clone();
            runs.segments.retain(|segment| segment.table == table);
            runs.segments.iter_mut().for_each(|segment| segment.table = original);
            let source = VertexState { keyed: vec![runs], ..former.clone() };
            let reader = StateReader::new(savepoint, &source, &state)?;
            let hash = |key: &[u8]| keys::hash(reader.shape().key(), key).ok_or_else(unknown);
            let mut put: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
            for (key, entry) in changes.entries() {
                let hash = hash(key)?;
                if part.groups.contains(hash.group(former.max_parallelism)) {
                    put.entry(layout.segment(hash)).or_default().push(entry);
                }
            }
            let mut run = RunBuilder::new(TableId(table), former.max_parallelism, reader.schema());
            let mut add = |segment: u16, run: &mut RunBuilder| {
                if let Some(bytes) = run.take(segment) {
                    let runs = vec![objects.add(&bytes, table, segment)?];
                    now.segments.push(SegmentRuns { segment, table, runs });
                }
                Ok::<(), SavepointError>(())
            };
            reader.for_each_segment(&mut |segment, each| {
                // A key that is elsewhere than its hash says would not be found under its new entry.
                each(&mut |entry| {
                    if layout.segment(hash(entry.key.key)?) != segment {
                        return Err(unknown());
                    }
                    if changes.keeps(&entry.key) {
                        run.push(entry.bytes);
                    }
                    Ok(())
                })?;
                put.remove(&segment).into_iter().flatten().for_each(|entry| run.push(&entry));
                add(segment, &mut run)
            })?;
            for (segment, entries) in put {
                entries.iter().for_each(|entry| run.push(entry));
                add(segment, &mut run)?;
            }
        }
        Ok(())
    }
}
