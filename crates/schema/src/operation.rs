//! The JSON form of operations that take longer than a request: the answer to their trigger, and their status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{OperationStatus, RequestId};

/// The answer to a trigger: `202`, with the id by which the operation is queried.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Triggered {
    pub request_id: String,
}

/// `GET /jobs/:id/savepoints/:trigger`, `GET /jobs/:id/checkpoints/:trigger`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationProgress {
    pub status: QueueStatus,
    #[schema(required)]
    pub operation: Option<OperationOutcome>,
}

impl Triggered {
    pub fn of(request: RequestId) -> Self {
        Self { request_id: request.to_string() }
    }
}

/// The status of an operation. A failed one is `COMPLETED` too, with a failure cause.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueStatus {
    pub id: String,
}

impl QueueStatus {
    pub(crate) fn completed() -> Self {
        Self { id: "COMPLETED".to_owned() }
    }

    pub(crate) fn in_progress() -> Self {
        Self { id: "IN_PROGRESS".to_owned() }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationOutcome {
    Location(String),
    #[serde(rename = "checkpointId")]
    Checkpoint(u64),
    FailureCause(FailureCause),
}

/// Why an operation or a job has failed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FailureCause {
    pub class: String,
    pub stack_trace: String,
}

impl OperationProgress {
    pub fn of(status: &OperationStatus) -> Self {
        let outcome = match status {
            OperationStatus::InProgress => None,
            OperationStatus::SavepointCompleted { location } => {
                Some(OperationOutcome::Location(location.clone()))
            }
            OperationStatus::CheckpointCompleted { checkpoint } => {
                Some(OperationOutcome::Checkpoint(checkpoint.0))
            }
            OperationStatus::Failed { cause } => Some(OperationOutcome::FailureCause(FailureCause {
                class: "reflow::CheckpointFailed".to_owned(),
                stack_trace: cause.clone(),
            })),
        };
        let status = if outcome.is_some() { QueueStatus::completed() } else { QueueStatus::in_progress() };
        Self { status, operation: outcome }
    }
}
