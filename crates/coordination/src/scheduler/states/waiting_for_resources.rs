//! WaitingForResources: there are not enough slots yet, or not long enough to be sure that no more come.

use crate::action::EndState;
use crate::event::Event;
use crate::scheduler::context::Context;
use crate::scheduler::next::Next;
use crate::transition::{Manager, Output, Timeouts, Waits};
use reflow_types::Instant;
use std::time::Duration;

pub(in crate::scheduler) struct WaitingForResources {
    manager: Manager,
    deadline: Option<Instant>,
    changed: bool,
}

impl WaitingForResources {
    pub(in crate::scheduler) fn new(ctx: &mut Context, now: Instant) -> Self {
        ctx.refuse_deferred("the job does not run: it waits for slots");
        let timeouts = Timeouts {
            restart: Waits {
                cooldown: Duration::ZERO,
                stabilization: ctx.settings.resource_stabilization_timeout,
            },
            live: Waits::default(),
            max_trigger_delay: Duration::ZERO,
        };
        Self {
            manager: Manager::new(timeouts, now),
            deadline: ctx.settings.resource_wait_timeout.map(|timeout| now + timeout),
            changed: true,
        }
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, event: &Event) -> Next {
        match event {
            Event::Cancel => return Next::Finish(EndState::Canceled, None),
            Event::Suspend => return Next::Finish(EndState::Suspended, None),
            Event::ExecutorAdded { .. }
            | Event::ExecutorLost { .. }
            | Event::ExecutorDraining { .. }
            | Event::UpdateRequirements { .. }
            | Event::LimitParallelism { .. } => self.changed = true,
            _ => ctx.refuse(event, "the job does not run: it waits for slots"),
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        if ctx.reports.newest().is_some() {
            return Next::Reconcile;
        }
        let resources = ctx.resources();
        let mut outputs = self.manager.on_tick(now, resources);
        if std::mem::take(&mut self.changed) {
            outputs.extend(self.manager.on_change(now, resources));
            outputs.extend(self.manager.on_trigger(now, resources));
        }
        if outputs.contains(&Output::Transition) {
            return Next::CreateExecutionGraph;
        }
        match self.deadline {
            Some(deadline) if deadline <= now && resources.sufficient => Next::CreateExecutionGraph,
            Some(deadline) if deadline <= now => {
                let (needed, slots) = (ctx.slots_needed(), ctx.cluster.slots());
                let reason = format!(
                    "not enough slots: the job needs at least {needed}, and {slots} came within \
                     jobmanager.adaptive-scheduler.submission.resource-wait-timeout; start more TaskManagers"
                );
                Next::Finish(EndState::Failed, Some(reason))
            }
            _ => Next::Stay,
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self) -> Option<Instant> {
        self.manager.next_wakeup().into_iter().chain(self.deadline).min()
    }
}
