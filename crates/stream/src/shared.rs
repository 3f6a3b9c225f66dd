//! Streams from which several others continue.

use crate::draft::{HeadDraft, SharedDraft};
use crate::pipeline::{GateHead, Pipeline};
use crate::stream::Stream;
use reflow_api::Data;
use reflow_graph::{Shipping, VertexIndex};
use reflow_network::Output;
use reflow_network::output::NoKey;
use reflow_runtime::BuildContext;
use reflow_runtime::stages::{Edge, FilteredEdge, SharedTail};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

impl<P: Pipeline> Stream<P> {
    /// Lets several streams continue from this one. Each gets every record.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let payments = payments.share();
    /// let large = payments.filter(|(_, amount)| *amount >= 10_000.0);
    /// let amounts = payments.stream().map(|(_, amount)| amount);
    /// # }
    /// ```
    pub fn share(self) -> SharedStream<P::Out>
    where
        P::Out: Data + Clone + Sync,
    {
        let edges: EdgeMakers<P::Out> = Arc::default();
        let made = edges.clone();
        let mut env = self.env.borrow_mut();
        let vertex = env.add_vertex(self.draft);
        let pipeline = self.pipeline;
        env.add_factory(
            vertex,
            Box::new(move |context| {
                let makers = made.lock().unwrap_or_else(PoisonError::into_inner);
                let edges = makers.iter().map(|make| make(context)).collect();
                drop(makers);
                pipeline.build(SharedTail::new(edges), context)
            }),
        );
        drop(env);
        SharedStream { env: self.env, vertex, edges }
    }
}

type EdgeMaker<T> = Box<dyn Fn(&BuildContext) -> Box<dyn Edge<T>> + Send>;
type EdgeMakers<T> = Arc<Mutex<Vec<EdgeMaker<T>>>>;

/// A stream from which several others continue: what [`Stream::share`] returns.
///
/// ```
/// # use reflow_stream::{Pipeline, SharedStream, Stream};
/// /// Payments above a limit, of a stream from which others continue as well.
/// fn large(payments: &SharedStream<(u64, f64)>, limit: f64) -> Stream<impl Pipeline<Out = (u64, f64)> + use<>> {
///     payments.filter(move |(_, amount)| *amount > limit)
/// }
/// ```
pub struct SharedStream<T> {
    env: SharedDraft,
    vertex: VertexIndex,
    edges: EdgeMakers<T>,
}

impl<T: Data + Clone + Sync> SharedStream<T> {
    /// A stream with all records of this one. [`Stream::share`] has an example.
    pub fn stream(&self) -> Stream<GateHead<T>> {
        self.continued(|output| Box::new(output))
    }

    /// A stream with the records of this one for which `condition` holds. As `stream().filter(condition)`, but the
    /// condition is evaluated before records are copied and sent.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn parts(lines: Stream<impl Pipeline<Out = String>>)
    /// # -> (Stream<impl Pipeline<Out = String>>, Stream<impl Pipeline<Out = String>>) {
    /// let shared = lines.share();
    /// let (warnings, all) = (shared.filter(|line| line.starts_with("warning")), shared.stream());
    /// # (warnings, all)
    /// # }
    /// ```
    pub fn filter<F>(&self, condition: F) -> Stream<GateHead<T>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        self.continued(move |output| Box::new(FilteredEdge::new(output, condition.clone())))
    }

    fn continued(
        &self,
        edge_of: impl Fn(Output<T>) -> Box<dyn Edge<T>> + Send + 'static,
    ) -> Stream<GateHead<T>> {
        let edge = self.env.borrow_mut().reserve_edge(self.vertex, Shipping::Forward, None);
        let make = move |context: &BuildContext| edge_of(context.output(edge, NoKey, None));
        self.edges.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(make));
        let head = HeadDraft::Edges(vec![edge]);
        Stream::begin(self.env.clone(), "shared", "Shared".to_owned(), head, GateHead(PhantomData))
    }
}
