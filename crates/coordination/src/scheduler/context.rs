//! The context of a scheduler: the data that all its states share, namely the job, the cluster, the attempt, the
//! checkpoints and the histories.
//!
//! States make the decisions. They act through the methods of this context and of its parts, which collect the
//! actions.

use super::attempt::{DeployedAttempt, SubtaskRecord, SubtaskStatus};
use super::cluster::Cluster;
use super::demand::Demand;
use super::failures::Failures;
use super::fit;
use super::lineage::Lineage;
use super::next::{Next, Restart};
use super::outputs::Outputs;
use super::settings::{Identity, Settings};
use super::view::Takeover;
use crate::action::Action;
use crate::adoption::{self, Reports};
use crate::checkpoint::fallback::AllowReplay;
use crate::checkpoint::{self, Coordinator, Effect, Purpose, Recovered, Request};
use crate::event::{Event, RequestId};
use crate::exceptions::Exception;
use crate::isolation::Isolation;
use crate::rescale::{Timeline, TriggerCause};
use crate::slots::Parallelism;
use crate::transition::{Cost, Resources};
use reflow_graph::{JobGraph, Operator, RegionIndex};
use reflow_protocol::adoption::AttemptReport;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Failure;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{ExecutorId, Instant, SubtaskId, TaskManagerId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) demand: Demand,
    pub(super) cluster: Cluster,
    pub(super) isolation: Isolation,
    pub(super) coordinator: Coordinator,
    pub(super) attempt: Option<DeployedAttempt>,
    /// Whether another leader is about to take the job over. No rescale then goes so far that the job would restart there.
    pub(super) hands_over: bool,
    pub(super) lineage: Lineage,
    pub(super) failures: Failures,
    pub(super) timeline: Timeline,
    pub(super) warnings: Vec<String>,
    /// Requests that wait for the job to run again.
    pub(super) deferred: VecDeque<Event>,
    /// What executors have reported of an attempt of a former leader, until that is adopted or ended.
    pub(super) reports: Reports,
    /// What became of that attempt.
    pub(super) takeover: Option<Takeover>,
    pub(super) outputs: Outputs,
}

impl Context {
    /// A scheduler's context before anything has happened.
    pub(super) fn new(
        settings: Settings,
        job: Arc<JobGraph>,
        identity: Identity,
        recovered: Option<Recovered>,
        now: Instant,
    ) -> Self {
        let manifest = recovered.as_ref().and_then(Recovered::latest).map(|latest| &latest.manifest);
        let max_parallelism = fit::max_parallelism(&job, &settings, manifest);
        let id_base = identity.job.0 ^ (u128::from(identity.epoch.0) << 64);
        let checkpoint_identity = checkpoint::Identity {
            job: identity.job,
            name: job.name.clone(),
            epoch: identity.epoch,
            build: identity.build.clone(),
        };
        // Subtasks that were deployed after the last checkpoint are in no manifest, so each leadership has its
        // own range of ids.
        let next_subtask = recovered.as_ref().map_or(SubtaskId(0), |recovered| recovered.next_subtask);
        let next_subtask = next_subtask.max(SubtaskId(identity.epoch.0 << 32));
        Self {
            lineage: Lineage::new(next_subtask, fit::tables(&job, manifest)),
            warnings: fit::warnings(&job, &max_parallelism, &settings, recovered.as_ref()),
            failures: Failures::new(&settings),
            timeline: Timeline::new(settings.rescale_history_size, id_base),
            demand: Demand::new(job, max_parallelism, &settings),
            cluster: Cluster::default(),
            isolation: Isolation::default(),
            attempt: None,
            hands_over: false,
            deferred: VecDeque::new(),
            reports: Reports::default(),
            takeover: None,
            outputs: Outputs::default(),
            coordinator: Coordinator::new(settings.checkpoints.clone(), checkpoint_identity, recovered, now),
            settings,
            identity,
        }
    }

    /// Updates the cluster and the attempt by an event, in every state.
    pub(super) fn observe(&mut self, now: Instant, event: &Event) {
        self.cluster.observe(now, event, self.settings.drain_timeout);
        match event {
            Event::AttemptReported { executor, report } => self.note_report(*executor, report),
            Event::ExecutorLost { executor, .. } => {
                self.reports.remove(*executor);
                self.isolation.on_lost(*executor);
            }
            Event::ExecutorReported { executor, report: ExecutorReport::AttemptCanceled { attempt } } => {
                if let Some(current) = self.attempt_named(*attempt) {
                    current.remove_holder(*executor);
                    current.advance_all(now, Some(*executor), SubtaskStatus::Canceled);
                }
            }
            Event::SubtaskReported(SubtaskReport { attempt, subtask, event }) => {
                let status = match event {
                    SubtaskEvent::Running => SubtaskStatus::Running,
                    SubtaskEvent::Ended => SubtaskStatus::Ended,
                    SubtaskEvent::Finished => SubtaskStatus::Finished,
                    _ => return,
                };
                if let Some(current) = self.attempt_named(*attempt) {
                    current.advance(now, *subtask, status);
                }
            }
            _ => {}
        }
    }

    /// Keeps the report of an attempt of a former leader. Once the job has an attempt, that one ends.
    fn note_report(&mut self, executor: ExecutorId, report: &AttemptReport) {
        let plausible = adoption::check_report(report);
        match &plausible {
            Ok(()) => self.coordinator.skip_ids(report.highest.unwrap_or_default()),
            Err(reason) => self.warnings.push(format!(
                "executor {executor} must drop attempt {}, because its report cannot be true: {reason}",
                report.attempt
            )),
        }
        let fits = plausible.is_ok() && report.graph.vertices.len() == self.demand.job().vertices.len();
        if self.attempt.is_none() && fits {
            self.reports.add(executor, report.clone());
        } else {
            let (attempt, executors) = (report.attempt, vec![executor]);
            self.outputs.push(Action::DropAttempt { attempt, executors });
        }
    }

    /// The adopted attempt cannot go on. Nothing has been decided in it, so the job restarts as if it had not been adopted.
    pub(super) fn refuse_adoption(&mut self, attempt: Attempt, reason: &str) -> Next {
        if self.attempt_named(attempt).is_none() {
            return Next::Stay;
        }
        self.takeover = Some(Takeover::NewAttempt { former: attempt, reason: reason.to_owned() });
        Next::Restart(Restart::NotAdopted)
    }

    /// Records executors that run out of memory or hear nothing of others. Returns whether the event must be handled.
    pub(super) fn admits(&mut self, now: Instant, event: &Event) -> bool {
        match event {
            Event::ExecutorReported { executor, report: ExecutorReport::MemoryExhausted } => {
                self.warnings.extend(self.cluster.on_memory_exhausted(now, *executor));
                return false;
            }
            Event::ExecutorReported { executor, report: ExecutorReport::PeerSilent { peer } } => {
                let there = |id| self.cluster.executors().contains_key(id);
                if there(executor) && there(peer) {
                    self.isolation.on_report(now, *executor, *peer);
                }
                return false;
            }
            _ => {}
        }
        self.cluster.admits(now, event)
    }

    /// Stops the executors that are cut off, once that is decided. The job goes on without them when they are lost.
    pub(super) fn stop_cut_off(&mut self, now: Instant) {
        for cut_off in self.isolation.decide(now) {
            let others: Vec<String> = cut_off.from.iter().map(ToString::to_string).collect();
            let reason = format!("it is cut off from executor {}", others.join(", "));
            self.warnings.extend(self.cluster.on_cut_off(now, &cut_off));
            self.outputs.push(Action::StopExecutor { executor: cut_off.executor, reason });
        }
    }

    /// Takes an executor whose slots have waited long enough, or without which the job cannot run.
    pub(super) fn take_waiting(&mut self, now: Instant) -> Option<Event> {
        let needed = self.slots_needed();
        self.cluster.take_waiting(now, needed)
    }

    /// Passes an event about a checkpoint, and the time, to the coordinator.
    pub(super) fn coordinate(&mut self, now: Instant, event: Event) {
        let effects = match event {
            Event::SubtaskReported(report) => self.coordinator.on_report(now, report),
            Event::ManifestStored { checkpoint, outcome } => {
                self.coordinator.on_manifest_stored(now, checkpoint, outcome)
            }
            Event::AbandonedStored { checkpoint, outcome } => {
                self.coordinator.on_abandoned_stored(now, checkpoint, outcome)
            }
            _ => Vec::new(),
        };
        self.outputs.apply(effects);
        if self.coordinator.next_wakeup().is_some_and(|due| due <= now) {
            let effects = self.coordinator.on_tick(now);
            self.outputs.apply(effects);
        }
    }

    /// The current attempt, if it has this name.
    pub(super) fn attempt_named(&mut self, attempt: Attempt) -> Option<&mut DeployedAttempt> {
        self.attempt.as_mut().filter(|current| current.attempt() == attempt)
    }

    /// Removes a lost executor from the attempt. Returns whether it had work left.
    pub(super) fn lose_holder(&mut self, now: Instant, executor: ExecutorId) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let needed = attempt.remove_holder(executor) && attempt.needs(executor);
        attempt.advance_all(now, Some(executor), SubtaskStatus::Failed);
        needed
    }

    /// Whether checkpoints are taken regularly.
    pub(super) fn checkpointing(&self) -> bool {
        self.settings.checkpoints.interval.is_some()
    }

    /// Requests a checkpoint from the coordinator. Returns whether one will be tried; if not, the request was
    /// answered.
    pub(super) fn request_checkpoint(
        &mut self,
        now: Instant,
        purpose: Purpose,
        then: AfterBarrier,
        request: Option<RequestId>,
        directory: Option<String>,
    ) -> bool {
        let wanted = Request { then, request, directory, ..Request::of(purpose) };
        let effects = self.coordinator.request(now, wanted);
        let refusal = |effect: &Effect| match effect {
            Effect::Act(Action::Answer { request: answered, result }) => {
                request == Some(*answered) && result.is_err()
            }
            _ => false,
        };
        let refused = effects.iter().any(refusal);
        self.outputs.apply(effects);
        !refused
    }

    /// Passes actions on and keeps outcomes for the state.
    pub(super) fn apply(&mut self, effects: Vec<Effect>) {
        self.outputs.apply(effects);
    }

    /// Begins a rescale record, or merges the cause into the one in progress.
    pub(super) fn begin_rescale_record(&mut self, now: Instant, cause: TriggerCause) {
        let before = self.attempt.as_ref().map(DeployedAttempt::parallelism);
        let start = self.demand.rescale_start(before.as_deref());
        self.timeline.begin(now, cause, start);
    }

    /// The entry of a failure in the history.
    pub(super) fn exception(&self, now: Instant, subtask: Option<SubtaskId>, failure: &Failure) -> Exception {
        let record = subtask.and_then(|id| self.attempt.as_ref()?.subtasks().get(&id));
        let executor = record.map(|record| record.slot.executor);
        Exception {
            at: now,
            fault: Some(failure.fault),
            operator: failure.operator.clone(),
            message: failure.message.clone(),
            subtask: record.map(|record| (self.demand.job().vertex(record.vertex).id, record.index)),
            executor: executor.and_then(|id| Some((id, self.attempt.as_ref()?.task_manager(id)?))),
        }
    }

    /// All subtasks run, so the permission to replay, which applies to the start, ends.
    pub(super) fn restored(&mut self) {
        if self.settings.allow_replay == AllowReplay::AtStart {
            self.settings.allow_replay = AllowReplay::No;
        }
    }

    /// Answers a request that cannot be served.
    pub(super) fn refuse(&mut self, event: &Event, why: &str) {
        self.outputs.refuse(event, why);
    }

    /// Answers all requests that waited for the job to run again.
    pub(super) fn refuse_deferred(&mut self, why: &str) {
        for event in std::mem::take(&mut self.deferred) {
            self.outputs.refuse(&event, why);
        }
    }

    /// Whether an executor may still run a part of the attempt.
    pub(super) fn is_held(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| !attempt.holders().is_empty())
    }

    /// Whether these regions of the attempt have run, or the whole attempt. An attempt with a planned live rescale has,
    /// whatever the status of added subtasks.
    pub(super) fn has_run(&self, regions: Option<&BTreeSet<RegionIndex>>) -> bool {
        let Some(attempt) = &self.attempt else { return false };
        let restarted = regions.is_some_and(|regions| !attempt.have_started(regions));
        !restarted && (attempt.has_changed() || attempt.all_at_least(SubtaskStatus::Running))
    }

    /// The regions that run on an executor; `None` if there is no attempt.
    pub(super) fn regions_on(&self, executor: ExecutorId) -> Option<BTreeSet<RegionIndex>> {
        let runs = |record: &&SubtaskRecord| {
            record.slot.executor == executor && record.status < SubtaskStatus::Finished
        };
        let records = self.attempt.as_ref()?.subtasks().values().filter(runs);
        Some(records.map(|record| self.demand.regions().region(record.vertex)).collect())
    }

    /// Lets regions take part in checkpoints again that run since their restart, while others are `restarting` or do not run
    /// yet.
    pub(super) fn note_running_regions(&mut self, now: Instant, restarting: Option<&BTreeSet<RegionIndex>>) {
        let mut running = self.coordinator.absent();
        running.retain(|region| restarting.is_none_or(|restarting| !restarting.contains(region)));
        let Some(attempt) = self.attempt.as_mut().filter(|_| !running.is_empty()) else { return };
        let starts = |record: &&SubtaskRecord| record.status < SubtaskStatus::Running;
        for record in attempt.subtasks().values().filter(starts) {
            running.remove(&self.demand.regions().region(record.vertex));
        }
        if !running.is_empty() {
            attempt.set_regions_started(&running);
            let effects = self.coordinator.regions_run(now, &running);
            self.outputs.apply(effects);
        }
    }

    /// The region of the operator with this uid.
    pub(super) fn region_of(&self, uid: &str) -> Option<RegionIndex> {
        let mut vertices = self.demand.job().numbered_vertices();
        let (index, _) = vertices.find(|(_, vertex)| vertex.operators.iter().any(|op| op.uid == uid))?;
        Some(self.demand.regions().region(index))
    }

    /// Whether every subtask of the attempt has reached this status.
    pub(super) fn all_at_least(&self, status: SubtaskStatus) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.all_at_least(status))
    }

    /// Whether the job can run without the slots of a TaskManager. True if it cannot run with them either.
    pub(super) fn can_spare(&self, task_manager: TaskManagerId) -> bool {
        let (needed, slots) = (self.slots_needed(), self.cluster.slots());
        slots < needed || slots - self.cluster.slots_of(task_manager) >= needed
    }

    /// The parallelism that the slots allow; `None` if they are too few.
    pub(super) fn plan(&self) -> Option<Parallelism> {
        let former = self.attempt.as_ref().and_then(|attempt| attempt.shared_out(self.demand.bounds()));
        self.demand.parallelism(self.cluster.slots(), former.as_deref())
    }

    /// Slots without which the job cannot run.
    pub(super) fn slots_needed(&self) -> u32 {
        self.demand.slots(self.cluster.slots()).0
    }

    /// The resources that a deployment would get now.
    pub(super) fn resources(&self) -> Resources {
        self.demand.resources(self.cluster.slots())
    }

    /// The resources that a rescale would get now: none if the parallelism would not change.
    pub(super) fn rescale_resources(&self) -> Resources {
        if !self.parallelism_would_change() {
            return Resources::default();
        }
        Resources { cost: self.rescale_cost(), ..self.resources() }
    }

    /// Whether a rescale would be live, as far as that is known before it is planned.
    fn rescale_cost(&self) -> Cost {
        let runs = self.attempt.as_ref().is_some_and(DeployedAttempt::runs);
        let job = self.demand.job();
        let lists = job.vertices.iter().flat_map(|vertex| &vertex.operators).any(Operator::declares_lists);
        if runs && self.settings.live_rescale && self.checkpointing() && !lists {
            Cost::Live
        } else {
            Cost::Restart
        }
    }

    /// Whether a rescale now would change anything.
    pub(super) fn rescale_is_wanted(&self) -> bool {
        self.drains() || self.rescale_resources().sufficient
    }

    fn parallelism_would_change(&self) -> bool {
        match (&self.attempt, self.plan()) {
            (Some(attempt), Some(plan)) => attempt.parallelism() != plan.vertices,
            _ => false,
        }
    }

    /// Whether the attempt has subtasks on an executor that is being drained.
    pub(super) fn drains(&self) -> bool {
        self.drain_by().is_some()
    }

    /// When the attempt is moved off a draining executor by a restart, unless it has moved before.
    pub(super) fn drain_by(&self) -> Option<Instant> {
        self.cluster.drain_by(self.attempt.as_ref()?.holders())
    }

    /// Whether that time has come.
    pub(super) fn drain_is_overdue(&self, now: Instant) -> bool {
        self.drain_by().is_some_and(|by| by <= now)
    }

    /// Releases executors that are being drained and run no part of the job any more.
    pub(super) fn release_drained(&mut self) {
        let drained = self
            .cluster
            .take_drained(self.attempt.as_ref().map(DeployedAttempt::holders), &self.reports.executors());
        self.outputs.extend(drained.into_iter().map(|executor| Action::Release { executor }));
    }
}
