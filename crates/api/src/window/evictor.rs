//! Evictors, which remove records from a window before its result is computed.

use super::Elements;
use reflow_types::NO_TIMESTAMP;
use std::time::Duration;

/// Removes records from a window when it fires, before its function runs.
pub trait Evictor<T>: Clone + Send + 'static {
    /// Removes records from `elements`.
    fn evict(&self, elements: &mut Elements<T>);
}

/// Keeps the records whose timestamps are less than a duration below the highest one. Like Flink's, it keeps all
/// records of a window in which none has a timestamp; if some have one, it removes those without.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{Elements, Evictor, TimeEvictor};
/// use std::time::Duration;
///
/// let mut speeds = Elements::default();
/// [1_000, 5_000, 6_000].map(|time| speeds.push(time, 50.0));
/// TimeEvictor::keep_last(Duration::from_secs(2)).evict(&mut speeds);
/// assert_eq!(speeds.len(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeEvictor {
    keep_ms: i64,
}

impl TimeEvictor {
    /// Keeps the last `duration` of event time.
    pub fn keep_last(duration: Duration) -> Self {
        Self { keep_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX) }
    }
}

impl<T> Evictor<T> for TimeEvictor {
    fn evict(&self, elements: &mut Elements<T>) {
        if let Some(newest) = elements.newest().filter(|newest| *newest != NO_TIMESTAMP) {
            elements.drop_until(newest.saturating_sub(self.keep_ms));
        }
    }
}

/// Keeps the last `n` records.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{CountEvictor, Elements, Evictor};
///
/// let mut speeds = Elements::default();
/// [1_000, 5_000, 6_000].map(|time| speeds.push(time, 50.0));
/// CountEvictor::keep_last(1).evict(&mut speeds);
/// assert_eq!(speeds.last(), Some(&(6_000, 50.0)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CountEvictor {
    keep: usize,
}

impl CountEvictor {
    /// Keeps the last `n` records.
    pub fn keep_last(n: usize) -> Self {
        Self { keep: n }
    }
}

impl<T> Evictor<T> for CountEvictor {
    fn evict(&self, elements: &mut Elements<T>) {
        elements.drop_first(elements.len().saturating_sub(self.keep));
    }
}

/// Keeps the records whose difference to the last one is below a threshold. A difference of NaN keeps a record.
///
/// ```
/// use reflow_api::window::{DeltaEvictor, Elements, Evictor};
/// let mut speeds = Elements::default();
/// [50.0, 80.0, 85.0].into_iter().for_each(|speed| speeds.push(0, speed));
/// DeltaEvictor::keep_within(10.0, |speed: &f64, last: &f64| (last - speed).abs()).evict(&mut speeds);
/// assert_eq!(speeds.len(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DeltaEvictor<F> {
    threshold: f64,
    delta: F,
}

impl<F> DeltaEvictor<F> {
    /// Keeps the records for which `delta(record, last)` is below `threshold`.
    ///
    /// # Panics
    /// If the threshold is not a number: no record would ever be removed.
    pub fn keep_within<T>(threshold: f64, delta: F) -> Self
    where
        F: Fn(&T, &T) -> f64,
    {
        assert!(!threshold.is_nan(), "the threshold of a delta evictor is NaN: give a number");
        Self { threshold, delta }
    }
}

impl<T: Clone, F: Fn(&T, &T) -> f64 + Clone + Send + 'static> Evictor<T> for DeltaEvictor<F> {
    fn evict(&self, elements: &mut Elements<T>) {
        let Some((_, last)) = elements.last().cloned() else { return };
        elements.retain(|record| {
            let delta = (self.delta)(record, &last);
            delta.is_nan() || delta < self.threshold
        });
    }
}

/// Removes no record.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{Elements, Evictor, KeepAll};
///
/// let mut speeds = Elements::default();
/// speeds.push(1_000, 50.0);
/// KeepAll.evict(&mut speeds);
/// assert_eq!(speeds.len(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeepAll;

impl<T> Evictor<T> for KeepAll {
    #[inline]
    fn evict(&self, _: &mut Elements<T>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(evictor: impl Evictor<char>, elements: &[(i64, char)]) -> String {
        let mut window = Elements::default();
        elements.iter().for_each(|&(time, element)| window.push(time, element));
        evictor.evict(&mut window);
        window.iter().map(|(_, element)| *element).collect()
    }

    #[test]
    fn evictors_keep_what_they_say() {
        let in_order = [(1, 'a'), (3, 'b'), (12, 'c'), (13, 'd')];
        let mixed = [(1, 'a'), (12, 'b'), (3, 'c'), (13, 'd')];
        let ten_ms = TimeEvictor::keep_last(Duration::from_millis(10));
        assert_eq!(kept(ten_ms, &in_order), "cd");
        assert_eq!(kept(ten_ms, &mixed), "bd");
        assert_eq!(kept(ten_ms, &[]), "");
        assert_eq!(kept(CountEvictor::keep_last(3), &mixed), "bcd");
        assert_eq!(kept(CountEvictor::keep_last(9), &mixed), "abcd");
        assert_eq!(kept(CountEvictor::keep_last(0), &mixed), "");
    }

    #[test]
    fn a_delta_is_measured_from_the_last_record() {
        let distance =
            |record: &char, last: &char| f64::from(u32::from(*last)) - f64::from(u32::from(*record));
        assert_eq!(
            kept(DeltaEvictor::keep_within(2.0, distance), &[(1, 'a'), (2, 'd'), (3, 'b'), (4, 'c')]),
            "dbc"
        );
        assert_eq!(kept(DeltaEvictor::keep_within(2.0, distance), &[]), "");
        assert_eq!(kept(DeltaEvictor::keep_within(0.0, |_: &char, _: &char| f64::NAN), &[(1, 'a')]), "a");
        assert!(std::panic::catch_unwind(|| DeltaEvictor::keep_within(f64::NAN, distance)).is_err());
    }

    #[test]
    fn any_timestamp_can_be_evicted_by() {
        let (none, low, high) = (NO_TIMESTAMP, i64::MIN + 1, i64::MAX);
        let ten_ms = TimeEvictor::keep_last(Duration::from_millis(10));
        assert_eq!(kept(ten_ms, &[(none, 'a'), (none, 'b')]), "ab", "there is no time to go by");
        assert_eq!(kept(ten_ms, &[(none, 'a'), (5, 'b'), (low, 'c'), (6, 'd')]), "bd");
        assert_eq!(kept(ten_ms, &[(low, 'a'), (high, 'b'), (high - 9, 'c'), (high - 10, 'd')]), "bc");
        assert_eq!(kept(TimeEvictor::keep_last(Duration::MAX), &[(1, 'a'), (high, 'b')]), "ab");
        assert_eq!(kept(TimeEvictor::keep_last(Duration::ZERO), &[(1, 'a'), (2, 'b')]), "");
    }

    /// Like an evictor that a user may write.
    #[derive(Clone)]
    struct DropsTooMuch;

    impl<T> Evictor<T> for DropsTooMuch {
        fn evict(&self, elements: &mut Elements<T>) {
            elements.drop_first(elements.len() + 1);
        }
    }

    #[test]
    fn no_more_is_dropped_than_there_is() {
        assert_eq!(kept(DropsTooMuch, &[(1, 'a')]), "");
    }
}
