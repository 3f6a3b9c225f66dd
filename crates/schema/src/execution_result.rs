//! The JSON form of a job's result: `/jobs/:id/execution-result`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FailureCause, QueueStatus, duration_ms};
use reflow_view::{JobStatus, JobView};

/// `GET /jobs/:id/execution-result`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExecutionResult {
    pub status: QueueStatus,
    /// Absent until the job has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_execution_result: Option<JobResult>,
}

/// How a job has ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobResult {
    pub id: String,
    /// `SUCCEEDED`, `FAILED` or `CANCELED`.
    pub application_status: String,
    /// Always empty: serialized values are for a JVM.
    pub accumulator_results: BTreeMap<String, String>,
    pub net_runtime: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_cause: Option<FailureCause>,
}

impl ExecutionResult {
    pub fn of(job: &JobView) -> Self {
        let Some(application_status) = application_status(job.status) else {
            return Self { status: QueueStatus::in_progress(), job_execution_result: None };
        };
        let failure = job.exceptions.first().filter(|_| job.status == JobStatus::Failed);
        let result = JobResult {
            id: job.id.to_string(),
            application_status: application_status.to_owned(),
            accumulator_results: BTreeMap::new(),
            net_runtime: duration_ms(Some(job.started_at_ms), job.ended_at_ms.unwrap_or(job.started_at_ms)),
            failure_cause: failure.map(|failure| FailureCause {
                class: failure.name.clone(),
                stack_trace: failure.message.clone(),
            }),
        };
        Self { status: QueueStatus::completed(), job_execution_result: Some(result) }
    }
}

fn application_status(status: JobStatus) -> Option<&'static str> {
    match status {
        JobStatus::Finished => Some("SUCCEEDED"),
        JobStatus::Failed => Some("FAILED"),
        JobStatus::Canceled => Some("CANCELED"),
        _ => None,
    }
}
