//! Rescaling: a live rescale is in progress.
//!
//! ```text
//! planning --a checkpoint to read--> preparing --all have read it, in a short round--> freshening --a fresh one-->
//!    catching up --all have read it--> triggering --the cut's trigger--> cutting --all cut, all installed-->
//!    leaving --published, and who leaves has finished--> Executing
//! ```
//!
//! Before the trigger nothing has changed, so the rescale can be abandoned ([`Rescaling::give_up`]) or planned
//! again. After the trigger it cannot be undone: any failure ends the attempt, and the next one starts from the
//! last complete checkpoint.
//!
//! Checkpoints continue while executors prepare. After the fresh one there is none until the new graph is in effect, because
//! old owners hand over what has changed since the fresh one. Savepoints and checkpoints that users request meanwhile wait.
//! A stop abandons a rescale that has not cut, and waits for one that has.

mod cut;
mod phase;
mod transfer;

use crate::action::Action;
use crate::checkpoint::{Purpose, Request};
use crate::event::Event;
use crate::rescale::{LivePhase, TerminatedReason};
use crate::restore;
use crate::scheduler::attempt::{GiveUp, SubtaskStatus};
use crate::scheduler::context::Context;
use crate::scheduler::next::{Execution, Next, Stop};
use crate::scheduler::outputs::Outcome;
use crate::scheduler::rescale_plan::{self, Plan};
use crate::scheduler::{failure, requests};
use cut::Cutting;
use phase::Phase;
use reflow_protocol::command::{AttemptCommand, Command, RescaleCommand};
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_protocol::rescale::Preparation;
use reflow_types::{ExecutorId, Instant};
use std::time::Duration;
use transfer::{Reading, Transfer};

/// The time until an abandoned placement is tried again, which doubles with each try.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The time until a checkpoint that publishes the next graph is tried again.
const PUBLISH_DELAY: Duration = Duration::from_secs(1);

/// A change of the rescale's conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Cluster,
    Requirements,
}

/// The result of a step of the phase.
enum Progress {
    /// It waits for something.
    Wait,
    /// The next step may be possible.
    Again,
    Leave(Next),
}

pub(in crate::scheduler) struct Rescaling {
    plan: Plan,
    phase: Phase,
    transfer: Transfer,
    /// Whether the command to prepare was sent.
    prepare_sent: bool,
    /// Whether a checkpoint with the next graph is complete, so that a restart uses that graph.
    published: bool,
    /// Whether the cut's checkpoint has failed.
    cut_failed: bool,
    /// Whether the job is to be suspended as soon as the next graph is in effect.
    suspend: bool,
}

impl Rescaling {
    pub(in crate::scheduler) fn new(plan: Plan) -> Self {
        let phase = Phase::Planning { requested: false };
        let (transfer, prepare_sent, published, cut_failed, suspend) = Default::default();
        Self { plan, phase, transfer, prepare_sent, published, cut_failed, suspend }
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        if let Some(failed) = failure::of_event(ctx, now, event) {
            return failure::handle(ctx, now, failed);
        }
        match event {
            Event::ExecutorLost { executor, .. } if !self.phase.has_cut() && self.plan.needs(*executor) => {
                return self.lose_participant(ctx, now, format!("task executor {executor} was lost"));
            }
            Event::ExecutorAdded { .. } | Event::ExecutorLost { .. } | Event::ExecutorDraining { .. } => {
                return self.on_change(ctx, now, Change::Cluster);
            }
            Event::UpdateRequirements { .. } | Event::LimitParallelism { .. } => {
                return self.on_change(ctx, now, Change::Requirements);
            }
            Event::ExecutorReported { executor, report } => {
                return self.on_executor_report(ctx, now, *executor, report);
            }
            Event::SubtaskReported(report) => self.on_subtask_report(ctx, now, report),
            Event::Cancel => return Next::Cancel,
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
                if (*attempt, *version) == (self.plan.attempt, self.plan.version) =>
            {
                if let Phase::Preparing { reading } | Phase::CatchingUp { reading } = &mut self.phase
                    && reading.checkpoint == *checkpoint
                {
                    reading.by.remove(&executor);
                }
            }
            ExecutorReport::RescaleProgress { attempt, version, bytes }
                if (*attempt, *version) == (self.plan.attempt, self.plan.version)
                    && self.transfer.on_progress(executor, *bytes) =>
            {
                let give_up_at = self.give_up_at(ctx, now);
                if let Phase::Preparing { reading } | Phase::CatchingUp { reading } = &mut self.phase {
                    reading.give_up_at = give_up_at;
                }
                self.note_transfer(ctx);
            }
            ExecutorReport::RescaleRefused { attempt, version, reason }
                if (*attempt, *version) == (self.plan.attempt, self.plan.version) =>
            {
                let reason = format!("task executor {executor} refused: {reason}");
                // The report was sent before the cut arrived. The cut is under way although this executor is not
                // prepared.
                return if self.phase.has_cut() {
                    fail(ctx, now, reason)
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
        if *attempt != self.plan.attempt {
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
            match self.progress(ctx, now) {
                Progress::Wait => return Next::Stay,
                Progress::Again => {}
                Progress::Leave(next) => return next,
            }
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        let overdue = ctx.drain_by().filter(|_| !self.phase.has_cut());
        self.phase.deadline().into_iter().chain(overdue).min()
    }

    /// The cluster or the requirements have changed. Before the cut, the latest ones determine the plan.
    fn on_change(&mut self, ctx: &mut Context, now: Instant, change: Change) -> Next {
        if self.phase.has_cut() {
            return Next::Stay;
        }
        if self.plan.is_current(ctx) {
            if change == Change::Requirements {
                // New requirements begin a new record.
                self.plan.note(ctx, now);
                note_phase(ctx, now, self.phase.shown());
                self.note_transfer(ctx);
            }
            return Next::Stay;
        }
        self.abandon(ctx, now);
        self.plan_anew(ctx, now)
    }

    /// The executor of an added subtask is lost before the cut. Nothing has changed yet, and no further plan has
    /// its slots, so this does not count against the next plan, which neither waits nor restarts the job.
    fn lose_participant(&mut self, ctx: &mut Context, now: Instant, reason: String) -> Next {
        self.abandon(ctx, now);
        ctx.timeline.give_up(now, reason);
        self.plan_anew(ctx, now)
    }

    fn plan_anew(&mut self, ctx: &mut Context, now: Instant) -> Next {
        // Executing says why a wanted rescale is not live.
        let anew = ctx.rescale_is_wanted().then(|| Plan::begin(ctx, now));
        match anew {
            Some(Ok(plan)) => {
                *self = Self::new(plan);
                Next::Stay
            }
            Some(Err(_)) | None => Next::Execute(Execution::Resumed),
        }
    }

    /// Serves requests of users, as far as that is possible now.
    fn serve(&mut self, ctx: &mut Context, now: Instant) -> Next {
        if self.suspend && !self.phase.has_cut() {
            self.abandon(ctx, now);
            return match requests::suspend(ctx, now) {
                Next::Stay => Next::Stop(Stop::SuspendAtOnce),
                next => next,
            };
        }
        for _ in 0..ctx.deferred.len() {
            let Some(event) = ctx.deferred.pop_front() else { break };
            let stops = !matches!(
                event,
                Event::TriggerSavepoint { cancel_job: false, .. } | Event::TriggerCheckpoint { .. }
            );
            if stops && !self.phase.has_cut() {
                ctx.deferred.push_front(event);
                self.abandon(ctx, now);
                return Next::Execute(Execution::Resumed);
            }
            if stops || !self.phase.takes_checkpoints() {
                ctx.deferred.push_back(event);
                continue;
            }
            requests::serve(ctx, now, &event);
        }
        Next::Stay
    }

    /// Abandons the rescale before the cut. The job continues with the current graph, and the rescale is tried
    /// again after a delay.
    fn give_up(&mut self, ctx: &mut Context, now: Instant, why: GiveUp, reason: String) -> Next {
        self.abandon(ctx, now);
        ctx.timeline.give_up(now, reason.clone());
        let Some(attempt) = &mut ctx.attempt else { return Next::Stay };
        let tries = attempt.give_up(self.plan.target(), why, reason);
        let delay = RETRY_DELAY.saturating_mul(1 << tries.min(6)).min(MAX_RETRY_DELAY);
        // If a drain becomes overdue before that, the rescale does not wait longer but restarts the job.
        let at = ctx.drain_by().map_or(now + delay, |by| by.clamp(now, now + delay));
        Next::Execute(Execution::RetryAt(at))
    }

    /// Commands executors to drop what they have prepared.
    fn abandon(&mut self, ctx: &mut Context, now: Instant) {
        assert!(!self.phase.has_cut(), "a rescale that has cut is not given up");
        if std::mem::take(&mut self.prepare_sent) {
            let (attempt, version) = (self.plan.attempt, self.plan.version);
            let command = Command::Rescale { version, command: RescaleCommand::Abandon };
            ctx.outputs.push(Action::Command(AttemptCommand { attempt, command }));
            if let Some(attempt) = &mut ctx.attempt {
                attempt.remove_leaving();
            }
        }
        let effects = ctx.coordinator.release(now);
        ctx.apply(effects);
    }

    /// Carries out the next step of the phase, if it is due.
    fn progress(&mut self, ctx: &mut Context, now: Instant) -> Progress {
        if !self.phase.has_cut() && (ctx.all_at_least(SubtaskStatus::Ended) || ctx.drain_is_overdue(now)) {
            self.abandon(ctx, now);
            return Progress::Leave(Next::Execute(Execution::Resumed));
        }
        match &self.phase {
            Phase::Planning { requested } => match (rescale_plan::base(ctx).is_some(), requested) {
                (true, _) => return self.prepare(ctx, now),
                (false, false) => {
                    self.phase = Phase::Planning { requested: true };
                    self.take_checkpoint(ctx, now);
                }
                (false, true) => {}
            },
            Phase::Preparing { reading } if reading.by.is_empty() => {
                let latest = rescale_plan::base(ctx).map(|base| base.checkpoint);
                if latest.is_some_and(|latest| self.transfer.begin_round(now, reading, latest)) {
                    ctx.coordinator.pin_latest();
                    return match self.read(ctx, now) {
                        Ok(reading) => {
                            self.phase = Phase::Preparing { reading };
                            Progress::Again
                        }
                        Err((why, reason)) => Progress::Leave(self.give_up(ctx, now, why, reason)),
                    };
                }
                ctx.coordinator.hold();
                note_phase(ctx, now, LivePhase::CatchUp);
                self.phase = Phase::Freshening { requested: false };
                return Progress::Again;
            }
            Phase::Freshening { requested: false } if ctx.coordinator.is_settled() => {
                self.phase = Phase::Freshening { requested: true };
                self.take_checkpoint(ctx, now);
            }
            Phase::CatchingUp { reading } if reading.by.is_empty() && !ctx.hands_over => {
                let cut = cut::cut(ctx.demand.job(), &self.plan, &ctx.coordinator);
                let effects = ctx.coordinator.request_cut(now, cut, &self.plan.new);
                ctx.apply(effects);
                self.phase = Phase::Triggering { give_up_at: self.give_up_at(ctx, now) };
                return Progress::Again;
            }
            Phase::Triggering { .. } if ctx.coordinator.cut().is_some() => {
                self.begin_cut(ctx, now);
                return Progress::Again;
            }
            Phase::Preparing { reading: Reading { give_up_at, .. } }
            | Phase::CatchingUp { reading: Reading { give_up_at, .. } }
            | Phase::Triggering { give_up_at }
                if *give_up_at <= now =>
            {
                return Progress::Leave(self.give_up(
                    ctx,
                    now,
                    GiveUp::Unprepared,
                    format!(
                        "it took too long to prepare: no state was read for {:?}",
                        ctx.settings.checkpoints.timeout
                    ),
                ));
            }
            Phase::Cutting { .. } => return self.progress_cut(ctx, now),
            Phase::Leaving { .. } => return self.progress_leave(ctx, now),
            _ => {}
        }
        Progress::Wait
    }

    fn give_up_at(&self, ctx: &Context, now: Instant) -> Instant {
        now + ctx.settings.checkpoints.timeout
    }

    fn take_checkpoint(&self, ctx: &mut Context, now: Instant) {
        let effects = ctx.coordinator.request(now, Request::of(Purpose::LiveRescale));
        ctx.apply(effects);
    }

    /// Commands executors to build added tasks and channels, and to prefetch the state of incoming key groups
    /// from the latest checkpoint.
    fn prepare(&mut self, ctx: &mut Context, now: Instant) -> Progress {
        let Plan { version, old, new, .. } = &self.plan;
        let base = rescale_plan::base(ctx).expect("the caller has looked");
        let checkpoint = base.checkpoint;
        let restore = match restore::gained(ctx.demand.job(), &base.manifest, old, new) {
            Ok(restore) => restore,
            Err(error) => {
                return Progress::Leave(self.give_up(ctx, now, GiveUp::Unprepared, error.to_string()));
            }
        };
        ctx.coordinator.pin_latest();
        self.transfer.request(&restore);
        let by = self.plan.executors();
        if let Some(attempt) = &mut ctx.attempt {
            attempt.add_holders(&by);
            attempt.note_task_managers(|holder| ctx.cluster.task_manager(holder));
        }
        let (attempt, version) = (self.plan.attempt, *version);
        let (former, graph) = (old.clone(), new.clone());
        let preparation = Preparation { attempt, version, former, graph, checkpoint, restore };
        ctx.outputs.push(Action::PrepareRescale(Box::new(preparation)));
        self.prepare_sent = true;
        note_phase(ctx, now, LivePhase::Prepare);
        self.note_transfer(ctx);
        let give_up_at = self.give_up_at(ctx, now);
        self.phase = Phase::Preparing { reading: Reading { checkpoint, by, begun: now, give_up_at } };
        Progress::Again
    }

    /// Commands executors to prefetch the increments of the catch-up checkpoint.
    fn catch_up(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self.read(ctx, now) {
            Ok(reading) => self.phase = Phase::CatchingUp { reading },
            Err((why, reason)) => return self.give_up(ctx, now, why, reason),
        }
        Next::Stay
    }

    /// Commands executors to prefetch what has changed up to the latest checkpoint.
    fn read(&mut self, ctx: &mut Context, now: Instant) -> Result<Reading, (GiveUp, String)> {
        let latest = rescale_plan::base(ctx);
        let latest = latest.ok_or((GiveUp::NoCheckpoint, "the fresh checkpoint is not there".to_owned()))?;
        let checkpoint = latest.checkpoint;
        let restore = restore::gained(ctx.demand.job(), &latest.manifest, &self.plan.old, &self.plan.new)
            .map_err(|error| (GiveUp::Unprepared, error.to_string()))?;
        self.transfer.request(&restore);
        self.note_transfer(ctx);
        let (attempt, version) = (self.plan.attempt, self.plan.version);
        let command = Command::Rescale { version, command: RescaleCommand::CatchUp { checkpoint, restore } };
        ctx.outputs.push(Action::Command(AttemptCommand { attempt, command }));
        let (by, give_up_at) = (self.plan.executors(), self.give_up_at(ctx, now));
        Ok(Reading { checkpoint, by, begun: now, give_up_at })
    }

    fn note_transfer(&self, ctx: &mut Context) {
        if let Some(live) = ctx.timeline.live() {
            live.transferred = self.transfer.transferred();
        }
    }

    /// The cut was triggered, so added subtasks belong to the attempt.
    fn begin_cut(&mut self, ctx: &mut Context, now: Instant) {
        let cutting = Cutting::begin(ctx.demand.job(), &self.plan, &ctx.coordinator);
        if let Some(attempt) = &mut ctx.attempt {
            attempt.join(now, &self.plan.new);
        }
        note_phase(ctx, now, LivePhase::Cut);
        self.phase = Phase::Cutting { cutting, fail_at: self.give_up_at(ctx, now) };
    }

    fn progress_cut(&mut self, ctx: &mut Context, now: Instant) -> Progress {
        let Phase::Cutting { cutting, fail_at } = &mut self.phase else { return Progress::Wait };
        let fail_at = *fail_at;
        for gathered in cutting.take_gathered() {
            let deployed = ctx.attempt.as_ref();
            let runs = |subtask| {
                let record = deployed.and_then(|deployed| deployed.subtasks().get(&subtask));
                record.is_some_and(|record| record.status < SubtaskStatus::Ended)
            };
            let actions = match gathered.source {
                true => gathered.move_splits(self.plan.attempt, runs).map(|action| vec![action]),
                false => gathered.adopt(self.plan.attempt, &self.plan, runs),
            };
            match actions {
                Ok(actions) => ctx.outputs.extend(actions),
                Err(reason) => return Progress::Leave(fail(ctx, now, reason)),
            }
        }
        if cutting.is_done() {
            let effects = ctx.coordinator.in_effect(now, &self.plan.new);
            ctx.apply(effects);
            ctx.lineage.take_tables(&self.plan.new);
            if let Some(attempt) = &mut ctx.attempt {
                attempt.take_graph(self.plan.new.clone());
            }
            note_phase(ctx, now, LivePhase::Commit);
            self.phase = Phase::Leaving { publish_at: None };
            return Progress::Again;
        }
        if fail_at <= now {
            let timeout = ctx.settings.checkpoints.timeout;
            let reason = format!("the cut of a rescale was not in effect after {timeout:?}");
            return Progress::Leave(fail(ctx, now, reason));
        }
        Progress::Wait
    }

    fn progress_leave(&mut self, ctx: &mut Context, now: Instant) -> Progress {
        let Phase::Leaving { publish_at } = &mut self.phase else { return Progress::Wait };
        if self.suspend {
            return match requests::suspend(ctx, now) {
                Next::Stay => Progress::Leave(Next::Stop(Stop::SuspendAtOnce)),
                next => Progress::Leave(next),
            };
        }
        if std::mem::take(&mut self.cut_failed) {
            *publish_at = Some(now);
        }
        if publish_at.is_some_and(|at| at <= now) {
            *publish_at = None;
            if !self.published {
                self.take_checkpoint(ctx, now);
                return Progress::Again;
            }
        }
        let stays = self.plan.new_subtasks();
        let Some(attempt) = &mut ctx.attempt else { return Progress::Wait };
        let mut leaving = attempt.subtasks().iter().filter(|(id, _)| !stays.contains(id));
        if !self.published || leaving.any(|(_, record)| record.status != SubtaskStatus::Finished) {
            return Progress::Wait;
        }
        attempt.end_rescale();
        let (attempt, version) = (self.plan.attempt, self.plan.version);
        let command = Command::Rescale { version, command: RescaleCommand::Commit };
        ctx.outputs.push(Action::Command(AttemptCommand { attempt, command }));
        ctx.lineage.count_rescale();
        ctx.timeline.end(now, TerminatedReason::Succeeded);
        Progress::Leave(Next::Execute(Execution::Rescaled))
    }
}

fn note_phase(ctx: &mut Context, now: Instant, phase: LivePhase) {
    if let Some(live) = ctx.timeline.live() {
        live.enter(now, phase);
    }
}

/// Fails the attempt, because a rescale that has cut cannot be abandoned.
fn fail(ctx: &mut Context, now: Instant, reason: String) -> Next {
    let failure = Failure { fault: Fault::Engine, operator: String::new(), message: reason };
    let failed = failure::of_job(ctx, now, &failure);
    failure::handle(ctx, now, failed)
}
