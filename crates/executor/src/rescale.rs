//! Live rescale in an executor: prepares the next graph beside the current one.
//!
//! Running tasks do not change before the cut is triggered. From then on the added subtasks belong to the attempt, and
//! losing an executor of either graph fails it. There is one exception: an executor that only the current graph uses ends
//! as soon as the rescale is committed, and its connection may close before this executor hears of the commit. So its
//! loss is ignored once every local subtask has passed the cut and installed its incoming key groups.

use super::builder::{Builder, RegionPeers};
use reflow_graph::{ExecutionGraph, Move};
use reflow_protocol::failure::Failure;
use reflow_protocol::rescale::Preparation as Message;
use reflow_protocol::snapshot::{AfterBarrier, FirstCheckpoint, Restore};
use reflow_runtime::{Incoming, Outgoing, Preparation, Restored, SlotCommand};
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The next graph, from its announcement until the rescale is committed or abandoned.
pub(super) struct NextGraph {
    pub(super) version: GraphVersion,
    pub(super) graph: Arc<ExecutionGraph>,
    /// The checkpoint whose state is prefetched. `awaited` are the subtasks of this executor that have not
    /// prefetched it yet.
    pub(super) checkpoint: CheckpointId,
    pub(super) awaited: BTreeSet<SubtaskId>,
    /// Bytes of state that the subtasks of this executor have read, and how many of them were reported.
    read_bytes: u64,
    reported_bytes: u64,
    /// The slots of added subtasks in this executor.
    added: BTreeMap<SubtaskId, usize>,
    /// The executors with which the subtasks of this executor will exchange records.
    pub(super) peers: RegionPeers,
    /// The executors of the old owners of incoming key groups.
    pub(super) old_owners: BTreeSet<ExecutorId>,
    /// Whether the cut has been triggered.
    pub(super) cut: bool,
    /// Subtasks of this executor that have not passed the cut, because they wait for barriers of the current
    /// graph.
    to_cut: BTreeSet<SubtaskId>,
    /// Subtasks of this executor that have not installed all incoming key groups.
    to_install: BTreeSet<SubtaskId>,
}

impl NextGraph {
    /// Prepares every task of this executor for its place in the next graph, and builds the added ones. Also
    /// returns the failure of a task that could not be built.
    pub(super) fn prepare(
        builder: &Builder<'_>,
        running: &BTreeMap<SubtaskId, usize>,
        message: Message,
    ) -> (Self, Option<Failure>) {
        let Message { attempt, version, former, graph, checkpoint, restore, .. } = message;
        let (graph, mut restore) = (Arc::new(graph), BTreeMap::from_iter(restore));
        let moves = former.moves(&graph);
        // Looked up for each subtask: searching the graphs each time is quadratic.
        let executors: BTreeMap<SubtaskId, ExecutorId> =
            former.subtasks().map(|(_, _, subtask)| (subtask.id, subtask.slot.executor)).collect();
        let executor_of = |id: SubtaskId| executors.get(&id).copied();
        let places: BTreeMap<SubtaskId, _> = graph.subtasks().map(|place| (place.2.id, place)).collect();
        let mut next = Self {
            version,
            peers: builder.peers(&graph),
            graph: graph.clone(),
            checkpoint,
            awaited: running.keys().copied().collect(),
            read_bytes: 0,
            reported_bytes: 0,
            added: BTreeMap::new(),
            old_owners: BTreeSet::new(),
            cut: false,
            to_cut: running.keys().copied().collect(),
            to_install: BTreeSet::new(),
        };
        let mut preparation = |subtask: SubtaskId, wiring| {
            let (incoming, outgoing) = key_groups_of(&moves, subtask);
            let restore: Restore = restore.remove(&subtask).unwrap_or_default();
            Preparation { version, wiring, incoming, outgoing, checkpoint, restore }
        };
        for (&subtask, &slot) in running {
            let wiring = places.get(&subtask).map(|place| builder.wiring(&graph, version, *place));
            let preparation = preparation(subtask, wiring);
            if !preparation.incoming.is_empty() {
                next.to_install.insert(subtask);
            }
            next.old_owners
                .extend(preparation.incoming.iter().filter_map(|incoming| executor_of(incoming.from)));
            builder.slots.send(slot, SlotCommand::Prepare(subtask, Box::new(preparation)));
        }
        let mut failed = None;
        for (vertex, index, subtask) in graph.subtasks().filter(|(_, _, subtask)| builder.is_here(subtask)) {
            if running.contains_key(&subtask.id) {
                continue;
            }
            let slot = subtask.slot.index as usize;
            let wiring = builder.wiring(&graph, version, (vertex, index, subtask));
            let preparation = preparation(subtask.id, Some(wiring.clone()));
            next.old_owners
                .extend(preparation.incoming.iter().filter_map(|incoming| executor_of(incoming.from)));
            // The task prefetches its keyed state and installs it after the cut, so it restores only the
            // watermark.
            let state = Restore { watermark: preparation.restore.watermark, ..Restore::default() };
            let then = AfterBarrier::Continue;
            let first_checkpoint = FirstCheckpoint::Changes;
            let restored = Restored { state, first_checkpoint, checkpoint: None, then };
            match builder.build(wiring, restored, Some(preparation)) {
                Ok(task) => {
                    builder.slots.send(slot, SlotCommand::Add { attempt, task });
                    next.added.insert(subtask.id, slot);
                    next.awaited.insert(subtask.id);
                    next.to_install.insert(subtask.id);
                }
                Err(failure) => failed = Some(failure),
            }
        }
        next.old_owners.remove(&builder.executor);
        (next, failed)
    }

    /// Passes the state of a later checkpoint on to the tasks of this executor.
    pub(super) fn catch_up(
        &mut self,
        builder: &Builder<'_>,
        running: &BTreeMap<SubtaskId, usize>,
        checkpoint: CheckpointId,
        restore: Vec<(SubtaskId, Restore)>,
    ) {
        self.checkpoint = checkpoint;
        let mut restore = BTreeMap::from_iter(restore);
        for (&subtask, &slot) in running.iter().chain(&self.added) {
            self.awaited.insert(subtask);
            let restore = restore.remove(&subtask).unwrap_or_default();
            builder.slots.send(slot, SlotCommand::CatchUp(subtask, checkpoint, restore));
        }
    }

    /// Records that a subtask has read state.
    pub(super) fn has_read(&mut self, bytes: u64) {
        self.read_bytes += bytes;
    }

    /// The bytes that were read so far, if there are more than were reported.
    pub(super) fn take_progress(&mut self) -> Option<u64> {
        let more = self.read_bytes > self.reported_bytes;
        self.reported_bytes = self.read_bytes;
        more.then_some(self.read_bytes)
    }

    /// Records that a subtask has passed the cut, or has finished, so that it never will.
    pub(super) fn has_cut(&mut self, subtask: SubtaskId) {
        self.to_cut.remove(&subtask);
    }

    /// Records that a subtask has installed its incoming key groups.
    pub(super) fn has_installed(&mut self, subtask: SubtaskId) {
        self.to_install.remove(&subtask);
    }

    /// Whether no subtask of this executor needs `executor` any more.
    pub(super) fn has_left(&self, executor: ExecutorId) -> bool {
        let settled = self.cut && self.to_cut.is_empty() && self.to_install.is_empty();
        settled && !self.exchanges_with(executor)
    }

    /// Whether subtasks of this executor will exchange records with `executor`.
    pub(super) fn exchanges_with(&self, executor: ExecutorId) -> bool {
        self.peers.iter().any(|(_, peer)| *peer == executor)
    }

    /// The slots of added subtasks in this executor.
    pub(super) fn added(&self) -> &BTreeMap<SubtaskId, usize> {
        &self.added
    }

    /// Whether the graph has this subtask.
    pub(super) fn contains(&self, subtask: SubtaskId) -> bool {
        self.graph.find(subtask).is_some()
    }

    /// The slot of an added subtask.
    pub(super) fn slot_of(&self, subtask: SubtaskId) -> Option<usize> {
        self.added.get(&subtask).copied()
    }

    /// The executor of a subtask of the next graph.
    pub(super) fn executor_of(&self, subtask: SubtaskId) -> Option<ExecutorId> {
        self.graph.find(subtask).map(|(_, _, subtask)| subtask.slot.executor)
    }
}

/// The key groups that a subtask receives and hands over.
fn key_groups_of(moves: &[Move], subtask: SubtaskId) -> (Vec<Incoming>, Vec<Outgoing>) {
    let incoming = moves.iter().filter(|m| m.to == subtask);
    let outgoing = moves.iter().filter(|m| m.from == subtask);
    (
        incoming.map(|m| Incoming { from: m.from, groups: m.groups.clone() }).collect(),
        outgoing.map(|m| Outgoing { to: m.to, groups: m.groups.clone() }).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_graph::RegionIndex;

    const STAYS: ExecutorId = ExecutorId(1);
    const LEAVES: ExecutorId = ExecutorId(2);

    fn next() -> NextGraph {
        NextGraph {
            version: GraphVersion(1),
            graph: Arc::default(),
            checkpoint: CheckpointId(1),
            awaited: BTreeSet::new(),
            read_bytes: 0,
            reported_bytes: 0,
            added: BTreeMap::new(),
            peers: BTreeSet::from([(RegionIndex(0), STAYS)]),
            old_owners: BTreeSet::from([LEAVES]),
            cut: true,
            to_cut: BTreeSet::from([SubtaskId(0), SubtaskId(1)]),
            to_install: BTreeSet::from([SubtaskId(1)]),
        }
    }

    #[test]
    fn who_leaves_is_missed_until_all_here_have_cut_and_hold_what_they_gain() {
        let mut next = next();
        assert!(!next.has_left(LEAVES));
        next.has_cut(SubtaskId(0));
        next.has_cut(SubtaskId(1));
        assert!(!next.has_left(LEAVES), "its key groups are not here yet");
        next.has_installed(SubtaskId(1));
        assert!(next.has_left(LEAVES));
        assert!(!next.has_left(STAYS), "the new graph needs it");
    }

    #[test]
    fn nobody_leaves_before_the_cut() {
        let mut next =
            NextGraph { cut: false, to_cut: BTreeSet::new(), to_install: BTreeSet::new(), ..next() };
        assert!(!next.has_left(LEAVES));
        next.cut = true;
        assert!(next.has_left(LEAVES));
    }
}
