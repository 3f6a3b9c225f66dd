//! Builds a subtask's task from its place in a graph and its restored state.

use super::options::ExecutorOptions;
use super::slots::Slots;
use reflow_graph::{ExecutionGraph, RegionIndex, Regions, Subtask, VertexIndex};
use reflow_network::Hub;
use reflow_protocol::failure::{Failure, Fault};
use reflow_runtime::{BuildContext, DeployedTask, Preparation, Restored, Wiring};
use reflow_types::{ExecutorId, GraphVersion, JobId, SubtaskId, SubtaskIndex};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The least memory that one end of a channel takes. Measured: 500 to 600 bytes, in an executor with both ends of
/// 710,000 channels.
const BYTES_OF_AN_END: u64 = 400;

/// The executors with which the subtasks of each region exchange records.
pub(super) type RegionPeers = BTreeSet<(RegionIndex, ExecutorId)>;

/// The surroundings of tasks that do not depend on the deployment.
pub(super) struct Builder<'a> {
    pub(super) executor: ExecutorId,
    pub(super) options: &'a ExecutorOptions,
    pub(super) job_id: JobId,
    pub(super) regions: &'a Regions,
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
        wiring: Wiring,
        restored: Restored,
        added: Option<Preparation>,
    ) -> Result<DeployedTask, Failure> {
        let (vertex, subtask) = (wiring.vertex, wiring.subtask);
        let placed = &wiring.graph.vertex(vertex).subtasks[wiring.index.0 as usize];
        let slot = placed.slot.index as usize;
        let name = wiring.name().to_owned();
        let mut context = BuildContext {
            attempt: wiring.graph.vertex(vertex).attempt,
            wiring,
            job_id: self.job_id,
            io: self.slots.io(slot).for_task(),
            clock: self.options.clock.clone(),
            restored,
            from_local: self.options.from_local,
            bounds: self.options.bounds,
            latency_interval: self.options.latency_interval,
            prefetch_bandwidth: self.options.prefetch_bandwidth.clone(),
            added,
        };
        let factory = &self.options.job.factories[usize::from(vertex.0)];
        let task = reflow_runtime::catch(&name, || factory(&mut context))?;
        Ok(DeployedTask { subtask, vertex, name, task })
    }

    /// The number of a subtask's channels, of inputs and outputs.
    pub(super) fn channels(&self, graph: &ExecutionGraph, vertex: VertexIndex, index: SubtaskIndex) -> usize {
        let job = &self.options.job.graph;
        let inputs = job.inputs(vertex).map(|(edge, _)| graph.senders(job, edge, index).len());
        let outputs = job.outputs(vertex).map(|(edge, _)| graph.receivers(job, edge, index).len());
        inputs.sum::<usize>() + outputs.sum::<usize>()
    }

    /// A failure if the channels of this executor's subtasks do not fit into its memory.
    pub(super) fn check_memory(&self, graph: &ExecutionGraph) -> Option<(SubtaskId, Failure)> {
        let limit = self.options.start.memory_limit?;
        let here = || graph.subtasks().filter(|(_, _, subtask)| self.is_here(subtask));
        let ends: usize = here().map(|(vertex, index, _)| self.channels(graph, vertex, index)).sum();
        let needed = ends as u64 * BYTES_OF_AN_END;
        let (_, _, first) = here().next()?;
        (needed > limit).then(|| {
            let message = format!(
                "the {} subtasks of this TaskManager have {ends} ends of channels, which take at least {} MiB; its limit \
                 is {} MiB: raise taskmanager.memory.process.size, add TaskManagers or lower the parallelism",
                here().count(),
                needed >> 20,
                limit >> 20,
            );
            (first.id, Failure { fault: Fault::Memory, operator: "memory".to_owned(), message })
        })
    }

    /// The executors with which the subtasks of this executor exchange records.
    pub(super) fn peers(&self, graph: &ExecutionGraph) -> RegionPeers {
        let job = &self.options.job.graph;
        let mut peers = BTreeSet::new();
        for (vertex, index, subtask) in graph.subtasks() {
            let region = self.regions.region(vertex);
            for (edge, _) in job.outputs(vertex) {
                for receiver in graph.receivers(job, edge, index) {
                    let (from, to) = (subtask.slot.executor, receiver.slot.executor);
                    if from == self.executor && to != from {
                        peers.insert((region, to));
                    }
                    if to == self.executor && to != from {
                        peers.insert((region, from));
                    }
                }
            }
        }
        peers
    }
}
