//! The windowed streams of a job function.

use crate::keyed::{KeyedStream, Reduce};
use crate::pipeline::{Pipeline, WindowHead};
use crate::stream::Stream;
use reflow_api::window::{Assigner, DeltaTrigger, Elements, Evictor, Trigger, Window, Windowed};
use reflow_api::{Aggregate, Data};
use reflow_network::output::KeySelector;
use reflow_runtime::keyed::{Aggregated, Buffered, Windowing};
use std::marker::PhantomData;

/// A keyed stream whose records are grouped into windows.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct WindowedStream<P: Pipeline, F, W, G> {
    pub(crate) keyed: KeyedStream<P, F>,
    pub(crate) assigner: W,
    pub(crate) trigger: G,
}

type Windows<P, F, W, G, C> = Stream<WindowHead<<P as Pipeline>::Out, F, W, G, C>>;

impl<P, F, W, G> WindowedStream<P, F, W, G>
where
    P: Pipeline<Out: Data + Clone>,
    F: KeySelector<P::Out>,
    W: Assigner,
    G: Trigger<P::Out>,
{
    /// Sets the trigger that decides when a window emits its result; the default is at the window's end.
    pub fn trigger<H: Trigger<P::Out>>(self, trigger: H) -> WindowedStream<P, F, W, H> {
        WindowedStream { keyed: self.keyed, assigner: self.assigner, trigger }
    }

    /// Emits a window's result each time `measure` has risen by more than `threshold`, as [`DeltaTrigger::every`] says.
    pub fn trigger_on_rise<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> WindowedStream<P, F, W, DeltaTrigger<P::Out, M>>
    where
        M: Fn(&P::Out) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::every(threshold, measure))
    }

    /// Emits a window's result each time `measure` has risen or fallen by more than `threshold`, as
    /// [`DeltaTrigger::either_way`] says.
    pub fn trigger_on_change<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> WindowedStream<P, F, W, DeltaTrigger<P::Out, M>>
    where
        M: Fn(&P::Out) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::either_way(threshold, measure))
    }

    /// Keeps the records themselves in the window, and lets `evictor` remove some before a result is computed.
    pub fn evict<E: Evictor<P::Out>>(self, evictor: E) -> EvictingStream<P, F, W, G, E> {
        EvictingStream { windowed: self, evictor }
    }

    /// Emits the result of `aggregate` over a window's records, with key and window.
    pub fn aggregate<A>(self, aggregate: A) -> Windows<P, F, W, G, Aggregated<A>>
    where
        A: Aggregate<In = P::Out>,
        A::Out: Send + 'static,
    {
        let Self { keyed, assigner, trigger } = self;
        keyed.windowed(Windowing { assigner, trigger, contents: Aggregated(aggregate) }, "Window")
    }

    /// Emits a window's records combined by `function`, with key and window.
    pub fn reduce<H>(self, function: H) -> Stream<impl Pipeline<Out = Windowed<F::Key, P::Out>>>
    where
        H: Fn(P::Out, P::Out) -> P::Out + Clone + Send + 'static,
    {
        self.aggregate(Reduce::new(function))
    }

    /// Emits the number of a window's records, with key and window.
    pub fn count(self) -> Windows<P, F, W, G, Aggregated<Count<P::Out>>> {
        self.aggregate(Count(PhantomData))
    }
}

/// Windows that keep their records.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct EvictingStream<P: Pipeline, F, W, G, E> {
    windowed: WindowedStream<P, F, W, G>,
    evictor: E,
}

impl<P, F, W, G, E> EvictingStream<P, F, W, G, E>
where
    P: Pipeline<Out: Data + Clone>,
    F: KeySelector<P::Out>,
    W: Assigner,
    G: Trigger<P::Out>,
    E: Evictor<P::Out>,
{
    /// Sets the trigger that decides when a window emits its result; the default is at the window's end.
    pub fn trigger<H: Trigger<P::Out>>(self, trigger: H) -> EvictingStream<P, F, W, H, E> {
        EvictingStream { windowed: self.windowed.trigger(trigger), evictor: self.evictor }
    }

    /// As [`WindowedStream::trigger_on_rise`].
    pub fn trigger_on_rise<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> EvictingStream<P, F, W, DeltaTrigger<P::Out, M>, E>
    where
        M: Fn(&P::Out) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::every(threshold, measure))
    }

    /// As [`WindowedStream::trigger_on_change`].
    pub fn trigger_on_change<M>(
        self,
        threshold: f64,
        measure: M,
    ) -> EvictingStream<P, F, W, DeltaTrigger<P::Out, M>, E>
    where
        M: Fn(&P::Out) -> f64 + Clone + Send + 'static,
    {
        self.trigger(DeltaTrigger::either_way(threshold, measure))
    }

    /// Applies `function` to a window's records, in the order of their arrival.
    pub fn apply<U, A>(self, function: A) -> Windows<P, F, W, G, Buffered<E, A>>
    where
        U: Send + 'static,
        A: Fn(&F::Key, Window, &Elements<P::Out>) -> Option<U> + Clone + Send + 'static,
    {
        let WindowedStream { keyed, assigner, trigger } = self.windowed;
        let contents = Buffered { evictor: self.evictor, function };
        keyed.windowed(Windowing { assigner, trigger, contents }, "Window")
    }

    /// Emits the record of a window with the highest measure, the earliest of several. A measure that cannot be
    /// compared with itself, such as NaN, is lower than all others.
    pub fn max_by<M>(
        self,
        measure: impl Fn(&P::Out) -> M + Clone + Send + 'static,
    ) -> Stream<impl Pipeline<Out = P::Out>>
    where
        M: PartialOrd,
    {
        self.apply(move |_: &F::Key, _: Window, records: &Elements<P::Out>| {
            best(records, &measure, |next, best| next > best)
        })
    }

    /// Emits the record of a window with the lowest measure, the earliest of several. A measure that cannot be
    /// compared with itself, such as NaN, is higher than all others.
    pub fn min_by<M>(
        self,
        measure: impl Fn(&P::Out) -> M + Clone + Send + 'static,
    ) -> Stream<impl Pipeline<Out = P::Out>>
    where
        M: PartialOrd,
    {
        self.apply(move |_: &F::Key, _: Window, records: &Elements<P::Out>| {
            best(records, &measure, |next, best| next < best)
        })
    }
}

/// The record whose measure is better than all others, the first of several.
fn best<T: Clone, M: PartialOrd>(
    records: &Elements<T>,
    measure: impl Fn(&T) -> M,
    is_better: impl Fn(&M, &M) -> bool,
) -> Option<T> {
    let is_number = |measure: &M| measure.partial_cmp(measure).is_some();
    let mut rest = records.iter().map(|(_, record)| (record, measure(record)));
    let first = rest.next()?;
    let better = |best: (_, M), next: (_, M)| {
        let wins = if is_number(&best.1) { is_better(&next.1, &best.1) } else { is_number(&next.1) };
        if wins { next } else { best }
    };
    Some(rest.fold(first, better).0.clone())
}

/// Counts records.
pub struct Count<T>(PhantomData<fn(T)>);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(measures: &[f64], highest: Option<usize>, lowest: Option<usize>) {
        let mut records = Elements::default();
        measures.iter().enumerate().for_each(|record| records.push(0, record));
        let measure = |record: &(usize, &f64)| *record.1;
        let index = |best: Option<(usize, &f64)>| best.map(|(index, _)| index);
        assert_eq!(index(best(&records, measure, |next, best| next > best)), highest, "max of {measures:?}");
        assert_eq!(index(best(&records, measure, |next, best| next < best)), lowest, "min of {measures:?}");
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
}
