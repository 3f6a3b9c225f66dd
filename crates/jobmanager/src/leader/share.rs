//! What of a deployment each executor gets.

use reflow_graph::ExecutionGraph;
use reflow_protocol::snapshot::Restore;
use reflow_types::{ExecutorId, SubtaskId};
use std::collections::BTreeSet;

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
