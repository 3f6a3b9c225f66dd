//! The settings of a sink, with which it leaves the chain of its stream or stays in it.

use crate::draft::{HeadDraft, SharedDraft};
use crate::pipeline::{GateHead, Pipeline, operator};
use crate::stream::Stream;
use reflow_api::{Data, Sink};
use reflow_graph::{EdgeId, Shipping, VertexIndex};
use reflow_network::output::NoKey;
use reflow_runtime::BuildContext;
use reflow_runtime::stages::{BoxedStage, SinkEnd, SinkStage, Tail};
use reflow_types::MaxParallelism;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The settings of a sink.
///
/// A sink runs in the chain of its stream. With a [parallelism](Self::parallelism), a
/// [max parallelism](Self::max_parallelism) or a [slot sharing group](Self::slot_sharing_group) of its own it is a vertex
/// of its own, to which the chain sends its records.
///
/// ```
/// # use reflow_api::{Data, Sink};
/// # use reflow_stream::{Pipeline, Stream};
/// fn write<T: Data>(results: Stream<impl Pipeline<Out = T>>, files: impl Sink<Item = T>) {
///     results.sink("results", files).parallelism(2).uid("results");
/// }
/// ```
pub struct SinkHandle<T> {
    env: SharedDraft,
    /// The vertex of the chain.
    chain: VertexIndex,
    place: Place,
    makers: Arc<Mutex<Makers<T>>>,
}

/// What the factories of the vertices make stages with.
struct Makers<T> {
    /// The sink, as the end of a task of its own.
    sink: StageMaker<T>,
    /// The exchange with which the chain ends if the sink is in a task of its own.
    exchange: Option<StageMaker<T>>,
}

type StageMaker<T> = Box<dyn Fn(&BuildContext) -> BoxedStage<T> + Send>;

/// Where the sink runs.
#[derive(Clone, Copy)]
enum Place {
    /// At this position of the chain, its last one.
    Chained(usize),
    /// In a vertex of its own.
    Own { vertex: VertexIndex, edge: EdgeId },
}

impl<T: Send + 'static> SinkHandle<T> {
    /// Ends the chain of a stream, whose last operator is the sink.
    pub(crate) fn chained<P, S>(stream: Stream<P>, sink: S) -> Self
    where
        P: Pipeline<Out = T>,
        S: Sink<Item = T>,
    {
        let position = stream.draft.operators.len() - 1;
        let alone = sink.clone();
        let makers = Makers {
            sink: Box::new(move |context| {
                BoxedStage::new(SinkStage::new(operator(context, 0), alone.clone()))
            }),
            exchange: None,
        };
        let makers = Arc::new(Mutex::new(makers));
        let (made, pipeline) = (makers.clone(), stream.pipeline);
        let mut env = stream.env.borrow_mut();
        let chain = env.add_vertex(stream.draft);
        let build = move |context: &mut BuildContext| {
            let exchange = locked(&made).exchange.as_ref().map(|make| make(context));
            let end = match exchange {
                Some(exchange) => SinkEnd::Elsewhere(exchange),
                None => SinkEnd::Here(SinkStage::new(operator(context, position), sink.clone())),
            };
            pipeline.build(end, context)
        };
        env.add_factory(chain, Box::new(build));
        drop(env);
        Self { env: stream.env, chain, place: Place::Chained(position), makers }
    }

    /// Sets the sink's uid, by which its open transactions are found in a savepoint.
    pub fn uid(self, uid: &str) -> Self {
        let (vertex, position) = self.operator();
        self.env.borrow_mut().change_operator(vertex, position, |sink| sink.set_uid(uid));
        self
    }

    /// Sets the displayed name of the sink.
    pub fn name(self, name: &str) -> Self {
        let (vertex, position) = self.operator();
        self.env.borrow_mut().change_operator(vertex, position, |sink| sink.name = name.to_owned());
        self
    }

    /// Sets the parallelism of the sink. Ignored in reactive mode.
    ///
    /// Unless the chain has the same one, records go to the sink's subtasks in turn, so they do not keep their order.
    /// Those of each subtask do at a parallelism of 1.
    pub fn parallelism(mut self, parallelism: u32) -> Self
    where
        T: Data,
    {
        let same = self.env.borrow_mut().vertex_mut(self.chain).parallelism == Some(parallelism);
        if same && matches!(self.place, Place::Chained(_)) {
            return self;
        }
        let (vertex, edge) = self.leave_chain();
        let mut env = self.env.borrow_mut();
        env.vertex_mut(vertex).parallelism = Some(parallelism);
        env.edge_mut(edge).shipping =
            if same || parallelism == 1 { Shipping::Forward } else { Shipping::Rebalance };
        drop(env);
        self
    }

    /// Sets the max parallelism of the sink, 1 to 32768, which limits its parallelism in every mode.
    ///
    /// ```
    /// # use reflow_api::{Data, Sink};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job<T: Data>(results: Stream<impl Pipeline<Out = T>>, files: impl Sink<Item = T>) {
    /// let sink = results.sink("results", files).name("Results").max_parallelism(8).slot_sharing_group("files");
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it is out of range.
    pub fn max_parallelism(mut self, max: u32) -> Self
    where
        T: Data,
    {
        let max = MaxParallelism::new(max).unwrap_or_else(|error| panic!("{error}"));
        let (vertex, _) = self.leave_chain();
        self.env.borrow_mut().vertex_mut(vertex).max_parallelism = Some(max);
        self
    }

    /// Sets the slot sharing group of the sink.
    pub fn slot_sharing_group(mut self, group: &str) -> Self
    where
        T: Data,
    {
        let (vertex, _) = self.leave_chain();
        self.env.borrow_mut().vertex_mut(vertex).slot_sharing_group = group.to_owned();
        self
    }

    /// The sink's vertex and its position in it.
    fn operator(&self) -> (VertexIndex, usize) {
        match self.place {
            Place::Chained(position) => (self.chain, position),
            Place::Own { vertex, .. } => (vertex, 0),
        }
    }

    /// Gives the sink a vertex of its own, if it has none. Returns that and the edge to it.
    fn leave_chain(&mut self) -> (VertexIndex, EdgeId)
    where
        T: Data,
    {
        let position = match self.place {
            Place::Own { vertex, edge } => return (vertex, edge),
            Place::Chained(position) => position,
        };
        let mut env = self.env.borrow_mut();
        let edge = env.reserve_edge(self.chain, Shipping::Forward, None);
        let exchange = move |context: &BuildContext| {
            BoxedStage::new(Tail::new(context.output::<T, NoKey>(edge, NoKey, None)))
        };
        locked(&self.makers).exchange = Some(Box::new(exchange));
        let vertex = env.split_vertex(self.chain, position, HeadDraft::Edges(vec![edge]));
        let makers = self.makers.clone();
        let receive = move |context: &mut BuildContext| {
            let sink = (locked(&makers).sink)(context);
            GateHead::<T>(PhantomData).build(sink, context)
        };
        env.add_factory(vertex, Box::new(receive));
        drop(env);
        self.place = Place::Own { vertex, edge };
        (vertex, edge)
    }
}

fn locked<T>(makers: &Mutex<Makers<T>>) -> MutexGuard<'_, Makers<T>> {
    makers.lock().unwrap_or_else(PoisonError::into_inner)
}
