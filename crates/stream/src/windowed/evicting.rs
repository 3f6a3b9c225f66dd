//! Windowed streams whose windows keep their records and evict some.

use super::{WindowedStream, Windows};
use crate::aggregates::{Count, Side, best};
use crate::keyed::KeyedInputs;
use crate::pipeline::Pipeline;
use crate::stream::Stream;
use reflow_api::states::Reduce;
use reflow_api::window::{
    DeltaTrigger, Elements, Evictor, Trigger, Window, WindowAssigner, WindowFunction, Windowed,
};
use reflow_api::{OutputTag, TryAggregate};
use reflow_runtime::keyed::{Apply, Buffered, EvictedThenAggregated, Merging, Processed};
use std::time::Duration;

/// Windows that keep their records, some of which an evictor removes before a result is computed: what
/// [`WindowedStream::evict`] returns. Its methods are those of a [`WindowedStream`].
///
/// ```
/// # use reflow_api::window::{CountEvictor, CountTrigger, TumblingWindows};
/// # use reflow_stream::{Pipeline, Stream};
/// # use std::time::Duration;
/// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
/// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
/// let last_ten = windows.evict(CountEvictor::keep_last(10)).trigger(CountTrigger::every(5));
/// let highest = last_ten.allowed_lateness(Duration::from_secs(5)).max_by(|payment| payment.1);
/// # }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct EvictingStream<I: KeyedInputs, W, G, E> {
    windowed: WindowedStream<I, W, G>,
    evictor: E,
}

/// Numbers of records that were not evicted.
type EvictedThenCounted<I, W, G, E> =
    Windows<I, W, G, EvictedThenAggregated<E, Count<<I as KeyedInputs>::Record>>>;

impl<I, W, G, E> EvictingStream<I, W, G, E>
where
    I: KeyedInputs<Record: Clone>,
    W: WindowAssigner<I::Record>,
    G: Trigger<I::Record>,
    E: Evictor<I::Record>,
{
    pub(super) fn new(windowed: WindowedStream<I, W, G>, evictor: E) -> Self {
        Self { windowed, evictor }
    }

    /// Sets the trigger that decides when a window emits its result; the default is at the window's end.
    pub fn trigger<H: Trigger<I::Record>>(self, trigger: H) -> EvictingStream<I, W, H, E> {
        EvictingStream { windowed: self.windowed.trigger(trigger), evictor: self.evictor }
    }

    /// As [`WindowedStream::trigger_on_rise`].
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let counts = last_ten.trigger_on_rise(100.0, |payment| payment.1).count();
    /// # }
    /// ```
    pub fn trigger_on_rise<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> EvictingStream<I, W, DeltaTrigger<I::Record, M>, E>
    where
        M: Fn(&I::Record) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::every(threshold, measure))
    }

    /// As [`WindowedStream::trigger_on_change`].
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let counts = last_ten.trigger_on_change(100.0, |payment| payment.1).count();
    /// # }
    /// ```
    pub fn trigger_on_change<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> EvictingStream<I, W, DeltaTrigger<I::Record, M>, E>
    where
        M: Fn(&I::Record) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::either_way(threshold, measure))
    }

    /// As [`WindowedStream::allowed_lateness`].
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { windowed: self.windowed.allowed_lateness(lateness), ..self }
    }

    /// As [`WindowedStream::late_output`].
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # use reflow_api::OutputTag;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let (counts, late) = last_ten.late_output(&OutputTag::new("late")).count().side_output(&OutputTag::new("late"));
    /// # let _: Stream<_> = late.map(|late: (u64, f64)| late.0);
    /// # }
    /// ```
    pub fn late_output(self, tag: &OutputTag<I::Record>) -> Self {
        Self { windowed: self.windowed.late_output(tag), ..self }
    }

    /// Applies `function` to a window's records, in the order of their arrival.
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let numbers = last_ten.apply(|account, _window, payments| Some((*account, payments.len())));
    /// # }
    /// ```
    pub fn apply<U, A>(self, function: A) -> Windows<I, W, G, Buffered<E, A>>
    where
        U: Send + 'static,
        A: Fn(&I::Key, Window, &Elements<I::Record>) -> Option<U> + Clone + Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, Buffered<E, A>>,
    {
        self.windowed.with(Buffered { evictor: self.evictor, function })
    }

    /// Calls `function` with a window's records, each time the window fires.
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, Elements, TumblingWindows, WindowFunction};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job<F>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, trend: F)
    /// # where
    /// #     F: WindowFunction<Key = u64, In = Elements<(u64, f64)>, Out = f64>,
    /// # {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let trends = windows.evict(CountEvictor::keep_last(10)).process(trend);
    /// # }
    /// ```
    pub fn process<Q>(self, function: Q) -> Windows<I, W, G, Processed<E, Q>>
    where
        Q: WindowFunction<Key = I::Key, In = Elements<I::Record>>,
        Q::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, Processed<E, Q>>,
    {
        self.windowed.with(Processed { evictor: self.evictor, function })
    }

    /// Emits the result of `aggregate` over a window's records, with key and window. They are aggregated anew each time.
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # use reflow_api::Aggregate;
    /// # fn job<A: Aggregate<In = (u64, f64), Out = f64>>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, mean: A) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let means = last_ten.aggregate(mean);
    /// # }
    /// ```
    pub fn aggregate<A>(self, aggregate: A) -> Windows<I, W, G, EvictedThenAggregated<E, A>>
    where
        A: TryAggregate<In = I::Record>,
        A::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, EvictedThenAggregated<E, A>>,
    {
        self.windowed.with(EvictedThenAggregated { evictor: self.evictor, aggregate })
    }

    /// Emits a window's records combined by `function`, with key and window.
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let sums = last_ten.reduce(|a, b| (a.0, a.1 + b.1));
    /// # }
    /// ```
    pub fn reduce<H>(self, function: H) -> Stream<impl Pipeline<Out = Windowed<I::Key, I::Record>>>
    where
        H: Fn(I::Record, I::Record) -> I::Record + Clone + Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, EvictedThenAggregated<E, Reduce<I::Record, H>>>,
    {
        self.aggregate(Reduce::new(function))
    }

    /// Emits the number of a window's records, with key and window.
    pub fn count(self) -> EvictedThenCounted<I, W, G, E>
    where
        W::Merging: Merging<I::Key, I::Record, G, EvictedThenAggregated<E, Count<I::Record>>>,
    {
        self.aggregate(Count::new())
    }

    /// Emits the record of a window with the highest measure, the earliest of several. A measure that cannot be
    /// compared with itself, such as NaN, is lower than all others.
    pub fn max_by<S, M>(self, measure: S) -> Windows<I, W, G, Buffered<E, BestOf<S>>>
    where
        S: Fn(&I::Record) -> M + Clone + Send + 'static,
        M: PartialOrd,
        W::Merging: Merging<I::Key, I::Record, G, Buffered<E, BestOf<S>>>,
    {
        let function = BestOf { measure, side: Side::Highest };
        self.windowed.with(Buffered { evictor: self.evictor, function })
    }

    /// Emits the record of a window with the lowest measure, the earliest of several. A measure that cannot be
    /// compared with itself, such as NaN, is higher than all others.
    ///
    /// ```
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let last_ten = windows.evict(CountEvictor::keep_last(10));
    /// let smallest = last_ten.min_by(|payment| payment.1);
    /// # }
    /// ```
    pub fn min_by<S, M>(self, measure: S) -> Windows<I, W, G, Buffered<E, BestOf<S>>>
    where
        S: Fn(&I::Record) -> M + Clone + Send + 'static,
        M: PartialOrd,
        W::Merging: Merging<I::Key, I::Record, G, Buffered<E, BestOf<S>>>,
    {
        let function = BestOf { measure, side: Side::Lowest };
        self.windowed.with(Buffered { evictor: self.evictor, function })
    }
}

/// Finds the record with the best measure.
#[derive(Clone)]
pub struct BestOf<S> {
    measure: S,
    side: Side,
}

impl<K, T, S, M> Apply<K, T> for BestOf<S>
where
    T: Clone,
    S: Fn(&T) -> M + Clone + Send + 'static,
    M: PartialOrd,
{
    type Out = T;

    fn apply(&self, _: &K, _: Window, records: &Elements<T>) -> Option<T> {
        best(records, &self.measure, self.side)
    }
}
