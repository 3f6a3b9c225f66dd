//! The numbers of a job's attempts and subtasks, which are never used twice, and the ownership tables that one
//! attempt passes to the next.

use reflow_graph::{ExecutionGraph, VertexIndex};
use reflow_types::{AttemptNumber, OwnershipTable, SubtaskId};

pub(super) struct Lineage {
    last_attempt: AttemptNumber,
    next_subtask: SubtaskId,
    /// The ownership tables by vertex, for those with keyed state.
    tables: Vec<Option<OwnershipTable>>,
    restarts: u64,
    rescales: u64,
}

impl Lineage {
    /// The first attempt starts from these tables.
    pub(super) fn new(next_subtask: SubtaskId, tables: Vec<Option<OwnershipTable>>) -> Self {
        Self { last_attempt: AttemptNumber(0), next_subtask, tables, restarts: 0, rescales: 0 }
    }

    /// Numbers the next attempt.
    pub(super) fn next_attempt(&mut self) -> AttemptNumber {
        self.last_attempt = self.last_attempt.next();
        self.last_attempt
    }

    /// Names a new subtask.
    pub(super) fn next_subtask(&mut self) -> SubtaskId {
        let id = self.next_subtask;
        self.next_subtask = id.next();
        id
    }

    /// The ownership table of a vertex in the last graph.
    pub(super) fn table(&self, vertex: VertexIndex) -> Option<&OwnershipTable> {
        self.tables[usize::from(vertex.0)].as_ref()
    }

    /// Takes the tables of a graph that is in effect or about to be deployed.
    pub(super) fn take_tables(&mut self, graph: &ExecutionGraph) {
        for (table, vertex) in self.tables.iter_mut().zip(&graph.vertices) {
            table.clone_from(&vertex.table);
        }
    }

    /// The next attempt follows a failure.
    pub(super) fn count_restart(&mut self) {
        self.restarts += 1;
    }

    /// The next attempt, or the next graph, follows a rescale.
    pub(super) fn count_rescale(&mut self) {
        self.rescales += 1;
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts
    }

    pub(super) fn rescales(&self) -> u64 {
        self.rescales
    }
}
