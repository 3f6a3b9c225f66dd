//! The job graph: vertices, which are chains of operators, and the edges between them.

use crate::state::{DeclaredList, DeclaredState};
use reflow_types::{JobParameters, MaxParallelism, VertexId, injected_fault};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A vertex's place in [`JobGraph::vertices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VertexIndex(pub u16);

/// An edge's place in [`JobGraph::edges`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EdgeId(pub u16);

/// A job as its job function has built it. It is the same in every process of the job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobGraph {
    /// The job's name.
    pub name: String,
    /// In topological order: edges lead from lower to higher indices.
    pub vertices: Vec<Vertex>,
    /// In the order in which they were added.
    pub edges: Vec<Edge>,
    /// What every function of the job can read.
    pub parameters: JobParameters,
}

/// A chain of operators that run as one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vertex {
    /// The hash of the head operator's uid.
    pub id: VertexId,
    /// The operators' names, joined by `" -> "`.
    pub name: String,
    /// From the head to the tail.
    pub operators: Vec<Operator>,
    /// A fixed parallelism, which reactive mode ignores.
    pub parallelism: Option<u32>,
    /// The maximum that the job sets. `None` for the default of the scheduler mode.
    pub max_parallelism: Option<MaxParallelism>,
    /// Vertices of one slot sharing group may share a slot.
    pub slot_sharing_group: String,
    /// Whether the head reads splits.
    pub source: bool,
    /// Whether the vertex has keyed state, and so an ownership table.
    pub keyed: bool,
}

/// An operator of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Identifies the operator in savepoints. The user sets it, or it is derived from the operator's kind and
    /// position.
    pub uid: String,
    /// Whether the uid is derived.
    pub has_derived_uid: bool,
    /// The name that users see.
    pub name: String,
    /// Whether it is a sink that commits its output with checkpoints, after which the output cannot be revoked.
    pub commits: bool,
    /// The states that it keeps for each key. Only the head of a vertex has any.
    pub states: Vec<DeclaredState>,
    /// The lists that it keeps without a key.
    pub lists: Vec<DeclaredList>,
}

impl Operator {
    /// Gives it a uid of the user's.
    pub fn set_uid(&mut self, uid: &str) {
        uid.clone_into(&mut self.uid);
        self.has_derived_uid = false;
    }

    /// Whether its function declares lists.
    pub fn declares_lists(&self) -> bool {
        self.lists.iter().any(|list| DeclaredList::display_name(&list.name) != list.name)
    }

    /// Whether it has records under way, which move at a live rescale.
    pub fn has_records_under_way(&self) -> bool {
        self.lists.iter().any(|list| list.name == DeclaredList::UNDER_WAY)
    }

    /// Checks that each of its states can be found by its name.
    fn validate_states(&self) -> Result<(), GraphError> {
        let operator = || self.name.clone();
        let lists: Vec<&str> = self.lists.iter().map(|list| DeclaredList::display_name(&list.name)).collect();
        for (at, list) in lists.iter().enumerate() {
            if list.is_empty() {
                return Err(GraphError::UnnamedState { operator: operator() });
            }
            if lists[..at].contains(list) {
                return Err(GraphError::DuplicateState { operator: operator(), state: (*list).to_owned() });
            }
        }
        let mut tables: BTreeMap<u16, &str> = BTreeMap::new();
        for DeclaredState { table, name, .. } in &self.states {
            if name.is_empty() {
                return Err(GraphError::UnnamedState { operator: operator() });
            }
            match tables.insert(*table, name) {
                None => {}
                Some(other) if other == name => {
                    return Err(GraphError::DuplicateState { operator: operator(), state: name.clone() });
                }
                Some(other) => {
                    let states = [other.to_owned(), name.clone()];
                    return Err(GraphError::IndistinctStates { operator: operator(), states });
                }
            }
        }
        Ok(())
    }
}

/// How the receivers of an edge's records are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shipping {
    /// Records go to the subtask with the same index, so that they stay in order. If the sender has more
    /// subtasks, the index is taken modulo the receiver's parallelism. The receiver never has more
    /// ([`JobGraph::cap_forward`]).
    Forward,
    /// Records go to the owner of their key group.
    Hash,
    /// Records go to all subtasks in turn.
    Rebalance,
    /// Each record goes to every subtask.
    Broadcast,
    /// Records go to all subtasks at random.
    Shuffle,
    /// Records go in turn to a part of the subtasks, so that there are fewer channels. The parts of the senders do not
    /// overlap; if there are more senders than receivers, each sender has one receiver.
    Rescale,
    /// All records go to the first subtask.
    Global,
    /// Records go to the subtasks that a function of the user chooses.
    Custom,
}

impl Shipping {
    /// Flink's name for it.
    pub fn flink_name(self) -> &'static str {
        match self {
            Shipping::Forward => "FORWARD",
            Shipping::Hash => "HASH",
            Shipping::Rebalance => "REBALANCE",
            Shipping::Broadcast => "BROADCAST",
            Shipping::Shuffle => "SHUFFLE",
            Shipping::Rescale => "RESCALE",
            Shipping::Global => "GLOBAL",
            Shipping::Custom => "CUSTOM",
        }
    }
}

/// An edge from the output of one vertex to an input of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The sender.
    pub from: VertexIndex,
    /// The receiver.
    pub to: VertexIndex,
    /// How records are distributed.
    pub shipping: Shipping,
    /// The side output whose records it carries; `None` for the main output.
    pub side_output: Option<SideOutput>,
}

/// A side output of an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SideOutput {
    /// The operator's position in its vertex.
    pub operator: usize,
    /// The name of its tag.
    pub tag: String,
}

/// A job graph that cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The job has no operators.
    #[error("the job has no operators: end the job function with at least one source and one sink")]
    Empty,
    /// The name is that of the job's directory in the checkpoint storage.
    #[error(
        "the job's name is empty: give StreamEnv::name a name, or leave it out for that of the executable"
    )]
    NoName,
    /// Two operators have the same uid, so a savepoint could not distinguish them.
    #[error("two operators have the uid '{0}': give each its own by .uid(\"…\")")]
    DuplicateUid(String),
    /// A state has no name, so a checkpoint could not find it.
    #[error("operator '{operator}' declares a state without a name: give it one where it is declared")]
    UnnamedState {
        /// The operator's name.
        operator: String,
    },
    /// Two states of an operator have the same name.
    #[error("operator '{operator}' declares two states with the name '{state}': give each its own")]
    DuplicateState {
        /// The operator's name.
        operator: String,
        /// The states' name.
        state: String,
    },
    /// Two states of an operator have names from which the same number follows.
    #[error(
        "operator '{operator}' declares states '{}' and '{}', whose names have the same number in checkpoints: rename \
         one of them", states[0], states[1]
    )]
    IndistinctStates {
        /// The operator's name.
        operator: String,
        /// The states' names.
        states: [String; 2],
    },
    /// A fixed parallelism exceeds the maximum.
    #[error(
        "operator '{vertex}' has parallelism {parallelism}, above its max parallelism {max}: set a lower \
         .parallelism(…) or a higher .max_parallelism(…)"
    )]
    AboveMaxParallelism {
        /// The vertex's name.
        vertex: String,
        /// The requested parallelism.
        parallelism: u32,
        max: MaxParallelism,
    },
    /// A fixed parallelism of 0.
    #[error("operator '{0}' has parallelism 0: it must be at least 1")]
    NoParallelism(String),
    /// A stream has no consumer.
    #[error("the output of '{0}' goes nowhere: end it with a sink")]
    Dangling(String),
    /// An edge into a vertex with keyed state does not send each record to the owner of its key, or to all.
    #[error(
        "an input of operator '{vertex}', which has state by key, is shipped by {}: use `key_by` for it, or broadcast it", shipping.flink_name()
    )]
    NotByKey {
        /// The vertex's name.
        vertex: String,
        /// How the input is shipped.
        shipping: Shipping,
    },
    /// A broadcast stream is broadcast again.
    #[error(
        "the stream behind '{0}' is broadcast twice, so each of its records would come once from every subtask: leave \
         out one `.broadcast()`; `connect_broadcast` broadcasts by itself"
    )]
    BroadcastTwice(String),
    /// Two edges carry one side output.
    #[error(
        "the side output '{tag}' of operator '{operator}' is taken twice: take it once and `share` the stream, or give \
         the other tag another name"
    )]
    SideOutputTakenTwice {
        /// The operator's name.
        operator: String,
        /// The tag's name.
        tag: String,
    },
}

impl JobGraph {
    /// Checks a complete graph.
    pub fn validate(&self) -> Result<(), GraphError> {
        if self.vertices.is_empty() {
            return Err(GraphError::Empty);
        }
        if self.name.is_empty() {
            return Err(GraphError::NoName);
        }
        self.validate_side_outputs()?;
        self.validate_keyed()?;
        self.validate_broadcasts()?;
        let mut uids = BTreeMap::new();
        for vertex in &self.vertices {
            for operator in &vertex.operators {
                if uids.insert(operator.uid.as_str(), ()).is_some() {
                    return Err(GraphError::DuplicateUid(operator.uid.clone()));
                }
                operator.validate_states()?;
            }
            match (vertex.parallelism, vertex.max_parallelism) {
                (Some(0), _) => return Err(GraphError::NoParallelism(vertex.name.clone())),
                (Some(parallelism), Some(max)) if parallelism > max.get() => {
                    return Err(GraphError::AboveMaxParallelism {
                        vertex: vertex.name.clone(),
                        parallelism,
                        max,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn validate_side_outputs(&self) -> Result<(), GraphError> {
        let mut taken = BTreeSet::new();
        for Edge { from, side_output, .. } in &self.edges {
            if let Some(SideOutput { operator, tag }) = side_output
                && !taken.insert((from, operator, tag))
            {
                let operator = self.vertex(*from).operators[*operator].name.clone();
                return Err(GraphError::SideOutputTakenTwice { operator, tag: tag.clone() });
            }
        }
        Ok(())
    }

    /// All subtasks of a keyed vertex read all senders, so that their watermarks and ended inputs agree at each barrier.
    fn validate_keyed(&self) -> Result<(), GraphError> {
        for Edge { to, shipping, .. } in &self.edges {
            let Vertex { keyed, name, .. } = self.vertex(*to);
            if *keyed && !matches!(shipping, Shipping::Hash | Shipping::Broadcast) {
                return Err(GraphError::NotByKey { vertex: name.clone(), shipping: *shipping });
            }
        }
        Ok(())
    }

    /// A vertex that only passes a broadcast stream on sends the same records from each of its subtasks.
    fn validate_broadcasts(&self) -> Result<(), GraphError> {
        for (index, vertex) in self.numbered_vertices() {
            let only_passes_on = vertex.operators.len() == 1 && vertex.parallelism != Some(1);
            let is_broadcast = |(_, edge): (EdgeId, &Edge)| edge.shipping == Shipping::Broadcast;
            if only_passes_on && self.inputs(index).any(is_broadcast) && self.outputs(index).any(is_broadcast)
            {
                return Err(GraphError::BroadcastTwice(vertex.name.clone()));
            }
        }
        Ok(())
    }

    /// Lowers the parallelism of each vertex with only forward edges as inputs to the highest parallelism of
    /// their senders. Further subtasks would get no records, because each sender has one receiver. A rebalance
    /// would distribute records over more subtasks, but would not keep their order.
    pub fn cap_forward(&self, parallelism: &mut [u32]) {
        if injected_fault::is_active("forward_edge_rebalanced") {
            return;
        }
        for (to, _) in self.numbered_vertices() {
            let forward = |(_, edge): (EdgeId, &Edge)| {
                (edge.shipping == Shipping::Forward).then(|| parallelism[usize::from(edge.from.0)])
            };
            let senders: Option<Vec<u32>> = self.inputs(to).map(forward).collect();
            if let Some(widest) = senders.and_then(|senders| senders.into_iter().max()) {
                let own = &mut parallelism[usize::from(to.0)];
                *own = widest.min(*own);
            }
        }
    }

    /// The edges into a vertex, in order.
    pub fn inputs(&self, to: VertexIndex) -> impl Iterator<Item = (EdgeId, &Edge)> {
        self.numbered_edges().filter(move |(_, edge)| edge.to == to)
    }

    /// The edges out of a vertex, in order.
    pub fn outputs(&self, from: VertexIndex) -> impl Iterator<Item = (EdgeId, &Edge)> {
        self.numbered_edges().filter(move |(_, edge)| edge.from == from)
    }

    fn numbered_edges(&self) -> impl Iterator<Item = (EdgeId, &Edge)> {
        self.edges.iter().enumerate().map(|(i, edge)| (EdgeId(i as u16), edge))
    }

    /// The vertices with their indices.
    pub fn numbered_vertices(&self) -> impl Iterator<Item = (VertexIndex, &Vertex)> {
        self.vertices.iter().enumerate().map(|(i, vertex)| (VertexIndex(i as u16), vertex))
    }

    /// The names of the sinks whose output becomes visible with checkpoints.
    pub fn committing_sinks(&self) -> impl Iterator<Item = &str> {
        let operators = self.vertices.iter().flat_map(|vertex| &vertex.operators);
        operators.filter(|operator| operator.commits).map(|operator| operator.name.as_str())
    }

    /// A vertex by its index.
    pub fn vertex(&self, index: VertexIndex) -> &Vertex {
        &self.vertices[usize::from(index.0)]
    }

    /// A vertex by its id.
    pub fn find(&self, id: VertexId) -> Option<(VertexIndex, &Vertex)> {
        self.numbered_vertices().find(|(_, vertex)| vertex.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined_by(shipping: Shipping) -> Result<(), GraphError> {
        let vertex = |id, name: &str, keyed: bool| Vertex {
            id: VertexId(id),
            name: name.to_owned(),
            operators: Vec::new(),
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: "default".to_owned(),
            source: !keyed,
            keyed,
        };
        let edge = |from, shipping| Edge {
            from: VertexIndex(from),
            to: VertexIndex(2),
            shipping,
            side_output: None,
        };
        let vertices = vec![vertex(1, "orders", false), vertex(2, "prices", false), vertex(3, "Join", true)];
        let edges = vec![edge(0, Shipping::Hash), edge(1, shipping)];
        JobGraph { name: "job".to_owned(), vertices, edges, ..JobGraph::default() }.validate()
    }

    #[test]
    fn inputs_of_a_vertex_with_keyed_state_are_by_key_or_broadcast() {
        assert_eq!(joined_by(Shipping::Hash), Ok(()));
        assert_eq!(joined_by(Shipping::Broadcast), Ok(()));
        for shipping in [Shipping::Forward, Shipping::Rebalance] {
            let vertex = "Join".to_owned();
            assert_eq!(joined_by(shipping), Err(GraphError::NotByKey { vertex, shipping }));
        }
    }
}
