//! Interval joins: pairs of records whose times are close to each other.
//!
//! The records of each stream are kept by key in the order of their times. So a record finds those that match it without
//! looking at others, and those that nothing can match any more are the first.

use super::{AT_ONCE, Buffer, JoinHead, Place, check_time, join, keep};
use crate::connected::ConnectedKeyedStreams;
use crate::keyed::{KeyedInputs, KeyedStream};
use crate::pipeline::Pipeline;
use crate::stream::Stream;
use reflow_api::states::{SortedMapState, States};
use reflow_api::{
    Context, Data, Either, JoinContext, OutputTag, Outputs, ProcessFunction, ProcessJoinFunction,
    RuntimeContext, TimeBound, TimeDomain, UserError,
};
use reflow_network::output::KeySelector;
use reflow_types::{Key, Timestamp};
use std::marker::PhantomData;

/// Two keyed streams whose records are matched by their times; see [`KeyedStream::interval_join`].
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct IntervalJoin<I> {
    inputs: I,
}

/// An interval join with its bounds; see [`KeyedStream::interval_join`].
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct IntervalJoined<I, A, B> {
    inputs: I,
    interval: Interval<A, B>,
}

/// What a closure returns for each pair.
type JoinedPairs<I, A, B, J> =
    Stream<JoinHead<I, JoinIntervals<A, B, PairFunction<<I as KeyedInputs>::Key, A, B, J>>>>;

/// Which pairs match, and what happens to late records.
struct Interval<A, B> {
    /// The first time of right records that match, relative to the left one.
    lower_ms: i64,
    /// The last time of right records that match, relative to the left one.
    upper_ms: i64,
    left_late: Option<OutputTag<A>>,
    right_late: Option<OutputTag<B>>,
}

impl<A, B> Clone for Interval<A, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, B> Copy for Interval<A, B> {}

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// Matches each record of this stream, the left one, with the records of the right stream that have the same key and
    /// whose event time is in an interval relative to its own.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # use std::time::Duration;
    /// use reflow_api::TimeBound;
    ///
    /// # fn job<P, F, Q, G>(orders: KeyedStream<P, F>, payments: KeyedStream<Q, G>)
    /// # where
    /// #     P: Pipeline<Out = (u64, String)>,
    /// #     Q: Pipeline<Out = (u64, f64)>,
    /// #     F: KeySelector<(u64, String), Key = u64>,
    /// #     G: KeySelector<(u64, f64), Key = u64>,
    /// # {
    /// // Payments within an hour of their order.
    /// let paid = orders
    ///     .interval_join(payments)
    ///     .between(TimeBound::after(Duration::ZERO), TimeBound::after(Duration::from_secs(3_600)))
    ///     .join(|customer, (_, item), (_, amount)| format!("{customer} paid {amount} for {item}"));
    /// # let _ = paid;
    /// # }
    /// ```
    ///
    /// A pair is found when its later record arrives. A record is kept until the watermark, which is the lower one of both
    /// streams, has passed all times that match it. A record costs what it matches, however many are kept.
    pub fn interval_join<Q, G>(
        self,
        right: KeyedStream<Q, G>,
    ) -> IntervalJoin<ConnectedKeyedStreams<P, F, Q, G>>
    where
        Q: Pipeline<Out: Data>,
        G: KeySelector<Q::Out, Key = F::Key>,
    {
        IntervalJoin { inputs: self.connect(right) }
    }
}

impl<I, A, B> IntervalJoin<I>
where
    I: KeyedInputs<Record = Either<A, B>>,
    A: Data,
    B: Data,
{
    /// Sets the interval. Both bounds are relative to the time of the left record.
    ///
    /// # Panics
    /// If no time is in the interval, because `lower` is above `upper`.
    pub fn between(self, lower: TimeBound, upper: TimeBound) -> IntervalJoined<I, A, B> {
        let (lower_ms, upper_ms) = (lower.first_ms(), upper.last_ms());
        assert!(
            lower_ms <= upper_ms,
            "no record matches an interval join between {lower:?} and {upper:?}: the lower bound comes first"
        );
        let interval = Interval { lower_ms, upper_ms, left_late: None, right_late: None };
        IntervalJoined { inputs: self.inputs, interval }
    }
}

impl<I, A, B> IntervalJoined<I, A, B>
where
    I: KeyedInputs<Record = Either<A, B>>,
    A: Data,
    B: Data,
{
    /// Sends late records of the left stream, which are matched with nothing, to a side output instead of dropping and
    /// counting them. A record is late if the watermark has reached its time.
    pub fn left_late_output(mut self, tag: &OutputTag<A>) -> Self {
        self.interval.left_late = Some(*tag);
        self
    }

    /// As [`left_late_output`](Self::left_late_output), for the right stream.
    ///
    /// ```
    /// # use reflow_api::TimeBound;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # use reflow_api::OutputTag;
    /// # fn job(orders: Stream<impl Pipeline<Out = (u64, String)>>, payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let (orders, payments) = (orders.key_by(|order| order.0), payments.key_by(|payment| payment.0));
    /// let (at_once, an_hour_later) = (TimeBound::after(Duration::ZERO), TimeBound::after(Duration::from_secs(3_600)));
    /// let joined = orders.interval_join(payments).between(at_once, an_hour_later);
    /// let joined = joined.left_late_output(&OutputTag::new("late orders")).right_late_output(&OutputTag::new("late payments"));
    /// let paid = joined.join(|_, order, payment| (order.1.clone(), payment.1));
    /// # }
    /// ```
    pub fn right_late_output(mut self, tag: &OutputTag<B>) -> Self {
        self.interval.right_late = Some(*tag);
        self
    }

    /// Emits what `function` returns for each pair of a left and a right record.
    pub fn join<U, J>(self, function: J) -> JoinedPairs<I, A, B, J>
    where
        U: Send + 'static,
        J: Fn(&I::Key, &A, &B) -> U + Clone + Send + 'static,
    {
        self.process(PairFunction(function, PhantomData))
    }

    /// Calls `function` for each pair of a left and a right record.
    ///
    /// ```
    /// # use reflow_api::TimeBound;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use std::time::Duration;
    /// # use reflow_api::ProcessJoinFunction;
    /// # fn job<F: ProcessJoinFunction<Key = u64, Left = (u64, String), Right = (u64, f64), Out = String>>(orders: Stream<impl Pipeline<Out = (u64, String)>>, payments: Stream<impl Pipeline<Out = (u64, f64)>>, pay: F) {
    /// # let (orders, payments) = (orders.key_by(|order| order.0), payments.key_by(|payment| payment.0));
    /// let (at_once, an_hour_later) = (TimeBound::after(Duration::ZERO), TimeBound::after(Duration::from_secs(3_600)));
    /// let joined = orders.interval_join(payments).between(at_once, an_hour_later);
    /// let paid = joined.process(pay);
    /// # }
    /// ```
    pub fn process<Q>(self, function: Q) -> Stream<JoinHead<I, JoinIntervals<A, B, Q>>>
    where
        Q: ProcessJoinFunction<Key = I::Key, Left = A, Right = B, Out: Send + 'static>,
    {
        let function = JoinIntervals { interval: self.interval, function };
        join(self.inputs, "interval-join", "Interval join", function)
    }
}

/// A closure as a [`ProcessJoinFunction`].
pub struct PairFunction<K, A, B, J>(J, PhantomData<fn(K, A, B)>);

impl<K, A, B, J: Clone> Clone for PairFunction<K, A, B, J> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K, A, B, U, J> ProcessJoinFunction for PairFunction<K, A, B, J>
where
    K: Key,
    A: 'static,
    B: 'static,
    J: Fn(&K, &A, &B) -> U + Clone + Send + 'static,
{
    type Key = K;
    type Left = A;
    type Right = B;
    type Out = U;

    #[inline]
    fn process(
        &mut self,
        context: &mut impl JoinContext<K, U>,
        left: &A,
        right: &B,
    ) -> Result<(), UserError> {
        let result = (self.0)(context.key(), left, right);
        context.emit(result);
        Ok(())
    }
}

/// The records that may still match.
#[derive(States)]
pub struct Buffers<A, B> {
    left: SortedMapState<Place, A>,
    right: SortedMapState<Place, B>,
}

/// The operator of interval joins.
pub struct JoinIntervals<A, B, Q> {
    interval: Interval<A, B>,
    function: Q,
}

impl<A, B, Q: Clone> Clone for JoinIntervals<A, B, Q> {
    fn clone(&self) -> Self {
        Self { interval: self.interval, function: self.function.clone() }
    }
}

/// The context of a pair.
struct OfPair<'a, O> {
    outputs: &'a mut O,
    left: Timestamp,
    right: Timestamp,
}

impl<K, Out, O: Outputs<K, Out>> JoinContext<K, Out> for OfPair<'_, O> {
    fn runtime(&self) -> &RuntimeContext {
        self.outputs.runtime()
    }

    fn key(&self) -> &K {
        self.outputs.key()
    }

    fn left_timestamp(&self) -> Timestamp {
        self.left
    }

    fn right_timestamp(&self) -> Timestamp {
        self.right
    }

    fn watermark(&self) -> Timestamp {
        self.outputs.watermark()
    }

    #[inline]
    fn emit(&mut self, value: Out) {
        self.outputs.emit_at(self.left.max(self.right), value);
    }

    fn emit_to<T: Data>(&mut self, tag: &OutputTag<T>, value: T) {
        self.outputs.emit_to_at(self.left.max(self.right), tag, value);
    }
}

/// Removes records whose time is at most `until`, and not more than `left` of them. Returns the time of the first one that
/// remains.
fn expire<K: Key, V: Data>(
    buffer: &mut Buffer<'_, K, V>,
    until: Timestamp,
    left: &mut usize,
) -> Option<Timestamp> {
    loop {
        let first = *buffer.first()?.0;
        if first.0 > until || *left == 0 {
            return Some(first.0);
        }
        buffer.remove(&first);
        *left -= 1;
    }
}

impl<A, B, Q> ProcessFunction for JoinIntervals<A, B, Q>
where
    A: Data,
    B: Data,
    Q: ProcessJoinFunction<Left = A, Right = B>,
{
    type Key = Q::Key;
    type In = Either<A, B>;
    type Out = Q::Out;
    type State = Buffers<A, B>;

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.function.close()
    }

    fn process(
        &mut self,
        context: &mut impl Context<Q::Key, Buffers<A, B>, Q::Out>,
        record: Either<A, B>,
    ) -> Result<(), UserError> {
        let Self { interval: Interval { lower_ms, upper_ms, left_late, right_late }, function } = self;
        let (time, watermark) = (context.timestamp(), context.watermark());
        check_time(time)?;
        // The record is kept as long as a record that is not late can match it.
        let (keeps_until, is_earliest) = {
            let (mut buffers, mut outputs) = context.states_and_outputs();
            match record {
                Either::First(record) if time <= watermark => {
                    outputs.late(*left_late, record, time);
                    return Ok(());
                }
                Either::Second(record) if time <= watermark => {
                    outputs.late(*right_late, record, time);
                    return Ok(());
                }
                Either::First(record) => {
                    let first = (time.saturating_add(*lower_ms), 0);
                    let last = (time.saturating_add(*upper_ms), u32::MAX);
                    for ((right, _), other) in buffers.right.range(first..=last) {
                        let mut pair = OfPair { outputs: &mut outputs, left: time, right: *right };
                        function.process(&mut pair, &record, other)?;
                    }
                    (last.0, last.0 > watermark && keep(&mut buffers.left, time, record))
                }
                Either::Second(record) => {
                    let first = (time.saturating_sub(*upper_ms), 0);
                    let last = (time.saturating_sub(*lower_ms), u32::MAX);
                    for ((left, _), other) in buffers.left.range(first..=last) {
                        let mut pair = OfPair { outputs: &mut outputs, left: *left, right: time };
                        function.process(&mut pair, other, &record)?;
                    }
                    (last.0, last.0 > watermark && keep(&mut buffers.right, time, record))
                }
            }
        };
        // The timer of the earliest record registers that of the next one.
        if is_earliest {
            context.register_timer(TimeDomain::Event, keeps_until);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<Q::Key, Buffers<A, B>, Q::Out>,
        _: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        let Interval { lower_ms, upper_ms, .. } = self.interval;
        let (watermark, mut left) = (context.watermark(), AT_ONCE);
        let mut buffers = context.states();
        let left_until = watermark.saturating_sub(upper_ms);
        let next_left = expire(&mut buffers.left, left_until, &mut left);
        let right_until = watermark.saturating_add(lower_ms);
        let next_right = expire(&mut buffers.right, right_until, &mut left);
        let next_left = next_left.map(|time| time.saturating_add(upper_ms));
        let next_right = next_right.map(|time| time.saturating_sub(lower_ms));
        if let Some(next) = next_left.into_iter().chain(next_right).min() {
            context.register_timer(TimeDomain::Event, next);
        }
        Ok(())
    }
}
