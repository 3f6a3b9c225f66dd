//! The scheduler's commands to the attempt, on their way to executors.

use super::Leader;
use super::share::{executors, share_of};
use reflow_env::Output;
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command, RescaleCommand, SubtaskCommand};
use reflow_protocol::control::{AfterBarrier, SnapshotKind, ToExecutor};
use reflow_protocol::deployment::Attempt;
use reflow_types::{CheckpointId, GraphVersion, SubtaskId};

impl Leader {
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
                self.metrics.part(&graph);
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
