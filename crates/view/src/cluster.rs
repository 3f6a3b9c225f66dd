//! The seam to the JobManager: what it shows, and what it can be told to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use reflow_types::{CheckpointId, JobId, TaskManagerId, VertexId};

use crate::{ClusterView, ParallelismBounds, RequestId, SavepointFormat};

/// A cluster that can be watched and commanded. Implemented by the JobManager.
///
/// `view` is called on every request and must be cheap: it hands out the snapshot published last. `command`
/// must answer soon; work that takes longer (a savepoint) goes on behind a [`RequestId`], which it answers at
/// once and must know from then on, also after the job has ended. A command that is sent may be carried out
/// even if the client is gone before the answer.
///
/// ```
/// use std::sync::Arc;
/// use reflow_view::{Cluster, ClusterView, Command, CommandError, Reply};
///
/// /// A cluster in which nothing happens.
/// struct Idle;
///
/// impl Cluster for Idle {
///     fn view(&self) -> Arc<ClusterView> {
///         Arc::default()
///     }
///
///     async fn command(&self, _: Command) -> Result<Reply, CommandError> {
///         Err(CommandError::Unavailable("nothing happens here".to_owned()))
///     }
/// }
/// ```
pub trait Cluster: Send + Sync + 'static {
    /// The snapshot published last.
    fn view(&self) -> Arc<ClusterView>;

    /// Carries a command out, or begins to.
    fn command(&self, command: Command) -> impl Future<Output = Result<Reply, CommandError>> + Send;
}

/// What a user can ask of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Cancel the job. Reply: [`Reply::Accepted`] once cancelling has begun.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Take a savepoint. Reply: [`Reply::Triggered`].
    TriggerSavepoint {
        /// The job.
        job: JobId,
        /// The client's own request id; the same id again is the same request.
        request: Option<RequestId>,
        /// Where to; `None` for the configured directory.
        target_directory: Option<String>,
        /// Whether the job is cancelled when the savepoint is complete.
        cancel_job: bool,
        /// How it is written.
        format: SavepointFormat,
    },
    /// Stop the sources, take a savepoint, finish. Reply: [`Reply::Triggered`].
    StopWithSavepoint {
        /// The job.
        job: JobId,
        /// The client's own request id; the same id again is the same request.
        request: Option<RequestId>,
        /// Where to; `None` for the configured directory.
        target_directory: Option<String>,
        /// Whether the watermark is set to the end of time first, so that all timers fire.
        drain: bool,
        /// How it is written.
        format: SavepointFormat,
    },
    /// Take a checkpoint now. Reply: [`Reply::Triggered`].
    TriggerCheckpoint {
        /// The job.
        job: JobId,
        /// The client's own request id; the same id again is the same request.
        request: Option<RequestId>,
    },
    /// Ask how a request stands. Reply: [`Reply::Operation`].
    QueryOperation {
        /// The job.
        job: JobId,
        /// What [`Reply::Triggered`] gave.
        request: RequestId,
    },
    /// Change the resource requirements of the job. Reply: [`Reply::Accepted`].
    UpdateRequirements {
        /// The job.
        job: JobId,
        /// The bounds of every vertex; each has 1 ≤ lower ≤ upper.
        requirements: BTreeMap<VertexId, ParallelismBounds>,
    },
    /// Move all jobs off a TaskManager, which then ends. Reply: [`Reply::Accepted`], or [`Reply::Triggered`] if a
    /// savepoint or checkpoint is taken first, without which it stays.
    DrainTaskManager {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// Whether it goes even if a job cannot run without it.
        force: bool,
    },
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is done, or under way.
    Accepted,
    /// It is under way; ask by this id.
    Triggered(RequestId),
    /// How a request stands.
    Operation(OperationStatus),
}

/// How a savepoint or checkpoint that a user asked for stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationStatus {
    /// Under way.
    InProgress,
    /// The savepoint lies there.
    SavepointCompleted {
        /// Where it lies.
        location: String,
    },
    /// The checkpoint is complete.
    CheckpointCompleted {
        /// Its id.
        checkpoint: CheckpointId,
    },
    /// It was given up.
    Failed {
        /// Why, for the user to read.
        cause: String,
    },
}

/// Why a command was refused. The kind decides the HTTP status; the text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such job. 404.
    #[error("Job {0} not found")]
    UnknownJob(JobId),
    /// There is no such TaskManager, or no more. 404.
    #[error("TaskManager {0} not found")]
    UnknownTaskManager(TaskManagerId),
    /// There is no such request. 404.
    #[error("request {0} of job {1} is unknown or too old: trigger it again")]
    UnknownRequest(RequestId, JobId),
    /// What was asked makes no sense for this job. 400.
    #[error("{0}")]
    Invalid(String),
    /// The job's state does not allow it now. 409.
    #[error("{0}")]
    Conflict(String),
    /// The JobManager is starting, ending or not the leader. 503.
    #[error("{0}")]
    Unavailable(String),
    /// It was tried and failed. 500.
    #[error("{0}")]
    Failed(String),
}
