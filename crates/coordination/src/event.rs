//! The scheduler's inputs: what happened to the job's executors, subtasks, checkpoints and users' requests.

use reflow_protocol::failure::Failure;
use reflow_protocol::report::{ExecutorReport, SubtaskReport};
use reflow_types::{CheckpointId, ExecutorId, TaskManagerId, VertexId};
use std::collections::BTreeMap;

pub use reflow_view::{ParallelismBounds, RequestId};

/// Something that happened to a job. Events that name an ended attempt change nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Time has passed: the moment of [`next_wakeup`](crate::scheduler::Scheduler::next_wakeup) has come.
    Tick,
    /// An executor of the job has registered and offers its slots.
    ExecutorAdded {
        executor: ExecutorId,
        /// Whose child it is.
        task_manager: TaskManagerId,
        /// How many slots it runs.
        slots: u32,
    },
    /// An executor is gone: process ended, connection closed, heartbeat missed.
    ExecutorLost {
        executor: ExecutorId,
        /// What was seen.
        reason: String,
    },
    /// An executor's TaskManager wants to leave: its slots are not to be used any more, and once the job has
    /// moved off them, after a fresh checkpoint, [`Action::Release`](crate::action::Action::Release) lets it go.
    ExecutorDraining { executor: ExecutorId },
    /// A subtask's report, as its task made it.
    SubtaskReported(SubtaskReport),
    /// An executor's report, as the executor made it.
    ExecutorReported { executor: ExecutorId, report: ExecutorReport },
    /// A failure that belongs to no subtask: a split enumerator's, for one.
    JobFailed { failure: Failure },
    /// Answers [`Action::StoreManifest`](crate::action::Action::StoreManifest).
    ManifestStored {
        checkpoint: CheckpointId,
        /// What came of it.
        outcome: StoreOutcome,
    },
    /// Answers [`Action::StoreAbandoned`](crate::action::Action::StoreAbandoned).
    AbandonedStored {
        checkpoint: CheckpointId,
        /// What came of it.
        outcome: StoreOutcome,
    },
    /// `PATCH /jobs/:id?mode=cancel`.
    Cancel,
    /// A savepoint is wanted.
    TriggerSavepoint {
        /// To be named in the answer.
        request: RequestId,
        /// Below which directory.
        directory: String,
        /// Cancel the job once the savepoint is complete.
        cancel_job: bool,
    },
    /// A checkpoint is wanted now.
    TriggerCheckpoint {
        /// To be named in the answer.
        request: RequestId,
    },
    /// Stop with a savepoint.
    StopWithSavepoint {
        /// To be named in the answer.
        request: RequestId,
        /// Below which directory.
        directory: String,
        /// Fire all windows and timers first.
        drain: bool,
    },
    /// `PUT /jobs/:id/resource-requirements`, checked.
    UpdateRequirements {
        /// For every vertex.
        bounds: BTreeMap<VertexId, ParallelismBounds>,
    },
    /// The JobManager got SIGTERM: take a checkpoint, end the attempt, keep the job for the next JobManager.
    Suspend,
}

/// What came of a create-only put of a checkpoint's deciding name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// This JobManager decided it.
    Won,
    /// The name was there already. For a manifest: the checkpoint was abandoned by another leader. For an
    /// abandonment: the checkpoint is complete after all.
    Lost,
    /// Nothing was put: an object that the manifest names is not in storage, so nothing could be restored from it.
    ObjectGone(String),
    /// Unknown: the store failed. The name may or may not be there.
    Failed(String),
}
