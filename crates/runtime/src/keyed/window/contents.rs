//! The contents of windows: what a window keeps of its records, and what it emits when it fires.

use super::context::OfContents;
use crate::stage::Stage;
use reflow_api::window::{Elements, Evictor, Window, WindowFunction, Windowed};
use reflow_api::{MergeableAggregate, RuntimeContext, TryAggregate, UserError};
use reflow_types::{Data, Key, Timestamp};

/// The contents of the windows of an operator.
pub trait Contents<K: Key, T>: Clone + Send + 'static {
    /// The accumulator, one for each key and window.
    type Acc: Data;
    /// The records that are emitted.
    type Out;
    /// The state of a function for a window.
    type WindowState: Default + Data;
    /// The state of a function for a key.
    type KeyState: Default + Data;

    /// The accumulator before the first record.
    fn create(&self) -> Self::Acc;

    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, value: T, time: Timestamp) -> Result<(), UserError>;

    /// Emits the result. May drop records that are no longer needed.
    fn fire<D: Stage<Self::Out>>(
        &mut self,
        acc: &mut Self::Acc,
        at: &mut OfContents<'_, K, Self::WindowState, Self::KeyState, D>,
    ) -> Result<(), UserError>;

    /// As [`fire`](Self::fire), of a window that is removed behind it.
    #[inline]
    fn fire_last<D: Stage<Self::Out>>(
        &mut self,
        mut acc: Self::Acc,
        at: &mut OfContents<'_, K, Self::WindowState, Self::KeyState, D>,
    ) -> Result<(), UserError> {
        self.fire(&mut acc, at)
    }

    /// Called before a window is removed.
    #[inline]
    fn clear<D: Stage<Self::Out>>(
        &mut self,
        _at: &mut OfContents<'_, K, Self::WindowState, Self::KeyState, D>,
    ) -> Result<(), UserError> {
        Ok(())
    }

    /// Opens the function, if there is one.
    fn open(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// Notifies the function of a rescale.
    fn rescaled(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// Closes the function.
    fn close(&mut self) -> Result<(), UserError> {
        Ok(())
    }
}

/// Contents that can be merged.
#[diagnostic::on_unimplemented(
    message = "these contents of windows cannot be merged",
    note = "session windows merge: the aggregate must implement `MergeableAggregate`, and a window function must have the state `()`"
)]
pub trait MergingContents<K: Key, T>: Contents<K, T> {
    /// Adds the records of `other` to those of `acc`.
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError>;
}

/// Keeps an aggregate.
#[derive(Clone)]
pub struct Aggregated<A>(pub A);

impl<K: Key, T, A: TryAggregate<In = T>> Contents<K, T> for Aggregated<A> {
    type Acc = A::Acc;
    type Out = Windowed<K, A::Out>;
    type WindowState = ();
    type KeyState = ();

    #[inline]
    fn create(&self) -> A::Acc {
        self.0.create()
    }

    #[inline]
    fn add(&self, acc: &mut A::Acc, value: T, _: Timestamp) -> Result<(), UserError> {
        self.0.try_add(acc, value)
    }

    #[inline]
    fn fire<D: Stage<Self::Out>>(
        &mut self,
        acc: &mut A::Acc,
        at: &mut OfContents<'_, K, (), (), D>,
    ) -> Result<(), UserError> {
        let value = self.0.try_result(acc)?;
        at.push(Windowed { key: at.at.key.clone(), window: at.at.window, value });
        Ok(())
    }
}

impl<K: Key, T, A: MergeableAggregate<In = T>> MergingContents<K, T> for Aggregated<A> {
    fn merge(&self, acc: &mut A::Acc, other: A::Acc) -> Result<(), UserError> {
        self.0.merge(acc, other)
    }
}

/// A function of a window's records.
pub trait Apply<K, T>: Clone + Send + 'static {
    /// The result.
    type Out;
    /// Computes the result.
    fn apply(&self, key: &K, window: Window, records: &Elements<T>) -> Option<Self::Out>;
}

impl<K, T, U, F> Apply<K, T> for F
where
    F: Fn(&K, Window, &Elements<T>) -> Option<U> + Clone + Send + 'static,
{
    type Out = U;

    #[inline]
    fn apply(&self, key: &K, window: Window, records: &Elements<T>) -> Option<U> {
        self(key, window, records)
    }
}

/// Keeps the records; when it fires, it evicts some and applies a function to the rest.
#[derive(Clone)]
pub struct Buffered<E, F> {
    /// Chooses the records to drop.
    pub evictor: E,
    /// Computes the result.
    pub function: F,
}

impl<K, T, E, F> Contents<K, T> for Buffered<E, F>
where
    K: Key,
    T: Data,
    E: Evictor<T>,
    F: Apply<K, T>,
{
    type Acc = Elements<T>;
    type Out = F::Out;
    type WindowState = ();
    type KeyState = ();

    fn create(&self) -> Self::Acc {
        Elements::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: T, time: Timestamp) -> Result<(), UserError> {
        acc.push(time, value);
        Ok(())
    }

    fn fire<D: Stage<F::Out>>(
        &mut self,
        acc: &mut Self::Acc,
        at: &mut OfContents<'_, K, (), (), D>,
    ) -> Result<(), UserError> {
        self.evictor.evict(acc);
        if let Some(out) = self.function.apply(at.at.key, at.at.window, acc) {
            at.push(out);
        }
        Ok(())
    }
}

impl<K, T, E, F> MergingContents<K, T> for Buffered<E, F>
where
    K: Key,
    T: Data,
    E: Evictor<T>,
    F: Apply<K, T>,
{
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError> {
        acc.append(other);
        Ok(())
    }
}

/// Keeps the records; when it fires, it evicts some and aggregates the rest.
#[derive(Clone)]
pub struct EvictedThenAggregated<E, A> {
    /// Chooses the records to drop.
    pub evictor: E,
    /// Computes the result.
    pub aggregate: A,
}

impl<K, T, E, A> Contents<K, T> for EvictedThenAggregated<E, A>
where
    K: Key,
    T: Data + Clone,
    E: Evictor<T>,
    A: TryAggregate<In = T>,
{
    type Acc = Elements<T>;
    type Out = Windowed<K, A::Out>;
    type WindowState = ();
    type KeyState = ();

    fn create(&self) -> Self::Acc {
        Elements::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: T, time: Timestamp) -> Result<(), UserError> {
        acc.push(time, value);
        Ok(())
    }

    fn fire<D: Stage<Self::Out>>(
        &mut self,
        records: &mut Self::Acc,
        at: &mut OfContents<'_, K, (), (), D>,
    ) -> Result<(), UserError> {
        self.evictor.evict(records);
        if records.is_empty() {
            return Ok(());
        }
        let mut acc = self.aggregate.create();
        for (_, record) in records.iter() {
            self.aggregate.try_add(&mut acc, record.clone())?;
        }
        let value = self.aggregate.try_result(&acc)?;
        at.push(Windowed { key: at.at.key.clone(), window: at.at.window, value });
        Ok(())
    }
}

impl<K, T, E, A> MergingContents<K, T> for EvictedThenAggregated<E, A>
where
    K: Key,
    T: Data + Clone,
    E: Evictor<T>,
    A: TryAggregate<In = T>,
{
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError> {
        acc.append(other);
        Ok(())
    }
}

/// Keeps the records; when it fires, it evicts some and calls a window function with the rest.
#[derive(Clone)]
pub struct Processed<E, Q> {
    /// Chooses the records to drop.
    pub evictor: E,
    /// The window function.
    pub function: Q,
}

impl<T, E, Q> Contents<Q::Key, T> for Processed<E, Q>
where
    T: Data,
    E: Evictor<T>,
    Q: WindowFunction<In = Elements<T>>,
{
    type Acc = Elements<T>;
    type Out = Q::Out;
    type WindowState = Q::State;
    type KeyState = Q::KeyState;

    fn create(&self) -> Self::Acc {
        Elements::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: T, time: Timestamp) -> Result<(), UserError> {
        acc.push(time, value);
        Ok(())
    }

    fn fire<D: Stage<Q::Out>>(
        &mut self,
        acc: &mut Self::Acc,
        at: &mut OfContents<'_, Q::Key, Q::State, Q::KeyState, D>,
    ) -> Result<(), UserError> {
        self.evictor.evict(acc);
        self.function.process(at, acc)
    }

    fn clear<D: Stage<Q::Out>>(
        &mut self,
        at: &mut OfContents<'_, Q::Key, Q::State, Q::KeyState, D>,
    ) -> Result<(), UserError> {
        self.function.clear(at)
    }

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.function.close()
    }
}

impl<T, E, Q> MergingContents<Q::Key, T> for Processed<E, Q>
where
    T: Data,
    E: Evictor<T>,
    Q: WindowFunction<In = Elements<T>, State = ()>,
{
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError> {
        acc.append(other);
        Ok(())
    }
}

/// Keeps an aggregate, and calls a window function with its result.
#[derive(Clone)]
pub struct AggregatedThenProcessed<A, Q> {
    /// Aggregates the records.
    pub aggregate: A,
    /// The window function.
    pub function: Q,
}

impl<T, A, Q> Contents<Q::Key, T> for AggregatedThenProcessed<A, Q>
where
    A: TryAggregate<In = T>,
    Q: WindowFunction<In = A::Out>,
{
    type Acc = A::Acc;
    type Out = Q::Out;
    type WindowState = Q::State;
    type KeyState = Q::KeyState;

    #[inline]
    fn create(&self) -> A::Acc {
        self.aggregate.create()
    }

    #[inline]
    fn add(&self, acc: &mut A::Acc, value: T, _: Timestamp) -> Result<(), UserError> {
        self.aggregate.try_add(acc, value)
    }

    fn fire<D: Stage<Q::Out>>(
        &mut self,
        acc: &mut A::Acc,
        at: &mut OfContents<'_, Q::Key, Q::State, Q::KeyState, D>,
    ) -> Result<(), UserError> {
        let result = self.aggregate.try_result(acc)?;
        self.function.process(at, &result)
    }

    fn clear<D: Stage<Q::Out>>(
        &mut self,
        at: &mut OfContents<'_, Q::Key, Q::State, Q::KeyState, D>,
    ) -> Result<(), UserError> {
        self.function.clear(at)
    }

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.function.close()
    }
}

impl<T, A, Q> MergingContents<Q::Key, T> for AggregatedThenProcessed<A, Q>
where
    A: MergeableAggregate<In = T>,
    Q: WindowFunction<In = A::Out, State = ()>,
{
    fn merge(&self, acc: &mut A::Acc, other: A::Acc) -> Result<(), UserError> {
        self.aggregate.merge(acc, other)
    }
}
