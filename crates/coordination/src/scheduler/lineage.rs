//! The numbers of a job's attempts and subtasks, which are never used twice, and the ownership tables that one
//! attempt passes to the next.

use super::view::RegionRestart;
use reflow_graph::{ExecutionGraph, RegionIndex, VertexIndex};
use reflow_types::{AttemptNumber, Instant, OwnershipTable, SubtaskId};
use std::collections::BTreeSet;

pub(super) struct Lineage {
    last_attempt: AttemptNumber,
    next_subtask: SubtaskId,
    /// The ownership tables by vertex, for those with keyed state.
    tables: Vec<Option<OwnershipTable>>,
    restarts: u64,
    /// The last one that was of some regions alone.
    region_restart: Option<RegionRestart>,
    rescales: u64,
}

impl Lineage {
    /// The first attempt starts from these tables.
    pub(super) fn new(next_subtask: SubtaskId, tables: Vec<Option<OwnershipTable>>) -> Self {
        let (last_attempt, region_restart) = (AttemptNumber(0), None);
        Self { last_attempt, next_subtask, tables, restarts: 0, region_restart, rescales: 0 }
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

    /// Regions restart while others run on.
    pub(super) fn count_region_restart(&mut self, now: Instant, regions: &BTreeSet<RegionIndex>) {
        self.restarts += 1;
        self.region_restart = Some(RegionRestart { at: now, regions: regions.clone() });
    }

    pub(super) fn region_restart(&self) -> Option<&RegionRestart> {
        self.region_restart.as_ref()
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
