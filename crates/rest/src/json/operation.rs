//! Requests that take their time: how triggering is answered, and how they stand.

use reflow_types::CheckpointId;
use serde::Serialize;

use reflow_view::{OperationStatus, RequestId};

/// The answer to a trigger: `202` with the id to ask by.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Triggered {
    pub(crate) request_id: RequestId,
}

/// `GET /jobs/:id/savepoints/:trigger`, `GET /jobs/:id/checkpoints/:trigger`
#[derive(Serialize)]
pub(crate) struct Progress<'a> {
    status: Status,
    operation: Option<Outcome<'a>>,
}

/// A failed operation is `COMPLETED` too, with a failure cause.
#[derive(Serialize)]
struct Status {
    id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome<'a> {
    Location(&'a str),
    #[serde(rename = "checkpointId")]
    Checkpoint(CheckpointId),
    FailureCause(Cause<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cause<'a> {
    class: &'static str,
    stack_trace: &'a str,
}

impl<'a> Progress<'a> {
    pub(crate) fn of(status: &'a OperationStatus) -> Self {
        let outcome = match status {
            OperationStatus::InProgress => None,
            OperationStatus::SavepointCompleted { location } => Some(Outcome::Location(location)),
            OperationStatus::CheckpointCompleted { checkpoint } => Some(Outcome::Checkpoint(*checkpoint)),
            OperationStatus::Failed { cause } => {
                Some(Outcome::FailureCause(Cause { class: "reflow::CheckpointFailed", stack_trace: cause }))
            }
        };
        let id = if outcome.is_some() { "COMPLETED" } else { "IN_PROGRESS" };
        Self { status: Status { id }, operation: outcome }
    }
}
