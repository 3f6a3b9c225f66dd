//! Triggers by the end of the window.

use super::{EarlyAndLateFirings, MergingTrigger, Trigger, TriggerContext, TriggerResult};
use crate::{TimeDomain, UserError};
use std::time::Duration;

/// Fires when the window ends: when the watermark passes its end, or for a window in processing time the wall clock; for
/// a global window, when the input ends. A record that is late, but within the allowed lateness, fires the window
/// again at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventTimeTrigger;

impl EventTimeTrigger {
    /// Also fires before the end: `delay` after a record, by the wall clock, with all records until then.
    ///
    /// ```
    /// use reflow_api::window::EventTimeTrigger;
    /// use std::time::Duration;
    /// let _ = EventTimeTrigger.with_early_firings(Duration::from_secs(1));
    /// ```
    ///
    /// # Panics
    /// If `delay` is below a millisecond.
    pub fn with_early_firings(self, delay: Duration) -> EarlyAndLateFirings {
        EarlyAndLateFirings::default().with_early_firings(delay)
    }

    /// Fires for late records `delay` after the first of them, by the wall clock, instead of for each at once.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::window::EventTimeTrigger;
    /// use std::time::Duration;
    ///
    /// let trigger = EventTimeTrigger.with_late_firings(Duration::from_secs(1));
    /// ```
    ///
    /// # Panics
    /// If `delay` is below a millisecond.
    pub fn with_late_firings(self, delay: Duration) -> EarlyAndLateFirings {
        EarlyAndLateFirings::default().with_late_firings(delay)
    }
}

impl<T> Trigger<T> for EventTimeTrigger {
    type State = ();

    #[inline]
    fn on_element_with(
        &self,
        _: &T,
        context: &mut impl TriggerContext<()>,
    ) -> Result<TriggerResult, UserError> {
        Ok(if context.has_ended() { TriggerResult::Fire } else { TriggerResult::Continue })
    }

    #[inline]
    fn on_end_with(&self, _: &mut impl TriggerContext<()>) -> Result<TriggerResult, UserError> {
        Ok(TriggerResult::Fire)
    }
}

impl<T> MergingTrigger<T> for EventTimeTrigger {
    #[inline]
    fn on_merge(&self, _: Vec<()>, _: &mut impl TriggerContext<()>) -> Result<(), UserError> {
        Ok(())
    }
}

/// Fires when the wall clock reaches the end of the window, also for windows in event time.
///
/// ```
/// use reflow_api::window::{ProcessingTimeTrigger, Trigger};
/// fn takes_any_record<T>(_: impl Trigger<T>) {}
/// takes_any_record::<u64>(ProcessingTimeTrigger);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessingTimeTrigger;

impl<T> Trigger<T> for ProcessingTimeTrigger {
    type State = ();

    fn on_element_with(
        &self,
        _: &T,
        context: &mut impl TriggerContext<()>,
    ) -> Result<TriggerResult, UserError> {
        let end = context.window().max_timestamp();
        context.register_timer(TimeDomain::Processing, end);
        Ok(TriggerResult::Continue)
    }

    fn on_processing_time(
        &self,
        _: i64,
        _: &mut impl TriggerContext<()>,
    ) -> Result<TriggerResult, UserError> {
        Ok(TriggerResult::Fire)
    }
}

impl<T> MergingTrigger<T> for ProcessingTimeTrigger {
    fn on_merge(&self, _: Vec<()>, context: &mut impl TriggerContext<()>) -> Result<(), UserError> {
        let end = context.window().max_timestamp();
        context.register_timer(TimeDomain::Processing, end);
        Ok(())
    }
}

/// Never fires: for windows whose function emits what it has when the window is [cleared](crate::window::WindowFunction::clear).
///
/// ```
/// use reflow_api::window::{MergingTrigger, NeverTrigger};
/// fn takes_any_record<T>(_: impl MergingTrigger<T>) {}
/// takes_any_record::<u64>(NeverTrigger);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverTrigger;

impl<T> Trigger<T> for NeverTrigger {
    type State = ();
}

impl<T> MergingTrigger<T> for NeverTrigger {
    fn on_merge(&self, _: Vec<()>, _: &mut impl TriggerContext<()>) -> Result<(), UserError> {
        Ok(())
    }
}
