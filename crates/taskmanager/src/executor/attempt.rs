//! The attempt that an executor runs: its subtasks, their slots, and how they are built.

use super::process::ExecutorOptions;
use super::rescale::NextGraph;
use super::slots::Slots;
use reflow_graph::{ExecutionGraph, Subtask, VertexIndex};
use reflow_network::Hub;
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::failure::Failure;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::snapshot::{AfterBarrier, Codec, Restore};
use reflow_runtime::{BuildContext, DeployedTask, Preparation, SlotCommand, Wiring};
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, JobId, MaxParallelism, SubtaskId, SubtaskIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An attempt in this executor.
pub(super) struct Running {
    pub(super) attempt: Attempt,
    /// The subtasks here, and their slots.
    pub(super) subtasks: BTreeMap<SubtaskId, usize>,
    /// Subtasks that have nothing more to do.
    pub(super) finished: BTreeSet<SubtaskId>,
    /// The executors with which subtasks here exchange records.
    pub(super) peers: BTreeSet<ExecutorId>,
    /// Its tasks are dropped or being dropped, because one has failed.
    pub(super) failed: bool,
    /// A graph that is prepared, or in whose cut the attempt is.
    pub(super) next: Option<NextGraph>,
}

impl Running {
    /// An attempt of which nothing runs here yet.
    pub(super) fn nothing_of(attempt: Attempt) -> Self {
        let (subtasks, finished, peers) = Default::default();
        Self { attempt, subtasks, finished, peers, failed: false, next: None }
    }

    /// Takes note of what a subtask reports.
    pub(super) fn observe(&mut self, subtask: SubtaskId, event: &SubtaskEvent) {
        match (event, &mut self.next) {
            (SubtaskEvent::Cut { .. } | SubtaskEvent::Finished, Some(next)) => next.has_cut(subtask),
            (SubtaskEvent::Installed { .. }, Some(next)) => next.has_installed(subtask),
            _ => {}
        }
        if *event == SubtaskEvent::Finished {
            self.finished.insert(subtask);
        }
    }
}

/// What a subtask gets back.
pub(super) struct Restored {
    pub(super) state: Restore,
    pub(super) codec: Codec,
    /// Whose it is.
    pub(super) checkpoint: Option<CheckpointId>,
    /// What sources do.
    pub(super) then: AfterBarrier,
}

/// What building needs besides the deployment.
pub(super) struct Builder<'a> {
    pub(super) executor: ExecutorId,
    pub(super) options: &'a ExecutorOptions,
    pub(super) job_id: JobId,
    pub(super) hub: &'a Hub,
    pub(super) slots: &'a Slots,
}

impl Builder<'_> {
    /// Builds the tasks of this executor's subtasks and hands them to their slots. A task that cannot be built
    /// fails its subtask.
    pub(super) fn deploy(&self, deployment: &Deployment) -> (Running, Vec<(SubtaskId, Failure)>) {
        let mut running = Running::nothing_of(deployment.attempt);
        running.peers = self.peers(&deployment.graph);
        let graph = Arc::new(deployment.graph.clone());
        let mut restore: BTreeMap<SubtaskId, Restore> = deployment.restore.iter().cloned().collect();
        let mut tasks: Vec<Vec<DeployedTask>> = (0..self.slots.len()).map(|_| Vec::new()).collect();
        let mut failures = Vec::new();
        for (vertex, index, subtask) in graph.subtasks().filter(|(_, _, subtask)| self.is_here(subtask)) {
            let slot = subtask.slot.index as usize;
            running.subtasks.insert(subtask.id, slot);
            let wiring = self.wiring(&graph, GraphVersion(0), (vertex, index, subtask));
            let restore = restore.remove(&subtask.id).unwrap_or_default();
            let restored = Restored {
                state: restore,
                codec: deployment.restore_codec,
                checkpoint: deployment.checkpoint,
                then: deployment.then,
            };
            match self.build(deployment.attempt, wiring, restored, None) {
                Ok(task) => tasks[slot].push(task),
                Err(failure) => failures.push((subtask.id, failure)),
            }
        }
        for (slot, tasks) in tasks.into_iter().enumerate() {
            self.slots.send(slot, SlotCommand::Deploy { attempt: deployment.attempt, tasks });
        }
        (running, failures)
    }

    /// Whether a subtask runs in this executor.
    pub(super) fn is_here(&self, subtask: &Subtask) -> bool {
        subtask.slot.executor == self.executor
    }

    /// A subtask's place in a graph.
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
        let (index, slot) = {
            let (_, index, subtask) = wiring.graph.find(subtask).expect("a subtask is in its graph");
            (index, subtask.slot.index as usize)
        };
        let table = wiring.graph.vertex(vertex).table.as_ref();
        let name = self.options.job.graph.vertex(vertex).name.clone();
        let mut context = BuildContext {
            attempt,
            name: name.clone(),
            max_parallelism: table.map_or(MaxParallelism::DEFAULT, |table| table.max_parallelism()),
            groups: table.map(|table| table.groups_of(index)),
            wiring: wiring.clone(),
            job_id: self.job_id,
            io: self.slots.io(slot).for_task(),
            clock: self.options.clock.clone(),
            restore: restored.state,
            restore_codec: restored.codec,
            checkpoint: restored.checkpoint,
            then: restored.then,
            from_local: self.options.from_local,
            bounds: self.options.bounds,
            added,
        };
        let factory = &self.options.job.factories[usize::from(vertex.0)];
        let task = reflow_runtime::catch(&name, || factory(&mut context))?;
        Ok(DeployedTask { subtask, vertex, name, task })
    }

    /// The executors with which subtasks here exchange records.
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
