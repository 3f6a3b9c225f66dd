//! Restarting: the attempt is being cancelled, and the next one follows from the last complete checkpoint.
//!
//! The next attempt waits for the backoff, for all executors of this one, and for storage to report the outcome
//! of the pending checkpoint, which may be the last complete one. If that one is damaged, the job goes back to an older
//! one or fails.

use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::failure;
use crate::scheduler::next::{BackoffEnd, Next, Restart};
use reflow_graph::VertexIndex;
use reflow_types::Instant;
use std::time::Duration;

pub(in crate::scheduler) struct Restarting {
    cancellation: Cancellation,
    not_before: Instant,
    until: BackoffEnd,
    /// The parallelism for which a rescale has ended the attempt. The next one is deployed without waiting for
    /// more slots.
    target: Option<Vec<u32>>,
    /// The vertex whose state in the latest checkpoint is damaged, with the damage.
    damage: Option<(VertexIndex, String)>,
}

impl Restarting {
    pub(in crate::scheduler) fn new(ctx: &mut Context, now: Instant, why: Restart) -> Self {
        let mut damaged = None;
        let (backoff, until, target) = match why {
            Restart::Failure { backoff, until, .. } => {
                ctx.lineage.count_restart();
                (backoff, until, None)
            }
            Restart::Rescale => {
                ctx.lineage.count_rescale();
                (Duration::ZERO, BackoffEnd::Elapsed, ctx.plan().map(|plan| plan.vertices))
            }
            Restart::Damage { vertex, damage } => {
                damaged = Some((vertex, damage));
                (Duration::ZERO, BackoffEnd::Elapsed, None)
            }
            Restart::NotAdopted | Restart::NotByRegion => (Duration::ZERO, BackoffEnd::Elapsed, None),
        };
        let (cancellation, not_before) = (Cancellation::begin(ctx, now), now + backoff);
        Self { cancellation, not_before, until, target, damage: damaged }
    }

    pub(in crate::scheduler) fn into_cancellation(self) -> Cancellation {
        self.cancellation
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match event {
            Event::Cancel => return Next::Cancel,
            Event::Suspend => return Next::Finish(EndState::Suspended, None),
            Event::TriggerSavepoint { .. }
            | Event::TriggerCheckpoint { .. }
            | Event::StopWithSavepoint { .. } => ctx.deferred.push_back(event.clone()),
            _ => {
                // One that is cut off from others may have answered the cancellation before that was decided.
                let lost = failure::note_concurrent(ctx, now, event) || is_cut_off(ctx, event);
                if lost && self.until == BackoffEnd::ElapsedOrExecutorLost {
                    self.not_before = now;
                }
            }
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let canceled = self.cancellation.advance(ctx, now);
        if !canceled || !ctx.coordinator.is_settled() || now < self.not_before {
            return Next::Stay;
        }
        if let Some((vertex, damage)) = self.damage.take()
            && let Some(reason) = failure::go_back(ctx, vertex, &damage)
        {
            return Next::Fail(reason);
        }
        let plan = ctx.plan().map(|plan| plan.vertices);
        let as_planned = plan.is_some() && plan == self.target;
        match as_planned || ctx.resources().desired {
            true => Next::CreateExecutionGraph,
            false => Next::WaitForResources,
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        match ctx.is_held() {
            true => self.cancellation.next_wakeup(ctx),
            false => Some(self.not_before).filter(|_| ctx.coordinator.is_settled()),
        }
    }
}

fn is_cut_off(ctx: &Context, event: &Event) -> bool {
    matches!(event, Event::ExecutorLost { executor, .. } if ctx.isolation.has_cut_off(*executor))
}
