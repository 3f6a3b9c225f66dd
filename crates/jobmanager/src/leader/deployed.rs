//! The graphs of the running attempt and the executors that run them. Deployments and commands of the scheduler pass through
//! here: each executor gets its share of the state, and all get every command.

use crate::members::Members;
use reflow_env::Output;
use reflow_graph::ExecutionGraph;
use reflow_protocol::command::{AttemptCommand, Command, RescaleCommand};
use reflow_protocol::control::ToExecutor;
use reflow_protocol::deployment::{Addresses, Attempt, Deployment};
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::rescale::Preparation;
use reflow_protocol::snapshot::Restore;
use reflow_types::{ExecutorId, GraphVersion, SubtaskId};
use std::collections::BTreeSet;

/// The graphs of the running attempt, and the executors of all of them.
#[derive(Default)]
pub(super) struct Deployed {
    graph: ExecutionGraph,
    /// The next graph of a live rescale.
    next: Option<ExecutionGraph>,
    executors: BTreeSet<ExecutorId>,
}

impl Deployed {
    /// The current graph.
    pub(super) fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    /// The next graph of a live rescale.
    pub(super) fn next(&self) -> Option<&ExecutionGraph> {
        self.next.as_ref()
    }

    /// Deploys an attempt to its executors.
    pub(super) fn deploy(&mut self, deployment: Deployment, members: &Members, out: &mut Vec<Output>) {
        let Deployment { attempt, graph, checkpoint, .. } = &deployment;
        tracing::info!(%attempt, parallelism = ?parallelism(graph), ?checkpoint, "deploying");
        let former = std::mem::replace(&mut self.executors, executors(graph).collect());
        let addresses = self.addresses(members);
        // Executors without a subtask in this attempt get it as well, so that they drop their retained state.
        for executor in self.executors.union(&former) {
            let restore = share_of(graph, *executor, &deployment.restore).collect();
            let share = Box::new(with_state(&deployment, restore));
            let message = ToExecutor::Deploy { deployment: share, addresses: addresses.clone() };
            members.send(*executor, &message, out);
        }
        self.graph = deployment.graph;
        self.next = None;
    }

    /// Deploys regions of the attempt again. All executors of the graph get it, because it is part of what they report.
    pub(super) fn deploy_regions(
        &mut self,
        restart: &RegionRestart,
        deployment: Deployment,
        members: &Members,
        out: &mut Vec<Output>,
    ) {
        let Deployment { attempt, graph, checkpoint, .. } = &deployment;
        let (regions, parallelism) = (&restart.regions, parallelism(graph));
        tracing::info!(%attempt, version = %restart.version, ?regions, ?parallelism, ?checkpoint, "deploying regions");
        let former = std::mem::replace(&mut self.executors, executors(graph).collect());
        let addresses = self.addresses(members);
        self.drop_former(*attempt, &former, members, out);
        for executor in &self.executors {
            let restore = share_of(graph, *executor, &deployment.restore).collect();
            let deployment = Box::new(with_state(&deployment, restore));
            let (restart, addresses) = (restart.clone(), addresses.clone());
            members.send(*executor, &ToExecutor::DeployRegions { restart, deployment, addresses }, out);
        }
        self.graph = deployment.graph;
    }

    /// Continues an attempt that a former leader has deployed.
    pub(super) fn adopt(
        &mut self,
        attempt: Attempt,
        graph: &ExecutionGraph,
        members: &Members,
        out: &mut Vec<Output>,
    ) {
        tracing::info!(%attempt, parallelism = ?parallelism(graph), "the attempt of the former JobManager goes on");
        self.executors = executors(graph).collect();
        for executor in &self.executors {
            members.send(*executor, &ToExecutor::AdoptAttempt { attempt }, out);
        }
        (self.graph, self.next) = (graph.clone(), None);
    }

    /// Sends the next graph to the executors of both graphs. From now on, all of them get all commands.
    pub(super) fn prepare_rescale(
        &mut self,
        preparation: Preparation,
        members: &Members,
        out: &mut Vec<Output>,
    ) {
        let Preparation { attempt, version, former, graph, checkpoint, .. } = &preparation;
        let parallelism = parallelism(graph);
        tracing::info!(%attempt, %version, ?parallelism, %checkpoint, "preparing a live rescale");
        self.executors = executors(former).chain(executors(graph)).collect();
        let addresses = self.addresses(members);
        for executor in &self.executors {
            let restore = share_of(graph, *executor, &preparation.restore).collect();
            let share = Preparation { former: former.clone(), graph: graph.clone(), restore, ..preparation };
            let (preparation, addresses) = (Box::new(share), addresses.clone());
            members.send(*executor, &ToExecutor::PrepareRescale { preparation, addresses }, out);
        }
        self.next = Some(preparation.graph);
    }

    /// The addresses at which the executors listen for each other.
    fn addresses(&self, members: &Members) -> Addresses {
        let address = |id: &ExecutorId| Some((*id, members.executor(*id)?.data_address()?.to_owned()));
        self.executors.iter().filter_map(address).collect()
    }

    /// Sends a command about a live rescale. `Abandon` and `Commit` determine which of the two graphs remains.
    pub(super) fn rescale(
        &mut self,
        attempt: Attempt,
        version: GraphVersion,
        command: RescaleCommand,
        members: &Members,
        out: &mut Vec<Output>,
    ) {
        match command {
            RescaleCommand::CatchUp { checkpoint, restore } => {
                for executor in &self.executors {
                    let restore = self.next.iter().flat_map(|next| share_of(next, *executor, &restore));
                    let command = RescaleCommand::CatchUp { checkpoint, restore: restore.collect() };
                    let command = Command::Rescale { version, command };
                    let message = ToExecutor::Command(AttemptCommand { attempt, command });
                    members.send(*executor, &message, out);
                }
            }
            RescaleCommand::Abandon => {
                tracing::info!(%attempt, %version, "the live rescale is abandoned");
                self.send(attempt, Command::Rescale { version, command }, members, out);
                self.next = None;
                let former = std::mem::replace(&mut self.executors, executors(&self.graph).collect());
                self.drop_former(attempt, &former, members, out);
            }
            RescaleCommand::Commit => {
                tracing::info!(%attempt, %version, "the live rescale is committed");
                self.send(attempt, Command::Rescale { version, command }, members, out);
                let graph = self.next.take().expect("the graph that is committed was prepared");
                let former = std::mem::replace(&mut self.executors, executors(&graph).collect());
                self.drop_former(attempt, &former, members, out);
                self.graph = graph;
            }
        }
    }

    /// Executors that run nothing of the attempt any more drop it. Otherwise they would keep it beyond its end, of which they do
    /// not hear, and could prepare no rescale of a later one.
    fn drop_former(
        &self,
        attempt: Attempt,
        former: &BTreeSet<ExecutorId>,
        members: &Members,
        out: &mut Vec<Output>,
    ) {
        for executor in former.difference(&self.executors) {
            members.send(*executor, &ToExecutor::DropAttempt { attempt }, out);
        }
    }

    /// Sends a command to all executors.
    pub(super) fn send(&self, attempt: Attempt, command: Command, members: &Members, out: &mut Vec<Output>) {
        let message = ToExecutor::Command(AttemptCommand { attempt, command });
        for executor in &self.executors {
            members.send(*executor, &message, out);
        }
    }
}

/// The deployment with an executor's share of the state.
fn with_state(deployment: &Deployment, restore: Vec<(SubtaskId, Restore)>) -> Deployment {
    let (graph, taken_over) = (deployment.graph.clone(), deployment.taken_over.clone());
    Deployment { graph, restore, taken_over, ..*deployment }
}

fn parallelism(graph: &ExecutionGraph) -> Vec<u32> {
    graph.vertices.iter().map(|vertex| vertex.parallelism()).collect()
}

/// The executors of a graph.
fn executors(graph: &ExecutionGraph) -> impl Iterator<Item = ExecutorId> + '_ {
    graph.subtasks().map(|(_, _, subtask)| subtask.slot.executor)
}

/// The state of an executor's subtasks.
fn share_of<'a>(
    graph: &ExecutionGraph,
    executor: ExecutorId,
    restore: &'a [(SubtaskId, Restore)],
) -> impl Iterator<Item = (SubtaskId, Restore)> + use<'a> {
    let subtasks = graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == executor);
    let own: BTreeSet<SubtaskId> = subtasks.map(|(_, _, subtask)| subtask.id).collect();
    restore.iter().filter(move |(subtask, _)| own.contains(subtask)).cloned()
}
