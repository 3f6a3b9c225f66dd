//! Failing: the job has failed for good; its attempt is being cancelled.

use super::canceling::Canceling;
use super::finished::Finished;
use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::{Next, State, failure};
use reflow_types::Instant;

pub(in crate::scheduler) struct Failing {
    cancellation: Option<Cancellation>,
    reason: String,
}

impl Failing {
    pub(in crate::scheduler) fn enter(ctx: &mut Context, now: Instant, reason: String) -> Next {
        ctx.refuse_deferred("the job has failed");
        let cancellation = Some(Cancellation::begin(ctx, now));
        let error = reason.clone();
        Next::to(State::Failing(Self { cancellation, reason })).because(error)
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Event::Cancel = event {
            return Canceling::enter(ctx, now, self.cancellation.take());
        }
        failure::note_concurrent(ctx, now, event);
        ctx.refuse(event, "the job has failed");
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let done = self.cancellation.as_mut().is_none_or(|cancellation| cancellation.advance(ctx, now));
        match done {
            true => Finished::enter(ctx, now, EndState::Failed, Some(std::mem::take(&mut self.reason))),
            false => Next::Stay,
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        self.cancellation.as_ref().and_then(|cancellation| cancellation.next_wakeup(ctx))
    }
}
