//! A job: `/jobs/:id` and its `status`, `config` and `resource-requirements`.

use std::collections::BTreeMap;

use reflow_types::{JobId, VertexId};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::vertex::IoMetrics;
use super::{UNSET, duration_ms};
use reflow_view::{ExecutionState, JobStatus, JobView, ParallelismBounds, VertexView};

pub(super) const SCHEDULER_TYPE: &str = "Adaptive";

/// `GET /jobs/:id`
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobDetails<'a> {
    jid: JobId,
    application_id: Option<JobId>,
    name: &'a str,
    #[serde(rename = "isStoppable")]
    is_stoppable: bool,
    state: JobStatus,
    job_type: &'static str,
    #[serde(rename = "schedulerType")]
    scheduler_type: &'static str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    #[serde(rename = "maxParallelism")]
    max_parallelism: i64,
    now: i64,
    timestamps: BTreeMap<JobStatus, i64>,
    vertices: Vec<VertexSummary<'a>>,
    status_counts: BTreeMap<ExecutionState, usize>,
    plan: Plan<'a>,
    pending_operators: u32,
}

impl<'a> JobDetails<'a> {
    pub(crate) fn of(job: &'a JobView, now_ms: i64) -> Self {
        let entered = |status: JobStatus| job.entered_at_ms.get(&status).copied().unwrap_or(0);
        let in_state = |state| job.vertices.iter().filter(|vertex| vertex.state() == state).count();
        Self {
            jid: job.id,
            // In application mode the job's id is its application's.
            application_id: Some(job.id),
            name: &job.name,
            is_stoppable: false,
            state: job.status,
            job_type: job_type(job),
            scheduler_type: SCHEDULER_TYPE,
            start_time: job.started_at_ms,
            end_time: job.ended_at_ms.unwrap_or(UNSET),
            duration: job.ended_at_ms.unwrap_or(now_ms) - job.started_at_ms,
            max_parallelism: job.max_parallelism.map_or(UNSET, i64::from),
            now: now_ms,
            timestamps: JobStatus::ALL.map(|status| (status, entered(status))).into(),
            vertices: job.vertices.iter().map(|vertex| VertexSummary::of(vertex, now_ms)).collect(),
            status_counts: ExecutionState::ALL.map(|state| (state, in_state(state))).into(),
            plan: Plan::of(job),
            pending_operators: 0,
        }
    }
}

/// A vertex within `GET /jobs/:id`
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct VertexSummary<'a> {
    id: VertexId,
    #[serde(rename = "slotSharingGroupId")]
    slot_sharing_group_id: &'a str,
    name: String,
    #[serde(rename = "maxParallelism")]
    max_parallelism: u32,
    parallelism: u32,
    status: ExecutionState,
    start_time: i64,
    end_time: i64,
    duration: i64,
    tasks: BTreeMap<ExecutionState, usize>,
    metrics: IoMetrics,
}

impl<'a> VertexSummary<'a> {
    fn of(vertex: &'a VertexView, now_ms: i64) -> Self {
        let ended_at_ms = vertex.ended_at_ms();
        Self {
            id: vertex.id,
            slot_sharing_group_id: &vertex.sharing_group.id,
            name: vertex.name(),
            max_parallelism: vertex.max_parallelism,
            parallelism: vertex.parallelism,
            status: vertex.state(),
            start_time: vertex.started_at_ms().unwrap_or(UNSET),
            end_time: ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(vertex.started_at_ms(), ended_at_ms.unwrap_or(now_ms)),
            tasks: ExecutionState::ALL.map(|state| (state, vertex.count(state))).into(),
            metrics: IoMetrics::sum(vertex.subtasks.iter().map(|subtask| &subtask.io)),
        }
    }
}

pub(super) fn job_type(job: &JobView) -> &'static str {
    if job.streaming { "STREAMING" } else { "BATCH" }
}

/// The subtasks of a job by state, as `/jobs/overview` spells the states, with their total.
pub(super) fn lower_case_counts(job: &JobView) -> BTreeMap<&'static str, usize> {
    let count = |state| job.vertices.iter().map(|vertex| vertex.count(state)).sum();
    let total = job.vertices.iter().map(|vertex| vertex.subtasks.len()).sum();
    let name = |state| match state {
        ExecutionState::Created => "created",
        ExecutionState::Scheduled => "scheduled",
        ExecutionState::Deploying => "deploying",
        ExecutionState::Initializing => "initializing",
        ExecutionState::Running => "running",
        ExecutionState::Finished => "finished",
        ExecutionState::Canceling => "canceling",
        ExecutionState::Canceled => "canceled",
        ExecutionState::Failed => "failed",
        ExecutionState::Reconciling => "reconciling",
    };
    ExecutionState::ALL
        .map(|state| (name(state), count(state)))
        .into_iter()
        .chain([("total", total)])
        .collect()
}

/// `GET /jobs/:id/status`
#[derive(Serialize)]
pub(crate) struct Status {
    pub(crate) status: JobStatus,
}

/// `GET /jobs/:id/config`
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobConfig<'a> {
    jid: JobId,
    name: &'a str,
    execution_config: ExecutionConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExecutionConfig<'a> {
    restart_strategy: &'a str,
    job_parallelism: u32,
    object_reuse_mode: bool,
    user_config: &'a BTreeMap<String, String>,
}

impl<'a> JobConfig<'a> {
    pub(crate) fn of(job: &'a JobView) -> Self {
        let execution_config = ExecutionConfig {
            restart_strategy: &job.config.restart_strategy,
            job_parallelism: job.config.parallelism,
            object_reuse_mode: true,
            user_config: &job.config.user_config,
        };
        Self { jid: job.id, name: &job.name, execution_config }
    }
}

/// A vertex within `GET` and `PUT /jobs/:id/resource-requirements`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VertexRequirements {
    parallelism: Bounds,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bounds {
    lower_bound: i64,
    upper_bound: i64,
}

/// `GET /jobs/:id/resource-requirements`
pub(crate) fn requirements(job: &JobView) -> BTreeMap<VertexId, VertexRequirements> {
    let bounds = |vertex: &VertexView| Bounds {
        lower_bound: vertex.bounds.lower.into(),
        upper_bound: vertex.bounds.upper.into(),
    };
    job.vertices
        .iter()
        .map(|vertex| (vertex.id, VertexRequirements { parallelism: bounds(vertex) }))
        .collect()
}

impl VertexRequirements {
    /// The bounds, if 1 ≤ lower ≤ upper.
    pub(crate) fn bounds(&self) -> Result<ParallelismBounds, String> {
        let Bounds { lower_bound, upper_bound } = self.parallelism;
        match (u32::try_from(lower_bound), u32::try_from(upper_bound)) {
            (Ok(lower), Ok(upper)) if 1 <= lower && lower <= upper => Ok(ParallelismBounds { lower, upper }),
            _ => Err(format!(
                "bounds of {lower_bound} to {upper_bound}: the lower bound must be at least 1 and at most the \
                 upper bound"
            )),
        }
    }
}
