//! Temporal joins: each record of one stream with the version of the other stream that is valid at its time.
//!
//! A record waits until the watermark has reached its time, because only then all versions up to there are known. Of the
//! versions that the watermark has passed only the last one is kept.

use super::{AT_ONCE, JoinHead, Place, check_time, join, keep};
use crate::connected::ConnectedKeyedStreams;
use crate::keyed::{KeyedInputs, KeyedStream};
use crate::pipeline::Pipeline;
use crate::stream::Stream;
use reflow_api::states::{Forever, Map, Sorted, SortedMapState, States};
use reflow_api::{Context, Data, Either, OutputTag, Outputs, ProcessFunction, TimeDomain, UserError};
use reflow_network::output::KeySelector;
use reflow_types::{Key, Timestamp};
use std::marker::PhantomData;
use std::ops::Bound;

/// A keyed stream and the versions that its records are joined with; see [`KeyedStream::temporal_join`].
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct TemporalJoin<I, A, B, X = fn(&B) -> bool> {
    inputs: I,
    deletes: X,
    late: Option<OutputTag<A>>,
    versions: PhantomData<fn(B)>,
}

/// What a function returns for each record and the version at its time.
type JoinedVersions<I, A, B, X, J> = Stream<JoinHead<I, JoinVersions<<I as KeyedInputs>::Key, A, B, X, J>>>;

/// What a function returns for each record and the latest version.
type LookedUp<I, A, B, X, J> = Stream<JoinHead<I, LookUp<<I as KeyedInputs>::Key, A, B, X, J>>>;

impl<P: Pipeline<Out: Data>, F: KeySelector<P::Out>> KeyedStream<P, F> {
    /// Matches each record of this stream with a record of `versions`: that of its key which is valid at its event time.
    /// A version is valid from its own event time until that of the next version of the key. If several have the same
    /// time, the last one counts.
    ///
    /// ```
    /// # use reflow_network::output::KeySelector;
    /// # use reflow_stream::{KeyedStream, Pipeline};
    /// # fn job<P, F, Q, G>(orders: KeyedStream<P, F>, rates: KeyedStream<Q, G>)
    /// # where
    /// #     P: Pipeline<Out = (String, f64)>,
    /// #     Q: Pipeline<Out = (String, Option<f64>)>,
    /// #     F: KeySelector<(String, f64), Key = String>,
    /// #     G: KeySelector<(String, Option<f64>), Key = String>,
    /// # {
    /// let in_euros = orders
    ///     .temporal_join(rates)
    ///     .deleted_by(|(_, rate)| rate.is_none())
    ///     .join(|_currency, (_, amount), (_, rate)| amount * rate.unwrap_or(1.0));
    /// # let _ = in_euros;
    /// # }
    /// ```
    ///
    /// A record waits until the watermark, which is the lower one of both streams, has reached its time. Versions that are
    /// older than the one at the watermark are dropped; that one is kept for each key until it is deleted. A late version
    /// counts for records that are not late. A late record is dropped and counted, or goes to the
    /// [`late_output`](TemporalJoin::late_output).
    pub fn temporal_join<Q, G>(
        self,
        versions: KeyedStream<Q, G>,
    ) -> TemporalJoin<ConnectedKeyedStreams<P, F, Q, G>, P::Out, Q::Out>
    where
        Q: Pipeline<Out: Data>,
        G: KeySelector<Q::Out, Key = F::Key>,
    {
        TemporalJoin { inputs: self.connect(versions), deletes: |_| false, late: None, versions: PhantomData }
    }
}

impl<I, A, B, X> TemporalJoin<I, A, B, X>
where
    I: KeyedInputs<Record = Either<A, B>>,
    A: Data,
    B: Data,
    X: Fn(&B) -> bool + Clone + Send + 'static,
{
    /// Sets which records of the stream of versions are deletions: from their time on, no version of the key is valid.
    pub fn deleted_by<Y: Fn(&B) -> bool + Clone + Send + 'static>(
        self,
        deletes: Y,
    ) -> TemporalJoin<I, A, B, Y> {
        TemporalJoin { inputs: self.inputs, deletes, late: self.late, versions: PhantomData }
    }

    /// Sends late records to a side output. A record is late if the watermark has reached its time.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::OutputTag;
    /// # fn job(orders: Stream<impl Pipeline<Out = (u64, f64)>>, rates: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let (orders, rates) = (orders.key_by(|order| order.0), rates.key_by(|rate| rate.0));
    /// let joined = orders.temporal_join(rates).late_output(&OutputTag::new("late orders"));
    /// let in_euros = joined.join(|_currency, (_, amount), (_, rate)| amount * rate);
    /// # }
    /// ```
    pub fn late_output(mut self, tag: &OutputTag<A>) -> Self {
        self.late = Some(*tag);
        self
    }

    /// Joins each record with the version that has arrived last when the record arrives, whatever their times. So the
    /// result depends on the order of arrival. Nothing waits, and nothing is late.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(orders: Stream<impl Pipeline<Out = (u64, f64)>>, rates: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let (orders, rates) = (orders.key_by(|order| order.0), rates.key_by(|rate| rate.0));
    /// let joined = orders.temporal_join(rates).in_processing_time();
    /// let in_euros = joined.join(|_currency, (_, amount), (_, rate)| amount * rate);
    /// # }
    /// ```
    pub fn in_processing_time(self) -> LookUpJoin<I, A, B, X> {
        LookUpJoin { inputs: self.inputs, deletes: self.deletes, takes: PhantomData }
    }

    /// Emits what `function` returns for each record and its version. Records without a version are dropped.
    pub fn join<U, J>(self, function: J) -> JoinedVersions<I, A, B, X, Inner<J>>
    where
        U: Send + 'static,
        J: Fn(&I::Key, &A, &B) -> U + Clone + Send + 'static,
    {
        let function = JoinVersions::new(self.deletes, self.late, Inner(function));
        join(self.inputs, "temporal-join", "Temporal join", function)
    }

    /// Emits what `function` returns for each record, with its version if there is one.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # fn job(orders: Stream<impl Pipeline<Out = (u64, f64)>>, rates: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// # let (orders, rates) = (orders.key_by(|order| order.0), rates.key_by(|rate| rate.0));
    /// let joined = orders.temporal_join(rates);
    /// let in_euros = joined.left_join(|_currency, (_, amount), rate| amount * rate.map_or(1.0, |(_, rate)| *rate));
    /// # }
    /// ```
    pub fn left_join<U, J>(self, function: J) -> JoinedVersions<I, A, B, X, LeftOuter<J>>
    where
        U: Send + 'static,
        J: Fn(&I::Key, &A, Option<&B>) -> U + Clone + Send + 'static,
    {
        let function = JoinVersions::new(self.deletes, self.late, LeftOuter(function));
        join(self.inputs, "temporal-join", "Temporal join", function)
    }
}

/// A function of a record and its version.
#[doc(hidden)]
pub trait VersionFunction<K, A, B>: Clone + Send + 'static {
    /// The result.
    type Out;
    /// Returns the result, if there is one.
    fn result(&self, key: &K, record: &A, version: Option<&B>) -> Option<Self::Out>;
}

/// The function of an inner join.
#[derive(Clone)]
pub struct Inner<J>(J);

impl<K, A, B, U, J> VersionFunction<K, A, B> for Inner<J>
where
    J: Fn(&K, &A, &B) -> U + Clone + Send + 'static,
{
    type Out = U;

    #[inline]
    fn result(&self, key: &K, record: &A, version: Option<&B>) -> Option<U> {
        version.map(|version| (self.0)(key, record, version))
    }
}

/// The function of a left outer join.
#[derive(Clone)]
pub struct LeftOuter<J>(J);

impl<K, A, B, U, J> VersionFunction<K, A, B> for LeftOuter<J>
where
    J: Fn(&K, &A, Option<&B>) -> U + Clone + Send + 'static,
{
    type Out = U;

    #[inline]
    fn result(&self, key: &K, record: &A, version: Option<&B>) -> Option<U> {
        Some((self.0)(key, record, version))
    }
}

/// The operator of temporal joins.
pub struct JoinVersions<K, A, B, X, J> {
    deletes: X,
    late: Option<OutputTag<A>>,
    function: J,
    takes: PhantomData<fn(K, B)>,
}

impl<K, A, B, X, J> JoinVersions<K, A, B, X, J> {
    fn new(deletes: X, late: Option<OutputTag<A>>, function: J) -> Self {
        Self { deletes, late, function, takes: PhantomData }
    }
}

impl<K, A, B, X: Clone, J: Clone> Clone for JoinVersions<K, A, B, X, J> {
    fn clone(&self) -> Self {
        Self::new(self.deletes.clone(), self.late, self.function.clone())
    }
}

/// What a temporal join keeps for a key.
#[derive(States)]
pub struct Versions<A, B> {
    /// The records whose time the watermark has not reached.
    waiting: SortedMapState<Place, A>,
    /// The versions by their times; `None` if none is valid from then on.
    versions: SortedMapState<Timestamp, Option<B>>,
}

type Timeline<'a, K, B> = Map<'a, K, Timestamp, Option<B>, Forever, Sorted>;

/// Removes the versions that the one at the watermark has replaced, and not more than `left` of them. Returns whether
/// any remains.
fn drop_replaced<K: Key, B: Data>(
    versions: &mut Timeline<'_, K, B>,
    watermark: Timestamp,
    left: &mut usize,
) -> bool {
    let Some((current, is_deletion)) =
        versions.range(..=watermark).next_back().map(|(time, version)| (*time, version.is_none()))
    else {
        return false;
    };
    while let Some(first) = versions.first().map(|(time, _)| *time) {
        if first > current || (first == current && !is_deletion) {
            break;
        }
        if *left == 0 {
            return true;
        }
        versions.remove(&first);
        *left -= 1;
    }
    false
}

/// The first version behind the watermark.
fn next_version<K: Key, B: Data>(versions: &Timeline<'_, K, B>, watermark: Timestamp) -> Option<Timestamp> {
    let behind = (Bound::Excluded(watermark), Bound::Unbounded);
    versions.range(behind).next().map(|(time, _)| *time)
}

impl<K, A, B, X, J> ProcessFunction for JoinVersions<K, A, B, X, J>
where
    K: Key,
    A: Data,
    B: Data,
    X: Fn(&B) -> bool + Clone + Send + 'static,
    J: VersionFunction<K, A, B>,
{
    type Key = K;
    type In = Either<A, B>;
    type Out = J::Out;
    type State = Versions<A, B>;

    fn process(
        &mut self,
        context: &mut impl Context<K, Versions<A, B>, J::Out>,
        record: Either<A, B>,
    ) -> Result<(), UserError> {
        let (time, watermark) = (context.timestamp(), context.watermark());
        check_time(time)?;
        // The timer of what is due first registers that of the next.
        let is_next = {
            let (mut of_key, mut outputs) = context.states_and_outputs();
            match record {
                Either::First(record) if time <= watermark => {
                    outputs.late(self.late, record, time);
                    false
                }
                Either::First(record) => keep(&mut of_key.waiting, time, record),
                Either::Second(version) => {
                    let (version, mut left) = ((!(self.deletes)(&version)).then_some(version), AT_ONCE);
                    of_key.versions.insert(time, version);
                    // A late version replaces others, or is replaced, at once.
                    let replaced =
                        time <= watermark && drop_replaced(&mut of_key.versions, watermark, &mut left);
                    replaced || next_version(&of_key.versions, watermark) == Some(time)
                }
            }
        };
        if is_next {
            context.register_timer(TimeDomain::Event, time);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<K, Versions<A, B>, J::Out>,
        _: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        let (watermark, mut left) = (context.watermark(), AT_ONCE);
        let next = {
            let (mut of_key, mut outputs) = context.states_and_outputs();
            let mut next = None;
            while let Some((place, record)) = of_key.waiting.first() {
                let place = *place;
                if place.0 > watermark || left == 0 {
                    next = Some(place.0);
                    break;
                }
                let version = of_key.versions.range(..=place.0).next_back();
                let version = version.and_then(|(_, version)| version.as_ref());
                if let Some(result) = self.function.result(outputs.key(), record, version) {
                    outputs.emit_at(place.0, result);
                }
                of_key.waiting.remove(&place);
                left -= 1;
            }
            // Records that still wait for this watermark need their versions.
            let has_emitted_all = next.is_none_or(|next| next > watermark);
            if has_emitted_all && drop_replaced(&mut of_key.versions, watermark, &mut left) {
                next = Some(watermark);
            }
            next.into_iter().chain(next_version(&of_key.versions, watermark)).min()
        };
        if let Some(next) = next {
            context.register_timer(TimeDomain::Event, next);
        }
        Ok(())
    }
}

/// A keyed stream whose records are joined with the latest version; see [`TemporalJoin::in_processing_time`].
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct LookUpJoin<I, A, B, X> {
    inputs: I,
    deletes: X,
    takes: PhantomData<fn(A, B)>,
}

impl<I, A, B, X> LookUpJoin<I, A, B, X>
where
    I: KeyedInputs<Record = Either<A, B>>,
    A: Data,
    B: Data,
    X: Fn(&B) -> bool + Clone + Send + 'static,
{
    /// As [`TemporalJoin::join`].
    pub fn join<U, J>(self, function: J) -> LookedUp<I, A, B, X, Inner<J>>
    where
        U: Send + 'static,
        J: Fn(&I::Key, &A, &B) -> U + Clone + Send + 'static,
    {
        let function = LookUp { deletes: self.deletes, function: Inner(function), takes: PhantomData };
        join(self.inputs, "look-up-join", "Look-up join", function)
    }

    /// As [`TemporalJoin::left_join`].
    pub fn left_join<U, J>(self, function: J) -> LookedUp<I, A, B, X, LeftOuter<J>>
    where
        U: Send + 'static,
        J: Fn(&I::Key, &A, Option<&B>) -> U + Clone + Send + 'static,
    {
        let function = LookUp { deletes: self.deletes, function: LeftOuter(function), takes: PhantomData };
        join(self.inputs, "look-up-join", "Look-up join", function)
    }
}

/// The operator of joins with the latest version.
pub struct LookUp<K, A, B, X, J> {
    deletes: X,
    function: J,
    takes: PhantomData<fn(K, A, B)>,
}

impl<K, A, B, X: Clone, J: Clone> Clone for LookUp<K, A, B, X, J> {
    fn clone(&self) -> Self {
        Self { deletes: self.deletes.clone(), function: self.function.clone(), takes: PhantomData }
    }
}

impl<K, A, B, X, J> ProcessFunction for LookUp<K, A, B, X, J>
where
    K: Key,
    A: Data,
    B: Data,
    X: Fn(&B) -> bool + Clone + Send + 'static,
    J: VersionFunction<K, A, B>,
{
    type Key = K;
    type In = Either<A, B>;
    type Out = J::Out;
    type State = Option<B>;

    fn process(
        &mut self,
        context: &mut impl Context<K, Option<B>, J::Out>,
        record: Either<A, B>,
    ) -> Result<(), UserError> {
        match record {
            Either::First(record) => {
                let version = context.state().and_then(Option::as_ref);
                if let Some(result) = self.function.result(context.key(), &record, version) {
                    context.emit(result);
                }
            }
            Either::Second(version) if (self.deletes)(&version) => context.clear_state(),
            Either::Second(version) => *context.state_mut() = Some(version),
        }
        Ok(())
    }
}
