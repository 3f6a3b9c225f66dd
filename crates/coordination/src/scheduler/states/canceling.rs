//! Canceling: the user cancelled the job; its attempt is being cancelled.

use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::next::Next;
use reflow_types::Instant;

pub(in crate::scheduler) struct Canceling {
    cancellation: Cancellation,
}

impl Canceling {
    /// Cancels the attempt, unless that is under way.
    pub(in crate::scheduler) fn new(
        ctx: &mut Context,
        now: Instant,
        under_way: Option<Cancellation>,
    ) -> Self {
        ctx.refuse_deferred("the job was cancelled");
        let cancellation = under_way.unwrap_or_else(|| Cancellation::begin(ctx, now));
        Self { cancellation }
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
            true => Next::Finish(EndState::Canceled, None),
            false => Next::Stay,
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        self.cancellation.next_wakeup(ctx)
    }
}
