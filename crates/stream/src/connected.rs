//! Two streams with different records that one operator reads.
//!
//! The records of both are made records of one type, [`Either`], at the end of their own chains. So the operator is a
//! process function like any other, whose vertex has two input edges.

use crate::draft::HeadDraft;
use crate::keyed::{KeyedInputs, KeyedStream};
use crate::pipeline::{
    BroadcastHead, FlatMapLink, GateHead, MapLink, Pipeline, ProcessHead, ProcessLink, Then,
};
use crate::stream::Stream;
use crate::windowed::WindowedStream;
use reflow_api::window::{EventTimeTrigger, WindowAssigner};
use reflow_api::{
    BroadcastProcessFunction, CoProcessFunction, Context, Data, Either, Input, OnError, ProcessFunction,
    RuntimeContext, TimeDomain, UnkeyedCoProcessFunction, UnkeyedContext, UnkeyedProcessFunction, UserError,
};
use reflow_graph::Shipping;
use reflow_network::output::{KeySelector, NoKey};
use reflow_types::Timestamp;
use std::marker::PhantomData;

/// Two streams that one operator reads; see [`Stream::connect`].
///
/// ```
/// # use reflow_api::UnkeyedCoProcessFunction;
/// # use reflow_stream::{Pipeline, Stream};
/// # fn job<F>(words: Stream<impl Pipeline<Out = String>>, numbers: Stream<impl Pipeline<Out = u64>>, mix: F)
/// # where
/// #     F: UnkeyedCoProcessFunction<First = String, Second = u64, Out = String>,
/// # {
/// let mixed = words.connect(numbers).process(mix);
/// # }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct ConnectedStreams<A: Data, B: Data> {
    stream: Stream<GateHead<Either<A, B>>>,
}

/// A function behind [`ConnectedStreams`].
type Connected<A, B, L> = Stream<Then<GateHead<Either<A, B>>, L>>;

/// The streams before an exchange, whose records are made those of one type without an operator of their own.
fn first<P: Pipeline, B: Send + 'static>(
    stream: Stream<P>,
) -> Stream<impl Pipeline<Out = Either<P::Out, B>>> {
    stream.convert(MapLink(|record| Either::First(record), PhantomData))
}

fn second<P: Pipeline, A: Send + 'static>(
    stream: Stream<P>,
) -> Stream<impl Pipeline<Out = Either<A, P::Out>>> {
    stream.convert(MapLink(|record| Either::Second(record), PhantomData))
}

impl<P: Pipeline<Out: Data>> Stream<P> {
    /// Connects this stream with another one, whose records may have another type, for an operator that reads both.
    /// Records of one stream keep their order; records of different streams come in any order.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// fn lengths(
    ///     words: Stream<impl Pipeline<Out = String>>,
    ///     numbers: Stream<impl Pipeline<Out = u64>>,
    /// ) -> Stream<impl Pipeline<Out = u64>> {
    ///     words.connect(numbers).map(|word| word.len() as u64, |number| number)
    /// }
    /// ```
    pub fn connect<Q: Pipeline<Out: Data>>(self, other: Stream<Q>) -> ConnectedStreams<P::Out, Q::Out> {
        let (env, one) = first::<P, Q::Out>(self).ship(Shipping::Forward, NoKey, None);
        let (_, two) = second::<Q, P::Out>(other).ship(Shipping::Forward, NoKey, None);
        let head = HeadDraft::Edges(vec![one, two]);
        ConnectedStreams {
            stream: Stream::begin(env, "connect", "Connect".to_owned(), head, GateHead(PhantomData)),
        }
    }
}

impl<A: Data, B: Data> ConnectedStreams<A, B> {
    /// Runs a function that takes the records of both.
    pub fn process<Q>(self, function: Q) -> Connected<A, B, ProcessLink<CoFunction<Q>>>
    where
        Q: UnkeyedCoProcessFunction<First = A, Second = B, Out: Send + 'static>,
    {
        self.stream.process(CoFunction(function))
    }

    /// Transforms each record into one record, those of each stream by a function of their own.
    pub fn map<U, F, G>(self, mut of_first: F, mut of_second: G) -> Stream<impl Pipeline<Out = U>>
    where
        U: Send + 'static,
        F: FnMut(A) -> U + Clone + Send + 'static,
        G: FnMut(B) -> U + Clone + Send + 'static,
    {
        let function = move |record| match record {
            Either::First(record) => of_first(record),
            Either::Second(record) => of_second(record),
        };
        self.stream.then("co-map", "CoMap", MapLink(function, PhantomData))
    }

    /// Transforms each record into any number of records, those of each stream by a function of their own.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(words: Stream<impl Pipeline<Out = String>>, numbers: Stream<impl Pipeline<Out = u64>>) {
    /// let digits = words.connect(numbers).flat_map(|word| vec![word], |number| vec![number.to_string(); 2]);
    /// # }
    /// ```
    pub fn flat_map<I, F, G>(self, mut of_first: F, mut of_second: G) -> Stream<impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<IntoIter: Send> + 'static,
        I::Item: Send + 'static,
        F: FnMut(A) -> I + Clone + Send + 'static,
        G: FnMut(B) -> I + Clone + Send + 'static,
    {
        let function = move |record| match record {
            Either::First(record) => of_first(record),
            Either::Second(record) => of_second(record),
        };
        self.stream.then("co-flat-map", "CoFlatMap", FlatMapLink(function, PhantomData))
    }
}

/// Two streams that are partitioned by keys of the same type; see [`KeyedStream::connect`].
///
/// ```
/// # use reflow_api::CoProcessFunction;
/// # use reflow_stream::{Pipeline, Stream};
/// # fn job<F>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, names: Stream<impl Pipeline<Out = (u64, String)>>, enrich: F)
/// # where
/// #     F: CoProcessFunction<Key = u64, First = (u64, f64), Second = (u64, String), Out = String>,
/// # {
/// let (payments, names) = (payments.key_by(|payment| payment.0), names.key_by(|name| name.0));
/// let enriched = payments.connect(names).process(enrich);
/// # }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct ConnectedKeyedStreams<P: Pipeline, F, Q: Pipeline, G> {
    first: KeyedStream<P, F>,
    second: KeyedStream<Q, G>,
}

/// The record of either stream.
type EitherOf<P, Q> = Either<<P as Pipeline>::Out, <Q as Pipeline>::Out>;

/// The head that runs a function with keyed state and two inputs.
type CoProcessHead<P, F, Q, G, C> = ProcessHead<EitherOf<P, Q>, EitherKey<F, G>, CoFunction<C>>;

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// Connects this stream with another one that has the same type of keys. One subtask gets the records of a key of both.
    pub fn connect<Q, G>(self, other: KeyedStream<Q, G>) -> ConnectedKeyedStreams<P, F, Q, G>
    where
        Q: Pipeline<Out: Data>,
        G: KeySelector<Q::Out, Key = F::Key>,
    {
        ConnectedKeyedStreams { first: self, second: other }
    }
}

impl<P, F, Q, G> ConnectedKeyedStreams<P, F, Q, G>
where
    P: Pipeline<Out: Data>,
    Q: Pipeline<Out: Data>,
    F: KeySelector<P::Out>,
    G: KeySelector<Q::Out, Key = F::Key>,
{
    /// Runs a function that takes the records of both, with keyed state and timers.
    pub fn process<C>(self, function: C) -> Stream<CoProcessHead<P, F, Q, G, C>>
    where
        C: CoProcessFunction<Key = F::Key, First = P::Out, Second = Q::Out, Out: Send + 'static>,
    {
        let key = self.key();
        let function = CoFunction(function);
        let head = ProcessHead { key, function, on_error: OnError::default(), takes: PhantomData };
        self.keyed("co-process", "CoProcess", head)
    }

    /// Groups the records of both into windows by key. [`join`](WindowedStream::join) and
    /// [`co_group`](WindowedStream::co_group) match those of a window; the other operators take them as one stream of
    /// [`Either`].
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>, refunds: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let (payments, refunds) = (payments.key_by(|payment| payment.0), refunds.key_by(|refund| refund.0));
    /// let windows = payments.connect(refunds).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let differences = windows.join(|_, _, (_, paid), (_, refunded)| paid - refunded);
    /// # }
    /// ```
    pub fn window<W>(self, assigner: W) -> WindowedStream<Self, W, EventTimeTrigger>
    where
        W: WindowAssigner<EitherOf<P, Q>>,
    {
        WindowedStream::new(self, assigner)
    }

    /// The records without their keys: each subtask has all records of its keys, those of each stream in order.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>, refunds: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let (payments, refunds) = (payments.key_by(|payment| payment.0), refunds.key_by(|refund| refund.0));
    /// let balance = payments.connect(refunds).partitioned().map(|(_, paid)| paid, |(_, refunded)| -refunded);
    /// # }
    /// ```
    pub fn partitioned(self) -> ConnectedStreams<P::Out, Q::Out> {
        ConnectedStreams { stream: self.keyed("connect", "Connect", GateHead(PhantomData)) }
    }

    fn key(&self) -> EitherKey<F, G> {
        EitherKey { first: self.first.key.clone(), second: self.second.key.clone() }
    }

    fn keyed<H: Pipeline>(self, kind: &'static str, name: &str, head: H) -> Stream<H> {
        let key = self.key();
        let (env, one) = first::<P, Q::Out>(self.first.stream).ship(Shipping::Hash, key.clone(), None);
        let (_, two) = second::<Q, P::Out>(self.second.stream).ship(Shipping::Hash, key, None);
        Stream::begin(env, kind, name.to_owned(), HeadDraft::Keyed(vec![one, two]), head)
    }
}

impl<P, F, Q, G> KeyedInputs for ConnectedKeyedStreams<P, F, Q, G>
where
    P: Pipeline<Out: Data>,
    Q: Pipeline<Out: Data>,
    F: KeySelector<P::Out>,
    G: KeySelector<Q::Out, Key = F::Key>,
{
    type Record = EitherOf<P, Q>;
    type Key = F::Key;
    type Selector = EitherKey<F, G>;

    fn head<H: Pipeline>(
        self,
        kind: &'static str,
        name: &str,
        head: impl FnOnce(Self::Selector) -> H,
    ) -> Stream<H> {
        let head = head(self.key());
        self.keyed(kind, name, head)
    }
}

/// A keyed stream and a broadcast stream; see [`KeyedStream::connect_broadcast`].
///
/// ```
/// # use reflow_api::BroadcastProcessFunction;
/// # use reflow_stream::{Pipeline, Stream};
/// # fn job<F>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, limits: Stream<impl Pipeline<Out = f64>>, check: F)
/// # where
/// #     F: BroadcastProcessFunction<Key = u64, In = (u64, f64), Broadcast = f64, Out = String>,
/// # {
/// let alerts = payments.key_by(|payment| payment.0).connect_broadcast(limits).process(check);
/// # }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct BroadcastConnectedStream<P: Pipeline, F, Q: Pipeline> {
    keyed: KeyedStream<P, F>,
    broadcast: Stream<Q>,
}

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// Connects this stream with another one, each of whose records goes to every subtask. The other stream is one that was
    /// not broadcast yet. [`BroadcastProcessFunction`] has an example.
    ///
    /// The watermark is the lower one of both streams: a broadcast stream without event time holds it back until it ends.
    pub fn connect_broadcast<Q>(self, other: Stream<Q>) -> BroadcastConnectedStream<P, F, Q>
    where
        Q: Pipeline<Out: Data + Clone>,
    {
        BroadcastConnectedStream { keyed: self, broadcast: other }
    }
}

impl<P, F, Q> BroadcastConnectedStream<P, F, Q>
where
    P: Pipeline<Out: Data>,
    Q: Pipeline<Out: Data + Clone>,
    F: KeySelector<P::Out>,
{
    /// Runs a function that takes the records of both, with keyed state, timers and broadcast state.
    pub fn process<C>(self, function: C) -> Stream<BroadcastHead<F, C>>
    where
        C: BroadcastProcessFunction<Key = F::Key, In = P::Out, Broadcast = Q::Out, Out: Send + 'static>,
    {
        let KeyedStream { stream, key } = self.keyed;
        let (env, one) = first::<P, Q::Out>(stream).ship(Shipping::Hash, FirstKey(key.clone()), None);
        let copy: fn(&EitherOf<P, Q>) -> EitherOf<P, Q> = |record| match record {
            Either::First(_) => unreachable!("records with a key have an edge of their own"),
            Either::Second(record) => Either::Second(record.clone()),
        };
        let (_, two) = second::<Q, P::Out>(self.broadcast).ship(Shipping::Broadcast, NoKey, Some(copy));
        let head = BroadcastHead { key, function, on_error: OnError::default() };
        let inputs = HeadDraft::Keyed(vec![one, two]);
        Stream::begin(env, "broadcast-process", "BroadcastProcess".to_owned(), inputs, head)
    }
}

/// The key of the records that have one.
#[derive(Clone)]
struct FirstKey<F>(F);

impl<A, B, F: KeySelector<A>> KeySelector<Either<A, B>> for FirstKey<F> {
    type Key = F::Key;

    #[inline]
    fn key(&self, record: &Either<A, B>) -> F::Key {
        match record {
            Either::First(record) => self.0.key(record),
            Either::Second(_) => unreachable!("broadcast records have an edge of their own"),
        }
    }
}

/// The key of a record of two streams.
#[derive(Clone)]
pub struct EitherKey<F, G> {
    first: F,
    second: G,
}

impl<A, B, F, G> KeySelector<Either<A, B>> for EitherKey<F, G>
where
    F: KeySelector<A>,
    G: KeySelector<B, Key = F::Key>,
{
    type Key = F::Key;

    #[inline]
    fn key(&self, record: &Either<A, B>) -> F::Key {
        match record {
            Either::First(record) => self.first.key(record),
            Either::Second(record) => self.second.key(record),
        }
    }
}

/// A function with two inputs as one with one input, whose records are those of either.
#[derive(Clone)]
pub struct CoFunction<Q>(Q);

impl<Q: CoProcessFunction> ProcessFunction for CoFunction<Q> {
    type Key = Q::Key;
    type In = Either<Q::First, Q::Second>;
    type Out = Q::Out;
    type State = Q::State;

    fn states(&self) -> Q::State {
        self.0.states()
    }

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.close()
    }

    fn input_ended(&mut self, input: Input, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.input_ended(input, context)
    }

    #[inline]
    fn process(
        &mut self,
        context: &mut impl Context<Q::Key, Q::State, Q::Out>,
        record: Self::In,
    ) -> Result<(), UserError> {
        match record {
            Either::First(record) => self.0.process_first(context, record),
            Either::Second(record) => self.0.process_second(context, record),
        }
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<Q::Key, Q::State, Q::Out>,
        time: Timestamp,
        domain: TimeDomain,
    ) -> Result<(), UserError> {
        self.0.on_timer(context, time, domain)
    }
}

impl<Q: UnkeyedCoProcessFunction> UnkeyedProcessFunction for CoFunction<Q> {
    type In = Either<Q::First, Q::Second>;
    type Out = Q::Out;

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.close()
    }

    fn input_ended(&mut self, input: Input, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.input_ended(input, context)
    }

    #[inline]
    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<Q::Out>,
        record: Self::In,
    ) -> Result<(), UserError> {
        match record {
            Either::First(record) => self.0.process_first(context, record),
            Either::Second(record) => self.0.process_second(context, record),
        }
    }
}
