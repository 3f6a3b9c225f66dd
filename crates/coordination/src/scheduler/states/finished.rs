//! Finished: the job has reached its end. Nothing changes any more.

use crate::action::{Action, EndState};
use crate::rescale::TerminatedReason;
use crate::scheduler::context::Context;
use crate::scheduler::{Next, State};
use reflow_types::Instant;

pub(in crate::scheduler) struct Finished {
    pub(in crate::scheduler) end: EndState,
    pub(in crate::scheduler) reason: Option<String>,
}

impl Finished {
    pub(in crate::scheduler) fn enter(
        ctx: &mut Context,
        now: Instant,
        end: EndState,
        reason: Option<String>,
    ) -> Next {
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
        ctx.actions.push(Action::End { state: end, reason: reason.clone() });
        Next::to(State::Finished(Self { end, reason }))
    }
}
