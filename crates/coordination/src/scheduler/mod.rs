//! The scheduler of one job: events in, actions out, time as a parameter.
//!
//! [`Scheduler`] is always in one of Flink's states or in Rescaling, one module of `states/` each; [`StateName::successors`] is the table of legal
//! transitions. A state sees the `Context` that outlives it and answers each event with the
//! state that follows. After each event the states are given the chance to go on by themselves until none does:
//! so a state says in `advance` what it waits for, and no event is awaited that has come already. A timer is a
//! moment at which `advance` finds something due; it is gone with its state.
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
mod ending;
mod failure;
mod fit;
mod settings;
mod state;
mod states;
mod view;

pub use attempt::{DeployedAttempt, SubtaskRecord, SubtaskStatus};
pub use cluster::Executor;
pub use reflow_view::JobStatus;
pub use settings::{Identity, Settings};
pub use state::StateName;
pub use view::{StatusTimes, VertexView, View};

use crate::action::Action;
use crate::checkpoint::Recovered;
use crate::event::{Event, ParallelismBounds};
use crate::requirements::{self, RequestedBounds, RequirementsError};
use crate::rescale::TriggerCause;
use bytes::Bytes;
use context::{Context, Outcome};
use reflow_graph::JobGraph;
use reflow_types::{CheckpointId, Instant, TaskManagerId, VertexId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state that a scheduler is in.
enum State {
    Created(states::created::Created),
    WaitingForResources(states::waiting_for_resources::WaitingForResources),
    CreatingExecutionGraph(states::creating_execution_graph::CreatingExecutionGraph),
    Executing(states::executing::Executing),
    Rescaling(Box<states::rescaling::Rescaling>),
    Restarting(states::restarting::Restarting),
    Canceling(states::canceling::Canceling),
    Failing(states::failing::Failing),
    StopWithSavepoint(states::stop_with_savepoint::StopWithSavepoint),
    Finished(states::finished::Finished),
}

impl State {
    fn name(&self) -> StateName {
        match self {
            State::Created(_) => StateName::Created,
            State::WaitingForResources(_) => StateName::WaitingForResources,
            State::CreatingExecutionGraph(_) => StateName::CreatingExecutionGraph,
            State::Executing(_) => StateName::Executing,
            State::Rescaling(_) => StateName::Rescaling,
            State::Restarting(_) => StateName::Restarting,
            State::Canceling(_) => StateName::Canceling,
            State::Failing(_) => StateName::Failing,
            State::StopWithSavepoint(_) => StateName::StopWithSavepoint,
            State::Finished(_) => StateName::Finished,
        }
    }

    /// Reacts to an event.
    fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match self {
            State::Created(state) => state.on_event(ctx, now, event),
            State::WaitingForResources(state) => state.on_event(ctx, now, event),
            State::Executing(state) => state.on_event(ctx, now, event),
            State::Rescaling(state) => state.on_event(ctx, now, event),
            State::Restarting(state) => state.on_event(ctx, now, event),
            State::Canceling(state) => state.on_event(ctx, now, event),
            State::Failing(state) => state.on_event(ctx, now, event),
            State::StopWithSavepoint(state) => state.on_event(ctx, now, event),
            State::CreatingExecutionGraph(_) | State::Finished(_) => Next::Stay,
        }
    }

    /// Reacts to the end of a checkpoint. Only states in which an attempt runs do.
    fn on_outcome(&mut self, ctx: &mut Context, now: Instant, outcome: &Outcome) -> Next {
        match self {
            State::Executing(state) => state.on_outcome(ctx, now, outcome),
            State::Rescaling(state) => state.on_outcome(ctx, now, outcome),
            State::StopWithSavepoint(state) => state.on_outcome(ctx, now, outcome),
            _ => Next::Stay,
        }
    }

    /// Does what is due by itself.
    fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self {
            State::Created(state) => state.advance(ctx, now),
            State::WaitingForResources(state) => state.advance(ctx, now),
            State::CreatingExecutionGraph(state) => state.advance(ctx, now),
            State::Executing(state) => state.advance(ctx, now),
            State::Rescaling(state) => state.advance(ctx, now),
            State::Restarting(state) => state.advance(ctx, now),
            State::Canceling(state) => state.advance(ctx, now),
            State::Failing(state) => state.advance(ctx, now),
            State::StopWithSavepoint(state) => state.advance(ctx, now),
            State::Finished(_) => Next::Stay,
        }
    }

    fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        match self {
            State::Created(state) => Some(state.since),
            State::WaitingForResources(state) => state.next_wakeup(),
            State::CreatingExecutionGraph(_) | State::Finished(_) => None,
            State::Executing(state) => state.next_wakeup(),
            State::Rescaling(state) => state.next_wakeup(ctx),
            State::Restarting(state) => state.next_wakeup(ctx),
            State::Canceling(state) => state.next_wakeup(ctx),
            State::Failing(state) => state.next_wakeup(ctx),
            State::StopWithSavepoint(state) => state.next_wakeup(ctx),
        }
    }
}

/// What follows a state.
enum Next {
    /// The same.
    Stay,
    /// Another, and the error that led to it.
    To(Box<State>, Option<String>),
}

impl Next {
    fn to(state: State) -> Self {
        Next::To(Box::new(state), None)
    }

    fn because(self, error: String) -> Self {
        match self {
            Next::To(state, _) => Next::To(state, Some(error)),
            Next::Stay => Next::Stay,
        }
    }
}

/// The scheduler of one job.
pub struct Scheduler {
    ctx: Context,
    state: State,
    times: StatusTimes,
}

impl Scheduler {
    /// A scheduler in state Created; its first event, whichever it is, makes it go on. `recovered` is what was
    /// found of the job, or the savepoint that it starts from.
    pub fn new(
        settings: Settings,
        job: Arc<JobGraph>,
        identity: Identity,
        recovered: Option<Recovered>,
        now: Instant,
    ) -> Self {
        let mut ctx = Context::new(settings, job, identity, recovered, now);
        ctx.timeline.enter_state(now, StateName::Created.as_str(), None);
        let state = State::Created(states::created::Created { since: now });
        Self { ctx, state, times: StatusTimes::new(now, JobStatus::Initializing) }
    }

    /// Something happened. Returns what is to be done, in order.
    pub fn on_event(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if let State::Finished(_) = self.state {
            self.ctx.refuse(&event, "the job has ended");
            return std::mem::take(&mut self.ctx.actions);
        }
        if self.ctx.counts(now, &event) {
            self.handle(now, event);
        } else {
            self.handle(now, Event::Tick);
        }
        while let Some(added) = self.ctx.take_waiting(now) {
            self.handle(now, added);
        }
        self.ctx.release_drained();
        std::mem::take(&mut self.ctx.actions)
    }

    fn handle(&mut self, now: Instant, event: Event) {
        self.ctx.observe(now, &event);
        if let Event::UpdateRequirements { bounds } = &event {
            self.ctx.update_bounds(bounds);
            self.ctx.begin_rescale_record(now, TriggerCause::UpdateRequirement);
        }
        let next = self.state.on_event(&mut self.ctx, now, &event);
        self.follow(now, next);
        self.ctx.coordinate(now, event);
        self.settle(now);
    }

    /// The next moment at which something is due: an [`Event::Tick`] then does it.
    pub fn next_wakeup(&self) -> Option<Instant> {
        if let State::Finished(_) = self.state {
            return None;
        }
        let of_state = self.state.next_wakeup(&self.ctx);
        let others = [self.ctx.coordinator.next_wakeup(), self.ctx.backoff.next_wakeup()];
        of_state.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// The enumerators' states of a checkpoint, `(operator uid, state)`, taken while the driver carries out
    /// [`CheckpointCommand::Trigger`](reflow_protocol::command::CheckpointCommand::Trigger).
    pub fn set_enumerators(&mut self, checkpoint: CheckpointId, enumerators: Vec<(String, Bytes)>) {
        self.ctx.coordinator.set_enumerators(checkpoint, enumerators);
    }

    /// Checks requested requirements; what is returned may be sent as [`Event::UpdateRequirements`].
    pub fn check_requirements(
        &self,
        requested: &BTreeMap<VertexId, RequestedBounds>,
    ) -> Result<BTreeMap<VertexId, ParallelismBounds>, RequirementsError> {
        let Context { job, max_parallelism, settings, .. } = &self.ctx;
        requirements::validate(job, max_parallelism, settings.reactive, requested)
    }

    /// Requirements that were declared to an earlier leadership, checked: before the first event, so that they are no
    /// rescale.
    pub fn adopt_requirements(&mut self, bounds: &BTreeMap<VertexId, ParallelismBounds>) {
        self.ctx.update_bounds(bounds);
    }

    /// The id under which the next decision about the job is made.
    pub fn next_decision(&self) -> CheckpointId {
        self.ctx.coordinator.next_id()
    }

    /// Whether the job can do without the slots of a TaskManager.
    pub fn can_spare(&self, task_manager: TaskManagerId) -> bool {
        self.ctx.can_spare(task_manager)
    }

    /// Everything that may be shown.
    pub fn view(&self) -> View<'_> {
        View::new(&self.ctx, self.state.name(), self.end(), &self.times)
    }

    fn end(&self) -> Option<(crate::action::EndState, Option<&str>)> {
        match &self.state {
            State::Finished(finished) => Some((finished.end, finished.reason.as_deref())),
            _ => None,
        }
    }

    /// Lets the states go on until none does.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(outcome) = self.ctx.outcomes.pop_front() {
                let next = self.state.on_outcome(&mut self.ctx, now, &outcome);
                self.follow(now, next);
                continue;
            }
            match self.state.advance(&mut self.ctx, now) {
                Next::Stay if self.ctx.outcomes.is_empty() => break,
                next => self.follow(now, next),
            }
        }
    }

    fn follow(&mut self, now: Instant, next: Next) {
        let Next::To(state, error) = next else { return };
        let (from, to) = (self.state.name(), state.name());
        assert!(from.successors().contains(&to), "{from} is not followed by {to}");
        self.state = *state;
        self.ctx.timeline.enter_state(now, to.flink_name(), error);
        self.times.enter(now, to.job_status(self.end().map(|(end, _)| end)));
    }
}

#[cfg(test)]
mod tests;
