//! The state that a scheduler is in, and the table of legal transitions.

use super::context::Context;
use super::next::{Execution, Next, Restart, Stop};
use super::outputs::Outcome;
use super::state::StateName;
use super::states::canceling::Canceling;
use super::states::created::Created;
use super::states::creating_execution_graph::CreatingExecutionGraph;
use super::states::executing::Executing;
use super::states::failing::Failing;
use super::states::finished::Finished;
use super::states::reconciling::Reconciling;
use super::states::rescaling::Rescaling;
use super::states::restarting::Restarting;
use super::states::stop_with_savepoint::StopWithSavepoint;
use super::states::waiting_for_resources::WaitingForResources;
use crate::event::Event;
use reflow_types::Instant;

/// The state that a scheduler is in.
pub(super) enum State {
    Created(Created),
    WaitingForResources(WaitingForResources),
    Reconciling(Reconciling),
    CreatingExecutionGraph(CreatingExecutionGraph),
    Executing(Executing),
    Rescaling(Box<Rescaling>),
    Restarting(Restarting),
    Canceling(Canceling),
    Failing(Failing),
    StopWithSavepoint(StopWithSavepoint),
    Finished(Finished),
}

/// Makes the state that follows: the whole table of legal transitions.
///
/// # Panics
/// If `next` does not follow `from`.
pub(super) fn step(from: State, next: Next, ctx: &mut Context, now: Instant) -> State {
    use State as S;
    match (from, next) {
        (from, Next::Stay) => from,

        (
            S::Created(_) | S::Reconciling(_) | S::CreatingExecutionGraph(_) | S::Restarting(_),
            Next::WaitForResources,
        ) => S::WaitingForResources(WaitingForResources::new(ctx, now)),

        (S::WaitingForResources(_), Next::Reconcile) => S::Reconciling(Reconciling::new(now)),

        (S::WaitingForResources(_) | S::Restarting(_), Next::CreateExecutionGraph) => {
            S::CreatingExecutionGraph(CreatingExecutionGraph)
        }

        (S::CreatingExecutionGraph(_), Next::Execute(how @ Execution::Deployed))
        | (S::Reconciling(_), Next::Execute(how @ Execution::Adopted))
        | (
            S::Rescaling(_),
            Next::Execute(how @ (Execution::Resumed | Execution::Rescaled | Execution::RetryAt(_))),
        )
        | (S::StopWithSavepoint(_), Next::Execute(how @ Execution::Resumed)) => {
            S::Executing(Executing::new(ctx, now, how))
        }

        (S::Executing(_), Next::Rescale(plan)) => S::Rescaling(Box::new(Rescaling::new(*plan))),

        (S::Executing(_) | S::Rescaling(_) | S::StopWithSavepoint(_), Next::Restart(why))
        | (S::Reconciling(_), Next::Restart(why @ Restart::NotAdopted)) => {
            S::Restarting(Restarting::new(ctx, now, why))
        }

        // A cancellation that is under way continues.
        (S::Executing(_) | S::Rescaling(_), Next::Cancel) => S::Canceling(Canceling::new(ctx, now, None)),
        (S::Restarting(from), Next::Cancel) => {
            S::Canceling(Canceling::new(ctx, now, Some(from.into_cancellation())))
        }
        (S::Failing(from), Next::Cancel) => {
            S::Canceling(Canceling::new(ctx, now, Some(from.into_cancellation())))
        }
        (S::StopWithSavepoint(from), Next::Cancel) => {
            S::Canceling(Canceling::new(ctx, now, from.into_cancellation()))
        }

        (
            S::Executing(_) | S::Rescaling(_) | S::Restarting(_) | S::StopWithSavepoint(_),
            Next::Fail(reason),
        ) => S::Failing(Failing::new(ctx, now, reason)),

        (S::CreatingExecutionGraph(_), Next::Stop(how @ Stop::Deployed(_)))
        | (S::Executing(_) | S::Rescaling(_), Next::Stop(how @ (Stop::Snapshot(..) | Stop::SuspendAtOnce))) => {
            S::StopWithSavepoint(StopWithSavepoint::new(ctx, now, how))
        }

        (
            S::Created(_)
            | S::WaitingForResources(_)
            | S::Reconciling(_)
            | S::CreatingExecutionGraph(_)
            | S::Executing(_)
            | S::Restarting(_)
            | S::Canceling(_)
            | S::Failing(_)
            | S::StopWithSavepoint(_),
            Next::Finish(end, reason),
        ) => S::Finished(Finished::new(ctx, now, end, reason)),

        (from, next) => panic!("{} is not followed by {next:?}", from.name()),
    }
}

impl State {
    /// The first state. `not_restored` is the reason for which the job does not resume from its checkpoints.
    pub(super) fn begin(now: Instant, not_restored: Option<String>) -> Self {
        State::Created(Created::new(now, not_restored))
    }

    /// Whether an attempt runs, which a restart may follow.
    pub(super) fn has_attempt(&self) -> bool {
        matches!(self, State::Executing(_) | State::Rescaling(_) | State::StopWithSavepoint(_))
    }

    pub(super) fn name(&self) -> StateName {
        match self {
            State::Created(_) => StateName::Created,
            State::WaitingForResources(_) => StateName::WaitingForResources,
            State::Reconciling(_) => StateName::Reconciling,
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
    pub(super) fn on_event(&mut self, ctx: &mut Context, now: Instant, event: &Event) -> Next {
        match self {
            State::Created(state) => state.on_event(ctx, event),
            State::WaitingForResources(state) => state.on_event(ctx, event),
            State::Reconciling(state) => state.on_event(ctx, event),
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
    pub(super) fn on_outcome(&mut self, ctx: &mut Context, now: Instant, outcome: &Outcome) -> Next {
        match self {
            State::Executing(state) => state.on_outcome(ctx, now, outcome),
            State::Rescaling(state) => state.on_outcome(ctx, now, outcome),
            State::StopWithSavepoint(state) => state.on_outcome(ctx, now, outcome),
            _ => Next::Stay,
        }
    }

    /// Does what is due by itself.
    pub(super) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        match self {
            State::Created(state) => state.advance(ctx, now),
            State::WaitingForResources(state) => state.advance(ctx, now),
            State::Reconciling(state) => state.advance(ctx, now),
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

    pub(super) fn next_wakeup(&self, ctx: &Context) -> Option<Instant> {
        match self {
            State::Created(state) => Some(state.since()),
            State::WaitingForResources(state) => state.next_wakeup(),
            State::Reconciling(state) => Some(state.next_wakeup()),
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
