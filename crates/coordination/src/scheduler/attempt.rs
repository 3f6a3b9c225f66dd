//! The deployed attempt: its graph, the state of each subtask, and the executors that still run a part of it.

use crate::event::ParallelismBounds;
use crate::slots::Placement;
use reflow_graph::{ExecutionGraph, RegionIndex, VertexIndex};
use reflow_protocol::deployment::Attempt;
use reflow_types::{
    CheckpointId, ExecutorId, GraphVersion, Instant, SlotId, SubtaskId, SubtaskIndex, TaskManagerId,
};
use std::collections::{BTreeMap, BTreeSet};

/// The status of a subtask, which only ever advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubtaskStatus {
    /// Its deployment was sent. It restores its state and opens its channels.
    Deploying,
    /// It processes records.
    Running,
    /// Its inputs have ended, and it waits for the final checkpoint. Shown as running.
    Ended,
    /// It has finished.
    Finished,
    /// It is being cancelled.
    Canceling,
    /// It was cancelled.
    Canceled,
    /// It has failed, or its executor is lost.
    Failed,
}

/// A subtask of the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtaskRecord {
    pub vertex: VertexIndex,
    pub index: SubtaskIndex,
    pub slot: SlotId,
    /// Its status.
    pub status: SubtaskStatus,
    /// When it entered each status that it was in.
    pub entered: BTreeMap<SubtaskStatus, Instant>,
}

/// An attempt, from its deployment until the deployment of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedAttempt {
    attempt: Attempt,
    graph: ExecutionGraph,
    subtasks: BTreeMap<SubtaskId, SubtaskRecord>,
    /// The executors that may still run a part of it.
    holders: BTreeSet<ExecutorId>,
    /// The TaskManagers of all executors that ever ran a part of it.
    task_managers: BTreeMap<ExecutorId, TaskManagerId>,
    /// The checkpoint that it started from.
    restored: Option<CheckpointId>,
    /// The version of the last graph that was planned for it; 0 is the one that was deployed.
    version: GraphVersion,
    /// The last live rescale, if it was abandoned.
    given_up: Option<GivenUp>,
    /// Whether all of its subtasks have run at one time.
    started: bool,
    /// The regions that were deployed again and have not run since.
    unstarted: BTreeSet<RegionIndex>,
    /// The bounds with which its slots were shared out, if that was beside regions that ran on.
    shared_out: Option<Vec<ParallelismBounds>>,
}

/// Consecutive abandoned live rescales to the same placement. Another placement, or a rescale that succeeds,
/// resets the count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GivenUp {
    /// The placement.
    target: Placement,
    /// The number of tries.
    tries: u32,
    /// The number of tries in which executors could not prepare, which a restart does not need.
    unprepared: u32,
    /// Why the last try was given up.
    reason: String,
}

/// Why a live rescale is abandoned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// Executors have refused it or were too slow.
    Unprepared,
    /// A checkpoint from which to prefetch has failed. A restart needs one as well.
    NoCheckpoint,
}

impl DeployedAttempt {
    /// An attempt whose subtasks are being deployed from the `restored` checkpoint.
    pub(super) fn new(
        now: Instant,
        attempt: Attempt,
        graph: ExecutionGraph,
        restored: Option<CheckpointId>,
    ) -> Self {
        let record = |(vertex, index, subtask): (VertexIndex, SubtaskIndex, &reflow_graph::Subtask)| {
            let (slot, status) = (subtask.slot, SubtaskStatus::Deploying);
            let entered = BTreeMap::from([(status, now)]);
            (subtask.id, SubtaskRecord { vertex, index, slot, status, entered })
        };
        let subtasks: BTreeMap<_, _> = graph.subtasks().map(record).collect();
        let holders = subtasks.values().map(|subtask| subtask.slot.executor).collect();
        let (task_managers, version, given_up, unstarted, shared_out) = Default::default();
        let started = false;
        Self {
            attempt,
            graph,
            subtasks,
            holders,
            task_managers,
            restored,
            version,
            given_up,
            started,
            unstarted,
            shared_out,
        }
    }

    /// Its name.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Its current graph.
    pub fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    /// The subtasks.
    pub fn subtasks(&self) -> &BTreeMap<SubtaskId, SubtaskRecord> {
        &self.subtasks
    }

    /// All subtasks run.
    pub(super) fn set_started(&mut self) {
        self.started = true;
        self.unstarted.clear();
    }

    /// All subtasks of these regions run.
    pub(super) fn set_regions_started(&mut self, regions: &BTreeSet<RegionIndex>) {
        self.unstarted.retain(|region| !regions.contains(region));
    }

    /// Whether all of its subtasks have run at one time.
    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    /// Whether all of these regions have run since they were deployed last.
    pub(super) fn have_started(&self, regions: &BTreeSet<RegionIndex>) -> bool {
        self.unstarted.is_disjoint(regions)
    }

    /// Its parallelism, if its slots were shared out with these bounds beside regions that ran on.
    pub(super) fn shared_out(&self, bounds: &[ParallelismBounds]) -> Option<Vec<u32>> {
        let is_same = self.shared_out.as_deref() == Some(bounds);
        is_same.then(|| self.parallelism())
    }

    /// Replaces the subtasks of some vertices, those of `regions`, by those of `graph`, which are being deployed from the
    /// `restored` checkpoint.
    pub(super) fn restart_regions(
        &mut self,
        now: Instant,
        graph: ExecutionGraph,
        restored: Option<CheckpointId>,
        bounds: &[ParallelismBounds],
        (regions, restarts): (&BTreeSet<RegionIndex>, impl Fn(VertexIndex) -> bool),
    ) {
        self.subtasks.retain(|_, record| !restarts(record.vertex));
        self.join(now, &graph);
        self.holders = self.subtasks.values().map(|record| record.slot.executor).collect();
        (self.graph, self.restored) = (graph, restored);
        self.unstarted.extend(regions);
        self.shared_out = Some(bounds.to_vec());
    }

    /// The checkpoint that it started from, or from which regions of it have restarted last.
    pub fn restored(&self) -> Option<CheckpointId> {
        self.restored
    }

    /// The executors that may still run a part of it.
    pub fn holders(&self) -> &BTreeSet<ExecutorId> {
        &self.holders
    }

    /// The TaskManager of an executor that runs or ran a part of it.
    pub fn task_manager(&self, executor: ExecutorId) -> Option<TaskManagerId> {
        self.task_managers.get(&executor).copied()
    }

    /// Records the TaskManagers of its executors, while they are known.
    pub(super) fn note_task_managers(&mut self, of: impl Fn(ExecutorId) -> Option<TaskManagerId>) {
        let known = self.holders.iter().filter_map(|holder| Some((*holder, of(*holder)?)));
        self.task_managers.extend(known);
    }

    /// Adds executors that may run a part of it from now on.
    pub(super) fn add_holders(&mut self, executors: &BTreeSet<ExecutorId>) {
        self.holders.extend(executors);
    }

    /// Removes an executor that runs no part of it any more. Returns whether it did before.
    pub(super) fn remove_holder(&mut self, executor: ExecutorId) -> bool {
        self.holders.remove(&executor)
    }

    /// Takes all executors.
    pub(super) fn take_holders(&mut self) -> BTreeSet<ExecutorId> {
        std::mem::take(&mut self.holders)
    }

    /// Numbers the next graph.
    pub(super) fn next_version(&mut self) -> GraphVersion {
        self.version = GraphVersion(self.version.0 + 1);
        self.version
    }

    /// The last graph that a former leader has planned had this version.
    pub(super) fn continue_versions(&mut self, version: GraphVersion) {
        self.version = version;
    }

    /// Whether a live rescale was planned since it was deployed.
    pub(super) fn has_changed(&self) -> bool {
        self.version > GraphVersion(0)
    }

    /// Counts an abandoned live rescale to `target`. Returns the number of consecutive earlier ones.
    pub(super) fn give_up(&mut self, target: Placement, why: GiveUp, reason: String) -> u32 {
        let former = self.given_up.take().filter(|last| last.target == target);
        let (tries, unprepared) = former.map_or((0, 0), |former| (former.tries, former.unprepared));
        let mut given_up = GivenUp { target, tries, unprepared, reason };
        given_up.unprepared += u32::from(why == GiveUp::Unprepared);
        let before = given_up.tries;
        given_up.tries = before.saturating_add(1);
        self.given_up = Some(given_up);
        before
    }

    /// The number of consecutive live rescales to `target` that executors could not prepare, and why the last one was
    /// given up.
    pub(super) fn unprepared(&self, target: &Placement) -> Option<(u32, &str)> {
        let last = self.given_up.as_ref().filter(|last| last.target == *target)?;
        Some((last.unprepared, &last.reason))
    }

    /// Adds the added subtasks of the next graph, which are being deployed.
    pub(super) fn join(&mut self, now: Instant, graph: &ExecutionGraph) {
        for (vertex, index, subtask) in graph.subtasks() {
            let (slot, status) = (subtask.slot, SubtaskStatus::Deploying);
            let record =
                || SubtaskRecord { vertex, index, slot, status, entered: BTreeMap::from([(status, now)]) };
            self.subtasks.entry(subtask.id).or_insert_with(record);
        }
    }

    /// Sets the graph that is in effect. Removed subtasks stay in the record until the [end](Self::end_rescale).
    pub(super) fn take_graph(&mut self, graph: ExecutionGraph) {
        for (_, index, subtask) in graph.subtasks() {
            if let Some(record) = self.subtasks.get_mut(&subtask.id) {
                record.index = index;
            }
        }
        self.graph = graph;
    }

    /// A live rescale has succeeded.
    pub(super) fn end_rescale(&mut self) {
        self.remove_leaving();
        self.given_up = None;
        self.shared_out = None;
    }

    /// Removes the subtasks that are not in the graph, and the executors that run none.
    pub(super) fn remove_leaving(&mut self) {
        let members: BTreeMap<SubtaskId, ExecutorId> =
            self.graph.subtasks().map(|(_, _, subtask)| (subtask.id, subtask.slot.executor)).collect();
        self.subtasks.retain(|id, _| members.contains_key(id));
        self.holders.retain(|holder| members.values().any(|executor| executor == holder));
    }

    /// The number of subtasks of each vertex.
    pub fn parallelism(&self) -> Vec<u32> {
        self.graph.vertices.iter().map(|vertex| vertex.parallelism()).collect()
    }

    /// Whether every subtask has reached this status.
    pub(super) fn all_at_least(&self, status: SubtaskStatus) -> bool {
        self.subtasks.values().all(|subtask| subtask.status >= status)
    }

    /// Advances the status of a subtask. Returns whether it has changed.
    pub(super) fn advance(&mut self, now: Instant, subtask: SubtaskId, status: SubtaskStatus) -> bool {
        match self.subtasks.get_mut(&subtask) {
            Some(record) if record.status < status => {
                record.status = status;
                record.entered.insert(status, now);
                true
            }
            _ => false,
        }
    }

    /// Advances the status of all subtasks, or those on an executor, that have not finished.
    pub(super) fn advance_all(&mut self, now: Instant, on: Option<ExecutorId>, status: SubtaskStatus) {
        self.advance_each(now, status, |record| on.is_none_or(|executor| record.slot.executor == executor));
    }

    /// Advances the status of some subtasks that have not finished.
    pub(super) fn advance_each(
        &mut self,
        now: Instant,
        status: SubtaskStatus,
        which: impl Fn(&SubtaskRecord) -> bool,
    ) {
        for record in self.subtasks.values_mut().filter(|record| which(record)) {
            if record.status != SubtaskStatus::Finished && record.status < status {
                record.status = status;
                record.entered.insert(status, now);
            }
        }
    }

    /// Whether all subtasks have started and none has finished. Inputs of some may have ended: they take part in
    /// checkpoints, and so in a live rescale, until the job ends.
    pub(super) fn runs(&self) -> bool {
        let runs = |status| matches!(status, SubtaskStatus::Running | SubtaskStatus::Ended);
        self.subtasks.values().all(|subtask| runs(subtask.status))
    }

    /// Whether an executor still has work to do for the attempt.
    pub(super) fn needs(&self, executor: ExecutorId) -> bool {
        let unfinished = |subtask: &&SubtaskRecord| subtask.status != SubtaskStatus::Finished;
        let mut here = self.subtasks.values().filter(|subtask| subtask.slot.executor == executor);
        here.any(|subtask| unfinished(&subtask))
    }
}
