//! The attempt that an executor runs: its subtasks, their slots, and the next graph of a live rescale.

use super::builder::{Builder, RegionPeers};
use super::record::Record;
use super::rescale::NextGraph;
use super::slots::Slots;
use reflow_graph::{ExecutionGraph, RegionIndex, Regions, VertexIndex};
use reflow_protocol::adoption::{AttemptReport, RescaleProgress};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::failure::Failure;
use reflow_protocol::regions::RegionRestart;
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
    /// The executors with which the subtasks of each region exchange records.
    pub(super) peers: RegionPeers,
    /// The regions whose tasks have been or are being dropped, because one has failed or the region restarts.
    pub(super) ended: BTreeSet<RegionIndex>,
    /// The graph that is being prepared or to which the attempt is changing.
    pub(super) next: Option<NextGraph>,
    pub(super) record: Record,
}

impl Running {
    /// An attempt without subtasks in this executor.
    pub(super) fn nothing_of(attempt: Attempt, record: Record) -> Self {
        let (subtasks, finished, peers, ended) = Default::default();
        Self { attempt, subtasks, finished, peers, ended, next: None, record }
    }

    /// Adds this executor's subtasks of a deployment, whose tasks are not built yet.
    fn add(&mut self, builder: &Builder<'_>, building: &Building) {
        self.peers = builder.peers(&building.graph);
        for (vertex, index) in &building.left {
            let subtask = &building.graph.vertex(*vertex).subtasks[index.0 as usize];
            self.subtasks.insert(subtask.id, subtask.slot.index as usize);
            self.record.add(subtask.id, builder.reads(*vertex), building.restore.get(&subtask.id));
        }
        self.ended.retain(|region| !building.regions.contains(region));
    }

    /// Whether subtasks of this executor exchange records with `executor`.
    pub(super) fn exchanges_with(&self, executor: ExecutorId) -> bool {
        self.peers.iter().any(|(_, peer)| *peer == executor)
    }

    /// The region of a subtask of either graph.
    pub(super) fn region_of(&self, regions: &Regions, subtask: SubtaskId) -> Option<RegionIndex> {
        let next = || self.next.as_ref()?.graph.find(subtask);
        self.record.graph.find(subtask).or_else(next).map(|(vertex, ..)| regions.region(vertex))
    }

    /// The subtasks of some regions, in both graphs.
    pub(super) fn subtasks_of(&self, regions: &Regions, some: &BTreeSet<RegionIndex>) -> BTreeSet<SubtaskId> {
        let next = self.next.iter().flat_map(|next| next.graph.subtasks());
        let of_regions = self.record.graph.subtasks().chain(next);
        let of_regions = of_regions.filter(|(vertex, ..)| some.contains(&regions.region(*vertex)));
        of_regions.map(|(_, _, subtask)| subtask.id).collect()
    }

    /// Takes the subtasks of regions, which end.
    pub(super) fn end_regions(
        &mut self,
        regions: &Regions,
        ended: &BTreeSet<RegionIndex>,
    ) -> BTreeSet<SubtaskId> {
        self.ended.extend(ended);
        let subtasks = self.subtasks_of(regions, ended);
        self.subtasks.retain(|id, _| !subtasks.contains(id));
        self.finished.retain(|id| !subtasks.contains(id));
        self.record.fail(&subtasks);
        subtasks
    }

    /// The report of the attempt for another JobManager.
    pub(super) fn report(&self) -> AttemptReport {
        let rescale = match &self.next {
            None => RescaleProgress::None,
            Some(next) if next.cut => RescaleProgress::Cut(next.version),
            Some(next) => RescaleProgress::Preparing(next.version),
        };
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
            subtasks: record.subtasks().collect(),
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
        // From now on, the loss of an old owner is one of the whole job.
        for region in builder.regions.all() {
            self.peers.extend(next.old_owners.iter().map(|old_owner| (region, *old_owner)));
        }
        self.subtasks.extend(next.added());
    }

    /// Commits the rescale: drops removed subtasks.
    pub(super) fn commit(&mut self, builder: &Builder<'_>) {
        let Some(next) = self.next.take() else { return };
        let gone = self.subtasks.keys().copied().filter(|id| !next.contains(*id));
        let gone: Vec<SubtaskId> = gone.collect();
        self.subtasks.retain(|id, _| !gone.contains(id));
        self.record.take_graph(next.graph.clone());
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
    /// The version of the graph.
    version: GraphVersion,
    /// The regions of the tasks.
    pub(super) regions: BTreeSet<RegionIndex>,
    restore: BTreeMap<SubtaskId, Restore>,
    /// This executor's subtasks that are not built, in topological order.
    left: VecDeque<(VertexIndex, SubtaskIndex)>,
    /// The tasks that are built, for each slot.
    built: Vec<Vec<DeployedTask>>,
    /// When the progress is logged next.
    log_at: Instant,
}

impl Building {
    /// Begins to build this executor's part of an attempt.
    pub(super) fn begin(now: Instant, builder: &Builder<'_>, deployment: Deployment) -> (Running, Self) {
        let (attempt, checkpoint) = (deployment.attempt, deployment.checkpoint);
        let building = Self::of(now, builder, deployment, (GraphVersion(0), builder.regions.all()));
        let mut running = Running::nothing_of(attempt, Record::new(building.graph.clone(), checkpoint));
        running.add(builder, &building);
        (running, building)
    }

    /// Begins to build this executor's part of regions, beside what is running.
    pub(super) fn begin_regions(
        now: Instant,
        builder: &Builder<'_>,
        running: &mut Running,
        restart: RegionRestart,
        deployment: Deployment,
    ) -> Self {
        let building = Self::of(now, builder, deployment, (restart.version, restart.regions));
        if running.subtasks.is_empty() {
            running.record.begin_again(building.graph.clone(), building.deployment.checkpoint);
        }
        running.record.take_graph(building.graph.clone());
        running.record.version = building.version;
        running.add(builder, &building);
        building
    }

    fn of(
        now: Instant,
        builder: &Builder<'_>,
        mut deployment: Deployment,
        (version, regions): (GraphVersion, BTreeSet<RegionIndex>),
    ) -> Self {
        let graph = Arc::new(std::mem::take(&mut deployment.graph));
        let here = graph.subtasks().filter(|(vertex, _, subtask)| {
            builder.is_here(subtask) && regions.contains(&builder.regions.region(*vertex))
        });
        let left = here.map(|(vertex, index, _)| (vertex, index)).collect();
        let restore = std::mem::take(&mut deployment.restore).into_iter().collect();
        let built = (0..builder.slots.len()).map(|_| Vec::new()).collect();
        let log_at = now + LOG_EVERY;
        Self { deployment, graph, version, regions, restore, left, built, log_at }
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
            let wiring = builder.wiring(&self.graph, self.version, (vertex, index, subtask));
            let restored = Restored {
                state: self.restore.remove(&subtask.id).unwrap_or_default(),
                first_checkpoint: self.deployment.first_checkpoint,
                checkpoint: self.deployment.taken_in(vertex),
                then: self.deployment.then,
            };
            let task = builder.build(wiring, restored, None);
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
