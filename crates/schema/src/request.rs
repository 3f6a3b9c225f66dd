//! The JSON form of request bodies, and of the answer to a refused request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::SavepointFormat;

/// The body of `POST /jobs/:id/checkpoints`. The checkpoint type has no effect, because all checkpoints are
/// incremental.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckpointRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_type: Option<CheckpointType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_id: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointType {
    Configured,
    Full,
    Incremental,
}

/// The body of `POST /jobs/:id/savepoints`
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavepointRequest {
    #[serde(rename = "target-directory", skip_serializing_if = "Option::is_none")]
    pub target_directory: Option<String>,
    #[serde(rename = "cancel-job", skip_serializing_if = "Option::is_none")]
    pub cancel_job: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_type: Option<SavepointFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_id: Option<String>,
}

/// The body of `POST /jobs/:id/stop`
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_type: Option<SavepointFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_id: Option<String>,
}

/// The body of `POST /savepoint-disposal`
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DisposalRequest {
    /// The directory of the savepoint.
    #[schema(required, nullable = false)]
    pub savepoint_path: Option<String>,
}

/// The body of `POST /taskmanagers/:id/drain`
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    #[serde(default)]
    pub force: bool,
}

/// The answer to a refused request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Errors {
    pub errors: Vec<String>,
}

/// The answer to a command that has no result.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Accepted {}

/// The answer to `POST /taskmanagers/:id/drain`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DrainAccepted {
    /// The id by which the savepoint or checkpoint is queried that is taken first, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
}
