//! Canceling: the user cancelled the job; its attempt is being cancelled.

use super::cancellation::Cancellation;
use super::context::Context;
use super::finished::Finished;
use super::{Next, State};
use crate::action::EndState;
use crate::event::Event;
use reflow_types::Instant;

pub(super) struct Canceling {
    cancellation: Cancellation,
}

impl Canceling {
    /// Cancels the attempt, unless that is under way.
    pub(super) fn enter(ctx: &mut Context, now: Instant, under_way: Option<Cancellation>) -> Next {
        ctx.refuse_deferred("the job was cancelled");
        let cancellation = under_way.unwrap_or_else(|| Cancellation::begin(ctx, now));
        Next::to(State::Canceling(Self { cancellation }))
    }

    pub(super) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Event::ExecutorLost { executor, .. } = event {
            ctx.lose_holder(now, *executor);
        }
        ctx.refuse(event, "the job was cancelled");
        Next::Stay
    }

    pub(super) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self.cancellation.advance(ctx, now) {
            true => Finished::enter(ctx, now, EndState::Canceled, None),
            false => Next::Stay,
        }
    }

    pub(super) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        self.cancellation.next_wakeup(ctx)
    }
}
