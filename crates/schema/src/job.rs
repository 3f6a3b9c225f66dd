//! The JSON form of a job: `/jobs/:id` and its `status`, `config` and `resource-requirements`.

use std::collections::BTreeMap;

use reflow_types::VertexId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::plan::{Plan, job_type};
use crate::vertex::IoMetrics;
use crate::{UNSET, duration_ms};
use reflow_view::{ExecutionState, JobStatus, JobView, ParallelismBounds, VertexView};

pub(crate) const SCHEDULER_TYPE: &str = "Adaptive";

/// `GET /jobs/:id`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobDetails {
    pub jid: String,
    #[schema(required)]
    pub application_id: Option<String>,
    pub name: String,
    #[serde(rename = "isStoppable")]
    pub is_stoppable: bool,
    pub state: JobStatus,
    pub job_type: String,
    #[serde(rename = "schedulerType")]
    pub scheduler_type: String,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    #[serde(rename = "maxParallelism")]
    pub max_parallelism: i64,
    pub now: i64,
    pub timestamps: BTreeMap<JobStatus, i64>,
    pub vertices: Vec<VertexSummary>,
    pub status_counts: BTreeMap<ExecutionState, usize>,
    pub plan: Plan,
    pub pending_operators: u32,
}

impl JobDetails {
    pub fn of(job: &JobView, now_ms: i64) -> Self {
        let entered = |status: JobStatus| job.entered_at_ms.get(&status).copied().unwrap_or(0);
        let in_state = |state| job.vertices.iter().filter(|vertex| vertex.state() == state).count();
        Self {
            jid: job.id.to_string(),
            // In application mode, the id of the application is that of its job.
            application_id: Some(job.id.to_string()),
            name: job.name.clone(),
            is_stoppable: false,
            state: job.status,
            job_type: job_type(job),
            scheduler_type: SCHEDULER_TYPE.to_owned(),
            start_time: job.started_at_ms,
            end_time: job.ended_at_ms.unwrap_or(UNSET),
            duration: job.ended_at_ms.unwrap_or(now_ms) - job.started_at_ms,
            max_parallelism: job.max_parallelism.map_or(UNSET, i64::from),
            now: now_ms,
            timestamps: JobStatus::ALL.map(|status| (status, entered(status))).into(),
            vertices: VertexSummary::all(job, now_ms),
            status_counts: ExecutionState::ALL.map(|state| (state, in_state(state))).into(),
            plan: Plan::of(job),
            pending_operators: 0,
        }
    }
}

/// A vertex in `GET /jobs/:id`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VertexSummary {
    pub id: String,
    #[serde(rename = "slotSharingGroupId")]
    pub slot_sharing_group_id: String,
    pub name: String,
    #[serde(rename = "maxParallelism")]
    pub max_parallelism: u32,
    pub parallelism: u32,
    pub status: ExecutionState,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    pub tasks: BTreeMap<ExecutionState, usize>,
    pub metrics: IoMetrics,
    /// Vertices of different regions exchange no data, so that each region fails and restarts alone. Not in Flink, and absent in
    /// jobs of one region.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub region: Option<u16>,
    /// Whether its region restarts, or waits for slots to restart, while others run on. Like `region`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub region_restarts: Option<bool>,
}

impl VertexSummary {
    fn all(job: &JobView, now_ms: i64) -> Vec<Self> {
        let has_regions = job.vertices.iter().any(|vertex| vertex.region > 0);
        let region = |vertex: &VertexView| has_regions.then_some((vertex.region, vertex.restarts_alone));
        job.vertices.iter().map(|vertex| Self::of(vertex, region(vertex), now_ms)).collect()
    }

    fn of(vertex: &VertexView, region: Option<(u16, bool)>, now_ms: i64) -> Self {
        let ended_at_ms = vertex.ended_at_ms();
        Self {
            id: vertex.id.to_string(),
            slot_sharing_group_id: vertex.sharing_group.id.clone(),
            name: vertex.name(),
            max_parallelism: vertex.max_parallelism,
            parallelism: vertex.parallelism,
            status: vertex.state(),
            start_time: vertex.started_at_ms().unwrap_or(UNSET),
            end_time: ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(vertex.started_at_ms(), ended_at_ms.unwrap_or(now_ms)),
            tasks: ExecutionState::ALL.map(|state| (state, vertex.count(state))).into(),
            metrics: IoMetrics::sum(vertex.subtasks.iter().map(|subtask| &subtask.io)),
            region: region.map(|(region, _)| region),
            region_restarts: region.map(|(_, restarts)| restarts),
        }
    }
}

/// The numbers of a job's subtasks by state, with the names of `/jobs/overview`, and their total.
pub(crate) fn lower_case_counts(job: &JobView) -> BTreeMap<String, usize> {
    let count = |state| job.vertices.iter().map(|vertex| vertex.count(state)).sum();
    let total = job.vertices.iter().map(|vertex| vertex.subtasks.len()).sum();
    let states = ExecutionState::ALL.map(|state| (state.to_string().to_lowercase(), count(state)));
    states.into_iter().chain([("total".to_owned(), total)]).collect()
}

/// `GET /jobs/:id/status`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobStatusInfo {
    pub status: JobStatus,
}

/// `GET /jobs/:id/config`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobConfig {
    pub jid: String,
    pub name: String,
    pub execution_config: ExecutionConfig,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExecutionConfig {
    pub restart_strategy: String,
    pub job_parallelism: u32,
    pub object_reuse_mode: bool,
    pub user_config: BTreeMap<String, String>,
}

impl JobConfig {
    pub fn of(job: &JobView) -> Self {
        let execution_config = ExecutionConfig {
            restart_strategy: job.config.restart_strategy.clone(),
            job_parallelism: job.config.parallelism,
            object_reuse_mode: true,
            user_config: job.config.user_config.clone(),
        };
        Self { jid: job.id.to_string(), name: job.name.clone(), execution_config }
    }
}

/// A vertex in `GET` and `PUT /jobs/:id/resource-requirements`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VertexRequirements {
    pub parallelism: RequirementBounds,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequirementBounds {
    pub lower_bound: i64,
    pub upper_bound: i64,
}

/// `GET /jobs/:id/resource-requirements`
pub fn requirements(job: &JobView) -> BTreeMap<VertexId, VertexRequirements> {
    let bounds = |vertex: &VertexView| RequirementBounds {
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
    pub fn bounds(&self) -> Result<ParallelismBounds, String> {
        let RequirementBounds { lower_bound, upper_bound } = self.parallelism;
        match (u32::try_from(lower_bound), u32::try_from(upper_bound)) {
            (Ok(lower), Ok(upper)) if 1 <= lower && lower <= upper => Ok(ParallelismBounds { lower, upper }),
            _ => Err(format!(
                "bounds of {lower_bound} to {upper_bound}: the lower bound must be at least 1 and at most the \
                 upper bound"
            )),
        }
    }
}
