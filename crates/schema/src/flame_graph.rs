//! The JSON form of a flame graph: `/jobs/:id/vertices/:v/flamegraph`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /jobs/:id/vertices/:v/flamegraph`
///
/// There are no samples of stacks, so the answer is Flink's with `rest.flamegraph.enabled: false`, its default.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlameGraph {
    /// When the samples were taken, or one of Flink's marks: -2 if the feature is off.
    pub end_timestamp: i64,
}

impl FlameGraph {
    pub fn disabled() -> Self {
        Self { end_timestamp: -2 }
    }
}
