//! Windows of two streams: their records are matched within each window.

use super::{WindowedStream, Windows};
use crate::keyed::KeyedInputs;
use crate::pipeline::{Fallible, Pipeline, SideOutputs, WindowHead};
use crate::stream::Stream;
use reflow_api::window::{CoGroup, Elements, Trigger, Window, WindowAssigner, WindowFunction};
use reflow_api::{Data, Either, OnError};
use reflow_graph::Operator;
use reflow_runtime::keyed::{CoGrouped, CoGroupedThenProcessed, Joined, Merging};
use reflow_runtime::stages::Flatten;
use reflow_runtime::{BuildContext, Stage, Task};

/// A chain whose last operator makes an iterator of its results. They are passed on as the outputs accept them.
pub struct Flattened<P>(P);

impl<P> Pipeline for Flattened<P>
where
    P: Pipeline<Out: IntoIterator<Item: Send, IntoIter: Send>>,
{
    type Out = <P::Out as IntoIterator>::Item;
    fn declare(&self, operator: &mut Operator) {
        self.0.declare(operator);
    }
    fn build<D: Stage<Self::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        self.0.build(Flatten::new(down), context)
    }
}

impl<P: Fallible> Fallible for Flattened<P> {
    fn set_on_error(&mut self, policy: OnError) {
        self.0.set_on_error(policy);
    }
}

impl<P: SideOutputs> SideOutputs for Flattened<P> {}

/// Results of windows that make an iterator of them.
type FlattenedWindows<I, W, G, C> =
    Stream<Flattened<WindowHead<<I as KeyedInputs>::Record, <I as KeyedInputs>::Selector, W, G, C>>>;

fn flatten<P>(stream: Stream<P>) -> Stream<Flattened<P>>
where
    P: Pipeline<Out: IntoIterator<Item: Send, IntoIter: Send>>,
{
    Stream { env: stream.env, pipeline: Flattened(stream.pipeline), draft: stream.draft }
}

/// Windows of [connected streams](crate::ConnectedKeyedStreams::window).
impl<I, A, B, W, G> WindowedStream<I, W, G>
where
    I: KeyedInputs<Record = Either<A, B>>,
    A: Data + Clone,
    B: Data + Clone,
    W: WindowAssigner<Either<A, B>>,
    G: Trigger<Either<A, B>>,
{
    /// Calls `function` for each pair of a record of the first stream and one of the second stream that have the same key
    /// and are in the same window: an inner join. The result has the last timestamp of the window.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use std::time::Duration;
    /// use reflow_api::window::TumblingWindows;
    ///
    /// # fn job<P, F, Q, G>(grades: KeyedStream<P, F>, salaries: KeyedStream<Q, G>)
    /// # where
    /// #     P: Pipeline<Out = (String, u32)>,
    /// #     Q: Pipeline<Out = (String, u64)>,
    /// #     F: KeySelector<(String, u32), Key = String>,
    /// #     G: KeySelector<(String, u64), Key = String>,
    /// # {
    /// let joined = grades
    ///     .connect(salaries)
    ///     .window(TumblingWindows::of(Duration::from_secs(2)))
    ///     .join(|name, _, (_, grade), (_, salary)| format!("{name}: grade {grade}, salary {salary}"));
    /// # let _ = joined;
    /// # }
    /// ```
    ///
    /// A window keeps its records until it ends. When it fires, `function` is called as the outputs accept results, so
    /// the pairs of a window may be very many; no checkpoint is taken before the last of them. A window that fires and
    /// goes on, by a trigger or with an [allowed lateness](Self::allowed_lateness), fires with a copy of its records, and
    /// emits all of its pairs each time.
    pub fn join<U, J>(self, function: J) -> FlattenedWindows<I, W, G, Joined<J>>
    where
        U: Send + 'static,
        J: Fn(&I::Key, Window, &A, &B) -> U + Clone + Send + 'static,
        W::Merging: Merging<I::Key, Either<A, B>, G, Joined<J>>,
    {
        flatten(self.named("Window join", Joined(function)))
    }

    /// Calls `function` with the records of both streams that have the same key and are in the same window, in the order
    /// of their arrival. One of the streams may have none, so outer joins are possible. Emits what `function` returns.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use std::time::Duration;
    /// use reflow_api::window::SessionWindows;
    ///
    /// # fn job<P, F, Q, G>(searches: KeyedStream<P, F>, orders: KeyedStream<Q, G>)
    /// # where
    /// #     P: Pipeline<Out = (u64, String)>,
    /// #     Q: Pipeline<Out = (u64, String)>,
    /// #     F: KeySelector<(u64, String), Key = u64>,
    /// #     G: KeySelector<(u64, String), Key = u64>,
    /// # {
    /// let in_vain = searches
    ///     .connect(orders)
    ///     .window(SessionWindows::with_gap(Duration::from_secs(600)))
    ///     .co_group(|user, _, searches, orders| {
    ///         (orders.is_empty()).then(|| format!("{user} searched {} times in vain", searches.len()))
    ///     });
    /// # let _ = in_vain;
    /// # }
    /// ```
    pub fn co_group<O, J>(self, function: J) -> FlattenedWindows<I, W, G, CoGrouped<J>>
    where
        O: IntoIterator<Item: Send + 'static, IntoIter: Send> + Send + 'static,
        J: Fn(&I::Key, Window, &Elements<A>, &Elements<B>) -> O + Clone + Send + 'static,
        W::Merging: Merging<I::Key, Either<A, B>, G, CoGrouped<J>>,
    {
        flatten(self.named("Co-group", CoGrouped(function)))
    }

    /// As [`co_group`](Self::co_group), with a [`WindowFunction`], which has state, side outputs and errors.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::UserError;
    /// use reflow::window::{CoGroup, WindowContext, WindowFunction};
    ///
    /// /// Emits the keys whose windows have more orders than payments.
    /// #[derive(Clone)]
    /// struct Unpaid;
    ///
    /// impl WindowFunction for Unpaid {
    ///     type Key = u64;
    ///     type In = CoGroup<String, u64>;
    ///     type Out = u64;
    ///     type State = ();
    ///     type KeyState = ();
    ///
    ///     fn process(
    ///         &mut self,
    ///         context: &mut impl WindowContext<Self>,
    ///         CoGroup { first: orders, second: payments }: &CoGroup<String, u64>,
    ///     ) -> Result<(), UserError> {
    ///         if orders.len() > payments.len() {
    ///             let customer = *context.key();
    ///             context.emit(customer);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn co_group_with<Q>(self, function: Q) -> Windows<I, W, G, CoGroupedThenProcessed<Q>>
    where
        Q: WindowFunction<Key = I::Key, In = CoGroup<A, B>, Out: Send + 'static>,
        W::Merging: Merging<I::Key, Either<A, B>, G, CoGroupedThenProcessed<Q>>,
    {
        self.named("Co-group", CoGroupedThenProcessed(function))
    }
}
