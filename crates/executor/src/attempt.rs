//! The attempt that an executor runs: its subtasks, their slots, and the next graph of a live rescale.

use super::builder::Builder;
use super::record::Record;
use super::rescale::NextGraph;
use reflow_protocol::adoption::{AttemptReport, ReportedStatus, RescaleProgress};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::failure::Failure;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::snapshot::Restore;
use reflow_runtime::{DeployedTask, Restored, SlotCommand};
use reflow_types::{ExecutorId, GraphVersion, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// This executor's part of an attempt.
pub(super) struct Running {
    pub(super) attempt: Attempt,
    /// The slot of each subtask of this executor.
    pub(super) subtasks: BTreeMap<SubtaskId, usize>,
    /// Subtasks that have finished.
    pub(super) finished: BTreeSet<SubtaskId>,
    /// The executors with which the subtasks exchange records.
    pub(super) peers: BTreeSet<ExecutorId>,
    /// Whether a task has failed, so that all of them have been or are being dropped.
    pub(super) failed: bool,
    /// The graph that is being prepared or to which the attempt is changing.
    pub(super) next: Option<NextGraph>,
    pub(super) record: Record,
}

impl Running {
    /// An attempt without subtasks in this executor.
    pub(super) fn nothing_of(attempt: Attempt, record: Record) -> Self {
        let (subtasks, finished, peers) = Default::default();
        Self { attempt, subtasks, finished, peers, failed: false, next: None, record }
    }

    /// Builds the tasks of this executor's subtasks and hands them to their slots. A task that cannot be built
    /// fails its subtask.
    pub(super) fn deploy(
        builder: &Builder<'_>,
        deployment: &Deployment,
    ) -> (Self, Vec<(SubtaskId, Failure)>) {
        let graph = Arc::new(deployment.graph.clone());
        let record = Record::new(graph.clone(), deployment.checkpoint);
        let mut running = Self::nothing_of(deployment.attempt, record);
        running.peers = builder.peers(&deployment.graph);
        let mut restore: BTreeMap<SubtaskId, Restore> = deployment.restore.iter().cloned().collect();
        let mut tasks: Vec<Vec<DeployedTask>> = (0..builder.slots.len()).map(|_| Vec::new()).collect();
        let mut failures = Vec::new();
        for (vertex, index, subtask) in graph.subtasks().filter(|(_, _, subtask)| builder.is_here(subtask)) {
            let slot = subtask.slot.index as usize;
            running.subtasks.insert(subtask.id, slot);
            let wiring = builder.wiring(&graph, GraphVersion(0), (vertex, index, subtask));
            let restore = restore.remove(&subtask.id).unwrap_or_default();
            running.record.add(subtask.id, builder.reads(vertex), Some(&restore));
            let restored = Restored {
                state: restore,
                first_checkpoint: deployment.first_checkpoint,
                checkpoint: deployment.checkpoint,
                then: deployment.then,
            };
            match builder.build(deployment.attempt, wiring, restored, None) {
                Ok(task) => tasks[slot].push(task),
                Err(failure) => failures.push((subtask.id, failure)),
            }
        }
        for (slot, tasks) in tasks.into_iter().enumerate() {
            builder.slots.send(slot, SlotCommand::Deploy { attempt: deployment.attempt, tasks });
        }
        (running, failures)
    }

    /// The report of the attempt for another JobManager.
    pub(super) fn report(&self) -> AttemptReport {
        let rescale = match &self.next {
            None => RescaleProgress::None,
            Some(next) if next.cut => RescaleProgress::Cut(next.version),
            Some(next) => RescaleProgress::Preparing(next.version),
        };
        let status = |status| if self.failed { ReportedStatus::Failed } else { status };
        let record = &self.record;
        AttemptReport {
            attempt: self.attempt,
            graph: (*record.graph).clone(),
            version: record.version,
            rescale,
            restored: record.restored,
            completed: record.completed,
            undecided: record.undecided(),
            highest: record.highest,
            subtasks: record.subtasks().map(|(id, of_subtask)| (id, status(of_subtask))).collect(),
            readers: record.readers().collect(),
        }
    }

    /// Records a subtask's report.
    pub(super) fn observe(&mut self, subtask: SubtaskId, event: &SubtaskEvent) {
        let next = self.next.as_ref().filter(|next| next.cut);
        self.record.observe(subtask, event, next.map(|next| &*next.graph));
        match (event, &mut self.next) {
            (SubtaskEvent::Cut { .. } | SubtaskEvent::Finished, Some(next)) => next.has_cut(subtask),
            (SubtaskEvent::Installed { .. }, Some(next)) => next.has_installed(subtask),
            _ => {}
        }
        if *event == SubtaskEvent::Finished {
            self.finished.insert(subtask);
        }
    }

    /// Abandons the rescale.
    pub(super) fn abandon(&mut self, builder: &Builder<'_>) {
        let Some(next) = self.next.take() else { return };
        builder.slots.send_to_all(|| SlotCommand::Abandon);
        let added: Vec<SubtaskId> = next.added().keys().copied().collect();
        builder.slots.send_to_all(|| SlotCommand::Drop(added.clone()));
    }

    /// Begins the cut. From then on the attempt has the subtasks of both graphs.
    pub(super) fn begin_cut(&mut self, builder: &Builder<'_>, version: GraphVersion) {
        let Some(next) = self.next.as_mut().filter(|next| next.version == version) else { return };
        for (vertex, _, subtask) in next.graph.subtasks().filter(|(_, _, s)| next.added().contains_key(&s.id))
        {
            self.record.add(subtask.id, builder.reads(vertex), None);
        }
        next.cut = true;
        self.peers.extend(&next.peers);
        self.peers.extend(&next.old_owners);
        self.subtasks.extend(next.added());
    }

    /// Commits the rescale: drops removed subtasks.
    pub(super) fn commit(&mut self, builder: &Builder<'_>) {
        let Some(next) = self.next.take() else { return };
        let gone = self.subtasks.keys().copied().filter(|id| !next.contains(*id));
        let gone: Vec<SubtaskId> = gone.collect();
        self.subtasks.retain(|id, _| !gone.contains(id));
        self.record.commit(next.graph.clone());
        self.peers = next.peers;
        builder.slots.send_to_all(|| SlotCommand::Drop(gone.clone()));
    }
}
