//! The plan of a live rescale: the next graph, and what it takes to get there.

use crate::checkpoint::Completed;
use crate::scheduler::attempt::SubtaskStatus;
use crate::scheduler::context::Context;
use crate::scheduler::states::creating_execution_graph::{next_table, placement_of};
use crate::slots::{self, Parallelism, Placement};
use reflow_graph::{ExecutionGraph, ExecutionVertex, Subtask};
use reflow_protocol::snapshot::Codec;
use reflow_types::{ExecutorId, GraphVersion, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Where a live rescale leads.
pub(super) struct Plan {
    pub(super) version: GraphVersion,
    pub(super) parallelism: Parallelism,
    /// The present graph.
    pub(super) old: ExecutionGraph,
    /// The next one: a subtask that stays in its slot keeps its id.
    pub(super) new: ExecutionGraph,
    /// Subtasks of the next graph that gain key groups.
    pub(super) gaining: BTreeSet<SubtaskId>,
    /// How many key groups change their owner, and how many there are.
    pub(super) groups: (u64, u64),
}

impl Plan {
    /// The plan for the slots that there are, if the attempt can get there while it runs.
    pub(super) fn make(ctx: &mut Context) -> Option<Self> {
        let attempt = ctx.attempt.as_mut()?;
        let runs = attempt.subtasks.values().all(|subtask| subtask.status == SubtaskStatus::Running);
        if !runs || !ctx.settings.live_rescale || !ctx.checkpointing() {
            return None;
        }
        let parallelism = ctx.plan()?;
        let attempt = ctx.attempt.as_mut()?;
        attempt.version = GraphVersion(attempt.version.0 + 1);
        let (version, old) = (attempt.version, attempt.graph.clone());
        let new = next_graph(ctx, &parallelism, &old);
        let moves = old.moves(&new);
        let tables = new.vertices.iter().filter_map(|vertex| vertex.table.as_ref());
        let total: u64 = tables.map(|table| u64::from(table.max_parallelism().get())).sum();
        let moved = moves.iter().map(|change| change.groups.iter().count() as u64).sum();
        let gaining = moves.into_iter().map(|change| change.to).collect();
        Some(Self { version, parallelism, old, new, gaining, groups: (moved, total) })
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

    /// Where the next graph's subtasks are.
    pub(super) fn target(&self) -> Placement {
        placement_of(&self.new)
    }

    /// Whether it is what the cluster and the requirements ask for now.
    pub(super) fn is_current(&self, ctx: &Context) -> bool {
        let stays = |id: ExecutorId| ctx.executors.get(&id).is_some_and(|executor| !executor.draining());
        ctx.plan().as_ref() == Some(&self.parallelism)
            && self.new.subtasks().all(|(_, _, subtask)| stays(subtask.slot.executor))
    }

    pub(super) fn old_subtasks(&self) -> BTreeSet<SubtaskId> {
        self.old.subtasks().map(|(_, _, subtask)| subtask.id).collect()
    }

    pub(super) fn new_subtasks(&self) -> BTreeSet<SubtaskId> {
        self.new.subtasks().map(|(_, _, subtask)| subtask.id).collect()
    }
}

/// The checkpoint from which a rescale can be prepared: one that this executable has written, in the codec of
/// checkpoints, and that is kept.
pub(super) fn base(ctx: &Context) -> Option<&Completed> {
    let fits = |latest: &&Completed| {
        let manifest = &latest.manifest;
        latest.owned && manifest.codec == Codec::Exchange && manifest.build == ctx.identity.build
    };
    ctx.coordinator.latest().filter(fits)
}

fn next_graph(ctx: &mut Context, parallelism: &Parallelism, old: &ExecutionGraph) -> ExecutionGraph {
    let former = placement_of(old);
    let placement = slots::assign(&ctx.job, &ctx.bounds, parallelism, &ctx.offers(), Some(&former));
    let mut vertices = Vec::with_capacity(placement.len());
    for (v, slots) in placement.iter().enumerate() {
        let stays: BTreeMap<_, _> = old.vertices[v].subtasks.iter().map(|s| (s.slot, s.id)).collect();
        let mut subtasks = Vec::with_capacity(slots.len());
        for &slot in slots {
            let id = stays.get(&slot).copied().unwrap_or_else(|| {
                let id = ctx.next_subtask;
                ctx.next_subtask = id.next();
                id
            });
            subtasks.push(Subtask { id, slot });
        }
        let table = old.vertices[v].table.as_ref();
        let table =
            table.map(|table| next_table(Some(table), ctx.max_parallelism[v], slots, Some(&former[v])));
        vertices.push(ExecutionVertex { subtasks, table });
    }
    ExecutionGraph { vertices }
}
