//! Exchanges that choose the receivers of records otherwise than by key.

use crate::draft::HeadDraft;
use crate::pipeline::{GateHead, Pipeline};
use crate::stream::Stream;
use reflow_api::Data;
use reflow_graph::Shipping;
use reflow_network::output::{ByChannel, KeySelector, NoKey};
use std::marker::PhantomData;

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
    pub fn shuffle(self) -> Stream<GateHead<P::Out>> {
        self.exchanged("Shuffle", Shipping::Shuffle, NoKey)
    }

    /// Sends records in turn, as [`rebalance`](Self::rebalance) does, but each subtask only to a few others, so that there
    /// are fewer channels. From 2 subtasks to 6, each sends to 3; from 6 to 2, each sends to one. It evens out only
    /// what is uneven within such a part.
    pub fn rescale(self) -> Stream<GateHead<P::Out>> {
        self.exchanged("Rescale", Shipping::Rescale, NoKey)
    }

    /// Sends all records to the first subtask of what follows. The other subtasks get none, so set a
    /// [`parallelism`](Self::parallelism) of 1 where the scheduler mode allows it.
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
