//! The job that a job function is building: what its streams have in common.

use crate::job::{EnumeratorFactory, Job, JobError, TaskFactory};
use reflow_graph::{Edge, EdgeId, JobGraph, Operator, Shipping, Vertex, VertexIndex};
use reflow_types::{MaxParallelism, VertexId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The draft, to which each stream of the job function adds.
pub(crate) type SharedDraft = Rc<RefCell<JobDraft>>;

#[derive(Default)]
pub(crate) struct JobDraft {
    graph: JobGraph,
    factories: Vec<TaskFactory>,
    enumerators: Vec<(usize, EnumeratorFactory)>,
    /// The number of operators of each kind, for the default uids.
    kinds: BTreeMap<&'static str, usize>,
    /// Streams that have not been ended by a sink yet.
    open: BTreeMap<usize, String>,
    next_open: usize,
}

/// A vertex whose chain is being built.
#[derive(Default)]
pub(crate) struct VertexDraft {
    pub(crate) open: usize,
    pub(crate) operators: Vec<Operator>,
    pub(crate) parallelism: Option<u32>,
    pub(crate) max_parallelism: Option<MaxParallelism>,
    pub(crate) slot_sharing_group: Option<String>,
    pub(crate) enumerator: Option<EnumeratorFactory>,
    pub(crate) keyed: bool,
    pub(crate) inputs: Vec<EdgeDraft>,
}

/// An edge into a vertex that is being built.
#[derive(Clone, Copy)]
pub(crate) struct EdgeDraft {
    pub(crate) id: EdgeId,
    from: VertexIndex,
    shipping: Shipping,
}

impl JobDraft {
    pub(crate) fn name(&mut self, name: &str) {
        self.graph.name = name.to_owned();
    }

    /// The job, if each of its streams has ended and its graph is valid.
    pub(crate) fn finish(self) -> Result<Job, JobError> {
        if let Some(name) = self.open.into_values().next() {
            return Err(reflow_graph::GraphError::Dangling(name).into());
        }
        self.graph.validate()?;
        let uid = |vertex: usize| self.graph.vertices[vertex].operators[0].uid.clone();
        let enumerators = self.enumerators.into_iter().map(|(vertex, make)| (uid(vertex), make)).collect();
        Ok(Job { graph: Arc::new(self.graph), factories: self.factories, enumerators })
    }

    /// The default uid of an operator. It stays the same as long as no operator of the same kind is added before
    /// it.
    pub(crate) fn operator(&mut self, kind: &'static str, name: String) -> Operator {
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        Operator { uid: format!("{kind}-{count}"), name, commits: false }
    }

    pub(crate) fn begin(&mut self, name: &str) -> usize {
        self.next_open += 1;
        self.open.insert(self.next_open, name.to_owned());
        self.next_open
    }

    /// Ends a chain, which becomes a vertex. The factory is added later, when the outgoing edges are known.
    pub(crate) fn add_vertex(&mut self, draft: VertexDraft) -> VertexIndex {
        self.open.remove(&draft.open);
        let index = VertexIndex(self.graph.vertices.len() as u16);
        let name = draft.operators.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(" -> ");
        self.graph.vertices.push(Vertex {
            id: VertexId::of_uid(&draft.operators[0].uid),
            name,
            operators: draft.operators,
            parallelism: draft.parallelism,
            max_parallelism: draft.max_parallelism,
            slot_sharing_group: draft.slot_sharing_group.unwrap_or_else(|| "default".to_owned()),
            source: draft.enumerator.is_some(),
            keyed: draft.keyed,
        });
        for EdgeDraft { id, from, shipping } in draft.inputs {
            self.graph.edges[usize::from(id.0)] = Edge { from, to: index, shipping };
        }
        if let Some(enumerator) = draft.enumerator {
            self.enumerators.push((usize::from(index.0), enumerator));
        }
        index
    }

    /// An edge whose receiver is not known yet.
    pub(crate) fn reserve_edge(&mut self, from: VertexIndex, shipping: Shipping) -> EdgeDraft {
        let id = EdgeId(self.graph.edges.len() as u16);
        self.graph.edges.push(Edge { from, to: from, shipping });
        EdgeDraft { id, from, shipping }
    }

    pub(crate) fn add_factory(&mut self, factory: TaskFactory) {
        self.factories.push(factory);
    }

    pub(crate) fn operator_mut(&mut self, vertex: VertexIndex, place: usize) -> &mut Operator {
        &mut self.graph.vertices[usize::from(vertex.0)].operators[place]
    }

    pub(crate) fn rename(&mut self, vertex: VertexIndex) {
        let vertex = &mut self.graph.vertices[usize::from(vertex.0)];
        vertex.name = vertex.operators.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(" -> ");
    }
}
