//! The JSON form of accumulators, which are counters and others of users' functions: `/jobs/:id/accumulators`, and
//! `accumulators` of a vertex, of its subtasks and of their attempts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Subtask;
use reflow_types::metric::Accumulated;
use reflow_view::{JobView, SubtaskView, VertexView};

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

/// `GET /jobs/:id/vertices/:v/subtasks/accumulators`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SubtasksAccumulators {
    pub id: String,
    pub parallelism: u32,
    pub subtasks: Vec<AccumulatorsOfSubtask>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AccumulatorsOfSubtask {
    pub subtask: u32,
    pub attempt: u32,
    pub endpoint: String,
    pub user_accumulators: Vec<UserAccumulator>,
}

/// `GET …/subtasks/:i/attempts/:n/accumulators`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptAccumulators {
    pub subtask: u32,
    pub attempt: u32,
    /// The job, the vertex, the index and the attempt.
    pub id: String,
    pub user_accumulators: Vec<UserAccumulator>,
}

/// An accumulator: what all subtasks have accumulated together, or one of them.
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

impl SubtasksAccumulators {
    pub fn of(vertex: &VertexView, now_ms: i64) -> Self {
        let of_subtask = |subtask: &SubtaskView| AccumulatorsOfSubtask {
            subtask: subtask.index.0,
            attempt: subtask.attempt.0,
            endpoint: Subtask::of(subtask, now_ms).endpoint,
            user_accumulators: accumulators_of_subtask(subtask),
        };
        Self {
            id: vertex.id.to_string(),
            parallelism: vertex.parallelism,
            subtasks: vertex.subtasks.iter().map(of_subtask).collect(),
        }
    }
}

impl AttemptAccumulators {
    pub fn of(job: &JobView, vertex: &VertexView, subtask: &SubtaskView) -> Self {
        Self {
            subtask: subtask.index.0,
            attempt: subtask.attempt.0,
            id: format!("{}_{}_{}_{}", job.id, vertex.id, subtask.index, subtask.attempt.0),
            user_accumulators: accumulators_of_subtask(subtask),
        }
    }
}

fn accumulators(vertex: &VertexView) -> Vec<UserAccumulator> {
    vertex.accumulators().into_iter().map(accumulator).collect()
}

fn accumulators_of_subtask(subtask: &SubtaskView) -> Vec<UserAccumulator> {
    subtask.accumulators.iter().map(|(name, value)| accumulator((name, *value))).collect()
}

fn accumulator((name, value): (&str, Accumulated)) -> UserAccumulator {
    UserAccumulator { name: name.to_owned(), kind: value.flink_name().to_owned(), value: value.to_string() }
}
