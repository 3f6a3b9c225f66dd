//! CreatingExecutionGraph: slots are chosen, subtasks are named, the state of the last complete checkpoint is
//! shared out over them, and the attempt is deployed. Takes no time: whoever enters leaves in the same event.

use super::executing::Executing;
use super::finished::Finished;
use super::stop_with_savepoint::StopWithSavepoint;
use super::waiting_for_resources::WaitingForResources;
use crate::action::{Action, EndState};
use crate::checkpoint::Participant;
use crate::manifest::Ending;
use crate::restore;
use crate::scheduler::attempt::DeployedAttempt;
use crate::scheduler::context::Context;
use crate::scheduler::{Next, State};
use crate::slots::{self, Placement};
use reflow_graph::{ExecutionGraph, ExecutionVertex, Subtask};
use reflow_protocol::control::AfterBarrier;
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::snapshot::Codec;
use reflow_types::{Instant, MaxParallelism, OwnershipTable, SlotId, SubtaskIndex, injected_fault};

pub(in crate::scheduler) struct CreatingExecutionGraph;

impl CreatingExecutionGraph {
    pub(in crate::scheduler) fn enter() -> Next {
        Next::to(State::CreatingExecutionGraph(Self))
    }

    pub(in crate::scheduler) fn advance(&mut self, ctx: &mut Context, now: Instant) -> Next {
        let Some(parallelism) = ctx.plan() else { return WaitingForResources::enter(ctx, now) };
        let previous: Option<Placement> = ctx.attempt.as_ref().map(|attempt| placement_of(&attempt.graph));
        let placement = slots::assign(&ctx.job, &ctx.bounds, &parallelism, &ctx.offers(), previous.as_ref());
        let graph = make_graph(ctx, &placement, previous.as_ref());
        ctx.timeline.decide(&parallelism.vertices, &parallelism.groups);
        match deploy(ctx, now, graph) {
            Ok(()) => match decided_ending(ctx) {
                Some(ending) => StopWithSavepoint::enter_after_restart(ending),
                None => Executing::enter(ctx, now),
            },
            Err(reason) => Finished::enter(ctx, now, EndState::Failed, Some(reason)),
        }
    }
}

/// How the job ends, if the checkpoint that the attempt begins from says so.
fn decided_ending(ctx: &Context) -> Option<Ending> {
    let latest =
        ctx.coordinator.latest().filter(|_| !injected_fault::is_active("stop_forgotten_after_a_restart"));
    latest.and_then(|latest| latest.manifest.ending)
}

pub(in crate::scheduler) fn placement_of(graph: &ExecutionGraph) -> Placement {
    graph.vertices.iter().map(|v| v.subtasks.iter().map(|subtask| subtask.slot).collect()).collect()
}

/// Names the subtasks and moves as few key groups as the placement allows.
fn make_graph(ctx: &mut Context, placement: &Placement, previous: Option<&Placement>) -> ExecutionGraph {
    let mut vertices = Vec::with_capacity(placement.len());
    for (v, slots) in placement.iter().enumerate() {
        let subtask = |&slot: &SlotId| {
            let id = ctx.next_subtask;
            ctx.next_subtask = id.next();
            Subtask { id, slot }
        };
        let subtasks: Vec<Subtask> = slots.iter().map(subtask).collect();
        let table = ctx.job.vertices[v].keyed.then(|| {
            let former = previous.map(|previous| previous[v].as_slice());
            next_table(ctx.tables[v].as_ref(), ctx.max_parallelism[v], slots, former)
        });
        ctx.tables[v].clone_from(&table);
        vertices.push(ExecutionVertex { subtasks, table });
    }
    ExecutionGraph { vertices }
}

/// The table of a vertex in its new slots. A subtask in the slot of a former one keeps its groups; after a
/// change of JobManager no slot is a former one, and indices stand for them.
pub(in crate::scheduler) fn next_table(
    table: Option<&OwnershipTable>,
    max: MaxParallelism,
    slots: &[SlotId],
    former: Option<&[SlotId]>,
) -> OwnershipTable {
    let parallelism = slots.len() as u32;
    let Some(table) = table else { return OwnershipTable::initial(max, parallelism) };
    let successor = |index: u32| match former {
        Some(former) => {
            let slot = former.get(index as usize)?;
            slots.iter().position(|new| new == slot).map(|new| SubtaskIndex(new as u32))
        }
        None => (index < parallelism).then_some(SubtaskIndex(index)),
    };
    let kept: Vec<_> = (0..table.parallelism()).map(successor).collect();
    table.rebalanced(parallelism, &kept)
}

/// Restores the last complete checkpoint into the graph and hands it to the executors.
fn deploy(ctx: &mut Context, now: Instant, graph: ExecutionGraph) -> Result<(), String> {
    let latest = ctx.coordinator.latest();
    let restore = match latest {
        Some(latest) => {
            let ignore_unclaimed = ctx.settings.ignore_unclaimed_state;
            restore::plan(&ctx.job, &latest.manifest, &graph, ignore_unclaimed)
                .map_err(|error| error.to_string())?
        }
        None => Vec::new(),
    };
    let checkpoint = latest.map(|latest| latest.checkpoint);
    let restore_codec = latest.map_or(Codec::Exchange, |latest| latest.manifest.codec);
    let then = decided_ending(ctx).map_or(AfterBarrier::Continue, |ending| ending.then);
    let enumerators = latest.map(|latest| latest.manifest.enumerators.clone()).unwrap_or_default();
    ctx.last_attempt = ctx.last_attempt.next();
    let attempt = Attempt { epoch: ctx.identity.epoch, number: ctx.last_attempt };
    let mut deployed = DeployedAttempt::new(now, attempt, graph.clone());
    let task_manager = |id| Some((id, ctx.executors.get(&id)?.task_manager));
    deployed.task_managers = deployed.holders.iter().copied().filter_map(task_manager).collect();
    deployed.restored = checkpoint;
    ctx.attempt = Some(deployed);
    let participants =
        graph.subtasks().map(|(vertex, index, subtask)| Participant { subtask: subtask.id, vertex, index });
    let participants: Vec<Participant> = participants.collect();
    let deployment = Deployment { attempt, graph: graph.clone(), restore, restore_codec, checkpoint, then };
    ctx.actions.push(Action::Deploy { deployment: Box::new(deployment), enumerators });
    ctx.coordinator.begin_attempt(now, attempt, participants, &ctx.job, &graph);
    Ok(())
}
