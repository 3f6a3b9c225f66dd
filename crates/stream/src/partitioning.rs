//! Exchanges that choose the receivers of records otherwise than by key, and merge streams.
//!
//! The bound `Data` is on methods where the type of records is more often one of the user's own, so that the compiler
//! names the type without `Data` and the remedy instead of a missing method.

use crate::draft::HeadDraft;
use crate::pipeline::{GateHead, Pipeline};
use crate::stream::{Copy, Stream};
use reflow_api::Data;
use reflow_graph::Shipping;
use reflow_network::output::{ByChannel, KeySelector, NoKey};
use std::marker::PhantomData;

impl<P: Pipeline> Stream<P> {
    fn reship(
        self,
        kind: &'static str,
        name: &str,
        shipping: Shipping,
        copy: Copy<P::Out>,
    ) -> Stream<GateHead<P::Out>>
    where
        P::Out: Data,
    {
        let (env, input) = self.ship(shipping, NoKey, copy);
        Stream::begin(env, kind, name.to_owned(), HeadDraft::Edges(vec![input]), GateHead(PhantomData))
    }

    /// Sends records to the subtasks in turn. Their order is not kept.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let spread = payments.rebalance();
    /// # }
    /// ```
    pub fn rebalance(self) -> Stream<GateHead<P::Out>>
    where
        P::Out: Data,
    {
        self.reship("rebalance", "Rebalance", Shipping::Rebalance, None)
    }

    /// Sends each record to every subtask.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let everywhere = payments.broadcast();
    /// # }
    /// ```
    pub fn broadcast(self) -> Stream<GateHead<P::Out>>
    where
        P::Out: Data + Clone,
    {
        self.reship("broadcast", "Broadcast", Shipping::Broadcast, Some(Clone::clone))
    }

    /// Ends the chain. What follows runs in a task of its own and may have another parallelism.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let amounts = payments.start_new_chain().map(|(_, amount)| amount);
    /// # }
    /// ```
    pub fn start_new_chain(self) -> Stream<GateHead<P::Out>>
    where
        P::Out: Data,
    {
        self.reship("chain", "Chain", Shipping::Forward, None)
    }

    /// Merges this stream with another one.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>, refunds: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let all = payments.union(refunds.map(|(account, amount)| (account, -amount)));
    /// # }
    /// ```
    pub fn union<Q: Pipeline<Out = P::Out>>(self, other: Stream<Q>) -> Stream<GateHead<P::Out>>
    where
        P::Out: Data,
    {
        let (env, first) = self.ship(Shipping::Forward, NoKey, None);
        let (_, second) = other.ship(Shipping::Forward, NoKey, None);
        let head = HeadDraft::Edges(vec![first, second]);
        Stream::begin(env, "union", "Union".to_owned(), head, GateHead(PhantomData))
    }

    /// Merges this stream with all of the others, which are of one type: those of a loop have it, others are
    /// [boxed](Self::boxed).
    ///
    /// ```
    /// # use reflow_stream::{BoxedStream, Pipeline, Stream};
    /// fn readings(
    ///     first: Stream<impl Pipeline<Out = f64>>,
    ///     others: Vec<BoxedStream<f64>>,
    /// ) -> Stream<impl Pipeline<Out = f64>> {
    ///     first.union_all(others)
    /// }
    /// ```
    pub fn union_all<Q: Pipeline<Out = P::Out>>(
        self,
        others: impl IntoIterator<Item = Stream<Q>>,
    ) -> Stream<GateHead<P::Out>>
    where
        P::Out: Data,
    {
        let (env, first) = self.ship(Shipping::Forward, NoKey, None);
        let edges = others.into_iter().map(|other| other.ship(Shipping::Forward, NoKey, None).1);
        let head = HeadDraft::Edges(std::iter::once(first).chain(edges).collect());
        Stream::begin(env, "union", "Union".to_owned(), head, GateHead(PhantomData))
    }
}

impl<P: Pipeline<Out: Data>> Stream<P> {
    fn exchanged<F: KeySelector<P::Out>>(
        self,
        name: &str,
        shipping: Shipping,
        key: F,
    ) -> Stream<GateHead<P::Out>> {
        let (env, input) = self.ship(shipping, key, None);
        Stream::begin(env, "partition", name.to_owned(), HeadDraft::Edges(vec![input]), GateHead(PhantomData))
    }

    /// Sends each record to a subtask that is chosen at random. Their order is not kept.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let spread = payments.shuffle();
    /// # }
    /// ```
    pub fn shuffle(self) -> Stream<GateHead<P::Out>> {
        self.exchanged("Shuffle", Shipping::Shuffle, NoKey)
    }

    /// Sends records in turn, as [`rebalance`](Self::rebalance) does, but each subtask only to a few others, so that there
    /// are fewer channels. From 2 subtasks to 6, each sends to 3; from 6 to 2, each sends to one. It evens out only
    /// what is uneven within such a part.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let spread = payments.rescale().parallelism(6);
    /// # }
    /// ```
    pub fn rescale(self) -> Stream<GateHead<P::Out>> {
        self.exchanged("Rescale", Shipping::Rescale, NoKey)
    }

    /// Sends all records to the first subtask of what follows. The other subtasks get none, so set a
    /// [`parallelism`](Self::parallelism) of 1 where the scheduler mode allows it.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let in_one_subtask = payments.global();
    /// # }
    /// ```
    pub fn global(self) -> Stream<GateHead<P::Out>> {
        self.exchanged("Global", Shipping::Global, NoKey)
    }

    /// Sends each record to the subtask whose index `partitioner` returns for the record and the current number of
    /// subtasks. A live rescale changes that number. For keyed state, use [`key_by`](Self::key_by): what follows here
    /// has none.
    ///
    /// A number that is not below the number of subtasks fails the attempt.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// fn by_region(orders: Stream<impl Pipeline<Out = (u32, String)>>) -> Stream<impl Pipeline<Out = String>> {
    ///     orders.partition_custom(|(region, _), subtasks| *region as usize % subtasks).map(|(_, order)| order)
    /// }
    /// ```
    pub fn partition_custom<F>(self, partitioner: F) -> Stream<GateHead<P::Out>>
    where
        F: Fn(&P::Out, usize) -> usize + Clone + Send + 'static,
    {
        self.exchanged("Partition", Shipping::Custom, ByChannel(partitioner))
    }
}
