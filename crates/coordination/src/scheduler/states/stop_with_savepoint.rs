//! StopWithSavepoint: takes a last snapshot, after whose barrier sources emit nothing, and ends the job.
//!
//! This state serves all requests that end a job after a snapshot: stop with savepoint, cancel with savepoint, and
//! suspension when the JobManager stops (whose snapshot is a checkpoint). Once the snapshot is complete, the subtasks commit
//! their transactions of it and finish. With drain, sources end their output instead, and the job runs to its natural end.
//!
//! If the attempt fails after that, or is lost with its JobManager, the next one starts from the snapshot and ends the job
//! ([`Stop::Deployed`]), because the committed output belongs to a job that was stopped.

use crate::action::EndState;
use crate::checkpoint::Purpose;
use crate::event::Event;
use crate::manifest;
use crate::rescale::TerminatedReason;
use crate::scheduler::attempt::SubtaskStatus;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::ending::Ending;
use crate::scheduler::failure;
use crate::scheduler::next::{Execution, Goal, Next, Stop};
use crate::scheduler::outputs::Outcome;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::Instant;

/// How far the stop is.
enum Phase {
    /// The snapshot is under way.
    Snapshot(Purpose),
    /// It is complete, and an attempt was deployed from it.
    Starting(Ending),
    /// It is complete; subtasks finish, after drain at the end of their inputs.
    Ending(Ending),
    /// The attempt is being cancelled.
    Leaving(Cancellation),
}

pub(in crate::scheduler) struct StopWithSavepoint {
    goal: Goal,
    phase: Phase,
    /// How the job ends.
    end: EndState,
    /// The JobManager stops: if the stop fails, the job does not go on.
    suspend: bool,
}

impl StopWithSavepoint {
    pub(in crate::scheduler) fn new(ctx: &mut Context, now: Instant, stop: Stop) -> Self {
        let (goal, phase) = match stop {
            Stop::Snapshot(goal, purpose) => (goal, Phase::Snapshot(purpose)),
            Stop::SuspendAtOnce => (Goal::Suspend, Phase::Leaving(Cancellation::begin(ctx, now))),
            Stop::Deployed(manifest::Ending { then: AfterBarrier::Drain, .. }) => {
                (Goal::Drain, Phase::Starting(Ending::NotYet))
            }
            Stop::Deployed(manifest::Ending { state: EndState::Canceled, .. }) => {
                (Goal::Cancel, Phase::Starting(Ending::Committed))
            }
            Stop::Deployed(_) => (Goal::Stop, Phase::Starting(Ending::Committed)),
        };
        Self { goal, phase, end: goal.end(), suspend: goal == Goal::Suspend }
    }

    /// The cancellation of its attempt, if that is under way.
    pub(in crate::scheduler) fn into_cancellation(self) -> Option<Cancellation> {
        match self.phase {
            Phase::Leaving(cancellation) => Some(cancellation),
            _ => None,
        }
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match event {
            Event::Cancel => return Next::Cancel,
            Event::Suspend => self.suspend = true,
            _ => ctx.refuse(event, "the job is being stopped"),
        }
        let Some(failed) = failure::of_event(ctx, now, event) else { return Next::Stay };
        if !self.suspend {
            return failure::handle(ctx, now, failed);
        }
        failure::record(ctx, failed);
        self.end = EndState::Suspended;
        self.leave(ctx, now);
        Next::Stay
    }

    pub(in crate::scheduler) fn on_outcome(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        outcome: &Outcome,
    ) -> Next {
        if let Phase::Ending(ending) = &mut self.phase {
            ending.on_outcome(now, outcome);
        }
        let Phase::Snapshot(expected) = &self.phase else { return Next::Stay };
        match outcome {
            Outcome::Completed(purpose) if purpose == expected => match (self.goal, purpose) {
                (Goal::Drain, _) => self.phase = Phase::Ending(Ending::NotYet),
                (_, Purpose::Rescale) => self.leave(ctx, now),
                _ => self.phase = Phase::Ending(Ending::Committed),
            },
            Outcome::Failed { purpose, .. } if purpose == expected => match self.suspend {
                true => {
                    self.end = EndState::Suspended;
                    self.leave(ctx, now);
                }
                false => return Next::Execute(Execution::Resumed),
            },
            Outcome::TooManyFailures { .. } if self.suspend => {
                self.end = EndState::Suspended;
                self.leave(ctx, now);
            }
            Outcome::TooManyFailures { reason } => {
                let failed = failure::of_checkpoints(ctx, now, reason);
                return failure::handle(ctx, now, failed);
            }
            _ => {}
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let ended = match &mut self.phase {
            Phase::Snapshot(_) => false,
            Phase::Starting(ending) => {
                if ctx.all_at_least(SubtaskStatus::Running) {
                    self.phase = Phase::Ending(*ending);
                    ctx.timeline.end(now, TerminatedReason::Succeeded);
                    let effects = ctx.coordinator.set_running(now);
                    ctx.apply(effects);
                    return self.advance(ctx, now);
                }
                false
            }
            Phase::Leaving(cancellation) => cancellation.advance(ctx, now),
            Phase::Ending(ending) => ending.advance(ctx, now),
        };
        if ended { Next::Finish(self.end, None) } else { Next::Stay }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        match &self.phase {
            Phase::Snapshot(_) | Phase::Starting(_) => None,
            Phase::Leaving(cancellation) => cancellation.next_wakeup(ctx),
            Phase::Ending(ending) => ending.next_wakeup(),
        }
    }

    /// Ends the attempt.
    fn leave(&mut self, ctx: &mut Context, now: Instant) {
        if !matches!(self.phase, Phase::Leaving(_)) {
            self.phase = Phase::Leaving(Cancellation::begin(ctx, now));
        }
    }
}
