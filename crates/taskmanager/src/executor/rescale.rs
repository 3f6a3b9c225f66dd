//! A live rescale, as an executor takes part in it: it prepares another graph beside the one that runs.
//!
//! Nothing that runs changes before the trigger of the cut. From then on the new subtasks belong to the attempt, and the
//! loss of any executor of either graph fails it.

use super::attempt::{Builder, Restored, Running};
use reflow_graph::{ExecutionGraph, Move};
use reflow_protocol::control::Failure;
use reflow_protocol::rescale::Preparation as Message;
use reflow_protocol::snapshot::{Codec, Restore};
use reflow_runtime::{Gain, Give, Preparation, SlotCommand};
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A graph that is prepared, or in whose cut the attempt is.
pub(super) struct NextGraph {
    pub(super) version: GraphVersion,
    graph: Arc<ExecutionGraph>,
    /// The checkpoint up to which subtasks are to be ready, and those that are not yet.
    pub(super) checkpoint: CheckpointId,
    pub(super) awaited: BTreeSet<SubtaskId>,
    /// Subtasks here that come with it, and their slots.
    born: BTreeMap<SubtaskId, usize>,
    /// The executors with which subtasks here will exchange records.
    pub(super) peers: BTreeSet<ExecutorId>,
    /// The executors whose subtasks give key groups to those here.
    pub(super) givers: BTreeSet<ExecutorId>,
    /// Whether the cut has been triggered.
    pub(super) cut: bool,
}

impl NextGraph {
    /// Tells every task here what is to come, and builds those that come. Returns what failed to be built, too.
    pub(super) fn prepare(
        builder: &Builder<'_>,
        running: &Running,
        message: Message,
    ) -> (Self, Option<Failure>) {
        let Message { attempt, version, former, graph, checkpoint, restore, .. } = message;
        let (graph, mut restore) = (Arc::new(graph), BTreeMap::from_iter(restore));
        let moves = former.moves(&graph);
        let executor_of = |id: SubtaskId| former.find(id).map(|(_, _, subtask)| subtask.slot.executor);
        let mut next = Self {
            version,
            peers: builder.peers(&graph),
            graph: graph.clone(),
            checkpoint,
            awaited: running.subtasks.keys().copied().collect(),
            born: BTreeMap::new(),
            givers: BTreeSet::new(),
            cut: false,
        };
        let mut preparation = |subtask: SubtaskId, wiring| {
            let (gains, gives) = shares(&moves, subtask);
            let restore: Restore = restore.remove(&subtask).unwrap_or_default();
            Preparation { version, wiring, gains, gives, checkpoint, restore }
        };
        for (&subtask, &slot) in &running.subtasks {
            let place = graph.find(subtask);
            let wiring = place.map(|place| builder.wiring(&graph, version, place));
            let preparation = preparation(subtask, wiring);
            next.givers.extend(preparation.gains.iter().filter_map(|gain| executor_of(gain.from)));
            builder.slots.tell(slot, SlotCommand::Prepare(subtask, Box::new(preparation)));
        }
        let mut failed = None;
        for (vertex, index, subtask) in graph.subtasks().filter(|(_, _, subtask)| builder.is_here(subtask)) {
            if running.subtasks.contains_key(&subtask.id) {
                continue;
            }
            let slot = subtask.slot.index as usize;
            let wiring = builder.wiring(&graph, version, (vertex, index, subtask));
            let preparation = preparation(subtask.id, Some(wiring.clone()));
            next.givers.extend(preparation.gains.iter().filter_map(|gain| executor_of(gain.from)));
            // What it reads ahead is not loaded as its own: of the state it gets the watermark only.
            let state = Restore { watermark: preparation.restore.watermark, ..Restore::default() };
            let restored = Restored { state, codec: Codec::Exchange, checkpoint: None };
            match builder.build(attempt, wiring, restored, Some(preparation)) {
                Ok(task) => {
                    builder.slots.tell(slot, SlotCommand::Add { attempt, task });
                    next.born.insert(subtask.id, slot);
                    next.awaited.insert(subtask.id);
                }
                Err(failure) => failed = Some(failure),
            }
        }
        next.givers.remove(&builder.executor);
        (next, failed)
    }

    /// Tells the tasks here what a later checkpoint holds.
    pub(super) fn catch_up(
        &mut self,
        builder: &Builder<'_>,
        running: &BTreeMap<SubtaskId, usize>,
        checkpoint: CheckpointId,
        restore: Vec<(SubtaskId, Restore)>,
    ) {
        self.checkpoint = checkpoint;
        let mut restore = BTreeMap::from_iter(restore);
        for (&subtask, &slot) in running.iter().chain(&self.born) {
            self.awaited.insert(subtask);
            let restore = restore.remove(&subtask).unwrap_or_default();
            builder.slots.tell(slot, SlotCommand::CatchUp(subtask, checkpoint, restore));
        }
    }

    /// The slot of a subtask that comes with the graph.
    pub(super) fn slot_of(&self, subtask: SubtaskId) -> Option<usize> {
        self.born.get(&subtask).copied()
    }

    /// Where a subtask of the graph is.
    pub(super) fn executor_of(&self, subtask: SubtaskId) -> Option<ExecutorId> {
        self.graph.find(subtask).map(|(_, _, subtask)| subtask.slot.executor)
    }
}

impl Running {
    /// The rescale is given up.
    pub(super) fn abandon(&mut self, builder: &Builder<'_>) {
        let Some(next) = self.next.take() else { return };
        builder.slots.tell_all(|| SlotCommand::Abandon);
        let born: Vec<SubtaskId> = next.born.keys().copied().collect();
        builder.slots.tell_all(|| SlotCommand::Drop(born.clone()));
    }

    /// The cut is triggered: the attempt has the subtasks of both graphs.
    pub(super) fn begin_cut(&mut self, version: GraphVersion) {
        let Some(next) = self.next.as_mut().filter(|next| next.version == version) else { return };
        next.cut = true;
        self.peers.extend(&next.peers);
        self.peers.extend(&next.givers);
        self.subtasks.extend(&next.born);
    }

    /// The rescale is over: what is not in the graph any more goes.
    pub(super) fn commit(&mut self, builder: &Builder<'_>) {
        let Some(next) = self.next.take() else { return };
        let gone = self.subtasks.keys().copied().filter(|id| next.graph.find(*id).is_none());
        let gone: Vec<SubtaskId> = gone.collect();
        self.subtasks.retain(|id, _| !gone.contains(id));
        self.peers = next.peers;
        builder.slots.tell_all(|| SlotCommand::Drop(gone.clone()));
    }
}

/// What one subtask gains and gives.
fn shares(moves: &[Move], subtask: SubtaskId) -> (Vec<Gain>, Vec<Give>) {
    let gains = moves.iter().filter(|m| m.to == subtask);
    let gives = moves.iter().filter(|m| m.from == subtask);
    (
        gains.map(|m| Gain { from: m.from, groups: m.groups.clone() }).collect(),
        gives.map(|m| Give { to: m.to, groups: m.groups.clone() }).collect(),
    )
}
