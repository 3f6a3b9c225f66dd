//! The JSON form of the exception history: `/jobs/:id/exceptions`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{ExceptionView, JobView};

/// The number of failures that are returned if the client does not set one, as in Flink.
pub const DEFAULT_MAX_EXCEPTIONS: usize = 20;

/// `GET /jobs/:id/exceptions`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exceptions {
    pub exception_history: ExceptionHistory,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ExceptionHistory {
    pub entries: Vec<ExceptionEntry>,
    pub truncated: bool,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionEntry {
    #[serde(flatten)]
    pub exception: Exception,
    pub concurrent_exceptions: Vec<Exception>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    pub exception_name: String,
    pub stacktrace: String,
    pub timestamp: i64,
    pub failure_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub task_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub task_manager_id: Option<String>,
}

impl Exceptions {
    /// The newest `max` failures.
    pub fn of(job: &JobView, max: usize) -> Self {
        let entry = |exception: &ExceptionView| ExceptionEntry {
            exception: Exception::of(exception),
            concurrent_exceptions: exception.concurrent.iter().map(Exception::of).collect(),
        };
        let entries = job.exceptions.iter().take(max).map(entry).collect();
        let truncated = job.exceptions_truncated || job.exceptions.len() > max;
        Self { exception_history: ExceptionHistory { entries, truncated } }
    }
}

impl Exception {
    fn of(exception: &ExceptionView) -> Self {
        Self {
            exception_name: exception.name.clone(),
            stacktrace: exception.message.clone(),
            timestamp: exception.at_ms,
            failure_labels: exception.labels.clone(),
            task_name: exception.task_name.clone(),
            endpoint: exception.endpoint.clone(),
            task_manager_id: exception.task_manager.map(|id| id.to_string()),
        }
    }
}
