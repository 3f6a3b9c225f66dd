//! A job as the JobManager shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use reflow_types::{JobId, TaskManagerId, VertexId};

use crate::{CheckpointsView, JobStatus, RescalesView, TimelineView, VertexView};

/// A job, running or ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// The user's name for it; any text.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Whether the job is streaming; a bounded job that runs in batch mode is not.
    pub streaming: bool,
    /// When the JobManager took it.
    pub started_at_ms: i64,
    /// When it reached a terminal state.
    pub ended_at_ms: Option<i64>,
    /// When it last entered each state; states it was never in are absent.
    pub entered_at_ms: BTreeMap<JobStatus, i64>,
    /// How long it was in each state altogether, the current one included; absent means never.
    pub spent_ms: BTreeMap<JobStatus, i64>,
    /// The job's own bound on parallelism, if the user set one.
    pub max_parallelism: Option<u32>,
    /// Job vertices in topological order, sources first.
    pub vertices: Vec<VertexView>,
    /// What the user configured for the whole job.
    pub config: ExecutionConfigView,
    /// Failures, newest first.
    pub exceptions: Vec<ExceptionView>,
    /// Whether older failures were dropped from `exceptions`.
    pub exceptions_truncated: bool,
    /// Checkpoints; `None` where checkpointing is switched off.
    pub checkpoints: Option<CheckpointsView>,
    /// Changes of parallelism.
    pub rescales: RescalesView,
    /// Restarts after failures; rescales do not count.
    pub restarts: u64,
    /// How it went over time.
    pub timeline: Arc<TimelineView>,
    /// Metrics of the job beyond those that follow from this view.
    pub metrics: BTreeMap<String, f64>,
}

impl JobView {
    /// The vertex of that id.
    pub fn vertex(&self, id: VertexId) -> Option<&VertexView> {
        self.vertices.iter().find(|vertex| vertex.id == id)
    }
}

/// What the user configured for the whole job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionConfigView {
    /// The restart strategy in words.
    pub restart_strategy: String,
    /// The parallelism of operators that set none.
    pub parallelism: u32,
    /// The job's own parameters.
    pub user_config: BTreeMap<String, String>,
}

/// A failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExceptionView {
    /// The kind of failure, a short name.
    pub name: String,
    /// What happened, in full. Answers give it as the stack trace.
    pub message: String,
    /// When.
    pub at_ms: i64,
    /// The failed subtask's name with its index; `None` for a failure of the whole job.
    pub task_name: Option<String>,
    /// `host:port` of the TaskManager it ran on.
    pub endpoint: Option<String>,
    /// The TaskManager it ran on.
    pub task_manager: Option<TaskManagerId>,
    /// Labels that classify it.
    pub labels: BTreeMap<String, String>,
    /// Failures of other subtasks that came with it.
    pub concurrent: Vec<ExceptionView>,
}
