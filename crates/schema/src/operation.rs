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
    fn of(status: &OperationStatus) -> Self {
        match status {
            OperationStatus::InProgress => Self::in_progress(),
            _ => Self::completed(),
        }
    }

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

impl FailureCause {
    fn of(class: &str, cause: &str) -> Self {
        Self { class: class.to_owned(), stack_trace: cause.to_owned() }
    }
}

impl OperationProgress {
    pub fn of(status: &OperationStatus) -> Self {
        let outcome = match status {
            OperationStatus::InProgress | OperationStatus::SavepointDisposed => None,
            OperationStatus::SavepointCompleted { location } => {
                Some(OperationOutcome::Location(location.clone()))
            }
            OperationStatus::CheckpointCompleted { checkpoint } => {
                Some(OperationOutcome::Checkpoint(checkpoint.0))
            }
            OperationStatus::Failed { cause } => {
                Some(OperationOutcome::FailureCause(FailureCause::of("reflow::CheckpointFailed", cause)))
            }
        };
        Self { status: QueueStatus::of(status), operation: outcome }
    }
}

/// `GET /savepoint-disposal/:trigger`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DisposalProgress {
    pub status: QueueStatus,
    #[schema(required)]
    pub operation: Option<DisposalOutcome>,
}

/// How the disposal of a savepoint has ended: without a cause, the savepoint is deleted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DisposalOutcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failure_cause: Option<FailureCause>,
}

impl DisposalProgress {
    pub fn of(status: &OperationStatus) -> Self {
        let failure_cause = match status {
            OperationStatus::Failed { cause } => Some(FailureCause::of("reflow::DisposalFailed", cause)),
            _ => None,
        };
        let ended = *status != OperationStatus::InProgress;
        Self {
            status: QueueStatus::of(status),
            operation: ended.then_some(DisposalOutcome { failure_cause }),
        }
    }
}
