//! What a failure leads to: another attempt, or the end of the job.

use super::Next;
use super::attempt::SubtaskStatus;
use super::context::Context;
use super::failing::Failing;
use super::restarting::Restarting;
use crate::event::Event;
use crate::exceptions::Exception;
use crate::rescale::TriggerCause;
use crate::restart::{Cause, Verdict};
use reflow_protocol::control::{Failure, Fault};
use reflow_types::{ExecutorId, Instant, SubtaskId};

/// A failure that ends the current attempt.
pub(super) struct Failed {
    exception: Exception,
    cause: Cause,
    permanent: bool,
    /// A connection broke in an attempt that ran: most likely the process at its other end is gone, and the
    /// JobManager is about to hear of it.
    foreboding: bool,
}

/// Whether an event is a failure of the current attempt. Takes note of it in the attempt, and refuses the
/// checkpoint that it restored if that is what failed.
pub(super) fn of_event(ctx: &mut Context, now: Instant, event: &Event) -> Option<Failed> {
    match event {
        Event::SubtaskFailed { attempt, subtask, failure } => {
            ctx.attempt_named(*attempt)?;
            let ran = ctx.has_run();
            let exception = ctx.exception(now, Some(*subtask), failure);
            let lost = reject_damaged(ctx, *subtask, failure);
            if let Some(attempt) = &mut ctx.attempt {
                attempt.advance(now, *subtask, SubtaskStatus::Failed);
            }
            let permanent = lost || failure.fault == Fault::Permanent;
            let foreboding = failure.fault == Fault::Connection && ran;
            Some(Failed { exception, cause: Cause::Failure, permanent, foreboding })
        }
        Event::JobFailed { failure } => Some(of_job(ctx, now, failure)),
        Event::ExecutorLost { executor, reason } => {
            let ran = ctx.has_run();
            let exception = lost(ctx, now, *executor, reason);
            let cause = if ran { Cause::LostExecutor } else { Cause::Failure };
            let failed = Failed { exception, cause, permanent: false, foreboding: false };
            ctx.lose_holder(now, *executor).then_some(failed)
        }
        _ => None,
    }
}

/// A failure that belongs to no subtask.
pub(super) fn of_job(ctx: &Context, now: Instant, failure: &Failure) -> Failed {
    let exception = ctx.exception(now, None, failure);
    let permanent = failure.fault == Fault::Permanent;
    Failed { exception, cause: Cause::Failure, permanent, foreboding: false }
}

/// Too many checkpoints failed one after the other.
pub(super) fn of_checkpoints(ctx: &Context, now: Instant, reason: &str) -> Failed {
    let failure = Failure { fault: Fault::External, operator: String::new(), message: reason.to_owned() };
    of_job(ctx, now, &failure)
}

/// Asks the restart strategy what follows.
pub(super) fn handle(ctx: &mut Context, now: Instant, failed: Failed) -> Next {
    let Failed { exception, cause, permanent, foreboding } = failed;
    let message = exception.message.clone();
    ctx.exceptions.record(exception);
    if permanent {
        return Failing::enter(ctx, now, message);
    }
    match ctx.restarts.on_failure(now, cause) {
        Verdict::Restart { after } => {
            ctx.begin_rescale_record(now, TriggerCause::RecoverableFailover);
            let waits_for_loss = foreboding && !ctx.settings.restart_delay_configured;
            Restarting::after_failure(ctx, now, after, waits_for_loss, message)
        }
        Verdict::GiveUp { rule } => Failing::enter(ctx, now, format!("{message} (no restart: {rule})")),
    }
}

/// Keeps a failure that does not decide what follows.
pub(super) fn record(ctx: &mut Context, failed: Failed) {
    ctx.exceptions.record(failed.exception);
}

/// Keeps a failure that comes while the attempt is being cancelled anyway: it changes nothing. Returns whether a
/// process was lost.
pub(super) fn note_concurrent(ctx: &mut Context, now: Instant, event: &Event) -> bool {
    let failed = of_event(ctx, now, event);
    let lost = failed.is_some() && matches!(event, Event::ExecutorLost { .. });
    if let Some(failed) = failed {
        ctx.exceptions.record_concurrent(failed.exception);
    }
    lost
}

/// A subtask that failed by the engine's fault before it ran could not read its state: the object is damaged, or
/// gone. The next attempt takes an older checkpoint, if there is one. Storage that is only away is an outside
/// system's fault, and the same checkpoint is tried again. Returns whether none is left: such a job must not begin
/// anew by itself.
fn reject_damaged(ctx: &mut Context, subtask: SubtaskId, failure: &Failure) -> bool {
    let Some(attempt) = &ctx.attempt else { return false };
    let restoring = attempt.subtasks.get(&subtask).is_some_and(|s| s.status == SubtaskStatus::Deploying);
    let latest = ctx.coordinator.latest().map(|latest| latest.checkpoint);
    if !restoring || failure.fault != Fault::Engine || latest.is_none() || attempt.restored != latest {
        return false;
    }
    ctx.coordinator.reject_latest(&failure.message);
    ctx.coordinator.latest().is_none()
}

fn lost(ctx: &Context, now: Instant, executor: ExecutorId, reason: &str) -> Exception {
    let task_manager = ctx.attempt.as_ref().and_then(|attempt| attempt.task_managers.get(&executor));
    Exception {
        at: now,
        fault: None,
        operator: String::new(),
        message: format!("task executor {executor} is lost: {reason}"),
        subtask: None,
        executor: task_manager.map(|task_manager| (executor, *task_manager)),
    }
}
