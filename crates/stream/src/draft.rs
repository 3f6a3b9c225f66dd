//! The job that a job function is building: what its streams have in common.

use crate::job::{EnumeratorFactory, Job, JobError, TaskFactory};
use reflow_graph::{Edge, EdgeId, GraphError, JobGraph, Operator, Shipping, SideOutput, Vertex, VertexIndex};
use reflow_types::{JobParameters, MaxParallelism, VertexId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The draft, to which each stream of the job function adds.
pub(crate) type SharedDraft = Rc<RefCell<JobDraft>>;

#[derive(Default)]
pub(crate) struct JobDraft {
    name: String,
    vertices: Vec<Begun>,
    edges: Vec<Edge>,
    pub(crate) parameters: JobParameters,
    enumerators: Vec<(VertexIndex, EnumeratorFactory)>,
    /// The number of operators of each kind, for the default uids.
    kinds: BTreeMap<&'static str, usize>,
}

/// A vertex whose chain was begun. It has its index from then on, because streams may end in another order than
/// records flow: a side output before the main output, for example.
struct Begun {
    /// The name of its first operator.
    name: String,
    /// `None` until the chain is ended, by a sink or an exchange.
    vertex: Option<Vertex>,
    /// Added when the outgoing edges are known.
    factory: Option<TaskFactory>,
}

/// A vertex whose chain is being built.
pub(crate) struct VertexDraft {
    pub(crate) index: VertexIndex,
    pub(crate) operators: Vec<Operator>,
    pub(crate) parallelism: Option<u32>,
    pub(crate) max_parallelism: Option<MaxParallelism>,
    pub(crate) slot_sharing_group: Option<String>,
    pub(crate) head: HeadDraft,
}

/// The input of a vertex that is being built.
pub(crate) enum HeadDraft {
    /// It reads a source.
    Source(EnumeratorFactory),
    /// It reads these edges.
    Edges(Vec<EdgeId>),
    /// It reads these edges and has keyed state.
    Keyed(Vec<EdgeId>),
}

impl JobDraft {
    pub(crate) fn name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    /// The job, if each of its streams has ended and its graph is valid.
    pub(crate) fn finish(self) -> Result<Job, JobError> {
        let (mut vertices, mut factories) = (Vec::new(), Vec::new());
        for Begun { name, vertex, factory } in self.vertices {
            let (Some(vertex), Some(factory)) = (vertex, factory) else {
                return Err(GraphError::Dangling(name).into());
            };
            vertices.push(vertex);
            factories.push(factory);
        }
        let graph = JobGraph { name: self.name, vertices, edges: self.edges, parameters: self.parameters };
        graph.validate()?;
        let uid = |vertex: VertexIndex| graph.vertex(vertex).operators[0].uid.clone();
        let enumerators = self.enumerators.into_iter().map(|(vertex, make)| (uid(vertex), make)).collect();
        Ok(Job { graph: Arc::new(graph), factories, enumerators })
    }

    /// The default uid of an operator. It stays the same as long as no operator of the same kind is added before
    /// it.
    pub(crate) fn operator(&mut self, kind: &'static str, name: String) -> Operator {
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        Operator { uid: format!("{kind}-{count}"), has_derived_uid: true, name, ..Operator::default() }
    }

    /// Begins a chain with its first operator.
    pub(crate) fn begin(&mut self, kind: &'static str, name: String, head: HeadDraft) -> VertexDraft {
        let index = VertexIndex(self.vertices.len() as u16);
        self.vertices.push(Begun { name: name.clone(), vertex: None, factory: None });
        VertexDraft {
            index,
            operators: vec![self.operator(kind, name)],
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: None,
            head,
        }
    }

    /// Ends a chain, which becomes a vertex. The factory is added later, when the outgoing edges are known.
    pub(crate) fn add_vertex(&mut self, draft: VertexDraft) -> VertexIndex {
        let index = draft.index;
        let (source, keyed) =
            (matches!(draft.head, HeadDraft::Source(_)), matches!(draft.head, HeadDraft::Keyed(_)));
        match draft.head {
            HeadDraft::Source(enumerator) => self.enumerators.push((index, enumerator)),
            HeadDraft::Edges(inputs) | HeadDraft::Keyed(inputs) => {
                inputs.into_iter().for_each(|id| self.edges[usize::from(id.0)].to = index);
            }
        }
        self.begun(index).vertex = Some(Vertex {
            id: VertexId::of_uid(&draft.operators[0].uid),
            name: joined(&draft.operators),
            operators: draft.operators,
            parallelism: draft.parallelism,
            max_parallelism: draft.max_parallelism,
            slot_sharing_group: draft.slot_sharing_group.unwrap_or_else(|| "default".to_owned()),
            source,
            keyed,
        });
        index
    }

    /// An edge whose receiver is not known yet.
    pub(crate) fn reserve_edge(
        &mut self,
        from: VertexIndex,
        shipping: Shipping,
        side_output: Option<SideOutput>,
    ) -> EdgeId {
        let id = EdgeId(self.edges.len() as u16);
        self.edges.push(Edge { from, to: from, shipping, side_output });
        id
    }

    pub(crate) fn add_factory(&mut self, vertex: VertexIndex, factory: TaskFactory) {
        self.begun(vertex).factory = Some(factory);
    }

    /// Changes an operator of a vertex that was added.
    pub(crate) fn change_operator(
        &mut self,
        vertex: VertexIndex,
        place: usize,
        change: impl FnOnce(&mut Operator),
    ) {
        let vertex = self.vertex_mut(vertex);
        change(&mut vertex.operators[place]);
        vertex.name = joined(&vertex.operators);
        vertex.id = VertexId::of_uid(&vertex.operators[0].uid);
    }

    /// Ends a vertex that was added before the operator at position `place`, and adds the rest of it as another vertex
    /// with the same settings.
    pub(crate) fn split_vertex(&mut self, vertex: VertexIndex, place: usize, head: HeadDraft) -> VertexIndex {
        let first = self.vertex_mut(vertex);
        let operators = first.operators.split_off(place);
        first.name = joined(&first.operators);
        let (max_parallelism, group) = (first.max_parallelism, first.slot_sharing_group.clone());
        let index = VertexIndex(self.vertices.len() as u16);
        self.vertices.push(Begun { name: operators[0].name.clone(), vertex: None, factory: None });
        self.add_vertex(VertexDraft {
            index,
            operators,
            parallelism: None,
            max_parallelism,
            slot_sharing_group: Some(group),
            head,
        })
    }

    /// A vertex that was added.
    pub(crate) fn vertex_mut(&mut self, index: VertexIndex) -> &mut Vertex {
        self.begun(index).vertex.as_mut().expect("its chain has ended")
    }

    /// An edge that was reserved.
    pub(crate) fn edge_mut(&mut self, edge: EdgeId) -> &mut Edge {
        &mut self.edges[usize::from(edge.0)]
    }

    fn begun(&mut self, vertex: VertexIndex) -> &mut Begun {
        &mut self.vertices[usize::from(vertex.0)]
    }
}

fn joined(operators: &[Operator]) -> String {
    operators.iter().map(|operator| operator.name.as_str()).collect::<Vec<_>>().join(" -> ")
}
