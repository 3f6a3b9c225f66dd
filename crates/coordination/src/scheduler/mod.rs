//! The scheduler of one job: events in, actions out, time as a parameter.
//!
//! [`Scheduler`] is always in one of Flink's states or in Rescaling, each a module of `states/`. A state gets the shared
//! `Context` and returns a `Next` for each event. The `match` in `step.rs` makes the next state from it and is the table of
//! legal transitions, so states do not refer to each other. After each event `advance` is called until no state changes any
//! more: a state checks there whether its condition holds, so it cannot miss an event that came before it was entered. A
//! timer is a time at which `advance` finds something to do; it ends with its state.
//!
//! # Invariants
//! - Every transition is in the table.
//! - No subtask id is used twice; an attempt's number is above all before it.
//! - [`Action::End`] is the last action.

mod attempt;
mod backoff;
mod cancellation;
mod cluster;
mod context;
mod demand;
mod ending;
mod executor;
mod failure;
mod failures;
mod fit;
mod graph;
mod lineage;
mod next;
mod outputs;
mod region_restart;
mod requests;
mod rescale_plan;
mod settings;
mod state;
mod states;
mod step;
mod view;

pub use attempt::{DeployedAttempt, SubtaskRecord, SubtaskStatus};
pub use executor::Executor;
pub use reflow_view::JobStatus;
pub use settings::{Identity, Settings};
pub use state::StateName;
pub use view::{RegionRestart, StatusTimes, Takeover, VertexView, View};

use crate::action::Action;
use crate::checkpoint::Recovered;
use crate::event::{Event, ParallelismBounds};
use crate::requirements::{RequestedBounds, RequirementsError};
use crate::rescale::TriggerCause;
use bytes::Bytes;
use context::Context;
use next::Next;
use reflow_graph::JobGraph;
use reflow_types::{CheckpointId, Instant, JobId, TaskManagerId, VertexId};
use std::collections::BTreeMap;
use std::sync::Arc;
use step::State;

/// The scheduler of one job.
pub struct Scheduler {
    ctx: Context,
    state: State,
    times: StatusTimes,
}

impl Scheduler {
    /// A scheduler in state Created, which it leaves at its first event. `recovered` is the state from which the
    /// job resumes, or the savepoint from which it starts.
    pub fn new(
        settings: Settings,
        job: Arc<JobGraph>,
        identity: Identity,
        mut recovered: Option<Recovered>,
        now: Instant,
    ) -> Self {
        if let Some(recovered) = &mut recovered {
            let committing: Vec<&str> = job.committing_sinks().collect();
            recovered.decide_fallback(&committing, settings.allow_replay);
        }
        let not_restored = recovered.as_ref().and_then(fit::not_restored);
        let mut ctx = Context::new(settings, job, identity, recovered, now);
        ctx.timeline.enter_state(now, StateName::Created.as_str(), None);
        let state = State::begin(now, not_restored);
        Self { ctx, state, times: StatusTimes::new(now, JobStatus::Initializing) }
    }

    /// Handles an event. Returns the actions, in order.
    pub fn on_event(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if let State::Finished(_) = self.state {
            self.ctx.refuse(&event, "the job has ended");
            return self.ctx.outputs.take_actions();
        }
        if self.ctx.admits(now, &event) {
            self.handle(now, event);
        } else {
            self.handle(now, Event::Tick);
        }
        while let Some(added) = self.ctx.take_waiting(now) {
            self.handle(now, added);
        }
        self.ctx.stop_cut_off(now);
        self.ctx.release_drained();
        self.ctx.outputs.take_actions()
    }

    fn handle(&mut self, now: Instant, event: Event) {
        self.ctx.observe(now, &event);
        if let Event::UpdateRequirements { bounds } = &event {
            self.ctx.demand.update(bounds);
            self.ctx.begin_rescale_record(now, TriggerCause::UpdateRequirement);
        }
        if let Event::LimitParallelism { parallelism } = &event {
            self.ctx.demand.limit(parallelism);
            self.ctx.begin_rescale_record(now, TriggerCause::UpdateRequirement);
        }
        let next = match &event {
            Event::AdoptionRefused { attempt, reason } if self.state.has_attempt() => {
                self.ctx.refuse_adoption(*attempt, reason)
            }
            _ => self.state.on_event(&mut self.ctx, now, &event),
        };
        self.follow(now, next);
        self.ctx.coordinate(now, event);
        self.settle(now);
    }

    /// The next time at which something is due, for an [`Event::Tick`].
    pub fn next_wakeup(&self) -> Option<Instant> {
        if let State::Finished(_) = self.state {
            return None;
        }
        let of_state = self.state.next_wakeup(&self.ctx);
        let (coordinator, cluster) = (self.ctx.coordinator.next_wakeup(), self.ctx.cluster.next_wakeup());
        let others = [coordinator, cluster, self.ctx.isolation.next_wakeup()];
        of_state.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Whether another leader is about to take the job over. Until it does, or this one leads on, no rescale begins, and one
    /// that is being prepared does not cut, because the job would restart under the next leader. An
    /// [`Event::Tick`] makes those go on that have waited.
    pub fn set_hands_over(&mut self, hands_over: bool) {
        self.ctx.hands_over = hands_over;
    }

    /// Sets the enumerators' states of a checkpoint, `(operator uid, state)`, which are taken while the
    /// JobManager carries out
    /// [`CheckpointCommand::Trigger`](reflow_protocol::command::CheckpointCommand::Trigger).
    pub fn set_enumerators(&mut self, checkpoint: CheckpointId, enumerators: Vec<(String, Bytes)>) {
        self.ctx.coordinator.set_enumerators(checkpoint, enumerators);
    }

    /// Checks requested requirements. The result may be sent as [`Event::UpdateRequirements`].
    pub fn check_requirements(
        &self,
        requested: &BTreeMap<VertexId, RequestedBounds>,
    ) -> Result<BTreeMap<VertexId, ParallelismBounds>, RequirementsError> {
        self.ctx.demand.validate(requested)
    }

    /// Sets checked requirements that were declared to an earlier leadership. Called before the first event, so
    /// that they cause no rescale.
    pub fn adopt_requirements(&mut self, bounds: &BTreeMap<VertexId, ParallelismBounds>) {
        self.ctx.demand.update(bounds);
    }

    /// The newest complete checkpoint that belongs to the job. A savepoint that it started from does not.
    pub fn newest_checkpoint(&self) -> Option<CheckpointId> {
        let newest = self.ctx.coordinator.latest().filter(|latest| latest.owned);
        newest.map(|newest| newest.checkpoint)
    }

    /// Whether the job needs this savepoint of a job, in a directory of this name.
    pub fn needs_savepoint(&self, savepoint: (JobId, CheckpointId), name: &str) -> bool {
        self.ctx.coordinator.needs_savepoint(savepoint, name)
    }

    /// The id under which the next decision about the job is made.
    pub fn next_decision(&self) -> CheckpointId {
        self.ctx.coordinator.next_id()
    }

    /// Whether the job can run without the slots of a TaskManager.
    pub fn can_spare(&self, task_manager: TaskManagerId) -> bool {
        self.ctx.can_spare(task_manager)
    }

    /// The data for users.
    pub fn view(&self) -> View<'_> {
        View::new(&self.ctx, self.state.name(), self.end(), &self.times)
    }

    fn end(&self) -> Option<(crate::action::EndState, Option<&str>)> {
        match &self.state {
            State::Finished(finished) => Some(finished.end()),
            _ => None,
        }
    }

    /// Calls `advance` until no state changes any more.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(outcome) = self.ctx.outputs.next_outcome() {
                let next = self.state.on_outcome(&mut self.ctx, now, &outcome);
                self.follow(now, next);
                continue;
            }
            match self.state.advance(&mut self.ctx, now) {
                Next::Stay if !self.ctx.outputs.has_outcomes() => break,
                next => self.follow(now, next),
            }
        }
    }

    fn follow(&mut self, now: Instant, next: Next) {
        if let Next::Stay = next {
            return;
        }
        let error = next.error().map(str::to_owned);
        // The placeholder is never observed: the next state is made from the one that is taken out here.
        let from = std::mem::replace(&mut self.state, State::begin(now, None));
        self.state = step::step(from, next, &mut self.ctx, now);
        let name = self.state.name();
        self.ctx.timeline.enter_state(now, name.flink_name(), error);
        self.times.enter(now, name.job_status(self.end().map(|(end, _)| end)));
    }
}

#[cfg(test)]
mod tests;
