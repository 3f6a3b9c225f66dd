//! Triggers that fire at regular intervals.

use super::{MergingTrigger, Trigger, TriggerContext, TriggerResult};
use crate::window::interval_ms;
use crate::{TimeDomain, UserError};
use reflow_types::Timestamp;
use std::time::Duration;

/// Fires at each multiple of an interval of event time, as long as the window has records, and at its end.
///
/// Flink's trigger of that name fires once for each interval that a watermark skips; this one fires once for all of them,
/// because they have the same records.
///
/// ```
/// use reflow_api::window::ContinuousEventTimeTrigger;
/// use std::time::Duration;
/// let _ = ContinuousEventTimeTrigger::every(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ContinuousEventTimeTrigger {
    interval_ms: i64,
}

impl ContinuousEventTimeTrigger {
    /// Fires each `interval`.
    ///
    /// # Panics
    /// If `interval` is below 1 ms or above 20,000 years.
    pub fn every(interval: Duration) -> Self {
        Self { interval_ms: interval_ms(interval, "interval") }
    }

    /// Registers the timer of the next interval after `time` that the watermark has not reached, unless the window ends
    /// before.
    fn schedule(&self, time: Timestamp, context: &mut impl TriggerContext<Option<Timestamp>>) {
        let after = time.max(context.watermark());
        let next = next_multiple(after, self.interval_ms);
        if next < context.window().max_timestamp() {
            *context.state() = Some(next);
            context.register_timer(TimeDomain::Event, next);
        }
    }
}

impl<T> Trigger<T> for ContinuousEventTimeTrigger {
    /// The time of the next firing.
    type State = Option<Timestamp>;

    #[inline]
    fn on_element_with(
        &self,
        _: &T,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        if context.has_ended() {
            return Ok(TriggerResult::Fire);
        }
        if context.state().is_none() {
            let time = context.timestamp();
            self.schedule(time, context);
        }
        Ok(TriggerResult::Continue)
    }

    fn on_end_with(&self, _: &mut impl TriggerContext<Self::State>) -> Result<TriggerResult, UserError> {
        Ok(TriggerResult::Fire)
    }

    fn on_event_time(
        &self,
        time: Timestamp,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        *context.state() = None;
        if context.window().max_timestamp() <= context.watermark() {
            // The window ends with this watermark, and fires then.
            return Ok(TriggerResult::Continue);
        }
        self.schedule(time, context);
        Ok(TriggerResult::Fire)
    }
}

impl<T> MergingTrigger<T> for ContinuousEventTimeTrigger {
    fn on_merge(
        &self,
        merged: Vec<Self::State>,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<(), UserError> {
        register_first(TimeDomain::Event, merged, context);
        Ok(())
    }
}

/// Fires at each multiple of an interval of the wall clock, as long as the window has records. It does not fire at the
/// end of the window.
///
/// ```
/// use reflow_api::window::ContinuousProcessingTimeTrigger;
/// use std::time::Duration;
/// let _ = ContinuousProcessingTimeTrigger::every(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ContinuousProcessingTimeTrigger {
    interval_ms: i64,
}

impl ContinuousProcessingTimeTrigger {
    /// Fires each `interval`.
    ///
    /// # Panics
    /// If `interval` is below 1 ms or above 20,000 years.
    pub fn every(interval: Duration) -> Self {
        Self { interval_ms: interval_ms(interval, "interval") }
    }

    fn schedule(&self, context: &mut impl TriggerContext<Option<Timestamp>>) {
        let next = next_multiple(context.processing_time(), self.interval_ms);
        *context.state() = Some(next);
        context.register_timer(TimeDomain::Processing, next);
    }
}

impl<T> Trigger<T> for ContinuousProcessingTimeTrigger {
    /// The time of the next firing.
    type State = Option<Timestamp>;

    #[inline]
    fn on_element_with(
        &self,
        _: &T,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        if context.state().is_none() {
            self.schedule(context);
        }
        Ok(TriggerResult::Continue)
    }

    fn on_processing_time(
        &self,
        _: Timestamp,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        self.schedule(context);
        Ok(TriggerResult::Fire)
    }
}

impl<T> MergingTrigger<T> for ContinuousProcessingTimeTrigger {
    fn on_merge(
        &self,
        merged: Vec<Self::State>,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<(), UserError> {
        register_first(TimeDomain::Processing, merged, context);
        Ok(())
    }
}

/// The first multiple of `interval_ms` above `time`.
pub(super) fn next_multiple(time: Timestamp, interval_ms: i64) -> Timestamp {
    time.saturating_sub(time.rem_euclid(interval_ms)).saturating_add(interval_ms)
}

/// Registers the earliest timer of windows that have merged.
pub(super) fn register_first(
    domain: TimeDomain,
    merged: Vec<Option<Timestamp>>,
    context: &mut impl TriggerContext<Option<Timestamp>>,
) {
    let first = merged.into_iter().chain([*context.state()]).flatten().min();
    *context.state() = first;
    if let Some(first) = first {
        context.register_timer(domain, first);
    }
}
