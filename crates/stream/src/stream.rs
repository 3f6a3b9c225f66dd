//! The streams of a job function that are not keyed.
//!
//! This file, [`keyed`](crate::keyed) and [`windowed`](crate::windowed) name each other, as an iterator and its adaptors do:
//! a call on one kind of stream returns another.

use crate::draft::{HeadDraft, SharedDraft, VertexDraft};
use crate::keyed::KeyedStream;
use crate::pipeline::{
    Boxed, Fallible, FilterLink, FlatMapLink, GateHead, InspectLink, Kept, Link, MapLink, Pipeline,
    ProcessLink, SideOutputs, SplitErrors, Then, ToMany, ToOne, TryLink, WithSideOutput,
};
use crate::sink::SinkHandle;
use reflow_api::{Data, Failed, OnError, OutputTag, Sink, UnkeyedProcessFunction, UserError};
use reflow_graph::{EdgeId, Operator, Shipping, SideOutput};
use reflow_network::output::KeySelector;
use reflow_runtime::declared;
use reflow_runtime::error_handler::errors_tag;
use reflow_runtime::stages::Tail;
use reflow_types::{Key, MaxParallelism};
use std::marker::PhantomData;

/// A stream of records: the end of a chain that is being built.
///
/// Settings ([`uid`](Stream::uid), [`name`](Stream::name)) apply to the last operator. Settings of parallelism
/// apply to the whole chain, because a chain runs as one task.
///
/// An operator consumes the stream that it follows: [`share`](Stream::share) lets several continue from one. The type `P`
/// describes the operators of the chain, so functions take and return streams as `impl Pipeline`, and
/// [`boxed`](Stream::boxed) hides it.
///
/// ```
/// # use reflow_stream::{Pipeline, Stream};
/// /// Payments are pairs of account and amount here and in the examples of the methods.
/// fn large(payments: Stream<impl Pipeline<Out = (u64, f64)>>) -> Stream<impl Pipeline<Out = (u64, f64)>> {
///     payments.filter(|payment| payment.1 >= 10_000.0)
/// }
/// ```
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct Stream<P: Pipeline> {
    pub(crate) env: SharedDraft,
    pub(crate) pipeline: P,
    pub(crate) draft: VertexDraft,
}

/// A stream whose chain is [`boxed`](Stream::boxed), so that its type names only the records.
pub type BoxedStream<T> = Stream<Boxed<T>>;

/// A stream whose last operator sends the records for which its function returns an error to a side output.
type Splitting<P> = Stream<WithSideOutput<<P as SplitErrors>::Split, Failed<<P as SplitErrors>::In>>>;

/// The records for which an operator's function returns an error.
type Errors<P> = Stream<GateHead<Failed<<P as SplitErrors>::In>>>;

/// How a record is copied, for broadcast edges.
pub(crate) type Copy<T> = Option<fn(&T) -> T>;

impl<P: Pipeline> Stream<P> {
    pub(crate) fn begin(
        env: SharedDraft,
        kind: &'static str,
        name: String,
        head: HeadDraft,
        pipeline: P,
    ) -> Self {
        let mut draft = env.borrow_mut().begin(kind, name, head);
        pipeline.declare(&mut draft.operators[0]);
        Self { env, pipeline, draft }
    }

    pub(crate) fn then<L: Link<P::Out>>(
        mut self,
        kind: &'static str,
        name: &str,
        link: L,
    ) -> Stream<Then<P, L>> {
        let mut operator = self.env.borrow_mut().operator(kind, name.to_owned());
        link.declare(&mut operator);
        self.draft.operators.push(operator);
        self.convert(link)
    }

    /// Adds a link that is part of an exchange and no operator of the job.
    pub(crate) fn convert<L: Link<P::Out>>(self, link: L) -> Stream<Then<P, L>> {
        Stream { env: self.env, pipeline: Then { before: self.pipeline, link }, draft: self.draft }
    }

    /// Transforms each record into one record.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let amounts = payments.map(|(_, amount)| amount);
    /// # }
    /// ```
    pub fn map<U, F>(self, function: F) -> Stream<Then<P, MapLink<F, U>>>
    where
        U: Send + 'static,
        F: FnMut(P::Out) -> U + Clone + Send + 'static,
    {
        self.then("map", "Map", MapLink(function, PhantomData))
    }

    /// Keeps the records for which `condition` holds.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let large = payments.filter(|(_, amount)| *amount >= 10_000.0);
    /// # }
    /// ```
    pub fn filter<F>(self, condition: F) -> Stream<Then<P, FilterLink<F>>>
    where
        F: FnMut(&P::Out) -> bool + Clone + Send + 'static,
    {
        self.then("filter", "Filter", FilterLink(condition))
    }

    /// Transforms each record into one record or none.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let accounts = payments.filter_map(|(account, amount)| (amount > 0.0).then_some(account));
    /// # }
    /// ```
    pub fn filter_map<U, F>(self, function: F) -> Stream<Then<P, FlatMapLink<F, Option<U>>>>
    where
        U: Send + 'static,
        F: FnMut(P::Out) -> Option<U> + Clone + Send + 'static,
    {
        self.then("filter-map", "FilterMap", FlatMapLink(function, PhantomData))
    }

    /// Transforms each record into any number of records. The iterator is advanced as the outputs accept records,
    /// so it may yield very many; no checkpoint is taken until it has ended.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let coins = payments.flat_map(|(account, amount)| (0..amount as u64).map(move |_| account));
    /// # }
    /// ```
    pub fn flat_map<I, F>(self, function: F) -> Stream<Then<P, FlatMapLink<F, I>>>
    where
        I: IntoIterator<IntoIter: Send> + 'static,
        I::Item: Send + 'static,
        F: FnMut(P::Out) -> I + Clone + Send + 'static,
    {
        self.then("flat-map", "FlatMap", FlatMapLink(function, PhantomData))
    }

    /// As [`map`](Self::map), with a function that may return an error. An error fails the attempt, unless
    /// [`on_error`](Self::on_error) sets another policy.
    ///
    /// ```
    /// # use {reflow_api::OnError, reflow_stream::{Pipeline, Stream}};
    /// fn numbers(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = u64>> {
    ///     lines.try_map(|line| Ok(line.parse()?)).on_error(OnError::Skip)
    /// }
    /// ```
    pub fn try_map<U, F>(self, function: F) -> Stream<Then<P, TryLink<F, ToOne<U>>>>
    where
        U: Send + 'static,
        F: FnMut(P::Out) -> Result<U, UserError> + Clone + Send + 'static,
    {
        self.then_try("map", "Map", function)
    }

    /// As [`filter`](Self::filter), with a condition that may return an error.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// fn high(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = String>> {
    ///     lines.try_filter(|line| Ok(line.parse::<u64>()? >= 10))
    /// }
    /// ```
    pub fn try_filter<F>(self, condition: F) -> Stream<Then<P, TryLink<F, Kept>>>
    where
        F: FnMut(&P::Out) -> Result<bool, UserError> + Clone + Send + 'static,
    {
        self.then_try("filter", "Filter", condition)
    }

    /// As [`flat_map`](Self::flat_map), with a function that may return an error. It returns all records or none.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// fn numbers(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = u64>> {
    ///     lines.try_flat_map(|line| {
    ///         let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
    ///         Ok(numbers?)
    ///     })
    /// }
    /// ```
    pub fn try_flat_map<I, F>(self, function: F) -> Stream<Then<P, TryLink<F, ToMany<I>>>>
    where
        I: IntoIterator<IntoIter: Send> + 'static,
        I::Item: Send + 'static,
        F: FnMut(P::Out) -> Result<I, UserError> + Clone + Send + 'static,
    {
        self.then_try("flat-map", "FlatMap", function)
    }

    fn then_try<F, K>(self, kind: &'static str, name: &str, function: F) -> Stream<Then<P, TryLink<F, K>>>
    where
        TryLink<F, K>: Link<P::Out>,
    {
        let place = self.draft.operators.len();
        self.then(kind, name, TryLink { function, place, on_error: OnError::default(), kind: PhantomData })
    }

    /// Runs a function that is opened and closed, and that emits any number of records for each record.
    /// [`on_error`](Self::on_error) sets how a record is handled for which it returns an error.
    /// [`UnkeyedProcessFunction`] has an example.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::UnkeyedProcessFunction;
    /// # fn job<F: UnkeyedProcessFunction<In = (u64, f64), Out = String>>(payments: Stream<impl Pipeline<Out = (u64, f64)>>, audit: F) {
    /// let audited = payments.process(audit).name("Audit");
    /// # }
    /// ```
    pub fn process<Q>(self, function: Q) -> Stream<Then<P, ProcessLink<Q>>>
    where
        Q: UnkeyedProcessFunction<In = P::Out, Out: Send + 'static>,
        P::Out: 'static,
    {
        let place = self.draft.operators.len();
        let link = ProcessLink { function, place, on_error: OnError::default(), errors: PhantomData };
        self.then("process", "Process", link)
    }

    /// Sets how a record is handled for which the last operator's function returns an error. The default is
    /// [`OnError::Fail`]. It must follow `try_map`, `try_filter`, `try_flat_map` or `process`; after other
    /// operators it does not compile:
    ///
    /// ```compile_fail
    /// # use {reflow_api::OnError, reflow_stream::{Pipeline, Stream}};
    /// # fn lengths(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = usize>> {
    /// lines.map(|line| line.len()).on_error(OnError::Skip)
    /// # }
    /// ```
    pub fn on_error(mut self, policy: OnError) -> Self
    where
        P: Fallible,
    {
        self.pipeline.set_on_error(policy);
        self
    }

    /// Takes a side output of the last operator: the records that its function emits by
    /// [`emit_to`](reflow_api::Context::emit_to) with a tag of this name. Returns this stream and that of the side output,
    /// which begins a chain of its own. Several are taken one after another. Each can be taken once, and goes on to
    /// several operators if it is [shared](Self::share).
    ///
    /// ```
    /// # use reflow_api::{OutputTag, UnkeyedProcessFunction};
    /// # use reflow_stream::{Pipeline, Stream};
    /// const BROKEN: OutputTag<String> = OutputTag::new("broken");
    ///
    /// fn parse<Parse>(lines: Stream<impl Pipeline<Out = String>>, parse: Parse)
    /// # -> (Stream<impl Pipeline<Out = u64>>, Stream<impl Pipeline<Out = String>>)
    /// where
    ///     Parse: UnkeyedProcessFunction<In = String, Out = u64>,
    /// {
    ///     let (numbers, broken) = lines.process(parse).name("Parse").side_output(&BROKEN);
    ///     # (numbers, broken)
    /// }
    /// ```
    ///
    /// It must directly follow an operator with side outputs; behind others it does not compile:
    ///
    /// ```compile_fail
    /// # use {reflow_api::OutputTag, reflow_stream::{Pipeline, Stream}};
    /// # fn lengths(lines: Stream<impl Pipeline<Out = String>>) {
    /// let (lengths, broken) = lines.map(|line| line.len()).side_output(&OutputTag::<String>::new("broken"));
    /// # }
    /// ```
    pub fn side_output<T: Data>(
        self,
        tag: &OutputTag<T>,
    ) -> (Stream<WithSideOutput<P, T>>, Stream<GateHead<T>>)
    where
        P: SideOutputs,
    {
        self.take_side_output(*tag)
    }

    fn take_side_output<T: Data>(
        self,
        tag: OutputTag<T>,
    ) -> (Stream<WithSideOutput<P, T>>, Stream<GateHead<T>>) {
        let side_output = SideOutput { operator: self.draft.operators.len() - 1, tag: tag.name().to_owned() };
        let (env, draft) = (self.env, self.draft);
        let edge = env.borrow_mut().reserve_edge(draft.index, Shipping::Forward, Some(side_output));
        let (name, head) = (format!("Side output: {}", tag.name()), HeadDraft::Edges(vec![edge]));
        let side = Stream::begin(env.clone(), "side-output", name, head, GateHead(PhantomData));
        (Stream { env, pipeline: WithSideOutput { before: self.pipeline, tag, edge }, draft }, side)
    }

    /// Splits off the records for which the last operator's function returns an error, each with its error. It follows
    /// `try_map`, `try_filter`, `try_flat_map` or `process`. Returns the stream of results and that of [`Failed`] records,
    /// as [`side_output`](Self::side_output) does. They count as `numRecordsInErrors`. Each record is cloned before the
    /// call. What a process function did before it returned the error stays; an error of a timer has no record, and is
    /// handled as [`on_error`](Self::on_error) says.
    ///
    /// ```
    /// # use reflow_api::Failed;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn numbers(lines: Stream<impl Pipeline<Out = String>>)
    /// # -> (Stream<impl Pipeline<Out = u64>>, Stream<impl Pipeline<Out = String>>) {
    /// let (numbers, failed) = lines.try_map(|line| Ok(line.parse::<u64>()?)).split_errors();
    /// let failed = failed.map(|Failed { record, error }| format!("{record}: {error}"));
    /// # (numbers, failed)
    /// # }
    /// ```
    pub fn split_errors(self) -> (Splitting<P>, Errors<P>)
    where
        P: SplitErrors<In: Data + Clone>,
    {
        let pipeline = self.pipeline.split_errors();
        Stream { env: self.env, pipeline, draft: self.draft }.take_side_output(errors_tag())
    }

    /// Calls a function with a reference to each record.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let payments = payments.inspect(|(account, amount)| eprintln!("{account} pays {amount}"));
    /// # }
    /// ```
    pub fn inspect<F>(self, function: F) -> Stream<Then<P, InspectLink<F>>>
    where
        F: FnMut(&P::Out) + Clone + Send + 'static,
    {
        self.then("inspect", "Inspect", InspectLink(function))
    }

    /// Hides the type of the chain, so that all streams of the same records have the same type. This is for jobs
    /// whose operators depend on arguments. Each record costs an indirect call.
    ///
    /// ```
    /// # use reflow_stream::{BoxedStream, Pipeline, Stream};
    /// fn cleaned(orders: Stream<impl Pipeline<Out = i64>>, positive: bool) -> BoxedStream<i64> {
    ///     if positive { orders.filter(|cents| *cents > 0).boxed() } else { orders.boxed() }
    /// }
    /// ```
    pub fn boxed(self) -> BoxedStream<P::Out> {
        Stream { env: self.env, pipeline: Boxed::new(self.pipeline), draft: self.draft }
    }

    /// Sets the uid of the last operator, by which its state is found in a savepoint. It must be unique in the job.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let sums = payments.key_by(|payment| payment.0).sum(|payment| payment.1).uid("sums");
    /// # }
    /// ```
    pub fn uid(mut self, uid: &str) -> Self {
        self.last_operator().set_uid(uid);
        self
    }

    /// Sets the displayed name of the last operator.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let large = payments.filter(|(_, amount)| *amount >= 10_000.0).name("Large payments");
    /// # }
    /// ```
    pub fn name(mut self, name: &str) -> Self {
        self.last_operator().name = name.to_owned();
        self
    }

    pub(crate) fn last_operator(&mut self) -> &mut Operator {
        self.draft.operators.last_mut().expect("a chain has a head")
    }

    /// Sets the parallelism of the chain. Ignored in reactive mode.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let amounts = payments.rebalance().map(|(_, amount)| amount).parallelism(4);
    /// # }
    /// ```
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.draft.parallelism = Some(parallelism);
        self
    }

    /// Sets the max parallelism of the chain, 1 to 32768. It limits the parallelism and is the number of key
    /// groups.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let sums = payments.key_by(|payment| payment.0).sum(|payment| payment.1).max_parallelism(128);
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it is out of range.
    pub fn max_parallelism(mut self, max: u32) -> Self {
        match MaxParallelism::new(max) {
            Ok(max) => self.draft.max_parallelism = Some(max),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// Sets the slot sharing group of the chain. Chains of different groups do not share slots.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let amounts = payments.rebalance().map(|(_, amount)| amount).slot_sharing_group("amounts");
    /// # }
    /// ```
    pub fn slot_sharing_group(mut self, group: &str) -> Self {
        self.draft.slot_sharing_group = Some(group.to_owned());
        self
    }

    /// Ends the chain with a sink.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::Sink;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>, out: impl Sink<Item = (u64, f64)>) {
    /// payments.sink("payments", out).uid("payments");
    /// # }
    /// ```
    pub fn sink<S>(mut self, name: &str, sink: S) -> SinkHandle<P::Out>
    where
        S: Sink<Item = P::Out>,
        P::Out: 'static,
    {
        let mut operator = self.env.borrow_mut().operator("sink", format!("Sink: {name}"));
        operator.commits = sink.commits();
        operator.lists = declared::lists_of_sink();
        self.draft.operators.push(operator);
        SinkHandle::chained(self, sink)
    }
}

/// Exchanges. The bound `Data` on records is on each method, not on the block, so that the compiler names the
/// type without `Data` and the remedy instead of a missing method.
impl<P: Pipeline> Stream<P> {
    /// Ends the chain with an edge to another task.
    pub(crate) fn ship<F: KeySelector<P::Out>>(
        self,
        shipping: Shipping,
        key: F,
        copy: Copy<P::Out>,
    ) -> (SharedDraft, EdgeId)
    where
        P::Out: Data,
    {
        let mut env = self.env.borrow_mut();
        let vertex = env.add_vertex(self.draft);
        let edge = env.reserve_edge(vertex, shipping, None);
        let pipeline = self.pipeline;
        env.add_factory(
            vertex,
            Box::new(move |context| {
                let output = context.output::<P::Out, F>(edge, key.clone(), copy);
                pipeline.build(Tail::new(output), context)
            }),
        );
        drop(env);
        (self.env, edge)
    }

    /// Partitions the stream by key: one subtask gets all records of a key and has that key's state.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let sums = payments.key_by(|payment| payment.0).sum(|payment| payment.1);
    /// # }
    /// ```
    ///
    /// Records are [`Data`], and keys are [`Key`]:
    ///
    /// ```compile_fail,E0277
    /// # use reflow_stream::{Pipeline, Stream};
    /// struct Reading { car: u64 } // needs `#[derive(Data)]`
    /// fn by_car(readings: Stream<impl Pipeline<Out = Reading>>) {
    ///     let _ = readings.key_by(|reading| reading.car);
    /// }
    /// ```
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<P, F>
    where
        P::Out: Data,
        K: Key,
        F: Fn(&P::Out) -> K + Clone + Send + 'static,
    {
        KeyedStream { stream: self, key }
    }
}
