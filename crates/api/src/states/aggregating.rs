//! An aggregate for each key, of which the accumulator is kept.

use super::value::{Value, ValueTable};
use super::{Current, Declaration, Expiring, Forever, Retention, State, StateTables, TimeToLive, ValueState};
use crate::{Aggregate, MergeableAggregate, UserError};
use reflow_graph::StateKind;
use reflow_state::SnapshotTable;
use reflow_types::{Data, Key, KeyHash, MaxParallelism, Timestamp};
use std::marker::PhantomData;

/// Declares a state with an [`Aggregate`] for each key, which [`Aggregating`] accesses.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::Aggregate;
/// use reflow::states::{Access, AggregatingState, States};
///
/// #[derive(Clone)]
/// struct Mean;
///
/// impl Aggregate for Mean {
///     type In = f64;
///     type Acc = (f64, u64);
///     type Out = f64;
///     fn create(&self) -> (f64, u64) {
///         (0.0, 0)
///     }
///     fn add(&self, (sum, count): &mut (f64, u64), value: f64) {
///         *sum += value;
///         *count += 1;
///     }
///     fn result(&self, (sum, count): &(f64, u64)) -> f64 {
///         sum / *count as f64
///     }
/// }
///
/// #[derive(States)]
/// struct Sensor {
///     mean: AggregatingState<Mean>,
/// }
///
/// fn declare() -> Sensor {
///     Sensor { mean: AggregatingState::new("mean", Mean) }
/// }
///
/// fn measure(sensor: &mut Access<'_, u64, Sensor>, temperature: f64) -> Option<f64> {
///     sensor.mean.add(temperature);
///     sensor.mean.get()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AggregatingState<A: Aggregate, R = Forever> {
    accumulator: ValueState<A::Acc, R>,
    aggregate: A,
}

impl<A: Aggregate> AggregatingState<A> {
    /// A state of this name, which is unique within the function.
    pub fn new(name: impl Into<String>, aggregate: A) -> Self {
        Self { accumulator: ValueState::new(name), aggregate }
    }

    /// Lets accumulators expire.
    pub fn time_to_live(self, time_to_live: TimeToLive) -> AggregatingState<A, Expiring> {
        let accumulator = self.accumulator.time_to_live(time_to_live);
        AggregatingState { accumulator, aggregate: self.aggregate }
    }
}

/// The table of an [`AggregatingState`].
#[doc(hidden)]
pub struct AggregatingTable<K, A: Aggregate, R: Retention> {
    accumulators: ValueTable<K, A::Acc, R>,
    aggregate: A,
}

impl<K: Key, A: Aggregate, R: Retention> State<K> for AggregatingState<A, R> {
    type Table = AggregatingTable<K, A, R>;
    type Access<'a> = Aggregating<'a, K, A, R>;

    fn named(_: &str) -> Self {
        const { NoAggregate::<A>::FAILS };
        unreachable!("the line above does not compile")
    }

    fn declaration(&self) -> Declaration<'_> {
        Declaration { kind: StateKind::Aggregating, ..State::<K>::declaration(&self.accumulator) }
    }

    fn table(self, max: MaxParallelism) -> AggregatingTable<K, A, R> {
        AggregatingTable { accumulators: self.accumulator.table(max), aggregate: self.aggregate }
    }

    #[inline]
    fn access<'a>(
        table: &'a mut AggregatingTable<K, A, R>,
        current: Current<'a, K>,
    ) -> Aggregating<'a, K, A, R> {
        let AggregatingTable { accumulators, aggregate } = table;
        Aggregating { accumulator: ValueState::access(accumulators, current), aggregate }
    }
}

impl<K: Key, A: Aggregate, R: Retention> StateTables for AggregatingTable<K, A, R> {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.accumulators.visit(visit);
    }

    #[inline]
    fn prefetch(&self, hash: KeyHash) {
        self.accumulators.prefetch(hash);
    }

    fn sweep(&mut self, now: Timestamp, budget: usize) {
        self.accumulators.sweep(now, budget);
    }

    fn next_sweep(&self) -> Option<Timestamp> {
        self.accumulators.next_sweep()
    }

    fn memory_bytes(&self) -> usize {
        self.accumulators.memory_bytes()
    }
}

/// The aggregate of the current key. [`AggregatingState`] has an example.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, Expiring, ReducingState, States, TimeToLive};
/// use std::time::Duration;
///
/// #[derive(States)]
/// struct Highest {
///     ever: ReducingState<u64>,
///     lately: ReducingState<u64, fn(u64, u64) -> u64, Expiring>,
/// }
///
/// fn declare() -> Highest {
///     let day = TimeToLive::since_write(Duration::from_secs(86_400));
///     let lately = ReducingState::by("lately", u64::max as _);
///     Highest { ever: ReducingState::by("ever", u64::max), lately: lately.time_to_live(day) }
/// }
///
/// fn add(highest: &mut Access<'_, u64, Highest>, value: u64) -> Option<u64> {
///     if value == 0 {
///         highest.ever.clear();
///     }
///     highest.ever.add(value);
///     highest.ever.get()
/// }
/// ```
pub struct Aggregating<'a, K, A: Aggregate, R: Retention = Forever> {
    accumulator: Value<'a, K, A::Acc, R>,
    aggregate: &'a A,
}

impl<K: Key, A: Aggregate> Aggregating<'_, K, A, Forever> {
    /// The result so far, if a value was added.
    pub fn get(&self) -> Option<A::Out> {
        self.accumulator.get().map(|accumulator| self.aggregate.result(accumulator))
    }
}

impl<K: Key, A: Aggregate> Aggregating<'_, K, A, Expiring> {
    /// The result so far, if a value was added and the accumulator is not expired.
    pub fn get(&mut self) -> Option<A::Out> {
        self.accumulator.get().map(|accumulator| self.aggregate.result(accumulator))
    }
}

impl<K: Key, A: Aggregate, R: Retention> Aggregating<'_, K, A, R> {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: A::In) {
        let accumulator = self.accumulator.or_insert_with(|| self.aggregate.create());
        self.aggregate.add(accumulator, value);
    }

    /// Removes the accumulator.
    pub fn clear(&mut self) {
        self.accumulator.clear();
    }
}

/// Fails to compile for a declaration without an aggregate.
struct NoAggregate<A>(PhantomData<A>);

impl<A> NoAggregate<A> {
    const FAILS: () =
        panic!("an aggregating or reducing state must be declared by `fn states` of the function");
}

/// Declares a state that combines all values that are added to a key into one, by a function. [`Reducing`] accesses it.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, ReducingState, States};
///
/// #[derive(States)]
/// struct Auction {
///     highest: ReducingState<u64>,
/// }
///
/// fn declare() -> Auction {
///     Auction { highest: ReducingState::by("highest", u64::max) }
/// }
///
/// fn bid(auction: &mut Access<'_, u64, Auction>, amount: u64) -> Option<u64> {
///     auction.highest.add(amount);
///     auction.highest.get()
/// }
/// ```
///
/// The type of the function is `fn(T, T) -> T`, whose call is indirect. A type parameter of the struct lets the
/// compiler inline it: `struct Auction<F: Fn(u64, u64) -> u64 + …> { highest: ReducingState<u64, F> }`.
pub type ReducingState<T, F = fn(T, T) -> T, R = Forever> = AggregatingState<Reduce<T, F>, R>;

/// The value of the current key, to which all were combined.
pub type Reducing<'a, K, T, F = fn(T, T) -> T, R = Forever> = Aggregating<'a, K, Reduce<T, F>, R>;

impl<T, F> AggregatingState<Reduce<T, F>>
where
    T: Data + Clone,
    F: Fn(T, T) -> T + Clone + Send + 'static,
{
    /// A state of this name, which is unique within the function.
    pub fn by(name: impl Into<String>, function: F) -> Self {
        Self::new(name, Reduce::new(function))
    }
}

/// The aggregate that combines all values by a function. It is behind `reduce`, too.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::Aggregate;
/// use reflow::states::Reduce;
///
/// let product = Reduce::new(|a: u64, b: u64| a * b);
/// let mut so_far = product.create();
/// product.add(&mut so_far, 6);
/// product.add(&mut so_far, 7);
/// assert_eq!(product.result(&so_far), 42);
/// ```
pub struct Reduce<T, F> {
    function: F,
    takes: PhantomData<fn(T)>,
}

impl<T, F> Reduce<T, F> {
    /// Combines by `function`.
    pub fn new(function: F) -> Self {
        Self { function, takes: PhantomData }
    }
}

impl<T, F: Clone> Clone for Reduce<T, F> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), takes: PhantomData }
    }
}

impl<T, F> Aggregate for Reduce<T, F>
where
    T: Data + Clone,
    F: Fn(T, T) -> T + Clone + Send + 'static,
{
    type In = T;
    type Acc = Option<T>;
    type Out = T;

    fn create(&self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&self, accumulator: &mut Option<T>, value: T) {
        *accumulator = Some(match accumulator.take() {
            Some(so_far) => (self.function)(so_far, value),
            None => value,
        });
    }

    fn result(&self, accumulator: &Option<T>) -> T {
        accumulator.clone().expect("a result is asked for after a value")
    }
}

impl<T, F> MergeableAggregate for Reduce<T, F>
where
    T: Data + Clone,
    F: Fn(T, T) -> T + Clone + Send + 'static,
{
    fn merge(&self, accumulator: &mut Option<T>, other: Option<T>) -> Result<(), UserError> {
        other.into_iter().for_each(|other| self.add(accumulator, other));
        Ok(())
    }
}
