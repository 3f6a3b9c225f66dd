//! The natural end of a bounded job: all inputs have ended, a final checkpoint commits all output, all subtasks
//! finish. The final checkpoint is taken even where checkpointing is off.

use super::attempt::SubtaskStatus;
use super::context::Context;
use super::outputs::Outcome;
use crate::checkpoint::Purpose;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::Instant;
use std::time::Duration;

/// The time until a failed final checkpoint is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The progress of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Some input has not ended.
    NotYet,
    /// The final checkpoint is under way.
    Committing,
    /// The final checkpoint has failed and is tried again at that time.
    RetryAt(Instant),
    /// The final checkpoint is complete, so subtasks finish.
    Committed,
}

impl Ending {
    /// Requests the final checkpoint when it is due. Returns whether the job has finished.
    pub(super) fn advance(&mut self, ctx: &mut Context, now: Instant) -> bool {
        let due = match self {
            Ending::NotYet => ctx.all_at_least(SubtaskStatus::Ended),
            Ending::RetryAt(at) => *at <= now,
            Ending::Committing | Ending::Committed => false,
        };
        if due {
            *self = Ending::Committing;
            ctx.request_checkpoint(now, Purpose::Final, AfterBarrier::Finish, None, None);
        }
        ctx.all_at_least(SubtaskStatus::Finished)
    }

    /// A checkpoint has ended.
    pub(super) fn on_outcome(&mut self, now: Instant, outcome: &Outcome) {
        match outcome {
            Outcome::Completed(Purpose::Final) => *self = Ending::Committed,
            Outcome::Failed { purpose: Purpose::Final, .. } => *self = Ending::RetryAt(now + RETRY_DELAY),
            _ => {}
        }
    }

    /// Whether all inputs have ended.
    pub(super) fn begun(self) -> bool {
        self != Ending::NotYet
    }

    pub(super) fn next_wakeup(self) -> Option<Instant> {
        match self {
            Ending::RetryAt(at) => Some(at),
            _ => None,
        }
    }
}
