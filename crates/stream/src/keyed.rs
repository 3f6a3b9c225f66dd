//! The keyed streams of a job function.

use crate::aggregates::{Best, Measured, Side};
use crate::draft::HeadDraft;
use crate::pipeline::{FilterLink, FlatMapLink, GateHead, MapLink, Pipeline, ProcessHead, RollingHead, Then};
use crate::sink::SinkHandle;
use crate::stream::Stream;
use crate::windowed::{EvictingStream, WindowedStream};
use reflow_api::states::Reduce;
use reflow_api::window::session::DynamicGap;
use reflow_api::window::{
    CountEvictor, CountTrigger, EventTimeTrigger, GlobalWindows, PurgingTrigger, SessionWindows,
    WindowAssigner,
};
use reflow_api::{Data, OnError, ProcessFunction, Sink, TryAggregate};
use reflow_graph::Shipping;
use reflow_network::output::KeySelector;
use reflow_runtime::keyed::WithKey;
use reflow_types::Key;
use std::marker::PhantomData;
use std::ops::Add;
use std::time::Duration;

/// A stream that is partitioned by key: what [`Stream::key_by`] returns. Operators on it have keyed state.
///
/// ```
/// # use reflow_stream::{KeySelector, KeyedStream, Pipeline, Stream};
/// /// Payments are pairs of account and amount here and in the examples of the methods.
/// fn by_account(
///     payments: Stream<impl Pipeline<Out = (u64, f64)>>,
/// ) -> KeyedStream<impl Pipeline<Out = (u64, f64)>, impl KeySelector<(u64, f64), Key = u64>> {
///     payments.key_by(|payment| payment.0)
/// }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct KeyedStream<P: Pipeline, F> {
    pub(crate) stream: Stream<P>,
    pub(crate) key: F,
}

/// What an operator with keyed state reads: a [`KeyedStream`], or two that are [connected](KeyedStream::connect). Not meant
/// to be implemented elsewhere.
///
/// ```
/// # use reflow_api::window::{EventTimeTrigger, TumblingWindows};
/// # use reflow_stream::{KeyedInputs, Stream, WindowedStream};
/// /// A function over windows, of whichever keyed stream.
/// fn numbers<I: KeyedInputs<Record: Clone>>(windows: WindowedStream<I, TumblingWindows, EventTimeTrigger>) {
///     let numbers = windows.count().map(|count| count.value);
/// }
/// ```
pub trait KeyedInputs: Sized {
    /// The records: those of the stream, or of either.
    type Record: Data;
    /// The keys.
    type Key: Key;
    /// Gives the key of a record.
    type Selector: KeySelector<Self::Record, Key = Self::Key>;

    /// Ends the chains of the inputs with an exchange by key, and starts another one with a head.
    #[doc(hidden)]
    fn head<H: Pipeline>(
        self,
        kind: &'static str,
        name: &str,
        head: impl FnOnce(Self::Selector) -> H,
    ) -> Stream<H>;
}

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedInputs for KeyedStream<P, F> {
    type Record = P::Out;
    type Key = F::Key;
    type Selector = F;

    fn head<H: Pipeline>(self, kind: &'static str, name: &str, head: impl FnOnce(F) -> H) -> Stream<H> {
        let head = head(self.key.clone());
        self.keyed(kind, name, head)
    }
}

/// An operator without state behind [`KeyedStream::partitioned`].
type Partitioned<P, L> = Stream<Then<GateHead<<P as Pipeline>::Out>, L>>;

/// Keys with a measure of their records so far.
type RollingMeasure<P, F, S, N> =
    Stream<RollingHead<<P as Pipeline>::Out, F, Measured<<P as Pipeline>::Out, S, N>, WithKey>>;

/// The best records so far.
type RollingBest<P, F, S> = Stream<RollingHead<<P as Pipeline>::Out, F, Best<<P as Pipeline>::Out, S>>>;

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// The records without their key: a stream whose subtasks each have all records of their keys, in order. Operators on
    /// it have no keyed state.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let by_account = payments.key_by(|payment| payment.0).partitioned();
    /// # }
    /// ```
    pub fn partitioned(self) -> Stream<GateHead<P::Out>> {
        self.keyed("partition", "Partition", GateHead(PhantomData))
    }

    /// [`Stream::map`] of the records, [partitioned](Self::partitioned) by key.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let amounts = payments.key_by(|payment| payment.0).map(|(_, amount)| amount);
    /// # }
    /// ```
    pub fn map<U, G>(self, function: G) -> Partitioned<P, MapLink<G, U>>
    where
        U: Send + 'static,
        G: FnMut(P::Out) -> U + Clone + Send + 'static,
    {
        self.partitioned().map(function)
    }

    /// [`Stream::filter`] of the records, [partitioned](Self::partitioned) by key.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let large = payments.key_by(|payment| payment.0).filter(|(_, amount)| *amount >= 10_000.0);
    /// # }
    /// ```
    pub fn filter<G>(self, condition: G) -> Partitioned<P, FilterLink<G>>
    where
        G: FnMut(&P::Out) -> bool + Clone + Send + 'static,
    {
        self.partitioned().filter(condition)
    }

    /// [`Stream::flat_map`] of the records, [partitioned](Self::partitioned) by key.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let coins = payments.key_by(|payment| payment.0).flat_map(|(account, amount)| vec![account; amount as usize]);
    /// # }
    /// ```
    pub fn flat_map<I, G>(self, function: G) -> Partitioned<P, FlatMapLink<G, I>>
    where
        I: IntoIterator<IntoIter: Send> + 'static,
        I::Item: Send + 'static,
        G: FnMut(P::Out) -> I + Clone + Send + 'static,
    {
        self.partitioned().flat_map(function)
    }

    /// [`Stream::sink`] of the records, [partitioned](Self::partitioned) by key.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::Sink;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>, out: impl Sink<Item = (u64, f64)>) {
    /// payments.key_by(|payment| payment.0).sink("by account", out).uid("payments");
    /// # }
    /// ```
    pub fn sink<S: Sink<Item = P::Out>>(self, name: &str, sink: S) -> SinkHandle<P::Out> {
        self.partitioned().sink(name, sink)
    }

    /// Emits the result of `aggregate` after each record. [`on_error`](Stream::on_error) sets how a record is handled
    /// for which it returns an error.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::Aggregate;
    /// # fn job<A: Aggregate<In = (u64, f64), Out = f64>>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, mean: A) {
    /// let means = payments.key_by(|payment| payment.0).aggregate(mean).uid("means");
    /// # }
    /// ```
    pub fn aggregate<A>(self, aggregate: A) -> Stream<RollingHead<P::Out, F, A>>
    where
        A: TryAggregate<In = P::Out>,
        A::Out: Send + 'static,
    {
        let head = RollingHead::new(self.key.clone(), aggregate);
        self.keyed("aggregate", "Aggregate", head)
    }

    /// Emits, after each record, its key and the sum of a measure of the key's records so far.
    ///
    /// ```
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use reflow_network::output::KeySelector;
    /// # fn sums<P: Pipeline<Out = (u64, f64)>, F: KeySelector<(u64, f64), Key = u64>>(payments: KeyedStream<P, F>) {
    /// let sums = payments.sum(|payment| payment.1).map(|(customer, sum)| format!("{customer}: {sum}"));
    /// # let _ = sums;
    /// # }
    /// ```
    pub fn sum<S, N>(self, measure: S) -> RollingMeasure<P, F, S, N>
    where
        S: Fn(&P::Out) -> N + Clone + Send + 'static,
        N: Data + Clone + Add<Output = N>,
    {
        let head = RollingHead::new(self.key.clone(), Measured::sum(measure));
        self.keyed("sum", "Sum", head)
    }

    /// Emits, after each record, its key and the highest measure of the key's records so far. One that cannot be compared
    /// with itself, such as NaN, is lower than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let highest = payments.key_by(|payment| payment.0).max(|payment| payment.1);
    /// # }
    /// ```
    pub fn max<S, N>(self, measure: S) -> RollingMeasure<P, F, S, N>
    where
        S: Fn(&P::Out) -> N + Clone + Send + 'static,
        N: Data + Clone + PartialOrd,
    {
        let head = RollingHead::new(self.key.clone(), Measured::max(measure));
        self.keyed("max", "Max", head)
    }

    /// Emits, after each record, its key and the lowest measure of the key's records so far. One that cannot be compared
    /// with itself, such as NaN, is higher than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let lowest = payments.key_by(|payment| payment.0).min(|payment| payment.1);
    /// # }
    /// ```
    pub fn min<S, N>(self, measure: S) -> RollingMeasure<P, F, S, N>
    where
        S: Fn(&P::Out) -> N + Clone + Send + 'static,
        N: Data + Clone + PartialOrd,
    {
        let head = RollingHead::new(self.key.clone(), Measured::min(measure));
        self.keyed("min", "Min", head)
    }

    /// Emits, after each record, that of the key's records so far with the highest measure, the earliest of several. A
    /// measure that cannot be compared with itself, such as NaN, is lower than all others.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # fn job<P: Pipeline<Out = (u64, f64)>, F: KeySelector<(u64, f64), Key = u64>>(payments: KeyedStream<P, F>) {
    /// let result = payments.max_by(|payment| payment.1);
    /// # let _ = result;
    /// # }
    /// ```
    pub fn max_by<S, M>(self, measure: S) -> RollingBest<P, F, S>
    where
        P::Out: Clone,
        S: Fn(&P::Out) -> M + Clone + Send + 'static,
        M: PartialOrd,
    {
        let head = RollingHead::new(self.key.clone(), Best::new(measure, Side::Highest));
        self.keyed("max-by", "Max by", head)
    }

    /// Emits, after each record, that of the key's records so far with the lowest measure, the earliest of several. A
    /// measure that cannot be compared with itself, such as NaN, is higher than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let smallest = payments.key_by(|payment| payment.0).min_by(|payment| payment.1);
    /// # }
    /// ```
    pub fn min_by<S, M>(self, measure: S) -> RollingBest<P, F, S>
    where
        P::Out: Clone,
        S: Fn(&P::Out) -> M + Clone + Send + 'static,
        M: PartialOrd,
    {
        let head = RollingHead::new(self.key.clone(), Best::new(measure, Side::Lowest));
        self.keyed("min-by", "Min by", head)
    }

    /// Emits, after each record, all records of its key so far, combined by `function`.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let sums = payments.key_by(|payment| payment.0).reduce(|a, b| (a.0, a.1 + b.1)).uid("sums");
    /// # }
    /// ```
    pub fn reduce<G>(self, function: G) -> Stream<impl Pipeline<Out = P::Out>>
    where
        P::Out: Clone,
        G: Fn(P::Out, P::Out) -> P::Out + Clone + Send + 'static,
    {
        let head: RollingHead<_, _, _> = RollingHead::new(self.key.clone(), Reduce::new(function));
        self.keyed("reduce", "Reduce", head)
    }

    /// Runs a function with keyed state and timers. [`on_error`](Stream::on_error) sets how a record is handled
    /// for which it returns an error.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::ProcessFunction;
    /// # fn job<F: ProcessFunction<Key = u64, In = (u64, f64), Out = String>>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, detect_fraud: F) {
    /// let alerts = payments.key_by(|payment| payment.0).process(detect_fraud).uid("fraud");
    /// # }
    /// ```
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
    ///
    /// ```
    /// # use reflow_api::window::{CountTrigger, SessionWindows};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use std::time::Duration;
    /// # fn job<P: Pipeline<Out = u64>, F: KeySelector<u64, Key = u64>>(clicks: KeyedStream<P, F>) {
    /// let sessions = clicks.window(SessionWindows::with_gap(Duration::from_secs(60)));
    /// let every_tenth_click = sessions.trigger(CountTrigger::every(10)).count();
    /// # let _ = every_tenth_click;
    /// # }
    /// ```
    ///
    /// Sessions merge. With a trigger or an aggregate that cannot, this does not compile:
    ///
    /// ```compile_fail
    /// # use reflow_api::window::SessionWindows;
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use std::time::Duration;
    /// # fn job<P: Pipeline<Out = u64>, F: KeySelector<u64, Key = u64>>(clicks: KeyedStream<P, F>) {
    /// let sessions = clicks.window(SessionWindows::with_gap(Duration::from_secs(60)));
    /// let _ = sessions.trigger_on_rise(10.0, |click| *click as f64).count();
    /// # }
    /// ```
    pub fn window<W: WindowAssigner<P::Out>>(self, assigner: W) -> WindowedStream<Self, W, EventTimeTrigger> {
        WindowedStream::new(self, assigner)
    }

    /// Groups each key's records into sessions, with a gap that depends on the record: [`window`](Self::window) with
    /// [`SessionWindows::with_dynamic_gap`], where the function needs no type.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # fn job<P: Pipeline<Out = (u64, f64)>, F: KeySelector<(u64, f64), Key = u64>>(payments: KeyedStream<P, F>) {
    /// let minutes = |n: u64| Duration::from_secs(60 * n);
    /// let by_amount = payments.sessions_by_gap(move |payment| minutes(if payment.1 > 100.0 { 10 } else { 1 }));
    /// let result = by_amount.count();
    /// # let _ = result;
    /// # }
    /// ```
    pub fn sessions_by_gap<H>(
        self,
        gap: H,
    ) -> WindowedStream<Self, SessionWindows<DynamicGap<H>>, EventTimeTrigger>
    where
        H: Fn(&P::Out) -> Duration + Clone + Send + 'static,
    {
        self.window(SessionWindows::with_dynamic_gap(gap))
    }

    /// Groups each key's records into windows of `size` records. The last records of a key, which are fewer, emit no
    /// result.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # fn job<P: Pipeline<Out = (u64, f64)>, F: KeySelector<(u64, f64), Key = u64>>(payments: KeyedStream<P, F>) {
    /// let result = payments.count_window(10).sum(|payment| payment.1);
    /// # let _ = result;
    /// # }
    /// ```
    ///
    /// # Panics
    /// If `size` is 0.
    pub fn count_window(self, size: u64) -> WindowedStream<Self, GlobalWindows, PurgingTrigger<CountTrigger>>
    where
        P::Out: Clone,
    {
        assert!(size > 0, "a count window must have at least one record");
        self.window(GlobalWindows).trigger(PurgingTrigger::of(CountTrigger::every(size)))
    }

    /// Computes a result of the last `size` records of each key, at every `slide`-th record. The first results have fewer
    /// records.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # fn job<P: Pipeline<Out = (u64, f64)>, F: KeySelector<(u64, f64), Key = u64>>(payments: KeyedStream<P, F>) {
    /// let result = payments.count_window_sliding(10, 5).max_by(|payment| payment.1);
    /// # let _ = result;
    /// # }
    /// ```
    ///
    /// # Panics
    /// If one of them is 0.
    pub fn count_window_sliding(
        self,
        size: usize,
        slide: u64,
    ) -> EvictingStream<Self, GlobalWindows, CountTrigger, CountEvictor>
    where
        P::Out: Clone,
    {
        assert!(size > 0 && slide > 0, "a count window and its slide must have at least one record");
        self.window(GlobalWindows).trigger(CountTrigger::every(slide)).evict(CountEvictor::keep_last(size))
    }

    /// Ends the current chain with an exchange by key and starts another one with `head`.
    pub(crate) fn keyed<H: Pipeline>(self, kind: &'static str, name: &str, head: H) -> Stream<H> {
        let (env, input) = self.stream.ship(Shipping::Hash, self.key, None);
        Stream::begin(env, kind, name.to_owned(), HeadDraft::Keyed(vec![input]), head)
    }
}
