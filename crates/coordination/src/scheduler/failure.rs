//! The handling of a failure, by a restart or by the end of the job.

use super::attempt::SubtaskStatus;
use super::context::Context;
use super::next::{BackoffEnd, Next, Restart};
use crate::checkpoint::fallback;
use crate::event::Event;
use crate::exceptions::Exception;
use crate::rescale::TriggerCause;
use crate::restart::{Cause, LostExecutorRestart, Verdict};
use reflow_graph::{RegionIndex, VertexIndex};
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_types::{CheckpointId, ExecutorId, Instant, SubtaskId};
use std::collections::BTreeSet;

/// A failure that ends the current attempt.
pub(super) struct Failed {
    exception: Exception,
    cause: Cause,
    permanent: bool,
    /// The vertex whose state cannot be read, if the checkpoint that the attempt restores is damaged.
    damage: Option<VertexIndex>,
    /// Whether a connection has broken in a running attempt. Most likely the process at its other end is lost,
    /// and the JobManager will detect that soon.
    loss_expected: bool,
    /// The regions that have failed; `None` if the whole job has.
    regions: Option<BTreeSet<RegionIndex>>,
}

impl Failed {
    /// Whether these regions contain all that has failed.
    pub(super) fn is_within(&self, regions: &BTreeSet<RegionIndex>) -> bool {
        self.regions.as_ref().is_some_and(|failed| failed.is_subset(regions))
    }
}

/// The failure that an event means for the current attempt, if any. Records it in the attempt.
pub(super) fn of_event(ctx: &mut Context, now: Instant, event: &Event) -> Option<Failed> {
    match event {
        Event::SubtaskReported(SubtaskReport { attempt, subtask, event: SubtaskEvent::Failed(failure) }) => {
            let record = ctx.attempt_named(*attempt)?.subtasks().get(subtask).cloned();
            let regions = record.map(|record| ctx.demand.regions().region(record.vertex));
            let regions = regions.map(|region| BTreeSet::from([region]));
            let ran = ctx.has_run(regions.as_ref());
            let exception = ctx.exception(now, Some(*subtask), failure);
            let damage = damaged_vertex(ctx, *subtask, failure);
            if let Some(attempt) = &mut ctx.attempt {
                attempt.advance(now, *subtask, SubtaskStatus::Failed);
            }
            let permanent = failure.fault == Fault::Permanent;
            let loss_expected = failure.fault == Fault::Connection && ran;
            Some(Failed { exception, cause: Cause::Failure, permanent, damage, loss_expected, regions })
        }
        Event::JobFailed { failure } => Some(of_job(ctx, now, failure)),
        Event::ExecutorLost { executor, reason } => {
            let regions = ctx.regions_on(*executor);
            let ran = ctx.has_run(regions.as_ref());
            let exception = lost(ctx, now, *executor, reason);
            let cause = if ran { Cause::LostExecutor } else { Cause::Failure };
            let (permanent, damage, loss_expected) = Default::default();
            let failed = Failed { exception, cause, permanent, damage, loss_expected, regions };
            ctx.lose_holder(now, *executor).then_some(failed)
        }
        _ => None,
    }
}

/// A failure that belongs to no subtask: of the enumerator of a source, or of the whole job.
pub(super) fn of_job(ctx: &Context, now: Instant, failure: &Failure) -> Failed {
    let exception = ctx.exception(now, None, failure);
    let permanent = failure.fault == Fault::Permanent;
    let (damage, loss_expected) = Default::default();
    let regions = ctx.region_of(&failure.operator).map(|region| BTreeSet::from([region]));
    Failed { exception, cause: Cause::Failure, permanent, damage, loss_expected, regions }
}

/// Too many consecutive checkpoints have failed.
pub(super) fn of_checkpoints(ctx: &Context, now: Instant, reason: &str) -> Failed {
    let failure = Failure { fault: Fault::External, operator: String::new(), message: reason.to_owned() };
    of_job(ctx, now, &failure)
}

/// Handles a failure by the restart strategy.
pub(super) fn handle(ctx: &mut Context, now: Instant, failed: Failed) -> Next {
    let Failed { exception, cause, permanent, damage, loss_expected, regions } = failed;
    if let Some(vertex) = damage {
        // The restart strategy does not apply, because there are only a few checkpoints to go back to.
        let damage = exception.message.clone();
        ctx.failures.record(exception);
        ctx.begin_rescale_record(now, TriggerCause::RecoverableFailover);
        return Next::Restart(Restart::Damage { vertex, damage });
    }
    let message = exception.summary();
    ctx.failures.record(exception);
    if permanent {
        return Next::Fail(message);
    }
    match ctx.failures.decide(now, cause) {
        Verdict::Restart { after } => {
            ctx.begin_rescale_record(now, TriggerCause::RecoverableFailover);
            let until = match ctx.settings.lost_executor {
                LostExecutorRestart::Immediate if loss_expected => BackoffEnd::ElapsedOrExecutorLost,
                _ => BackoffEnd::Elapsed,
            };
            Next::Restart(Restart::Failure { backoff: after, until, error: message, regions })
        }
        Verdict::GiveUp { rule } => Next::Fail(format!("{message} (no restart: {rule})")),
    }
}

/// Records a failure without a decision.
pub(super) fn record(ctx: &mut Context, failed: Failed) {
    ctx.failures.record(failed.exception);
}

/// Records a failure of what is being cancelled anyway.
pub(super) fn record_concurrent(ctx: &mut Context, failed: Failed) {
    ctx.failures.record_concurrent(failed.exception);
}

/// Records a failure that occurs while the attempt is being cancelled anyway. Returns whether a process was lost.
pub(super) fn note_concurrent(ctx: &mut Context, now: Instant, event: &Event) -> bool {
    let failed = of_event(ctx, now, event);
    let lost = failed.is_some() && matches!(event, Event::ExecutorLost { .. });
    if let Some(failed) = failed {
        record_concurrent(ctx, failed);
    }
    lost
}

/// The vertex of a subtask that could not read its state from the checkpoint that the attempt restores, if that is
/// the latest one. Unavailable storage is not damage; the same checkpoint is tried again.
fn damaged_vertex(ctx: &Context, subtask: SubtaskId, failure: &Failure) -> Option<VertexIndex> {
    let attempt = ctx.attempt.as_ref()?;
    let record = attempt.subtasks().get(&subtask)?;
    let latest = ctx.coordinator.latest()?.checkpoint;
    let restoring = record.status == SubtaskStatus::Deploying;
    // Checkpoints that have completed since its region was deployed have the same state of the region.
    let is_absent = ctx.coordinator.absent().contains(&ctx.demand.regions().region(record.vertex));
    let reads_latest = attempt.restored() == Some(latest) || is_absent;
    (restoring && failure.fault == Fault::Damage && reads_latest).then_some(record.vertex)
}

/// The latest checkpoint has damaged state of a vertex. The next attempt begins from an older one, if no sink has
/// committed output that would be written again, or the user allows that. Returns why the job fails, if it does.
///
/// Called when the outcome of every checkpoint is known: one without the vertex's region may have been on its way to
/// storage when the damage was found, and it has the same damage.
pub(super) fn go_back(ctx: &mut Context, vertex: VertexIndex, damage: &str) -> Option<String> {
    let committing: Vec<&str> = ctx.demand.job().committing_sinks().collect();
    let vertex = ctx.demand.job().vertex(vertex);
    let damaged = ctx.coordinator.with_latest_state_of(vertex.id);
    let fallback = ctx.coordinator.fallback(&damaged, damage);
    let decision = fallback.map(|fallback| fallback.decide(&committing, ctx.settings.allow_replay));
    let (message, goes_back) = match decision {
        Some(fallback::Decision::GoBack(warning)) => (warning, true),
        Some(fallback::Decision::Ask(question)) => (question, false),
        // The job does not start without its state by itself.
        None => (nothing_older(&damaged, &vertex.name, damage), false),
    };
    ctx.failures.explain(&message);
    if !goes_back {
        return Some(message);
    }
    for _ in &damaged {
        ctx.coordinator.reject_latest(damage);
    }
    ctx.lineage.count_restart();
    ctx.warnings.push(message);
    None
}

fn nothing_older(damaged: &[CheckpointId], vertex: &str, damage: &str) -> String {
    let ids: Vec<String> = damaged.iter().rev().map(ToString::to_string).collect();
    let what = match &ids[..] {
        [] | [_] => "the only checkpoint that there is cannot be read".to_owned(),
        [older @ .., last] => format!(
            "the only checkpoints that there are, {} and {last}, have the same state of '{vertex}', which cannot be \
             read",
            older.join(", ")
        ),
    };
    format!("{what}: {damage}. Put the object back and start the job again, or begin anew with --fresh")
}

fn lost(ctx: &Context, now: Instant, executor: ExecutorId, reason: &str) -> Exception {
    let task_manager = ctx.attempt.as_ref().and_then(|attempt| attempt.task_manager(executor));
    Exception {
        at: now,
        fault: None,
        operator: String::new(),
        message: format!("task executor {executor} is lost: {reason}"),
        subtask: None,
        executor: task_manager.map(|task_manager| (executor, task_manager)),
    }
}
