//! The periodic check for a later epoch. Without it, a leader that makes no decisions, because it has no TaskManagers or takes
//! no checkpoints, would never notice that it was deposed, and its tasks would run on.
//!
//! Correctness does not depend on this check, because a leader confirms each decision by a check of its own
//! ([`crate::leadership::authority`]). Only this one also reads the leader's own epoch record: if something deletes epoch
//! records, another JobManager may have taken the same number.

use reflow_types::Instant;
use std::time::Duration;

/// The time from the end of a check to the next one.
const INTERVAL: Duration = Duration::from_secs(5);

/// When the next check is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Unscheduled,
    At(Instant),
    UnderWay,
}

impl Look {
    pub(super) fn next_wakeup(self) -> Option<Instant> {
        match self {
            Look::At(at) => Some(at),
            Look::Unscheduled | Look::UnderWay => None,
        }
    }

    /// Whether the check is due. It is then under way until [`end`](Self::end).
    pub(super) fn begin_if_due(&mut self, now: Instant) -> bool {
        match *self {
            Look::At(at) if at <= now => {
                *self = Look::UnderWay;
                return true;
            }
            Look::Unscheduled => self.end(now),
            Look::At(_) | Look::UnderWay => {}
        }
        false
    }

    /// Ends the check. The next one is due after the interval.
    pub(super) fn end(&mut self, now: Instant) {
        *self = Look::At(now + INTERVAL);
    }
}
