//! The view of a job.

use std::collections::BTreeMap;
use std::sync::Arc;

use reflow_types::{JobId, TaskManagerId, VertexId};

use crate::{AutoscalerView, CheckpointsView, JobStatus, RescalesView, TimelineView, VertexView};

/// A job, running or ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its name, which the user chooses; any text.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Whether the job is a streaming job, as opposed to a bounded job in batch mode.
    pub streaming: bool,
    /// When the JobManager accepted it.
    pub started_at_ms: i64,
    /// When it reached a terminal state.
    pub ended_at_ms: Option<i64>,
    /// When it last entered each state. States that it was never in are absent.
    pub entered_at_ms: BTreeMap<JobStatus, i64>,
    /// The total time that it was in each state, the current one included. States that it was never in are
    /// absent.
    pub spent_ms: BTreeMap<JobStatus, i64>,
    /// The max parallelism that the user has set for the job.
    pub max_parallelism: Option<u32>,
    /// The job vertices in topological order, sources first.
    pub vertices: Vec<VertexView>,
    /// The configuration of the job.
    pub config: ExecutionConfigView,
    /// The exception history, newest first.
    pub exceptions: Vec<ExceptionView>,
    /// Whether older failures were dropped from `exceptions`.
    pub exceptions_truncated: bool,
    /// Its checkpoints; `None` if checkpointing is switched off.
    pub checkpoints: Option<CheckpointsView>,
    /// Its rescales.
    pub rescales: RescalesView,
    /// The number of restarts after failures. Rescales do not count.
    pub restarts: u64,
    /// The last of these that was of some regions, while others ran on.
    pub region_restart: Option<RegionRestartView>,
    /// Its autoscaler, if it is enabled.
    pub autoscaler: Option<AutoscalerView>,
    /// Its history over time.
    pub timeline: Arc<TimelineView>,
    /// Metrics of the job that are not derived from this view.
    pub metrics: BTreeMap<String, f64>,
}

/// A restart of regions while others ran on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionRestartView {
    /// When they failed.
    pub at_ms: i64,
    /// Their vertices.
    pub vertices: Vec<VertexId>,
}

impl JobView {
    /// The vertex with this id.
    pub fn vertex(&self, id: VertexId) -> Option<&VertexView> {
        self.vertices.iter().find(|vertex| vertex.id == id)
    }
}

/// The configuration of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionConfigView {
    /// A description of the restart strategy.
    pub restart_strategy: String,
    /// The parallelism of operators that do not set one.
    pub parallelism: u32,
    /// The parameters of the job.
    pub user_config: BTreeMap<String, String>,
}

/// A failure in the exception history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExceptionView {
    /// A short name for the kind of failure.
    pub name: String,
    /// The full message. The REST API returns it as the stack trace.
    pub message: String,
    /// When it occurred.
    pub at_ms: i64,
    /// The failed subtask's name with its index; `None` for a failure of the whole job.
    pub task_name: Option<String>,
    /// `host:port` of the TaskManager that ran the subtask.
    pub endpoint: Option<String>,
    /// The TaskManager that ran the subtask.
    pub task_manager: Option<TaskManagerId>,
    /// Labels that classify it.
    pub labels: BTreeMap<String, String>,
    /// Concurrent failures of other subtasks.
    pub concurrent: Vec<ExceptionView>,
}
