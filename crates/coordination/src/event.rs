//! The scheduler's inputs: what happened to the job's executors, subtasks, checkpoints and users' requests.

use reflow_protocol::adoption::AttemptReport;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Failure;
use reflow_protocol::report::{ExecutorReport, SubtaskReport};
use reflow_types::{CheckpointId, ExecutorId, TaskManagerId, VertexId};
use std::collections::BTreeMap;

pub use reflow_view::{ParallelismBounds, RequestId};

/// Something that happened to a job. Events that name an ended attempt have no effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The time of [`next_wakeup`](crate::scheduler::Scheduler::next_wakeup) has come.
    Tick,
    /// An executor of the job has registered and offers its slots.
    ExecutorAdded {
        executor: ExecutorId,
        /// The TaskManager whose child it is.
        task_manager: TaskManagerId,
        /// The number of its slots.
        slots: u32,
    },
    /// An executor is lost: its process has ended, its connection has closed, or heartbeats are missing.
    ExecutorLost {
        executor: ExecutorId,
        /// The reason.
        reason: String,
    },
    /// An executor's TaskManager is being drained: its slots must not be used any more, and once the job has
    /// moved off them, [`Action::Release`](crate::action::Action::Release) releases it.
    ExecutorDraining { executor: ExecutorId },
    /// A report of a subtask.
    SubtaskReported(SubtaskReport),
    /// An executor that is about to be added runs an attempt that a former leader has deployed.
    AttemptReported { executor: ExecutorId, report: Box<AttemptReport> },
    /// The JobManager cannot continue an attempt that it was to adopt, because it has lost too much of what the former one
    /// knew.
    AdoptionRefused { attempt: Attempt, reason: String },
    /// A report of an executor.
    ExecutorReported { executor: ExecutorId, report: ExecutorReport },
    /// A failure that belongs to no subtask, such as that of a split enumerator.
    JobFailed { failure: Failure },
    /// Answers [`Action::StoreManifest`](crate::action::Action::StoreManifest).
    ManifestStored {
        checkpoint: CheckpointId,
        /// The outcome.
        outcome: StoreOutcome,
    },
    /// Answers [`Action::StoreAbandoned`](crate::action::Action::StoreAbandoned).
    AbandonedStored {
        checkpoint: CheckpointId,
        /// The outcome.
        outcome: StoreOutcome,
    },
    /// `PATCH /jobs/:id?mode=cancel`.
    Cancel,
    /// A user requests a savepoint.
    TriggerSavepoint {
        /// The id for the answer.
        request: RequestId,
        /// The directory in which the savepoint gets its own directory.
        directory: String,
        /// Whether the job is cancelled when the savepoint is complete.
        cancel_job: bool,
    },
    /// A user requests a checkpoint.
    TriggerCheckpoint {
        /// The id for the answer.
        request: RequestId,
    },
    /// A user stops the job with a savepoint.
    StopWithSavepoint {
        /// The id for the answer.
        request: RequestId,
        /// The directory in which the savepoint gets its own directory.
        directory: String,
        /// Whether all windows and timers fire first.
        drain: bool,
    },
    /// `PUT /jobs/:id/resource-requirements`, checked.
    UpdateRequirements {
        /// The bounds of every vertex.
        bounds: BTreeMap<VertexId, ParallelismBounds>,
    },
    /// The autoscaler limits the parallelism, within the bounds of the user, until a user changes these.
    LimitParallelism {
        /// The largest parallelism of every vertex.
        parallelism: BTreeMap<VertexId, u32>,
    },
    /// The JobManager got SIGTERM: take a checkpoint and end the attempt, so that the next JobManager resumes the
    /// job.
    Suspend,
}

/// The outcome of creating a checkpoint's deciding name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// This JobManager has created it and so made the decision.
    Won,
    /// The name existed already. For a manifest, this means that another leader has abandoned the checkpoint; for
    /// an abandonment, that the checkpoint is complete.
    Lost,
    /// Nothing was created, because an object that the manifest names is not in storage, so nothing could be
    /// restored from it.
    ObjectGone(String),
    /// Unknown, because storage has failed. The name may or may not exist.
    Failed(String),
}
