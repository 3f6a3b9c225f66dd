//! The trigger by the change of a measure.

use super::{Trigger, TriggerResult};
use crate::window::Window;
use reflow_types::Timestamp;
use std::marker::PhantomData;

/// Fires when a measure of the records has changed by more than a threshold since the trigger last fired, or since
/// the first record. A measure of NaN neither fires nor becomes the reference.
///
/// Flink's `DeltaTrigger` leaves the direction to its delta function: `new - old` is [`every`](Self::every), `|new - old|`
/// is [`either_way`](Self::either_way). The streams' methods `trigger_on_rise` and `trigger_on_change` make one, and infer
/// the type of records.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::DeltaTrigger;
///
/// let each_50_metres = DeltaTrigger::every(50.0, |metres: &f64| *metres);
/// let each_degree = DeltaTrigger::either_way(1.0, |degrees: &f64| *degrees);
/// ```
pub struct DeltaTrigger<T, F> {
    threshold: f64,
    measure: F,
    direction: Direction,
    takes: PhantomData<fn(&T)>,
}

/// The direction of changes that fire the trigger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Rises,
    RisesAndFalls,
}

impl<T, F: Fn(&T) -> f64> DeltaTrigger<T, F> {
    /// Fires each time `measure` has risen by more than `threshold`. A measure that falls does not fire and does
    /// not lower the reference. Use it for measures that only grow, such as a distance driven.
    ///
    /// # Panics
    /// If the threshold is not a number: it would never be exceeded.
    pub fn every(threshold: f64, measure: F) -> Self {
        Self::new(threshold, measure, Direction::Rises)
    }

    /// Fires each time `measure` has risen or fallen by more than `threshold`.
    ///
    /// # Panics
    /// If the threshold is not a number: it would never be exceeded.
    pub fn either_way(threshold: f64, measure: F) -> Self {
        Self::new(threshold, measure, Direction::RisesAndFalls)
    }

    fn new(threshold: f64, measure: F, direction: Direction) -> Self {
        assert!(!threshold.is_nan(), "the threshold of a delta trigger is NaN: give a number");
        Self { threshold, measure, direction, takes: PhantomData }
    }

    /// Whether the change exceeds the threshold. Equal infinite measures have no difference.
    fn is_exceeded(&self, since: f64, measure: f64) -> bool {
        let rise = measure - since;
        rise > self.threshold || (self.direction == Direction::RisesAndFalls && -rise > self.threshold)
    }
}

impl<T, F: Clone> Clone for DeltaTrigger<T, F> {
    fn clone(&self) -> Self {
        Self { measure: self.measure.clone(), ..*self }
    }
}

impl<T: 'static, F: Fn(&T) -> f64 + Clone + Send + 'static> Trigger<T> for DeltaTrigger<T, F> {
    /// The measure at the last firing, at first that of the first record.
    type State = Option<f64>;

    #[inline]
    fn on_element(&self, value: &T, _: Timestamp, _: &Window, last: &mut Option<f64>) -> TriggerResult {
        let measure = (self.measure)(value);
        if measure.is_nan() {
            return TriggerResult::Continue;
        }
        let since = *last.get_or_insert(measure);
        if !self.is_exceeded(since, measure) {
            return TriggerResult::Continue;
        }
        *last = Some(measure);
        TriggerResult::Fire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(trigger: &impl Trigger<f64, State = Option<f64>>, values: &[f64], expected: &[f64]) {
        let (window, mut last) = (Window { start: 0, end: 1 }, None);
        let mut fires =
            |value: &&f64| trigger.on_element(value, 0, &window, &mut last) == TriggerResult::Fire;
        let fired: Vec<f64> = values.iter().filter(|value| fires(value)).copied().collect();
        assert_eq!(fired, expected, "of {values:?}");
    }

    #[test]
    fn a_delta_counts_from_the_last_time_that_it_fired() {
        let values = [0.0, 10.0, 11.0, 21.0, 22.0, 0.0, 30.0, 33.0];
        check(&DeltaTrigger::every(10.0, |value: &f64| *value), &values, &[11.0, 22.0, 33.0]);
        let either_way = DeltaTrigger::either_way(10.0, |value: &f64| *value);
        check(&either_way, &values, &[11.0, 22.0, 0.0, 30.0]);
        check(&either_way, &[-5.0, -15.0, -16.0, -5.5, -5.0], &[-16.0, -5.5]);
    }

    #[test]
    fn a_measure_that_is_no_number_does_not_count() {
        const NAN: f64 = f64::NAN;
        let (high, low) = (f64::INFINITY, f64::NEG_INFINITY);
        for trigger in [DeltaTrigger::every, DeltaTrigger::either_way] as [fn(f64, fn(&f64) -> f64) -> _; 2] {
            let trigger = trigger(10.0, |value: &f64| *value);
            check(&trigger, &[0.0, NAN, 1.0, 2.0, 10.0], &[]);
            check(&trigger, &[NAN, 0.0, 11.0, NAN, 20.0, 23.0], &[11.0, 23.0]);
            check(&trigger, &[0.0, high, high], &[high]);
        }
        let either_way = DeltaTrigger::either_way(10.0, |value: &f64| *value);
        check(&either_way, &[0.0, low, low, 0.0], &[low, 0.0]);
    }
}
