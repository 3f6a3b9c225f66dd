//! The aggregates behind `count`, `sum`, `min`, `max`, `min_by` and `max_by`.

use reflow_api::window::Elements;
use reflow_api::{Aggregate, Data, MergeableAggregate, UserError};
use std::marker::PhantomData;
use std::ops::Add;

/// Counts records.
pub struct Count<T>(PhantomData<fn(T)>);

impl<T> Count<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Count<T> {
    fn clone(&self) -> Self {
        Count(PhantomData)
    }
}

impl<T: 'static> Aggregate for Count<T> {
    type In = T;
    type Acc = u64;
    type Out = u64;
    fn create(&self) -> u64 {
        0
    }
    #[inline]
    fn add(&self, acc: &mut u64, _: T) {
        *acc += 1;
    }
    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

impl<T: 'static> MergeableAggregate for Count<T> {
    fn merge(&self, acc: &mut u64, other: u64) -> Result<(), UserError> {
        *acc += other;
        Ok(())
    }
}

/// Combines the measures of records.
pub struct Measured<T, S, N> {
    measure: S,
    combine: fn(N, N) -> N,
    takes: PhantomData<fn(T)>,
}

impl<T, S, N> Measured<T, S, N> {
    pub(crate) fn sum(measure: S) -> Self
    where
        N: Add<Output = N>,
    {
        Self { measure, combine: |a, b| a + b, takes: PhantomData }
    }

    pub(crate) fn max(measure: S) -> Self
    where
        N: PartialOrd,
    {
        Self { measure, combine: |a, b| if wins(&b, &a, Side::Highest) { b } else { a }, takes: PhantomData }
    }

    pub(crate) fn min(measure: S) -> Self
    where
        N: PartialOrd,
    {
        Self { measure, combine: |a, b| if wins(&b, &a, Side::Lowest) { b } else { a }, takes: PhantomData }
    }
}

impl<T, S: Clone, N> Clone for Measured<T, S, N> {
    fn clone(&self) -> Self {
        Self { measure: self.measure.clone(), ..*self }
    }
}

impl<T, S, N> Aggregate for Measured<T, S, N>
where
    T: 'static,
    S: Fn(&T) -> N + Clone + Send + 'static,
    N: Data + Clone,
{
    type In = T;
    type Acc = Option<N>;
    type Out = N;

    fn create(&self) -> Option<N> {
        None
    }

    #[inline]
    fn add(&self, acc: &mut Option<N>, value: T) {
        let next = (self.measure)(&value);
        *acc = Some(match acc.take() {
            Some(so_far) => (self.combine)(so_far, next),
            None => next,
        });
    }

    fn result(&self, acc: &Option<N>) -> N {
        acc.clone().expect("a result is asked for after a record")
    }
}

impl<T, S, N> MergeableAggregate for Measured<T, S, N>
where
    T: 'static,
    S: Fn(&T) -> N + Clone + Send + 'static,
    N: Data + Clone,
{
    fn merge(&self, acc: &mut Option<N>, other: Option<N>) -> Result<(), UserError> {
        *acc = match (acc.take(), other) {
            (Some(one), Some(other)) => Some((self.combine)(one, other)),
            (one, other) => one.or(other),
        };
        Ok(())
    }
}

/// Which measure is the best.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Highest,
    Lowest,
}

/// Keeps the record with the best measure.
pub struct Best<T, S> {
    measure: S,
    side: Side,
    takes: PhantomData<fn(T)>,
}

impl<T, S> Best<T, S> {
    pub(crate) fn new(measure: S, side: Side) -> Self {
        Self { measure, side, takes: PhantomData }
    }
}

impl<T, S: Clone> Clone for Best<T, S> {
    fn clone(&self) -> Self {
        Self { measure: self.measure.clone(), ..*self }
    }
}

impl<T, S, M> Aggregate for Best<T, S>
where
    T: Data + Clone,
    S: Fn(&T) -> M + Clone + Send + 'static,
    M: PartialOrd,
{
    type In = T;
    type Acc = Option<T>;
    type Out = T;

    fn create(&self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&self, best: &mut Option<T>, value: T) {
        let is_best =
            best.as_ref().is_none_or(|best| wins(&(self.measure)(&value), &(self.measure)(best), self.side));
        if is_best {
            *best = Some(value);
        }
    }

    fn result(&self, best: &Option<T>) -> T {
        best.clone().expect("a result is asked for after a record")
    }
}

impl<T, S, M> MergeableAggregate for Best<T, S>
where
    T: Data + Clone,
    S: Fn(&T) -> M + Clone + Send + 'static,
    M: PartialOrd,
{
    fn merge(&self, best: &mut Option<T>, other: Option<T>) -> Result<(), UserError> {
        other.into_iter().for_each(|other| self.add(best, other));
        Ok(())
    }
}

/// Whether `next` is better than `best`. What cannot be compared with itself, such as NaN, is worse than all else.
fn wins<M: PartialOrd>(next: &M, best: &M, side: Side) -> bool {
    let is_number = |measure: &M| measure.partial_cmp(measure).is_some();
    if !is_number(best) {
        return is_number(next);
    }
    match side {
        Side::Highest => next > best,
        Side::Lowest => next < best,
    }
}

/// The record whose measure is better than all others, the first of several.
pub(crate) fn best<T: Clone, M: PartialOrd>(
    records: &Elements<T>,
    measure: impl Fn(&T) -> M,
    side: Side,
) -> Option<T> {
    let mut rest = records.iter().map(|(_, record)| (record, measure(record)));
    let first = rest.next()?;
    let better = |best: (_, M), next: (_, M)| if wins(&next.1, &best.1, side) { next } else { best };
    Some(rest.fold(first, better).0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(measures: &[f64], highest: Option<usize>, lowest: Option<usize>) {
        let mut records = Elements::default();
        measures.iter().enumerate().for_each(|(index, measure)| records.push(0, (index, *measure)));
        let measure = |record: &(usize, f64)| record.1;
        for (side, expected) in [(Side::Highest, highest), (Side::Lowest, lowest)] {
            let index = |best: Option<(usize, f64)>| best.map(|(index, _)| index);
            assert_eq!(index(best(&records, measure, side)), expected, "of {measures:?}");
            let (aggregate, mut acc) = (Best::new(measure, side), None);
            records.iter().for_each(|(_, record)| aggregate.add(&mut acc, *record));
            assert_eq!(index(acc), expected, "of {measures:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_neither_highest_nor_lowest() {
        const NAN: f64 = f64::NAN;
        check(&[], None, None);
        check(&[1.0, 3.0, 0.5, 3.0, 0.5], Some(1), Some(2));
        check(&[NAN, 1.0, 3.0, NAN, 0.5], Some(2), Some(4));
        check(&[1.0, NAN], Some(0), Some(0));
        check(&[NAN, NAN], Some(0), Some(0));
        check(&[0.0, f64::INFINITY, f64::NEG_INFINITY, NAN], Some(1), Some(2));
    }

    #[test]
    fn measures_are_combined_and_merged() {
        let of = |aggregate: Measured<f64, fn(&f64) -> f64, f64>| {
            let (mut one, mut other) = (None, None);
            [f64::NAN, 2.0].into_iter().for_each(|value| aggregate.add(&mut one, value));
            [1.0, f64::NAN, 5.0].into_iter().for_each(|value| aggregate.add(&mut other, value));
            aggregate.merge(&mut one, other).unwrap();
            aggregate.merge(&mut one, None).unwrap();
            one
        };
        assert_eq!(of(Measured::max(|value| *value)), Some(5.0));
        assert_eq!(of(Measured::min(|value| *value)), Some(1.0));
        assert!(of(Measured::sum(|value| *value)).is_some_and(f64::is_nan));
    }
}
