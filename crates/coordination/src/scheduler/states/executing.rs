//! Executing: an attempt is deployed. Reacts to changes of the cluster by rescaling, to failures by restarting.
//!
//! If the job can be rescaled while it runs, [`Executing::rescale`] returns [`Next::Rescale`]. Otherwise the rescale is a
//! restart: a checkpoint after whose barrier the sources pause, and then the next attempt from exactly there, so that
//! nothing is processed twice.
//!
//! The transition manager decides when, by Flink's rules. A rescale takes its own checkpoint, so the manager's request for
//! one is answered by a trigger at once (unless active checkpoints are switched off). Slots that are about to leave cannot
//! wait, so the manager is not asked.

use crate::action::EndState;
use crate::checkpoint::{FailureCause, Purpose};
use crate::event::Event;
use crate::rescale::{TerminatedReason, TriggerCause};
use crate::scheduler::attempt::SubtaskStatus;
use crate::scheduler::context::Context;
use crate::scheduler::ending::Ending;
use crate::scheduler::failure::Failed;
use crate::scheduler::next::{Execution, Goal, Next, Restart, Stop};
use crate::scheduler::outputs::Outcome;
use crate::scheduler::region_restart::{Progress, RegionRestart};
use crate::scheduler::rescale_plan::Plan;
use crate::scheduler::{failure, requests};
use crate::transition::{Manager, Output, PhaseName, Timeouts};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::Instant;
use std::time::Duration;

/// The time until a rescale whose checkpoint failed takes another.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The phase of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Some subtasks do not run yet, or not any more.
    Starting,
    /// All subtasks run.
    Running,
    /// The checkpoint of a rescale with a restart is pending. Sources pause after its barrier.
    Checkpointing,
    /// That checkpoint has failed, or a live rescale was abandoned. The next try is at that time.
    RetryAt(Instant),
}

pub(in crate::scheduler) struct Executing {
    manager: Manager,
    phase: Phase,
    ending: Ending,
    /// The number of consecutive failed checkpoints while a rescale waits.
    failed_checkpoints: u32,
    /// Whether slots or requirements have changed since the transition manager was last notified.
    changed: bool,
    /// Whether the transition manager has decided to rescale, which waits until all subtasks run.
    go: bool,
    /// The regions that are being restarted, until they are deployed.
    restart: Option<RegionRestart>,
}

impl Executing {
    pub(in crate::scheduler) fn new(ctx: &Context, now: Instant, how: Execution) -> Self {
        let (phase, timeouts) = match how {
            Execution::Deployed => (Phase::Starting, timeouts(ctx)),
            Execution::Adopted => (Phase::Starting, without_cooldown(ctx)),
            Execution::Resumed => (Phase::Running, without_cooldown(ctx)),
            Execution::Rescaled => (Phase::Running, timeouts(ctx)),
            Execution::RetryAt(at) => (Phase::RetryAt(at), without_cooldown(ctx)),
        };
        let manager = Manager::new(timeouts, now);
        let (ending, changed, go) = (Ending::NotYet, true, false);
        Self { manager, phase, ending, failed_checkpoints: 0, changed, go, restart: None }
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Some(restart) = &mut self.restart {
            restart.on_event(ctx, now, event);
        }
        if let Some(failed) = failure::of_event(ctx, now, event) {
            match &self.restart {
                Some(restart) if failed.is_within(restart.regions()) => {
                    failure::record_concurrent(ctx, failed);
                }
                _ => return self.on_failure(ctx, now, failed),
            }
        }
        match event {
            Event::ExecutorAdded { .. }
            | Event::ExecutorLost { .. }
            | Event::ExecutorDraining { .. }
            | Event::UpdateRequirements { .. }
            | Event::LimitParallelism { .. } => self.changed = true,
            Event::Cancel => return Next::Cancel,
            Event::Suspend => return self.suspend(ctx, now),
            Event::TriggerSavepoint { .. }
            | Event::TriggerCheckpoint { .. }
            | Event::StopWithSavepoint { .. } => match self.phase {
                Phase::Running => return requests::serve(ctx, now, event),
                _ => ctx.deferred.push_back(event.clone()),
            },
            _ => {}
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn on_outcome(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        outcome: &Outcome,
    ) -> Next {
        self.ending.on_outcome(now, outcome);
        match outcome {
            Outcome::TooManyFailures { reason } => {
                let failed = failure::of_checkpoints(ctx, now, reason);
                return self.on_failure(ctx, now, failed);
            }
            Outcome::Completed(Purpose::Rescale) if self.phase == Phase::Checkpointing => {
                return Next::Restart(Restart::Rescale);
            }
            Outcome::Failed { purpose: Purpose::Rescale, cause, .. }
                if self.phase == Phase::Checkpointing =>
            {
                self.failed_checkpoints += u32::from(*cause == FailureCause::Other);
                self.phase = Phase::RetryAt(now + RETRY_DELAY);
            }
            Outcome::Completed(_) => {
                self.failed_checkpoints = 0;
                self.trigger(ctx, now);
            }
            // One that is abandoned because a region restarts is no failure.
            Outcome::Failed { .. } if self.restart.is_some() => {}
            Outcome::Failed { .. } => self.on_failed_checkpoint(ctx, now),
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        if let Some(restart) = &mut self.restart {
            match restart.advance(ctx, now) {
                Progress::Waits => {}
                Progress::Deployed => self.restart = None,
                Progress::NotPossible => return Next::Restart(Restart::NotByRegion),
            }
        }
        if self.phase == Phase::Starting {
            let restarting = self.restart.as_ref().map(RegionRestart::regions);
            ctx.note_running_regions(now, restarting);
        }
        let deployed = self.phase == Phase::Starting && self.restart.is_none();
        if deployed && ctx.all_at_least(SubtaskStatus::Running) {
            self.phase = Phase::Running;
            ctx.attempt.as_mut().expect("its subtasks run").set_started();
            ctx.timeline.end(now, TerminatedReason::Succeeded);
            let effects = ctx.coordinator.set_running(now);
            ctx.apply(effects);
            ctx.restored();
            self.changed = true;
        }
        if !matches!(self.phase, Phase::Starting | Phase::Checkpointing) && self.ending.advance(ctx, now) {
            return Next::Finish(EndState::Finished, None);
        }
        self.ask_manager(ctx, now);
        match self.phase {
            Phase::Running => {
                if let Some(event) = ctx.deferred.pop_front() {
                    return requests::serve(ctx, now, &event);
                }
                if !self.ending.begun() && (self.go || ctx.drains()) && !ctx.hands_over {
                    return self.rescale(ctx, now);
                }
            }
            Phase::RetryAt(at) if at <= now && ctx.hands_over => {
                self.phase = Phase::RetryAt(now + RETRY_DELAY);
            }
            Phase::RetryAt(at) if at <= now => {
                self.phase = Phase::Running;
                if !self.ending.begun() {
                    return self.rescale(ctx, now);
                }
            }
            _ => {}
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn next_wakeup(&self) -> Option<Instant> {
        let retry = match self.phase {
            Phase::RetryAt(at) => Some(at),
            _ => None,
        };
        let restart = self.restart.as_ref().and_then(RegionRestart::next_wakeup);
        let wakeups = [self.manager.next_wakeup(), retry, restart, self.ending.next_wakeup()];
        wakeups.into_iter().flatten().min()
    }

    /// Restarts the regions that have failed or, if they cannot restart alone, the job.
    fn on_failure(&mut self, ctx: &mut Context, now: Instant, failed: Failed) -> Next {
        let next = failure::handle(ctx, now, failed);
        let Next::Restart(Restart::Failure { backoff, until, regions: Some(failed), .. }) = &next else {
            return next;
        };
        let pauses = self.phase == Phase::Checkpointing || self.ending.begun();
        let mut regions = failed.clone();
        regions.extend(self.restart.iter().flat_map(RegionRestart::regions));
        if pauses || failed.is_empty() || !RegionRestart::is_possible(ctx, &regions) {
            return next;
        }
        let former = self.restart.take();
        self.restart = Some(RegionRestart::begin(ctx, now, regions, (*backoff, *until), former));
        // A rescale that was to be tried again follows the restart.
        self.go |= matches!(self.phase, Phase::RetryAt(_));
        self.phase = Phase::Starting;
        Next::Stay
    }

    /// Begins a live rescale or, if that is not possible, a rescale with a restart, with a checkpoint if
    /// checkpointing is on.
    fn rescale(&mut self, ctx: &mut Context, now: Instant) -> Next {
        self.go = false;
        if !ctx.rescale_is_wanted() {
            self.settle(ctx, now);
            return Next::Stay;
        }
        ctx.begin_rescale_record(now, TriggerCause::NewResourceAvailable);
        match Plan::begin(ctx, now) {
            Ok(plan) => return Next::Rescale(Box::new(plan)),
            Err(why) => ctx.timeline.restarts_because(why.to_string()),
        }
        if !ctx.checkpointing() || self.goes_without_checkpoint(ctx) {
            return Next::Restart(Restart::Rescale);
        }
        self.phase = Phase::Checkpointing;
        ctx.request_checkpoint(now, Purpose::Rescale, AfterBarrier::Pause, None, None);
        Next::Stay
    }

    /// Whether enough checkpoints of this rescale have failed for it to continue without one. Never while storage
    /// is unavailable, because the job can process without storage, but the next attempt could not read its
    /// state.
    fn goes_without_checkpoint(&self, ctx: &Context) -> bool {
        self.failed_checkpoints >= ctx.settings.max_checkpoint_failures && ctx.coordinator.storage_answers()
    }

    /// Notifies the transition manager of changes and takes its decision.
    fn ask_manager(&mut self, ctx: &mut Context, now: Instant) {
        let resources = ctx.rescale_resources();
        let outputs = match std::mem::take(&mut self.changed) {
            true => {
                if resources.sufficient && self.phase != Phase::Starting {
                    ctx.begin_rescale_record(now, TriggerCause::NewResourceAvailable);
                }
                self.manager.on_change(now, resources)
            }
            false => self.manager.on_tick(now, resources),
        };
        self.follow(ctx, now, outputs);
        if self.manager.phase() == PhaseName::Idling && self.phase == Phase::Running && !ctx.drains() {
            ctx.timeline.end(now, TerminatedReason::NoResourcesOrParallelismsChange);
        }
    }

    fn trigger(&mut self, ctx: &mut Context, now: Instant) {
        let outputs = self.manager.on_trigger(now, ctx.rescale_resources());
        self.follow(ctx, now, outputs);
    }

    fn follow(&mut self, ctx: &mut Context, now: Instant, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Transition => self.go = true,
                Output::RequestCheckpoint if ctx.settings.active_checkpoint && ctx.checkpointing() => {
                    self.trigger(ctx, now);
                }
                Output::RequestCheckpoint => {}
            }
        }
    }

    /// Counts a failed checkpoint that is not the rescale's own. After a number of them, a rescale no longer
    /// waits for one.
    fn on_failed_checkpoint(&mut self, ctx: &mut Context, now: Instant) {
        if !matches!(self.manager.phase(), PhaseName::Stabilizing | PhaseName::Stabilized) {
            return;
        }
        self.failed_checkpoints += 1;
        if self.failed_checkpoints >= ctx.settings.max_checkpoint_failures {
            self.failed_checkpoints = 0;
            self.trigger(ctx, now);
        }
    }

    /// The cause of the rescale no longer exists, so its record ends.
    fn settle(&mut self, ctx: &mut Context, now: Instant) {
        self.manager = Manager::new(without_cooldown(ctx), now);
        self.failed_checkpoints = 0;
        ctx.timeline.end(now, TerminatedReason::NoResourcesOrParallelismsChange);
    }

    fn suspend(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self.phase {
            Phase::Checkpointing => Next::Stop(Stop::Snapshot(Goal::Suspend, Purpose::Rescale)),
            Phase::Running if ctx.checkpointing() => requests::suspend(ctx, now),
            Phase::RetryAt(_) if ctx.checkpointing() => requests::suspend(ctx, now),
            _ => Next::Stop(Stop::SuspendAtOnce),
        }
    }
}

fn timeouts(ctx: &Context) -> Timeouts {
    let settings = &ctx.settings;
    Timeouts {
        restart: settings.restart_waits,
        live: settings.live_waits,
        max_trigger_delay: settings.trigger_delay(),
    }
}

fn without_cooldown(ctx: &Context) -> Timeouts {
    let mut timeouts = timeouts(ctx);
    timeouts.restart.cooldown = Duration::ZERO;
    timeouts.live.cooldown = Duration::ZERO;
    timeouts
}
