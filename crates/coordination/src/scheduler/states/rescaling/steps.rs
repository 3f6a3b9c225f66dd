//! How a live rescale goes on by itself, phase by phase.

use super::cut::{self, Cutting};
use super::plan::{self, Plan};
use super::{GiveUp, Phase, Reading, Rescaling, Step, note_phase};
use crate::action::Action;
use crate::checkpoint::{Purpose, Request};
use crate::rescale::{LivePhase, TerminatedReason};
use crate::restore;
use crate::scheduler::attempt::SubtaskStatus;
use crate::scheduler::context::Context;
use crate::scheduler::states::executing::Executing;
use crate::scheduler::states::stop_with_savepoint::{Goal, StopWithSavepoint};
use crate::scheduler::{Next, failure};
use reflow_protocol::command::{AttemptCommand, Command, RescaleCommand};
use reflow_protocol::control::{Failure, Fault};
use reflow_protocol::rescale::Preparation;
use reflow_types::{ExecutorId, Instant};

impl Rescaling {
    /// Goes on with what is due.
    pub(super) fn step(&mut self, ctx: &mut Context, now: Instant) -> Step {
        if !self.has_cut() && (self.has_ended(ctx) || ctx.drain_is_overdue(now)) {
            self.abandon(ctx, now);
            return Step::Leave(Executing::resume(ctx, now));
        }
        match &self.phase {
            Phase::Planning { requested } => match (plan::base(ctx).is_some(), requested) {
                (true, _) => return self.prepare(ctx, now),
                (false, false) => {
                    self.phase = Phase::Planning { requested: true };
                    self.take_checkpoint(ctx, now);
                }
                (false, true) => {}
            },
            Phase::Preparing { reading } if reading.by.is_empty() => {
                ctx.coordinator.hold();
                note_phase(ctx, now, LivePhase::CatchUp);
                self.phase = Phase::Freshening { requested: false };
                return Step::Again;
            }
            Phase::Freshening { requested: false } if ctx.coordinator.is_settled() => {
                self.phase = Phase::Freshening { requested: true };
                self.take_checkpoint(ctx, now);
            }
            Phase::CatchingUp { reading } if reading.by.is_empty() => {
                let cut = cut::cut(&ctx.job, &self.plan, &ctx.coordinator);
                let effects = ctx.coordinator.request_cut(now, cut, &self.plan.new);
                ctx.apply(effects);
                self.phase = Phase::Triggering { give_up_at: self.give_up_at(ctx, now) };
                return Step::Again;
            }
            Phase::Triggering { .. } if ctx.coordinator.cut().is_some() => {
                self.begin_cut(ctx, now);
                return Step::Again;
            }
            Phase::Preparing { reading: Reading { give_up_at, .. } }
            | Phase::CatchingUp { reading: Reading { give_up_at, .. } }
            | Phase::Triggering { give_up_at }
                if *give_up_at <= now =>
            {
                return Step::Leave(self.give_up(
                    ctx,
                    now,
                    GiveUp::Unprepared,
                    "it took too long to prepare".to_owned(),
                ));
            }
            Phase::Cutting { .. } => return self.step_cut(ctx, now),
            Phase::Leaving { .. } => return self.step_leave(ctx, now),
            _ => {}
        }
        Step::Wait
    }

    /// Whether some input has ended, so that the rescale must not begin.
    fn has_ended(&self, ctx: &Context) -> bool {
        let attempt = ctx.attempt.as_ref();
        attempt.is_none_or(|attempt| attempt.subtasks.values().any(|s| s.status > SubtaskStatus::Running))
    }

    fn give_up_at(&self, ctx: &Context, now: Instant) -> Instant {
        now + ctx.settings.checkpoints.timeout
    }

    fn take_checkpoint(&self, ctx: &mut Context, now: Instant) {
        let effects = ctx.coordinator.request(now, Request::of(Purpose::LiveRescale));
        ctx.apply(effects);
    }

    /// Lets executors build what is new, and read the newest checkpoint's state of what moves.
    fn prepare(&mut self, ctx: &mut Context, now: Instant) -> Step {
        let Plan { version, old, new, .. } = &self.plan;
        let base = plan::base(ctx).expect("the caller has looked");
        let checkpoint = base.checkpoint;
        let restore = match restore::gained(&ctx.job, &base.manifest, old, new) {
            Ok(restore) => restore,
            Err(error) => return Step::Leave(self.give_up(ctx, now, GiveUp::Unprepared, error.to_string())),
        };
        ctx.coordinator.pin_latest();
        let by = self.plan.executors();
        let manager = |id: &ExecutorId| Some((*id, ctx.executors.get(id)?.task_manager));
        if let Some(attempt) = &mut ctx.attempt {
            attempt.holders.extend(&by);
            attempt.task_managers.extend(by.iter().filter_map(manager));
        }
        let (attempt, version) = (self.attempt, *version);
        let (former, graph) = (old.clone(), new.clone());
        let preparation = Preparation { attempt, version, former, graph, checkpoint, restore };
        ctx.actions.push(Action::PrepareRescale(Box::new(preparation)));
        self.told = true;
        note_phase(ctx, now, LivePhase::Prepare);
        let give_up_at = self.give_up_at(ctx, now);
        self.phase = Phase::Preparing { reading: Reading { checkpoint, by, give_up_at } };
        Step::Again
    }

    /// Lets executors read what the fresh checkpoint adds.
    pub(super) fn catch_up(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let Some(fresh) = plan::base(ctx) else {
            return self.give_up(
                ctx,
                now,
                GiveUp::NoCheckpoint,
                "the fresh checkpoint is not there".to_owned(),
            );
        };
        let checkpoint = fresh.checkpoint;
        let restore = match restore::gained(&ctx.job, &fresh.manifest, &self.plan.old, &self.plan.new) {
            Ok(restore) => restore,
            Err(error) => return self.give_up(ctx, now, GiveUp::Unprepared, error.to_string()),
        };
        let (attempt, version) = (self.attempt, self.plan.version);
        let command = Command::Rescale { version, command: RescaleCommand::CatchUp { checkpoint, restore } };
        ctx.actions.push(Action::Command(AttemptCommand { attempt, command }));
        let (by, give_up_at) = (self.plan.executors(), self.give_up_at(ctx, now));
        self.phase = Phase::CatchingUp { reading: Reading { checkpoint, by, give_up_at } };
        Next::Stay
    }

    /// The cut was triggered: the new subtasks belong to the attempt.
    fn begin_cut(&mut self, ctx: &mut Context, now: Instant) {
        let cutting = Cutting::begin(&ctx.job, &self.plan, &ctx.coordinator);
        if let Some(attempt) = &mut ctx.attempt {
            attempt.join(now, &self.plan.new);
        }
        note_phase(ctx, now, LivePhase::Cut);
        self.phase = Phase::Cutting { cutting, fail_at: self.give_up_at(ctx, now) };
    }

    fn step_cut(&mut self, ctx: &mut Context, now: Instant) -> Step {
        let Phase::Cutting { cutting, fail_at } = &mut self.phase else { return Step::Wait };
        let fail_at = *fail_at;
        for gathered in cutting.take_gathered() {
            if !gathered.source {
                ctx.actions.extend(gathered.adopt(self.attempt, &self.plan));
                continue;
            }
            let deployed = ctx.attempt.as_ref();
            let reads = |reader| {
                let record = deployed.and_then(|deployed| deployed.subtasks.get(&reader));
                record.is_some_and(|record| record.status < SubtaskStatus::Ended)
            };
            match gathered.move_splits(self.attempt, reads) {
                Ok(action) => ctx.actions.push(action),
                Err(reason) => return Step::Leave(fail(ctx, now, reason)),
            }
        }
        if cutting.is_done() {
            let effects = ctx.coordinator.in_effect(now, &self.plan.new);
            ctx.apply(effects);
            for (table, vertex) in ctx.tables.iter_mut().zip(&self.plan.new.vertices) {
                table.clone_from(&vertex.table);
            }
            if let Some(attempt) = &mut ctx.attempt {
                attempt.take_graph(self.plan.new.clone());
            }
            note_phase(ctx, now, LivePhase::Commit);
            self.phase = Phase::Leaving { publish_at: None };
            return Step::Again;
        }
        if fail_at <= now {
            let timeout = ctx.settings.checkpoints.timeout;
            let reason = format!("the cut of a rescale was not in effect after {timeout:?}");
            return Step::Leave(fail(ctx, now, reason));
        }
        Step::Wait
    }

    fn step_leave(&mut self, ctx: &mut Context, now: Instant) -> Step {
        let Phase::Leaving { publish_at } = &mut self.phase else { return Step::Wait };
        if self.suspend {
            return match StopWithSavepoint::enter(ctx, now, Goal::Suspend, None) {
                Next::Stay => Step::Leave(StopWithSavepoint::suspend_at_once(ctx, now)),
                next => Step::Leave(next),
            };
        }
        if std::mem::take(&mut self.cut_failed) {
            *publish_at = Some(now);
        }
        if publish_at.is_some_and(|at| at <= now) {
            *publish_at = None;
            if !self.published {
                self.take_checkpoint(ctx, now);
                return Step::Again;
            }
        }
        let stays = self.plan.new_subtasks();
        let Some(attempt) = &mut ctx.attempt else { return Step::Wait };
        let mut leaving = attempt.subtasks.iter().filter(|(id, _)| !stays.contains(id));
        if !self.published || leaving.any(|(_, record)| record.status != SubtaskStatus::Finished) {
            return Step::Wait;
        }
        attempt.part();
        attempt.given_up = None;
        let (attempt, version) = (self.attempt, self.plan.version);
        let command = Command::Rescale { version, command: RescaleCommand::Commit };
        ctx.actions.push(Action::Command(AttemptCommand { attempt, command }));
        ctx.rescale_count += 1;
        ctx.timeline.end(now, TerminatedReason::Succeeded);
        Step::Leave(Executing::after_rescale(ctx, now))
    }
}

/// After the cut, when it cannot be done: the attempt fails.
pub(super) fn fail(ctx: &mut Context, now: Instant, reason: String) -> Next {
    let failure = Failure { fault: Fault::Engine, operator: String::new(), message: reason };
    let failed = failure::of_job(ctx, now, &failure);
    failure::handle(ctx, now, failed)
}
