//! What of a deployment each executor gets.

use reflow_graph::ExecutionGraph;
use reflow_protocol::control::AfterBarrier;
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::snapshot::{Codec, Restore};
use reflow_types::{CheckpointId, ExecutorId, SubtaskId};
use std::collections::BTreeSet;

/// A deployment, to be cut into executors' shares.
pub(super) struct Share<'a> {
    pub(super) attempt: Attempt,
    pub(super) graph: &'a ExecutionGraph,
    pub(super) restore: &'a [(SubtaskId, Restore)],
    pub(super) restore_codec: Codec,
    pub(super) checkpoint: Option<CheckpointId>,
    pub(super) then: AfterBarrier,
}

impl Share<'_> {
    pub(super) fn of(
        &self,
        executor: ExecutorId,
        addresses: &[(ExecutorId, String)],
        data_dir: &str,
    ) -> Deployment {
        Deployment {
            attempt: self.attempt,
            graph: self.graph.clone(),
            executors: addresses.to_vec(),
            restore: share_of(self.graph, executor, self.restore).collect(),
            restore_codec: self.restore_codec,
            checkpoint: self.checkpoint,
            then: self.then,
            checkpoint_dir: data_dir.to_owned(),
        }
    }
}

/// Those that run some of a graph.
pub(super) fn executors(graph: &ExecutionGraph) -> impl Iterator<Item = ExecutorId> + '_ {
    graph.subtasks().map(|(_, _, subtask)| subtask.slot.executor)
}

/// The state of an executor's subtasks.
pub(super) fn share_of<'a>(
    graph: &ExecutionGraph,
    executor: ExecutorId,
    restore: &'a [(SubtaskId, Restore)],
) -> impl Iterator<Item = (SubtaskId, Restore)> + use<'a> {
    let subtasks = graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == executor);
    let own: BTreeSet<SubtaskId> = subtasks.map(|(_, _, subtask)| subtask.id).collect();
    restore.iter().filter(move |(subtask, _)| own.contains(subtask)).cloned()
}
