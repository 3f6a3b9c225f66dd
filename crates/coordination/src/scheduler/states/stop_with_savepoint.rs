//! StopWithSavepoint: a last snapshot is taken, after whose barrier sources emit nothing, and the job ends.
//!
//! The same path serves all that end a job after a snapshot: stopping with a savepoint, cancelling with one, and
//! the suspension by a JobManager that stops (whose snapshot is a checkpoint). Once the snapshot is complete the
//! subtasks commit what belongs to it and finish. With drain, sources end their output instead, and the job runs
//! to its natural end.
//!
//! An attempt that fails after that, or is lost with its JobManager, is followed by one that goes on from the snapshot
//! and ends the job ([`StopWithSavepoint::enter_after_restart`]): what is committed belongs to a job that was stopped.

use super::canceling::Canceling;
use super::executing::Executing;
use super::finished::Finished;
use crate::action::EndState;
use crate::checkpoint::Purpose;
use crate::event::{Event, RequestId};
use crate::manifest;
use crate::rescale::TerminatedReason;
use crate::scheduler::attempt::SubtaskStatus;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::{Context, Outcome};
use crate::scheduler::ending::Ending;
use crate::scheduler::{Next, State, failure};
use reflow_protocol::control::AfterBarrier;
use reflow_types::Instant;

/// What the snapshot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scheduler) enum Goal {
    /// Stop with a savepoint.
    Stop,
    /// Stop with a savepoint, and let windows and timers fire.
    Drain,
    /// Cancel with a savepoint.
    Cancel,
    /// End here, for the next JobManager to go on.
    Suspend,
}

impl Goal {
    fn purpose(self) -> Purpose {
        match self {
            Goal::Stop => Purpose::Stop { drain: false },
            Goal::Cancel => Purpose::Cancel,
            Goal::Drain => Purpose::Stop { drain: true },
            Goal::Suspend => Purpose::Suspend,
        }
    }

    fn end(self) -> EndState {
        match self {
            Goal::Stop | Goal::Drain => EndState::Finished,
            Goal::Cancel => EndState::Canceled,
            Goal::Suspend => EndState::Suspended,
        }
    }
}

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
    /// Takes the snapshot: for a request, with the directory of the savepoint, or a checkpoint.
    pub(in crate::scheduler) fn enter(
        ctx: &mut Context,
        now: Instant,
        goal: Goal,
        request: Option<(RequestId, String)>,
    ) -> Next {
        let then = if goal == Goal::Drain { AfterBarrier::Drain } else { AfterBarrier::Finish };
        let (request, directory) = request.unzip();
        match ctx.request_checkpoint(now, goal.purpose(), then, request, directory) {
            true => Self::begin(goal, Phase::Snapshot(goal.purpose())),
            false => Next::Stay,
        }
    }

    /// Suspends the job with the checkpoint that a rescale has under way.
    pub(in crate::scheduler) fn await_paused_checkpoint(_ctx: &mut Context, _now: Instant) -> Next {
        Self::begin(Goal::Suspend, Phase::Snapshot(Purpose::Rescale))
    }

    /// Suspends the job where no checkpoint can be had.
    pub(in crate::scheduler) fn suspend_at_once(ctx: &mut Context, now: Instant) -> Next {
        let phase = Phase::Leaving(Cancellation::begin(ctx, now));
        Self::begin(Goal::Suspend, phase)
    }

    /// An attempt was just deployed from the snapshot with which the job ends.
    pub(in crate::scheduler) fn enter_after_restart(last: manifest::Ending) -> Next {
        let (goal, ending) = match last {
            manifest::Ending { then: AfterBarrier::Drain, .. } => (Goal::Drain, Ending::NotYet),
            manifest::Ending { state: EndState::Canceled, .. } => (Goal::Cancel, Ending::Committed),
            _ => (Goal::Stop, Ending::Committed),
        };
        Self::begin(goal, Phase::Starting(ending))
    }

    fn begin(goal: Goal, phase: Phase) -> Next {
        let (end, suspend) = (goal.end(), goal == Goal::Suspend);
        Next::to(State::StopWithSavepoint(Self { goal, phase, end, suspend }))
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match event {
            Event::Cancel => return Canceling::enter(ctx, now, self.take_cancellation()),
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
                false => return Executing::resume(ctx, now),
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
        if ended { Finished::enter(ctx, now, self.end, None) } else { Next::Stay }
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

    fn take_cancellation(&mut self) -> Option<Cancellation> {
        let phase = std::mem::replace(&mut self.phase, Phase::Ending(Ending::NotYet));
        match phase {
            Phase::Leaving(cancellation) => Some(cancellation),
            _ => None,
        }
    }
}
