//! The trigger that removes a window's records when it fires.

use super::{MergingTrigger, Trigger, TriggerContext, TriggerResult};
use crate::UserError;
use reflow_types::Timestamp;

/// Fires when another trigger does, and removes the records of the window, so that each is in one result only.
///
/// ```
/// use reflow_api::window::{CountTrigger, PurgingTrigger};
/// // Results of a hundred records each.
/// let _ = PurgingTrigger::of(CountTrigger::every(100));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PurgingTrigger<G> {
    inner: G,
}

impl<G> PurgingTrigger<G> {
    /// Fires when `trigger` does.
    pub fn of(trigger: G) -> Self {
        Self { inner: trigger }
    }
}

fn purging(result: TriggerResult) -> TriggerResult {
    if result.fires() { TriggerResult::FireAndPurge } else { result }
}

impl<T, G: Trigger<T>> Trigger<T> for PurgingTrigger<G> {
    type State = G::State;

    #[inline]
    fn on_element_with(
        &self,
        value: &T,
        context: &mut impl TriggerContext<G::State>,
    ) -> Result<TriggerResult, UserError> {
        self.inner.on_element_with(value, context).map(purging)
    }

    fn on_end_with(&self, context: &mut impl TriggerContext<G::State>) -> Result<TriggerResult, UserError> {
        self.inner.on_end_with(context).map(purging)
    }

    fn on_event_time(
        &self,
        time: Timestamp,
        context: &mut impl TriggerContext<G::State>,
    ) -> Result<TriggerResult, UserError> {
        self.inner.on_event_time(time, context).map(purging)
    }

    fn on_processing_time(
        &self,
        time: Timestamp,
        context: &mut impl TriggerContext<G::State>,
    ) -> Result<TriggerResult, UserError> {
        self.inner.on_processing_time(time, context).map(purging)
    }

    fn clear(&self, context: &mut impl TriggerContext<G::State>) -> Result<(), UserError> {
        self.inner.clear(context)
    }
}

impl<T, G: MergingTrigger<T>> MergingTrigger<T> for PurgingTrigger<G> {
    fn on_merge(
        &self,
        merged: Vec<G::State>,
        context: &mut impl TriggerContext<G::State>,
    ) -> Result<(), UserError> {
        self.inner.on_merge(merged, context)
    }
}
