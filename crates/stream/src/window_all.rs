//! Windows over all records of a stream, which are aggregated in two stages.

use crate::aggregates::Count;
use crate::pipeline::{Link, Pipeline, operator};
use crate::stream::Stream;
use reflow_api::states::Reduce;
use reflow_api::window::{Assigner, NeverMerges, Window, WindowAssigner, Windowed};
use reflow_api::{Data, MergeableAggregate, TimeDomain, TryAggregate, UserError};
use reflow_runtime::stages::PreAggregate;
use reflow_runtime::{BuildContext, Stage};
use reflow_types::Timestamp;
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

impl<P: Pipeline<Out: Data + Clone>> Stream<P> {
    /// Groups all records into windows, which end in event time. Aggregates are computed in two stages: each subtask
    /// aggregates its records, and a single one merges what they emit when a window ends, and at each checkpoint. So only
    /// few records go to the single subtask.
    ///
    /// For triggers, evictors, window functions, sessions, late outputs and processing time, and for aggregates that cannot
    /// be merged, write `.key_by(|_| ()).window(…)`: then all records go to one subtask.
    ///
    /// ```
    /// # use reflow_api::window::TumblingWindows;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// fn highest(prices: Stream<impl Pipeline<Out = u64>>) -> Stream<impl Pipeline<Out = u64>> {
    ///     let windows = prices.window_all(TumblingWindows::of(Duration::from_secs(10)));
    ///     windows.reduce(u64::max).uid("highest").map(|highest| highest.value)
    /// }
    /// ```
    pub fn window_all<W: Assigner>(self, assigner: W) -> WindowAllStream<P, W> {
        WindowAllStream { stream: self, assigner, lateness: Duration::ZERO }
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
