//! The interface between REST and the JobManager: the view that it publishes and the commands that it accepts.

use std::collections::BTreeMap;
use std::sync::Arc;

use reflow_types::inspection::{Inquiry, Inspection};
use reflow_types::{CheckpointId, JobId, TaskManagerId, VertexId};

use crate::{ClusterView, ParallelismBounds, RequestId, SavepointFormat};

/// A cluster that can be observed and controlled. The JobManager implements it.
///
/// `view` is called for every request and must be cheap: it returns the view that was published last. `command`
/// must answer soon. Work that takes longer, such as a savepoint, continues under a [`RequestId`] with which it
/// answers at once, and which it must recognise from then on, also after the end of the job. A command may be
/// carried out even if the client has gone before the answer.
///
/// ```
/// use std::sync::Arc;
/// use reflow_types::inspection::{Inquiry, Inspection};
/// use reflow_view::{Cluster, ClusterProcess, ClusterView, Command, CommandError, Reply};
///
/// /// A cluster in which nothing happens.
/// struct Idle;
///
/// impl Cluster for Idle {
///     fn view(&self) -> Arc<ClusterView> {
///         Arc::default()
///     }
///
///     async fn inspect(&self, _: ClusterProcess, _: Inquiry) -> Result<Inspection, CommandError> {
///         Err(CommandError::Unavailable("there are no processes".to_owned()))
///     }
///
///     async fn command(&self, _: Command) -> Result<Reply, CommandError> {
///         Err(CommandError::Unavailable("nothing happens here".to_owned()))
///     }
/// }
/// ```
pub trait Cluster: Send + Sync + 'static {
    /// The view that was published last.
    fn view(&self) -> Arc<ClusterView>;

    /// Asks a process about its logs and threads.
    fn inspect(
        &self,
        process: ClusterProcess,
        inquiry: Inquiry,
    ) -> impl Future<Output = Result<Inspection, CommandError>> + Send;

    /// Carries out a command, or begins to.
    fn command(&self, command: Command) -> impl Future<Output = Result<Reply, CommandError>> + Send;
}

/// A process that can be inspected. The executors of a TaskManager are inspected with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterProcess {
    /// The JobManager.
    JobManager,
    /// A TaskManager.
    TaskManager(TaskManagerId),
}

/// A command of a user.
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
        /// An id that the client has chosen. Repeating it does not trigger again.
        request: Option<RequestId>,
        /// The directory; `None` for the configured one.
        target_directory: Option<String>,
        /// Whether the job is cancelled when the savepoint is complete.
        cancel_job: bool,
        /// The format of the savepoint.
        format: SavepointFormat,
    },
    /// Stop the sources, take a savepoint, finish. Reply: [`Reply::Triggered`].
    StopWithSavepoint {
        /// The job.
        job: JobId,
        /// An id that the client has chosen. Repeating it does not trigger again.
        request: Option<RequestId>,
        /// The directory; `None` for the configured one.
        target_directory: Option<String>,
        /// Whether the watermark first advances to its maximum, so that all timers fire.
        drain: bool,
        /// The format of the savepoint.
        format: SavepointFormat,
    },
    /// Take a checkpoint now. Reply: [`Reply::Triggered`].
    TriggerCheckpoint {
        /// The job.
        job: JobId,
        /// An id that the client has chosen. Repeating it does not trigger again.
        request: Option<RequestId>,
    },
    /// Delete a savepoint. Reply: [`Reply::Triggered`].
    DisposeSavepoint {
        /// Its directory.
        directory: String,
    },
    /// Query the status of a [`Command::DisposeSavepoint`]. Reply: [`Reply::Operation`].
    QueryDisposal {
        /// The id from [`Reply::Triggered`].
        request: RequestId,
    },
    /// Query the status of a request. Reply: [`Reply::Operation`].
    QueryOperation {
        /// The job.
        job: JobId,
        /// The id from [`Reply::Triggered`].
        request: RequestId,
    },
    /// Change the resource requirements of the job. Reply: [`Reply::Accepted`].
    UpdateRequirements {
        /// The job.
        job: JobId,
        /// The bounds of every vertex, with 1 ≤ lower ≤ upper.
        requirements: BTreeMap<VertexId, ParallelismBounds>,
    },
    /// End the JobManager after a checkpoint, as SIGTERM does; its next start resumes the job. Reply:
    /// [`Reply::Accepted`]. Repeating it changes nothing.
    ShutDown,
    /// Hand the job over to a standby. Reply: [`Reply::Accepted`] once another JobManager leads.
    TransferLeadership,
    /// Move all jobs off a TaskManager, which then ends. Reply: [`Reply::Accepted`], or [`Reply::Triggered`] if a
    /// savepoint or checkpoint is taken first; if that fails, the TaskManager stays.
    DrainTaskManager {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// Whether it ends even if a job cannot run without it.
        force: bool,
    },
    /// Ask a TaskManager about its logs or threads. Reply: [`Reply::Inspected`].
    Inspect {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// The question.
        inquiry: Inquiry,
    },
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The command is done or under way.
    Accepted,
    /// The command is under way; query it by this id.
    Triggered(RequestId),
    /// The status of a request.
    Operation(OperationStatus),
    /// The answer of a process.
    Inspected(Inspection),
}

/// The status of a savepoint, a checkpoint or the disposal of a savepoint that a user has triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationStatus {
    /// Under way.
    InProgress,
    /// The savepoint is complete.
    SavepointCompleted {
        /// Its location.
        location: String,
    },
    /// The checkpoint is complete.
    CheckpointCompleted {
        /// Its id.
        checkpoint: CheckpointId,
    },
    /// The savepoint is deleted.
    SavepointDisposed,
    /// It has failed.
    Failed {
        /// The reason, for the user.
        cause: String,
    },
}

/// The error of a command. Its kind determines the HTTP status; the text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such job. 404.
    #[error("Job {0} not found")]
    UnknownJob(JobId),
    /// There is no such TaskManager, or no longer. 404.
    #[error("TaskManager {0} not found")]
    UnknownTaskManager(TaskManagerId),
    /// There is no such request. 404.
    #[error("request {0} of job {1} is unknown or too old: trigger it again")]
    UnknownRequest(RequestId, JobId),
    /// The command is invalid for this job. 400.
    #[error("{0}")]
    Invalid(String),
    /// The current state of the job does not allow the command. 409.
    #[error("{0}")]
    Conflict(String),
    /// The JobManager is starting, ending or not the leader. 503.
    #[error("{0}")]
    Unavailable(String),
    /// The command was tried and has failed. 500.
    #[error("{0}")]
    Failed(String),
}
