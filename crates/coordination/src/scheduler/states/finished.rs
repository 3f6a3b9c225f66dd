//! Finished: the job is in a terminal state.

use crate::action::{Action, EndState};
use crate::rescale::TerminatedReason;
use crate::scheduler::context::Context;
use reflow_types::Instant;

pub(in crate::scheduler) struct Finished {
    end: EndState,
    reason: Option<String>,
}

impl Finished {
    pub(in crate::scheduler) fn new(
        ctx: &mut Context,
        now: Instant,
        end: EndState,
        reason: Option<String>,
    ) -> Self {
        let terminated = match end {
            EndState::Finished => TerminatedReason::JobFinished,
            EndState::Canceled => TerminatedReason::JobCanceled,
            EndState::Failed => TerminatedReason::JobFailed,
            EndState::Suspended => TerminatedReason::NoResourcesOrParallelismsChange,
        };
        ctx.timeline.end(now, terminated);
        ctx.refuse_deferred("the job has ended");
        let effects = ctx.coordinator.end_job(now, end);
        ctx.apply(effects);
        ctx.release_drained();
        ctx.outputs.push(Action::End { state: end, reason: reason.clone() });
        Self { end, reason }
    }

    /// How the job ended, with the reason if there is one.
    pub(in crate::scheduler) fn end(&self) -> (EndState, Option<&str>) {
        (self.end, self.reason.as_deref())
    }
}
