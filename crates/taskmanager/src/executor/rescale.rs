//! A live rescale, as an executor takes part in it: it prepares another graph beside the one that runs.
//!
//! Nothing that runs changes before the trigger of the cut. From then on the new subtasks belong to the attempt, and the
//! loss of any executor of either graph fails it; but of one that only the former graph has not any more when all here
//! have cut and hold what they gain. It ends when it is told that the rescale is over, and its connection may be gone
//! before that is heard here.

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
    /// Subtasks here that have not cut: they wait for barriers of the former graph.
    to_cut: BTreeSet<SubtaskId>,
    /// Subtasks here that do not hold the key groups that they gain.
    to_install: BTreeSet<SubtaskId>,
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
            to_cut: running.subtasks.keys().copied().collect(),
            to_install: BTreeSet::new(),
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
            if !preparation.gains.is_empty() {
                next.to_install.insert(subtask);
            }
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
                    next.to_install.insert(subtask.id);
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

    /// A subtask here has cut, or has finished and never will.
    pub(super) fn has_cut(&mut self, subtask: SubtaskId) {
        self.to_cut.remove(&subtask);
    }

    /// A subtask here holds what it gains.
    pub(super) fn has_installed(&mut self, subtask: SubtaskId) {
        self.to_install.remove(&subtask);
    }

    /// Whether an executor has given all that it had to give: nothing here waits for it any more.
    pub(super) fn has_left(&self, executor: ExecutorId) -> bool {
        let settled = self.cut && self.to_cut.is_empty() && self.to_install.is_empty();
        settled && !self.peers.contains(&executor)
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

#[cfg(test)]
mod tests {
    use super::*;

    const STAYS: ExecutorId = ExecutorId(1);
    const LEAVES: ExecutorId = ExecutorId(2);

    fn next() -> NextGraph {
        NextGraph {
            version: GraphVersion(1),
            graph: Arc::default(),
            checkpoint: CheckpointId(1),
            awaited: BTreeSet::new(),
            born: BTreeMap::new(),
            peers: BTreeSet::from([STAYS]),
            givers: BTreeSet::from([LEAVES]),
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
