//! Created: the initial state. Checks whether the job can run at all.

use crate::action::EndState;
use crate::event::Event;
use crate::rescale::TriggerCause;
use crate::scheduler::context::Context;
use crate::scheduler::fit;
use crate::scheduler::next::Next;
use reflow_protocol::failure::{Failure, Fault};
use reflow_types::Instant;

pub(in crate::scheduler) struct Created {
    since: Instant,
    /// Why the job cannot resume from the checkpoints that were found: they cannot be read, or the user must
    /// answer a question first.
    not_restored: Option<String>,
}

impl Created {
    pub(in crate::scheduler) fn new(since: Instant, not_restored: Option<String>) -> Self {
        Self { since, not_restored }
    }

    /// When it was entered. The first event may come at the same time.
    pub(in crate::scheduler) fn since(&self) -> Instant {
        self.since
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, event: &Event) -> Next {
        match event {
            Event::Cancel => Next::Finish(EndState::Canceled, None),
            Event::Suspend => Next::Finish(EndState::Suspended, None),
            _ => {
                ctx.refuse(event, "the job has not started yet");
                Next::Stay
            }
        }
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        ctx.begin_rescale_record(now, TriggerCause::InitialSchedule);
        let manifest = ctx.coordinator.latest().map(|latest| &latest.manifest);
        match fit::check(&ctx.demand, &ctx.settings, self.not_restored.as_deref(), manifest) {
            Ok(()) => Next::WaitForResources,
            Err(reason) => {
                let message = reason.clone();
                let failure = Failure { fault: Fault::Permanent, operator: String::new(), message };
                ctx.failures.record(ctx.exception(now, None, &failure));
                Next::Finish(EndState::Failed, Some(reason))
            }
        }
    }
}
