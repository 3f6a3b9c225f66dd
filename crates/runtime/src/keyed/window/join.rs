//! The contents of windows of two streams, which are kept by stream. A window emits the pairs of their records, or what a
//! function makes of all of them.
//!
//! Pairs are made one by one, by an iterator that the stage behind the operator advances as its outputs have room. So
//! neither a step nor the memory has to hold all of them.

use super::contents::{Contents, MergingContents};
use super::context::OfContents;
use crate::stage::Stage;
use reflow_api::window::{CoGroup, Elements, Window, WindowFunction};
use reflow_api::{Either, RuntimeContext, UserError};
use reflow_types::{Data, Key, Timestamp};

fn add<A, B>(group: &mut CoGroup<A, B>, value: Either<A, B>, time: Timestamp) {
    match value {
        Either::First(record) => group.first.push(time, record),
        Either::Second(record) => group.second.push(time, record),
    }
}

fn append<A, B>(group: &mut CoGroup<A, B>, later: CoGroup<A, B>) {
    group.first.append(later.first);
    group.second.append(later.second);
}

fn has_pairs<A, B>(group: &CoGroup<A, B>) -> bool {
    !group.first.is_empty() && !group.second.is_empty()
}

/// Calls a function for each pair of a record of the first stream and one of the second stream.
#[derive(Clone)]
pub struct Joined<J>(pub J);

impl<K, A, B, U, J> Contents<K, Either<A, B>> for Joined<J>
where
    K: Key,
    A: Data + Clone,
    B: Data + Clone,
    J: Fn(&K, Window, &A, &B) -> U + Clone + Send + 'static,
{
    type Acc = CoGroup<A, B>;
    type Out = Pairs<K, A, B, J>;
    type WindowState = ();
    type KeyState = ();

    fn create(&self) -> Self::Acc {
        CoGroup::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: Either<A, B>, time: Timestamp) -> Result<(), UserError> {
        add(acc, value, time);
        Ok(())
    }

    fn fire<D: Stage<Self::Out>>(
        &mut self,
        acc: &mut Self::Acc,
        at: &mut OfContents<'_, K, (), (), D>,
    ) -> Result<(), UserError> {
        if has_pairs(acc) { self.fire_last(acc.clone(), at) } else { Ok(()) }
    }

    fn fire_last<D: Stage<Self::Out>>(
        &mut self,
        acc: Self::Acc,
        at: &mut OfContents<'_, K, (), (), D>,
    ) -> Result<(), UserError> {
        if has_pairs(&acc) {
            let (key, window, function) = (at.at.key.clone(), at.at.window, self.0.clone());
            at.push(Pairs { key, window, group: acc, next: (0, 0), function });
        }
        Ok(())
    }
}

impl<K, A, B, U, J> MergingContents<K, Either<A, B>> for Joined<J>
where
    K: Key,
    A: Data + Clone,
    B: Data + Clone,
    J: Fn(&K, Window, &A, &B) -> U + Clone + Send + 'static,
{
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError> {
        append(acc, other);
        Ok(())
    }
}

/// The results of the pairs of a window's records, made when they are asked for.
///
/// # Invariants
/// Both streams have records, and `next` is the first pair that was not made yet, or `first.len()` and 0.
pub struct Pairs<K, A, B, J> {
    key: K,
    window: Window,
    group: CoGroup<A, B>,
    next: (usize, usize),
    function: J,
}

impl<K, A, B, U, J> Iterator for Pairs<K, A, B, J>
where
    J: Fn(&K, Window, &A, &B) -> U,
{
    type Item = U;

    #[inline]
    fn next(&mut self) -> Option<U> {
        let Self { key, window, group, next, function } = self;
        let (_, first) = group.first.get(next.0)?;
        let (_, second) = group.second.get(next.1)?;
        next.1 += 1;
        if next.1 == group.second.len() {
            *next = (next.0 + 1, 0);
        }
        Some(function(key, *window, first, second))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rows = self.group.first.len() - self.next.0;
        let left = rows.checked_mul(self.group.second.len()).map(|pairs| pairs - self.next.1);
        (left.unwrap_or(usize::MAX), left)
    }
}

/// Calls a function with the records of both streams, which returns the results.
#[derive(Clone)]
pub struct CoGrouped<J>(pub J);

impl<K, A, B, O, J> Contents<K, Either<A, B>> for CoGrouped<J>
where
    K: Key,
    A: Data,
    B: Data,
    J: Fn(&K, Window, &Elements<A>, &Elements<B>) -> O + Clone + Send + 'static,
{
    type Acc = CoGroup<A, B>;
    type Out = O;
    type WindowState = ();
    type KeyState = ();

    fn create(&self) -> Self::Acc {
        CoGroup::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: Either<A, B>, time: Timestamp) -> Result<(), UserError> {
        add(acc, value, time);
        Ok(())
    }

    fn fire<D: Stage<O>>(
        &mut self,
        acc: &mut Self::Acc,
        at: &mut OfContents<'_, K, (), (), D>,
    ) -> Result<(), UserError> {
        let results = (self.0)(at.at.key, at.at.window, &acc.first, &acc.second);
        at.push(results);
        Ok(())
    }
}

impl<K, A, B, O, J> MergingContents<K, Either<A, B>> for CoGrouped<J>
where
    K: Key,
    A: Data,
    B: Data,
    J: Fn(&K, Window, &Elements<A>, &Elements<B>) -> O + Clone + Send + 'static,
{
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError> {
        append(acc, other);
        Ok(())
    }
}

/// Calls a window function with the records of both streams.
#[derive(Clone)]
pub struct CoGroupedThenProcessed<Q>(pub Q);

impl<A, B, Q> Contents<Q::Key, Either<A, B>> for CoGroupedThenProcessed<Q>
where
    A: Data,
    B: Data,
    Q: WindowFunction<In = CoGroup<A, B>>,
{
    type Acc = CoGroup<A, B>;
    type Out = Q::Out;
    type WindowState = Q::State;
    type KeyState = Q::KeyState;

    fn create(&self) -> Self::Acc {
        CoGroup::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: Either<A, B>, time: Timestamp) -> Result<(), UserError> {
        add(acc, value, time);
        Ok(())
    }

    fn fire<D: Stage<Q::Out>>(
        &mut self,
        acc: &mut Self::Acc,
        at: &mut OfContents<'_, Q::Key, Q::State, Q::KeyState, D>,
    ) -> Result<(), UserError> {
        self.0.process(at, acc)
    }

    fn clear<D: Stage<Q::Out>>(
        &mut self,
        at: &mut OfContents<'_, Q::Key, Q::State, Q::KeyState, D>,
    ) -> Result<(), UserError> {
        self.0.clear(at)
    }

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.close()
    }
}

impl<A, B, Q> MergingContents<Q::Key, Either<A, B>> for CoGroupedThenProcessed<Q>
where
    A: Data,
    B: Data,
    Q: WindowFunction<In = CoGroup<A, B>, State = ()>,
{
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError> {
        append(acc, other);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_is_made_once_when_it_is_asked_for() {
        for (firsts, seconds) in [(1, 1), (1, 5), (4, 1), (3, 4)] {
            let mut group = CoGroup::default();
            (0..firsts).for_each(|n| group.first.push(0, n));
            (0..seconds).for_each(|n| group.second.push(0, n));
            let function = |_: &u64, _: Window, first: &i32, second: &i32| (*first, *second);
            let mut pairs = Pairs { key: 0u64, window: Window::GLOBAL, group, next: (0, 0), function };
            for first in 0..firsts {
                for second in 0..seconds {
                    let left = ((firsts - first) * seconds - second) as usize;
                    assert_eq!(pairs.size_hint(), (left, Some(left)));
                    assert_eq!(pairs.next(), Some((first, second)));
                }
            }
            assert_eq!((pairs.size_hint(), pairs.next()), ((0, Some(0)), None));
        }
    }
}
