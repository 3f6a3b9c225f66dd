//! The windowed streams of a job function.

mod evicting;
mod joined;

pub use evicting::EvictingStream;
pub use joined::Flattened;

use crate::aggregates::{Best, Count, Measured, Side};
use crate::keyed::KeyedInputs;
use crate::pipeline::{Pipeline, WindowHead};
use crate::stream::Stream;
use reflow_api::states::Reduce;
use reflow_api::window::{
    DeltaTrigger, Elements, EventTimeTrigger, Evictor, KeepAll, Trigger, Window, WindowAssigner,
    WindowFunction, Windowed,
};
use reflow_api::{Data, OutputTag, TryAggregate};
use reflow_runtime::keyed::{
    Aggregated, AggregatedThenProcessed, Buffered, Contents, Lateness, Merging, Processed, Windowing,
};
use std::marker::PhantomData;
use std::ops::Add;
use std::time::Duration;

/// A keyed stream, or [two that are connected](crate::ConnectedKeyedStreams::window), whose records are grouped into windows.
///
/// ```
/// # use reflow_api::window::TumblingWindows;
/// # use reflow_stream::{Pipeline, Stream};
/// # use std::time::Duration;
/// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
/// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
/// let sums = windows.allowed_lateness(Duration::from_secs(5)).sum(|payment| payment.1);
/// # }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct WindowedStream<I: KeyedInputs, W, G> {
    pub(crate) keyed: I,
    pub(crate) assigner: W,
    pub(crate) trigger: G,
    pub(crate) lateness: Lateness<I::Record>,
}

/// Windows with their contents.
pub(crate) type Windows<I, W, G, C> =
    Stream<WindowHead<<I as KeyedInputs>::Record, <I as KeyedInputs>::Selector, W, G, C>>;

/// Measures of windows.
type MeasuredWindows<I, W, G, S, N> =
    Windows<I, W, G, Aggregated<Measured<<I as KeyedInputs>::Record, S, N>>>;

/// The best records of windows.
type BestOfWindows<I, W, G, S> = Windows<I, W, G, Aggregated<Best<<I as KeyedInputs>::Record, S>>>;

impl<I: KeyedInputs, W> WindowedStream<I, W, EventTimeTrigger> {
    pub(crate) fn new(keyed: I, assigner: W) -> Self {
        Self { keyed, assigner, trigger: EventTimeTrigger, lateness: Lateness::default() }
    }
}

impl<I, W, G> WindowedStream<I, W, G>
where
    I: KeyedInputs<Record: Clone>,
    W: WindowAssigner<I::Record>,
    G: Trigger<I::Record>,
{
    /// Sets the trigger that decides when a window emits its result; the default is at the window's end.
    ///
    /// ```
    /// # use reflow_api::window::{EventTimeTrigger, PurgingTrigger, TumblingWindows};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline, WindowedStream};
    /// # fn job<P, F>(windows: WindowedStream<KeyedStream<P, F>, TumblingWindows, EventTimeTrigger>)
    /// # where
    /// #     P: Pipeline<Out = (u64, f64)>,
    /// #     F: KeySelector<(u64, f64), Key = u64>,
    /// # {
    /// let early = EventTimeTrigger.with_early_firings(std::time::Duration::from_secs(1));
    /// let result = windows.trigger(PurgingTrigger::of(early)).sum(|payment| payment.1);
    /// # let _ = result;
    /// # }
    /// ```
    pub fn trigger<H: Trigger<I::Record>>(self, trigger: H) -> WindowedStream<I, W, H> {
        let Self { keyed, assigner, lateness, .. } = self;
        WindowedStream { keyed, assigner, trigger, lateness }
    }

    /// Emits a window's result each time `measure` has risen by more than `threshold`, as [`DeltaTrigger::every`] says.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let sums = windows.trigger_on_rise(10.0, |payment| payment.1).count();
    /// # }
    /// ```
    pub fn trigger_on_rise<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> WindowedStream<I, W, DeltaTrigger<I::Record, M>>
    where
        M: Fn(&I::Record) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::every(threshold, measure))
    }

    /// Emits a window's result each time `measure` has risen or fallen by more than `threshold`, as
    /// [`DeltaTrigger::either_way`] says.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let sums = windows.trigger_on_change(10.0, |payment| payment.1).count();
    /// # }
    /// ```
    pub fn trigger_on_change<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> WindowedStream<I, W, DeltaTrigger<I::Record, M>>
    where
        M: Fn(&I::Record) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::either_way(threshold, measure))
    }

    /// Keeps windows in event time for `lateness` after their end, and adds late records to them. The default trigger
    /// then fires a window again for each late record. Records that are even later are dropped and counted, or go to
    /// the [`late_output`](Self::late_output).
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness.allowed = lateness;
        self
    }

    /// Sends records that come after all of their windows have ended, and after the allowed lateness, to a side output
    /// instead of dropping them.
    ///
    /// ```
    /// # use reflow_api::{OutputTag, window::TumblingWindows};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use std::time::Duration;
    /// const LATE: OutputTag<(u64, f64)> = OutputTag::new("late");
    ///
    /// # fn job<P: Pipeline<Out = (u64, f64)>, F: KeySelector<(u64, f64), Key = u64>>(payments: KeyedStream<P, F>) {
    /// let (sums, late) = payments
    ///     .window(TumblingWindows::of(Duration::from_secs(60)))
    ///     .allowed_lateness(Duration::from_secs(10))
    ///     .late_output(&LATE)
    ///     .sum(|payment| payment.1)
    ///     .side_output(&LATE);
    /// # let _ = (sums, late);
    /// # }
    /// ```
    pub fn late_output(mut self, tag: &OutputTag<I::Record>) -> Self {
        self.lateness.output = Some(*tag);
        self
    }

    /// Keeps the records themselves in the window, and lets `evictor` remove some before a result is computed.
    ///
    /// ```
    /// # use reflow_api::window::{EventTimeTrigger, TumblingWindows};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline, WindowedStream};
    /// # fn job<P, F>(windows: WindowedStream<KeyedStream<P, F>, TumblingWindows, EventTimeTrigger>)
    /// # where
    /// #     P: Pipeline<Out = (u64, f64)>,
    /// #     F: KeySelector<(u64, f64), Key = u64>,
    /// # {
    /// use reflow_api::window::CountEvictor;
    /// let result = windows.evict(CountEvictor::keep_last(10)).max_by(|payment| payment.1);
    /// # let _ = result;
    /// # }
    /// ```
    pub fn evict<E: Evictor<I::Record>>(self, evictor: E) -> EvictingStream<I, W, G, E> {
        EvictingStream::new(self, evictor)
    }

    /// Emits the result of `aggregate` over a window's records, with key and window. [`on_error`](Stream::on_error) sets
    /// how a record is handled for which it returns an error.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::Aggregate;
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job<A: Aggregate<In = (u64, f64), Out = f64>>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, mean: A) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let means = windows.aggregate(mean).uid("means").map(|mean| (mean.key, mean.value));
    /// # }
    /// ```
    pub fn aggregate<A>(self, aggregate: A) -> Windows<I, W, G, Aggregated<A>>
    where
        A: TryAggregate<In = I::Record>,
        A::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<A>>,
    {
        self.with(Aggregated(aggregate))
    }

    /// Calls `function` with the result of `aggregate` over a window's records, each time the window fires.
    ///
    /// ```
    /// # use reflow_api::window::{EventTimeTrigger, TumblingWindows, WindowContext, WindowFunction};
    /// # use reflow_api::{Aggregate, UserError};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline, WindowedStream};
    /// /// Emits sums that are higher than the last one of their key.
    /// #[derive(Clone)]
    /// struct Rising;
    ///
    /// impl WindowFunction for Rising {
    ///     type Key = u64;
    ///     type In = f64;
    ///     type Out = (u64, f64);
    ///     type State = ();
    ///     type KeyState = f64;
    ///
    ///     fn process(&mut self, context: &mut impl WindowContext<Self>, sum: &f64) -> Result<(), UserError> {
    ///         let last = std::mem::replace(context.key_state_mut(), *sum);
    ///         if *sum > last {
    ///             context.emit((*context.key(), *sum));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn job<P, F, Sum>(windows: WindowedStream<KeyedStream<P, F>, TumblingWindows, EventTimeTrigger>, sum: Sum)
    /// # where
    /// #     P: Pipeline<Out = (u64, f64)>,
    /// #     F: KeySelector<(u64, f64), Key = u64>,
    /// #     Sum: Aggregate<In = (u64, f64), Out = f64>,
    /// # {
    /// let rising = windows.aggregate_with(sum, Rising);
    /// # let _ = rising;
    /// # }
    /// ```
    pub fn aggregate_with<A, Q>(
        self,
        aggregate: A,
        function: Q,
    ) -> Windows<I, W, G, AggregatedThenProcessed<A, Q>>
    where
        A: TryAggregate<In = I::Record>,
        Q: WindowFunction<Key = I::Key, In = A::Out>,
        Q::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, AggregatedThenProcessed<A, Q>>,
    {
        self.with(AggregatedThenProcessed { aggregate, function })
    }

    /// Keeps a window's records, and calls `function` with them each time the window fires.
    /// [`aggregate_with`](Self::aggregate_with) keeps less.
    pub fn process<Q>(self, function: Q) -> Windows<I, W, G, Processed<KeepAll, Q>>
    where
        Q: WindowFunction<Key = I::Key, In = Elements<I::Record>>,
        Q::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, Processed<KeepAll, Q>>,
    {
        self.with(Processed { evictor: KeepAll, function })
    }

    /// Keeps a window's records, and applies `function` to them in the order of their arrival.
    ///
    /// ```
    /// # use reflow_api::window::{EventTimeTrigger, TumblingWindows};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline, WindowedStream};
    /// # fn job<P, F>(windows: WindowedStream<KeyedStream<P, F>, TumblingWindows, EventTimeTrigger>)
    /// # where
    /// #     P: Pipeline<Out = (u64, f64)>,
    /// #     F: KeySelector<(u64, f64), Key = u64>,
    /// # {
    /// let result = windows.apply(|customer, window, payments| {
    ///     (payments.len() > 100).then(|| format!("{customer} paid often in {window:?}"))
    /// });
    /// # let _ = result;
    /// # }
    /// ```
    pub fn apply<U, A>(self, function: A) -> Windows<I, W, G, Buffered<KeepAll, A>>
    where
        U: Send + 'static,
        A: Fn(&I::Key, Window, &Elements<I::Record>) -> Option<U> + Clone + Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, Buffered<KeepAll, A>>,
    {
        self.with(Buffered { evictor: KeepAll, function })
    }

    /// Emits a window's records combined by `function`, with key and window.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let sums = windows.reduce(|a, b| (a.0, a.1 + b.1)).map(|sum| (sum.window.start, sum.value));
    /// # }
    /// ```
    pub fn reduce<H>(self, function: H) -> Stream<impl Pipeline<Out = Windowed<I::Key, I::Record>>>
    where
        H: Fn(I::Record, I::Record) -> I::Record + Clone + Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Reduce<I::Record, H>>>,
    {
        self.aggregate(Reduce::new(function))
    }

    /// Emits the number of a window's records, with key and window.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let counts = windows.count().map(|count| (count.key, count.value));
    /// # }
    /// ```
    pub fn count(self) -> Windows<I, W, G, Aggregated<Count<I::Record>>>
    where
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Count<I::Record>>>,
    {
        self.aggregate(Count::new())
    }

    /// Emits the sum of a measure of a window's records, with key and window.
    ///
    /// ```
    /// # use reflow_api::window::{EventTimeTrigger, TumblingWindows};
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline, WindowedStream};
    /// # fn job<P, F>(windows: WindowedStream<KeyedStream<P, F>, TumblingWindows, EventTimeTrigger>)
    /// # where
    /// #     P: Pipeline<Out = (u64, f64)>,
    /// #     F: KeySelector<(u64, f64), Key = u64>,
    /// # {
    /// let result = windows.sum(|payment| payment.1).map(|sum| format!("{}: {}", sum.key, sum.value));
    /// # let _ = result;
    /// # }
    /// ```
    pub fn sum<S, N>(self, measure: S) -> MeasuredWindows<I, W, G, S, N>
    where
        S: Fn(&I::Record) -> N + Clone + Send + 'static,
        N: Data + Clone + Add<Output = N>,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Measured<I::Record, S, N>>>,
    {
        self.aggregate(Measured::sum(measure))
    }

    /// Emits the highest measure of a window's records, with key and window. One that cannot be compared with itself, such
    /// as NaN, is lower than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let highest = windows.max(|payment| payment.1).map(|highest| (highest.key, highest.value));
    /// # }
    /// ```
    pub fn max<S, N>(self, measure: S) -> MeasuredWindows<I, W, G, S, N>
    where
        S: Fn(&I::Record) -> N + Clone + Send + 'static,
        N: Data + Clone + PartialOrd,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Measured<I::Record, S, N>>>,
    {
        self.aggregate(Measured::max(measure))
    }

    /// Emits the lowest measure of a window's records, with key and window. One that cannot be compared with itself, such
    /// as NaN, is higher than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let lowest = windows.min(|payment| payment.1).map(|lowest| (lowest.key, lowest.value));
    /// # }
    /// ```
    pub fn min<S, N>(self, measure: S) -> MeasuredWindows<I, W, G, S, N>
    where
        S: Fn(&I::Record) -> N + Clone + Send + 'static,
        N: Data + Clone + PartialOrd,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Measured<I::Record, S, N>>>,
    {
        self.aggregate(Measured::min(measure))
    }

    /// Emits the record of a window with the highest measure, the earliest of several, with key and window. A measure
    /// that cannot be compared with itself, such as NaN, is lower than all others.
    pub fn max_by<S, M>(self, measure: S) -> BestOfWindows<I, W, G, S>
    where
        S: Fn(&I::Record) -> M + Clone + Send + 'static,
        M: PartialOrd,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Best<I::Record, S>>>,
    {
        self.aggregate(Best::new(measure, Side::Highest))
    }

    /// Emits the record of a window with the lowest measure, the earliest of several, with key and window. A measure
    /// that cannot be compared with itself, such as NaN, is higher than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.key_by(|payment| payment.0).window(TumblingWindows::of(Duration::from_secs(60)));
    /// let smallest = windows.min_by(|payment| payment.1).map(|smallest| smallest.value);
    /// # }
    /// ```
    pub fn min_by<S, M>(self, measure: S) -> BestOfWindows<I, W, G, S>
    where
        S: Fn(&I::Record) -> M + Clone + Send + 'static,
        M: PartialOrd,
        W::Merging: Merging<I::Key, I::Record, G, Aggregated<Best<I::Record, S>>>,
    {
        self.aggregate(Best::new(measure, Side::Lowest))
    }

    fn with<C>(self, contents: C) -> Windows<I, W, G, C>
    where
        C: Contents<I::Key, I::Record>,
        C::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, C>,
    {
        self.named("Window", contents)
    }

    fn named<C>(self, name: &str, contents: C) -> Windows<I, W, G, C>
    where
        C: Contents<I::Key, I::Record>,
        C::Out: Send + 'static,
        W::Merging: Merging<I::Key, I::Record, G, C>,
    {
        let Self { keyed, assigner, trigger, lateness } = self;
        let windowing = Windowing { lateness, ..Windowing::new(assigner, trigger, contents) };
        keyed.head("window", name, |key| WindowHead { key, windowing, takes: PhantomData })
    }
}
