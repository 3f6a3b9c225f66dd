//! Windows over all records of a stream, which are aggregated in two stages where that is possible.

use crate::aggregates::{Best, Count, Measured, Side};
use crate::keyed::KeyedInputs;
use crate::pipeline::{Link, Pipeline, operator};
use crate::stream::Stream;
use crate::windowed::{EvictingStream, WindowedStream, Windows};
use reflow_api::states::Reduce;
use reflow_api::window::{
    Assigner, CountTrigger, Elements, EventTimeTrigger, Evictor, GlobalWindows, KeepAll, Merges, NeverMerges,
    PurgingTrigger, Trigger, Window, WindowAssigner, WindowFunction, Windowed,
};
use reflow_api::{Data, MergeableAggregate, OutputTag, TimeDomain, TryAggregate, UserError};
use reflow_runtime::keyed::{AggregatedThenProcessed, Buffered, Processed};
use reflow_runtime::stages::PreAggregate;
use reflow_runtime::{BuildContext, Stage};
use reflow_types::Timestamp;
use std::ops::Add;
use std::time::Duration;

/// A stream whose records are grouped into windows, whatever their keys; see [`Stream::window_all`].
///
/// ```
/// # use reflow_api::window::TumblingWindows;
/// # use reflow_stream::{Pipeline, Stream};
/// # use std::time::Duration;
/// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
/// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
/// let counts = windows.allowed_lateness(Duration::from_secs(5)).count().map(|count| count.value);
/// # }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct WindowAllStream<P: Pipeline, W> {
    stream: Stream<P>,
    assigner: W,
    lateness: Duration,
}

/// All records of a stream, in one subtask. The key of each is `()`.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct AllRecords<P: Pipeline>(Stream<P>);

impl<P: Pipeline<Out: Data>> KeyedInputs for AllRecords<P> {
    type Record = P::Out;
    type Key = ();
    type Selector = fn(&P::Out);

    fn head<H: Pipeline>(
        self,
        kind: &'static str,
        name: &str,
        head: impl FnOnce(Self::Selector) -> H,
    ) -> Stream<H> {
        let key: Self::Selector = |_| ();
        self.0.key_by(key).head(kind, name, head).max_parallelism(1)
    }
}

/// Windows over all records in one subtask, whose methods are those of a [`WindowedStream`].
type InOneSubtask<P, W, G = EventTimeTrigger> = WindowedStream<AllRecords<P>, W, G>;

/// What [`Stream::window_all`] returns: a [`WindowAllStream`] for windows that never merge, and for sessions a
/// [`WindowedStream`], because only one subtask can tell which of them meet. Not meant to be implemented elsewhere.
pub trait WindowAll<P: Pipeline, W> {
    /// The windows.
    type Windows;
    /// Groups the records.
    #[doc(hidden)]
    fn windows(stream: Stream<P>, assigner: W) -> Self::Windows;
}

impl<P: Pipeline<Out: Data + Clone>, W: Assigner> WindowAll<P, W> for NeverMerges {
    type Windows = WindowAllStream<P, W>;
    fn windows(stream: Stream<P>, assigner: W) -> WindowAllStream<P, W> {
        WindowAllStream { stream, assigner, lateness: Duration::ZERO }
    }
}

impl<P: Pipeline<Out: Data + Clone>, W> WindowAll<P, W> for Merges {
    type Windows = InOneSubtask<P, W>;
    fn windows(stream: Stream<P>, assigner: W) -> InOneSubtask<P, W> {
        WindowedStream::new(AllRecords(stream), assigner)
    }
}

impl<P: Pipeline<Out: Data + Clone>> Stream<P> {
    /// Groups all records into windows.
    ///
    /// Aggregates of windows in event time are computed in two stages: each subtask aggregates its records, and a single one
    /// merges what they emit when a window ends, and at each checkpoint. So only few records go to the single subtask. With
    /// sessions, a trigger, an evictor, a window function or a late output, all records go to one subtask.
    ///
    /// ```
    /// # use reflow_api::window::TumblingWindows;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// fn highest(prices: Stream<impl Pipeline<Out = u64>>) -> Stream<impl Pipeline<Out = u64>> {
    ///     let windows = prices.window_all(TumblingWindows::of(Duration::from_secs(10)));
    ///     windows.reduce(u64::max).uid("highest").map(|highest| highest.value)
    /// }
    ///
    /// use reflow_api::window::SessionWindows;
    /// fn busy_times(prices: Stream<impl Pipeline<Out = u64>>) -> Stream<impl Pipeline<Out = i64>> {
    ///     let windows = prices.window_all(SessionWindows::with_gap(Duration::from_secs(60)));
    ///     windows.count().uid("busy-times").map(|count| count.window.end - count.window.start)
    /// }
    /// ```
    pub fn window_all<W>(self, assigner: W) -> <W::Merging as WindowAll<P, W>>::Windows
    where
        W: WindowAssigner<P::Out, Merging: WindowAll<P, W>>,
    {
        W::Merging::windows(self, assigner)
    }

    /// Computes a result of each `size` records, in one subtask.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let sums = payments.count_window_all(100).sum(|payment| payment.1).map(|sum| sum.value);
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it is 0.
    pub fn count_window_all(self, size: u64) -> InOneSubtask<P, GlobalWindows, PurgingTrigger<CountTrigger>> {
        assert!(size > 0, "a count window must have at least one record");
        self.window_all(GlobalWindows).trigger(PurgingTrigger::of(CountTrigger::every(size)))
    }
}

impl<P, W> WindowAllStream<P, W>
where
    P: Pipeline<Out: Data + Clone>,
    W: Assigner,
{
    /// Keeps windows for `lateness` after their end. A window then fires again when late records have arrived, perhaps once
    /// for several.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// Emits the result of `aggregate` over a window's records, with the window.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # use reflow_api::MergeableAggregate;
    /// # fn job<A: MergeableAggregate<In = (u64, f64), Acc: Clone, Out = f64>>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, mean: A) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let means = windows.aggregate(mean).map(|mean| mean.value);
    /// # }
    /// ```
    pub fn aggregate<A>(self, aggregate: A) -> Stream<impl Pipeline<Out = Windowed<(), A::Out>>>
    where
        A: MergeableAggregate<In = P::Out, Acc: Clone, Out: Send + 'static>,
    {
        let Self { stream, assigner, lateness } = self;
        let place = stream.draft.operators.len();
        let link = PreAggregateLink { assigner, aggregate: aggregate.clone(), place };
        let parts = stream.then("pre-aggregate", "PreAggregate", link).key_by(|_| ());
        let windows = parts.window(OfParts).allowed_lateness(lateness);
        windows.aggregate(Merged(aggregate)).max_parallelism(1)
    }

    /// Combines a window's records by `function`, in any order.
    pub fn reduce<H>(self, function: H) -> Stream<impl Pipeline<Out = Windowed<(), P::Out>>>
    where
        H: Fn(P::Out, P::Out) -> P::Out + Clone + Send + 'static,
    {
        self.aggregate(Reduce::new(function))
    }

    /// Emits the number of a window's records.
    pub fn count(self) -> Stream<impl Pipeline<Out = Windowed<(), u64>>> {
        self.aggregate(Count::new())
    }

    /// Emits the sum of a measure of a window's records.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let sums = windows.sum(|payment| payment.1).map(|sum| sum.value);
    /// # }
    /// ```
    pub fn sum<S, N>(self, measure: S) -> Stream<impl Pipeline<Out = Windowed<(), N>>>
    where
        S: Fn(&P::Out) -> N + Clone + Send + 'static,
        N: Data + Clone + Add<Output = N>,
    {
        self.aggregate(Measured::sum(measure))
    }

    /// Emits the highest measure of a window's records. One that cannot be compared with itself, such as NaN, is lower than
    /// all others.
    pub fn max<S, N>(self, measure: S) -> Stream<impl Pipeline<Out = Windowed<(), N>>>
    where
        S: Fn(&P::Out) -> N + Clone + Send + 'static,
        N: Data + Clone + PartialOrd,
    {
        self.aggregate(Measured::max(measure))
    }

    /// Emits the lowest measure of a window's records. One that cannot be compared with itself, such as NaN, is higher than
    /// all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let lowest = windows.min(|payment| payment.1).map(|lowest| lowest.value);
    /// # }
    /// ```
    pub fn min<S, N>(self, measure: S) -> Stream<impl Pipeline<Out = Windowed<(), N>>>
    where
        S: Fn(&P::Out) -> N + Clone + Send + 'static,
        N: Data + Clone + PartialOrd,
    {
        self.aggregate(Measured::min(measure))
    }

    /// Emits the record of a window with the highest measure, any of several. A measure that cannot be compared with itself,
    /// such as NaN, is lower than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let largest = windows.max_by(|payment| payment.1).map(|largest| largest.value);
    /// # }
    /// ```
    pub fn max_by<S, M>(self, measure: S) -> Stream<impl Pipeline<Out = Windowed<(), P::Out>>>
    where
        S: Fn(&P::Out) -> M + Clone + Send + 'static,
        M: PartialOrd,
    {
        self.aggregate(Best::new(measure, Side::Highest))
    }

    /// Emits the record of a window with the lowest measure, any of several. A measure that cannot be compared with itself,
    /// such as NaN, is higher than all others.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::TumblingWindows;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let smallest = windows.min_by(|payment| payment.1).map(|smallest| smallest.value);
    /// # }
    /// ```
    pub fn min_by<S, M>(self, measure: S) -> Stream<impl Pipeline<Out = Windowed<(), P::Out>>>
    where
        S: Fn(&P::Out) -> M + Clone + Send + 'static,
        M: PartialOrd,
    {
        self.aggregate(Best::new(measure, Side::Lowest))
    }

    /// The same windows with all records in one subtask. It is for aggregates that cannot be merged, and for windows in
    /// processing time.
    ///
    /// ```
    /// # use reflow_api::window::TumblingWindows;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let every_minute = TumblingWindows::of(Duration::from_secs(60)).in_processing_time();
    /// let counts = payments.window_all(every_minute).in_one_subtask().count();
    /// # }
    /// ```
    pub fn in_one_subtask(self) -> InOneSubtask<P, W> {
        let Self { stream, assigner, lateness } = self;
        WindowedStream::new(AllRecords(stream), assigner).allowed_lateness(lateness)
    }

    /// As [`WindowedStream::trigger`], with all records in one subtask.
    ///
    /// ```
    /// # use reflow_api::window::{CountTrigger, TumblingWindows};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let sums = windows.trigger(CountTrigger::every(100)).sum(|payment| payment.1);
    /// # }
    /// ```
    pub fn trigger<G: Trigger<P::Out>>(self, trigger: G) -> InOneSubtask<P, W, G> {
        self.in_one_subtask().trigger(trigger)
    }

    /// As [`WindowedStream::late_output`], with all records in one subtask.
    ///
    /// ```
    /// # use reflow_api::OutputTag;
    /// # use reflow_api::window::TumblingWindows;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// const LATE: OutputTag<(u64, f64)> = OutputTag::new("late");
    ///
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let (counts, late) = windows.late_output(&LATE).count().side_output(&LATE);
    /// # }
    /// ```
    pub fn late_output(self, tag: &OutputTag<P::Out>) -> InOneSubtask<P, W> {
        self.in_one_subtask().late_output(tag)
    }

    /// As [`WindowedStream::evict`], with all records in one subtask.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::window::{CountEvictor, TumblingWindows};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let largest = windows.evict(CountEvictor::keep_last(10)).max_by(|payment| payment.1);
    /// # }
    /// ```
    pub fn evict<E: Evictor<P::Out>>(
        self,
        evictor: E,
    ) -> EvictingStream<AllRecords<P>, W, EventTimeTrigger, E> {
        self.in_one_subtask().evict(evictor)
    }

    /// As [`WindowedStream::aggregate_with`], with all records in one subtask.
    ///
    /// ```
    /// # use reflow_api::window::{TumblingWindows, WindowFunction};
    /// # use reflow_api::Aggregate;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job<Sum, Rising>(payments: Stream<impl Pipeline<Out = u64>>, sum: Sum, rising: Rising)
    /// # where
    /// #     Sum: Aggregate<In = u64, Out = u64>,
    /// #     Rising: WindowFunction<Key = (), In = u64, Out: Send>,
    /// # {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let rising = windows.aggregate_with(sum, rising);
    /// # }
    /// ```
    pub fn aggregate_with<A, Q>(
        self,
        aggregate: A,
        function: Q,
    ) -> Windows<AllRecords<P>, W, EventTimeTrigger, AggregatedThenProcessed<A, Q>>
    where
        A: TryAggregate<In = P::Out>,
        Q: WindowFunction<Key = (), In = A::Out, Out: Send + 'static>,
    {
        self.in_one_subtask().aggregate_with(aggregate, function)
    }

    /// As [`WindowedStream::process`], with all records in one subtask.
    ///
    /// ```
    /// # use reflow_api::window::{Elements, TumblingWindows, WindowFunction};
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job<Report>(payments: Stream<impl Pipeline<Out = u64>>, report: Report)
    /// # where
    /// #     Report: WindowFunction<Key = (), In = Elements<u64>, Out: Send>,
    /// # {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let reports = windows.process(report);
    /// # }
    /// ```
    pub fn process<Q>(self, function: Q) -> Windows<AllRecords<P>, W, EventTimeTrigger, Processed<KeepAll, Q>>
    where
        Q: WindowFunction<Key = (), In = Elements<P::Out>, Out: Send + 'static>,
    {
        self.in_one_subtask().process(function)
    }

    /// As [`WindowedStream::apply`], with all records in one subtask.
    ///
    /// ```
    /// # use reflow_api::window::TumblingWindows;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let windows = payments.window_all(TumblingWindows::of(Duration::from_secs(60)));
    /// let busy = windows.apply(|_, window, payments| (payments.len() > 1_000).then_some(window.start));
    /// # }
    /// ```
    pub fn apply<U, F>(self, function: F) -> Windows<AllRecords<P>, W, EventTimeTrigger, Buffered<KeepAll, F>>
    where
        U: Send + 'static,
        F: Fn(&(), Window, &Elements<P::Out>) -> Option<U> + Clone + Send + 'static,
    {
        self.in_one_subtask().apply(function)
    }
}

/// The first stage.
struct PreAggregateLink<W, A> {
    assigner: W,
    aggregate: A,
    /// The position of the operator in its chain.
    place: usize,
}

impl<T, W, A> Link<T> for PreAggregateLink<W, A>
where
    T: Clone + 'static,
    W: Assigner,
    A: TryAggregate<In = T>,
{
    type Out = (Window, A::Acc);
    type Stage<D: Stage<Self::Out> + 'static> = PreAggregate<W, A, D>;
    fn attach<D: Stage<Self::Out> + 'static>(
        &self,
        next: D,
        context: &BuildContext,
    ) -> PreAggregate<W, A, D> {
        let both = (self.assigner.clone(), self.aggregate.clone());
        PreAggregate::new(operator(context, self.place), both, context.bounds.fired_panes, next)
    }
}

/// Assigns what the first stage emits to the window that it says.
#[derive(Clone)]
struct OfParts;

impl<A> WindowAssigner<(Window, A)> for OfParts {
    type Merging = NeverMerges;
    const NEEDS_TIME: bool = false;
    const DOMAIN: TimeDomain = TimeDomain::Event;

    fn assign(
        &mut self,
        (window, _): &(Window, A),
        _: Timestamp,
        mut each: impl FnMut(Window),
    ) -> Result<(), UserError> {
        each(*window);
        Ok(())
    }
}

/// Merges what the first stage emits.
#[derive(Clone)]
struct Merged<A>(A);

impl<A: MergeableAggregate> TryAggregate for Merged<A> {
    type In = (Window, A::Acc);
    type Acc = A::Acc;
    type Out = A::Out;

    fn create(&self) -> A::Acc {
        self.0.create()
    }

    fn try_add(&self, accumulator: &mut A::Acc, (_, part): (Window, A::Acc)) -> Result<(), UserError> {
        self.0.merge(accumulator, part)
    }

    fn try_result(&self, accumulator: &A::Acc) -> Result<A::Out, UserError> {
        self.0.try_result(accumulator)
    }
}
