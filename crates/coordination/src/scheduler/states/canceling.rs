//! Canceling: the user cancelled the job; its attempt is being cancelled.

use super::finished::Finished;
use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::{Next, State};
use reflow_types::Instant;

pub(in crate::scheduler) struct Canceling {
    cancellation: Cancellation,
}

impl Canceling {
    /// Cancels the attempt, unless that is under way.
    pub(in crate::scheduler) fn enter(
        ctx: &mut Context,
        now: Instant,
        under_way: Option<Cancellation>,
    ) -> Next {
        ctx.refuse_deferred("the job was cancelled");
        let cancellation = under_way.unwrap_or_else(|| Cancellation::begin(ctx, now));
        Next::to(State::Canceling(Self { cancellation }))
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Event::ExecutorLost { executor, .. } = event {
            ctx.lose_holder(now, *executor);
        }
        ctx.refuse(event, "the job was cancelled");
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self.cancellation.advance(ctx, now) {
            true => Finished::enter(ctx, now, EndState::Canceled, None),
            false => Next::Stay,
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        self.cancellation.next_wakeup(ctx)
    }
}
