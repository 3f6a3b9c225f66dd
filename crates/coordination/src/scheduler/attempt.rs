//! The deployed attempt: its graph, the state of each subtask, and the executors that still run a part of it.

use crate::slots::Placement;
use reflow_graph::{ExecutionGraph, VertexIndex};
use reflow_protocol::deployment::Attempt;
use reflow_types::{
    CheckpointId, ExecutorId, GraphVersion, Instant, SlotId, SubtaskId, SubtaskIndex, TaskManagerId,
};
use std::collections::{BTreeMap, BTreeSet};

/// How far a subtask is. Only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubtaskStatus {
    /// Its deployment was sent; it restores its state and opens its channels.
    Deploying,
    /// It processes records.
    Running,
    /// Its inputs have ended; it waits for the final checkpoint. Shown as running.
    Ended,
    /// It has nothing more to do.
    Finished,
    /// It was told to end.
    Canceling,
    /// It ended because it was told to.
    Canceled,
    /// It ended with an error, or its executor is gone.
    Failed,
}

/// A subtask of the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtaskRecord {
    pub vertex: VertexIndex,
    pub index: SubtaskIndex,
    pub slot: SlotId,
    /// How far it is.
    pub status: SubtaskStatus,
    /// When it entered each status that it was in.
    pub entered: BTreeMap<SubtaskStatus, Instant>,
}

/// An attempt, from its deployment until the next one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedAttempt {
    attempt: Attempt,
    graph: ExecutionGraph,
    subtasks: BTreeMap<SubtaskId, SubtaskRecord>,
    /// The executors that may still run some of it.
    holders: BTreeSet<ExecutorId>,
    /// The TaskManagers of all executors that ever did.
    task_managers: BTreeMap<ExecutorId, TaskManagerId>,
    /// The checkpoint that it started from.
    restored: Option<CheckpointId>,
    /// The last graph that was made for it: 0 is the one that was deployed.
    version: GraphVersion,
    /// The last live rescale, if it was given up.
    given_up: Option<GivenUp>,
}

/// Live rescales to one placement that were given up, one after the other. Another placement, or a rescale that
/// succeeds, starts the count anew.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GivenUp {
    /// Where the subtasks were to be.
    target: Placement,
    /// How many times it was tried.
    tries: u32,
    /// How many of the tries failed by what a restart does not need: executors could not prepare.
    unprepared: u32,
}

/// Why a live rescale is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// Executors refused, or were too slow.
    Unprepared,
    /// A checkpoint to read failed. A restart needs one, too.
    NoCheckpoint,
}

impl DeployedAttempt {
    /// All subtasks are being deployed, from the `restored` checkpoint.
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
        let (task_managers, version, given_up) = Default::default();
        Self { attempt, graph, subtasks, holders, task_managers, restored, version, given_up }
    }

    /// Its name.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Where its subtasks are.
    pub fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    /// The subtasks.
    pub fn subtasks(&self) -> &BTreeMap<SubtaskId, SubtaskRecord> {
        &self.subtasks
    }

    /// The checkpoint that it started from.
    pub fn restored(&self) -> Option<CheckpointId> {
        self.restored
    }

    /// The executors that may still run some of it.
    pub fn holders(&self) -> &BTreeSet<ExecutorId> {
        &self.holders
    }

    /// The TaskManager of an executor that holds some of it, or did.
    pub fn task_manager(&self, executor: ExecutorId) -> Option<TaskManagerId> {
        self.task_managers.get(&executor).copied()
    }

    /// Takes note of the TaskManagers of its holders, as long as they are known.
    pub(super) fn note_task_managers(&mut self, of: impl Fn(ExecutorId) -> Option<TaskManagerId>) {
        let known = self.holders.iter().filter_map(|holder| Some((*holder, of(*holder)?)));
        self.task_managers.extend(known);
    }

    /// Executors may from here on run some of it.
    pub(super) fn add_holders(&mut self, executors: &BTreeSet<ExecutorId>) {
        self.holders.extend(executors);
    }

    /// An executor has nothing of it any more. Returns whether it had.
    pub(super) fn remove_holder(&mut self, executor: ExecutorId) -> bool {
        self.holders.remove(&executor)
    }

    /// All of them, none of which counts any more.
    pub(super) fn take_holders(&mut self) -> BTreeSet<ExecutorId> {
        std::mem::take(&mut self.holders)
    }

    /// The version of the graph that is made for it next.
    pub(super) fn next_version(&mut self) -> GraphVersion {
        self.version = GraphVersion(self.version.0 + 1);
        self.version
    }

    /// Whether a live rescale was planned since it was deployed.
    pub(super) fn has_changed(&self) -> bool {
        self.version > GraphVersion(0)
    }

    /// A live rescale to `target` is given up. Returns how many times it was before, one after the other.
    pub(super) fn give_up(&mut self, target: Placement, why: GiveUp) -> u32 {
        let former = self.given_up.take().filter(|last| last.target == target);
        let mut given_up = former.unwrap_or(GivenUp { target, tries: 0, unprepared: 0 });
        given_up.unprepared += u32::from(why == GiveUp::Unprepared);
        let before = given_up.tries;
        given_up.tries = before.saturating_add(1);
        self.given_up = Some(given_up);
        before
    }

    /// How many times executors could not prepare a live rescale to `target`, one after the other.
    pub(super) fn unprepared(&self, target: &Placement) -> u32 {
        let last = self.given_up.as_ref().filter(|last| last.target == *target);
        last.map_or(0, |last| last.unprepared)
    }

    /// Subtasks of another graph join: they are being deployed.
    pub(super) fn join(&mut self, now: Instant, graph: &ExecutionGraph) {
        for (vertex, index, subtask) in graph.subtasks() {
            let (slot, status) = (subtask.slot, SubtaskStatus::Deploying);
            let record =
                || SubtaskRecord { vertex, index, slot, status, entered: BTreeMap::from([(status, now)]) };
            self.subtasks.entry(subtask.id).or_insert_with(record);
        }
    }

    /// Another graph is in effect. Who is not in it stays on record until the [end](Self::end_rescale).
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
    }

    /// Forgets the subtasks that are not in the graph, and the executors that have none of it.
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

    /// Whether every subtask has come so far.
    pub(super) fn all_at_least(&self, status: SubtaskStatus) -> bool {
        self.subtasks.values().all(|subtask| subtask.status >= status)
    }

    /// A subtask has come further. Returns whether that is news.
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

    /// Moves all subtasks on an executor that have not ended by themselves.
    pub(super) fn advance_all(&mut self, now: Instant, on: Option<ExecutorId>, status: SubtaskStatus) {
        let of_executor = |slot: SlotId| on.is_none_or(|executor| slot.executor == executor);
        for record in self.subtasks.values_mut().filter(|record| of_executor(record.slot)) {
            if record.status != SubtaskStatus::Finished && record.status < status {
                record.status = status;
                record.entered.insert(status, now);
            }
        }
    }

    /// Whether an executor still has work to do for the attempt.
    pub(super) fn needs(&self, executor: ExecutorId) -> bool {
        let unfinished = |subtask: &&SubtaskRecord| subtask.status != SubtaskStatus::Finished;
        let mut here = self.subtasks.values().filter(|subtask| subtask.slot.executor == executor);
        here.any(|subtask| unfinished(&subtask))
    }
}
