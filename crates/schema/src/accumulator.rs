//! The JSON form of accumulators, which are counters and others of users' functions: `/jobs/:id/accumulators` and
//! `/jobs/:id/vertices/:v/accumulators`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_types::metric::Accumulated;
use reflow_view::{JobView, VertexView};

/// The accumulators of a job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobAccumulators {
    /// Always empty.
    pub job_accumulators: Vec<UserAccumulator>,
    pub user_task_accumulators: Vec<UserAccumulator>,
    /// Always empty: serialized values are for a JVM.
    pub serialized_user_task_accumulators: BTreeMap<String, String>,
}

/// The accumulators of a vertex.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VertexAccumulators {
    pub id: String,
    pub user_accumulators: Vec<UserAccumulator>,
}

/// An accumulator: what all subtasks have accumulated together.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UserAccumulator {
    pub name: String,
    /// `LongCounter`, `DoubleCounter`, `DoubleMinimum`, `DoubleMaximum` or `AverageAccumulator`.
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

impl JobAccumulators {
    pub fn of(job: &JobView) -> Self {
        Self {
            job_accumulators: Vec::new(),
            user_task_accumulators: job.vertices.iter().flat_map(accumulators).collect(),
            serialized_user_task_accumulators: BTreeMap::new(),
        }
    }
}

impl VertexAccumulators {
    pub fn of(vertex: &VertexView) -> Self {
        Self { id: vertex.id.to_string(), user_accumulators: accumulators(vertex) }
    }
}

fn accumulators(vertex: &VertexView) -> Vec<UserAccumulator> {
    let accumulator = |(name, value): (&str, Accumulated)| UserAccumulator {
        name: name.to_owned(),
        kind: value.flink_name().to_owned(),
        value: value.to_string(),
    };
    vertex.accumulators().into_iter().map(accumulator).collect()
}
