//! Metrics by name, and their JSON form: `/jobmanager/metrics`, `/taskmanagers/metrics`, `/jobs/metrics`,
//! `/jobs/:id/vertices/:v/metrics`, `…/subtasks/metrics`, `…/watermarks` and those of one TaskManager, job or subtask.
//!
//! A function of this module gives the metrics of each scope. REST selects and aggregates them; [`prometheus`] shows all of
//! them. Without `?get=`, an answer lists the names of metrics; with it, the values of those that exist. Values are
//! strings, except if they are aggregated.

mod aggregate;
pub mod prometheus;

use std::collections::{BTreeMap, BTreeSet};

use reflow_types::metric::Distribution;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{
    CheckpointOutcome, CheckpointView, ClusterView, Figure, JobStatus, JobView, SubtaskView, TaskManagerView,
    VertexView,
};

pub use aggregate::{Aggregate, Aggregations, aggregate};

/// The metrics of one scope: name → value.
pub type Metrics = BTreeMap<String, Value>;

/// The value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i64),
    Number(f64),
    /// REST shows a metric for each of its figures.
    Distribution(Distribution),
    /// Prometheus does not show it.
    Text(String),
}

impl From<Figure> for Value {
    fn from(figure: Figure) -> Self {
        match figure {
            Figure::Number(number) => Self::Number(number),
            Figure::Distribution(distribution) => Self::Distribution(distribution),
        }
    }
}

fn number(value: impl TryInto<i64>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}

/// The name of a metric, and its value if it was requested.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Metric {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<String>,
}

/// The names of `metrics`, or the values of those in `wanted` that exist.
pub fn select(metrics: Metrics, wanted: Option<&BTreeSet<&str>>) -> Vec<Metric> {
    let shown = metrics.into_iter().flat_map(|(id, value)| each(id, value));
    match wanted {
        None => shown.map(|(id, _)| Metric { id, value: None }).collect(),
        Some(wanted) => shown
            .filter(|(id, _)| wanted.contains(id.as_str()))
            .map(|(id, value)| Metric { id, value: Some(value.text()) })
            .collect(),
    }
}

/// A value as REST shows it.
enum Shown {
    Integer(i64),
    Number(f64),
    Text(String),
}

impl Shown {
    fn text(self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

/// The metrics that REST shows for one.
fn each(id: String, value: Value) -> Vec<(String, Shown)> {
    match value {
        Value::Integer(integer) => vec![(id, Shown::Integer(integer))],
        Value::Number(number) => vec![(id, Shown::Number(number))],
        Value::Text(text) => vec![(id, Shown::Text(text))],
        Value::Distribution(distribution) => {
            let figures = distribution.figures();
            figures.map(|(name, figure)| (format!("{id}_{name}"), Shown::Number(figure))).collect()
        }
    }
}

/// The JobManager's metrics.
pub fn of_jobmanager(view: &ClusterView) -> Metrics {
    let running = view.jobs.iter().filter(|job| !job.status.is_terminal()).count();
    let known = [
        ("numRegisteredTaskManagers", number(view.task_managers.len())),
        ("numRunningJobs", number(running)),
        ("taskSlotsAvailable", number(view.slots_free())),
        ("taskSlotsTotal", number(view.slots_total())),
    ];
    with_others(known, &view.metrics)
}

/// A job's metrics, with the latencies of its subtasks under the names that Flink gives them.
pub fn of_job(job: &JobView, now_ms: i64) -> Metrics {
    let mut metrics = of_whole_job(job, now_ms);
    for vertex in &job.vertices {
        for subtask in &vertex.subtasks {
            let (operator, index) = (vertex.id, subtask.index);
            metrics.extend(subtask.latencies_ms.iter().map(|(source, ms)| {
                let id = format!(
                    "latency.source_id.{source}.operator_id.{operator}.operator_subtask_index.{index}.latency"
                );
                (id, Value::Distribution(*ms))
            }));
        }
    }
    metrics
}

/// A job's metrics that do not belong to a part of it.
fn of_whole_job(job: &JobView, now_ms: i64) -> Metrics {
    let spent = |status| number(job.spent_ms.get(&status).copied().unwrap_or(0));
    let running_since_ms =
        job.entered_at_ms.get(&JobStatus::Running).filter(|_| job.status == JobStatus::Running);
    let down_since_ms =
        job.entered_at_ms.get(&JobStatus::Restarting).filter(|_| job.status == JobStatus::Restarting);
    let since = |at_ms: Option<&i64>| number(at_ms.map_or(0, |at_ms| now_ms - at_ms));
    let times = [
        ("uptime", since(running_since_ms)),
        ("downtime", since(down_since_ms)),
        ("createdTime", spent(JobStatus::Created)),
        ("initializingTime", spent(JobStatus::Initializing)),
        ("runningTime", spent(JobStatus::Running)),
        ("restartingTime", spent(JobStatus::Restarting)),
        ("failingTime", spent(JobStatus::Failing)),
        ("cancellingTime", spent(JobStatus::Cancelling)),
        ("numRestarts", number(job.restarts)),
        ("fullRestarts", number(job.restarts)),
        ("numRescales", number(job.rescales.counts.completed)),
    ];
    let mut metrics = with_others(times, &job.metrics);
    metrics.extend(of_checkpoints(job).map(|(id, value)| (id.to_owned(), value)));
    metrics
}

fn of_checkpoints(job: &JobView) -> impl Iterator<Item = (&'static str, Value)> {
    let checkpoints = job.checkpoints.as_ref();
    let last = checkpoints.and_then(|checkpoints| checkpoints.latest_completed.as_deref());
    let of_last = |figure: fn(&CheckpointView) -> i64| number(last.map_or(-1, figure));
    let location = last.and_then(|checkpoint| match &checkpoint.outcome {
        CheckpointOutcome::Completed { location, .. } => Some(location.clone()),
        _ => None,
    });
    let restored = checkpoints.and_then(|checkpoints| checkpoints.latest_restored.as_ref());
    let counts = checkpoints.map(|checkpoints| checkpoints.counts).unwrap_or_default();
    [
        ("totalNumberOfCheckpoints", number(counts.total)),
        ("numberOfInProgressCheckpoints", number(counts.in_progress)),
        ("numberOfCompletedCheckpoints", number(counts.completed)),
        ("numberOfFailedCheckpoints", number(counts.failed)),
        ("lastCheckpointRestoreTimestamp", number(restored.map_or(-1, |restored| restored.at_ms))),
        ("lastCompletedCheckpointId", of_last(|it| it.id.0.cast_signed())),
        ("lastCheckpointSize", of_last(|it| it.sum(|ack| ack.checkpointed_size).cast_signed())),
        ("lastCheckpointFullSize", of_last(|it| it.sum(|ack| ack.state_size).cast_signed())),
        ("lastCheckpointProcessedData", of_last(|it| it.sum(|ack| ack.processed_data).cast_signed())),
        ("lastCheckpointPersistedData", of_last(|it| it.sum(|ack| ack.persisted_data).cast_signed())),
        ("lastCheckpointDuration", of_last(|it| it.duration_ms().cast_signed())),
        ("lastCheckpointCompletedTimestamp", of_last(|it| it.latest_ack_ms().unwrap_or(-1))),
        ("lastCheckpointExternalPath", Value::Text(location.unwrap_or_else(|| "n/a".to_owned()))),
    ]
    .into_iter()
}

/// The metrics of a TaskManager. Its memory is that of its whole process tree, which Flink's tools look for under the names
/// of a JVM's heap.
pub fn of_task_manager(task_manager: &TaskManagerView) -> Metrics {
    let memory = &task_manager.memory;
    let known = [
        ("Status.JVM.Memory.Heap.Used", number(memory.resident)),
        ("Status.JVM.Memory.Heap.Max", number(memory.limit)),
        ("Status.Flink.Memory.Managed.Total", number(memory.managed)),
        ("Status.Shuffle.Netty.TotalMemory", number(memory.network)),
        ("Status.Shuffle.Netty.UsedMemory", number(memory.network_used)),
    ];
    with_others(known, &BTreeMap::new())
}

/// The metrics of a vertex's subtasks, each with the subtask's index before its name.
pub fn of_vertex(vertex: &VertexView) -> Metrics {
    let prefixed = |subtask: &SubtaskView| {
        let index = subtask.index;
        of_subtask(subtask).into_iter().map(move |(id, value)| (format!("{index}.{id}"), value))
    };
    vertex.subtasks.iter().flat_map(prefixed).collect()
}

/// `GET /jobs/:id/vertices/:v/watermarks`
pub fn watermarks(vertex: &VertexView) -> Metrics {
    let watermark = |subtask: &SubtaskView| {
        let watermark_ms = subtask.input_watermark_ms?;
        Some((format!("{}.currentInputWatermark", subtask.index), number(watermark_ms)))
    };
    vertex.subtasks.iter().filter_map(watermark).collect()
}

/// A subtask's metrics. Those of its operators begin with the operator's name and a dot.
pub fn of_subtask(subtask: &SubtaskView) -> Metrics {
    let io = &subtask.io;
    let known = [
        ("numBytesIn", number(io.bytes_in)),
        ("numBytesOut", number(io.bytes_out)),
        ("numRecordsIn", number(io.records_in)),
        ("numRecordsOut", number(io.records_out)),
        ("numBytesInPerSecond", Value::Number(io.bytes_in_per_second)),
        ("numBytesOutPerSecond", Value::Number(io.bytes_out_per_second)),
        ("numRecordsInPerSecond", Value::Number(io.records_in_per_second)),
        ("numRecordsOutPerSecond", Value::Number(io.records_out_per_second)),
        ("busyTimeMsPerSecond", Value::Number(io.busy * 1000.0)),
        ("backPressuredTimeMsPerSecond", Value::Number(io.backpressured * 1000.0)),
        ("idleTimeMsPerSecond", Value::Number(io.idle * 1000.0)),
        ("accumulateBusyTimeMs", number(io.busy_ms)),
        ("accumulateBackPressuredTimeMs", number(io.backpressured_ms)),
        ("accumulateIdleTimeMs", number(io.idle_ms)),
    ];
    let watermark = subtask.input_watermark_ms.map(|ms| ("currentInputWatermark", number(ms)));
    let known = known.into_iter().chain(watermark).map(|(id, value)| (id.to_owned(), value));
    known.chain(subtask.metrics.iter().map(|(id, &figure)| (id.clone(), figure.into()))).collect()
}

fn with_others(
    known: impl IntoIterator<Item = (&'static str, Value)>,
    others: &BTreeMap<String, f64>,
) -> Metrics {
    let others = others.iter().map(|(id, value)| (id.clone(), Value::Number(*value)));
    others.chain(known.into_iter().map(|(id, value)| (id.to_owned(), value))).collect()
}
