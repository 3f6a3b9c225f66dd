//! Failing: the job has failed for good; its attempt is being cancelled.

use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::cancellation::Cancellation;
use crate::scheduler::context::Context;
use crate::scheduler::failure;
use crate::scheduler::next::Next;
use reflow_types::Instant;

pub(in crate::scheduler) struct Failing {
    cancellation: Cancellation,
    reason: String,
}

impl Failing {
    pub(in crate::scheduler) fn new(ctx: &mut Context, now: Instant, reason: String) -> Self {
        ctx.refuse_deferred("the job has failed");
        Self { cancellation: Cancellation::begin(ctx, now), reason }
    }

    pub(in crate::scheduler) fn into_cancellation(self) -> Cancellation {
        self.cancellation
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Event::Cancel = event {
            return Next::Cancel;
        }
        failure::note_concurrent(ctx, now, event);
        ctx.refuse(event, "the job has failed");
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self.cancellation.advance(ctx, now) {
            true => Next::Finish(EndState::Failed, Some(std::mem::take(&mut self.reason))),
            false => Next::Stay,
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        self.cancellation.next_wakeup(ctx)
    }
}
