//! Sessions: windows of a key that end when it has had no records for a while.

use super::assigner::{Merges, ProcessingTime, WindowAssigner};
use super::{Window, checked_ms, interval_ms};
use crate::{TimeDomain, UserError};
use reflow_types::Timestamp;
use std::time::Duration;

/// Windows that contain records of a key between which there is at most a gap of event time. A session begins with its
/// first record and ends a gap after its last. A record between two sessions merges them.
///
/// Aggregates must be [`MergeableAggregate`](crate::MergeableAggregate), triggers
/// [`MergingTrigger`](super::MergingTrigger).
///
/// ```
/// use reflow_api::window::SessionWindows;
/// use std::time::Duration;
///
/// struct Click { is_mobile: bool }
/// let fixed: SessionWindows = SessionWindows::with_gap(Duration::from_secs(60));
/// let by_record = SessionWindows::with_dynamic_gap(|click: &Click| {
///     Duration::from_secs(if click.is_mobile { 300 } else { 60 })
/// });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SessionWindows<G = FixedGap> {
    gap: G,
}

/// The same gap behind each record: what [`SessionWindows`] have if nothing else is said.
///
/// ```
/// use reflow_api::window::SessionWindows;
/// use reflow_api::window::session::FixedGap;
/// use std::time::Duration;
///
/// let sessions: SessionWindows<FixedGap> = SessionWindows::with_gap(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FixedGap {
    ms: i64,
}

/// A gap that depends on the record.
///
/// ```
/// use reflow_api::window::SessionWindows;
/// use reflow_api::window::session::DynamicGap;
/// use std::time::Duration;
///
/// /// A function that returns such windows can name their type.
/// fn sessions() -> SessionWindows<DynamicGap<fn(&u64) -> Duration>> {
///     SessionWindows::with_dynamic_gap(|gap_ms| Duration::from_millis(*gap_ms))
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DynamicGap<F>(F);

/// The gap behind a record.
#[doc(hidden)]
pub trait Gap<T>: Clone + Send + 'static {
    /// The gap in milliseconds.
    fn ms(&self, value: &T) -> Result<i64, UserError>;
}

impl<T> Gap<T> for FixedGap {
    #[inline]
    fn ms(&self, _: &T) -> Result<i64, UserError> {
        Ok(self.ms)
    }
}

impl<T, F: Fn(&T) -> Duration + Clone + Send + 'static> Gap<T> for DynamicGap<F> {
    fn ms(&self, value: &T) -> Result<i64, UserError> {
        Ok(checked_ms((self.0)(value), "gap")?)
    }
}

impl SessionWindows {
    /// Sessions that end `gap` after their last record.
    ///
    /// # Panics
    /// If `gap` is below 1 ms or above 20,000 years.
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap: FixedGap { ms: interval_ms(gap, "gap") } }
    }
}

impl<F> SessionWindows<DynamicGap<F>> {
    /// Sessions that last until no record's gap reaches further. A gap below 1 ms or above 20,000 years is an error of the
    /// record.
    pub fn with_dynamic_gap<T>(gap: F) -> Self
    where
        F: Fn(&T) -> Duration,
    {
        Self { gap: DynamicGap(gap) }
    }
}

impl<G> SessionWindows<G> {
    /// The same sessions in processing time.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::window::SessionWindows;
    /// use std::time::Duration;
    ///
    /// let visits = SessionWindows::with_gap(Duration::from_secs(60)).in_processing_time();
    /// ```
    pub fn in_processing_time(self) -> ProcessingTime<Self> {
        ProcessingTime(self)
    }

    fn assign<T>(&self, value: &T, time: Timestamp, mut each: impl FnMut(Window)) -> Result<(), UserError>
    where
        G: Gap<T>,
    {
        each(Window { start: time, end: time.saturating_add(self.gap.ms(value)?) });
        Ok(())
    }
}

impl<T, G: Gap<T>> WindowAssigner<T> for SessionWindows<G> {
    type Merging = Merges;
    const NEEDS_TIME: bool = true;
    const DOMAIN: TimeDomain = TimeDomain::Event;

    #[inline]
    fn assign(&mut self, value: &T, time: Timestamp, each: impl FnMut(Window)) -> Result<(), UserError> {
        (*self).assign(value, time, each)
    }
}

impl<T, G: Gap<T>> WindowAssigner<T> for ProcessingTime<SessionWindows<G>> {
    type Merging = Merges;
    const NEEDS_TIME: bool = false;
    const DOMAIN: TimeDomain = TimeDomain::Processing;

    #[inline]
    fn assign(&mut self, value: &T, time: Timestamp, each: impl FnMut(Window)) -> Result<(), UserError> {
        self.0.assign(value, time, each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_cannot_be_is_an_error_of_the_record() {
        let mut sessions = SessionWindows::with_dynamic_gap(|gap: &Duration| *gap);
        let mut assigned = Vec::new();
        for (gap, is_possible) in [
            (Duration::ZERO, false),
            (Duration::from_micros(999), false),
            (Duration::from_millis(5), true),
            (Duration::MAX, false),
        ] {
            let result = WindowAssigner::assign(&mut sessions, &gap, 10, |window| assigned.push(window));
            assert_eq!(result.is_ok(), is_possible, "{gap:?}");
        }
        assert_eq!(assigned, [Window { start: 10, end: 15 }]);
        std::panic::catch_unwind(|| SessionWindows::with_gap(Duration::ZERO)).unwrap_err();
    }
}
