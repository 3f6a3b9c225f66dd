//! What the scheduler makes for executors, on its way to them.

use super::Leader;
use super::share::{executors, share_of};
use bytes::Bytes;
use reflow_coordination::event::Event;
use reflow_env::Output;
use reflow_graph::ExecutionGraph;
use reflow_protocol::command::{
    AttemptCommand, CheckpointCommand, Command, RescaleCommand, SnapshotKind, SubtaskCommand,
};
use reflow_protocol::control::ToExecutor;
use reflow_protocol::deployment::{Addresses, Attempt, Deployment};
use reflow_protocol::rescale::Preparation;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, Instant, SubtaskId};

impl Leader {
    pub(super) fn deploy_enumerators(
        &mut self,
        now: Instant,
        deployment: &Deployment,
        states: &[(String, Bytes)],
    ) {
        let Deployment { graph, restore, checkpoint, then, .. } = deployment;
        if let Err(failure) = self.enumerators.deploy(now, graph, restore, states) {
            self.events.push_back(Event::JobFailed { failure });
        }
        if let Some(last) = checkpoint.filter(|_| *then != AfterBarrier::Continue) {
            self.enumerators.pause(last);
        }
    }

    pub(super) fn deploy(&mut self, deployment: Deployment, out: &mut Vec<Output>) {
        let Deployment { attempt, graph, checkpoint, .. } = &deployment;
        tracing::info!(%attempt, parallelism = ?parallelism(graph), ?checkpoint, "deploying");
        let former = std::mem::replace(&mut self.deployed, executors(graph).collect());
        let addresses = self.addresses();
        // Executors without a subtask in this attempt get it, too: they drop the state that they retained for it.
        for executor in self.deployed.union(&former) {
            let restore = share_of(graph, *executor, &deployment.restore).collect();
            let share = Deployment { graph: graph.clone(), restore, ..deployment };
            let message = ToExecutor::Deploy { deployment: Box::new(share), addresses: addresses.clone() };
            self.members.send(*executor, &message, out);
        }
        self.graph = deployment.graph;
        self.next = None;
    }

    /// Sends the next graph to the executors of both graphs; from here on they get all commands.
    pub(super) fn prepare_rescale(&mut self, preparation: Preparation, out: &mut Vec<Output>) {
        let Preparation { attempt, version, former, graph, checkpoint, .. } = &preparation;
        let parallelism = parallelism(graph);
        tracing::info!(%attempt, %version, ?parallelism, %checkpoint, "preparing a live rescale");
        self.deployed = executors(former).chain(executors(graph)).collect();
        let addresses = self.addresses();
        for executor in &self.deployed {
            let restore = share_of(graph, *executor, &preparation.restore).collect();
            let share = Preparation { former: former.clone(), graph: graph.clone(), restore, ..preparation };
            let (preparation, addresses) = (Box::new(share), addresses.clone());
            self.members.send(*executor, &ToExecutor::PrepareRescale { preparation, addresses }, out);
        }
        self.next = Some(preparation.graph);
    }

    /// Where the executors listen for each other.
    fn addresses(&self) -> Addresses {
        let address = |id: &ExecutorId| Some((*id, self.members.executor(*id)?.data_address()?.to_owned()));
        self.deployed.iter().filter_map(address).collect()
    }

    /// Sends a command of the scheduler, and does the JobManager's own part of it.
    pub(super) fn command(&mut self, command: AttemptCommand, out: &mut Vec<Output>) {
        let AttemptCommand { attempt, command } = command;
        match command {
            Command::Checkpoint { checkpoint, command } => {
                self.advise_enumerators(checkpoint, &command);
                self.send_deployed(attempt, Command::Checkpoint { checkpoint, command }, out);
            }
            Command::Subtask { subtask, command } => self.send_to_subtask(subtask, command, out),
            Command::Rescale { version, command } => self.rescale(attempt, version, command, out),
        }
    }

    /// Before executors hear of a checkpoint: splits that are assigned after the trigger do not belong to it, so the
    /// enumerators' states are taken first.
    fn advise_enumerators(&mut self, checkpoint: CheckpointId, command: &CheckpointCommand) {
        match command {
            CheckpointCommand::Trigger(SnapshotKind { then, cut, .. }) => {
                self.scheduler.set_enumerators(checkpoint, self.enumerators.snapshot());
                if *then != AfterBarrier::Continue {
                    self.enumerators.pause(checkpoint);
                }
                if let (Some(_), Some(next)) = (cut, &self.next) {
                    self.enumerators.begin_move(&self.graph, next);
                    self.metrics.join(next);
                }
            }
            CheckpointCommand::NotifyComplete => tracing::debug!(%checkpoint, "complete"),
            CheckpointCommand::NotifyAborted => self.enumerators.resume(checkpoint),
        }
    }

    fn rescale(
        &mut self,
        attempt: Attempt,
        version: GraphVersion,
        command: RescaleCommand,
        out: &mut Vec<Output>,
    ) {
        match command {
            RescaleCommand::CatchUp { checkpoint, restore } => {
                for executor in &self.deployed {
                    let restore = self.next.iter().flat_map(|next| share_of(next, *executor, &restore));
                    let command = RescaleCommand::CatchUp { checkpoint, restore: restore.collect() };
                    let command = Command::Rescale { version, command };
                    let message = ToExecutor::Command(AttemptCommand { attempt, command });
                    self.members.send(*executor, &message, out);
                }
            }
            RescaleCommand::Abandon => {
                tracing::info!(%attempt, %version, "the live rescale is abandoned");
                self.send_deployed(attempt, Command::Rescale { version, command }, out);
                self.next = None;
                self.deployed = executors(&self.graph).collect();
            }
            RescaleCommand::Commit => {
                tracing::info!(%attempt, %version, "the live rescale is committed");
                self.send_deployed(attempt, Command::Rescale { version, command }, out);
                let graph = self.next.take().expect("the graph that is committed was prepared");
                self.metrics.remove_leaving(&graph);
                self.deployed = executors(&graph).collect();
                self.graph = graph;
            }
        }
    }

    fn send_deployed(&self, attempt: Attempt, command: Command, out: &mut Vec<Output>) {
        let message = ToExecutor::Command(AttemptCommand { attempt, command });
        for executor in &self.deployed {
            self.members.send(*executor, &message, out);
        }
    }

    /// Sends a command to the executor of a subtask of the current attempt.
    pub(super) fn send_to_subtask(&self, subtask: SubtaskId, command: SubtaskCommand, out: &mut Vec<Output>) {
        let Some(deployed) = self.scheduler.view().attempt else { return };
        let Some(record) = deployed.subtasks.get(&subtask) else { return };
        let (attempt, command) = (deployed.attempt, Command::Subtask { subtask, command });
        let message = ToExecutor::Command(AttemptCommand { attempt, command });
        self.members.send(record.slot.executor, &message, out);
    }
}

fn parallelism(graph: &ExecutionGraph) -> Vec<u32> {
    graph.vertices.iter().map(|vertex| vertex.parallelism()).collect()
}
