//! When a window's result is due.

use super::Window;
use reflow_types::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;

/// What happens to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerResult {
    /// Nothing.
    Continue,
    /// Its result is emitted; its content stays.
    Fire,
    /// Its content goes.
    Purge,
    /// Both.
    FireAndPurge,
}

impl TriggerResult {
    /// Whether a result is emitted.
    pub fn fires(self) -> bool {
        matches!(self, TriggerResult::Fire | TriggerResult::FireAndPurge)
    }

    /// Whether the content goes.
    pub fn purges(self) -> bool {
        matches!(self, TriggerResult::Purge | TriggerResult::FireAndPurge)
    }
}

/// Decides when a window's result is due. A window whose end has passed is purged in any case.
pub trait Trigger<T>: Clone + Send + 'static {
    /// What is kept per key and window.
    type State: Default + Serialize + DeserializeOwned + Send + 'static;

    /// A record has come; it is in the window already.
    fn on_element(
        &self,
        value: &T,
        time: Timestamp,
        window: &Window,
        state: &mut Self::State,
    ) -> TriggerResult;

    /// The watermark has passed the window's end.
    fn on_end(&self, window: &Window, state: &mut Self::State) -> TriggerResult;
}

/// Fires when the watermark passes the window's end; for a global window, when the input ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventTimeTrigger;

impl<T> Trigger<T> for EventTimeTrigger {
    type State = ();

    #[inline]
    fn on_element(&self, _: &T, _: Timestamp, _: &Window, (): &mut ()) -> TriggerResult {
        TriggerResult::Continue
    }

    #[inline]
    fn on_end(&self, _: &Window, (): &mut ()) -> TriggerResult {
        TriggerResult::Fire
    }
}

/// Fires at every `n`-th record.
#[derive(Clone, Copy, Debug)]
pub struct CountTrigger {
    every: u64,
}

impl CountTrigger {
    /// Fires at every `n`-th record of a window.
    pub fn every(n: u64) -> Self {
        Self { every: n.max(1) }
    }
}

impl<T> Trigger<T> for CountTrigger {
    type State = u64;

    #[inline]
    fn on_element(&self, _: &T, _: Timestamp, _: &Window, count: &mut u64) -> TriggerResult {
        *count += 1;
        if *count < self.every {
            return TriggerResult::Continue;
        }
        *count = 0;
        TriggerResult::Fire
    }

    fn on_end(&self, _: &Window, _: &mut u64) -> TriggerResult {
        TriggerResult::Continue
    }
}

/// Fires when a measure of the records has moved by more than a threshold since the last time it fired. A measure that is
/// not a number (NaN) neither fires nor becomes the one to count from.
pub struct DeltaTrigger<T, F> {
    threshold: f64,
    measure: F,
    takes: PhantomData<fn(&T)>,
}

impl<T, F: Fn(&T) -> f64> DeltaTrigger<T, F> {
    /// Fires each time `measure` has moved by more than `threshold`.
    ///
    /// # Panics
    /// If the threshold is not a number: it would never be exceeded.
    pub fn every(threshold: f64, measure: F) -> Self {
        assert!(!threshold.is_nan(), "the threshold of a delta trigger is NaN: give a number");
        Self { threshold, measure, takes: PhantomData }
    }
}

impl<T, F: Clone> Clone for DeltaTrigger<T, F> {
    fn clone(&self) -> Self {
        Self { threshold: self.threshold, measure: self.measure.clone(), takes: PhantomData }
    }
}

impl<T: 'static, F: Fn(&T) -> f64 + Clone + Send + 'static> Trigger<T> for DeltaTrigger<T, F> {
    /// The measure when it last fired; at first that of the first record.
    type State = Option<f64>;

    #[inline]
    fn on_element(&self, value: &T, _: Timestamp, _: &Window, last: &mut Option<f64>) -> TriggerResult {
        let measure = (self.measure)(value);
        if measure.is_nan() {
            return TriggerResult::Continue;
        }
        let since = *last.get_or_insert(measure);
        if measure - since <= self.threshold {
            return TriggerResult::Continue;
        }
        *last = Some(measure);
        TriggerResult::Fire
    }

    fn on_end(&self, _: &Window, _: &mut Option<f64>) -> TriggerResult {
        TriggerResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_that_is_no_number_does_not_count() {
        let trigger = DeltaTrigger::every(10.0, |value: &f64| *value);
        let window = Window { start: 0, end: 1 };
        let fired = |values: &[f64]| {
            let mut last = None;
            let mut fires =
                |value: &&f64| trigger.on_element(value, 0, &window, &mut last) == TriggerResult::Fire;
            values.iter().filter(|value| fires(value)).count()
        };
        assert_eq!(fired(&[0.0, f64::NAN, 1.0, 2.0, 10.0]), 0);
        assert_eq!(fired(&[f64::NAN, 0.0, 11.0, f64::NAN, 20.0, 23.0]), 2);
    }
}
