//! The plan of a live rescale: the next graph, and the key groups and splits that change their subtask.

use super::context::Context;
use super::graph::{next_graph, placement_of};
use crate::checkpoint::Completed;
use crate::rescale::{Live, TriggerCause};
use crate::slots::{Parallelism, Placement};
use reflow_graph::{ExecutionGraph, JobGraph, VertexIndex};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::StateFormat;
use reflow_types::{ExecutorId, GraphVersion, Instant, SubtaskId};
use std::collections::BTreeSet;

/// The number of tries of a placement that executors could not prepare, after which the rescale restarts the job.
const MAX_UNPREPARED: u32 = 3;

/// Why a rescale restarts the job instead of changing the graph while it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotLive {
    #[error("live rescales are switched off (jobmanager.adaptive-scheduler.live-rescale.enabled)")]
    Disabled,
    #[error("the job takes no checkpoints (execution.checkpointing.interval)")]
    NoCheckpoints,
    #[error("not all subtasks run")]
    NotRunning,
    #[error("without the slots that leave, the job has too few")]
    TooFewSlots,
    #[error("operator '{0}' keeps lists, and a list belongs to a subtask, which the rescale may remove")]
    Lists(String),
    #[error("live, it was given up {MAX_UNPREPARED} times, the last time because {0}")]
    Unprepared(String),
    #[error("the drain of a TaskManager took longer than taskmanager.drain.timeout")]
    DrainOverdue,
}

/// The plan of a live rescale. Its fields are public because it is created once and then only read.
#[derive(Debug)]
pub(super) struct Plan {
    /// The attempt whose graph changes.
    pub(super) attempt: Attempt,
    pub(super) version: GraphVersion,
    parallelism: Parallelism,
    /// The current graph.
    pub(super) old: ExecutionGraph,
    /// The next graph. A subtask that stays in its slot keeps its id.
    pub(super) new: ExecutionGraph,
    /// Subtasks of the next graph with incoming key groups.
    pub(super) gaining: BTreeSet<SubtaskId>,
    /// The number of key groups that change their owner.
    moved_groups: u64,
    /// The number of key groups that keep their owner.
    kept_groups: u64,
}

impl Plan {
    /// Plans a live rescale and begins its record.
    ///
    /// # Errors
    /// If none is possible.
    pub(super) fn begin(ctx: &mut Context, now: Instant) -> Result<Self, NotLive> {
        if ctx.drain_is_overdue(now) {
            return Err(NotLive::DrainOverdue);
        }
        let plan = Self::make(ctx)?;
        let unprepared = ctx.attempt.as_ref().and_then(|attempt| attempt.unprepared(&plan.target()));
        if let Some((_, reason)) = unprepared.filter(|(tries, _)| *tries >= MAX_UNPREPARED) {
            return Err(NotLive::Unprepared(reason.to_owned()));
        }
        ctx.begin_rescale_record(now, TriggerCause::NewResourceAvailable);
        plan.note(ctx, now);
        Ok(plan)
    }

    /// Adds it to the record of the rescale.
    pub(super) fn note(&self, ctx: &mut Context, now: Instant) {
        ctx.timeline.decide(&self.parallelism.vertices, &self.parallelism.groups);
        ctx.timeline.go_live(Live::new(now, self.version, self.moved_groups, self.kept_groups));
    }

    /// The plan for the available slots, if a live rescale can reach it.
    fn make(ctx: &mut Context) -> Result<Self, NotLive> {
        if !ctx.settings.live_rescale {
            return Err(NotLive::Disabled);
        }
        if !ctx.checkpointing() {
            return Err(NotLive::NoCheckpoints);
        }
        let parallelism = ctx.plan().ok_or(NotLive::TooFewSlots)?;
        let attempt = ctx.attempt.as_mut().filter(|attempt| attempt.runs()).ok_or(NotLive::NotRunning)?;
        let version = attempt.next_version();
        let (attempt, old) = (attempt.attempt(), attempt.graph().clone());
        let new = next_graph(&ctx.demand, &mut ctx.lineage, &ctx.cluster.offers(), &parallelism, &old);
        // A list of a function belongs to a subtask, which may be removed while the list is in no snapshot.
        let job = ctx.demand.job();
        let lists = changing(job, &old, &new)
            .flat_map(|vertex| &job.vertex(vertex).operators)
            .find(|operator| operator.declares_lists())
            .map(|operator| operator.name.clone());
        if let Some(operator) = lists {
            return Err(NotLive::Lists(operator));
        }
        let moves = old.moves(&new);
        let tables = new.vertices.iter().filter_map(|vertex| vertex.table.as_ref());
        let total: u64 = tables.map(|table| u64::from(table.max_parallelism().get())).sum();
        let moved_groups: u64 = moves.iter().map(|change| change.groups.iter().count() as u64).sum();
        let kept_groups = total - moved_groups;
        let gaining = moves.into_iter().map(|change| change.to).collect();
        Ok(Self { attempt, version, parallelism, old, new, gaining, moved_groups, kept_groups })
    }

    /// The vertices with added or removed subtasks.
    pub(super) fn changing<'a>(&'a self, job: &'a JobGraph) -> impl Iterator<Item = VertexIndex> + 'a {
        changing(job, &self.old, &self.new)
    }

    /// The executors of both graphs.
    pub(super) fn executors(&self) -> BTreeSet<ExecutorId> {
        let both = self.old.subtasks().chain(self.new.subtasks());
        both.map(|(_, _, subtask)| subtask.slot.executor).collect()
    }

    /// Whether the next graph needs an executor.
    pub(super) fn needs(&self, executor: ExecutorId) -> bool {
        self.new.subtasks().any(|(_, _, subtask)| subtask.slot.executor == executor)
    }

    /// The placement of the next graph.
    pub(super) fn target(&self) -> Placement {
        placement_of(&self.new)
    }

    /// Whether the cluster and the requirements still lead to this plan.
    pub(super) fn is_current(&self, ctx: &Context) -> bool {
        ctx.plan().as_ref() == Some(&self.parallelism)
            && self.new.subtasks().all(|(_, _, subtask)| ctx.cluster.stays(subtask.slot.executor))
    }

    pub(super) fn old_subtasks(&self) -> BTreeSet<SubtaskId> {
        self.old.subtasks().map(|(_, _, subtask)| subtask.id).collect()
    }

    pub(super) fn new_subtasks(&self) -> BTreeSet<SubtaskId> {
        self.new.subtasks().map(|(_, _, subtask)| subtask.id).collect()
    }
}

/// The checkpoint from which a live rescale can be prepared: one that this executable has written, in the format
/// of checkpoints, and that is retained.
pub(super) fn base(ctx: &Context) -> Option<&Completed> {
    let fits = |latest: &&Completed| {
        let manifest = &latest.manifest;
        latest.owned && manifest.format == StateFormat::Checkpoint && manifest.build == ctx.identity.build
    };
    ctx.coordinator.latest().filter(fits)
}

/// The vertices of which the next graph adds or removes subtasks.
fn changing<'a>(
    job: &'a JobGraph,
    old: &'a ExecutionGraph,
    new: &'a ExecutionGraph,
) -> impl Iterator<Item = VertexIndex> + 'a {
    let ids = |graph: &ExecutionGraph, vertex| -> BTreeSet<SubtaskId> {
        graph.vertex(vertex).subtasks.iter().map(|subtask| subtask.id).collect()
    };
    let changes = move |vertex: &VertexIndex| ids(old, *vertex) != ids(new, *vertex);
    job.numbered_vertices().map(|(index, _)| index).filter(changes)
}
