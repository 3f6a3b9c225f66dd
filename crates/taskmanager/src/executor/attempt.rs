//! The attempt that an executor runs: which subtasks, where, and how they are built.

use super::slots::Slots;
use reflow_env::Clock;
use reflow_network::Hub;
use reflow_protocol::control::Failure;
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::snapshot::Restore;
use reflow_runtime::{BuildContext, DeployedTask, SlotCommand};
use reflow_stream::Job;
use reflow_types::{ExecutorId, JobId, MaxParallelism, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An attempt in this executor.
pub(super) struct Running {
    pub(super) attempt: Attempt,
    /// The subtasks here, and their slots.
    pub(super) subtasks: BTreeMap<SubtaskId, usize>,
    /// The executors with which subtasks here exchange records.
    pub(super) peers: BTreeSet<ExecutorId>,
    /// Its tasks are dropped or being dropped, because one has failed.
    pub(super) failed: bool,
}

/// What building needs besides the deployment.
pub(super) struct Builder<'a> {
    pub(super) executor: ExecutorId,
    pub(super) job: &'a Job,
    pub(super) job_id: JobId,
    pub(super) hub: &'a Hub,
    pub(super) clock: &'a Arc<dyn Clock>,
}

impl Builder<'_> {
    /// Builds the tasks of this executor's subtasks and hands them to their slots. A task that cannot be built
    /// fails its subtask.
    pub(super) fn deploy(
        &self,
        deployment: &Deployment,
        slots: &Slots,
    ) -> (Running, Vec<(SubtaskId, Failure)>) {
        let mut running = Running {
            attempt: deployment.attempt,
            subtasks: BTreeMap::new(),
            peers: self.peers(deployment),
            failed: false,
        };
        let mut restore: BTreeMap<SubtaskId, Restore> = deployment.restore.iter().cloned().collect();
        let mut tasks: Vec<Vec<DeployedTask>> = (0..slots.len()).map(|_| Vec::new()).collect();
        let mut failures = Vec::new();
        for (vertex, index, subtask) in deployment.graph.subtasks() {
            if subtask.slot.executor != self.executor {
                continue;
            }
            let slot = subtask.slot.index as usize;
            running.subtasks.insert(subtask.id, slot);
            let table = deployment.graph.vertex(vertex).table.as_ref();
            let name = self.job.graph.vertex(vertex).name.clone();
            let mut context = BuildContext {
                job: &self.job.graph,
                job_id: self.job_id,
                graph: &deployment.graph,
                attempt: deployment.attempt,
                vertex,
                subtask: subtask.id,
                index,
                name: name.clone(),
                max_parallelism: table.map_or(MaxParallelism::DEFAULT, |table| table.max_parallelism()),
                groups: table.map(|table| table.groups_of(index)),
                executor: self.executor,
                slots: slots.signals(),
                hub: self.hub,
                io: slots.io(slot),
                clock: self.clock.clone(),
                restore: restore.remove(&subtask.id).unwrap_or_default(),
                restore_codec: deployment.restore_codec,
            };
            let factory = &self.job.factories[usize::from(vertex.0)];
            match reflow_runtime::catch(&name, || factory(&mut context)) {
                Ok(task) => tasks[slot].push(DeployedTask { subtask: subtask.id, name, task }),
                Err(failure) => failures.push((subtask.id, failure)),
            }
        }
        for (slot, tasks) in tasks.into_iter().enumerate() {
            slots.tell(slot, SlotCommand::Deploy { attempt: deployment.attempt, tasks });
        }
        (running, failures)
    }

    fn peers(&self, deployment: &Deployment) -> BTreeSet<ExecutorId> {
        let (job, graph) = (&self.job.graph, &deployment.graph);
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
