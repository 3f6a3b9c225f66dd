//! The entries of a state by key.
//!
//! A savepoint has one run for each segment, which is read from its beginning to its end. A checkpoint has a chain of runs,
//! of which the last one that mentions a key counts. So its runs are read from the newest to the oldest, and the keys that
//! were seen are remembered: the memory is that of the keys of one segment, never that of their values.

use crate::error::SavepointError;
use crate::keys;
use crate::open::Savepoint;
use crate::shape::{Entry, EntryShape};
use bytes::Bytes;
use reflow_coordination::manifest::{OwnedRuns, VertexState};
use reflow_graph::DeclaredState;
use reflow_protocol::snapshot::RunRef;
use reflow_state::{Block, BlockKind};
use reflow_types::data::{DecodeError, Schema};
use reflow_types::key_group::segment_groups;
use reflow_types::{KeyGroup, KeyGroupSet};
use std::collections::HashSet;

/// The bytes of a run that are read at a time.
const CHUNK: u64 = 4 << 20;

/// Takes an entry.
pub type OnEntry<'f> = &'f mut dyn FnMut(&Entry<'_>) -> Result<(), SavepointError>;

/// Takes the number of a segment, and a function that reads its entries.
pub(crate) type OnSegment<'f> = &'f mut dyn FnMut(
    u16,
    &mut dyn FnMut(OnEntry<'_>) -> Result<(), SavepointError>,
) -> Result<(), SavepointError>;

/// A state by key of a savepoint.
pub struct StateReader<'s> {
    savepoint: &'s Savepoint<'s>,
    vertex: &'s VertexState,
    state: &'s DeclaredState,
    schema: &'s Schema,
    shape: EntryShape,
}

impl<'s> StateReader<'s> {
    /// A reader of a state of `vertex`.
    ///
    /// # Errors
    /// If the manifest does not have its schema.
    pub fn new(
        savepoint: &'s Savepoint<'s>,
        vertex: &'s VertexState,
        state: &'s DeclaredState,
    ) -> Result<Self, SavepointError> {
        let no_schemas = || SavepointError::NoSchemas { at: savepoint.at.clone() };
        let schema = state.schema.as_ref().ok_or_else(no_schemas)?;
        let shape = EntryShape::of(state, schema).ok_or_else(no_schemas)?;
        Ok(Self { savepoint, vertex, state, schema, shape })
    }

    /// The schema of the entries.
    pub(crate) fn schema(&self) -> &Schema {
        self.schema
    }

    /// The shape of the entries.
    pub fn shape(&self) -> &EntryShape {
        &self.shape
    }

    /// Calls `each` with every entry, in no order.
    ///
    /// # Errors
    /// If an object is missing or damaged, or `each` fails.
    pub fn for_each(&self, each: OnEntry<'_>) -> Result<(), SavepointError> {
        self.for_each_segment(&mut |_, segment| segment(each))
    }

    /// Calls `each` for every segment, with a function that calls another one with every entry of the segment. All entries
    /// of a key are in one segment.
    pub(crate) fn for_each_segment(&self, each: OnSegment<'_>) -> Result<(), SavepointError> {
        for part in &self.vertex.keyed {
            let OwnedRuns { groups, segments } = part;
            for segment in segments.iter().filter(|segment| segment.table == self.state.table) {
                let (first, last) = segment_groups(self.vertex.max_parallelism, segment.segment)
                    .expect("a manifest's segments are validated when it is decoded");
                let is_whole = (first.0..=last.0).all(|group| groups.contains(KeyGroup(group)));
                each(segment.segment, &mut |on_entry| {
                    self.segment(&segment.runs, (!is_whole).then_some(groups), on_entry)
                })?;
            }
        }
        Ok(())
    }

    /// Reads one segment. `only`: the groups that count, if the runs may have others as well.
    fn segment(
        &self,
        runs: &[RunRef],
        only: Option<&KeyGroupSet>,
        each: OnEntry<'_>,
    ) -> Result<(), SavepointError> {
        let is_chain = runs.len() > 1;
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        for run in runs.iter().rev() {
            let mut put: Vec<Box<[u8]>> = Vec::new();
            let mut removed: Vec<Box<[u8]>> = Vec::new();
            self.run(run, &mut |block| {
                let mut bytes = block.bytes;
                for _ in 0..block.entries {
                    let all = bytes;
                    let key = self.shape.take_key(&mut bytes).map_err(|error| self.damaged(run, error))?;
                    let counts = match only {
                        Some(groups) => groups.contains(self.group_of(key.key, block)?),
                        None => true,
                    };
                    if block.kind == BlockKind::Tombstones {
                        removed.push(key.whole.into());
                        continue;
                    }
                    let value =
                        self.shape.take_value(&mut bytes).map_err(|error| self.damaged(run, error))?;
                    if !counts || seen.contains(key.whole) {
                        continue;
                    }
                    if is_chain {
                        put.push(key.whole.into());
                    }
                    each(&Entry { bytes: &all[..all.len() - bytes.len()], key, value })?;
                }
                match bytes.is_empty() {
                    true => Ok(()),
                    false => Err(self
                        .damaged(run, DecodeError::refused("there are bytes behind the entries".to_owned()))),
                }
            })?;
            // Within a run, tombstones precede puts: a key in both is there.
            seen.extend(put);
            seen.extend(removed);
        }
        Ok(())
    }

    fn group_of(&self, key: &[u8], block: &Block<'_>) -> Result<KeyGroup, SavepointError> {
        let group = keys::hash(self.shape.key(), key).map(|hash| hash.group(block.max));
        let is_in = |group: &KeyGroup| block.groups.0 <= *group && *group <= block.groups.1;
        let unknown = || SavepointError::UnknownKeyGroups { state: self.state.name.clone() };
        group.filter(is_in).ok_or_else(unknown)
    }

    /// Reads the blocks of a run, a chunk at a time.
    fn run(
        &self,
        run: &RunRef,
        each: &mut dyn FnMut(&Block<'_>) -> Result<(), SavepointError>,
    ) -> Result<(), SavepointError> {
        let damaged = |error| SavepointError::State { object: run.object.clone(), error };
        let (mut at, end) = (run.offset, run.offset + u64::from(run.len));
        let mut unread: Vec<u8> = Vec::new();
        while at < end || !unread.is_empty() {
            let wanted = Block::len(&unread).unwrap_or(0).saturating_sub(unread.len()) as u64;
            let until = end.min(at + CHUNK.max(wanted));
            if at < until {
                let chunk: Bytes = self.savepoint.read(&run.object, at..until)?;
                unread.extend_from_slice(&chunk);
                at = until;
            }
            let mut rest = unread.as_slice();
            while !rest.is_empty() && (at == end || Block::len(rest).is_some_and(|len| len <= rest.len())) {
                let block = Block::take(&self.state.name, &mut rest).map_err(damaged)?;
                match block.kind {
                    BlockKind::Schema => {}
                    _ if block.fingerprint != self.schema.fingerprint() => {
                        let (object, state) = (run.object.clone(), self.state.name.clone());
                        return Err(SavepointError::OtherSchema { object, state });
                    }
                    BlockKind::Puts | BlockKind::Tombstones => each(&block)?,
                }
            }
            let left = rest.len();
            unread.drain(..unread.len() - left);
        }
        Ok(())
    }

    fn damaged(&self, run: &RunRef, error: DecodeError) -> SavepointError {
        SavepointError::Entry { object: run.object.clone(), state: self.state.name.clone(), error }
    }
}
