//! Cancellation of an attempt: waits until every executor has ended its part.
//!
//! An executor that has not answered after `task.cancellation.timeout` is killed.

use super::attempt::SubtaskStatus;
use super::context::Context;
use crate::action::Action;
use reflow_types::Instant;

/// An attempt that is being cancelled.
pub(super) struct Cancellation {
    deadline: Option<Instant>,
}

impl Cancellation {
    /// Begins to cancel the current attempt, if there is one. No new checkpoint of it begins from now on.
    pub(super) fn begin(ctx: &mut Context, now: Instant) -> Self {
        let effects = ctx.coordinator.end_attempt(now);
        ctx.apply(effects);
        if let Some(attempt) = &mut ctx.attempt {
            attempt.advance_all(now, None, SubtaskStatus::Canceling);
            let executors: Vec<_> = attempt.holders().iter().copied().collect();
            if !executors.is_empty() {
                ctx.outputs.push(Action::CancelAttempt { attempt: attempt.attempt(), executors });
            }
        }
        Self { deadline: ctx.settings.cancellation_timeout.map(|timeout| now + timeout) }
    }

    /// Kills executors that have exceeded the timeout. Returns whether nothing of the attempt is left and its
    /// last checkpoint is known. It waits for storage no longer than for executors.
    pub(super) fn advance(&mut self, ctx: &mut Context, now: Instant) -> bool {
        let overdue = self.deadline.is_some_and(|deadline| deadline <= now);
        let settled = ctx.coordinator.is_settled() || overdue;
        let Some(attempt) = &mut ctx.attempt else { return settled };
        if overdue {
            for executor in attempt.take_holders() {
                attempt.advance_all(now, Some(executor), SubtaskStatus::Failed);
                ctx.cluster.remove(executor);
                let reason = "it did not end its subtasks within task.cancellation.timeout".to_owned();
                ctx.outputs.push(Action::StopExecutor { executor, reason });
            }
        }
        attempt.holders().is_empty() && settled
    }

    /// When the timeout is over, if anything is awaited.
    pub(super) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        self.deadline.filter(|_| ctx.is_held() || !ctx.coordinator.is_settled())
    }
}
