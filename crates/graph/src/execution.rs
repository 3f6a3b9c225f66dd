//! The execution graph: the subtasks of one attempt, each with its slot.

use crate::{Edge, EdgeId, JobGraph, Shipping, VertexIndex};
use reflow_types::{
    Attempt, KeyGroup, KeyGroupSet, OwnershipTable, SlotId, SubtaskId, SubtaskIndex, injected_fault,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// The subtasks of an attempt and their slots. It is the same in every process of the attempt, so each process
/// derives the same channels from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionGraph {
    /// In the order of [`JobGraph::vertices`].
    pub vertices: Vec<ExecutionVertex>,
}

/// The subtasks of one vertex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionVertex {
    /// The subtasks by index. Their number is the vertex's parallelism.
    pub subtasks: Vec<Subtask>,
    /// The owner of each key group; `None` if the vertex is not keyed.
    pub table: Option<OwnershipTable>,
    /// The attempt in which its subtasks were deployed, for the names of what they write. If its region has restarted, it is
    /// later than the attempt in which the job was deployed. A live rescale does not change it.
    pub attempt: Attempt,
}

/// One subtask in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtask {
    /// Its id in the names of channels, objects and transactions.
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

    /// The receivers to which subtask `index` of the edge's sender has a channel, in order.
    pub fn receivers(&self, job: &JobGraph, edge: EdgeId, index: SubtaskIndex) -> Vec<Subtask> {
        let Edge { from, to, shipping, .. } = &job.edges[usize::from(edge.0)];
        let (senders, to) = (self.vertex(*from).subtasks.len(), &self.vertex(*to).subtasks);
        to[receivers(*shipping, index.0 as usize, senders, to.len())].to_vec()
    }

    /// The senders from which subtask `index` of the edge's receiver has a channel, in order.
    pub fn senders(&self, job: &JobGraph, edge: EdgeId, index: SubtaskIndex) -> Vec<Subtask> {
        let Edge { from, to, shipping, .. } = &job.edges[usize::from(edge.0)];
        let (senders, to) = (&self.vertex(*from).subtasks, self.vertex(*to).subtasks.len());
        let reaches = |sender| receivers(*shipping, sender, senders.len(), to).contains(&(index.0 as usize));
        (0..senders.len()).filter(|&sender| reaches(sender)).map(|sender| senders[sender]).collect()
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

    /// Finds a subtask, with its vertex and its index.
    pub fn find(&self, id: SubtaskId) -> Option<(VertexIndex, SubtaskIndex, &Subtask)> {
        self.subtasks().find(|(_, _, subtask)| subtask.id == id)
    }

    /// A subtask as users know it, see [`subtask_name`]; `None` if it is not in this graph.
    pub fn name_of(&self, job: &JobGraph, id: SubtaskId) -> Option<String> {
        let (vertex, index, _) = self.find(id)?;
        Some(subtask_name(&job.vertex(vertex).name, index, self.vertex(vertex).parallelism()))
    }
}

/// A subtask as users know it, in texts as in Flink: `Window (2/4)` is the second of four. Its id is for names of objects and
/// says nothing to them.
pub fn subtask_name(vertex: &str, index: SubtaskIndex, parallelism: u32) -> String {
    format!("{vertex} ({}/{parallelism})", index.0 + 1)
}

/// The receivers, of `to`, to which a sender, of `from`, has a channel.
fn receivers(shipping: Shipping, sender: usize, from: usize, to: usize) -> Range<usize> {
    let one = |receiver| receiver..receiver + 1;
    match shipping {
        Shipping::Forward if !injected_fault::is_active("forward_edge_rebalanced") => one(sender % to),
        Shipping::Rescale if to < from => one(sender * to / from),
        Shipping::Rescale => sender * to / from..(sender + 1) * to / from,
        _ => 0..to,
    }
}

/// Key groups that move from one subtask of a vertex to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub vertex: VertexIndex,
    /// Their owner in the old graph.
    pub from: SubtaskId,
    /// Their owner in the new graph.
    pub to: SubtaskId,
    pub groups: KeyGroupSet,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vertex;
    use reflow_types::{ExecutorId, VertexId};

    /// A graph whose vertices have these numbers of subtasks, with edges between them.
    fn graph(parallelism: &[u32], edges: &[(u16, u16, Shipping)]) -> (JobGraph, ExecutionGraph) {
        let vertex = |i: usize| Vertex {
            id: VertexId(i as u128),
            name: format!("v{i}"),
            operators: Vec::new(),
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: "default".into(),
            source: i == 0,
            keyed: false,
        };
        let edge = |&(from, to, shipping)| Edge {
            from: VertexIndex(from),
            to: VertexIndex(to),
            shipping,
            side_output: None,
        };
        let job = JobGraph {
            name: "job".into(),
            vertices: (0..parallelism.len()).map(vertex).collect(),
            edges: edges.iter().map(edge).collect(),
            ..JobGraph::default()
        };
        let mut capped = parallelism.to_vec();
        job.cap_forward(&mut capped);
        let mut next = 0;
        let mut subtask = |index| {
            next += 1;
            Subtask { id: SubtaskId(next), slot: SlotId { executor: ExecutorId(1), index } }
        };
        let mut vertex = |p: &u32| ExecutionVertex {
            subtasks: (0..*p).map(&mut subtask).collect(),
            table: None,
            attempt: Attempt::default(),
        };
        let graph = ExecutionGraph { vertices: capped.iter().map(&mut vertex).collect() };
        (job, graph)
    }

    fn widths(parallelism: &[u32], edges: &[(u16, u16, Shipping)]) -> Vec<u32> {
        graph(parallelism, edges).1.vertices.iter().map(ExecutionVertex::parallelism).collect()
    }

    #[test]
    fn what_is_forwarded_goes_to_no_more_subtasks_than_it_comes_from() {
        use Shipping::*;
        assert_eq!(widths(&[2, 8, 8], &[(0, 1, Forward), (1, 2, Forward)]), [2, 2, 2]);
        assert_eq!(widths(&[8, 2, 8], &[(0, 1, Forward), (1, 2, Forward)]), [8, 2, 2]);
        assert_eq!(widths(&[2, 8], &[(0, 1, Rebalance)]), [2, 8]);
        assert_eq!(widths(&[2, 5, 8], &[(0, 2, Forward), (1, 2, Forward)]), [2, 5, 5], "a union");
        assert_eq!(widths(&[2, 5, 8], &[(0, 2, Forward), (1, 2, Hash)]), [2, 5, 8]);
    }

    #[test]
    fn a_forward_edge_leads_from_each_sender_to_one_receiver_whatever_their_numbers() {
        for (senders, receivers) in [(1, 1), (3, 3), (4, 3), (7, 3), (9, 8), (2, 5)] {
            let (job, graph) = graph(&[senders, receivers], &[(0, 1, Shipping::Forward)]);
            let [from, to] = [0, 1].map(|v| &graph.vertices[v].subtasks);
            let edge = EdgeId(0);
            for (s, sender) in from.iter().enumerate() {
                let reached = graph.receivers(&job, edge, SubtaskIndex(s as u32));
                assert_eq!(reached.len(), 1);
                let reads = |r: usize| graph.senders(&job, edge, SubtaskIndex(r as u32)).contains(sender);
                let readers: Vec<Subtask> = (0..to.len()).filter(|r| reads(*r)).map(|r| to[r]).collect();
                assert_eq!(readers, reached, "both ends see the same channels");
            }
            for r in 0..to.len() {
                assert!(!graph.senders(&job, edge, SubtaskIndex(r as u32)).is_empty(), "each gets records");
            }
        }
    }

    #[test]
    fn a_rescale_edge_has_few_channels_and_reaches_every_receiver() {
        for (senders, receivers) in [(1, 1), (1, 4), (4, 1), (2, 4), (2, 5), (3, 4), (4, 3), (7, 3), (9, 8)] {
            let (job, graph) = graph(&[senders, receivers], &[(0, 1, Shipping::Rescale)]);
            let index = |i: u32| SubtaskIndex(i);
            let mut channels = 0;
            for s in 0..senders {
                let reached = graph.receivers(&job, EdgeId(0), index(s));
                channels += reached.len() as u32;
                for r in 0..receivers {
                    let sender = graph.vertices[0].subtasks[s as usize];
                    let reads = graph.senders(&job, EdgeId(0), index(r)).contains(&sender);
                    assert_eq!(reads, reached.contains(&graph.vertices[1].subtasks[r as usize]));
                }
            }
            assert_eq!(channels, senders.max(receivers), "{senders} to {receivers}");
            for r in 0..receivers {
                assert!(!graph.senders(&job, EdgeId(0), index(r)).is_empty(), "{senders} to {receivers}");
            }
        }
    }
}
