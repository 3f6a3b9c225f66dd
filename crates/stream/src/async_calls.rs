//! Asynchronous calls of streams.
//!
//! The operator begins a chain of its own, because the operators before it would have to wait whenever it takes no more
//! records, and their readers with them.

use crate::draft::{HeadDraft, SharedDraft};
use crate::keyed::KeyedStream;
use crate::pipeline::{Fallible, Pipeline, SideOutputs, SplitErrors, operator};
use crate::stream::Stream;
use reflow_api::async_calls::{AsyncCalls, AsyncClosure, AsyncFunction, ClientCalls};
use reflow_api::{Client, Data, OnError, UserError};
use reflow_graph::{Operator, Shipping};
use reflow_network::output::{KeySelector, NoKey};
use reflow_runtime::async_calls::Async;
use reflow_runtime::error_handler::{ErrorHandler, OnFailure, SendErrors};
use reflow_runtime::task::InputTask;
use reflow_runtime::{BuildContext, Stage, Task, declared};
use std::marker::PhantomData;
use std::sync::Arc;

/// Runs an asynchronous function.
pub struct AsyncHead<Q, E = ErrorHandler> {
    function: Q,
    calls: AsyncCalls,
    on_error: OnError,
    errors: PhantomData<fn() -> E>,
}

impl<Q> AsyncHead<Q> {
    fn new(calls: AsyncCalls, function: Q) -> Self {
        Self { function, calls, on_error: OnError::default(), errors: PhantomData }
    }
}

impl<Q> Fallible for AsyncHead<Q> {
    fn set_on_error(&mut self, policy: OnError) {
        self.on_error = policy;
    }
}

impl<Q, E> SideOutputs for AsyncHead<Q, E> {}

impl<Q> SplitErrors for AsyncHead<Q>
where
    Q: AsyncFunction<In: Data + Clone, Out: Send + 'static>,
{
    type In = Q::In;
    type Split = AsyncHead<Q, SendErrors>;
    fn split_errors(self) -> Self::Split {
        let Self { function, calls, on_error, .. } = self;
        AsyncHead { function, calls, on_error, errors: PhantomData }
    }
}

impl<Q, E> Pipeline for AsyncHead<Q, E>
where
    Q: AsyncFunction<Out: Send + 'static>,
    E: OnFailure<Q::In> + 'static,
{
    type Out = Q::Out;
    fn declare(&self, operator: &mut Operator) {
        operator.lists = declared::lists_of_async_calls::<Q::In>();
    }
    fn build<D: Stage<Q::Out> + 'static>(&self, down: D, context: &mut BuildContext) -> Box<dyn Task> {
        let function = (self.function.clone(), self.calls.clone());
        let head =
            Async::<_, _, E>::new(operator(context, 0), function, self.on_error, &context.wiring, down);
        Box::new(InputTask::new(context.gate::<Q::In>(), head, context))
    }
}

/// The stream of what an asynchronous closure returns.
type Mapped<T, U, F> = Stream<AsyncHead<AsyncClosure<T, U, F>>>;

/// The stream of the results of a client's answers.
type Asked<C, T, U, F, G> = Stream<AsyncHead<ClientCalls<C, T, U, F, G>>>;

impl<P: Pipeline> Stream<P> {
    /// Calls an asynchronous function for each record, such as a request to a service, and emits what it returns. Further
    /// records are taken meanwhile, as `calls` says.
    ///
    /// The function runs on the process's runtime. It is called again for a record after a failure or a rescale that was
    /// reached before its result was emitted, so what it does outside must be repeatable; see
    /// [`async_calls`](reflow_api::async_calls). [`on_error`](Self::on_error) and [`split_errors`](Self::split_errors) set
    /// how a record is handled whose calls fail or take too long.
    ///
    /// ```
    /// # use {reflow_api::async_calls::{AsyncCalls, Retry}, reflow_stream::{Pipeline, Stream}, std::time::Duration};
    /// async fn name_of(customer: u64) -> Result<String, std::io::Error> {
    ///     Ok(format!("customer {customer}")) // a client library is called here
    /// }
    ///
    /// fn named(orders: Stream<impl Pipeline<Out = (u64, i64)>>) -> Stream<impl Pipeline<Out = (String, i64)>> {
    ///     let calls = AsyncCalls::unordered()
    ///         .capacity(500)
    ///         .time_limit(Duration::from_secs(10))
    ///         .retry(Retry::fixed(3, Duration::from_millis(200)));
    ///     orders.async_map(calls, |(customer, cents)| async move { Ok((name_of(customer).await?, cents)) })
    /// }
    /// ```
    pub fn async_map<U, F, A>(self, calls: AsyncCalls, function: F) -> Mapped<P::Out, U, F>
    where
        P::Out: Data + Clone + Sync,
        U: Send + 'static,
        F: Fn(P::Out) -> A + Send + Sync + 'static,
        A: Future<Output = Result<U, UserError>> + Send,
    {
        let function = AsyncClosure::new(&calls, function);
        self.async_process(calls, function)
    }

    /// Calls a system by its client for each record, as [`async_map`](Self::async_map) does: `request` makes the request,
    /// and `result` what is emitted for the record and its answer. In the simulator, a simulated system answers.
    ///
    /// ```
    /// # use reflow_api::{Client, async_calls::AsyncCalls};
    /// # use {reflow_stream::{Pipeline, Stream}, std::sync::Arc};
    /// fn named<Directory: Client<Request = u64, Answer = String>>(
    ///     orders: Stream<impl Pipeline<Out = (u64, i64)>>,
    ///     directory: Arc<Directory>,
    /// ) -> Stream<impl Pipeline<Out = (String, i64)>> {
    ///     let request = |(customer, _): &(u64, i64)| *customer;
    ///     orders.async_call(directory, AsyncCalls::ordered(), request, |(_, cents), name| Ok((name, cents)))
    /// }
    /// ```
    pub fn async_call<C, U, F, G>(
        self,
        client: Arc<C>,
        calls: AsyncCalls,
        request: F,
        result: G,
    ) -> Asked<C, P::Out, U, F, G>
    where
        P::Out: Data,
        C: Client,
        U: Send + 'static,
        F: FnMut(&P::Out) -> C::Request + Clone + Send + 'static,
        G: FnMut(P::Out, C::Answer) -> Result<U, UserError> + Clone + Send + 'static,
    {
        self.async_process(calls, ClientCalls::new(client, request, result))
    }

    /// Runs an asynchronous function that is opened and closed, and that emits any number of records for each. Begins a new
    /// chain. [`AsyncFunction`] has an example.
    ///
    /// ```
    /// # use reflow_api::AsyncFunction;
    /// # use reflow_api::AsyncCalls;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job<F: AsyncFunction<In = u64, Out = String>>(accounts: Stream<impl Pipeline<Out = u64>>, look_up: F) {
    /// let names = accounts.async_process(AsyncCalls::ordered(), look_up);
    /// # }
    /// ```
    pub fn async_process<Q>(self, calls: AsyncCalls, function: Q) -> Stream<AsyncHead<Q>>
    where
        P::Out: Data,
        Q: AsyncFunction<In = P::Out, Out: Send + 'static>,
    {
        let (env, input) = self.ship(Shipping::Forward, NoKey, None);
        begin(env, HeadDraft::Edges(vec![input]), AsyncHead::new(calls, function))
    }
}

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// As [`Stream::async_map`], where the records under way move with their key. With ordered results, the order of a key's
    /// records is kept over restarts and rescales.
    ///
    /// ```
    /// # use {reflow_api::async_calls::AsyncCalls, reflow_network::output::KeySelector, reflow_stream::{KeyedStream, Pipeline}};
    /// # fn job<P: Pipeline<Out = (u64, i64)>, F: KeySelector<(u64, i64), Key = u64>>(orders: KeyedStream<P, F>) {
    /// let checked = orders.async_map(AsyncCalls::ordered(), |order| async move { Ok(order) });
    /// # let _ = checked;
    /// # }
    /// ```
    pub fn async_map<U, G, A>(self, calls: AsyncCalls, function: G) -> Mapped<P::Out, U, G>
    where
        P::Out: Clone + Sync,
        U: Send + 'static,
        G: Fn(P::Out) -> A + Send + Sync + 'static,
        A: Future<Output = Result<U, UserError>> + Send,
    {
        let function = AsyncClosure::new(&calls, function);
        self.async_process(calls, function)
    }

    /// As [`Stream::async_call`], where the records under way move with their key.
    pub fn async_call<C, U, G, H>(
        self,
        client: Arc<C>,
        calls: AsyncCalls,
        request: G,
        result: H,
    ) -> Asked<C, P::Out, U, G, H>
    where
        C: Client,
        U: Send + 'static,
        G: FnMut(&P::Out) -> C::Request + Clone + Send + 'static,
        H: FnMut(P::Out, C::Answer) -> Result<U, UserError> + Clone + Send + 'static,
    {
        self.async_process(calls, ClientCalls::new(client, request, result))
    }

    /// As [`Stream::async_process`], where the records under way move with their key.
    pub fn async_process<Q>(self, calls: AsyncCalls, function: Q) -> Stream<AsyncHead<Q>>
    where
        Q: AsyncFunction<In = P::Out, Out: Send + 'static>,
    {
        let (env, input) = self.stream.ship(Shipping::Hash, self.key, None);
        begin(env, HeadDraft::Keyed(vec![input]), AsyncHead::new(calls, function))
    }
}

fn begin<Q>(env: SharedDraft, head: HeadDraft, pipeline: AsyncHead<Q>) -> Stream<AsyncHead<Q>>
where
    Q: AsyncFunction<Out: Send + 'static>,
{
    Stream::begin(env, "async", "Async".to_owned(), head, pipeline)
}
