//! Created: nothing has happened yet. What can be wrong with a job from the start is found here.

use super::finished::Finished;
use super::waiting_for_resources::WaitingForResources;
use crate::action::EndState;
use crate::event::Event;
use crate::rescale::TriggerCause;
use crate::scheduler::context::Context;
use crate::scheduler::{Next, fit};
use reflow_protocol::control::{Failure, Fault};
use reflow_types::Instant;

pub(in crate::scheduler) struct Created {
    pub(in crate::scheduler) since: Instant,
}

impl Created {
    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match event {
            Event::Cancel => Finished::enter(ctx, now, EndState::Canceled, None),
            Event::Suspend => Finished::enter(ctx, now, EndState::Suspended, None),
            _ => {
                ctx.refuse(event, "the job has not started yet");
                Next::Stay
            }
        }
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        ctx.begin_rescale_record(now, TriggerCause::InitialSchedule);
        match fit::check(ctx) {
            Ok(()) => WaitingForResources::enter(ctx, now),
            Err(reason) => {
                let message = reason.clone();
                let failure = Failure { fault: Fault::Permanent, operator: String::new(), message };
                ctx.exceptions.record(ctx.exception(now, None, &failure));
                Finished::enter(ctx, now, EndState::Failed, Some(reason))
            }
        }
    }
}
