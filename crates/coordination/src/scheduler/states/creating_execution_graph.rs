//! CreatingExecutionGraph: assigns slots, creates the subtasks, redistributes the state of the last complete checkpoint, and
//! deploys the attempt. Takes no time: the state is left while the event that entered it is handled.

use crate::action::{Action, EndState};
use crate::checkpoint::Participant;
use crate::manifest::Ending;
use crate::restore::{self, Plan};
use crate::scheduler::attempt::DeployedAttempt;
use crate::scheduler::context::Context;
use crate::scheduler::graph::{make_graph, placement_of};
use crate::scheduler::next::{Execution, Next, Stop};
use crate::slots::Placement;
use reflow_graph::ExecutionGraph;
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{Instant, injected_fault};

pub(in crate::scheduler) struct CreatingExecutionGraph;

impl CreatingExecutionGraph {
    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let parallelism = ctx.demand.parallelism(ctx.cluster.slots(), None);
        let Some(parallelism) = parallelism else { return Next::WaitForResources };
        let previous: Option<Placement> = ctx.attempt.as_ref().map(|attempt| placement_of(attempt.graph()));
        let placement = ctx.demand.assign(&parallelism, &ctx.cluster.offers(), previous.as_ref());
        let attempt = Attempt { epoch: ctx.identity.epoch, number: ctx.lineage.next_attempt() };
        let graph = make_graph(&ctx.demand, &mut ctx.lineage, &placement, previous.as_ref(), attempt);
        ctx.timeline.decide(&parallelism.vertices, &parallelism.groups);
        match deploy(ctx, now, attempt, graph) {
            Ok(()) => match decided_ending(ctx) {
                Some(ending) => Next::Stop(Stop::Deployed(ending)),
                None => Next::Execute(Execution::Deployed),
            },
            Err(reason) => Next::Finish(EndState::Failed, Some(reason)),
        }
    }
}

/// How the job ends, if the checkpoint from which the attempt begins is its last one.
fn decided_ending(ctx: &Context) -> Option<Ending> {
    let latest =
        ctx.coordinator.latest().filter(|_| !injected_fault::is_active("stop_forgotten_after_a_restart"));
    latest.and_then(|latest| latest.manifest.ending)
}

/// Redistributes the last complete checkpoint over the graph and deploys it.
fn deploy(ctx: &mut Context, now: Instant, attempt: Attempt, graph: ExecutionGraph) -> Result<(), String> {
    let latest = ctx.coordinator.latest();
    let Plan { restore, first_checkpoint } = match latest {
        Some(latest) => {
            restore::plan(ctx.demand.job(), &latest.manifest, &graph, ctx.settings.unclaimed_state)
                .map_err(|error| error.to_string())?
        }
        None => Plan::empty(),
    };
    let checkpoint = latest.map(|latest| latest.checkpoint);
    let taken_over = latest.map(|latest| latest.manifest.taken_over(ctx.demand.job())).unwrap_or_default();
    let then = decided_ending(ctx).map_or(AfterBarrier::Continue, |ending| ending.then);
    let enumerators = latest.map(|latest| latest.manifest.enumerators.clone()).unwrap_or_default();
    let mut deployed = DeployedAttempt::new(now, attempt, graph.clone(), checkpoint);
    deployed.note_task_managers(|holder| ctx.cluster.task_manager(holder));
    ctx.attempt = Some(deployed);
    let participants =
        graph.subtasks().map(|(vertex, index, subtask)| Participant { subtask: subtask.id, vertex, index });
    let participants: Vec<Participant> = participants.collect();
    let deployment =
        Deployment { attempt, graph: graph.clone(), restore, first_checkpoint, checkpoint, taken_over, then };
    ctx.outputs.push(Action::Deploy { deployment: Box::new(deployment), enumerators });
    ctx.coordinator.begin_attempt(now, attempt, participants, ctx.demand.job(), &graph);
    Ok(())
}
