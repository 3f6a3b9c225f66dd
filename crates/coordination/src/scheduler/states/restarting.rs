//! Restarting: the attempt is being cancelled, to be followed by another, from the last complete checkpoint.
//!
//! The next attempt waits for the backoff, for all executors of this one, and for storage to say what became of
//! the checkpoint that was under way: it may be the last complete one.

use super::canceling::Canceling;
use super::creating_execution_graph::CreatingExecutionGraph;
use super::finished::Finished;
use super::waiting_for_resources::WaitingForResources;
use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::{Next, State, failure};
use reflow_types::Instant;
use std::time::Duration;

pub(in crate::scheduler) struct Restarting {
    cancellation: Option<Cancellation>,
    not_before: Instant,
    /// What failed is likely the shadow of a lost process: when the loss is reported, the backoff is over.
    waits_for_loss: bool,
    /// The parallelism for which a rescale gave up the attempt; it is deployed without waiting for more.
    target: Option<Vec<u32>>,
}

impl Restarting {
    /// After a failure, with the strategy's backoff.
    pub(in crate::scheduler) fn after_failure(
        ctx: &mut Context,
        now: Instant,
        backoff: Duration,
        waits_for_loss: bool,
        error: String,
    ) -> Next {
        ctx.restart_count += 1;
        Self::enter(ctx, now, backoff, waits_for_loss, None).because(error)
    }

    /// To run at the parallelism that the present slots allow.
    pub(in crate::scheduler) fn to_rescale(ctx: &mut Context, now: Instant) -> Next {
        ctx.rescale_count += 1;
        let target = ctx.plan().map(|plan| plan.vertices);
        Self::enter(ctx, now, Duration::ZERO, false, target)
    }

    fn enter(
        ctx: &mut Context,
        now: Instant,
        backoff: Duration,
        waits_for_loss: bool,
        target: Option<Vec<u32>>,
    ) -> Next {
        let (cancellation, not_before) = (Some(Cancellation::begin(ctx, now)), now + backoff);
        Next::to(State::Restarting(Self { cancellation, not_before, waits_for_loss, target }))
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match event {
            Event::Cancel => return Canceling::enter(ctx, now, self.cancellation.take()),
            Event::Suspend => return Finished::enter(ctx, now, EndState::Suspended, None),
            Event::TriggerSavepoint { .. }
            | Event::TriggerCheckpoint { .. }
            | Event::StopWithSavepoint { .. } => ctx.deferred.push_back(event.clone()),
            _ => {
                let lost = failure::note_concurrent(ctx, now, event);
                if lost && self.waits_for_loss {
                    self.not_before = now;
                }
            }
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let canceled = self.cancellation.as_mut().is_none_or(|cancellation| cancellation.advance(ctx, now));
        if !canceled || !ctx.coordinator.is_settled() || now < self.not_before {
            return Next::Stay;
        }
        let plan = ctx.plan().map(|plan| plan.vertices);
        let as_planned = plan.is_some() && plan == self.target;
        match as_planned || ctx.resources().desired {
            true => CreatingExecutionGraph::enter(),
            false => WaitingForResources::enter(ctx, now),
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        match &self.cancellation {
            Some(cancellation) if ctx.is_held() => cancellation.next_wakeup(ctx),
            _ => Some(self.not_before).filter(|_| ctx.coordinator.is_settled()),
        }
    }
}
