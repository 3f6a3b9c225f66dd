//! Builds a subtask's task from its place in a graph and its restored state.

use super::options::ExecutorOptions;
use super::slots::Slots;
use reflow_graph::{ExecutionGraph, Subtask, VertexIndex};
use reflow_network::Hub;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Failure;
use reflow_runtime::{BuildContext, DeployedTask, Preparation, Restored, Wiring};
use reflow_types::{ExecutorId, GraphVersion, JobId, SubtaskIndex};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The surroundings of tasks that do not depend on the deployment.
pub(super) struct Builder<'a> {
    pub(super) executor: ExecutorId,
    pub(super) options: &'a ExecutorOptions,
    pub(super) job_id: JobId,
    pub(super) hub: &'a Hub,
    pub(super) slots: &'a Slots,
}

impl Builder<'_> {
    /// Whether a subtask runs in this executor.
    pub(super) fn is_here(&self, subtask: &Subtask) -> bool {
        subtask.slot.executor == self.executor
    }

    /// Whether the subtasks of a vertex read a source.
    pub(super) fn reads(&self, vertex: VertexIndex) -> bool {
        self.options.job.graph.vertex(vertex).source
    }

    /// A subtask's inputs and outputs in a graph.
    pub(super) fn wiring(
        &self,
        graph: &Arc<ExecutionGraph>,
        version: GraphVersion,
        (vertex, index, subtask): (VertexIndex, SubtaskIndex, &Subtask),
    ) -> Wiring {
        Wiring {
            job: self.options.job.graph.clone(),
            graph: graph.clone(),
            version,
            vertex,
            subtask: subtask.id,
            index,
            executor: self.executor,
            slots: self.slots.signals(),
            hub: self.hub.clone(),
        }
    }

    /// The task of one subtask.
    pub(super) fn build(
        &self,
        attempt: Attempt,
        wiring: Wiring,
        restored: Restored,
        added: Option<Preparation>,
    ) -> Result<DeployedTask, Failure> {
        let (vertex, subtask) = (wiring.vertex, wiring.subtask);
        let (_, _, placed) = wiring.graph.find(subtask).expect("a subtask is in its graph");
        let slot = placed.slot.index as usize;
        let name = wiring.name().to_owned();
        let mut context = BuildContext {
            attempt,
            wiring,
            job_id: self.job_id,
            io: self.slots.io(slot).for_task(),
            clock: self.options.clock.clone(),
            restored,
            from_local: self.options.from_local,
            bounds: self.options.bounds,
            added,
        };
        let factory = &self.options.job.factories[usize::from(vertex.0)];
        let task = reflow_runtime::catch(&name, || factory(&mut context))?;
        Ok(DeployedTask { subtask, vertex, name, task })
    }

    /// The executors with which the subtasks of this executor exchange records.
    pub(super) fn peers(&self, graph: &ExecutionGraph) -> BTreeSet<ExecutorId> {
        let job = &self.options.job.graph;
        let mut peers = BTreeSet::new();
        for (vertex, index, subtask) in graph.subtasks() {
            for (edge, _) in job.outputs(vertex) {
                for receiver in graph.receivers(job, edge, index) {
                    let (from, to) = (subtask.slot.executor, receiver.slot.executor);
                    if from == self.executor && to != from {
                        peers.insert(to);
                    }
                    if to == self.executor && to != from {
                        peers.insert(from);
                    }
                }
            }
        }
        peers
    }
}
