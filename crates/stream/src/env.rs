//! The environment in which a job function builds its job.

use crate::job::{EnumeratorFactory, Job, JobError, TaskFactory};
use crate::pipeline::SourceHead;
use crate::stream::{Stream, VertexDraft};
use reflow_api::{Source, UserError};
use reflow_graph::{Edge, EdgeId, JobGraph, Operator, Shipping, Vertex, VertexIndex};
use reflow_types::VertexId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Builds a job. The argument of the job function.
pub struct StreamEnv {
    pub(crate) inner: Shared,
}

pub(crate) type Shared = Rc<RefCell<Inner>>;

#[derive(Default)]
pub(crate) struct Inner {
    graph: JobGraph,
    factories: Vec<TaskFactory>,
    enumerators: Vec<(usize, EnumeratorFactory)>,
    /// The number of operators of each kind, for the default uids.
    kinds: BTreeMap<&'static str, usize>,
    /// Streams that have not been ended by a sink yet.
    open: BTreeMap<usize, String>,
    next_open: usize,
}

impl StreamEnv {
    /// Calls a job function and returns the job that it built.
    pub fn build(
        name: &str,
        function: impl FnOnce(&mut StreamEnv) -> Result<(), UserError>,
    ) -> Result<Job, JobError> {
        let mut env = StreamEnv { inner: Rc::default() };
        env.inner.borrow_mut().graph.name = name.to_owned();
        function(&mut env).map_err(JobError::Function)?;
        let inner = env.inner.take();
        if let Some(name) = inner.open.into_values().next() {
            return Err(reflow_graph::GraphError::Dangling(name).into());
        }
        inner.graph.validate()?;
        let uid = |vertex: usize| inner.graph.vertices[vertex].operators[0].uid.clone();
        let enumerators = inner.enumerators.into_iter().map(|(vertex, make)| (uid(vertex), make)).collect();
        Ok(Job { graph: Arc::new(inner.graph), factories: inner.factories, enumerators })
    }

    /// Sets the name of the job. The default is the name of the executable. The job's state is stored under this
    /// name.
    pub fn name(&mut self, name: &str) {
        self.inner.borrow_mut().graph.name = name.to_owned();
    }

    /// Starts a stream with the records of a source.
    pub fn source<S: Source>(&mut self, name: &str, source: S) -> Stream<SourceHead<S>> {
        let enumerated = source.clone();
        let enumerator: EnumeratorFactory = Box::new(move || enumerated.enumerator());
        let draft = VertexDraft { enumerator: Some(enumerator), ..Default::default() };
        Stream::begin(self.inner.clone(), "source", format!("Source: {name}"), draft, SourceHead(source))
    }
}

impl Inner {
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
        for (from, shipping, reserved) in draft.inputs {
            let edge = &mut self.graph.edges[usize::from(reserved.0)];
            *edge = Edge { from, to: index, shipping };
        }
        if let Some(enumerator) = draft.enumerator {
            self.enumerators.push((usize::from(index.0), enumerator));
        }
        index
    }

    /// An edge whose receiver is not known yet.
    pub(crate) fn reserve_edge(&mut self, from: VertexIndex, shipping: Shipping) -> EdgeId {
        let id = EdgeId(self.graph.edges.len() as u16);
        self.graph.edges.push(Edge { from, to: from, shipping });
        id
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
