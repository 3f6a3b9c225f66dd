//! The attempt that an executor runs: its subtasks, their slots, and the next graph of a live rescale.

use super::builder::Builder;
use super::record::Record;
use super::rescale::NextGraph;
use super::slots::Slots;
use reflow_graph::{ExecutionGraph, VertexIndex};
use reflow_protocol::adoption::{AttemptReport, ReportedStatus, RescaleProgress};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::failure::Failure;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::snapshot::Restore;
use reflow_runtime::{DeployedTask, Restored, SlotCommand};
use reflow_types::{ExecutorId, GraphVersion, Instant, SubtaskId, SubtaskIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

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

    /// An attempt with this executor's subtasks of the deployment, whose tasks are not built yet.
    fn of(builder: &Builder<'_>, deployment: &Deployment, graph: &Arc<ExecutionGraph>) -> Self {
        let record = Record::new(graph.clone(), deployment.checkpoint);
        let mut running = Self::nothing_of(deployment.attempt, record);
        running.peers = builder.peers(graph);
        let restore: BTreeMap<SubtaskId, &Restore> =
            deployment.restore.iter().map(|(subtask, restore)| (*subtask, restore)).collect();
        for (vertex, _, subtask) in graph.subtasks().filter(|(_, _, subtask)| builder.is_here(subtask)) {
            running.subtasks.insert(subtask.id, subtask.slot.index as usize);
            running.record.add(subtask.id, builder.reads(vertex), restore.get(&subtask.id).copied());
        }
        running
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

/// The most channels that are opened in one turn of the executor's loop: some ten milliseconds of work. A subtask
/// with more channels is still built in one turn.
const CHANNELS_A_TURN: usize = 5_000;
/// The time between two messages about a deployment that takes long.
const LOG_EVERY: Duration = Duration::from_secs(2);

/// A deployment whose tasks are being built, some in each turn of the executor's loop, so that heartbeats and
/// cancellations are handled in between. The slots get their tasks when all are built: a task that ran before would
/// only compete with the building of its peers.
pub(super) struct Building {
    deployment: Deployment,
    pub(super) graph: Arc<ExecutionGraph>,
    restore: BTreeMap<SubtaskId, Restore>,
    /// This executor's subtasks that are not built, in topological order.
    left: VecDeque<(VertexIndex, SubtaskIndex)>,
    /// The tasks that are built, for each slot.
    built: Vec<Vec<DeployedTask>>,
    /// When the progress is logged next.
    log_at: Instant,
}

impl Building {
    /// Begins to build this executor's part of the attempt.
    pub(super) fn begin(now: Instant, builder: &Builder<'_>, mut deployment: Deployment) -> (Running, Self) {
        let graph = Arc::new(std::mem::take(&mut deployment.graph));
        let running = Running::of(builder, &deployment, &graph);
        let here = graph.subtasks().filter(|(_, _, subtask)| builder.is_here(subtask));
        let left = here.map(|(vertex, index, _)| (vertex, index)).collect();
        let restore = std::mem::take(&mut deployment.restore).into_iter().collect();
        let built = (0..builder.slots.len()).map(|_| Vec::new()).collect();
        let log_at = now + LOG_EVERY;
        (running, Self { deployment, graph, restore, left, built, log_at })
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.deployment.attempt
    }

    pub(super) fn is_complete(&self) -> bool {
        self.left.is_empty()
    }

    /// Logs the progress of a deployment that takes long.
    pub(super) fn log(&mut self, now: Instant) {
        if now >= self.log_at {
            self.log_at = now + LOG_EVERY;
            let built: usize = self.built.iter().map(Vec::len).sum();
            let all = built + self.left.len();
            info!(attempt = %self.attempt(), "{built} of {all} subtasks are built");
        }
    }

    /// Builds some tasks. A task that cannot be built fails its subtask.
    pub(super) fn proceed(&mut self, builder: &Builder<'_>) -> Result<(), (SubtaskId, Failure)> {
        let mut channels = 0;
        while channels < CHANNELS_A_TURN
            && let Some((vertex, index)) = self.left.pop_front()
        {
            let subtask = &self.graph.vertex(vertex).subtasks[index.0 as usize];
            channels += 1 + builder.channels(&self.graph, vertex, index);
            let wiring = builder.wiring(&self.graph, GraphVersion(0), (vertex, index, subtask));
            let restored = Restored {
                state: self.restore.remove(&subtask.id).unwrap_or_default(),
                first_checkpoint: self.deployment.first_checkpoint,
                checkpoint: self.deployment.checkpoint,
                then: self.deployment.then,
            };
            let task = builder.build(self.deployment.attempt, wiring, restored, None);
            self.built[subtask.slot.index as usize].push(task.map_err(|failure| (subtask.id, failure))?);
        }
        Ok(())
    }

    /// Hands the tasks to their slots.
    pub(super) fn deploy(self, builder: &Builder<'_>) {
        let attempt = self.attempt();
        for (slot, tasks) in self.built.into_iter().enumerate() {
            builder.slots.send(slot, SlotCommand::Deploy { attempt, tasks });
        }
    }

    /// Lets the slots drop what was built. They keep the state of earlier tasks.
    pub(super) fn discard(self, slots: &Slots) {
        for (slot, tasks) in self.built.into_iter().enumerate() {
            slots.send(slot, SlotCommand::Discard(tasks));
        }
    }
}
