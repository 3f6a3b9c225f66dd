//! The trigger that fires before the end of a window, at it, and for late records.

use super::continuous::register_first;
use super::{MergingTrigger, Trigger, TriggerContext, TriggerResult};
use crate::window::interval_ms;
use crate::{TimeDomain, UserError};
use reflow_types::Timestamp;
use std::time::Duration;

/// Fires when the window ends, and before and after that a delay after new records. Made by
/// [`EventTimeTrigger::with_early_firings`](super::EventTimeTrigger::with_early_firings).
///
/// ```
/// use reflow_api::window::EventTimeTrigger;
/// use std::time::Duration;
/// let second = Duration::from_secs(1);
/// let _ = EventTimeTrigger.with_early_firings(second).with_late_firings(10 * second);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EarlyAndLateFirings {
    /// `None` if it does not fire early.
    early_ms: Option<i64>,
    /// `None` if it fires at once for each late record.
    late_ms: Option<i64>,
}

impl EarlyAndLateFirings {
    /// Fires `delay` after a record, by the wall clock, with all records until then.
    ///
    /// # Panics
    /// If `delay` is below a millisecond.
    #[must_use]
    pub fn with_early_firings(self, delay: Duration) -> Self {
        Self { early_ms: Some(interval_ms(delay, "delay of early firings")), ..self }
    }

    /// Fires for late records `delay` after the first of them, by the wall clock, instead of for each at once.
    ///
    /// # Panics
    /// If `delay` is below a millisecond.
    #[must_use]
    pub fn with_late_firings(self, delay: Duration) -> Self {
        Self { late_ms: Some(interval_ms(delay, "delay of late firings")), ..self }
    }
}

impl<T> Trigger<T> for EarlyAndLateFirings {
    /// The time of the next firing, in processing time.
    type State = Option<Timestamp>;

    #[inline]
    fn on_element_with(
        &self,
        _: &T,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        let delay_ms = match (context.has_ended(), self.early_ms, self.late_ms) {
            (true, _, None) => return Ok(TriggerResult::Fire),
            (true, _, Some(delay_ms)) | (false, Some(delay_ms), _) => delay_ms,
            (false, None, _) => return Ok(TriggerResult::Continue),
        };
        if context.state().is_none() {
            let due = context.processing_time().saturating_add(delay_ms);
            *context.state() = Some(due);
            context.register_timer(TimeDomain::Processing, due);
        }
        Ok(TriggerResult::Continue)
    }

    fn on_end_with(
        &self,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        if let Some(due) = context.state().take() {
            context.delete_timer(TimeDomain::Processing, due);
        }
        Ok(TriggerResult::Fire)
    }

    fn on_processing_time(
        &self,
        _: Timestamp,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        *context.state() = None;
        Ok(TriggerResult::Fire)
    }
}

impl<T> MergingTrigger<T> for EarlyAndLateFirings {
    fn on_merge(
        &self,
        merged: Vec<Self::State>,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<(), UserError> {
        register_first(TimeDomain::Processing, merged, context);
        Ok(())
    }
}
