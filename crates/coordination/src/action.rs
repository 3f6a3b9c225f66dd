//! The scheduler's outputs: what the JobManager must do.

use crate::adoption::Adopted;
use crate::event::RequestId;
use crate::manifest::Manifest;
use bytes::Bytes;
use reflow_graph::{RegionIndex, VertexIndex};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::rescale::Preparation;
use reflow_protocol::snapshot::OperatorState;
use reflow_types::{CheckpointId, ExecutorId, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::end_state::EndState;

/// Something that the JobManager must do. Actions are carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Deploy an attempt: each executor of the graph gets its subtasks.
    Deploy {
        /// The attempt.
        deployment: Box<Deployment>,
        /// The enumerators' states in the restored checkpoint: `(operator uid, state)`.
        enumerators: Vec<(String, Bytes)>,
    },
    /// Continue an attempt that a former leader has deployed. Answered by
    /// [`AdoptionRefused`](crate::event::Event::AdoptionRefused) if that is not possible.
    AdoptAttempt {
        adopted: Box<Adopted>,
        /// The last complete checkpoint, if there is one.
        checkpoint: Option<CheckpointId>,
        /// The vertices whose state that checkpoint has taken over from an earlier one.
        taken_over: BTreeMap<VertexIndex, CheckpointId>,
        /// The enumerators' states in that checkpoint: `(operator uid, state)`.
        enumerators: Vec<(String, Bytes)>,
    },
    /// End an attempt on these executors. Each first commits the checkpoints of whose completion it was notified,
    /// then answers by
    /// [`ExecutorReport::AttemptCanceled`](reflow_protocol::report::ExecutorReport::AttemptCanceled).
    CancelAttempt {
        attempt: Attempt,
        /// The executors that run a part of it.
        executors: Vec<ExecutorId>,
    },
    /// End the subtasks of regions on these executors, while the others run on. Each answers by
    /// [`ExecutorReport::RegionsCanceled`](reflow_protocol::report::ExecutorReport::RegionsCanceled).
    CancelRegions {
        restart: RegionRestart,
        /// The executors that run a part of these regions.
        executors: Vec<ExecutorId>,
    },
    /// Deploy the next subtasks of regions.
    DeployRegions {
        restart: RegionRestart,
        /// With the graph of all regions, and the state of the next subtasks.
        deployment: Box<Deployment>,
        /// The states of these regions' enumerators in the restored checkpoint: `(operator uid, state)`.
        enumerators: Vec<(String, Bytes)>,
    },
    /// End what these executors run of an attempt of a former leader that the job does not use. Nothing waits for it.
    DropAttempt { attempt: Attempt, executors: Vec<ExecutorId> },
    /// Prepare the next graph of the running attempt, on the executors of both graphs. Each answers by
    /// [`ExecutorReport::RescalePrepared`](reflow_protocol::report::ExecutorReport::RescalePrepared) or
    /// [`ExecutorReport::RescaleRefused`](reflow_protocol::report::ExecutorReport::RescaleRefused).
    PrepareRescale(Box<Preparation>),
    /// Send a command. One for a subtask goes to the executor of that subtask, others go to all executors of the
    /// attempt and of the graph that is being prepared.
    ///
    /// Before [`CheckpointCommand::Trigger`] is sent, the JobManager takes the enumerators' states and answers by
    /// [`Scheduler::set_enumerators`](crate::scheduler::Scheduler::set_enumerators).
    Command(AttemptCommand),
    /// Assign released splits to the readers of the next graph, and tell all of these again whether more splits
    /// will be assigned. From now on, splits are assigned only to them.
    MoveSplits {
        attempt: Attempt,
        /// The source's vertex.
        vertex: VertexIndex,
        splits: Vec<Bytes>,
        /// The union state that belongs to them.
        states: Vec<OperatorState>,
        /// The readers, each with the known number of its splits.
        readers: Vec<(SubtaskId, usize)>,
    },
    /// Create the checkpoint's deciding name with this manifest.
    StoreManifest {
        checkpoint: CheckpointId,
        /// The full name of the object.
        at: String,
        /// What it holds.
        manifest: Box<Manifest>,
    },
    /// Create the checkpoint's deciding name as an abandonment.
    StoreAbandoned {
        checkpoint: CheckpointId,
        /// The full name of the object.
        at: String,
    },
    /// Delete objects that nothing refers to any more. Failures are logged; retries are limited.
    DeleteObjects {
        /// The full names of the objects.
        objects: Vec<String>,
    },
    /// Kill this executor's process. Another one may replace it.
    StopExecutor { executor: ExecutorId, reason: String },
    /// The job does not use this executor any more, so its TaskManager may end.
    Release { executor: ExecutorId },
    /// Answer a request for a savepoint, checkpoint or stop, which has ended.
    Answer {
        /// The id of the request.
        request: RequestId,
        /// The location of the savepoint or checkpoint, or the reason of the failure.
        result: Result<String, String>,
    },
    /// The job has reached its end. The last action.
    End {
        state: EndState,
        /// The reason, if it failed.
        reason: Option<String>,
    },
}

impl Action {
    /// A command for a checkpoint, in which some regions do not take part.
    pub(crate) fn checkpoint(
        attempt: Attempt,
        checkpoint: CheckpointId,
        without: &BTreeSet<RegionIndex>,
        command: CheckpointCommand,
    ) -> Self {
        let command = Command::Checkpoint { checkpoint, without: without.clone(), command };
        Self::Command(AttemptCommand { attempt, command })
    }
}
