//! The execution graph: one attempt of a job, with its subtasks in their slots.

use crate::{EdgeId, JobGraph, Shipping, VertexIndex};
use reflow_types::{KeyGroup, KeyGroupSet, OwnershipTable, SlotId, SubtaskId, SubtaskIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where every subtask of an attempt runs. The same in every process of the attempt: channels follow from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionGraph {
    /// In the order of [`JobGraph::vertices`].
    pub vertices: Vec<ExecutionVertex>,
}

/// The subtasks of one vertex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionVertex {
    /// By index; as many as the vertex's parallelism.
    pub subtasks: Vec<Subtask>,
    /// Which subtask owns which key group; for keyed vertices.
    pub table: Option<OwnershipTable>,
}

/// One subtask in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtask {
    /// Its name in channels, objects and transactions.
    pub id: SubtaskId,
    /// Where it runs.
    pub slot: SlotId,
}

impl ExecutionVertex {
    /// The number of subtasks.
    pub fn parallelism(&self) -> u32 {
        self.subtasks.len() as u32
    }

    /// The subtasks with their indices.
    pub fn numbered(&self) -> impl Iterator<Item = (SubtaskIndex, &Subtask)> {
        self.subtasks.iter().enumerate().map(|(i, subtask)| (SubtaskIndex(i as u32), subtask))
    }
}

impl ExecutionGraph {
    /// A vertex by its index.
    pub fn vertex(&self, index: VertexIndex) -> &ExecutionVertex {
        &self.vertices[usize::from(index.0)]
    }

    /// All subtasks with their vertices and indices.
    pub fn subtasks(&self) -> impl Iterator<Item = (VertexIndex, SubtaskIndex, &Subtask)> {
        self.vertices.iter().enumerate().flat_map(|(v, vertex)| {
            vertex.numbered().map(move |(index, subtask)| (VertexIndex(v as u16), index, subtask))
        })
    }

    /// How an edge ships in this attempt: a forward edge between different parallelisms rebalances.
    pub fn shipping(&self, job: &JobGraph, edge: EdgeId) -> Shipping {
        let edge = &job.edges[usize::from(edge.0)];
        let (from, to) = (self.vertex(edge.from).parallelism(), self.vertex(edge.to).parallelism());
        if edge.shipping == Shipping::Forward && from != to { Shipping::Rebalance } else { edge.shipping }
    }

    /// The receivers to which subtask `index` of the edge's sender has a channel, in order.
    pub fn receivers(&self, job: &JobGraph, edge: EdgeId, index: SubtaskIndex) -> Vec<Subtask> {
        let to = self.vertex(job.edges[usize::from(edge.0)].to);
        match self.shipping(job, edge) {
            Shipping::Forward => vec![to.subtasks[index.0 as usize]],
            _ => to.subtasks.clone(),
        }
    }

    /// The senders from which subtask `index` of the edge's receiver has a channel, in order.
    pub fn senders(&self, job: &JobGraph, edge: EdgeId, index: SubtaskIndex) -> Vec<Subtask> {
        let from = self.vertex(job.edges[usize::from(edge.0)].from);
        match self.shipping(job, edge) {
            Shipping::Forward => vec![from.subtasks[index.0 as usize]],
            _ => from.subtasks.clone(),
        }
    }

    /// The key groups that change their owner from this graph to the `next` one.
    pub fn moves(&self, next: &ExecutionGraph) -> Vec<Move> {
        let mut moves = Vec::new();
        for (v, (old, new)) in self.vertices.iter().zip(&next.vertices).enumerate() {
            let (Some(old_table), Some(new_table)) = (&old.table, &new.table) else { continue };
            let mut groups: BTreeMap<(SubtaskId, SubtaskId), Vec<KeyGroup>> = BTreeMap::new();
            for group in (0..old_table.max_parallelism().get()).map(|group| KeyGroup(group as u16)) {
                let from = old.subtasks[old_table.owner(group).0 as usize].id;
                let to = new.subtasks[new_table.owner(group).0 as usize].id;
                if from != to {
                    groups.entry((from, to)).or_default().push(group);
                }
            }
            let vertex = VertexIndex(v as u16);
            moves.extend(groups.into_iter().map(|((from, to), groups)| Move {
                vertex,
                from,
                to,
                groups: groups.into_iter().collect(),
            }));
        }
        moves
    }

    /// Where a subtask is: its vertex, its index and itself.
    pub fn find(&self, id: SubtaskId) -> Option<(VertexIndex, SubtaskIndex, &Subtask)> {
        self.subtasks().find(|(_, _, subtask)| subtask.id == id)
    }
}

/// Key groups that go from one subtask of a vertex to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The vertex.
    pub vertex: VertexIndex,
    /// Their owner in the old graph.
    pub from: SubtaskId,
    /// Their owner in the new graph.
    pub to: SubtaskId,
    /// Which.
    pub groups: KeyGroupSet,
}
