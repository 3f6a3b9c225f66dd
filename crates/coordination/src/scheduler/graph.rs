//! The execution graphs that follow: that of the next attempt, and that to which a live rescale leads.

use super::context::Context;
use crate::slots::{self, Parallelism, Placement};
use reflow_graph::{ExecutionGraph, ExecutionVertex, Subtask};
use reflow_types::{MaxParallelism, OwnershipTable, SlotId, SubtaskIndex};
use std::collections::BTreeMap;

/// Where the subtasks of a graph are.
pub(super) fn placement_of(graph: &ExecutionGraph) -> Placement {
    graph.vertices.iter().map(|v| v.subtasks.iter().map(|subtask| subtask.slot).collect()).collect()
}

/// The graph of the next attempt: names the subtasks and moves as few key groups as the placement allows.
pub(super) fn make_graph(
    ctx: &mut Context,
    placement: &Placement,
    previous: Option<&Placement>,
) -> ExecutionGraph {
    let mut vertices = Vec::with_capacity(placement.len());
    for (v, slots) in placement.iter().enumerate() {
        let subtask = |&slot: &SlotId| {
            let id = ctx.next_subtask;
            ctx.next_subtask = id.next();
            Subtask { id, slot }
        };
        let subtasks: Vec<Subtask> = slots.iter().map(subtask).collect();
        let table = ctx.job.vertices[v].keyed.then(|| {
            let former = previous.map(|previous| previous[v].as_slice());
            next_table(ctx.tables[v].as_ref(), ctx.max_parallelism[v], slots, former)
        });
        ctx.tables[v].clone_from(&table);
        vertices.push(ExecutionVertex { subtasks, table });
    }
    ExecutionGraph { vertices }
}

/// The table of a vertex in its new slots. A subtask in the slot of a former one keeps its groups; after a
/// change of JobManager no slot is a former one, and indices stand for them.
fn next_table(
    table: Option<&OwnershipTable>,
    max: MaxParallelism,
    slots: &[SlotId],
    former: Option<&[SlotId]>,
) -> OwnershipTable {
    let parallelism = slots.len() as u32;
    let Some(table) = table else { return OwnershipTable::initial(max, parallelism) };
    let successor = |index: u32| match former {
        Some(former) => {
            let slot = former.get(index as usize)?;
            slots.iter().position(|new| new == slot).map(|new| SubtaskIndex(new as u32))
        }
        None => (index < parallelism).then_some(SubtaskIndex(index)),
    };
    let kept: Vec<_> = (0..table.parallelism()).map(successor).collect();
    table.rebalanced(parallelism, &kept)
}

/// The graph to which a live rescale leads: a subtask that stays in its slot keeps its id.
pub(super) fn next_graph(
    ctx: &mut Context,
    parallelism: &Parallelism,
    old: &ExecutionGraph,
) -> ExecutionGraph {
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
