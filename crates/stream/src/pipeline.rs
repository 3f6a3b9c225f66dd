//! Pipelines: chains of operators as types.

use reflow_api::window::{Trigger, WindowAssigner};
use reflow_api::{
    BroadcastProcessFunction, Either, OnError, OutputTag, ProcessFunction, Source, TryAggregate,
    UnkeyedProcessFunction, UserError, Watermarks,
    source::{ReaderContext, ToEnumerator},
};
use reflow_graph::{EdgeId, Operator, StateKind};
use reflow_network::output::{KeySelector, NoKey};
use reflow_runtime::error_handler::{ErrorHandler, OnFailure, SendErrors};
use reflow_runtime::keyed::{
    BroadcastProcess, Contents, Merging, Process, ResultAlone, Rolling, RollingOutput, Unkeyed,
    WindowOperator, Windowing,
};
use reflow_runtime::stages::{
    AssignTime, BoxedStage, Convert, EventTime, Filter, Flatten, Inspect, Keep, Map, SideOutput, Try,
    UnkeyedProcess,
};
use reflow_runtime::task::{InputTask, SourceTask};
use reflow_runtime::{BuildContext, EndOfChain, OperatorName, Stage, Task, declared};
use reflow_types::{Data, MaxParallelism};
use std::marker::PhantomData;

/// The head of a task and the operators chained to it. A job names it only in the types of its functions' parameters:
///
/// ```
/// # extern crate reflow_stream as reflow;
/// use reflow::{Pipeline, Stream};
///
/// /// Works on any stream of lines, whatever is chained before.
/// fn words(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = String>> {
///     lines.flat_map(|line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
/// }
/// ```
pub trait Pipeline: Send + 'static {
    /// The type of the records that it emits.
    type Out: Send + 'static;
    /// Adds what the head keeps in checkpoints to its operator. Called when the chain begins with it.
    #[doc(hidden)]
    fn declare(&self, _operator: &mut Operator) {}
    /// Creates a task that passes its records to `down`.
    #[doc(hidden)]
    fn build<D: Stage<Self::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task>;
}

/// A chain whose type is hidden; see [`Stream::boxed`](crate::Stream::boxed).
pub struct Boxed<T>(Box<dyn ErasedPipeline<T>>);

impl<T: Send + 'static> Boxed<T> {
    pub(crate) fn new(pipeline: impl Pipeline<Out = T>) -> Self {
        Self(Box::new(pipeline))
    }
}

impl<T: Send + 'static> Pipeline for Boxed<T> {
    type Out = T;
    fn build<D: Stage<T> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        self.0.build_boxed(BoxedStage::new(down), context)
    }
}

/// [`Pipeline`] for stages of one type, which can be a trait object.
trait ErasedPipeline<T>: Send {
    fn build_boxed(&self, down: BoxedStage<T>, context: &mut BuildContext) -> Box<dyn Task>;
}

impl<T: Send + 'static, P: Pipeline<Out = T>> ErasedPipeline<T> for P {
    fn build_boxed(&self, down: BoxedStage<T>, context: &mut BuildContext) -> Box<dyn Task> {
        self.build(down, context)
    }
}

/// An operator within a chain.
pub trait Link<T>: Send + 'static {
    /// The type of the records that it emits.
    type Out: Send + 'static;
    /// The stage that runs it.
    type Stage<D: Stage<Self::Out> + 'static>: Stage<T> + 'static;
    /// Adds what the stage keeps in checkpoints to its operator.
    fn declare(&self, _operator: &mut Operator) {}
    /// Creates the stage, which passes its records to `next`.
    fn attach<D: Stage<Self::Out> + 'static>(&self, next: D, context: &BuildContext) -> Self::Stage<D>;
}

/// A chain with one more operator.
pub struct Then<P, L> {
    pub(crate) before: P,
    pub(crate) link: L,
}

impl<P: Pipeline, L: Link<P::Out>> Pipeline for Then<P, L> {
    type Out = L::Out;
    fn build<D: Stage<L::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        self.before.build(self.link.attach(down, context), context)
    }
}

/// An operator whose function can return an error for a record.
#[diagnostic::on_unimplemented(
    message = "the functions of this operator return no errors",
    label = "`on_error` must follow an operator whose function returns a `Result`",
    note = "these are `try_map`, `try_filter`, `try_flat_map`, `process`, asynchronous calls, and `aggregate` by key and in windows"
)]
pub trait Fallible {
    /// Sets how such a record is handled.
    fn set_on_error(&mut self, policy: OnError);
}

/// A chain whose last operator can send the records for which its function returns an error to a side output.
#[diagnostic::on_unimplemented(
    message = "the last operator cannot split off records with errors",
    label = "`split_errors` must follow an operator whose function returns a `Result`",
    note = "these are `try_map`, `try_filter`, `try_flat_map`, `process` and asynchronous calls"
)]
pub trait SplitErrors: Pipeline {
    /// The type of the records that the operator takes.
    type In;
    /// The chain whose last operator does so.
    type Split: Pipeline<Out = Self::Out>;
    /// Makes it do so.
    fn split_errors(self) -> Self::Split;
}

impl<P, F, K> SplitErrors for Then<P, TryLink<F, K>>
where
    P: Pipeline,
    TryLink<F, K>: Link<P::Out>,
    TryLink<F, K, SendErrors>: Link<P::Out, Out = <TryLink<F, K> as Link<P::Out>>::Out>,
{
    type In = P::Out;
    type Split = Then<P, TryLink<F, K, SendErrors>>;
    fn split_errors(self) -> Self::Split {
        let TryLink { function, place, on_error, .. } = self.link;
        Then { before: self.before, link: TryLink { function, place, on_error, kind: PhantomData } }
    }
}

impl<P, Q> SplitErrors for Then<P, ProcessLink<Q>>
where
    P: Pipeline<Out: Data + Clone>,
    Q: UnkeyedProcessFunction<In = P::Out, Out: Send + 'static>,
{
    type In = P::Out;
    type Split = Then<P, ProcessLink<Q, SendErrors>>;
    fn split_errors(self) -> Self::Split {
        let ProcessLink { function, place, on_error, .. } = self.link;
        Then { before: self.before, link: ProcessLink { function, place, on_error, errors: PhantomData } }
    }
}

impl<T, F, P> SplitErrors for ProcessHead<T, F, P>
where
    T: Data + Clone,
    F: KeySelector<T>,
    P: ProcessFunction<Key = F::Key, In = T, Out: Send + 'static>,
{
    type In = T;
    type Split = ProcessHead<T, F, P, SendErrors>;
    fn split_errors(self) -> Self::Split {
        let Self { key, function, on_error, .. } = self;
        ProcessHead { key, function, on_error, takes: PhantomData }
    }
}

impl<P: SplitErrors, T: Data> SplitErrors for WithSideOutput<P, T> {
    type In = P::In;
    type Split = WithSideOutput<P::Split, T>;
    fn split_errors(self) -> Self::Split {
        WithSideOutput { before: self.before.split_errors(), tag: self.tag, edge: self.edge }
    }
}

impl<P, L: Fallible> Fallible for Then<P, L> {
    fn set_on_error(&mut self, policy: OnError) {
        self.link.set_on_error(policy);
    }
}

/// A chain whose last operator can emit to side outputs.
#[diagnostic::on_unimplemented(
    message = "the last operator has no side outputs",
    label = "`side_output` must directly follow an operator that can emit to side outputs",
    note = "these are process functions and windows"
)]
pub trait SideOutputs {}

impl<P, L: SideOutputs> SideOutputs for Then<P, L> {}

impl<P, E> SideOutputs for ProcessLink<P, E> {}

impl<T, F, P, E> SideOutputs for ProcessHead<T, F, P, E> {}

impl<T, F, W, G, C> SideOutputs for WindowHead<T, F, W, G, C> {}

impl<P: SideOutputs, T> SideOutputs for WithSideOutput<P, T> {}

/// A chain of whose last operator a side output is taken; see [`Stream::side_output`](crate::Stream::side_output).
pub struct WithSideOutput<P, T> {
    pub(crate) before: P,
    pub(crate) tag: OutputTag<T>,
    pub(crate) edge: EdgeId,
}

impl<P: Pipeline, T: Data> Pipeline for WithSideOutput<P, T> {
    type Out = P::Out;
    fn build<D: Stage<P::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let output = context.output::<T, NoKey>(self.edge, NoKey, None);
        self.before.build(SideOutput::new(self.tag, output, down), context)
    }
}

impl<P: Fallible, T> Fallible for WithSideOutput<P, T> {
    fn set_on_error(&mut self, policy: OnError) {
        self.before.set_on_error(policy);
    }
}

/// The operator at position `place` in the chain of the vertex that is being built.
pub(crate) fn operator(context: &BuildContext, place: usize) -> OperatorName {
    let Operator { uid, name, .. } = &context.wiring.job.vertex(context.wiring.vertex).operators[place];
    OperatorName { uid: uid.clone(), name: name.clone() }
}

/// Reads a source.
pub struct SourceHead<S>(pub(crate) S);

impl<S: Source> Pipeline for SourceHead<S> {
    type Out = S::Item;
    fn declare(&self, operator: &mut Operator) {
        operator.lists = declared::lists_of_source::<S::Split>();
    }
    fn build<D: Stage<S::Item> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let enumerator = ToEnumerator::default();
        let reader = self.0.reader(&ReaderContext {
            index: context.wiring.index,
            parallelism: context.wiring.parallelism(),
            io: context.io.clone(),
            enumerator: enumerator.clone(),
        });
        Box::new(SourceTask::new(operator(context, 0).uid, (reader, enumerator), down, context))
    }
}

/// Reads records that other tasks send.
pub struct GateHead<T>(pub(crate) PhantomData<fn() -> T>);

impl<T: Data> Pipeline for GateHead<T> {
    type Out = T;
    fn build<D: Stage<T> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        Box::new(InputTask::new(context.gate::<T>(), Unkeyed::new(down), context))
    }
}

/// Aggregates by key and emits a result for each record.
pub struct RollingHead<T, F, A, O = ResultAlone> {
    pub(crate) key: F,
    pub(crate) aggregate: A,
    pub(crate) on_error: OnError,
    pub(crate) takes: PhantomData<fn(T) -> O>,
}

impl<T, F, A, O> RollingHead<T, F, A, O> {
    pub(crate) fn new(key: F, aggregate: A) -> Self {
        Self { key, aggregate, on_error: OnError::default(), takes: PhantomData }
    }
}

impl<T, F: KeySelector<T>, A: TryAggregate<In = T>, O> RollingHead<T, F, A, O> {
    fn head<D>(&self, name: OperatorName, max: MaxParallelism, down: D) -> Rolling<T, F, A, O, D> {
        let errors = ErrorHandler::new(name, self.on_error);
        Rolling::new(errors, self.key.clone(), self.aggregate.clone(), max, down)
    }
}

impl<T, F, A, O> Fallible for RollingHead<T, F, A, O> {
    fn set_on_error(&mut self, policy: OnError) {
        self.on_error = policy;
    }
}

impl<T, F, A, O> Pipeline for RollingHead<T, F, A, O>
where
    T: Data,
    F: KeySelector<T>,
    A: TryAggregate<In = T>,
    O: RollingOutput<F::Key, A::Out, Out: Send + 'static>,
{
    type Out = O::Out;
    fn declare(&self, operator: &mut Operator) {
        let mut head = self.head(declared::nameless(), MaxParallelism::DEFAULT, EndOfChain);
        operator.states = declared::tables(&mut head, |_| StateKind::Aggregating);
    }
    fn build<D: Stage<O::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let head = self.head(operator(context, 0), context.wiring.max_parallelism(), down);
        Box::new(InputTask::new(context.gate::<T>(), head, context))
    }
}

/// Runs a process function by key.
pub struct ProcessHead<T, F, P, E = ErrorHandler> {
    pub(crate) key: F,
    pub(crate) function: P,
    pub(crate) on_error: OnError,
    pub(crate) takes: PhantomData<fn(T) -> E>,
}

impl<T, F, P> Fallible for ProcessHead<T, F, P> {
    fn set_on_error(&mut self, policy: OnError) {
        self.on_error = policy;
    }
}

impl<T, F, P, E> Pipeline for ProcessHead<T, F, P, E>
where
    T: Data,
    F: KeySelector<T>,
    P: ProcessFunction<Key = F::Key, In = T>,
    P::Out: Send + 'static,
    E: OnFailure<T> + 'static,
{
    type Out = P::Out;
    fn declare(&self, operator: &mut Operator) {
        let (key, function) = (self.key.clone(), (self.function.clone(), self.on_error));
        let (name, max) = (declared::nameless(), MaxParallelism::DEFAULT);
        let mut head = Process::<_, _, _, _, E>::new(name, key, function, max, EndOfChain);
        operator.states = declared::tables_of_function(&mut head, &self.function.states());
    }
    fn build<D: Stage<P::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let (key, function) = (self.key.clone(), (self.function.clone(), self.on_error));
        let max = context.wiring.max_parallelism();
        let head = Process::<_, _, _, _, E>::new(operator(context, 0), key, function, max, down);
        Box::new(InputTask::new(context.gate::<T>(), head, context))
    }
}

/// Runs a process function with a broadcast input, by key.
pub struct BroadcastHead<F, Q> {
    pub(crate) key: F,
    pub(crate) function: Q,
    pub(crate) on_error: OnError,
}

impl<F, Q> Fallible for BroadcastHead<F, Q> {
    fn set_on_error(&mut self, policy: OnError) {
        self.on_error = policy;
    }
}

impl<F, Q> SideOutputs for BroadcastHead<F, Q> {}

impl<F, Q> Pipeline for BroadcastHead<F, Q>
where
    F: KeySelector<Q::In, Key = Q::Key>,
    Q: BroadcastProcessFunction<In: Data, Broadcast: Data, Out: Send + 'static>,
{
    type Out = Q::Out;
    fn declare(&self, operator: &mut Operator) {
        let (key, function) = (self.key.clone(), (self.function.clone(), self.on_error));
        let (name, max) = (declared::nameless(), MaxParallelism::DEFAULT);
        let mut head = BroadcastProcess::new(name, key, function, max, EndOfChain);
        operator.states = declared::tables_of_function(&mut head, &self.function.states());
        operator.lists = declared::lists_of_broadcast::<Q::BroadcastState>();
    }
    fn build<D: Stage<Q::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let (key, function) = (self.key.clone(), (self.function.clone(), self.on_error));
        let max = context.wiring.max_parallelism();
        let head = BroadcastProcess::new(operator(context, 0), key, function, max, down);
        Box::new(InputTask::new(context.gate::<Either<Q::In, Q::Broadcast>>(), head, context))
    }
}

/// Groups records into windows by key.
pub struct WindowHead<T, F, W, G, C> {
    pub(crate) key: F,
    pub(crate) windowing: Windowing<T, W, G, C>,
    pub(crate) takes: PhantomData<fn(T)>,
}

impl<T, F, W, G, C> Fallible for WindowHead<T, F, W, G, C> {
    fn set_on_error(&mut self, policy: OnError) {
        self.windowing.on_error = policy;
    }
}

impl<T, F, W, G, C> Pipeline for WindowHead<T, F, W, G, C>
where
    T: Data + Clone,
    F: KeySelector<T>,
    W: WindowAssigner<T>,
    W::Merging: Merging<F::Key, T, G, C>,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
    C::Out: Send + 'static,
{
    type Out = C::Out;
    fn declare(&self, operator: &mut Operator) {
        let (name, key, windowing) = (declared::nameless(), self.key.clone(), self.windowing.clone());
        let mut head = WindowOperator::new(name, key, windowing, MaxParallelism::DEFAULT, EndOfChain);
        operator.states = declared::tables(&mut head, |_| StateKind::Windows);
    }
    fn build<D: Stage<C::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let head = WindowOperator::new(
            operator(context, 0),
            self.key.clone(),
            self.windowing.clone(),
            context.wiring.max_parallelism(),
            down,
        );
        Box::new(InputTask::new(context.gate::<T>(), head, context))
    }
}

/// See [`Stream::map`](crate::Stream::map).
pub struct MapLink<F, U>(pub(crate) F, pub(crate) PhantomData<fn() -> U>);

impl<T, U, F> Link<T> for MapLink<F, U>
where
    T: 'static,
    U: Send + 'static,
    F: FnMut(T) -> U + Clone + Send + 'static,
{
    type Out = U;
    type Stage<D: Stage<U> + 'static> = Map<F, U, D>;
    fn attach<D: Stage<U> + 'static>(&self, next: D, _: &BuildContext) -> Map<F, U, D> {
        Map::new(self.0.clone(), next)
    }
}

/// See [`Stream::flat_map`](crate::Stream::flat_map).
pub struct FlatMapLink<F, I>(pub(crate) F, pub(crate) PhantomData<fn() -> I>);

impl<T, I, F> Link<T> for FlatMapLink<F, I>
where
    T: 'static,
    I: IntoIterator<IntoIter: Send> + 'static,
    I::Item: Send + 'static,
    F: FnMut(T) -> I + Clone + Send + 'static,
{
    type Out = I::Item;
    type Stage<D: Stage<I::Item> + 'static> = Map<F, I, Flatten<I, D>>;
    fn attach<D: Stage<I::Item> + 'static>(&self, next: D, _: &BuildContext) -> Self::Stage<D> {
        Map::new(self.0.clone(), Flatten::new(next))
    }
}

/// See [`Stream::filter`](crate::Stream::filter).
pub struct FilterLink<F>(pub(crate) F);

impl<T: Send + 'static, F: FnMut(&T) -> bool + Clone + Send + 'static> Link<T> for FilterLink<F> {
    type Out = T;
    type Stage<D: Stage<T> + 'static> = Filter<F, D>;
    fn attach<D: Stage<T> + 'static>(&self, next: D, _: &BuildContext) -> Filter<F, D> {
        Filter::new(self.0.clone(), next)
    }
}

/// A function that can return an error, of one of the operators `try_map`, `try_filter` and `try_flat_map`.
pub struct TryLink<F, K, E = ErrorHandler> {
    pub(crate) function: F,
    /// The position of the operator in its chain.
    pub(crate) place: usize,
    pub(crate) on_error: OnError,
    pub(crate) kind: PhantomData<fn() -> (K, E)>,
}

impl<F, K> Fallible for TryLink<F, K> {
    fn set_on_error(&mut self, policy: OnError) {
        self.on_error = policy;
    }
}

impl<F, K, E: From<ErrorHandler>> TryLink<F, K, E> {
    fn errors(&self, context: &BuildContext) -> E {
        ErrorHandler::new(operator(context, self.place), self.on_error).into()
    }
}

/// See [`Stream::try_map`](crate::Stream::try_map).
pub struct ToOne<U>(PhantomData<U>);

impl<T, U, F, E> Link<T> for TryLink<F, ToOne<U>, E>
where
    T: 'static,
    E: OnFailure<T> + 'static,
    U: Send + 'static,
    F: FnMut(T) -> Result<U, UserError> + Clone + Send + 'static,
{
    type Out = U;
    type Stage<D: Stage<U> + 'static> = Try<Convert<F, U>, E, D>;
    fn attach<D: Stage<U> + 'static>(&self, next: D, context: &BuildContext) -> Self::Stage<D> {
        Try::new(Convert::new(self.function.clone()), self.errors(context), next)
    }
}

/// See [`Stream::try_flat_map`](crate::Stream::try_flat_map).
pub struct ToMany<I>(PhantomData<I>);

impl<T, I, F, E> Link<T> for TryLink<F, ToMany<I>, E>
where
    T: 'static,
    E: OnFailure<T> + 'static,
    I: IntoIterator<IntoIter: Send> + 'static,
    I::Item: Send + 'static,
    F: FnMut(T) -> Result<I, UserError> + Clone + Send + 'static,
{
    type Out = I::Item;
    type Stage<D: Stage<I::Item> + 'static> = Try<Convert<F, I>, E, Flatten<I, D>>;
    fn attach<D: Stage<I::Item> + 'static>(&self, next: D, context: &BuildContext) -> Self::Stage<D> {
        Try::new(Convert::new(self.function.clone()), self.errors(context), Flatten::new(next))
    }
}

/// See [`Stream::try_filter`](crate::Stream::try_filter).
pub struct Kept;

impl<T, F, E> Link<T> for TryLink<F, Kept, E>
where
    T: Send + 'static,
    E: OnFailure<T> + 'static,
    F: FnMut(&T) -> Result<bool, UserError> + Clone + Send + 'static,
{
    type Out = T;
    type Stage<D: Stage<T> + 'static> = Try<Keep<F>, E, D>;
    fn attach<D: Stage<T> + 'static>(&self, next: D, context: &BuildContext) -> Self::Stage<D> {
        Try::new(Keep(self.function.clone()), self.errors(context), next)
    }
}

/// See [`Stream::process`](crate::Stream::process).
pub struct ProcessLink<P, E = ErrorHandler> {
    pub(crate) function: P,
    /// The position of the operator in its chain.
    pub(crate) place: usize,
    pub(crate) on_error: OnError,
    pub(crate) errors: PhantomData<fn() -> E>,
}

impl<P> Fallible for ProcessLink<P> {
    fn set_on_error(&mut self, policy: OnError) {
        self.on_error = policy;
    }
}

impl<P, E> Link<P::In> for ProcessLink<P, E>
where
    P: UnkeyedProcessFunction<In: 'static, Out: Send + 'static>,
    E: OnFailure<P::In> + 'static,
{
    type Out = P::Out;
    type Stage<D: Stage<P::Out> + 'static> = UnkeyedProcess<P, D, E>;
    fn declare(&self, operator: &mut Operator) {
        operator.lists = declared::lists_of_function(self.function.operator_lists());
    }
    fn attach<D: Stage<P::Out> + 'static>(&self, next: D, context: &BuildContext) -> Self::Stage<D> {
        UnkeyedProcess::new(operator(context, self.place), self.function.clone(), self.on_error, next)
    }
}

/// See [`Stream::inspect`](crate::Stream::inspect).
pub struct InspectLink<F>(pub(crate) F);

impl<T: Send + 'static, F: FnMut(&T) + Clone + Send + 'static> Link<T> for InspectLink<F> {
    type Out = T;
    type Stage<D: Stage<T> + 'static> = Inspect<F, D>;
    fn attach<D: Stage<T> + 'static>(&self, next: D, _: &BuildContext) -> Inspect<F, D> {
        Inspect::new(self.0.clone(), next)
    }
}

/// See [`Stream::assign_event_time`](crate::Stream::assign_event_time).
pub struct TimeLink<F> {
    pub(crate) time: F,
    pub(crate) watermarks: Watermarks,
    /// The position of the operator in its chain.
    pub(crate) place: usize,
}

impl<T, F> Link<T> for TimeLink<F>
where
    T: Send + 'static,
    F: EventTime<T>,
{
    type Out = T;
    type Stage<D: Stage<T> + 'static> = AssignTime<T, F, D>;
    fn declare(&self, operator: &mut Operator) {
        operator.lists = declared::lists_of_event_time();
    }
    fn attach<D: Stage<T> + 'static>(&self, next: D, context: &BuildContext) -> AssignTime<T, F, D> {
        let stage = AssignTime::new(operator(context, self.place), self.time.clone(), self.watermarks, next);
        if context.wiring.job.vertex(context.wiring.vertex).source { stage } else { stage.behind_gate() }
    }
}
