//! Reconciling: executors run an attempt of a former leader, and not all of them have registered yet.
//!
//! Ends when [`crate::adoption`] has decided. If executors are missing for too long, the attempt ends as well, because the job
//! takes no checkpoints meanwhile and commits nothing.

use crate::action::{Action, EndState};
use crate::adoption::{Adopted, Decision, Known};
use crate::checkpoint::Participant;
use crate::event::Event;
use crate::rescale::TerminatedReason;
use crate::scheduler::attempt::{DeployedAttempt, SubtaskStatus};
use crate::scheduler::context::Context;
use crate::scheduler::next::{Execution, Next, Restart};
use crate::scheduler::view::Takeover;
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command, RescaleCommand};
use reflow_types::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the leader waits for the other executors of an attempt after the first one has reported it. They try to reach it
/// each second.
const REPORTS_TIMEOUT: Duration = Duration::from_secs(10);

pub(in crate::scheduler) struct Reconciling {
    deadline: Instant,
}

impl Reconciling {
    pub(in crate::scheduler) fn new(now: Instant) -> Self {
        Self { deadline: now + REPORTS_TIMEOUT }
    }

    pub(in crate::scheduler) fn on_event(&mut self, ctx: &mut Context, event: &Event) -> Next {
        match event {
            Event::Cancel => return Next::Finish(EndState::Canceled, None),
            Event::Suspend => return Next::Finish(EndState::Suspended, None),
            Event::TriggerSavepoint { .. }
            | Event::TriggerCheckpoint { .. }
            | Event::StopWithSavepoint { .. } => ctx.deferred.push_back(event.clone()),
            _ => {}
        }
        Next::Stay
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let registered = ctx.cluster.executors().keys().copied().collect();
        let known = Known {
            job: ctx.demand.job(),
            max_parallelism: ctx.demand.max_parallelism(),
            latest: ctx.coordinator.latest(),
            registered: &registered,
        };
        match ctx.reports.decide(&known) {
            None => Next::WaitForResources,
            Some(Decision::Wait) if now < self.deadline => Next::Stay,
            Some(Decision::Wait) => {
                let seconds = REPORTS_TIMEOUT.as_secs();
                end(ctx, now, format!("not all of its executors have registered within {seconds} s"))
            }
            Some(Decision::Adopt(adopted)) => adopt(ctx, now, *adopted),
            Some(Decision::NewAttempt(reason)) => end(ctx, now, reason),
        }
    }

    pub(in crate::scheduler) fn next_wakeup(&self) -> Instant {
        self.deadline
    }
}

/// Ends the attempt. The next one starts from the last complete checkpoint when all executors that have reported have ended
/// their part.
fn end(ctx: &mut Context, now: Instant, reason: String) -> Next {
    let Some((attempt, graph)) = ctx.reports.newest() else { return Next::WaitForResources };
    ctx.coordinator.skip_ids(ctx.reports.highest());
    let mut ended = DeployedAttempt::new(now, attempt, graph.clone(), None);
    ended.take_holders();
    ended.add_holders(&ctx.reports.executors());
    ended.note_task_managers(|holder| ctx.cluster.task_manager(holder));
    ctx.attempt = Some(ended);
    ctx.takeover = Some(Takeover::NewAttempt { former: attempt, reason });
    ctx.reports = Default::default();
    Next::Restart(Restart::NotAdopted)
}

/// Continues the attempt. Executors hear of the outcome of the checkpoints that were under way: of those that are complete
/// first, because those are older.
fn adopt(ctx: &mut Context, now: Instant, adopted: Adopted) -> Next {
    let Adopted { attempt, graph, .. } = &adopted;
    let attempt = *attempt;
    let mut deployed = DeployedAttempt::new(now, attempt, graph.clone(), adopted.restored);
    deployed.note_task_managers(|holder| ctx.cluster.task_manager(holder));
    deployed.advance_all(now, None, SubtaskStatus::Running);
    for subtask in &adopted.ended {
        deployed.advance(now, *subtask, SubtaskStatus::Ended);
    }
    deployed.continue_versions(adopted.version);
    let others: Vec<_> =
        ctx.reports.executors().into_iter().filter(|id| !deployed.holders().contains(id)).collect();
    ctx.lineage.take_tables(graph);
    let participants =
        graph.subtasks().map(|(vertex, index, subtask)| Participant { subtask: subtask.id, vertex, index });
    let participants: Vec<Participant> = participants.collect();
    ctx.coordinator.adopt_attempt(attempt, participants, ctx.demand.job(), graph, adopted.highest);
    ctx.attempt = Some(deployed);
    ctx.reports = Default::default();
    ctx.takeover = Some(Takeover::Adopted(attempt));
    ctx.timeline.end(now, TerminatedReason::NoResourcesOrParallelismsChange);

    let latest = ctx.coordinator.latest();
    let checkpoint = latest.map(|latest| latest.checkpoint);
    let enumerators = latest.map(|latest| latest.manifest.enumerators.clone()).unwrap_or_default();
    let taken_over = latest.map(|latest| latest.manifest.taken_over(ctx.demand.job())).unwrap_or_default();
    let without = taken_over.keys().map(|vertex| ctx.demand.regions().region(*vertex)).collect();
    let complete = checkpoint.filter(|_| adopted.latest_is_unknown);
    let complete = complete.map(|checkpoint| (checkpoint, without, CheckpointCommand::NotifyComplete));
    let aborted = adopted.aborted.clone().into_iter();
    let aborted = aborted.map(|checkpoint| (checkpoint, BTreeSet::new(), CheckpointCommand::NotifyAborted));
    let abandoned = adopted.abandoned.clone();
    ctx.outputs.push(Action::AdoptAttempt {
        adopted: Box::new(adopted),
        checkpoint,
        taken_over,
        enumerators,
    });
    for (checkpoint, without, command) in complete.into_iter().chain(aborted) {
        ctx.outputs.push(Action::checkpoint(attempt, checkpoint, &without, command));
    }
    for version in abandoned {
        let command = Command::Rescale { version, command: RescaleCommand::Abandon };
        ctx.outputs.push(Action::Command(AttemptCommand { attempt, command }));
    }
    if !others.is_empty() {
        ctx.outputs.push(Action::DropAttempt { attempt, executors: others });
    }
    Next::Execute(Execution::Adopted)
}
