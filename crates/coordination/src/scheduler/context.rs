//! What outlives the states of a scheduler: the job, the cluster, the attempt, the checkpoints, the records.
//!
//! The states decide; what they do, they do through the methods here, which collect the actions.

use super::attempt::{DeployedAttempt, SubtaskStatus};
use super::backoff::SlotBackoff;
use super::cluster::Executor;
use super::fit;
use super::settings::{Identity, Settings};
use crate::action::Action;
use crate::checkpoint::fallback::AllowReplay;
use crate::checkpoint::{self, Coordinator, Effect, FailureCause, Purpose, Recovered, Request};
use crate::event::{Event, ParallelismBounds, RequestId};
use crate::exceptions::{self, Exception};
use crate::requirements;
use crate::rescale::{self, Timeline, TriggerCause};
use crate::restart::Restarts;
use crate::slots;
use reflow_graph::JobGraph;
use reflow_protocol::control::{AfterBarrier, Failure};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_types::{
    AttemptNumber, ExecutorId, GraphVersion, Instant, MaxParallelism, OwnershipTable, SubtaskId, VertexId,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What became of a checkpoint, for the states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completed(Purpose),
    Failed { purpose: Purpose, cause: FailureCause, reason: String },
    TooManyFailures { reason: String },
}

pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) job: Arc<JobGraph>,
    pub(super) max_parallelism: Vec<MaxParallelism>,
    pub(super) bounds: Vec<ParallelismBounds>,
    /// Those whose slots count.
    pub(super) executors: BTreeMap<ExecutorId, Executor>,
    pub(super) backoff: SlotBackoff,
    pub(super) coordinator: Coordinator,
    pub(super) outcomes: VecDeque<Outcome>,
    pub(super) attempt: Option<DeployedAttempt>,
    pub(super) last_attempt: AttemptNumber,
    pub(super) next_subtask: SubtaskId,
    pub(super) tables: Vec<Option<OwnershipTable>>,
    pub(super) restarts: Restarts,
    pub(super) restart_count: u64,
    pub(super) rescale_count: u64,
    pub(super) timeline: Timeline,
    pub(super) exceptions: exceptions::History,
    pub(super) warnings: Vec<String>,
    /// Why the job does not go on from what was found of it: it cannot be read, or the user is to be asked first.
    pub(super) not_restored: Option<String>,
    /// Requests that wait for the job to run again.
    pub(super) deferred: VecDeque<Event>,
    pub(super) actions: Vec<Action>,
}

impl Context {
    /// A scheduler's context before anything has happened.
    pub(super) fn new(
        settings: Settings,
        job: Arc<JobGraph>,
        identity: Identity,
        mut recovered: Option<Recovered>,
        now: Instant,
    ) -> Self {
        if let Some(recovered) = &mut recovered {
            let committing: Vec<&str> = job.committing_sinks().collect();
            recovered.decide_fallback(&committing, settings.allow_replay != AllowReplay::No);
        }
        let manifest = recovered.as_ref().and_then(Recovered::latest).map(|latest| &latest.manifest);
        let max_parallelism = fit::max_parallelism(&job, &settings, manifest);
        let default_bounds =
            requirements::defaults(&job, &max_parallelism, settings.reactive, settings.default_parallelism);
        let id_base = identity.job.0 ^ (u128::from(identity.epoch.0) << 64);
        let checkpoint_identity = checkpoint::Identity {
            job: identity.job,
            name: job.name.clone(),
            epoch: identity.epoch,
            build: identity.build.clone(),
        };
        Self {
            restarts: Restarts::new(
                settings.restart,
                settings.restart_delay_configured,
                settings.restart_seed,
            ),
            timeline: Timeline::new(settings.rescale_history_size, id_base),
            exceptions: exceptions::History::new(settings.exception_history_size),
            warnings: fit::warnings(&job, &max_parallelism, &settings, recovered.as_ref()),
            tables: fit::tables(&job, manifest),
            // Subtasks that were deployed after the last checkpoint stand in no manifest: each leadership has a
            // range of its own.
            next_subtask: recovered
                .as_ref()
                .map_or(SubtaskId(0), |recovered| recovered.next_subtask)
                .max(SubtaskId(identity.epoch.0 << 32)),
            bounds: default_bounds,
            max_parallelism,
            executors: BTreeMap::new(),
            backoff: SlotBackoff::default(),
            outcomes: VecDeque::new(),
            not_restored: recovered.as_ref().and_then(fit::not_restored),
            attempt: None,
            last_attempt: AttemptNumber(0),
            restart_count: 0,
            rescale_count: 0,
            deferred: VecDeque::new(),
            actions: Vec::new(),
            coordinator: Coordinator::new(settings.checkpoints.clone(), checkpoint_identity, recovered, now),
            settings,
            identity,
            job,
        }
    }

    /// Takes note of what an event says about the cluster and the attempt, whatever the state.
    pub(super) fn observe(&mut self, now: Instant, event: &Event) {
        match event {
            Event::ExecutorAdded { executor, task_manager, slots } => {
                let (task_manager, slots) = (*task_manager, *slots);
                self.executors.insert(*executor, Executor { task_manager, slots, drain_by: None });
            }
            Event::ExecutorDraining { executor } => {
                if let Some(executor) = self.executors.get_mut(executor) {
                    executor.drain_by.get_or_insert(now + self.settings.drain_timeout);
                }
            }
            Event::ExecutorLost { executor, .. } => {
                self.executors.remove(executor);
            }
            Event::ExecutorReported { executor, report: ExecutorReport::AttemptCanceled { attempt } } => {
                if let Some(current) = self.attempt_named(*attempt) {
                    current.holders.remove(executor);
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

    /// Hands an event about a checkpoint to the coordinator, and the time.
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
        self.apply(effects);
        if self.coordinator.next_wakeup().is_some_and(|due| due <= now) {
            let effects = self.coordinator.on_tick(now);
            self.apply(effects);
        }
    }

    /// New requirements, checked.
    pub(super) fn update_bounds(&mut self, bounds: &BTreeMap<VertexId, ParallelismBounds>) {
        for (vertex, own) in self.job.vertices.iter().zip(&mut self.bounds) {
            if let Some(new) = bounds.get(&vertex.id) {
                *own = *new;
            }
        }
    }

    /// The current attempt, if that is its name.
    pub(super) fn attempt_named(&mut self, attempt: Attempt) -> Option<&mut DeployedAttempt> {
        self.attempt.as_mut().filter(|current| current.attempt == attempt)
    }

    /// An executor is gone: the attempt has nothing on it any more. Returns whether it had work left.
    pub(super) fn lose_holder(&mut self, now: Instant, executor: ExecutorId) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let needed = attempt.holders.remove(&executor) && attempt.needs(executor);
        attempt.advance_all(now, Some(executor), SubtaskStatus::Failed);
        needed
    }

    /// Whether checkpoints are taken regularly.
    pub(super) fn checkpointing(&self) -> bool {
        self.settings.checkpoints.interval.is_some()
    }

    /// Asks the coordinator for a checkpoint. Returns whether one will be tried; if not, the request is answered.
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
        self.apply(effects);
        !refused
    }

    /// Hands actions on and keeps outcomes for the state.
    pub(super) fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Act(action) => self.actions.push(action),
                Effect::Completed { purpose, .. } => self.outcomes.push_back(Outcome::Completed(purpose)),
                Effect::Failed { purpose, cause, reason, .. } => {
                    self.outcomes.push_back(Outcome::Failed { purpose, cause, reason });
                }
                Effect::TooManyFailures { reason } => {
                    self.outcomes.push_back(Outcome::TooManyFailures { reason });
                }
            }
        }
    }

    /// What a rescale record starts from.
    pub(super) fn rescale_start(&self) -> rescale::Start {
        let before = self.attempt.as_ref().map(DeployedAttempt::parallelism);
        let of_vertex = |index: usize| before.as_ref().map(|parallelism| parallelism[index]);
        let vertices = self.job.vertices.iter().zip(&self.bounds).enumerate();
        let vertices = vertices.map(|(index, (vertex, bounds))| rescale::VertexChange {
            vertex: vertex.id,
            name: vertex.name.clone(),
            slot_sharing_group: vertex.slot_sharing_group.clone(),
            desired: bounds.upper,
            sufficient: bounds.lower,
            before: of_vertex(index),
            after: None,
        });
        let groups = slots::sharing_groups(&self.job, &self.bounds);
        let slots = groups.iter().map(|group| rescale::SlotChange {
            slot_sharing_group: group.name.to_owned(),
            desired: group.upper,
            sufficient: group.lower,
            before: group.vertices.iter().filter_map(|v| of_vertex(usize::from(v.0))).max(),
            after: None,
        });
        rescale::Start { vertices: vertices.collect(), slots: slots.collect() }
    }

    /// Begins a rescale record, or merges into the one under way.
    pub(super) fn begin_rescale_record(&mut self, now: Instant, cause: TriggerCause) {
        let start = self.rescale_start();
        self.timeline.begin(now, cause, start);
    }

    /// A failure as the history keeps it.
    pub(super) fn exception(&self, now: Instant, subtask: Option<SubtaskId>, failure: &Failure) -> Exception {
        let record = subtask.and_then(|id| self.attempt.as_ref()?.subtasks.get(&id));
        let executor = record.map(|record| record.slot.executor);
        Exception {
            at: now,
            fault: Some(failure.fault),
            operator: failure.operator.clone(),
            message: failure.message.clone(),
            subtask: record.map(|record| (self.job.vertex(record.vertex).id, record.index)),
            executor: executor.and_then(|id| Some((id, *self.attempt.as_ref()?.task_managers.get(&id)?))),
        }
    }

    /// All subtasks run: what the start was allowed to do it has done, or need not do.
    pub(super) fn restored(&mut self) {
        if self.settings.allow_replay == AllowReplay::AtStart {
            self.settings.allow_replay = AllowReplay::No;
        }
    }

    /// Answers a request that cannot be served.
    pub(super) fn refuse(&mut self, event: &Event, why: &str) {
        let request = match event {
            Event::TriggerSavepoint { request, .. }
            | Event::TriggerCheckpoint { request }
            | Event::StopWithSavepoint { request, .. } => *request,
            _ => return,
        };
        self.actions.push(Action::Answer { request, result: Err(why.to_owned()) });
    }

    /// Answers all requests that waited for the job to run again.
    pub(super) fn refuse_deferred(&mut self, why: &str) {
        for event in std::mem::take(&mut self.deferred) {
            self.refuse(&event, why);
        }
    }

    /// Whether some executor may still run some of the attempt.
    pub(super) fn is_held(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| !attempt.holders.is_empty())
    }

    /// Whether the attempt has come to run. One whose graph was to change has, whatever new subtasks do.
    pub(super) fn has_run(&self) -> bool {
        let rescaled = self.attempt.as_ref().is_some_and(|attempt| attempt.version > GraphVersion(0));
        rescaled || self.all_at_least(SubtaskStatus::Running)
    }

    /// Whether every subtask of the attempt has come so far.
    pub(super) fn all_at_least(&self, status: SubtaskStatus) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.all_at_least(status))
    }
}
