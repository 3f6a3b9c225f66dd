//! The split enumerators of the sources: their listings, the assignment of their splits to readers, and their
//! state.
//!
//! An assigned split belongs to its reader. Assignments and checkpoint triggers reach a reader in order, so a split that was
//! assigned before a trigger is in the reader's part of the checkpoint, and any other in the enumerator's. A reader holds
//! event time back until it has received the first answer from here. So after an enumerator's first search in an
//! attempt, readers without a split get a message that there is none for them now.
//!
//! No split is assigned after the trigger of a checkpoint after which sources emit nothing. A source whose readers change
//! assigns none from the trigger of the cut until its readers have reported the splits that they release.

use bytes::Bytes;
use reflow_api::Enumerator;
use reflow_env::{Location, StoreResult};
use reflow_graph::{ExecutionGraph, JobGraph, VertexIndex};
use reflow_protocol::command::{MoreSplits, SplitAssignment};
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_types::{Bounds, CheckpointId, Instant, SubtaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The least time between two polls of an enumerator, even if it requests to be polled at once.
const MIN_POLL_PAUSE: Duration = Duration::from_millis(1);

/// Splits for one reader.
pub(crate) type Assignment = (SubtaskId, SplitAssignment);

/// A listing that an enumerator has requested. A listing that was requested before the last deployment is
/// ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    source: usize,
    deployment: u64,
}

/// The requests and messages of the enumerators.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) listings: Vec<(Listing, Location)>,
    pub(crate) assignments: Vec<Assignment>,
    /// Readers, each with the number of readers of its source that have splits to read.
    pub(crate) active: Vec<(SubtaskId, u32)>,
    /// Readers whose input ends.
    pub(crate) ends: Vec<SubtaskId>,
}

/// A source's state in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    /// Splits that are not assigned.
    unassigned: Vec<Bytes>,
    enumerator: Bytes,
}

struct Source {
    uid: String,
    vertex: Option<VertexIndex>,
    enumerator: Box<dyn Enumerator>,
    /// The enumerator's initial state, from which a job without state starts.
    pristine: Bytes,
    unassigned: VecDeque<Bytes>,
    /// The number of splits of each reader.
    load: BTreeMap<SubtaskId, usize>,
    /// The readers of this attempt that have received an assignment.
    notified: BTreeSet<SubtaskId>,
    told_last: bool,
    /// Readers that have read all of their splits.
    exhausted: BTreeSet<SubtaskId>,
    /// Whether the readers were told that all are exhausted.
    told_end: bool,
    /// The number of readers with splits to read that was last sent to the readers.
    active: Option<u32>,
    /// Whether its readers are changing, so that no splits are assigned.
    moving: bool,
    /// The most splits in a message.
    message_splits: usize,
    listing: bool,
    /// When it is polled next.
    poll_at: Option<Instant>,
}

/// The enumerators of a job.
pub(crate) struct Enumerators {
    sources: Vec<Source>,
    /// The number of deployments.
    deployment: u64,
    running: bool,
    /// The checkpoint after which sources emit nothing.
    paused_by: Option<CheckpointId>,
}

impl Enumerators {
    pub(crate) fn new(
        job: &JobGraph,
        enumerators: Vec<(String, Box<dyn Enumerator>)>,
        bounds: &Bounds,
    ) -> Self {
        let vertex_of = |uid: &str| {
            let mut vertices = job.numbered_vertices();
            vertices
                .find(|(_, vertex)| vertex.operators.iter().any(|op| op.uid == uid))
                .map(|(index, _)| index)
        };
        let source = |(uid, enumerator): (String, Box<dyn Enumerator>)| Source {
            vertex: vertex_of(&uid),
            uid,
            pristine: enumerator.snapshot(),
            enumerator,
            unassigned: VecDeque::new(),
            load: BTreeMap::new(),
            notified: BTreeSet::new(),
            told_last: false,
            exhausted: BTreeSet::new(),
            told_end: false,
            active: None,
            moving: false,
            message_splits: bounds.message_splits,
            listing: false,
            poll_at: None,
        };
        let sources = enumerators.into_iter().map(source).collect();
        Self { sources, deployment: 0, running: false, paused_by: None }
    }

    /// An attempt is deployed. The enumerators continue from `states`, `(operator uid, state)`, or from their
    /// initial states.
    pub(crate) fn deploy(
        &mut self,
        now: Instant,
        graph: &ExecutionGraph,
        restore: &[(SubtaskId, Restore)],
        states: &[(String, Bytes)],
    ) -> Result<(), Failure> {
        self.deployment += 1;
        self.running = true;
        self.paused_by = None;
        for source in &mut self.sources {
            let state = states.iter().find(|(uid, _)| *uid == source.uid).map(|(_, state)| state);
            source.restore(now, state)?;
            let readers =
                source.vertex.map(|vertex| graph.vertex(vertex).subtasks.as_slice()).unwrap_or_default();
            source.load =
                readers.iter().map(|reader| (reader.id, restored(restore, reader.id, &source.uid))).collect();
        }
        Ok(())
    }

    /// The attempt has ended.
    pub(crate) fn stop(&mut self) {
        self.running = false;
    }

    /// A checkpoint begins after which sources emit nothing.
    pub(crate) fn pause(&mut self, checkpoint: CheckpointId) {
        self.paused_by = Some(checkpoint);
    }

    /// A checkpoint has failed. Sources that paused for it continue.
    pub(crate) fn resume(&mut self, checkpoint: CheckpointId) {
        if self.paused_by == Some(checkpoint) {
            self.paused_by = None;
        }
    }

    /// A cut begins. Sources whose readers differ in the `next` graph wait for
    /// [`move_splits`](Self::move_splits).
    pub(crate) fn begin_move(&mut self, graph: &ExecutionGraph, next: &ExecutionGraph) {
        let readers = |graph: &ExecutionGraph, vertex| -> BTreeSet<SubtaskId> {
            graph.vertex(vertex).subtasks.iter().map(|subtask| subtask.id).collect()
        };
        for source in &mut self.sources {
            source.moving = source.vertex.is_some_and(|v| readers(graph, v) != readers(next, v));
        }
    }

    /// The readers of a source have changed to `readers`, given with the number of their splits. They get the
    /// released splits, and are told again whether more splits will follow.
    pub(crate) fn move_splits(
        &mut self,
        vertex: VertexIndex,
        splits: Vec<Bytes>,
        states: Vec<OperatorState>,
        readers: Vec<(SubtaskId, usize)>,
    ) -> Vec<Assignment> {
        let mut assignments = Vec::new();
        if let Some(source) = self.sources.iter_mut().find(|source| source.vertex == Some(vertex)) {
            source.moving = false;
            source.told_last = false;
            source.notified.clear();
            source.exhausted.clear();
            source.told_end = false;
            source.active = None;
            source.load = readers.into_iter().collect();
            source.hand_out(splits, &states, &mut assignments);
            source.assign(&mut assignments);
            // Readers hold event time back until they have received an assignment.
            source.tell_others(&mut assignments);
        }
        assignments
    }

    /// The sources' states, `(operator uid, state)`.
    pub(crate) fn snapshot(&self) -> Vec<(String, Bytes)> {
        self.sources.iter().map(|source| (source.uid.clone(), source.snapshot())).collect()
    }

    /// Polls the enumerators and assigns their splits.
    pub(crate) fn advance(&mut self, now: Instant) -> Work {
        let mut work = Work::default();
        if !self.is_active() {
            return work;
        }
        let deployment = self.deployment;
        for (index, source) in self.sources.iter_mut().enumerate() {
            if source.poll_at.is_some_and(|at| at <= now) && !source.listing {
                let poll = source.enumerator.poll(now);
                source.poll_at = poll.wake.map(|at| at.max(now + MIN_POLL_PAUSE));
                source.listing = poll.list.is_some();
                let listing = Listing { source: index, deployment };
                work.listings.extend(poll.list.map(|location| (listing, location)));
            }
            source.unassigned.extend(source.enumerator.take_splits());
            source.assign(&mut work.assignments);
            work.active.extend(source.take_active());
            work.ends.extend(source.take_ends());
        }
        work
    }

    /// A reader has finished its splits and waits for the other readers of its source.
    pub(crate) fn exhausted(&mut self, reader: SubtaskId) {
        if let Some(source) = self.sources.iter_mut().find(|source| source.load.contains_key(&reader)) {
            source.exhausted.insert(reader);
            source.told_end = false;
        }
    }

    /// Handles the answer to a listing.
    pub(crate) fn listed(
        &mut self,
        now: Instant,
        listing: Listing,
        result: StoreResult,
    ) -> Result<(), Failure> {
        if listing.deployment != self.deployment {
            return Ok(());
        }
        let Some(source) = self.sources.get_mut(listing.source) else { return Ok(()) };
        source.listing = false;
        source.poll_at = Some(now);
        source
            .enumerator
            .listed(now, result)
            .map_err(|error| source.failure(Fault::External, &error.to_string()))
    }

    /// When an enumerator must be polled next.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        let waiting = self.sources.iter().filter(|source| !source.listing);
        waiting.filter_map(|source| source.poll_at).min().filter(|_| self.is_active())
    }

    fn is_active(&self) -> bool {
        self.running && self.paused_by.is_none()
    }
}

impl Source {
    fn restore(&mut self, now: Instant, state: Option<&Bytes>) -> Result<(), Failure> {
        let snapshot = match state {
            Some(state) => postcard::from_bytes(state).map_err(|error| {
                self.failure(
                    Fault::Permanent,
                    &format!("the state of its enumerator cannot be read: {error}"),
                )
            })?,
            None => Snapshot { unassigned: Vec::new(), enumerator: self.pristine.clone() },
        };
        self.enumerator.restore(&snapshot.enumerator).map_err(|error| {
            self.failure(Fault::Permanent, &format!("its enumerator cannot be restored: {error}"))
        })?;
        self.unassigned = snapshot.unassigned.into();
        self.notified.clear();
        self.told_last = false;
        self.exhausted.clear();
        self.told_end = false;
        self.active = None;
        self.moving = false;
        self.listing = false;
        self.poll_at = Some(now);
        Ok(())
    }

    fn snapshot(&self) -> Bytes {
        let unassigned = self.unassigned.iter().cloned().collect();
        let snapshot = Snapshot { unassigned, enumerator: self.enumerator.snapshot() };
        postcard::to_stdvec(&snapshot).expect("a snapshot is plain data").into()
    }

    /// Assigns each split to the reader with the fewest, with the state that belongs to the splits.
    fn hand_out(
        &mut self,
        splits: impl IntoIterator<Item = Bytes>,
        states: &[OperatorState],
        assignments: &mut Vec<Assignment>,
    ) {
        let mut of_reader: BTreeMap<SubtaskId, Vec<Bytes>> = BTreeMap::new();
        for split in splits {
            let fewest = self.load.iter_mut().min_by_key(|(_, load)| **load);
            let (reader, load) = fewest.expect("the caller knows that there are readers");
            *load += 1;
            of_reader.entry(*reader).or_default().push(split);
        }
        self.notified.extend(of_reader.keys());
        for (subtask, splits) in of_reader {
            let parts = splits.len().div_ceil(self.message_splits);
            for (i, part) in splits.chunks(self.message_splits).enumerate() {
                let states = if i == 0 { states.to_vec() } else { Vec::new() };
                let more = if i + 1 < parts { MoreSplits::Follow } else { MoreSplits::Possible };
                assignments.push((subtask, SplitAssignment { splits: part.to_vec(), states, more }));
            }
        }
    }

    /// Assigns all splits, and tells readers whether more will be assigned, also those that get none.
    fn assign(&mut self, assignments: &mut Vec<Assignment>) {
        if self.load.is_empty() || self.moving {
            return;
        }
        let splits = std::mem::take(&mut self.unassigned);
        self.hand_out(splits, &[], assignments);
        if self.enumerator.is_done() && !self.told_last {
            self.told_last = true;
            self.notified.extend(self.load.keys());
            let last = |&subtask| (subtask, SplitAssignment::empty(MoreSplits::None));
            assignments.extend(self.load.keys().map(last));
        }
        // A listing that is under way may still bring splits.
        if !self.listing {
            self.tell_others(assignments);
        }
    }

    /// The readers, once all are exhausted. If one ended alone, every later rescale would need a restart.
    fn take_ends(&mut self) -> Vec<SubtaskId> {
        let all = self.load.keys().all(|reader| self.exhausted.contains(reader));
        if self.moving || !self.told_last || self.told_end || !all {
            return Vec::new();
        }
        self.told_end = true;
        self.load.keys().copied().collect()
    }

    /// All readers, with the number of those that have splits to read, if it has changed.
    fn take_active(&mut self) -> Vec<(SubtaskId, u32)> {
        let is_active =
            |(reader, load): &(&SubtaskId, &usize)| **load > 0 && !self.exhausted.contains(reader);
        let active = u32::try_from(self.load.iter().filter(is_active).count()).unwrap_or(u32::MAX);
        if active == 0 || self.moving || self.active == Some(active) {
            return Vec::new();
        }
        self.active = Some(active);
        self.load.keys().map(|reader| (*reader, active)).collect()
    }

    /// Tells readers that have not received an assignment that there are no splits for them now.
    fn tell_others(&mut self, assignments: &mut Vec<Assignment>) {
        let others: Vec<SubtaskId> =
            self.load.keys().filter(|reader| !self.notified.contains(reader)).copied().collect();
        let none_now = |&subtask| (subtask, SplitAssignment::empty(MoreSplits::Possible));
        assignments.extend(others.iter().map(none_now));
        self.notified.extend(others);
    }

    fn failure(&self, fault: Fault, message: &str) -> Failure {
        Failure { fault, operator: self.uid.clone(), message: message.to_owned() }
    }
}

/// The number of splits in a reader's restored state.
fn restored(restore: &[(SubtaskId, Restore)], reader: SubtaskId, uid: &str) -> usize {
    let of_reader = restore.iter().filter(|(subtask, _)| *subtask == reader);
    let states = of_reader.flat_map(|(_, restore)| &restore.operator).filter(|state| state.operator == uid);
    states.map(|state| state.items.len()).sum()
}

#[cfg(test)]
#[path = "enumerators_tests.rs"]
mod tests;
