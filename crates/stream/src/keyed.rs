//! The keyed streams of a job function.

use crate::draft::HeadDraft;
use crate::pipeline::{
    FilterLink, FlatMapLink, GateHead, MapLink, Pipeline, ProcessHead, RollingHead, Then, WindowHead,
};
use crate::stream::{SinkHandle, Stream};
use crate::windowed::WindowedStream;
use reflow_api::window::Trigger;
use reflow_api::window::{Assigner, EventTimeTrigger};
use reflow_api::{Aggregate, Data, OnError, ProcessFunction, Sink};
use reflow_graph::Shipping;
use reflow_network::output::KeySelector;
use reflow_runtime::keyed::{Contents, Windowing};
use std::marker::PhantomData;

/// A stream that is partitioned by key. Operators on it have keyed state.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct KeyedStream<P: Pipeline, F> {
    pub(crate) stream: Stream<P>,
    pub(crate) key: F,
}

/// An operator without state behind [`KeyedStream::partitioned`].
type Partitioned<P, L> = Stream<Then<GateHead<<P as Pipeline>::Out>, L>>;

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// The records without their key: a stream whose subtasks each have all records of their keys, in order. Operators on
    /// it have no keyed state.
    pub fn partitioned(self) -> Stream<GateHead<P::Out>> {
        self.keyed("partition", "Partition", GateHead(PhantomData))
    }

    /// [`Stream::map`] of the records, [partitioned](Self::partitioned) by key.
    pub fn map<U, G>(self, function: G) -> Partitioned<P, MapLink<G, U>>
    where
        U: Send + 'static,
        G: FnMut(P::Out) -> U + Clone + Send + 'static,
    {
        self.partitioned().map(function)
    }

    /// [`Stream::filter`] of the records, [partitioned](Self::partitioned) by key.
    pub fn filter<G>(self, condition: G) -> Partitioned<P, FilterLink<G>>
    where
        G: FnMut(&P::Out) -> bool + Clone + Send + 'static,
    {
        self.partitioned().filter(condition)
    }

    /// [`Stream::flat_map`] of the records, [partitioned](Self::partitioned) by key.
    pub fn flat_map<I, G>(self, function: G) -> Partitioned<P, FlatMapLink<G, I>>
    where
        I: IntoIterator<IntoIter: Send> + 'static,
        I::Item: Send + 'static,
        G: FnMut(P::Out) -> I + Clone + Send + 'static,
    {
        self.partitioned().flat_map(function)
    }

    /// [`Stream::sink`] of the records, [partitioned](Self::partitioned) by key.
    pub fn sink<S: Sink<Item = P::Out>>(self, name: &str, sink: S) -> SinkHandle {
        self.partitioned().sink(name, sink)
    }

    /// Emits the result of `aggregate` after each record.
    pub fn aggregate<A>(self, aggregate: A) -> Stream<RollingHead<P::Out, F, A>>
    where
        A: Aggregate<In = P::Out>,
        A::Out: Send + 'static,
    {
        let key = self.key.clone();
        let head = RollingHead { key, aggregate, takes: PhantomData };
        self.keyed("aggregate", "Aggregate", head)
    }

    /// Emits, after each record, all records of its key so far, combined by `function`.
    pub fn reduce<G>(self, function: G) -> Stream<impl Pipeline<Out = P::Out>>
    where
        P::Out: Clone,
        G: Fn(P::Out, P::Out) -> P::Out + Clone + Send + 'static,
    {
        let key = self.key.clone();
        let head = RollingHead { key, aggregate: Reduce::new(function), takes: PhantomData };
        self.keyed("reduce", "Reduce", head)
    }

    /// Runs a function with keyed state and timers. [`on_error`](Stream::on_error) sets how a record is handled
    /// for which it returns an error.
    pub fn process<Q>(self, function: Q) -> Stream<ProcessHead<P::Out, F, Q>>
    where
        Q: ProcessFunction<Key = F::Key, In = P::Out>,
        Q::Out: Send + 'static,
    {
        let key = self.key.clone();
        let head = ProcessHead { key, function, on_error: OnError::default(), takes: PhantomData };
        self.keyed("process", "Process", head)
    }

    /// Groups each key's records into windows.
    pub fn window<W: Assigner>(self, assigner: W) -> WindowedStream<P, F, W, EventTimeTrigger> {
        WindowedStream { keyed: self, assigner, trigger: EventTimeTrigger }
    }

    pub(crate) fn windowed<W, G, C>(
        self,
        windowing: Windowing<W, G, C>,
        name: &str,
    ) -> Stream<WindowHead<P::Out, F, W, G, C>>
    where
        P::Out: Clone,
        W: Assigner,
        G: Trigger<P::Out>,
        C: Contents<F::Key, P::Out>,
        C::Out: Send + 'static,
    {
        let head = WindowHead { key: self.key.clone(), windowing, takes: PhantomData };
        self.keyed("window", name, head)
    }

    /// Ends the current chain with an exchange by key and starts another one with `head`.
    pub(crate) fn keyed<H: Pipeline>(self, kind: &'static str, name: &str, head: H) -> Stream<H> {
        let (env, input) = self.stream.ship(Shipping::Hash, self.key, None);
        Stream::begin(env, kind, name.to_owned(), HeadDraft::Keyed(vec![input]), head)
    }
}

/// The aggregate of [`KeyedStream::reduce`].
pub struct Reduce<T, G> {
    function: G,
    takes: PhantomData<fn(T)>,
}

impl<T, G> Reduce<T, G> {
    pub(crate) fn new(function: G) -> Self {
        Self { function, takes: PhantomData }
    }
}

impl<T, G: Clone> Clone for Reduce<T, G> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), takes: PhantomData }
    }
}

impl<T, G> Aggregate for Reduce<T, G>
where
    T: Data + Clone,
    G: Fn(T, T) -> T + Clone + Send + 'static,
{
    type In = T;
    type Acc = Option<T>;
    type Out = T;

    fn create(&self) -> Option<T> {
        None
    }

    fn add(&self, acc: &mut Option<T>, value: T) {
        *acc = Some(match acc.take() {
            Some(so_far) => (self.function)(so_far, value),
            None => value,
        });
    }

    fn result(&self, acc: &Option<T>) -> T {
        acc.clone().expect("a result is asked for after a record")
    }
}
