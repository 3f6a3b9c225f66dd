//! Triggers, which decide when a window emits its result.

mod continuous;
mod count;
mod delta;
mod early_and_late;
mod end;
mod purging;

pub use continuous::{ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger};
pub use count::CountTrigger;
pub use delta::DeltaTrigger;
pub use early_and_late::EarlyAndLateFirings;
pub use end::{EventTimeTrigger, NeverTrigger, ProcessingTimeTrigger};
pub use purging::PurgingTrigger;

use super::Window;
use crate::{TimeDomain, UserError};
use reflow_types::{Data, Timestamp};

/// The decision of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerResult {
    /// Do nothing.
    Continue,
    /// Emit the result and keep the content.
    Fire,
    /// Remove the content.
    Purge,
    /// Emit the result and remove the content.
    FireAndPurge,
}

impl TriggerResult {
    /// Whether a result is emitted.
    #[doc(hidden)]
    #[inline]
    pub fn fires(self) -> bool {
        matches!(self, TriggerResult::Fire | TriggerResult::FireAndPurge)
    }

    /// Whether the content is removed.
    #[doc(hidden)]
    #[inline]
    pub fn purges(self) -> bool {
        matches!(self, TriggerResult::Purge | TriggerResult::FireAndPurge)
    }
}

/// Decides when a window emits its result.
///
/// A trigger that decides by records and its state alone implements [`on_element`](Self::on_element) and
/// [`on_end`](Self::on_end). One that needs times or timers, or that can fail, implements
/// [`on_element_with`](Self::on_element_with) and [`on_end_with`](Self::on_end_with) instead, which get a
/// [`TriggerContext`], and the calls of its timers.
///
/// A window without records, because it was purged, emits nothing, whatever its trigger decides, and does not end;
/// its timers fire. State and timers of a window are removed with the window.
///
/// ```
/// use reflow_api::window::{Trigger, TriggerContext, TriggerResult};
/// use reflow_api::{TimeDomain, UserError};
/// use reflow_types::Timestamp;
///
/// /// Fires 10 s after a window's first record, by the wall clock, and again for later records.
/// #[derive(Clone)]
/// struct SoonAfterTheFirst;
///
/// impl<T> Trigger<T> for SoonAfterTheFirst {
///     type State = bool;
///
///     fn on_element_with(
///         &self,
///         _: &T,
///         context: &mut impl TriggerContext<bool>,
///     ) -> Result<TriggerResult, UserError> {
///         let is_waiting = std::mem::replace(context.state(), true);
///         if !is_waiting {
///             let due = context.processing_time() + 10_000;
///             context.register_timer(TimeDomain::Processing, due);
///         }
///         Ok(TriggerResult::Continue)
///     }
///
///     fn on_processing_time(
///         &self,
///         _: Timestamp,
///         context: &mut impl TriggerContext<bool>,
///     ) -> Result<TriggerResult, UserError> {
///         *context.state() = false;
///         Ok(TriggerResult::Fire)
///     }
/// }
/// ```
pub trait Trigger<T>: Clone + Send + 'static {
    /// The trigger's state for a key and window.
    type State: Default + Data;

    /// Called after a record was added to the window, unless [`on_element_with`](Self::on_element_with) is implemented.
    #[inline]
    fn on_element(&self, _: &T, _: Timestamp, _: &Window, _: &mut Self::State) -> TriggerResult {
        TriggerResult::Continue
    }

    /// Called when the window has ended, unless [`on_end_with`](Self::on_end_with) is implemented.
    #[inline]
    fn on_end(&self, _: &Window, _: &mut Self::State) -> TriggerResult {
        TriggerResult::Continue
    }

    /// Called after a record was added to the window.
    #[inline]
    fn on_element_with(
        &self,
        value: &T,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        let (time, window) = (context.timestamp(), context.window());
        Ok(self.on_element(value, time, &window, context.state()))
    }

    /// Called once when the window has ended: when the watermark, or for windows in processing time the wall clock,
    /// has reached its last timestamp. No timer needs to be registered for it. A window without end ends with the
    /// input.
    #[inline]
    fn on_end_with(
        &self,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        let window = context.window();
        Ok(self.on_end(&window, context.state()))
    }

    /// Called when the watermark has reached the time of a timer that the trigger has registered.
    fn on_event_time(
        &self,
        _time: Timestamp,
        _context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        Ok(TriggerResult::Continue)
    }

    /// Called when the wall clock has reached the time of a timer that the trigger has registered.
    fn on_processing_time(
        &self,
        _time: Timestamp,
        _context: &mut impl TriggerContext<Self::State>,
    ) -> Result<TriggerResult, UserError> {
        Ok(TriggerResult::Continue)
    }

    /// Called before a window is removed, for what the trigger keeps elsewhere. Its state and timers need no removal.
    #[inline]
    fn clear(&self, _context: &mut impl TriggerContext<Self::State>) -> Result<(), UserError> {
        Ok(())
    }
}

/// A trigger for windows that merge, such as sessions. All triggers here are, except [`DeltaTrigger`].
///
/// ```
/// use reflow_api::UserError;
/// use reflow_api::window::{MergingTrigger, Trigger, TriggerContext, TriggerResult, Window};
/// use reflow_types::Timestamp;
///
/// /// Fires at the first record of a window that is above 100.
/// #[derive(Clone)]
/// struct FirstHigh;
///
/// impl Trigger<u64> for FirstHigh {
///     type State = bool;
///     fn on_element(&self, value: &u64, _: Timestamp, _: &Window, has_fired: &mut bool) -> TriggerResult {
///         let fires = *value > 100 && !std::mem::replace(has_fired, *has_fired || *value > 100);
///         if fires { TriggerResult::Fire } else { TriggerResult::Continue }
///     }
/// }
///
/// impl MergingTrigger<u64> for FirstHigh {
///     fn on_merge(&self, merged: Vec<bool>, context: &mut impl TriggerContext<bool>) -> Result<(), UserError> {
///         *context.state() |= merged.contains(&true);
///         Ok(())
///     }
/// }
/// ```
pub trait MergingTrigger<T>: Trigger<T> {
    /// Called when a record has extended the context's window, or has merged others into it; `merged` are the states of
    /// those. The timers of all of these windows are deleted before: register again what is still needed.
    fn on_merge(
        &self,
        merged: Vec<Self::State>,
        context: &mut impl TriggerContext<Self::State>,
    ) -> Result<(), UserError>;
}

/// What a trigger knows of the current window, and its timers.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::TimeDomain;
/// use reflow::window::TriggerContext;
///
/// /// Registers a timer a second after the first record of a window, and none for late records.
/// fn first_record(context: &mut impl TriggerContext<bool>) {
///     let in_a_second = context.timestamp().max(context.watermark()) + 1_000;
///     if context.has_ended() || in_a_second >= context.window().end {
///         context.delete_timer(TimeDomain::Event, in_a_second);
///     } else if !std::mem::replace(context.state(), true) {
///         context.register_timer(TimeDomain::Event, in_a_second);
///     }
///     println!("the wall clock is at {}", context.processing_time());
/// }
/// ```
pub trait TriggerContext<S> {
    /// The window.
    fn window(&self) -> Window;
    /// The trigger's state for the key and window.
    fn state(&mut self) -> &mut S;
    /// The event time of the current record, or the time of the current timer or end.
    fn timestamp(&self) -> Timestamp;
    /// The current watermark.
    fn watermark(&self) -> Timestamp;
    /// The wall clock, in milliseconds since the Unix epoch, read once for each step.
    fn processing_time(&self) -> Timestamp;
    /// Whether the window has ended before, so that the current record is late, within the allowed lateness. There is no
    /// call for the end any more.
    fn has_ended(&self) -> bool;
    /// Registers a timer of the window. Registering the same time again has no effect. A timer in event time that the
    /// watermark has reached already fires with the next watermark.
    fn register_timer(&mut self, domain: TimeDomain, time: Timestamp);
    /// Deletes a timer of the window.
    fn delete_timer(&mut self, domain: TimeDomain, time: Timestamp);
}
