//! Savepoints, checkpoints and stops that users request, while all subtasks run.

use super::context::Context;
use super::next::{Goal, Next, Stop};
use crate::checkpoint::Purpose;
use crate::event::{Event, RequestId};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::Instant;

/// Requests the checkpoint for a user's request. Returns a stop if its snapshot will be taken.
pub(super) fn serve(ctx: &mut Context, now: Instant, event: &Event) -> Next {
    match event {
        Event::TriggerSavepoint { request, directory, cancel_job: false } => {
            let (request, directory) = (Some(*request), Some(directory.clone()));
            ctx.request_checkpoint(now, Purpose::Savepoint, AfterBarrier::Continue, request, directory);
        }
        Event::TriggerCheckpoint { request } => {
            ctx.request_checkpoint(now, Purpose::User, AfterBarrier::Continue, Some(*request), None);
        }
        Event::TriggerSavepoint { request, directory, cancel_job: true } => {
            return stop(ctx, now, Goal::Cancel, Some((*request, directory.clone())));
        }
        Event::StopWithSavepoint { request, directory, drain } => {
            let goal = if *drain { Goal::Drain } else { Goal::Stop };
            return stop(ctx, now, goal, Some((*request, directory.clone())));
        }
        _ => {}
    }
    Next::Stay
}

/// Requests the last checkpoint before the job is suspended.
pub(super) fn suspend(ctx: &mut Context, now: Instant) -> Next {
    stop(ctx, now, Goal::Suspend, None)
}

/// Requests the snapshot: for a request, with the directory of the savepoint, or a checkpoint.
fn stop(ctx: &mut Context, now: Instant, goal: Goal, request: Option<(RequestId, String)>) -> Next {
    let then = if goal == Goal::Drain { AfterBarrier::Drain } else { AfterBarrier::Finish };
    let (request, directory) = request.unzip();
    match ctx.request_checkpoint(now, goal.purpose(), then, request, directory) {
        true => Next::Stop(Stop::Snapshot(goal, goal.purpose())),
        false => Next::Stay,
    }
}
