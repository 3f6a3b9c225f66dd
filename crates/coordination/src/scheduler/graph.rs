//! The planning of execution graphs, for the next attempt and for a live rescale.

use super::demand::Demand;
use super::lineage::Lineage;
use crate::slots::{Offer, Parallelism, Placement};
use reflow_graph::{ExecutionGraph, ExecutionVertex, Subtask, VertexIndex};
use reflow_types::{Attempt, MaxParallelism, OwnershipTable, SlotId, SubtaskIndex};
use std::collections::BTreeMap;

/// The placement of a graph's subtasks.
pub(super) fn placement_of(graph: &ExecutionGraph) -> Placement {
    graph.vertices.iter().map(|v| v.subtasks.iter().map(|subtask| subtask.slot).collect()).collect()
}

/// The graph of the next attempt. Creates the subtasks, and moves as few key groups as the placement allows.
pub(super) fn make_graph(
    demand: &Demand,
    lineage: &mut Lineage,
    placement: &Placement,
    previous: Option<&Placement>,
    attempt: Attempt,
) -> ExecutionGraph {
    let mut vertices = Vec::with_capacity(placement.len());
    for (v, ((index, vertex), slots)) in demand.job().numbered_vertices().zip(placement).enumerate() {
        let subtask = |&slot: &SlotId| Subtask { id: lineage.next_subtask(), slot };
        let subtasks: Vec<Subtask> = slots.iter().map(subtask).collect();
        let table = vertex.keyed.then(|| {
            let former = previous.map(|previous| previous[v].as_slice());
            next_table(lineage.table(index), demand.max_parallelism()[v], slots, former)
        });
        vertices.push(ExecutionVertex { subtasks, table, attempt });
    }
    let graph = ExecutionGraph { vertices };
    lineage.take_tables(&graph);
    graph
}

/// The graph in which the subtasks of some vertices are new, in these slots and named after `attempt`. The others stay.
pub(super) fn region_graph(
    demand: &Demand,
    lineage: &mut Lineage,
    placement: &Placement,
    old: &ExecutionGraph,
    (attempt, restarts): (Attempt, impl Fn(VertexIndex) -> bool),
) -> ExecutionGraph {
    let mut graph = old.clone();
    let former = placement_of(old);
    for (index, _) in demand.job().numbered_vertices().filter(|(index, _)| restarts(*index)) {
        let v = usize::from(index.0);
        let subtask = |&slot: &SlotId| Subtask { id: lineage.next_subtask(), slot };
        let subtasks = placement[v].iter().map(subtask).collect();
        let next =
            |table| next_table(Some(table), demand.max_parallelism()[v], &placement[v], Some(&former[v]));
        let table = old.vertices[v].table.as_ref().map(next);
        graph.vertices[v] = ExecutionVertex { subtasks, table, attempt };
    }
    lineage.take_tables(&graph);
    graph
}

/// The ownership table of a vertex in its new slots. A subtask in the slot of a former one keeps its groups.
/// After a change of the JobManager no slot is known, so subtasks are matched by index.
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

/// The next graph of a live rescale. A subtask that stays in its slot keeps its id.
pub(super) fn next_graph(
    demand: &Demand,
    lineage: &mut Lineage,
    offers: &[Offer],
    parallelism: &Parallelism,
    old: &ExecutionGraph,
) -> ExecutionGraph {
    let former = placement_of(old);
    let placement = demand.assign(parallelism, offers, Some(&former));
    let mut vertices = Vec::with_capacity(placement.len());
    for (v, slots) in placement.iter().enumerate() {
        let stays: BTreeMap<_, _> = old.vertices[v].subtasks.iter().map(|s| (s.slot, s.id)).collect();
        let mut subtasks = Vec::with_capacity(slots.len());
        for &slot in slots {
            let id = stays.get(&slot).copied().unwrap_or_else(|| lineage.next_subtask());
            subtasks.push(Subtask { id, slot });
        }
        let table = old.vertices[v].table.as_ref();
        let table =
            table.map(|table| next_table(Some(table), demand.max_parallelism()[v], slots, Some(&former[v])));
        vertices.push(ExecutionVertex { subtasks, table, attempt: old.vertices[v].attempt });
    }
    ExecutionGraph { vertices }
}
