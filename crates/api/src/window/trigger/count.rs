//! The trigger by the number of records.

use super::{MergingTrigger, Trigger, TriggerContext, TriggerResult};
use crate::UserError;
use crate::window::Window;
use reflow_types::Timestamp;

/// Fires at every `n`-th record.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::CountTrigger;
///
/// let every_tenth_record = CountTrigger::every(10);
/// ```
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
}

impl<T> MergingTrigger<T> for CountTrigger {
    fn on_merge(&self, merged: Vec<u64>, context: &mut impl TriggerContext<u64>) -> Result<(), UserError> {
        *context.state() += merged.iter().sum::<u64>();
        Ok(())
    }
}
