//! The scheduler's outputs: what the JobManager must do.

use crate::event::RequestId;
use crate::manifest::Manifest;
use bytes::Bytes;
use reflow_graph::VertexIndex;
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::rescale::Preparation;
use reflow_protocol::snapshot::OperatorState;
use reflow_types::{CheckpointId, ExecutorId, SubtaskId};

pub use crate::end_state::EndState;

/// Something to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Deploy an attempt: to each executor of the graph its subtasks.
    Deploy {
        /// The attempt.
        deployment: Box<Deployment>,
        /// For each source vertex its enumerator's state in the checkpoint that is restored: `(operator uid, state)`.
        enumerators: Vec<(String, Bytes)>,
    },
    /// End an attempt on these executors. Each first commits what it was notified of as complete, then
    /// answers by [`ExecutorReport::AttemptCanceled`](reflow_protocol::report::ExecutorReport::AttemptCanceled).
    CancelAttempt {
        attempt: Attempt,
        /// Those that run some of it.
        executors: Vec<ExecutorId>,
    },
    /// Prepare another graph for the running attempt, on the executors of both graphs. Each answers by
    /// [`ExecutorReport::RescalePrepared`](reflow_protocol::report::ExecutorReport::RescalePrepared) or
    /// [`ExecutorReport::RescaleRefused`](reflow_protocol::report::ExecutorReport::RescaleRefused).
    PrepareRescale(Box<Preparation>),
    /// Send a command: one to a subtask to the executor of that subtask, others to all executors of the attempt, and of
    /// the graph that is being prepared.
    ///
    /// Before [`CheckpointCommand::Trigger`] goes out, the driver
    /// takes the enumerators' states and answers by
    /// [`Scheduler::set_enumerators`](crate::scheduler::Scheduler::set_enumerators).
    Command(AttemptCommand),
    /// Give splits that readers have let go of to the readers of the new graph, and tell all of these again whether
    /// more will come. From here on splits are assigned to them only.
    MoveSplits {
        attempt: Attempt,
        /// The source's vertex.
        vertex: VertexIndex,
        splits: Vec<Bytes>,
        /// Union state that belongs to them.
        states: Vec<OperatorState>,
        /// The readers, with how many splits each is known to have.
        readers: Vec<(SubtaskId, usize)>,
    },
    /// Create the checkpoint's deciding name with this content.
    StoreManifest {
        checkpoint: CheckpointId,
        /// Full name of the object.
        at: String,
        /// What it holds.
        manifest: Box<Manifest>,
    },
    /// Create the checkpoint's deciding name as abandoned.
    StoreAbandoned {
        checkpoint: CheckpointId,
        /// Full name of the object.
        at: String,
    },
    /// Remove objects that nothing refers to any more. Failures are logged, not retried for ever.
    DeleteObjects {
        /// Full names.
        objects: Vec<String>,
    },
    /// End this executor's process: it did not end an attempt in time. The job does not use it any more; another
    /// one may take its place.
    StopExecutor { executor: ExecutorId },
    /// The job has left this executor: its TaskManager may end.
    Release { executor: ExecutorId },
    /// A savepoint, checkpoint or stop that was asked for has ended.
    Answer {
        /// As in the request.
        request: RequestId,
        /// Where the savepoint or checkpoint is, or why there is none.
        result: Result<String, String>,
    },
    /// The job has reached its end. The last action.
    End {
        state: EndState,
        /// Why, if it failed.
        reason: Option<String>,
    },
}

impl Action {
    /// A command for a checkpoint.
    pub(crate) fn checkpoint(attempt: Attempt, checkpoint: CheckpointId, command: CheckpointCommand) -> Self {
        Self::Command(AttemptCommand { attempt, command: Command::Checkpoint { checkpoint, command } })
    }
}
