//! Rescaling: the attempt's graph changes while it runs.
//!
//! ```text
//! planning --a checkpoint to read--> preparing --all have read it--> freshening --a fresh one--> catching up
//!    catching up --all have read it--> triggering --the cut's trigger--> cutting --all cut, all installed-->
//!    leaving --published, and who leaves has finished--> Executing
//! ```
//!
//! Up to the trigger nothing has changed, and the rescale can be given up ([`Rescaling::give_up`]) or planned anew. From
//! the trigger on there is no way back: whatever goes wrong ends the attempt, and the next one begins from the
//! last complete checkpoint.
//!
//! Checkpoints go on while executors prepare; from the fresh one until the new graph is in effect there are no
//! others, since what old owners hand over is what has changed since the fresh one. Savepoints and checkpoints that
//! users ask for in between wait; a stop makes an end of a rescale that has not cut, and waits for one that has.

mod cut;
mod plan;
mod steps;

use super::canceling::Canceling;
use super::executing::{self, Executing};
use super::stop_with_savepoint::{Goal, StopWithSavepoint};
use crate::action::Action;
use crate::checkpoint::Purpose;
use crate::event::Event;
use crate::rescale::{Live, LivePhase, TriggerCause};
use crate::scheduler::attempt::{GivenUp, SubtaskStatus};
use crate::scheduler::context::{Context, Outcome};
use crate::scheduler::{Next, State, failure};
use cut::Cutting;
use plan::Plan;
use reflow_protocol::command::{AttemptCommand, Command, RescaleCommand};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_types::{CheckpointId, ExecutorId, Instant};
use std::collections::BTreeSet;
use std::time::Duration;

/// After so many tries of one placement that executors could not prepare the next goes through a restart.
const MAX_UNPREPARED: u32 = 3;
/// The time until a placement that was given up is tried again; it doubles with each try.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The time until a checkpoint that is to publish the new graph is tried again.
const PUBLISH_DELAY: Duration = Duration::from_secs(1);

/// How far the rescale is.
enum Phase {
    /// There is no checkpoint to read yet; whether one was asked for.
    Planning { requested: bool },
    /// Executors read a checkpoint, until then at most.
    Preparing { reading: Reading },
    /// A fresh checkpoint is taken, as soon as the one under way has ended.
    Freshening { requested: bool },
    /// Executors read the fresh one.
    CatchingUp { reading: Reading },
    /// The cut has been asked for, and begins as soon as ids allow.
    Triggering { give_up_at: Instant },
    /// The barrier flows, and key groups are handed over.
    Cutting { cutting: Cutting, fail_at: Instant },
    /// The new graph is in effect. When a checkpoint is asked for that publishes it, if the cut failed.
    Leaving { publish_at: Option<Instant> },
}

/// A checkpoint that executors read.
struct Reading {
    checkpoint: CheckpointId,
    by: BTreeSet<ExecutorId>,
    give_up_at: Instant,
}

/// Why a live rescale is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GiveUp {
    /// Executors refused, or were too slow.
    Unprepared,
    /// A checkpoint to read failed. A restart needs one, too.
    NoCheckpoint,
}

/// What the state does after a step.
enum Step {
    /// It waits for something.
    Wait,
    /// It may go on.
    Again,
    Leave(Next),
}

pub(in crate::scheduler) struct Rescaling {
    attempt: Attempt,
    plan: Plan,
    phase: Phase,
    /// Whether executors have been told to prepare.
    told: bool,
    /// Whether a checkpoint from the cut on is complete: a restart does not go back behind it.
    published: bool,
    /// Whether the cut's checkpoint failed.
    cut_failed: bool,
    /// The JobManager stops, as soon as the new graph is in effect.
    suspend: bool,
}

impl Rescaling {
    /// Goes live, if that is possible.
    pub(in crate::scheduler) fn enter(ctx: &mut Context, now: Instant) -> Option<Next> {
        Self::plan(ctx, now).map(|state| Next::to(State::Rescaling(Box::new(state))))
    }

    fn plan(ctx: &mut Context, now: Instant) -> Option<Self> {
        if ctx.drain_is_overdue(now) {
            return None;
        }
        let plan = Plan::make(ctx)?;
        let deployed = ctx.attempt.as_ref()?;
        let attempt = deployed.attempt;
        let given_up = |last: &GivenUp| last.unprepared >= MAX_UNPREPARED && last.target == plan.target();
        if deployed.given_up.as_ref().is_some_and(given_up) {
            return None;
        }
        ctx.begin_rescale_record(now, TriggerCause::NewResourceAvailable);
        Self::note_plan(ctx, now, &plan);
        let phase = Phase::Planning { requested: false };
        let (told, published, cut_failed, suspend) = Default::default();
        Some(Self { attempt, plan, phase, told, published, cut_failed, suspend })
    }

    fn note_plan(ctx: &mut Context, now: Instant, plan: &Plan) {
        ctx.timeline.decide(&plan.parallelism.vertices, &plan.parallelism.groups);
        let (moved, total) = plan.groups;
        ctx.timeline.go_live(Live::new(now, plan.version, moved, total - moved));
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Some(failed) = failure::of_event(ctx, now, event) {
            return failure::handle(ctx, now, failed);
        }
        match event {
            Event::ExecutorLost { executor, .. } if !self.has_cut() && self.plan.needs(*executor) => {
                return self.lose_participant(ctx, now, format!("task executor {executor} was lost"));
            }
            Event::ExecutorAdded { .. } | Event::ExecutorLost { .. } | Event::ExecutorDraining { .. } => {
                return self.on_change(ctx, now, false);
            }
            Event::UpdateRequirements { .. } => return self.on_change(ctx, now, true),
            Event::ExecutorReported { executor, report } => {
                return self.on_executor_report(ctx, now, *executor, report);
            }
            Event::SubtaskReported(report) => self.on_subtask_report(ctx, now, report),
            Event::Cancel => return Canceling::enter(ctx, now, None),
            Event::Suspend => self.suspend = true,
            Event::TriggerSavepoint { .. }
            | Event::TriggerCheckpoint { .. }
            | Event::StopWithSavepoint { .. } => ctx.deferred.push_back(event.clone()),
            _ => {}
        }
        Next::Stay
    }

    fn on_executor_report(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        executor: ExecutorId,
        report: &ExecutorReport,
    ) -> Next {
        match report {
            ExecutorReport::RescalePrepared { attempt, version, checkpoint }
                if (*attempt, *version) == (self.attempt, self.plan.version) =>
            {
                if let Phase::Preparing { reading } | Phase::CatchingUp { reading } = &mut self.phase
                    && reading.checkpoint == *checkpoint
                {
                    reading.by.remove(&executor);
                }
            }
            ExecutorReport::RescaleRefused { attempt, version, reason }
                if (*attempt, *version) == (self.attempt, self.plan.version) =>
            {
                let reason = format!("task executor {executor} refused: {reason}");
                // Reported before it received the cut, which is under way although this executor is not ready for it.
                return if self.has_cut() {
                    steps::fail(ctx, now, reason)
                } else {
                    self.give_up(ctx, now, GiveUp::Unprepared, reason)
                };
            }
            _ => {}
        }
        Next::Stay
    }

    fn on_subtask_report(&mut self, ctx: &mut Context, now: Instant, report: &SubtaskReport) {
        let Phase::Cutting { cutting, .. } = &mut self.phase else { return };
        let SubtaskReport { attempt, subtask, event } = report;
        if *attempt != self.attempt {
            return;
        }
        match event {
            SubtaskEvent::Cut { version, splits, operator } if *version == self.plan.version => {
                cutting.on_cut(*subtask, splits, operator);
            }
            SubtaskEvent::Installed { version, installation }
                if *version == self.plan.version && cutting.on_installed(*subtask) =>
            {
                if let Some(live) = ctx.timeline.live() {
                    live.installed(installation);
                }
                if let Some(deployed) = &mut ctx.attempt {
                    deployed.advance(now, *subtask, SubtaskStatus::Running);
                }
            }
            _ => {}
        }
    }

    pub(in crate::scheduler) fn on_outcome(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        outcome: &Outcome,
    ) -> Next {
        match (outcome, &mut self.phase) {
            (Outcome::TooManyFailures { reason }, _) => {
                let failed = failure::of_checkpoints(ctx, now, reason);
                return failure::handle(ctx, now, failed);
            }
            (
                Outcome::Failed { purpose: Purpose::LiveRescale, reason, .. },
                Phase::Planning { requested: true } | Phase::Freshening { requested: true },
            ) => {
                let reason = format!("the checkpoint to read failed: {reason}");
                return self.give_up(ctx, now, GiveUp::NoCheckpoint, reason);
            }
            (Outcome::Completed(Purpose::LiveRescale), Phase::Freshening { requested: true }) => {
                return self.catch_up(ctx, now);
            }
            (Outcome::Failed { purpose: Purpose::Cut, .. }, _) => self.cut_failed = true,
            (
                Outcome::Failed { purpose: Purpose::LiveRescale, .. },
                Phase::Leaving { publish_at: publish_at @ None },
            ) => {
                *publish_at = Some(now + PUBLISH_DELAY);
            }
            (Outcome::Completed(purpose), Phase::Cutting { .. } | Phase::Leaving { .. }) => {
                self.published |= *purpose != Purpose::Savepoint;
            }
            _ => {}
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        loop {
            match self.serve(ctx, now) {
                Next::Stay => {}
                next => return next,
            }
            match self.step(ctx, now) {
                Step::Wait => return Next::Stay,
                Step::Again => {}
                Step::Leave(next) => return next,
            }
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        let of_phase = match &self.phase {
            Phase::Planning { .. } | Phase::Freshening { .. } => None,
            Phase::Preparing { reading } | Phase::CatchingUp { reading } => Some(reading.give_up_at),
            Phase::Triggering { give_up_at } => Some(*give_up_at),
            Phase::Cutting { fail_at, .. } => Some(*fail_at),
            Phase::Leaving { publish_at } => *publish_at,
        };
        let overdue = ctx.drain_by().filter(|_| !self.has_cut());
        of_phase.into_iter().chain(overdue).min()
    }

    fn has_cut(&self) -> bool {
        matches!(self.phase, Phase::Cutting { .. } | Phase::Leaving { .. })
    }

    /// Whether a checkpoint that a user wants may begin.
    fn takes_checkpoints(&self) -> bool {
        matches!(self.phase, Phase::Planning { .. } | Phase::Preparing { .. } | Phase::Leaving { .. })
    }

    /// The cluster or the requirements have changed: before the cut, the last wish wins.
    fn on_change(&mut self, ctx: &mut Context, now: Instant, requirements: bool) -> Next {
        if self.has_cut() {
            return Next::Stay;
        }
        if self.plan.is_current(ctx) {
            if requirements {
                // They have a record of their own.
                Self::note_plan(ctx, now, &self.plan);
                note_phase(ctx, now, self.phase_name());
            }
            return Next::Stay;
        }
        self.abandon(ctx, now);
        self.plan_anew(ctx, now)
    }

    /// A new subtask's executor is gone before the cut: nothing has changed, and its slots are no part of any further
    /// plan. So this says nothing about the next one, which does not wait, nor goes through a restart.
    fn lose_participant(&mut self, ctx: &mut Context, now: Instant, reason: String) -> Next {
        self.abandon(ctx, now);
        ctx.timeline.give_up(now, reason);
        self.plan_anew(ctx, now)
    }

    fn plan_anew(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let anew = if executing::is_wanted(ctx) { Self::plan(ctx, now) } else { None };
        match anew {
            Some(state) => {
                *self = state;
                Next::Stay
            }
            None => Executing::resume(ctx, now),
        }
    }

    fn phase_name(&self) -> LivePhase {
        match self.phase {
            Phase::Planning { .. } => LivePhase::Plan,
            Phase::Preparing { .. } => LivePhase::Prepare,
            Phase::Freshening { .. } | Phase::CatchingUp { .. } | Phase::Triggering { .. } => {
                LivePhase::CatchUp
            }
            Phase::Cutting { .. } => LivePhase::Cut,
            Phase::Leaving { .. } => LivePhase::Commit,
        }
    }

    /// Serves what users ask for, as far as it can be served now.
    fn serve(&mut self, ctx: &mut Context, now: Instant) -> Next {
        if self.suspend && !self.has_cut() {
            self.abandon(ctx, now);
            return match StopWithSavepoint::enter(ctx, now, Goal::Suspend, None) {
                Next::Stay => StopWithSavepoint::suspend_at_once(ctx, now),
                next => next,
            };
        }
        for _ in 0..ctx.deferred.len() {
            let Some(event) = ctx.deferred.pop_front() else { break };
            let stops = !matches!(
                event,
                Event::TriggerSavepoint { cancel_job: false, .. } | Event::TriggerCheckpoint { .. }
            );
            if stops && !self.has_cut() {
                ctx.deferred.push_front(event);
                self.abandon(ctx, now);
                return Executing::resume(ctx, now);
            }
            if stops || !self.takes_checkpoints() {
                ctx.deferred.push_back(event);
                continue;
            }
            executing::serve(ctx, now, &event);
        }
        Next::Stay
    }

    /// Before the cut, when it cannot be done: all goes on as it was, and it is tried again after a while.
    fn give_up(&mut self, ctx: &mut Context, now: Instant, why: GiveUp, reason: String) -> Next {
        self.abandon(ctx, now);
        ctx.timeline.give_up(now, reason);
        let Some(attempt) = &mut ctx.attempt else { return Next::Stay };
        let target = self.plan.target();
        let former = attempt.given_up.take().filter(|last| last.target == target);
        let mut given_up = former.unwrap_or(GivenUp { target, tries: 0, unprepared: 0 });
        given_up.unprepared += u32::from(why == GiveUp::Unprepared);
        let delay = RETRY_DELAY.saturating_mul(1 << given_up.tries.min(6)).min(MAX_RETRY_DELAY);
        given_up.tries = given_up.tries.saturating_add(1);
        attempt.given_up = Some(given_up);
        // A drain that is overdue then does not wait: it goes through a restart.
        let at = ctx.drain_by().map_or(now + delay, |by| by.clamp(now, now + delay));
        Executing::retry_at(ctx, now, at)
    }

    /// Makes executors forget what they have prepared.
    fn abandon(&mut self, ctx: &mut Context, now: Instant) {
        assert!(!self.has_cut(), "a rescale that has cut is not given up");
        if std::mem::take(&mut self.told) {
            let (attempt, version) = (self.attempt, self.plan.version);
            let command = Command::Rescale { version, command: RescaleCommand::Abandon };
            ctx.actions.push(Action::Command(AttemptCommand { attempt, command }));
            if let Some(attempt) = &mut ctx.attempt {
                attempt.part();
            }
        }
        let effects = ctx.coordinator.release(now);
        ctx.apply(effects);
    }
}

fn note_phase(ctx: &mut Context, now: Instant, phase: LivePhase) {
    if let Some(live) = ctx.timeline.live() {
        live.enter(now, phase);
    }
}
